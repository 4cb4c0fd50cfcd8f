//! How many series each measurement has, and how many of them are silent.

use std::collections::HashMap;

use super::series::{device, is_silent, series_tables};
use super::{Connection, micros};
use crate::message::Time;
use crate::schema::Schema;
use crate::store::error::Failure;

/// Series of this many measurements are counted where there is no table of devices, since each costs a statement.
const MAX_COUNTED: usize = 1_000;

/// Of one measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    pub measurement: String,
    /// Those that are retired too.
    pub series: u64,
    pub silent: u64,
    /// Time of the newest row, as far as is known.
    pub last_time: Option<Time>,
}

pub(super) async fn read(
    connection: &mut Connection,
    schema: &Schema,
    has_devices: bool,
) -> Result<Vec<Counts>, Failure> {
    let mut found = if has_devices { of_devices(connection).await? } else { of_series(connection, schema).await? };
    let ours = schema.measurements.iter().filter(|measurement| measurement.own.is_none());
    let counts = |name: &String| {
        let none = || Counts { measurement: name.clone(), series: 0, silent: 0, last_time: None };
        found.remove(name).unwrap_or_else(none)
    };
    Ok(ours.map(|measurement| &measurement.name).map(counts).collect())
}

async fn of_devices(connection: &mut Connection) -> Result<HashMap<String, Counts>, Failure> {
    let dialect = connection.dialect();
    let (device, last, silent) = (device(dialect), micros(dialect, "max(last_time)"), is_silent(dialect));
    let sql = format!(
        "select measurement, count(*), count(*) filter (where {silent}), {last}
         from {device}
         group by measurement"
    );
    let rows: Vec<(String, i64, i64, Option<i64>)> = connection.rows(sql, &[]).await?;
    let counts = |(measurement, series, silent, last_time): (String, i64, i64, Option<i64>)| {
        let (series, silent) = (series.unsigned_abs(), silent.unsigned_abs());
        (measurement.clone(), Counts { measurement, series, silent, last_time: last_time.map(Time) })
    };
    Ok(rows.into_iter().map(counts).collect())
}

async fn of_series(connection: &mut Connection, schema: &Schema) -> Result<HashMap<String, Counts>, Failure> {
    let dialect = connection.dialect();
    let mut counts = HashMap::new();
    for (name, _) in series_tables(connection).await?.into_iter().take(MAX_COUNTED) {
        if !schema.measurements.iter().any(|measurement| measurement.name == name) {
            continue;
        }
        let sql = format!("select count(*) from {}", dialect.series(&name));
        let rows: Vec<(i64,)> = connection.rows(sql, &[]).await?;
        let series = rows.first().map_or(0, |(count,)| count.unsigned_abs());
        counts.insert(name.clone(), Counts { measurement: name, series, silent: 0, last_time: None });
    }
    Ok(counts)
}
