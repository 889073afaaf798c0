//! A whole server: threads, listeners, background work, and an orderly end.
//!
//! ```text
//! imds-worker-N   one per core: a runtime and a socket for each address; nothing but guests
//! imds-signer     signs identity documents
//! main            management listener, admin socket, credential programs, key rotation, signals
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use control::native::Surroundings;
use model::{Attachment, InstanceId, RoleName};
use store::Store;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::admin::{self, SocketFault, SocketName};
use crate::admission::Admission;
use crate::background;
use crate::clock::Clock;
use crate::counters::Counters;
use crate::credentials::ProgramFault;
use crate::driver::{self, Worker};
use crate::exchange::{Family, Peer};
use crate::link_local::{self, LinkLocal, LinkLocalFault};
use crate::listener::{ListenFault, Listening, listen_at};
use crate::manage::{self, Managed};
use crate::service::{Service, ServiceSettings};
use crate::signer::{Signer, SignerFault};
use crate::sys;

/// LIMIT: notices that wait to be printed; more are lost, since nobody may wait for a terminal.
const NOTICES_MAX: usize = 256;

/// Bounds on connections that wait.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// In all.
    pub connections: u32,
    /// Of one source address.
    pub connections_per_source: u32,
}

/// What a server runs on.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Addresses that serve the default instance.
    pub listen: Vec<SocketAddr>,
    /// Whether the link-local addresses serve it too.
    pub link_local: bool,
    /// Address of the management listener.
    pub manage: SocketAddr,
    /// The state directory, for the admin socket.
    pub data_dir: PathBuf,
    /// Worker threads.
    pub workers: usize,
    /// How requests are answered.
    pub service: ServiceSettings,
    /// Bounds on connections that wait.
    pub bounds: Bounds,
    /// How long a token key mints, in seconds.
    pub token_key_period_seconds: i64,
    /// The instance behind `listen`.
    pub default_instance: InstanceId,
}

/// Where a server that is ready can be reached.
#[derive(Clone, Debug)]
pub struct Ready {
    /// The addresses of the data plane, `listen` first, and whom each serves.
    pub metadata: Vec<(SocketAddr, InstanceId)>,
    /// The management listener.
    pub management: SocketAddr,
    /// The instance behind `listen`.
    pub default_instance: InstanceId,
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<_> = self.metadata.iter().map(|(address, _)| url(*address)).collect();
        write!(f, "metadata at {}; management at {}", urls.join(" and "), url(self.management))
    }
}

/// Something that the operator should know.
#[derive(Debug)]
pub enum Notice {
    /// A credential program failed.
    CredentialsNotFetched {
        /// The role.
        role: RoleName,
        /// Why.
        fault: ProgramFault,
    },
    /// Identity documents cannot be signed.
    IdentityKeys(SignerFault),
    /// A key could not be rotated: the one in force stays.
    KeyNotRotated(String),
    /// Someone asked without a token for the first time, and the instance requires one.
    TokenlessRefused(InstanceId),
}

/// What the main thread waits for.
#[derive(Debug)]
enum Event {
    Notice(Notice),
    Stop,
}

/// Where notices go. Telling never waits: one that finds no room is lost.
#[derive(Clone, Debug)]
pub(crate) struct Notices(mpsc::Sender<Event>);

impl Notices {
    pub(crate) fn tell(&self, notice: Notice) {
        let _ = self.0.try_send(Event::Notice(notice));
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum RunFault {
    /// A listener of the data plane.
    #[error(transparent)]
    Listen(#[from] ListenFault),
    /// The link-local addresses.
    #[error(transparent)]
    LinkLocal(#[from] LinkLocalFault),
    /// The management listener.
    #[error("the management listener cannot be opened at {address}: {reason}")]
    Manage {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        reason: String,
    },
    /// The admin socket.
    #[error(transparent)]
    Socket(#[from] SocketFault),
    /// The signing thread.
    #[error(transparent)]
    Signer(#[from] SignerFault),
    /// A thread or a runtime.
    #[error("the system does not give what a server needs")]
    System(#[from] std::io::Error),
}

/// Runs a server until SIGTERM or SIGINT. `on_ready` is called once it serves; `on_notice` is
/// called for what the operator should know, never on the guest path.
///
/// # Errors
///
/// [`RunFault`] if it could not start; then it never served anyone.
pub fn run(
    settings: &ServerSettings,
    store: Arc<Store>,
    on_ready: impl FnOnce(&Ready),
    on_notice: impl FnMut(Notice),
) -> Result<(), RunFault> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(settings, store, on_ready, on_notice))
}

async fn serve(
    settings: &ServerSettings,
    store: Arc<Store>,
    on_ready: impl FnOnce(&Ready),
    mut on_notice: impl FnMut(Notice),
) -> Result<(), RunFault> {
    let (notices, mut events) = listen_for_events()?;
    let clock = Clock::start();
    let opened = Opened::open(settings, &store).await?;
    let ready = Arc::new(opened.ready(settings)?);

    let service = Arc::new(Service::new(settings.service));
    let report = notices.clone();
    let signer = Signer::start(Arc::clone(&service), Arc::clone(&store), clock, move |fault| {
        report.tell(Notice::IdentityKeys(fault));
    })?;
    background::fetch_credentials(&service, &store, clock, &notices).await;
    let period_seconds = settings.token_key_period_seconds;
    let rotated = Arc::clone(&store);
    tokio::spawn(background::rotate_token_keys(rotated, clock, period_seconds, notices.clone()));

    let counters: Arc<[Arc<Counters>]> = (0..settings.workers).map(|_| Arc::default()).collect();
    let Bounds { connections, connections_per_source } = settings.bounds;
    let admission = Arc::new(Admission::new(connections, connections_per_source));
    let explained = Arc::default();
    let worker = |counters: &Arc<Counters>| Worker {
        service: Arc::clone(&service),
        store: Arc::clone(&store),
        clock,
        counters: Arc::clone(counters),
        admission: Arc::clone(&admission),
        signer: signer.clone(),
        notices: notices.clone(),
        explained: Arc::clone(&explained),
    };
    let (stop, stopped) = watch::channel(());
    let workers = counters.iter().map(worker).collect();
    let threads = start_workers(opened.listening, workers, &stopped)?;

    let managed = Managed { store: Arc::clone(&store), counters };
    tokio::spawn(manage::serve(opened.manage, managed));
    let surroundings = Arc::new(Running { ready: Arc::clone(&ready), signer });
    tokio::spawn(admin::serve(opened.admin, store, surroundings, clock));

    on_ready(&ready);
    while let Some(Event::Notice(notice)) = events.recv().await {
        on_notice(notice);
    }
    drop(stop);
    for thread in threads {
        // A worker that panicked has said so; the others end in order all the same.
        let _ = thread.join();
    }
    Ok(())
}

/// Opens the channel that notices come by, and has it end at SIGTERM and SIGINT.
fn listen_for_events() -> std::io::Result<(Notices, mpsc::Receiver<Event>)> {
    let (sender, events) = mpsc::channel(NOTICES_MAX);
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let (mut signals, stop) = (signal(kind)?, sender.clone());
        tokio::spawn(async move {
            signals.recv().await;
            let _ = stop.send(Event::Stop).await;
        });
    }
    Ok((Notices(sender), events))
}

/// Everything that a server takes from the system: all of it, or the server does not start.
/// Dropping it leaves nothing behind.
struct Opened {
    admin: UnixListener,
    /// Removes the socket's name.
    _socket: SocketName,
    /// Removes the addresses.
    _link_local: Option<LinkLocal>,
    listening: Vec<(Listening, InstanceId)>,
    manage: TcpListener,
}
impl Opened {
    async fn open(settings: &ServerSettings, store: &Store) -> Result<Self, RunFault> {
        let (admin, socket) = admin::bind(&settings.data_dir)?;
        let link_local = if settings.link_local { Some(LinkLocal::add()?) } else { None };
        let listening = listen_everywhere(settings, store)?;
        let manage = manage::bind(settings.manage).await.map_err(|fault| RunFault::Manage {
            address: settings.manage,
            reason: fault.to_string(),
        })?;
        Ok(Self { admin, _socket: socket, _link_local: link_local, listening, manage })
    }

    fn ready(&self, settings: &ServerSettings) -> std::io::Result<Ready> {
        Ok(Ready {
            metadata: self.listening.iter().map(|(at, id)| (at.address, *id)).collect(),
            management: self.manage.local_addr()?,
            default_instance: settings.default_instance,
        })
    }
}

/// Opens every address of the data plane, or none.
fn listen_everywhere(
    settings: &ServerSettings,
    store: &Store,
) -> Result<Vec<(Listening, InstanceId)>, ListenFault> {
    let link_local = if settings.link_local { &link_local::ADDRESSES[..] } else { &[] };
    let default = settings.listen.iter().chain(link_local);
    let mut wanted: Vec<_> = default.map(|address| (*address, settings.default_instance)).collect();
    let snapshot = store.snapshot();
    let mut attached: Vec<_> = snapshot.instances().map(|(instance, _)| instance).collect();
    attached.sort_by_key(|instance| instance.id);
    for instance in attached {
        for Attachment::Listener(address) in &instance.attachments {
            wanted.push((*address, instance.id));
        }
    }
    let listen = |(address, id)| Ok((listen_at(address, settings.workers)?, id));
    wanted.into_iter().map(listen).collect()
}

/// Starts a thread for each worker, with its socket of each address.
fn start_workers(
    mut listening: Vec<(Listening, InstanceId)>,
    workers: Vec<Worker>,
    stopped: &watch::Receiver<()>,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let mut threads = Vec::with_capacity(workers.len());
    for (number, worker) in workers.into_iter().enumerate() {
        let sockets: Vec<_> = listening
            .iter_mut()
            .filter_map(|(at, instance)| {
                let family = if at.address.is_ipv4() { Family::V4 } else { Family::V6 };
                Some((at.sockets.pop()?, Peer { instance: *instance, family }))
            })
            .collect();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let mut stopped = stopped.clone();
        let work = move || {
            let worker = Arc::new(worker);
            runtime.block_on(async move {
                for (socket, peer) in sockets {
                    // A runtime that cannot watch its own sockets could not have been made.
                    if let Ok(socket) = sys::watch(socket) {
                        tokio::spawn(driver::accept(Arc::clone(&worker), socket, peer));
                    }
                }
                // The sender is dropped to stop; nothing is ever sent.
                let _ = stopped.changed().await;
            });
        };
        threads.push(thread::Builder::new().name(format!("imds-worker-{number}")).spawn(work)?);
    }
    Ok(threads)
}

/// What the native API is told about this server.
struct Running {
    ready: Arc<Ready>,
    signer: Signer,
}

impl Surroundings for Running {
    fn endpoints(&self, instance: InstanceId) -> Vec<String> {
        let of_instance = self.ready.metadata.iter().filter(|(_, id)| *id == instance);
        of_instance.map(|(address, _)| url(*address)).collect()
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

fn url(address: SocketAddr) -> String {
    format!("http://{address}/")
}
