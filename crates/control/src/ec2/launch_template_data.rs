//! `LaunchTemplateData`: the parameters of a launch, kept for later.
//!
//! What a request holds is kept by its names there, and is shown by names of the answer. The rule is
//! the same throughout: the first letter becomes a small one, and a list gets `Set` behind its name
//! and has `<item>` elements. [`EXCEPTIONS`] has what differs.
//!
//! ```text
//! NetworkInterface.1.SubnetId=…  ▶  <networkInterfaceSet><item><subnetId>…
//! ```

use std::collections::BTreeMap;

use model::LaunchTemplateVersion;
use serde::ser::{Serialize, Serializer};

use super::launch_parameters::{LaunchParameters, overlaid};
use crate::api::form::{Node, Tree};
use crate::api::route::Service;
use crate::api::{ApiFault, Dialect};

/// LIMIT: names and values of a version, in bytes: user data of 16 KiB in base64, and as much again
/// for a launch with everything else. EC2 bounds the request.
const BYTES_MAX: usize = 48 * 1024;

/// Where the data stand in a request.
const PREFIX: &str = "LaunchTemplateData";

/// Parameters of launches that no template has.
const OF_LAUNCHES: [&str; 11] = [
    "AdditionalInfo",
    "ClientToken",
    "EnablePrimaryIpv6",
    "Ipv6Address",
    "Ipv6AddressCount",
    "LaunchTemplate",
    "MaxCount",
    "MinCount",
    "PrivateIpAddress",
    "RamdiskId",
    "SubnetId",
];

/// Lists whose names or elements do not follow the rule: the name in requests, the structure that
/// it stands in, the name in answers, and that of its elements.
const EXCEPTIONS: [(&str, &str, &str, &str); 2] = [
    ("LicenseSpecification", PREFIX, "licenseSet", "item"),
    ("SecurityGroupId", "NetworkInterface", "groupSet", "groupId"),
];

/// The parameters of a version, by their names in requests.
pub(crate) type Data = BTreeMap<Box<str>, Box<str>>;

/// Takes the data of a request, laid over those of the version that they start from.
///
/// # Errors
///
/// `MissingParameter` if the request has none; `UnknownParameter` for what no template has;
/// `InvalidParameterValue` for more than is kept.
pub(crate) fn taken(
    parameters: &Tree,
    source: Option<&LaunchTemplateVersion>,
) -> Result<Data, ApiFault> {
    let all = parameters.parameters();
    let given = all.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix(PREFIX)?.strip_prefix('.')?;
        Some((name, *value))
    });
    let given: Vec<_> = given.collect();
    if given.is_empty() {
        return Err(ApiFault::missing_parameter(PREFIX));
    }
    let before = source.into_iter().flat_map(|version| pairs(&version.parameters));
    let data: Data = overlaid(before, given)
        .into_iter()
        .map(|(name, value)| (Box::from(name), Box::from(value)))
        .collect();
    let of_launches = data.keys().find(|name| {
        let top = name.split('.').next().unwrap_or(name);
        OF_LAUNCHES.contains(&top)
    });
    if let Some(name) = of_launches {
        return Err(ApiFault::unknown_parameter(&format!("{PREFIX}.{name}")));
    }
    if data.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > BYTES_MAX {
        return Err(ApiFault::invalid_parameter_value(format!(
            "The data of a launch template version have at most {BYTES_MAX} bytes."
        )));
    }
    shown(&data)?;
    Ok(data)
}

fn pairs(data: &Data) -> impl Iterator<Item = (&str, &str)> {
    data.iter().map(|(name, value)| (&**name, &**value))
}

/// Says what is wrong with the metadata options of a version. A launch will be refused for it.
pub(crate) fn objection(data: &Data) -> Option<ApiFault> {
    let parameters = Tree::from_parameters(pairs(data)).and_then(|tree| {
        let read: LaunchParameters = tree.read(Service::Ec2.dialect())?;
        Ok(read)
    });
    match parameters {
        Ok(parameters) => parameters.metadata_options?.parse().err(),
        Err(fault) => Some(fault.into()),
    }
}

/// Makes `launchTemplateData`.
///
/// # Errors
///
/// `UnknownParameter` for a name that cannot be that of an element.
pub(crate) fn shown(data: &Data) -> Result<Element, ApiFault> {
    let tree = Tree::from_parameters(pairs(data))?;
    let root: Node = tree.read(Dialect::Ec2)?;
    element(&root, PREFIX)
}

/// An element of an answer: a text, or what it holds in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    /// Elements by their names; those of a list all have one.
    Parts(Vec<(String, Self)>),
    /// A text.
    Text(String),
}

impl Serialize for Element {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Parts(parts) => serializer.collect_map(parts.iter().map(|(name, it)| (name, it))),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

/// Makes the element of a parameter that stands in the structure `within`.
fn element(node: &Node, within: &str) -> Result<Element, ApiFault> {
    let branch = match node {
        Node::Text(text) => return Ok(Element::Text(text.clone())),
        Node::Branch(branch) => branch,
    };
    let mut parts = Vec::new();
    for (name, below) in branch {
        if !is_name(name) {
            return Err(ApiFault::unknown_parameter(&format!("{within}.{name}")));
        }
        parts.push(match below {
            Node::Branch(items) if is_list(items) => list(name, items, within)?,
            Node::Branch(_) | Node::Text(_) => (lower_camel(name), element(below, name)?),
        });
    }
    Ok(Element::Parts(parts))
}

fn list(
    name: &str,
    items: &BTreeMap<String, Node>,
    within: &str,
) -> Result<(String, Element), ApiFault> {
    let exception = EXCEPTIONS.iter().find(|(own, place, ..)| *own == name && *place == within);
    let (shown, item) = match exception {
        Some((.., shown, item)) => ((*shown).to_owned(), *item),
        None => (format!("{}Set", lower_camel(name)), "item"),
    };
    let mut in_order: Vec<_> = items.iter().collect();
    in_order.sort_by_key(|(number, _)| (number.len(), *number));
    let made = in_order.into_iter().map(|(_, node)| Ok((item.to_owned(), element(node, name)?)));
    Ok((shown, Element::Parts(made.collect::<Result<_, ApiFault>>()?)))
}

/// Whether these are the elements of a list: all of their names are numbers.
fn is_list(items: &BTreeMap<String, Node>) -> bool {
    items.keys().all(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn lower_camel(name: &str) -> String {
    let mut characters = name.chars();
    let first = characters.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::xml::write_fields;

    fn xml(form: &str) -> Result<String, ApiFault> {
        let tree = Tree::parse(form.as_bytes())?;
        let all = tree.parameters();
        let data = all.iter().map(|(name, value)| (name.as_str().into(), (*value).into()));
        let mut out = String::new();
        write_fields(&shown(&data.collect())?, Dialect::Ec2, &mut out).unwrap();
        Ok(out)
    }

    #[test]
    fn requests_and_answers_have_names_of_their_own() {
        for (form, expected) in [
            ("ImageId=ami-1", "<imageId>ami-1</imageId>"),
            ("RamDiskId=ari-1", "<ramDiskId>ari-1</ramDiskId>"),
            (
                "BlockDeviceMapping.1.DeviceName=sda&BlockDeviceMapping.1.Ebs.KmsKeyId=k",
                "<blockDeviceMappingSet><item><deviceName>sda</deviceName><ebs><kmsKeyId>k\
                 </kmsKeyId></ebs></item></blockDeviceMappingSet>",
            ),
            (
                "NetworkInterface.1.SecurityGroupId.1=sg-1&NetworkInterface.1.SecurityGroupId.2=b\
                 &NetworkInterface.1.Ipv6Addresses.1.Ipv6Address=%3A%3A1",
                "<networkInterfaceSet><item><ipv6AddressesSet><item><ipv6Address>::1</ipv6Address>\
                 </item></ipv6AddressesSet><groupSet><groupId>sg-1</groupId><groupId>b</groupId>\
                 </groupSet></item></networkInterfaceSet>",
            ),
            (
                "SecurityGroupId.1=sg-1&SecurityGroup.1=web",
                "<securityGroupSet><item>web</item></securityGroupSet><securityGroupIdSet><item>\
                 sg-1</item></securityGroupIdSet>",
            ),
            (
                "TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=a\
                 &TagSpecification.1.Tag.1.Value=",
                "<tagSpecificationSet><item><resourceType>instance</resourceType><tagSet><item>\
                 <key>a</key><value></value></item></tagSet></item></tagSpecificationSet>",
            ),
            (
                "LicenseSpecification.1.LicenseConfigurationArn=arn",
                "<licenseSet><item><licenseConfigurationArn>arn</licenseConfigurationArn></item>\
                 </licenseSet>",
            ),
            (
                "MetadataOptions.HttpTokens=required&MetadataOptions.HttpPutResponseHopLimit=2",
                "<metadataOptions><httpPutResponseHopLimit>2</httpPutResponseHopLimit><httpTokens>\
                 required</httpTokens></metadataOptions>",
            ),
            (
                "InstanceRequirements.VCpuCount.Min=2&InstanceRequirements.CpuManufacturer.1=amd",
                "<instanceRequirements><cpuManufacturerSet><item>amd</item></cpuManufacturerSet>\
                 <vCpuCount><min>2</min></vCpuCount></instanceRequirements>",
            ),
            (
                "PrivateDnsNameOptions.EnableResourceNameDnsAAAARecord=true",
                "<privateDnsNameOptions><enableResourceNameDnsAAAARecord>true\
                 </enableResourceNameDnsAAAARecord></privateDnsNameOptions>",
            ),
        ] {
            assert_eq!(xml(form).unwrap(), expected, "{form}");
        }
        let items: Vec<_> = (1..=11).map(|n| format!("SecurityGroup.{n}=g{n}")).collect();
        let shown = xml(&items.join("&")).unwrap();
        assert!(shown.contains("<item>g9</item><item>g10</item>"), "by number: {shown}");
    }

    #[test]
    fn what_cannot_be_an_element_is_not_known() {
        for form in ["CpuOptions.%3C=1", "CpuOptions.1=a&CpuOptions.B=b", "CpuOptions.a=1"] {
            assert_eq!(xml(form).unwrap_err().code, "UnknownParameter", "{form}");
        }
    }
}
