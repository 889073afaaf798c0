//! The servers that are measured: started on their core, found, and stopped.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{env, fs, io, thread};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::args::RunArgs;
use crate::cores::{self, Cores};
use crate::floor::BACKLOG;
use crate::request::{Kind, Request};
use crate::{Fault, client, kernel};

/// LIMIT: how long a server may take to start; a million instances fit in, on a busy machine too.
const START_MAX: Duration = Duration::from_mins(5);

/// LIMIT: how long a server may take to stop before it is killed.
const STOP_MAX: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// LIMIT: lines of a server's log that are kept to explain why it did not start.
const LOG_LINES_MAX: usize = 10;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Brand {
    Floor,
    Imds,
    Nginx,
}

impl Brand {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Imds => "imds",
            Self::Nginx => "nginx",
        }
    }

    /// The address in a line that says the server is ready.
    fn ready(self, line: &str, port: u16) -> Option<SocketAddrV4> {
        match self {
            Self::Floor => line.strip_prefix("floor: ready at ")?.trim().parse().ok(),
            Self::Imds => {
                // The last one: that which all instances share, if there is one.
                let (urls, _) = line.split_once("metadata at ")?.1.split_once(';')?;
                let (_, url) = urls.rsplit_once("http://")?;
                url.trim_end_matches('/').parse().ok()
            }
            Self::Nginx => line
                .contains("start worker process ")
                .then(|| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)),
        }
    }
}

/// Where the programs are, and on which core they run.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) imds: Option<PathBuf>,
    imds_args: Vec<String>,
    nginx: PathBuf,
    cores: Cores,
}

impl Programs {
    pub(crate) fn new(args: &RunArgs, cores: Cores) -> Self {
        // Where Debian puts it, which is not on everybody's search path.
        let debians = Path::new("/usr/sbin/nginx");
        let nginx = if args.nginx == Path::new("nginx") && debians.exists() {
            debians.to_owned()
        } else {
            args.nginx.clone()
        };
        Self { imds: args.imds.clone(), imds_args: args.imds_args.clone(), nginx, cores }
    }

    /// Starts a server with an empty state.
    pub(crate) fn start(&self, brand: Brand) -> Result<Server, Fault> {
        let dir = Scratch::new()?;
        let mut server = match brand {
            Brand::Floor => {
                let mut command = Command::new(env::current_exe()?);
                command.args(["floor", "--listen", "127.0.0.1:0"]);
                self.spawn(brand, command, 0)
            }
            Brand::Imds => self.start_imds(dir.path(), &["--store".into(), "memory".into()]),
            Brand::Nginx => {
                // Free now; nothing else here takes ports between this line and nginx's start.
                let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
                let file = dir.path().join("nginx.conf");
                fs::write(&file, nginx_settings(dir.path(), port, &self.nginx_lacks()?))?;
                let mut command = Command::new(&self.nginx);
                command.arg("-c").arg(file).arg("-p").arg(dir.path()).args(["-e", "stderr"]);
                self.spawn(brand, command, port)
            }
        }?;
        server.dir = Some(dir);
        Ok(server)
    }

    /// Starts `imds` with its state in `dir`, which outlives it.
    pub(crate) fn start_imds(&self, dir: &Path, more: &[OsString]) -> Result<Server, Fault> {
        let imds = self.imds.as_ref().ok_or("no imds was given")?;
        let mut command = Command::new(imds);
        command.args(["serve", "--workers", "1", "--listen", "127.0.0.1:0"]);
        command.args(["--manage", "127.0.0.1:0", "--data-dir"]).arg(dir);
        command.args(IMDS_LIMITS).args(more).args(&self.imds_args);
        self.spawn(Brand::Imds, command, 0)
    }

    /// Spawns on the servers' core and waits for the line that says it is ready.
    fn spawn(&self, brand: Brand, mut command: Command, port: u16) -> Result<Server, Fault> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // The child inherits the core of the thread that spawns it.
        cores::pin_this_thread(self.cores.server)?;
        let spawned = command.spawn();
        cores::pin_this_thread(self.cores.load)?;
        let mut child =
            spawned.map_err(|error| format!("cannot start {}: {error}", brand.name()))?;
        let log = Log::default();
        let (sender, ready) = mpsc::channel();
        if let Some(stderr) = child.stderr.take() {
            let log = log.clone();
            thread::spawn(move || log.follow(stderr, brand, port, &sender));
        }
        let mut server = Server { brand, child, log, address: None, dir: None };
        server.await_ready(&ready)?;
        Ok(server)
    }

    /// What nginx calls itself.
    pub(crate) fn nginx_version(&self) -> Result<String, Fault> {
        let built = self.nginx_built()?;
        let version = built.lines().find_map(|line| line.strip_prefix("nginx version: "));
        Ok(version.unwrap_or("of unknown version").to_owned())
    }

    /// The modules that this nginx was built without, of those whose directories must be moved.
    fn nginx_lacks(&self) -> Result<Vec<&'static str>, Fault> {
        let built = self.nginx_built()?;
        let lacks = |module: &&str| built.contains(&format!("--without-http_{module}_module"));
        Ok(NGINX_TEMP.into_iter().filter(lacks).collect())
    }

    fn nginx_built(&self) -> Result<String, Fault> {
        let output = Command::new(&self.nginx)
            .arg("-V")
            .output()
            .map_err(|error| format!("cannot run nginx: {error}"))?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// All load comes from one address here, which the ordinary limits may forbid.
const IMDS_LIMITS: [&str; 4] =
    ["--max-connections", "8192", "--max-connections-per-source", "4096"];

/// The modules of nginx that make a directory at start.
const NGINX_TEMP: [&str; 4] = ["fastcgi", "proxy", "scgi", "uwsgi"];

/// Settings for one worker and a constant answer, everything it writes below `dir`.
fn nginx_settings(dir: &Path, port: u16, lacking: &[&str]) -> String {
    let dir = dir.display();
    let mut directories = format!("client_body_temp_path {dir}/client;\n");
    for module in NGINX_TEMP.iter().filter(|module| !lacking.contains(module)) {
        // Writing to a string cannot fail.
        let _ = writeln!(directories, "    {module}_temp_path {dir}/{module};");
    }
    format!(
        "daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 4096; }}
http {{
    {directories}    access_log off;
    keepalive_timeout 0;
    server {{
        listen 127.0.0.1:{port} backlog={BACKLOG};
        location / {{ default_type text/plain; return 200 \"i-1234567890abcdef0\"; }}
    }}
}}
"
    )
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) brand: Brand,
    child: Child,
    log: Log,
    /// Known once it is ready.
    address: Option<SocketAddrV4>,
    dir: Option<Scratch>,
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where the metadata is served.
    pub(crate) fn address(&self) -> Result<SocketAddrV4, Fault> {
        Ok(self.address.ok_or("the server is not ready")?)
    }

    /// A request of this kind that this server answers as expected.
    pub(crate) fn request(&self, kind: Kind) -> Result<Request, Fault> {
        match self.brand {
            Brand::Floor | Brand::Nginx => Ok(Request::of_constant(kind)),
            Brand::Imds => Ok(Request::new(kind, &client::token(self.address()?)?)),
        }
    }

    fn await_ready(&mut self, ready: &Receiver<SocketAddrV4>) -> Result<(), Fault> {
        self.address = Some(ready.recv_timeout(START_MAX).map_err(|_| {
            let log = self.log.lines().join("\n  ");
            format!("{} did not become ready; it said:\n  {log}", self.brand.name())
        })?);
        Ok(())
    }

    /// Asks the server to end, and makes it end if it takes too long.
    fn stop(&mut self) -> Result<(), Fault> {
        let pid = Pid::from_child(&self.child);
        let gone = pidfd_open(pid, PidfdFlags::empty())?;
        kill_process(pid, Signal::TERM)?;
        if poll(&mut [PollFd::new(&gone, PollFlags::IN)], Some(&STOP_MAX))? == 0 {
            for pid in kernel::family(self.pid())? {
                if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                    kill_process(pid, Signal::KILL)?;
                }
            }
        }
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(fault) = self.stop() {
            eprintln!("openimds-bench: cannot stop {}: {fault}", self.brand.name());
        }
    }
}

/// The last lines that a server wrote to standard error.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<VecDeque<String>>>);

impl Log {
    /// Reads until the server ends, so that it never waits for a reader.
    fn follow(&self, stderr: ChildStderr, brand: Brand, port: u16, ready: &Sender<SocketAddrV4>) {
        let mut reader = BufReader::new(stderr);
        let mut line = String::new();
        while matches!(reader.read_line(&mut line), Ok(1..)) {
            if let Some(address) = brand.ready(line.trim_end(), port) {
                // Nobody waits for a second one.
                let _ = ready.send(address);
            }
            if let Ok(mut lines) = self.0.lock() {
                if lines.len() == LOG_LINES_MAX {
                    lines.pop_front();
                }
                lines.push_back(line.trim_end().to_owned());
            }
            line.clear();
        }
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().map_or_else(|_| Vec::new(), |lines| lines.iter().cloned().collect())
    }
}

/// A directory of our own that goes with this value.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("openimds-bench-{}-{count}", std::process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the temporary directory.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_lines_tell_the_address() {
        let at = |port| Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
        for (brand, line, expected) in [
            (Brand::Floor, "floor: ready at 127.0.0.1:7", at(7)),
            (
                Brand::Imds,
                "imds: ready; metadata at http://127.0.0.1:8/; management at http://127.0.0.1:9/",
                at(8),
            ),
            (
                Brand::Imds,
                "imds: ready; metadata at http://127.0.0.1:8/ and http://127.0.0.1:7/; management \
                 at http://127.0.0.1:9/",
                at(7),
            ),
            (Brand::Imds, "imds: this is the first start", None),
            (Brand::Nginx, "2025/01/01 [notice] 5#5: start worker process 6", at(3)),
            (Brand::Nginx, "2025/01/01 [notice] 5#5: start worker processes", None),
        ] {
            assert_eq!(brand.ready(line, 3), expected, "{line:?}");
        }
    }

    #[test]
    fn nginx_is_not_told_of_modules_it_lacks() {
        let settings = nginx_settings(Path::new("/d"), 80, &["uwsgi"]);
        assert!(settings.contains("scgi_temp_path /d/scgi;"));
        assert!(!settings.contains("uwsgi_temp_path"));
    }

    #[test]
    fn scratch_goes_when_dropped() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().to_owned();
        assert!(path.is_dir());
        drop(scratch);
        assert!(!path.exists());
    }
}
