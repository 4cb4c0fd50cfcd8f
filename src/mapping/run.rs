//! One mapping on one message: rows found, conditions held, fields read, or the reason why not.
//!
//! `map` and `explain` run this same code; a `Watch` that does not look costs nothing.

mod join;
mod places;
mod row;
mod sources;

use std::borrow::Cow;
use std::sync::Arc;

use super::compiled::{Compiled, Located, Subject};
use super::document::Doc;
use super::explain::Part;
use super::inside::Found;
use super::path::{Step, descend};
use super::pattern::{Captures, Pattern};
use crate::message::Message;
use crate::row::{Dropped, Reason, Row};

pub(super) use places::shown_key;

/// Elements that one message may bring to one mapping; a device sends some dozens.
pub(super) const MAX_ROWS: usize = 10_000;
/// Bytes of all rows that one message may bring: a path from the root gives each row its value once more, so that rows may
/// be ten thousand times larger than their payload. Every value is held some three times on its way into the store.
pub(super) const MAX_ROW_BYTES: usize = 8 << 20;
/// Tag values are indexed, and PostgreSQL's index takes 2,704 bytes for all of a series.
pub(super) const MAX_TAG_BYTES: usize = 255;
/// What values that no field names are counted under.
const OTHERS: &str = "others";
/// Details beyond these are counted, not written out: they would weigh more than the message.
const MAX_DETAILS: usize = 100;
/// Rows that an explanation compares with what is wanted.
const MAX_COMPARED: usize = 1_000;

/// What one mapping made of a message.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Whether `when` held for a row, or there is no `when`.
    pub taken: bool,
    pub rows: Vec<Row>,
    /// About what the rows weigh.
    pub bytes: usize,
    pub refusals: Vec<Refusal>,
    pub dropped: Vec<Dropped>,
    /// For people, where it was not taken: the condition that did not hold for the row that is most likely meant.
    pub unmet: Option<Unmet>,
    /// For people: the names that came under a pivot with a value.
    pub names: Vec<Box<str>>,
    /// For people: what could not be read, with the detail that is told of it, and its place in the payload.
    pub failures: Vec<(Part, String, Option<String>)>,
    /// For people: whether `rows` led anywhere.
    pub found_rows: bool,
    /// Values that no field names and no column can have; and why the first of them.
    pub others_dropped: (u64, String),
}

/// A condition that did not hold for a row, and how far from meant the row is.
#[derive(Debug)]
pub(super) struct Unmet {
    pub detail: String,
    far: (bool, usize),
}

/// Rows that could not be made, for one reason.
#[derive(Debug)]
pub(super) struct Refusal {
    pub reason: Reason,
    /// Of the first.
    pub detail: String,
    pub rows: usize,
}

impl Made {
    /// Forgets the rows and all that was said of them, because there are too many.
    fn clear(&mut self) {
        self.rows.clear();
        self.bytes = 0;
        self.dropped.clear();
        self.refusals.clear();
        self.others_dropped = Default::default();
    }

    pub fn refuse(&mut self, reason: Reason, detail: impl FnOnce() -> String) {
        match self.refusals.iter_mut().find(|refusal| refusal.reason == reason) {
            Some(refusal) => refusal.rows += 1,
            None => self.refusals.push(Refusal { reason, detail: detail(), rows: 1 }),
        }
    }
}

/// A step that was taken, for reports.
#[derive(Clone, Copy)]
enum Taken<'r> {
    Key(&'r str),
    Index(usize),
    Zipped(usize),
    Inside,
}

/// The state of a run.
pub(super) struct Run<'r, 'm> {
    mapping: &'r Compiled,
    message: &'m Message,
    captures: Captures<'r>,
    /// The places on the way from the root to the row.
    trail: Vec<&'r Doc<'m>>,
    taken: Vec<Taken<'r>>,
    alternative: usize,
    elements: usize,
    /// What is read inside the payload, and how many bytes that is.
    found: &'r Found<'m>,
    read_bytes: usize,
    /// Bytes that the rows may have.
    room: usize,
    explain: bool,
    made: Made,
}

/// Why a row can have no time, or not its tags.
struct Refused<'r> {
    part: Part,
    reason: Reason,
    detail: String,
    /// Where it was read, if it was.
    located: Option<&'r Located>,
}

/// Why a walk ends early.
enum Stop {
    /// More elements than `MAX_ROWS`.
    Rows,
    /// Rows that are larger together than there is room for.
    Weight,
    /// More bytes inside than may be read; it is said already.
    Inside,
}

impl<'r, 'm> Run<'r, 'm> {
    pub fn new(
        mapping: &'r Compiled,
        message: &'m Message,
        captures: Captures<'r>,
        found: &'r Found<'m>,
        room: usize,
        explain: bool,
    ) -> Self {
        let made = Made { taken: mapping.when.is_empty(), ..Made::default() };
        Self {
            mapping,
            message,
            captures,
            trail: Vec::new(),
            taken: Vec::new(),
            alternative: 0,
            elements: 0,
            found,
            read_bytes: 0,
            room,
            explain,
            made,
        }
    }

    /// Whether the conditions on captures hold, where nothing more is known because the payload cannot be read.
    pub fn may_be_taken(&self) -> bool {
        self.mapping.when.iter().all(|when| match when.subject {
            Subject::Capture(slot) => match self.captures[slot].as_deref() {
                // A capture of `rows`, which would have come from the payload.
                None => true,
                Some(text) => when.values.is_empty() || when.values.iter().any(|wanted| wanted.is(text)),
            },
            Subject::Path(_) => true,
        })
    }

    /// Maps the payload that was read to `root`.
    pub fn map(mut self, root: &'r Doc<'m>) -> Made {
        let mapping = self.mapping;
        for (alternative, rows) in mapping.rows.iter().enumerate() {
            self.alternative = alternative;
            self.elements = 0;
            self.trail.clear();
            self.trail.push(root);
            self.taken.clear();
            self.read_bytes = 0;
            match self.walk(&rows.steps, root) {
                Ok(()) | Err(Stop::Inside) => {}
                Err(Stop::Rows) => {
                    self.made.clear();
                    let detail = || format!("more than {MAX_ROWS} rows in `rows` `{}`", rows.text);
                    self.made.refuse(Reason::TooManyRows, detail);
                }
                Err(Stop::Weight) => {
                    let count = self.made.rows.len();
                    self.made.clear();
                    let detail = || {
                        format!(
                            "the first {count} rows of `rows` `{}` fill the {} MiB that the rows of one message may have: \
                             a long value that each of them repeats belongs into a mapping of its own",
                            rows.text,
                            MAX_ROW_BYTES >> 20
                        )
                    };
                    self.made.refuse(Reason::TooLarge, detail);
                }
            }
            if !self.made.rows.is_empty() || !self.made.refusals.is_empty() {
                break;
            }
        }
        if mapping.pivot.is_some() {
            join::join_rows(&mut self.made.rows, mapping);
        }
        let (count, detail) = std::mem::take(&mut self.made.others_dropped);
        if count > 0 {
            let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
            let (mapping, field) = (Arc::clone(&mapping.name), Arc::from(OTHERS));
            self.made.dropped.push(Dropped { mapping, field, detail: format!("others: {detail}{more}"), count });
        }
        self.made
    }

    fn walk(&mut self, steps: &'r [Step], doc: &'r Doc<'m>) -> Result<(), Stop> {
        let Some((step, rest)) = steps.split_first() else {
            self.elements += 1;
            self.made.found_rows = true;
            if self.elements > MAX_ROWS {
                return Err(Stop::Rows);
            }
            self.row(doc);
            // One row is as large as its payload, which has its own bound.
            let too_heavy = self.made.bytes > self.room && self.made.rows.len() > 1;
            return if too_heavy { Err(Stop::Weight) } else { Ok(()) };
        };
        match (step, doc.itself()) {
            (Step::Each(slot), _) if matches!(doc, Doc::Alone(_)) => {
                let Some(child) = doc.item(0) else { return Ok(()) };
                if let Some(slot) = slot {
                    self.captures[*slot] = Some(Cow::Borrowed("0"));
                }
                let result = self.down(Taken::Index(0), child, rest);
                if let Some(slot) = slot {
                    self.captures[*slot] = None;
                }
                result
            }
            (Step::Members(pattern), Doc::Object { members, .. }) => {
                for (key, child) in members {
                    let captures = &mut self.captures;
                    if pattern.matches(key, |slot, text| captures[slot] = Some(Cow::Borrowed(text))) {
                        self.down(Taken::Key(key), child, rest)?;
                    }
                }
                for slot in pattern.slots() {
                    self.captures[slot] = None;
                }
                Ok(())
            }
            (Step::CaughtKey(pattern), Doc::Object { members, .. })
                if pattern.slots().any(|slot| self.captures[slot].is_none()) =>
            {
                self.walk_uncaught(pattern, members, rest)
            }
            (Step::Each(slot), doc @ (Doc::Array { .. } | Doc::Object { .. })) => {
                for (index, child) in doc.items() {
                    if let Some(slot) = slot {
                        self.captures[*slot] = Some(Cow::Owned(index.to_string()));
                    }
                    self.down(Taken::Index(*index), child, rest)?;
                }
                if let Some(slot) = slot {
                    self.captures[*slot] = None;
                }
                Ok(())
            }
            (Step::Zip(slot), Doc::Object { members, .. }) => {
                for index in 0..longest(members) {
                    self.captures[*slot] = Some(Cow::Owned(index.to_string()));
                    self.down(Taken::Zipped(index), doc, rest)?;
                }
                self.captures[*slot] = None;
                Ok(())
            }
            (Step::Inside, _) => self.inside(doc, rest),
            (Step::Members(_) | Step::Each(_) | Step::Zip(_), _) => Ok(()),
            (Step::Key(_) | Step::CaughtKey(_) | Step::Index(_) | Step::CaughtIndex(_), _) => {
                match descend(doc, std::slice::from_ref(step), &self.captures) {
                    Some(child) => {
                        let taken = match step {
                            Step::Index(index) => Taken::Index(*index),
                            Step::Key(key) => Taken::Key(key),
                            _ => Taken::Key("{…}"),
                        };
                        self.down(taken, child, rest)
                    }
                    None => Ok(()),
                }
            }
        }
    }

    /// A capture that the message's topic lacks is caught here, so that one mapping reads `status/relay:0` and
    /// `{"relay:0": …}`.
    fn walk_uncaught(
        &mut self,
        pattern: &'r Pattern,
        members: &'r [(Cow<'m, str>, Doc<'m>)],
        rest: &'r [Step],
    ) -> Result<(), Stop> {
        let before = self.captures.clone();
        for (key, child) in members {
            let captures = &mut self.captures;
            let mut agrees = true;
            let fits = pattern.matches(key, |slot, text| match &before[slot] {
                Some(caught) => agrees &= caught == text,
                None => captures[slot] = Some(Cow::Borrowed(text)),
            });
            if fits && agrees {
                self.down(Taken::Key(key), child, rest)?;
            }
        }
        self.captures = before;
        Ok(())
    }

    /// Goes on in the payload that stands at `doc` as a text.
    fn inside(&mut self, doc: &'r Doc<'m>, rest: &'r [Step]) -> Result<(), Stop> {
        let Some(inside) = self.found.inside else { return Ok(()) };
        match inside.read(doc, self.found, &mut self.read_bytes) {
            Ok(Some(child)) => self.down(Taken::Inside, child, rest),
            Ok(None) => Ok(()),
            Err(unreadable) => {
                if self.may_be_taken() {
                    self.made.taken = true;
                    let place = format!("{} > $", self.row_place());
                    self.made.refuse(unreadable.reason, || format!("the payload at `{place}` {}", unreadable.detail));
                }
                match unreadable.reason {
                    Reason::TooLarge => Err(Stop::Inside),
                    _ => Ok(()),
                }
            }
        }
    }

    fn down(&mut self, taken: Taken<'r>, child: &'r Doc<'m>, rest: &'r [Step]) -> Result<(), Stop> {
        self.trail.push(child);
        self.taken.push(taken);
        let result = self.walk(rest, child);
        self.trail.pop();
        self.taken.pop();
        result
    }
}

/// The length of the longest array among `members`.
fn longest(members: &[(Cow<'_, str>, Doc<'_>)]) -> usize {
    let length = |doc: &Doc<'_>| match doc {
        Doc::Alone(_) => 1,
        Doc::Array { items, .. } => items.last().map_or(0, |(index, _)| index + 1),
        Doc::Json(_) | Doc::Text(_) | Doc::Object { .. } | Doc::Other => 0,
    };
    members.iter().map(|(_, doc)| length(doc)).max().unwrap_or(0)
}
