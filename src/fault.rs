//! What is wrong with a configuration: where it stands, what it is, and how to mend it.

use std::fmt;
use std::sync::Arc;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `file:line:column`, both counted from 1, columns in characters.
    File { file: Arc<str>, line: u32, column: u32 },
    /// Name of the environment variable.
    Environment(Arc<str>),
    /// Nowhere: it is the default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Default => write!(f, "default"),
        }
    }
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    pub value: T,
    pub place: Place,
}

impl<T> At<T> {
    pub fn new(value: T, place: Place) -> Self {
        Self { value, place }
    }

    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> At<U> {
        At { value: f(self.value), place: self.place }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Amber does not start.
    Fault,
    /// Said, and gone on.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub severity: Severity,
    pub place: Place,
    /// The key: `mapping.plant.topic`.
    pub path: String,
    /// What is wrong and why (the clause it breaks).
    pub what: String,
    /// What to write instead; empty if `what` says it all.
    pub remedy: String,
}

impl Fault {
    pub fn new(place: &Place, path: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            severity: Severity::Fault,
            place: place.clone(),
            path: path.into(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    pub fn warning(place: &Place, path: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::new(place, path, what, remedy) }
    }
}

/// `config.toml:31:9: mapping.plant.topic: what; remedy`
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What concerns no key and stands nowhere has no place to name.
        if self.place != Place::Default || !self.path.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        if self.severity == Severity::Warning {
            write!(f, "warning: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}", self.what)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}
