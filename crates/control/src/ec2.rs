//! The EC2 API.
//!
//! Each action is declared in one place: a type that is its request, with what the form may hold;
//! [`Action::act`], which plans and commits; and the types of its answer. To add one, write it and
//! name it in [`actions`].
//!
//! ```text
//! Arrival ─ read ─▶ request ─ authorize ─▶ DryRun? ─▶ act ─▶ Answer
//!                                                      │ transact: plan(&Snapshot) ─▶ changes
//!                                                      ▼
//!                                            durable, and in force on the data plane
//! ```
//!
//! The order of checks is that of the control plane, 1.9: signature, form and required parameters,
//! authorization, dry run, then what is asked for.

mod client_token;
mod instance_element;
mod instances;
mod interface_element;
mod inventory;
pub(crate) mod launch;
pub(crate) mod launch_parameters;
mod launch_template_data;
mod limits;
#[cfg(test)]
mod model_test;
#[cfg(test)]
pub(crate) mod site;
mod text;

use std::sync::Arc;

use model::{Generation, Instance, InstanceRefusal, Resource, Scope, Timestamp};
use serde::de::DeserializeOwned;
use store::{Change, Origin, Snapshot, Store, TransactFault};

use crate::api::form::Tree;
use crate::api::route::{Arrival, Service, unknown_action};
use crate::api::{Answer, ApiFault};
use crate::caller::Caller;
use crate::native::Surroundings;

/// What one request is handled with.
pub(crate) struct Desk<'a> {
    pub(crate) store: &'a Store,
    pub(crate) surroundings: &'a dyn Surroundings,
    pub(crate) caller: Caller,
    /// The caller's account, in the region that the request was signed for.
    pub(crate) scope: Scope,
    pub(crate) now: Timestamp,
    /// The parameters of the request.
    pub(crate) parameters: &'a Tree,
}

/// An action of the EC2 API: the type is its request.
pub(crate) trait Action: DeserializeOwned {
    /// Sees that the form holds what is required, as far as its type does not say so.
    ///
    /// # Errors
    ///
    /// `MissingParameter`.
    fn check_form(&self) -> Result<(), ApiFault> {
        Ok(())
    }

    /// Plans what is asked for, commits it, and says what it came to.
    ///
    /// # Errors
    ///
    /// [`ApiFault`]; then nothing has changed.
    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault>;
}

/// Does what is asked.
///
/// # Errors
///
/// [`ApiFault`]; then nothing has changed.
pub(crate) fn answer(arrival: &Arrival, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
    actions(arrival, desk).unwrap_or_else(|| Err(unknown_action(&arrival.route)))
}

macro_rules! actions {
    ($($module:ident: $($action:ident),+;)+) => {
        $( pub(crate) mod $module; )+

        /// Every action. None if there is no such.
        fn actions(arrival: &Arrival, desk: &Desk<'_>) -> Option<Result<Answer, ApiFault>> {
            match arrival.route.action.as_str() {
                $( $( stringify!($action) => Some(run::<$module::$action>(arrival, desk)), )+ )+
                _ => None,
            }
        }

        /// The names of all of them.
        #[cfg(test)]
        const ACTIONS: &[&str] = &[$( $( stringify!($action), )+ )+];
    };
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

fn run<A: Action>(arrival: &Arrival, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
    let request: A = arrival.parameters.read(Service::Ec2.dialect())?;
    request.check_form()?;
    if arrival.common.dry_run {
        return Err(ApiFault::dry_run());
    }
    request.act(desk)
}

impl Desk<'_> {
    /// Makes what is planned durable, and waits until the data plane has it in force.
    ///
    /// # Errors
    ///
    /// What the plan refuses, or that the change could not be stored. Nothing has changed then.
    pub(crate) fn transact<T>(
        &self,
        plan: impl FnOnce(&Snapshot) -> Result<(Vec<Change>, T), ApiFault>,
    ) -> Result<T, ApiFault> {
        let plan = |snapshot: &Snapshot| {
            let (changes, outcome) = plan(snapshot)?;
            limits::check(snapshot, &self.scope, &changes)?;
            Ok((changes, outcome))
        };
        let outcome = self.store.transact(plan).map_err(|fault| self.fault_of(fault))?;
        // Where it takes long, it is pending for longer: what was stored is not undone.
        let _ = self.surroundings.settles(self.store.current().generation());
        Ok(outcome)
    }

    fn fault_of(&self, fault: TransactFault<ApiFault>) -> ApiFault {
        match fault {
            TransactFault::Plan(fault) => fault,
            TransactFault::Attachment(taken) => {
                ApiFault::invalid_parameter_value(taken.to_string())
            }
            TransactFault::Instance(refusal) => instance_fault(&refusal),
            TransactFault::Backend(fault) => {
                self.surroundings.tell_unstored(&fault.to_string());
                ApiFault::internal()
            }
        }
    }

    /// Keeps a resource of the caller's scope.
    pub(crate) fn put(&self, resource: Resource) -> Change {
        Change::PutResource(self.scope.clone(), Arc::new(resource))
    }

    /// Returns a number that has not been used before.
    pub(crate) fn fresh_number(&self) -> Result<u128, ApiFault> {
        self.surroundings.fresh_number().map_err(|_| ApiFault::internal())
    }

    /// The newest generation that the data plane has in force.
    pub(crate) fn in_force(&self) -> Generation {
        self.surroundings.in_force()
    }
}

/// Keeps an instance, wherever it was described.
pub(crate) fn put(snapshot: &Snapshot, instance: Instance) -> Change {
    let origin = snapshot.origin(instance.id).unwrap_or(Origin::Api);
    Change::PutInstance(Arc::new(instance), origin)
}

/// Says what EC2 says of an instance whose fields do not go together (control plane, 2.4).
fn instance_fault(refusal: &InstanceRefusal) -> ApiFault {
    match refusal {
        InstanceRefusal::TagNotPathSafe { key, .. } => ApiFault::invalid_parameter_value(format!(
            "'{key}' is not a valid tag key. Tag keys must match pattern \
             ([0-9a-zA-Z\\\\-_+=,.@:]{{1,255}}), and must not be a reserved name ('.', '..', \
             '_index')"
        )),
        InstanceRefusal::TooManyTags(_) => ApiFault::tag_limit_exceeded(),
        InstanceRefusal::BlockDevice { .. }
        | InstanceRefusal::NoInterface(_)
        | InstanceRefusal::NoPrimaryInterface(_)
        | InstanceRefusal::TagValueTooLong { .. }
        | InstanceRefusal::TooManyAttachments(_)
        | InstanceRefusal::TwinAttachments { .. }
        | InstanceRefusal::TwinInterfaces { .. } => {
            ApiFault::invalid_parameter_value(refusal.to_string())
        }
    }
}

#[cfg(test)]
mod tests;
