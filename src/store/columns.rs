//! Columns in PostgreSQL's binary array format: what `unnest` takes, filled row by row and kept from batch to batch.
//!
//! An element is its length (i32, -1 for null) and its value, big-endian; the array's head is written when it is
//! bound. One prepared statement serves every number of rows.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo};
use sqlx::{Encode, Postgres, Type as SqlxType};

use super::duplicates::Joined;
use super::plan::{Source, Table};
use super::series::Rows;
use crate::message::Time;
use crate::row::{Row, Value};
use crate::schema::Type;

/// Type of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Float8,
    Int8,
    Int2,
    Bool,
    Text,
    Jsonb,
    Timestamptz,
    Bytea,
}

impl Element {
    /// (of the element, of its array); fixed for ever in `pg_type.dat`.
    const fn oids(self) -> (u32, u32) {
        match self {
            Self::Float8 => (701, 1022),
            Self::Int8 => (20, 1016),
            Self::Int2 => (21, 1005),
            Self::Bool => (16, 1000),
            Self::Text => (25, 1009),
            Self::Jsonb => (3802, 3807),
            Self::Timestamptz => (1184, 1185),
            Self::Bytea => (17, 1001),
        }
    }

    /// `float8[]`, as a cast in the statement.
    pub(super) const fn array(self) -> &'static str {
        match self {
            Self::Float8 => "float8[]",
            Self::Int8 => "int8[]",
            Self::Int2 => "int2[]",
            Self::Bool => "bool[]",
            Self::Text => "text[]",
            Self::Jsonb => "jsonb[]",
            Self::Timestamptz => "timestamptz[]",
            Self::Bytea => "bytea[]",
        }
    }
}

impl From<Type> for Element {
    fn from(r#type: Type) -> Self {
        match r#type {
            Type::Float => Self::Float8,
            Type::Int => Self::Int8,
            Type::Bool => Self::Bool,
            Type::Text => Self::Text,
            Type::Json => Self::Jsonb,
            Type::Time => Self::Timestamptz,
        }
    }
}

/// 2000-01-01T00:00:00Z, from which PostgreSQL counts, in microseconds since 1970.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// As PostgreSQL counts.
///
/// The lowest value means -infinity to the server, which would take it: what is out of range becomes a value that
/// it refuses (22008). The upper end of 64 bits is out of reach, since PostgreSQL counts from later on.
fn micros(time: Time) -> i64 {
    const REFUSED: i64 = i64::MAX - 1;
    time.0.checked_sub(POSTGRES_EPOCH).filter(|micros| *micros != i64::MIN).unwrap_or(REFUSED)
}

/// A time, as a parameter of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instant(Time);

impl SqlxType<Postgres> for Instant {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(Element::Timestamptz.oids().0))
    }
}

impl Encode<'_, Postgres> for Instant {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&micros(self.0).to_be_bytes());
        Ok(IsNull::No)
    }
}

/// A buffer that holds less than a quarter of more than this is given back.
const KEEP_BYTES: usize = 64 << 10;

/// One column.
#[derive(Debug)]
pub(super) struct ColumnBuf {
    element: Element,
    rows: i32,
    bytes: Vec<u8>,
}

impl ColumnBuf {
    pub(super) const fn new(element: Element) -> Self {
        Self { element, rows: 0, bytes: Vec::new() }
    }

    /// Empties it and keeps the memory, unless one large batch made it far larger than the last one needed.
    pub(super) fn clear(&mut self) {
        if self.bytes.capacity() > KEEP_BYTES && self.bytes.len() < self.bytes.capacity() / 4 {
            self.bytes.shrink_to(KEEP_BYTES);
        }
        self.bytes.clear();
        self.rows = 0;
    }

    fn element(&mut self, value: &[u8]) {
        self.rows += 1;
        let length = i32::try_from(value.len()).expect("a payload has less than 2 GiB");
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(value);
    }

    pub(super) fn null(&mut self) {
        self.rows += 1;
        self.bytes.extend_from_slice(&(-1_i32).to_be_bytes());
    }

    pub(super) fn int(&mut self, value: i64) {
        self.element(&value.to_be_bytes());
    }

    pub(super) fn small(&mut self, value: i16) {
        self.element(&value.to_be_bytes());
    }

    pub(super) fn float(&mut self, value: f64) {
        self.element(&value.to_be_bytes());
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.element(&[u8::from(value)]);
    }

    pub(super) fn bytes(&mut self, value: &[u8]) {
        self.element(value);
    }

    pub(super) fn text(&mut self, value: &str) {
        self.element(value.as_bytes());
    }

    pub(super) fn time(&mut self, value: Time) {
        self.int(micros(value));
    }

    fn json(&mut self, value: &str) {
        self.rows += 1;
        let length = i32::try_from(value.len() + 1).expect("a payload has less than 2 GiB");
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.push(1); // version of the binary format of jsonb
        self.bytes.extend_from_slice(value.as_bytes());
    }

    /// Of the column's type, which `check` has seen to.
    pub(super) fn value(&mut self, value: Option<&Value>) {
        match value {
            None => self.null(),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it is a whole number, which `others::settle` has seen to"
            )]
            Some(Value::Float(value)) if self.element == Element::Int8 => self.int(*value as i64),
            Some(Value::Float(value)) => self.float(*value),
            Some(Value::Int(value)) => self.int(*value),
            Some(Value::Bool(value)) => self.bool(*value),
            Some(Value::Text(value)) => self.text(value),
            Some(Value::Json(value)) if self.element == Element::Text => self.text(value),
            Some(Value::Json(value)) => self.json(value),
            Some(Value::Time(value)) => self.time(*value),
        }
    }
}

impl SqlxType<Postgres> for ColumnBuf {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(Element::Text.oids().1))
    }
}

impl Encode<'_, Postgres> for ColumnBuf {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&1_i32.to_be_bytes()); // dimensions
        buffer.extend_from_slice(&1_i32.to_be_bytes()); // may hold nulls; the server looks for itself
        buffer.extend_from_slice(&self.element.oids().0.to_be_bytes());
        buffer.extend_from_slice(&self.rows.to_be_bytes());
        buffer.extend_from_slice(&1_i32.to_be_bytes()); // lower bound
        buffer.extend_from_slice(&self.bytes);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(self.element.oids().1)))
    }

    fn size_hint(&self) -> usize {
        20 + self.bytes.len()
    }
}

/// Whether a row fits its table; mapping and store share one schema, so that anything else is a fault of ours, and
/// the row is refused rather than misread.
pub(super) fn check(row: &Row, tables: &[Table]) -> Result<(), String> {
    let Some(table) = tables.get(row.measurement) else {
        return Err(format!("a fault in Amber: no measurement number {}", row.measurement));
    };
    if !table.tags.is_empty() && row.tags.iter().count() != table.tags.len() {
        return Err(format!("a fault in Amber: `{}` has {} tags", table.name, table.tags.len()));
    }
    if row.fields.len() != table.listed {
        return Err(format!("a fault in Amber: `{}` has {} fields", table.name, table.listed));
    }
    for (value, (name, r#type)) in row.fields.iter().zip(&table.fields) {
        let fits = match value {
            None => true,
            Some(Value::Float(_)) => *r#type == Type::Float,
            Some(Value::Int(_)) => *r#type == Type::Int,
            Some(Value::Bool(_)) => *r#type == Type::Bool,
            Some(Value::Text(_)) => *r#type == Type::Text,
            Some(Value::Json(_)) => *r#type == Type::Json,
            Some(Value::Time(_)) => *r#type == Type::Time,
        };
        if !fits {
            return Err(format!("a fault in Amber: field `{name}` of `{}` is no {}", table.name, r#type.word()));
        }
    }
    Ok(())
}

/// The span of no row.
const NO_TIME: (Time, Time) = (Time(i64::MAX), Time(i64::MIN));

/// The rows of one table: time, series, receipt, fields; or as a table of the user's own has them.
#[derive(Debug)]
pub(super) struct Block {
    columns: Vec<ColumnBuf>,
    own: Option<Vec<Source>>,
    /// The least and the largest time.
    span: (Time, Time),
}

impl Block {
    pub(super) fn new(table: &Table) -> Self {
        if let Some(own) = &table.own {
            let columns = own.columns.iter().map(|column| ColumnBuf::new(column.element())).collect();
            let own = Some(own.columns.iter().map(|column| column.source).collect());
            return Self { columns, own, span: NO_TIME };
        }
        let fixed = [Element::Timestamptz, Element::Int8, Element::Timestamptz];
        let fields = table.fields.iter().map(|(_, r#type)| Element::from(*r#type));
        Self { columns: fixed.into_iter().chain(fields).map(ColumnBuf::new).collect(), own: None, span: NO_TIME }
    }

    /// Replaces its content by rows of the batch.
    pub(super) fn fill(&mut self, rows: Rows<'_>, joined: &Joined) {
        let Rows { batch, series, .. } = rows;
        self.columns.iter_mut().for_each(ColumnBuf::clear);
        if let Some(sources) = &self.own {
            for &position in &joined.positions {
                let (origin, row) = &batch.rows[position];
                for (column, source) in self.columns.iter_mut().zip(sources) {
                    match *source {
                        Source::Time => column.time(row.time),
                        Source::ReceivedAt => column.time(batch.messages[*origin].received_at),
                        Source::Tag(n) => column.text(row.tags.iter().nth(n).unwrap_or_default()),
                        Source::Field(n) => column.value(row.fields[n].as_ref()),
                    }
                }
            }
            return;
        }
        let [time, id, received, fields @ ..] = self.columns.as_mut_slice() else {
            unreachable!("a block has three columns and its fields");
        };
        self.span = NO_TIME;
        for &position in &joined.positions {
            let (origin, row) = &batch.rows[position];
            self.span = (self.span.0.min(row.time), self.span.1.max(row.time));
            time.time(row.time);
            id.int(series[position]);
            received.time(batch.messages[*origin].received_at);
            // With the columns that only others fill.
            for (column, value) in fields.iter_mut().zip(rows.joined_values(joined, position)) {
                column.value(value);
            }
        }
    }

    pub(super) fn columns(&self) -> &[ColumnBuf] {
        &self.columns
    }

    /// The least and the largest time of its rows.
    pub(super) fn span(&self) -> [Instant; 2] {
        [Instant(self.span.0), Instant(self.span.1)]
    }

    /// Bytes that it keeps, used or not.
    pub(super) fn capacity(&self) -> usize {
        self.columns.iter().map(|column| column.bytes.capacity()).sum()
    }
}
