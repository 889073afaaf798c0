//! Images that come and go: registered, made from an instance, deregistered (control plane, 4.7).

use std::collections::BTreeMap;

use model::{AmiId, Architecture, Image, Instance, InstanceState, Line, ResourceKey};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use store::{Change, Snapshot};

use super::image_attributes::parse_imds_support;
use super::images::{find_own, put};
use super::instances::{find_instance, parse_instance_id};
use super::inventory::{Inventory, is_built_in};
use super::launch::BLOCK_DEVICES_MAX;
use super::launch_parameters::TagSpecification;
use super::text::{parse_description, parse_line};
use super::{Action, Desk, tags};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;
use crate::lifecycle::{self, Meant};

/// Makes an image known.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(dead_code, reason = "what is let pass is not read")]
pub(crate) struct RegisterImage {
    architecture: Option<String>,
    #[serde(default)]
    block_device_mapping: Vec<DeviceParameter>,
    description: Option<String>,
    imds_support: Option<String>,
    name: String,
    root_device_name: Option<String>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    // Let pass.
    billing_product: Option<IgnoredAny>,
    boot_mode: Option<IgnoredAny>,
    ena_support: Option<IgnoredAny>,
    image_location: Option<IgnoredAny>,
    kernel_id: Option<IgnoredAny>,
    ramdisk_id: Option<IgnoredAny>,
    sriov_net_support: Option<IgnoredAny>,
    tpm_support: Option<IgnoredAny>,
    uefi_data: Option<IgnoredAny>,
    virtualization_type: Option<IgnoredAny>,
}

/// Makes an image of an instance.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(dead_code, reason = "what is let pass is not read")]
pub(crate) struct CreateImage {
    #[serde(default)]
    block_device_mapping: Vec<DeviceParameter>,
    description: Option<String>,
    instance_id: String,
    name: String,
    #[serde(default)]
    no_reboot: bool,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    // Let pass.
    snapshot_location: Option<IgnoredAny>,
}

/// Forgets an image. What was launched from it stays.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(dead_code, reason = "what is let pass is not read")]
pub(crate) struct DeregisterImage {
    image_id: String,
    // Let pass.
    delete_associated_snapshots: Option<IgnoredAny>,
}

/// `BlockDeviceMapping.N`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
struct DeviceParameter {
    device_name: Option<String>,
    ebs: SnapshotParameter,
    no_device: Option<IgnoredAny>,
    virtual_name: Option<IgnoredAny>,
}

/// `BlockDeviceMapping.N.Ebs`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
struct SnapshotParameter {
    snapshot_id: Option<String>,
    // Let pass.
    availability_zone: Option<IgnoredAny>,
    availability_zone_id: Option<IgnoredAny>,
    delete_on_termination: Option<IgnoredAny>,
    ebs_card_index: Option<IgnoredAny>,
    encrypted: Option<IgnoredAny>,
    iops: Option<IgnoredAny>,
    kms_key_id: Option<IgnoredAny>,
    outpost_arn: Option<IgnoredAny>,
    throughput: Option<IgnoredAny>,
    volume_initialization_rate: Option<IgnoredAny>,
    volume_size: Option<IgnoredAny>,
    volume_type: Option<IgnoredAny>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageAnswer {
    image_id: String,
}

impl Action for RegisterImage {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let snapshots = self.block_device_mapping.iter();
        let snapshots = snapshots.filter_map(|mapping| mapping.ebs.snapshot_id.as_deref());
        let mut asks = vec![Ask::on(desk.ec2_arn("image", "*"))];
        asks.extend(snapshots.map(|id| desk.ask_on(snapshot, "snapshot", id)));
        asks.extend(desk.asks_to_tag(&self.tag_specification, "RegisterImage"));
        Ok(asks)
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let name = parse_name(&self.name)?;
        let architecture = parse_architecture(self.architecture.as_deref())?;
        let snapshots = parse_snapshots(&self.block_device_mapping)?;
        let root = self.root_device_name.as_deref();
        // The device of the first mapping, where there is one.
        let first = || self.block_device_mapping.first().and_then(|of| of.device_name.as_deref());
        let root = root.or_else(first).unwrap_or("/dev/sda1");
        let imds_support = self.imds_support.as_deref().map(parse_imds_support).transpose()?;
        let tags = tags::specified_for(&self.tag_specification, &["image"])?;
        let description = self.description.as_deref().map(parse_description).transpose()?;
        let image = Image {
            id: AmiId::from_number(desk.fresh_number()?),
            owner_id: desk.caller.account_id,
            name,
            description: description.flatten(),
            architecture,
            imds_support,
            root_device_name: parse_line(root, "rootDeviceName")?,
            snapshots,
            created: desk.now,
        };
        let image_id = image.id.to_string();
        desk.transact(|snapshot| Ok((register(desk, snapshot, image, tags)?, ())))?;
        Ok(Answer::of(ImageAnswer { image_id }))
    }
}

/// Plans to keep a new image under a name that is free.
fn register(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    image: Image,
    tags: tags::Tags,
) -> Result<Vec<Change>, ApiFault> {
    let mut images = Inventory::new(snapshot, &desk.scope).images();
    let is_its = |other: &Image| other.name == image.name && other.owner_id == image.owner_id;
    if let Some(other) = images.find(is_its) {
        let message = format!("AMI name {} is already in use by AMI {}", image.name, other.id);
        return Err(ApiFault::new("InvalidAMIName.Duplicate", 400, message));
    }
    let id = image.id.text();
    let mut changes = vec![put(desk, image)];
    if !tags.is_empty() {
        changes.extend(tags::put(desk, &id, tags));
    }
    Ok(changes)
}

impl Action for CreateImage {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let mut asks = vec![
            desk.ask_on_instance(snapshot, &self.instance_id),
            Ask::on(desk.ec2_arn("image", "*")),
            Ask::on(desk.ec2_arn("snapshot", "*")),
        ];
        asks.extend(desk.asks_to_tag(&self.tag_specification, "CreateImage"));
        Ok(asks)
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let id = parse_instance_id(&self.instance_id)?;
        let name = parse_name(&self.name)?;
        let description = self.description.as_deref().map(parse_description).transpose()?;
        let mapped = parse_snapshots(&self.block_device_mapping)?;
        let tags = tags::specified_for(&self.tag_specification, &["image", "snapshot"])?;
        let image_id = AmiId::from_number(desk.fresh_number()?);
        let fresh_snapshot = format!("snap-{:017x}", desk.fresh_number()? & SEVENTEEN_DIGITS);
        desk.transact(|snapshot| {
            let instance = find_instance(snapshot, &desk.scope, id)?;
            let mut changes = self.reboot(desk, snapshot, instance)?;
            let source = Inventory::new(snapshot, &desk.scope).image(instance.ami_id);
            let root_device_name = root_device(instance, source.as_ref())?;
            let mut snapshots = mapped;
            let fresh = parse_line(&fresh_snapshot, "snapshotId")?;
            snapshots.entry(root_device_name.clone()).or_insert(fresh);
            let image = Image {
                id: image_id,
                owner_id: desk.caller.account_id,
                name,
                description: description.flatten(),
                architecture: instance.architecture,
                // EC2: what the software of the instance supports, that of its image does too.
                imds_support: source.and_then(|source| source.imds_support),
                root_device_name,
                snapshots,
                created: desk.now,
            };
            changes.extend(register(desk, snapshot, image, tags)?);
            Ok((changes, ()))
        })?;
        // Where a machine takes long to start anew, the image is there all the same.
        let _ = desk.surroundings.settles_states(&[id]);
        Ok(Answer::of(ImageAnswer { image_id: image_id.to_string() }))
    }
}

const SEVENTEEN_DIGITS: u128 = (1 << (17 * 4)) - 1;

impl CreateImage {
    /// EC2: an instance that runs is started anew, unless the request says otherwise.
    fn reboot(
        &self,
        desk: &Desk<'_>,
        snapshot: &Snapshot,
        instance: &Instance,
    ) -> Result<Vec<Change>, ApiFault> {
        let refused = || ApiFault::incorrect_instance_state(&instance.id.text(), "imaged");
        match instance.state {
            InstanceState::Running if !self.no_reboot => {
                let meant = Meant { ids: &[instance.id], scope: Some(&desk.scope) };
                let (changes, _) = lifecycle::reboot(snapshot, meant).map_err(|_| refused())?;
                Ok(changes)
            }
            InstanceState::Running | InstanceState::Stopped => Ok(Vec::new()),
            InstanceState::Pending
            | InstanceState::ShuttingDown
            | InstanceState::Stopping
            | InstanceState::Terminated => Err(refused()),
        }
    }
}

/// The root device of an instance: what its block devices say, or its image.
fn root_device(instance: &Instance, source: Option<&Image>) -> Result<Line, ApiFault> {
    let own = instance.block_devices.iter().find(|device| &*device.name == "root");
    let own = own.map(|device| device.device.clone());
    match own.or_else(|| source.map(|source| source.root_device_name.clone())) {
        Some(device) => Ok(device),
        None => parse_line("/dev/xvda", "rootDeviceName"),
    }
}

impl Action for DeregisterImage {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![desk.ask_on(snapshot, "image", &self.image_id)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let text = self.image_id.as_str();
        desk.transact(|snapshot| {
            let image = find_own(desk, snapshot, text)?;
            if is_built_in(&desk.scope, image.id) {
                return Err(ApiFault::operation_not_permitted(format!(
                    "The image '{text}' is built in and cannot be deregistered."
                )));
            }
            let key = ResourceKey::Image(image.id);
            let mut changes = vec![Change::DeleteResource(desk.scope.clone(), key)];
            changes.extend(tags::forget(desk, snapshot, &image.id.text()));
            Ok((changes, ()))
        })?;
        Ok(Answer::done())
    }
}

/// Reads the name of an image. EC2 documents characters and code.
fn parse_name(text: &str) -> Result<Line, ApiFault> {
    let fits = (3..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"()[] ./-'@_".contains(&byte));
    let name = if fits { text.parse().ok() } else { None };
    name.ok_or_else(|| {
        ApiFault::new(
            "InvalidAMIName.Malformed",
            400,
            "AMI names must be between 3 and 128 characters long, and may contain letters, \
             numbers, spaces, '(', ')', '[', ']', '.', '/', '-', ''', '@' and '_'",
        )
    })
}

/// EC2: an image that is registered without an architecture has the oldest one.
fn parse_architecture(text: Option<&str>) -> Result<Architecture, ApiFault> {
    let words: Vec<_> = Architecture::ALL.iter().map(|of| of.as_str()).collect();
    let refused = |text| ApiFault::not_one_of(text, "Architecture", &words);
    text.map_or(Ok(Architecture::I386), |text| text.parse().map_err(|_| refused(text)))
}

/// The snapshots that devices are made from, by device.
fn parse_snapshots(mappings: &[DeviceParameter]) -> Result<BTreeMap<Line, Line>, ApiFault> {
    if mappings.len() > BLOCK_DEVICES_MAX {
        return Err(ApiFault::new(
            "InvalidBlockDeviceMapping",
            400,
            format!("An image has at most {BLOCK_DEVICES_MAX} block devices."),
        ));
    }
    let mut snapshots = BTreeMap::new();
    for mapping in mappings {
        let device = mapping.device_name.as_deref();
        let device = device.ok_or_else(|| ApiFault::missing_parameter("deviceName"))?;
        if let Some(snapshot) = &mapping.ebs.snapshot_id {
            let device = parse_line(device, "deviceName")?;
            snapshots.insert(device, parse_line(snapshot, "snapshotId")?);
        }
    }
    Ok(snapshots)
}
