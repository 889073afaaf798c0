//! Instance profiles, and the associations that give them to instances (control plane, 4.6).

use model::{InstanceProfile, RoleName, Scope};
use store::Snapshot;

use super::launch_parameters::ProfileParameter;
use crate::api::ApiFault;

/// Reads which profile is meant: a name, or an ARN of the caller's account.
///
/// # Errors
///
/// `MissingParameter` or `InvalidParameterValue`; `parameter` names it in them.
pub(crate) fn parse_profile(
    scope: &Scope,
    parameter: &ProfileParameter,
    name: &str,
) -> Result<RoleName, ApiFault> {
    match (&parameter.name, &parameter.arn) {
        (Some(text), None) => text.parse().map_err(|_| no_such_name(text, name)),
        (None, Some(arn)) => {
            let prefix = format!(
                "arn:{}:iam::{}:instance-profile/",
                scope.region.partition(),
                scope.account_id
            );
            // What stands between is a path.
            let found = arn.strip_prefix(&prefix).and_then(|rest| rest.rsplit('/').next());
            let found = found.and_then(|found| found.parse().ok());
            found.ok_or_else(|| no_such_arn(arn, name))
        }
        (None, None) => Err(ApiFault::missing_parameter(name)),
        (Some(_), Some(_)) => Err(ApiFault::invalid_parameter_combination(
            "The parameter 'iamInstanceProfile.name' may not be used in combination with \
             'iamInstanceProfile.arn'",
        )),
    }
}

/// Finds a profile.
///
/// # Errors
///
/// `InvalidParameterValue` if there is none.
pub(crate) fn find_profile(
    snapshot: &Snapshot,
    name: &RoleName,
    parameter: &str,
) -> Result<InstanceProfile, ApiFault> {
    match snapshot.role(name) {
        Some(_) => Ok(InstanceProfile::of_role(name.clone())),
        None => Err(no_such_name(name.as_str(), parameter)),
    }
}

fn no_such_name(text: &str, parameter: &str) -> ApiFault {
    let reason = "Invalid IAM Instance Profile name";
    ApiFault::invalid_value_for(text, &format!("{parameter}.name"), reason)
}

fn no_such_arn(text: &str, parameter: &str) -> ApiFault {
    let reason = "Invalid IAM Instance Profile ARN";
    ApiFault::invalid_value_for(text, &format!("{parameter}.arn"), reason)
}
