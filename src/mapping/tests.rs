//! Messages beside the rows they become, through the configuration as people write it.

use bytes::Bytes;

use super::*;
use crate::config;
use crate::message::Time;
use crate::row::{TimeSource, Value};

mod absent;
mod cells;
mod corpus;
mod doubts;
mod encoded;
mod explain;
mod faults;
mod formats;
mod inside;
mod others;
mod own;
mod payloads;
mod properties;
mod retention;
mod rows;
mod times;
mod topics;
mod transcoded;
mod values;

/// 2024-01-01T00:00:00Z
const RECEIVED_AT: Time = Time(1_704_067_200_000_000);

/// Loads mappings as `amber` does; the second list is of faults alone, warnings left out.
fn load(toml: &str) -> (Option<Mapping>, Vec<Fault>) {
    let text = format!("[broker]\nurl = \"mqtt://localhost\"\n[store]\nurl = \"sqlite:x.db\"\n{toml}");
    let loaded = config::load_text("config.toml", &text, []);
    let (mapping, faults) = Mapping::new(&loaded.config.expect("the tests write readable files").mappings);
    (mapping, loaded.faults.into_iter().chain(faults).collect())
}

fn mapping(toml: &str) -> Mapping {
    let (mapping, faults) = load(toml);
    let faults: Vec<String> =
        faults.iter().filter(|fault| fault.severity == Severity::Fault).map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{toml}\n{}", faults.join("\n"));
    mapping.expect("no faults")
}

fn message(topic: &str, payload: impl AsRef<[u8]>) -> Message {
    Message {
        topic: topic.into(),
        payload: Bytes::copy_from_slice(payload.as_ref()),
        qos: Qos::AtLeastOnce,
        retain: false,
        received_at: RECEIVED_AT,
        delivery: None,
        malformed: None,
    }
}

/// What becomes of a message, a line a row: `measurement tag=… | field=… @ time`, then `!reason` for rejects and
/// `-field` for dropped ones; `ignored …` or `rejected …: detail` otherwise.
fn lines(mapping: &Mapping, message: &Message) -> Vec<String> {
    let Mapped { outcome, dropped, expired } = mapping.map(message);
    let mut lines = Vec::new();
    match outcome {
        Outcome::Ignored(why) => lines.push(format!("ignored {}", why.word())),
        Outcome::Rejected(reject) => lines.push(format!("rejected {}: {}", reject.reason.word(), reject.detail)),
        Outcome::Rows { rows, rejects } => {
            lines.extend(rows.iter().map(|row| line(mapping, row)));
            lines.extend(rejects.iter().map(|reject| format!("!{}: {}", reject.reason.word(), reject.detail)));
        }
    }
    lines.extend(dropped.iter().map(|dropped| format!("-{}", dropped.field)));
    lines.extend(
        expired
            .iter()
            .map(|(measurement, rows)| format!("expired {}: {rows}", mapping.schema().measurements[*measurement].name)),
    );
    lines
}

fn line(mapping: &Mapping, row: &Row) -> String {
    let measurement = &mapping.schema().measurements[row.measurement];
    assert_eq!(row.fields.len(), measurement.fields.len(), "a row has all fields of its measurement");
    assert!(row.fields.iter().any(Option::is_some) || !row.others.is_empty(), "a row has a value");
    let tags = measurement.tags.iter().zip(row.tags.iter()).filter(|(_, value)| !value.is_empty());
    let tags: Vec<String> = tags.map(|(name, value)| format!("{name}={value}")).collect();
    let fields = measurement.fields.iter().zip(&row.fields);
    let fields = fields.filter_map(|(field, value)| Some(format!("{}={}", field.name, shown(value.as_ref()?))));
    let others = row.others.iter().map(|(name, value)| format!("{name}={}", shown(value)));
    let fields: Vec<String> = fields.chain(others).collect();
    let time = match row.time_source {
        TimeSource::Payload => format!(" @ {}", row.time),
        TimeSource::Receipt => String::new(),
        TimeSource::Absent => " @ absent".to_owned(),
        TimeSource::Outside => " @ outside".to_owned(),
    };
    if row.time_source != TimeSource::Payload {
        assert_eq!(row.time, RECEIVED_AT);
    }
    format!("{} {} | {}{time}", measurement.name, tags.join(" "), fields.join(" ")).replace("  ", " ")
}

fn shown(value: &Value) -> String {
    match value {
        Value::Float(number) => format!("{number:?}"),
        Value::Int(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Text(text) => format!("{text:?}"),
        Value::Json(json) => json.to_string(),
        Value::Time(time) => time.to_string(),
    }
}

/// Asserts a table of messages and their lines. `…` at the end of an expected line stands for any rest.
fn check(toml: &str, cases: &[(&str, &str, &[&str])]) {
    let mapping = mapping(toml);
    for (topic, payload, expected) in cases {
        let message = message(topic, payload);
        let lines = lines(&mapping, &message);
        let equal = lines.len() == expected.len()
            && lines.iter().zip(*expected).all(|(line, expected)| match expected.strip_suffix('…') {
                Some(start) => line.starts_with(start),
                None => line == expected,
            });
        assert!(equal, "{topic} {payload}\n   got {lines:#?}\nwanted {expected:#?}");
        assert_eq!(
            mapping.explain(&message).mapped,
            mapping.map(&message),
            "explain and map agree on {topic} {payload}"
        );
    }
}
