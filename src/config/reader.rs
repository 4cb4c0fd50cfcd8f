//! Takes typed values out of a tree and notes every fault on the way: what was expected, where, and the remedy.
//!
//! A value that cannot be read is reported once and then treated as absent, so that one fault has no echoes.
//! Values are never printed unless they come from a closed set of words: any text may be a secret.

use std::time::Duration;

use super::mapping::Word;
use super::tree::{Node, Table, Value};
use super::{units, vocabulary};
use crate::fault::{At, Fault, Place};

/// What has been found wrong so far.
#[derive(Default)]
pub(super) struct Faults {
    list: Vec<Fault>,
    /// Places of syntax faults: what else seems wrong in such a line is an echo.
    broken: Vec<Place>,
}

impl From<Vec<Fault>> for Faults {
    fn from(list: Vec<Fault>) -> Self {
        Self { list, broken: vec![] }
    }
}

impl Faults {
    /// Adds a fault, unless it is an echo: the same again (defaults are read once for each mapping), or in a line
    /// that is not TOML.
    pub(super) fn push(&mut self, fault: Fault) {
        let again = |old: &Fault| {
            let same = old.what == fault.what && old.remedy == fault.remedy;
            same && old.place == fault.place && matches!(old.place, Place::File { .. })
        };
        if !self.list.iter().any(again) && !self.broken.iter().any(|place| same_line(place, &fault.place)) {
            self.list.push(fault);
        }
    }

    /// Adds a fault that makes the rest of its line unreadable.
    pub(super) fn syntax(&mut self, fault: Fault) {
        self.broken.push(fault.place.clone());
        self.list.push(fault);
    }

    /// Whether something in the files may be missing only because it could not be parsed.
    pub(super) fn any_syntax(&self) -> bool {
        !self.broken.is_empty()
    }

    /// All faults in the order of the files: the main file, those it includes, the environment.
    pub(super) fn into_list(mut self, main: &str) -> Vec<Fault> {
        self.list.sort_by_key(|fault| match &fault.place {
            Place::Default => (0, String::new(), 0, 0),
            Place::File { file, line, column } if **file == *main => (1, String::new(), *line, *column),
            Place::File { file, line, column } => (2, file.to_string(), *line, *column),
            Place::Environment(name) => (3, name.to_string(), 0, 0),
        });
        self.list
    }
}

fn same_line(a: &Place, b: &Place) -> bool {
    match (a, b) {
        (Place::File { file, line, .. }, Place::File { file: other, line: there, .. }) => {
            file == other && line == there
        }
        _ => false,
    }
}

/// A table whose keys are known: `[broker]`, a mapping, one field of it.
pub(super) struct Section<'t> {
    /// How its keys are named in faults, without the last dot.
    pub path: String,
    /// Where it begins: for what is missing.
    pub place: Place,
    pub table: &'t Table,
}

impl<'t> Section<'t> {
    pub(super) fn get(&self, key: &str) -> Option<&'t Node> {
        self.table.get(key).map(|entry| &entry.node)
    }

    /// Whether `key` is missing, and not only misspelt, which is reported as an unknown key.
    pub(super) fn lacks(&self, key: &str, known: &[&str]) -> bool {
        let unknown =
            self.table.entries.iter().map(|entry| entry.key.value.as_str()).filter(|key| !known.contains(key));
        self.table.get(key).is_none()
            && unknown.filter_map(|word| vocabulary::nearest(word, known)).all(|near| near != key)
    }

    pub(super) fn path(&self, key: &str) -> String {
        format!("{}.{}", self.path, quoted(key))
    }
}

/// A key as TOML would have it in a path.
pub(super) fn quoted(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { key.to_owned() } else { format!("{key:?}") }
}

/// Reports keys of `section` that are not `known`, or come later.
pub(super) fn check_keys(section: &Section<'_>, kind: &str, known: &[&str], faults: &mut Faults) {
    for entry in &section.table.entries {
        let (key, place) = (entry.key.value.as_str(), &entry.key.place);
        let path = if section.path.is_empty() { quoted(key) } else { section.path(key) };
        if known.contains(&key) {
            continue;
        } else if vocabulary::comes_later(kind, key) {
            faults.push(Fault::new(place, path, "comes with a later version", "leave it out for now"));
        } else {
            faults.push(Fault::new(place, path, "unknown key", hint(kind, key, known)));
        }
    }
}

fn hint(kind: &str, key: &str, known: &[&str]) -> String {
    match (kind, key) {
        ("field", _) if vocabulary::nearest(key, known).is_none() && vocabulary::MAPPING.contains(&key) => {
            format!("`{key}` is a key of the mapping; move it above the fields")
        }
        ("mapping", _) if vocabulary::nearest(key, known).is_none() && vocabulary::FIELD.contains(&key) => {
            format!("`{key}` is a key of a field: `fields.<name> = {{ {key} = … }}`")
        }
        ("top", _) if vocabulary::nearest(key, known).is_none() && vocabulary::MAPPING.contains(&key) => {
            format!("`{key}` is a key of a mapping: it stands below `[mapping.<name>]`")
        }
        _ => vocabulary::suggest(key, known),
    }
}

/// Notes that `node` is not what was expected.
fn unexpected(path: &str, node: &Node, expected: &str, remedy: &str, faults: &mut Faults) {
    let what = format!("must be {expected}, not {}", node.value.kind());
    faults.push(Fault::new(&node.place, path, what, remedy));
}

/// A text. Numbers and dates are not taken for texts, but told how to become one.
pub(super) fn text(path: &str, node: &Node, faults: &mut Faults) -> Option<At<String>> {
    let remedy = match &node.value {
        Value::Text(text) => return Some(At::new(text.clone(), node.place.clone())),
        Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Moment(_) => "put it in quotes",
        Value::List(_) | Value::Table(_) => "",
    };
    unexpected(path, node, "a text", remedy, faults);
    None
}

/// A list of texts, or where `one` allows it a single text.
pub(super) fn texts(path: &str, node: &Node, one: bool, faults: &mut Faults) -> Vec<At<String>> {
    match &node.value {
        Value::Text(_) if one => text(path, node, faults).into_iter().collect(),
        Value::List(list) if list.is_empty() => {
            faults.push(Fault::new(&node.place, path, "the list is empty", "leave the key out, or name something"));
            vec![]
        }
        Value::List(list) => {
            let each = list.iter().enumerate();
            each.filter_map(|(index, node)| text(&format!("{path}[{index}]"), node, faults)).collect()
        }
        Value::Text(text) => {
            unexpected(path, node, "a list", &format!("write `[{text:?}]`"), faults);
            vec![]
        }
        _ if one => {
            unexpected(path, node, "a text or a list of texts", "", faults);
            vec![]
        }
        _ => {
            unexpected(path, node, "a list of texts", "", faults);
            vec![]
        }
    }
}

/// One of a closed set of words. `kind` is the name under which later words are listed.
pub(super) fn choice<T: Clone>(
    path: &str,
    kind: &str,
    node: &Node,
    words: &[(&str, T)],
    faults: &mut Faults,
) -> Option<At<T>> {
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let Value::Text(word) = &node.value else {
        let remedy = match node.value {
            Value::Int(int) if known.contains(&int.to_string().as_str()) => format!("write `\"{int}\"`"),
            _ => String::new(),
        };
        unexpected(path, node, &format!("one of {}", vocabulary::list(&known)), &remedy, faults);
        return None;
    };
    if let Some((_, value)) = words.iter().find(|(known, _)| known == word) {
        return Some(At::new(value.clone(), node.place.clone()));
    }
    let (what, remedy) = if vocabulary::comes_later(kind, word) {
        (format!("`{word}` comes with a later version"), format!("today: {}", vocabulary::list(&known)))
    } else {
        (format!("{word:?} is not known here"), suggest_word(word, &known))
    };
    faults.push(Fault::new(&node.place, path, what, remedy));
    None
}

impl Section<'_> {
    pub(super) fn text(&self, key: &str, faults: &mut Faults) -> Option<At<String>> {
        text(&self.path(key), self.get(key)?, faults)
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &str, faults: &mut Faults) -> Vec<At<String>> {
        self.get(key).map_or(vec![], |node| texts(&self.path(key), node, false, faults))
    }

    /// A text or a list of texts.
    pub(super) fn one_or_more(&self, key: &str, faults: &mut Faults) -> Vec<At<String>> {
        self.get(key).map_or(vec![], |node| texts(&self.path(key), node, true, faults))
    }

    /// `true` or `false`; in the environment, where all is text, the word.
    pub(super) fn flag(&self, key: &str, faults: &mut Faults) -> Option<bool> {
        let node = self.get(key)?;
        let remedy = match (&node.value, &node.place) {
            (Value::Bool(flag), _) => return Some(*flag),
            (Value::Text(text), Place::Environment(_)) => match text.as_str() {
                "true" => return Some(true),
                "false" => return Some(false),
                _ => "",
            },
            (Value::Text(text), _) if matches!(text.as_str(), "true" | "false") => "write it without quotes",
            _ => "",
        };
        unexpected(&self.path(key), node, "`true` or `false`", remedy, faults);
        None
    }

    /// A finite number.
    pub(super) fn number(&self, key: &str, faults: &mut Faults) -> Option<At<f64>> {
        let node = self.get(key)?;
        match node.value {
            #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 a bound or a scale has no more digits either")]
            Value::Int(int) => Some(At::new(int as f64, node.place.clone())),
            Value::Float(float) if float.is_finite() => Some(At::new(float, node.place.clone())),
            Value::Float(_) => {
                faults.push(Fault::new(&node.place, self.path(key), "must be a finite number", ""));
                None
            }
            _ => {
                let is_number = matches!(&node.value, Value::Text(text) if text.trim().parse::<f64>().is_ok());
                let remedy = if is_number { "write it without quotes" } else { "" };
                unexpected(&self.path(key), node, "a number", remedy, faults);
                None
            }
        }
    }

    /// A whole number in a range; in the environment, where all is text, its digits.
    pub(super) fn whole(
        &self,
        key: &str,
        range: std::ops::RangeInclusive<i64>,
        faults: &mut Faults,
    ) -> Option<At<i64>> {
        let node = self.get(key)?;
        let found = match (&node.value, &node.place) {
            (Value::Int(int), _) => Some(*int),
            (Value::Text(text), Place::Environment(_)) => text.parse().ok(),
            _ => None,
        };
        if let Some(int) = found.filter(|int| range.contains(int)) {
            return Some(At::new(int, node.place.clone()));
        }
        let what = format!("must be a whole number from {} to {}", range.start(), range.end());
        let is_whole = matches!(&node.value, Value::Text(text) if text.trim().parse::<i64>().is_ok());
        let remedy = if is_whole { "write it without quotes" } else { "" };
        let remedy = if let Place::Environment(_) = node.place { "" } else { remedy };
        faults.push(Fault::new(&node.place, self.path(key), what, remedy));
        None
    }

    /// One of a closed set of words. `key` is also the name under which later words are listed.
    pub(super) fn choice<T: Clone>(&self, key: &str, words: &[(&str, T)], faults: &mut Faults) -> Option<At<T>> {
        choice(&self.path(key), key, self.get(key)?, words, faults)
    }

    /// A duration within bounds.
    pub(super) fn duration(
        &self,
        key: &str,
        (least, most): (Duration, Duration),
        faults: &mut Faults,
    ) -> Option<At<Duration>> {
        let node = self.get(key)?;
        let path = self.path(key);
        let example = "a number and its unit: `\"500ms\"`, `\"5s\"`, `\"10m\"`, `\"2h\"`, `\"7d\"`";
        let Value::Text(text) = &node.value else {
            let remedy = if let Value::Int(int) = node.value { format!("write `\"{int}s\"`") } else { String::new() };
            unexpected(&path, node, "a duration", &remedy, faults);
            return None;
        };
        match units::duration(text) {
            Some(duration) if duration < least || duration > most => {
                let (least, most) = (units::write_duration(least), units::write_duration(most));
                faults.push(Fault::new(&node.place, path, format!("must be from `{least}` to `{most}`"), ""));
                None
            }
            Some(duration) => Some(At::new(duration, node.place.clone())),
            None => {
                faults.push(Fault::new(&node.place, path, "not a duration", format!("write {example}")));
                None
            }
        }
    }

    /// A size in bytes within bounds.
    pub(super) fn size(&self, key: &str, (least, most): (u64, u64), faults: &mut Faults) -> Option<At<u64>> {
        let node = self.get(key)?;
        let path = self.path(key);
        let Value::Text(text) = &node.value else {
            let remedy = if let Value::Int(int) = node.value { format!("write `\"{int}B\"`") } else { String::new() };
            unexpected(&path, node, "a size", &remedy, faults);
            return None;
        };
        match units::size(text) {
            Some(bytes) if bytes < least || bytes > most => {
                faults.push(Fault::new(&node.place, path, format!("must be from {least} to {most} bytes"), ""));
                None
            }
            Some(bytes) => Some(At::new(bytes, node.place.clone())),
            None => {
                let remedy = "write a whole number and its unit: `\"512B\"`, `\"64KiB\"`, `\"1MiB\"`";
                faults.push(Fault::new(&node.place, path, "not a size", remedy));
                None
            }
        }
    }
}

fn suggest_word(word: &str, known: &[&str]) -> String {
    match vocabulary::nearest(word, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write {}", vocabulary::list(known)),
    }
}

/// A scalar as TOML writes it.
pub(super) fn word(node: &Node) -> Option<At<Word>> {
    let word = match &node.value {
        Value::Text(text) => Word::Text(text.clone()),
        Value::Int(int) => Word::Int(*int),
        Value::Float(float) if float.is_finite() => Word::Float(*float),
        Value::Bool(flag) => Word::Bool(*flag),
        Value::Float(_) | Value::Moment(_) | Value::List(_) | Value::Table(_) => return None,
    };
    Some(At::new(word, node.place.clone()))
}
