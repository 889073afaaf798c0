//! The EC2 API.
//!
//! Each action is declared in one place: a type that is its request, with what the form may hold;
//! [`Action::act`], which plans and commits; and the types of its answer. To add one, write it and
//! name it in [`actions!`].
//!
//! What all actions have in common, and the order of checks, is in [`action`](crate::action).

pub(crate) mod asked;
mod client_token;
mod instance_element;
mod instances;
mod interface_element;
mod inventory;
pub(crate) mod launch;
pub(crate) mod launch_parameters;
mod launch_template_data;
pub(crate) mod limits;
#[cfg(test)]
mod model_test;
#[cfg(test)]
pub(crate) mod site;
mod text;

use std::sync::Arc;

use model::Instance;
use store::{Change, Origin, Snapshot};

use crate::action::actions;
pub(crate) use crate::action::{Action, Desk};
use crate::api::route::{Arrival, unknown_action};
use crate::api::{Answer, ApiFault};

/// Does what is asked.
///
/// # Errors
///
/// [`ApiFault`]; then nothing has changed.
pub(crate) fn answer<'a>(arrival: &'a Arrival, desk: &Desk<'a>) -> Result<Answer, ApiFault> {
    actions(arrival, desk).unwrap_or_else(|| Err(unknown_action(&arrival.route)))
}

actions! {
    attributes: DescribeInstanceAttribute;
    describe_instances: DescribeInstances;
    describe_launch_template_versions: DescribeLaunchTemplateVersions;
    describe_tags: DescribeTags;
    image_attributes: DescribeImageAttribute, ModifyImageAttribute;
    image_registration: CreateImage, DeregisterImage, RegisterImage;
    images: DescribeImages;
    instance_profiles: AssociateIamInstanceProfile, DescribeIamInstanceProfileAssociations,
        DisassociateIamInstanceProfile, ReplaceIamInstanceProfileAssociation;
    key_pairs: DeleteKeyPair, DescribeKeyPairs, ImportKeyPair;
    launch_template_versions: CreateLaunchTemplateVersion, DeleteLaunchTemplateVersions;
    launch_templates:
        CreateLaunchTemplate,
        DeleteLaunchTemplate,
        DescribeLaunchTemplates,
        ModifyLaunchTemplate;
    metadata_defaults: GetInstanceMetadataDefaults, ModifyInstanceMetadataDefaults;
    metadata_options: ModifyInstanceMetadataOptions;
    modify_attribute: ModifyInstanceAttribute, ResetInstanceAttribute;
    network_interfaces: DescribeNetworkInterfaces;
    networks: DescribeSubnets, DescribeVpcs;
    regions: DescribeAvailabilityZones, DescribeRegions;
    run_instances: RunInstances;
    security_groups: DescribeSecurityGroups;
    state_changes: RebootInstances, StartInstances, StopInstances, TerminateInstances;
    status: DescribeInstanceStatus, MonitorInstances, UnmonitorInstances;
    tags: CreateTags, DeleteTags;
}

/// Keeps an instance, wherever it was described.
pub(crate) fn put(snapshot: &Snapshot, instance: Instance) -> Change {
    let origin = snapshot.origin(instance.id).unwrap_or(Origin::Api);
    Change::PutInstance(Arc::new(instance), origin)
}

#[cfg(test)]
mod tests;
