//! The service over the wire: the built `imds`, one process for each scene.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};
use std::{env, thread};

use model::{Attachment, CredentialSource, Instance, Role, RoleName};
use serde::Serialize;
use serde_json::Value;

use crate::scratch::Scratch;
use crate::target::{End, Family, Profile, Received, Scene, Sender, Sent, Stage, Target, Whom};

/// LIMIT: how long a server may take to be ready on a machine that is busy with other tests.
const READY_MAX: Duration = Duration::from_secs(30);
/// LIMIT: how long an answer may take; clients of the real service give up after one second.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The stage of cases over the wire.
#[derive(Debug)]
pub struct OverTheWire {
    imds: PathBuf,
}

impl OverTheWire {
    /// Finds the program: `$IMDS_BIN`, or the one built beside the running test.
    ///
    /// # Errors
    ///
    /// There is no such file.
    pub fn find() -> Result<Self, String> {
        let imds = match env::var_os("IMDS_BIN") {
            Some(path) => PathBuf::from(path),
            // target/debug/deps/over_the_wire-0123456789abcdef → target/debug/imds
            None => env::current_exe()
                .ok()
                .and_then(|test| Some(test.parent()?.parent()?.join("imds")))
                .ok_or("the running test has no path")?,
        };
        if imds.is_file() {
            Ok(Self { imds })
        } else {
            Err(format!(
                "there is no {}: build it with `cargo build --bin imds` in the same \
                 profile, or name it in IMDS_BIN",
                imds.display()
            ))
        }
    }
}

impl Stage for OverTheWire {
    fn name(&self) -> &'static str {
        "over the wire"
    }

    fn moves_time(&self) -> bool {
        false
    }

    fn set(&self, scene: &Scene) -> Result<Box<dyn Target>, String> {
        Server::start(&self.imds, scene).map(|server| Box::new(server) as Box<dyn Target>)
    }
}

/// What `--config` names.
#[derive(Serialize)]
struct Config<'a> {
    instance: [Instance; 2],
    role: Vec<RoleTable<'a>>,
}

/// A role as a table: the scenes say no more of one.
#[derive(Serialize)]
struct RoleTable<'a> {
    name: &'a RoleName,
    #[serde(flatten)]
    credentials: &'a CredentialSource,
}

impl<'a> RoleTable<'a> {
    fn of(role: &'a Role) -> Self {
        Self { name: &role.name, credentials: &role.credentials }
    }
}

/// A running `imds serve`, killed on drop.
struct Server {
    imds: PathBuf,
    process: Child,
    scratch: Scratch,
    /// The listeners of the two instances: IPv4 and IPv6 of the one, then of the other.
    listeners: [SocketAddr; 4],
}

impl Server {
    fn start(imds: &Path, scene: &Scene) -> Result<Self, String> {
        let scratch = Scratch::new()?;
        let config = Config {
            instance: [attached(&scene.instance)?, attached(&scene.other)?],
            role: scene.roles.iter().map(RoleTable::of).collect(),
        };
        let config = toml::to_string(&config).map_err(|source| source.to_string())?;
        let config = scratch.write("imds.toml", config.as_bytes())?;
        let mut command = Command::new(imds);
        command
            .arg("serve")
            .arg("--config")
            .arg(config)
            .arg("--data-dir")
            .arg(scratch.path().join("data"))
            .args(["--listen", "127.0.0.1:0", "--manage", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if scene.profile == Profile::Legacy {
            command.args(["--wire", "legacy"]);
        }
        // Settings of whoever runs the tests are not those of the cases.
        for (name, _) in env::vars_os() {
            let ours = name.to_str().is_some_and(|name| name.starts_with("IMDS_"));
            if ours || name == "STATE_DIRECTORY" || name == "NOTIFY_SOCKET" {
                command.env_remove(name);
            }
        }
        let mut process =
            command.spawn().map_err(|source| format!("{}: {source}", imds.display()))?;
        let ready = match process.stderr.take() {
            Some(stderr) => read_ready(stderr),
            None => Err("the server has no standard error".to_owned()),
        };
        // From here on the process ends with this value, whatever happens.
        let mut server = Self {
            imds: imds.to_owned(),
            process,
            scratch,
            listeners: [SocketAddr::from(([127, 0, 0, 1], 0)); 4],
        };
        server.listeners = listeners(&ready?)?;
        Ok(server)
    }

    /// Asks the server through its socket.
    fn ask(&self, question: &Value) -> Result<Value, String> {
        let socket = self.scratch.path().join("data/imds.sock");
        let trouble = |source: std::io::Error| format!("{}: {source}", socket.display());
        let mut stream = UnixStream::connect(&socket).map_err(trouble)?;
        stream.set_read_timeout(Some(ANSWER_MAX)).map_err(trouble)?;
        stream.write_all(format!("{question}\n").as_bytes()).map_err(trouble)?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).map_err(trouble)?;
        let answer: Value =
            serde_json::from_str(&line).map_err(|source| format!("{line:?}: {source}"))?;
        match (answer.get("result"), answer.pointer("/error/message")) {
            (Some(result), None) => Ok(result.clone()),
            (_, Some(message)) => Err(format!("the server refuses: {message}")),
            (None, None) => Err(format!("the server answers {line:?}")),
        }
    }
}

/// Gives an instance an address of each family.
fn attached(instance: &Instance) -> Result<Instance, String> {
    let mut instance = instance.clone();
    instance.attachments = ["127.0.0.1:0", "[::1]:0"]
        .map(|address| address.parse().map(Attachment::Listener))
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|source| source.to_string())?;
    Ok(instance)
}

/// Reads standard error up to the ready line, and to its end on a thread of its own, so that the
/// server never waits for a reader.
fn read_ready(stderr: ChildStderr) -> Result<String, String> {
    /// LIMIT: lines of a server that does not start; what is wrong stands in the last ones.
    const LINES_MAX: usize = 1000;
    let (sender, lines) = sync_channel(LINES_MAX);
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            // Once the ready line is found nobody listens, and the lines are dropped.
            let _ = sender.try_send(line);
        }
    });
    wait_until_ready(&lines)
}

fn wait_until_ready(lines: &Receiver<String>) -> Result<String, String> {
    let deadline = Instant::now() + READY_MAX;
    let mut last: VecDeque<String> = VecDeque::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) if line.contains("imds: ready;") => return Ok(line),
            Ok(line) => {
                last.push_back(line);
                if last.len() > 10 {
                    last.pop_front();
                }
            }
            Err(_) => {
                let said = last.make_contiguous().join("\n  ");
                return Err(format!("the server did not get ready:\n  {said}"));
            }
        }
    }
}

/// Reads the addresses of the ready line: `imds: ready; metadata at URL and URL…; management at …`.
///
/// The first is that of `--listen`; the attachments of the two instances follow in order.
fn listeners(ready: &str) -> Result<[SocketAddr; 4], String> {
    let (metadata, _) = ready.split_once("; management at").unwrap_or((ready, ""));
    let all = metadata
        .split([' ', ','])
        .filter_map(|word| word.strip_prefix("http://"))
        .map(|address| address.trim_end_matches('/').parse())
        .collect::<Result<Vec<SocketAddr>, _>>()
        .map_err(|source| format!("{ready:?}: {source}"))?;
    match *all {
        [_, a, b, c, d] if a.is_ipv4() && b.is_ipv6() && c.is_ipv4() && d.is_ipv6() => {
            Ok([a, b, c, d])
        }
        _ => Err(format!("{ready:?} does not name the five listeners asked for")),
    }
}

impl Target for Server {
    fn exchange(&self, sent: &Sent) -> Received {
        let [v4, v6, other_v4, other_v6] = self.listeners;
        let address = match (sent.to, sent.over) {
            (Whom::Instance, Family::V4) => v4,
            (Whom::Instance, Family::V6) => v6,
            (Whom::Other, Family::V4) => other_v4,
            (Whom::Other, Family::V6) => other_v6,
        };
        exchange(address, sent)
    }

    fn advance(&mut self, _by: Duration) -> Result<(), String> {
        Err("the clock of a real server does not obey".to_owned())
    }

    fn change(&mut self, instance: &Instance) -> Result<(), String> {
        // The addresses stay: the server matches attachments that ask for any port to those it has.
        let instance = attached(instance)?;
        self.ask(&serde_json::json!({ "action": "put_instance", "instance": instance })).map(drop)
    }

    fn certificates(&self) -> Result<Vec<(String, String)>, String> {
        let output = Command::new(&self.imds)
            .args(["identity", "certificates", "--json", "--data-dir"])
            .arg(self.scratch.path().join("data"))
            .output()
            .map_err(|source| format!("{}: {source}", self.imds.display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("imds identity certificates says: {}", said.trim()));
        }
        let named: std::collections::BTreeMap<String, String> =
            serde_json::from_slice(&output.stdout).map_err(|source| source.to_string())?;
        Ok(named.into_iter().collect())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if the process is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends and receives all bytes of one connection.
fn exchange(address: SocketAddr, sent: &Sent) -> Received {
    let mut received = Received { bytes: Vec::new(), end: End::Closed };
    let Ok(mut stream) = TcpStream::connect(address) else {
        return received;
    };
    let _ = stream.set_nodelay(true);
    let _ = stream.set_read_timeout(Some(ANSWER_MAX));
    let _ = stream.set_write_timeout(Some(ANSWER_MAX));
    // A server may answer and close before it has read everything: what counts is what comes back.
    let _ = stream.write_all(&sent.bytes);
    if sent.sender == Sender::Ends {
        let _ = stream.shutdown(Shutdown::Write);
    }
    received.end = match stream.read_to_end(&mut received.bytes) {
        Ok(_) => End::Closed,
        Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => {
            End::Silent
        }
        Err(_) => End::Reset,
    };
    received
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_names_the_listeners_in_order() {
        let line = "imds: ready; metadata at http://127.0.0.1:1/ and http://127.0.0.1:2/ and \
            http://[::1]:3/ and http://127.0.0.1:4/ and http://[::1]:5/; management at \
            http://127.0.0.1:6/";
        let ports = listeners(line).unwrap().map(|address| address.port());
        assert_eq!(ports, [2, 3, 4, 5]);
        assert!(listeners("imds: ready; metadata at http://127.0.0.1:1/").is_err());
    }

    #[test]
    fn a_server_that_ends_tells_what_it_said_last() {
        let (sender, lines) = sync_channel(2);
        sender.send("imds: cannot listen".to_owned()).unwrap();
        drop(sender);
        let fault = wait_until_ready(&lines).unwrap_err();
        assert!(fault.ends_with("imds: cannot listen"), "{fault}");
    }
}
