//! A whole server: threads, listeners, background work, and an orderly end.
//!
//! ```text
//! imds-worker-N      one per core: a runtime and a socket for each address; nothing but guests
//! imds-attachments   opens and closes doors as instances and namespaces come and go
//! imds-signer        signs identity documents
//! imds-lifecycle     has machines made, stopped, started and removed as instances are launched and end
//! imds-credentials   fetches the credentials of roles ahead, from programs and from STS
//! main               management listener, admin socket, key rotation, watchdog, signals
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use control::LaunchSettings;
use model::{Attachment, Generation, InstanceId, LifecycleEvent, RoleName, TokenUndelivered};
use store::Store;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::admin::{self, SocketFault, SocketName};
use crate::admission::Admission;
use crate::attachments::{self, Attachments};
use crate::background;
use crate::board::Board;
use crate::clock::Clock;
use crate::counters::Counters;
use crate::credentials::{self, SourceFault};
use crate::delivery::Reporter;
use crate::driver::Worker;
use crate::exchange::Entrance;
use crate::ledger::Ledger;
use crate::link_local::{LinkLocal, LinkLocalFault};
use crate::listener::{For, ListenFault, Listening, listen_at};
use crate::machines::{self, Machines};
use crate::manage::{self, Managed};
use crate::passed::{Passed, PassedFault};
use crate::service::{Service, ServiceSettings};
use crate::signer::{Signer, SignerFault};
use crate::surroundings::{Running, url};
use crate::watchdog;
use crate::workers::Workers;

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
#[derive(Debug)]
pub struct ServerSettings {
    /// Addresses that serve the default instance.
    pub listen: Vec<SocketAddr>,
    /// Addresses that serve every instance that is told by its source.
    pub shared_listen: Vec<SocketAddr>,
    /// Addresses that other instances are attached to.
    pub listeners: Vec<(SocketAddr, InstanceId)>,
    /// Whether the link-local addresses serve it too.
    pub link_local: bool,
    /// Address of the management listener.
    pub manage: SocketAddr,
    /// The sockets among those addresses that the service manager has opened already.
    pub passed: Passed,
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
    /// What the operator says of launches.
    pub launch: LaunchSettings,
    /// The machine program and its arguments, for the `exec` driver; empty if there is none.
    pub machine_program: Vec<String>,
    /// How often, at the least, whoever watches the server wants to hear that it serves.
    pub watchdog: Option<Duration>,
}

/// How far a server has come, for whoever manages it.
#[derive(Clone, Copy, Debug)]
pub enum Stage<'a> {
    /// It serves.
    Ready(&'a Ready),
    /// It still does: every thread that guests depend on has just answered.
    Serving,
    /// It begins to end.
    Stopping,
}

/// Where a server that is ready can be reached.
#[derive(Clone, Debug)]
pub struct Ready {
    /// The addresses that serve the default instance.
    pub metadata: Vec<SocketAddr>,
    /// Those that serve every instance that is told by its source.
    pub shared: Vec<SocketAddr>,
    /// Those that other instances are attached to.
    pub attached: Vec<SocketAddr>,
    /// The management listener.
    pub management: SocketAddr,
    /// The instance behind `metadata`.
    pub default_instance: InstanceId,
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = self.metadata.iter().chain(&self.shared).chain(&self.attached);
        let urls: Vec<_> = addresses.map(|address| url(*address)).collect();
        if !urls.is_empty() {
            write!(f, "metadata at {}; ", urls.join(" and "))?;
        }
        write!(f, "management at {}", url(self.management))
    }
}

/// Something that the operator should know.
#[derive(Debug)]
pub enum Notice {
    /// An attachment that waited serves.
    AttachmentServes(InstanceId, Attachment),
    /// An attachment does not serve, and what is missing.
    AttachmentWaits(InstanceId, Attachment, String),
    /// More attachments than are told one by one.
    Attachments {
        /// How many more serve that had waited.
        serve: usize,
        /// How many more do not serve.
        wait: usize,
    },
    /// A source of credentials failed.
    CredentialsNotFetched {
        /// The role.
        role: RoleName,
        /// Why.
        fault: SourceFault,
    },
    /// A machine that a crash or a boot left behind could be neither removed nor made again.
    HostNotRecovered(InstanceId, String),
    /// What the EC2 API was asked for could not be stored; its caller was told no reason.
    ChangeNotStored(String),
    /// Identity documents cannot be signed.
    IdentityKeys(SignerFault),
    /// A key could not be rotated: the one in force stays.
    KeyNotRotated(String),
    /// The driver of an instance could not do what was due, and why.
    MachineFailed(InstanceId, LifecycleEvent, String),
    /// What became of instances could not be stored: it is tried again.
    NotStored(String),
    /// A thread that guests depend on does not answer.
    ThreadStuck(String),
    /// Someone asked without a token for the first time, and the instance requires one.
    TokenlessRefused(InstanceId),
    /// A token did not arrive, for the first time or for another reason than before.
    TokenUndelivered(TokenUndelivered),
}

/// What the main thread waits for.
#[derive(Debug)]
pub(crate) enum Event {
    Broken(&'static str),
    Notice(Notice),
    Ready,
    Serving,
    Stop,
}

/// Where notices go. Telling never waits: one that finds no room is lost.
#[derive(Clone, Debug)]
pub(crate) struct Notices(pub(crate) mpsc::Sender<Event>);

impl Notices {
    pub(crate) fn tell(&self, notice: Notice) {
        let _ = self.0.try_send(Event::Notice(notice));
    }

    /// Ends the server: a part of it that must not end has ended.
    pub(crate) async fn break_down(&self, what: &'static str) {
        let _ = self.0.send(Event::Broken(what)).await;
    }

    /// Says that the server serves.
    pub(crate) async fn serving(&self) {
        let _ = self.0.send(Event::Serving).await;
    }

    /// Says that the server is ready, once `first` is done or has taken its time.
    async fn ready_after<T>(self, first: impl Future<Output = T>) {
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
    /// A socket that was passed.
    #[error(transparent)]
    Passed(#[from] PassedFault),
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
/// been had from the system, and before anyone is served. `on_stage` is called for how far the
/// server has come, `on_notice` for what the operator should know, never on the guest path.
///
/// # Errors
///
/// [`RunFault`] if it could not start, or broke down.
pub fn run(
    settings: &ServerSettings,
    store: Arc<Store>,
    commit: impl FnOnce() -> Result<(), String>,
    on_stage: impl FnMut(Stage<'_>),
    on_notice: impl FnMut(Notice),
) -> Result<(), RunFault> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(settings, store, commit, on_stage, on_notice))
}

async fn serve(
    settings: &ServerSettings,
    store: Arc<Store>,
    commit: impl FnOnce() -> Result<(), String>,
    mut on_stage: impl FnMut(Stage<'_>),
    on_notice: impl FnMut(Notice),
) -> Result<(), RunFault> {
    let (notices, events) = listen_for_events()?;
    let clock = Clock::start();
    let opened = Opened::open(settings).await?;
    let ready = Arc::new(opened.ready(settings)?);
    commit().map_err(RunFault::Uncommitted)?;

    let service = Arc::new(Service::new(settings.service));
    let signer = start_signer(&service, &store, &clock, &notices)?;
    let counters: Arc<[Arc<Counters>]> = (0..settings.workers).map(|_| Arc::default()).collect();
    let Bounds { connections, connections_per_source } = settings.bounds;
    let admission = Arc::new(Admission::new(connections, connections_per_source));
    let (explained, ledger) = (Arc::default(), Arc::<Ledger>::default());
    let worker = |counters: &Arc<Counters>| Worker {
        service: Arc::clone(&service),
        store: Arc::clone(&store),
        clock: clock.clone(),
        counters: Arc::clone(counters),
        admission: Arc::clone(&admission),
        signer: signer.clone(),
        notices: notices.clone(),
        reporter: Reporter::new(&clock, counters, &ledger, &notices),
        explained: Arc::clone(&explained),
    };
    let workers = counters.iter().map(worker).collect();
    let (workers, mut threads) = Workers::start(workers, admission, &notices)?;
    let pulse = workers.pulse();
    let board = Arc::<Board>::default();
    let kept = Attachments::new(
        Arc::clone(&store),
        workers,
        Arc::clone(&board),
        notices.clone(),
        ready.is_ec2_shared(),
    );
    let (stop, stopped) = watch::channel(());
    threads.push(attachments::start(opened.doors.given_to(kept, settings), stopped.clone())?);
    let Machines { progress, thread, in_order } =
        machines::start(settings, &ready, &store, &clock, &notices, stopped.clone())?;
    threads.push(thread);
    let (thread, fetched) = credentials::start(&service, &store, &clock, &notices, stopped)?;
    threads.push(thread);

    let generation = store.current().generation();
    let surroundings = Arc::new(Running {
        ready: Arc::clone(&ready),
        service,
        signer,
        board: Arc::clone(&board),
        ledger,
        store: Arc::clone(&store),
        progress,
        launch: settings.launch.clone(),
        notices: notices.clone(),
    });
    let managed =
        Managed { store: Arc::clone(&store), counters, surroundings, clock: clock.clone() };
    serve_operators(opened.manage, opened.admin, managed);
    watchdog::start(settings.watchdog, pulse, &board, &notices);
    let first = async move { (in_order.await, settled(board, generation).await, fetched.await) };
    tokio::spawn(notices.clone().ready_after(first));
    let period_seconds = settings.token_key_period_seconds;
    tokio::spawn(background::rotate_token_keys(store, clock, period_seconds, notices));

    let ended = watch_events(events, &ready, &mut on_stage, on_notice).await;
    on_stage(Stage::Stopping);
    drop(stop);
    for thread in threads {
        // A thread that panicked has broken the server down already.
        let _ = thread.join();
    }
    ended
}

/// Serves those who manage the server: the APIs and pages of the listener, and the admin socket.
fn serve_operators(listener: TcpListener, socket: UnixListener, managed: Managed) {
    let (store, surroundings) = (Arc::clone(&managed.store), Arc::clone(&managed.surroundings));
    tokio::spawn(admin::serve(socket, store, surroundings, managed.clock.clone()));
    tokio::spawn(manage::serve(listener, managed));
}

fn start_signer(
    service: &Arc<Service>,
    store: &Arc<Store>,
    clock: &Clock,
    notices: &Notices,
) -> Result<Signer, SignerFault> {
    let report = notices.clone();
    Signer::start(Arc::clone(service), Arc::clone(store), clock.clone(), move |fault| {
        report.tell(Notice::IdentityKeys(fault));
    })
}

/// Waits until the attachments of a generation are taken up, and what is there now.
async fn settled(board: Arc<Board>, generation: Generation) {
    let settles = move || {
        board.settles(generation);
        board.look_again();
    };
    // It fails if the server ends meanwhile.
    let _ = tokio::task::spawn_blocking(settles).await;
}

/// Waits for the end, and passes on what happens until then.
async fn watch_events(
    mut events: mpsc::Receiver<Event>,
    ready: &Ready,
    mut on_stage: impl FnMut(Stage<'_>),
    mut on_notice: impl FnMut(Notice),
) -> Result<(), RunFault> {
    while let Some(event) = events.recv().await {
        match event {
            Event::Broken(what) => return Err(RunFault::Broken(what)),
            Event::Notice(notice) => on_notice(notice),
            Event::Ready => on_stage(Stage::Ready(ready)),
            Event::Serving => on_stage(Stage::Serving),
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
    doors: Doors,
    manage: TcpListener,
}

impl Opened {
    async fn open(settings: &ServerSettings) -> Result<Self, RunFault> {
        let (admin, socket) = admin::bind(&settings.data_dir)?;
        let link_local = if settings.link_local { Some(LinkLocal::add()?) } else { None };
        let doors = Doors::open(settings, link_local.as_ref())?;
        let manage = match settings.passed.listen_for_operators() {
            Some(passed) => TcpListener::from_std(passed?)?,
            None => manage::bind(settings.manage)
                .await
                .map_err(|fault| RunFault::Manage(ListenFault::of(settings.manage, &fault)))?,
        };
        Ok(Self { admin, _socket: socket, _link_local: link_local, doors, manage })
    }

    fn ready(&self, settings: &ServerSettings) -> std::io::Result<Ready> {
        let addresses =
            |doors: &[Listening]| doors.iter().map(|listening| listening.address).collect();
        Ok(Ready {
            metadata: addresses(&self.doors.default),
            shared: addresses(&self.doors.shared),
            attached: addresses(&self.doors.listeners),
            management: self.manage.local_addr()?,
            default_instance: settings.default_instance,
        })
    }
}

/// Every address of the data plane that must be had for the server to start.
struct Doors {
    default: Vec<Listening>,
    shared: Vec<Listening>,
    /// In the order of the settings.
    listeners: Vec<Listening>,
}

impl Doors {
    fn open(settings: &ServerSettings, link_local: Option<&LinkLocal>) -> Result<Self, RunFault> {
        let ServerSettings { passed, workers, .. } = settings;
        let link_local = link_local.into_iter().flat_map(LinkLocal::addresses);
        let default = settings.listen.iter().copied().chain(link_local);
        let listen = |what_for| {
            move |address| match passed.listen_at(address, what_for, *workers) {
                Some(passed) => passed.map_err(RunFault::from),
                None => listen_at(address, what_for, *workers).map_err(RunFault::from),
            }
        };
        let shared = settings.shared_listen.iter().copied().map(listen(For::Sources));
        let listeners = settings.listeners.iter().map(|(address, _)| *address);
        Ok(Self {
            default: default.map(listen(For::Anyone)).collect::<Result<_, _>>()?,
            shared: shared.collect::<Result<_, _>>()?,
            listeners: listeners.map(listen(For::Anyone)).collect::<Result<_, _>>()?,
        })
    }

    /// Hands them to whom keeps them.
    fn given_to(self, mut kept: Attachments, settings: &ServerSettings) -> Attachments {
        let default = Entrance::Instance(settings.default_instance);
        let own = self.default.into_iter().map(|listening| (default, listening));
        let shared = self.shared.into_iter().map(|listening| (Entrance::Shared, listening));
        for (entrance, listening) in own.chain(shared) {
            kept.open_for(entrance, listening.sockets);
        }
        for (listening, (address, id)) in self.listeners.into_iter().zip(&settings.listeners) {
            kept.hold((Attachment::Listener(*address), *id), listening.into());
        }
        kept
    }
}
