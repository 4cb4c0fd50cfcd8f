//! Lays the environment over the file, by the `config` crate.
//!
//! Files are read strictly, the environment as text. A place travels through `config` as the origin of a value; the
//! crate's own deserialisation is lenient and forgets it, so the collected tree is read instead.

use std::collections::HashMap;

use ::config::{ConfigError, Environment, Source, ValueKind};

use crate::config::reader::{Faults, Section, check_keys};
use crate::config::tree::{Entry, Node, Table, Value};
use crate::config::vocabulary;
use crate::fault::{At, Fault, Place};

const PREFIX: &str = "AMBER__";

/// The sections of settings in `top`, the tree of the main file, with those of `environment` over them.
pub(super) fn sections(
    top: &Table,
    environment: &[(String, String)],
    start: &Place,
    faults: &mut Faults,
) -> HashMap<String, Table> {
    let mut nodes = HashMap::new();
    let file = FileLayer::new(top, &mut nodes, faults);
    let variables = known_variables(environment, faults);
    let names: HashMap<String, &String> = variables.keys().map(|name| (key_of(name), name)).collect();
    let layers = ::config::Config::builder()
        .add_source(file)
        .add_source(
            Environment::with_prefix("AMBER")
                .prefix_separator("__")
                .separator("__")
                .ignore_empty(true)
                .source(Some(variables.clone().into_iter().collect())),
        )
        .build()
        .and_then(|layers| layers.collect());
    let layers = layers.unwrap_or_else(|error| {
        faults.push(Fault::new(start, "", format!("the settings cannot be layered: {error}"), ""));
        ::config::Map::new()
    });
    let mut tables: HashMap<String, Table> = HashMap::new();
    let mut layers: Vec<(String, ::config::Value)> = layers.into_iter().collect();
    while let Some((section, value)) = layers.pop() {
        let ValueKind::Table(mut keys) = value.kind else { continue };
        for inner in vocabulary::inner(&section) {
            layers.extend(keys.remove(inner).map(|value| (format!("{section}.{inner}"), value)));
        }
        let entry = |(key, value): (String, ::config::Value)| {
            let node = match value.origin().and_then(|origin| nodes.get(origin)) {
                Some(&node) => Node::clone(node),
                None => {
                    let place = Place::Environment(names.get(&format!("{section}.{key}"))?.as_str().into());
                    Node { place, value: Value::Text(value.into_string().ok()?) }
                }
            };
            Some(Entry { key: At::new(key, node.place.clone()), node })
        };
        let entries = keys.into_iter().filter_map(entry).collect();
        tables.insert(section, Table { entries, inline: false });
    }
    // Misspelt keys stay in the tables, so that the key they mean is not reported as missing too.
    for (name, keys) in vocabulary::SETTINGS {
        if let Some(Entry { node: Node { value: Value::Table(table), .. }, .. }) = top.section(name) {
            let inner: Vec<&str> = vocabulary::inner(name).collect();
            let is_known = |key: &str| keys.contains(&key) || inner.contains(&key);
            let unknown = table.entries.iter().filter(|entry| !is_known(&entry.key.value)).cloned();
            tables.entry((*name).to_owned()).or_default().entries.extend(unknown);
        }
    }
    tables
}

/// The known settings of a file, as a source of the `config` crate: flat keys, the origin of each its place.
#[derive(Clone)]
struct FileLayer(::config::Map<String, ::config::Value>);

impl FileLayer {
    fn new<'t>(top: &'t Table, nodes: &mut HashMap<String, &'t Node>, faults: &mut Faults) -> Self {
        let mut layer = ::config::Map::new();
        for (name, keys) in vocabulary::SETTINGS {
            let Some(Entry { key, node }) = top.section(name) else { continue };
            let Value::Table(table) = &node.value else {
                let what = format!("must be a table, not {}", node.value.kind());
                faults.push(Fault::new(&node.place, *name, what, format!("write `[{name}]` and its keys below")));
                continue;
            };
            let section = Section { path: (*name).to_owned(), place: key.place.clone(), table };
            let known: Vec<&str> = keys.iter().copied().chain(vocabulary::inner(name)).collect();
            check_keys(&section, name, &known, faults);
            for entry in table.entries.iter().filter(|entry| keys.contains(&entry.key.value.as_str())) {
                let kind = match &entry.node.value {
                    Value::Text(text) => ValueKind::String(text.clone()),
                    Value::Int(int) => ValueKind::I64(*int),
                    Value::Float(float) => ValueKind::Float(*float),
                    Value::Bool(flag) => ValueKind::Boolean(*flag),
                    // No setting is one of these: the reader says so, unless the environment overrides it.
                    Value::Moment(_) | Value::List(_) | Value::Table(_) => ValueKind::Nil,
                };
                let origin = entry.node.place.to_string();
                layer.insert(section.path(&entry.key.value), ::config::Value::new(Some(&origin), kind));
                nodes.insert(origin, &entry.node);
            }
        }
        Self(layer)
    }
}

/// Passwords are among the values.
impl std::fmt::Debug for FileLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileLayer")
    }
}

impl Source for FileLayer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<::config::Map<String, ::config::Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// `AMBER__BROKER__URL` → `broker.url`
fn key_of(variable: &str) -> String {
    variable.get(PREFIX.len()..).unwrap_or_default().to_lowercase().replace("__", ".")
}

pub(super) fn variable_of(section: &str, key: &str) -> String {
    format!("{PREFIX}{}__{}", section.to_uppercase().replace('.', "__"), key.to_uppercase())
}

/// The `AMBER__…` variables that are settings; the others are faults. Empty ones count as not set, because
/// compose files pass on what may be unset.
fn known_variables(environment: &[(String, String)], faults: &mut Faults) -> HashMap<String, String> {
    let known: Vec<(String, String)> = vocabulary::SETTINGS
        .iter()
        .flat_map(|(section, keys)| keys.iter().map(move |key| (format!("{section}.{key}"), variable_of(section, key))))
        .collect();
    let names: Vec<&str> = known.iter().map(|(_, name)| name.as_str()).collect();
    let mut taken = HashMap::new();
    for (name, value) in environment {
        let place = Place::Environment(name.as_str().into());
        if !name.starts_with(PREFIX) {
            // One underscore too few, the likeliest slip, would be silently nothing.
            let upper = name.to_uppercase();
            let doubled = names
                .iter()
                .find(|known| name.starts_with("AMBER") && known.replace("__", "_") == upper.replace("__", "_"));
            if let Some(meant) = doubled {
                let remedy = format!("if it is meant for Amber, name it `{meant}`");
                faults.push(Fault::warning(
                    &place,
                    "",
                    "is not read: sections and keys are joined by two underscores",
                    remedy,
                ));
            }
        } else if names.contains(&name.as_str()) {
            taken.insert(name.clone(), value.clone());
        } else if value.is_empty() {
            // Not set.
        } else {
            let key = key_of(name);
            let (section, rest) = key.split_once('.').unwrap_or((&key, ""));
            let (what, remedy) = if vocabulary::comes_later(section, rest) || vocabulary::comes_later("top", section) {
                ("comes with a later version", "unset it for now".to_owned())
            } else if ["mapping", "defaults", "include"].contains(&section) {
                (
                    "only settings are read from the environment",
                    "write mappings into the file, or a file that it includes".to_owned(),
                )
            } else {
                ("no such setting", nearest_variable(name, &names))
            };
            faults.push(Fault::new(&place, "", what, remedy));
        }
    }
    taken
}

fn nearest_variable(name: &str, names: &[&str]) -> String {
    let lower: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    match vocabulary::nearest(name, &lower) {
        Some(near) => format!("did you mean `{}`?", near.to_uppercase()),
        None => "docs/configuration.md lists all variables".to_owned(),
    }
}
