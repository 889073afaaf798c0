//! Machines for tests that run [`alone`](crate::alone::alone): network namespaces with names, cables
//! to them, and what a caller in one hears.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::exchange::{Answer, read_request, token_request};
use crate::running::{Home, output_of};
use crate::waiting::{PATIENCE, wait_until};

/// EC2's addresses, with the port.
pub(crate) const EC2: [&str; 2] = ["169.254.169.254:80", "[fd00:ec2::254]:80"];

/// How long a caller waits for a connection that may never come to be.
const CONNECT_PATIENCE: Duration = Duration::from_secs(4);

/// Runs `ip` with these words.
pub(crate) fn ip(words: &str) {
    let mut ip = Command::new("ip");
    ip.args(words.split_whitespace());
    output_of(ip);
}

/// Whether there is a network interface with this name.
pub(crate) fn has_link(name: &str) -> bool {
    let mut show = Command::new("ip");
    show.args(["-o", "link", "show"]);
    output_of(show).lines().any(|line| {
        let found = line.split([':', '@']).nth(1).map(str::trim);
        found == Some(name)
    })
}

/// A network namespace with a name, as `ip netns` has it. Nothing of it is held: it ends once its
/// name is deleted and no process or socket is left in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine<'n>(pub(crate) &'n str);

impl<'n> Machine<'n> {
    /// Makes one, with EC2's addresses on its own loopback interface: what listens there is for
    /// callers in it.
    pub(crate) fn made(name: &'n str) -> Self {
        let this = Self::bare(name);
        this.ip("address add 169.254.169.254/32 dev lo");
        this.ip("address add fd00:ec2::254/128 dev lo nodad");
        this
    }

    /// Makes one, with nothing in it but a loopback interface.
    pub(crate) fn bare(name: &'n str) -> Self {
        ip(&format!("netns add {name}"));
        let this = Self(name);
        // Nobody else can have its addresses, and asking takes a second.
        this.run(|| fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0")).unwrap();
        this.ip("link set lo up");
        this
    }

    /// Whether anything has its name.
    pub(crate) fn is_there(self) -> bool {
        fs::exists(self.path()).unwrap()
    }

    /// Takes its name away.
    pub(crate) fn delete(self) {
        ip(&format!("netns delete {}", self.0));
    }

    pub(crate) fn ip(&self, words: &str) {
        ip(&format!("-netns {} {words}", self.0));
    }

    /// Waits until its cable is connected.
    pub(crate) fn wait_until_up(self) {
        wait_until_up(&["-netns", self.0, "link", "show", "dev", "eth0"]);
    }

    /// Where it is.
    pub(crate) fn path(&self) -> String {
        format!("/run/netns/{}", self.0)
    }

    /// Does something inside, on a thread of its own.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        run_at(&self.path(), work)
    }

    /// What a caller inside hears at an address.
    pub(crate) fn hears(&self, address: &str) -> Heard {
        self.run(|| Heard::at(address.parse().unwrap()))
    }
}

/// A network namespace without a name, kept by a process.
pub(crate) struct Nameless(pub(crate) Child);

impl Nameless {
    pub(crate) fn start() -> Self {
        let keep = "ip link set lo up && ip address add 169.254.169.254/32 dev lo && \
                    ip address add fd00:ec2::254/128 dev lo nodad && echo up && read -r end";
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "sh", "-c", keep]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = unshare.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        Self(child)
    }

    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }
}

impl Drop for Nameless {
    fn drop(&mut self) {
        // The process ends with its input.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Does something in the network namespace that `path` stands for, on a thread of its own.
pub(crate) fn run_at<T: Send>(path: &str, work: impl FnOnce() -> T + Send) -> T {
    let inside = || {
        enter(path);
        work()
    };
    let done = thread::scope(|scope| scope.spawn(inside).join());
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Moves the calling thread into a network namespace for good.
pub(crate) fn enter(path: &str) {
    let file = File::open(path).unwrap_or_else(|fault| panic!("{path}: {fault}"));
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

/// What a caller who asks as EC2's clients do, first for a token and then for the instance's id,
/// comes to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The id.
    Instance(String),
    /// Nothing: the connection was closed without a word.
    Nothing,
    /// There is no connection.
    NoConnection,
    /// Any other answer.
    Other(String),
}

impl Heard {
    pub(crate) fn instance(id: &str) -> Self {
        Self::Instance(id.to_owned())
    }

    /// Asks at an address.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self::ask(address).unwrap_or_else(|short_of| short_of)
    }

    fn ask(address: SocketAddr) -> Result<Self, Self> {
        let (status, granted) = Self::answer_to(address, &token_request("60"))?;
        if status != 200 {
            return Err(Self::Other(format!("{status} to the PUT")));
        }
        let request = read_request("/latest/meta-data/instance-id", &granted);
        match Self::answer_to(address, &request)? {
            (200, id) => Ok(Self::Instance(id)),
            (status, body) => Err(Self::Other(format!("{status} to the GET: {body}"))),
        }
    }

    fn answer_to(address: SocketAddr, request: &str) -> Result<(u16, String), Self> {
        let connected = TcpStream::connect_timeout(&address, CONNECT_PATIENCE);
        let mut stream = connected.map_err(|_| Self::NoConnection)?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut received = Vec::new();
        // Whoever is closed before it has asked is reset: that is no word either.
        let told = stream.write_all(request.as_bytes());
        match told.and_then(|()| stream.read_to_end(&mut received)) {
            Err(fault) if is_end(&fault) => {}
            Err(fault) => panic!("{address} neither answers nor closes: {fault}"),
            Ok(_) => {}
        }
        if received.is_empty() {
            return Err(Self::Nothing);
        }
        let answer = Answer::parse(&received).unwrap();
        Ok((answer.status, answer.text().to_owned()))
    }
}

fn is_end(fault: &io::Error) -> bool {
    matches!(fault.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

/// What a machine is on its link.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) mac: String,
    pub(crate) ipv4: String,
    pub(crate) ipv6: String,
}

impl Facts {
    /// Draws up a machine's facts: `number` tells it from others.
    pub(crate) fn numbered(number: u8) -> Self {
        Self {
            mac: format!("02:00:00:00:00:{number:02x}"),
            ipv4: format!("10.1.0.{number}"),
            ipv6: format!("fd00:10::{number:x}"),
        }
    }

    /// Reads those of an instance that runs. It has no IPv6 address besides the one on its link.
    pub(crate) fn of(home: &Home, id: &str) -> Self {
        let shown = home.instance(id);
        let text = |pointer: &str| shown.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        let mac = text("/interfaces/0/mac");
        let ipv6 = link_local(&mac);
        Self { mac, ipv4: text("/interfaces/0/ipv4/0/private"), ipv6 }
    }

    /// The table of a config file.
    pub(crate) fn described(&self, id: &str, attachments: &str) -> String {
        let Self { mac, ipv4, ipv6 } = self;
        format!(
            "[[instance]]\nid = \"{id}\"\nattachments = [{attachments}]\n\
             options = {{ http_protocol_ipv6 = \"enabled\" }}\ninterfaces = [\
             {{ mac = \"{mac}\", ipv4 = [{{ private = \"{ipv4}\" }}], ipv6 = [\"{ipv6}\"] }}]\n"
        )
    }
}

/// The address on the link that is made from a MAC.
fn link_local(mac: &str) -> String {
    let pairs: Vec<_> = mac.split(':').collect();
    let [first, second, third, rest @ ..] = &pairs[..] else { panic!("{mac}") };
    let first = u8::from_str_radix(first, 16).unwrap() ^ 2;
    format!("fe80::{first:02x}{second}:{third}ff:fe{}:{}{}", rest[0], rest[1], rest[2])
}

/// Lays a cable from interface `port`, here, to `eth0` in a machine that has these facts.
pub(crate) fn lay_cable(port: &str, machine: Machine<'_>, facts: &Facts) {
    let Facts { mac, ipv4, ipv6 } = facts;
    ip(&format!("link add {port} type veth peer name eth0 address {mac} netns {}", machine.0));
    ip(&format!("link set {port} up"));
    machine.ip("link set eth0 up");
    wait_until_up(&["link", "show", "dev", port]);
    machine.wait_until_up();
    machine.ip(&format!("address add {ipv4}/32 dev eth0"));
    if !ipv6.starts_with("fe80") {
        machine.ip(&format!("address add {ipv6}/128 dev eth0 nodad"));
    }
}

/// Waits until an interface that `ip` shows with these words is connected: until then, the kernel
/// drops what is sent, and those who ask wait for a second or two.
fn wait_until_up(words: &[&str]) {
    wait_until(&format!("{words:?} is up"), || {
        let mut show = Command::new("ip");
        show.args(words);
        output_of(show).contains("state UP").then_some(())
    });
}

/// Puts EC2's addresses on `port`, and leads those of a machine out of it.
pub(crate) fn lead(port: &str, machine: Machine<'_>, facts: &Facts) {
    let Facts { ipv4, ipv6, .. } = facts;
    ip(&format!("address add 169.254.169.254/32 dev {port}"));
    ip(&format!("address add fd00:ec2::254/128 dev {port} nodad"));
    ip(&format!("route add {ipv4}/32 dev {port}"));
    machine.ip("route add 169.254.169.254/32 dev eth0");
    if !ipv6.starts_with("fe80") {
        ip(&format!("route add {ipv6}/128 dev {port}"));
    }
    machine.ip("route add fd00:ec2::254/128 dev eth0");
}

/// Sets a switch of the kernel, named by its place below `/proc/sys`, in this network namespace.
pub(crate) fn set(name: &str, value: &str) {
    fs::write(format!("/proc/sys/{name}"), value).unwrap();
}

/// How many of the files that a process holds open are sockets.
pub(crate) fn socket_count(pid: u32) -> usize {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let is_socket = |link: &std::path::PathBuf| link.to_string_lossy().starts_with("socket:");
    // A file may be closed while we look.
    files.filter_map(|file| fs::read_link(file.ok()?.path()).ok()).filter(is_socket).count()
}

/// How many threads a process has.
pub(crate) fn thread_count(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).unwrap().count()
}
