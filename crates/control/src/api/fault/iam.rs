//! Faults of IAM. The codes and statuses are those of its model (control plane, 7); the texts are those
//! that IAM is known to give, where nothing else is said.

use std::fmt::Display;

use model::{IamKey, IamKind};

use super::{ApiFault, echo};

impl ApiFault {
    /// What is named is not there.
    pub fn no_such_entity(message: impl Into<String>) -> Self {
        Self::new("NoSuchEntity", 404, message)
    }

    /// What is named is not there, in the words for its kind.
    pub fn not_kept(key: &IamKey) -> Self {
        let name = &key.name;
        Self::no_such_entity(match key.kind {
            IamKind::Group => format!("The group with name {name} cannot be found."),
            IamKind::InstanceProfile => format!("Instance Profile {name} cannot be found."),
            IamKind::Policy => format!("Policy {name} was not found."),
            IamKind::Role => format!("The role with name {name} cannot be found."),
            IamKind::User => format!("The user with name {name} cannot be found."),
        })
    }

    /// No managed policy has the ARN.
    pub fn policy_not_found(arn: &str) -> Self {
        Self::no_such_entity(format!("Policy {} was not found.", echo(arn)))
    }

    /// No managed policy has the ARN, so it cannot be attached.
    pub fn policy_not_attachable(arn: &str) -> Self {
        let arn = echo(arn);
        Self::no_such_entity(format!("Policy {arn} does not exist or is not attachable."))
    }

    /// The managed policy has no such version.
    pub fn policy_version_not_found(arn: &str, version: &str) -> Self {
        let (arn, version) = (echo(arn), echo(version));
        Self::no_such_entity(format!(
            "Policy {arn} version {version} does not exist or is not attachable."
        ))
    }

    /// The name is taken, whatever the case of its letters.
    pub fn entity_already_exists(key: &IamKey) -> Self {
        let name = &key.name;
        let message = match key.kind {
            IamKind::Group => format!("Group with name {name} already exists."),
            IamKind::InstanceProfile => format!("Instance Profile {name} already exists."),
            IamKind::Policy => {
                format!("A policy called {name} already exists. Duplicate names are not allowed.")
            }
            IamKind::Role => format!("Role with name {name} already exists."),
            IamKind::User => format!("User with name {name} already exists."),
        };
        Self::new("EntityAlreadyExists", 409, message)
    }

    /// Something needs what is to go.
    pub fn delete_conflict(message: impl Into<String>) -> Self {
        Self::new("DeleteConflict", 409, message)
    }

    /// More than there may be.
    pub fn limit_exceeded(message: impl Into<String>) -> Self {
        Self::new("LimitExceeded", 409, message)
    }

    /// More than there may be, by the name of the quota.
    pub fn quota_exceeded(quota: &str, most: impl Display) -> Self {
        Self::limit_exceeded(format!("Cannot exceed quota for {quota}: {most}"))
    }

    /// A value that cannot be.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::bad("InvalidInput", message)
    }

    /// A parameter that is not as its model wants it.
    pub fn validation_error(message: impl Into<String>) -> Self {
        Self::bad("ValidationError", message)
    }

    /// A document that is no policy.
    pub fn malformed_policy_document(refusal: &policy::DocumentRefusal) -> Self {
        Self::bad("MalformedPolicyDocument", refusal.to_string())
    }

    /// What requests cannot change. IAM says it of what services made; the text is a choice.
    pub fn unmodifiable_entity(message: impl Into<String>) -> Self {
        Self::bad("UnmodifiableEntity", message)
    }

    /// A user is meant who is not named, and the caller is none.
    pub fn user_not_named() -> Self {
        Self::validation_error("Must specify userName when calling with non-User credentials")
    }
}
