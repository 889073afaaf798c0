//! The service in process: the connection state machine of `server`, without sockets and with a
//! clock that obeys.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use control::native::{self, NoServer};
use control::start::{Configured, Described, Fresh, start};
use getrandom::SysRng;
use metadata::NONCE_BYTES;
use model::{Instance, InstanceId, MetadataOptions, OptionsChange, Secret, Timestamp};
use rand_core::UnwrapErr;
use server::identity::IdentityKeys;
use server::{Connection, Desk, Exchange, Peer, Service, ServiceSettings, Step, Wire};
use store::{Memory, Store};

use crate::target::{End, Family, Profile, Received, Scene, Sent, Stage, Target, Whom};

/// When cases begin, in seconds since 1970: 2025-03-04T10:00:00Z, twenty minutes after the default
/// instance was launched.
const BEGINNING: Timestamp = Timestamp::from_seconds(1_741_082_400);

/// The stage of cases in process. All its services sign with the same keys.
#[derive(Debug, Default)]
pub struct InProcess {
    keys: OnceLock<Arc<IdentityKeys>>,
}

impl InProcess {
    fn keys(&self) -> Result<Arc<IdentityKeys>, String> {
        if self.keys.get().is_none() {
            let keys = IdentityKeys::generate(&mut UnwrapErr(SysRng), BEGINNING.as_seconds())
                .map_err(|fault| fault.to_string())?;
            // Whoever was first wins; the others' keys are forgotten.
            let _ = self.keys.set(Arc::new(keys));
        }
        self.keys.get().cloned().ok_or_else(|| "there are no keys".to_owned())
    }
}

impl Stage for InProcess {
    fn name(&self) -> &'static str {
        "in process"
    }

    fn moves_time(&self) -> bool {
        true
    }

    fn set(&self, scene: &Scene) -> Result<Box<dyn Target>, String> {
        let store = Store::open(Box::new(Memory::default())).map_err(|fault| fault.to_string())?;
        let configured = Configured {
            instances: [&scene.instance, &scene.other].map(described).into(),
            iam: scene.roles.iter().cloned().map(model::Iam::from).collect(),
            ..Configured::default()
        };
        let fresh = Fresh {
            token_key: [1; 32],
            issuer_key: [2; 32],
            access_key_id: [3; 16],
            secret_access_key: Secret::new("secret".to_owned()),
        };
        store
            .transact(|snapshot| start(snapshot, configured, fresh, BEGINNING))
            .map_err(|fault| fault.to_string())?;
        let service = Service::new(ServiceSettings {
            wire: match scene.profile {
                Profile::Legacy => Wire::Legacy,
                Profile::Nitro => Wire::Nitro,
            },
            ..ServiceSettings::default()
        });
        Ok(Box::new(Machine {
            service,
            store,
            keys: self.keys()?,
            now: BEGINNING,
            instance: scene.instance.id,
            other: scene.other.id,
        }))
    }
}

/// An instance whose description names every option.
fn described(instance: &Instance) -> Described {
    let MetadataOptions {
        http_tokens,
        http_put_response_hop_limit,
        http_endpoint,
        http_protocol_ipv6,
        instance_metadata_tags,
    } = instance.options;
    Described {
        instance: instance.clone(),
        options: OptionsChange {
            http_tokens: Some(http_tokens),
            http_put_response_hop_limit: Some(http_put_response_hop_limit),
            http_endpoint: Some(http_endpoint),
            http_protocol_ipv6: Some(http_protocol_ipv6),
            instance_metadata_tags: Some(instance_metadata_tags),
        },
    }
}

/// A service without sockets.
struct Machine {
    service: Service,
    store: Store,
    keys: Arc<IdentityKeys>,
    now: Timestamp,
    instance: InstanceId,
    other: InstanceId,
}

impl Machine {
    /// Plays one connection whose bytes arrive in these pieces.
    fn connect<'b>(
        &self,
        sent: &Sent,
        nonce: u64,
        pieces: impl Iterator<Item = &'b [u8]>,
    ) -> Received {
        let instance = match sent.to {
            Whom::Instance => self.instance,
            Whom::Other => self.other,
        };
        let address = match sent.over {
            Family::V4 => IpAddr::from(Ipv4Addr::LOCALHOST),
            Family::V6 => IpAddr::from(Ipv6Addr::LOCALHOST),
        };
        let peer = Peer::of_instance(instance, address);
        let mut bytes = Vec::new();
        let mut desk = Desk::new(move || {
            let mut bytes = [0; NONCE_BYTES];
            bytes.iter_mut().zip(nonce.to_be_bytes()).for_each(|(to, from)| *to = from);
            bytes
        });
        let snapshot = self.store.snapshot();
        let mut exchange = Exchange::new(&self.service, &snapshot, peer, self.now, &mut desk);
        let mut connection = Connection::new(self.now);
        for piece in pieces {
            let mut step = connection.receive(piece, &mut exchange, &mut bytes);
            if let Step::Sign { document, .. } = &step {
                let signed = self.keys.sign(document.as_bytes(), self.now.as_seconds()).ok();
                step = connection.resume(signed.as_ref(), &mut exchange, &mut bytes);
            }
            match step {
                Step::Read => {}
                Step::Close(_) | Step::Sign { .. } | Step::Write(_) => {
                    let end = End::Closed;
                    return Received { bytes, end };
                }
            }
        }
        // The peer ends its half, or the deadline passes: either way the driver closes.
        let end = End::Closed;
        Received { bytes, end }
    }
}

impl Target for Machine {
    /// Plays the connection twice: with all bytes at once, and with one after the other. What comes
    /// back must be the same.
    fn exchange(&self, sent: &Sent) -> Received {
        static NONCE: AtomicU64 = AtomicU64::new(0);
        let nonce = NONCE.fetch_add(1, Ordering::Relaxed);
        let whole = self.connect(sent, nonce, std::iter::once(&sent.bytes[..]));
        let pieces = self.connect(sent, nonce, sent.bytes.chunks(1));
        if whole.bytes == pieces.bytes && whole.end == pieces.end {
            return whole;
        }
        let both = [&whole.bytes[..], &pieces.bytes].map(String::from_utf8_lossy);
        let [whole, pieces] = both;
        let bytes = format!("whole requests and those in pieces differ: {whole} and {pieces}");
        Received { bytes: bytes.into_bytes(), end: End::Reset }
    }

    fn advance(&mut self, by: Duration) -> Result<(), String> {
        let millis = i64::try_from(by.as_millis()).map_err(|_| "that is too far")?;
        self.now = Timestamp::from_millis(self.now.as_millis() + millis);
        Ok(())
    }

    fn change(&mut self, instance: &Instance) -> Result<(), String> {
        let request = native::Request::PutInstance { instance: Box::new(instance.clone()) };
        native::handle(request, &self.store, &NoServer, self.now)
            .map(drop)
            .map_err(|refusal| refusal.to_string())
    }

    fn certificates(&self) -> Result<Vec<(String, String)>, String> {
        let named = self.keys.certificates();
        Ok(named.map(|(name, pem)| (name.to_owned(), pem.to_owned())).into())
    }
}
