//! `GET /api/rejects` and `GET /api/rejects/{id}/explain`: what could not be stored as readings, and what today's mapping
//! says of it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use data_encoding::BASE64;
use serde::Serialize;

use super::{Answer, Asked, Fault, Json, key, milliseconds, now};
use crate::explain::message;
use crate::http::live::written;
use crate::http::{Server, text_of};
use crate::message::Malformed;
use crate::store::reader::{MAX_REJECTS, RejectCount, RejectsAsked, StoredReject};

/// Rejects of a page, unless it asks for fewer or more.
const LIMIT: u32 = 20;

#[derive(Serialize)]
struct Rejects<'a> {
    counts: Vec<Count<'a>>,
    /// Of how many of the newest rejects `counts` is, and whether those are all.
    counted: u64,
    counted_all: bool,
    rejects: Vec<Shown<'a>>,
    more: bool,
}

#[derive(Serialize)]
struct Count<'a> {
    reason: &'a str,
    mapping: Option<&'a str>,
    count: u64,
    last_at: i64,
}

impl<'a> From<&'a RejectCount> for Count<'a> {
    fn from(count: &'a RejectCount) -> Self {
        let RejectCount { reason, mapping, count, last_at } = count;
        Self { reason, mapping: mapping.as_deref(), count: *count, last_at: milliseconds(*last_at) }
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    id: i64,
    received_at: i64,
    topic: &'a str,
    mapping: Option<&'a str>,
    reason: &'a str,
    detail: &'a str,
    qos: u8,
    retain: bool,
    payload: Option<&'a str>,
    /// If it is no text.
    payload_base64: Option<String>,
    payload_bytes: u64,
    cut: bool,
}

impl<'a> From<&'a StoredReject> for Shown<'a> {
    fn from(reject: &'a StoredReject) -> Self {
        let cut = (reject.payload.len() as u64) < reject.payload_bytes;
        let payload = text_of(&reject.payload, cut);
        Self {
            id: reject.id,
            received_at: milliseconds(reject.received_at),
            topic: &reject.topic,
            mapping: reject.mapping.as_deref(),
            reason: &reject.reason,
            detail: &reject.detail,
            qos: reject.qos,
            retain: reject.retain,
            payload,
            payload_base64: payload.is_none().then(|| BASE64.encode(&reject.payload)),
            payload_bytes: reject.payload_bytes,
            cut,
        }
    }
}

/// A page of rejects, newest first.
pub(in crate::http) async fn rejects(State(server): State<Arc<Server>>, uri: Uri) -> Answer {
    let asked = Asked::of(&uri)?;
    let asked = RejectsAsked {
        reason: asked.text("reason").map(str::to_owned),
        mapping: asked.text("mapping").map(str::to_owned),
        before: asked.number("before")?,
        limit: asked.number("limit")?.unwrap_or(LIMIT).clamp(1, MAX_REJECTS),
    };
    let in_force = now(&server);
    let page = server.stored.ask(key(&uri, &in_force), async |reader| {
        let page = reader.rejects(&asked).await?;
        Ok(written(&Rejects {
            counts: page.counts.iter().map(Into::into).collect(),
            counted: page.counted,
            counted_all: page.counted_all,
            rejects: page.rejects.iter().map(Into::into).collect(),
            more: page.more,
        }))
    });
    Ok(Json(page.await?))
}

/// What today's mapping says of a reject.
pub(in crate::http) async fn explain(State(server): State<Arc<Server>>, Path(id): Path<String>) -> Answer {
    let id: i64 = id.parse().map_err(|_| Fault::wrong("a reject has a number"))?;
    let stored = server.stored.read(async |reader| reader.reject(id).await).await?;
    let Some(reject) = stored else {
        return Err(Fault::new(StatusCode::NOT_FOUND, "the reject is not there any more: old ones are deleted"));
    };
    let kept = reject.payload.len();
    let is_cut = (kept as u64) < reject.payload_bytes;
    let mut message = message(&reject.topic, reject.payload, reject.retain, reject.received_at);
    let in_force = now(&server);
    let mut note = None;
    if reject.payload_bytes > in_force.config.broker.max_payload_bytes as u64 {
        let payload_bytes = usize::try_from(reject.payload_bytes).unwrap_or(usize::MAX);
        message.malformed = Some(Malformed::TooLarge { payload_bytes });
    } else if is_cut {
        note = Some(format!(
            "of the {} bytes of this payload the first {kept} are kept, and only those are explained here",
            reject.payload_bytes
        ));
    }
    server.explaining.explain(in_force, message, note).await
}
