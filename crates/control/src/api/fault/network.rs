//! Faults about networks, volumes and key pairs. EC2 documents the codes; the texts are those that
//! were seen of EC2 or of programs that follow it closely.

use super::{ApiFault, echo};

impl ApiFault {
    /// A VPC id that is none.
    pub fn malformed_vpc_id(id: &str) -> Self {
        Self::malformed_id("InvalidVpcID.Malformed", id, "vpc-")
    }

    /// A VPC that is not there.
    pub fn vpc_not_found(id: &str) -> Self {
        Self::bad("InvalidVpcID.NotFound", format!("The vpc ID '{}' does not exist", echo(id)))
    }

    /// A network interface id that is none.
    pub fn malformed_interface_id(id: &str) -> Self {
        Self::malformed_id("InvalidNetworkInterfaceId.Malformed", id, "eni-")
    }

    /// A network interface that is not there.
    pub fn interface_not_found(id: &str) -> Self {
        let id = echo(id);
        Self::bad(
            "InvalidNetworkInterfaceID.NotFound",
            format!("The networkInterface ID '{id}' does not exist"),
        )
    }

    /// A volume that is not there.
    pub fn volume_not_found(id: &str) -> Self {
        Self::bad("InvalidVolume.NotFound", format!("The volume '{}' does not exist.", echo(id)))
    }

    /// The id of a key pair that is not there.
    pub fn key_pair_id_not_found(id: &str) -> Self {
        let id = echo(id);
        Self::bad("InvalidKeyPair.NotFound", format!("The key pair ID '{id}' does not exist"))
    }

    /// The name of a key pair that is there already.
    pub fn key_pair_exists(name: &str) -> Self {
        let name = echo(name);
        Self::bad("InvalidKeyPair.Duplicate", format!("The keypair '{name}' already exists."))
    }

    /// A public key that is none.
    pub fn invalid_public_key() -> Self {
        Self::bad("InvalidKey.Format", "Key is not in valid OpenSSH public key format")
    }

    /// A change that only a stopped instance takes. Seen.
    pub fn instance_not_stopped(id: &str) -> Self {
        let id = echo(id);
        Self::bad(
            "IncorrectInstanceState",
            format!("The instance '{id}' is not in the 'stopped' state."),
        )
    }
}
