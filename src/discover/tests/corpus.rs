//! How much of what the hand-written expectations of the corpus ask for a proposal gives, ready files left aside.
//!
//! A message counts as met if the proposed mapping gives at least half of the fields that are expected of it, and no wrong
//! one. A field is given if the rows have its value, under its name or another: numbers equal to a billionth, truth
//! values, texts, moments. Wrong is a field that bears the name of an expected one and no value that is expected under
//! it, and the time of a payload that is missed by more than a second. Zones of local times cannot be known: the
//! proposal is given that of the ready file, as a user would write it.

use std::collections::BTreeMap;

use super::{RECEIVED_AT, proposed, sample};
use crate::mapping::Mapping;
use crate::message::{Message, Time};
use crate::row::{Outcome, TimeSource, Value};

#[derive(serde::Deserialize)]
struct Case {
    topic: String,
    payload: String,
    #[serde(default)]
    retain: bool,
    received_at: Option<String>,
    expect: Vec<String>,
}

impl Case {
    fn message(&self) -> Message {
        let received_at = self.received_at.as_ref().map_or(RECEIVED_AT, |text| micros(text));
        Message { retain: self.retain, received_at, ..super::message(&self.topic, &self.payload) }
    }

    /// The rows that are expected of it.
    fn rows(&self) -> Vec<Expected> {
        let is_row = |line: &&String| {
            !line.starts_with("ignored ") && !line.starts_with("rejected ") && !line.starts_with(['!', '-'])
        };
        self.expect.iter().filter(is_row).map(|line| expected(line)).collect()
    }
}

fn micros(text: &str) -> Time {
    Time(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
}

#[derive(Debug)]
struct Expected {
    fields: Vec<(String, Value)>,
    time: Option<Time>,
}

/// Reads `measurement tag=… | field=… @ time`.
fn expected(line: &str) -> Expected {
    let (_, fields) = line.split_once(" | ").unwrap();
    let mut rest = fields;
    let mut expected = Expected { fields: Vec::new(), time: None };
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix("@ ") {
            expected.time = time.parse::<jiff::Timestamp>().ok().map(|time| Time(time.as_microsecond()));
            break;
        }
        let (name, after) = rest.split_once('=').unwrap();
        let (value, after) = value(after);
        expected.fields.push((name.to_owned(), value));
        rest = after.trim_start();
    }
    expected
}

/// The value at the start of `text`, and what is behind it.
fn value(text: &str) -> (Value, &str) {
    if text.starts_with(['"', '[', '{']) {
        let mut stream = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
        let json = stream.next().unwrap().unwrap();
        let rest = &text[stream.byte_offset()..];
        return match json {
            serde_json::Value::String(text) => (Value::Text(text.into()), rest),
            json => (Value::Json(json.to_string().into()), rest),
        };
    }
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let value = match word {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        word => word.parse().map(Value::Float).unwrap_or_else(|_| Value::Time(micros(word))),
    };
    (value, rest)
}

/// Whether what was proposed says what was expected.
fn same(proposed: &Value, expected: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Float(number) => Some(*number),
        #[expect(clippy::cast_precision_loss, reason = "numbers of the corpus are small")]
        Value::Int(number) => Some(*number as f64),
        _ => None,
    };
    match (proposed, expected) {
        (Value::Json(one), Value::Json(other)) => {
            let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            read(one) == read(other)
        }
        _ => match (number(proposed), number(expected)) {
            (Some(one), Some(other)) => (one - other).abs() <= 1e-9 * one.abs().max(other.abs()),
            _ => proposed == expected,
        },
    }
}

fn cases(ecosystem: &str) -> Vec<Case> {
    let path = format!("{}/tests/corpus/{ecosystem}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ecosystems() -> Vec<String> {
    let files = std::fs::read_dir(format!("{}/tests/corpus", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let mut names: Vec<String> =
        files.filter_map(|file| Some(file.unwrap().file_name().to_str()?.strip_suffix(".jsonl")?.to_owned())).collect();
    names.sort();
    names
}

/// The zone that the ready file of an ecosystem states.
fn zone(ecosystem: &str) -> Option<String> {
    let path = format!("{}/mappings/{ecosystem}.toml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.trim_start().starts_with("zone"))?;
    Some(line.split('"').nth(1)?.to_owned())
}

/// Why a message is not met; `None` if it is.
fn missed(mapping: &Mapping, case: &Case) -> Option<String> {
    let expected = case.rows();
    let outcome = mapping.map(&case.message()).outcome;
    let Outcome::Rows { rows, .. } = outcome else { return Some(format!("no row: {outcome:?}")) };
    let mut given: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for row in &rows {
        for (name, value) in row.named(&mapping.schema().measurements[row.measurement]) {
            given.entry(name).or_default().push(value);
        }
    }
    let fields: Vec<&(String, Value)> = expected.iter().flat_map(|row| &row.fields).collect();
    let has = |wanted: &Value| given.values().flatten().any(|value| same(value, wanted));
    let met = fields.iter().filter(|(_, value)| has(value)).count();
    let mut wrong = Vec::new();
    for (name, values) in &given {
        let wanted: Vec<&Value> = fields.iter().filter(|(wanted, _)| wanted == name).map(|(_, value)| value).collect();
        let is_wrong = |value: &&&Value| !wanted.is_empty() && !wanted.iter().any(|wanted| same(value, wanted));
        wrong.extend(values.iter().filter(is_wrong).map(|value| format!("{name} is {value:?} and not {wanted:?}")));
    }
    for row in expected.iter().filter(|row| row.time.is_some()) {
        // Of the proposed rows those are asked that say something of the expected one.
        let says = |proposed: &&crate::row::Row| {
            let named = proposed.named(&mapping.schema().measurements[proposed.measurement]);
            named.into_iter().any(|(_, value)| row.fields.iter().any(|(_, wanted)| same(value, wanted)))
        };
        let is_near = |proposed: &crate::row::Row| {
            proposed.time_source == TimeSource::Payload
                && row.time.is_some_and(|time| (proposed.time.0 - time.0).abs() <= 1_000_000)
        };
        let saying: Vec<&crate::row::Row> = rows.iter().filter(says).collect();
        if !saying.is_empty() && !saying.into_iter().any(is_near) {
            wrong.push(format!("no row bears the time {:?}", row.time));
        }
    }
    if !wrong.is_empty() {
        return Some(wrong.join("; "));
    }
    (met * 2 < fields.len()).then(|| format!("{met} of {} fields: {given:?}", fields.len()))
}

/// Of each ecosystem the messages that are met, and all; and why the others are not.
#[derive(Default)]
struct Rate {
    met: usize,
    all: usize,
    missed: Vec<String>,
}

impl Rate {
    fn add(&mut self, ecosystem: &str, mapping: &Mapping) {
        for (number, case) in cases(ecosystem).iter().enumerate().filter(|(_, case)| !case.rows().is_empty()) {
            self.all += 1;
            match missed(mapping, case) {
                None => self.met += 1,
                Some(why) => self.missed.push(format!("{ecosystem}:{} {}: {why}", number + 1, case.topic)),
            }
        }
    }
}

#[test]
fn of_nine_in_ten_messages_half_of_the_fields_are_given_and_none_is_wrong_each_ecosystem_by_itself() {
    let mut total = Rate::default();
    for ecosystem in ecosystems() {
        let messages: Vec<Message> = cases(&ecosystem).iter().map(Case::message).collect();
        let (Some(mapping), text) = proposed(&sample(&messages), zone(&ecosystem).as_deref()) else { continue };
        let mut rate = Rate::default();
        rate.add(&ecosystem, &mapping);
        println!("{ecosystem}: {} of {}", rate.met, rate.all);
        if std::env::var_os("AMBER_PROPOSALS").is_some() {
            println!("{text}");
        }
        total.met += rate.met;
        total.all += rate.all;
        total.missed.extend(rate.missed);
    }
    println!("{}\ntotal: {} of {}", total.missed.join("\n"), total.met, total.all);
    assert_eq!(total.all, 191);
    assert!(total.met * 10 >= total.all * 9, "{} of {}", total.met, total.all);
}

#[test]
fn of_nine_in_ten_messages_half_of_the_fields_are_given_and_none_is_wrong_all_ecosystems_together() {
    let all: Vec<Case> = ecosystems().iter().flat_map(|ecosystem| cases(ecosystem)).collect();
    let messages: Vec<Message> = all.iter().map(Case::message).collect();
    let sample = sample(&messages);
    let mut total = Rate::default();
    // Each is read with its own zone, as each device's mapping would be given its own.
    let mut by_zone: BTreeMap<Option<String>, (Mapping, String)> = BTreeMap::new();
    for ecosystem in ecosystems() {
        let zone = zone(&ecosystem);
        let (mapping, text) = by_zone.entry(zone.clone()).or_insert_with(|| {
            let (mapping, text) = proposed(&sample, zone.as_deref());
            (mapping.expect("mappings"), text)
        });
        let mut rate = Rate::default();
        rate.add(&ecosystem, mapping);
        println!("{ecosystem}: {} of {}", rate.met, rate.all);
        if ecosystem == "tasmota" && std::env::var_os("AMBER_PROPOSALS").is_some() {
            println!("{text}");
        }
        total.met += rate.met;
        total.all += rate.all;
        total.missed.extend(rate.missed);
    }
    println!("{}\ntotal: {} of {}", total.missed.join("\n"), total.met, total.all);
    assert_eq!(total.all, 191);
    assert!(total.met * 10 >= total.all * 9, "{} of {}", total.met, total.all);
}
