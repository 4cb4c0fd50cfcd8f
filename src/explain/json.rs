//! `explain --json`: one object a line. Tags that are empty and fields that are absent are left out.

use std::io::{self, Write};

use serde::Serialize;
use serde::ser::{Error as _, SerializeMap as _, SerializeStruct as _, Serializer};
use serde_json::value::RawValue;

use crate::fault::Place;
use crate::mapping::{Apart, Explanation, MappingExplained, Verdict};
use crate::row::{Dropped, Mapped, Outcome, Reject, Row, TimeSource, Value};
use crate::schema::{Measurement, Schema};

/// Writes the outcome as one line; `apart` are mappings whose topics differ, if they are asked for.
///
/// # Errors
/// Those of `out`.
pub fn write(
    explanation: &Explanation,
    apart: Option<&[Apart]>,
    schema: &Schema,
    out: &mut impl Write,
) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Line { explanation, mapped: &explanation.mapped, apart, schema })?;
    writeln!(out)
}

struct Line<'a> {
    explanation: &'a Explanation,
    mapped: &'a Mapped,
    /// With `--all`.
    apart: Option<&'a [Apart]>,
    schema: &'a Schema,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (word, rows, rejects): (_, &[Row], &[Reject]) = match &self.mapped.outcome {
            Outcome::Rows { rows, rejects } => ("rows", rows, rejects),
            Outcome::Ignored(_) => ("ignored", &[], &[]),
            Outcome::Rejected(_) => ("rejected", &[], &[]),
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("outcome", word)?;
        let rows = rows.iter().map(|row| ShownRow { row, measurement: &self.schema.measurements[row.measurement] });
        map.serialize_entry("rows", &rows.collect::<Vec<_>>())?;
        match &self.mapped.outcome {
            Outcome::Rows { .. } if rejects.is_empty() => {}
            Outcome::Rows { .. } => {
                map.serialize_entry(
                    "rejects",
                    &rejects.iter().map(|reject| ShownReject(reject, self.explanation)).collect::<Vec<_>>(),
                )?;
            }
            Outcome::Ignored(why) => map.serialize_entry("ignored", why.word())?,
            Outcome::Rejected(reject) => map.serialize_entry("reject", &ShownReject(reject, self.explanation))?,
        }
        if !self.mapped.expired.is_empty() {
            let expired = self.mapped.expired.iter();
            let expired = expired.map(|(measurement, rows)| ShownExpired {
                measurement: &self.schema.measurements[*measurement].name,
                rows: *rows,
            });
            map.serialize_entry("expired", &expired.collect::<Vec<_>>())?;
        }
        map.serialize_entry(
            "dropped",
            &self.mapped.dropped.iter().map(|dropped| ShownDropped(dropped, self.explanation)).collect::<Vec<_>>(),
        )?;
        if let Some(apart) = self.apart {
            let taken = self.explanation.mappings.iter().map(Considered::from);
            map.serialize_entry("mappings", &taken.chain(apart.iter().map(Considered::from)).collect::<Vec<_>>())?;
        }
        map.end()
    }
}

/// Rows that are older than the retention of their measurement.
#[derive(Serialize)]
struct ShownExpired<'a> {
    measurement: &'a str,
    rows: u64,
}

struct ShownRow<'a> {
    row: &'a Row,
    measurement: &'a Measurement,
}

impl Serialize for ShownRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { row, measurement } = self;
        let mut map = serializer.serialize_struct("row", 6)?;
        map.serialize_field("mapping", &*row.mapping)?;
        map.serialize_field("measurement", &measurement.name)?;
        map.serialize_field("time", &row.time.to_string())?;
        let source = match row.time_source {
            TimeSource::Payload => "payload",
            TimeSource::Receipt | TimeSource::Absent | TimeSource::Outside => "received",
        };
        map.serialize_field("time_source", source)?;
        let tags = measurement.tags.iter().zip(row.tags.iter()).filter(|(_, value)| !value.is_empty());
        map.serialize_field("tags", &Ordered(tags.map(|(name, value)| (&**name, value)).collect()))?;
        let fields = row.named(measurement).map(|(name, value)| (name, ShownValue(value)));
        map.serialize_field("fields", &Ordered(fields.collect()))?;
        map.end()
    }
}

/// A map in the order of the columns.
struct Ordered<'a, V>(Vec<(&'a str, V)>);

impl<V: Serialize> Serialize for Ordered<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

struct ShownValue<'a>(&'a Value);

impl Serialize for ShownValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Float(number) => serializer.serialize_f64(*number),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Json(json) => {
                RawValue::from_string(on_one_line(json)).map_err(S::Error::custom)?.serialize(serializer)
            }
            Value::Time(time) => serializer.serialize_str(&time.to_string()),
        }
    }
}

struct ShownReject<'a>(&'a Reject, &'a Explanation);

impl Serialize for ShownReject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let source = self.0.mapping.as_deref().and_then(|mapping| self.1.source(mapping, &self.0.detail));
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("mapping", &self.0.mapping.as_deref())?;
        map.serialize_entry("reason", self.0.reason.word())?;
        map.serialize_entry("detail", &self.0.detail)?;
        located(source, &mut map)?;
        map.end()
    }
}

struct ShownDropped<'a>(&'a Dropped, &'a Explanation);

impl Serialize for ShownDropped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let source = self.1.source(&self.0.mapping, &self.0.detail);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("mapping", &*self.0.mapping)?;
        map.serialize_entry("field", &*self.0.field)?;
        map.serialize_entry("detail", &self.0.detail)?;
        located(source, &mut map)?;
        map.end()
    }
}

/// Where it stands: `place` in the configuration, `path` in the payload.
fn located<M: serde::ser::SerializeMap>(source: Option<(&Place, Option<&str>)>, map: &mut M) -> Result<(), M::Error> {
    let Some((place, path)) = source else { return Ok(()) };
    map.serialize_entry("place", &place.to_string())?;
    path.map_or(Ok(()), |path| map.serialize_entry("path", path))
}

/// One mapping and what it had to do with the message, for `--all`.
#[derive(Serialize)]
struct Considered<'a> {
    mapping: &'a str,
    place: String,
    topic: &'a str,
    verdict: &'static str,
    detail: String,
}

impl<'a> From<&'a MappingExplained> for Considered<'a> {
    fn from(one: &'a MappingExplained) -> Self {
        let verdict = match one.verdict {
            Verdict::Took { .. } => "rows",
            Verdict::Rejected { .. } => "rejected",
            Verdict::Empty(_) => "empty",
            Verdict::Unmet(_) => "when",
            Verdict::Excepted => "except",
            Verdict::Retained => "retained",
            Verdict::NotNeeded => "fallback",
        };
        let mut detail = match &one.verdict {
            Verdict::Rejected { detail, .. } => detail.clone(),
            verdict => super::text::told(verdict),
        };
        for hint in &one.hints {
            detail.push_str("; ");
            detail.push_str(hint);
        }
        Self { mapping: &one.mapping, place: one.place.to_string(), topic: &one.topic, verdict, detail }
    }
}

impl<'a> From<&'a Apart> for Considered<'a> {
    fn from(one: &'a Apart) -> Self {
        let (place, detail) = (one.place.to_string(), one.detail.clone());
        Self { mapping: &one.mapping, place, topic: &one.topic, verdict: "topic", detail }
    }
}

/// JSON without the blanks between its tokens; digits and the order of keys stay.
fn on_one_line(json: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    json.chars()
        .filter(|character| {
            match character {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                _ => {}
            }
            quoted || !character.is_ascii_whitespace()
        })
        .collect()
}
