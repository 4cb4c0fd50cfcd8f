//! `others = "json"`: the row as it was sent, without what the mapping has taken from it.

use super::cursor::Cursor;
use super::taken::{self, Part, Taken};
use super::{Walk, is_one_of};
use crate::mapping::document::Doc;
use crate::mapping::value::json::unstorable;

/// What is left of a place.
#[derive(Clone, Copy)]
struct Left {
    /// There is a value in it: a scalar other than `null`.
    some: bool,
    /// Nothing was taken from it.
    whole: bool,
}

impl Left {
    const NOTHING: Self = Self { some: false, whole: false };
    /// An object or array before its parts are looked at.
    const EMPTY: Self = Self { some: false, whole: true };

    /// What holds no value stays as it was sent; what the mapping has emptied does not.
    fn stays(self) -> bool {
        self.some || self.whole
    }

    fn add(&mut self, part: Self) {
        self.some |= part.some;
        self.whole &= part.whole;
    }
}

impl<'w> Walk<'w> {
    pub(super) fn json_of(&mut self, row: &Doc<'_>, taken: &[&'w Taken]) {
        let mut json = String::new();
        if self.write_doc(row, taken, &mut json).some {
            self.keep(json);
        }
    }

    pub(super) fn json_of_pivot(&mut self, name: &str, value: &Doc<'_>, taken: &'w Taken) {
        let mut json = format!("{{{}:", quoted(name));
        let mut left = Left::NOTHING;
        self.part(Part::Key(name), &[taken], |walk, taken| left = walk.write_doc(value, taken, &mut json));
        if left.some {
            json.push('}');
            self.keep(json);
        }
    }

    fn keep(&mut self, json: String) {
        match unstorable(&json) {
            None => self.found.json = Some(json.into()),
            Some(what) => self.found.drop(|| format!("the rest of the row is {what}")),
        }
    }

    /// Writes what is left of `doc`.
    fn write_doc(&mut self, doc: &Doc<'_>, taken: &[&'w Taken], out: &mut String) -> Left {
        let doc = doc.itself();
        if let Some(json) = doc.json() {
            return self.write(&mut Cursor::new(json), taken, out);
        }
        match doc {
            Doc::Object { members, .. } => {
                let mut list = List::open('{', out);
                let by_position = self.by_position(doc.items(), taken);
                for (key, doc) in members.iter().filter(|(_, doc)| !is_one_of(doc, &by_position)) {
                    let start = list.begin(out);
                    out.push_str(&quoted(key));
                    out.push(':');
                    let mut left = Left::NOTHING;
                    self.part(Part::Key(key), taken, |walk, taken| left = walk.write_doc(doc, taken, out));
                    list.end(start, left, out);
                }
                list.close('}', out)
            }
            Doc::Array { items, .. } => {
                let mut list = List::open('[', out);
                for (index, doc) in items {
                    let start = list.begin(out);
                    let mut left = Left::NOTHING;
                    self.part(Part::Index(*index), taken, |walk, taken| left = walk.write_doc(doc, taken, out));
                    list.end_element(start, left, out);
                }
                list.close(']', out)
            }
            Doc::Text(_) if self.is_removed() => Left::NOTHING,
            Doc::Text(text) => {
                out.push_str(&quoted(text));
                Left { some: !text.trim().is_empty(), whole: true }
            }
            Doc::Json(_) | Doc::Alone(_) | Doc::Other => Left::NOTHING,
        }
    }

    fn write(&mut self, cursor: &mut Cursor<'_>, taken: &[&'w Taken], out: &mut String) -> Left {
        let removes = !self.others.removed.is_empty();
        if taken.is_empty() && !removes {
            let (json, some) = cursor.value();
            out.push_str(json);
            return Left { some, whole: true };
        }
        if cursor.opens('{') {
            let mut list = List::open('{', out);
            while let Some((raw, key)) = cursor.both_keys() {
                let start = list.begin(out);
                out.push_str(raw);
                out.push(':');
                let left = self.write_part(cursor, Part::Key(&key), taken, out);
                list.end(start, left, out);
            }
            return list.close('}', out);
        }
        if cursor.opens('[') {
            let mut list = List::open('[', out);
            let mut index = 0;
            while cursor.has_element() {
                let start = list.begin(out);
                let left = self.write_part(cursor, Part::Index(index), taken, out);
                list.end_element(start, left, out);
                index += 1;
            }
            return list.close(']', out);
        }
        let scalar = cursor.scalar();
        if removes && self.is_removed() {
            return Left::NOTHING;
        }
        out.push_str(scalar);
        Left { some: scalar != "null", whole: true }
    }

    fn write_part(&mut self, cursor: &mut Cursor<'_>, part: Part<'_>, taken: &[&'w Taken], out: &mut String) -> Left {
        let place = cursor.place();
        let Some(below) = taken::below(taken, part, self.captures) else {
            cursor.pass(place);
            return Left::NOTHING;
        };
        let length = self.enter(part);
        let left = self.write(cursor, &below, out);
        self.name.truncate(length);
        left
    }

    fn is_removed(&self) -> bool {
        self.others.removed.iter().any(|removed| **removed == *self.name)
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Members or elements as they are written, with commas between those that stay.
struct List {
    is_first: bool,
    left: Left,
}

impl List {
    fn open(bracket: char, out: &mut String) -> Self {
        out.push(bracket);
        Self { is_first: true, left: Left::EMPTY }
    }

    /// Where the next part begins.
    fn begin(&self, out: &mut String) -> usize {
        let start = out.len();
        if !self.is_first {
            out.push(',');
        }
        start
    }

    fn end(&mut self, start: usize, left: Left, out: &mut String) {
        self.left.add(left);
        if left.stays() {
            self.is_first = false;
        } else {
            out.truncate(start);
        }
    }

    /// In the place of an element that is taken stands `null`, so that the others keep their positions.
    fn end_element(&mut self, start: usize, left: Left, out: &mut String) {
        self.left.add(left);
        if !left.stays() {
            out.truncate(start);
            out.push_str(if self.is_first { "null" } else { ",null" });
        }
        self.is_first = false;
    }

    fn close(self, bracket: char, out: &mut String) -> Left {
        out.push(bracket);
        self.left
    }
}
