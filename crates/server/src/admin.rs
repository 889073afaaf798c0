//! The admin socket: the native API for commands on the same machine.
//!
//! Mode 0600, and the peer must be root or the user that the server runs as. One JSON line each
//! way; see `control::native`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use control::native::{Answer, LINE_BYTES_MAX, Request, Surroundings, handle};
use store::Store;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use crate::clock::Clock;

/// Name of the socket in the state directory.
pub const SOCKET_NAME: &str = "imds.sock";

/// LIMIT: time for a command to send its request, and to take its answer, which waits for a machine
/// and then for its doors.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why there is no admin socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketFault {
    /// A server answers there.
    #[error("another server uses `{0}`: stop it, or choose another --data-dir")]
    Taken(PathBuf),
    /// It cannot be made.
    #[error("the admin socket `{path}` cannot be made: {reason}")]
    Unusable {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

/// The name of the socket, for as long as this is kept.
#[derive(Debug)]
pub(crate) struct SocketName(PathBuf);

impl Drop for SocketName {
    fn drop(&mut self) {
        // Gone already, which is as well.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Makes the socket, in place of one that a server left behind when it was killed.
///
/// # Errors
///
/// [`SocketFault`]
pub(crate) fn bind(directory: &Path) -> Result<(UnixListener, SocketName), SocketFault> {
    let path = directory.join(SOCKET_NAME);
    let unusable = |fault: std::io::Error| SocketFault::Unusable {
        path: path.clone(),
        reason: fault.to_string(),
    };
    if std::os::unix::net::UnixStream::connect(&path).is_ok() {
        return Err(SocketFault::Taken(path));
    }
    match std::fs::remove_file(&path) {
        Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => return Err(unusable(fault)),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path).map_err(unusable)?;
    let name = SocketName(path.clone());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(unusable)?;
    Ok((listener, name))
}

/// Serves until the runtime ends.
pub(crate) async fn serve(
    listener: UnixListener,
    store: Arc<Store>,
    surroundings: Arc<impl Surroundings + Send + Sync + 'static>,
    clock: Clock,
) {
    let own = rustix::process::geteuid().as_raw();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        if !stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0) {
            continue;
        }
        let (store, surroundings) = (Arc::clone(&store), Arc::clone(&surroundings));
        let clock = clock.clone();
        tokio::spawn(tokio::time::timeout(DEADLINE, async move {
            // A command that breaks off has its answer already, or does not want it.
            let _ = converse(stream, store, surroundings, clock).await;
        }));
    }
}

async fn converse(
    mut stream: UnixStream,
    store: Arc<Store>,
    surroundings: Arc<impl Surroundings + Send + Sync + 'static>,
    clock: Clock,
) -> std::io::Result<()> {
    let mut line = String::new();
    let (reading, mut writing) = stream.split();
    let limit = LINE_BYTES_MAX as u64;
    tokio::io::BufReader::new(reading.take(limit)).read_line(&mut line).await?;
    // A commit waits for the disk: not on the thread that serves metrics.
    let answered = tokio::task::spawn_blocking(move || {
        let request = serde_json::from_str::<Request>(&line).map_err(|fault| fault.to_string());
        request.and_then(|request| {
            handle(request, &store, &*surroundings, clock.now().wall)
                .map_err(|refusal| refusal.to_string())
        })
    });
    let answer = match answered.await? {
        Ok(result) => Answer::Result(result),
        Err(message) => Answer::Error { message },
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    writing.write_all(&text).await
}

/// Why a command got no result.
#[derive(Debug, thiserror::Error)]
pub enum AskFault {
    /// No server.
    #[error(
        "no server answers at `{0}`: start one with `imds serve`, or name the --data-dir of the \
         one that runs"
    )]
    NoServer(PathBuf),
    /// Not ours to ask.
    #[error("`{0}` may only be used by the user that the server runs as, or root")]
    NotPermitted(PathBuf),
    /// The conversation broke off.
    #[error("the server at `{path}` broke off: {reason}")]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The server says no.
    #[error("{0}")]
    Refused(String),
}

/// Asks the server whose state is in `directory`.
///
/// # Errors
///
/// Why there is no result.
pub fn ask(directory: &Path, request: &Request) -> Result<serde_json::Value, AskFault> {
    let path = directory.join(SOCKET_NAME);
    let broken = |reason: String| AskFault::Broken { path: path.clone(), reason };
    let refused = |fault: std::io::Error| {
        if fault.kind() == std::io::ErrorKind::PermissionDenied {
            AskFault::NotPermitted(path.clone())
        } else {
            AskFault::NoServer(path.clone())
        }
    };
    let mut stream = std::os::unix::net::UnixStream::connect(&path).map_err(refused)?;
    let converse = || -> std::io::Result<String> {
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        let mut answer = String::new();
        // The answer holds a fleet at most; a server of the same user is trusted with its size.
        BufReader::new(stream).read_line(&mut answer)?;
        Ok(answer)
    };
    let text = converse().map_err(|fault| broken(fault.to_string()))?;
    match serde_json::from_str(&text).map_err(|fault| broken(fault.to_string()))? {
        Answer::Error { message } => Err(AskFault::Refused(message)),
        Answer::Result(result) => Ok(result),
    }
}
