//! What instances have in common, kept once.
//!
//! Most of what is said of one instance of a fleet is said of all others too. A [`Shared`] value can
//! be held by any number of them; [`Common`] finds those that are alike, where instances are read.

use std::collections::HashSet;
use std::hash::Hash;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    AmiId, BlockDevice, Events, Instance, InstanceProfile, Interface, KeyPair, Placement,
    SecurityGroup, TagKey,
};

/// A value that any number of holders have in common: a copy is a pointer.
///
/// It is used and written as the value itself. Who changes it gets one of their own, and nobody
/// else sees the change.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shared<T>(Arc<T>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> FromIterator<T> for Shared<Vec<T>> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Vec::from_iter(values).into()
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

/// Values that were seen before, each kept once.
///
/// It decides nothing, and can be dropped at any time: who shares a value keeps it.
#[derive(Debug, Default)]
pub struct Common {
    ami_ids: Kept<Vec<AmiId>>,
    block_devices: Kept<Vec<BlockDevice>>,
    bytes: Kept<Box<[u8]>>,
    events: Kept<Events>,
    ipv4_blocks: Kept<Vec<ipnet::Ipv4Net>>,
    ipv6_addresses: Kept<Vec<std::net::Ipv6Addr>>,
    ipv6_blocks: Kept<Vec<ipnet::Ipv6Net>>,
    key_pairs: Kept<KeyPair>,
    lines: Kept<Vec<crate::Line>>,
    placements: Kept<Placement>,
    profiles: Kept<InstanceProfile>,
    security_groups: Kept<Vec<SecurityGroup>>,
    tags: Kept<std::collections::BTreeMap<TagKey, Box<str>>>,
    texts: Kept<Box<str>>,
}

/// Values of one kind.
#[derive(Debug)]
struct Kept<T>(HashSet<Shared<T>>);

/// LIMIT: different values of a kind that are kept to be found again; one more, and the kind is
/// forgotten and begins anew. What is common is soon there again, what nobody has any more is not.
const VALUES_MAX: usize = 1024;

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(HashSet::new())
    }
}

impl<T: Eq + Hash> Kept<T> {
    /// Puts the value that was seen first in place of one that is alike.
    fn share(&mut self, value: &mut Shared<T>) {
        if let Some(kept) = self.0.get(value) {
            *value = kept.clone();
            return;
        }
        if self.0.len() == VALUES_MAX {
            self.0.clear();
        }
        self.0.insert(value.clone());
    }
}

impl Instance {
    /// Shares what this instance has in common with those that came before, and frees what reading
    /// it has set aside.
    pub fn share(&mut self, common: &mut Common) {
        let Self {
            id: _,
            attachments,
            options: _,
            option_layers: _,
            options_since: _,
            state: _,
            // A launch's own: no other instance has it.
            attributes: _,
            account_id: _,
            region,
            placement,
            instance_type,
            architecture: _,
            system: _,
            profile,
            life_cycle: _,
            action: _,
            ami_id: _,
            ami_launch_index: _,
            ami_manifest_path,
            ancestor_ami_ids,
            product_codes,
            billing_products,
            kernel_id: _,
            ramdisk_id: _,
            reservation_id: _,
            pending_time: _,
            last_modified: _,
            interfaces,
            hostname_type: _,
            domain,
            dns_hostnames: _,
            key_pair,
            block_devices,
            instance_profile,
            user_data,
            tags,
            monitoring: _,
            hibernation: _,
            events,
        } = self;
        attachments.shrink_to_fit();
        common.texts.share(region.shared_text());
        let lines =
            [Some(instance_type), Some(profile), ami_manifest_path.as_mut(), domain.as_mut()];
        for line in lines.into_iter().flatten() {
            common.texts.share(line.shared_text());
        }
        common.placements.share(placement);
        common.ami_ids.share(ancestor_ami_ids);
        common.lines.share(product_codes);
        common.lines.share(billing_products);
        common.block_devices.share(block_devices);
        common.tags.share(tags);
        common.events.share(events);
        if let Some(key_pair) = key_pair {
            common.key_pairs.share(key_pair);
        }
        if let Some(instance_profile) = instance_profile {
            common.profiles.share(instance_profile);
        }
        if let Some(user_data) = user_data {
            common.bytes.share(user_data.shared_bytes());
        }
        interfaces.shrink_to_fit();
        for interface in interfaces {
            interface.share(common);
        }
    }
}

impl Interface {
    fn share(&mut self, common: &mut Common) {
        let Self {
            mac: _,
            interface_id: _,
            device_number: _,
            network_card: _,
            owner_id: _,
            ipv4,
            ipv6,
            ipv4_prefixes,
            ipv6_prefixes,
            security_groups,
            subnet_id: _,
            subnet_ipv4_cidr: _,
            subnet_ipv6_cidrs,
            vpc_id: _,
            vpc_ipv4_cidrs,
            vpc_ipv6_cidrs,
        } = self;
        ipv4.shrink_to_fit();
        common.ipv6_addresses.share(ipv6);
        common.security_groups.share(security_groups);
        for blocks in [ipv4_prefixes, vpc_ipv4_cidrs] {
            common.ipv4_blocks.share(blocks);
        }
        for blocks in [ipv6_prefixes, subnet_ipv6_cidrs, vpc_ipv6_cidrs] {
            common.ipv6_blocks.share(blocks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> [Instance; 2] {
        let mut common = Common::default();
        let text = serde_json::to_string(&Instance::default_instance()).unwrap();
        [(); 2].map(|()| {
            let mut instance: Instance = serde_json::from_str(&text).unwrap();
            instance.share(&mut common);
            instance
        })
    }

    #[test]
    fn what_is_alike_is_kept_once() {
        let [one, two] = &two();
        assert_eq!(one, two);
        assert!(Arc::ptr_eq(&one.placement.0, &two.placement.0));
        assert_eq!(one.instance_type.as_ptr(), two.instance_type.as_ptr());
        assert_eq!(one.region.as_str().as_ptr(), two.region.as_str().as_ptr());
        let data = |instance: &Instance| instance.user_data.as_ref().unwrap().as_bytes().as_ptr();
        assert_eq!(data(one), data(two));
        let groups = |instance: &Instance| instance.interfaces[0].security_groups.as_ptr();
        assert_eq!(groups(one), groups(two));
    }

    #[test]
    fn a_change_is_seen_by_nobody_else() {
        let [one, two] = &mut two();
        two.placement.partition_number = Some(7);
        two.interfaces[0].security_groups.clear();
        assert_eq!(one.placement.partition_number, None);
        assert_eq!(one.interfaces[0].security_groups.len(), 1);
        assert_eq!(*one, Instance::default_instance());
    }

    #[test]
    fn values_without_end_are_not_all_kept() {
        let mut kept = Kept::default();
        for number in 0..2 * VALUES_MAX + 7 {
            kept.share(&mut Shared::from(number));
            assert!(kept.0.len() <= VALUES_MAX);
        }
        assert_eq!(kept.0.len(), 7);
    }

    #[test]
    fn a_shared_value_is_written_as_the_value() {
        let shared = Shared::from(vec![1, 2]);
        assert_eq!(serde_json::to_string(&shared).unwrap(), "[1,2]");
        assert_eq!(serde_json::from_str::<Shared<Vec<i32>>>("[1,2]").unwrap(), shared);
    }
}
