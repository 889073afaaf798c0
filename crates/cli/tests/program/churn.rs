//! Instances that move: attached and detached at random, launched and ended, while callers ask at
//! every place all the time. A caller is told of the instance that is attached where it asks, or of
//! none, and never of another one.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};

use crate::alone::alone;
use crate::chance::Chance;
use crate::exchange::{Answer, read_request, token_request, tokenless_request};
use crate::machines::{EC2, Heard, Machine, socket_count, thread_count};
use crate::running::{Home, Running, long_run, tell};
use crate::waiting::{PATIENCE, wait_within};

const INSTANCES: usize = 200;
const NAMESPACES: usize = 60;
const SOURCES: u8 = 140;

/// Where sources ask.
const SHARED: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9)), 80);

/// What callers ask for.
const PATH: &str = "/latest/meta-data/instance-id";

/// Threads that move instances, and threads that ask.
const MOVERS: usize = 4;
const CALLERS: usize = 6;

/// A place to be attached at, and who has been.
struct Place {
    attachment: Value,
    from: From,
    /// Held while somebody moves: one after the other.
    moving: Mutex<()>,
    stays: Mutex<Vec<Stay>>,
}

/// Where a caller at a place asks from.
enum From {
    Namespace(File),
    Source(Ipv4Addr),
}

/// The stay of an instance at a place. A time that is none has not come.
#[derive(Clone, Debug)]
struct Stay {
    instance: String,
    asked_for: Instant,
    /// When the attach was acknowledged, and the instance is served from then on.
    begun: Option<Instant>,
    /// When its end was asked for.
    ending: Option<Instant>,
    ended: Option<Instant>,
}

impl Place {
    fn stays(&self) -> MutexGuard<'_, Vec<Stay>> {
        self.stays.lock().unwrap()
    }

    /// The attachment as text.
    fn written(&self) -> String {
        let (kind, value) = self.attachment.as_object().unwrap().iter().next().unwrap();
        format!("{kind}={}", value.as_str().unwrap())
    }

    /// Judges what was told to whoever asked from `start` to `end`.
    fn verdict(&self, told: &Told, start: Instant, end: Instant) -> Result<(), String> {
        let stays = self.stays();
        let is_before = |time: Option<Instant>, limit| time.is_some_and(|time| time <= limit);
        // Attached, by everything that was known when the request was started.
        let host = stays
            .iter()
            .find(|stay| is_before(stay.begun, start) && !is_before(stay.ending, start));
        let is_right = match (host, told) {
            (Some(host), Told::Instance(id)) => host.instance == *id,
            (Some(host), Told::Nothing) => is_before(host.ending, end),
            (Some(host), Told::TokenRefused(owner)) => {
                host.instance != *owner || is_before(host.ending, end)
            }
            // Somebody is coming or going, or nobody is there.
            (None, Told::Instance(id)) => {
                let may_be = |stay: &&Stay| stay.asked_for <= end && !is_before(stay.ended, start);
                stays.iter().filter(may_be).any(|stay| stay.instance == *id)
            }
            (None, Told::Nothing | Told::TokenRefused(_)) => true,
        };
        let last = stays.last();
        let wrong = || format!("{}: {told:?}, with {host:?} there, last {last:?}", self.written());
        if is_right { Ok(()) } else { Err(wrong()) }
    }
}

/// What a caller is told.
#[derive(Debug)]
enum Told {
    /// That it is this instance.
    Instance(String),
    /// There was no answer.
    Nothing,
    /// That the token, which is this instance's, is not good here.
    TokenRefused(String),
}

/// What all threads share.
struct Scene<'a> {
    home: &'a Home,
    places: Vec<Place>,
    instances: Vec<String>,
    /// Tokens, and whose each is.
    tokens: Mutex<Vec<(String, String)>>,
    stop: AtomicBool,
    wrong: Mutex<Vec<String>>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    attached: AtomicUsize,
    detached: AtomicUsize,
    launched: AtomicUsize,
    asked: AtomicUsize,
    answered: AtomicUsize,
    tokens_refused: AtomicUsize,
}

fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Scene<'_> {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn say_wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    /// Attaches somebody at a place where nobody is, or detaches whoever is there.
    fn move_at(&self, place: &Place, chance: &mut Chance) {
        let Ok(_moving) = place.moving.try_lock() else { return };
        let host = place.stays().last().filter(|stay| stay.ended.is_none()).cloned();
        match host {
            None => self.attach(place, &self.instances[chance.below(INSTANCES)]),
            Some(host) => self.detach(place, &host.instance),
        }
    }

    fn attach(&self, place: &Place, id: &str) {
        place.stays().push(Stay {
            instance: id.to_owned(),
            asked_for: Instant::now(),
            begun: None,
            ending: None,
            ended: None,
        });
        match self.ask("attach", place, id) {
            Ok(shown) => {
                let written = place.written();
                let views = shown["attached"].as_array().unwrap();
                let view = views.iter().find(|view| view["attachment"] == written.as_str());
                // What is acknowledged as waiting would be served later.
                if view.unwrap()["waiting"] != Value::Null {
                    return self.say_wrong(format!("{written} waits: {shown}"));
                }
                place.stays().last_mut().unwrap().begun = Some(Instant::now());
                count(&self.counts.attached);
            }
            // It has as many as it may have.
            Err(told) if told.contains("attachments") => {
                place.stays().last_mut().unwrap().ended = Some(Instant::now());
            }
            Err(told) => self.say_wrong(format!("attach {id} {}: {told}", place.attachment)),
        }
    }

    fn detach(&self, place: &Place, id: &str) {
        place.stays().last_mut().unwrap().ending = Some(Instant::now());
        match self.ask("detach", place, id) {
            Ok(_) => {
                place.stays().last_mut().unwrap().ended = Some(Instant::now());
                count(&self.counts.detached);
            }
            Err(told) => self.say_wrong(format!("detach {id} {}: {told}", place.attachment)),
        }
    }

    fn ask(&self, action: &str, place: &Place, id: &str) -> Result<Value, String> {
        let Place { attachment, .. } = place;
        self.home.ask(&json!({ "action": action, "instance_id": id, "attachment": attachment }))
    }

    /// Asks at a place, and checks what comes back.
    fn call_at(&self, place: &Place, chance: &mut Chance) {
        let start = Instant::now();
        let told = match chance.below(8) {
            0 => self.told_with_new_token(place),
            1 => self.told_with_any_token(place, chance),
            _ => exchange_at(place, &tokenless_request(PATH))
                .map(|answer| Told::Instance(answer.text().to_owned())),
        };
        let told = told.unwrap_or(Told::Nothing);
        let end = Instant::now();
        count(&self.counts.asked);
        match told {
            Told::Instance(_) => count(&self.counts.answered),
            Told::TokenRefused(_) => count(&self.counts.tokens_refused),
            Told::Nothing => {}
        }
        if let Err(wrong) = place.verdict(&told, start, end) {
            self.say_wrong(format!("{wrong}, from {start:?} to {end:?}"));
        }
    }

    fn told_with_new_token(&self, place: &Place) -> Option<Told> {
        let granted = exchange_at(place, &token_request("600"))?;
        assert_eq!(granted.status, 200, "{}", granted.head);
        let token = granted.text().to_owned();
        let answer = exchange_at(place, &read_request(PATH, &token))?;
        if answer.status != 200 {
            // Another instance came in between, to whom the token means nothing.
            assert_eq!(answer.status, 401, "{}", answer.head);
            return None;
        }
        let id = answer.text().to_owned();
        let mut tokens = self.tokens.lock().unwrap();
        if tokens.len() < 1_000 {
            tokens.push((token, id.clone()));
        }
        Some(Told::Instance(id))
    }

    /// Tries a token that some instance was granted.
    fn told_with_any_token(&self, place: &Place, chance: &mut Chance) -> Option<Told> {
        let (token, owner) = {
            let tokens = self.tokens.lock().unwrap();
            tokens.get(chance.below(1_000)).cloned()
        }
        .unwrap_or_else(|| ("none".to_owned(), "nobody".to_owned()));
        let answer = exchange_at(place, &read_request(PATH, &token))?;
        match answer.status {
            401 => Some(Told::TokenRefused(owner)),
            200 if answer.text() == owner => Some(Told::Instance(owner)),
            status => {
                self.say_wrong(format!("a token of {owner}: {status} {}", answer.text()));
                None
            }
        }
    }
}

/// Sends a request from a place, where the calling thread is, and returns the answer if there is
/// one.
fn exchange_at(place: &Place, request: &str) -> Option<Answer> {
    let (address, source) = match place.from {
        From::Namespace(_) => (EC2[0].parse().unwrap(), None),
        From::Source(source) => (SHARED, Some(source)),
    };
    let received = send(address, source, request).ok()?;
    (!received.is_empty()).then(|| Answer::parse(&received).unwrap())
}

fn send(address: SocketAddr, source: Option<Ipv4Addr>, request: &str) -> io::Result<Vec<u8>> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    if let Some(source) = source {
        bind(&socket, &SocketAddr::from((source, 0)))?;
    }
    rustix::net::connect(&socket, &address)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut received = Vec::new();
    stream.read_to_end(&mut received)?;
    Ok(received)
}

/// Asks at all places until it is over.
fn call(scene: &Scene<'_>, own: &File) {
    let mut chance = Chance::new();
    while !scene.is_over() {
        let place = &scene.places[chance.below(scene.places.len())];
        let namespace = match &place.from {
            From::Namespace(file) => file,
            From::Source(_) => own,
        };
        let network = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(namespace.as_fd(), network).unwrap();
        // A few times, so that some ask while others move.
        for _ in 0..4 {
            scene.call_at(place, &mut chance);
        }
    }
}

fn move_about(scene: &Scene<'_>) {
    let mut chance = Chance::new();
    while !scene.is_over() {
        scene.move_at(&scene.places[chance.below(scene.places.len())], &mut chance);
    }
}

/// Launches machines, asks in them, and ends them.
fn launch_and_end(scene: &Scene<'_>) {
    while !scene.is_over() {
        let question =
            json!({ "action": "launch_instance", "driver": { "netns": { "container": false } } });
        let launched = scene.home.ask(&question).unwrap();
        let id = launched["instance_id"].as_str().unwrap();
        let heard = Machine(id).hears(EC2[0]);
        if heard != Heard::instance(id) {
            scene.say_wrong(format!("{id} heard {heard:?} in its own machine"));
        }
        let question = json!({ "action": "terminate_instance", "instance_id": id });
        scene.home.ask(&question).unwrap();
        count(&scene.counts.launched);
    }
}

fn namespace_name(number: usize) -> String {
    format!("pool{number}")
}

fn places() -> Vec<Place> {
    let place = |attachment, from| Place {
        attachment,
        from,
        moving: Mutex::default(),
        stays: Mutex::default(),
    };
    let namespaces = (0..NAMESPACES).map(|number| {
        let name = namespace_name(number);
        let machine = Machine::made(&name);
        let file = File::open(machine.path()).unwrap();
        place(json!({ "netns": name }), From::Namespace(file))
    });
    let sources = (1..=SOURCES).map(|number| {
        let source = Ipv4Addr::new(127, 1, 0, number);
        place(json!({ "source": source.to_string() }), From::Source(source))
    });
    namespaces.chain(sources).collect()
}

fn launch_all(home: &Home) -> Vec<String> {
    let launch = |_| {
        let options = json!({ "http_tokens": "optional" });
        let question = json!({ "action": "launch_instance", "options": options });
        home.ask(&question).unwrap()["instance_id"].as_str().unwrap().to_owned()
    };
    (0..INSTANCES).map(launch).collect()
}

#[test]
fn whoever_moves_no_caller_is_told_of_another_instance() {
    alone(|| {
        let seconds = long_run("IMDS_TEST_CHURN_SECONDS", 60);
        let home = Home::new();
        let server = home.start(&["--shared-listen", &SHARED.to_string()]);
        let places = places();
        let instances = launch_all(&home);
        let before = Footprint::of(&server);
        let scene = Scene {
            home: &home,
            places,
            instances,
            tokens: Mutex::default(),
            stop: AtomicBool::new(false),
            wrong: Mutex::default(),
            counts: Counts::default(),
        };
        let own = File::open("/proc/thread-self/ns/net").unwrap();
        thread::scope(|scope| {
            for _ in 0..MOVERS {
                scope.spawn(|| move_about(&scene));
            }
            for _ in 0..CALLERS {
                scope.spawn(|| call(&scene, &own));
            }
            scope.spawn(|| launch_and_end(&scene));
            wait_within(Duration::from_secs(seconds as u64), || {
                (!scene.wrong.lock().unwrap().is_empty()).then_some(())
            });
            scene.stop.store(true, Ordering::Relaxed);
        });
        let Counts { attached, detached, launched, asked, answered, tokens_refused } =
            &scene.counts;
        let [attached, detached, launched, asked, answered, tokens_refused] =
            [attached, detached, launched, asked, answered, tokens_refused]
                .map(|counter| counter.load(Ordering::Relaxed));
        tell(&format!(
            "{seconds} s of churn, {INSTANCES} instances at {} places: {attached} attached, \
             {detached} detached, {launched} launched and ended; {asked} requests, {answered} \
             answered, {tokens_refused} refused for a token of another; {} wrong",
            scene.places.len(),
            scene.wrong.lock().unwrap().len(),
        ));
        let wrong = scene.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{:#?}", &wrong[..wrong.len().min(3)]);
        assert!(attached > seconds * 10 && answered > seconds * 100, "it was churned throughout");
        for place in &scene.places {
            let host = place.stays().last().filter(|stay| stay.ended.is_none()).cloned();
            if let Some(host) = host {
                scene.detach(place, &host.instance);
            }
        }
        let mut after = Footprint::of(&server);
        wait_within(PATIENCE, || {
            after = Footprint::of(&server);
            after.is_within(&before).then_some(())
        });
        assert!(after.is_within(&before), "something is left of it: {after:?}, {before:?}");
        server.stop();
    });
}

/// What a server holds.
#[derive(Debug, PartialEq, Eq)]
struct Footprint {
    sockets: usize,
    threads: usize,
    namespaces: BTreeSet<String>,
}

impl Footprint {
    /// A thread that a start needed may have ended since.
    fn is_within(&self, before: &Self) -> bool {
        self.sockets <= before.sockets
            && self.threads <= before.threads
            && self.namespaces == before.namespaces
    }

    /// Once it is at rest.
    fn of(server: &Running) -> Self {
        let names = std::fs::read_dir("/run/netns").unwrap();
        let name = |entry: io::Result<std::fs::DirEntry>| {
            entry.unwrap().file_name().into_string().unwrap()
        };
        Self {
            sockets: socket_count(server.id()),
            threads: thread_count(server.id()),
            namespaces: names.map(name).collect(),
        }
    }
}
