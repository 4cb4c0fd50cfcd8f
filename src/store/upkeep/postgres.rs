//! PostgreSQL: partitions made ahead and dropped; rows of tables that have none deleted series by series, by their index.

use sqlx::{AssertSqlSafe, PgConnection};
use tokio::time::{Instant, sleep};

use super::{Kept, attach, oldest};
use crate::config;
use crate::message::Time;
use crate::schema::Measurement;
use crate::store::error::{Class, Failure};
use crate::store::plan::partitions::{DAY, instant};
use crate::store::plan::{Dialect, Hypertable, Layout, Partition, Ranges, Timescale};
use crate::store::postgres::{MADE_AHEAD, answered, partitions, timescale};
use crate::store::pruner::{STEP_ROWS, next_rows};

/// Where an administrator makes partitions, they are asked for when those that are there last for less.
const ASKED_AHEAD: i64 = 14 * DAY;
/// Chunks that are dropped in one go: each takes locks of which the server has a few thousand.
const CHUNKS: usize = 100;
/// A policy runs once a day or more often. What is so much older than it should be, it has left.
const LEFT: i64 = 2 * DAY;
/// Series that are looked at in one go.
const SERIES: i64 = 1_000;

/// Looks after all measurements; one whose partition is held does not keep the next one waiting.
pub(super) async fn look(
    connection: &mut PgConnection,
    measurements: &[&Measurement],
    now: Time,
    (ddl, settings): (bool, &config::Timescale),
    kept: &mut Kept,
) -> Result<(), Failure> {
    // A clock that is set ahead makes nothing old as long as the server's is right.
    let now = now.min(partitions::now(connection).await?);
    let tables: Vec<String> = measurements.iter().map(|measurement| format!("{}_data", measurement.name)).collect();
    let timescale = timescale::find(connection, settings).await?;
    let mut layouts = partitions::layouts(connection, &tables).await?;
    for (measurement, table) in measurements.iter().zip(&tables) {
        let mut layout = layouts.remove(table);
        if ddl && matches!(layout, Some(Layout::Plain) | None) {
            if measurement.retention.is_none() {
                attach::give_up(connection, measurement, kept).await?;
            } else if exists(connection, table).await? && attach::attach(connection, measurement, now, kept).await? {
                layout = partitions::layouts(connection, std::slice::from_ref(table)).await?.remove(table);
            }
        }
        match layout {
            Some(Layout::Partitioned(all)) => {
                ahead(connection, measurement, &all, now, ddl, kept).await?;
                if let Some(oldest) = oldest(measurement, now) {
                    let old: Vec<&Partition> = all.iter().filter(|partition| partition.to <= oldest.0).collect();
                    drop_old(connection, measurement, &old, ddl, kept).await?;
                    // What the first partition of a table holds that was plain before goes on before it can be dropped.
                    if all.iter().any(|partition| partition.from == i64::MIN) {
                        delete(connection, measurement, oldest, kept).await?;
                    }
                }
            }
            Some(Layout::Hypertable(table)) => {
                if let Some(timescale) = &timescale {
                    hypertable(connection, timescale, measurement, &table, now, kept).await?;
                }
            }
            Some(Layout::Plain) | None => {
                if let Some(oldest) = oldest(measurement, now) {
                    delete(connection, measurement, oldest, kept).await?;
                }
            }
        }
    }
    Ok(())
}

/// It may have been dropped.
async fn exists(connection: &mut PgConnection, table: &str) -> Result<bool, Failure> {
    let text = "select exists (select from pg_catalog.pg_class where relnamespace = to_regnamespace('amber_store') and relname = $1)";
    answered(sqlx::query_scalar(text).bind(table).fetch_one(connection)).await
}

async fn ahead(
    connection: &mut PgConnection,
    measurement: &Measurement,
    all: &[Partition],
    now: Time,
    ddl: bool,
    kept: &mut Kept,
) -> Result<(), Failure> {
    let ranges = Ranges::new(measurement.retention, all);
    let name = &measurement.name;
    if !ddl {
        let until = ranges.covered_until(now);
        if until.0 < now.0 + ASKED_AHEAD {
            kept.hindrances.push(format!(
                "`{name}` has partitions up to {until} only, and `[store] ddl = false`: have an administrator run the SQL \
                 that `amber check --connect` prints"
            ));
        }
        return Ok(());
    }
    let lacking = ranges.clone().cover(now, Time(now.0 + MADE_AHEAD));
    if lacking.is_empty() {
        return Ok(());
    }
    let times: Vec<Time> = lacking.iter().map(|range| Time(range.from)).collect();
    partitions::make(connection, name, measurement.retention, &times, ddl).await.map(drop)
}

async fn drop_old(
    connection: &mut PgConnection,
    measurement: &Measurement,
    old: &[&Partition],
    ddl: bool,
    kept: &mut Kept,
) -> Result<(), Failure> {
    let Some(first) = old.first() else { return Ok(()) };
    if !ddl {
        kept.hindrances.push(format!(
            "{} partitions of `{}` are older than its `retention`, and `[store] ddl = false`: have an administrator drop \
             them, the first by `drop table {}`",
            old.len(),
            measurement.name,
            first.name
        ));
        return Ok(());
    }
    for partition in old {
        // Writers wait behind this lock: no longer than a batch takes anyhow.
        let text = format!("set lock_timeout = '300ms'; drop table {}; set lock_timeout = '10s'", partition.name);
        match answered(sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *connection)).await {
            Ok(_) => *kept.dropped.entry(measurement.name.clone()).or_default() += 1,
            // Somebody reads.
            Err(failure) if failure.class == Class::Away && !failure.lost => {
                kept.is_held = true;
                return Ok(());
            }
            Err(failure) => return Err(failure.context(format!("cannot drop {}", partition.name))),
        }
    }
    Ok(())
}

/// Drops old chunks where no policy does: in the Apache edition, where nobody has made the policy yet, or where it has left
/// them. Too many of them for one transaction, which a policy would fail at, are dropped in portions all the same.
async fn hypertable(
    connection: &mut PgConnection,
    timescale: &Timescale,
    measurement: &Measurement,
    table: &Hypertable,
    now: Time,
    kept: &mut Kept,
) -> Result<(), Failure> {
    kept.notes.extend(timescale.cannot(measurement));
    let Some(oldest) = oldest(measurement, now) else { return Ok(()) };
    let mut ends: Vec<i64> = table.chunks.iter().map(|chunk| chunk.to).filter(|end| *end <= oldest.0).collect();
    ends.sort_unstable();
    let are_left = ends.first().is_some_and(|end| *end <= oldest.0.saturating_sub(LEFT));
    match (table.drop_after.is_some(), are_left, ends.len() <= CHUNKS) {
        (true, false, true) => return Ok(()),
        (true, true, _) => kept.notes.push(format!(
            "the policy of retention of `{}` has left old chunks, and Amber drops them; whether it runs, \
             `select * from timescaledb_information.job_errors` tells",
            measurement.name
        )),
        (true, false, false) | (false, _, _) => {}
    }
    for portion in ends.chunks(CHUNKS) {
        let Some(last) = portion.last() else { continue };
        let drop = timescale.drop_chunks(&measurement.name, Time(*last));
        // Writers wait behind this lock, too.
        let text = format!("set lock_timeout = '300ms'; {drop}; set lock_timeout = '10s'");
        match answered(sqlx::raw_sql(AssertSqlSafe(text)).fetch_all(&mut *connection)).await {
            Ok(dropped) => {
                if !dropped.is_empty() {
                    *kept.dropped.entry(measurement.name.clone()).or_default() += dropped.len() as u64;
                }
            }
            Err(failure) if failure.class == Class::Away && !failure.lost => {
                kept.is_held = true;
                return Ok(());
            }
            Err(failure) => return Err(failure.context(format!("cannot run `{drop}`"))),
        }
    }
    Ok(())
}

/// Deletes rows in slices. By the index over series and time: an index over time alone would pass over all that was deleted
/// before, slice for slice.
async fn delete(
    connection: &mut PgConnection,
    measurement: &Measurement,
    oldest: Time,
    kept: &mut Kept,
) -> Result<(), Failure> {
    let name = &measurement.name;
    let (data, series) = (Dialect::Postgres.data(name), Dialect::Postgres.series(name));
    let page = format!("select series_id from {series} where series_id > $1 order by series_id limit {SERIES}");
    let (mut last, mut rows) = (i64::MIN, STEP_ROWS.0);
    loop {
        let query = sqlx::query_scalar(AssertSqlSafe(page.as_str())).bind(last);
        let ids: Vec<i64> = answered(query.fetch_all(&mut *connection)).await?;
        let Some(&newest) = ids.last() else { return Ok(()) };
        // Few of them have something to delete, as a rule: one question for all.
        let with_old = format!(
            "select u.id from unnest($1::int8[]) as u(id)
             where exists (select from {data} d where d.series_id = u.id and d.time < {})",
            instant(oldest.0)
        );
        let query = sqlx::query_scalar(AssertSqlSafe(with_old)).bind(&ids);
        let ids: Vec<i64> = answered(query.fetch_all(&mut *connection)).await?;
        for id in ids {
            loop {
                let start = Instant::now();
                let text = format!(
                    "delete from {data} d using (
                       select tableoid, ctid from {data} where series_id = {id} and time < {time} order by time limit {rows}
                     ) as old
                     where d.tableoid = old.tableoid and d.ctid = old.ctid and d.series_id = {id} and d.time < {time}",
                    time = instant(oldest.0)
                );
                let done = answered(sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *connection)).await;
                let done = done.map_err(|failure| failure.context(format!("cannot delete old rows of {data}")))?;
                let done = done.rows_affected();
                if done > 0 {
                    *kept.deleted.entry(name.clone()).or_default() += done;
                }
                if done < rows {
                    break;
                }
                let took = start.elapsed();
                rows = next_rows(rows, took);
                sleep(took).await;
            }
        }
        last = newest;
    }
}
