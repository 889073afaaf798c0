//! `DescribeInstanceAttribute`, and how attributes are read (control plane, 4.5).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{Instance, ShutdownBehavior, Switch};
use serde::{Deserialize, Serialize};

use store::Snapshot;

use super::instance_element::{
    BlockDeviceElement, EnclaveOptions, GroupElement, ProductCode, block_devices, group_set,
    product_codes, root_device,
};
use super::instances::{find_all, parse_instance_id};
use super::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// Reads what becomes of an instance that shuts itself down.
///
/// # Errors
///
/// `InvalidParameterValue`.
pub(crate) fn parse_shutdown_behavior(text: &str) -> Result<ShutdownBehavior, ApiFault> {
    let name = "InstanceInitiatedShutdownBehavior";
    text.parse().map_err(|_| ApiFault::not_one_of(text, name, &["stop", "terminate"]))
}

/// Describes one attribute of an instance. Metadata options are none of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeInstanceAttribute {
    attribute: String,
    instance_id: String,
}

/// The instance, and the attribute that was asked for.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeInstanceAttributeAnswer {
    instance_id: String,
    block_device_mapping: Option<Vec<BlockDeviceElement>>,
    disable_api_stop: Option<Text>,
    disable_api_termination: Option<Text>,
    ebs_optimized: Option<Text>,
    ena_support: Option<Text>,
    enclave_options: Option<EnclaveOptions>,
    group_set: Option<Vec<GroupElement>>,
    instance_initiated_shutdown_behavior: Option<Text>,
    instance_type: Option<Text>,
    kernel: Option<Text>,
    product_codes: Option<Vec<ProductCode>>,
    ramdisk: Option<Text>,
    root_device_name: Option<Text>,
    source_dest_check: Option<Text>,
    sriov_net_support: Option<Text>,
    user_data: Option<Text>,
}

/// A value that an attribute may have; an empty element if it has none.
#[derive(Serialize)]
struct Text {
    value: Option<String>,
}

/// An attribute that may have a value.
impl<T: ToString> From<Option<T>> for Text {
    fn from(value: Option<T>) -> Self {
        Self { value: value.map(|value| value.to_string()) }
    }
}

impl Action for DescribeInstanceAttribute {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![desk.ask_on_instance(snapshot, &self.instance_id)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let id = parse_instance_id(&self.instance_id)?;
        let snapshot = desk.store.snapshot();
        let found = find_all(&snapshot, &desk.scope, &[id])?;
        let answer = found.first().and_then(|instance| described(instance, &self.attribute));
        answer.map(Answer::of).ok_or_else(|| unknown_attribute(&self.attribute))
    }
}

/// A name that is none of an attribute.
pub(super) fn unknown_attribute(name: &str) -> ApiFault {
    ApiFault::invalid_value_for(name, "attribute", "Unknown attribute.")
}

fn described(instance: &Instance, attribute: &str) -> Option<DescribeInstanceAttributeAnswer> {
    let mut answer = DescribeInstanceAttributeAnswer {
        instance_id: instance.id.to_string(),
        ..DescribeInstanceAttributeAnswer::default()
    };
    let attributes = &*instance.attributes;
    let behavior = attributes.instance_initiated_shutdown_behavior.as_str();
    let is = |value: &dyn ToString| Some(Text { value: Some(value.to_string()) });
    let is_checked = attributes.source_dest_check == Switch::Enabled;
    match attribute {
        "blockDeviceMapping" => answer.block_device_mapping = Some(block_devices(instance)),
        "disableApiStop" => answer.disable_api_stop = is(&attributes.disable_api_stop),
        "disableApiTermination" => {
            answer.disable_api_termination = is(&attributes.disable_api_termination);
        }
        "ebsOptimized" => answer.ebs_optimized = is(&attributes.ebs_optimized),
        "enaSupport" => answer.ena_support = is(&true),
        "enclaveOptions" => answer.enclave_options = Some(EnclaveOptions { enabled: false }),
        "groupSet" => {
            let primary = instance.primary_interface();
            answer.group_set = Some(primary.map(group_set).unwrap_or_default());
        }
        "instanceInitiatedShutdownBehavior" => {
            answer.instance_initiated_shutdown_behavior = is(&behavior);
        }
        "instanceType" => answer.instance_type = is(&instance.instance_type),
        "kernel" => answer.kernel = Some(instance.kernel_id.into()),
        "productCodes" => answer.product_codes = Some(product_codes(instance)),
        "ramdisk" => answer.ramdisk = Some(instance.ramdisk_id.into()),
        "rootDeviceName" => answer.root_device_name = is(&root_device(instance)),
        "sourceDestCheck" => answer.source_dest_check = is(&is_checked),
        "sriovNetSupport" => answer.sriov_net_support = Some(Text { value: None }),
        "userData" => {
            let data = instance.user_data.as_ref();
            answer.user_data = Some(data.map(|data| STANDARD.encode(data.as_bytes())).into());
        }
        _ => return None,
    }
    Some(answer)
}

#[cfg(test)]
mod tests;
