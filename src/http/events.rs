//! `GET /events`: server-sent events. `rates` once, then `state` at once and each second.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::live::Listener;
use super::{Server, access, refused};

/// A page whose stream has ended asks again so soon: a restart is short.
const RETRY: Duration = Duration::from_secs(2);

/// What one listener is still to be sent at once, and what comes then.
struct Stream {
    server: Arc<Server>,
    at_once: VecDeque<Event>,
    listener: Listener,
    asked: (Option<[u8; 32]>, bool),
}

pub(super) async fn events(State(server): State<Arc<Server>>) -> Response {
    let Some(listener) = server.live.listen() else {
        let what = "as many pages are open as Amber serves at a time; close one, and this one goes on by itself";
        return refused("/events", StatusCode::SERVICE_UNAVAILABLE, what);
    };
    let at_once = [
        Event::default().retry(RETRY).event("rates").data(server.live.rates()),
        Event::default().event("state").data(server.live.state()),
    ];
    let asked = access::fingerprint(&server.shown.in_force.borrow().config.http);
    let stream = Stream { server, at_once: at_once.into(), listener, asked };
    let events = stream::unfold(stream, |mut stream| async {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    // A proxy that gathers an answer before it passes it on would never pass this one on.
    ([("x-accel-buffering", "no")], Sse::new(events)).into_response()
}

impl Stream {
    /// `None` when the service ends, or asks for another token than it did when the stream began.
    async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.at_once.pop_front() {
            return Some(event);
        }
        let state = tokio::select! {
            state = self.listener.next() => state?,
            () = self.server.stop.cancelled() => return None,
        };
        let asked = access::fingerprint(&self.server.shown.in_force.borrow().config.http);
        if asked != self.asked {
            return None;
        }
        Some(Event::default().event("state").data(state))
    }
}
