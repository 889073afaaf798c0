//! Finding instances by the ids of a request.

use std::sync::Arc;

use model::{Instance, InstanceId, Scope};
use store::Snapshot;

use crate::api::ApiFault;

/// Reads an instance id.
///
/// # Errors
///
/// `InvalidInstanceID.Malformed`.
pub(crate) fn parse_instance_id(text: &str) -> Result<InstanceId, ApiFault> {
    text.parse().map_err(|_| ApiFault::malformed_instance_id(text))
}

/// Reads several, each once, in order.
///
/// # Errors
///
/// `InvalidInstanceID.Malformed` for the first that is none.
pub(crate) fn parse_instance_ids(texts: &[String]) -> Result<Vec<InstanceId>, ApiFault> {
    let mut ids = Vec::new();
    for text in texts {
        let id = parse_instance_id(text)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// Reads which instances are to be described: those of these ids, or all if there is none. EC2: what
/// is named comes in one answer.
///
/// # Errors
///
/// As [`parse_instance_ids`], and `InvalidParameterCombination` for a page of named ones.
pub(crate) fn parse_described(
    texts: &[String],
    max_results: Option<i64>,
) -> Result<Vec<InstanceId>, ApiFault> {
    let ids = parse_instance_ids(texts)?;
    if !ids.is_empty() && max_results.is_some() {
        return Err(ApiFault::invalid_parameter_combination(
            "The parameter instancesSet cannot be used with the parameter maxResults",
        ));
    }
    Ok(ids)
}

/// Returns the instances of the scope, those that are gone among them.
pub(crate) fn all<'s>(
    snapshot: &'s Snapshot,
    scope: &'s Scope,
) -> impl Iterator<Item = &'s Instance> {
    let living = snapshot.instances().map(|(instance, _)| &**instance);
    let living = living.filter(|instance| instance.is_in(scope));
    living.chain(snapshot.terminated_instances(scope).map(|instance| &**instance))
}

/// Finds an instance of the scope that is not gone.
///
/// # Errors
///
/// `InvalidInstanceID.NotFound`, or `IncorrectInstanceState` for one that is gone.
pub(crate) fn find_instance<'s>(
    snapshot: &'s Snapshot,
    scope: &Scope,
    id: InstanceId,
) -> Result<&'s Arc<Instance>, ApiFault> {
    let found = snapshot.instance(id).filter(|instance| instance.is_in(scope));
    found.ok_or_else(|| {
        if snapshot.terminated_instance(scope, id).is_some() {
            ApiFault::incorrect_instance_state(&id.text(), "modified")
        } else {
            ApiFault::instance_not_found(&id.text())
        }
    })
}

/// Finds instances of the scope, those that are gone among them.
///
/// # Errors
///
/// `InvalidInstanceID.NotFound` with all that are not there.
pub(crate) fn find_all<'s>(
    snapshot: &'s Snapshot,
    scope: &Scope,
    ids: &[InstanceId],
) -> Result<Vec<&'s Instance>, ApiFault> {
    let find = |id: &InstanceId| {
        let living = snapshot.instance(*id).filter(|instance| instance.is_in(scope));
        let gone = || snapshot.terminated_instance(scope, *id).map(|instance| &**instance);
        living.map(|instance| &**instance).or_else(gone)
    };
    let missing: Vec<_> =
        ids.iter().filter(|id| find(id).is_none()).map(ToString::to_string).collect();
    if missing.is_empty() {
        Ok(ids.iter().filter_map(find).collect())
    } else {
        Err(ApiFault::instances_not_found(&missing))
    }
}
