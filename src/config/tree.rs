//! A TOML file as a tree in the order of the file, every key and value with its place.
//!
//! `toml` keeps tables sorted by key and places as byte ranges; columns and panels want the order as written,
//! and people want lines and columns. Whatever cannot be a value is reported here and left out of the tree.

use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::Faults;
use super::vocabulary;
use crate::fault::{At, Fault, Place};

/// A value with the place where it begins.
#[derive(Clone)]
pub(super) struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Clone)]
pub(super) enum Value {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// A date or time that TOML knows, as RFC 3339 writes it.
    Moment(String),
    List(Vec<Node>),
    Table(Table),
}

impl Value {
    /// What a person calls it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Float(float) if !float.is_finite() => "an infinite number or none",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Bool(_) => "a truth value",
            Self::Moment(_) => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

#[derive(Clone)]
pub(super) struct Entry {
    pub key: At<String>,
    pub node: Node,
}

/// Entries in the order of the file; no key twice.
#[derive(Clone, Default)]
pub(super) struct Table {
    pub entries: Vec<Entry>,
    /// Written in braces, so that no later line can slip into it.
    pub inline: bool,
}

impl Table {
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key.value == key)
    }

    /// At the top of a file: the section `name` (`store`, `store.timescale`), also under a misspelt name (which is reported as unknown), so that
    /// the rest of it is checked and nothing in it is called missing.
    pub(super) fn section(&self, name: &str) -> Option<&Entry> {
        if let Some((outer, inner)) = name.split_once('.') {
            let Value::Table(table) = &self.section(outer)?.node.value else { return None };
            return table.get(inner);
        }
        let misspelt = |entry: &&Entry| {
            let key = entry.key.value.as_str();
            !vocabulary::TOP.contains(&key) && vocabulary::nearest(key, vocabulary::TOP) == Some(name)
        };
        self.get(name).or_else(|| self.entries.iter().find(misspelt))
    }
}

/// Reads a file; faults of syntax go to `faults`, all of them.
pub(super) fn parse(file: &str, text: &str, faults: &mut Faults) -> Table {
    let source = Source::new(file, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let place = source.place(error.span().map_or(0, |span| span.start));
        let message = match error.message() {
            message if message.starts_with("string values must be quoted") => "a text must be in quotes",
            "duplicate key" => "the key is there already",
            message => message,
        };
        faults.syntax(Fault::new(&place, "", format!("not TOML: {message}"), ""));
    }
    source.table(table.get_ref(), false, faults)
}

struct Source<'t> {
    file: Arc<str>,
    text: &'t str,
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
}

impl<'t> Source<'t> {
    fn new(file: &str, text: &'t str) -> Self {
        let ends = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(index, _)| index + 1);
        Self { file: file.into(), text, lines: std::iter::once(0).chain(ends).collect() }
    }

    fn place(&self, byte: usize) -> Place {
        let line = self.lines.partition_point(|&start| start <= byte);
        let before = self.text.get(self.lines[line - 1]..byte).unwrap_or_default();
        let column = before.chars().filter(|&c| c != '\u{feff}').count() + 1;
        Place::File { file: self.file.clone(), line: count(line), column: count(column) }
    }

    fn table(&self, table: &DeTable<'_>, inline: bool, faults: &mut Faults) -> Table {
        let mut pairs: Vec<_> = table.iter().collect();
        pairs.sort_by_key(|(key, _)| key.span().start);
        let entry = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
            let key = At::new(key.get_ref().to_string(), self.place(key.span().start));
            let node = self.node(value, faults)?;
            Some(Entry { key, node })
        };
        Table { entries: pairs.into_iter().filter_map(entry).collect(), inline }
    }

    fn node(&self, value: &Spanned<DeValue<'_>>, faults: &mut Faults) -> Option<Node> {
        let start = value.span().start;
        let place = self.place(start);
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Boolean(flag) => Value::Bool(*flag),
            DeValue::Datetime(moment) => Value::Moment(moment.to_string()),
            DeValue::Integer(int) => match i64::from_str_radix(int.as_str(), int.radix()) {
                Ok(int) => Value::Int(int),
                Err(_) => {
                    faults.syntax(Fault::new(&place, "", "an integer beyond 64 bits", ""));
                    return None;
                }
            },
            DeValue::Float(float) => match float.as_str().parse() {
                Ok(float) => Value::Float(float),
                Err(_) => {
                    faults.syntax(Fault::new(&place, "", "not a number", ""));
                    return None;
                }
            },
            DeValue::Array(list) => Value::List(list.iter().filter_map(|node| self.node(node, faults)).collect()),
            DeValue::Table(table) => {
                let inline = self.text.get(start..).is_some_and(|text| text.starts_with('{'));
                Value::Table(self.table(table, inline, faults))
            }
        };
        Some(Node { place, value })
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
