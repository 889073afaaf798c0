//! Instances that the server launches in network namespaces: each is served as itself, and nobody
//! else's token is good there.

use crate::exchange::{Answer, read_request, token_request};
use crate::site::{Launched, SERVICE, SERVICE_V6, Site, ask};
use crate::sockets::Sockets;

const ID: &str = "/latest/meta-data/instance-id";

fn token(from: &Sockets) -> String {
    let answer = ask(from, SERVICE, &token_request("21600"));
    assert_eq!(answer.status, 200, "{}", answer.head);
    answer.text().to_owned()
}

fn read(from: &Sockets, token: &str) -> Answer {
    ask(from, SERVICE, &read_request(ID, token))
}

#[test]
fn it_is_served_over_both_protocols_as_soon_as_it_is_launched() {
    let site = Site::new(&[]);
    // Whoever finds no neighbour is told after three seconds that there is no route; two of three
    // were, where the kernel looked for other owners of its addresses first.
    for _ in 0..3 {
        let launched = site.launch(&["--http-protocol-ipv6", "enabled"]);
        for from in [launched.container(), launched.instance()] {
            for service in [SERVICE_V6, SERVICE] {
                assert_eq!(ask(&from, service, &token_request("60")).status, 200);
            }
        }
    }
}

/// Sees whom the service takes the machine behind `from` for: with `own` it gets the id of `served`,
/// with `foreign`, the token of another instance, nothing.
fn assert_served_as(from: &Sockets, served: &Launched<'_>, own: &str, foreign: &str) {
    let answer = read(from, own);
    assert_eq!((answer.status, answer.text()), (200, served.id.as_str()));
    let answer = read(from, foreign);
    assert_eq!((answer.status, answer.body.len()), (401, 0));
    assert_eq!(read(from, &token(from)).text(), served.id);
}

#[test]
fn a_token_is_good_for_the_instance_that_it_was_granted_to_wherever_that_is_attached() {
    let site = Site::new(&[]);
    let (one, other) = (site.launch(&[]), site.launch(&[]));
    let (in_one, in_other) = (one.instance(), other.instance());
    let (of_one, of_other) = (token(&in_one), token(&in_other));
    assert_served_as(&in_one, &one, &of_one, &of_other);
    assert_served_as(&in_other, &other, &of_other, &of_one);
    assert_served_as(&one.container(), &one, &of_one, &of_other);

    // They change places: each is served in the other's machine.
    let places = [&one, &other].map(|launched| format!("netns={}-imds", launched.id));
    let change = |what, launched: &Launched<'_>, place: &str| {
        site.command(&["instance", what, &launched.id, place]);
    };
    change("detach", &one, &places[0]);
    change("detach", &other, &places[1]);
    change("attach", &one, &places[1]);
    change("attach", &other, &places[0]);
    assert_served_as(&in_one, &other, &of_other, &of_one);
    assert_served_as(&in_other, &one, &of_one, &of_other);

    // One has both, and then they are where they were.
    change("detach", &other, &places[0]);
    change("attach", &one, &places[0]);
    assert_served_as(&in_one, &one, &of_one, &of_other);
    assert_served_as(&in_other, &one, &of_one, &of_other);
    change("detach", &one, &places[1]);
    change("attach", &other, &places[1]);
    assert_served_as(&in_one, &one, &of_one, &of_other);
    assert_served_as(&in_other, &other, &of_other, &of_one);
}
