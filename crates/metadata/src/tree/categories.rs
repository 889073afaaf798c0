//! The table of metadata categories. To add one is to add a line here.
//!
//! Everything below `meta-data/` stands in byte order, as EC2 lists it; the order of
//! `dynamic/instance-identity/` is one of those that EC2 was seen to use (data plane, 1.10).
//! "Since" is the version under which a category first shows (data plane, 2.2 and 5);
//! undocumented and undated names show under every version in which their parent exists.
//!
//! Left out, because EC2 no longer has them: `elastic-gpus/`, `elastic-inference/`. Left out,
//! because nothing here pushes keys: `managed-ssh-keys/`, which is absent until one is.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use ipnet::Ipv6Net;
use model::{Instance, Interface, RoleName, SpotAction, Switch};

use super::{Kind, Name, Node, SignatureKind, Value};
use crate::document::{self, Timetable};
use crate::version::Version as V;

/// What a walk has picked so far.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    instance: &'a Instance,
    interface: Option<&'a Interface>,
    item: Item<'a>,
}

#[derive(Clone, Copy)]
enum Item<'a> {
    None,
    PublicAddress(Ipv4Addr),
    Role(&'a RoleName),
    Text(&'a str),
}

impl<'a> Scope<'a> {
    pub(super) fn new(instance: &'a Instance) -> Self {
        Self { instance, interface: None, item: Item::None }
    }

    fn primary(self) -> Option<&'a Interface> {
        self.instance.primary_interface()
    }

    fn of(self, item: Item<'a>) -> Self {
        Self { item, ..self }
    }
}

pub(super) const DYNAMIC: &[Node] = &[
    directory(
        "fws",
        &[leaf("instance-monitoring", V::V2009_04_04, |s| text(s.instance.monitoring.as_str()))],
    ),
    directory(
        "instance-identity",
        &[
            leaf("signature", V::V2009_04_04, |_| Some(Value::Signature(SignatureKind::Signature))),
            leaf("rsa2048", V::V2009_04_04, |_| Some(Value::Signature(SignatureKind::Rsa2048))),
            leaf("document", V::V2009_04_04, |_| Some(Value::IdentityDocument)),
            leaf("pkcs7", V::V2009_04_04, |_| Some(Value::Signature(SignatureKind::Pkcs7))),
        ],
    ),
];

pub(super) const META_DATA: &[Node] = &[
    leaf("ami-id", V::V1_0, |s| made(s.instance.ami_id)),
    leaf("ami-launch-index", V::V1_0, |s| made(s.instance.ami_launch_index)),
    leaf("ami-manifest-path", V::V1_0, |s| {
        text(s.instance.ami_manifest_path.as_deref().unwrap_or("(unknown)"))
    }),
    leaf("ancestor-ami-ids", V::V2007_10_10, |s| lines(&s.instance.ancestor_ami_ids)),
    directory(
        "autoscaling",
        &[leaf("target-lifecycle-state", V::V2021_07_15, |s| {
            text(s.instance.events.target_lifecycle_state?.as_str())
        })],
    ),
    directory("block-device-mapping", &[each(block_devices, block_device, V::V2007_12_15, item)]),
    directory(
        "events",
        &[
            directory(
                "maintenance",
                &[
                    leaf("history", V::V2018_08_17, |s| {
                        made(document::maintenance(s.instance, Timetable::History))
                    }),
                    leaf("scheduled", V::V2018_08_17, |s| {
                        made(document::maintenance(s.instance, Timetable::Scheduled))
                    }),
                ],
            ),
            directory(
                "recommendations",
                &[leaf("rebalance", V::V2020_10_27, |s| {
                    made(document::rebalance(s.instance.events.rebalance?))
                })],
            ),
        ],
    ),
    directory(
        "hibernation",
        &[leaf("configured", V::V1_0, |s| made(s.instance.hibernation? == Switch::Enabled))],
    ),
    leaf("hostname", V::V1_0, |s| made(s.instance.hostname(s.primary()?)?)),
    directory(
        "iam",
        &[
            leaf("info", V::V2012_01_12, |s| made(document::iam_info(s.instance)?)),
            directory(
                "security-credentials",
                &[each(roles, role, V::V2012_01_12, |s| match s.item {
                    Item::Role(role) => Some(Value::RoleCredentials(role)),
                    Item::None | Item::PublicAddress(_) | Item::Text(_) => None,
                })],
            ),
        ],
    ),
    directory(
        "identity-credentials",
        &[directory(
            "ec2",
            &[
                leaf("info", V::V2018_08_17, |s| {
                    made(document::identity_credentials_info(s.instance))
                }),
                directory(
                    "security-credentials",
                    &[leaf("ec2-instance", V::V2018_08_17, |_| Some(Value::InstanceCredentials))],
                ),
            ],
        )],
    ),
    leaf("instance-action", V::V2008_09_01, |s| text(s.instance.action.as_str())),
    leaf("instance-id", V::V1_0, |s| made(s.instance.id)),
    leaf("instance-life-cycle", V::V2019_10_01, |s| text(s.instance.life_cycle.as_str())),
    leaf("instance-type", V::V2007_08_29, |s| text(&s.instance.instance_type)),
    leaf("ipv6", V::V2021_01_03, |s| made(s.primary()?.ipv6.first()?)),
    leaf("kernel-id", V::V2008_02_01, |s| made(s.instance.kernel_id?)),
    leaf("local-hostname", V::V2007_01_19, |s| made(s.instance.hostname(s.primary()?)?)),
    leaf("local-ipv4", V::V1_0, |s| made(s.primary()?.primary_ipv4()?)),
    leaf("mac", V::V2011_01_01, |s| made(s.primary()?.mac)),
    directory(
        "metrics",
        &[leaf("vhostmd", V::V2011_05_01, |_| text("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"))],
    ),
    directory(
        "network",
        &[directory(
            "interfaces",
            &[directory(
                "macs",
                &[Node {
                    name: Name::Each { keys: macs, enter: mac },
                    kind: Kind::Directory(INTERFACE),
                }],
            )],
        )],
    ),
    directory(
        "placement",
        &[
            leaf("availability-zone", V::V2008_02_01, |s| {
                text(&s.instance.placement.availability_zone)
            }),
            leaf("availability-zone-id", V::V2019_10_01, |s| {
                text(&s.instance.placement.availability_zone_id)
            }),
            leaf("group-name", V::V2020_10_27, |s| {
                text(s.instance.placement.group_name.as_deref()?)
            }),
            leaf("host-id", V::V2020_10_27, |s| text(s.instance.placement.host_id.as_deref()?)),
            leaf("partition-number", V::V2020_10_27, |s| {
                made(s.instance.placement.partition_number?)
            }),
            leaf("region", V::V2020_10_27, |s| text(s.instance.region.as_str())),
        ],
    ),
    leaf("product-codes", V::V2007_03_01, |s| lines(&s.instance.product_codes)),
    leaf("profile", V::V1_0, |s| text(&s.instance.profile)),
    leaf("public-hostname", V::V2007_01_19, |s| made(s.instance.public_hostname(s.primary()?)?)),
    leaf("public-ipv4", V::V2007_01_19, |s| made(s.primary()?.public_ipv4s().next()?)),
    directory(
        "public-keys",
        &[Node {
            name: Name::Labelled("0", |s| match &s.instance.key_pair {
                Some(key) => format!("0={}", key.name),
                None => String::new(),
            }),
            kind: Kind::Directory(&[leaf("openssh-key", V::V1_0, |s| {
                let key = s.instance.key_pair.as_ref()?;
                // EC2: the one value with a line end.
                made(format!("{} {}\n", key.public_key, key.name))
            })]),
        }],
    ),
    leaf("ramdisk-id", V::V2007_10_10, |s| made(s.instance.ramdisk_id?)),
    leaf("reservation-id", V::V1_0, |s| made(s.instance.reservation_id)),
    leaf("security-groups", V::V1_0, |s| group_names(s.primary()?)),
    directory(
        "services",
        &[
            leaf("domain", V::V2014_02_25, |s| text(s.instance.region.service_domain())),
            leaf("partition", V::V2015_10_20, |s| text(s.instance.region.partition())),
        ],
    ),
    directory(
        "spot",
        &[
            leaf("instance-action", V::V2018_03_28, |s| {
                made(document::spot_action(s.instance.events.spot?))
            }),
            leaf("termination-time", V::V2014_11_05, |s| {
                let spot = s.instance.events.spot?;
                if spot.action == SpotAction::Terminate { made(spot.time) } else { None }
            }),
        ],
    ),
    leaf("system", V::V2022_09_24, |s| text(s.instance.system.as_str())),
    directory("tags", &[directory("instance", &[each(tags, tag, V::V2021_03_23, item)])]),
];

/// What is known of one network interface.
const INTERFACE: &[Node] = &[
    leaf("device-number", V::V2011_01_01, |s| made(s.interface?.device_number)),
    leaf("interface-id", V::V2011_01_01, |s| made(s.interface?.interface_id)),
    directory(
        "ipv4-associations",
        &[each(public_addresses, public_address, V::V2011_01_01, |s| match s.item {
            Item::PublicAddress(public) => {
                let tied = s.interface?.ipv4.iter().filter(|a| a.public == Some(public));
                lines(&tied.map(|address| address.private).collect::<Vec<_>>())
            }
            Item::None | Item::Role(_) | Item::Text(_) => None,
        })],
    ),
    leaf("ipv4-prefix", V::V2011_01_01, |s| lines(&s.interface?.ipv4_prefixes)),
    leaf("ipv6-prefix", V::V2011_01_01, |s| lines(&s.interface?.ipv6_prefixes)),
    leaf("ipv6s", V::V2016_06_30, |s| lines(&s.interface?.ipv6)),
    leaf("local-hostname", V::V2011_01_01, |s| made(s.instance.hostname(s.interface?)?)),
    leaf("local-ipv4s", V::V2011_01_01, |s| {
        lines(&s.interface?.ipv4.iter().map(|address| address.private).collect::<Vec<_>>())
    }),
    leaf("mac", V::V2011_01_01, |s| made(s.interface?.mac)),
    leaf("network-card", V::V2021_01_03, |s| made(s.interface?.network_card?)),
    leaf("owner-id", V::V2011_01_01, |s| {
        text(s.interface?.owner_id.as_ref().unwrap_or(&s.instance.account_id).as_str())
    }),
    leaf("public-hostname", V::V2011_01_01, |s| made(s.instance.public_hostname(s.interface?)?)),
    leaf("public-ipv4s", V::V2011_01_01, |s| {
        lines(&s.interface?.public_ipv4s().collect::<Vec<_>>())
    }),
    leaf("security-group-ids", V::V2011_01_01, |s| {
        lines(&s.interface?.security_groups.iter().map(|group| group.id).collect::<Vec<_>>())
    }),
    leaf("security-groups", V::V2011_01_01, |s| group_names(s.interface?)),
    leaf("subnet-id", V::V2011_01_01, |s| made(s.interface?.subnet_id)),
    leaf("subnet-ipv4-cidr-block", V::V2011_01_01, |s| made(s.interface?.subnet_ipv4_cidr?)),
    leaf("subnet-ipv6-cidr-blocks", V::V2016_06_30, |s| {
        ipv6_blocks(&s.interface?.subnet_ipv6_cidrs)
    }),
    leaf("vpc-id", V::V2011_01_01, |s| made(s.interface?.vpc_id)),
    leaf("vpc-ipv4-cidr-block", V::V2011_01_01, |s| made(s.interface?.vpc_ipv4_cidrs.first()?)),
    leaf("vpc-ipv4-cidr-blocks", V::V2016_06_30, |s| lines(&s.interface?.vpc_ipv4_cidrs)),
    leaf("vpc-ipv6-cidr-blocks", V::V2016_06_30, |s| ipv6_blocks(&s.interface?.vpc_ipv6_cidrs)),
];

// How the table is written.

const fn leaf(
    name: &'static str,
    since: V,
    value: for<'a> fn(Scope<'a>) -> Option<Value<'a>>,
) -> Node {
    Node { name: Name::Fixed(name), kind: Kind::Leaf(since, value) }
}

const fn directory(name: &'static str, nodes: &'static [Node]) -> Node {
    Node { name: Name::Fixed(name), kind: Kind::Directory(nodes) }
}

/// A leaf for each thing of a kind that the instance has.
const fn each(
    keys: for<'a> fn(Scope<'a>) -> Vec<Cow<'a, str>>,
    enter: for<'a> fn(Scope<'a>, &str) -> Option<Scope<'a>>,
    since: V,
    value: for<'a> fn(Scope<'a>) -> Option<Value<'a>>,
) -> Node {
    Node { name: Name::Each { keys, enter }, kind: Kind::Leaf(since, value) }
}

// Values.

#[expect(clippy::unnecessary_wraps, reason = "every leaf may be absent; some never are")]
fn text(text: &str) -> Option<Value<'_>> {
    Some(Value::Text(Cow::Borrowed(text)))
}

#[expect(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "every leaf may be absent, some never are; and the table reads better by value"
)]
fn made<'a>(value: impl ToString) -> Option<Value<'a>> {
    Some(Value::Text(Cow::Owned(value.to_string())))
}

/// One value a line; absent if there is none.
fn lines<'a>(values: &[impl ToString]) -> Option<Value<'a>> {
    if values.is_empty() {
        return None;
    }
    made(values.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn group_names<'a>(interface: &Interface) -> Option<Value<'a>> {
    lines(&interface.security_groups.iter().map(|group| &group.name).collect::<Vec<_>>())
}

/// EC2: blocks are written with every group, addresses are not (data plane, 5.4).
fn ipv6_blocks<'a>(blocks: &[Ipv6Net]) -> Option<Value<'a>> {
    let written = blocks.iter().map(|block| {
        let groups = block.addr().segments().map(|group| format!("{group:x}"));
        format!("{}/{}", groups.join(":"), block.prefix_len())
    });
    lines(&written.collect::<Vec<_>>())
}

fn item(scope: Scope<'_>) -> Option<Value<'_>> {
    match scope.item {
        Item::Text(value) => text(value),
        Item::None | Item::PublicAddress(_) | Item::Role(_) => None,
    }
}

// Things of which an instance has several.

fn block_devices(scope: Scope<'_>) -> Vec<Cow<'_, str>> {
    scope.instance.block_devices.iter().map(|device| Cow::Borrowed(&*device.name)).collect()
}

fn block_device<'a>(scope: Scope<'a>, name: &str) -> Option<Scope<'a>> {
    let device = scope.instance.block_devices.iter().find(|device| *device.name == *name)?;
    Some(scope.of(Item::Text(&device.device)))
}

fn macs(scope: Scope<'_>) -> Vec<Cow<'_, str>> {
    scope.instance.interfaces.iter().map(|each| Cow::Owned(each.mac.to_string())).collect()
}

fn mac<'a>(scope: Scope<'a>, name: &str) -> Option<Scope<'a>> {
    let interface = scope.instance.interfaces.iter().find(|each| each.mac.to_string() == name)?;
    Some(Scope { interface: Some(interface), ..scope })
}

fn public_addresses(scope: Scope<'_>) -> Vec<Cow<'_, str>> {
    let addresses = scope.interface.into_iter().flat_map(Interface::public_ipv4s);
    addresses.map(|address| Cow::Owned(address.to_string())).collect()
}

fn public_address<'a>(scope: Scope<'a>, name: &str) -> Option<Scope<'a>> {
    let address = scope.interface?.public_ipv4s().find(|address| address.to_string() == name)?;
    Some(scope.of(Item::PublicAddress(address)))
}

fn roles(scope: Scope<'_>) -> Vec<Cow<'_, str>> {
    attached_role(scope).map(|role| Cow::Borrowed(role.as_str())).into_iter().collect()
}

fn role<'a>(scope: Scope<'a>, name: &str) -> Option<Scope<'a>> {
    let role = attached_role(scope).filter(|role| role.as_str() == name)?;
    Some(scope.of(Item::Role(role)))
}

/// A deleted profile gives no credentials.
fn attached_role(scope: Scope<'_>) -> Option<&RoleName> {
    let profile = scope.instance.instance_profile.as_ref()?;
    match profile.status {
        model::InstanceProfileStatus::Active => profile.role.as_ref(),
        model::InstanceProfileStatus::Deleted => None,
    }
}

/// Tags are there only while the instance's options show them.
fn tags(scope: Scope<'_>) -> Vec<Cow<'_, str>> {
    match scope.instance.options.instance_metadata_tags {
        Switch::Disabled => Vec::new(),
        Switch::Enabled => {
            scope.instance.tags.keys().map(|key| Cow::Borrowed(key.as_str())).collect()
        }
    }
}

fn tag<'a>(scope: Scope<'a>, name: &str) -> Option<Scope<'a>> {
    if scope.instance.options.instance_metadata_tags == Switch::Disabled {
        return None;
    }
    let (_, value) = scope.instance.tags.iter().find(|(key, _)| key.as_str() == name)?;
    Some(scope.of(Item::Text(value)))
}
