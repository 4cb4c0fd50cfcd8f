//! `explain --json`: one object a line. Tags that are empty and fields that are absent are left out.

use std::io::{self, Write};

use serde::Serialize;
use serde::ser::{Error as _, SerializeMap as _, SerializeStruct as _, Serializer};
use serde_json::value::RawValue;

use crate::row::{Dropped, Mapped, Outcome, Reject, Row, TimeSource, Value};
use crate::schema::{Measurement, Schema};

/// Writes the outcome as one line.
pub(super) fn write(mapped: &Mapped, schema: &Schema, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Line { mapped, schema })?;
    writeln!(out)
}

struct Line<'a> {
    mapped: &'a Mapped,
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
                map.serialize_entry("rejects", &rejects.iter().map(ShownReject).collect::<Vec<_>>())?;
            }
            Outcome::Ignored(why) => map.serialize_entry("ignored", why.word())?,
            Outcome::Rejected(reject) => map.serialize_entry("reject", &ShownReject(reject))?,
        }
        map.serialize_entry("dropped", &self.mapped.dropped.iter().map(ShownDropped).collect::<Vec<_>>())?;
        map.end()
    }
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

struct ShownReject<'a>(&'a Reject);

impl Serialize for ShownReject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_struct("reject", 3)?;
        map.serialize_field("mapping", &self.0.mapping.as_deref())?;
        map.serialize_field("reason", self.0.reason.word())?;
        map.serialize_field("detail", &self.0.detail)?;
        map.end()
    }
}

struct ShownDropped<'a>(&'a Dropped);

impl Serialize for ShownDropped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_struct("dropped", 3)?;
        map.serialize_field("mapping", &*self.0.mapping)?;
        map.serialize_field("field", &*self.0.field)?;
        map.serialize_field("detail", &self.0.detail)?;
        map.end()
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
