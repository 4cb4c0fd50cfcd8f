//! The endpoints (`/health`, `/ready`, `/metrics`) and the live page: reads state, changes none.
//!
//! - The endpoints show no payload, and topics only where a configuration that is refused names them, so they ask for
//!   nothing. All else shows what devices say: it is for who calls Amber by a name that it knows (`access`), and has the
//!   token where one is needed.
//! - The page costs the pipeline nothing: a handful of counters are read once a second, the rest only while somebody looks
//!   (`live`), and what is kept in the store is asked for on a connection of its own.
//! - Nothing here is unbounded: connections, listeners, bodies, answers. Everything ends at `stop`, also a stream of events.

mod access;
mod api;
mod connections;
mod events;
mod explaining;
mod ignored;
mod live;
mod mapping;
mod page;
mod stored;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::ignored::IgnoredTopics;
use crate::in_force::Following;
use crate::message::Clock;
use crate::metrics::Metrics;
use crate::status::Status;
use crate::store::Reader;
pub use access::CLOSED;
use connections::Bounded;
use explaining::Explaining;
use live::Live;
use stored::Stored;

/// A form, or a question: more is not read.
const MAX_BODY_BYTES: usize = 16 << 10;

/// What is shown.
#[derive(Clone)]
pub struct Shown {
    pub metrics: Arc<Metrics>,
    pub status: Arc<Status>,
    pub in_force: Following,
    pub ignored: Arc<IgnoredTopics>,
    /// Told each second that somebody looks.
    pub onlookers: Arc<Notify>,
    pub clock: Clock,
    /// When the service stops: the store is left then, though the endpoints stay until all is at rest.
    pub stop: CancellationToken,
}

/// What the handlers share.
struct Server {
    shown: Shown,
    live: Live,
    stored: Stored,
    explaining: Explaining,
    files: page::Files,
    stop: CancellationToken,
}

/// Takes the port before anything else starts, so that one in use is said at once.
///
/// # Errors
/// What the system says: in use, no permission, no such address.
pub async fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(listen).await
}

/// Where a browser on this machine finds the page of who listens on `address`.
#[must_use]
pub fn url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}/", SocketAddr::new(ip, address.port()))
}

/// Serves until `stop` is cancelled.
///
/// # Errors
/// The listener failed.
pub async fn serve(listener: TcpListener, shown: Shown, stop: CancellationToken) -> io::Result<()> {
    let live = Live::new(shown.clone());
    let reader = Reader::new(&shown.in_force.borrow().config.store);
    let server = Arc::new(Server {
        live,
        stored: Stored::new(reader, shown.stop.clone()),
        explaining: Explaining::new(),
        files: page::Files::new(),
        stop: stop.clone(),
        shown,
    });
    let served =
        axum::serve(Bounded::new(listener), router(Arc::clone(&server))).with_graceful_shutdown(stop.cancelled_owned());
    tokio::select! {
        ended = async { served.await } => ended,
        () = server.live.run() => Ok(()),
        () = server.stored.close_at_the_end() => Ok(()),
    }
}

fn router(server: Arc<Server>) -> Router {
    let endpoints = Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics_text))
        .with_state(server.shown.clone());
    let guarded = Router::new()
        .route("/", get(page::index))
        .route("/events", get(events::events))
        .route("/logout", post(access::log_out))
        .route("/api/measurements", get(api::measurements))
        .route("/api/series", get(api::series))
        .route("/api/history", get(api::history))
        .route("/api/rejects", get(api::rejects))
        .route("/api/rejects/{id}/explain", get(api::explain_reject))
        .route("/api/ignored", get(ignored::ignored))
        .route("/api/mapping", get(mapping::mapping))
        .route("/api/explain", post(explaining::explain))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&server), access::guard));
    let pages = Router::new()
        .route("/page/{file}", get(page::file))
        .route("/login", get(access::login).post(access::sign_in))
        .merge(guarded)
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(Arc::clone(&server), access::known_host))
        .layer(middleware::from_fn(with_headers))
        .with_state(server);
    endpoints.merge(pages)
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

async fn not_found(request: Request) -> Response {
    refused(request.uri().path(), StatusCode::NOT_FOUND, "there is nothing here; the page is at `/`")
}

/// Nothing from elsewhere is loaded, run, framed or told of where one comes from: a payload that got into the page as markup
/// could do nothing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // What nothing else is said of must not stay in a cache: it shows payloads.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// What went wrong and what to do: as JSON to a program, as text to a person.
fn refused(path: &str, status: StatusCode, what: &str) -> Response {
    if is_for_programs(path) {
        let body = serde_json::json!({ "error": what }).to_string();
        (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    } else {
        (status, format!("{what}\n")).into_response()
    }
}

/// Whether a program asks there, not a person.
fn is_for_programs(path: &str) -> bool {
    path.starts_with("/api/") || path == "/events"
}

/// Bytes as text, if they are; of one that is cut the last character may be, too.
fn text_of(bytes: &[u8], cut: bool) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if cut && error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok(),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_cut_within_a_character_is_a_text() {
        assert_eq!(text_of("21 °C".as_bytes(), false), Some("21 °C"));
        assert_eq!(text_of(&"21 °C".as_bytes()[..4], true), Some("21 "));
        assert_eq!(text_of(&"21 °C".as_bytes()[..4], false), None, "it is whole, and no text");
        assert_eq!(text_of(b"\xff\xfe", true), None);
        assert_eq!(text_of(b"", true), Some(""));
    }
}
