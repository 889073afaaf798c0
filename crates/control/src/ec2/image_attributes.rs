//! Attributes of images (control plane, 4.7): what an image is for, and what its software supports.

use model::{Image, ImdsSupport, Line};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use store::Snapshot;

use super::asked::with_attributes;
use super::images::{DeviceElement, devices, find_image, find_own, put};
use super::text::parse_description;
use super::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// Changes one attribute, named in one of two ways: by its own parameter, or with `Attribute` and
/// `Value`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyImageAttribute {
    attribute: Option<String>,
    description: Option<ValueParameter>,
    image_id: String,
    imds_support: Option<ValueParameter>,
    value: Option<String>,
    // Who may launch an image, and what is to be paid for it: see `sharing`.
    launch_permission: Option<IgnoredAny>,
    operation_type: Option<IgnoredAny>,
    organization_arn: Option<IgnoredAny>,
    organizational_unit_arn: Option<IgnoredAny>,
    product_code: Option<IgnoredAny>,
    user_group: Option<IgnoredAny>,
    user_id: Option<IgnoredAny>,
}

/// `X.Value`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
struct ValueParameter {
    value: Option<String>,
}

/// Shows one attribute.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeImageAttribute {
    attribute: String,
    image_id: String,
}

/// What is to become of an image.
enum Wish {
    Description(Option<Line>),
    ImdsSupport(ImdsSupport),
}

impl Action for ModifyImageAttribute {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let value = |parameter: &Option<ValueParameter>| Some(parameter.as_ref()?.value.clone());
        let (description, imds_support) = (value(&self.description), value(&self.imds_support));
        let given = [("Description", description), ("ImdsSupport", imds_support)];
        let given = given.iter().filter_map(|(name, value)| Some((*name, value.as_ref()?.as_deref())));
        let named = self.attribute.iter().map(|name| (&**name, self.value.as_deref()));
        let ask = desk.ask_on(snapshot, "image", &self.image_id);
        Ok(vec![with_attributes(ask, given.chain(named))])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        desk.transact(|snapshot| {
            let mut image = find_own(desk, snapshot, &self.image_id)?;
            match self.wish()? {
                Wish::Description(text) => image.description = text,
                Wish::ImdsSupport(support) => image.imds_support = Some(support),
            }
            Ok((vec![put(desk, image)], ()))
        })?;
        Ok(Answer::done())
    }
}

impl ModifyImageAttribute {
    fn wish(&self) -> Result<Wish, ApiFault> {
        if self.is_of_sharing() {
            return Err(not_shared());
        }
        let value = |parameter: Option<&ValueParameter>| {
            let value = parameter.map(|parameter| parameter.value.clone());
            value.map(|value| value.ok_or_else(|| ApiFault::missing_parameter("Value")))
        };
        let legacy = self.attribute.as_deref().map(|attribute| (attribute, self.value.clone()));
        let mut wishes = Vec::new();
        if let Some(text) = value(self.description.as_ref()) {
            wishes.push(Wish::Description(parse_description(&text?)?));
        }
        if let Some(text) = value(self.imds_support.as_ref()) {
            wishes.push(Wish::ImdsSupport(parse_imds_support(&text?)?));
        }
        if let Some((attribute, value)) = legacy {
            let value = || value.ok_or_else(|| ApiFault::missing_parameter("Value"));
            wishes.push(match attribute {
                "description" => Wish::Description(parse_description(&value()?)?),
                "imdsSupport" => Wish::ImdsSupport(parse_imds_support(&value()?)?),
                "launchPermission" | "productCodes" => return Err(not_shared()),
                other => return Err(invalid_attribute(other)),
            });
        }
        match (wishes.pop(), wishes.is_empty()) {
            (Some(wish), true) => Ok(wish),
            (Some(_), false) => Err(ApiFault::invalid_parameter_combination(
                "Fields for multiple attribute types specified",
            )),
            (None, _) => Err(ApiFault::invalid_parameter_combination("No attributes specified.")),
        }
    }

    fn is_of_sharing(&self) -> bool {
        let parameters = [
            &self.launch_permission,
            &self.operation_type,
            &self.organization_arn,
            &self.organizational_unit_arn,
            &self.product_code,
            &self.user_group,
            &self.user_id,
        ];
        parameters.into_iter().any(Option::is_some)
    }
}

/// An image here is of the account that registered it, and of no other.
fn not_shared() -> ApiFault {
    ApiFault::unsupported("Images are not shared between accounts and have no product codes.")
}

fn invalid_attribute(name: &str) -> ApiFault {
    ApiFault::invalid_value_for(name, "attribute", "Unknown attribute.")
}

/// Reads what the software of an image supports. EC2: there is one value, and no way back from it.
///
/// # Errors
///
/// `InvalidParameterValue`.
pub(crate) fn parse_imds_support(text: &str) -> Result<ImdsSupport, ApiFault> {
    text.parse().map_err(|_| ApiFault::not_one_of(text, "ImdsSupport", &["v2.0"]))
}

/// An image id and one attribute.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageAttributeAnswer {
    image_id: String,
    block_device_mapping: Option<Vec<DeviceElement>>,
    boot_mode: Option<ValueElement>,
    description: Option<ValueElement>,
    imds_support: Option<ValueElement>,
    kernel: Option<ValueElement>,
    launch_permission: Option<Vec<()>>,
    product_codes: Option<Vec<()>>,
    ramdisk: Option<ValueElement>,
    sriov_net_support: Option<ValueElement>,
}

/// An attribute that has no value is an empty element.
#[derive(Default, Serialize)]
struct ValueElement {
    value: Option<String>,
}

impl Action for DescribeImageAttribute {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![desk.ask_on(snapshot, "image", &self.image_id)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let image = find_image(&desk.store.snapshot(), &desk.scope, &self.image_id)?;
        described(&image, &self.attribute).map(Answer::of)
    }
}

fn described(image: &Image, attribute: &str) -> Result<ImageAttributeAnswer, ApiFault> {
    let value = |value: Option<&str>| Some(ValueElement { value: value.map(str::to_owned) });
    let mut answer =
        ImageAttributeAnswer { image_id: image.id.to_string(), ..ImageAttributeAnswer::default() };
    match attribute {
        "blockDeviceMapping" => answer.block_device_mapping = Some(devices(image)),
        "bootMode" => answer.boot_mode = value(None),
        "description" => answer.description = value(image.description.as_deref()),
        "imdsSupport" => {
            answer.imds_support = value(image.imds_support.map(ImdsSupport::as_str));
        }
        "kernel" => answer.kernel = value(None),
        "launchPermission" => answer.launch_permission = Some(Vec::new()),
        "productCodes" => answer.product_codes = Some(Vec::new()),
        "ramdisk" => answer.ramdisk = value(None),
        "sriovNetSupport" => answer.sriov_net_support = value(None),
        other => return Err(invalid_attribute(other)),
    }
    Ok(answer)
}
