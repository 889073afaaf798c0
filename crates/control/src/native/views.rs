//! What comes back: instances, attachments and faults, as a command or a program reads them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use model::{
    HopLimit, Instance, InstanceId, Interface, MacAddress, MetadataOptions, Region, Secret,
    Timestamp, UndeliveredReason,
};
use serde::{Deserialize, Serialize};

/// An instance, with how it is served.
#[derive(Debug, Serialize, Deserialize)]
pub struct InstanceView {
    /// URLs of the service, as this instance reaches it.
    pub endpoints: Vec<String>,
    /// Its attachments, and whether they serve.
    pub attached: Vec<AttachmentView>,
    /// The instance.
    #[serde(flatten)]
    pub instance: Arc<Instance>,
}

/// An attachment, and whether it serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentView {
    /// The attachment, as text.
    pub attachment: String,
    /// What it waits for, and what can be done; none while it serves.
    pub waiting: Option<String>,
    /// Whether a hop limit can hold: whether whoever is behind the instance is reached only by
    /// packets that the instance forwards.
    pub limits_hops: bool,
}

/// How instances are attached, and what went wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Where the server runs; none if no server does.
    pub place: Option<Place>,
    /// The default instance.
    pub default_instance: InstanceId,
    /// The addresses that serve it.
    pub listen: Vec<SocketAddr>,
    /// The addresses that all instances share.
    pub shared_listen: Vec<SocketAddr>,
    /// How many source addresses are attached.
    pub sources: usize,
    /// All other attachments, and whose each is.
    pub attached: Vec<(InstanceId, AttachmentView)>,
    /// The default instance, and those of `attached`, as they ask to be served.
    pub instances: Vec<Wanted>,
    /// The last tokens that did not arrive, one for each instance and source.
    pub undelivered: Vec<UndeliveredView>,
}

/// Where a server runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its process.
    pub process_id: u32,
    /// Its network namespace, as `/proc/PID/ns/net` names it: `net:[4026531840]`.
    pub network_namespace: String,
}

/// An instance as it asks to be served: what its attachments must fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The instance.
    pub instance_id: InstanceId,
    /// The options in force.
    pub options: MetadataOptions,
    /// The Ethernet address of its primary interface.
    pub mac: Option<MacAddress>,
    /// The address of its primary interface.
    pub ipv4: Option<Ipv4Addr>,
}

impl Wanted {
    /// Returns what `instance` asks for.
    pub fn of(instance: &Instance) -> Self {
        let interface = instance.primary_interface();
        Self {
            instance_id: instance.id,
            options: instance.options,
            mac: interface.map(|interface| interface.mac),
            ipv4: interface.and_then(Interface::primary_ipv4),
        }
    }
}

/// Tokens of an instance that did not arrive at a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndeliveredView {
    /// The instance.
    pub instance_id: InstanceId,
    /// Who asked.
    pub source: IpAddr,
    /// How the last one was lost.
    pub reason: UndeliveredReason,
    /// How many hops away the source is, if its packets tell.
    pub hops: Option<u8>,
    /// The hop limit that the last one was sent with.
    pub hop_limit: HopLimit,
    /// How many were lost.
    pub count: u64,
    /// When the last one was.
    pub last: Timestamp,
}

/// What a client needs to use this server.
#[derive(Debug, Serialize, Deserialize)]
pub struct Environment {
    /// URL of the metadata service, for the default instance.
    pub metadata_endpoint: String,
    /// URL of the management APIs.
    pub management_endpoint: String,
    /// The region.
    pub region: Region,
    /// The administrator's access key id.
    pub access_key_id: String,
    /// The administrator's secret access key.
    pub secret_access_key: Secret<String>,
}
