//! What becomes of rows that are too old, and of partitions before they are needed.
//!
//! On a connection of its own, so that no batch and no acknowledgement waits for it. Old rows go by whole partitions where
//! there are some, otherwise in slices that are short whatever there is to delete, with pauses as long in between: SQLite
//! has one writer at a time. SQLite gives the space back to the disk in slices as well.
//!
//! A partition is dropped under a lock that waits for readers, and behind which writers wait: it is asked for, for a moment
//! only, and again a minute later.

mod attach;
mod postgres;
mod sqlite;

use std::collections::BTreeMap;
use std::path::PathBuf;

use tokio::time::timeout;

use super::error::Failure;
use super::{WriteError, postgres as server, sqlite as file};
use crate::config::{self, StoreUrl};
use crate::message::Time;
use crate::schema::{Measurement, Schema};

/// What was done, by the name of the measurement, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Partitions dropped whole.
    pub dropped: BTreeMap<String, u64>,
    /// Rows deleted.
    pub deleted: BTreeMap<String, u64>,
    /// What became of tables that were there before their retention, each in a sentence.
    pub parts: Vec<String>,
    /// What a person must do, each in a sentence.
    pub hindrances: Vec<String>,
    /// What TimescaleDB does not do as the configuration says; nobody need act.
    pub notes: Vec<String>,
    /// Somebody reads what is to be dropped: it is tried again soon.
    pub is_held: bool,
}

/// Knows where the tables are.
pub struct Upkeep {
    place: Place,
    ddl: bool,
    timescale: config::Timescale,
}

enum Place {
    Postgres(Vec<server::Server>),
    Sqlite(PathBuf),
}

impl Upkeep {
    /// Remembers where the store is; connects to nothing.
    #[must_use]
    pub fn new(config: &config::Store) -> Self {
        let place = match &config.url.value {
            StoreUrl::Postgres(urls) => Place::Postgres(urls.iter().map(server::Server::new).collect()),
            StoreUrl::Sqlite(path) => Place::Sqlite(path.clone()),
        };
        Self { place, ddl: config.ddl, timescale: config.timescale.clone() }
    }

    /// Makes partitions ahead, and drops or deletes what is older than the retentions of `schema` at `now`, or at the
    /// present by the server's clock if that is earlier. Cancel safe: a step is done or not.
    ///
    /// # Errors
    /// `Away` and `Standing`; `kept` has what was done until then.
    pub async fn look(&self, schema: &Schema, now: Time, kept: &mut Kept) -> Result<(), WriteError> {
        let ours: Vec<&Measurement> =
            schema.measurements.iter().filter(|measurement| measurement.own.is_none()).collect();
        let (outcome, user) = match &self.place {
            Place::Postgres(servers) => {
                let outcome = async {
                    let mut connection = server::connect(servers).await?;
                    let how = (self.ddl, &self.timescale);
                    let looked = postgres::look(&mut connection, &ours, now, how, kept).await;
                    // Whether the server hears the farewell does not matter.
                    drop(timeout(server::CLOSE_LIMIT, sqlx::Connection::close(connection)).await);
                    looked
                };
                (outcome.await, servers.first().map_or_else(String::new, server::Server::user))
            }
            // There is nothing to keep, or no file, and it is not for us to make one.
            Place::Sqlite(path) if !path.exists() || ours.iter().all(|one| one.retention.is_none()) => {
                (Ok(()), String::new())
            }
            Place::Sqlite(path) => {
                let outcome = async {
                    let mut connection = file::connect(path).await?;
                    let looked = sqlite::look(&mut connection, &ours, now, kept).await;
                    drop(timeout(file::CLOSE_LIMIT, sqlx::Connection::close(connection)).await);
                    looked
                };
                (outcome.await, String::new())
            }
        };
        outcome.map_err(|failure: Failure| failure.rowless().into_write_error(false, &user))
    }
}

/// What is older than this has been kept long enough; `None`: it is kept for ever.
fn oldest(measurement: &Measurement, now: Time) -> Option<Time> {
    let retention = i64::try_from(measurement.retention?.as_micros()).unwrap_or(i64::MAX);
    Some(Time(now.0.saturating_sub(retention)))
}
