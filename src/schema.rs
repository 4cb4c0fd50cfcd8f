//! Measurements: the tables that a mapping feeds, with their tags and fields.
//!
//! Made by `mapping` from the configuration, read by `store`, which plans its tables from it. A `Schema`
//! that exists is consistent: names are unique and legal, a field has one type.

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
}

/// A table of readings. The order of `tags` and `fields` is that of the columns and of the values in a `Row`.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    pub name: String,
    pub tags: Vec<String>,
    pub fields: Vec<Field>,
    /// Beyond it no series is made any more; those that are retired do not count.
    pub max_series: u64,
}

/// `max_series` unless a mapping says otherwise: more than anybody has of sensors of one kind, and few enough to live with
/// if a tag turns out to be a counter.
pub const MAX_SERIES: u64 = 100_000;

/// All measurements; a `Row` names its own by position.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Schema {
    pub measurements: Vec<Measurement>,
}
