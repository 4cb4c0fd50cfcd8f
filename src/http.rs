//! `/health`, `/ready`, `/metrics`: reads state, changes none.
//!
//! They show no payload, and topics only where a configuration that is refused names them, so they ask for no token.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::status::Status;

#[derive(Clone)]
struct Shown {
    metrics: Arc<Metrics>,
    status: Arc<Status>,
}

/// Takes the port before anything else starts, so that one in use is said at once.
///
/// # Errors
/// What the system says: in use, no permission, no such address.
pub async fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(listen).await
}

/// Serves until `stop` is cancelled.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    status: Arc<Status>,
    stop: CancellationToken,
) -> io::Result<()> {
    let router = Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics_text))
        .with_state(Shown { metrics, status });
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// 200 while the process is alive.
async fn health() -> &'static str {
    "ok\n"
}

/// 200 if messages can come and be stored; 503 with the reason if not. A configuration on disk that is not in force changes
/// nothing of that, and is named behind it.
async fn ready(State(shown): State<Shown>) -> (StatusCode, String) {
    let files = shown.status.files();
    match shown.status.ready() {
        Ok(()) => (StatusCode::OK, format!("ready\n{files}")),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n{files}")),
    }
}

async fn metrics_text(State(shown): State<Shown>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], shown.metrics.text())
}
