//! The states of instances and of their options, and what the data plane makes of them.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::exchange::{read, read_tokenless, send_and_end, token, tokenless_request};
use crate::management::{Operator, endpoint};
use crate::running::{Home, Running};
use crate::waiting::wait_until;

const ID: &str = "/latest/meta-data/instance-id";

/// A server, and who asks it.
struct Place {
    server: Running,
    operator: Operator,
    home: Home,
}

impl Place {
    fn new(arguments: &[&str]) -> Self {
        let home = Home::new();
        let server = home.start(arguments);
        Self { server, operator: Operator::administrator(&home), home }
    }

    fn ask(&self, form: &str) {
        self.operator.ask(&self.server, &format!("Action={form}"));
    }

    fn option(&self, id: &str, element: &str) -> String {
        let form = format!("Action=DescribeInstances&InstanceId.1={id}");
        self.operator.ask(&self.server, &form).option(element)
    }

    /// Waits until an instance is shown in a state.
    fn await_state(&self, id: &str, state: &str) {
        let form = format!("Action=DescribeInstances&InstanceId.1={id}");
        wait_until(&format!("{id} is {state}"), || {
            let told = self.operator.ask(&self.server, &form);
            told.text().contains(&format!("<name>{state}</name></instanceState>")).then_some(())
        });
    }

    fn attach(&self, id: &str, attachment: &Value) {
        let question = json!({ "action": "attach", "instance_id": id, "attachment": attachment });
        self.home.ask(&question).unwrap();
    }

    fn modify(&self, id: &str, tokens: &str) {
        self.ask(&format!("ModifyInstanceMetadataOptions&InstanceId={id}&HttpTokens={tokens}"));
    }
}

/// Sees that nobody is answered at an address: neither a word nor a connection.
fn assert_silent(address: SocketAddr) {
    if std::net::TcpStream::connect(address).is_ok() {
        assert_eq!(send_and_end(address, tokenless_request(ID).as_bytes()), b"");
    }
}

#[test]
fn options_of_a_stopped_instance_are_pending_until_it_is_started() {
    let mut place = Place::new(&[]);
    let id = place.operator.launch(&place.server, "&MetadataOptions.HttpTokens=required");
    place.await_state(&id, "running");
    assert_eq!(place.option(&id, "state"), "applied");
    place.ask(&format!("StopInstances&InstanceId.1={id}"));
    place.await_state(&id, "stopped");
    assert_eq!(place.option(&id, "state"), "applied", "nothing was changed since");
    place.modify(&id, "optional");
    for _ in 0..2 {
        assert_eq!(place.option(&id, "state"), "pending");
        assert_eq!(place.option(&id, "httpTokens"), "optional", "the new values");
        // A server that starts anew knows it still.
        place.server.kill();
        place.server = place.home.start(&[]);
    }
    place.ask(&format!("StartInstances&InstanceId.1={id}"));
    place.await_state(&id, "running");
    assert_eq!(place.option(&id, "state"), "applied");
    assert_eq!(read_tokenless(endpoint(&place.home, &id), ID).status, 200);
    // What survives one stop survives the next.
    place.ask(&format!("StopInstances&InstanceId.1={id}"));
    place.await_state(&id, "stopped");
    assert_eq!(place.option(&id, "state"), "applied");
    assert_eq!(place.option(&id, "httpTokens"), "optional");
}

#[test]
fn a_stopped_instance_is_not_answered_and_its_tokens_are_good_again_after_a_start() {
    let place = Place::new(&[]);
    let id = place.operator.launch(&place.server, "");
    let address = endpoint(&place.home, &id);
    let granted = token(address);
    place.ask(&format!("StopInstances&InstanceId.1={id}"));
    place.await_state(&id, "stopped");
    assert_silent(address);
    place.ask(&format!("StartInstances&InstanceId.1={id}"));
    place.await_state(&id, "running");
    assert_eq!(read(endpoint(&place.home, &id), ID, &granted).text(), id);
}

#[test]
fn a_terminated_instance_is_refused_at_once_and_its_tokens_are_dead() {
    let place = Place::new(&[]);
    let id = place.operator.launch(&place.server, "");
    let address = endpoint(&place.home, &id);
    let granted = token(address);
    assert_eq!(read(address, ID, &granted).text(), id);
    place.ask(&format!("TerminateInstances&InstanceId.1={id}"));
    assert_silent(address);
    place.await_state(&id, "terminated");
    assert_silent(address);
    // Another one gets the very address: the token of the one before is worth nothing there.
    let other = place.operator.launch(&place.server, "");
    place.attach(&other, &json!({ "listener": address }));
    assert_eq!(read(address, ID, &token(address)).text(), other);
    assert_eq!(read(address, ID, &granted).status, 401);
}

/// As above, where the address is told by its source and no socket is closed.
#[test]
fn a_source_address_that_is_used_again_carries_no_token_over() {
    let place = Place::new(&["--shared-listen", "127.0.0.1:0", "--launch-driver", "none"]);
    let shared = *place.server.metadata.last().unwrap();
    let source = json!({ "source": "127.0.0.1" });
    let id = place.operator.launch(&place.server, "");
    place.attach(&id, &source);
    let granted = token(shared);
    assert_eq!(read(shared, ID, &granted).text(), id);
    place.ask(&format!("TerminateInstances&InstanceId.1={id}"));
    assert_silent(shared);
    let other = place.operator.launch(&place.server, "");
    place.attach(&other, &source);
    assert_eq!(read(shared, ID, &granted).status, 401);
    assert_eq!(read(shared, ID, &token(shared)).text(), other);
}
