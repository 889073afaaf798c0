//! What the kernel sends: messages one behind the other, each with attributes.
//!
//! Only the attributes that we need are read. The others are many, and grow with the kernel; one
//! that we do not understand must not hide the rest.

use netlink_packet_core::{
    DoneBuffer, ErrorBuffer, NLMSG_DONE, NLMSG_ERROR, NLMSG_OVERRUN, NetlinkBuffer, NlasIterator,
};
use rustix::io::Errno;

/// `RTM_NEWLINK`: a link that there is, also in answers.
pub(super) const NEW_LINK: u16 = 16;
/// `RTM_DELLINK`: a link that is gone.
pub(super) const DELETED_LINK: u16 = 17;
/// `RTM_NEWADDR`.
pub(super) const NEW_ADDRESS: u16 = 20;
/// `RTM_NEWROUTE`.
pub(super) const NEW_ROUTE: u16 = 24;

/// Messages start at multiples of this (`NLMSG_ALIGNTO`).
const ALIGNMENT: usize = 4;

/// One message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) payload: &'a [u8],
}

/// How the kernel ends an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Done,
    Refused(Errno),
    Unreadable,
}

/// Takes a datagram apart. One that is not as it should be ends with `None`.
pub(crate) fn messages(datagram: &[u8]) -> impl Iterator<Item = Option<Message<'_>>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Ok(buffer) = NetlinkBuffer::new_checked(rest) else {
            rest = &[];
            return Some(None);
        };
        let message = Message {
            kind: buffer.message_type(),
            flags: buffer.flags(),
            sequence: buffer.sequence_number(),
            payload: buffer.payload(),
        };
        let length = usize::try_from(buffer.length()).unwrap_or(usize::MAX);
        let next = length.checked_next_multiple_of(ALIGNMENT).unwrap_or(usize::MAX);
        rest = rest.get(next..).unwrap_or_default();
        Some(Some(message))
    })
}

impl<'a> Message<'a> {
    /// Returns how the message ends an answer, if it does.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        let code = match self.kind {
            NLMSG_ERROR => match ErrorBuffer::new_checked(self.payload) {
                Ok(buffer) => buffer.code().map_or(0, std::num::NonZero::get),
                Err(_) => return Some(Verdict::Unreadable),
            },
            NLMSG_DONE => match DoneBuffer::new_checked(self.payload) {
                Ok(buffer) => buffer.code(),
                Err(_) => return Some(Verdict::Unreadable),
            },
            NLMSG_OVERRUN => return Some(Verdict::Unreadable),
            _ => return None,
        };
        Some(match code {
            0 => Verdict::Done,
            code => Verdict::Refused(Errno::from_raw_os_error(code.saturating_neg())),
        })
    }

    /// Returns the kinds and values of the attributes behind a header of `header` bytes, as far as
    /// they can be read.
    pub(super) fn attributes(&self, header: usize) -> impl Iterator<Item = (u16, &'a [u8])> {
        attributes(self.payload.get(header..).unwrap_or_default())
    }
}

/// The bytes of an attribute before its value: its length and its kind.
const ATTRIBUTE_HEADER: usize = 4;

/// Returns the kinds and values of attributes, as far as they can be read.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(Result::ok).map(|attribute| {
        let (kind, length) = (attribute.kind(), usize::from(attribute.length()));
        (kind, attribute.into_inner().get(ATTRIBUTE_HEADER..length).unwrap_or_default())
    })
}

/// Reads a number of 32 bits in the machine's order.
pub(super) fn number(value: &[u8]) -> Option<u32> {
    value.try_into().map(u32::from_ne_bytes).ok()
}

/// Reads a text that ends with a zero byte. The kernel lets names of links be any bytes.
pub(super) fn text(value: &[u8]) -> String {
    let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message with a payload of some bytes, as long as it says.
    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(16 + payload.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0, 0]);
        bytes.extend(7_u32.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        bytes
    }

    fn attribute(kind: u16, length: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        bytes
    }

    #[test]
    fn a_datagram_is_messages_one_behind_the_other() {
        let datagram = [message(NEW_LINK, b"one"), message(DELETED_LINK, b"three")].concat();
        let found: Vec<_> = messages(&datagram).map(Option::unwrap).collect();
        let shown: Vec<_> =
            found.iter().map(|message| (message.kind, message.sequence, message.payload)).collect();
        assert_eq!(shown, [(NEW_LINK, 7, &b"one"[..]), (DELETED_LINK, 7, &b"three"[..])]);
    }

    #[test]
    fn a_datagram_that_is_cut_short_says_so() {
        let datagram = [message(NEW_LINK, b"one"), message(NEW_LINK, b"three")].concat();
        for length in 0..datagram.len() {
            let found: Vec<_> = messages(&datagram[..length]).collect();
            // Whole, and without the padding behind it, is whole.
            let is_whole = [0, 19, 20, 41, 42, 43].contains(&length);
            assert_eq!(found.iter().all(Option::is_some), is_whole, "{length}");
        }
        // A message that says it is shorter than its own header.
        let mut datagram = message(NEW_LINK, b"");
        datagram[0] = 8;
        assert!(messages(&datagram).all(|message| message.is_none()));
    }

    #[test]
    fn answers_end_with_a_verdict() {
        let refused = Errno::EXIST.raw_os_error().saturating_neg().to_ne_bytes();
        for (kind, payload, expected) in [
            (NLMSG_ERROR, &[0; 4][..], Some(Verdict::Done)),
            (NLMSG_ERROR, &refused, Some(Verdict::Refused(Errno::EXIST))),
            (NLMSG_ERROR, &[0; 3], Some(Verdict::Unreadable)),
            (NLMSG_DONE, &[0; 4], Some(Verdict::Done)),
            (NLMSG_DONE, &refused, Some(Verdict::Refused(Errno::EXIST))),
            (NLMSG_DONE, &[], Some(Verdict::Unreadable)),
            (NLMSG_OVERRUN, &[], Some(Verdict::Unreadable)),
            (NEW_LINK, &[0; 4], None),
        ] {
            let message = message(kind, payload);
            let message = messages(&message).next().unwrap().unwrap();
            assert_eq!(message.verdict(), expected, "{kind} {payload:?}");
        }
    }

    #[test]
    fn attributes_are_read_as_far_as_they_go() {
        let whole = attribute(3, 8, b"eth0");
        let good = [attribute(10, 8, &2_u32.to_ne_bytes()), whole.clone()].concat();
        let found: Vec<_> = attributes(&good).collect();
        assert_eq!(found, [(10, &2_u32.to_ne_bytes()[..]), (3, &b"eth0"[..])]);
        // Longer than there is, or shorter than its own header.
        for length in [9, 200, 3, 0] {
            let bad = [whole.clone(), attribute(10, length, b"abcd")].concat();
            assert_eq!(attributes(&bad).collect::<Vec<_>>(), [(3, &b"eth0"[..])], "{length}");
        }
        assert_eq!(number(b"abc"), None);
        assert_eq!(text(b"eth0\0\0"), "eth0");
        assert_eq!(text(b"a\xff\0"), "a\u{fffd}");
    }
}
