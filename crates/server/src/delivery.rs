//! What becomes of an answer to a PUT after it was sent.
//!
//! Nearly always the peer's kernel has acknowledged it before `send` returns, and the connection is
//! closed. Where it has not, the socket is kept, with its low TTL, until it has, or until it is
//! clear that it will not: a router said that the packet had travelled far enough, the peer is
//! gone, or nobody answers. That is how an old program is told from a container behind a hop limit
//! that is too small.
//!
//! Refusals are waited for like tokens: what does not arrive holds a place among those of its source
//! in either case, and not a socket of the kernel's that nobody counts.

use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use model::{HopLimit, InstanceId, TokenUndelivered, UndeliveredReason};
use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown, sockopt};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout_at};

use crate::clock::Clock;
use crate::counters::Counters;
use crate::ledger::Ledger;
use crate::reports::is_report;
use crate::run::{Notice, Notices};
use crate::sys;

/// LIMIT: how long the kernel sends an answer again. Clients give up after a second or a few.
const USER_TIMEOUT_MILLIS: u32 = 3_000;

/// LIMIT: how long an answer may be under way, should the kernel not give up by itself.
const DEADLINE: Duration = Duration::from_millis(3_500);

/// How soon after it was sent it is looked whether an answer has arrived; then twice as long, and so
/// on. The kernel does not tell of acknowledgements.
const FIRST_LOOK: Duration = Duration::from_millis(2);

/// What a sender's packets start with, by operating system: their TTL tells how far they came.
const INITIAL_TTLS: [u8; 3] = [64, 128, 255];

/// An answer to a PUT that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Whose token it carries; none for a refusal.
    pub(crate) token_of: Option<InstanceId>,
    /// How far it may travel.
    pub(crate) hop_limit: HopLimit,
    /// Where it goes.
    pub(crate) to: IpAddr,
}

/// Returns whether the peer's kernel has everything that was sent to it. Where the kernel does not
/// say, it is taken not to.
pub(crate) fn is_acknowledged(stream: impl AsFd) -> bool {
    sys::unacknowledged(stream).is_ok_and(|bytes| bytes == 0)
}

/// Returns whether the peer's kernel has every byte, once the end has been sent, which counts as one
/// byte more.
fn is_acknowledged_but_for_the_end(stream: impl AsFd) -> bool {
    sys::unacknowledged(stream).is_ok_and(|bytes| bytes <= 1)
}

/// Where it is told that a token was lost.
#[derive(Debug)]
pub(crate) struct Reporter {
    clock: Clock,
    counters: Arc<Counters>,
    ledger: Arc<Ledger>,
    notices: Notices,
}

impl Reporter {
    /// Tells what one worker loses.
    pub(crate) fn new(
        clock: &Clock,
        counters: &Arc<Counters>,
        ledger: &Arc<Ledger>,
        notices: &Notices,
    ) -> Arc<Self> {
        let (clock, notices) = (clock.clone(), notices.clone());
        let (counters, ledger) = (Arc::clone(counters), Arc::clone(ledger));
        Arc::new(Self { clock, counters, ledger, notices })
    }

    /// Tells of an answer, sent to whom is so many hops away, that it was lost.
    pub(crate) fn lose(&self, sent: Sent, hops: Option<u8>, reason: UndeliveredReason) {
        let Sent { token_of: Some(instance), hop_limit, to: source } = sent else {
            return;
        };
        let reason = match reason {
            // Not every router says why it dropped a packet.
            UndeliveredReason::Timeout if is_too_far(hops, hop_limit) => {
                UndeliveredReason::HopLimit
            }
            UndeliveredReason::HopLimit | UndeliveredReason::Reset | UndeliveredReason::Timeout => {
                reason
            }
        };
        self.counters.lose(reason);
        let lost = TokenUndelivered { instance, source, reason, hops, hop_limit };
        if self.ledger.record(lost, self.clock.now().wall) {
            self.notices.tell(Notice::TokenUndelivered(lost));
        }
    }
}

fn is_too_far(hops: Option<u8>, limit: HopLimit) -> bool {
    hops.is_some_and(|hops| hops > limit.as_hops())
}

/// An answer that is not acknowledged yet, and its connection.
///
/// Whatever ends it before the answer has [arrived](Self::arrives), be it that another connection
/// needs its place, or that its door closes, the answer is told as lost, and the connection is
/// reset, so that the kernel does not go on sending for a process that has forgotten about it.
pub(crate) struct UnderWay {
    sent: Sent,
    /// How many hops away the peer is, if its packets tell.
    hops: Option<u8>,
    reporter: Arc<Reporter>,
    is_told: bool,
}

impl UnderWay {
    pub(crate) fn new(sent: Sent, stream: impl AsFd, reporter: &Arc<Reporter>) -> Self {
        // Where either cannot be set, the other and the deadline still hold.
        let _ = sockopt::set_tcp_user_timeout(&stream, USER_TIMEOUT_MILLIS);
        let _ = sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
        let (hops, reporter) = (hops_of(stream, sent.to), Arc::clone(reporter));
        Self { sent, hops, reporter, is_told: false }
    }

    /// Waits until the answer has arrived, and returns whether it has. Then the connection can be
    /// ended in good order.
    pub(crate) async fn arrives(mut self, stream: &AsyncFd<OwnedFd>) -> bool {
        if shutdown(stream.get_ref(), Shutdown::Write).is_err() {
            // The peer has reset the connection. It may have taken its answer first.
            self.is_told = is_acknowledged(stream.get_ref());
            self.lose(UndeliveredReason::Reset);
            return false;
        }
        let deadline = Instant::now() + DEADLINE;
        let mut pause = FIRST_LOOK;
        while !is_acknowledged_but_for_the_end(stream.get_ref()) {
            let now = Instant::now();
            if now >= deadline {
                return false;
            }
            let until = deadline.min(now + pause);
            // Whatever the peer sends meanwhile is not looked at.
            let Ok(ready) = timeout_at(until, stream.ready(Interest::ERROR)).await else {
                pause = DEADLINE.min(pause * 2);
                continue;
            };
            let Ok(mut ready) = ready else { return false };
            ready.clear_ready();
            match sockopt::socket_error(stream.get_ref()) {
                Ok(Ok(())) => {}
                // A packet's hops were used up; or a host, or the way to it, is not there, which may
                // pass. Linux does not tell one from the other.
                Ok(Err(Errno::HOSTUNREACH)) => {
                    if self.hops.is_none() || is_too_far(self.hops, self.sent.hop_limit) {
                        self.lose(UndeliveredReason::HopLimit);
                    }
                }
                Ok(Err(errno)) if is_report(errno) => {}
                // It came before the peer went.
                _ if is_acknowledged_but_for_the_end(stream.get_ref()) => {}
                Ok(Err(Errno::TIMEDOUT)) => return false,
                Ok(Err(_)) | Err(_) => {
                    self.lose(UndeliveredReason::Reset);
                    return false;
                }
            }
        }
        self.is_told = true;
        sockopt::set_socket_linger(stream.get_ref(), None).is_ok()
    }

    fn lose(&mut self, reason: UndeliveredReason) {
        if !std::mem::replace(&mut self.is_told, true) {
            self.reporter.lose(self.sent, self.hops, reason);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.lose(UndeliveredReason::Timeout);
    }
}

/// Returns how many hops away the peer of a connection is: one if its packets have crossed no
/// router, as EC2 counts.
pub(crate) fn hops_of(stream: impl AsFd, peer: IpAddr) -> Option<u8> {
    // For a connection that was accepted, Linux keeps the TTL that it came with where the TTL of
    // multicasts would be.
    let ttl = match peer {
        IpAddr::V4(_) => sockopt::ip_multicast_ttl(stream),
        IpAddr::V6(_) => sockopt::ipv6_multicast_hops(stream),
    };
    hops_from_ttl(u8::try_from(ttl.ok()?).ok()?)
}

fn hops_from_ttl(ttl: u8) -> Option<u8> {
    let initial = INITIAL_TTLS.into_iter().find(|initial| *initial >= ttl)?;
    (initial - ttl).checked_add(1).filter(|_| ttl > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_tell_how_far_they_came() {
        for (ttl, hops) in [(64, 1), (63, 2), (1, 64), (128, 1), (126, 3), (255, 1), (254, 2)] {
            assert_eq!(hops_from_ttl(ttl), Some(hops), "{ttl}");
        }
        assert_eq!(hops_from_ttl(0), None);
    }
}
