//! The extension TimescaleDB: whether it is there, in which edition, and the tables that it looks after.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::answered;
use crate::config;
use crate::store::error::Failure;
use crate::store::plan::{Hypertable, Partition, Timescale};

/// The first version with `add_columnstore_policy`.
const OLDEST: (u32, u32) = (2, 18);

/// The extension, if the database has it in a version that Amber knows. It is never made here.
pub(in crate::store) async fn find(
    connection: &mut PgConnection,
    settings: &config::Timescale,
) -> Result<Option<Timescale>, Failure> {
    let row: Option<(String, String, Option<String>)> = answered(
        sqlx::query_as(
            "select quote_ident(n.nspname), e.extversion, current_setting('timescaledb.license', true)
             from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace
             where e.extname = 'timescaledb'",
        )
        .fetch_optional(connection),
    )
    .await?;
    let Some((schema, version, license)) = row else { return Ok(None) };
    let is_community = license.as_deref() == Some("timescale");
    let timescale = Timescale { schema, is_community, settings: settings.clone() };
    Ok(is_known(&version).then_some(timescale))
}

fn is_known(version: &str) -> bool {
    let mut numbers = version.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= OLDEST
}

/// What it knows of the tables of these names (`climate_data`). The extension must be there.
pub(in crate::store) async fn hypertables(
    connection: &mut PgConnection,
    tables: &[String],
) -> Result<HashMap<String, Hypertable>, Failure> {
    type Row = (String, bool, i64, Option<i64>, Option<i64>);
    let rows: Vec<Row> = answered(
        sqlx::query_as(
            "select h.hypertable_name::text, h.compression_enabled, (extract(epoch from d.time_interval) * 1000000)::int8,
               (select (extract(epoch from (j.config->>'compress_after')::interval) * 1000000)::int8 from timescaledb_information.jobs j
                where j.hypertable_schema = h.hypertable_schema and j.hypertable_name = h.hypertable_name and j.proc_name = 'policy_compression' limit 1),
               (select (extract(epoch from (j.config->>'drop_after')::interval) * 1000000)::int8 from timescaledb_information.jobs j
                where j.hypertable_schema = h.hypertable_schema and j.hypertable_name = h.hypertable_name and j.proc_name = 'policy_retention' limit 1)
             from timescaledb_information.hypertables h
             join timescaledb_information.dimensions d using (hypertable_schema, hypertable_name)
             where h.hypertable_schema = 'amber_store' and h.hypertable_name = any($1) and d.dimension_number = 1 and d.time_interval is not null",
        )
        .bind(tables)
        .fetch_all(&mut *connection),
    )
    .await?;
    let mut all: HashMap<String, Hypertable> = HashMap::new();
    for (name, is_columnstore, chunk, compress_after, drop_after) in rows {
        let table = Hypertable { chunk, is_columnstore, compress_after, drop_after, ..Hypertable::default() };
        all.insert(name, table);
    }
    if all.is_empty() {
        return Ok(all);
    }
    // A row of an infinite time has a chunk as well, whose end is beyond what a number holds.
    let rows: Vec<(String, String, i64, i64, bool)> = answered(
        sqlx::query_as(
            "select hypertable_name::text, format('%I.%I', chunk_schema, chunk_name),
               greatest(extract(epoch from range_start) * 1000000, -9223372036854775808)::int8,
               least(extract(epoch from range_end) * 1000000, 9223372036854775807)::int8, is_compressed
             from timescaledb_information.chunks where hypertable_schema = 'amber_store' and hypertable_name = any($1)",
        )
        .bind(tables)
        .fetch_all(connection),
    )
    .await?;
    for (table, name, from, to, is_compressed) in rows {
        let Some(table) = all.get_mut(&table) else { continue };
        table.chunks.push(Partition { name, from, to });
        table.has_compressed |= is_compressed;
    }
    Ok(all)
}
