//! What a payload has where a path finds nothing: most paths that find nothing are a letter away from one that does.

use serde_json::Value;

use crate::mapping::compiled::{Compiled, Located, Subject};
use crate::mapping::path::Step;
use crate::mapping::run::shown_key;
use crate::mapping::words::nearest;

/// Larger payloads are not looked into: they would be held once more, and whole.
const MAX_BYTES: usize = 1 << 20;
/// Keys that are listed where none is near.
const MAX_KEYS: usize = 8;
/// Hints of one mapping; more would hide the first.
const MAX_HINTS: usize = 4;

/// Hints for the paths of `mapping` that find nothing in `text`. Without `all` only those that are near to what is there:
/// that a field is absent is nothing strange where others are not.
pub(in crate::mapping) fn hints(mapping: &Compiled, text: &str, conditions: bool, all: bool) -> Vec<String> {
    if text.len() > MAX_BYTES {
        return vec![];
    }
    let Ok(root) = serde_json::from_str::<Value>(text) else { return vec![] };
    let lists: Vec<Vec<&Located>> = if conditions {
        let paths = mapping.when.iter().filter_map(|when| match &when.subject {
            Subject::Path(located) => Some(vec![located]),
            Subject::Capture(_) => None,
        });
        paths.collect()
    } else if mapping.pivot.is_some() {
        // A path begins with a name there, which is no key of the payload.
        return vec![];
    } else {
        mapping.fields.iter().map(|field| field.paths.iter().collect()).collect()
    };
    let mut hints: Vec<String> = vec![];
    for paths in lists {
        let mut hint = None;
        let nothing = paths.iter().all(|located| match look(mapping, located, &root) {
            Look::Found => false,
            Look::Near(text) => {
                hint.get_or_insert(text);
                true
            }
            Look::Far(text) => {
                if all {
                    hint.get_or_insert(text);
                }
                true
            }
        });
        if let Some(hint) = hint.filter(|hint| nothing && !hints.contains(hint)) {
            hints.push(hint);
            if hints.len() == MAX_HINTS {
                break;
            }
        }
    }
    hints
}

enum Look {
    Found,
    Near(String),
    Far(String),
}

/// Follows a path; of the rows the first alternative counts, and of several elements the first.
fn look(mapping: &Compiled, located: &Located, root: &Value) -> Look {
    let rows = mapping.rows.first().filter(|_| !located.path.root).map_or(&[][..], |rows| &rows.steps);
    let steps: Vec<&Step> = rows.iter().chain(&located.path.steps).collect();
    walk(&steps, root, "$".to_owned())
}

fn walk(steps: &[&Step], value: &Value, place: String) -> Look {
    let Some((step, rest)) = steps.split_first() else { return Look::Found };
    match (step, value) {
        (Step::Key(key), Value::Object(members)) => match members.get(&**key) {
            Some(member) => walk(rest, member, format!("{place}.{}", shown_key(key))),
            None => {
                let keys = || members.keys().map(String::as_str);
                match nearest(key, keys()) {
                    Some(near) => {
                        Look::Near(format!("there is no `{key}` at `{place}`, there is `{}`", shown_key(near)))
                    }
                    None => Look::Far(format!("there is no `{key}` at `{place}`, there {}", listed(keys()))),
                }
            }
        },
        (Step::Key(key), Value::Array(_)) => Look::Near(format!(
            "there is no `{key}` at `{place}`, which is a list: name its elements in `rows` (`[]`), or one by its position (`[0]`)"
        )),
        (Step::Index(index), Value::Array(items)) => match items.get(*index) {
            Some(item) => walk(rest, item, format!("{place}[{index}]")),
            None => Look::Far(format!("there is no `[{index}]` at `{place}`, which has {} elements", items.len())),
        },
        (Step::Each(_), Value::Array(items)) => match items.first() {
            Some(item) => walk(rest, item, format!("{place}[0]")),
            None => Look::Far(format!("the list at `{place}` is empty")),
        },
        (Step::Each(_) | Step::Index(_), other) => {
            Look::Far(format!("there is no list at `{place}`, there is {}", kind(other)))
        }
        (Step::Members(pattern), Value::Object(members)) => {
            let mut fitting = members.iter().filter(|(key, _)| pattern.takes(key));
            let Some((key, first)) = fitting.next() else {
                let keys = members.keys().map(String::as_str);
                return Look::Far(format!("no key at `{place}` fits `rows`, there {}", listed(keys)));
            };
            match walk(rest, first, format!("{place}.{}", shown_key(key))) {
                Look::Found => Look::Found,
                // One member may lack what the others have.
                not_here => fitting
                    .map(|(key, member)| walk(rest, member, format!("{place}.{}", shown_key(key))))
                    .find(|look| matches!(look, Look::Found))
                    .unwrap_or(not_here),
            }
        }
        (Step::Key(_) | Step::Members(_), other) => {
            Look::Far(format!("there is no object at `{place}`, there is {}", kind(other)))
        }
        // What was caught, arrays in step, and a payload inside say too little about what was meant.
        (Step::CaughtKey(_) | Step::CaughtIndex(_) | Step::Zip(_) | Step::Inside, _) => Look::Found,
    }
}

fn listed<'k>(keys: impl Iterator<Item = &'k str>) -> String {
    let keys: Vec<&str> = keys.collect();
    if keys.is_empty() {
        return "is nothing".to_owned();
    }
    let list: Vec<String> = keys.iter().take(MAX_KEYS).map(|key| format!("`{}`", shown_key(key))).collect();
    let more = if keys.len() > MAX_KEYS { format!(" and {} more", keys.len() - MAX_KEYS) } else { String::new() };
    let verb = if keys.len() == 1 { "is" } else { "are" };
    format!("{verb} {}{more}", list.join(", "))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "`null`",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
