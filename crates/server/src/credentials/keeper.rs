//! The thread that fetches credentials ahead and keeps them fresh.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use metadata::Credentials;
use model::{CredentialSource, IamKey, Timestamp};
use store::{Store, Touched};
use tokio::runtime;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use super::page::Tally;
use super::schedule::{Fetch, Schedule};
use super::sts::Sts;
use super::wanted::{Step, Wanted};
use super::{SourceFault, program};
use crate::clock::{Clock, Moment};
use crate::run::{Notice, Notices};
use crate::service::Service;

/// LIMIT: events that wait. Whoever has more to tell waits too.
const EVENTS_MAX: usize = 256;

/// LIMIT: all instances are looked at no more often than this, whatever changes.
const SCAN_PAUSE: Duration = Duration::from_secs(1);

/// How often it is looked at the clock, which may have been set, or stood still for a while.
const LOOK: Duration = Duration::from_secs(5);

/// How far the wall clock moves before it is taken to have been set.
const STEP_MILLIS: i64 = 5_000;

/// LIMIT: one reason that the credentials of a role are not fetched is told no more often than this:
/// its instances fail alike.
const NOTICE_PAUSE: Duration = Duration::from_mins(10);

/// LIMIT: reasons of one role are told no more often than this, however many it has.
const NEWS_PAUSE: Duration = Duration::from_secs(5);

/// What the thread works with.
struct Keeper {
    service: Arc<Service>,
    store: Arc<Store>,
    clock: Clock,
    notices: Notices,
}

/// What happens.
enum Event {
    /// A fetch has ended.
    Ended(Fetch, Result<Credentials, SourceFault>),
    /// More has changed than can be told.
    Everything,
    Touched(Arc<Touched>),
}

/// Starts the thread, until the sender of `stopped` is dropped. What comes back besides ends when each
/// set that is wanted at the start has been tried once.
///
/// # Errors
///
/// What the system says.
pub(crate) fn start(
    service: &Arc<Service>,
    store: &Arc<Store>,
    clock: &Clock,
    notices: &Notices,
    mut stopped: watch::Receiver<()>,
) -> std::io::Result<(JoinHandle<()>, oneshot::Receiver<()>)> {
    let name = "imds-credentials";
    let runtime = runtime::Builder::new_current_thread().thread_name(name).enable_all().build()?;
    let (tried, first) = oneshot::channel();
    let keeper = Keeper {
        service: Arc::clone(service),
        store: Arc::clone(store),
        clock: clock.clone(),
        notices: notices.clone(),
    };
    let work = move || {
        runtime.block_on(async move {
            tokio::spawn(Work::new(keeper, tried).keep());
            // The sender is dropped to stop; nothing is ever sent.
            let _ = stopped.changed().await;
        });
        // A name that nobody resolves would hold up the end.
        runtime.shutdown_background();
    };
    Ok((thread::Builder::new().name(name.to_owned()).spawn(work)?, first))
}

struct Work {
    keeper: Keeper,
    sts: Arc<Sts>,
    wanted: Wanted,
    schedule: Schedule,
    tallies: HashMap<IamKey, Arc<Tally>>,
    /// What was told of each role, and when.
    told: HashMap<IamKey, (String, Instant)>,
    /// Whether all instances have to be looked at, and when they were last.
    is_behind: bool,
    scanned: Option<Instant>,
    /// Wall clock minus steady clock, when it was looked last.
    wall_offset_millis: i64,
    first: Option<oneshot::Sender<()>>,
    ended: mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
}

impl Work {
    fn new(keeper: Keeper, first: oneshot::Sender<()>) -> Self {
        let (ended, events) = mpsc::channel(EVENTS_MAX);
        let wall_offset_millis = wall_offset_millis(keeper.clock.now());
        Self {
            keeper,
            sts: Arc::default(),
            wanted: Wanted::default(),
            schedule: Schedule::new(random),
            tallies: HashMap::new(),
            told: HashMap::new(),
            is_behind: true,
            scanned: None,
            wall_offset_millis,
            first: Some(first),
            ended,
            events,
        }
    }

    /// Works for as long as the runtime lives.
    async fn keep(mut self) {
        tokio::spawn(follow(self.keeper.store.follow(), self.ended.clone()));
        self.look_at_roles();
        loop {
            self.catch_up();
            self.begin_fetches();
            self.tell_first();
            if let Ok(event) = timeout(self.pause(), self.events.recv()).await {
                let Some(event) = event else { return };
                self.handle(event);
            }
            for _ in 0..EVENTS_MAX {
                let Ok(event) = self.events.try_recv() else { break };
                self.handle(event);
            }
            self.watch_clock();
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Ended(fetch, Ok(credentials)) => self.succeeded(&fetch, credentials),
            Event::Ended(fetch, Err(fault)) => self.failed(&fetch, fault),
            Event::Everything => {
                self.look_at_roles();
                self.is_behind = true;
            }
            Event::Touched(touched) => {
                if touched.roles {
                    self.look_at_roles();
                }
                let (snapshot, mut steps) = (self.keeper.store.snapshot(), Vec::new());
                for id in &touched.instances {
                    self.wanted.look_at(&snapshot, *id, &mut steps);
                }
                self.take(steps);
            }
        }
    }

    fn look_at_roles(&mut self) {
        let mut steps = Vec::new();
        self.is_behind |= self.wanted.look_at_roles(&self.keeper.store.snapshot(), &mut steps);
        if !steps.is_empty() {
            self.sts.forget_keys();
        }
        self.take(steps);
    }

    /// Looks at all instances, if that must be.
    fn catch_up(&mut self) {
        if self.is_behind && self.scanned.is_none_or(|scanned| scanned.elapsed() >= SCAN_PAUSE) {
            let mut steps = Vec::new();
            self.wanted.look_at_all(&self.keeper.store.snapshot(), &mut steps);
            self.take(steps);
            self.is_behind = false;
            self.scanned = Some(Instant::now());
        }
    }

    fn take(&mut self, steps: Vec<Step>) {
        let (held, now) = (&self.keeper.service.credentials, self.keeper.clock.now().steady);
        for step in steps {
            match step {
                Step::PutRole(role) => {
                    self.tallies.insert(role.key(), held.follow(&role));
                    self.schedule.put_role(&role, now);
                }
                Step::RemoveRole(name) => {
                    held.forget_role(&name);
                    self.schedule.remove_role(&name);
                    self.tallies.remove(&name);
                    self.told.remove(&name);
                }
                Step::Want(name, session) => {
                    held.expect(&name, session);
                    self.schedule.want(&name, session);
                }
                Step::Unwant(name, session) => {
                    held.forget(&name, session);
                    self.schedule.unwant(&name, session);
                }
            }
        }
    }

    /// Begins the fetches that are due, as many as may be at a time.
    fn begin_fetches(&mut self) {
        let now = self.keeper.clock.now();
        while let Some(fetch) = self.schedule.begin(now.steady) {
            let (sts, ended) = (Arc::clone(&self.sts), self.ended.clone());
            let fetched = tokio::spawn(fetched(sts, fetch.clone(), now.wall));
            tokio::spawn(async move {
                let outcome = fetched.await.unwrap_or(Err(SourceFault::Broken));
                // It fails if the server ends meanwhile.
                let _ = ended.send(Event::Ended(fetch, outcome)).await;
            });
        }
    }

    fn succeeded(&mut self, fetch: &Fetch, credentials: Credentials) {
        let now = self.keeper.clock.now();
        let left = credentials.expiration.as_millis() - now.wall.as_millis();
        if self.schedule.succeeded(fetch, left, now.steady) {
            let name = &fetch.role.key();
            self.keeper.service.credentials.keep(name, fetch.session, credentials);
            if let Some(tally) = self.tallies.get(name) {
                tally.succeeded();
            }
        }
    }

    fn failed(&mut self, fetch: &Fetch, fault: SourceFault) {
        if !self.schedule.failed(fetch, self.keeper.clock.now().steady) {
            return;
        }
        let name = &fetch.role.key();
        if let Some(tally) = self.tallies.get(name) {
            tally.failed(&fault);
        }
        self.keeper.service.credentials.keep_trouble(
            name,
            fetch.session,
            fault.trouble(name.name.as_str()),
        );
        let reason = fault.to_string();
        let is_told = |(told, at): &(String, Instant)| {
            at.elapsed() < if *told == reason { NOTICE_PAUSE } else { NEWS_PAUSE }
        };
        if !self.told.get(name).is_some_and(is_told) {
            self.told.insert(name.clone(), (reason, Instant::now()));
            let notice = Notice::CredentialsNotFetched { role: fetch.role.name.clone(), fault };
            self.keeper.notices.tell(notice);
        }
    }

    /// Tells whoever waits for it that each set has been tried once.
    fn tell_first(&mut self) {
        let has_tried_all = !self.is_behind && self.schedule.has_tried_all();
        if let Some(first) = self.first.take_if(|_| has_tried_all) {
            // It fails if nobody waits that long.
            let _ = first.send(());
        }
    }

    /// Returns how long nothing is to be done, unless something happens.
    fn pause(&self) -> Duration {
        let now = self.keeper.clock.now().steady.as_millis();
        let next = self.schedule.next().map_or(LOOK, |due| {
            let millis = due.as_millis().saturating_sub(now).max(1);
            Duration::from_millis(u64::try_from(millis).unwrap_or(1))
        });
        let scan = if self.is_behind { SCAN_PAUSE } else { LOOK };
        next.min(scan).min(LOOK)
    }

    /// Has everything fetched again if the wall clock was set: by it, times of ends are compared.
    fn watch_clock(&mut self) {
        let now = self.keeper.clock.now();
        let offset = wall_offset_millis(now);
        if (offset - self.wall_offset_millis).abs() > STEP_MILLIS {
            self.schedule.hasten(now.steady);
        }
        self.wall_offset_millis = offset;
    }
}

fn wall_offset_millis(now: Moment) -> i64 {
    now.wall.as_millis() - now.steady.as_millis()
}

/// Passes on what changes in the store.
async fn follow(mut feed: broadcast::Receiver<Arc<Touched>>, events: mpsc::Sender<Event>) {
    loop {
        let event = match feed.recv().await {
            Ok(touched) => Event::Touched(touched),
            Err(RecvError::Lagged(_)) => Event::Everything,
            Err(RecvError::Closed) => return,
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}

async fn fetched(sts: Arc<Sts>, fetch: Fetch, now: Timestamp) -> Result<Credentials, SourceFault> {
    match (&fetch.role.credentials, fetch.session) {
        (CredentialSource::Process { command }, _) => Ok(program::fetch(command, now).await?),
        (CredentialSource::Sts(source), Some((instance, _))) => {
            Ok(sts.assume(source, instance, now).await?)
        }
        // Nothing else is ever wanted.
        (
            CredentialSource::BuiltIn { .. }
            | CredentialSource::Error { .. }
            | CredentialSource::Static(_)
            | CredentialSource::Sts(_),
            _,
        ) => Err(SourceFault::Broken),
    }
}

/// Draws how far apart things come. Where the system has no randomness, they come at once.
fn random() -> u32 {
    let mut bytes = [0; 4];
    let _ = getrandom::fill(&mut bytes);
    u32::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests;
