//! What is known when an examination begins. Nothing in here was concluded, and nothing else is
//! asked of the system once it is gathered.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use control::native::{Diagnosis, Wanted};
use model::{Attachment, InstanceId, MacAddress, Switch};

use crate::doctor::firmware::Firmware;

/// EC2: where instances find the service.
pub(crate) const EC2_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
pub(crate) const EC2_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Everything that is known.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// The server whose state is in the directory that was named, or is there by default.
    pub(crate) server: Server,
    /// This machine, as one that asks for metadata; none if only one instance is looked at.
    pub(crate) machine: Option<Machine>,
    /// What became of answers that were sent with a hop limit, in networks made for that.
    pub(crate) hop_limit: Probe,
}

/// What is known of a server.
#[derive(Clone, Debug)]
pub(crate) enum Server {
    /// None is expected: there is no state, and no directory was named.
    Absent {
        /// Where it was looked for.
        directory: String,
    },
    /// It may not be asked.
    Closed {
        /// What the system says.
        reason: String,
    },
    /// It answers.
    Served(Box<Served>),
    /// There is state, or a directory was named, and nobody answers.
    Silent {
        /// Where it was looked for.
        directory: String,
        /// What happened.
        reason: String,
    },
}

/// A server that answers its admin socket.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    /// The directory that holds its state.
    pub(crate) directory: String,
    /// What it says of itself; of one instance only, if only that is looked at.
    pub(crate) diagnosis: Diagnosis,
    /// Whether it runs in the network namespace that this program is in.
    pub(crate) is_here: bool,
    /// The access key of its administrator, which `imds env` puts into the environment.
    pub(crate) access_key_id: Option<String>,
    /// The network that it is in; why not, if that cannot be seen.
    pub(crate) network: Result<Network, String>,
    /// The network namespaces that instances are attached to.
    pub(crate) namespaces: BTreeMap<String, Result<Network, String>>,
    /// What its endpoints answered.
    pub(crate) asked: Vec<Asked>,
    /// How many were not asked, because there are too many.
    pub(crate) unasked: usize,
}

/// A network namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    pub(crate) links: Vec<Link>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) routes: Vec<Route>,
    /// Whether IPv6 is on.
    pub(crate) has_ipv6: bool,
}

/// An endpoint of a server, and what it answered.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Its URL.
    pub(crate) url: String,
    /// Whose it is.
    pub(crate) instance: InstanceId,
    /// The network namespace that it was asked from, if that is not this program's.
    pub(crate) from: Option<String>,
    /// What came back; why it could not be asked at all, if so.
    pub(crate) answer: Result<Answer, String>,
}

/// What an endpoint answered, request by request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// To a token request.
    pub(crate) token: Heard,
    /// To a read of the instance's id with that token, if there was one.
    pub(crate) instance_id: Option<Heard>,
    /// To the same read without a token.
    pub(crate) tokenless: Heard,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It was answered with this status, and this text, as far as it is fit to be shown.
    Status(u16, String),
    /// It was not answered, for this reason.
    Nothing(String),
}

/// This machine, as one that asks for metadata.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// The environment.
    pub(crate) variables: BTreeMap<String, String>,
    /// The network that this program is in.
    pub(crate) network: Result<Network, String>,
    /// Where programs here look for the service.
    pub(crate) endpoint: Endpoint,
    /// Whether the kernel would send there, and from which address; none if that is no address.
    pub(crate) way: Option<Result<IpAddr, String>>,
    /// What was answered there.
    pub(crate) answer: Answer,
    /// What cloud-init goes by.
    pub(crate) firmware: Firmware,
}

/// Where programs look for the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Its URL, without a slash at its end.
    pub(crate) url: String,
    /// Its host: none if that is a name.
    pub(crate) address: Option<SocketAddr>,
    /// Who says so.
    pub(crate) told_by: ToldBy,
}

/// Who says where the service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToldBy {
    /// Nobody: it is where EC2 has it.
    Default,
    /// The command line.
    Flag,
    /// Nobody, and nobody is to be served there: a server runs on this machine, elsewhere.
    Nobody,
    /// The environment.
    Variable,
}

/// What became of answers that were sent with a hop limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// They could not be sent, for this reason.
    NotMade(String),
    /// Over IPv4 and IPv6.
    Made(Vec<(Family, Travelled)>),
}

/// A version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// How far answers travelled, over one version of IP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Travelled {
    /// As far as they may and no further.
    AsLimited,
    /// One came further than it may.
    Further,
    /// The network did not carry them as far as they may travel, so nothing can be told.
    NotFarEnough(String),
    /// This kernel does not have this version of IP.
    NoSuchFamily,
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

impl Served {
    /// Returns what instances ask for, those only that are looked at.
    pub(crate) fn instances(&self) -> &[Wanted] {
        &self.diagnosis.instances
    }

    /// Returns what an instance asks for.
    pub(crate) fn wanted(&self, id: InstanceId) -> Option<&Wanted> {
        self.instances().iter().find(|wanted| wanted.instance_id == id)
    }

    /// Returns whether an instance is to be served over IPv6.
    pub(crate) fn takes_ipv6(&self, id: InstanceId) -> bool {
        self.wanted(id).is_some_and(|wanted| wanted.options.http_protocol_ipv6 == Switch::Enabled)
    }

    /// Returns the attachments that serve, and whose each is.
    pub(crate) fn serving(&self) -> impl Iterator<Item = (InstanceId, Attachment)> {
        let serves = |(id, view): &(InstanceId, control::native::AttachmentView)| {
            let attachment = view.attachment.parse().ok()?;
            view.waiting.is_none().then_some((*id, attachment))
        };
        self.diagnosis.attached.iter().filter_map(serves)
    }

    /// Returns whose an address is, if it is one instance's.
    pub(crate) fn instance_at(&self, address: SocketAddr) -> Option<InstanceId> {
        let reaches = |own: &SocketAddr| {
            own.port() == address.port() && (own.ip() == address.ip() || own.ip().is_unspecified())
        };
        if self.diagnosis.listen.iter().any(reaches) {
            return Some(self.diagnosis.default_instance);
        }
        self.serving().find_map(|(id, attachment)| match attachment {
            Attachment::Listener(own) => reaches(&own).then_some(id),
            Attachment::Interface(_) | Attachment::Netns(_) | Attachment::Source { .. } => None,
        })
    }

    /// Returns what a command must begin with to be run where the server is.
    pub(crate) fn prefix(&self) -> String {
        match &self.diagnosis.place {
            Some(place) if !self.is_here => {
                format!("nsenter --net=/proc/{}/ns/net ", place.process_id)
            }
            Some(_) | None => String::new(),
        }
    }
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mac: Option<MacAddress>,
    pub(crate) is_up: bool,
    /// The bridge that it is a port of.
    pub(crate) controller: Option<u32>,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) index: u32,
    pub(crate) address: IpAddr,
}

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// Where to; none for everywhere.
    pub(crate) to: Option<(IpAddr, u8)>,
    pub(crate) is_ipv6: bool,
    pub(crate) via: Option<IpAddr>,
    pub(crate) out: Option<u32>,
    /// Whether it leads anywhere.
    pub(crate) is_unicast: bool,
}

impl Network {
    /// Returns the interface with a name.
    pub(crate) fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// Returns the name of the interface with a number.
    pub(crate) fn name_of(&self, index: u32) -> String {
        let found = self.links.iter().find(|link| link.index == index);
        found.map_or_else(|| format!("interface {index}"), |link| link.name.clone())
    }

    /// Returns the names of the interfaces that have an address.
    pub(crate) fn holders(&self, address: IpAddr) -> impl Iterator<Item = String> {
        let held = self.addresses.iter().filter(move |held| held.address == address);
        held.map(|held| self.name_of(held.index))
    }

    /// Returns the first interface but the loopback one, which is where neighbours are.
    pub(crate) fn first_outward(&self) -> Option<&Link> {
        self.links.iter().find(|link| link.name != "lo" && link.is_up)
    }
}

impl Heard {
    /// Returns the status, if it was answered.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Status(status, _) => Some(*status),
            Self::Nothing(_) => None,
        }
    }
}

impl Answer {
    /// Returns why nothing was answered, if so.
    pub(crate) fn silence(&self) -> Option<&str> {
        match (&self.token, &self.tokenless) {
            (Heard::Nothing(reason), Heard::Nothing(_)) => Some(reason),
            _ => None,
        }
    }

    /// Returns the instance's id, as far as anything was said to be one.
    pub(crate) fn id(&self) -> Option<&str> {
        [self.instance_id.as_ref(), Some(&self.tokenless)].into_iter().flatten().find_map(|heard| {
            match heard {
                Heard::Status(200, id) => Some(id.as_str()),
                Heard::Status(..) | Heard::Nothing(_) => None,
            }
        })
    }
}
