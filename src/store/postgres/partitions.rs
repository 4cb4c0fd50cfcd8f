//! The partitions of tables of readings: which there are, and those made that a batch needs.
//!
//! What must exist before a batch is written is made before it, in a transaction of its own, and only if nobody has made it
//! ahead (`upkeep`). It is made aside and attached: neither writers nor readers wait.

use std::collections::{BTreeMap, HashMap};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::{answered, command, timescale};
use crate::batch::Batch;
use crate::message::Time;
use crate::store::error::{Failure, Refusal};
use crate::store::plan::partitions::{self, BEFORE, DAY, MAX_PARTITIONS};
use crate::store::plan::{Layout, Partition, Ranges, Table};

/// So many are made in one transaction: each takes locks of which the server has a few thousand.
const AT_ONCE: usize = 50;
/// So far on from the present a partition is sure to be there, or is made by who may.
const NEAR: i64 = DAY;

/// How the tables of readings of these names (`climate_data`) are made.
pub(in crate::store) async fn layouts(
    connection: &mut PgConnection,
    tables: &[String],
) -> Result<HashMap<String, Layout>, Failure> {
    // A bound is shown as the session writes times, and read back as it reads them.
    type Bounds = (String, Option<String>, Option<i64>, Option<i64>);
    let rows: Vec<Bounds> = answered(
        sqlx::query_as(
            "select p.relname::text, case when c.oid is not null then format('%I.%I', n.nspname, c.relname) end,
               case b.bound[1] when 'MINVALUE' then -9223372036854775808 else (extract(epoch from trim(b.bound[1], '''')::timestamptz) * 1000000)::int8 end,
               case b.bound[2] when 'MAXVALUE' then 9223372036854775807 else (extract(epoch from trim(b.bound[2], '''')::timestamptz) * 1000000)::int8 end
             from pg_catalog.pg_class p
             join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace
             join pg_catalog.pg_partitioned_table t on t.partrelid = p.oid
             join pg_catalog.pg_attribute a on a.attrelid = p.oid and a.attname = 'time' and t.partnatts = 1 and t.partattrs[0] = a.attnum
             left join pg_catalog.pg_inherits i on i.inhparent = p.oid and not i.inhdetachpending
             left join pg_catalog.pg_class c on c.oid = i.inhrelid
             left join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             cross join lateral regexp_match(pg_catalog.pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM \\((.*)\\) TO \\((.*)\\)$') as b(bound)
             where pn.nspname = 'amber_store' and p.relkind = 'p' and t.partstrat = 'r' and t.partdefid = 0 and p.relname = any($1)",
        )
        .bind(tables)
        .fetch_all(&mut *connection),
    )
    .await?;
    let mut layouts: HashMap<String, Layout> = HashMap::new();
    for (table, name, from, to) in rows {
        let layout = layouts.entry(table).or_insert_with(|| Layout::Partitioned(Vec::new()));
        if let (Layout::Partitioned(all), Some(name), Some(from), Some(to)) = (layout, name, from, to) {
            all.push(Partition { name, from, to });
        }
    }
    let has_timescale = "select exists (select from pg_catalog.pg_extension where extname = 'timescaledb')";
    if answered(sqlx::query_scalar(has_timescale).fetch_one(&mut *connection)).await? {
        let hypertables = timescale::hypertables(connection, tables).await?;
        layouts.extend(hypertables.into_iter().map(|(name, table)| (name, Layout::Hypertable(Box::new(table)))));
    }
    Ok(layouts)
}

/// The present by the server's clock.
pub(in crate::store) async fn now(connection: &mut PgConnection) -> Result<Time, Failure> {
    let text = "select (extract(epoch from clock_timestamp()) * 1000000)::int8";
    Ok(Time(answered(sqlx::query_scalar(text).fetch_one(connection)).await?))
}

/// The times of the batch for which there is no partition, by table.
pub(super) fn lacking(batch: &Batch, tables: &[Table]) -> BTreeMap<usize, Vec<Time>> {
    let mut lacking: BTreeMap<usize, Vec<Time>> = BTreeMap::new();
    for (_, row) in &batch.rows {
        let ranges = tables.get(row.measurement).and_then(|table| table.partitions.as_ref());
        if ranges.is_some_and(|ranges| !ranges.has(row.time)) {
            lacking.entry(row.measurement).or_default().push(row.time);
        }
    }
    lacking
}

/// Rows that no partition takes, though all that may be made are there.
pub(super) fn refused(batch: &Batch, tables: &[Table]) -> Vec<(usize, Refusal)> {
    let homeless = |(position, (_, row)): (usize, &(usize, crate::row::Row))| {
        let table = tables.get(row.measurement)?;
        let ranges = table.partitions.as_ref().filter(|ranges| !ranges.has(row.time))?;
        let why = if ranges.len() >= MAX_PARTITIONS {
            format!("it has {MAX_PARTITIONS} already, as many as there may be")
        } else {
            "`[store] ddl = false`, and the time is not near the present".to_owned()
        };
        Some((position, format!("`{}` has no partition for {}, and none is made: {why}", table.name, row.time).into()))
    };
    batch.rows.iter().enumerate().filter_map(homeless).collect()
}

/// Makes partitions for `times` of one table; gives all that there are. Without `ddl` it looks whether they are there now.
///
/// # Errors
/// Without `ddl`: `Standing` with the SQL, if a time is near the present.
pub(in crate::store) async fn make(
    connection: &mut PgConnection,
    measurement: &str,
    retention: Option<std::time::Duration>,
    times: &[Time],
    ddl: bool,
) -> Result<Option<Ranges>, Failure> {
    let table = format!("{measurement}_data");
    // Somebody has made them ahead, as a rule.
    let Some(mut ranges) = look(connection, &table, retention).await? else { return Ok(None) };
    if times.iter().all(|time| ranges.has(*time)) {
        return Ok(Some(ranges));
    }
    if ranges.are_chunks {
        // The rows make them, as far as there is room.
        ranges.admit(times.iter().copied());
        return Ok(Some(ranges));
    }
    if !ddl {
        let now = now(connection).await?;
        let near: Vec<Time> = times.iter().copied().filter(|time| (time.0 - now.0).abs() <= NEAR).collect();
        let wanted = ranges.clone().admit(near);
        let Some(first) = wanted.first() else { return Ok(Some(ranges)) };
        return Err(Failure::standing(format!(
            "`{measurement}` has no partition for the present, and `[store] ddl = false`: have an administrator run the SQL \
             that `amber check --connect` prints, among it `{}`; Amber goes on by itself then",
            partitions::create(measurement, *first).join("; ")
        )));
    }
    loop {
        let mut transaction = connection.begin().await?;
        match make_some(&mut transaction, measurement, retention, times).await {
            Ok((ranges, is_all)) => {
                // Every statement before it succeeded, so that this is a COMMIT and no ROLLBACK in disguise.
                transaction.commit().await?;
                if is_all {
                    return Ok(ranges);
                }
            }
            Err(failure) => {
                // A failed rollback says nothing that the failure does not; the transaction ends with the connection.
                drop(transaction.rollback().await);
                return Err(failure.rowless().context(format!("cannot make a partition of `{measurement}`")));
            }
        }
    }
}

/// Under the lock of all changes of tables; whether all are there now.
async fn make_some(
    connection: &mut PgConnection,
    measurement: &str,
    retention: Option<std::time::Duration>,
    times: &[Time],
) -> Result<(Option<Ranges>, bool), Failure> {
    command(
        connection,
        "set local lock_timeout = '5s'; select pg_advisory_xact_lock(hashtextextended('amber schema', 0))",
    )
    .await?;
    let Some(mut ranges) = look(connection, &format!("{measurement}_data"), retention).await? else {
        return Ok((None, true));
    };
    let lacking = ranges.admit(times.iter().copied());
    for one in lacking.iter().take(AT_ONCE) {
        for statement in partitions::create(measurement, *one) {
            command(connection, &statement).await?;
        }
    }
    Ok((Some(ranges), lacking.len() <= AT_ONCE))
}

/// Takes constraints back that tables have for becoming parts (`upkeep::attach`).
///
/// # Errors
/// Without `ddl`: `Standing` with the SQL.
pub(super) async fn let_go(connection: &mut PgConnection, tables: &[String], ddl: bool) -> Result<(), Failure> {
    let text = "select format('alter table %I.%I drop constraint if exists %I', n.nspname, c.relname, k.conname)
         from pg_catalog.pg_constraint k
         join pg_catalog.pg_class c on c.oid = k.conrelid
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'amber_store' and c.relname = any($1) and k.contype = 'c' and starts_with(k.conname::text, $2)";
    let drops: Vec<String> =
        answered(sqlx::query_scalar(text).bind(tables).bind(BEFORE).fetch_all(&mut *connection)).await?;
    if let Some(first) = drops.first().filter(|_| !ddl) {
        return Err(Failure::standing(format!(
            "a row is later than another Amber expected, and `[store] ddl = false`: have an administrator run `{first}`"
        )));
    }
    for text in drops {
        answered(sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *connection)).await?;
    }
    Ok(())
}

/// `None`: the table is not partitioned, or not any more.
async fn look(
    connection: &mut PgConnection,
    table: &str,
    retention: Option<std::time::Duration>,
) -> Result<Option<Ranges>, Failure> {
    let mut layouts = layouts(connection, &[table.to_owned()]).await?;
    Ok(match layouts.remove(table) {
        Some(Layout::Partitioned(partitions)) => Some(Ranges::new(retention, &partitions)),
        Some(Layout::Hypertable(table)) => Some(Ranges::chunks(&table.chunks, table.chunk)),
        Some(Layout::Plain) | None => None,
    })
}
