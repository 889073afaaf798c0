//! Asks endpoints, many at once, each from where its callers are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use metadata::wire;
use model::{Attachment, InstanceId, NetnsName};
use network::{Namespace, Place};
use ureq::Body;
use ureq::http::Response;

use crate::command::get::agent;
use crate::doctor::facts::{Answer, Asked, EC2_V4, EC2_V6, Heard, Served};
use crate::doctor::gather::network::open_of;

/// How long one request may take. On one machine it takes a millisecond.
const REQUEST_DEADLINE: Duration = Duration::from_secs(1);

/// When no more endpoints are taken up.
const ASKING: Duration = Duration::from_millis(2_500);

/// LIMIT: endpoints that are asked; more tell no more about the wiring.
const ASKED_MAX: usize = 256;

/// LIMIT: endpoints that are asked at a time.
const AT_ONCE: usize = 16;

/// LIMIT: bytes of an answer that are read. An instance's id has 19.
const BYTES_MAX: u64 = 4 * 1024;

/// LIMIT: characters of an answer that are kept.
const SHOWN_MAX: usize = 64;

const INSTANCE_ID: &str = "latest/meta-data/instance-id";

/// From where an endpoint is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum From {
    /// The network namespace that the server is in.
    Server,
    /// That of this name or path.
    Namespace(NetnsName),
}

/// An endpoint to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    url: String,
    instance: InstanceId,
    from: From,
}

/// The endpoints of a server, to be asked.
pub(crate) struct Asking<'s> {
    served: &'s Served,
    targets: Vec<Target>,
}

impl<'s> Asking<'s> {
    pub(crate) fn of(served: &'s Served) -> Self {
        let has_machine = |id: InstanceId| Namespace::named(&id.text()).is_ok();
        Self { served, targets: targets(served, has_machine) }
    }

    /// Asks them. Returns what they said, and how many were not asked.
    pub(crate) fn ask_all(mut self) -> (Vec<Asked>, usize) {
        let unasked = self.targets.len().saturating_sub(ASKED_MAX);
        self.targets.truncate(ASKED_MAX);
        let (targets, asked) = (Mutex::new(self.targets.iter()), Mutex::new(Vec::new()));
        let start = Instant::now();
        let work = || {
            while let Some(target) = targets.lock().ok().and_then(|mut targets| targets.next()) {
                let answer = if start.elapsed() < ASKING {
                    self.ask(target)
                } else {
                    Err("there was no time left to ask it".to_owned())
                };
                let from = match &target.from {
                    From::Server => None,
                    From::Namespace(name) => Some(name.to_string()),
                };
                let url = target.url.clone();
                let one = Asked { url, instance: target.instance, from, answer };
                if let Ok(mut asked) = asked.lock() {
                    asked.push(one);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.targets.len().min(AT_ONCE) {
                scope.spawn(work);
            }
        });
        let mut asked = asked.into_inner().unwrap_or_default();
        asked.sort_by(|one, other| (one.instance, &one.url).cmp(&(other.instance, &other.url)));
        (asked, unasked)
    }

    fn ask(&self, target: &Target) -> Result<Answer, String> {
        let namespace = match (&target.from, &self.served.diagnosis.place) {
            (From::Server, Some(place)) if !self.served.is_here => open_of(place)?,
            (From::Server, _) => return Ok(ask(&target.url)),
            (From::Namespace(name), _) => {
                Namespace::open(name.path().as_ref()).map_err(|fault| fault.to_string())?
            }
        };
        namespace.run(|| ask(&target.url)).map_err(|fault| fault.to_string())
    }
}

/// Returns the endpoints that can be asked. `has_machine` says which instances have a network
/// namespace of their own, named after them.
fn targets(served: &Served, has_machine: impl Fn(InstanceId) -> bool) -> Vec<Target> {
    let default = served.diagnosis.default_instance;
    let target = |instance: InstanceId, address: SocketAddr, from: From| {
        // Over IPv6 it would be silent, and rightly.
        let is_meant = address.is_ipv4() || served.takes_ipv6(instance);
        (is_meant && address.port() != 0).then(|| Target { url: url(address), instance, from })
    };
    let listen = served.diagnosis.listen.iter();
    let mut targets: Vec<_> =
        listen.filter_map(|address| target(default, *address, From::Server)).collect();
    for (id, attachment) in served.serving() {
        match attachment {
            Attachment::Listener(address) => targets.extend(target(id, address, From::Server)),
            Attachment::Netns(name) => {
                // Where the instance itself is, if that is told by name.
                let is_own = name.as_str() == Place::Service.namespace_of(id);
                let own = Place::Instance.namespace_of(id).parse().ok();
                let from = own.filter(|_| is_own && has_machine(id)).unwrap_or(name);
                for address in [(EC2_V4, 80).into(), (EC2_V6, 80).into()] {
                    targets.extend(target(id, address, From::Namespace(from.clone())));
                }
            }
            // Whoever asks from here is not that instance.
            Attachment::Interface(_) | Attachment::Source { .. } => {}
        }
    }
    targets
}

fn url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    let address = SocketAddr::new(ip, address.port()).to_string();
    format!("http://{}/", address.strip_suffix(":80").unwrap_or(&address))
}

/// Asks an endpoint for a token, for the instance's id with it, and for that without one.
pub(crate) fn ask(url: &str) -> Answer {
    let url = url.trim_end_matches('/');
    let agent = agent(REQUEST_DEADLINE);
    let read = |token: Option<&str>| {
        let request = agent.get(format!("{url}/{INSTANCE_ID}"));
        let request = match token {
            Some(token) => request.header(wire::TOKEN_HEADER, token),
            None => request,
        };
        heard(request.call())
    };
    thread::scope(|scope| {
        let tokenless = scope.spawn(|| read(None));
        let put = agent
            .put(format!("{url}{}", wire::TOKEN_PATH))
            .header(wire::TOKEN_TTL_HEADER, "60")
            .send_empty();
        let (token, instance_id) = match put {
            Ok(mut answer) if answer.status() == 200 => match text(&mut answer) {
                Ok(token) if is_token(&token) => {
                    (Heard::Status(200, String::new()), Some(read(Some(&token))))
                }
                Ok(_) => (Heard::Status(200, "no token".to_owned()), None),
                Err(fault) => (Heard::Nothing(fault.to_string()), None),
            },
            Ok(answer) => (Heard::Status(answer.status().as_u16(), String::new()), None),
            Err(fault) => (Heard::Nothing(said(&fault)), None),
        };
        let tokenless = tokenless.join();
        let tokenless = tokenless.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Answer { token, instance_id, tokenless }
    })
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn text(answer: &mut Response<Body>) -> Result<String, ureq::Error> {
    answer.body_mut().with_config().limit(BYTES_MAX).read_to_string()
}

/// What became of a read. What it says comes from a stranger, and goes to a terminal.
fn heard(result: Result<Response<Body>, ureq::Error>) -> Heard {
    match result {
        Ok(mut answer) => {
            let status = answer.status().as_u16();
            let shown =
                |text: String| text.chars().take(SHOWN_MAX).flat_map(char::escape_debug).collect();
            match text(&mut answer) {
                Ok(text) if status == 200 => Heard::Status(status, shown(text)),
                Ok(_) => Heard::Status(status, String::new()),
                Err(fault) => Heard::Nothing(said(&fault)),
            }
        }
        Err(fault) => Heard::Nothing(said(&fault)),
    }
}

/// Says why there is no answer.
fn said(fault: &ureq::Error) -> String {
    if let ureq::Error::Timeout(_) = fault {
        return format!("no answer within {} second", REQUEST_DEADLINE.as_secs());
    }
    if let ureq::Error::Io(fault) = fault { fault.to_string() } else { fault.to_string() }
}

#[cfg(test)]
mod tests {
    use model::Switch;

    use super::*;
    use crate::doctor::facts::Server;
    use crate::doctor::made_up::{self, ID, attached};

    fn urls(listen: &[&str], attachment: &str, ipv6: Switch) -> Vec<(String, From)> {
        let facts = made_up::served(|served| {
            let listen = listen.iter().map(|address| address.parse().unwrap());
            served.diagnosis.listen = listen.collect();
            served.diagnosis.attached = vec![attached(attachment)];
            served.diagnosis.instances[0].options.http_protocol_ipv6 = ipv6;
        });
        let Server::Served(served) = facts.server else { panic!("no server") };
        let targets = targets(&served, |_| true).into_iter();
        targets.map(|target| (target.url, target.from)).collect()
    }

    #[test]
    fn endpoints_are_asked_where_their_callers_are() {
        let at_server = |url: &str| (url.to_owned(), From::Server);
        let listen = ["0.0.0.0:1338", "[::1]:1338", "169.254.169.254:80"];
        let expected = ["http://127.0.0.1:1338/", "http://169.254.169.254/"].map(at_server);
        assert_eq!(urls(&listen, "interface=tap0", Switch::Disabled), expected);
        let expected = ["http://[::1]:1338/"].map(at_server);
        assert_eq!(urls(&listen[1..2], "source=10.0.0.5", Switch::Enabled), expected);
        let own = urls(&[], &format!("netns={ID}-imds"), Switch::Enabled);
        let inside = From::Namespace(ID.parse().unwrap());
        let ec2 = ["http://169.254.169.254/", "http://[fd00:ec2::254]/"];
        assert_eq!(own, ec2.map(|url| (url.to_owned(), inside.clone())));
        let other = urls(&[], "netns=blue", Switch::Disabled);
        let expected =
            ("http://169.254.169.254/".to_owned(), From::Namespace("blue".parse().unwrap()));
        assert_eq!(other, [expected]);
        assert_eq!(urls(&[], "listener=127.0.0.1:0", Switch::Disabled), [], "a port nobody knows");
    }

    #[test]
    fn nobody_there_is_nothing_heard() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let answer = ask(&format!("http://{free}/"));
        assert!(answer.silence().unwrap().contains("refused"), "{answer:?}");
    }
}
