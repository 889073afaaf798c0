//! A network interface as the EC2 API shows it: within its instance, or by itself (control plane, 4.1).

use model::{Instance, Interface, Switch};
use serde::Serialize;

use super::instance_element::{GroupElement, TagElement, derived_id, group_set, tag_elements};
use super::tags::Tags;
use crate::api::xml::Time;

/// A network interface of an instance.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InterfaceElement {
    network_interface_id: String,
    subnet_id: String,
    vpc_id: String,
    description: &'static str,
    owner_id: String,
    status: &'static str,
    mac_address: String,
    private_ip_address: Option<String>,
    private_dns_name: Option<String>,
    source_dest_check: bool,
    group_set: Vec<GroupElement>,
    attachment: InterfaceAttachment,
    association: Option<Association>,
    availability_zone: Option<String>,
    private_ip_addresses_set: Vec<PrivateAddress>,
    ipv6_addresses_set: Vec<Ipv6Element>,
    interface_type: &'static str,
    requester_managed: Option<bool>,
    tag_set: Option<Vec<TagElement>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct InterfaceAttachment {
    attachment_id: String,
    instance_id: Option<String>,
    instance_owner_id: Option<String>,
    device_index: u16,
    status: &'static str,
    attach_time: Time,
    delete_on_termination: bool,
    network_card_index: u8,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Association {
    public_ip: String,
    public_dns_name: String,
    ip_owner_id: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PrivateAddress {
    private_ip_address: String,
    private_dns_name: Option<String>,
    primary: bool,
    association: Option<Association>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ipv6Element {
    ipv6_address: String,
}

impl InterfaceElement {
    /// Writes an interface by itself, with what its instance would say of it.
    pub(crate) fn described(instance: &Instance, interface: &Interface, tags: &Tags) -> Self {
        let mut element = Self::new(instance, interface);
        element.attachment.instance_id = Some(instance.id.to_string());
        element.attachment.instance_owner_id = Some(instance.account_id.to_string());
        element.availability_zone = Some(instance.placement.availability_zone.to_string());
        element.requester_managed = Some(false);
        element.tag_set = Some(tag_elements(tags));
        element
    }

    /// Writes an interface within its instance.
    pub(crate) fn new(instance: &Instance, interface: &Interface) -> Self {
        let owner = interface.owner_id.unwrap_or(instance.account_id);
        let public_name = instance.public_hostname(interface).unwrap_or_default();
        let association = |public: std::net::Ipv4Addr| Association {
            public_ip: public.to_string(),
            public_dns_name: public_name.clone(),
            ip_owner_id: "amazon",
        };
        let name = instance.hostname(interface);
        let addresses = interface.ipv4.iter().enumerate().map(|(number, address)| PrivateAddress {
            private_ip_address: address.private.to_string(),
            private_dns_name: name.clone(),
            primary: number == 0,
            association: address.public.map(association),
        });
        Self {
            network_interface_id: interface.interface_id.to_string(),
            subnet_id: interface.subnet_id.to_string(),
            vpc_id: interface.vpc_id.to_string(),
            description: "",
            owner_id: owner.to_string(),
            status: "in-use",
            mac_address: interface.mac.to_string(),
            private_ip_address: interface.primary_ipv4().map(|ip| ip.to_string()),
            private_dns_name: name.clone(),
            source_dest_check: instance.attributes.source_dest_check == Switch::Enabled,
            group_set: group_set(interface),
            attachment: InterfaceAttachment {
                attachment_id: attachment_id(interface),
                instance_id: None,
                instance_owner_id: None,
                device_index: interface.device_number,
                status: "attached",
                attach_time: Time(instance.pending_time),
                delete_on_termination: true,
                network_card_index: interface.network_card.unwrap_or(0),
            },
            association: interface.public_ipv4s().next().map(association),
            availability_zone: None,
            private_ip_addresses_set: addresses.collect(),
            ipv6_addresses_set: interface
                .ipv6
                .iter()
                .map(|address| Ipv6Element { ipv6_address: address.to_string() })
                .collect(),
            interface_type: "interface",
            requester_managed: None,
            tag_set: None,
        }
    }
}

/// The id of an interface's attachment to its instance.
pub(crate) fn attachment_id(interface: &Interface) -> String {
    derived_id("eni-attach-", &interface.interface_id.text())
}
