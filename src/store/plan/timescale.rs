//! Tables of readings that the extension TimescaleDB looks after (hypertables): the SQL that makes one, and its policies of
//! compression and retention. Pure.
//!
//! Amber never makes the extension, and makes a hypertable of a new table only: to move the rows of one that is there is a
//! person's decision. The Apache edition refuses compression and all policies: there `upkeep` drops old chunks itself. No
//! policy is needed for writing, so that nobody waits for one.

use std::time::Duration;

use super::partitions::{self, Partition};
use super::{Dialect, Found, Layout, Shape};
use crate::config;
use crate::message::Time;
use crate::schema::{Compress, Measurement};
use crate::store::sql::literal;

/// What the database has of it, and what the configuration says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Timescale {
    /// Of its functions; quoted.
    pub(in crate::store) schema: String,
    /// Whether it has compression and policies.
    pub(in crate::store) is_community: bool,
    pub(in crate::store) settings: config::Timescale,
}

/// A table that it looks after. Microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Hypertable {
    /// How much time a new chunk holds.
    pub(in crate::store) chunk: i64,
    pub(in crate::store) chunks: Vec<Partition>,
    /// Whether some of them are compressed.
    pub(in crate::store) has_compressed: bool,
    /// Whether they may be.
    pub(in crate::store) is_columnstore: bool,
    /// By the policy, if there is one.
    pub(in crate::store) compress_after: Option<i64>,
    /// Likewise.
    pub(in crate::store) drop_after: Option<i64>,
}

impl Timescale {
    /// Whether a data table that is made now becomes a hypertable.
    pub(super) fn makes_hypertables(found: &Found) -> bool {
        found.timescale.as_ref().is_some_and(|it| it.settings.hypertable)
    }

    /// How much time a chunk of a new table holds.
    pub(super) fn chunk(&self, wanted: &Measurement) -> i64 {
        self.settings.chunk.map_or_else(|| partitions::width(wanted.retention), micros)
    }

    /// When rows are to be compressed; `None`: whether they are is left to others. What would be dropped by then is not.
    fn compress(&self, wanted: &Measurement) -> Option<Compress> {
        let wish = wanted.compress.or(self.settings.compress_after.map(Compress::After))?;
        match (wish, wanted.retention) {
            (Compress::After(age), Some(kept)) if age >= kept => Some(Compress::Never),
            (wish, _) => Some(wish),
        }
    }

    /// What of the wishes this edition cannot do.
    pub(in crate::store) fn cannot(&self, wanted: &Measurement) -> Option<String> {
        match self.compress(wanted) {
            Some(Compress::After(_)) if !self.is_community => Some(format!(
                "`{}` is not compressed: this TimescaleDB is the Apache edition, and `compress_after` needs the community \
                 edition (`timescaledb.license = 'timescale'`)",
                wanted.name
            )),
            Some(Compress::After(_) | Compress::Never) | None => None,
        }
    }

    /// Makes a hypertable of the data table, which is empty.
    pub(super) fn create(&self, wanted: &Measurement) -> Vec<String> {
        let chunk = self.chunk(wanted);
        let mut statements = vec![self.hypertable(wanted, "create_default_indexes => false", chunk)];
        statements.extend(self.keep(wanted, &Hypertable { chunk, ..Hypertable::default() }));
        statements
    }

    fn hypertable(&self, wanted: &Measurement, options: &str, chunk: i64) -> String {
        format!(
            "select {schema}.create_hypertable({}, {schema}.by_range('time', {}), {options})",
            table(wanted),
            interval(chunk),
            schema = self.schema
        )
    }

    /// Brings chunks and policies to what the mapping says.
    pub(super) fn keep(&self, wanted: &Measurement, found: &Hypertable) -> Vec<String> {
        let (schema, table) = (&self.schema, table(wanted));
        let mut statements = Vec::new();
        if let Some(chunk) = self.settings.chunk.map(micros).filter(|chunk| *chunk != found.chunk) {
            statements.push(format!("select {schema}.set_chunk_time_interval({table}, {})", interval(chunk)));
        }
        if !self.is_community {
            return statements;
        }
        let remove = format!("call {schema}.remove_columnstore_policy({table}, if_exists => true)");
        match self.compress(wanted) {
            Some(Compress::After(age)) if found.compress_after != Some(micros(age)) => {
                if !found.is_columnstore {
                    statements.push(format!(
                        "alter table {} set (timescaledb.enable_columnstore, timescaledb.segmentby = 'series_id', timescaledb.orderby = 'time')",
                        Dialect::Postgres.data(&wanted.name)
                    ));
                }
                // One with another number would stay.
                statements.extend(found.compress_after.map(|_| remove));
                let after = interval(micros(age));
                statements.push(format!("call {schema}.add_columnstore_policy({table}, after => {after})"));
            }
            Some(Compress::Never) if found.compress_after.is_some() => statements.push(remove),
            Some(Compress::After(_) | Compress::Never) | None => {}
        }
        let retention = wanted.retention.map(micros);
        if found.drop_after != retention {
            let remove = format!("select {schema}.remove_retention_policy({table}, if_exists => true)");
            statements.extend(found.drop_after.map(|_| remove));
            let add = |kept| format!("select {schema}.add_retention_policy({table}, drop_after => {})", interval(kept));
            statements.extend(retention.map(add));
        }
        statements
    }

    /// What is good to know of a table that was made before the extension was there.
    pub(super) fn note(&self, wanted: &Measurement, found: &Found) -> Option<String> {
        let data = Dialect::Postgres.data(&wanted.name);
        if !self.settings.hypertable || found.data.as_ref()?.shape != Shape::Table {
            return None;
        }
        match found.layout {
            Layout::Plain => Some(format!(
                "{data} is a plain table and stays one. To make a hypertable of it, stop Amber and run (all rows are moved): `{}`",
                self.hypertable(wanted, "create_default_indexes => false, migrate_data => true", self.chunk(wanted))
            )),
            Layout::Partitioned(_) => Some(format!(
                "{data} is partitioned by PostgreSQL itself and stays so; docs/operation.md says how to make a hypertable of it"
            )),
            Layout::Hypertable(_) => self.cannot(wanted),
        }
    }

    /// Drops the chunks that end before `end`.
    pub(in crate::store) fn drop_chunks(&self, measurement: &str, end: Time) -> String {
        let table = literal(&Dialect::Postgres.data(measurement));
        format!(
            "select {}.drop_chunks({table}, older_than => {}::timestamptz)",
            self.schema,
            partitions::instant(end.0)
        )
    }
}

/// Lets columns of a table change that has compressed chunks.
pub(super) fn decompress(found: &Found, measurement: &str) -> Option<String> {
    let schema = found.timescale.as_ref().map_or("public", |it| it.schema.as_str());
    let name = literal(&Dialect::Postgres.data(measurement));
    let text = format!("select {schema}.decompress_chunk(c, true) from {schema}.show_chunks({name}) as c");
    has_compressed(found).then_some(text)
}

/// Whether chunks of the data table are compressed: such a table takes new columns, and no other type for one.
pub(super) fn has_compressed(found: &Found) -> bool {
    matches!(&found.layout, Layout::Hypertable(table) if table.has_compressed)
}

/// Whether the statement is about what happens to rows later: to write now, nobody needs it.
pub(in crate::store) fn is_for_later(statement: &str) -> bool {
    ["_policy(", ".set_chunk_time_interval(", " set (timescaledb."].iter().any(|part| statement.contains(part))
}

/// As an argument of a function.
fn table(measurement: &Measurement) -> String {
    literal(&Dialect::Postgres.data(&measurement.name))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn interval(micros: i64) -> String {
    match micros {
        days if days % partitions::DAY == 0 => format!("interval '{} days'", days / partitions::DAY),
        micros if micros % 1_000_000 == 0 => format!("interval '{} seconds'", micros / 1_000_000),
        micros => format!("interval '{micros} microseconds'"),
    }
}
