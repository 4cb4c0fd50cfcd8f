//! Why a message became what it became, for people. Told by the code that maps, not by a second one.

mod all;
mod nearby;
mod written;

use std::sync::Arc;

use super::compiled::{Compiled, Located, Pivot, Subject};
use super::path::{Step, list};
use super::run::{Made, shown_key};
use crate::fault::Place;
use crate::row::{Mapped, Reason};

pub use all::Apart;
pub(super) use nearby::hints;
pub(super) use written::{Part, Written};

/// What became of a message, and what each mapping whose topic matches had to do with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Those whose topic matches; empty if none does.
    pub mappings: Vec<MappingExplained>,
    pub mapped: Mapped,
}

/// One mapping whose topic matches.
#[derive(Clone, Debug, PartialEq)]
pub struct MappingExplained {
    pub mapping: Arc<str>,
    /// Where it stands.
    pub place: Place,
    /// The template that matches.
    pub topic: String,
    /// Caught from the topic, by name.
    pub captures: Vec<(String, String)>,
    pub verdict: Verdict,
    /// Where what failed stands, in the configuration and in the payload.
    pub failures: Vec<Failure>,
    /// What the payload has where a path found nothing.
    pub hints: Vec<String>,
}

/// A field, tag or time that could not be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// As the reject or the dropped field has it, but for what is added at its end.
    pub detail: String,
    /// In the configuration.
    pub place: Place,
    /// In the payload, if it is known.
    pub path: Option<String>,
}

impl Explanation {
    /// Where that of `mapping` stands which `detail` tells of, in the configuration and in the payload.
    #[must_use]
    pub fn source(&self, mapping: &str, detail: &str) -> Option<(&Place, Option<&str>)> {
        let mapping = self.mappings.iter().find(|one| *one.mapping == *mapping)?;
        // How many more there were is added to a detail; of two that fit, the longer one says more of it.
        let adds = |failure: &&Failure| {
            let added = detail.strip_prefix(failure.detail.as_str());
            added.is_some_and(|added| added.is_empty() || added.starts_with(" (and "))
        };
        let failure = mapping.failures.iter().filter(adds).rev().max_by_key(|failure| failure.detail.len());
        Some(failure.map_or((&mapping.place, None), |failure| (&failure.place, failure.path.as_deref())))
    }
}

/// What a mapping whose topic matches did.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It gave rows; `rejected` rows could not be made.
    Took { rows: usize, rejected: usize },
    /// It could not read the message.
    Rejected { reason: Reason, detail: String },
    /// It took the message, and nothing in it has a value; the text says where one was looked for.
    Empty(String),
    /// `when` did not hold; the text says for what.
    Unmet(String),
    /// `except` names the topic.
    Excepted,
    /// The message is retained, and the mapping skips those.
    Retained,
    /// It is a fallback, and another mapping took the message.
    NotNeeded,
}

impl Verdict {
    pub(super) fn of(made: &Made, mapping: &Compiled) -> Self {
        if !made.taken {
            return Self::Unmet(
                made.unmet
                    .as_ref()
                    .map_or_else(|| "`when`: no row for which it holds".to_owned(), |unmet| unmet.detail.clone()),
            );
        }
        if !made.rows.is_empty() {
            let rejected = made.refusals.iter().map(|refusal| refusal.rows).sum();
            return Self::Took { rows: made.rows.len(), rejected };
        }
        match made.refusals.first() {
            Some(refusal) => Self::Rejected { reason: refusal.reason, detail: refusal.detail.clone() },
            None => Self::Empty(looked_for(made, mapping)),
        }
    }
}

/// Paths that are listed; more would hide the first.
const MAX_PATHS: usize = 8;

fn looked_for(made: &Made, mapping: &Compiled) -> String {
    if let Some(pivot) = &mapping.pivot
        && made.found_rows
    {
        return pivoted(made, mapping, pivot);
    }
    let (what, paths): (_, Vec<&str>) = if made.found_rows {
        let fields = mapping.fields.iter().flat_map(|field| &field.paths);
        ("no value at", fields.map(|located| &*located.path.text).collect())
    } else {
        ("no row at", mapping.rows.iter().map(|path| &*path.text).collect())
    };
    if paths.is_empty() {
        return "no value in it".to_owned();
    }
    let more = if paths.len() > MAX_PATHS { format!(" and {} more", paths.len() - MAX_PATHS) } else { String::new() };
    format!("{what} {}{more}", list(&paths[..paths.len().min(MAX_PATHS)]))
}

/// What came under a pivot, and what its fields read.
fn pivoted(made: &Made, mapping: &Compiled, pivot: &Pivot) -> String {
    let value = &pivot.value.path.text;
    if made.names.is_empty() {
        return match &pivot.name {
            Subject::Path(name) => format!("no row has a name at `{}` and a value at `{value}`", name.path.text),
            Subject::Capture(_) => format!("no value at `{value}`"),
        };
    }
    let fields = || mapping.fields.iter().flat_map(|field| &field.paths).filter(|located| !located.path.root);
    let reads = |name: &str| fields().any(|located| begins_with(located, name));
    let (read, unread): (Vec<_>, Vec<_>) = made.names.iter().map(|name| &**name).partition(|name| reads(name));
    if unread.is_empty() {
        return format!("no value of {}", some(&read));
    }
    let wanted: Vec<&str> = fields().map(|located| &*located.path.text).collect();
    let wanted = if wanted.is_empty() { String::new() } else { format!("; fields read {}", some(&wanted)) };
    let without = if read.is_empty() { String::new() } else { format!("; no value of {}", some(&read)) };
    format!("no field reads {}{wanted}{without}", some(&unread))
}

fn begins_with(located: &Located, name: &str) -> bool {
    matches!(located.path.steps.first(), Some(Step::Key(key)) if **key == *name)
}

/// The first of `names`, and how many more there are.
fn some(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(MAX_PATHS).map(|name| shown_key(name)).collect();
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    let more = if names.len() > MAX_PATHS { format!(" and {} more", names.len() - MAX_PATHS) } else { String::new() };
    format!("{}{more}", list(&shown))
}
