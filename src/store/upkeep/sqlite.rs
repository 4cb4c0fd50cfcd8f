//! SQLite: rows deleted in slices, and pages given back to the disk in slices.

use sqlx::{AssertSqlSafe, SqliteConnection};
use tokio::time::{Instant, sleep};

use super::{Kept, oldest};
use crate::message::Time;
use crate::schema::Measurement;
use crate::store::error::Failure;
use crate::store::plan::Dialect;
use crate::store::pruner::{STEP_ROWS, next_rows};
use crate::store::sqlite::answered;

/// Pages that stay in the file for the rows to come: they would be asked for again at once.
const FREE_PAGES: i64 = 1_024;
/// Pages of one slice; a megabyte.
const SLICE_PAGES: i64 = 256;

pub(super) async fn look(
    connection: &mut SqliteConnection,
    measurements: &[&Measurement],
    now: Time,
    kept: &mut Kept,
) -> Result<(), Failure> {
    for measurement in measurements {
        if let Some(oldest) = oldest(measurement, now) {
            delete(connection, measurement, oldest, kept).await?;
        }
    }
    give_back(connection).await
}

async fn delete(
    connection: &mut SqliteConnection,
    measurement: &Measurement,
    oldest: Time,
    kept: &mut Kept,
) -> Result<(), Failure> {
    let table = Dialect::Sqlite.data(&measurement.name);
    let mut rows = STEP_ROWS.0;
    loop {
        let start = Instant::now();
        let text = format!(
            "delete from {table} where rowid in (select rowid from {table} where time < {} order by time limit {rows})",
            oldest.0
        );
        let done = answered(sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *connection)).await?.rows_affected();
        if done > 0 {
            *kept.deleted.entry(measurement.name.clone()).or_default() += done;
        }
        if done < rows {
            return Ok(());
        }
        let took = start.elapsed();
        rows = next_rows(rows, took);
        sleep(took).await;
    }
}

/// Cuts the file as far as it was made for that (`auto_vacuum = incremental`, set when Amber makes it).
async fn give_back(connection: &mut SqliteConnection) -> Result<(), Failure> {
    loop {
        let text = "select freelist_count from pragma_freelist_count, pragma_auto_vacuum where auto_vacuum = 2";
        let free: Option<i64> = answered(sqlx::query_scalar(text).fetch_optional(&mut *connection)).await?;
        if free.is_none_or(|free| free <= FREE_PAGES) {
            return Ok(());
        }
        let start = Instant::now();
        let text = format!("pragma incremental_vacuum({SLICE_PAGES})");
        answered(sqlx::raw_sql(AssertSqlSafe(text)).fetch_all(&mut *connection)).await?;
        sleep(start.elapsed()).await;
    }
}
