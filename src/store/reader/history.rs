//! Plots of a range: mean, minimum and maximum of each step of time, made by the database, so that no more comes over than
//! is drawn.
//!
//! Both read the index over series and time, and only the rows of the range. PostgreSQL groups them by `date_bin`. SQLite
//! would sort them for that; it is asked for one step after the other instead, which takes half the time for a million
//! rows, and for a step without rows the microsecond or two that a look into the index costs. Its numbers come with 15
//! digits.

use std::collections::HashMap;
use std::time::Duration;

use super::{Bind, Connection, ReadError};
use crate::message::Time;
use crate::schema::{Measurement, Schema, Type};
use crate::store::error::Failure;
use crate::store::plan::Dialect;
use crate::store::sql::quote;

/// Steps of one plot.
pub const MAX_POINTS: u32 = 2_000;
/// Fields of one question: SQLite's functions take a hundred arguments, three of them a field.
pub const MAX_FIELDS: usize = 32;
/// Points times series times fields of one question: a few megabytes.
pub const MAX_VALUES: u64 = 100_000;
/// 9999-12-31, which both databases know.
const EVER: i64 = 253_402_214_400_000_000;
/// What is further from zero counts as this in a mean: a sum must not overflow, which PostgreSQL refuses.
const MOST: &str = "1e300";

/// Which plots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryAsked {
    pub measurement: String,
    /// [`MAX_SERIES`](super::MAX_SERIES) at most.
    pub series: Vec<i64>,
    /// [`MAX_FIELDS`] at most; numbers and truth values.
    pub fields: Vec<String>,
    pub from: Time,
    /// Exclusive.
    pub to: Time,
    /// How many steps there may be, [`MAX_POINTS`] at most.
    pub points: u32,
}

/// One field of one series. Steps without a value are left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plot {
    pub series_id: i64,
    pub field: String,
    /// The beginning of each step, in seconds since 1970; the same moments for all plots of a question.
    pub times_s: Vec<f64>,
    pub avg: Vec<f64>,
    pub min: Vec<f64>,
    pub max: Vec<f64>,
}

impl HistoryAsked {
    /// How long a step is. Steps begin at multiples of it, so that those of a later question of the same length are the same.
    #[must_use]
    pub fn step(&self) -> Duration {
        Duration::from_micros(self.step_us().unsigned_abs())
    }

    fn step_us(&self) -> i64 {
        // A range that begins within a step has a step more than fit in it.
        let steps = i64::from(self.points).saturating_sub(1).max(1);
        let span = self.to.0.saturating_sub(self.from.0).max(1);
        (span + steps - 1).div_euclid(steps).max(1)
    }

    /// The measurement, if all of this may be asked.
    pub(super) fn allowed<'a>(&self, schema: &'a Schema) -> Result<&'a Measurement, ReadError> {
        let refused = |text: String| Err(ReadError::Refused(anyhow::anyhow!(text)));
        let Some(measurement) = schema.measurements.iter().find(|it| it.name == self.measurement) else {
            return refused(format!("there is no measurement `{}` in the mapping", self.measurement));
        };
        if let Some(own) = &measurement.own {
            let table =
                own.table.schema.iter().chain([&own.table.name]).map(String::as_str).collect::<Vec<_>>().join(".");
            return refused(format!(
                "`{}` has its rows in `{table}`, a table of your own, which has no series",
                self.measurement
            ));
        }
        let (series, fields, points) = (self.series.len(), self.fields.len(), self.points);
        let values = series as u64 * fields as u64 * u64::from(points);
        if self.from >= self.to || self.from.0 < -EVER || self.to.0 > EVER {
            return refused(format!("from {} to {} is no range of time", self.from, self.to));
        }
        if !(1..=MAX_POINTS).contains(&points) {
            return refused(format!("{points} points; ask for 1 to {MAX_POINTS}"));
        }
        if series > super::MAX_SERIES as usize || fields > MAX_FIELDS {
            return refused(format!(
                "{series} series and {fields} fields; ask for {} and {MAX_FIELDS} at most at once",
                super::MAX_SERIES
            ));
        }
        if values > MAX_VALUES {
            return refused(format!(
                "{series} series x {fields} fields x {points} points are more than {MAX_VALUES}; ask for fewer at once"
            ));
        }
        Ok(measurement)
    }
}

/// Name and type of a column.
type Column = (String, Type);

pub(super) async fn read(
    connection: &mut Connection,
    measurement: &Measurement,
    asked: &HistoryAsked,
) -> Result<Vec<Plot>, Failure> {
    let columns = columns(connection, measurement, &asked.fields).await?;
    let mut series: Vec<i64> = Vec::new();
    for id in &asked.series {
        if !series.contains(id) {
            series.push(*id);
        }
    }
    let plot = |id: i64, (field, _): &Column| Plot { series_id: id, field: field.clone(), ..Plot::default() };
    let mut plots: Vec<Plot> = series.iter().flat_map(|id| columns.iter().map(|column| plot(*id, column))).collect();
    if plots.is_empty() {
        return Ok(plots);
    }
    let step = asked.step_us();
    let origin = asked.from.0.div_euclid(step) * step;
    let places: HashMap<i64, usize> = series.iter().enumerate().map(|(n, id)| (*id, n * columns.len())).collect();
    for (id, begin, cells) in
        steps(connection, measurement, &columns, &series, (asked.from.0, asked.to.0), (origin, step)).await?
    {
        let Some(&place) = places.get(&id) else { continue };
        let time_s = begin.max(asked.from.0) as f64 / 1e6;
        for (cell, plot) in cells.chunks_exact(3).zip(&mut plots[place..]) {
            let &[Some(avg), Some(min), Some(max)] = cell else { continue };
            plot.times_s.push(time_s);
            plot.avg.push(avg);
            plot.min.push(min);
            plot.max.push(max);
        }
    }
    Ok(plots)
}

/// Those that were asked for, each once. What rows brought by themselves (`others = "add"`) is in the catalogue alone.
async fn columns(
    connection: &mut Connection,
    measurement: &Measurement,
    fields: &[String],
) -> Result<Vec<Column>, Failure> {
    let mut known: HashMap<String, Type> =
        measurement.fields.iter().map(|field| (field.name.clone(), field.r#type)).collect();
    if measurement.others && fields.iter().any(|name| !known.contains_key(name)) {
        let table = match connection.dialect() {
            Dialect::Postgres => "amber_store.field",
            Dialect::Sqlite => "store_field",
        };
        let sql = format!("select name, type from {table} where measurement = $1");
        let rows: Vec<(String, String)> = connection.rows(sql, &[Bind::Text(&measurement.name)]).await?;
        for (name, word) in rows {
            if let Some(r#type) = Type::of(&word) {
                known.entry(name).or_insert(r#type);
            }
        }
    }
    let mut columns: Vec<Column> = Vec::new();
    for name in fields {
        if columns.iter().any(|(column, _)| column == name) {
            continue;
        }
        match known.get(name) {
            Some(r#type @ (Type::Float | Type::Int | Type::Bool)) => columns.push((name.clone(), *r#type)),
            Some(r#type) => {
                return Err(Failure::refused(format!("`{name}` is of type {}, which cannot be drawn", r#type.word())));
            }
            None => return Err(Failure::refused(format!("`{}` has no field `{name}`", measurement.name))),
        }
    }
    Ok(columns)
}

/// A step of a series that has rows: series, beginning in µs, and mean, minimum and maximum of each column.
type Step = (i64, i64, Vec<Option<f64>>);

/// In the order of time for each series.
async fn steps(
    connection: &mut Connection,
    measurement: &Measurement,
    columns: &[Column],
    series: &[i64],
    (from, to): (i64, i64),
    (origin, step): (i64, i64),
) -> Result<Vec<Step>, Failure> {
    let dialect = connection.dialect();
    let sql = text(dialect, &measurement.name, columns);
    let binds = [Bind::Ints(series), Bind::Int(from), Bind::Int(to), Bind::Int(origin), Bind::Int(step)];
    match connection {
        Connection::Postgres(connection) => {
            let [.., from, to, origin, step] = [0, from, to, origin, step];
            let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(series.to_vec()).bind(from).bind(to).bind(origin);
            query.bind(step).fetch_all(&mut **connection).await.map_err(super::told)
        }
        Connection::Sqlite { .. } => {
            let rows: Vec<(i64, i64, String)> = connection.rows(sql, &binds).await?;
            let cells = |text: &str| serde_json::from_str::<Vec<Option<f64>>>(text).unwrap_or_default();
            Ok(rows.into_iter().map(|(id, begin, text)| (id, begin, cells(&text))).collect())
        }
    }
}

/// $1 the series, $2 from, $3 to, $4 the beginning of the first step, $5 the length of a step, all in µs.
fn text(dialect: Dialect, measurement: &str, columns: &[Column]) -> String {
    let data = dialect.data(measurement);
    let cells = columns.iter().map(|(name, r#type)| cells(dialect, &format!("d.{}", quote(name)), *r#type));
    let cells = cells.collect::<Vec<_>>().join(", ");
    let instant = |n: usize| format!("timestamptz 'epoch' + ${n}::float8 * interval '1 microsecond'");
    match dialect {
        Dialect::Postgres => format!(
            "select g.series_id, (extract(epoch from g.step) * 1000000)::int8, g.cells
             from (
               select d.series_id, date_bin(${step}::float8 * interval '1 microsecond', d.time, {origin}) as step, array[{cells}] as cells
               from {data} d
               where d.series_id = any ($1) and d.time >= {from} and d.time < {to}
               group by 1, 2
             ) g
             order by 1, 2",
            step = 5,
            origin = instant(4),
            from = instant(2),
            to = instant(3),
        ),
        // Materialised: otherwise the subquery would be run a second time for the last condition.
        Dialect::Sqlite => format!(
            "with recursive steps (begin) as (
               select $4 union all select begin + $5 from steps where begin + $5 < $3
             ),
             found as materialized (
               select s.value as series_id, steps.begin as begin, (
                 select case when count(*) > 0 then json_array({cells}) end
                 from {data} d
                 where d.series_id = s.value and d.time >= max(steps.begin, $2) and d.time < min(steps.begin + $5, $3)
               ) as cells
               from json_each($1) s cross join steps
             )
             select series_id, begin, cells from found where cells is not null"
        ),
    }
}

/// Mean, minimum and maximum of a column, as numbers.
fn cells(dialect: Dialect, column: &str, r#type: Type) -> String {
    match (dialect, r#type) {
        (Dialect::Postgres, Type::Bool) => {
            let number = format!("({column})::int::float8");
            format!("avg({number}), min({number}), max({number})")
        }
        (Dialect::Postgres, _) => {
            // `least` would take it for the greatest where there is none.
            let number = format!(
                "case when {column} > {MOST} then {MOST} when {column} < -{MOST} then -{MOST} else {column}::float8 end"
            );
            format!("sum({number}) / nullif(count({column}), 0), min({column})::float8, max({column})::float8")
        }
        (Dialect::Sqlite, Type::Float) => {
            format!("avg(min(max({column}, -{MOST}), {MOST})), min({column}), max({column})")
        }
        (Dialect::Sqlite, _) => format!("avg({column}), min({column}), max({column})"),
    }
}
