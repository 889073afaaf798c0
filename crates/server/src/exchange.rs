//! One request, from snapshot to answer: the path that every metadata request takes.
//!
//! [`Exchange::reply`] is that path, on one screen.

use std::net::IpAddr;
use std::sync::Arc;

use metadata::{
    Admitted, IssuerKey, Method, NONCE_BYTES, Refusal, Request, RoleCredentials, Signatures,
    Sources, Unsigned, admit, authorize, issue, render, resolve,
};
use model::{
    HopLimit, Instance, InstanceId, MacAddress, Observation, RequestVersion, RoleName, Switch,
};
use store::Snapshot;

use crate::answer::{Reply, Wire, Writer};
use crate::clock::Moment;
use crate::connection::Unanswered;
use crate::credentials;
use crate::service::Service;

/// Who asks, as the kernel tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where the connection came in.
    pub entrance: Entrance,
    /// The address that it came from.
    pub address: IpAddr,
    /// The MAC that its first packet came from, where that was asked of the kernel and known.
    pub mac: Option<MacAddress>,
}

/// Where a connection came in, and so who may have made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// Nobody but this instance comes in here.
    Instance(InstanceId),
    /// The interface of this instance: what comes from a MAC or an address that is not its own
    /// comes from someone else.
    Interface(InstanceId),
    /// All instances that are told by the address they ask from.
    Shared,
    /// The same, on a connection that has turned out to be this instance's.
    SharedBy(InstanceId),
}

impl Entrance {
    /// The same for a connection that is known to be of `instance`: whoever gets the address next,
    /// the other end of the connection stays who it was.
    #[must_use]
    pub(crate) fn of(self, instance: InstanceId) -> Self {
        match self {
            Self::Instance(_) | Self::Interface(_) => self,
            Self::Shared | Self::SharedBy(_) => Self::SharedBy(instance),
        }
    }

    /// Returns whose it is; of all, it is nobody's.
    pub(crate) fn instance(self) -> Option<InstanceId> {
        match self {
            Self::Instance(id) | Self::Interface(id) | Self::SharedBy(id) => Some(id),
            Self::Shared => None,
        }
    }
}

impl Peer {
    /// Whoever comes in where only one instance does.
    pub fn of_instance(instance: InstanceId, address: IpAddr) -> Self {
        Self { entrance: Entrance::Instance(instance), address, mac: None }
    }
}

/// Tells which instance asks: the kernel says so, never a header (docs/decisions/0012-who-is-asking.md).
fn identify(snapshot: &Snapshot, peer: Peer) -> Result<&Instance, Unanswered> {
    let find = |id| snapshot.instance(id).map(|found| &**found).ok_or(Unanswered::Unattached);
    let instance = match peer.entrance {
        Entrance::Instance(id) => find(id)?,
        Entrance::Interface(id) => {
            let (instance, mac) = (find(id)?, peer.mac.ok_or(Unanswered::MacUnknown)?);
            if !instance.sends_from(mac, peer.address) {
                return Err(Unanswered::NotItsAddress);
            }
            instance
        }
        Entrance::Shared | Entrance::SharedBy(_) => {
            let found = snapshot.source(peer.address);
            let known = peer.entrance.instance();
            let found = found.filter(|(id, _)| known.is_none_or(|known| known == *id));
            let (id, mac) = found.ok_or(Unanswered::Unattached)?;
            match (mac, peer.mac) {
                (None, _) => {}
                (Some(own), Some(mac)) if own == mac => {}
                (Some(_), Some(_)) => return Err(Unanswered::NotItsAddress),
                (Some(_), None) => return Err(Unanswered::MacUnknown),
            }
            find(id)?
        }
    };
    if !instance.state.may_ask() {
        return Err(Unanswered::NotRunning);
    }
    match instance.options.http_protocol_ipv6 {
        Switch::Disabled if peer.address.is_ipv6() => Err(Unanswered::Ipv6Disabled),
        Switch::Disabled | Switch::Enabled => Ok(instance),
    }
}

/// Everything that one answer draws on: one snapshot, one moment, and what a driver keeps between
/// requests.
pub struct Exchange<'a> {
    service: &'a Service,
    snapshot: &'a Snapshot,
    instance: Result<&'a Instance, Unanswered>,
    now: Moment,
    desk: &'a mut Desk,
}

/// What a driver keeps between requests, so that answering allocates nothing.
pub struct Desk {
    writer: Writer,
    nonces: Box<dyn FnMut() -> [u8; NONCE_BYTES] + Send>,
}

/// The identity document of the instance must be signed first.
#[derive(Debug)]
pub(crate) struct Unready {
    pub(crate) instance: InstanceId,
    pub(crate) document: String,
}

impl Desk {
    /// Draws nonces from `nonces`, which must be unpredictable and never give one twice.
    pub fn new(nonces: impl FnMut() -> [u8; NONCE_BYTES] + Send + 'static) -> Self {
        Self { writer: Writer::new(), nonces: Box::new(nonces) }
    }
}

impl<'a> Exchange<'a> {
    /// Prepares an answer for `peer` at `now` from one snapshot.
    pub fn new(
        service: &'a Service,
        snapshot: &'a Snapshot,
        peer: Peer,
        now: impl Into<Moment>,
        desk: &'a mut Desk,
    ) -> Self {
        let instance = identify(snapshot, peer);
        Self { service, snapshot, instance, now: now.into(), desk }
    }

    /// Returns why the peer gets no answer at all, if it does not.
    pub(crate) fn refuses_to_answer(&self) -> Option<Unanswered> {
        self.instance.err()
    }

    /// Returns whose connection it is, if anybody's.
    pub(crate) fn instance(&self) -> Option<InstanceId> {
        self.instance.ok().map(|instance| instance.id)
    }

    /// Returns how far an answer to the instance's PUT may travel.
    pub(crate) fn hop_limit(&self) -> HopLimit {
        self.instance.map_or(HopLimit::MIN, |i| i.options.http_put_response_hop_limit)
    }

    /// Writes the answer to a request to `out`.
    ///
    /// # Errors
    ///
    /// [`Unready`] if signatures must be made first; what came of that is then `signed`.
    pub(crate) fn answer(
        &mut self,
        request: &Request<'_>,
        signed: Signed<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Observation, Unready> {
        let Ok(instance) = self.instance else {
            return Ok(self.write(&Reply::Unready, version_of(request), request.method(), out));
        };
        let reply = match self.reply(instance, request, signed) {
            Ok(reply) => reply,
            Err(Short::Refused(refusal)) => Reply::Refused(refusal),
            Err(Short::Throttled) => Reply::Throttled,
            Err(Short::Unsigned(document)) if matches!(signed, Signed::NotAsked) => {
                return Err(Unready { instance: instance.id, document });
            }
            Err(Short::Unsigned(_) | Short::Unready) => Reply::Unready,
        };
        Ok(self.write(&reply, version_of(request), request.method(), out))
    }

    /// Writes a refusal to `out`.
    pub(crate) fn refuse(
        &mut self,
        refusal: Refusal,
        (version, method): (RequestVersion, Method),
        out: &mut Vec<u8>,
    ) -> Observation {
        self.write(&Reply::Refused(refusal), version, method, out)
    }

    /// The path of a request whose instance is identified: admit, authorize or issue, resolve,
    /// render.
    fn reply<'r>(
        &mut self,
        instance: &'a Instance,
        request: &Request<'r>,
        signed: Signed<'_>,
    ) -> Result<Reply<'r>, Short>
    where
        'a: 'r,
    {
        let keys = self.snapshot.token_keys().ok_or(Short::Unready)?;
        let issuer_key = self.snapshot.issuer_key().ok_or(Short::Unready)?;
        let settings = &self.service.settings;
        // A request that comes back with signatures has been admitted already.
        let is_new = matches!(signed, Signed::NotAsked);
        if is_new && !self.service.throttle.admits(instance.id, self.now.steady) {
            return Err(Short::Throttled);
        }
        if settings.wire == Wire::Legacy && request.expects_continue() {
            return Err(Short::Refused(Refusal::ExpectationFailed));
        }
        let read = match admit(request, instance, settings.profile)? {
            Admitted::Methods(methods) => return Ok(Reply::Methods(methods)),
            Admitted::Read(read) => read,
            Admitted::Token(token) => {
                let nonce = (self.desk.nonces)();
                let grant = issue(&token, keys, settings.token_format(), self.now.steady, nonce);
                return grant.map(Reply::Granted).ok_or(Short::Unready);
            }
        };
        let leaf = resolve(authorize(read, keys, self.now.steady)?)?;
        let sources = Drawn { exchange: self, issuer_key, signed };
        Ok(Reply::Content(render(leaf, &sources, self.now.wall)?))
    }

    fn write(
        &mut self,
        reply: &Reply<'_>,
        version: RequestVersion,
        method: Method,
        out: &mut Vec<u8>,
    ) -> Observation {
        self.desk.writer.write(out, self.service.settings.wire, reply, method, self.now.wall);
        let instance = self.instance();
        Observation { instance, version, outcome: reply.outcome() }
    }
}

/// Whether the identity document has been signed for this request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signed<'s> {
    Done(&'s Signatures),
    /// It was asked for, and could not be.
    Failed,
    NotAsked,
}

/// Why the path of a request ended early.
enum Short {
    Refused(Refusal),
    Throttled,
    /// Keys are missing, or an answer cannot be made.
    Unready,
    /// This identity document must be signed.
    Unsigned(String),
}

impl From<Refusal> for Short {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Unsigned> for Short {
    fn from(unsigned: Unsigned) -> Self {
        Self::Unsigned(unsigned.document)
    }
}

/// EC2: the token headers decide, not what became of the request (data plane, 3.3).
fn version_of(request: &Request<'_>) -> RequestVersion {
    match (request.method(), request.has_token()) {
        (Method::Put, _) => RequestVersion::Token,
        (_, true) => RequestVersion::V2,
        (_, false) => RequestVersion::V1,
    }
}

/// What rendering draws on.
struct Drawn<'e, 'a> {
    exchange: &'e Exchange<'a>,
    issuer_key: &'a IssuerKey,
    signed: Signed<'e>,
}

impl Sources for Drawn<'_, '_> {
    fn issuer_key(&self) -> &IssuerKey {
        self.issuer_key
    }

    fn role_credentials(&self, name: &RoleName) -> RoleCredentials {
        let Exchange { service, snapshot, instance, now, .. } = self.exchange;
        let account_id = instance.as_ref().ok().map(|instance| instance.account_id);
        let found = account_id.and_then(|id| Some((id, snapshot.role(id, name)?)));
        match found {
            // EC2: trouble is a document too (data plane, 5.6).
            Some((account_id, _)) if !snapshot.trusts_ec2(account_id, name) => {
                credentials::unauthorized(name)
            }
            found => service.credentials.find(found.map(|(_, role)| role), now.wall),
        }
    }

    fn signatures(&self, document: &str) -> Option<Arc<Signatures>> {
        match self.signed {
            Signed::Done(signatures) => Some(Arc::new(signatures.clone())),
            Signed::Failed | Signed::NotAsked => {
                let instance = self.exchange.instance.ok()?.id;
                self.exchange.service.signatures.find(instance, document)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use model::{Attachment, InstanceState, OptionsChange};
    use store::{Change, Memory, Origin, Store};

    use super::*;

    const MAC: MacAddress = MacAddress::from_bytes([2, 0, 0, 0, 0, 5]);
    const OTHER: MacAddress = MacAddress::from_bytes([2, 0, 0, 0, 0, 6]);

    /// A store with an instance that has `MAC`, `10.0.0.5` and `fd00::5`, attached like this.
    fn store(attachments: &[&str]) -> (Store, InstanceId) {
        let mut instance = Instance::described(InstanceId::from_number(5));
        let interface = &mut instance.interfaces[0];
        interface.mac = MAC;
        interface.ipv4[0].private = [10, 0, 0, 5].into();
        interface.ipv6 = vec!["fd00::5".parse().unwrap()].into();
        let parse = |text: &&str| text.parse::<Attachment>().unwrap();
        instance.attachments = attachments.iter().map(parse).collect();
        let enabled = Some(Switch::Enabled);
        let options = OptionsChange { http_protocol_ipv6: enabled, ..OptionsChange::default() };
        instance.options = options.apply(instance.options);
        let id = instance.id;
        let store = Store::open(Box::new(Memory::default())).unwrap();
        let change = Change::PutInstance(Arc::new(instance), Origin::Api);
        store.transact(|_| Ok::<_, Infallible>((vec![change], ()))).unwrap();
        (store, id)
    }

    fn identified(
        store: &Store,
        entrance: Entrance,
        address: &str,
        mac: Option<MacAddress>,
    ) -> Result<InstanceId, Unanswered> {
        let peer = Peer { entrance, address: address.parse().unwrap(), mac };
        identify(&store.snapshot(), peer).map(|instance| instance.id)
    }

    #[test]
    fn an_instance_that_is_stopped_is_nobody() {
        let (store, id) = store(&["source=10.0.0.5"]);
        for (state, expected) in [
            (InstanceState::Pending, Ok(id)),
            (InstanceState::Stopping, Ok(id)),
            (InstanceState::Stopped, Err(Unanswered::NotRunning)),
            (InstanceState::ShuttingDown, Err(Unanswered::NotRunning)),
        ] {
            let stopped = |snapshot: &Snapshot| {
                let mut instance = (**snapshot.instance(id).unwrap()).clone();
                instance.state = state;
                let change = Change::PutInstance(Arc::new(instance), Origin::Api);
                Ok::<_, Infallible>((vec![change], ()))
            };
            store.transact(stopped).unwrap();
            assert_eq!(identified(&store, Entrance::Shared, "10.0.0.5", None), expected);
        }
    }

    #[test]
    fn at_a_shared_listener_the_source_address_tells() {
        let (store, id) = store(&["source=10.0.0.5", "source=fd00::5"]);
        let ask = |address| identified(&store, Entrance::Shared, address, Some(OTHER));
        assert_eq!(ask("10.0.0.5"), Ok(id));
        assert_eq!(ask("fd00::5"), Ok(id));
        assert_eq!(ask("10.0.0.6"), Err(Unanswered::Unattached));
    }

    #[test]
    fn a_source_with_a_mac_must_come_from_it() {
        let (store, id) = store(&["source=10.0.0.5,mac=02:00:00:00:00:05"]);
        let ask = |mac| identified(&store, Entrance::Shared, "10.0.0.5", mac);
        assert_eq!(ask(Some(MAC)), Ok(id));
        assert_eq!(ask(Some(OTHER)), Err(Unanswered::NotItsAddress));
        assert_eq!(ask(None), Err(Unanswered::MacUnknown));
    }

    #[test]
    fn a_connection_stays_with_whom_it_was_of() {
        let (store, id) = store(&["source=10.0.0.5"]);
        let other = InstanceId::from_number(6);
        let ask = |entrance| identified(&store, entrance, "10.0.0.5", None);
        assert_eq!(ask(Entrance::Shared.of(id)), Ok(id));
        assert_eq!(ask(Entrance::Shared.of(other)), Err(Unanswered::Unattached));
    }

    #[test]
    fn at_an_interface_mac_and_address_must_both_be_the_instances() {
        let (store, id) = store(&["interface=tap0"]);
        let ask = |address, mac| identified(&store, Entrance::Interface(id), address, mac);
        assert_eq!(ask("10.0.0.5", Some(MAC)), Ok(id));
        assert_eq!(ask("fd00::5", Some(MAC)), Ok(id));
        assert_eq!(ask("fe80::ff:fe00:5", Some(MAC)), Ok(id), "its link-local address");
        assert_eq!(ask("10.0.0.6", Some(MAC)), Err(Unanswered::NotItsAddress));
        assert_eq!(ask("10.0.0.5", Some(OTHER)), Err(Unanswered::NotItsAddress));
        assert_eq!(ask("10.0.0.5", None), Err(Unanswered::MacUnknown));
    }

    #[test]
    fn an_instance_that_is_gone_asks_no_more() {
        let (store, id) = store(&[]);
        let own = Entrance::Instance(id);
        assert_eq!(identified(&store, own, "127.0.0.1", None), Ok(id));
        let delete = vec![Change::DeleteInstance(id)];
        store.transact(|_| Ok::<_, Infallible>((delete, ()))).unwrap();
        for entrance in [own, Entrance::Interface(id), Entrance::Shared] {
            let refused = identified(&store, entrance, "10.0.0.5", Some(MAC));
            assert_eq!(refused, Err(Unanswered::Unattached));
        }
    }
}
