//! The private listener for operators: the AWS APIs, metrics and health.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use control::api::{ApiFault, ApiRequest, ApiResponse};
use control::native::Surroundings;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::counters::{Counters, Limit, exposition};
use crate::credentials;
use crate::surroundings::Running;

/// LIMIT: connections of operators and scrapers at a time.
const CONNECTIONS_MAX: usize = 256;

/// LIMIT: time for a request head. `axum::serve` would set none.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);

/// LIMIT: bytes of a request head. All that may stand in a body may stand in a query instead, but
/// nobody sends a launch with all its user data that way; the longest is below 32 KiB.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// LIMIT: the body of a request. A launch with 16 KiB of user data, in base64 and percent-encoded, and
/// with all its tags stays below; so does a thousand ids.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// LIMIT: bytes of a body that is too long and is read to be forgotten: a client that is cut off
/// while it sends does not see the answer that says why.
const FORGOTTEN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// LIMIT: time for the body of a request.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// What the pages are made from.
#[derive(Clone)]
pub(crate) struct Managed {
    pub(crate) store: Arc<Store>,
    pub(crate) counters: Arc<[Arc<Counters>]>,
    pub(crate) surroundings: Arc<Running>,
    pub(crate) clock: Clock,
}

/// Where a request comes from.
#[derive(Clone, Copy)]
struct Source(IpAddr);

impl Managed {
    fn hit(&self, limit: Limit) {
        if let Some(counters) = self.counters.first() {
            counters.hit(limit);
        }
    }
}

/// Serves until the runtime ends.
pub(crate) async fn serve(listener: TcpListener, managed: Managed) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        // The AWS APIs are at `/` and at the paths of their own that CBOR has.
        .route("/", get(api).post(api))
        .route("/service/{*operation}", axum::routing::post(api))
        .with_state(managed.clone());
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        if places.available_permits() == 0 {
            managed.hit(Limit::OperatorConnections);
        }
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Ok((stream, from)) = listener.accept().await else {
            // Out of descriptors: others have to end first.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let source = axum::Extension(Source(from.ip().to_canonical()));
        let service = TowerToHyperService::new(router.clone().layer(source));
        tokio::spawn(async move {
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_DEADLINE)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), service);
            // A peer that breaks off is no fault of ours.
            let _ = served.await;
            drop(place);
        });
    }
}

/// Binds the listener.
///
/// # Errors
///
/// What the system says.
pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

async fn metrics(State(managed): State<Managed>) -> impl IntoResponse {
    let instances = managed.store.current().instance_count();
    let now = managed.clock.now().wall;
    let text = exposition(&managed.counters, instances)
        + &credentials::exposition(&managed.surroundings.service.credentials, now);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

/// What a person sees who looks here with a browser.
const FRONT_DOOR: &str = "\
This is the management listener of imds. It speaks the EC2 API: point a client of AWS at it.

    eval \"$(imds env)\"
    aws ec2 describe-instances

For monitors there are /metrics, /healthz and /readyz.
";

/// The APIs of EC2 and its neighbours.
async fn api(State(managed): State<Managed>, request: Request) -> Response {
    if is_looking(&request) {
        return FRONT_DOOR.into_response();
    }
    let (head, body) = request.into_parts();
    let body = match read(&head, body).await {
        Ok(body) => Ok(body),
        // Whoever broke off does not read an answer.
        Err(Unread::Broken) => return StatusCode::BAD_REQUEST.into_response(),
        Err(Unread::Late) => {
            managed.hit(Limit::BodyDeadline);
            Err(ApiFault::request_timeout())
        }
        Err(Unread::TooLong) => {
            managed.hit(Limit::BodyBytes);
            Err(ApiFault::request_entity_too_large(BODY_BYTES_MAX))
        }
    };
    // A commit waits for the disk: not on the thread that serves metrics.
    match tokio::task::spawn_blocking(move || answer(&managed, &head, body)).await {
        Ok(answer) => response(answer),
        // It fails if the server ends meanwhile, or by a defect of ours.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn answer(managed: &Managed, head: &Parts, body: Result<Vec<u8>, ApiFault>) -> ApiResponse {
    let (body, fault) = match body {
        Ok(body) => (body, None),
        Err(fault) => (Vec::new(), Some(fault)),
    };
    let header = |(name, value): (&'_ header::HeaderName, &header::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let headers: Vec<(String, String)> = head.headers.iter().map(header).collect();
    let request = ApiRequest {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: headers.iter().map(|(name, value)| (&**name, &**value)).collect(),
        body: &body,
        source: head.extensions.get::<Source>().map(|Source(address)| *address),
    };
    let surroundings: &dyn Surroundings = &*managed.surroundings;
    match fault {
        None => control::answer(&request, &managed.store, surroundings, managed.clock.now().wall),
        Some(fault) => control::refuse(&request, surroundings, fault),
    }
}

/// Whether it is a browser that asks for the page at `/`.
fn is_looking(request: &Request) -> bool {
    let accepts = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    *request.method() == Method::GET
        && request.uri().query().is_none()
        && !request.headers().contains_key(header::AUTHORIZATION)
        && accepts.is_some_and(|accepts| accepts.contains("text/html"))
}

/// Why a body is not there.
enum Unread {
    /// The client broke off, or what it sent is no body.
    Broken,
    Late,
    TooLong,
}

/// Reads a body. One that is too long is read to its end, within bounds, and forgotten.
async fn read(head: &Parts, body: Body) -> Result<Vec<u8>, Unread> {
    let length = head.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let is_too_long = length.and_then(|length| length.parse().ok()) > Some(BODY_BYTES_MAX);
    // Who waits to be told to go on is told not to.
    if is_too_long && head.headers.contains_key(header::EXPECT) {
        return Err(Unread::TooLong);
    }
    let read = tokio::time::timeout(BODY_DEADLINE, read_all(body)).await;
    read.unwrap_or(Err(Unread::Late))
}

async fn read_all(mut body: Body) -> Result<Vec<u8>, Unread> {
    let (mut kept, mut length) = (Vec::new(), 0usize);
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|_| Unread::Broken)?;
        // There may be trailers, which say nothing.
        let Ok(data) = frame.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length <= BODY_BYTES_MAX {
            kept.extend_from_slice(&data);
        } else if length > FORGOTTEN_BYTES_MAX {
            return Err(Unread::TooLong);
        } else {
            kept = Vec::new();
        }
    }
    if length > BODY_BYTES_MAX { Err(Unread::TooLong) } else { Ok(kept) }
}

fn response(ApiResponse { status, headers, body }: ApiResponse) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    let built = response.body(Body::from(body));
    built.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// The process lives.
async fn healthy() -> &'static str {
    "ok\n"
}

/// The data plane has what it needs to answer.
async fn ready(State(managed): State<Managed>) -> (StatusCode, &'static str) {
    match managed.store.current().token_keys() {
        Some(_) => (StatusCode::OK, "ok\n"),
        None => (StatusCode::SERVICE_UNAVAILABLE, "no token keys\n"),
    }
}
