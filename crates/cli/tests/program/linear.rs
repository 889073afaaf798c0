//! Changes of options through the EC2 API against what the data plane answers at the same time: one
//! register, as if each had happened at one moment between its question and its answer.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::exchange::{connect, read_tokenless, tokenless_request, try_exchange};
use crate::management::{CLOSE, Operator, endpoint};
use crate::running::{DEFAULT_INSTANCE, Home, Running, long_run, tell};
use crate::waiting::{wait_until, wait_within};

const ID: &str = "/latest/meta-data/instance-id";

/// Whether tokens are required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tokens {
    Optional,
    Required,
}

impl Tokens {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }

    /// What a read without a token tells.
    fn told_by(status: u16) -> Self {
        match status {
            200 => Self::Optional,
            401 => Self::Required,
            status => panic!("status {status}"),
        }
    }
}

/// One change or read, and when it can have happened.
#[derive(Clone, Copy, Debug)]
struct Event {
    tokens: Tokens,
    asked: Instant,
    answered: Instant,
}

/// Everything that was done, in several lives of a server.
#[derive(Debug, Default)]
struct History {
    /// Changes that were answered.
    writes: Vec<Event>,
    /// Changes that were not, because the server was killed: each may have happened before.
    attempts: Vec<Event>,
    reads: Vec<Event>,
}

impl History {
    /// Finds the reads that no order explains: each saw a value that was overwritten before it was
    /// asked for, by a change that was answered.
    fn unexplained(&self) -> Vec<Event> {
        let is_unexplained = |read: &&Event| {
            let over = self.writes.iter().filter(|write| write.answered < read.asked);
            // Of those that had happened, the one that was asked for last rules out the most.
            let over = over.filter(|write| write.tokens != read.tokens);
            let Some(over) = over.max_by_key(|write| write.asked) else { return false };
            let explains = |write: &&Event| {
                let is_seen = write.tokens == read.tokens && write.asked < read.answered;
                is_seen && write.answered > over.asked
            };
            !self.writes.iter().chain(&self.attempts).any(|write| explains(&write))
        };
        self.reads.iter().filter(is_unexplained).copied().collect()
    }
}

/// One life of a server: who asks, and when it is over.
struct Life<'a> {
    operator: &'a Operator,
    management: SocketAddr,
    metadata: SocketAddr,
    id: &'a str,
    history: &'a Mutex<History>,
    is_over: &'a AtomicBool,
}

impl Life<'_> {
    /// Makes options now optional and now required, each time until it is shown as applied.
    fn write(&self) {
        let mut chance = Chance::new();
        let mut tokens = || if chance.one_in(2) { Tokens::Optional } else { Tokens::Required };
        while self.modify(tokens()) {}
    }

    /// Returns whether it was answered; if it was not, the server is dead.
    fn modify(&self, tokens: Tokens) -> bool {
        let asked = Instant::now();
        let told = self.operator.try_ask(self.management, &modify(self.id, tokens));
        let event = Event { tokens, asked, answered: Instant::now() };
        let told = match told {
            Ok(told) => told,
            // There was nobody to take it.
            Err(fault) if fault.kind() == ErrorKind::ConnectionRefused => return false,
            Err(_) => {
                self.history.lock().unwrap().attempts.push(event);
                return false;
            }
        };
        assert!(told.is_done(), "{}", told.text());
        assert_eq!(told.option("httpTokens"), tokens.as_str());
        assert_eq!(told.option("state"), "pending", "EC2: the answer never says more");
        self.history.lock().unwrap().writes.push(event);
        // It says so at once, or some time later; or the server is killed.
        wait_until("it is applied", || {
            let form = format!("Action=DescribeInstances&InstanceId.1={}", self.id);
            let Ok(told) = self.operator.try_ask(self.management, &form) else { return Some(()) };
            (told.option("state") == "applied").then_some(())
        });
        true
    }

    fn read(&self) {
        while !self.is_over.load(Ordering::Relaxed) {
            self.read_once();
        }
    }

    fn read_once(&self) {
        let asked = Instant::now();
        // What breaks off has read nothing.
        let Ok(answer) = try_exchange(self.metadata, tokenless_request(ID).as_bytes()) else {
            return;
        };
        let tokens = Tokens::told_by(answer.status);
        let event = Event { tokens, asked, answered: Instant::now() };
        self.history.lock().unwrap().reads.push(event);
    }
}

fn modify(id: &str, tokens: Tokens) -> String {
    let tokens = tokens.as_str();
    format!("Action=ModifyInstanceMetadataOptions&InstanceId={id}&HttpTokens={tokens}")
}

/// Has so many writers and readers at work until the server is killed at a moment of chance.
fn live(home: &Home, server: Running, operator: &Operator, id: &str, history: &Mutex<History>) {
    const WRITERS: usize = 3;
    const READERS: usize = 3;
    const READS_MIN: usize = 150;
    let is_over = AtomicBool::new(false);
    let (management, metadata) = (server.management, endpoint(home, id));
    let life = Life { operator, management, metadata, id, history, is_over: &is_over };
    let counts = || {
        let history = history.lock().unwrap();
        (history.reads.len(), history.writes.len())
    };
    // Before anything else of this life: what was acknowledged in the last one holds.
    life.read_once();
    let (reads, writes) = counts();
    thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| life.write());
        }
        for _ in 0..READERS {
            scope.spawn(|| life.read());
        }
        wait_until("there is a load", || {
            let now = counts();
            (now.0 >= reads + READS_MIN && now.1 > writes + WRITERS).then_some(())
        });
        wait_within::<()>(Chance::new().time_below(Duration::from_millis(100)), || None);
        server.kill();
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn changes_and_reads_are_those_of_one_register_through_kills() {
    let lives = long_run("IMDS_TEST_KILLS", 8);
    let home = Home::new();
    let server = home.start(&[]);
    let operator = Operator::administrator(&home);
    let id = operator.launch(&server, "");
    let history = Mutex::default();
    server.stop();
    for _ in 0..lives {
        live(&home, home.start(&[]), &operator, &id, &history);
    }
    let server = home.start(&[]);
    let is_over = AtomicBool::new(false);
    let (management, metadata) = (server.management, endpoint(&home, &id));
    let (operator, id, history) = (&operator, id.as_str(), &history);
    Life { operator, management, metadata, id, history, is_over: &is_over }.read_once();
    let history = history.lock().unwrap();
    let unexplained = history.unexplained();
    let [optional, required] = [Tokens::Optional, Tokens::Required]
        .map(|tokens| history.reads.iter().filter(|read| read.tokens == tokens).count());
    tell(&format!(
        "options of one instance through {lives} kills: {} changes acknowledged, {} cut off; {} \
         reads, {optional} with tokens optional and {required} with tokens required; {} that no \
         order explains",
        history.writes.len(),
        history.attempts.len(),
        history.reads.len(),
        unexplained.len(),
    ));
    assert!(optional > lives && required > lives, "both were seen");
    assert!(unexplained.is_empty(), "{:?}", &unexplained[..1]);
}

/// One writer, and what it was told is what everybody sees until it asks for something else.
#[test]
fn nothing_is_seen_of_an_option_once_its_change_is_answered() {
    const READERS: usize = 3;
    const READS_MIN: usize = 3000;
    const FLIPS_MIN: usize = 40;
    let home = Home::new();
    let server = home.start(&[]);
    let operator = Operator::administrator(&home);
    let id = operator.launch(&server, "");
    let address = endpoint(&home, &id);
    // The flips that were sent, and those that were answered: the value is that of their parity.
    let (sent, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (is_over, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    let value = |flips: usize| match flips % 2 {
        0 => Tokens::Optional,
        _ => Tokens::Required,
    };
    operator.ask(&server, &modify(&id, value(0)));
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let before = answered.load(Ordering::SeqCst);
                    let read = Tokens::told_by(read_tokenless(address, ID).status);
                    let after = sent.load(Ordering::SeqCst);
                    let is_possible = (before..=after).any(|flips| value(flips) == read);
                    assert!(is_possible, "{read:?}, with flips {before} to {after} under way");
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut flips = 0;
        while reads.load(Ordering::Relaxed) < READS_MIN || flips < FLIPS_MIN {
            flips += 1;
            sent.store(flips, Ordering::SeqCst);
            let tokens = value(flips);
            operator.ask(&server, &modify(&id, tokens));
            answered.store(flips, Ordering::SeqCst);
            let status = read_tokenless(address, ID).status;
            assert_eq!(Tokens::told_by(status), tokens, "the very next request, flip {flips}");
        }
        is_over.store(true, Ordering::Relaxed);
        tell(&format!("{flips} changes answered, {reads:?} reads beside them: none is late"));
    });
}

#[test]
fn of_two_quick_changes_the_later_one_stays() {
    const PAIRS: usize = 100;
    let home = Home::new();
    let server = home.start(&[]);
    let operator = Operator::administrator(&home);
    let mut chance = Chance::new();
    for pair in 0..PAIRS {
        let last = if chance.one_in(2) { Tokens::Optional } else { Tokens::Required };
        let first = if last == Tokens::Optional { Tokens::Required } else { Tokens::Optional };
        // On one connection, the second before the first is answered.
        let bytes = [(first, ""), (last, CLOSE)].map(|(tokens, more)| {
            operator.request(server.management, &modify(DEFAULT_INSTANCE, tokens), more)
        });
        let mut stream = connect(server.management).unwrap();
        stream.write_all(&bytes.concat()).unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        let [at_first, at_last] = [first, last]
            .map(|tokens| answers.find(&format!("<httpTokens>{}<", tokens.as_str())).unwrap());
        assert!(at_first < at_last, "{answers}");
        let status = read_tokenless(server.address(), ID).status;
        assert_eq!(Tokens::told_by(status), last, "pair {pair}");
    }
}

/// Changes of different options at once: none is lost to another.
#[test]
fn changes_of_different_options_do_not_undo_each_other() {
    const ROUNDS: usize = 25;
    let home = Home::new();
    let server = home.start(&[]);
    let operator = Operator::administrator(&home);
    for round in 0..ROUNDS {
        let tokens = if round % 2 == 0 { "optional" } else { "required" };
        let tags = if round % 2 == 0 { "enabled" } else { "disabled" };
        let hops = (round % 64 + 1).to_string();
        let own = [
            ("HttpTokens", "httpTokens", tokens),
            ("InstanceMetadataTags", "instanceMetadataTags", tags),
            ("HttpPutResponseHopLimit", "httpPutResponseHopLimit", &hops),
        ];
        thread::scope(|scope| {
            for (parameter, _, value) in own {
                let form = format!(
                    "Action=ModifyInstanceMetadataOptions&InstanceId={DEFAULT_INSTANCE}\
                     &{parameter}={value}"
                );
                let (operator, server) = (&operator, &server);
                scope.spawn(move || operator.ask(server, &form));
            }
        });
        let form = format!("Action=DescribeInstances&InstanceId.1={DEFAULT_INSTANCE}");
        let told = operator.ask(&server, &form);
        for (_, element, value) in own {
            assert_eq!(told.option(element), value, "round {round}");
        }
    }
}

#[test]
fn a_read_that_no_order_explains_is_found() {
    let start = Instant::now();
    let event = |tokens, asked, answered| Event {
        tokens,
        asked: start + Duration::from_secs(asked),
        answered: start + Duration::from_secs(answered),
    };
    let (optional, required) = (Tokens::Optional, Tokens::Required);
    let history = |read| History {
        writes: vec![event(optional, 0, 1), event(required, 2, 5), event(optional, 10, 13)],
        attempts: vec![event(required, 20, 22)],
        reads: vec![read],
    };
    for (read, is_explained) in [
        (event(optional, 3, 4), true),
        (event(required, 3, 4), true),
        (event(optional, 6, 9), false),
        (event(optional, 6, 11), true),
        (event(required, 11, 12), true),
        (event(required, 14, 15), false),
        (event(required, 14, 21), true),
        (event(optional, 23, 24), true),
        (event(required, 23, 24), true),
    ] {
        assert_eq!(history(read).unexplained().is_empty(), is_explained, "{read:?}");
    }
}
