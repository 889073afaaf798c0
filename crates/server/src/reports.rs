//! What routers say about the packets of a connection: news, and the end of nothing.
//!
//! A connection asks to be told at once (`sys::report_errors`): that is how a token that has
//! travelled as far as it may is noticed. The price is that the next call on its socket, whichever
//! that is, fails once with what was said, although the connection goes on, and the packet is sent
//! again. Anyone on the way may say such things, and many are true for a moment only.

use rustix::io::Errno;

/// LIMIT: reports that one call passes over. Each has come in a packet of its own, so there are
/// hardly ever two.
const REPORTS_MAX: usize = 8;

/// Whether an error of a connection is what a router said: every code of ICMP and `ICMPv6` that
/// Linux passes on, whether or not it would mind it.
pub(crate) fn is_report(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::ACCESS
            | Errno::CONNREFUSED
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH
            | Errno::NONET
            | Errno::NOPROTOOPT
            | Errno::OPNOTSUPP
            | Errno::PROTO
    )
}

/// Makes a call on a connected socket, again if all that it gave was a report.
///
/// # Errors
///
/// What the system says of the call itself.
pub(crate) fn despite_reports<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    for _ in 0..REPORTS_MAX {
        match call() {
            Err(errno) if is_report(errno) => {}
            result => return result,
        }
    }
    call()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_passed_over_and_ends_are_not() {
        let said = |errors: &[Errno]| {
            let mut errors = errors.iter();
            despite_reports(|| errors.next().map_or(Ok(()), |errno| Err(*errno)))
        };
        assert_eq!(said(&[]), Ok(()));
        assert_eq!(said(&[Errno::HOSTUNREACH, Errno::ACCESS]), Ok(()));
        assert_eq!(said(&[Errno::HOSTUNREACH, Errno::CONNRESET]), Err(Errno::CONNRESET));
        assert_eq!(said(&[Errno::WOULDBLOCK]), Err(Errno::WOULDBLOCK));
        // Whoever speaks without end is not listened to without end.
        assert_eq!(said(&[Errno::NETUNREACH; 100]), Err(Errno::NETUNREACH));
    }
}
