//! Instance attributes (control plane, 4.5).

use model::ShutdownBehavior;

use crate::api::ApiFault;

/// Reads what becomes of an instance that shuts itself down.
///
/// # Errors
///
/// `InvalidParameterValue`.
pub(crate) fn parse_shutdown_behavior(text: &str) -> Result<ShutdownBehavior, ApiFault> {
    let name = "InstanceInitiatedShutdownBehavior";
    text.parse().map_err(|_| ApiFault::not_one_of(text, name, &["stop", "terminate"]))
}
