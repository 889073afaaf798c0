//! Images as the EC2 API shows them (control plane, 4.7).

use model::{AmiId, Image, ImdsSupport, Line, Resource, Scope};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use store::{Change, Snapshot};

use super::instance_element::{TagElement, tag_elements};
use super::inventory::Inventory;
use super::{Action, Desk, tags};
use crate::api::filter::{Filter, Filters, Known, Values};
use crate::api::page::{Bounds, Page, Pager};
use crate::api::xml::{Time, written_time};
use crate::api::{Answer, ApiFault, Dialect};
use crate::authorize::Ask;

/// LIMIT: images of a page. EC2 documents none.
const BOUNDS: Bounds = Bounds { min: 1, max: 1000 };

/// Describes images. EC2: there is no filter for what their software supports.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct DescribeImages {
    executable_by: Vec<String>,
    filter: Vec<Filter>,
    image_id: Vec<String>,
    include_deprecated: Option<IgnoredAny>,
    include_disabled: Option<IgnoredAny>,
    max_results: Option<i64>,
    next_token: Option<String>,
    owner: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeImagesAnswer {
    images_set: Vec<ImageElement>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageElement {
    image_id: String,
    image_location: String,
    image_state: &'static str,
    image_owner_id: String,
    creation_date: Time,
    is_public: bool,
    architecture: &'static str,
    image_type: &'static str,
    platform_details: &'static str,
    usage_operation: &'static str,
    name: String,
    description: Option<String>,
    root_device_type: &'static str,
    root_device_name: String,
    block_device_mapping: Vec<DeviceElement>,
    virtualization_type: &'static str,
    hypervisor: &'static str,
    ena_support: bool,
    imds_support: Option<ImdsSupport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tag_set: Vec<TagElement>,
}

/// A block device of an image.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeviceElement {
    device_name: String,
    ebs: SnapshotElement,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SnapshotElement {
    snapshot_id: String,
    delete_on_termination: bool,
}

/// The block devices of an image that are made from snapshots.
pub(crate) fn devices(image: &Image) -> Vec<DeviceElement> {
    let element = |(device, snapshot): (&Line, &Line)| DeviceElement {
        device_name: device.to_string(),
        ebs: SnapshotElement { snapshot_id: snapshot.to_string(), delete_on_termination: true },
    };
    image.snapshots.iter().map(element).collect()
}

impl From<Item> for ImageElement {
    fn from(Item { image, tags }: Item) -> Self {
        Self {
            image_id: image.id.to_string(),
            image_location: format!("{}/{}", image.owner_id, image.name),
            image_state: AVAILABLE,
            image_owner_id: image.owner_id.to_string(),
            creation_date: Time(image.created),
            is_public: false,
            architecture: image.architecture.as_str(),
            image_type: MACHINE,
            platform_details: PLATFORM,
            usage_operation: "RunInstances",
            name: image.name.to_string(),
            description: image.description.as_ref().map(ToString::to_string),
            root_device_type: EBS,
            root_device_name: image.root_device_name.to_string(),
            block_device_mapping: devices(&image),
            virtualization_type: HVM,
            hypervisor: XEN,
            ena_support: true,
            imds_support: image.imds_support,
            tag_set: tag_elements(&tags),
        }
    }
}

// What all images have in common. Nothing of it matters outside EC2.
const AVAILABLE: &str = "available";
const EBS: &str = "ebs";
const HVM: &str = "hvm";
const MACHINE: &str = "machine";
const PLATFORM: &str = "Linux/UNIX";
const XEN: &str = "xen";

/// Reads an image id.
///
/// # Errors
///
/// `InvalidAMIID.Malformed`.
pub(crate) fn parse_image_id(text: &str) -> Result<AmiId, ApiFault> {
    text.parse().map_err(|_| ApiFault::malformed_image_id(text))
}

/// Finds an image.
///
/// # Errors
///
/// `InvalidAMIID.Malformed` or `InvalidAMIID.NotFound`.
pub(crate) fn find_image(
    snapshot: &Snapshot,
    scope: &Scope,
    text: &str,
) -> Result<Image, ApiFault> {
    let found = Inventory::new(snapshot, scope).image(parse_image_id(text)?);
    found.ok_or_else(|| ApiFault::image_not_found(text))
}

/// Finds an image that is to be changed, which its owner alone may do.
///
/// # Errors
///
/// As [`find_image`], and `AuthFailure` for one of another account.
pub(crate) fn find_own(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    text: &str,
) -> Result<Image, ApiFault> {
    let image = find_image(snapshot, &desk.scope, text)?;
    if image.owner_id == desk.caller.account_id {
        Ok(image)
    } else {
        Err(ApiFault::new("AuthFailure", 401, format!("Not authorized for image:{}", image.id)))
    }
}

/// Keeps an image, also one that was built in.
pub(crate) fn put(desk: &Desk<'_>, image: Image) -> Change {
    desk.put(Resource::Image(image))
}

impl Action for DescribeImages {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let ids: Vec<AmiId> =
            self.image_id.iter().map(|text| parse_image_id(text)).collect::<Result<_, _>>()?;
        let filters = Filters::new(self.filter, &filters())?;
        let token = self.next_token.as_deref();
        let pager = Pager::new("DescribeImages", BOUNDS, self.max_results, token)?;
        let snapshot = desk.store.snapshot();
        let inventory = Inventory::new(&snapshot, &desk.scope);
        let unknown = ids.iter().filter(|id| inventory.image(**id).is_none());
        let missing: Vec<_> = unknown.map(ToString::to_string).collect();
        if !missing.is_empty() {
            return Err(ApiFault::images_not_found(&missing));
        }
        let (owners, users) = (&self.owner, &self.executable_by);
        let items = inventory
            .images()
            .filter(|image| ids.is_empty() || ids.contains(&image.id))
            .filter(|image| owners.is_empty() || owners.iter().any(|of| is_of(desk, image, of)))
            .filter(|image| users.is_empty() || users.iter().any(|by| is_shared(desk, image, by)))
            .map(|image| Item { tags: tags::of(&snapshot, &desk.scope, &image.id.text()).clone(), image })
            .filter(|item| filters.admit(item));
        let Page { items, next_token } = pager.select(items.map(|item| (item.image.id, item)));
        let images_set = items.into_iter().map(ImageElement::from).collect();
        Ok(Answer::of(DescribeImagesAnswer { images_set, next_token }))
    }
}

/// Whether an image has this owner: an account, or `self`. Aliases such as `amazon` have none here.
fn is_of(desk: &Desk<'_>, image: &Image, owner: &str) -> bool {
    image.owner_id.as_str() == account(desk, owner)
}

/// EC2: whether an image of somebody else is shared with this account. The owner's own are not
/// shared with the owner, and none is shared with `all`.
fn is_shared(desk: &Desk<'_>, image: &Image, user: &str) -> bool {
    let caller = desk.caller.account_id;
    image.owner_id != caller && account(desk, user) == caller.as_str()
}

fn account<'t>(desk: &'t Desk<'_>, text: &'t str) -> &'t str {
    if text == "self" { desk.caller.account_id.as_str() } else { text }
}

/// What filters look at.
struct Item {
    image: Image,
    tags: tags::Tags,
}

fn filters() -> Vec<Known<Item>> {
    vec![
        Known::tags(|item| {
            item.tags.iter().map(|(key, value)| (key.as_str(), &**value)).collect()
        }),
        Known::new("architecture", |item| item.image.architecture.as_str().into()),
        Known::new("block-device-mapping.device-name", |item| {
            item.image.snapshots.keys().map(|device| &**device).collect()
        }),
        Known::new("block-device-mapping.snapshot-id", |item| {
            item.image.snapshots.values().map(|snapshot| &**snapshot).collect()
        }),
        Known::new("creation-date", |item| {
            Values::shown(&written_time(item.image.created, Dialect::Ec2))
        }),
        Known::new("description", |item| item.image.description.as_deref().into()),
        Known::new("ena-support", |_| "true".into()),
        Known::new("hypervisor", |_| XEN.into()),
        Known::new("image-id", |item| Values::shown(&item.image.id)),
        Known::new("image-type", |_| MACHINE.into()),
        Known::new("is-public", |_| "false".into()),
        Known::new("name", |item| (&*item.image.name).into()),
        // EC2: those of Amazon and of the marketplace have one.
        Known::new("owner-alias", |_| Values::None),
        Known::new("owner-id", |item| item.image.owner_id.as_str().into()),
        // EC2: `windows`, or nothing.
        Known::new("platform", |_| Values::None),
        Known::new("platform-details", |_| PLATFORM.into()),
        Known::new("root-device-name", |item| (&*item.image.root_device_name).into()),
        Known::new("root-device-type", |_| EBS.into()),
        Known::new("state", |_| AVAILABLE.into()),
        Known::new("virtualization-type", |_| HVM.into()),
    ]
}

#[cfg(test)]
mod tests;
