//! Reads `[mapping.<name>]` into `MappingConfig`: shapes, words and ranges; what the texts mean is checked by `mapping`.
//!
//! A mapping with faults is still given, as far as it could be read, so that both halves report at once.

mod columns;
mod format;

use std::time::Duration;

use super::mapping::{
    Condition, MappingConfig, Others, Outside, Pivot, Redelivery, RetainedPolicy, TagSource, TimeConfig,
};
use super::reader::{self, Faults, Section, check_keys};
use super::tree::{Entry, Node, Table, Value};
use super::{example, settings, vocabulary};
use crate::fault::{At, Fault};
use crate::schema::{Compress, OnDuplicate};

/// Reads one mapping; `defaults` begin with the nearest. `None` if it has no topic or no fields to go on with.
pub(super) fn mapping(
    name: &At<String>,
    table: &Table,
    defaults: &[&Table],
    faults: &mut Faults,
) -> Option<MappingConfig> {
    let merged = defaults.iter().fold(table.clone(), |merged, defaults| join(merged, defaults));
    let path = format!("mapping.{}", reader::quoted(&name.value));
    let section = Section { path, place: name.place.clone(), table: &merged };
    check_keys(&section, "mapping", vocabulary::MAPPING, faults);
    let mut read = read(name, &section, faults);
    for tag in read.tags.iter_mut().filter(|tag| matches!(tag.source, TagSource::Removed)) {
        if defaults.iter().any(|defaults| has_tag(defaults, &tag.name.value)) {
            tag.source = TagSource::Undone;
        }
    }
    check_removed(&read, defaults, &section, faults);
    let mut whole = true;
    for (key, empty, example) in [
        ("topic", read.topic.is_empty(), "`topic = \"home/{room}/climate\"`"),
        ("fields", read.fields.is_empty(), "`fields = [\"temperature\"]`"),
    ] {
        if key == "fields" && read.others != Others::Ignore {
            continue;
        }
        whole &= !empty;
        if section.lacks(key, vocabulary::MAPPING) && !faults.any_syntax() {
            faults.push(Fault::new(&name.place, section.path(key), super::MISSING, format!("write {example}")));
        }
    }
    whole.then_some(read)
}

fn has_tag(defaults: &Table, name: &str) -> bool {
    let Some(Entry { node: Node { value: Value::Table(tags), .. }, .. }) = defaults.get("tags") else { return false };
    tags.get(name).is_some_and(|tag| !matches!(tag.node.value, Value::Bool(false)))
}

/// `x = false` takes away a field of `[defaults]`, or one of the others.
fn check_removed(read: &MappingConfig, defaults: &[&Table], section: &Section<'_>, faults: &mut Faults) {
    if read.others != Others::Ignore {
        return;
    }
    let tables = defaults.iter().filter_map(|defaults| match &defaults.get("fields")?.node.value {
        Value::Table(fields) => Some(fields),
        _ => None,
    });
    let by_default: Vec<&str> =
        tables.flat_map(|fields| &fields.entries).map(|entry| entry.key.value.as_str()).collect();
    for field in read.fields.iter().filter(|field| field.removed && !by_default.contains(&field.name.value.as_str())) {
        let name = &field.name.value;
        let own = read.fields.iter().filter(|field| !field.removed).map(|field| field.name.value.as_str());
        let known: Vec<&str> = by_default.iter().copied().chain(own).collect();
        let remedy = match vocabulary::nearest(name, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "leave it out: without `others` only fields that are named are stored".to_owned(),
        };
        let what = format!("`{name} = false` removes nothing: no field of `[defaults]` has this name");
        faults.push(Fault::new(&field.name.place, section.path("fields"), what, remedy));
    }
}

/// Checks `[defaults]` for itself, so that a fault in it is reported once and under its own name.
pub(super) fn check_defaults(entry: &Entry, faults: &mut Faults) {
    if let Value::Table(table) = &entry.node.value {
        let section = Section { path: "defaults".to_owned(), place: entry.key.place.clone(), table };
        check_keys(&section, "mapping", vocabulary::MAPPING, faults);
        if let Some(example) = table.get("example") {
            let what = "an example stands below the mapping whose rows it shows";
            let remedy = "write `[[mapping.<name>.example]]`";
            faults.push(Fault::new(&example.key.place, section.path("example"), what, remedy));
        }
        read(&At::new(String::new(), entry.key.place.clone()), &section, faults);
    }
}

/// Adds what `own` lacks; tables of tags, of fields and of columns join, own entries first.
fn join(mut own: Table, defaults: &Table) -> Table {
    for entry in defaults.entries.iter().filter(|entry| entry.key.value != "example") {
        let joins = ["tags", "fields", "columns"].contains(&entry.key.value.as_str());
        match own.entries.iter_mut().find(|own| own.key.value == entry.key.value) {
            None => own.entries.push(entry.clone()),
            Some(Entry { node: Node { value: Value::Table(own), .. }, .. }) if joins => {
                if let Value::Table(defaults) = &entry.node.value {
                    let new = |entry: &&Entry| own.get(&entry.key.value).is_none();
                    let new: Vec<Entry> = defaults.entries.iter().filter(new).cloned().collect();
                    own.entries.extend(new);
                }
            }
            Some(_) => {}
        }
    }
    own
}

fn read(name: &At<String>, section: &Section<'_>, faults: &mut Faults) -> MappingConfig {
    let others = [("ignore", Others::Ignore), ("add", Others::Add), ("json", Others::Json)];
    let others = section.choice("others", &others, faults).map_or(Others::default(), |at| at.value);
    let outside = [("received", Outside::Received), ("reject", Outside::Reject)];
    let retained = [("skip", RetainedPolicy::Skip), ("store", RetainedPolicy::Store)];
    let on_duplicate = [OnDuplicate::Keep, OnDuplicate::Ignore, OnDuplicate::Replace].map(|word| (word.word(), word));
    let (rows, inside) = format::rows(section, faults);
    MappingConfig {
        name: name.clone(),
        topic: section.one_or_more("topic", faults),
        except: section.texts("except", faults),
        measurement: section.text("measurement", faults),
        when: when(section, faults),
        fallback: At::new(
            section.flag("fallback", faults).unwrap_or_default(),
            section.get("fallback").map_or(&name.place, |node| &node.place).clone(),
        ),
        format: format::format(section, faults),
        encoding: format::encoding(section, faults),
        rows,
        inside,
        pivot: pivot(section, faults),
        others,
        time: time(section, faults),
        zone: section.text("zone", faults),
        not_before: moment(section, "not_before", faults),
        not_after: section.duration("not_after", (Duration::ZERO, MOST_AHEAD), faults).map(|at| at.value),
        outside: section.choice("outside", &outside, faults).map_or(Outside::default(), |at| at.value),
        tags: columns::tags(section, faults),
        fields: columns::fields(section, others != Others::Ignore, faults),
        missing: columns::missing(section, faults),
        retained: section.choice("retained", &retained, faults).map_or(RetainedPolicy::default(), |at| at.value),
        qos: settings::qos(section, faults),
        redelivery: section
            .choice("redelivery", &[("skip", Redelivery::Skip), ("store", Redelivery::Store)], faults)
            .map_or(Redelivery::default(), |at| at.value),
        max_series: section.whole("max_series", 1..=MOST_SERIES, faults).map(|at| at.map(i64::unsigned_abs)),
        on_duplicate: section.choice("on_duplicate", &on_duplicate, faults),
        retention: section.duration("retention", SHORTEST_AND_LONGEST, faults),
        compress_after: compress_after(section, faults),
        table: section.text("table", faults),
        columns: columns::columns(section, faults),
        example: example::examples(&name.value, section, faults),
    }
}

/// A thousand million: a table that is larger has another design.
const MOST_SERIES: i64 = 1_000_000_000;

/// Of a retention: what is deleted sooner was not worth a table.
const SHORTEST_AND_LONGEST: (Duration, Duration) = (Duration::from_secs(3_600), MOST_AHEAD);

/// A duration, or `false`.
fn compress_after(section: &Section<'_>, faults: &mut Faults) -> Option<At<Compress>> {
    match section.get("compress_after")? {
        Node { value: Value::Bool(false), place } => Some(At::new(Compress::Never, place.clone())),
        _ => Some(section.duration("compress_after", SHORTEST_AND_LONGEST, faults)?.map(Compress::After)),
    }
}

/// A century: what is further ahead is no clock that goes wrong.
const MOST_AHEAD: Duration = Duration::from_secs(36_500 * 86_400);

/// `when = "path"`, or a table of conditions, in which dotted keys are paths.
fn when(section: &Section<'_>, faults: &mut Faults) -> Vec<Condition> {
    let Some(node) = section.get("when") else { return vec![] };
    let mut conditions = vec![];
    match &node.value {
        Value::Text(text) => {
            conditions.push(Condition { key: At::new(text.clone(), node.place.clone()), values: vec![] });
        }
        Value::Table(table) => when_table(&section.path("when"), "", table, &mut conditions, faults),
        other => {
            let what = format!("must be a path or a table, not {}", other.kind());
            let remedy = "write `when = \"path\"`, or `when = { path = [\"one\", \"other\"] }`";
            faults.push(Fault::new(&node.place, section.path("when"), what, remedy));
        }
    }
    conditions
}

fn when_table(path: &str, prefix: &str, table: &Table, conditions: &mut Vec<Condition>, faults: &mut Faults) {
    for Entry { key, node } in &table.entries {
        let path = format!("{path}.{}", reader::quoted(&key.value));
        let name = format!("{prefix}{}", key.value);
        let list = match &node.value {
            // `a.b = 2` is a table in a table to TOML, and a path to people.
            Value::Table(inner) => {
                when_table(&path, &format!("{name}."), inner, conditions, faults);
                continue;
            }
            Value::List(list) if list.is_empty() => {
                let remedy = format!("name values, or write `when = {:?}` for \"is there\"", key.value);
                faults.push(Fault::new(&node.place, path, "the list is empty, so nothing could match", remedy));
                continue;
            }
            Value::List(list) => list.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut values = vec![];
        for node in list {
            match reader::word(node) {
                Some(word) => values.push(word),
                None => {
                    let what = format!("must be a text, a number or a truth value, not {}", node.value.kind());
                    faults.push(Fault::new(&node.place, path.as_str(), what, ""));
                }
            }
        }
        if !values.is_empty() {
            conditions.push(Condition { key: At::new(name, key.place.clone()), values });
        }
    }
}

fn pivot(section: &Section<'_>, faults: &mut Faults) -> Option<At<Pivot>> {
    let node = section.get("pivot")?;
    let path = section.path("pivot");
    match &node.value {
        Value::Text(text) => Some(At::new(Pivot::Capture(text.clone()), node.place.clone())),
        Value::Table(table) => {
            let pair = Section { path, place: node.place.clone(), table };
            check_keys(&pair, "pivot", vocabulary::PIVOT, faults);
            let (name, value) = (pair.text("name", faults), pair.text("value", faults));
            for key in vocabulary::PIVOT.iter().filter(|key| pair.lacks(key, vocabulary::PIVOT)) {
                let remedy = "write `pivot = { name = \"path\", value = \"path\" }`";
                faults.push(Fault::new(&pair.place, pair.path(key), super::MISSING, remedy));
            }
            Some(At::new(Pivot::Pair { name: name?, value: value? }, node.place.clone()))
        }
        other => {
            let what = format!("must be a text or a table, not {}", other.kind());
            faults.push(Fault::new(&node.place, path, what, "write `pivot = \"{name}\"`"));
            None
        }
    }
}

/// A path, a table, or a list of both.
fn time(section: &Section<'_>, faults: &mut Faults) -> Vec<At<TimeConfig>> {
    let Some(node) = section.get("time") else { return vec![] };
    let path = section.path("time");
    match &node.value {
        // Undoes a `time` of `[defaults]`; where there is none it says what holds anyway.
        Value::Bool(false) => vec![],
        Value::Bool(true) => {
            let what = "must be a path, a table, a list of them or `false`, not `true`";
            faults.push(Fault::new(&node.place, path, what, "write where the time is: `time = \"ts\"`"));
            vec![]
        }
        Value::List(list) if list.is_empty() => {
            faults.push(Fault::new(&node.place, path, "the list is empty", "leave `time` out for the time of receipt"));
            vec![]
        }
        Value::List(list) => {
            let each = list.iter().enumerate();
            each.filter_map(|(index, node)| one_time(format!("{path}[{index}]"), node, faults)).collect()
        }
        _ => one_time(path, node, faults).into_iter().collect(),
    }
}

fn one_time(path: String, node: &Node, faults: &mut Faults) -> Option<At<TimeConfig>> {
    let Value::Table(table) = &node.value else {
        let path = reader::text(&path, node, faults)?;
        let time = TimeConfig { path, format: None, zone: None, unit: None, since: None };
        return Some(At::new(time, node.place.clone()));
    };
    let section = Section { path, place: node.place.clone(), table };
    check_keys(&section, "time", vocabulary::TIME, faults);
    if section.lacks("path", vocabulary::TIME) {
        faults.push(Fault::new(
            &section.place,
            section.path("path"),
            super::MISSING,
            "write `time = { path = \"ts\", … }`",
        ));
    }
    let unit = section.choice("unit", &[("s", "s"), ("ms", "ms"), ("us", "us"), ("ns", "ns")], faults);
    let (format, zone) = (section.text("format", faults), section.text("zone", faults));
    let since = section.text("since", faults);
    let path = section.text("path", faults)?;
    let time = TimeConfig { path, format, zone, unit: unit.map(|at| at.map(str::to_owned)), since };
    Some(At::new(time, node.place.clone()))
}

/// A date: TOML's own, or a text.
fn moment(section: &Section<'_>, key: &str, faults: &mut Faults) -> Option<At<String>> {
    match section.get(key)? {
        Node { value: Value::Moment(moment), place } => Some(At::new(moment.clone(), place.clone())),
        _ => section.text(key, faults),
    }
}
