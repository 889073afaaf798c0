//! The tokio driver: sockets around the state machine of `connection`.
//!
//! Each worker is a thread with a runtime of its own and its own listening sockets. A request that
//! has come whole when its connection is accepted, as nearly all do, is answered on the spot: one
//! accept, one receive, one send, one close, and no task. Only a connection that has to wait gets a
//! task, a deadline, and a place in the count of those that wait. A token that is not acknowledged
//! at once is one of those: see `delivery`.

use std::cell::RefCell;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metadata::{HEAD_BYTES_MAX, NONCE_BYTES, Signatures};
use model::{
    HopLimit, InstanceId, Observation, Outcome, RequestVersion, Timestamp, UndeliveredReason,
};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown, sockopt};
use store::Store;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout, timeout_at};

use crate::admission::Admission;
use crate::clock::Clock;
use crate::connection::{Connection, Ending, Sending, Step};
use crate::counters::{Counters, Limit, Phase};
use crate::delivery::{Reporter, Sent, UnderWay, hops_of, is_acknowledged};
use crate::exchange::{Desk, Entrance, Exchange, Peer};
use crate::first_packet;
use crate::reports::despite_reports;
use crate::run::{Notice, Notices};
use crate::service::Service;
use crate::signer::Signer;
use crate::sys;

/// LIMIT: time for a peer to take its answer, which fits its receive buffer many times over.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);

/// LIMIT: time for a signature; clients give up after a second or a few.
const SIGN_DEADLINE: Duration = Duration::from_secs(5);

/// LIMIT: what is read and forgotten after an answer, and for how long. Enough for a body that a
/// decent client sends before it looks at the answer.
const DRAIN_BYTES_MAX: usize = 64 * 1024;
const DRAIN_DEADLINE: Duration = Duration::from_secs(1);

/// LIMIT: the pause before another try to send where the runtime cannot tell when there is room.
const FULL_PAUSE: Duration = Duration::from_millis(20);

/// A number that no two doors of a server have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DoorNumber(u64);

impl DoorNumber {
    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }

    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Chooses one of `count` workers, all of them equally often.
    pub(crate) fn spread(self, count: usize) -> usize {
        let count = u64::try_from(count.max(1)).unwrap_or(1);
        usize::try_from(self.0 % count).unwrap_or(0)
    }
}

/// Where connections come in: a listening socket of each address and worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Door {
    pub(crate) number: DoorNumber,
    pub(crate) entrance: Entrance,
}

impl Door {
    /// Whether many instances come in.
    pub(crate) fn is_shared(&self) -> bool {
        match self.entrance {
            Entrance::Instance(_) | Entrance::Interface(_) => false,
            Entrance::Shared | Entrance::SharedBy(_) => true,
        }
    }

    /// Whether the MAC of whoever comes in matters.
    pub(crate) fn asks_for_mac(&self) -> bool {
        match self.entrance {
            Entrance::Instance(_) => false,
            Entrance::Interface(_) | Entrance::Shared | Entrance::SharedBy(_) => true,
        }
    }
}

/// What the tasks of one worker share.
pub(crate) struct Worker {
    pub(crate) service: Arc<Service>,
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Clock,
    pub(crate) counters: Arc<Counters>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) signer: Signer,
    pub(crate) notices: Notices,
    /// Where tokens that did not arrive are told of.
    pub(crate) reporter: Arc<Reporter>,
    /// Whether the first refusal for want of a token has been explained.
    pub(crate) explained: Arc<AtomicBool>,
}

/// What a worker's thread uses for whichever connection it is at.
struct Workspace {
    scratch: Box<[u8]>,
    out: Vec<u8>,
    desk: Desk,
}

thread_local! {
    static WORKSPACE: RefCell<Workspace> = RefCell::new(Workspace {
        // One byte more than a head may have, so that one that is too long shows as such.
        scratch: vec![0; HEAD_BYTES_MAX + 1].into(),
        out: Vec::with_capacity(HEAD_BYTES_MAX),
        desk: Desk::new(random_nonces()),
    });
}

/// What is left to do for a connection.
enum State {
    Done,
    /// Wait until the answer to a PUT is acknowledged, then end.
    Deliver(UnderWay, Ending),
    Drain,
    Read,
    Sign {
        instance: InstanceId,
        document: String,
    },
    Write {
        rest: Vec<u8>,
        ending: Ending,
        sent: Option<Sent>,
    },
}

impl From<Ending> for State {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Close => Self::Done,
            Ending::Drain => Self::Drain,
        }
    }
}

impl Worker {
    /// Answers on the spot if the request is there; otherwise leaves the connection to a task.
    pub(crate) fn serve(self: &Arc<Self>, stream: OwnedFd, door: Door, address: IpAddr) {
        let mac = if door.asks_for_mac() { first_packet::mac_of(&stream, address) } else { None };
        let mut peer = Peer { entrance: door.entrance, address, mac };
        let mut connection = Connection::new(self.clock.now().steady);
        let state = self.read(&mut connection, &stream, &mut peer);
        if matches!(state, State::Done) {
            return;
        }
        // Nobody else has come so far.
        let Some(instance) = peer.entrance.instance() else { return };
        let (permit, limit) = self.admission.admit(instance, door.number, address);
        if let Some(limit) = limit {
            self.counters.hit(limit);
        }
        let (worker, place) = (Arc::clone(self), permit.place());
        let task = tokio::spawn(async move {
            worker.wait(connection, stream, peer, state).await;
            drop(permit);
        });
        self.admission.closes_by(place, task.abort_handle());
    }

    /// Goes on with a connection that had to wait, to its end.
    async fn wait(
        &self,
        mut connection: Connection,
        stream: OwnedFd,
        mut peer: Peer,
        mut state: State,
    ) {
        let Ok(stream) = sys::watch(stream, Interest::READABLE | Interest::WRITABLE) else {
            return self.counters.hit(Limit::FileDescriptors);
        };
        let mut waiting = self.counters.waiting(Phase::Head);
        let mut write_until = None;
        loop {
            state = match state {
                State::Done => return,
                State::Deliver(under_way, ending) => {
                    waiting.for_phase(Phase::Deliver);
                    if !under_way.arrives(&stream).await {
                        return;
                    }
                    ending.into()
                }
                State::Drain => {
                    waiting.for_phase(Phase::Drain);
                    return self.drain(&stream).await;
                }
                State::Read => {
                    let deadline = self.instant(connection.deadline());
                    match timeout_at(deadline, stream.readable()).await {
                        Ok(Ok(mut ready)) => {
                            let state = self.read(&mut connection, stream.get_ref(), &mut peer);
                            if matches!(state, State::Read) {
                                ready.clear_ready();
                            }
                            state
                        }
                        Ok(Err(_)) => return,
                        Err(_) => return self.counters.hit(Limit::HeadDeadline),
                    }
                }
                State::Sign { instance, document } => {
                    waiting.for_phase(Phase::Sign);
                    let signing = self.signer.sign(instance, document);
                    let signed = timeout(SIGN_DEADLINE, signing).await.ok().flatten();
                    if signed.is_none() {
                        self.counters.hit(Limit::Signing);
                    }
                    self.resume(&mut connection, stream.get_ref(), peer, signed.as_deref())
                }
                State::Write { rest, ending, sent } => {
                    waiting.for_phase(Phase::Write);
                    let deadline =
                        *write_until.get_or_insert_with(|| Instant::now() + WRITE_DEADLINE);
                    match timeout_at(deadline, stream.writable()).await {
                        Ok(Ok(mut ready)) => {
                            let state = self.transmit(stream.get_ref(), &rest, ending, sent);
                            if matches!(state, State::Write { .. }) {
                                let is_closed = ready.ready().is_write_closed();
                                ready.clear_ready();
                                if is_closed && !pause_before(deadline).await {
                                    return self.counters.hit(Limit::WriteDeadline);
                                }
                            }
                            state
                        }
                        Ok(Err(_)) => return,
                        Err(_) => return self.counters.hit(Limit::WriteDeadline),
                    }
                }
            };
        }
    }

    /// Receives what is there, and does what follows from it. From then on, `peer` is the instance
    /// that it is now.
    fn read(&self, connection: &mut Connection, stream: &OwnedFd, peer: &mut Peer) -> State {
        WORKSPACE.with_borrow_mut(|Workspace { scratch, out, desk }| {
            let snapshot = self.store.current();
            let now = self.clock.now();
            let mut exchange = Exchange::new(&self.service, &snapshot, *peer, now, desk);
            // Who gets no answer is not listened to.
            if let Some(why) = exchange.refuses_to_answer() {
                self.counters.turn_away(why);
                return State::Done;
            }
            if let Some(instance) = exchange.instance() {
                peer.entrance = peer.entrance.of(instance);
            }
            let received = despite_reports(|| recv(stream, &mut **scratch, RecvFlags::DONTWAIT));
            let length = match received {
                Ok((length, _)) if length > 0 => length,
                Err(Errno::WOULDBLOCK | Errno::INTR) => return State::Read,
                // The peer has gone, or will not send a whole request any more.
                Ok(_) | Err(_) => return State::Done,
            };
            let received = scratch.get(..length).unwrap_or_default();
            out.clear();
            let step = connection.receive(received, &mut exchange, out);
            self.carry_out(step, stream, *peer, out)
        })
    }

    /// Goes on with signatures, or without them if they could not be made.
    fn resume(
        &self,
        connection: &mut Connection,
        stream: &OwnedFd,
        peer: Peer,
        signed: Option<&Signatures>,
    ) -> State {
        WORKSPACE.with_borrow_mut(|Workspace { out, desk, .. }| {
            out.clear();
            let snapshot = self.store.current();
            let now = self.clock.now();
            let mut exchange = Exchange::new(&self.service, &snapshot, peer, now, desk);
            let step = connection.resume(signed, &mut exchange, out);
            self.carry_out(step, stream, peer, out)
        })
    }

    fn carry_out(&self, step: Step, stream: &OwnedFd, peer: Peer, out: &[u8]) -> State {
        match step {
            Step::Read => State::Read,
            Step::Sign { instance, document } => State::Sign { instance, document },
            Step::Close(why) => {
                self.counters.turn_away(why);
                State::Done
            }
            Step::Write(Sending { hop_limit, ending, observation, limit }) => {
                self.counters.observe(observation);
                self.explain_first_refusal(observation);
                if let Some(limit) = limit {
                    self.counters.hit(limit);
                }
                let Some(hop_limit) = hop_limit else {
                    return self.transmit(stream, out, ending, None);
                };
                if limit_hops(stream, peer.address, hop_limit).is_err() {
                    // Rather no answer than one that goes too far.
                    return State::Done;
                }
                let Observation { instance, outcome, .. } = observation;
                let token_of = instance.filter(|_| outcome == Outcome::Ok);
                let sent = Sent { token_of, hop_limit, to: peer.address };
                self.transmit(stream, out, ending, Some(sent))
            }
        }
    }

    /// An empty 401 puzzles newcomers: the first one is explained.
    fn explain_first_refusal(&self, observation: Observation) {
        let Observation {
            instance: Some(instance),
            version: RequestVersion::V1,
            outcome: Outcome::Unauthorized,
        } = observation
        else {
            return;
        };
        if !self.explained.swap(true, Ordering::Relaxed) {
            self.notices.tell(Notice::TokenlessRefused(instance));
        }
    }

    /// Sends what fits. An answer to a PUT is `sent`, and waited for.
    fn transmit(
        &self,
        stream: &OwnedFd,
        bytes: &[u8],
        ending: Ending,
        sent: Option<Sent>,
    ) -> State {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match despite_reports(|| send(stream, bytes, flags)) {
            Ok(count) if count == bytes.len() => match sent {
                Some(sent) if !is_acknowledged(stream) => {
                    State::Deliver(UnderWay::new(sent, stream, &self.reporter), ending)
                }
                Some(_) | None => ending.into(),
            },
            Ok(count) => {
                let rest = bytes.get(count..).unwrap_or_default().to_vec();
                State::Write { rest, ending, sent }
            }
            Err(Errno::WOULDBLOCK | Errno::INTR) => {
                State::Write { rest: bytes.to_vec(), ending, sent }
            }
            // The peer was gone before its answer was.
            Err(_) => {
                if let Some(sent) = sent {
                    let hops = hops_of(stream, sent.to);
                    self.reporter.lose(sent, hops, UndeliveredReason::Reset);
                }
                State::Done
            }
        }
    }

    /// Lets the peer read its answer: closes for writing, reads and forgets, within bounds.
    async fn drain(&self, stream: &AsyncFd<OwnedFd>) {
        if shutdown(stream.get_ref(), Shutdown::Write).is_err() {
            return;
        }
        let deadline = Instant::now() + DRAIN_DEADLINE;
        let mut left = DRAIN_BYTES_MAX;
        while left > 0 {
            let Ok(Ok(mut ready)) = timeout_at(deadline, stream.readable()).await else {
                break;
            };
            let read = WORKSPACE.with_borrow_mut(|Workspace { scratch, .. }| {
                despite_reports(|| recv(stream.get_ref(), &mut **scratch, RecvFlags::DONTWAIT))
            });
            match read {
                Ok((length, _)) if length > 0 => left = left.saturating_sub(length),
                Err(Errno::WOULDBLOCK | Errno::INTR) => ready.clear_ready(),
                Ok(_) | Err(_) => return,
            }
        }
        self.counters.hit(Limit::Drain);
    }

    /// The runtime's name for a time of our clock.
    fn instant(&self, time: Timestamp) -> Instant {
        let millis = time.as_millis().saturating_sub(self.clock.now().steady.as_millis());
        Instant::now() + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

/// Waits a little. Returns false once the deadline is over.
///
/// The runtime takes a socket for closed, and so for ready, for ever, once a router has said
/// something about it.
async fn pause_before(deadline: Instant) -> bool {
    tokio::time::sleep_until(deadline.min(Instant::now() + FULL_PAUSE)).await;
    Instant::now() < deadline
}

/// Bounds how far everything sent from now on travels. It is never raised again: a retransmission
/// would carry the token further than allowed.
fn limit_hops(stream: &OwnedFd, to: IpAddr, limit: HopLimit) -> Result<(), Errno> {
    match to {
        IpAddr::V4(_) => sockopt::set_ip_ttl(stream, u32::from(limit.as_hops())),
        IpAddr::V6(_) => sockopt::set_ipv6_unicast_hops(stream, Some(limit.as_hops())),
    }
}

/// Draws nonces from the system, many at a time.
fn random_nonces() -> impl FnMut() -> [u8; NONCE_BYTES] + Send {
    let mut pool = [[0_u8; NONCE_BYTES]; 64];
    let mut left = 0;
    move || {
        if left == 0 {
            // Without randomness no token is safe, and there is no other way to get any.
            #[expect(clippy::expect_used, reason = "the system's generator does not fail once up")]
            getrandom::fill(pool.as_flattened_mut()).expect("the system gives random bytes");
            left = pool.len();
        }
        left -= 1;
        pool.get_mut(left).map(std::mem::take).unwrap_or_default()
    }
}
