//! PostgreSQL and SQLite: one batch, one transaction, and proof of it.
//!
//! One writer, one statement under way at a time. Every call has a time-out; after one, or after any
//! connection fault, the connection is dropped and the next call connects anew, which *adopts* the writer
//! row again (facts of exactly-once: ARCHITECTURE.md). The count that the gate returns is the proof of
//! storage, never `Ok(())`: sqlx answers `Ok` to a COMMIT that PostgreSQL turned into a ROLLBACK.

use crate::batch::Batch;
use crate::config;
use crate::row::Reason;
use crate::schema::Schema;

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
    /// Rows that the database refused: position in `Batch::rows`, and the database's words. They are among `rejects`.
    pub refused: Vec<(usize, String)>,
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
    /// Another process has adopted the writer: stop.
    Fenced,
}

/// One of the two.
pub enum Store {
    Postgres(),
    Sqlite(),
}

/// A plan of tables: what is there, what will be done, what cannot be done.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// SQL statements that bring the store to the schema, in order; empty if nothing is to be done.
    pub statements: Vec<String>,
    /// Changes that Amber does not make by itself, each with both remedies.
    pub conflicts: Vec<String>,
}

#[expect(unused_variables, clippy::unused_async, reason = "contract")]
impl Store {
    /// Remembers where the store is; connects to nothing.
    pub fn new(config: &config::Store, writer: &str, owner: i64) -> Self {
        Self::Sqlite()
    }
    /// Reads the catalogue and says what is to be done for `schema`; changes nothing (`amber check`).
    pub async fn plan(&mut self, schema: &Schema) -> Result<Plan, WriteError> {
        Ok(Plan::default())
    }
    /// Migrations and measurement tables, in one transaction under one lock; `Standing` with the SQL if there are conflicts.
    pub async fn prepare(&mut self, schema: &Schema) -> Result<(), WriteError> {
        Ok(())
    }
    /// First statement on every new connection. The first call of a process adopts unconditionally; later ones
    /// only if the row is still this owner's (`Fenced` otherwise). Connects if need be.
    pub async fn adopt(&mut self) -> Result<Adopted, WriteError> {
        Err(WriteError::Fenced)
    }
    /// Stores `batch` under `number` with the ledger `packets`, in one statement or transaction. Needs an adopted connection.
    pub async fn write(&mut self, batch: &Batch, number: i64, packets: &[u8]) -> Result<Written, WriteError> {
        Err(WriteError::Fenced)
    }
    /// The same after `Refused`: one transaction that finds the refused rows, stores the others and the refused as rejects.
    pub async fn write_apart(&mut self, batch: &Batch, number: i64, packets: &[u8]) -> Result<Written, WriteError> {
        Err(WriteError::Fenced)
    }
    /// The ledger alone, under no number.
    pub async fn write_ledger(&mut self, packets: &[u8]) -> Result<(), WriteError> {
        Err(WriteError::Fenced)
    }
    /// Remembers the subscriptions beside the ledger.
    pub async fn write_filters(&mut self, filters: &str) -> Result<(), WriteError> {
        Err(WriteError::Fenced)
    }
    /// Whether there is an adopted connection; if not, `adopt` is the next call.
    pub fn is_adopted(&self) -> bool {
        false
    }
    pub async fn close(&mut self) {}
}

/// Reason under which a refused row is kept.
pub const REFUSED: Reason = Reason::Refused;
