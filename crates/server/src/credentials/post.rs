//! One POST over HTTP/1, with TLS or to this machine itself: bounded in time and in what comes back.
//!
//! Each has a connection of its own. No proxy is asked, and no redirection followed: what is sent is
//! for the endpoint that the operator named, and for nobody else.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use model::Endpoint;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// LIMIT: time for all of it, from the name of the host to the last byte of the answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// LIMIT: time to reach one address, so that another one has its turn.
const CONNECT_DEADLINE: Duration = Duration::from_secs(4);

/// LIMIT: addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;

/// LIMIT: bytes of the head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// LIMIT: bytes of an answer. STS sends some three thousand.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PostFault {
    /// Nobody is there, or not within the time for it.
    #[error("{endpoint} is not reached: {reason}")]
    Unreachable {
        /// Where that is.
        endpoint: Endpoint,
        /// What the system says.
        reason: String,
    },
    /// The connection is not secure.
    #[error(
        "{endpoint} is not trusted: {reason}. The authorities that are trusted are those of the \
         system, or in the file or directory that SSL_CERT_FILE or SSL_CERT_DIR names"
    )]
    Untrusted {
        /// Where that is.
        endpoint: Endpoint,
        /// What is wrong.
        reason: String,
    },
    /// What comes back is not an answer of HTTP, breaks off, or is too long.
    #[error("{endpoint} does not answer as it should: {reason}")]
    Garbled {
        /// Where that is.
        endpoint: Endpoint,
        /// What is wrong.
        reason: String,
    },
    /// It takes too long.
    #[error("{0} does not answer within {DEADLINE:?}")]
    Slow(Endpoint),
}

/// An answer.
pub(super) struct Posted {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// What posts, with whom it trusts.
#[derive(Default)]
pub(super) struct Poster {
    /// Read from the system at the first use, and again after someone was not trusted.
    trusted: Mutex<Option<TlsConnector>>,
}

impl Poster {
    /// Posts `body`, with header lines that name the host.
    ///
    /// # Errors
    ///
    /// [`PostFault`]; none shows what was sent.
    pub(super) async fn post(
        &self,
        endpoint: &Endpoint,
        lines: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<Posted, PostFault> {
        let posted = tokio::time::timeout(DEADLINE, self.post_in_time(endpoint, lines, body)).await;
        posted.unwrap_or_else(|_| Err(PostFault::Slow(endpoint.clone())))
    }

    async fn post_in_time(
        &self,
        endpoint: &Endpoint,
        lines: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<Posted, PostFault> {
        let mut request = Request::post("/").header("connection", "close");
        for (name, value) in lines {
            request = request.header(*name, value);
        }
        let garbled = |reason: String| PostFault::Garbled { endpoint: endpoint.clone(), reason };
        let request = request.body(Body::from(body)).map_err(|fault| garbled(fault.to_string()))?;
        let stream = connect(endpoint).await?;
        if !endpoint.is_tls() {
            return exchange(stream, request).await.map_err(garbled);
        }
        let name = ServerName::try_from(endpoint.host().to_owned());
        let name = name.map_err(|fault| garbled(fault.to_string()))?;
        let untrusted = |reason| PostFault::Untrusted { endpoint: endpoint.clone(), reason };
        let connector = self.connector().await.map_err(untrusted)?;
        match connector.connect(name, stream).await {
            Ok(stream) => exchange(stream, request).await.map_err(garbled),
            Err(fault) => {
                // Its authority may be new.
                *self.lock() = None;
                Err(untrusted(fault.to_string()))
            }
        }
    }

    async fn connector(&self) -> Result<TlsConnector, String> {
        if let Some(connector) = &*self.lock() {
            return Ok(connector.clone());
        }
        let read = tokio::task::spawn_blocking(connector_of_system).await;
        let connector = read.map_err(|_| "its authorities could not be read".to_owned())??;
        *self.lock() = Some(connector.clone());
        Ok(connector)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<TlsConnector>> {
        self.trusted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Trusts whom the system trusts.
fn connector_of_system() -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err("this machine trusts no authority: install ca-certificates".to_owned());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|fault| fault.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Connects to the first address that can be reached.
async fn connect(endpoint: &Endpoint) -> Result<TcpStream, PostFault> {
    let unreachable =
        |reason: String| PostFault::Unreachable { endpoint: endpoint.clone(), reason };
    let found = tokio::net::lookup_host((endpoint.host(), endpoint.port())).await;
    let addresses = found.map_err(|fault| unreachable(fault.to_string()))?;
    // Without TLS, whatever a name leads to.
    let is_allowed =
        |address: &std::net::SocketAddr| endpoint.is_tls() || address.ip().is_loopback();
    let mut reason = "its name has no address".to_owned();
    for address in addresses.filter(is_allowed).take(ADDRESSES_MAX) {
        match tokio::time::timeout(CONNECT_DEADLINE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(fault)) => reason = fault.to_string(),
            Err(_) => reason = format!("{address} does not answer"),
        }
    }
    Err(unreachable(reason))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Body>,
) -> Result<Posted, String> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES_MAX);
    let shaken = builder.handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|fault| fault.to_string())?;
    // It ends with this.
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let response = sender.send_request(request).await.map_err(|fault| fault.to_string())?;
    let status = response.status().as_u16();
    Ok(Posted { status, body: read(response.into_body()).await? })
}

async fn read(mut body: Incoming) -> Result<Vec<u8>, String> {
    let mut kept = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|fault| fault.to_string())?;
        let Ok(data) = frame.into_data() else { continue };
        if kept.len() + data.len() > BODY_BYTES_MAX {
            return Err("its answer is too long".to_owned());
        }
        kept.extend_from_slice(&data);
    }
    Ok(kept)
}
