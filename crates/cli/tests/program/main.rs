//! The built program, `imds`, from outside: what operators, guests and attackers see of it.
//!
//! Which file a test belongs in:
//!
//! - [`first_start`]: what a start makes and keeps, how it says that it is ready, how it ends;
//! - [`settings`]: where settings come from, and every start that must be refused;
//! - [`options`]: instances shown and changed while the server runs;
//! - [`linear`]: options changed through the EC2 API, against what guests see at the same time;
//! - [`crashes`]: kills in the middle of changes: what was acknowledged is there;
//! - [`accounts`]: what is in one account or region, seen from another;
//! - [`states`]: instances that stop, start and end, and what becomes of their options and tokens;
//! - [`tokens`]: which tokens are accepted, across restarts, crashes and floods;
//! - [`attackers`]: callers that mean harm, and the limits that hold them;
//! - [`credentials`]: where role credentials come from;
//! - [`sources`]: roles that are assumed at STS, elsewhere;
//! - [`client_commands`]: the commands that need no server of their own, or ask one;
//! - [`policies`]: what would be allowed under documents, and why;
//! - [`operators`]: the management listener: metrics and health;
//! - [`strange_requests`]: the management listener, asked what nobody should ask;
//! - [`service`]: the server under a service manager, and what it may do there;
//! - [`link_local`]: the addresses of EC2;
//! - [`attachments`]: how an instance is attached, by command and by config file;
//! - [`claims`]: attachments that cannot be had;
//! - [`comings`]: interfaces and namespaces that come and go under an attachment;
//! - [`impostors`]: callers who would be another instance;
//! - [`churn`]: instances that move while callers ask;
//! - [`fairness`]: what others notice of an instance that floods the service;
//! - [`thousands`]: what it costs to have many attachments;
//! - [`launched`]: instances that the server makes machines for;
//! - [`lifecycle`]: instances that are launched, stopped, started and ended;
//! - [`hosts`]: those machines: whole or not at all, whatever interrupts the server;
//! - [`network_rows`]: what EC2 does between the instance's network and the service, row by row;
//! - [`packets`]: how far each packet of an answer travels;
//! - [`undelivered`]: tokens that do not arrive;
//! - [`hop_limit`]: how far tokens travel in a network that nobody but the test has made;
//! - [`described_policies`]: policies and an organization that the config file describes;
//! - [`doctor`]: what is found in networks that are wired wrong.
//!
//! [`running`] starts servers, [`exchange`] speaks HTTP to them byte by byte, [`management`] asks
//! their EC2 API, [`waiting`] waits for
//! conditions, [`chance`] draws moments. [`alone`] gives a test a network of its own, in which it
//! makes [`machines`]. [`namespace`] makes network namespaces, [`site`] puts a server and instances into
//! one; [`sockets`] gives a test sockets in there, and [`capture`] the packets. Each test has a home
//! directory and a server of its own, and every port is chosen by the system. `IMDS_TEST_KILLS`,
//! `IMDS_TEST_ATTACK_SECONDS`, `IMDS_TEST_CHURN_SECONDS` and `IMDS_TEST_NAMESPACES` make the long runs
//! longer.

#![cfg(test)]

mod accounts;
mod alone;
mod attachments;
mod attackers;
mod capture;
mod chance;
mod churn;
mod claims;
mod client_commands;
mod comings;
mod crashes;
mod credentials;
mod described_policies;
mod doctor;
mod exchange;
mod fairness;
mod first_start;
mod hop_limit;
mod hosts;
mod impostors;
mod launched;
mod lifecycle;
mod linear;
mod link_local;
mod machines;
mod management;
mod namespace;
mod network_rows;
mod operators;
mod options;
mod packets;
mod policies;
mod running;
mod service;
mod settings;
mod site;
mod sockets;
mod sources;
mod states;
mod strange_requests;
mod thousands;
mod tokens;
mod undelivered;

#[path = "../../../network/tests/kernel/unshared.rs"]
mod unshared;
#[path = "../../../network/tests/kernel/waiting.rs"]
mod waiting;
