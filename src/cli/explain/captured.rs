//! Captured messages: a JSON object a line, payloads as text or base64.

use serde_json::value::RawValue;

use crate::message::{Time, base64};

/// One line.
pub(in crate::cli) struct Captured {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retain: bool,
    pub received_at: Option<Time>,
}

#[derive(serde::Deserialize)]
struct Line<'l> {
    topic: String,
    /// A text; or JSON as it stands, as `mosquitto_sub -F %J` writes it.
    #[serde(borrow)]
    payload: Option<&'l RawValue>,
    payload_base64: Option<String>,
    #[serde(default)]
    retain: Retain,
    received_at: Option<String>,
    /// The same as `mosquitto_sub -F %j` writes it: `2026-01-01T01:00:05.250000+0100`.
    tst: Option<String>,
}

#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(try_from = "serde_json::Value")]
struct Retain(bool);

impl TryFrom<serde_json::Value> for Retain {
    type Error = &'static str;

    fn try_from(value: serde_json::Value) -> Result<Self, Self::Error> {
        match (value.as_bool(), value.as_u64()) {
            (Some(retain), _) => Ok(Self(retain)),
            (None, Some(flag @ 0..=1)) => Ok(Self(flag == 1)),
            _ => Err("`retain` is true or false"),
        }
    }
}

/// Reads one line. Other keys are passed over: captures hold notes.
pub(in crate::cli) fn parse(line: &[u8]) -> Result<Captured, String> {
    let line: Line<'_> = serde_json::from_slice(line)
        .map_err(|error| format!("the line is no message (`{{\"topic\": …, \"payload\": …}}`): {error}"))?;
    let payload = match (line.payload, line.payload_base64) {
        (Some(json), None) if json.get().starts_with('"') => {
            serde_json::from_str::<String>(json.get()).map_err(|error| format!("payload: {error}"))?.into_bytes()
        }
        (Some(json), None) => json.get().as_bytes().to_vec(),
        (None, Some(text)) => base64(&text).ok_or("`payload_base64` is no base64")?,
        (None, None) => return Err("the message has neither `payload` nor `payload_base64`".to_owned()),
        (Some(_), Some(_)) => return Err("the message has both `payload` and `payload_base64`".to_owned()),
    };
    let tst = line.tst.map(|text| text.replace("Z+0000", "Z"));
    let received_at =
        line.received_at.or(tst).map(|text| time(&text).map_err(|why| format!("received_at: {why}"))).transpose()?;
    Ok(Captured { topic: line.topic, payload, retain: line.retain.0, received_at })
}

/// RFC 3339.
pub(in crate::cli) fn time(text: &str) -> Result<Time, String> {
    text.parse::<jiff::Timestamp>()
        .map(|timestamp| Time(timestamp.as_microsecond()))
        .map_err(|_| format!("{text:?} is no time such as `2024-01-01T00:00:00Z`"))
}
