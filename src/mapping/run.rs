//! One mapping on one message: rows found, conditions held, fields read, or the reason why not.
//!
//! `map` and `explain` run this same code; a `Watch` that does not look costs nothing.

mod join;
mod places;
mod sources;

use std::borrow::Cow;
use std::sync::Arc;

use super::compiled::{Compiled, Field, Layout, Located, Subject, Target};
use super::document::Doc;
use super::explain::Part;
use super::inside::Found;
use super::others::Found as OthersFound;
use super::path::{Step, descend};
use super::pattern::{Captures, Pattern};
use super::value::{Reading, Scalar};
use crate::message::Message;
use crate::row::{Dropped, Reason, Row, Value};
use crate::schema::Type;

pub(super) use places::shown_key;
use places::{far_from, wanted};

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

    /// Makes a row of `row`, or says why not.
    fn row(&mut self, row: &'r Doc<'m>) {
        if !self.holds(row) {
            return;
        }
        self.made.taken = true;
        let Some(layout) = self.layout() else { return };
        let mapping = self.mapping;
        let pivot = match &mapping.pivot {
            None => None,
            Some(pivot) => {
                let Some(name) = self.subject(&pivot.name, row) else { return };
                let Some(value) = self.locate(&pivot.value, row) else { return };
                if self.explain && self.made.names.len() < MAX_DETAILS && !self.made.names.iter().any(|n| **n == *name)
                {
                    self.made.names.push((*name).into());
                }
                Some((name, value))
            }
        };
        let mut fields = vec![None; layout.width];
        let mut some = false;
        let mut absent_required = None;
        let mut unreadable: Vec<(&Field, Option<&Located>, String)> = Vec::new();
        for (index, (field, slot)) in mapping.fields.iter().zip(&layout.fields).enumerate() {
            let (reading, located) = self.read(field, row, pivot.as_ref());
            match reading {
                Reading::Value(value) => {
                    fields[*slot] = Some(value);
                    some = true;
                }
                Reading::Absent => {
                    if field.required {
                        absent_required = absent_required.or(Some((index, field)));
                    }
                }
                Reading::Unreadable(what) => {
                    if self.explain {
                        let detail = self.detail(field, located, &what);
                        self.failed(Part::Field(index), &detail, located);
                    }
                    unreadable.push((field, located, what));
                }
                Reading::Unstorable(what) => {
                    let detail = self.detail(field, located, &what);
                    self.failed(Part::Field(index), &detail, located);
                    return self.made.refuse(Reason::Unstorable, || detail);
                }
                Reading::OutOfRange(what) => {
                    let detail = self.detail(field, located, &what);
                    self.failed(Part::Field(index), &detail, located);
                    return self.made.refuse(Reason::Field, || detail);
                }
            }
        }
        let mut others = self.others(layout, row, pivot.as_ref());
        if let Some(slot) = layout.others {
            fields[slot] = others.json.take().map(Value::Json);
        }
        some |= !others.columns.is_empty() || layout.others.is_some_and(|slot| fields[slot].is_some());
        if !some && unreadable.is_empty() && others.dropped > 0 && absent_required.is_none() {
            let detail = others.detail.unwrap_or_default();
            let more = if others.dropped > 1 { format!(" (and {} more)", others.dropped - 1) } else { String::new() };
            let at = self.at_row();
            return self.made.refuse(Reason::Field, || format!("no value can be a column{at}: {detail}{more}"));
        }
        if !some && unreadable.is_empty() {
            // A member that only happens to fit the pattern of `rows` is no row that lacks something.
            let found_by_name =
                mapping.rows[self.alternative].steps.iter().any(|step| matches!(step, Step::Members(_)));
            if absent_required.is_none() || found_by_name || mapping.pivot.is_some() {
                return;
            }
        }
        if let Some((field, located, what)) = unreadable.iter().find(|(field, ..)| field.required || !some) {
            let mut detail = self.detail(field, *located, what);
            if unreadable.len() > 1 && !some {
                detail.push_str(&format!(" (and {} more fields)", unreadable.len() - 1));
            }
            return self.made.refuse(Reason::Field, || detail);
        }
        if let Some((index, field)) = absent_required {
            let detail = format!("field `{}` is required and has no value{}", field.name, self.at_row());
            self.failed(Part::Field(index), &detail, field.paths.first());
            return self.made.refuse(Reason::Field, || detail);
        }
        let (time, time_source) = match self.time(row) {
            Ok(time) => time,
            Err(refused) => return self.refuse(refused),
        };
        let tags = match self.tags(layout, row) {
            Ok(tags) => tags,
            Err(refused) => return self.refuse(refused),
        };
        for (field, located, what) in unreadable {
            let detail =
                if self.made.dropped.len() < MAX_DETAILS { self.detail(field, located, &what) } else { String::new() };
            self.made.dropped.push(Dropped {
                mapping: Arc::clone(&mapping.name),
                field: Arc::clone(&field.name),
                detail,
                count: 1,
            });
        }
        if others.dropped > 0 {
            let (count, first) = &mut self.made.others_dropped;
            if *count == 0 {
                *first = others.detail.unwrap_or_default();
            }
            *count += others.dropped;
        }
        let row = Row {
            measurement: layout.measurement,
            mapping: Arc::clone(&mapping.name),
            time,
            time_source,
            tags,
            fields,
            others: others.columns,
        };
        self.made.bytes += row.bytes();
        self.made.rows.push(row);
    }

    fn refuse(&mut self, Refused { part, reason, detail, located }: Refused<'_>) {
        self.failed(part, &detail, located);
        self.made.refuse(reason, || detail);
    }

    /// What of `row`, or of the pivot, no path of the mapping leads to.
    fn others(&self, layout: &Layout, row: &'r Doc<'m>, pivot: Option<&(Cow<'r, str>, &'r Doc<'m>)>) -> OthersFound {
        let Some(others) = &self.mapping.others else { return OthersFound::default() };
        let is_free = |name: &str| !layout.reserved.contains(name);
        match pivot {
            Some((name, value)) => others.of_pivot(name, value, &self.captures, is_free),
            None => others.of_row(row, self.alternative, &self.captures, is_free),
        }
    }

    fn layout(&self) -> Option<&'r Layout> {
        match &self.mapping.target {
            Target::One(layout) => Some(layout),
            Target::Of(pattern, layouts) => layouts.get(&pattern.fill(&self.captures)?.to_lowercase()),
        }
    }

    /// Whether all conditions hold for `row`.
    fn holds(&mut self, row: &'r Doc<'m>) -> bool {
        let mapping = self.mapping;
        let unmet = mapping.when.iter().find(|when| match self.subject(&when.subject, row) {
            Some(text) => !when.values.is_empty() && !when.values.iter().any(|wanted| wanted.is(&text)),
            None => !when.values.is_empty() || !self.is_present(&when.subject, row),
        });
        let Some(unmet) = unmet else { return true };
        if self.explain && self.elements <= MAX_COMPARED {
            let text = self.subject(&unmet.subject, row);
            let distance = text.as_ref().map_or(usize::MAX, |text| far_from(text, &unmet.values));
            // `"Time"` beside `"BME280"` is no row that somebody means, where fields are members of it.
            let far = (row.is_scalar() && !self.mapping.takes_scalars, distance);
            if self.made.unmet.as_ref().is_none_or(|known| far < known.far) {
                let found = match text {
                    Some(text) => {
                        let shown: String = text.chars().take(100).collect();
                        format!("is {shown:?}{}", wanted(&text, &unmet.values))
                    }
                    None => "is not there".to_owned(),
                };
                let detail = format!("`when`: `{}` {found}{}", unmet.key, self.at_row());
                self.made.unmet = Some(Unmet { detail, far });
            }
        }
        false
    }

    /// Objects and arrays are present, though they have no text.
    fn is_present(&self, subject: &Subject, row: &'r Doc<'m>) -> bool {
        match subject {
            Subject::Capture(_) => false,
            Subject::Path(located) => self
                .locate(located, row)
                .is_some_and(|doc| matches!(Scalar::of(doc), Scalar::Composite(_) | Scalar::Broken)),
        }
    }

    /// The text of a capture, or of the scalar at a path.
    fn subject(&self, subject: &'r Subject, row: &'r Doc<'m>) -> Option<Cow<'r, str>> {
        match subject {
            Subject::Capture(slot) => self.captures[*slot].clone().filter(|text| !text.is_empty()),
            Subject::Path(located) => match Scalar::of(self.locate(located, row)?) {
                Scalar::Text(text) => Some(text),
                Scalar::Number(digits) => Some(Cow::Borrowed(digits)),
                Scalar::Bool(value) => Some(Cow::Borrowed(if value { "true" } else { "false" })),
                Scalar::Null | Scalar::Composite(_) | Scalar::Broken => None,
            },
        }
    }

    fn locate(&self, located: &'r Located, row: &'r Doc<'m>) -> Option<&'r Doc<'m>> {
        if !located.path.root {
            return descend(row, &located.path.steps, &self.captures);
        }
        let shared = located.shared[self.alternative];
        descend(self.trail.get(shared)?, &located.path.steps[shared..], &self.captures)
    }

    /// The first of the field's paths that holds a value. An object or array is one only where a scalar is nowhere.
    fn read(
        &self,
        field: &'r Field,
        row: &'r Doc<'m>,
        pivot: Option<&(Cow<'r, str>, &'r Doc<'m>)>,
    ) -> (Reading, Option<&'r Located>) {
        let mut passed_over = None;
        let mut holds_nothing = false;
        for located in &field.paths {
            let doc = match pivot {
                Some((name, value)) if !located.path.root => match located.path.steps.split_first() {
                    Some((Step::Key(key), rest)) if **key == **name => descend(value, rest, &self.captures),
                    _ => None,
                },
                _ => self.locate(located, row),
            };
            let Some(doc) = doc else { continue };
            match field.reader.read(doc, self.message.received_at) {
                Reading::Absent => holds_nothing = true,
                reading if field.paths.len() > 1 && !doc.is_scalar() && field.reader.r#type != Type::Json => {
                    passed_over = passed_over.or(Some((reading, located)));
                }
                reading => return (reading, Some(located)),
            }
        }
        match passed_over {
            // Of `["value", "."]` the payload is no value where there is one that is null.
            Some((_, located)) if holds_nothing && located.path.is_whole() => (Reading::Absent, None),
            Some((reading, located)) => (reading, Some(located)),
            None => (Reading::Absent, None),
        }
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
