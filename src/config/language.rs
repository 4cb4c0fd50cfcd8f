//! Reads `[mapping.<name>]` into `MappingConfig`: shapes, words and ranges; what the texts mean is checked by `mapping`.
//!
//! A mapping with faults is still given, as far as it could be read, so that both halves report at once.

use std::time::Duration;

use super::mapping::{
    Condition, FieldConfig, Format, MappingConfig, Others, Outside, Pivot, Range, Redelivery, RetainedPolicy,
    TagConfig, TagSource, TimeConfig,
};
use super::reader::{self, Faults, Section, check_keys};
use super::tree::{Entry, Node, Table, Value};
use super::{settings, vocabulary};
use crate::fault::{At, Fault};
use crate::schema::{Kind, Type};

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
    let read = read(name, &section, faults);
    let mut whole = true;
    for (key, empty, example) in [
        ("topic", read.topic.is_empty(), "`topic = \"home/{room}/climate\"`"),
        ("fields", read.fields.is_empty(), "`fields = [\"temperature\"]`"),
    ] {
        whole &= !empty;
        if section.lacks(key, vocabulary::MAPPING) && !faults.any_syntax() {
            faults.push(Fault::new(&name.place, section.path(key), "is missing", format!("write {example}")));
        }
    }
    whole.then_some(read)
}

/// Checks `[defaults]` for itself, so that a fault in it is reported once and under its own name.
pub(super) fn check_defaults(entry: &Entry, faults: &mut Faults) {
    if let Value::Table(table) = &entry.node.value {
        let section = Section { path: "defaults".to_owned(), place: entry.key.place.clone(), table };
        check_keys(&section, "mapping", vocabulary::MAPPING, faults);
        read(&At::new(String::new(), entry.key.place.clone()), &section, faults);
    }
}

/// Adds what `own` lacks; tables of tags and of fields join, own entries first.
fn join(mut own: Table, defaults: &Table) -> Table {
    for entry in &defaults.entries {
        let joins = entry.key.value == "tags" || entry.key.value == "fields";
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
    let formats = [("auto", Format::Auto), ("json", Format::Json), ("text", Format::Text)];
    let outside = [("received", Outside::Received), ("reject", Outside::Reject)];
    let retained = [("skip", RetainedPolicy::Skip), ("store", RetainedPolicy::Store)];
    let later = |section: &Section<'_>, key: &str, faults: &mut Faults| {
        let node = section.get(key)?;
        let Value::Table(_) = node.value else { return None };
        vocabulary::comes_later("value", &format!("{key} as a table")).then(|| {
            let what = "a table here comes with a later version";
            faults.push(Fault::new(&node.place, section.path(key), what, "write a text"));
        })
    };
    MappingConfig {
        name: name.clone(),
        topic: section.one_or_more("topic", faults),
        except: section.texts("except", faults),
        measurement: section.text("measurement", faults),
        when: when(section, faults),
        fallback: section.flag("fallback", faults).unwrap_or_default(),
        format: match later(section, "format", faults) {
            Some(()) => Format::default(),
            None => section.choice("format", &formats, faults).map_or(Format::default(), |at| at.value),
        },
        rows: match later(section, "rows", faults) {
            Some(()) => vec![],
            None => section.one_or_more("rows", faults),
        },
        pivot: pivot(section, faults),
        others: section.choice("others", &[("ignore", Others::Ignore)], faults).map_or(Others::Ignore, |at| at.value),
        time: time(section, faults),
        zone: section.text("zone", faults),
        not_before: moment(section, "not_before", faults),
        not_after: section.duration("not_after", (Duration::ZERO, MOST_AHEAD), faults).map(|at| at.value),
        outside: section.choice("outside", &outside, faults).map_or(Outside::default(), |at| at.value),
        tags: tags(section, faults),
        fields: fields(section, faults),
        missing: missing(section, faults),
        retained: section.choice("retained", &retained, faults).map_or(RetainedPolicy::default(), |at| at.value),
        qos: settings::qos(section, faults),
        redelivery: section
            .choice("redelivery", &[("skip", Redelivery::Skip)], faults)
            .map_or(Redelivery::default(), |at| at.value),
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
        Value::Text(text) => {
            let capture = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
            if let Some(capture) = capture.filter(|capture| !capture.is_empty() && !capture.contains(['{', '}'])) {
                return Some(At::new(Pivot::Capture(capture.to_owned()), node.place.clone()));
            }
            let what = "must name one capture";
            let remedy = "write `pivot = \"{name}\"`, or `pivot = { name = \"path\", value = \"path\" }`";
            faults.push(Fault::new(&node.place, path, what, remedy));
            None
        }
        Value::Table(table) => {
            let pair = Section { path, place: node.place.clone(), table };
            check_keys(&pair, "pivot", vocabulary::PIVOT, faults);
            let (name, value) = (pair.text("name", faults), pair.text("value", faults));
            for key in vocabulary::PIVOT.iter().filter(|key| pair.lacks(key, vocabulary::PIVOT)) {
                let remedy = "write `pivot = { name = \"path\", value = \"path\" }`";
                faults.push(Fault::new(&pair.place, pair.path(key), "is missing", remedy));
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
            "is missing",
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

/// Texts that mean "no value". Numbers are taken as they print: devices say -9999.
fn missing(section: &Section<'_>, faults: &mut Faults) -> Vec<At<String>> {
    let Some(Node { value: Value::List(list), .. }) = section.get("missing") else {
        return section.texts("missing", faults);
    };
    let each = list.iter().enumerate();
    let text = |(index, node): (usize, &Node)| match &node.value {
        Value::Int(int) => Some(At::new(int.to_string(), node.place.clone())),
        Value::Float(float) => Some(At::new(float.to_string(), node.place.clone())),
        _ => reader::text(&format!("{}[{index}]", section.path("missing")), node, faults),
    };
    each.filter_map(text).collect()
}

/// `words = { ON = true, LOW = "low" }`
fn words(section: &Section<'_>, faults: &mut Faults) -> Vec<(At<String>, At<super::mapping::Word>)> {
    let Some(node) = section.get("words") else { return vec![] };
    let path = section.path("words");
    let Value::Table(table) = &node.value else {
        let what = format!("must be a table, not {}", node.value.kind());
        faults.push(Fault::new(&node.place, path, what, "write `words = { ON = true, OFF = false }`"));
        return vec![];
    };
    if table.entries.is_empty() {
        faults.push(Fault::new(&node.place, path, "the table is empty", "leave the key out, or name words"));
        return vec![];
    }
    let mut words = vec![];
    for Entry { key, node } in &table.entries {
        match (reader::word(node), &node.value) {
            (Some(word), _) => words.push((key.clone(), word)),
            (None, Value::Table(inner)) => {
                let whole = dotted(&key.value, inner);
                let what = format!("`{whole}` without quotes is a table in a table to TOML");
                faults.push(Fault::new(&key.place, path.as_str(), what, format!("write `\"{whole}\" = …`")));
            }
            (None, other) => {
                let what = format!("must be a text, a number or a truth value, not {}", other.kind());
                faults.push(Fault::new(&node.place, format!("{path}.{}", reader::quoted(&key.value)), what, ""));
            }
        }
    }
    words
}

/// What a dotted key was meant to be: `1` and `{ 0 = true }` are `1.0`.
fn dotted(key: &str, table: &Table) -> String {
    match table.entries.first() {
        Some(Entry { key: next, node: Node { value: Value::Table(inner), .. } }) => {
            format!("{key}.{}", dotted(&next.value, inner))
        }
        Some(Entry { key: next, .. }) => format!("{key}.{}", next.value),
        None => key.to_owned(),
    }
}

fn tags(section: &Section<'_>, faults: &mut Faults) -> Vec<TagConfig> {
    let Some(node) = section.get("tags") else { return vec![] };
    let path = section.path("tags");
    let Value::Table(table) = &node.value else {
        let what = format!("must be a table, not {}", node.value.kind());
        let remedy = "write `tags = { name = \"path\" }`; captures of the topic are tags by themselves";
        faults.push(Fault::new(&node.place, path, what, remedy));
        return vec![];
    };
    table.entries.iter().filter_map(|entry| tag(&path, entry, table.inline, faults)).collect()
}

fn tag(path: &str, Entry { key, node }: &Entry, inline: bool, faults: &mut Faults) -> Option<TagConfig> {
    let path = format!("{path}.{}", reader::quoted(&key.value));
    let simple = |source| Some(TagConfig { name: key.clone(), source, words: vec![], required: false });
    match &node.value {
        // Below `[mapping.x.tags]` every line is a tag; in braces nobody means anything else.
        Value::Text(_) | Value::List(_) if !inline && swallowed(&path, key, node, "tags", faults) => None,
        Value::Text(text) => simple(TagSource::Path(At::new(text.clone(), node.place.clone()))),
        Value::Bool(false) => simple(TagSource::Removed),
        Value::Table(table) => {
            let section = Section { path, place: key.place.clone(), table };
            check_keys(&section, "tag", vocabulary::TAG, faults);
            let (path, value) = (section.text("path", faults), section.text("value", faults));
            let words = words(&section, faults);
            let required = section.flag("required", faults).unwrap_or_default();
            let source = match (path, value) {
                (Some(_), Some(value)) => {
                    let what = "a tag is either read (`path`) or given (`value`)";
                    faults.push(Fault::new(&value.place, section.path("value"), what, "keep one of them"));
                    return None;
                }
                (Some(path), None) => TagSource::Path(path),
                (None, Some(value)) => TagSource::Value(value),
                // One of them is there and wrong: said already.
                (None, None) if section.get("path").or(section.get("value")).is_some() => return None,
                (None, None) => TagSource::Capture,
            };
            Some(TagConfig { name: key.clone(), source, words, required })
        }
        other => {
            let what = format!("must be a path, a table or `false`, not {}", other.kind());
            let remedy = match other {
                Value::Bool(_) => "captures of the topic are tags by themselves".to_owned(),
                Value::Int(_) | Value::Float(_) => {
                    "for the same value in every row write `{ value = \"…\" }`".to_owned()
                }
                _ => String::new(),
            };
            faults.push(Fault::new(&node.place, path, what, remedy));
            None
        }
    }
}

/// Whether `key`, in a table of fields or tags, is a key of the mapping that a header above has swallowed. Reports it.
fn swallowed(path: &str, key: &At<String>, node: &Node, table: &str, faults: &mut Faults) -> bool {
    let name = key.value.as_str();
    if !vocabulary::MAPPING.contains(&name) && !vocabulary::comes_later("mapping", name) {
        return false;
    }
    let example = match &node.value {
        Value::Text(text) => format!("{{ path = {text:?} }}"),
        _ => "{ path = … }".to_owned(),
    };
    let what = format!("`{name}` is a key of the mapping, and here it stands among the {table}");
    faults.push(Fault::new(&key.place, path, what, format!("move it above the {table}, or write `{example}`")));
    true
}

fn fields(section: &Section<'_>, faults: &mut Faults) -> Vec<FieldConfig> {
    let Some(node) = section.get("fields") else { return vec![] };
    let path = section.path("fields");
    match &node.value {
        Value::Table(table) => {
            if table.entries.is_empty() {
                faults.push(Fault::new(&node.place, path.as_str(), "the table is empty", "name at least one field"));
            }
            table.entries.iter().filter_map(|entry| field(&path, entry, faults)).collect()
        }
        Value::List(_) => {
            let mut fields: Vec<FieldConfig> = vec![];
            for name in section.texts("fields", faults) {
                if fields.iter().any(|field| field.name.value == name.value) {
                    let what = format!("`{}` is named twice", name.value);
                    faults.push(Fault::new(&name.place, path.as_str(), what, "keep one"));
                } else {
                    let path = vec![name.clone()];
                    fields.push(plain_field(name, path));
                }
            }
            fields
        }
        other => {
            let what = format!("must be a list of names or a table, not {}", other.kind());
            let remedy =
                if let Value::Text(text) = other { format!("write `fields = [{text:?}]`") } else { String::new() };
            faults.push(Fault::new(&node.place, path, what, remedy));
            vec![]
        }
    }
}

fn field(path: &str, Entry { key, node }: &Entry, faults: &mut Faults) -> Option<FieldConfig> {
    let path = format!("{path}.{}", reader::quoted(&key.value));
    match &node.value {
        Value::Bool(false) if key.value != "fallback" => {
            Some(FieldConfig { removed: true, ..plain_field(key.clone(), vec![key.clone()]) })
        }
        Value::Table(table) => {
            // `when = { sensor = … }` below the header of the fields.
            let foreign = |entry: &Entry| {
                let key = entry.key.value.as_str();
                !vocabulary::FIELD.contains(&key) && !vocabulary::comes_later("field", key)
            };
            if table.entries.iter().any(foreign) && swallowed(&path, key, node, "fields", faults) {
                return None;
            }
            Some(field_table(key, Section { path, place: key.place.clone(), table }, faults))
        }
        _ if swallowed(&path, key, node, "fields", faults) => None,
        Value::Text(_) | Value::List(_) => {
            let paths = reader::texts(&path, node, true, faults);
            (!paths.is_empty()).then(|| plain_field(key.clone(), paths))
        }
        other => {
            let what = format!("must be a path, a list of paths, a table or `false`, not {}", other.kind());
            let remedy = if let Value::Bool(_) = other { "leave it out, or write `{}`" } else { "" };
            faults.push(Fault::new(&node.place, path, what, remedy));
            None
        }
    }
}

fn field_table(key: &At<String>, section: Section<'_>, faults: &mut Faults) -> FieldConfig {
    check_keys(&section, "field", vocabulary::FIELD, faults);
    let types = [Type::Float, Type::Int, Type::Bool, Type::Text, Type::Json, Type::Time].map(|t| (t.word(), t));
    let kinds = [("gauge", Kind::Gauge), ("total", Kind::Total)];
    let ranges = [("missing", Range::Missing), ("reject", Range::Reject)];
    let path = section.one_or_more("path", faults);
    let decimals = section.whole("decimals", 0..=15, faults);
    let scale = section.number("scale", faults).filter(|scale| {
        if scale.value == 0.0 {
            faults.push(Fault::new(&scale.place, section.path("scale"), "0 would make every value 0", ""));
        }
        scale.value != 0.0
    });
    FieldConfig {
        path: if path.is_empty() { vec![key.clone()] } else { path },
        r#type: section.choice("type", &types, faults),
        unit: section.text("unit", faults),
        description: section.text("description", faults).map(|at| at.value),
        kind: section.choice("kind", &kinds, faults).map_or(Kind::default(), |at| at.value),
        decimals: decimals.and_then(|at| u8::try_from(at.value).ok()),
        words: words(&section, faults),
        missing: missing(&section, faults),
        scale,
        offset: section.number("offset", faults),
        min: section.number("min", faults),
        max: section.number("max", faults),
        range: section.choice("range", &ranges, faults),
        required: section.flag("required", faults).unwrap_or_default(),
        removed: false,
        name: key.clone(),
    }
}

fn plain_field(name: At<String>, path: Vec<At<String>>) -> FieldConfig {
    FieldConfig {
        name,
        path,
        r#type: None,
        unit: None,
        description: None,
        kind: Kind::default(),
        decimals: None,
        words: vec![],
        missing: vec![],
        scale: None,
        offset: None,
        min: None,
        max: None,
        range: None,
        required: false,
        removed: false,
    }
}
