//! What a mapping made of a message beside what an example says of it.

use serde_json::Value as Json;

use crate::config::mapping::{Expected, ExpectedRow};
use crate::explain::{plain, told};
use crate::mapping::{Explanation, MappingExplained, Verdict};
use crate::message::Time;
use crate::row::{Ignored, Outcome, Row, TimeSource, Value};
use crate::schema::Schema;

/// Rows that are told of one example; more would hide the first.
const MAX_ROWS: usize = 10;
/// Characters of a value that are shown.
const MAX_SHOWN: usize = 200;

/// What one mapping made of a message.
pub(super) enum Found<'a> {
    Rows(Vec<&'a Row>),
    Ignored(&'static str),
    Rejected(&'static str, &'a str),
}

/// What mapping `name` made, of all that became of the message.
pub(super) fn found<'a>(name: &str, explanation: &'a Explanation) -> Found<'a> {
    let verdict = verdict(name, explanation).map(|one| &one.verdict);
    let rejected = |verdict: Option<&'a Verdict>| match verdict {
        Some(Verdict::Rejected { reason, detail }) => Some(Found::Rejected(reason.word(), detail)),
        _ => None,
    };
    match &explanation.mapped.outcome {
        Outcome::Rows { rows, rejects } => {
            let own: Vec<&Row> = rows.iter().filter(|row| *row.mapping == *name).collect();
            if !own.is_empty() {
                return Found::Rows(own);
            }
            let reject = rejects.iter().find(|reject| reject.mapping.as_deref() == Some(name));
            if let Some(reject) = reject {
                return Found::Rejected(reject.reason.word(), &reject.detail);
            }
        }
        Outcome::Rejected(reject) => {
            // What no mapping can read is nobody's.
            if reject.mapping.is_none() {
                return Found::Rejected(reject.reason.word(), &reject.detail);
            }
            if let Some(rejected) = rejected(verdict) {
                return rejected;
            }
        }
        Outcome::Ignored(why @ (Ignored::Status | Ignored::Expired)) => return Found::Ignored(why.word()),
        Outcome::Ignored(_) => {}
    }
    Found::Ignored(match verdict {
        Some(Verdict::Empty(_)) => Ignored::Empty.word(),
        Some(Verdict::Retained) => Ignored::Retained.word(),
        _ => Ignored::Unmapped.word(),
    })
}

fn verdict<'a>(name: &str, explanation: &'a Explanation) -> Option<&'a MappingExplained> {
    explanation.mappings.iter().find(|one| *one.mapping == *name)
}

/// What is not as the example says, line by line: `-` what is wanted, `+` what came. Empty if it passes.
pub(super) fn differences(name: &str, expected: &Expected, explanation: &Explanation, schema: &Schema) -> Vec<String> {
    let found = found(name, explanation);
    let mut lines = match (expected, &found) {
        (Expected::Rows(wanted), Found::Rows(rows)) => {
            rows_differ(wanted, &rows.iter().map(|row| FoundRow::new(row, schema)).collect::<Vec<_>>())
        }
        (Expected::Ignored(None), Found::Ignored(_)) | (Expected::Rejected(None), Found::Rejected(..)) => vec![],
        (Expected::Ignored(Some(word)), Found::Ignored(found)) if word == found => vec![],
        (Expected::Rejected(Some(word)), Found::Rejected(found, _)) if word == found => vec![],
        (wanted, found) => {
            let wanted = match wanted {
                Expected::Rows(rows) => format!("rows ({})", rows.len()),
                Expected::Ignored(reason) => outcome("ignored", *reason),
                Expected::Rejected(reason) => outcome("rejected", *reason),
            };
            let mut lines = vec![format!("- {wanted}")];
            match found {
                Found::Rows(rows) => {
                    lines.push(format!("+ rows ({})", rows.len()));
                    for row in rows.iter().take(MAX_ROWS) {
                        lines.extend(FoundRow::new(row, schema).lines());
                    }
                }
                Found::Ignored(word) => lines.push(format!("+ {}", outcome("ignored", Some(word)))),
                Found::Rejected(word, detail) => {
                    lines.push(format!("+ {}: {}", outcome("rejected", Some(word)), shown(detail)));
                }
            }
            match (found, verdict(name, explanation)) {
                (Found::Ignored(_), Some(one)) => lines.push(format!("mapping {name} {}", told(&one.verdict))),
                (Found::Ignored(_), None) => lines.push(format!("mapping {name} has no topic that matches")),
                _ => {}
            }
            lines
        }
    };
    if !lines.is_empty() {
        let dropped = explanation.mapped.dropped.iter().filter(|dropped| *dropped.mapping == *name);
        lines.extend(dropped.take(MAX_ROWS).map(|dropped| format!("dropped: {}", shown(&dropped.detail))));
    }
    lines
}

fn outcome(word: &str, reason: Option<&str>) -> String {
    reason.map_or_else(|| word.to_owned(), |reason| format!("{word} ({reason})"))
}

/// A row by the names of its columns.
struct FoundRow<'a> {
    measurement: &'a str,
    time: Time,
    time_source: &'static str,
    tags: Vec<(&'a str, &'a str)>,
    fields: Vec<(&'a str, &'a Value)>,
}

impl<'a> FoundRow<'a> {
    fn new(row: &'a Row, schema: &'a Schema) -> Self {
        let measurement = &schema.measurements[row.measurement];
        let tags = measurement.tags.iter().map(String::as_str).zip(row.tags.iter());
        Self {
            measurement: &measurement.name,
            time: row.time,
            time_source: source(row.time_source),
            tags: tags.filter(|(_, value)| !value.is_empty()).collect(),
            fields: row.named(measurement).collect(),
        }
    }

    fn lines(&self) -> Vec<String> {
        let nothing = ExpectedRow {
            place: crate::fault::Place::Default,
            measurement: None,
            time: None,
            time_source: None,
            tags: Some(vec![]),
            fields: Some(vec![]),
        };
        row_differs(&nothing, self)
    }
}

/// As `explain --json` says where a time comes from.
pub(super) fn source(source: TimeSource) -> &'static str {
    match source {
        TimeSource::Payload => "payload",
        TimeSource::Receipt | TimeSource::Absent | TimeSource::Outside => "received",
    }
}

/// Each row that is wanted takes one that came; what is left over on either side differs.
fn rows_differ(wanted: &[ExpectedRow], found: &[FoundRow<'_>]) -> Vec<String> {
    let taken = matched(wanted, found);
    let mut missing: Vec<&ExpectedRow> =
        wanted.iter().enumerate().filter(|(index, _)| !taken.contains(&Some(*index))).map(|(_, row)| row).collect();
    let mut more: Vec<&FoundRow<'_>> =
        found.iter().zip(&taken).filter(|(_, taken)| taken.is_none()).map(|(row, _)| row).collect();
    let (mut lines, mut told) = (vec![], 0);
    // What is likest is the same row with another value.
    while told < MAX_ROWS && !missing.is_empty() && !more.is_empty() {
        let wanted = missing.remove(0);
        let differs = |row: &&FoundRow<'_>| row_differs(wanted, row);
        let Some((index, differences)) =
            more.iter().map(differs).enumerate().min_by_key(|(_, differences)| differences.len())
        else {
            break;
        };
        more.remove(index);
        lines.push(format!("row at {}:", wanted.place));
        lines.extend(differences.into_iter().map(|line| format!("  {line}")));
        told += 1;
    }
    let rest = missing.len() + more.len();
    let room = MAX_ROWS.saturating_sub(told);
    for row in missing.iter().take(room) {
        lines.push(format!("row at {} is missing", row.place));
    }
    for row in more.iter().take(room.saturating_sub(missing.len())) {
        lines.push("a row that is not wanted:".to_owned());
        lines.extend(row.lines().into_iter().map(|line| format!("  {line}")));
    }
    if rest > room {
        lines.push(format!("and {} more rows that differ", rest - room));
    }
    lines
}

/// For each row that came, the wanted one that it is, so that as many as can be find theirs: one that leaves keys out
/// does not take the row that another one needs (Kuhn's algorithm).
fn matched(wanted: &[ExpectedRow], found: &[FoundRow<'_>]) -> Vec<Option<usize>> {
    fn place(
        index: usize,
        wanted: &[ExpectedRow],
        found: &[FoundRow<'_>],
        taken: &mut [Option<usize>],
        tried: &mut [bool],
    ) -> bool {
        for at in 0..found.len() {
            if tried[at] || !row_differs(&wanted[index], &found[at]).is_empty() {
                continue;
            }
            tried[at] = true;
            if taken[at].is_none_or(|other| place(other, wanted, found, taken, tried)) {
                taken[at] = Some(index);
                return true;
            }
        }
        false
    }
    let mut taken = vec![None; found.len()];
    for index in 0..wanted.len() {
        place(index, wanted, found, &mut taken, &mut vec![false; found.len()]);
    }
    taken
}

/// What of `wanted` is not in `found`, key by key.
fn row_differs(wanted: &ExpectedRow, found: &FoundRow<'_>) -> Vec<String> {
    let mut lines = vec![];
    let mut differ = |name: &str, wanted: Option<String>, found: Option<String>| {
        lines.extend(wanted.map(|wanted| format!("- {name} = {}", shown(&wanted))));
        lines.extend(found.map(|found| format!("+ {name} = {}", shown(&found))));
    };
    if let Some(measurement) = wanted.measurement.as_deref().filter(|name| *name != found.measurement) {
        differ("measurement", Some(measurement.to_owned()), Some(found.measurement.to_owned()));
    }
    if let Some(time) = wanted.time.filter(|time| *time != found.time) {
        differ("time", Some(time.to_string()), Some(found.time.to_string()));
    }
    if let Some(source) = wanted.time_source.filter(|source| *source != found.time_source) {
        differ("time_source", Some(source.to_owned()), Some(found.time_source.to_owned()));
    }
    if let Some(tags) = &wanted.tags {
        for (name, value) in tags {
            let came = found.tags.iter().find(|(tag, _)| tag == name).map(|(_, value)| *value);
            if came != Some(value) {
                differ(&format!("tag {name}"), Some(format!("{value:?}")), came.map(|value| format!("{value:?}")));
            }
        }
        for (name, value) in found.tags.iter().filter(|(name, _)| !tags.iter().any(|(tag, _)| tag == name)) {
            differ(&format!("tag {name}"), None, Some(format!("{value:?}")));
        }
    }
    if let Some(fields) = &wanted.fields {
        for (name, value) in fields {
            let came = found.fields.iter().find(|(field, _)| field == name).map(|(_, value)| *value);
            if !came.is_some_and(|came| same(value, came)) {
                differ(name, Some(value.to_string()), came.map(typed));
            }
        }
        for (name, value) in found.fields.iter().filter(|(name, _)| !fields.iter().any(|(field, _)| field == name)) {
            differ(name, None, Some(typed(value)));
        }
    }
    lines
}

/// A value as JSON.
fn typed(value: &Value) -> String {
    match value {
        Value::Float(number) => format!("{number:?}"),
        Value::Int(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Text(text) => Json::String(text.to_string()).to_string(),
        Value::Json(json) => json.to_string(),
        Value::Time(time) => Json::String(time.to_string()).to_string(),
    }
}

/// Whether `found` is what is wanted: numbers by their amount, times as moments, JSON by its value.
fn same(wanted: &Json, found: &Value) -> bool {
    match (wanted, found) {
        (Json::Number(wanted), Value::Float(found)) => wanted.as_f64() == Some(*found),
        #[expect(clippy::cast_precision_loss, reason = "a fraction is compared as what it is")]
        (Json::Number(wanted), Value::Int(found)) => match wanted.as_i64() {
            Some(wanted) => wanted == *found,
            None => wanted.as_f64() == Some(*found as f64),
        },
        (Json::Bool(wanted), Value::Bool(found)) => wanted == found,
        (Json::String(wanted), Value::Text(found)) => **wanted == **found,
        (Json::String(wanted), Value::Time(found)) => {
            wanted.parse::<jiff::Timestamp>().is_ok_and(|wanted| wanted.as_microsecond() == found.0)
        }
        (wanted, Value::Json(found)) => match (serde_json::from_str(found), wanted) {
            // A text may hold JSON, because TOML has no `null`.
            (Ok(found), Json::String(text)) => {
                wanted == &found || serde_json::from_str(text).is_ok_and(|wanted| same_json(&wanted, &found))
            }
            (Ok(found), wanted) => same_json(wanted, &found),
            // A number beyond all floats is JSON, and nothing that can be compared by its amount.
            (Err(_), Json::String(text)) => **text == **found,
            (Err(_), _) => false,
        },
        _ => false,
    }
}

fn same_json(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(one), Json::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same_json(one, other))
        }
        (Json::Object(one), Json::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| same_json(one, other)))
        }
        (one, other) => one == other,
    }
}

/// On one line, and no longer than a line is read.
fn shown(text: &str) -> String {
    let mut short: String = plain(text).chars().take(MAX_SHOWN).collect();
    if text.chars().count() > MAX_SHOWN {
        short.push('…');
    }
    short
}
