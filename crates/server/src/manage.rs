//! The private listener for operators: the AWS APIs, metrics and health.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use control::api::{ApiRequest, ApiResponse};
use control::native::Surroundings;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::counters::{Counters, exposition};
use crate::surroundings::Running;

/// LIMIT: connections of operators and scrapers at a time.
const CONNECTIONS_MAX: usize = 256;

/// LIMIT: time for a request head. `axum::serve` would set none.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);

/// LIMIT: the body of a request. A launch with 16 KiB of user data, in base64 and percent-encoded, and
/// with all its tags stays below; so does a thousand ids.
const BODY_BYTES_MAX: usize = 1024 * 1024;

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

/// Serves until the runtime ends.
pub(crate) async fn serve(listener: TcpListener, managed: Managed) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        // The AWS APIs are at `/` and at the paths of their own that CBOR has.
        .route("/", get(api).post(api))
        .route("/service/{*operation}", axum::routing::post(api))
        .with_state(managed);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: others have to end first.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_DEADLINE)
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
    let text = exposition(&managed.counters, instances);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

/// The APIs of EC2 and its neighbours.
async fn api(State(managed): State<Managed>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let read = tokio::time::timeout(BODY_DEADLINE, to_bytes(body, BODY_BYTES_MAX)).await;
    let body = match read {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    // A commit waits for the disk: not on the thread that serves metrics.
    let answered = tokio::task::spawn_blocking(move || {
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
        };
        let surroundings: &dyn Surroundings = &*managed.surroundings;
        control::answer(&request, &managed.store, surroundings, managed.clock.now().wall)
    });
    match answered.await {
        Ok(answer) => response(answer),
        // It fails if the server ends meanwhile, or by a defect of ours.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
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
