//! `[[mapping.<name>.example]]`: a message and the rows that are wanted of it, for `amber test`.
//!
//! What a key of a row leaves out is not compared. Values are JSON here, as `explain --json` prints rows; a date of TOML
//! is the text that JSON has for it.

use serde_json::{Map, Number, Value as Json};

use super::reader::{Faults, Section, check_keys};
use super::tree::{Entry, Node, Table, Value};
use super::{MISSING, vocabulary};
use crate::fault::{At, Fault, Place};
use crate::message::{Time, base64};
use crate::row::{Ignored, Reason};
use crate::topic;

/// One example.
#[derive(Clone, Debug)]
pub struct Example {
    /// Where it begins.
    pub place: Place,
    pub topic: At<String>,
    pub payload: Vec<u8>,
    pub retain: bool,
    /// Now, if absent.
    pub received_at: Option<Time>,
    pub expected: Expected,
}

/// What its mapping makes of the message.
#[derive(Clone, Debug)]
pub enum Expected {
    /// At least one, in any order.
    Rows(Vec<ExpectedRow>),
    /// Neither a row nor a reject; of this word, if one is named.
    Ignored(Option<&'static str>),
    Rejected(Option<&'static str>),
}

/// One row; what is `None` is not compared.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedRow {
    pub place: Place,
    pub measurement: Option<String>,
    pub time: Option<Time>,
    /// `payload` or `received`.
    pub time_source: Option<&'static str>,
    pub tags: Option<Vec<(String, String)>>,
    pub fields: Option<Vec<(String, Json)>>,
}

/// Reads the examples of mapping `name`.
pub(super) fn examples(name: &str, section: &Section<'_>, faults: &mut Faults) -> Vec<Example> {
    let Some(node) = section.get("example") else { return vec![] };
    let path = section.path("example");
    let list = match &node.value {
        Value::List(list) if !list.is_empty() => list.as_slice(),
        Value::Table(_) => std::slice::from_ref(node),
        other => {
            let what = match other {
                Value::List(_) => "the list is empty".to_owned(),
                other => format!("must be a list of tables, not {}", other.kind()),
            };
            let remedy = format!("write `[[{path}]]`, and `topic`, `payload` and `rows` below it");
            faults.push(Fault::new(&node.place, path, what, remedy));
            return vec![];
        }
    };
    let mut examples = vec![];
    for node in list {
        match &node.value {
            Value::Table(table) => {
                let section = Section { path: path.clone(), place: node.place.clone(), table };
                examples.extend(example(name, &section, faults));
            }
            other => {
                let what = format!("must be a table, not {}", other.kind());
                faults.push(Fault::new(&node.place, path.as_str(), what, format!("write `[[{path}]]`")));
            }
        }
    }
    examples
}

fn example(name: &str, section: &Section<'_>, faults: &mut Faults) -> Option<Example> {
    check_keys(section, "example", vocabulary::EXAMPLE, faults);
    if section.lacks("topic", vocabulary::EXAMPLE) {
        let remedy = "write the topic that the message is published to";
        faults.push(Fault::new(&section.place, section.path("topic"), MISSING, remedy));
    }
    let topic = section.text("topic", faults).filter(|topic| is_topic(topic, section, faults));
    let payload = payload(section, faults);
    let retain = section.flag("retain", faults).unwrap_or_default();
    let received_at = match section.get("received_at") {
        None => Some(None),
        Some(node) => time(&section.path("received_at"), node, faults).map(Some),
    };
    let expected = expected(name, section, faults);
    Some(Example {
        place: section.place.clone(),
        topic: topic?,
        payload: payload?,
        retain,
        received_at: received_at?,
        expected: expected?,
    })
}

fn is_topic(topic: &At<String>, section: &Section<'_>, faults: &mut Faults) -> bool {
    let Some(what) = topic::no_name(&topic.value) else { return true };
    let remedy = "write a topic that a device publishes to";
    faults.push(Fault::new(&topic.place, section.path("topic"), what, remedy));
    false
}

fn payload(section: &Section<'_>, faults: &mut Faults) -> Option<Vec<u8>> {
    match (section.get("payload"), section.get("payload_base64")) {
        (Some(_), Some(second)) => {
            let what = "the example has both `payload` and `payload_base64`";
            faults.push(Fault::new(&second.place, section.path("payload_base64"), what, "leave one out"));
            None
        }
        // What TOML says in tables and lists is JSON; digits are not kept as they were written, as a text keeps them.
        (Some(node @ Node { value: Value::Table(_) | Value::List(_), .. }), None) => {
            json(&section.path("payload"), node, faults).map(|json| json.to_string().into_bytes())
        }
        (Some(_), None) => section.text("payload", faults).map(|text| text.value.into_bytes()),
        (None, Some(_)) => {
            let text = section.text("payload_base64", faults)?;
            let bytes = base64(&text.value);
            if bytes.is_none() {
                let what = "no base64 (RFC 4648)";
                faults.push(Fault::new(
                    &text.place,
                    section.path("payload_base64"),
                    what,
                    "`base64 -w0 FILE` writes it",
                ));
            }
            bytes
        }
        (None, None) => {
            if section.lacks("payload", vocabulary::EXAMPLE) && section.lacks("payload_base64", vocabulary::EXAMPLE) {
                let remedy = "write `payload = '…'`; `''` is an empty one";
                faults.push(Fault::new(&section.place, section.path("payload"), MISSING, remedy));
            }
            None
        }
    }
}

/// A moment: a date of TOML, or RFC 3339.
fn time(path: &str, node: &Node, faults: &mut Faults) -> Option<Time> {
    let text = match &node.value {
        Value::Moment(text) => text.clone(),
        _ => super::reader::text(path, node, faults)?.value,
    };
    let time = text.parse::<jiff::Timestamp>().map(|timestamp| Time(timestamp.as_microsecond())).ok();
    if time.is_none() {
        let what = "no time with a zone";
        faults.push(Fault::new(&node.place, path, what, "write it as in `2024-01-01T00:00:00Z`"));
    }
    time
}

fn expected(name: &str, section: &Section<'_>, faults: &mut Faults) -> Option<Expected> {
    let outcomes = [("ignored", false), ("rejected", true)];
    let outcome = section.choice("outcome", &outcomes, faults);
    match (section.get("rows"), section.get("outcome")) {
        (Some(_), Some(second)) => {
            let what = "the example has both `rows` and `outcome`";
            faults.push(Fault::new(
                &second.place,
                section.path("outcome"),
                what,
                "leave one out: rows are the outcome",
            ));
            return None;
        }
        (None, None) => {
            if section.lacks("rows", vocabulary::EXAMPLE) && section.lacks("outcome", vocabulary::EXAMPLE) {
                let what = "neither `rows` nor `outcome` says what is wanted";
                let remedy = "write `rows = [{ fields = { … } }]`, or `outcome = \"ignored\"`; \
                              `amber test --write TOPIC PAYLOAD` prints what the mapping makes of it";
                faults.push(Fault::new(&section.place, section.path("rows"), what, remedy));
            }
            return None;
        }
        _ => {}
    }
    if let Some(rows) = section.get("rows") {
        if let Some(reason) = section.get("reason") {
            let what = "a reason belongs to `outcome = \"ignored\"` or `\"rejected\"`";
            faults.push(Fault::new(&reason.place, section.path("reason"), what, "leave it out"));
        }
        return self::rows(name, section, rows, faults);
    }
    let rejected = outcome?.value;
    let words: Vec<(&str, &'static str)> = if rejected {
        Reason::ALL.iter().map(|reason| (reason.word(), reason.word())).collect()
    } else {
        Ignored::ALL.iter().map(|why| (why.word(), why.word())).collect()
    };
    let reason = match section.get("reason") {
        None => None,
        Some(_) => Some(section.choice("reason", &words, faults)?.value),
    };
    Some(if rejected { Expected::Rejected(reason) } else { Expected::Ignored(reason) })
}

fn rows(name: &str, section: &Section<'_>, node: &Node, faults: &mut Faults) -> Option<Expected> {
    let path = section.path("rows");
    let list = match &node.value {
        Value::List(list) if list.is_empty() => {
            let remedy = "write `outcome = \"ignored\"` or `\"rejected\"` where none are wanted";
            faults.push(Fault::new(&node.place, path, "the list is empty", remedy));
            return None;
        }
        Value::List(list) => list,
        other => {
            let what = format!("must be a list of tables, not {}", other.kind());
            faults.push(Fault::new(&node.place, path, what, "write `rows = [{ tags = { … }, fields = { … } }]`"));
            return None;
        }
    };
    let mut rows = Vec::with_capacity(list.len());
    for (index, node) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Value::Table(table) = &node.value else {
            let what = format!("must be a table, not {}", node.value.kind());
            faults.push(Fault::new(&node.place, path, what, "write `{ tags = { … }, fields = { … } }`"));
            continue;
        };
        let row = Section { path, place: node.place.clone(), table };
        rows.extend(expected_row(name, &row, faults));
    }
    (rows.len() == list.len()).then_some(Expected::Rows(rows))
}

fn expected_row(name: &str, row: &Section<'_>, faults: &mut Faults) -> Option<ExpectedRow> {
    check_keys(row, "example", vocabulary::EXAMPLE_ROW, faults);
    if let Some(mapping) = row.text("mapping", faults)
        && mapping.value != name
    {
        let what = format!("the rows of an example are those of its mapping, `{name}`");
        let remedy = "write the example below the other mapping, or leave `mapping` out";
        faults.push(Fault::new(&mapping.place, row.path("mapping"), what, remedy));
        return None;
    }
    let time = match row.get("time") {
        None => None,
        Some(node) => Some(time(&row.path("time"), node, faults)?),
    };
    Some(ExpectedRow {
        place: row.place.clone(),
        measurement: row.text("measurement", faults).map(|at| at.value),
        time,
        time_source: row
            .choice("time_source", &[("payload", "payload"), ("received", "received")], faults)
            .map(|at| at.value),
        tags: match row.get("tags") {
            None => None,
            Some(node) => Some(tags(&row.path("tags"), node, faults)?),
        },
        fields: match row.get("fields") {
            None => None,
            Some(node) => Some(fields(&row.path("fields"), node, faults)?),
        },
    })
}

/// The table at `node`, or a fault.
fn table<'t>(path: &str, node: &'t Node, faults: &mut Faults) -> Option<&'t Table> {
    if let Value::Table(table) = &node.value {
        return Some(table);
    }
    let what = format!("must be a table, not {}", node.value.kind());
    faults.push(Fault::new(&node.place, path, what, "write `{ name = value, … }`"));
    None
}

/// Tags without a value are left out of rows, so they are here.
fn tags(path: &str, node: &Node, faults: &mut Faults) -> Option<Vec<(String, String)>> {
    let mut tags = vec![];
    for Entry { key, node } in &table(path, node, faults)?.entries {
        let path = format!("{path}.{}", super::reader::quoted(&key.value));
        let text = super::reader::text(&path, node, faults)?.value;
        if !text.is_empty() {
            tags.push((key.value.clone(), text));
        }
    }
    Some(tags)
}

fn fields(path: &str, node: &Node, faults: &mut Faults) -> Option<Vec<(String, Json)>> {
    let mut fields = vec![];
    for Entry { key, node } in &table(path, node, faults)?.entries {
        let path = format!("{path}.{}", super::reader::quoted(&key.value));
        fields.push((key.value.clone(), json(&path, node, faults)?));
    }
    Some(fields)
}

/// What TOML says, as JSON.
fn json(path: &str, node: &Node, faults: &mut Faults) -> Option<Json> {
    Some(match &node.value {
        Value::Text(text) | Value::Moment(text) => Json::String(text.clone()),
        Value::Int(int) => Json::Number((*int).into()),
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Float(float) => match Number::from_f64(*float) {
            Some(number) => Json::Number(number),
            None => {
                faults.push(Fault::new(&node.place, path, "must be a finite number: no store sums up others", ""));
                return None;
            }
        },
        Value::List(list) => Json::Array(list.iter().map(|node| json(path, node, faults)).collect::<Option<_>>()?),
        Value::Table(table) => {
            let member = |Entry { key, node }: &Entry| Some((key.value.clone(), json(path, node, faults)?));
            Json::Object(table.entries.iter().map(member).collect::<Option<Map<_, _>>>()?)
        }
    })
}
