//! Deletes rejects that are too old or too many, oldest first, in steps that are short whatever there is to delete.
//!
//! On a connection of its own: PostgreSQL deletes beside the writer, and SQLite, which has one writer at a time, is held
//! for a moment at each step and is free as long in between. What the rejects take is the sum over the rows and not the
//! size of the table: that does not shrink when rows are deleted, in neither database, and all would be deleted for it.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::time::{Instant, sleep, timeout};

use super::error::Failure;
use super::{WriteError, postgres, sqlite};
use crate::config::{self, StoreUrl};
use crate::message::Time;

/// Rows of the first step, and the most of one.
pub(super) const STEP_ROWS: (u64, u64) = (64, 4_096);
/// A step that took less is followed by a larger one, one that took more by a smaller.
const STEP_TIME: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(40));
/// Bytes of a reject besides payload, topic and detail.
const ROW_BYTES: u64 = 100;

/// How many were deleted, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    pub by_age: u64,
    pub by_size: u64,
}

/// Knows where the rejects are.
pub struct Pruner(Place);

enum Place {
    Postgres(Vec<postgres::Server>),
    Sqlite(PathBuf),
}

impl Pruner {
    /// Remembers where the store is; connects to nothing.
    #[must_use]
    pub fn new(config: &config::Store) -> Self {
        Self(match &config.url.value {
            StoreUrl::Postgres(urls) => Place::Postgres(urls.iter().map(postgres::Server::new).collect()),
            StoreUrl::Sqlite(path) => Place::Sqlite(path.clone()),
        })
    }

    /// Deletes what was received before `before`, then the oldest until no more than nine tenths of `max_bytes` are left,
    /// if there are more than `max_bytes`. Cancel safe: a step is done or not.
    ///
    /// # Errors
    /// `Away` and `Standing`; `deleted` has what was done until then.
    pub async fn prune(&self, before: Time, max_bytes: u64, deleted: &mut Deleted) -> Result<(), WriteError> {
        let outcome = async {
            let Some(mut rejects) = self.connect().await? else { return Ok(()) };
            let pruned = rejects.prune(before, max_bytes, deleted).await;
            rejects.close().await;
            pruned
        };
        outcome.await.map_err(|failure: Failure| failure.rowless().into_write_error(false, &self.user()))
    }

    /// Of the database, for advice.
    fn user(&self) -> String {
        match &self.0 {
            Place::Postgres(servers) => servers.first().map_or_else(String::new, postgres::Server::user),
            Place::Sqlite(_) => String::new(),
        }
    }

    /// `None`: there is no file, and it is not for us to make one.
    async fn connect(&self) -> Result<Option<Rejects>, Failure> {
        Ok(match &self.0 {
            Place::Postgres(servers) => Some(Rejects::Postgres(Box::new(postgres::connect(servers).await?))),
            Place::Sqlite(path) if !path.exists() => None,
            Place::Sqlite(path) => Some(Rejects::Sqlite(Box::new(sqlite::connect(path).await?))),
        })
    }
}

/// The table of rejects, on a connection.
enum Rejects {
    Postgres(Box<PgConnection>),
    Sqlite(Box<SqliteConnection>),
}

impl Rejects {
    async fn prune(&mut self, before: Time, max_bytes: u64, deleted: &mut Deleted) -> Result<(), Failure> {
        let before = self.instant(before);
        self.delete(&format!("received_at < {before}"), "received_at", &mut deleted.by_age).await?;
        if self.newest_beyond(max_bytes).await?.is_some()
            && let Some(id) = self.newest_beyond(max_bytes - max_bytes / 10).await?
        {
            self.delete(&format!("id <= {id}"), "id", &mut deleted.by_size).await?;
        }
        Ok(())
    }

    /// The newest reject that, with all that are newer, takes more than `max_bytes`. Reads no further back than to it.
    async fn newest_beyond(&mut self, max_bytes: u64) -> Result<Option<i64>, Failure> {
        let table = self.table();
        let sql = format!(
            "select id from (
               select id, sum(octet_length(payload) + octet_length(topic) + octet_length(detail) + {ROW_BYTES})
                 over (order by id desc rows unbounded preceding) as bytes
               from {table}
             ) as newer
             where bytes > {max_bytes}
             order by id desc
             limit 1"
        );
        match self {
            Self::Postgres(connection) => {
                let query = sqlx::query_scalar(AssertSqlSafe(sql));
                postgres::answered(query.fetch_optional(&mut **connection)).await
            }
            Self::Sqlite(connection) => {
                let query = sqlx::query_scalar(AssertSqlSafe(sql));
                sqlite::answered(query.fetch_optional(&mut **connection)).await
            }
        }
    }

    /// Deletes in steps what `condition` says, and counts it.
    async fn delete(&mut self, condition: &str, order: &str, deleted: &mut u64) -> Result<(), Failure> {
        let table = self.table();
        let mut rows = STEP_ROWS.0;
        loop {
            let start = Instant::now();
            let sql = format!(
                "delete from {table} where id in (select id from {table} where {condition} order by {order} limit {rows})"
            );
            let done = self.execute(sql).await?;
            *deleted += done;
            if done < rows {
                return Ok(());
            }
            let took = start.elapsed();
            rows = next_rows(rows, took);
            sleep(took).await;
        }
    }

    async fn execute(&mut self, sql: String) -> Result<u64, Failure> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql));
        Ok(match self {
            Self::Postgres(connection) => postgres::answered(sql.execute(&mut **connection)).await?.rows_affected(),
            Self::Sqlite(connection) => sqlite::answered(sql.execute(&mut **connection)).await?.rows_affected(),
        })
    }

    fn table(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "amber_store.reject",
            Self::Sqlite(_) => "store_reject",
        }
    }

    fn instant(&self, time: Time) -> String {
        match self {
            Self::Postgres(_) => format!("timestamptz 'epoch' + {} * interval '1 microsecond'", time.0),
            Self::Sqlite(_) => time.0.to_string(),
        }
    }

    /// Whether the server hears the farewell does not matter.
    async fn close(self) {
        match self {
            Self::Postgres(connection) => drop(timeout(postgres::CLOSE_LIMIT, connection.close()).await),
            Self::Sqlite(connection) => drop(timeout(sqlite::CLOSE_LIMIT, connection.close()).await),
        }
    }
}

pub(super) fn next_rows(rows: u64, took: Duration) -> u64 {
    if took < STEP_TIME.0 {
        (rows * 2).min(STEP_ROWS.1)
    } else if took > STEP_TIME.1 {
        (rows / 2).max(1)
    } else {
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_become_as_long_as_they_may_be_and_no_longer() {
        // A disk that takes a millisecond a row; one that takes ten microseconds; one that takes a tenth of a second.
        for (row, expected) in [(1_000, 10..=40), (10, 1_000..=4_000), (100_000, 1..=1)] {
            let mut rows = STEP_ROWS.0;
            for _ in 0..20 {
                rows = next_rows(rows, Duration::from_micros(rows * row));
            }
            assert!(expected.contains(&rows), "{rows} rows of {row} µs");
        }
    }
}
