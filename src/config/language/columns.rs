//! `tags`, `fields`, and what both may hold: `words`, `missing`.

use std::time::Duration;

use crate::config::mapping::{Decode, FieldConfig, Range, TagConfig, TagSource, Word};
use crate::config::reader::{self, Faults, Section, check_keys};
use crate::config::tree::{Entry, Node, Table, Value};
use crate::config::vocabulary;
use crate::fault::{At, Fault};
use crate::schema::{Kind, Type};

/// Texts that mean "no value". Numbers are taken as they print: devices say -9999.
pub(super) fn missing(section: &Section<'_>, faults: &mut Faults) -> Vec<At<String>> {
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
fn words(section: &Section<'_>, faults: &mut Faults) -> Vec<(At<String>, At<Word>)> {
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

pub(super) fn tags(section: &Section<'_>, faults: &mut Faults) -> Vec<TagConfig> {
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
        Value::Text(_) | Value::List(_) => {
            let paths = reader::texts(&path, node, true, faults);
            if paths.is_empty() { None } else { simple(TagSource::Paths(paths)) }
        }
        Value::Bool(false) => simple(TagSource::Removed),
        Value::Table(table) => {
            let section = Section { path, place: key.place.clone(), table };
            check_keys(&section, "tag", vocabulary::TAG, faults);
            let (paths, value) = (section.one_or_more("path", faults), section.text("value", faults));
            let words = words(&section, faults);
            let required = section.flag("required", faults).unwrap_or_default();
            let source = match (paths.is_empty(), value) {
                (false, Some(value)) => {
                    let what = "a tag is either read (`path`) or given (`value`)";
                    faults.push(Fault::new(&value.place, section.path("value"), what, "keep one of them"));
                    return None;
                }
                (false, None) => TagSource::Paths(paths),
                (true, Some(value)) => TagSource::Value(value),
                // One of them is there and wrong: said already.
                (true, None) if section.get("path").or(section.get("value")).is_some() => return None,
                (true, None) => TagSource::Capture,
            };
            Some(TagConfig { name: key.clone(), source, words, required })
        }
        other => {
            let what = format!("must be a path, a list of paths, a table or `false`, not {}", other.kind());
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
    let remedy = match &node.value {
        Value::Text(text) => format!("move it above the {table}, or write `{{ path = {text:?} }}`"),
        Value::List(_) => format!("move it above the {table}, or write `{{ path = […] }}`"),
        _ => format!("move it above the {table}"),
    };
    let what = format!("`{name}` is a key of the mapping, and here it stands among the {table}");
    faults.push(Fault::new(&key.place, path, what, remedy));
    true
}

/// `may_be_empty`: what is not listed is kept all the same (`others`).
pub(super) fn fields(section: &Section<'_>, may_be_empty: bool, faults: &mut Faults) -> Vec<FieldConfig> {
    let Some(node) = section.get("fields") else { return vec![] };
    let path = section.path("fields");
    match &node.value {
        Value::Table(table) => {
            if table.entries.is_empty() && !may_be_empty {
                faults.push(Fault::new(&node.place, path.as_str(), "the table is empty", "name at least one field"));
            }
            table.entries.iter().filter_map(|entry| field(&path, entry, may_be_empty, faults)).collect()
        }
        Value::List(list) if list.is_empty() && may_be_empty => vec![],
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

fn field(path: &str, Entry { key, node }: &Entry, has_others: bool, faults: &mut Faults) -> Option<FieldConfig> {
    let path = format!("{path}.{}", reader::quoted(&key.value));
    match &node.value {
        // `time = false` is a key of the mapping, unless there are others that it may be one of.
        Value::Bool(false) if key.value != "fallback" && (key.value != "time" || has_others) => {
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

/// Below a second nothing is saved; a century is never.
const HEARTBEAT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(36_500 * 86_400));

fn field_table(key: &At<String>, section: Section<'_>, faults: &mut Faults) -> FieldConfig {
    check_keys(&section, "field", vocabulary::FIELD, faults);
    let types = [Type::Float, Type::Int, Type::Bool, Type::Text, Type::Json, Type::Time].map(|t| (t.word(), t));
    let kinds = [("gauge", Kind::Gauge), ("total", Kind::Total)];
    let ranges = [("missing", Range::Missing), ("reject", Range::Reject)];
    let path = section.one_or_more("path", faults);
    let decodes = [("hex", Decode::Hex), ("base64", Decode::Base64), ("duration", Decode::Duration)];
    let bit = section.whole("bit", 0..=63, faults);
    let decimals = section.whole("decimals", 0..=15, faults);
    FieldConfig {
        path: if path.is_empty() { vec![key.clone()] } else { path },
        r#type: section.choice("type", &types, faults),
        unit: shown(&section, "unit", MAX_UNIT, faults),
        description: shown(&section, "description", MAX_DESCRIPTION, faults).map(|at| at.value),
        kind: section.choice("kind", &kinds, faults).map_or(Kind::default(), |at| at.value),
        decimals: decimals.and_then(|at| u8::try_from(at.value).ok()),
        words: words(&section, faults),
        missing: missing(&section, faults),
        decode: section.choice("decode", &decodes, faults),
        pattern: section.text("pattern", faults),
        bit: bit.and_then(|at| Some(At::new(u8::try_from(at.value).ok()?, at.place))),
        scale: section.number("scale", faults),
        offset: section.number("offset", faults),
        min: section.number("min", faults),
        max: section.number("max", faults),
        range: section.choice("range", &ranges, faults),
        deadband: section.number("deadband", faults),
        heartbeat: section.duration("heartbeat", HEARTBEAT, faults),
        required: section.flag("required", faults).unwrap_or_default(),
        removed: false,
        name: key.clone(),
    }
}

/// Characters of a unit, which stands beside every value that is shown.
const MAX_UNIT: usize = 64;
/// Characters of a description, which is a comment in the database.
const MAX_DESCRIPTION: usize = 1_000;

/// A text for people, which the catalogue holds.
fn shown(section: &Section<'_>, key: &str, most: usize, faults: &mut Faults) -> Option<At<String>> {
    let text = section.text(key, faults)?;
    let wrong = if text.value.contains('\0') {
        ("holds a NUL character, and no database takes one".to_owned(), "leave it out")
    } else if text.value.chars().count() > most {
        (format!("has more than {most} characters"), "shorten it")
    } else {
        return Some(text);
    };
    faults.push(Fault::new(&text.place, section.path(key), format!("the text {}", wrong.0), wrong.1));
    None
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
        decode: None,
        pattern: None,
        bit: None,
        scale: None,
        offset: None,
        min: None,
        max: None,
        range: None,
        deadband: None,
        heartbeat: None,
        required: false,
        removed: false,
    }
}

/// `columns = { time = "ts", room = false }`
pub(super) fn columns(section: &Section<'_>, faults: &mut Faults) -> Vec<(At<String>, At<Option<String>>)> {
    let Some(node) = section.get("columns") else { return vec![] };
    let path = section.path("columns");
    let Value::Table(table) = &node.value else {
        let what = format!("must be a table, not {}", node.value.kind());
        let remedy = "write `columns = { time = \"ts\" }`: our name, and the column of your table";
        faults.push(Fault::new(&node.place, path, what, remedy));
        return vec![];
    };
    if table.entries.is_empty() {
        let remedy = "leave the key out where the columns have our names";
        faults.push(Fault::new(&node.place, path.as_str(), "the table is empty", remedy));
    }
    let mut columns = vec![];
    for Entry { key, node } in &table.entries {
        let column = match &node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Bool(false) => None,
            other => {
                let what =
                    format!("must be the name of a column, or `false` for a tag without one, not {}", other.kind());
                faults.push(Fault::new(&node.place, format!("{path}.{}", reader::quoted(&key.value)), what, ""));
                continue;
            }
        };
        columns.push((key.clone(), At::new(column, node.place.clone())));
    }
    columns
}
