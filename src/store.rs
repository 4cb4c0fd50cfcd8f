//! PostgreSQL and SQLite: one batch, one transaction, and proof of it.
//!
//! One writer, one statement under way at a time. Every call has a time-out; after one, or after any
//! connection fault, the connection is dropped and the next call connects anew, which *adopts* the writer
//! row again (facts of exactly-once: ARCHITECTURE.md). The count that the gate returns is the proof of
//! storage, never `Ok(())`: sqlx answers `Ok` to a COMMIT that PostgreSQL turned into a ROLLBACK.

mod catalogue;
mod columns;
mod described;
mod devices;
mod duplicates;
mod error;
mod hindered;
mod link;
mod migrations;
mod others;
mod plan;
mod postgres;
mod pruner;
pub mod reader;
mod rejects;
mod series;
mod split;
mod sql;
mod sqlite;
mod upkeep;

use std::collections::BTreeMap;

use crate::batch::Batch;
use crate::config;
use crate::schema::Schema;

pub use described::Describer;
pub use devices::{Devices, Walk};
pub use others::{Bare, Lost, Unplaced};
pub use postgres::Postgres;
pub use pruner::{Deleted, Pruner};
pub use reader::{ReadError, Reader};
pub use sqlite::Sqlite;
pub use upkeep::{Kept, Upkeep};

use error::Failure;
use plan::Dialect;

/// What the database answers to an adoption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    pub epoch: i64,
    /// Number of the newest batch in the database.
    pub seq: i64,
    /// Keys stored and not confirmed, as `session::ledger` encodes them; only meaningful at start.
    pub packets: Vec<u8>,
    /// The subscriptions that were remembered, one JSON text; empty if none.
    pub filters: String,
    /// Identity of the store.
    pub instance: String,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub rows: u64,
    pub rejects: u64,
    /// Rows that the database refused: position in `Batch::rows`, and the database's words without the row's data,
    /// which the reject has too. Those that are kept (`Batch::bound_refused`) are among `rejects`.
    pub refused: Vec<(usize, String)>,
    /// Rows whose series and time were there already, in the table or in the batch: ignored, or their values put into the
    /// one that is there (`on_duplicate`). By measurement; none of them is among `rows`.
    pub duplicates: BTreeMap<usize, u64>,
    /// Values that no field names and no column took.
    pub lost: Vec<Lost>,
}

impl Written {
    /// With values that were lost before it was written.
    #[must_use]
    pub fn with_lost(mut self, lost: Vec<Lost>) -> Self {
        self.lost.extend(lost);
        self
    }
}

/// Why a batch is not stored, or perhaps not.
#[derive(Debug)]
pub enum WriteError {
    /// Expected to come back by itself: connection, restart, lock, disk full. `in_doubt`: it may be stored all
    /// the same, and only the next adoption tells. The connection is dropped.
    Away { in_doubt: bool, source: anyhow::Error },
    /// A person must act: permission, missing table, another type. Nothing is stored.
    Standing(anyhow::Error),
    /// Some row was refused, nothing is stored: write it apart.
    Refused(anyhow::Error),
    /// Rows of new series in measurements that have as many as `max_series` allows (position and why, ascending).
    /// Nothing is stored: make rejects of them and write the rest.
    TooManySeries(Vec<(usize, String)>),
    /// Rows that have only values that no field names, none of which has a column (position and why, ascending).
    /// Nothing is stored, likewise.
    NoColumn(Vec<(usize, Bare)>),
    /// Another process has adopted the writer: stop.
    Fenced,
}

impl WriteError {
    /// What it comes from, for who makes no difference between the kinds.
    #[must_use]
    pub fn into_source(self) -> anyhow::Error {
        match self {
            Self::Away { source, .. } | Self::Standing(source) | Self::Refused(source) => source,
            Self::NoColumn(rows) => anyhow::anyhow!("{} rows have no column", rows.len()),
            Self::TooManySeries(rows) => anyhow::anyhow!("{} rows are of too many series", rows.len()),
            Self::Fenced => anyhow::anyhow!("another process has adopted the writer"),
        }
    }
}

/// One of the two.
pub enum Store {
    Postgres(Box<Postgres>),
    Sqlite(Box<Sqlite>),
}

/// A plan of tables: what is there, what will be done, what cannot be done.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// SQL statements that bring the store to the schema, in order; empty if nothing is to be done.
    pub statements: Vec<String>,
    /// Changes that Amber does not make by itself, each with both remedies.
    pub conflicts: Vec<String>,
    /// What is good to know: of tables that are not Amber's.
    pub notes: Vec<String>,
    /// A table or a field has no column as yet: what was stored in one before is gone.
    is_anew: bool,
}

impl Plan {
    /// Whether the store has all that a writer needs. A comment that is missing, or another Amber's, keeps nobody from
    /// writing, nor does a partition for later.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.conflicts.is_empty() && self.needed().next().is_none()
    }

    /// What is to be done after it.
    fn extend(&mut self, next: Self) {
        self.statements.extend(next.statements);
        self.conflicts.extend(next.conflicts);
        self.notes.extend(next.notes);
        self.is_anew |= next.is_anew;
    }

    fn needed(&self) -> impl Iterator<Item = &String> {
        let is_for_later = |sql: &str| plan::partitions::is_for_later(sql) || plan::timescale::is_for_later(sql);
        self.statements.iter().filter(move |sql| !sql.starts_with("comment on ") && !is_for_later(sql))
    }

    /// What Amber runs of it: all, or nothing where the tables are an administrator's (no `ddl`).
    fn to_run(&self, ddl: bool) -> Result<&[String], Failure> {
        if !self.conflicts.is_empty() {
            return Err(Failure::standing(self.conflicts.join("\n")));
        }
        if ddl {
            return Ok(&self.statements);
        }
        let lacking: Vec<&String> = self.needed().collect();
        let Some(first) = lacking.first() else { return Ok(&[]) };
        Err(Failure::standing(format!(
            "the tables lack what the mappings need, and `[store] ddl = false`: have an administrator run the SQL that `amber \
             check --connect` prints, {} statements from `{}` on; Amber goes on by itself then",
            lacking.len(),
            first.lines().next().unwrap_or_default().trim_end_matches(" ("),
        )))
    }
}

impl Store {
    /// Remembers where the store is; connects to nothing. `writer` is the client identifier, `owner` a number that
    /// this process has drawn at random.
    #[must_use]
    pub fn new(config: &config::Store, writer: &str, owner: i64) -> Self {
        match &config.url.value {
            config::StoreUrl::Postgres(urls) => Self::Postgres(Box::new(Postgres::new(urls, writer, owner, config))),
            config::StoreUrl::Sqlite(path) => Self::Sqlite(Box::new(Sqlite::new(path, writer, owner, config.ddl))),
        }
    }

    /// What an empty store of this kind would be given: for `amber check` without a connection.
    #[must_use]
    pub fn plan_for_empty(&self, schema: &Schema) -> Plan {
        plan::for_empty(
            match self {
                Self::Postgres(_) => Dialect::Postgres,
                Self::Sqlite(_) => Dialect::Sqlite,
            },
            schema,
        )
    }

    /// Reads the catalogue and says what is to be done for `schema`; changes nothing (`amber check --connect`).
    ///
    /// # Errors
    /// `Away` and `Standing`, as of every call. Conflicts are in the plan.
    pub async fn plan(&mut self, schema: &Schema) -> Result<Plan, WriteError> {
        match self {
            Self::Postgres(store) => store.plan(schema).await,
            Self::Sqlite(store) => store.plan(schema).await,
        }
    }

    /// Migrations and measurement tables, in one transaction under one lock. Comes before the first `adopt`, and
    /// again with every other schema; an adoption outlives it. With `[store] ddl = false` nothing is changed but the
    /// catalogue's rows.
    ///
    /// # Errors
    /// `Standing` with the SQL if there are conflicts, or something to be done that is not for us; nothing is changed
    /// then.
    pub async fn prepare(&mut self, schema: &Schema) -> Result<(), WriteError> {
        match self {
            Self::Postgres(store) => store.prepare(schema).await,
            Self::Sqlite(store) => store.prepare(schema).await,
        }
    }

    /// First statement on every new connection. The first call of a process adopts unconditionally; later ones
    /// only if the row is still this owner's (`Fenced` otherwise). Connects if need be.
    ///
    /// # Errors
    /// `Away`, `Standing`: as at first; the next try is an `adopt` too. `Fenced`: stop.
    pub async fn adopt(&mut self) -> Result<Adopted, WriteError> {
        match self {
            Self::Postgres(store) => store.adopt().await,
            Self::Sqlite(store) => store.adopt().await,
        }
    }

    /// Makes the plan anew if the tables were found to be others than planned; `write` begins with that, too. For who
    /// has to know before it (`take_anew`).
    ///
    /// # Errors
    /// `Away` and `Standing`.
    pub async fn keep_up(&mut self) -> Result<(), WriteError> {
        match self {
            Self::Postgres(store) => store.keep_up().await,
            Self::Sqlite(store) => store.keep_up().await,
        }
    }

    /// Whether columns were found to be gone or made anew since this was last asked: their old values are not stored
    /// any more.
    pub fn take_anew(&mut self) -> bool {
        match self {
            Self::Postgres(store) => store.take_anew(),
            Self::Sqlite(store) => store.take_anew(),
        }
    }

    /// Adds the columns that its rows bring (`Row::others`), in a transaction of their own, and stores `batch` under
    /// `number` with the ledger `packets`, in one statement or transaction. Needs an adopted connection.
    ///
    /// # Errors
    /// See `WriteError`. After any of them look at `is_adopted`: if not, `adopt` is the next call.
    pub async fn write(&mut self, batch: &Batch, number: i64, packets: &[u8]) -> Result<Written, WriteError> {
        match self {
            Self::Postgres(store) => store.write(batch, number, packets).await,
            Self::Sqlite(store) => store.write(batch, number, packets).await,
        }
    }

    /// The same after `Refused`: one transaction that finds the refused rows, stores the others and the refused as
    /// rejects.
    ///
    /// # Errors
    /// As `write` (`TooManySeries` and `NoColumn` included), but never `Refused`: a table that takes none of many rows
    /// is `Standing`.
    pub async fn write_apart(&mut self, batch: &Batch, number: i64, packets: &[u8]) -> Result<Written, WriteError> {
        let written = match self {
            Self::Postgres(store) => store.write_apart(batch, number, packets).await,
            Self::Sqlite(store) => store.write_apart(batch, number, packets).await,
        };
        // What is refused apart (a trigger at COMMIT) would be refused for ever.
        written.map_err(|error| match error {
            WriteError::Refused(source) => WriteError::Standing(source),
            error => error,
        })
    }

    /// What the batch in doubt comes to, for when an adoption tells that it is stored. `None`: no batch is in doubt.
    pub fn take_doubtful(&mut self) -> Option<Written> {
        match self {
            Self::Postgres(store) => store.take_doubtful(),
            Self::Sqlite(store) => store.take_doubtful(),
        }
    }

    /// The ledger alone, under no number.
    ///
    /// # Errors
    /// As `write`; nothing is in doubt, since the next one says the same or more.
    pub async fn write_ledger(&mut self, packets: &[u8]) -> Result<(), WriteError> {
        match self {
            Self::Postgres(store) => store.write_ledger(packets).await,
            Self::Sqlite(store) => store.write_ledger(packets).await,
        }
    }

    /// Remembers the subscriptions beside the ledger.
    ///
    /// # Errors
    /// As `write_ledger`.
    pub async fn write_filters(&mut self, filters: &str) -> Result<(), WriteError> {
        match self {
            Self::Postgres(store) => store.write_filters(filters).await,
            Self::Sqlite(store) => store.write_filters(filters).await,
        }
    }

    /// Asks whether the store answers and the writer is still ours; for when there is nothing to write.
    ///
    /// # Errors
    /// As `write_ledger`.
    pub async fn ask(&mut self) -> Result<(), WriteError> {
        match self {
            Self::Postgres(store) => store.ask().await,
            Self::Sqlite(store) => store.ask().await,
        }
    }

    /// Whether there is an adopted connection; if not, `adopt` is the next call.
    #[must_use]
    pub fn is_adopted(&self) -> bool {
        match self {
            Self::Postgres(store) => store.is_adopted(),
            Self::Sqlite(store) => store.is_adopted(),
        }
    }

    /// The size of the write-ahead log beside a file of SQLite, as of the last write; PostgreSQL has its own care.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        match self {
            Self::Postgres(_) => 0,
            Self::Sqlite(store) => store.log_bytes(),
        }
    }

    /// Says farewell, within a second.
    pub async fn close(&mut self) {
        match self {
            Self::Postgres(store) => store.close().await,
            Self::Sqlite(store) => store.close().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_send<T: Send>(_: T) {}

    /// `delivery` runs in a task of its own, on any thread.
    #[expect(dead_code, reason = "compiled, not run")]
    fn calls_may_move_between_threads(store: &mut Store, schema: &Schema, batch: &Batch) {
        is_send(store.prepare(schema));
        is_send(store.plan(schema));
        is_send(store.adopt());
        is_send(store.keep_up());
        is_send(store.write(batch, 1, &[]));
        is_send(store.write_apart(batch, 1, &[]));
        is_send(store.write_ledger(&[]));
        is_send(store.write_filters(""));
        is_send(store.ask());
        is_send(store.close());
    }
}
