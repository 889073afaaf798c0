//! An instance as the EC2 API shows it (control plane, 4.1).

use model::{
    Attributes, HostnameType, Instance, Interface, LifeCycle, Line, Placement, StateReason, Switch,
    Timestamp, spread,
};
use serde::Serialize;

use super::Desk;
use super::interface_element::InterfaceElement;
use super::metadata_options::{OptionsElement, OptionsState};
use super::tags::Tags;
use crate::api::xml::Time;

/// `instancesSet/item`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InstanceElement {
    instance_id: String,
    image_id: String,
    instance_state: StateElement,
    private_dns_name: String,
    dns_name: String,
    reason: String,
    key_name: Option<String>,
    ami_launch_index: u32,
    product_codes: Vec<ProductCode>,
    instance_type: String,
    launch_time: Time,
    placement: PlacementElement,
    monitoring: MonitoringElement,
    subnet_id: Option<String>,
    vpc_id: Option<String>,
    private_ip_address: Option<String>,
    ip_address: Option<String>,
    source_dest_check: bool,
    group_set: Vec<GroupElement>,
    state_reason: Option<StateReasonElement>,
    architecture: &'static str,
    root_device_type: &'static str,
    root_device_name: String,
    block_device_mapping: Vec<BlockDeviceElement>,
    virtualization_type: &'static str,
    instance_lifecycle: Option<&'static str>,
    client_token: String,
    tag_set: Vec<TagElement>,
    hypervisor: &'static str,
    network_interface_set: Vec<InterfaceElement>,
    iam_instance_profile: Option<ProfileElement>,
    ebs_optimized: bool,
    ena_support: bool,
    cpu_options: CpuOptions,
    capacity_reservation_specification: CapacityReservation,
    hibernation_options: HibernationOptions,
    metadata_options: OptionsElement,
    enclave_options: EnclaveOptions,
    ipv6_address: Option<String>,
    platform_details: &'static str,
    usage_operation: &'static str,
    private_dns_name_options: PrivateDnsNameOptions,
    maintenance_options: MaintenanceOptions,
    current_instance_boot_mode: &'static str,
}

/// `instanceState`, and the states of a change.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct StateElement {
    code: u16,
    name: model::InstanceState,
}

impl From<model::InstanceState> for StateElement {
    fn from(name: model::InstanceState) -> Self {
        Self { code: name.code(), name }
    }
}

/// `productCodes/item`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProductCode {
    product_code: String,
    r#type: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PlacementElement {
    availability_zone: String,
    availability_zone_id: String,
    group_name: String,
    partition_number: Option<u8>,
    host_id: Option<String>,
    tenancy: &'static str,
}

#[derive(Debug, Serialize)]
pub(crate) struct MonitoringElement {
    pub(crate) state: &'static str,
}

/// A security group where it is used.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GroupElement {
    group_id: String,
    group_name: String,
}

#[derive(Debug, Serialize)]
struct StateReasonElement {
    code: String,
    message: String,
}

/// `blockDeviceMapping/item`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BlockDeviceElement {
    device_name: String,
    ebs: EbsElement,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EbsElement {
    volume_id: String,
    status: &'static str,
    attach_time: Time,
    delete_on_termination: bool,
}

/// A tag.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TagElement {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// Writes tags.
pub(crate) fn tag_elements(tags: &Tags) -> Vec<TagElement> {
    let tags = tags.iter();
    tags.map(|(key, value)| TagElement { key: key.to_string(), value: value.to_string() }).collect()
}

/// The profile of an instance.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ProfileElement {
    pub(crate) arn: String,
    pub(crate) id: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CpuOptions {
    core_count: u8,
    threads_per_core: u8,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CapacityReservation {
    capacity_reservation_preference: &'static str,
}

#[derive(Debug, Serialize)]
struct HibernationOptions {
    configured: bool,
}

/// `enclaveOptions`
#[derive(Debug, Serialize)]
pub(crate) struct EnclaveOptions {
    pub(crate) enabled: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PrivateDnsNameOptions {
    hostname_type: &'static str,
    enable_resource_name_dns_a_record: bool,
    #[serde(rename = "enableResourceNameDnsAAAARecord")]
    enable_resource_name_dns_aaaa_record: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MaintenanceOptions {
    auto_recovery: &'static str,
}

impl InstanceElement {
    /// Writes an instance as it is described.
    pub(crate) fn described(instance: &Instance, desk: &Desk<'_>) -> Self {
        Self::new(instance, OptionsState::of(instance, desk))
    }

    /// Writes an instance, with its options in this state.
    pub(crate) fn new(instance: &Instance, options: OptionsState) -> Self {
        let attributes = &*instance.attributes;
        let primary = instance.primary_interface();
        let key_pair = instance.key_pair.as_ref().map(|pair| &pair.name);
        let hostname = primary.and_then(|interface| instance.hostname(interface));
        let public_name = primary.and_then(|interface| instance.public_hostname(interface));
        Self {
            instance_id: instance.id.to_string(),
            image_id: instance.ami_id.to_string(),
            instance_state: instance.state.into(),
            private_dns_name: hostname.unwrap_or_default(),
            dns_name: public_name.unwrap_or_default(),
            reason: transition_reason(attributes),
            key_name: attributes.key_name.as_ref().or(key_pair).map(ToString::to_string),
            ami_launch_index: instance.ami_launch_index,
            product_codes: product_codes(instance),
            instance_type: instance.instance_type.to_string(),
            launch_time: Time(instance.pending_time),
            placement: PlacementElement::of(&instance.placement),
            monitoring: MonitoringElement { state: instance.monitoring.as_str() },
            subnet_id: primary.map(|interface| interface.subnet_id.to_string()),
            vpc_id: primary.map(|interface| interface.vpc_id.to_string()),
            private_ip_address: primary.and_then(Interface::primary_ipv4).map(|ip| ip.to_string()),
            ip_address: primary.and_then(|own| own.public_ipv4s().next()).map(|ip| ip.to_string()),
            source_dest_check: attributes.source_dest_check == Switch::Enabled,
            group_set: primary.map(group_set).unwrap_or_default(),
            state_reason: attributes.state_reason.as_ref().map(StateReasonElement::of),
            architecture: instance.architecture.as_str(),
            root_device_type: "ebs",
            root_device_name: root_device(instance).to_owned(),
            block_device_mapping: block_devices(instance),
            virtualization_type: "hvm",
            instance_lifecycle: lifecycle(instance.life_cycle),
            client_token: attributes.client_token.as_deref().unwrap_or_default().to_owned(),
            tag_set: tag_elements(&instance.tags),
            // EC2: Nitro too is told as Xen.
            hypervisor: "xen",
            network_interface_set: instance
                .interfaces
                .iter()
                .map(|interface| InterfaceElement::new(instance, interface))
                .collect(),
            iam_instance_profile: ProfileElement::of(instance),
            ebs_optimized: attributes.ebs_optimized,
            ena_support: true,
            cpu_options: CpuOptions { core_count: 1, threads_per_core: 2 },
            capacity_reservation_specification: CapacityReservation {
                capacity_reservation_preference: "open",
            },
            hibernation_options: HibernationOptions {
                configured: instance.hibernation == Some(Switch::Enabled),
            },
            metadata_options: OptionsElement::new(instance.options, options),
            enclave_options: EnclaveOptions { enabled: false },
            ipv6_address: primary.and_then(|own| own.ipv6.first()).map(ToString::to_string),
            platform_details: "Linux/UNIX",
            usage_operation: "RunInstances",
            private_dns_name_options: PrivateDnsNameOptions {
                hostname_type: instance.hostname_type.as_str(),
                enable_resource_name_dns_a_record: instance.hostname_type
                    == HostnameType::ResourceName,
                enable_resource_name_dns_aaaa_record: false,
            },
            maintenance_options: MaintenanceOptions { auto_recovery: "default" },
            current_instance_boot_mode: "legacy-bios",
        }
    }
}

impl PlacementElement {
    fn of(placement: &Placement) -> Self {
        let text = |line: &Option<Line>| line.as_ref().map(ToString::to_string);
        Self {
            availability_zone: placement.availability_zone.to_string(),
            availability_zone_id: placement.availability_zone_id.to_string(),
            group_name: text(&placement.group_name).unwrap_or_default(),
            partition_number: placement.partition_number,
            host_id: text(&placement.host_id),
            tenancy: if placement.host_id.is_some() { "host" } else { "default" },
        }
    }
}

impl StateReasonElement {
    fn of(reason: &StateReason) -> Self {
        Self { code: reason.code.to_string(), message: reason.message.to_string() }
    }
}

impl ProfileElement {
    /// The profile of an instance, if it has one.
    pub(crate) fn of(instance: &Instance) -> Option<Self> {
        let profile = instance.instance_profile.as_ref()?;
        let (partition, account) = (instance.region.partition(), instance.account_id);
        Some(Self {
            arn: format!("arn:{partition}:iam::{account}:instance-profile/{}", profile.name),
            id: profile.id.to_string(),
        })
    }
}

/// Writes product codes.
pub(crate) fn product_codes(instance: &Instance) -> Vec<ProductCode> {
    let code =
        |code: &model::Line| ProductCode { product_code: code.to_string(), r#type: "marketplace" };
    instance.product_codes.iter().map(code).collect()
}

/// Writes the security groups of an interface.
pub(crate) fn group_set(interface: &Interface) -> Vec<GroupElement> {
    let element = |group: &model::SecurityGroup| GroupElement {
        group_id: group.id.to_string(),
        group_name: group.name.to_string(),
    };
    interface.security_groups.iter().map(element).collect()
}

/// EC2: the reason has the time of the change.
fn transition_reason(attributes: &Attributes) -> String {
    match (&attributes.state_reason, attributes.state_since) {
        (Some(reason), Some(since)) if reason.code.starts_with("Client.User") => {
            format!("User initiated ({} GMT)", day_and_time(since))
        }
        _ => String::new(),
    }
}

/// `2020-09-26 14:28:58`
fn day_and_time(time: Timestamp) -> String {
    let text = time.to_string();
    text.get(..19).unwrap_or(&text).replace('T', " ")
}

/// The device that the image's root is on.
pub(crate) fn root_device(instance: &Instance) -> &str {
    let root = instance.block_devices.iter().find(|device| &*device.name == "root");
    root.map_or("/dev/xvda", |device| &device.device)
}

/// The devices of volumes, each once: metadata names the root's twice, as `ami` and as `root`.
fn volume_devices(instance: &Instance) -> Vec<&str> {
    let mut devices: Vec<&str> = Vec::new();
    for device in instance.block_devices.iter() {
        let is_volume = device.name.starts_with("ebs") || matches!(&*device.name, "ami" | "root");
        if is_volume && !devices.contains(&&*device.device) {
            devices.push(&device.device);
        }
    }
    devices
}

fn volume_id(instance: &Instance, device: &str) -> String {
    derived_id("vol-", &format!("{}{device}", instance.id))
}

/// The ids of an instance's volumes.
pub(crate) fn volume_ids(instance: &Instance) -> Vec<String> {
    let devices = volume_devices(instance).into_iter();
    devices.map(|device| volume_id(instance, device)).collect()
}

/// Writes the volumes of an instance.
pub(crate) fn block_devices(instance: &Instance) -> Vec<BlockDeviceElement> {
    let element = |device: &str| BlockDeviceElement {
        device_name: device.to_owned(),
        ebs: EbsElement {
            volume_id: volume_id(instance, device),
            status: "attached",
            attach_time: Time(instance.pending_time),
            delete_on_termination: true,
        },
    };
    volume_devices(instance).into_iter().map(element).collect()
}

/// Makes the id of a thing that is not kept, always the same for the same name.
pub(crate) fn derived_id(prefix: &str, name: &str) -> String {
    format!("{prefix}0{:016x}", spread(name))
}

fn lifecycle(of: LifeCycle) -> Option<&'static str> {
    match of {
        LifeCycle::CapacityBlock | LifeCycle::Scheduled | LifeCycle::Spot => Some(of.as_str()),
        LifeCycle::OnDemand => None,
    }
}
