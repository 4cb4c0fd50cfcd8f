//! `explain` for people: the message, who took it and who did not, then the rows or the reason.

use std::io::{self, Write};

use crate::config::written_duration;
use crate::mapping::{Apart, Explanation, Mapping, MappingExplained, Verdict};
use crate::message::Message;
use crate::row::{Ignored, Outcome, Row, TimeSource, Value};
use crate::schema::Measurement;

/// Topics listed where none matches.
const MAX_TOPICS: usize = 3;

/// Escape sequences, or nothing.
#[derive(Clone, Copy)]
struct Style(bool);

impl Style {
    fn paint(self, code: &str, text: impl std::fmt::Display) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_string() }
    }
    fn strong(self, text: impl std::fmt::Display) -> String {
        self.paint("1", text)
    }
    fn faint(self, text: impl std::fmt::Display) -> String {
        self.paint("2", text)
    }
    fn good(self, text: impl std::fmt::Display) -> String {
        self.paint("32", text)
    }
    fn bad(self, text: impl std::fmt::Display) -> String {
        self.paint("31", text)
    }
    fn odd(self, text: impl std::fmt::Display) -> String {
        self.paint("33", text)
    }
}

/// Writes what became of `message`; `apart` are mappings whose topics differ, if they are asked for, and how many more there
/// are.
///
/// # Errors
/// Those of `out`.
pub fn write(
    message: &Message,
    explanation: &Explanation,
    apart: Option<(Vec<Apart>, usize)>,
    mapping: &Mapping,
    out: &mut impl Write,
    colour: bool,
) -> io::Result<()> {
    let style = Style(colour);
    let bytes = match message.payload.len() {
        1 => "1 byte".to_owned(),
        bytes => format!("{bytes} bytes"),
    };
    let retained = if message.retain { ", retained" } else { "" };
    writeln!(out, "{} {}", style.strong(plain(&message.topic)), style.faint(format!("({bytes}{retained})")))?;
    for one in &explanation.mappings {
        explained(one, style, out)?;
    }
    let listed = apart.is_some();
    if let Some((apart, more)) = apart {
        for one in apart {
            let told = style.faint(format!("({}) {}: {}", one.place, one.topic, plain(&one.detail)));
            writeln!(out, "  mapping {} {told}", style.strong(&one.mapping))?;
        }
        if more > 0 {
            writeln!(out, "  {}", style.faint(format!("and {more} more mappings whose topics differ")))?;
        }
    }
    match &explanation.mapped.outcome {
        Outcome::Rows { rows, rejects } => {
            for row in rows {
                shown(row, &mapping.schema().measurements[row.measurement], style, out)?;
            }
            for reject in rejects {
                let name = reject.mapping.as_deref().unwrap_or_default();
                let label = style.bad(format!("rejected ({}, {name})", reject.reason.word()));
                let at = at(reject.mapping.as_deref(), &reject.detail, explanation, style);
                writeln!(out, "  {label} {}{at}", plain(&reject.detail))?;
            }
        }
        Outcome::Ignored(why) => {
            let text = match why {
                Ignored::Unmapped if explanation.mappings.is_empty() => "no mapping has a topic that matches",
                Ignored::Unmapped => "no mapping takes it",
                Ignored::Empty => "nothing in it has a value",
                Ignored::Status => {
                    "an Amber says there whether it runs; a topic that begins with `amber/` would take it"
                }
                Ignored::Retained => "it is retained, and those who would take it skip retained messages",
                Ignored::Expired => "all of its rows are older than the `retention` of their measurement",
            };
            writeln!(out, "  {} {text}", style.odd("ignored:"))?;
            if explanation.mappings.is_empty() && *why != Ignored::Status && !listed {
                nearest(&message.topic, mapping, style, out)?;
            }
        }
        Outcome::Rejected(reject) => {
            let label = style.bad(format!("rejected ({}):", reject.reason.word()));
            let at = at(reject.mapping.as_deref(), &reject.detail, explanation, style);
            writeln!(out, "  {label} {}{at}", plain(&reject.detail))?;
        }
    }
    for (measurement, rows) in &explanation.mapped.expired {
        let measurement = &mapping.schema().measurements[*measurement];
        let retention = measurement.retention.map(written_duration).unwrap_or_default();
        let label = style.odd("expired");
        writeln!(out, "  {label} {}: older than `retention` ({retention}): rows: {rows}", measurement.name)?;
    }
    for dropped in &explanation.mapped.dropped {
        let at = at(Some(&dropped.mapping), &dropped.detail, explanation, style);
        writeln!(out, "  {} {}: {}{at}", style.odd("dropped"), dropped.mapping, plain(&dropped.detail))?;
    }
    Ok(())
}

/// The topics that are most like `topic`, which none of them matches, each with its mapping.
pub fn nearest_topics<'m>(topic: &str, mapping: &'m Mapping) -> impl Iterator<Item = (&'m str, &'m str)> {
    let mut topics: Vec<(usize, &str, &str)> =
        mapping.topics().map(|(name, template)| (strsim::osa_distance(topic, template), name, template)).collect();
    topics.sort_by_key(|(distance, ..)| *distance);
    topics.into_iter().take(MAX_TOPICS).map(|(_, name, template)| (name, template))
}

fn nearest(topic: &str, mapping: &Mapping, style: Style, out: &mut impl Write) -> io::Result<()> {
    for (name, template) in nearest_topics(topic, mapping) {
        writeln!(out, "    {} {} {template}", style.faint("nearest:"), style.faint(name))?;
    }
    Ok(())
}

/// Where in the configuration that stands of which `detail` tells.
fn at(mapping: Option<&str>, detail: &str, explanation: &Explanation, style: Style) -> String {
    let source = mapping.and_then(|mapping| explanation.source(mapping, detail));
    source.map_or_else(String::new, |(place, _)| format!(" {}", style.faint(format!("({place})"))))
}

fn explained(one: &MappingExplained, style: Style, out: &mut impl Write) -> io::Result<()> {
    let told = told(&one.verdict);
    let verdict = match &one.verdict {
        Verdict::Took { rejected: 0, .. } => style.good(told),
        Verdict::Took { .. } | Verdict::Empty(_) => style.odd(told),
        Verdict::Rejected { .. } => style.bad(told),
        Verdict::Unmet(_) | Verdict::Excepted | Verdict::Retained | Verdict::NotNeeded => style.faint(told),
    };
    let captures: Vec<String> = one.captures.iter().map(|(name, text)| format!("{name} = {}", plain(text))).collect();
    let captures = if captures.is_empty() { String::new() } else { format!(" ({})", captures.join(", ")) };
    let topic = style.faint(format!("{}{captures}", one.topic));
    let place = style.faint(format!("({})", one.place));
    writeln!(out, "  mapping {} {place} {topic}: {verdict}", style.strong(&one.mapping))?;
    for hint in &one.hints {
        writeln!(out, "    {} {}", style.odd("hint:"), plain(hint))?;
    }
    Ok(())
}

/// A verdict in words that go on from the mapping's name.
pub fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Took { rows: 1, rejected: 0 } => "1 row".to_owned(),
        Verdict::Took { rows, rejected: 0 } => format!("{rows} rows"),
        Verdict::Took { rows, rejected } => format!("{rows} rows, {rejected} rejected"),
        Verdict::Rejected { reason, .. } => format!("rejects it ({})", reason.word()),
        Verdict::Empty(why) => format!("takes it, and gets nothing: {}", plain(why)),
        Verdict::Unmet(why) => format!("does not take it: {}", plain(why)),
        Verdict::Excepted => "does not take it: `except` names the topic".to_owned(),
        Verdict::Retained => "skips it: the message is retained (`retained = \"store\"` takes those)".to_owned(),
        Verdict::NotNeeded => "is a fallback, and another mapping took it".to_owned(),
    }
}

fn shown(row: &Row, measurement: &Measurement, style: Style, out: &mut impl Write) -> io::Result<()> {
    let source = match row.time_source {
        TimeSource::Payload => "from the payload",
        TimeSource::Receipt => "time of receipt: the mapping names no `time`",
        TimeSource::Absent => "time of receipt: the message has none",
        TimeSource::Outside => "time of receipt: the payload's is not between `not_before` and `not_after`",
    };
    writeln!(out, "  row of {} {} {}", style.strong(&measurement.name), row.time, style.faint(format!("({source})")))?;
    for (name, value) in measurement.tags.iter().zip(row.tags.iter()).filter(|(_, value)| !value.is_empty()) {
        writeln!(out, "    {} {name} = {}", style.faint("tag  "), plain(value))?;
    }
    for (field, value) in measurement.fields.iter().zip(&row.fields) {
        let Some(value) = value else { continue };
        let unit = field.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
        let label = style.faint("field");
        let word = style.faint(field.r#type.word());
        writeln!(out, "    {label} {} = {}{unit} {word}", field.name, style.good(typed(value)))?;
    }
    for (name, value) in &row.others {
        let (label, word) = (style.faint("field"), style.faint(value.r#type().word()));
        writeln!(out, "    {label} {name} = {} {word}", style.good(typed(value)))?;
    }
    Ok(())
}

fn typed(value: &Value) -> String {
    match value {
        Value::Float(number) => format!("{number:?}"),
        Value::Int(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Text(text) => format!("{text:?}"),
        Value::Json(json) => plain(json),
        Value::Time(time) => time.to_string(),
    }
}

/// Text from outside, so that no device writes escape sequences to a terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}
