//! The private listener for operators: metrics and health.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::counters::{Counters, exposition};

/// LIMIT: connections of operators and scrapers at a time.
const CONNECTIONS_MAX: usize = 256;

/// LIMIT: time for a request head. `axum::serve` would set none.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);

/// What the pages are made from.
#[derive(Clone)]
pub(crate) struct Managed {
    pub(crate) store: Arc<Store>,
    pub(crate) counters: Arc<[Arc<Counters>]>,
}

/// Serves until the runtime ends.
pub(crate) async fn serve(listener: TcpListener, managed: Managed) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
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
