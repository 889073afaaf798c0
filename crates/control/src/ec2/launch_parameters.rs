//! What a launch may say: the parameters of `RunInstances`, which a launch template's data share.
//!
//! EC2 has more than matter here. Those are let pass unread, so that a script which sets them works;
//! a parameter that EC2 does not have is refused.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::metadata_options::OptionsParameter;

/// The parameters of a launch, word for word.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct LaunchParameters {
    pub(crate) block_device_mapping: Vec<BlockDeviceParameter>,
    pub(crate) client_token: Option<String>,
    pub(crate) disable_api_stop: Option<bool>,
    pub(crate) disable_api_termination: Option<bool>,
    pub(crate) ebs_optimized: Option<bool>,
    pub(crate) hibernation_options: Option<HibernationParameter>,
    pub(crate) iam_instance_profile: Option<ProfileParameter>,
    pub(crate) image_id: Option<String>,
    pub(crate) instance_initiated_shutdown_behavior: Option<String>,
    pub(crate) instance_market_options: Option<MarketParameter>,
    pub(crate) instance_type: Option<String>,
    pub(crate) ipv6_address: Vec<Ipv6Parameter>,
    pub(crate) ipv6_address_count: Option<usize>,
    pub(crate) key_name: Option<String>,
    pub(crate) launch_template: Option<TemplateParameter>,
    pub(crate) max_count: Option<i64>,
    pub(crate) metadata_options: Option<OptionsParameter>,
    pub(crate) min_count: Option<i64>,
    pub(crate) monitoring: Option<MonitoringParameter>,
    pub(crate) network_interface: Vec<InterfaceParameter>,
    pub(crate) placement: Option<PlacementParameter>,
    pub(crate) private_dns_name_options: Option<DnsNameParameter>,
    pub(crate) private_ip_address: Option<String>,
    pub(crate) security_group: Vec<String>,
    pub(crate) security_group_id: Vec<String>,
    pub(crate) subnet_id: Option<String>,
    pub(crate) tag_specification: Vec<TagSpecification>,
    pub(crate) user_data: Option<String>,
    // Let pass.
    additional_info: Option<IgnoredAny>,
    capacity_reservation_specification: Option<IgnoredAny>,
    cpu_options: Option<IgnoredAny>,
    credit_specification: Option<IgnoredAny>,
    elastic_gpu_specification: Option<IgnoredAny>,
    elastic_inference_accelerator: Option<IgnoredAny>,
    enable_primary_ipv6: Option<IgnoredAny>,
    enclave_options: Option<IgnoredAny>,
    instance_requirements: Option<IgnoredAny>,
    kernel_id: Option<IgnoredAny>,
    license_specification: Option<IgnoredAny>,
    maintenance_options: Option<IgnoredAny>,
    network_performance_options: Option<IgnoredAny>,
    operator: Option<IgnoredAny>,
    // EC2: the name in launch templates, and the one in launches.
    ram_disk_id: Option<IgnoredAny>,
    ramdisk_id: Option<IgnoredAny>,
}

/// `BlockDeviceMapping.N`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct BlockDeviceParameter {
    pub(crate) device_name: Option<String>,
    pub(crate) virtual_name: Option<String>,
    pub(crate) no_device: Option<String>,
    ebs: Option<IgnoredAny>,
}

/// `HibernationOptions`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct HibernationParameter {
    pub(crate) configured: Option<bool>,
}

/// `IamInstanceProfile`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct ProfileParameter {
    pub(crate) arn: Option<String>,
    pub(crate) name: Option<String>,
}

/// `InstanceMarketOptions`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct MarketParameter {
    pub(crate) market_type: Option<String>,
    spot_options: Option<IgnoredAny>,
}

/// `Ipv6Address.N`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct Ipv6Parameter {
    pub(crate) ipv6_address: Option<String>,
    is_primary_ipv6: Option<IgnoredAny>,
}

/// `LaunchTemplate`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct TemplateParameter {
    pub(crate) launch_template_id: Option<String>,
    pub(crate) launch_template_name: Option<String>,
    pub(crate) version: Option<String>,
}

/// `Monitoring`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct MonitoringParameter {
    pub(crate) enabled: Option<bool>,
}

/// `NetworkInterface.N`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct InterfaceParameter {
    pub(crate) associate_public_ip_address: Option<bool>,
    pub(crate) device_index: Option<u16>,
    pub(crate) ipv6_address_count: Option<usize>,
    pub(crate) ipv6_addresses: Vec<Ipv6Parameter>,
    pub(crate) network_card_index: Option<u8>,
    pub(crate) network_interface_id: Option<String>,
    pub(crate) private_ip_address: Option<String>,
    pub(crate) private_ip_addresses: Vec<PrivateAddressParameter>,
    pub(crate) secondary_private_ip_address_count: Option<usize>,
    pub(crate) security_group_id: Vec<String>,
    pub(crate) subnet_id: Option<String>,
    associate_carrier_ip_address: Option<IgnoredAny>,
    connection_tracking_specification: Option<IgnoredAny>,
    delete_on_termination: Option<IgnoredAny>,
    description: Option<IgnoredAny>,
    ena_queue_count: Option<IgnoredAny>,
    ena_srd_specification: Option<IgnoredAny>,
    interface_type: Option<IgnoredAny>,
    ipv4_prefix: Option<IgnoredAny>,
    ipv4_prefix_count: Option<IgnoredAny>,
    ipv6_prefix: Option<IgnoredAny>,
    ipv6_prefix_count: Option<IgnoredAny>,
    primary_ipv6: Option<IgnoredAny>,
}

/// `PrivateIpAddresses.N`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct PrivateAddressParameter {
    pub(crate) primary: Option<bool>,
    pub(crate) private_ip_address: Option<String>,
}

/// `Placement`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct PlacementParameter {
    pub(crate) availability_zone: Option<String>,
    pub(crate) group_name: Option<String>,
    pub(crate) host_id: Option<String>,
    pub(crate) partition_number: Option<u8>,
    affinity: Option<IgnoredAny>,
    availability_zone_id: Option<IgnoredAny>,
    group_id: Option<IgnoredAny>,
    host_resource_group_arn: Option<IgnoredAny>,
    spread_domain: Option<IgnoredAny>,
    tenancy: Option<IgnoredAny>,
}

/// `PrivateDnsNameOptions`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct DnsNameParameter {
    pub(crate) hostname_type: Option<String>,
    enable_resource_name_dns_a_record: Option<IgnoredAny>,
    #[serde(rename = "EnableResourceNameDnsAAAARecord")]
    enable_resource_name_dns_aaaa_record: Option<IgnoredAny>,
}

/// `TagSpecification.N`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct TagSpecification {
    pub(crate) resource_type: Option<String>,
    pub(crate) tag: Vec<TagParameter>,
}

/// `Tag.N`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct TagParameter {
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
}

/// Structures of which a launch says what differs from the template, member by member. Of all
/// others, what the launch says takes the place of the whole.
const MERGED: [&str; 4] = ["MetadataOptions", "Monitoring", "Placement", "PrivateDnsNameOptions"];

/// The parameters of a template that a network interface of the launch takes the place of.
const OF_THE_INTERFACE: [&str; 4] =
    ["PrivateIpAddress", "SecurityGroup", "SecurityGroupId", "SubnetId"];

/// Lays what a request says over what a template has: names and values, as they stand in forms.
pub(crate) fn overlaid<'a>(
    template: impl IntoIterator<Item = (&'a str, &'a str)>,
    request: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<(&'a str, &'a str)> {
    let request: Vec<_> = request.into_iter().collect();
    let top = |name: &'a str| name.split('.').next().unwrap_or(name);
    let has_interface = request.iter().any(|(name, _)| top(name) == "NetworkInterface");
    let is_kept = |name: &'a str| {
        let own = top(name);
        let is_said = if MERGED.contains(&own) {
            request.iter().any(|(other, _)| *other == name)
        } else {
            request.iter().any(|(other, _)| top(other) == own)
        };
        !(is_said || has_interface && OF_THE_INTERFACE.contains(&own))
    };
    let mut all: Vec<_> = template.into_iter().filter(|(name, _)| is_kept(name)).collect();
    all.extend(request);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_launch_says_lies_over_the_template() {
        let template = [
            ("ImageId", "ami-1"),
            ("MetadataOptions.HttpTokens", "required"),
            ("MetadataOptions.HttpEndpoint", "enabled"),
            ("SecurityGroupId.1", "sg-1"),
            ("SecurityGroupId.2", "sg-2"),
            ("SubnetId", "subnet-1"),
        ];
        let request = [("MetadataOptions.HttpTokens", "optional"), ("SecurityGroupId.1", "sg-3")];
        let mut all = overlaid(template, request);
        all.sort_unstable();
        assert_eq!(
            all,
            [
                ("ImageId", "ami-1"),
                ("MetadataOptions.HttpEndpoint", "enabled"),
                ("MetadataOptions.HttpTokens", "optional"),
                ("SecurityGroupId.1", "sg-3"),
                ("SubnetId", "subnet-1"),
            ]
        );
        let all = overlaid(template, [("NetworkInterface.1.DeviceIndex", "0")]);
        assert!(!all.iter().any(|(name, _)| name.starts_with("Su") || name.starts_with("Sec")));
    }
}
