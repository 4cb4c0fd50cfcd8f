//! Names of fields, tags and mappings: plain ones, none twice, none that Amber or SQL reserves.

use std::collections::HashSet;

use heck::ToSnakeCase as _;

use super::topics::Level;
use super::words;
use crate::mapping;

/// Bytes of a name: PostgreSQL takes 63 of a column, and suffixes must have room.
const MAX_BYTES: usize = 48;

/// Names that are taken in one mapping, or by mappings.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    /// The first of `wanted` that is free, or the last with a number; it is taken then.
    pub fn take(&mut self, wanted: &[String]) -> String {
        if let Some(free) = wanted.iter().find(|name| !self.0.contains(*name)) {
            self.0.insert(free.clone());
            return free.clone();
        }
        let base = wanted.last().map_or("value", String::as_str);
        let mut number = 2_usize;
        loop {
            let name = format!("{base}_{number}");
            if self.0.insert(name.clone()) {
                return name;
            }
            number += 1;
        }
    }
}

/// `text` as the name of a column: `[a-z][a-z0-9_]*`.
pub(super) fn plain(text: &str) -> String {
    let snake: String = text
        .to_snake_case()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
        .collect();
    let mut name = String::new();
    for c in snake.trim_matches('_').chars() {
        if !(c == '_' && name.ends_with('_')) {
            name.push(c);
        }
    }
    name.truncate(MAX_BYTES);
    let name = name.trim_end_matches('_');
    let name = match name.chars().next() {
        None => "value".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("n{name}"),
        Some(_) => name.to_owned(),
    };
    if mapping::is_plain_column(&name) { name } else { format!("{name}_value") }
}

/// Names for the field at `keys`, the shortest first that says what it is.
pub(super) fn of_keys(keys: &[&str]) -> Vec<String> {
    let told: Vec<&str> = keys.iter().copied().filter(|key| !words::is_wrapper(key)).collect();
    let told = if told.is_empty() { keys.to_vec() } else { told };
    let join = |keys: &[&str]| plain(&keys.join("_"));
    let mut names = vec![join(&told)];
    if told.len() > 3 {
        names.insert(0, join(&[told[told.len() - 2], told[told.len() - 1]]));
    }
    let whole = join(keys);
    if !names.contains(&whole) {
        names.push(whole);
    }
    names
}

/// A name for a mapping, from the constant levels of its topic.
pub(super) fn of_topic(levels: &[Level]) -> String {
    let constant: Vec<&str> = levels.iter().filter_map(Level::label).filter(|label| !label.is_empty()).collect();
    let told: Vec<&str> =
        constant.iter().copied().filter(|label| !words::is_generic(label) && !is_short(label)).collect();
    let told = if told.is_empty() { constant } else { told };
    let told: Vec<&str> = match told.as_slice() {
        [first, .., before, last] => vec![*first, *before, *last],
        few => few.to_vec(),
    };
    let name = if told.is_empty() { "readings".to_owned() } else { plain(&told.join("_")) };
    mapping_name(&name)
}

fn is_short(label: &str) -> bool {
    label.len() < 2 || label.chars().all(|c| c.is_ascii_digit())
}

/// `name`, unless measurements may not be called so.
pub(super) fn mapping_name(name: &str) -> String {
    let mut name = plain(name);
    name.truncate(40);
    let name = name.trim_end_matches('_').to_owned();
    let is_reserved = ["measurements", "fields", "rejects", "devices"].contains(&name.as_str())
        || ["store_", "sqlite_", "sqlx_"].iter().any(|prefix| name.starts_with(prefix));
    if is_reserved { format!("m_{name}") } else { name }
}
