//! Faults about an organization. All have status 400.

use super::{ApiFault, echo};

macro_rules! faults {
    ($( $(#[$doc:meta])* $name:ident: $code:literal, $text:literal; )+) => {
        impl ApiFault {
            $(
                $(#[$doc])*
                pub fn $name() -> Self {
                    Self::bad($code, $text)
                }
            )+
        }
    };
}

// The codes are those of the API's model, the texts choices after its descriptions.
faults! {
    /// Only the management account may.
    no_management_account: "AccessDeniedException",
        "You don't have permissions to access this resource.";
    /// An account that is no member.
    account_not_found: "AccountNotFoundException",
        "You specified an account that doesn't exist.";
    /// The caller's account has an organization already.
    already_in_organization: "AlreadyInOrganizationException",
        "The AWS account is already a member of an organization.";
    /// There is no organization, or the caller's account is no member.
    organization_not_in_use: "AWSOrganizationsNotInUseException",
        "Your account is not a member of an organization.";
    /// A unit or an account that is not there.
    child_not_found: "ChildNotFoundException",
        "You specified an organizational unit or an account that doesn't exist.";
    /// A request for an account that is not known.
    account_request_not_found: "CreateAccountStatusNotFoundException",
        "You specified a create account request that doesn't exist.";
    /// Where an account is to be moved to.
    destination_not_found: "DestinationParentNotFoundException",
        "You specified a destination root or organizational unit that doesn't exist.";
    /// The account is there already.
    duplicate_account: "DuplicateAccountException",
        "The account is already in the destination that you specified.";
    /// Another unit of the same parent has the name.
    duplicate_unit: "DuplicateOrganizationalUnitException",
        "An organizational unit with the same name exists already below the parent.";
    /// Another policy of the type has the name.
    duplicate_policy: "DuplicatePolicyException",
        "A policy with the same name exists already.";
    /// The policy is attached already.
    duplicate_attachment: "DuplicatePolicyAttachmentException",
        "The policy is already attached to the target that you specified.";
    /// No policy of the type is in force for the account.
    effective_policy_not_found: "EffectivePolicyNotFoundException",
        "There is no effective policy of this type for the account that you specified.";
    /// The management account stays.
    management_account_stays: "MasterCannotLeaveOrganizationException",
        "You can't remove the management account from its organization.";
    /// Accounts are left in the organization.
    organization_not_empty: "OrganizationNotEmptyException",
        "The organization still has member accounts. Remove them first.";
    /// A unit that is not there.
    unit_not_found: "OrganizationalUnitNotFoundException",
        "You specified an organizational unit that doesn't exist.";
    /// Something is left in the unit.
    unit_not_empty: "OrganizationalUnitNotEmptyException",
        "The organizational unit isn't empty. Move all accounts and delete all units in it first.";
    /// A parent that is not there.
    parent_not_found: "ParentNotFoundException",
        "You specified a root or organizational unit that doesn't exist.";
    /// The policy is attached somewhere.
    policy_in_use: "PolicyInUseException",
        "The policy is attached to one or more targets. Detach it from all of them first.";
    /// The policy is not attached there.
    policy_not_attached: "PolicyNotAttachedException",
        "The policy isn't attached to the target that you specified.";
    /// A policy that is not there.
    control_policy_not_found: "PolicyNotFoundException",
        "You specified a policy that doesn't exist.";
    /// The type is enabled already.
    policy_type_already_enabled: "PolicyTypeAlreadyEnabledException",
        "The policy type is already enabled in the root that you specified.";
    /// The type is not enabled.
    policy_type_not_enabled: "PolicyTypeNotEnabledException",
        "The policy type isn't enabled in the root. Enable it first.";
    /// Another root than that of the organization.
    root_not_found: "RootNotFoundException",
        "You specified a root that doesn't exist.";
    /// Where an account is to be moved from.
    source_not_found: "SourceParentNotFoundException",
        "You specified a source root or organizational unit that the account isn't in.";
    /// A target that is not there.
    target_not_found: "TargetNotFoundException",
        "You specified a target that doesn't exist.";
}

impl ApiFault {
    /// Another account has made an organization. AWS has many, a server one; code and text are choices.
    pub fn organization_of_others(id: &str) -> Self {
        let id = echo(id);
        Self::bad(
            "ConstraintViolationException",
            format!("There is one organization, {id}, and another account manages it."),
        )
    }

    /// The config file describes the policy: what is said of it here would not last. Code and text are
    /// choices.
    pub fn policy_of_config(id: &str) -> Self {
        Self::bad(
            "ConstraintViolationException",
            format!("The config file describes the policy {id}: change it and its targets there."),
        )
    }

    /// The config file describes it, and would at the next start. Code and text are choices.
    pub fn organization_of_config() -> Self {
        Self::bad(
            "ConstraintViolationException",
            "The config file describes the organization: take it out of there.",
        )
    }

    /// Organizations: a document that cannot be read, or is of no use. The text says where.
    pub fn malformed_policy_document_exception(message: impl Into<String>) -> Self {
        Self::bad("MalformedPolicyDocumentException", message)
    }

    /// Organizations: a parameter that does not do; `reason` is one of the API's.
    pub fn invalid_input_exception(reason: &'static str, message: impl AsRef<str>) -> Self {
        let message = echo(message.as_ref());
        let fault = Self::bad("InvalidInputException", format!("Invalid input: {message}"));
        Self { reason: Some(reason), ..fault }
    }

    /// Organizations: more, or fewer, than there may be; `reason` is one of the API's.
    pub fn constraint_violation(reason: &'static str, message: impl Into<String>) -> Self {
        let fault = Self::bad("ConstraintViolationException", message);
        Self { reason: Some(reason), ..fault }
    }
}
