//! `[mapping.<name>]` as it was written: typed and placed, not yet compiled.
//!
//! `[defaults]` are merged in already. Keys of the language that come later are faults that say so.

use crate::fault::At;
use crate::message::Qos;
use crate::schema::{Compress, Kind, OnDuplicate, Type};

pub use super::example::{Example, Expected, ExpectedRow};

/// One mapping.
#[derive(Clone, Debug)]
pub struct MappingConfig {
    /// The key after `mapping.`, placed at the table's header.
    pub name: At<String>,
    /// Topic templates; not empty.
    pub topic: Vec<At<String>>,
    pub except: Vec<At<String>>,
    /// A template; default the mapping's name.
    pub measurement: Option<At<String>>,
    pub when: Vec<Condition>,
    /// Where it is not written, at the mapping's name.
    pub fallback: At<bool>,
    pub format: Format,
    /// How the payload is packed; `None` means that it is not.
    pub encoding: Option<Encoding>,
    /// Row paths: the first that gives a row. Empty means `.`.
    pub rows: Vec<At<String>>,
    /// `rows = { path = … }`: there stands a payload, and rows begin in it.
    pub inside: Option<At<Inside>>,
    pub pivot: Option<At<Pivot>>,
    pub others: Others,
    /// Times: the first that holds a value. Empty means the time of receipt.
    pub time: Vec<At<TimeConfig>>,
    pub zone: Option<At<String>>,
    /// RFC 3339 or a date; default `2000-01-01`.
    pub not_before: Option<At<String>>,
    /// How far ahead of receipt; default 24 h.
    pub not_after: Option<std::time::Duration>,
    pub outside: Outside,
    pub tags: Vec<TagConfig>,
    /// Not empty unless `others` gives columns.
    pub fields: Vec<FieldConfig>,
    pub missing: Vec<At<String>>,
    pub retained: RetainedPolicy,
    pub qos: Option<Qos>,
    pub redelivery: Redelivery,
    /// Series of its measurement; default `schema::MAX_SERIES`.
    pub max_series: Option<At<u64>>,
    /// Of its measurement; default `Keep`.
    pub on_duplicate: Option<At<OnDuplicate>>,
    /// Of its measurement: older rows are deleted; default for ever.
    pub retention: Option<At<std::time::Duration>>,
    /// Likewise: older rows are compressed, by TimescaleDB; default as `[store.timescale]` says.
    pub compress_after: Option<At<Compress>>,
    /// For `amber test`; nothing else reads them.
    pub example: Vec<Example>,
    /// A table of the user's own, as SQL writes it.
    pub table: Option<At<String>>,
    /// Our name and the column of that table; `None`: left out.
    pub columns: Vec<(At<String>, At<Option<String>>)>,
}

/// One entry of `when`: `key` is a capture's name, else a path; empty `values` means present.
#[derive(Clone, Debug)]
pub struct Condition {
    pub key: At<String>,
    pub values: Vec<At<Word>>,
}

/// A scalar as TOML writes it, in `when` and `words`.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// How the payload is read. A format that has settings holds them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// JSON if it parses, otherwise text where a path is the payload.
    #[default]
    Auto,
    Json,
    Text,
    Cbor,
    MsgPack,
    Xml,
    /// A list of lines, each a list of cells.
    Csv(Csv),
    /// `a=1,b=2`
    Pairs(Pairs),
}

/// Settings of csv.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Csv {
    /// A blank stands for any number of blanks.
    pub separator: char,
    pub names: ColumnNames,
}

/// Where the names of columns come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ColumnNames {
    /// There are none: cells are found by their position.
    None,
    /// The first line.
    Header,
    /// The configuration; an empty name skips a column.
    Listed(Vec<String>),
}

/// Settings of pairs; neither text is empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pairs {
    /// Between the pieces. A blank stands for any number of blanks.
    pub separator: String,
    /// Between name and value.
    pub assign: String,
}

/// A payload inside the payload.
#[derive(Clone, Debug, Default)]
pub struct Inside {
    /// Hex or base64; `None`: the text as it is.
    pub decode: Option<Decode>,
    pub format: Format,
    pub encoding: Option<Encoding>,
    /// Row paths in it. Empty means `.`.
    pub rows: Vec<At<String>>,
}

/// How the bytes of a payload are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950.
    Zlib,
}

/// What becomes of values that no field names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Others {
    #[default]
    Ignore,
    /// A column for each.
    Add,
    /// All in one column.
    Json,
}

/// `pivot`: a name and a value make a field.
#[derive(Clone, Debug)]
pub enum Pivot {
    /// `pivot = "{name}"`, as written, braces included: the capture is the name, the payload (or the row) the value.
    Capture(String),
    /// `pivot = { name = "{q}" | "path", value = "path" }`
    Pair { name: At<String>, value: At<String> },
}

/// `time`: a path, or a table.
#[derive(Clone, Debug)]
pub struct TimeConfig {
    pub path: At<String>,
    /// strftime, jiff's.
    pub format: Option<At<String>>,
    pub zone: Option<At<String>>,
    /// `s`, `ms`, `us`, `ns`; by magnitude if absent.
    pub unit: Option<At<String>>,
    /// Path of the moment that `path` counts from.
    pub since: Option<At<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Outside {
    #[default]
    Received,
    Reject,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RetainedPolicy {
    #[default]
    Skip,
    Store,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Redelivery {
    #[default]
    Skip,
    Store,
}

/// One entry of `tags`.
#[derive(Clone, Debug)]
pub struct TagConfig {
    pub name: At<String>,
    pub source: TagSource,
    pub words: Vec<(At<String>, At<Word>)>,
    pub required: bool,
}

#[derive(Clone, Debug)]
pub enum TagSource {
    /// Paths, or with braces templates: the first that holds a value.
    Paths(Vec<At<String>>),
    /// `value = "…"`, the same for every row.
    Value(At<String>),
    /// `{ words = … }` alone: the capture of that name.
    Capture,
    /// `x = false`: no such tag.
    Removed,
    /// `x = false`, and there is one in `[defaults]`.
    Undone,
}

/// One entry of `fields`.
#[derive(Clone, Debug)]
pub struct FieldConfig {
    pub name: At<String>,
    /// Paths: the first that holds a value. Default: the field's name.
    pub path: Vec<At<String>>,
    /// As written; absent: `float`, or what `words` imply.
    pub r#type: Option<At<Type>>,
    pub unit: Option<At<String>>,
    pub description: Option<String>,
    pub kind: Kind,
    pub decimals: Option<u8>,
    pub words: Vec<(At<String>, At<Word>)>,
    pub missing: Vec<At<String>>,
    pub decode: Option<At<Decode>>,
    /// With one `{}` where the value stands.
    pub pattern: Option<At<String>>,
    /// 0 to 63; 0 is the lowest.
    pub bit: Option<At<u8>>,
    pub scale: Option<At<f64>>,
    pub offset: Option<At<f64>>,
    pub min: Option<At<f64>>,
    pub max: Option<At<f64>>,
    pub range: Option<At<Range>>,
    /// What differs from the last stored value by at most this much is left out.
    pub deadband: Option<At<f64>>,
    /// But once in so long.
    pub heartbeat: Option<At<std::time::Duration>>,
    pub required: bool,
    /// `x = false`: left out of `others`.
    pub removed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    Missing,
    Reject,
}

/// What a text stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decode {
    /// A number in base 16, or bytes of UTF-8 where the field is no number.
    Hex,
    /// Bytes of UTF-8.
    Base64,
    /// Seconds.
    Duration,
}
