//! Measurements: the tables that a mapping feeds, with their tags and fields.
//!
//! Made by `mapping` from the configuration, read by `store`, which plans its tables from it. A `Schema`
//! that exists is consistent: names are unique and legal, a field has one type.

use std::time::Duration;

/// Columns that every measurement has, in its tables or in its view. No tag or field may have such a name.
pub const OWN_COLUMNS: [&str; 5] = ["time", "time_utc", "received_at", "series_id", "retired_at"];

/// The type of a field, and of its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Type {
    #[default]
    Float,
    Int,
    Bool,
    Text,
    Json,
    Time,
}

impl Type {
    /// The word for it in the mapping language and in the catalogue.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Int => "int",
            Self::Bool => "bool",
            Self::Text => "text",
            Self::Json => "json",
            Self::Time => "time",
        }
    }

    /// The type of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        const ALL: [Type; 6] = [Type::Float, Type::Int, Type::Bool, Type::Text, Type::Json, Type::Time];
        ALL.into_iter().find(|r#type| r#type.word() == word)
    }
}

/// What a number means over time: `Total` only grows but for resets (energy, rain).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Kind {
    #[default]
    Gauge,
    Total,
}

/// A measured column.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub name: String,
    pub kind: Kind,
    pub r#type: Type,
    pub unit: Option<String>,
    pub description: Option<String>,
    pub decimals: Option<u8>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// Which values are not worth storing again; `None`: every one is.
    pub deadband: Option<Deadband>,
}

/// A value that differs from the last stored one of its series by at most `amount` is left out, unless `heartbeat` has
/// passed since.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deadband {
    /// In the field's unit; 0 for values that are no numbers.
    pub amount: f64,
    pub heartbeat: Option<Duration>,
}

/// What becomes of a row whose series and time are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum OnDuplicate {
    /// It is stored beside the one that is there.
    #[default]
    Keep,
    /// The first one stays.
    Ignore,
    /// Its values replace those that are there; what it lacks stays.
    Replace,
}

impl OnDuplicate {
    /// The word for it in the mapping language.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Ignore => "ignore",
            Self::Replace => "replace",
        }
    }

    /// Whether a series has at most one row of a time.
    #[must_use]
    pub const fn is_unique(self) -> bool {
        match self {
            Self::Keep => false,
            Self::Ignore | Self::Replace => true,
        }
    }
}

/// When rows are compressed, where the database can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compress {
    Never,
    /// When they are so old.
    After(Duration),
}

/// A table of readings. The order of `tags` and `fields` is that of the columns and of the values in a `Row`.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    pub name: String,
    pub tags: Vec<String>,
    pub fields: Vec<Field>,
    /// Beyond it no series is made any more; those that are retired do not count.
    pub max_series: u64,
    /// Of rows of one series and one time; `Keep` where the table is somebody else's.
    pub on_duplicate: OnDuplicate,
    /// Rows whose time is longer ago are deleted; `None`: they stay for ever.
    pub retention: Option<Duration>,
    /// When TimescaleDB compresses its rows; `None`: as the store's settings say.
    pub compress: Option<Compress>,
    /// Whether rows may bring columns of their own (`others = "add"`).
    pub others: bool,
    /// The table of somebody else's that its rows go into; `None`: Amber makes tables for it.
    pub own: Option<Own>,
}

/// A table of the user's own, and which of its columns takes what. Flat: no series, no view; Amber never changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    pub table: TableName,
    pub time: String,
    /// `None`: not written.
    pub received_at: Option<String>,
    /// In step with `Measurement::tags`; `None`: left out.
    pub tags: Vec<Option<String>>,
    /// In step with `Measurement::fields`.
    pub fields: Vec<String>,
}

impl Own {
    /// The columns that are written.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let some = self.received_at.iter().chain(self.tags.iter().flatten()).chain(&self.fields);
        [self.time.as_str()].into_iter().chain(some.map(String::as_str))
    }

    /// Our names and their columns, in the order in which they are written.
    pub fn named<'a>(&'a self, measurement: &'a Measurement) -> impl Iterator<Item = (&'a str, &'a str)> {
        let tags = measurement.tags.iter().zip(&self.tags);
        let tags = tags.filter_map(|(tag, column)| Some((tag.as_str(), column.as_deref()?)));
        let fields = measurement.fields.iter().zip(&self.fields);
        let fields = fields.map(|(field, column)| (field.name.as_str(), column.as_str()));
        let received_at = self.received_at.as_deref().map(|column| ("received_at", column));
        [("time", self.time.as_str())].into_iter().chain(received_at).chain(tags).chain(fields)
    }
}

/// A measurement as the store's catalogue has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    pub name: String,
    pub tags: Vec<String>,
    pub fields: Vec<Field>,
}

/// The name of a table, and of its schema if that was written. Both as the catalogue has them, without quotes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableName {
    pub schema: Option<String>,
    pub name: String,
}

/// `max_series` unless a mapping says otherwise: more than anybody has of sensors of one kind, and few enough to live with
/// if a tag turns out to be a counter.
pub const MAX_SERIES: u64 = 100_000;

/// All measurements; a `Row` names its own by position.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Schema {
    pub measurements: Vec<Measurement>,
}
