//! A mapping ready to run: every text of the configuration taken apart, every name a position.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::decode::Form;
use super::document::Want;
use super::inside::Inside;
use super::others::{Others, Taken};
use super::path::{Path, Step};
use super::pattern::{CaptureNames, Pattern};
use super::template::Template;
use super::time::Style;
use super::value::Reader;
use super::words::{self, Word, Words};
use crate::message::Time;

/// One mapping.
#[derive(Debug)]
pub(super) struct Compiled {
    pub name: Arc<str>,
    pub topics: Vec<Template>,
    pub except: Vec<Template>,
    pub fallback: bool,
    /// Whether it takes retained messages.
    pub retained: bool,
    pub captures: CaptureNames,
    pub target: Target,
    pub when: Vec<When>,
    /// How its payloads are read.
    pub form: Form,
    /// Whether a payload that is one value, or plain text, can give a row.
    pub takes_scalars: bool,
    /// The first that gives a row counts; at least one.
    pub rows: Vec<Path>,
    /// Where `rows` leads into a payload inside the payload.
    pub inside: Option<Inside>,
    pub pivot: Option<Pivot>,
    pub times: Vec<TimeSource>,
    pub not_before: Time,
    /// Microseconds ahead of receipt.
    pub not_after: i64,
    pub reject_outside: bool,
    pub tags: Vec<Tag>,
    pub fields: Vec<Field>,
    /// What becomes of the values that no field names; `None`: nothing.
    pub others: Option<Others>,
    /// Position of its payload group: mappings of one form that share a topic template read a payload together.
    pub group: usize,
}

/// The measurement that rows go to.
#[derive(Debug)]
pub(super) enum Target {
    One(Layout),
    /// By a template; keys are in lower case, because `when` compares in any case.
    Of(Pattern, HashMap<String, Layout>),
}

/// Where a mapping's tags and fields stand in a measurement.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    /// Position in `Schema::measurements`.
    pub measurement: usize,
    /// Number of fields of the measurement.
    pub width: usize,
    /// For each field of the mapping its position in the measurement.
    pub fields: Vec<usize>,
    /// For each tag of the measurement its position in the mapping, if the mapping has it.
    pub tags: Vec<Option<usize>>,
    /// Names that no other value may have, in lower case.
    pub reserved: HashSet<String>,
    /// Position in the measurement of the column that holds all others.
    pub others: Option<usize>,
}

/// A path from a row or from the root, as seen from rows.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub path: Path,
    /// For each alternative of `rows`, how many leading steps are the row's own: there `[]` is the current element.
    pub shared: Vec<usize>,
}

impl Located {
    pub fn new(path: Path, rows: &[Path]) -> Self {
        let shared = rows.iter().map(|row| if path.root { shared_steps(&path.steps, &row.steps) } else { 0 }).collect();
        Self { path, shared }
    }

    /// Whether it leads to at most one place, for some alternative of `rows`.
    pub fn is_single(&self) -> bool {
        self.shared.iter().any(|shared| !self.path.steps[*shared..].iter().any(Step::is_many))
    }
}

fn shared_steps(path: &[Step], row: &[Step]) -> usize {
    path.iter()
        .zip(row)
        .take_while(|pair| match pair {
            (Step::Each(None), Step::Each(_)) => true,
            (Step::CaughtIndex(slot), Step::Each(Some(caught))) => slot == caught,
            (Step::CaughtKey(pattern), Step::Members(caught)) => pattern == caught,
            (one, other) => one == other,
        })
        .count()
}

/// One condition of `when`.
#[derive(Debug)]
pub(super) struct When {
    pub key: Box<str>,
    pub subject: Subject,
    /// Empty: present.
    pub values: Vec<Wanted>,
}

#[derive(Debug)]
pub(super) enum Subject {
    Capture(usize),
    Path(Located),
}

#[derive(Debug)]
pub(super) enum Wanted {
    Word(Word),
    Glob(Box<str>),
}

impl Wanted {
    /// As it is written.
    pub fn text(&self) -> &str {
        match self {
            Self::Word(word) => word.text(),
            Self::Glob(glob) => glob,
        }
    }

    pub fn is(&self, text: &str) -> bool {
        match self {
            Self::Word(word) => word.is(text),
            Self::Glob(glob) => words::glob(glob, text),
        }
    }
}

/// A name and a value make a field.
#[derive(Debug)]
pub(super) struct Pivot {
    pub name: Subject,
    /// From the row.
    pub value: Located,
}

#[derive(Debug)]
pub(super) struct TimeSource {
    pub subject: Subject,
    pub style: Option<Style>,
    pub zone: Option<TimeZone>,
    /// What it counts from.
    pub since: Option<Located>,
    /// How what stands at `since` is written.
    pub since_format: Option<Style>,
}

#[derive(Debug)]
pub(super) struct Tag {
    pub name: Box<str>,
    /// The first that holds a value counts.
    pub sources: Vec<TagSource>,
    pub words: Words<Box<str>>,
    pub required: bool,
}

#[derive(Debug)]
pub(super) enum TagSource {
    Capture(usize),
    Path(Located),
    Template(Pattern),
    Value(Box<str>),
}

#[derive(Debug)]
pub(super) struct Field {
    pub name: Arc<str>,
    /// The first that holds a value counts.
    pub paths: Vec<Located>,
    pub reader: Reader,
    pub required: bool,
}

impl Compiled {
    /// Adds all that its payloads are read for to `want`.
    pub fn add_to(&self, want: &mut Want) {
        for row in &self.rows {
            let mut row_is_kept = false;
            for located in self.plain_paths() {
                let start = if located.path.root { &[][..] } else { &row.steps };
                row_is_kept |= !located.path.root;
                want.add(start.iter().chain(&located.path.steps));
            }
            for located in self.fields.iter().flat_map(|field| &field.paths) {
                match &self.pivot {
                    // The first step of a field's path is the name; the rest goes on from the value.
                    Some(Pivot { value, .. }) if !located.path.root => {
                        let start = if value.path.root { &[][..] } else { &row.steps };
                        row_is_kept |= !value.path.root;
                        want.add(start.iter().chain(&value.path.steps).chain(located.path.steps.iter().skip(1)));
                    }
                    _ => {
                        let start = if located.path.root { &[][..] } else { &row.steps };
                        row_is_kept |= !located.path.root;
                        want.add(start.iter().chain(&located.path.steps));
                    }
                }
            }
            // What the others are read from: the row as it was sent, or the value of the pivot.
            if self.others.is_some() {
                let value = self.pivot.as_ref().map(|pivot| &pivot.value.path);
                let start = if value.is_some_and(|value| value.root) { &[][..] } else { &row.steps };
                want.add(start.iter().chain(value.iter().flat_map(|value| &value.steps)));
            } else if !row_is_kept {
                want.add(row.steps.iter());
            }
        }
    }

    /// What the paths lead to, as seen from the rows of each alternative of `rows`.
    pub fn taken(&self) -> Vec<Taken> {
        let mut all: Vec<Taken> = Vec::new();
        let fields = self.fields.iter().flat_map(|field| &field.paths);
        if self.pivot.is_some() {
            let mut taken = Taken::default();
            fields.filter(|located| !located.path.root).for_each(|located| taken.add(&located.path.steps));
            return vec![taken];
        }
        for (alternative, row) in self.rows.iter().enumerate() {
            let mut taken = Taken::default();
            for located in self.plain_paths().chain(fields.clone()) {
                let shared = located.shared[alternative];
                if !located.path.root || shared == row.steps.len() {
                    taken.add(&located.path.steps[shared..]);
                }
            }
            all.push(taken);
        }
        all
    }

    /// All paths but those of the fields.
    fn plain_paths(&self) -> impl Iterator<Item = &Located> {
        fn subject(subject: &Subject) -> Option<&Located> {
            match subject {
                Subject::Path(located) => Some(located),
                Subject::Capture(_) => None,
            }
        }
        let when = self.when.iter().filter_map(|when| subject(&when.subject));
        let times = self.times.iter().flat_map(|time| subject(&time.subject).into_iter().chain(&time.since));
        let tags = self.tags.iter().flat_map(|tag| &tag.sources).filter_map(|source| match source {
            TagSource::Path(located) => Some(located),
            TagSource::Capture(_) | TagSource::Template(_) | TagSource::Value(_) => None,
        });
        let pivot = self.pivot.iter().filter_map(|pivot| subject(&pivot.name));
        when.chain(times).chain(tags).chain(pivot)
    }
}
