//! How far the packets of an answer travel: each of them, on the wire, whatever becomes of it.
//!
//! A token must not reach whoever is further away than the hop limit. Its first packet is the easy
//! part: what is sent again, and what ends the connection, goes as far as the socket's TTL is *then*.
//! So a server that raises the TTL again once it has answered sends the token to everyone: see
//! [`what_is_sent_again_travels_no_further_than_what_was_sent_first`].

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};

use crate::capture::{Capture, Flags, Packet};
use crate::exchange::{exchange_over, read_request, token_request, tokenless_request};
use crate::site::{SERVICE, SERVICE_V6, Site, own_address};
use crate::sockets::Sockets;
use crate::waiting::wait_until;

/// The limits that are tried: the least, the marked image's, one between, and the most.
const LIMITS: [u8; 4] = [1, 2, 5, 64];

const SERVICES: [SocketAddr; 2] = [SERVICE, SERVICE_V6];

/// The TTL of whatever no hop limit bounds: what Linux gives every packet.
const USUAL: u8 = 64;

const ID: &str = "/latest/meta-data/instance-id";

/// Asks over a connection of its own. Returns the status, the text, and the packets of the service.
fn ask(
    from: &Sockets,
    service: SocketAddr,
    request: &str,
    capture: &mut Capture,
) -> (u16, String, Vec<Packet>) {
    let stream = from.connect(service);
    let client = own_address(&stream);
    let answer = exchange_over(stream, request.as_bytes());
    let bytes = answer.head.len() + "\r\n\r\n".len() + answer.body.len();
    let packets = of_service(capture, client);
    let seen: usize = packets.iter().map(|packet| packet.bytes).sum();
    assert_eq!(seen, bytes, "packets of an answer are missing: {packets:?}");
    (answer.status, answer.text().to_owned(), packets)
}

fn of_service(capture: &mut Capture, client: SocketAddr) -> Vec<Packet> {
    let mut packets = capture.of_client(client);
    packets.retain(|packet| packet.to == client);
    packets
}

/// Takes the packets of an answer apart: those before its first byte, and those from there on.
fn around_first_byte(packets: &[Packet]) -> (&[Packet], &[Packet]) {
    let first = packets.iter().position(|packet| packet.bytes > 0);
    packets.split_at(first.expect("an answer was sent"))
}

#[test]
fn every_packet_of_a_token_bears_the_limit_and_no_other_packet_does() {
    let site = Site::new(&[]);
    let launched = site.launch(&["--http-protocol-ipv6", "enabled"]);
    let (instance, mut capture) = (launched.instance(), launched.capture());
    for limit in LIMITS {
        launched.limit_hops(limit);
        for service in SERVICES {
            let at = format!("limit {limit}, {service}");
            let put = token_request("21600");
            let (status, token, packets) = ask(&instance, service, &put, &mut capture);
            assert_eq!(status, 200, "{at}");
            let (handshake, answer) = around_first_byte(&packets);
            assert!(
                handshake.iter().any(|packet| packet.has(Flags::START) && packet.has(Flags::ACK)),
                "{at}"
            );
            assert!(handshake.iter().all(|packet| packet.hops == USUAL), "{at}: {handshake:?}");
            assert!(answer.iter().any(|packet| packet.has(Flags::END)), "{at}: {answer:?}");
            assert!(carry(answer, limit), "{at}: {answer:?}");

            for (request, expected) in [
                (read_request(ID, &token), 200),
                (read_request(ID, "bad"), 401),
                (tokenless_request(ID), 401),
                (token_request("60").replace("PUT", "DELETE"), 405),
            ] {
                let (status, _, packets) = ask(&instance, service, &request, &mut capture);
                assert_eq!(status, expected, "{at}: {request}");
                let usual = packets.iter().all(|packet| packet.hops == USUAL);
                assert!(usual, "{at}: {request}: {packets:?}");
            }
            for (request, expected) in [
                (token_request("0"), 400),
                (token_request("60").replace("\r\n\r\n", "\r\nX-Forwarded-For: ::1\r\n\r\n"), 403),
            ] {
                let (status, _, packets) = ask(&instance, service, &request, &mut capture);
                assert_eq!(status, expected, "{at}: {request}");
                let (_, answer) = around_first_byte(&packets);
                assert!(carry(answer, limit), "{at}: {request}: {answer:?}");
            }
        }
    }
}

/// Whether all packets that carry an answer, or its end, have this TTL. (The last acknowledgement may
/// be of a kernel that has forgotten the connection.)
fn carry(answer: &[Packet], limit: u8) -> bool {
    let mut carrying = answer.iter().filter(|packet| packet.bytes > 0 || packet.has(Flags::END));
    carrying.all(|packet| packet.hops == limit)
}

/// Sends tokens that are not acknowledged, with each limit over each protocol, and looks at every
/// packet until the kernel, or the server, gives up, after some three seconds.
///
/// A server that raises the TTL once it has answered fails here. With
///
/// ```ignore
/// let state = self.transmit(stream, out, ending, Some(sent));
/// let _ = limit_hops(stream, peer.address, HopLimit::MAX);
/// state
/// ```
///
/// as the last lines of `Worker::carry_out`, in `crates/server/src/driver.rs`, the first packet of
/// the token still goes one hop and no further; the next ones, with the same number and bytes, do
/// not stop there:
///
/// ```text
/// limit 1, 169.254.169.254:80: after the first byte there came [TTL 64 number 2809024985 with 0
/// bytes ACK FIN, TTL 64 number 2809024985 with 0 bytes ACK FIN, TTL 64 number 2809024986 with 0
/// bytes ACK, TTL 64 number 2809024748 with 237 bytes ACK, TTL 64 number 2809024986 with 0 bytes
/// ACK, TTL 64 number 2809024748 with 237 bytes ACK, …
/// ```
#[test]
fn what_is_sent_again_travels_no_further_than_what_was_sent_first() {
    let site = Site::new(&[]);
    let launched = site.launch(&["--http-protocol-ipv6", "enabled"]);
    let (container, mut capture) = (launched.container(), launched.capture());
    let each = LIMITS.into_iter().flat_map(|limit| SERVICES.map(|service| (limit, service)));
    let asked: Vec<(u8, TcpStream)> =
        each.map(|(limit, service)| (limit, container.connect(service))).collect();
    // From here on the container hears nothing, whatever the limit; where that is 1, its instance
    // tells the service of it.
    launched.lose_silently();
    for (granted, (limit, stream)) in (1..).zip(&asked) {
        launched.limit_hops(*limit);
        (&mut &*stream).write_all(token_request("21600").as_bytes()).unwrap();
        wait_until("it is answered", || (site.granted() == granted).then_some(()));
    }
    wait_until("all are given up", || {
        capture.take();
        (launched.sockets_of_container() == 0).then_some(())
    });
    for (limit, stream) in &asked {
        let at = format!("limit {limit}, {}", stream.peer_addr().unwrap());
        let packets = of_service(&mut capture, own_address(stream));
        let (handshake, answer) = around_first_byte(&packets);
        assert!(handshake.iter().all(|packet| packet.hops == USUAL), "{at}: {handshake:?}");
        let first = answer[0];
        let is_again = |packet: &&Packet| packet.bytes > 0 && packet.number == first.number;
        let times = answer.iter().filter(is_again).count();
        assert!(times > 2, "{at}: the answer was sent {times} times: {answer:?}");
        assert!(answer.iter().any(|packet| packet.has(Flags::END)), "{at}: {answer:?}");
        let further = further(answer, *limit);
        assert!(further.is_empty(), "{at}: after the first byte there came {further:?}");
    }
}

/// The packets of a connection that have another TTL, but for those of a kernel that knows of no
/// such connection, as it answers whatever comes for one that has ended: bare resets, without any
/// bytes of it.
fn further(packets: &[Packet], limit: u8) -> Vec<&Packet> {
    let is_disowned =
        |packet: &Packet| packet.has(Flags::RESET) && !packet.has(Flags::ACK) && packet.bytes == 0;
    packets.iter().filter(|packet| packet.hops != limit && !is_disowned(packet)).collect()
}

#[test]
fn the_reset_of_a_connection_that_makes_room_travels_no_further() {
    let site = Site::new(&["--max-connections-per-source", "1"]);
    let launched = site.launch(&["--http-protocol-ipv6", "enabled"]);
    launched.limit_hops(1);
    let (container, mut capture) = (launched.container(), launched.capture());
    for service in SERVICES {
        let mut first = container.connect(service);
        first.write_all(token_request("21600").as_bytes()).unwrap();
        wait_until("the token is under way", || (site.under_way() == 1).then_some(()));
        let _second = container.connect(service);
        let client = own_address(&first);
        let is_own = |packet: &&Packet| packet.has(Flags::RESET) && packet.has(Flags::ACK);
        wait_until("the first is reset", || {
            of_service(&mut capture, client).iter().find(is_own).copied()
        });
        let packets = of_service(&mut capture, client);
        let (_, answer) = around_first_byte(&packets);
        assert!(further(answer, 1).is_empty(), "{service}: {answer:?}");
    }
}
