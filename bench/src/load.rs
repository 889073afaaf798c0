//! The load: one request a connection, from one thread on one epoll.
//!
//! A *closed loop* keeps so many connections in flight and shows what a server can do. An *open
//! loop* starts requests at fixed distances whether or not earlier ones were answered, and counts
//! each one's time from when it was due: a server that stalls is charged for all who had to wait
//! meanwhile.
//!
//! An answer counts when the server has closed the connection and everything that came is a whole
//! answer with the expected status; anything else is wrong.
//!
//! Every server closes first, so what a connection leaves behind for a while (`TIME_WAIT`) is on
//! the server's side for all of them, and the load never runs out of ports.

use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto};

use crate::args::LoadArgs;
use crate::request::{ANY_TOKEN, Kind, Request};
use crate::sample::Sample;
use crate::{Fault, answer, client, cores};

/// LIMIT: connections in flight in an open loop; a server that far behind its rate is lost anyway.
const FLIGHTS_MAX: usize = 2048;

/// LIMIT: bytes of an answer; the longest measured is below 1 KiB.
const ANSWER_BYTES_MAX: usize = 4096;

/// LIMIT: silence after which everything in flight is given up as unanswered.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// When the next request starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// As soon as an earlier one is answered, so that this many are always in flight.
    Closed { connections: u16 },
    /// At this distance from the one before, whatever happens.
    Open { distance: Duration },
}

/// What came of a load.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Requests that ended, rightly or wrongly.
    pub(crate) answers: u64,
    pub(crate) wrong: Mistakes,
    pub(crate) elapsed: Duration,
    /// Time of each right answer, ascending.
    pub(crate) times: Vec<Duration>,
}

/// Answers that were not as they should be.
#[derive(Debug, Default)]
pub(crate) struct Mistakes {
    pub(crate) count: u64,
    pub(crate) first: Option<String>,
}

impl Mistakes {
    pub(crate) fn add(&mut self, mistake: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(mistake);
    }

    /// Takes over the mistakes of a part, and says which part that was.
    pub(crate) fn absorb(&mut self, part: &str, other: Self) {
        self.count += other.count;
        if let Some(first) = other.first {
            self.first.get_or_insert_with(|| format!("{part}: {first}"));
        }
    }
}

/// Loads `to` with `request` for `time`, then waits for what is in flight.
pub(crate) fn put(
    to: SocketAddrV4,
    request: &Request,
    pace: Pace,
    time: Duration,
) -> Result<Outcome, Fault> {
    let places = match pace {
        Pace::Closed { connections } => usize::from(connections),
        Pace::Open { .. } => FLIGHTS_MAX,
    };
    let mut load = Load {
        to,
        request,
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        flights: (0..places).map(|_| None).collect(),
        free: (0..places).rev().collect(),
        outcome: Outcome::default(),
        answer: [0; ANSWER_BYTES_MAX],
    };
    let start = Instant::now();
    match pace {
        Pace::Closed { .. } => load.closed(start + time)?,
        Pace::Open { distance } => load.open(start, start + time, distance)?,
    }
    load.outcome.elapsed = start.elapsed();
    load.outcome.times.sort_unstable();
    Ok(load.outcome)
}

struct Load<'a> {
    to: SocketAddrV4,
    request: &'a Request,
    epoll: OwnedFd,
    /// Requests in flight; an event carries the index here.
    flights: Vec<Option<Flight>>,
    free: Vec<usize>,
    outcome: Outcome,
    answer: [u8; ANSWER_BYTES_MAX],
}

struct Flight {
    connection: OwnedFd,
    due: Instant,
    sent: bool,
}

impl Load<'_> {
    fn closed(&mut self, end: Instant) -> Result<(), Fault> {
        loop {
            if Instant::now() < end {
                while let Some(place) = self.free.pop() {
                    self.launch(place, Instant::now());
                }
            } else if self.is_idle() {
                return Ok(());
            }
            self.collect(SILENCE_MAX)?;
        }
    }

    /// Never sleeps between two requests, so that each starts within a microsecond or so of its
    /// time as long as this core keeps up.
    fn open(&mut self, start: Instant, end: Instant, distance: Duration) -> Result<(), Fault> {
        let mut due = start;
        while due < end {
            if Instant::now() >= due
                && let Some(place) = self.free.pop()
            {
                self.launch(place, due);
                due += distance;
            }
            self.collect(Duration::ZERO)?;
        }
        while !self.is_idle() {
            self.collect(SILENCE_MAX)?;
        }
        Ok(())
    }

    fn is_idle(&self) -> bool {
        self.free.len() == self.flights.len()
    }

    fn launch(&mut self, place: usize, due: Instant) {
        match self.connect(place, due) {
            Ok(flight) => {
                if let Some(empty) = self.flights.get_mut(place) {
                    *empty = Some(flight);
                }
            }
            Err(errno) => self.fail(place, || format!("cannot ask: {errno}")),
        }
    }

    fn connect(&self, place: usize, due: Instant) -> Result<Flight, Errno> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let connection =
            net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, Some(ipproto::TCP))?;
        match net::connect(&connection, &self.to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(errno),
        }
        // Over loopback the handshake is over before `connect` returns, so this mostly succeeds.
        let sent = send(&connection, &self.request.bytes)?;
        let mut interest = epoll::EventFlags::RDHUP;
        if !sent {
            interest |= epoll::EventFlags::OUT;
        }
        let key = epoll::EventData::new_u64(place as u64);
        epoll::add(&self.epoll, &connection, key, interest)?;
        Ok(Flight { connection, due, sent })
    }

    /// Takes what has happened, waiting at most `patience` for something to happen.
    fn collect(&mut self, patience: Duration) -> Result<(), Fault> {
        let mut events = Vec::with_capacity(self.flights.len());
        let timeout = Timespec::try_from(patience)?;
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
            Ok(0) if patience > Duration::ZERO => self.give_up(),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        for event in events {
            let Ok(place) = usize::try_from(event.data.u64()) else {
                continue;
            };
            self.advance(place, event.flags);
        }
        Ok(())
    }

    fn advance(&mut self, place: usize, happened: epoll::EventFlags) {
        use epoll::EventFlags as Flags;

        let Some(slot) = self.flights.get_mut(place) else {
            return;
        };
        let Some(flight) = slot else { return };
        if happened.intersects(Flags::RDHUP | Flags::HUP | Flags::ERR) {
            let (read, due) = (read(&flight.connection, &mut self.answer), flight.due);
            *slot = None;
            match self.check(read) {
                Ok(()) => self.finish(place, due),
                Err(mistake) => self.fail(place, || mistake),
            }
        } else if !flight.sent {
            let key = epoll::EventData::new_u64(place as u64);
            let sent = send(&flight.connection, &self.request.bytes).and_then(|sent| {
                let interest = if sent { Flags::RDHUP } else { Flags::RDHUP | Flags::OUT };
                epoll::modify(&self.epoll, &flight.connection, key, interest)?;
                Ok(sent)
            });
            match sent {
                Ok(sent) => flight.sent = sent,
                Err(errno) => {
                    *slot = None;
                    self.fail(place, || format!("cannot send: {errno}"));
                }
            }
        }
    }

    /// Judges an answer of which `read` bytes came.
    fn check(&self, read: Result<usize, Errno>) -> Result<(), String> {
        let count = read.map_err(|errno| format!("cannot read: {errno}"))?;
        let bytes = self.answer.get(..count).unwrap_or_default();
        if count == ANSWER_BYTES_MAX {
            return Err("the answer is too long".to_owned());
        }
        let answer = answer::parse(bytes).map_err(|broken| broken.to_string())?;
        if answer.status != self.request.status {
            return Err(format!("status {} came, not {}", answer.status, self.request.status));
        }
        if answer.status == 200 && answer.body.is_empty() {
            return Err("the body is empty".to_owned());
        }
        Ok(())
    }

    fn finish(&mut self, place: usize, due: Instant) {
        self.outcome.answers += 1;
        self.outcome.times.push(due.elapsed());
        self.free.push(place);
    }

    fn fail(&mut self, place: usize, mistake: impl FnOnce() -> String) {
        self.outcome.answers += 1;
        self.outcome.wrong.add(mistake);
        self.free.push(place);
    }

    fn give_up(&mut self) {
        for place in 0..self.flights.len() {
            if self.flights.get_mut(place).and_then(Option::take).is_some() {
                self.fail(place, || format!("no answer within {} s", SILENCE_MAX.as_secs()));
            }
        }
    }
}

/// Sends all or nothing; nothing if the connection is not yet there.
fn send(connection: &OwnedFd, bytes: &[u8]) -> Result<bool, Errno> {
    match net::send(connection, bytes, SendFlags::NOSIGNAL) {
        Ok(count) if count == bytes.len() => Ok(true),
        Ok(_) => Err(Errno::MSGSIZE),
        Err(Errno::AGAIN | Errno::NOTCONN) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Reads what has come. The other end has closed, so that is everything.
fn read(connection: &OwnedFd, buffer: &mut [u8; ANSWER_BYTES_MAX]) -> Result<usize, Errno> {
    net::recv(connection, &mut buffer[..], RecvFlags::empty()).map(|(count, _)| count)
}

/// `openimds-bench load`.
pub(crate) fn command(args: &LoadArgs) -> Result<ExitCode, Fault> {
    if let Some(cpu) = args.cpu {
        cores::pin_this_thread(cpu)?;
    }
    cores::raise_open_files()?;
    let request = if args.constant {
        Request::of_constant(args.request)
    } else {
        let token = match args.request {
            Kind::Get | Kind::Unknown => client::token(args.to)?,
            Kind::Put | Kind::Tokenless | Kind::Forwarded => ANY_TOKEN.to_owned(),
        };
        Request::new(args.request, &token)
    };
    let pace = match args.rate {
        Some(rate) => Pace::Open { distance: Duration::try_from_secs_f64(1.0 / rate)? },
        None => Pace::Closed { connections: args.connections },
    };
    let time = Duration::try_from_secs_f64(args.seconds)?;
    let sample = Sample::take(args.pid, args.to, &request, pace, time)?;
    print!("{sample}");
    match sample.outcome.wrong.first {
        Some(first) => Err(format!("wrong answer: {first}").into()),
        None => Ok(ExitCode::SUCCESS),
    }
}
