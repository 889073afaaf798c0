//! The server, killed at moments of chance under changes through the EC2 API: what was acknowledged is
//! there after the next start, and every start opens what the last one left.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::management::{Operator, Told, launch_form};
use crate::running::{Home, Running, long_run, tell};
use crate::waiting::{wait_until, wait_within};

/// What is known of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Facts {
    is_there: bool,
    tokens: String,
    /// The value of its one tag, which goes up with each change.
    tag: usize,
}

impl Facts {
    fn changed(&self, chance: &mut Chance) -> Self {
        let mut changed = self.clone();
        match chance.below(5) {
            0 | 1 => changed.tag += 1,
            2 | 3 => changed.tokens = other(&self.tokens).to_owned(),
            _ => changed.is_there = false,
        }
        changed
    }

    /// The form that makes these facts of `before`, which differ in one.
    fn form(&self, before: &Self, id: &str) -> String {
        let Self { is_there, tokens, tag } = self;
        if !is_there {
            format!("Action=TerminateInstances&InstanceId.1={id}")
        } else if *tokens == before.tokens {
            format!("Action=CreateTags&ResourceId.1={id}&Tag.1.Key=Count&Tag.1.Value={tag}")
        } else {
            format!("Action=ModifyInstanceMetadataOptions&InstanceId={id}&HttpTokens={tokens}")
        }
    }
}

fn other(tokens: &str) -> &'static str {
    if tokens == "required" { "optional" } else { "required" }
}

/// An instance, and what was asked for last if that was not acknowledged.
#[derive(Debug)]
struct Own {
    known: Facts,
    attempted: Option<Facts>,
}

/// Somebody who launches, changes and ends instances of its own, one step after the other.
struct Writer {
    name: String,
    chance: Chance,
    own: BTreeMap<String, Own>,
    launches: usize,
    /// The client token of a launch that was not acknowledged.
    unanswered: Option<String>,
    acknowledged: usize,
    repeated: usize,
}

impl Writer {
    fn new(number: usize) -> Self {
        Self {
            name: format!("writer-{number}"),
            chance: Chance::new(),
            own: BTreeMap::new(),
            launches: 0,
            unanswered: None,
            acknowledged: 0,
            repeated: 0,
        }
    }

    /// Takes steps until one is not acknowledged: the server is dead.
    fn write(&mut self, operator: &Operator, to: SocketAddr, acknowledged: &AtomicUsize) {
        while self.step(operator, to) {
            self.acknowledged += 1;
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes a step, and says whether it was acknowledged.
    fn step(&mut self, operator: &Operator, to: SocketAddr) -> bool {
        const LIVING_MAX: usize = 4;
        let can_change = |own: &Own| own.known.is_there && own.attempted.is_none();
        let living: Vec<_> =
            self.own.iter().filter(|(_, own)| can_change(own)).map(|(id, _)| id.clone()).collect();
        if living.is_empty() || living.len() < LIVING_MAX && self.chance.one_in(4) {
            return self.launch(operator, to);
        }
        let id = &living[self.chance.below(living.len())];
        let own = self.own.get_mut(id).unwrap();
        let wanted = own.known.changed(&mut self.chance);
        let form = wanted.form(&own.known, id);
        match operator.try_ask(to, &form) {
            Ok(told) => {
                assert!(told.is_done(), "{form}: {}", told.text());
                own.known = wanted;
                true
            }
            // There was nobody to take it.
            Err(fault) if fault.kind() == ErrorKind::ConnectionRefused => false,
            Err(_) => {
                own.attempted = Some(wanted);
                false
            }
        }
    }

    /// Launches an instance; the one that the last life was asked for, if nobody said that it is
    /// there.
    fn launch(&mut self, operator: &Operator, to: SocketAddr) -> bool {
        let token = self.unanswered.take().unwrap_or_else(|| {
            self.launches += 1;
            format!("{}-{}", self.name, self.launches)
        });
        let form = launch_form(&format!(
            "&ClientToken={token}&MetadataOptions.HttpTokens=required\
             &TagSpecification.1.ResourceType=instance\
             &TagSpecification.1.Tag.1.Key=Count&TagSpecification.1.Tag.1.Value=0"
        ));
        let told = match operator.try_ask(to, &form) {
            Ok(told) => told,
            Err(fault) if fault.kind() == ErrorKind::ConnectionRefused => {
                self.launches -= 1;
                return false;
            }
            Err(_) => {
                self.unanswered = Some(token);
                return false;
            }
        };
        assert!(told.is_done(), "{}", told.text());
        let known = Facts { is_there: true, tokens: "required".to_owned(), tag: 0 };
        let before = self.own.insert(told.one("instanceId"), Own { known, attempted: None });
        assert!(before.is_none(), "a launch gives a new instance");
        true
    }

    /// Repeats a launch that nobody said is there: it is there once, whether it was or not.
    fn repeat(&mut self, operator: &Operator, server: &Running) {
        let Some(token) = self.unanswered.clone() else { return };
        assert!(self.launch(operator, server.management));
        self.repeated += 1;
        let form =
            format!("Action=DescribeInstances&Filter.1.Name=client-token&Filter.1.Value.1={token}");
        let found = operator.ask(server, &form).all("instanceId");
        assert_eq!(found.len(), 1, "{token}: {found:?}");
        assert!(self.own.contains_key(&found[0]));
    }

    /// Counts what was acknowledged and is not there, and takes note of what is.
    fn lost_of(&mut self, shown: &BTreeMap<String, Facts>) -> usize {
        let mut lost = 0;
        for (id, own) in &mut self.own {
            let gone = Facts { is_there: false, ..own.known.clone() };
            let shown = shown.get(id).unwrap_or(&gone);
            let attempted = own.attempted.take();
            if *shown != own.known && Some(shown) != attempted.as_ref() {
                tell(&format!("{id}: {shown:?}, not {:?} or {attempted:?}", own.known));
                lost += 1;
            }
            own.known = shown.clone();
        }
        lost
    }
}

/// Everything that is described, in pages.
fn describe(operator: &Operator, server: &Running) -> BTreeMap<String, Facts> {
    let mut found = BTreeMap::new();
    let mut next = String::new();
    loop {
        let form = format!("Action=DescribeInstances&MaxResults=1000{next}");
        let told = operator.ask(server, &form);
        found.extend(facts_in(&told));
        match told.all("nextToken").pop() {
            None => return found,
            Some(token) => next = format!("&NextToken={token}"),
        }
    }
}

fn facts_in(told: &Told) -> Vec<(String, Facts)> {
    let between = |text: &str, start: &str| {
        let (_, rest) = text.split_once(start)?;
        rest.split('<').next().map(str::to_owned)
    };
    let instances = told.text().split("<instanceId>").skip(1);
    let facts = |text: &str| {
        let id = text.split('<').next().unwrap().to_owned();
        let (_, state) = text.split_once("<instanceState>").unwrap();
        let state = between(state, "<name>").unwrap();
        let tag = between(text, "<key>Count</key><value>").map_or(0, |tag| tag.parse().unwrap());
        let tokens = between(text, "<httpTokens>").unwrap();
        let is_there = state != "shutting-down" && state != "terminated";
        (id, Facts { is_there, tokens, tag })
    };
    instances.map(facts).collect()
}

/// Starts a server and says how long that took.
fn start(home: &Home, times: &mut Vec<Duration>) -> Running {
    let began = Instant::now();
    let server = home.start(&[]);
    times.push(began.elapsed());
    server
}

/// Has all writers at work until the server is killed.
fn live(writers: &mut [Writer], operator: &Operator, server: Running, enough: usize) {
    let to = server.management;
    let acknowledged = AtomicUsize::new(0);
    let mut chance = Chance::new();
    thread::scope(|scope| {
        for writer in writers {
            scope.spawn(|| writer.write(operator, to, &acknowledged));
        }
        let count = || acknowledged.load(Ordering::Relaxed);
        wait_until("there is a load", || (count() >= enough).then_some(()));
        wait_within::<()>(chance.time_below(Duration::from_millis(8)), || None);
        server.kill();
    });
}

#[test]
fn no_acknowledged_change_is_lost_when_the_server_is_killed() {
    const WRITERS: usize = 4;
    // Three times as many as of those whose machines take long to make.
    let kills = 3 * long_run("IMDS_TEST_KILLS", 7);
    let home = Home::new();
    let operator = {
        let server = home.start(&[]);
        let operator = Operator::administrator(&home);
        server.stop();
        operator
    };
    let mut writers: Vec<_> = (0..WRITERS).map(Writer::new).collect();
    let (mut times, mut lost) = (Vec::new(), 0);
    for round in 0..kills {
        let server = start(&home, &mut times);
        lost += check(&mut writers, &operator, &server);
        // From the very first change to well into the load.
        live(&mut writers, &operator, server, round * 7 % 40);
    }
    let server = start(&home, &mut times);
    lost += check(&mut writers, &operator, &server);
    times.sort_unstable();
    let of = |count: fn(&Writer) -> usize| writers.iter().map(count).sum::<usize>();
    let acknowledged = of(|writer| writer.acknowledged);
    tell(&format!(
        "{kills} kills under changes: {acknowledged} acknowledged, {lost} lost; {} launches asked \
         for once more, of {}; start until ready {:.0?} (median), {:.0?} (longest)",
        of(|writer| writer.repeated),
        of(|writer| writer.launches),
        times[times.len() / 2],
        times[times.len() - 1],
    ));
    assert_eq!(lost, 0);
    assert!(acknowledged > kills * 10, "there was a load");
}

/// Sees that all is there that was acknowledged, and nothing but what was asked for.
fn check(writers: &mut [Writer], operator: &Operator, server: &Running) -> usize {
    let shown = describe(operator, server);
    let lost = writers.iter_mut().map(|writer| writer.lost_of(&shown)).sum();
    for writer in &mut *writers {
        writer.repeat(operator, server);
    }
    let known = writers.iter().map(|writer| writer.own.len()).sum::<usize>();
    // And the one that the first start makes.
    assert_eq!(describe(operator, server).len(), known + 1, "nothing was launched twice");
    lost
}

/// The server is killed the moment that an answer has come, after one change in each life.
#[test]
fn a_change_that_is_answered_is_there_whatever_comes_next() {
    let lives = long_run("IMDS_TEST_KILLS", 12);
    let home = Home::new();
    let mut server = home.start(&[]);
    let operator = Operator::administrator(&home);
    let mut writer = Writer::new(0);
    for life in 0..lives {
        assert!(writer.step(&operator, server.management));
        server.kill();
        server = home.start(&[]);
        assert_eq!(writer.lost_of(&describe(&operator, &server)), 0, "life {life}");
    }
}
