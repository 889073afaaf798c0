//! Programs that the server runs: bounded in time and in what they say, without a shell, and ended
//! with the server.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

/// LIMIT: bytes of the line on standard error that are kept.
const COMPLAINT_BYTES_MAX: usize = 500;

/// LIMIT: how long what a program said is waited for once it has ended. What it leaves running may
/// hold the pipe for ever.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What a service manager says to the server alone. A program that finds it might speak for the
/// server.
const OF_SERVICE_MANAGER: [&str; 6] = [
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// A program to be run.
#[derive(Clone, Debug)]
pub(crate) struct Program<'a> {
    /// Its name or path, and its arguments.
    pub(crate) command: &'a [String],
    /// What it finds on standard input; none for an empty one.
    pub(crate) input: Option<Vec<u8>>,
    /// How long it may run.
    pub(crate) deadline: Duration,
    /// How much of what it prints is read: one byte more, so that too much shows as such. Then the
    /// pipe is closed.
    pub(crate) output_bytes_max: usize,
    /// Whether its first line on standard error is kept, which may hold anything.
    pub(crate) keeps_complaint: bool,
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// What it printed.
    pub(crate) output: Vec<u8>,
    /// Its first line on standard error.
    pub(crate) complaint: Option<String>,
}

/// Why a program did not come to its end.
#[derive(Debug)]
pub(crate) enum NotEnded {
    /// The command is empty.
    Empty,
    /// It ran for too long, and was killed.
    Slow,
    /// The system does not run it.
    Unrunnable(String),
}

/// The processes of a program, killed on drop for as long as the program runs.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // INVARIANT: the leader has not been waited for, so the number is still its own.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Program<'_> {
    /// Runs it. Whoever drops this kills it, and what it has started.
    ///
    /// # Errors
    ///
    /// [`NotEnded`].
    pub(crate) async fn run(self) -> Result<Ended, NotEnded> {
        let [program, arguments @ ..] = self.command else {
            return Err(NotEnded::Empty);
        };
        let unrunnable = |fault: std::io::Error| NotEnded::Unrunnable(fault.to_string());
        let child = self.spawn(program, arguments).map_err(unrunnable)?;
        let ended = tokio::time::timeout(self.deadline, self.see_through(child)).await;
        ended.map_err(|_| NotEnded::Slow)?.map_err(unrunnable)
    }

    fn spawn(&self, program: &str, arguments: &[String]) -> std::io::Result<Child> {
        let mut command = Command::new(program);
        for variable in OF_SERVICE_MANAGER {
            command.env_remove(variable);
        }
        let piped_if = |is_used| if is_used { Stdio::piped() } else { Stdio::null() };
        command
            .args(arguments)
            .stdin(piped_if(self.input.is_some()))
            .stdout(Stdio::piped())
            .stderr(piped_if(self.keeps_complaint))
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    async fn see_through(self, mut child: Child) -> std::io::Result<Ended> {
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let mut group = Group(leader);
        let (output, complaint) = (Kept::default(), Kept::default());
        // All of it ends on drop.
        let mut talk = JoinSet::new();
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), self.input) {
            talk.spawn(async move {
                // Whether it reads any of it is its own affair.
                let _ = stdin.write_all(&input).await;
            });
        }
        if let Some(stdout) = child.stdout.take() {
            talk.spawn(output.clone().read(stdout, self.output_bytes_max + 1, false));
        }
        if let Some(stderr) = child.stderr.take() {
            talk.spawn(complaint.clone().read(stderr, COMPLAINT_BYTES_MAX, true));
        }
        let status = child.wait().await;
        group.0 = None;
        let said_all = async { while talk.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_WORDS, said_all).await;
        Ok(Ended {
            status: status?,
            output: output.take(),
            complaint: first_line(&complaint.take()),
        })
    }
}

/// What has been read so far, whether or not there is more to come.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    /// Reads up to `limit` bytes. What comes after them is read too and forgotten, or else not read.
    async fn read(self, mut source: impl AsyncRead + Unpin, limit: usize, goes_on: bool) {
        let mut buffer = [0; 4096];
        let mut count = 0;
        while goes_on || count < limit {
            let Ok(more @ 1..) = source.read(&mut buffer).await else { return };
            let kept = more.min(limit.saturating_sub(count));
            count += kept;
            self.lock().extend_from_slice(buffer.get(..kept).unwrap_or_default());
        }
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn first_line(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn run(script: &str, input: Option<&[u8]>, deadline: Duration) -> Result<Ended, NotEnded> {
        let command = ["/bin/sh", "-c", script].map(str::to_owned);
        let program = Program {
            command: &command,
            input: input.map(<[u8]>::to_vec),
            deadline,
            output_bytes_max: 1000,
            keeps_complaint: true,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(program.run())
    }

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn it_is_told_and_heard() {
        let ended =
            run("cat; echo; echo one >&2; echo two >&2; exit 3", Some(b"in"), LONG).unwrap();
        assert_eq!((ended.status.code(), &*ended.output), (Some(3), &b"in\n"[..]));
        assert_eq!(ended.complaint.as_deref(), Some("one"));
    }

    #[test]
    fn input_that_nobody_reads_is_no_fault() {
        let ended = run("exec true", Some(&vec![b'x'; 1 << 20]), LONG).unwrap();
        assert!(ended.status.success());
    }

    #[test]
    fn too_much_is_neither_kept_nor_waited_for() {
        let ended = run("yes", None, LONG).unwrap();
        assert_eq!(ended.output.len(), 1001);
        let ended = run("yes 2>&1 >&2 | head -c 300000 >&2; echo ok", None, LONG).unwrap();
        assert_eq!(ended.output, b"ok\n");
        assert!(ended.complaint.unwrap().len() <= COMPLAINT_BYTES_MAX);
    }

    #[test]
    fn what_it_leaves_running_is_not_waited_for() {
        let before = Instant::now();
        let ended = run("sleep 30 & echo $!", None, LONG).unwrap();
        assert!(before.elapsed() < Duration::from_secs(20));
        let id: i32 = String::from_utf8(ended.output).unwrap().trim().parse().unwrap();
        let left = Pid::from_raw(id).unwrap();
        rustix::process::kill_process(left, Signal::KILL).expect("it still runs");
    }

    #[test]
    fn one_that_is_slow_is_killed_with_all_it_has_started() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        let script =
            format!("sleep 60 & echo $! >'{0}.new'; mv '{0}.new' '{0}'; wait", path.display());
        let ended = run(&script, None, Duration::from_secs(2));
        assert!(matches!(ended, Err(NotEnded::Slow)), "{ended:?}");
        let id: i32 = std::fs::read_to_string(path).unwrap().trim().parse().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let state = || std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // Nobody may have waited for it yet.
        while !(state().is_empty() || state().contains(") Z ")) {
            assert!(Instant::now() < deadline, "it still runs: {}", state());
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_cannot_be_run_is_told() {
        let command = ["/nowhere/at-all".to_owned()];
        let program = Program {
            command: &command,
            input: None,
            deadline: LONG,
            output_bytes_max: 0,
            keeps_complaint: false,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let none = Program { command: &[], ..program.clone() };
        assert!(matches!(runtime.block_on(program.run()), Err(NotEnded::Unrunnable(_))));
        assert!(matches!(runtime.block_on(none.run()), Err(NotEnded::Empty)));
    }
}
