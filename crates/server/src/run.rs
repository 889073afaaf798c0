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
use std::time::Duration;

use control::native::Surroundings;
use model::{InstanceId, RoleName};
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
use crate::driver::Worker;
use crate::link_local::{LinkLocal, LinkLocalFault};
use crate::listener::{ListenFault, Listening, listen_at};
use crate::manage::{self, Managed};
use crate::service::{Service, ServiceSettings};
use crate::signer::{Signer, SignerFault};
use crate::workers;

/// LIMIT: notices that wait to be printed; more are lost, since nobody may wait for a terminal.
const NOTICES_MAX: usize = 256;

/// LIMIT: how long the ready line waits for the credentials of roles. Guests are served meanwhile, and
/// are told that there are none yet.
const READY_DEADLINE: Duration = Duration::from_secs(2);

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
    /// Addresses that serve other instances.
    pub attached: Vec<(SocketAddr, InstanceId)>,
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
    Broken(&'static str),
    Notice(Notice),
    Ready,
    Stop,
}

/// Where notices go. Telling never waits: one that finds no room is lost.
#[derive(Clone, Debug)]
pub(crate) struct Notices(mpsc::Sender<Event>);

impl Notices {
    pub(crate) fn tell(&self, notice: Notice) {
        let _ = self.0.try_send(Event::Notice(notice));
    }

    /// Ends the server: a part of it that must not end has ended.
    pub(crate) async fn break_down(&self, what: &'static str) {
        let _ = self.0.send(Event::Broken(what)).await;
    }

    /// Says that the server is ready, once `first` is done or has taken its time.
    async fn ready_after(self, first: impl Future<Output = ()>) {
        let _ = tokio::time::timeout(READY_DEADLINE, first).await;
        let _ = self.0.send(Event::Ready).await;
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
    #[error("the management listener: {0}")]
    Manage(ListenFault),
    /// The admin socket.
    #[error(transparent)]
    Socket(#[from] SocketFault),
    /// The signing thread.
    #[error(transparent)]
    Signer(#[from] SignerFault),
    /// A part of the server that must not end has ended.
    #[error("{0}: the server ends, so that whoever watches it can start it anew")]
    Broken(&'static str),
    /// What the start planned could not be stored.
    #[error("the start could not be stored: {0}")]
    Uncommitted(String),
    /// A thread or a runtime.
    #[error("the system does not give what a server needs")]
    System(#[from] std::io::Error),
}

/// Runs a server until SIGTERM, SIGINT, SIGHUP or SIGQUIT.
///
/// `commit` makes what the start planned durable; it is called once everything that can fail has
/// been had from the system, and before anyone is served. `on_ready` is called once the server
/// serves, `on_notice` for what the operator should know, never on the guest path.
///
/// # Errors
///
/// [`RunFault`] if it could not start, or broke down.
pub fn run(
    settings: &ServerSettings,
    store: Arc<Store>,
    commit: impl FnOnce() -> Result<(), String>,
    on_ready: impl FnOnce(&Ready),
    on_notice: impl FnMut(Notice),
) -> Result<(), RunFault> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(settings, store, commit, on_ready, on_notice))
}

async fn serve(
    settings: &ServerSettings,
    store: Arc<Store>,
    commit: impl FnOnce() -> Result<(), String>,
    on_ready: impl FnOnce(&Ready),
    on_notice: impl FnMut(Notice),
) -> Result<(), RunFault> {
    let (notices, events) = listen_for_events()?;
    let clock = Clock::start();
    let opened = Opened::open(settings).await?;
    let ready = Arc::new(opened.ready(settings)?);
    commit().map_err(RunFault::Uncommitted)?;

    let service = Arc::new(Service::new(settings.service));
    let report = notices.clone();
    let signer =
        Signer::start(Arc::clone(&service), Arc::clone(&store), clock.clone(), move |fault| {
            report.tell(Notice::IdentityKeys(fault));
        })?;
    let counters: Arc<[Arc<Counters>]> = (0..settings.workers).map(|_| Arc::default()).collect();
    let Bounds { connections, connections_per_source } = settings.bounds;
    let admission = Arc::new(Admission::new(connections, connections_per_source));
    let explained = Arc::default();
    let worker = |counters: &Arc<Counters>| Worker {
        service: Arc::clone(&service),
        store: Arc::clone(&store),
        clock: clock.clone(),
        counters: Arc::clone(counters),
        admission: Arc::clone(&admission),
        signer: signer.clone(),
        notices: notices.clone(),
        explained: Arc::clone(&explained),
    };
    let (stop, stopped) = watch::channel(());
    let workers = counters.iter().map(worker).collect();
    let threads = workers::start(opened.listening, workers, &stopped, &notices)?;

    let managed = Managed { store: Arc::clone(&store), counters };
    tokio::spawn(manage::serve(opened.manage, managed));
    let surroundings = Arc::new(Running { ready: Arc::clone(&ready), signer });
    tokio::spawn(admin::serve(opened.admin, Arc::clone(&store), surroundings, clock.clone()));
    let fetched = background::fetch_credentials(&service, &store, &clock, &notices);
    tokio::spawn(notices.clone().ready_after(fetched));
    let period_seconds = settings.token_key_period_seconds;
    tokio::spawn(background::rotate_token_keys(store, clock, period_seconds, notices));

    let ended = watch_events(events, || on_ready(&ready), on_notice).await;
    drop(stop);
    for thread in threads {
        // A thread that panicked has broken the server down already.
        let _ = thread.join();
    }
    ended
}

/// Waits for the end, and passes on what happens until then.
async fn watch_events(
    mut events: mpsc::Receiver<Event>,
    on_ready: impl FnOnce(),
    mut on_notice: impl FnMut(Notice),
) -> Result<(), RunFault> {
    let mut on_ready = Some(on_ready);
    while let Some(event) = events.recv().await {
        match event {
            Event::Broken(what) => return Err(RunFault::Broken(what)),
            Event::Notice(notice) => on_notice(notice),
            Event::Ready => _ = on_ready.take().map(|on_ready| on_ready()),
            Event::Stop => break,
        }
    }
    Ok(())
}

/// Opens the channel that notices come by, and has it end at a signal to stop.
fn listen_for_events() -> std::io::Result<(Notices, mpsc::Receiver<Event>)> {
    let (sender, events) = mpsc::channel(NOTICES_MAX);
    let kinds = [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
        SignalKind::quit(),
    ];
    for kind in kinds {
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
    async fn open(settings: &ServerSettings) -> Result<Self, RunFault> {
        let (admin, socket) = admin::bind(&settings.data_dir)?;
        let link_local = if settings.link_local { Some(LinkLocal::add()?) } else { None };
        let listening = listen_everywhere(settings, link_local.as_ref())?;
        let manage = manage::bind(settings.manage)
            .await
            .map_err(|fault| RunFault::Manage(ListenFault::of(settings.manage, &fault)))?;
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
    link_local: Option<&LinkLocal>,
) -> Result<Vec<(Listening, InstanceId)>, ListenFault> {
    let link_local = link_local.into_iter().flat_map(LinkLocal::addresses);
    let default = settings.listen.iter().copied().chain(link_local);
    default
        .map(|address| (address, settings.default_instance))
        .chain(settings.attached.iter().copied())
        .map(|(address, id)| Ok((listen_at(address, settings.workers)?, id)))
        .collect()
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
