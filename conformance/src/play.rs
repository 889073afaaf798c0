//! Plays one case against one target.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use model::{Instance, Timestamp};

use crate::answer::{Answer, check_always};
use crate::case::{
    Action, Advance, Assertion, Case, Exchange, Expected, Field, Manner, Place, Request, Sameness,
    Subject,
};
use crate::crawl::crawl;
use crate::escape::quote;
use crate::state::States;
use crate::target::{End, Family, Profile, Received, Scene, Sent, Target};

/// What did not hold, and on which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The line of the case file.
    pub(crate) place: Place,
    /// What was seen there.
    pub(crate) message: String,
}

/// Plays a case. No failures means that it holds.
///
/// A step that fails does not end the case, unless the clock or the instance cannot be moved: what
/// follows would mean nothing.
pub(crate) fn play(
    case: &Case,
    scene: &Scene,
    states: &States,
    target: &mut dyn Target,
) -> Vec<Failure> {
    let mut player = Player {
        profile: scene.profile,
        instance: scene.instance.clone(),
        captures: BTreeMap::new(),
        now: None,
        faults: Vec::new(),
    };
    for step in &case.steps {
        let moved = match &step.action {
            Action::Advance(advance) => player.advance(advance, target),
            Action::Change(patch) => states.patched(&player.instance, patch).and_then(|instance| {
                player.instance = instance;
                target.change(&player.instance)
            }),
            Action::Crawl(exchange) => {
                player.crawl(step.line, exchange, target);
                Ok(())
            }
            Action::Exchange(exchange) => {
                player.exchange(step.line, exchange, target);
                Ok(())
            }
        };
        if let Err(fault) = moved {
            player.faults.push((step.line, fault));
            break;
        }
    }
    let place = |line| Place { line, ..case.place.clone() };
    let failures = player.faults.into_iter();
    failures.map(|(line, message)| Failure { place: place(line), message }).collect()
}

/// How far a case has come.
struct Player {
    profile: Profile,
    instance: Instance,
    captures: BTreeMap<String, Vec<u8>>,
    /// The `Date` of the last answer.
    now: Option<Timestamp>,
    faults: Vec<(usize, String)>,
}

impl Player {
    fn advance(&self, advance: &Advance, target: &mut dyn Target) -> Result<(), String> {
        let by = match advance {
            Advance::By(by) => *by,
            Advance::UntilBefore { seconds, capture } => {
                let until = self.time(capture)?.plus_seconds(-seconds);
                let now = self.now.ok_or("no answer has told the time yet")?;
                let millis = until.as_millis() - now.as_millis();
                u64::try_from(millis)
                    .map(Duration::from_millis)
                    .map_err(|_| format!("`${capture}` is {until} and that is past: it is {now}"))?
            }
        };
        target.advance(by)
    }

    fn exchange(&mut self, line: usize, exchange: &Exchange, target: &dyn Target) {
        let sent = match self.compose(&exchange.request, &exchange.manner) {
            Ok(sent) => sent,
            Err(fault) => return self.faults.push((line, fault)),
        };
        let received = repeat(&exchange.manner, || target.exchange(&sent));
        let to_head = sent.bytes.starts_with(b"HEAD ");
        for received in received {
            let before = self.faults.len();
            match self.accept(&exchange.expected, &received, to_head) {
                Ok(None) => {}
                Ok(Some(answer)) => self.assert_all(exchange, &answer, target),
                Err(faults) => self.faults.extend(faults.into_iter().map(|fault| (line, fault))),
            }
            // One answer tells enough where a hundred are alike.
            if self.faults.len() > before {
                break;
            }
        }
    }

    /// Checks what every answer must be, and the status.
    fn accept(
        &mut self,
        expected: &Expected,
        received: &Received,
        to_head: bool,
    ) -> Result<Option<Answer>, Vec<String>> {
        let (code, reason) = match expected {
            Expected::Closed if received.bytes.is_empty() && received.end != End::Silent => {
                return Ok(None);
            }
            Expected::Closed if received.bytes.is_empty() => {
                return Err(vec!["the connection was left open".to_owned()]);
            }
            Expected::Closed => {
                return Err(vec![format!("answered with {}", shortened(&received.bytes))]);
            }
            Expected::Status { code, reason } => (*code, reason.as_deref()),
        };
        if received.bytes.is_empty() {
            let how = match received.end {
                End::Closed => "closed",
                End::Reset => "reset",
                End::Silent => "left open",
            };
            return Err(vec![format!("no answer: the connection was {how}")]);
        }
        let answer = Answer::parse(&received.bytes)
            .map_err(|fault| vec![format!("{fault}: {}", shortened(&received.bytes))])?;
        self.now = answer.date().or(self.now);
        let mut faults = check_always(&answer, received, self.profile, to_head);
        if answer.status != code || reason.is_some_and(|reason| reason != answer.reason) {
            let reason = reason.unwrap_or_default();
            let (status, phrase) = (answer.status, &answer.reason);
            faults.push(format!("answered {status} {phrase}, expected {code} {reason}"));
        }
        if faults.is_empty() { Ok(Some(answer)) } else { Err(faults) }
    }

    fn assert_all(&mut self, exchange: &Exchange, answer: &Answer, target: &dyn Target) {
        for (line, assertion) in &exchange.assertions {
            if let Err(fault) = self.assert(assertion, answer, target) {
                self.faults.push((*line, fault));
            }
        }
    }

    fn assert(
        &mut self,
        assertion: &Assertion,
        answer: &Answer,
        target: &dyn Target,
    ) -> Result<(), String> {
        let body = &answer.body;
        match assertion {
            Assertion::As { subject, capture } => {
                let value = self.subject(subject, answer)?.to_owned();
                self.captures.insert(capture.clone(), value);
                Ok(())
            }
            Assertion::Is { subject, capture, same } => {
                self.compare(subject, answer, capture, *same)
            }
            Assertion::Absent(name) => {
                let there = answer.has(name);
                demand(!there, || format!("there is a header `{name}`"))
            }
            Assertion::Body(expected) => {
                demand(body == expected, || difference("the body", body, expected))
            }
            Assertion::BodyMatches(regex) => {
                let text = std::str::from_utf8(body).map_err(|_| "the body is not UTF-8")?;
                let found = regex
                    .captures(text)
                    .ok_or_else(|| format!("the body does not match: {}", shortened(body)))?;
                for name in regex.capture_names().flatten() {
                    let part = found.name(name).map_or("", |part| part.as_str());
                    self.captures.insert(name.to_owned(), part.into());
                }
                Ok(())
            }
            Assertion::Check { check, capture } => {
                let captured = capture.as_ref().map(|name| self.captured(name)).transpose()?;
                check.run(body, captured, &target.certificates()?)
            }
            Assertion::Header { name, values } => {
                let value = one_value(answer, name)?;
                demand(values.is_empty() || values.iter().any(|v| v == value), || {
                    format!("`{name}` is `{value}`, expected `{}`", values.join("` or `"))
                })
            }
            Assertion::Head(expected) => compare_heads(&answer.head, expected),
            Assertion::Later { later, earlier } => {
                let (later, earlier) = (self.time(later)?, self.time(earlier)?);
                demand(later > earlier, || format!("{later} is not later than {earlier}"))
            }
        }
    }

    fn crawl(&mut self, line: usize, exchange: &Exchange, target: &dyn Target) {
        let Request::Http { method, version, fields, .. } = &exchange.request else {
            return;
        };
        let head = match self.fields(fields, &exchange.manner) {
            Ok(head) => head,
            Err(fault) => return self.faults.push((line, fault)),
        };
        let faults = crawl(|path| {
            let sent = Sent {
                over: exchange.manner.over,
                to: exchange.manner.to,
                bytes: format!("{method} {path} {version}\r\n{head}\r\n").into_bytes(),
                sender: exchange.manner.sender,
            };
            let received = target.exchange(&sent);
            let answer = Answer::parse(&received.bytes)?;
            match check_always(&answer, &received, self.profile, false).first() {
                Some(fault) => Err(fault.clone()),
                None => Ok((answer.status, answer.body)),
            }
        });
        self.faults.extend(faults.into_iter().map(|fault| (line, fault)));
    }

    /// Makes the bytes of a request.
    fn compose(&self, request: &Request, manner: &Manner) -> Result<Sent, String> {
        let bytes = match request {
            Request::Raw(bytes) => bytes.clone(),
            Request::Http { method, target, version, fields } => {
                let fields = self.fields(fields, manner)?;
                format!("{method} {target} {version}\r\n{fields}\r\n").into_bytes()
            }
        };
        Ok(Sent { over: manner.over, to: manner.to, bytes, sender: manner.sender })
    }

    /// Makes the header lines, with `Host` in front unless it is among them.
    fn fields(&self, fields: &[Field], manner: &Manner) -> Result<String, String> {
        let host = |field: &Field| matches!(field, Field::Line { name, .. } if name.eq_ignore_ascii_case("host"));
        let mut text = match manner.over {
            _ if fields.iter().any(host) => String::new(),
            Family::V4 => "Host: 169.254.169.254\r\n".to_owned(),
            Family::V6 => "Host: [fd00:ec2::254]\r\n".to_owned(),
        };
        for field in fields {
            let (name, value) = match field {
                Field::Line { name, value } => match value.strip_prefix('$') {
                    Some(capture) => (name.as_str(), self.text(capture)?),
                    None => (name.as_str(), value.clone()),
                },
                Field::Token { capture, changed_at } => {
                    let token = self.text(capture)?;
                    let token = match changed_at {
                        Some(position) => changed(&token, *position)?,
                        None => token,
                    };
                    ("X-aws-ec2-metadata-token", token)
                }
            };
            text.extend([name, ": ", value.as_str(), "\r\n"]);
        }
        Ok(text)
    }

    fn captured(&self, name: &str) -> Result<&[u8], String> {
        self.captures
            .get(name)
            .map(Vec::as_slice)
            .ok_or_else(|| format!("`${name}` was not captured, since an earlier line failed"))
    }

    fn text(&self, name: &str) -> Result<String, String> {
        let bytes = self.captured(name)?;
        String::from_utf8(bytes.to_owned()).map_err(|_| format!("`${name}` is not UTF-8"))
    }

    fn time(&self, name: &str) -> Result<Timestamp, String> {
        self.text(name)?.parse().map_err(|source| format!("`${name}`: {source}"))
    }

    fn subject<'a>(&'a self, subject: &'a Subject, answer: &'a Answer) -> Result<&'a [u8], String> {
        match subject {
            Subject::Body => Ok(&answer.body),
            Subject::Capture(name) => self.captured(name),
            Subject::Header(name) => one_value(answer, name).map(str::as_bytes),
        }
    }

    fn compare(
        &self,
        subject: &Subject,
        answer: &Answer,
        capture: &str,
        same: Sameness,
    ) -> Result<(), String> {
        let what = match subject {
            Subject::Body => "the body".to_owned(),
            Subject::Capture(name) => format!("`${name}`"),
            Subject::Header(name) => format!("`{name}`"),
        };
        let found = self.subject(subject, answer)?;
        let captured = self.captured(capture)?;
        match same {
            Sameness::Different => {
                demand(found != captured, || format!("{what} is the same as `${capture}`"))
            }
            Sameness::Same => demand(found == captured, || difference(&what, found, captured)),
        }
    }
}

/// Sends a request as often as it says, and as many at once.
fn repeat(manner: &Manner, send: impl Fn() -> Received + Sync) -> Vec<Received> {
    let left = AtomicUsize::new(manner.times);
    let all = Mutex::new(Vec::with_capacity(manner.times));
    let work = || {
        while left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_ok()
        {
            let received = send();
            if let Ok(mut all) = all.lock() {
                all.push(received);
            }
        }
    };
    if manner.at_once > 1 {
        thread::scope(|scope| {
            for _ in 0..manner.at_once {
                scope.spawn(work);
            }
        });
    } else {
        work();
    }
    all.into_inner().unwrap_or_default()
}

/// Returns a token with one character made another of the same alphabet.
fn changed(token: &str, position: usize) -> Result<String, String> {
    if position >= token.chars().count() {
        return Err(format!("the token has no character {position}"));
    }
    let change = |(at, character)| match character {
        'A' if at == position => 'B',
        _ if at == position => 'A',
        _ => character,
    };
    Ok(token.chars().enumerate().map(change).collect())
}

fn demand(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn one_value<'a>(answer: &'a Answer, name: &'a str) -> Result<&'a str, String> {
    let count = answer.values(name).count();
    answer.value(name).ok_or_else(|| format!("there are {count} headers `{name}` and not one"))
}

/// Compares heads line by line; `Name: *` is any value.
fn compare_heads(head: &[String], expected: &[String]) -> Result<(), String> {
    let alike = |line: &String, expected: &String| match expected.strip_suffix('*') {
        Some(name) => line.starts_with(name),
        None => line == expected,
    };
    let same = head.len() == expected.len()
        && head.iter().zip(expected).all(|(line, expected)| alike(line, expected));
    demand(same, || format!("the head is\n  {}", head.join("\n  ")))
}

/// Says where two texts part.
fn difference(what: &str, found: &[u8], expected: &[u8]) -> String {
    let at = found.iter().zip(expected).take_while(|(a, b)| a == b).count();
    let from = at.saturating_sub(20);
    let part = |bytes: &[u8]| shortened(bytes.get(from..).unwrap_or_default());
    let (found_bytes, expected_bytes) = (found.len(), expected.len());
    format!(
        "{what} is not the expected one from byte {at} on:\n  found    {} ({found_bytes} bytes)\n  \
         expected {} ({expected_bytes} bytes)",
        part(found),
        part(expected),
    )
}

fn shortened(bytes: &[u8]) -> String {
    /// LIMIT: enough to recognize an answer.
    const SHOWN: usize = 600;
    match bytes.get(..SHOWN) {
        Some(start) => format!("{}…", quote(start)),
        None => quote(bytes),
    }
}

#[cfg(test)]
mod tests;
