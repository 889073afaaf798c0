//! What becomes of a token after it was sent.
//!
//! Nearly always the peer's kernel has acknowledged it before `send` returns, and the connection is
//! closed. Where it has not, the socket is kept, with its low TTL, until it has, or until it is
//! clear that it will not: a router said that the packet had travelled far enough, the peer is
//! gone, or nobody answers. That is how an old program is told from a container behind a hop limit
//! that is too small.

use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use model::{HopLimit, InstanceId, TokenUndelivered, UndeliveredReason};
use rustix::io::Errno;
use rustix::net::{RecvFlags, Shutdown, recv, shutdown, sockopt};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout_at};

use crate::sys;

/// LIMIT: how long a token may be under way. The kernel gives up after three seconds, its
/// `TCP_USER_TIMEOUT`; this is for the case that it does not.
const DEADLINE: Duration = Duration::from_millis(3_500);

/// How soon after it was sent it is looked whether a token has arrived; then twice as long, and so
/// on. The kernel does not tell of acknowledgements.
const FIRST_LOOK: Duration = Duration::from_millis(2);

/// What a sender's packets start with, by operating system: their TTL tells how far they came.
const INITIAL_TTLS: [u8; 3] = [64, 128, 255];

/// A token that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Whose it is.
    pub(crate) instance: InstanceId,
    /// How far it may travel.
    pub(crate) hop_limit: HopLimit,
    /// Where it goes.
    pub(crate) to: IpAddr,
}

impl Sent {
    /// Tells how it was lost.
    pub(crate) fn lost(self, stream: impl AsFd, reason: UndeliveredReason) -> TokenUndelivered {
        let hops = hops_of(stream, self.to);
        let is_too_far = hops.is_some_and(|hops| hops > self.hop_limit.as_hops());
        // Not every router says why it dropped a packet.
        let is_silent = reason == UndeliveredReason::Timeout && is_too_far;
        let reason = if is_silent { UndeliveredReason::HopLimit } else { reason };
        TokenUndelivered {
            instance: self.instance,
            source: self.to,
            reason,
            hops,
            hop_limit: self.hop_limit,
        }
    }
}

/// Returns whether the peer's kernel has everything that was sent. Where ours does not say, it is
/// taken to have nothing.
pub(crate) fn has_arrived(stream: impl AsFd) -> bool {
    sys::unacknowledged(stream).is_ok_and(|bytes| bytes == 0)
}

/// A connection with a token under way. Dropped before [`end`](Self::end), it is reset, so
/// that the kernel does not go on sending for a process that has forgotten about it.
pub(crate) struct UnderWay<'s> {
    stream: &'s AsyncFd<OwnedFd>,
    has_arrived: bool,
}

impl<'s> UnderWay<'s> {
    pub(crate) fn of(stream: &'s AsyncFd<OwnedFd>) -> Self {
        Self { stream, has_arrived: false }
    }

    /// The token has arrived: the connection ends in good order.
    pub(crate) fn end(mut self) {
        self.has_arrived = true;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.has_arrived {
            // Where it cannot be set, the kernel gives up by itself after a while.
            let _ = sockopt::set_socket_linger(self.stream.get_ref(), Some(Duration::ZERO));
        }
    }
}

/// Waits until a token has arrived, and returns whether it has. `lost` is told once, as soon as it
/// is known how it is being lost.
pub(crate) async fn watch(
    stream: &AsyncFd<OwnedFd>,
    mut lost: impl FnMut(UndeliveredReason),
) -> bool {
    if shutdown(stream.get_ref(), Shutdown::Write).is_err() {
        lost(UndeliveredReason::Reset);
        return false;
    }
    let (start, mut pause, mut is_told) = (Instant::now(), FIRST_LOOK, false);
    let mut tell = |reason| {
        if !std::mem::replace(&mut is_told, true) {
            lost(reason);
        }
    };
    loop {
        if has_arrived(stream.get_ref()) {
            return true;
        }
        if start.elapsed() >= DEADLINE {
            tell(UndeliveredReason::Timeout);
            return false;
        }
        let until = (Instant::now() + pause).min(start + DEADLINE);
        pause *= 2;
        let Ok(ready) = timeout_at(until, stream.ready(Interest::READABLE | Interest::ERROR)).await
        else {
            continue;
        };
        let Ok(mut ready) = ready else { return false };
        match forget(stream.get_ref()) {
            Forgotten::All => ready.clear_ready(),
            Forgotten::End => {
                ready.clear_ready();
                // It reads no more, but its kernel may still acknowledge what it has.
                tokio::time::sleep_until(until).await;
            }
            Forgotten::Error(Errno::HOSTUNREACH | Errno::NETUNREACH) => {
                tell(UndeliveredReason::HopLimit);
            }
            Forgotten::Error(Errno::TIMEDOUT) => {
                tell(UndeliveredReason::Timeout);
                return false;
            }
            Forgotten::Error(_) => {
                tell(UndeliveredReason::Reset);
                return false;
            }
        }
    }
}

/// What reading to forget came to.
enum Forgotten {
    /// There is no more for now.
    All,
    /// There will be no more.
    End,
    /// The connection has an error, which this has cleared.
    Error(Errno),
}

fn forget(stream: &OwnedFd) -> Forgotten {
    let mut scratch = [0; 512];
    loop {
        match recv(stream, &mut scratch, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Forgotten::End,
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Forgotten::All,
            Err(errno) => return Forgotten::Error(errno),
        }
    }
}

/// Returns how many hops away the peer of a connection is: one if its packets have crossed no
/// router, as EC2 counts.
fn hops_of(stream: impl AsFd, peer: IpAddr) -> Option<u8> {
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
