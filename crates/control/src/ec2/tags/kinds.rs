//! What can have tags: kinds of resources, told by the prefixes of their ids.

use model::{AmiId, LaunchTemplateId, SecurityGroupId, SubnetId, VpcId};
use store::Snapshot;

use crate::References;
use crate::api::ApiFault;
use crate::ec2::Desk;
use crate::ec2::instance_element::volume_ids;
use crate::ec2::instances::{find_instance, parse_instance_id};
use crate::ec2::inventory::Inventory;
use crate::ec2::key_pairs::key_pair_id;

/// A prefix of ids, and EC2's name of what has it.
const KINDS: [(&str, &str); 33] = [
    ("acl-", "network-acl"),
    ("ami-", "image"),
    ("cagw-", "carrier-gateway"),
    ("cgw-", "customer-gateway"),
    ("cr-", "capacity-reservation"),
    ("dopt-", "dhcp-options"),
    ("eice-", "instance-connect-endpoint"),
    ("eigw-", "egress-only-internet-gateway"),
    ("eipalloc-", "elastic-ip"),
    ("eni-", "network-interface"),
    ("fl-", "vpc-flow-log"),
    ("h-", "dedicated-host"),
    (INSTANCE, "instance"),
    ("igw-", "internet-gateway"),
    ("key-", "key-pair"),
    ("lt-", "launch-template"),
    ("nat-", "natgateway"),
    ("pcx-", "vpc-peering-connection"),
    ("pg-", "placement-group"),
    ("pl-", "prefix-list"),
    ("rtb-", "route-table"),
    ("sg-", "security-group"),
    ("sgr-", "security-group-rule"),
    ("snap-", "snapshot"),
    ("subnet-", "subnet"),
    ("tgw-", "transit-gateway"),
    ("tgw-attach-", "transit-gateway-attachment"),
    ("tgw-rtb-", "transit-gateway-route-table"),
    ("vgw-", "vpn-gateway"),
    ("vol-", "volume"),
    ("vpc-", "vpc"),
    ("vpce-", "vpc-endpoint"),
    ("vpn-", "vpn-connection"),
];

const INSTANCE: &str = "i-";

/// Finds prefix and kind of an id: letters up to its last hyphen, inclusive.
fn kind(id: &str) -> Option<(&'static str, &'static str)> {
    let (prefix, _) = id.split_at(id.rfind('-')? + 1);
    KINDS.into_iter().find(|(known, _)| *known == prefix)
}

/// EC2's name of what has an id.
pub(crate) fn resource_type(id: &str) -> &'static str {
    kind(id).map_or("", |(_, name)| name)
}

/// Whether what follows the prefix is 8 or 17 hexadecimal digits in small letters.
fn is_well_formed(id: &str, prefix: &str) -> bool {
    let digits = id.strip_prefix(prefix).unwrap_or_default();
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    matches!(digits.len(), 8 | 17) && digits.bytes().all(is_digit)
}

/// What is to be tagged.
pub(super) enum Tagged<'a> {
    /// An instance, which has its tags itself.
    Instance(model::InstanceId),
    /// Anything else.
    Other(&'a str),
}

/// Reads the id of what is to be tagged.
///
/// # Errors
///
/// `InvalidID` for an id of no kind, `Malformed` of its kind for one with other digits.
pub(super) fn parse(id: &str) -> Result<Tagged<'_>, ApiFault> {
    if id.starts_with(INSTANCE) {
        return parse_instance_id(id).map(Tagged::Instance);
    }
    let (prefix, _) = kind(id).ok_or_else(|| ApiFault::invalid_resource_id(id))?;
    if is_well_formed(id, prefix) {
        return Ok(Tagged::Other(id));
    }
    Err(match prefix {
        "ami-" => ApiFault::malformed_image_id(id),
        "eni-" => ApiFault::malformed_interface_id(id),
        "lt-" => ApiFault::launch_template_id_malformed(id),
        "sg-" => ApiFault::malformed_group_id(id),
        "subnet-" => ApiFault::malformed_subnet_id(id),
        "vol-" => ApiFault::malformed_id("InvalidVolumeID.Malformed", id, prefix),
        "vpc-" => ApiFault::malformed_vpc_id(id),
        _ => ApiFault::invalid_resource_id(id),
    })
}

impl Tagged<'_> {
    /// Refuses what is not there. What is kept here is known; anything else is a label of another
    /// system, unless the settings are strict.
    ///
    /// # Errors
    ///
    /// `NotFound` of its kind; `InvalidID` for kinds of which nothing is known.
    pub(super) fn check(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<(), ApiFault> {
        match self {
            Self::Instance(id) => find_instance(snapshot, &desk.scope, *id).map(|_| ()),
            Self::Other(id) => check_other(desk, snapshot, id),
        }
    }
}

fn check_other(desk: &Desk<'_>, snapshot: &Snapshot, id: &str) -> Result<(), ApiFault> {
    let (scope, inventory) = (&desk.scope, Inventory::new(snapshot, &desk.scope));
    let is_strict = desk.surroundings.launch_settings().references == References::Strict;
    let or = |is_there: bool, fault: fn(&str) -> ApiFault| {
        if is_there { Ok(()) } else { Err(fault(id)) }
    };
    match resource_type(id) {
        "image" => {
            let found = id.parse::<AmiId>().ok().and_then(|id| inventory.image(id));
            or(found.is_some(), ApiFault::image_not_found)
        }
        "launch-template" => {
            let id = id.parse::<LaunchTemplateId>().ok();
            let found = id.and_then(|id| snapshot.launch_template(scope, id));
            or(found.is_some(), ApiFault::launch_template_id_not_found)
        }
        _ if !is_strict => Ok(()),
        "key-pair" => {
            let is_there = inventory.key_pairs().any(|pair| key_pair_id(scope, &pair) == id);
            or(is_there, ApiFault::key_pair_id_not_found)
        }
        "network-interface" => {
            let mut own = snapshot.instances().filter(|(instance, _)| instance.is_in(scope));
            let is_there = own.any(|(instance, _)| {
                instance.interfaces.iter().any(|own| *own.interface_id.text() == *id)
            });
            or(is_there, ApiFault::interface_not_found)
        }
        "security-group" => {
            let found = id.parse::<SecurityGroupId>().ok();
            let found = found.and_then(|id| inventory.security_group(id));
            or(found.is_some(), ApiFault::group_not_found)
        }
        "subnet" => {
            let found = id.parse::<SubnetId>().ok().and_then(|id| inventory.subnet(id));
            or(found.is_some(), ApiFault::subnet_not_found)
        }
        "volume" => {
            let mut own = snapshot.instances().filter(|(instance, _)| instance.is_in(scope));
            let is_there = own.any(|(instance, _)| volume_ids(instance).iter().any(|own| own == id));
            or(is_there, ApiFault::volume_not_found)
        }
        "vpc" => {
            let found = id.parse::<VpcId>().ok().and_then(|id| inventory.vpc(id));
            or(found.is_some(), ApiFault::vpc_not_found)
        }
        _ => Err(ApiFault::invalid_resource_id(id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_the_whole_prefix() {
        for (id, expected) in [
            ("i-034109c70aaa4b055", "instance"),
            ("tgw-034109c7", "transit-gateway"),
            ("tgw-attach-034109c70aaa4b055", "transit-gateway-attachment"),
            ("vpce-034109c7", "vpc-endpoint"),
            ("x-034109c7", ""),
            ("junk", ""),
        ] {
            assert_eq!(resource_type(id), expected, "{id}");
        }
        assert!(KINDS.is_sorted(), "{KINDS:?}");
    }
}
