//! `GET /api/ignored`: topics that no mapping took lately, or that had nothing in them.

use std::sync::Arc;

use axum::extract::State;
use data_encoding::BASE64;
use serde::Serialize;

use super::Server;
use super::api::Json;
use crate::ignored::IgnoredTopic;
use crate::message::Time;

#[derive(Serialize)]
struct Ignored<'a> {
    topics: Vec<Shown<'a>>,
    /// Messages of topics that are not listed.
    others: u64,
    since: Option<i64>,
}

#[derive(Serialize)]
struct Shown<'a> {
    topic: &'a str,
    reason: &'static str,
    count: u64,
    last_at: i64,
    /// The beginning; `null` if it is no text.
    payload: Option<&'a str>,
    payload_base64: Option<String>,
    payload_bytes: usize,
    cut: bool,
}

impl<'a> From<&'a IgnoredTopic> for Shown<'a> {
    fn from(ignored: &'a IgnoredTopic) -> Self {
        let IgnoredTopic { topic, reason, count, last_at, payload, payload_bytes } = ignored;
        let cut = payload.len() < *payload_bytes;
        let text = super::text_of(payload, cut);
        Self {
            topic,
            reason: reason.word(),
            count: *count,
            last_at: milliseconds(*last_at),
            payload: text,
            payload_base64: text.is_none().then(|| BASE64.encode(payload)),
            payload_bytes: *payload_bytes,
            cut,
        }
    }
}

fn milliseconds(time: Time) -> i64 {
    time.0.div_euclid(1_000)
}

pub(super) async fn ignored(State(server): State<Arc<Server>>) -> Json {
    let lately = server.shown.ignored.lately();
    let topics = lately.topics.iter().map(Into::into).collect();
    Json::of(&Ignored { topics, others: lately.others, since: lately.since.map(milliseconds) })
}
