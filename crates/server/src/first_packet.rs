//! The first packet of a connection, which the kernel keeps where a listener asks for it: the one
//! witness of the MAC that a caller sends from.

use std::net::IpAddr;
use std::os::fd::AsFd;

use model::MacAddress;

use crate::sys;

/// LIMIT: an Ethernet header, an IPv4 header with all options or an IPv6 header with a few, and a
/// TCP header with all options. A longer one is not of an honest kernel, and tells nothing.
const BYTES_MAX: usize = 256;

/// Returns the MAC that a connection from `address` came from. None if the kernel did not keep the
/// packet, as for a connection that was made with a SYN cookie, or if it came over no Ethernet.
pub(crate) fn mac_of(stream: impl AsFd, address: IpAddr) -> Option<MacAddress> {
    let mut bytes = [0; BYTES_MAX];
    read(sys::first_packet(stream, &mut bytes)?, address)
}

fn read(packet: &[u8], address: IpAddr) -> Option<MacAddress> {
    let (_to, rest) = packet.split_first_chunk::<6>()?;
    let (from, rest) = rest.split_first_chunk::<6>()?;
    let (kind, header) = rest.split_first_chunk::<2>()?;
    let is_of_address = match (address, kind) {
        (IpAddr::V4(v4), [0x08, 0x00]) => header.get(12..16) == Some(&v4.octets()[..]),
        (IpAddr::V6(v6), [0x86, 0xdd]) => header.get(8..24) == Some(&v6.octets()[..]),
        _ => false,
    };
    is_of_address.then_some(MacAddress::from_bytes(*from))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_tell_what_stands_in_them_or_nothing(
            packet in prop::collection::vec(any::<u8>(), 0..BYTES_MAX),
            address in any::<IpAddr>(),
        ) {
            if let Some(mac) = read(&packet, address) {
                prop_assert_eq!(&mac.as_bytes()[..], &packet[6..12]);
            }
        }
    }

    #[test]
    fn the_sender_stands_behind_the_receiver() {
        let ethernet = [&[2, 0, 0, 0, 0, 1][..], &[2, 0, 0, 0, 0, 2], &[0x08, 0x00]].concat();
        let header = [&[0x45; 12][..], &[10, 0, 0, 5], &[169, 254, 169, 254]].concat();
        let packet = [&ethernet[..], &header].concat();
        let read = |packet: &[u8], address: &str| read(packet, address.parse().unwrap());
        let mac = MacAddress::from_bytes([2, 0, 0, 0, 0, 2]);
        assert_eq!(read(&packet, "10.0.0.5"), Some(mac));
        assert_eq!(read(&packet, "10.0.0.6"), None, "not the packet of this connection");
        assert_eq!(read(&packet, "fd00::5"), None);
        assert_eq!(read(&header, "10.0.0.5"), None, "no Ethernet");
        assert_eq!(read(&packet[..20], "10.0.0.5"), None);
        assert_eq!(read(&[], "10.0.0.5"), None);
    }
}
