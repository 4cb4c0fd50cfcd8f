//! What goes out: rows, rejects, and the outcome of mapping one message.

use std::sync::Arc;

use crate::message::Time;
use crate::schema::{Measurement, Type};

/// A value that both stores can hold: `mapping` has seen to it that floats are finite and texts hold no NUL.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Float(f64),
    Int(i64),
    Bool(bool),
    Text(Box<str>),
    /// A JSON document that PostgreSQL's jsonb takes too: no `\u0000`, no lone surrogate.
    Json(Box<str>),
    Time(Time),
}

impl Value {
    #[must_use]
    pub const fn r#type(&self) -> Type {
        match self {
            Self::Float(_) => Type::Float,
            Self::Int(_) => Type::Int,
            Self::Bool(_) => Type::Bool,
            Self::Text(_) => Type::Text,
            Self::Json(_) => Type::Json,
            Self::Time(_) => Type::Time,
        }
    }
}

/// One set of tag values, in the order of `Measurement::tags`; `""` where one is absent.
///
/// Held as one text, joined by NUL, which no tag value may contain: a hash key without further allocation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tags(Box<str>);

impl Tags {
    /// Joins `values`, which must not contain NUL.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str, IntoIter: Clone>) -> Self {
        let values = values.into_iter();
        // Of the right size from the start: growing and shrinking it cost more than the copy.
        let mut joined = String::with_capacity(values.clone().map(|value| value.len() + 1).sum::<usize>().max(1) - 1);
        for (index, value) in values.enumerate() {
            if index > 0 {
                joined.push('\0');
            }
            joined.push_str(value);
        }
        Self(joined.into_boxed_str())
    }

    /// The values in order. For a measurement without tags this is one empty text; ask the schema for the count.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split('\0')
    }

    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.len()
    }
}

/// Where the time of a row comes from; all but `Payload` mean the time of receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeSource {
    Payload,
    /// The mapping names no time.
    Receipt,
    /// The mapping names one, the message has none.
    Absent,
    /// Before `not_before` or later than `not_after`.
    Outside,
}

/// One reading: a row of a measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Position in `Schema::measurements`.
    pub measurement: usize,
    /// Name of the mapping that made it.
    pub mapping: Arc<str>,
    pub time: Time,
    pub time_source: TimeSource,
    pub tags: Tags,
    /// In the order of `Measurement::fields`.
    pub fields: Vec<Option<Value>>,
    /// What no field names and gets a column all the same (`others = "add"`): by name, ascending, each once. Here or
    /// in `fields` is at least one value.
    pub others: Vec<(Box<str>, Value)>,
}

impl Row {
    /// Its values with their names: the fields of its `measurement`, then the others.
    pub fn named<'a>(&'a self, measurement: &'a Measurement) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let fields = measurement.fields.iter().zip(&self.fields);
        let fields = fields.filter_map(|(field, value)| Some((field.name.as_str(), value.as_ref()?)));
        fields.chain(self.others.iter().map(|(name, value)| (&**name, value)))
    }

    /// About what it weighs in a statement.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let text = |value: &Value| match value {
            Value::Text(text) | Value::Json(text) => text.len(),
            Value::Float(_) | Value::Int(_) | Value::Bool(_) | Value::Time(_) => 0,
        };
        let texts: usize = self.fields.iter().flatten().map(text).sum();
        let others: usize = self.others.iter().map(|(name, value)| 12 + name.len() + text(value)).sum();
        32 + self.tags.bytes() + 12 * self.fields.len() + texts + others
    }
}

/// Why a message, or a row of it, was rejected: a closed set, the label of a metric and a column of `rejects`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The topic name is not UTF-8.
    Topic,
    /// Longer than `[broker] max_payload`.
    TooLarge,
    /// The payload is not of the mapping's format (not JSON, not UTF-8, nested too deep …).
    Payload,
    /// Present and unreadable, or outside with `outside = "reject"`.
    Time,
    /// A tag is unreadable, too long, or `required` and absent.
    Tag,
    /// Every field is unreadable, or a `required` one is absent or unreadable.
    Field,
    /// Readable, but no store can hold it: NUL in a text, an integer beyond 64 bits, a float beyond its range.
    Unstorable,
    /// More rows than one message may give.
    TooManyRows,
    /// Of a new series, and the measurement has as many as `max_series` allows.
    TooManySeries,
    /// The database refused the row: a constraint, a range, a length.
    Refused,
}

impl Reason {
    pub const ALL: [Self; 10] = [
        Self::Topic,
        Self::TooLarge,
        Self::Payload,
        Self::Time,
        Self::Tag,
        Self::Field,
        Self::Unstorable,
        Self::TooManyRows,
        Self::TooManySeries,
        Self::Refused,
    ];

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::TooLarge => "too_large",
            Self::Payload => "payload",
            Self::Time => "time",
            Self::Tag => "tag",
            Self::Field => "field",
            Self::Unstorable => "unstorable",
            Self::TooManyRows => "too_many_rows",
            Self::TooManySeries => "too_many_series",
            Self::Refused => "refused",
        }
    }
}

/// A message, or a row of it, that is kept with its reason and its raw bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Reject {
    pub mapping: Option<Arc<str>>,
    pub reason: Reason,
    /// For people: what was expected, what came, and where in the payload.
    pub detail: String,
}

/// Why a message gave nothing, and rightly so: acknowledged, counted, forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// No mapping takes it.
    Unmapped,
    /// Taken, but nothing in it has a value; an empty payload included.
    Empty,
    /// Retained, and the mappings that would take it skip retained messages.
    Retained,
    /// An Amber says that it is there, or not.
    Status,
    /// All of its rows are older than the `retention` of their measurement.
    Expired,
}

impl Ignored {
    pub const ALL: [Self; 5] = [Self::Unmapped, Self::Empty, Self::Retained, Self::Status, Self::Expired];

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unmapped => "unmapped",
            Self::Empty => "empty",
            Self::Retained => "retained",
            Self::Status => "status",
            Self::Expired => "expired",
        }
    }
}

/// A field that could not be read and was left out of a row that was kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Dropped {
    pub mapping: Arc<str>,
    /// `others` for values that no field names: devices choose their names, and this one is a label.
    pub field: Arc<str>,
    pub detail: String,
    /// How many values.
    pub count: u64,
}

/// What mapping made of one message.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// At least one row. `rejects`: rows of the same message that could not be made.
    Rows {
        rows: Vec<Row>,
        rejects: Vec<Reject>,
    },
    Ignored(Ignored),
    Rejected(Reject),
}

/// An outcome with what was left out on the way to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapped {
    pub outcome: Outcome,
    pub dropped: Vec<Dropped>,
    /// Rows older than the `retention` of their measurement, which are in `outcome` no more: measurement and how many.
    pub expired: Vec<(usize, u64)>,
}
