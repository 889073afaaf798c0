//! Which tokens are accepted: those that were granted, for their instance, until their time is
//! over, whatever became of the server in between.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

use crate::exchange::{
    exchange, read, token, token_request, tokenless_request, try_exchange, value,
};
use crate::running::{DEFAULT_INSTANCE, Home, Running, long_run, tell};
use crate::waiting::wait_until;

/// Tells the status of a read with `token`.
fn status(address: SocketAddr, token: &str) -> u16 {
    read(address, "/latest/meta-data/instance-id", token).status
}

/// Two instances, each at an address of its own.
fn two_instances(home: &Home) -> Running {
    home.start_with(
        "[[instance]]\nid = \"i-0000000000000000a\"\n\
         attachments = [{ listener = \"127.0.0.1:0\" }]\n",
    )
}

#[test]
fn a_granted_token_survives_a_restart_and_short_lived_keys() {
    let home = Home::new();
    let mut granted = Vec::new();
    for rotation in ["2m", "24h", "7d", "2m"] {
        let server = home.start(&["--token-key-rotation", rotation]);
        granted.push(token(server.address()));
        for token in &granted {
            assert_eq!(status(server.address(), token), 200, "{rotation}");
        }
        server.stop();
    }
}

#[test]
fn a_token_of_another_instance_is_refused() {
    let home = Home::new();
    let server = two_instances(&home);
    let [one, other] = server.metadata[..] else { panic!("there are two: {:?}", server.metadata) };
    let (of_one, of_other) = (token(one), token(other));
    assert_eq!((status(one, &of_one), status(other, &of_other)), (200, 200));
    assert_eq!((status(one, &of_other), status(other, &of_one)), (401, 401));
}

#[test]
fn a_token_of_another_server_is_refused() {
    let (home, other_home) = (Home::new(), Home::new());
    let (server, other) = (home.start(&[]), other_home.start(&[]));
    assert_eq!(status(server.address(), &token(other.address())), 401);
}

#[test]
fn a_token_with_any_bit_flipped_is_refused() {
    let home = Home::new();
    let server = home.start(&[]);
    let granted = token(server.address());
    let bytes = URL_SAFE.decode(&granted).unwrap();
    assert_eq!(bytes.len(), 40);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let flipped = URL_SAFE.encode(flipped);
        assert_eq!(status(server.address(), &flipped), 401, "bit {bit}");
    }
    assert_eq!(status(server.address(), &granted), 200);
}

#[test]
fn a_token_that_is_cut_or_lengthened_or_made_up_is_refused() {
    let home = Home::new();
    // Tokens are optional here, and a bad one is refused all the same.
    let server = home.start(&["--http-tokens", "optional"]);
    let address = server.address();
    let granted = token(address);
    for length in 0..granted.len() {
        assert_eq!(status(address, &granted[..length]), 401, "{length}");
    }
    let unpadded = granted.trim_end_matches('=');
    let mut made_up = vec![1, 0, 4, 0];
    made_up.extend([0; 36]);
    for bad in [
        format!("{granted}="),
        format!("{granted}A"),
        format!("{granted}{granted}"),
        format!("{unpadded}A="),
        granted.to_lowercase(),
        granted.chars().rev().collect(),
        URL_SAFE.encode(made_up),
        "A".repeat(56),
        "A".repeat(4096),
        "null".to_owned(),
        "\u{e9}\u{e9}".to_owned(),
    ] {
        assert_eq!(status(address, &bad), 401, "{bad}");
    }
    assert_eq!(status(address, &granted), 200);
}

#[test]
fn a_token_past_its_time_is_refused() {
    let home = Home::new();
    let server = home.start(&[]);
    let address = server.address();
    let granted = exchange(address, token_request("1").as_bytes());
    assert_eq!(granted.header("x-aws-ec2-metadata-token-ttl-seconds"), Some("1"));
    let granted = granted.text();
    wait_until("it is over", || (status(address, granted) == 401).then_some(()));
    assert_eq!(status(address, granted), 401);
}

/// Kills the server again and again while clients get tokens. A token counts as granted once its
/// whole answer has been read.
#[test]
fn no_granted_token_is_lost_when_the_server_is_killed() {
    const CLIENTS: usize = 4;
    let kills = long_run("IMDS_TEST_KILLS", 20);
    let home = Home::new();
    let mut granted: Vec<String> = Vec::new();
    let mut lost = 0;
    for round in 0..kills {
        let server = home.start(&[]);
        // Those of the life before, first thing: nothing has had time to mend itself.
        let recent = &granted[granted.len().saturating_sub(500)..];
        lost += lost_of(recent, server.address());
        // From the very start, where keys are made, to well into the load.
        let enough = round * 37 % 300;
        granted.extend(get_tokens_until_killed(server, CLIENTS, enough));
    }
    let server = home.start(&[]);
    lost += lost_of(&granted, server.address());
    tell(&format!("{kills} kills under load: granted {}, lost {lost}", granted.len()));
    assert!(granted.len() >= kills * 20, "there was a load");
    assert_eq!(lost, 0);
    assert_eq!(value(server.address(), "/latest/meta-data/instance-id"), DEFAULT_INSTANCE);
}

/// Counts the tokens that are refused.
fn lost_of(granted: &[String], address: SocketAddr) -> usize {
    let refused = granted.iter().filter(|token| status(address, token) != 200);
    refused.count()
}

/// Gets tokens with several clients at once, kills the server once `enough` have come, and returns
/// all that were granted.
fn get_tokens_until_killed(server: Running, clients: usize, enough: usize) -> Vec<String> {
    let address = server.address();
    let granted = Mutex::new(Vec::new());
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    // What breaks off was not granted.
                    if let Ok(answer) = try_exchange(address, token_request("21600").as_bytes()) {
                        assert_eq!(answer.status, 200, "{}", answer.head);
                        granted.lock().unwrap().push(answer.text().to_owned());
                    }
                }
            });
        }
        wait_until("there is a load", || (granted.lock().unwrap().len() >= enough).then_some(()));
        server.kill();
        is_over.store(true, Ordering::Relaxed);
    });
    granted.into_inner().unwrap()
}

#[test]
fn ten_thousand_parallel_token_requests_take_no_memory() {
    const CLIENTS: usize = 64;
    const REQUESTS: usize = 10_000;
    /// Room for the sockets' share and for the allocator's taste; a table of tokens would need
    /// more.
    const GROWTH_KIB_MAX: i64 = 16 * 1024;
    let home = Home::new();
    let server = home.start(&[]);
    let address = server.address();
    // What is made once is made before it is measured.
    flood(address, CLIENTS, 500);
    home.result_once_made(&["identity", "certificates"]);
    let before = server.memory_kib("VmRSS");
    let granted = flood(address, CLIENTS, REQUESTS);
    let after = server.memory_kib("VmRSS");
    tell(&format!(
        "{REQUESTS} token requests from {CLIENTS} clients: {granted} granted, memory {before} KiB \
         before, {after} KiB after"
    ));
    assert_eq!(granted, REQUESTS);
    assert!(after - before < GROWTH_KIB_MAX, "{before} KiB, then {after} KiB");
}

/// Asks for tokens from many threads, and returns how many were granted, each another one.
fn flood(address: SocketAddr, clients: usize, requests: usize) -> usize {
    let left = AtomicUsize::new(requests);
    let take = || {
        let one_less = |left: usize| left.checked_sub(1);
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    };
    let granted = Mutex::new(std::collections::HashSet::new());
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                while take() {
                    let answer = exchange(address, token_request("21600").as_bytes());
                    assert_eq!(answer.status, 200, "{}", answer.head);
                    granted.lock().unwrap().insert(answer.text().to_owned());
                }
            });
        }
    });
    granted.into_inner().unwrap().len()
}

#[test]
fn what_is_no_token_request_is_granted_nothing() {
    let home = Home::new();
    let server = home.start(&[]);
    let address = server.address();
    for ttl in ["0", "21601", "-1", "1.5", "", "99999999999999999999"] {
        let answer = exchange(address, token_request(ttl).as_bytes());
        assert_eq!((answer.status, answer.body.len()), (400, 0), "{ttl}");
    }
    let read = exchange(address, tokenless_request("/latest/api/token").as_bytes());
    assert_eq!(read.status, 405);
}
