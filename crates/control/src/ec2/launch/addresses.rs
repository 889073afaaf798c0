//! Addresses for what is launched: those that are asked for, and free ones of the subnet.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::{Attachment, Driver, Scope, Subnet};
use store::Snapshot;

use crate::api::ApiFault;

/// The addresses that are taken.
pub(super) struct Addresses {
    private: HashSet<Ipv4Addr>,
    public: HashSet<Ipv4Addr>,
}

/// Where public addresses come from: the block for benchmarks of networks (RFC 2544), which leads
/// nowhere.
const PUBLIC: (u32, u32) = (0xc612_0000, 0x0001_ffff);

impl Addresses {
    /// Those that instances of a scope have: networks of others may have the same. But where
    /// instances are told by their addresses, those of all count, and what operators attached.
    pub(super) fn in_use(snapshot: &Snapshot, scope: &Scope, driver: Option<Driver>) -> Self {
        let (mut private, mut public) = (HashSet::new(), HashSet::new());
        let is_telling = driver == Some(Driver::Source);
        for (instance, _) in snapshot.instances() {
            if !(is_telling || instance.is_in(scope)) {
                continue;
            }
            for address in instance.interfaces.iter().flat_map(|of| &of.ipv4) {
                private.insert(address.private);
                public.extend(address.public);
            }
            private.extend(instance.attachments.iter().filter_map(|attachment| {
                let Attachment::Source { address: IpAddr::V4(address), .. } = attachment else {
                    return None;
                };
                is_telling.then_some(*address)
            }));
        }
        Self { private, public }
    }

    /// Takes the address that is asked for.
    pub(super) fn take(&mut self, text: &str, subnet: &Subnet) -> Result<Ipv4Addr, ApiFault> {
        let invalid = |reason| ApiFault::invalid_value_for(text, "privateIpAddress", reason);
        let address: Ipv4Addr = text.parse().map_err(|_| invalid("It is not an IPv4 address."))?;
        if !usable(subnet).any(|range| range.contains(&u32::from(address))) {
            return Err(invalid("Address does not fall within the subnet's address range."));
        }
        if !self.private.insert(address) {
            let message = format!("Address {address} is in use.");
            return Err(ApiFault::new("InvalidIPAddress.InUse", 400, message));
        }
        Ok(address)
    }

    /// Takes a free address, near one that is drawn.
    pub(super) fn next(&mut self, subnet: &Subnet, random: u128) -> Result<Ipv4Addr, ApiFault> {
        let full = || {
            ApiFault::new(
                "InsufficientFreeAddressesInSubnet",
                400,
                format!("There are not enough free addresses in subnet '{}'.", subnet.id),
            )
        };
        let range = usable(subnet).next().ok_or_else(full)?;
        free_near(&range, random, &mut self.private).ok_or_else(full)
    }

    pub(super) fn next_public(&mut self, random: u128) -> Result<Ipv4Addr, ApiFault> {
        let (first, size) = PUBLIC;
        free_near(&(first..first + size), random, &mut self.public).ok_or_else(|| {
            ApiFault::new("InsufficientAddressCapacity", 400, "There is no free public address.")
        })
    }
}

/// Takes the first free address from a drawn one on, around the range once.
fn free_near(
    range: &std::ops::Range<u32>,
    random: u128,
    used: &mut HashSet<Ipv4Addr>,
) -> Option<Ipv4Addr> {
    let size = u32::try_from(range.len()).ok().filter(|size| *size > 0)?;
    let start = range.start + u32::try_from(random % u128::from(size)).unwrap_or(0);
    (start..range.end).chain(range.start..start).map(Ipv4Addr::from).find(|at| used.insert(*at))
}

/// EC2: the first four addresses of a subnet and the last one are reserved.
pub(crate) fn usable(subnet: &Subnet) -> impl Iterator<Item = std::ops::Range<u32>> + use<> {
    let (first, last) = (subnet.ipv4_cidr.network(), subnet.ipv4_cidr.broadcast());
    let range = u32::from(first).saturating_add(4)..u32::from(last);
    (!range.is_empty()).then_some(range).into_iter()
}

/// Reads an address of a subnet's IPv6 blocks.
pub(super) fn parse_ipv6(text: &str, subnet: &Subnet) -> Result<Ipv6Addr, ApiFault> {
    let invalid = |reason| ApiFault::invalid_value_for(text, "ipv6Address", reason);
    let address: Ipv6Addr = text.parse().map_err(|_| invalid("It is not an IPv6 address."))?;
    if subnet.ipv6_cidrs.iter().any(|block| block.contains(&address)) {
        Ok(address)
    } else {
        Err(invalid("Address does not fall within the subnet's address range."))
    }
}

/// Draws an address of a subnet's first IPv6 block.
pub(super) fn fresh_ipv6(subnet: &Subnet, random: u128) -> Result<Ipv6Addr, ApiFault> {
    let block = subnet.ipv6_cidrs.first().ok_or_else(|| {
        ApiFault::invalid_parameter_combination(format!(
            "The subnet '{}' has no IPv6 block",
            subnet.id
        ))
    })?;
    let mask = u128::from(block.hostmask());
    Ok(Ipv6Addr::from(u128::from(block.network()) | random & mask))
}
