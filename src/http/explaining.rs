//! `POST /api/explain`: what `amber explain` says of a message, by the mapping that is in force.
//!
//! The mapping that runs belongs to the pipeline, which nothing here may hold up; another one is compiled of the same
//! configuration when somebody asks, and kept until that changes. Explaining takes the time that the payload takes, so it is
//! done beside the runtime's own threads, one at a time.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Server;
use super::api::{Answer, Fault, Json};
use crate::explain::{limited, message, write_json, write_text};
use crate::in_force::InForce;
use crate::mapping::Mapping;
use crate::message::{Message, base64};
use crate::topic;

/// Of a payload as it is sent here, in JSON; longer ones are for `amber explain`.
const MAX_BODY_BYTES: usize = 8 << 20;
/// Of what is told: a person reads no more, and a payload may give ten thousand rows.
const MAX_TEXT_BYTES: usize = 256 << 10;
const MAX_JSON_BYTES: usize = 2 << 20;
/// For a body to come.
const BODY_LIMIT: Duration = Duration::from_secs(10);
/// For those before.
const PATIENCE: Duration = Duration::from_secs(10);

/// The mapping that was asked for last, and the number of what it was compiled of.
type Compiled = Option<(u64, Arc<Mapping>)>;

pub(super) struct Explaining {
    one: Semaphore,
    compiled: Arc<Mutex<Compiled>>,
}

#[derive(serde::Deserialize)]
struct Asked {
    topic: String,
    payload: Option<String>,
    payload_base64: Option<String>,
    #[serde(default)]
    retain: bool,
}

#[derive(Serialize)]
struct Explained {
    /// As `amber explain` prints it.
    text: String,
    /// As `amber explain --json` does; `null` if it is too long to be shown.
    explanation: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// `POST /api/explain`
pub(super) async fn explain(State(server): State<Arc<Server>>, request: Request) -> Answer {
    let body = timeout(BODY_LIMIT, read(request.into_body()));
    let asked = body.await.map_err(|_| Fault::new(StatusCode::REQUEST_TIMEOUT, "the message did not come"))??;
    if let Some(what) = topic::no_name(&asked.topic) {
        return Err(Fault::wrong(format!("{what}; write a topic that a device publishes to")));
    }
    let payload = match (asked.payload, asked.payload_base64) {
        (Some(_), Some(_)) => return Err(Fault::wrong("give `payload` or `payload_base64`, not both")),
        (payload, None) => payload.unwrap_or_default().into_bytes(),
        (None, Some(text)) => base64(&text).ok_or_else(|| Fault::wrong("`payload_base64` is no base64"))?,
    };
    let in_force = Arc::clone(&server.shown.in_force.borrow());
    let message = message(&asked.topic, payload, asked.retain, (server.shown.clock)());
    let message = limited(message, in_force.config.broker.max_payload_bytes);
    server.explaining.explain(in_force, message, None).await
}

async fn read(body: Body) -> Result<Asked, Fault> {
    let too_long = |_| {
        let what = "the message is too long for a page; `amber explain TOPIC @FILE` reads longer ones";
        Fault::new(StatusCode::PAYLOAD_TOO_LARGE, what)
    };
    let body = axum::body::to_bytes(body, MAX_BODY_BYTES).await.map_err(too_long)?;
    let message = "a message is `{\"topic\": \"…\", \"payload\": \"…\"}`, or with `payload_base64`";
    serde_json::from_slice(&body).map_err(|error| Fault::wrong(format!("{message}: {error}")))
}

impl Explaining {
    pub(super) fn new() -> Self {
        Self { one: Semaphore::new(1), compiled: Arc::default() }
    }

    /// Explains `message` by what `in_force` says.
    pub(super) async fn explain(&self, in_force: Arc<InForce>, message: Message, note: Option<String>) -> Answer {
        let busy = "others ask for explanations; try again in a moment";
        let permit = timeout(PATIENCE, self.one.acquire()).await;
        let Ok(Ok(_permit)) = permit else { return Err(Fault::new(StatusCode::SERVICE_UNAVAILABLE, busy)) };
        let compiled = Arc::clone(&self.compiled);
        let explained = tokio::task::spawn_blocking(move || {
            let mapping = mapping(&compiled, &in_force)?;
            Some(Json::of(&told(&mapping, &message, note)))
        });
        let explained = explained.await.ok().flatten();
        explained.ok_or_else(|| Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "the message could not be explained"))
    }
}

/// The mapping of `in_force`, compiled if it is another than was asked for last. Blocks.
fn mapping(compiled: &Mutex<Compiled>, in_force: &InForce) -> Option<Arc<Mapping>> {
    let mut compiled = compiled.lock().expect("compiling does not panic");
    if let Some((number, mapping)) = &*compiled
        && *number == in_force.number
    {
        return Some(Arc::clone(mapping));
    }
    let mapping = Arc::new(Mapping::new(&in_force.config.mappings).0?);
    *compiled = Some((in_force.number, Arc::clone(&mapping)));
    Some(mapping)
}

fn told(mapping: &Mapping, message: &Message, mut note: Option<String>) -> Explained {
    let explanation = mapping.explain(message);
    let mut text = Bounded { bytes: Vec::new(), max: MAX_TEXT_BYTES };
    let is_whole = write_text(message, &explanation, None, mapping, &mut text, false).is_ok();
    let mut text = String::from_utf8_lossy(&text.bytes).into_owned();
    if !is_whole {
        text.push_str("\n… and more: `amber explain` prints all of it\n");
    }
    let mut json = Bounded { bytes: Vec::new(), max: MAX_JSON_BYTES };
    let whole = write_json(&explanation, None, mapping.schema(), &mut json).ok();
    let json = whole.and_then(|()| String::from_utf8(json.bytes).ok());
    let explanation = json.and_then(|json| RawValue::from_string(json.trim_end().to_owned()).ok());
    if explanation.is_none() && note.is_none() {
        note = Some("there is more to it than a page shows; `amber explain --json` prints all of it".to_owned());
    }
    Explained { text, explanation, note }
}

/// Takes bytes up to a limit, and then none.
struct Bounded {
    bytes: Vec<u8>,
    max: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.max.saturating_sub(self.bytes.len());
        if room == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(room);
        self.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Time;

    fn in_force(toml: &str) -> Arc<InForce> {
        let text = format!("[broker]\nurl = 'mqtt://a'\n[store]\nurl = 'sqlite:a.db'\n{toml}");
        let config = crate::config::load_text("config.toml", &text, []).config.unwrap();
        let schema = Mapping::new(&config.mappings).0.unwrap().schema().clone();
        Arc::new(InForce { number: 1, config: Arc::new(config), schema })
    }

    #[tokio::test]
    async fn a_message_is_explained_as_the_command_does_and_the_mapping_compiled_once() {
        let explaining = Explaining::new();
        let in_force = in_force("[mapping.m]\ntopic = 'a/{x}'\nfields = ['v']");
        for payload in ["{\"v\": 1}", "{\"v\": 2}"] {
            let message = message("a/b", payload.into(), false, Time(0));
            let Json(json) = explaining.explain(Arc::clone(&in_force), message, None).await.unwrap();
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(json["explanation"]["rows"][0]["tags"]["x"], "b", "{json}");
            assert!(json["text"].as_str().unwrap().contains("field v = "), "{json}");
        }
        let compiled = explaining.compiled.lock().unwrap();
        assert_eq!(Arc::strong_count(&compiled.as_ref().unwrap().1), 1);
    }

    #[test]
    fn what_gives_thousands_of_rows_is_told_within_bounds() {
        let in_force = in_force("[mapping.m]\ntopic = 'a'\nrows = '[{i}]'\nfields = { v = '.' }");
        let mapping = Mapping::new(&in_force.config.mappings).0.unwrap();
        let payload = format!("[{}1]", "1,".repeat(9_999));
        let told = told(&mapping, &message("a", payload.into(), false, Time(0)), None);
        assert!(told.text.len() < MAX_TEXT_BYTES + 100 && told.text.ends_with("all of it\n"), "{}", told.text.len());
        assert!(told.explanation.is_some() || told.note.is_some());
        assert!(told.explanation.is_none_or(|json| json.get().len() <= MAX_JSON_BYTES));
    }
}
