//! Faults about instances and what belongs to them.

use super::{ApiFault, echo, echo_ids};

impl ApiFault {
    /// An instance id that is none. Seen: hexadecimal digits of another number than 8 or 17 are
    /// `malformed`, all else is an invalid id.
    pub fn malformed_instance_id(id: &str) -> Self {
        let digits = id.strip_prefix("i-").filter(|digits| !digits.is_empty());
        let is_hexadecimal = digits.is_some_and(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let shown = echo(id);
        let message = if is_hexadecimal {
            format!("The instance ID '{shown}' is malformed")
        } else {
            format!("Invalid id: \"{shown}\"")
        };
        Self::bad("InvalidInstanceID.Malformed", message)
    }

    /// Instances that are not there. Seen with one of them; the text for several is a choice.
    pub fn instances_not_found(ids: &[impl AsRef<str>]) -> Self {
        let shown = echo_ids(ids);
        let message = match ids {
            [_] => format!("The instance ID '{shown}' does not exist"),
            _ => format!("The instance IDs '{shown}' do not exist"),
        };
        Self::bad("InvalidInstanceID.NotFound", message)
    }

    /// An instance that is not there.
    pub fn instance_not_found(id: &str) -> Self {
        Self::instances_not_found(&[id])
    }

    /// A resource id that is none: `code` is that of its kind, such as `InvalidSubnetID.Malformed`.
    /// EC2 documents the code for images; the text is a choice.
    pub fn malformed_id(code: &'static str, id: &str, prefix: &str) -> Self {
        Self::bad(code, format!("Invalid id: \"{}\" (expecting \"{prefix}...\")", echo(id)))
    }

    /// An image id that is none.
    pub fn malformed_image_id(id: &str) -> Self {
        Self::malformed_id("InvalidAMIID.Malformed", id, "ami-")
    }

    /// Images that are not there. Seen, square brackets included.
    pub fn images_not_found(ids: &[impl AsRef<str>]) -> Self {
        let shown = echo_ids(ids);
        let message = match ids {
            [_] => format!("The image id '[{shown}]' does not exist"),
            _ => format!("The image ids '[{shown}]' do not exist"),
        };
        Self::bad("InvalidAMIID.NotFound", message)
    }

    /// An image that is not there.
    pub fn image_not_found(id: &str) -> Self {
        Self::images_not_found(&[id])
    }

    /// A key pair that is not there. EC2 documents the code; the text is a choice.
    pub fn key_pair_not_found(name: &str) -> Self {
        let name = echo(name);
        Self::bad("InvalidKeyPair.NotFound", format!("The key pair '{name}' does not exist"))
    }

    /// A subnet id that is none.
    pub fn malformed_subnet_id(id: &str) -> Self {
        Self::malformed_id("InvalidSubnetID.Malformed", id, "subnet-")
    }

    /// A subnet that is not there. EC2 documents the code; the text is a choice.
    pub fn subnet_not_found(id: &str) -> Self {
        let id = echo(id);
        Self::bad("InvalidSubnetID.NotFound", format!("The subnet ID '{id}' does not exist"))
    }

    /// A security group id that is none.
    pub fn malformed_group_id(id: &str) -> Self {
        Self::malformed_id("InvalidGroupId.Malformed", id, "sg-")
    }

    /// A security group that is not there. EC2 documents the code; the text is a choice.
    pub fn group_not_found(id: &str) -> Self {
        let id = echo(id);
        Self::bad("InvalidGroup.NotFound", format!("The security group '{id}' does not exist"))
    }

    /// The resource of a tag that is none, or of a kind that has no tags. EC2 documents the code.
    pub fn invalid_resource_id(id: &str) -> Self {
        Self::bad("InvalidID", format!("The ID '{}' is not valid", echo(id)))
    }

    /// An instance in the wrong state: `participle` is `stopped`, `started` and so on. Seen with
    /// `stopped`.
    pub fn incorrect_instance_state(id: &str, participle: &str) -> Self {
        let id = echo(id);
        Self::bad(
            "IncorrectInstanceState",
            format!("This instance '{id}' is not in a state from which it can be {participle}."),
        )
    }

    /// A second instance profile. Seen.
    pub fn association_exists(instance: &str) -> Self {
        let instance = echo(instance);
        Self::incorrect_state(format!("There is an existing association for instance {instance}"))
    }

    /// Anything else that is not in a state for this. EC2 documents the code.
    pub fn incorrect_state(message: impl Into<String>) -> Self {
        Self::bad("IncorrectState", message)
    }

    /// An association that is not there. Known from other associations (control plane, 4.6).
    pub fn association_not_found(id: &str) -> Self {
        let id = echo(id);
        Self::bad(
            "InvalidAssociationID.NotFound",
            format!("The association ID '{id}' does not exist"),
        )
    }

    /// Termination protection. Seen.
    pub fn termination_protected(instance: &str) -> Self {
        let id = echo(instance);
        Self::operation_not_permitted(format!(
            "The instance '{id}' may not be terminated. Modify its 'disableApiTermination' \
             instance attribute and try again."
        ))
    }
}

/// Faults of launch templates. EC2 documents the codes (control plane, 4.8); the texts are choices.
impl ApiFault {
    /// The name is taken.
    pub fn launch_template_name_exists(name: &str) -> Self {
        Self::bad(
            "InvalidLaunchTemplateName.AlreadyExistsException",
            format!("Launch template name already in use: '{}'", echo(name)),
        )
    }

    /// The name is none.
    pub fn launch_template_name_malformed(name: &str) -> Self {
        Self::bad(
            "InvalidLaunchTemplateName.MalformedException",
            format!(
                "The launch template name '{}' is not valid: use 3 to 128 letters, digits and \
                 ( ) . - / _",
                echo(name)
            ),
        )
    }

    /// No template has the name.
    pub fn launch_template_name_not_found(name: &str) -> Self {
        Self::bad(
            "InvalidLaunchTemplateName.NotFoundException",
            format!("The launch template with name '{}' does not exist", echo(name)),
        )
    }

    /// The id is none.
    pub fn launch_template_id_malformed(id: &str) -> Self {
        Self::malformed_id("InvalidLaunchTemplateId.Malformed", id, "lt-")
    }

    /// No template has the id.
    pub fn launch_template_id_not_found(id: &str) -> Self {
        Self::bad(
            "InvalidLaunchTemplateId.NotFound",
            format!("The launch template with ID '{}' does not exist", echo(id)),
        )
    }

    /// The template does not have the version; `template` is its id or name.
    pub fn launch_template_version_not_found(template: &str, version: &str) -> Self {
        Self::bad(
            "InvalidLaunchTemplateId.VersionNotFound",
            format!(
                "Could not find launch template version '{}' of launch template '{}'",
                echo(version),
                echo(template)
            ),
        )
    }
}
