//! The program, run: homes for it, servers that are ready, and starts that are refused.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::exchange::read_tokenless;
use crate::waiting::{PATIENCE, wait_until, wait_within};

/// The instance that a first start makes.
pub(crate) const DEFAULT_INSTANCE: &str = "i-1234567890abcdef0";

/// A directory to live in, and the program with nothing else around it.
#[derive(Debug)]
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where a server without settings keeps its state.
    pub(crate) fn state(&self) -> PathBuf {
        self.path().join(".local/state/imds")
    }

    /// Writes a file and returns its path.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes a program that a shell runs, and returns its path.
    pub(crate) fn write_script(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.write(name, format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    /// The program, knowing of this home and of none of the settings of whoever runs the tests.
    pub(crate) fn imds(&self, arguments: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_imds");
        self.around(Command::new(program), arguments)
    }

    /// Another program, in the same surroundings.
    pub(crate) fn around(&self, mut command: Command, arguments: &[&str]) -> Command {
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.imds(arguments))
    }

    /// Runs the program to its end, which must be a success, and returns what it printed.
    pub(crate) fn result(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "imds {arguments:?}: {ended:?}");
        ended.stdout
    }

    /// Like [`result`](Self::result), of JSON.
    pub(crate) fn json_result(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.result(arguments)).unwrap()
    }

    /// Like [`result`](Self::result), of what a server makes in the background: asks until it is
    /// there.
    pub(crate) fn result_once_made(&self, arguments: &[&str]) -> String {
        wait_until(&format!("imds {arguments:?} has a result"), || {
            let ended = self.run(arguments);
            (ended.code == Some(0)).then_some(ended.stdout)
        })
    }

    /// `imds serve` with ports that the system chooses, and more arguments.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Command {
        let mut command = self.imds(&["serve", "--manage", "127.0.0.1:0"]);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(arguments);
        command
    }

    /// Like [`serve`](Self::serve), but the ports are chosen by variables, which flags win over.
    pub(crate) fn serve_as_set(&self, arguments: &[&str]) -> Command {
        let mut command = self.imds(&[&["serve"], arguments].concat());
        command.env("IMDS_LISTEN", "127.0.0.1:0").env("IMDS_MANAGE", "127.0.0.1:0");
        command
    }

    /// Starts a server.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Running::of(self.serve(arguments))
    }

    /// Starts a server with a config file.
    pub(crate) fn start_with(&self, config: &str) -> Running {
        let config = self.write("imds.toml", config);
        self.start(&["--config", config.to_str().unwrap()])
    }

    /// Asks the server of this home through its socket, in the native API's own words.
    pub(crate) fn ask(&self, question: &Value) -> Result<Value, String> {
        self.try_ask(question).unwrap()
    }

    /// Like [`ask`](Self::ask), of a server that may break off.
    pub(crate) fn try_ask(&self, question: &Value) -> std::io::Result<Result<Value, String>> {
        let mut stream = UnixStream::connect(self.state().join("imds.sock"))?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("{question}\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let answer: Value = serde_json::from_str(&line).unwrap();
        match (answer.get("result"), answer.pointer("/error/message")) {
            (Some(result), None) => Ok(Ok(result.clone())),
            (None, Some(message)) => Ok(Err(message.as_str().unwrap().to_owned())),
            _ => panic!("neither a result nor an error: {line}"),
        }
    }

    /// Asks for an instance, as it can be put back.
    pub(crate) fn instance(&self, id: &str) -> Value {
        let question = json!({ "action": "show_instance", "instance_id": id });
        let mut shown = self.ask(&question).unwrap();
        shown.as_object_mut().unwrap().retain(|key, _| key != "endpoints" && key != "attached");
        shown
    }

    /// Puts an instance in place of the one with its id.
    pub(crate) fn put_instance(&self, instance: &Value) -> Result<Value, String> {
        self.ask(&json!({ "action": "put_instance", "instance": instance }))
    }
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// None if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Runs `command` to its end, which must come by itself.
    pub(crate) fn of(mut command: Command) -> Self {
        let what = format!("{command:?}");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap_or_else(|fault| panic!("{what} cannot be run: {fault}"));
        let mut child = Killed(child);
        let (stdout, stderr) = (child.0.stdout.take(), child.0.stderr.take());
        let stdout = std::thread::spawn(move || std::io::read_to_string(stdout.unwrap()));
        let stderr = std::thread::spawn(move || std::io::read_to_string(stderr.unwrap()));
        let status = wait_until(&format!("{what} ends"), || child.0.try_wait().unwrap());
        Self {
            code: status.code(),
            stdout: stdout.join().unwrap().unwrap(),
            stderr: stderr.join().unwrap().unwrap(),
        }
    }
}

/// A child process that does not outlive the test.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It has ended already, in most cases.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that was started, and what it says on standard error.
struct Started {
    child: Killed,
    said: Arc<Mutex<String>>,
    listening: JoinHandle<()>,
}

impl Started {
    fn of(command: Command) -> Self {
        Self::with_stdout(command, Stdio::null())
    }

    fn with_stdout(mut command: Command, stdout: Stdio) -> Self {
        command.stdout(stdout).stderr(Stdio::piped());
        let what = command.get_program().to_owned();
        let child = command.spawn();
        let child = child.unwrap_or_else(|fault| panic!("{what:?} cannot be run: {fault}"));
        let mut child = Killed(child);
        let stderr = child.0.stderr.take().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let listener = Arc::clone(&said);
        let listening = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut said = listener.lock().unwrap();
                said.push_str(&line);
                said.push('\n');
            }
        });
        Self { child, said, listening }
    }

    /// Waits until the server says that it is ready, or has ended, or `limit` has passed.
    fn wait(&mut self, limit: Duration) -> Outcome {
        let outcome = wait_within(limit, || match self.child.0.try_wait().unwrap() {
            Some(status) => Some(Outcome::Ended(status)),
            None => ready_line(&self.said.lock().unwrap()).map(Outcome::Ready),
        });
        outcome.unwrap_or(Outcome::Neither)
    }

    /// Everything that it has said, once it has ended.
    fn last_words(self) -> String {
        let Self { child, said, listening } = self;
        drop(child);
        listening.join().unwrap();
        let said = said.lock().unwrap();
        said.clone()
    }
}

/// What a start comes to.
#[derive(Debug)]
enum Outcome {
    Ended(ExitStatus),
    Neither,
    /// The ready line.
    Ready(String),
}

/// Starts a server that must not start: it ends with `code`, says all of `parts` on standard error,
/// and never that it is ready. Returns what it said.
pub(crate) fn refused(command: Command, code: i32, parts: &[&str]) -> String {
    try_refused(command, code, parts).unwrap_or_else(|fault| panic!("{fault}"))
}

/// Like [`refused`], but tells what is not as it must be.
pub(crate) fn try_refused(command: Command, code: i32, parts: &[&str]) -> Result<String, String> {
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let mut started = Started::of(command);
    let outcome = started.wait(PATIENCE);
    let said = started.last_words();
    let lacking: Vec<_> = parts.iter().filter(|part| !said.contains(**part)).collect();
    match outcome {
        Outcome::Ended(status)
            if status.code() == Some(code)
                && lacking.is_empty()
                && ready_line(&said).is_none()
                && !said.contains("panicked") =>
        {
            Ok(said)
        }
        outcome @ (Outcome::Ended(_) | Outcome::Neither | Outcome::Ready(_)) => Err(format!(
            "{arguments:?}: {outcome:?} in place of {code}, lacking {lacking:?} in:\n{said}"
        )),
    }
}

/// A server that has said that it is ready. It is killed on drop.
pub(crate) struct Running {
    started: Started,
    /// Addresses of the data plane, in the order of the ready line.
    pub(crate) metadata: Vec<SocketAddr>,
    pub(crate) management: SocketAddr,
}

impl Running {
    /// Runs `command` and waits until the server is ready.
    pub(crate) fn of(command: Command) -> Self {
        Self::within(PATIENCE, command)
    }

    /// Runs `command` with something else than nothing as its standard output.
    pub(crate) fn with_stdout(command: Command, stdout: Stdio) -> Self {
        Self::once_ready(PATIENCE, Started::with_stdout(command, stdout))
    }

    /// Runs `command` and waits until the server is ready, which must not take longer than `limit`.
    pub(crate) fn within(limit: Duration, command: Command) -> Self {
        Self::once_ready(limit, Started::of(command))
    }

    fn once_ready(limit: Duration, mut started: Started) -> Self {
        match started.wait(limit) {
            Outcome::Ready(line) => {
                let (metadata, management) = addresses(&line);
                Self { started, metadata, management }
            }
            outcome @ (Outcome::Ended(_) | Outcome::Neither) => panic!(
                "the server is not ready within {limit:?}: {outcome:?}\n{}",
                started.last_words()
            ),
        }
    }

    /// The first address of the data plane.
    pub(crate) fn address(&self) -> SocketAddr {
        self.metadata[0]
    }

    pub(crate) fn id(&self) -> u32 {
        self.started.child.0.id()
    }

    /// Does something while the server is asleep and answers nobody: the kernel takes connections
    /// and requests for it.
    pub(crate) fn while_asleep<T>(&self, action: impl FnOnce() -> T) -> T {
        let process = Pid::from_child(&self.started.child.0);
        kill_process(process, Signal::STOP).unwrap();
        wait_until("every thread has stopped", || self.is_stopped().then_some(()));
        let done = action();
        kill_process(process, Signal::CONT).unwrap();
        done
    }

    fn is_stopped(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.id())).unwrap();
        threads.flatten().all(|thread| {
            let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            status.contains("\nState:\tT")
        })
    }

    /// What it has said on standard error so far.
    pub(crate) fn said(&self) -> String {
        self.started.said.lock().unwrap().clone()
    }

    /// Kills it as a power cut would: it gets no chance to put anything in order.
    pub(crate) fn kill(self) {
        drop(self.started);
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.started.child.0), signal).unwrap();
    }

    /// Sends it a signal and waits for its end; returns that, and all that it has said.
    pub(crate) fn end(mut self, signal: Signal) -> (ExitStatus, String) {
        let child = &mut self.started.child.0;
        kill_process(Pid::from_child(child), signal).unwrap();
        let status = wait_until("the server ends", || child.try_wait().unwrap());
        (status, self.started.last_words())
    }

    /// Asks it to end, which must succeed.
    pub(crate) fn stop(self) {
        let (status, said) = self.end(Signal::TERM);
        assert_eq!(status.code(), Some(0), "{said}");
    }

    /// Reads a page of the management listener, which must be there.
    pub(crate) fn page(&self, path: &str) -> String {
        let answer = read_tokenless(self.management, path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.head);
        answer.text().to_owned()
    }

    /// Reads a sample of `/metrics`, named as it stands there, labels included.
    pub(crate) fn sample(&self, name: &str) -> i64 {
        sample_in(&self.page("/metrics"), name)
    }

    /// Returns how often a limit has bitten.
    pub(crate) fn hits(&self, limit: &str) -> i64 {
        self.sample(&format!("imds_limit_hits_total{{limit=\"{limit}\"}}"))
    }

    /// Returns how many connections wait, in all phases.
    pub(crate) fn connections(&self) -> i64 {
        let phases = ["deliver", "drain", "head", "sign", "write"];
        let name = |phase| format!("imds_connections{{phase=\"{phase}\"}}");
        phases.map(|phase| self.sample(&name(phase))).iter().sum()
    }

    /// Returns a line of the kernel's account of the process, such as `VmRSS`, in KiB.
    pub(crate) fn memory_kib(&self, field: &str) -> i64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let value = line.unwrap().trim_start_matches(':').trim();
        value.trim_end_matches("kB").trim().parse().unwrap()
    }
}

/// Reads a sample of metrics.
pub(crate) fn sample_in(metrics: &str, name: &str) -> i64 {
    let line = metrics.lines().find_map(|line| {
        line.strip_prefix(name)?.strip_prefix(' ').map(|value| value.parse().unwrap())
    });
    line.unwrap_or_else(|| panic!("no sample `{name}` in\n{metrics}"))
}

/// Finds the ready line.
fn ready_line(said: &str) -> Option<String> {
    let is_ready = |line: &&str| line.starts_with("imds: ready; ");
    said.lines().find(is_ready).map(str::to_owned)
}

/// Reads `imds: ready; metadata at URL and URL; management at URL`. Without addresses of the data
/// plane, there is nothing of them.
fn addresses(line: &str) -> (Vec<SocketAddr>, SocketAddr) {
    let address = |url: &str| {
        url.strip_prefix("http://")
            .and_then(|rest| rest.strip_suffix('/'))
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("`{url}` is no URL of ours: {line}"))
    };
    let (metadata, management) = line
        .strip_prefix("imds: ready; ")
        .and_then(|rest| rest.split_once("management at "))
        .unwrap_or_else(|| panic!("not a ready line: {line}"));
    let metadata = metadata.strip_prefix("metadata at ").and_then(|urls| urls.strip_suffix("; "));
    let metadata = metadata.map(|urls| urls.split(" and ").map(address).collect());
    (metadata.unwrap_or_default(), address(management))
}

/// Returns how long a test is to run: the number in the variable `name`, or `usual`.
pub(crate) fn long_run(name: &str, usual: usize) -> usize {
    let told = |text: String| text.parse().unwrap_or_else(|_| panic!("{name}={text}"));
    std::env::var(name).map_or(usual, told)
}

/// Tells figures to whoever runs the tests: past the harness, which shows what tests print only
/// where they fail.
pub(crate) fn tell(figures: &str) {
    writeln!(std::io::stderr(), "{figures}").unwrap();
}

/// Turns the output of another program into text, if it succeeded.
pub(crate) fn output_of(mut command: Command) -> String {
    let what = format!("{command:?}");
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|fault| panic!("{what} cannot be run: {fault}"));
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{what}: {status}: {stderr}");
    String::from_utf8(stdout).unwrap()
}
