//! `amber test --write`: what the mappings make of a message, as examples to paste. Valid TOML 1.0: inline tables on one line.

use std::io::{self, Write};

use super::compare::{self, Found};
use crate::explain::{nearest_topics, plain, told};
use crate::mapping::{Explanation, Mapping, Verdict};
use crate::message::Message;
use crate::row::{Row, TimeSource, Value};

/// Writes an example for each mapping that makes something of `message`; for one that nobody takes, below the first mapping
/// whose topic matches.
pub(super) fn write(message: &Message, mapping: &Mapping, out: &mut impl Write) -> io::Result<()> {
    let explanation = mapping.explain(message);
    let all = || explanation.mappings.iter();
    let takers: Vec<&str> = all()
        .filter(|one| matches!(one.verdict, Verdict::Took { .. } | Verdict::Rejected { .. }))
        .map(|one| &*one.mapping)
        .collect();
    let shown = match (takers.is_empty(), explanation.mappings.first()) {
        (false, _) => takers,
        (true, Some(_)) => {
            let empty = all().find(|one| matches!(one.verdict, Verdict::Empty(_)));
            all()
                .find(|one| empty.is_none_or(|empty| empty.mapping == one.mapping))
                .map(|one| &*one.mapping)
                .into_iter()
                .collect()
        }
        (true, None) => {
            writeln!(out, "# No mapping has a topic that matches {}", plain(&message.topic))?;
            for (name, template) in nearest_topics(&message.topic, mapping) {
                writeln!(out, "#   nearest: {} {}", plain(name), plain(template))?;
            }
            return Ok(());
        }
    };
    for (index, name) in shown.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        example(name, message, &explanation, mapping, out)?;
    }
    Ok(())
}

fn example(
    name: &str,
    message: &Message,
    explanation: &Explanation,
    mapping: &Mapping,
    out: &mut impl Write,
) -> io::Result<()> {
    let found = compare::found(name, explanation);
    if let Some(one) = explanation.mappings.iter().find(|one| *one.mapping == *name)
        && !matches!(found, Found::Rows(_))
    {
        writeln!(out, "# mapping {} {}", plain(name), told(&one.verdict))?;
    }
    if let Found::Rejected(_, detail) = &found {
        writeln!(out, "# {}", plain(detail))?;
    }
    writeln!(out, "[[mapping.{}.example]]", key(name))?;
    writeln!(out, "topic = {}", string(&message.topic))?;
    match std::str::from_utf8(&message.payload) {
        Ok(text) => writeln!(out, "payload = {}", string(text))?,
        Err(_) => writeln!(out, "payload_base64 = \"{}\"", data_encoding::BASE64.encode(&message.payload))?,
    }
    if message.retain {
        writeln!(out, "retain = true")?;
    }
    writeln!(out, "received_at = \"{}\"", message.received_at)?;
    match found {
        Found::Rows(rows) => {
            writeln!(out, "rows = [")?;
            for found in rows {
                writeln!(out, "  {},", row(name, found, mapping))?;
            }
            writeln!(out, "]")
        }
        Found::Ignored(reason) => writeln!(out, "outcome = \"ignored\"\nreason = \"{reason}\""),
        Found::Rejected(reason, _) => writeln!(out, "outcome = \"rejected\"\nreason = \"{reason}\""),
    }
}

/// A row as an inline table. What follows from the example itself is left out.
fn row(name: &str, row: &Row, mapping: &Mapping) -> String {
    let measurement = &mapping.schema().measurements[row.measurement];
    let mut parts = vec![];
    if measurement.name != name {
        parts.push(format!("measurement = {}", string(&measurement.name)));
    }
    match row.time_source {
        TimeSource::Payload => parts.push(format!("time = \"{}\"", row.time)),
        source => parts.push(format!("time_source = \"{}\"", compare::source(source))),
    }
    let tags = measurement.tags.iter().zip(row.tags.iter()).filter(|(_, value)| !value.is_empty());
    let tags: Vec<String> = tags.map(|(name, value)| format!("{} = {}", key(name), one_line(value))).collect();
    parts.push(format!("tags = {}", table(&tags)));
    let fields = row.named(measurement);
    let fields: Vec<String> = fields.map(|(name, value)| format!("{} = {}", key(name), typed(value))).collect();
    parts.push(format!("fields = {}", table(&fields)));
    format!("{{ {} }}", parts.join(", "))
}

fn table(entries: &[String]) -> String {
    if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
}

fn typed(value: &Value) -> String {
    match value {
        Value::Float(number) => format!("{number:?}"),
        Value::Int(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Text(text) => one_line(text),
        // As a text: TOML has no `null`.
        Value::Json(json) => one_line(json),
        Value::Time(time) => format!("\"{time}\""),
    }
}

fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { name.to_owned() } else { escaped(name) }
}

/// A text as it is read best: several lines as several lines.
fn string(text: &str) -> String {
    let is_plain = |c: char| matches!(c, '\n' | '\t') || !c.is_control();
    if text.contains('\n') && text.chars().all(is_plain) && !text.contains("'''") && !text.ends_with('\'') {
        return format!("'''\n{text}'''");
    }
    one_line(text)
}

/// A text on one line; to the letter where that spares escapes.
fn one_line(text: &str) -> String {
    let literal = text.contains(['"', '\\']) && !text.contains('\'') && !text.contains(char::is_control);
    if literal { format!("'{text}'") } else { escaped(text) }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => escaped.extend(['\\', character]),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            character if character.is_control() => escaped.push_str(&format!("\\u{:04X}", u32::from(character))),
            character => escaped.push(character),
        }
    }
    escaped.push('"');
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(written: &str) -> String {
        let table: toml::Table = toml::from_str(&format!("a = {written}\n")).unwrap();
        table["a"].as_str().unwrap().to_owned()
    }

    #[test]
    fn texts_are_written_as_they_are_read_best() {
        for (text, written) in [
            ("bath", "\"bath\""),
            (r#"{"a":1}"#, r#"'{"a":1}'"#),
            (r#"{"a":"it's"}"#, r#""{\"a\":\"it's\"}""#),
            ("{\n}", "'''\n{\n}'''"),
            ("a\r\nb", r#""a\r\nb""#),
            ("a\n'", r#""a\n'""#),
            ("\u{7f}\0", r#""\u007F\u0000""#),
        ] {
            assert_eq!(string(text), written);
        }
    }

    proptest! {
        #[test]
        fn every_text_is_read_back(text in any::<String>(), lines in "[a'\n\r\t\"\\\\\u{0}]{0,12}") {
            prop_assert_eq!(read(&string(&text)), &*text);
            prop_assert_eq!(read(&string(&lines)), &*lines);
            prop_assert_eq!(read(&one_line(&lines)), &*lines);
            let keyed: toml::Table = toml::from_str(&format!("{} = 1\n", key(&lines))).unwrap();
            prop_assert!(keyed.contains_key(&lines));
        }
    }
}
