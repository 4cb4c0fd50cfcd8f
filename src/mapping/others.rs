//! `others`: the scalars of a row that no path of the mapping leads to, as columns of their own or as one JSON text.
//!
//! A row is read again from its JSON text, in one pass and without a tree; mappings without `others` keep no such
//! text and pay nothing. Devices choose these names, so that every one is checked and every number of them bounded:
//! what cannot be a column is counted, and no name of a device gets into a label or, uncut, into a report.

mod cursor;
mod rest;
mod taken;

use std::borrow::Cow;

use heck::ToSnakeCase as _;

use self::cursor::Cursor;
use super::document::Doc;
use super::names;
use super::number;
use super::pattern::Captures;
use super::value::Scalar;
use super::words::{Word, is_missing};
use crate::row::Value;

pub(super) use taken::{Part, Taken};

/// Others of one row that become columns; what comes behind them is counted as dropped.
pub(super) const MAX_OTHERS: usize = 200;
/// Elements of one array that become columns: three phases, four probes, the parts of a colour.
const MAX_ELEMENTS: usize = 8;

/// `others = "add"` or `"json"`, ready to run.
#[derive(Debug)]
pub(super) struct Others {
    pub shape: Shape,
    /// For each alternative of `rows`, or once under a pivot: what the mapping's paths lead to.
    pub taken: Vec<Taken>,
    /// `x = false`: names of columns that are not wanted.
    pub removed: Vec<Box<str>>,
    /// The format knows texts alone, so that what looks like a number is one.
    pub untyped: bool,
    /// Words for "no value", besides those that every number knows.
    pub missing: Vec<Word>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A column for each.
    Columns,
    /// All in one JSON object.
    Json,
}

/// The others of one row.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    /// By name, ascending; each once.
    pub columns: Vec<(Box<str>, Value)>,
    pub json: Option<Box<str>>,
    /// Values that no column can have.
    pub dropped: u64,
    /// Of the first of them, for people.
    pub detail: Option<String>,
}

impl Found {
    fn drop(&mut self, why: impl FnOnce() -> String) {
        self.dropped += 1;
        self.detail.get_or_insert_with(why);
    }
}

impl Others {
    /// The others of `row`, which the alternative of this number has given. `is_free`: whether a column may have this
    /// name; tags and listed fields have theirs already.
    pub fn of_row(
        &self,
        row: &Doc<'_>,
        alternative: usize,
        captures: &Captures<'_>,
        is_free: impl Fn(&str) -> bool,
    ) -> Found {
        let taken = &self.taken[alternative];
        // A row that is one value has no parts, and no name for itself.
        if row.is_scalar() {
            return Found::default();
        }
        self.collect(captures, &is_free, |walk| match walk.others.shape {
            Shape::Columns => walk.doc(row, &[taken]),
            Shape::Json => walk.json_of(row, &[taken]),
        })
    }

    /// The same under a pivot: `{ name: value }` is the row.
    pub fn of_pivot(
        &self,
        name: &str,
        value: &Doc<'_>,
        captures: &Captures<'_>,
        is_free: impl Fn(&str) -> bool,
    ) -> Found {
        let taken = &self.taken[0];
        self.collect(captures, &is_free, |walk| match walk.others.shape {
            Shape::Columns => walk.part(Part::Key(name), &[taken], |walk, taken| walk.doc(value, taken)),
            Shape::Json => walk.json_of_pivot(name, value, taken),
        })
    }

    fn collect<'w>(
        &'w self,
        captures: &'w Captures<'w>,
        is_free: &'w dyn Fn(&str) -> bool,
        read: impl FnOnce(&mut Walk<'w>),
    ) -> Found {
        let mut walk =
            Walk { others: self, captures, is_free, name: String::new(), looked_at: 0, found: Found::default() };
        read(&mut walk);
        let mut found = walk.found;
        // Stable, so that of two with one name the first counts.
        found.columns.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut twins = None;
        let before = found.columns.len();
        found.columns.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same && twins.is_none() {
                twins = Some(first.0.clone());
            }
            same
        });
        if let Some(name) = twins {
            found.dropped += (before - found.columns.len()) as u64;
            found.detail.get_or_insert_with(|| format!("another value is called `{name}` already"));
        }
        found
    }
}

/// A walk through one row.
struct Walk<'w> {
    others: &'w Others,
    captures: &'w Captures<'w>,
    is_free: &'w dyn Fn(&str) -> bool,
    /// Of the place where the walk is, as a column would be called.
    name: String,
    looked_at: usize,
    found: Found,
}

impl<'w> Walk<'w> {
    /// Goes to a member or an element, unless a path of the mapping leads there.
    fn part(&mut self, part: Part<'_>, taken: &[&'w Taken], below: impl FnOnce(&mut Self, &[&'w Taken])) {
        if let Some(taken) = taken::below(taken, part, self.captures) {
            let length = self.enter(part);
            below(self, &taken);
            self.name.truncate(length);
        }
    }

    /// Adds a part to the name; gives the length before.
    fn enter(&mut self, part: Part<'_>) -> usize {
        let length = self.name.len();
        // No column has a longer name, and beyond the bound only the number matters.
        if length <= names::MAX_BYTES && self.looked_at <= MAX_OTHERS {
            let word = match part {
                Part::Key(key) => key.to_snake_case(),
                Part::Index(index) => index.to_string(),
            };
            if length > 0 && !word.is_empty() {
                self.name.push('_');
            }
            self.name.push_str(&word);
        }
        length
    }

    fn doc(&mut self, doc: &Doc<'_>, taken: &[&'w Taken]) {
        let doc = doc.itself();
        if let Some(json) = doc.json() {
            return self.json(&mut Cursor::new(json), taken);
        }
        // Formats without types give no JSON: texts, and what looks like a number is one.
        match doc {
            Doc::Object { members, .. } => {
                let by_position = self.by_position(doc.items(), taken);
                for (key, doc) in members.iter().filter(|(_, doc)| !is_one_of(doc, &by_position)) {
                    self.part(Part::Key(key), taken, |walk, taken| walk.doc(doc, taken));
                }
            }
            Doc::Array { items, .. } => {
                for (index, doc) in items {
                    if *index < MAX_ELEMENTS {
                        self.part(Part::Index(*index), taken, |walk, taken| walk.doc(doc, taken));
                    } else if !matches!(doc, Doc::Text(text) if self.is_absent(&Scalar::Text(Cow::Borrowed(text)))) {
                        self.beyond(*index, taken);
                    }
                }
            }
            Doc::Text(text) => self.untyped(text),
            Doc::Json(_) | Doc::Alone(_) | Doc::Other => {}
        }
    }

    fn json(&mut self, cursor: &mut Cursor<'_>, taken: &[&'w Taken]) {
        if cursor.opens('{') {
            while let Some(key) = cursor.key() {
                let start = cursor.place();
                self.part(Part::Key(&key), taken, |walk, taken| walk.json(cursor, taken));
                cursor.pass(start);
            }
        } else if cursor.opens('[') {
            let mut index = 0;
            while cursor.has_element() {
                let start = cursor.place();
                if index < MAX_ELEMENTS {
                    self.part(Part::Index(index), taken, |walk, taken| walk.json(cursor, taken));
                    cursor.pass(start);
                } else {
                    let (element, some) = cursor.value();
                    if some && !self.is_absent_scalar(element) {
                        self.beyond(index, taken);
                    }
                }
                index += 1;
            }
        } else {
            match Scalar::of(&Doc::Json(cursor.scalar())) {
                Scalar::Text(text) if self.others.untyped => self.untyped(&text),
                scalar => self.scalar(&scalar),
            }
        }
    }

    /// The parts that a path of the mapping finds by their position; they may have names, too.
    fn by_position<'d, 'p>(&self, items: &'d [(usize, Doc<'p>)], taken: &[&'w Taken]) -> Vec<&'d Doc<'p>> {
        let is_taken = |index: usize| taken::below(taken, Part::Index(index), self.captures).is_none();
        items.iter().filter(|(index, _)| is_taken(*index)).map(|(_, doc)| doc).collect()
    }

    /// Counts an element that has a value and can have no column.
    fn beyond(&mut self, index: usize, taken: &[&'w Taken]) {
        if taken::below(taken, Part::Index(index), self.captures).is_some() {
            let name = &self.name;
            self.found.dropped += 1;
            self.found
                .detail
                .get_or_insert_with(|| format!("the array `{name}` has more than {MAX_ELEMENTS} elements"));
        }
    }

    fn untyped(&mut self, text: &str) {
        match number::is_number(text.trim()) {
            true => self.scalar(&Scalar::Number(text.trim())),
            false => self.scalar(&Scalar::Text(Cow::Borrowed(text))),
        }
    }

    fn scalar(&mut self, scalar: &Scalar<'_>) {
        if self.is_absent(scalar) {
            return;
        }
        self.looked_at += 1;
        if self.looked_at > MAX_OTHERS {
            return self.found.drop(|| format!("there are more than {MAX_OTHERS} other values in a row"));
        }
        let name = self.name.as_str();
        if self.others.removed.iter().any(|removed| **removed == *name) {
            return;
        }
        if !names::is_column(name) {
            return self.found.drop(|| format!("no column can be called `{}`", shown(name)));
        }
        if !(self.is_free)(name) {
            return self.found.drop(|| format!("`{name}` is another field or tag"));
        }
        let value = match scalar {
            Scalar::Bool(value) => Ok(Value::Bool(*value)),
            Scalar::Number(digits) => match digits.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Value::Float(number)),
                Ok(_) | Err(_) => Err("a number beyond the range of a float"),
            },
            Scalar::Text(text) if text.contains('\0') => Err("a text with a NUL character"),
            Scalar::Text(text) => Ok(Value::Text(text.as_ref().into())),
            Scalar::Broken => Err("a text with a lone surrogate"),
            Scalar::Null | Scalar::Composite(_) => return,
        };
        match value {
            Ok(value) => self.found.columns.push((name.into(), value)),
            Err(what) => self.found.drop(|| format!("`{name}` got {what}")),
        }
    }

    fn is_absent_scalar(&self, json: &str) -> bool {
        !json.starts_with(['{', '[']) && self.is_absent(&Scalar::of(&Doc::Json(json)))
    }

    fn is_absent(&self, scalar: &Scalar<'_>) -> bool {
        match scalar.text() {
            None => *scalar != Scalar::Broken,
            Some(text) => {
                let text = text.trim();
                text.is_empty() || is_missing(text) || self.others.missing.iter().any(|word| word.is(text))
            }
        }
    }
}

/// Whether `doc` is the same piece of the payload as one of `others`. Pieces with quotes in them are copies, and compared
/// by their text.
fn is_one_of(doc: &Doc<'_>, others: &[&Doc<'_>]) -> bool {
    others.iter().any(|other| match (doc, other) {
        (Doc::Text(Cow::Borrowed(one)), Doc::Text(Cow::Borrowed(other))) => std::ptr::eq(*one, *other),
        (Doc::Text(Cow::Owned(one)), Doc::Text(Cow::Owned(other))) => one == other,
        _ => false,
    })
}

/// A name that is none, for a report.
fn shown(name: &str) -> &str {
    name.char_indices().nth(names::MAX_BYTES).map_or(name, |(at, _)| &name[..at])
}
