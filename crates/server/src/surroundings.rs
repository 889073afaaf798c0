//! What the native API is told of this server, and has it do.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use control::LaunchSettings;
use control::native::{AttachmentView, Diagnosis, Place, Surroundings, UndeliveredView, Wanted};
use model::{Attachment, Generation, Instance, InstanceId, Switch};
use store::{Snapshot, Store};

use crate::board::{Board, State};
use crate::ledger::Ledger;
use crate::lifecycle::Progress;
use crate::link_local;
use crate::opening::open;
use crate::run::{Notice, Notices, Ready};
use crate::service::Service;
use crate::signer::Signer;

/// This server, for those who manage it.
pub(crate) struct Running {
    pub(crate) ready: Arc<Ready>,
    pub(crate) service: Arc<Service>,
    pub(crate) signer: Signer,
    pub(crate) board: Arc<Board>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) store: Arc<Store>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) launch: LaunchSettings,
    pub(crate) notices: Notices,
}

impl Running {
    fn state(&self, attachment: &Attachment, id: InstanceId) -> State {
        match attachment {
            Attachment::Interface(_) | Attachment::Listener(_) | Attachment::Netns(_) => {
                self.board.state(attachment, id)
            }
            Attachment::Source { .. } if self.ready.shared.is_empty() => {
                State::Waits(NO_SHARED_LISTENER.to_owned())
            }
            Attachment::Source { .. } => State::Serves(self.ready.shared.clone()),
        }
    }
}

fn view(attachment: &Attachment, state: State) -> AttachmentView {
    let waiting = match state {
        State::Serves(_) => None,
        State::Waits(reason) => Some(reason),
    };
    let limits_hops = limits_hops(attachment);
    AttachmentView { attachment: attachment.to_string(), waiting, limits_hops }
}

pub(crate) const NO_SHARED_LISTENER: &str = "there is no address for instances told by their source: start the server with one, such as \
     --shared-listen 169.254.169.254:80";

/// Whether whoever is behind an instance is reached only by packets that the instance forwards.
///
/// Who reaches a listener of its own shares the server's network namespace, as far as is known:
/// nothing is forwarded there, and no hop limit has an effect.
fn limits_hops(attachment: &Attachment) -> bool {
    match attachment {
        Attachment::Interface(_) | Attachment::Netns(_) | Attachment::Source { .. } => true,
        Attachment::Listener(_) => false,
    }
}

impl Surroundings for Running {
    fn endpoints(&self, instance: &Instance) -> Vec<String> {
        let is_default = instance.id == self.ready.default_instance;
        let default = if is_default { &self.ready.metadata[..] } else { &[] };
        let mut found: Vec<SocketAddr> = default.to_vec();
        for attachment in &instance.attachments {
            if let State::Serves(addresses) = self.state(attachment, instance.id) {
                found.extend(addresses);
            }
        }
        // An address that the instance is not answered at is none that it reaches.
        let takes_ipv6 = instance.options.http_protocol_ipv6 == Switch::Enabled;
        found.retain(|address| address.is_ipv4() || takes_ipv6);
        let mut urls: Vec<String> = found.into_iter().map(url).collect();
        let mut seen = BTreeSet::new();
        urls.retain(|url| seen.insert(url.clone()));
        urls
    }

    fn attached(&self, instance: &Instance) -> Vec<AttachmentView> {
        let state = |attachment| self.state(attachment, instance.id);
        let view = |attachment| view(attachment, state(attachment));
        instance.attachments.iter().map(view).collect()
    }

    fn diagnosis(&self, snapshot: &Snapshot) -> Diagnosis {
        let view = |(attachment, id, state): (Attachment, InstanceId, State)| {
            (id, view(&attachment, state))
        };
        let losses = self.ledger.losses().into_iter().map(|losses| UndeliveredView {
            instance_id: losses.last.instance,
            source: losses.last.source,
            reason: losses.last.reason,
            hops: losses.last.hops,
            hop_limit: losses.last.hop_limit,
            count: losses.count,
            last: losses.when,
        });
        let states = self.board.states();
        let attached = states.iter().map(|(_, id, _)| *id);
        let ids: BTreeSet<_> = attached.chain([self.ready.default_instance]).collect();
        let wanted = |id| snapshot.instance(id).map(|instance| Wanted::of(instance));
        Diagnosis {
            place: place(),
            default_instance: self.ready.default_instance,
            listen: self.ready.metadata.clone(),
            shared_listen: self.ready.shared.clone(),
            sources: snapshot.source_count(),
            attached: states.into_iter().map(view).collect(),
            instances: ids.into_iter().filter_map(wanted).collect(),
            undelivered: losses.collect(),
        }
    }

    fn try_attachment(&self, attachment: &Attachment) -> Result<(), String> {
        if matches!(attachment, Attachment::Source { .. }) && self.ready.shared.is_empty() {
            return Err(NO_SHARED_LISTENER.to_owned());
        }
        open(attachment, 1, self.ready.is_ec2_shared()).map(drop)
    }

    fn settles(&self, generation: Generation) -> bool {
        self.in_force() >= generation || self.board.settles(generation)
    }

    fn in_force(&self) -> Generation {
        let (settled, snapshot) = (self.board.settled(), self.store.current());
        // Where no attachment has changed since, nothing has to be taken up: the rest is read from
        // the snapshot with every request.
        let is_settled = snapshot.attachments_since() <= settled;
        if is_settled { snapshot.generation().max(settled) } else { settled }
    }

    fn fresh_number(&self) -> Result<u128, String> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)
            .map_err(|fault| format!("the system gives no random bytes: {fault}"))?;
        Ok(u128::from_be_bytes(bytes))
    }

    fn settles_states(&self, instances: &[InstanceId]) -> bool {
        self.progress.settles(&self.store, instances)
    }

    fn tell_unstored(&self, reason: &str) {
        self.notices.tell(Notice::ChangeNotStored(reason.to_owned()));
    }

    fn launch_settings(&self) -> &LaunchSettings {
        &self.launch
    }

    fn default_instance(&self) -> InstanceId {
        self.ready.default_instance
    }

    fn management_endpoint(&self) -> String {
        url(self.ready.management)
    }

    fn certificates(&self) -> Option<Vec<(String, String)>> {
        self.signer.certificates()
    }
}

impl Ready {
    /// Whether EC2's addresses are listened at for more than one attachment.
    pub(crate) fn is_ec2_shared(&self) -> bool {
        let has_port =
            |at: &SocketAddr| link_local::ADDRESSES.iter().any(|own| own.port() == at.port());
        self.metadata.iter().chain(&self.shared).any(has_port)
    }
}

/// Where this process is.
fn place() -> Option<Place> {
    let network_namespace = std::fs::read_link("/proc/self/ns/net").ok()?.into_os_string();
    let network_namespace = network_namespace.into_string().ok()?;
    Some(Place { process_id: std::process::id(), network_namespace })
}

/// Returns the URL of an address.
pub(crate) fn url(address: SocketAddr) -> String {
    format!("http://{address}/")
}
