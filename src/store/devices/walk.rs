//! The way back: series without a row among the devices, and rows that were stored after a device was written last (a
//! `kill -9`, more than could be handed over). In steps by the number of the series, each as long as it may be.
//!
//! A row that is older than the newest one that the table knows is not found again: it could only fill in a value that no
//! newer row has.

use std::time::Duration;

use sqlx::{AssertSqlSafe, ColumnIndex, Decode, Row as _, Type as SqlType};
use tokio::time::Instant;

use super::{Connection, Devices, Shape, text};
use crate::device::{Base, Gaps, News};
use crate::message::Time;
use crate::row::Value;
use crate::schema::Type;
use crate::store::error::Failure;
use crate::store::{WriteError, postgres, sqlite};

/// Series of the first step, and the most of one.
const SERIES: (i64, i64) = (64, 1_024);
/// A step that took less is followed by a larger one, one that took more by a smaller.
const TIME: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(80));
/// Rows of one series that are looked at, at least and at most: with one value in each, so many fields are found.
const ROWS: (usize, usize) = (32, 400);

/// Where it has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    measurement: usize,
    after: i64,
    series: i64,
    before: Time,
}

/// 9999-12-31, which both databases know.
const EVER: Time = Time(253_402_214_400_000_000);

impl Default for Walk {
    /// Over all rows.
    fn default() -> Self {
        Self::before(EVER)
    }
}

impl Walk {
    /// Over rows that were received before that.
    #[must_use]
    pub fn before(time: Time) -> Self {
        Self { measurement: 0, after: i64::MIN, series: SERIES.0, before: time }
    }

    fn next_measurement(self) -> Self {
        Self { measurement: self.measurement + 1, ..Self::before(self.before) }
    }
}

/// A series and what was found of it.
struct Met {
    id: i64,
    is_known: bool,
    tags: Vec<String>,
    news: News,
    receipts: Vec<Time>,
}

impl Devices {
    /// The next step; gives how many devices it wrote, or `None` at the end.
    ///
    /// # Errors
    /// As `open`; the step is done again then.
    pub async fn step(&mut self, walk: &mut Walk) -> Result<Option<u64>, WriteError> {
        if walk.measurement >= self.measurements.len() {
            return Ok(None);
        }
        let Some(shape) = self.shape(walk.measurement) else {
            *walk = walk.next_measurement();
            return Ok(Some(0));
        };
        let rows = (4 * shape.fields.len()).clamp(ROWS.0, ROWS.1);
        let (here, series, begun) = (*walk, walk.series, Instant::now());
        let met = self.run(async |connection| connection.meet(&shape, here, rows).await).await?;
        let (last, count) = (met.last().map(|met| met.id), i64::try_from(met.len()).unwrap_or(i64::MAX));
        let new: Vec<Met> = met.into_iter().filter(|met| !met.is_known || met.news.last_time.is_some()).collect();
        let written = self.put(&shape, &new).await?;
        *walk = match last.filter(|_| count >= series) {
            Some(last) => Walk { after: last, series: next(series, begun.elapsed()), ..*walk },
            None => walk.next_measurement(),
        };
        Ok(Some(written))
    }

    async fn put(&mut self, shape: &Shape, met: &[Met]) -> Result<u64, WriteError> {
        if met.is_empty() {
            return Ok(0);
        }
        let tags = |met: &Met| met.tags.iter().map(|tag| tag.as_str().into()).collect::<Vec<serde_json::Value>>();
        let keys = met.iter().map(|met| serde_json::Value::Array(tags(met))).collect();
        let bases = self.run(async |connection| connection.look(shape, keys).await).await?;
        let mut rows = Vec::with_capacity(bases.len());
        for (place, base) in bases {
            let Some(met) = met.get(place) else { continue };
            let (mut gaps, mut from) = (base.gaps, base.last_seen);
            for &receipt in &met.receipts {
                if let Some(from) = from {
                    gaps.add(from, receipt);
                }
                from = from.max(Some(receipt));
            }
            let news = News { gaps: if met.receipts.is_empty() { Gaps::default() } else { gaps }, ..met.news.clone() };
            let (values, _) = shape.values(&[], Base::default(), &news, false);
            rows.push(super::row(tags(met), &news, values));
        }
        self.run(async |connection| connection.write(shape, rows, true).await).await
    }
}

impl Connection {
    async fn meet(&mut self, shape: &Shape, walk: Walk, rows: usize) -> Result<Vec<Met>, Failure> {
        let Walk { after, series, before, .. } = walk;
        let sql = AssertSqlSafe(text::walk(self.dialect(), shape));
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let mut met = Vec::new();
        match self {
            Self::Postgres(connection) => {
                let query = sqlx::query(sql).bind(after).bind(&shape.name).bind(series).bind(rows).bind(before.0);
                for row in postgres::answered(query.fetch_all(&mut **connection)).await? {
                    take(&row, shape, &mut met, |row, n| row.try_get::<Option<bool>, _>(n))?;
                }
            }
            Self::Sqlite(connection) => {
                let query = sqlx::query(sql).bind(after).bind(&shape.name).bind(series).bind(rows).bind(before.0);
                let truth =
                    |row: &sqlx::sqlite::SqliteRow, n: usize| Ok(row.try_get::<Option<i64>, _>(n)?.map(|n| n != 0));
                for row in sqlite::answered(query.fetch_all(&mut **connection)).await? {
                    take(&row, shape, &mut met, truth)?;
                }
            }
        }
        Ok(met)
    }
}

/// Takes in a row of the walk; those of one series come one behind the other, in the order of time.
fn take<R: sqlx::Row>(
    row: &R,
    shape: &Shape,
    met: &mut Vec<Met>,
    truth: impl Fn(&R, usize) -> Result<Option<bool>, sqlx::Error>,
) -> Result<(), Failure>
where
    usize: ColumnIndex<R>,
    i64: SqlType<R::Database> + for<'r> Decode<'r, R::Database>,
    f64: SqlType<R::Database> + for<'r> Decode<'r, R::Database>,
    String: SqlType<R::Database> + for<'r> Decode<'r, R::Database>,
{
    let whole = |n: usize| row.try_get::<Option<i64>, _>(n);
    let id = whole(0)?.unwrap_or(0);
    if met.last().is_none_or(|last| last.id != id) {
        let tags = (0..shape.tags.len()).map(|n| row.try_get::<String, _>(5 + n)).collect::<Result<_, _>>()?;
        let news = News { first_seen: whole(4)?.map(Time), ..News::default() };
        met.push(Met { id, is_known: truth(row, 1)?.unwrap_or(false), tags, news, receipts: Vec::new() });
    }
    let Some(last) = met.last_mut() else { return Ok(()) };
    let (Some(time), Some(receipt)) = (whole(2)?.map(Time), whole(3)?.map(Time)) else { return Ok(()) };
    last.receipts.push(receipt);
    let news = &mut last.news;
    news.last_time = news.last_time.max(Some(time));
    news.last_seen = news.last_seen.max(Some(receipt));
    for (n, (name, r#type)) in shape.fields.iter().enumerate() {
        let n = 5 + shape.tags.len() + n;
        let value = match r#type {
            Type::Float => row.try_get::<Option<f64>, _>(n)?.map(Value::Float),
            Type::Int => whole(n)?.map(Value::Int),
            Type::Bool => truth(row, n)?.map(Value::Bool),
            Type::Text => row.try_get::<Option<String>, _>(n)?.map(|text| Value::Text(text.into())),
            Type::Time => whole(n)?.map(|micros| Value::Time(Time(micros))),
            Type::Json => None,
        };
        if let Some(value) = value {
            news.others.insert(name.as_str().into(), (time, value));
        }
    }
    Ok(())
}

fn next(series: i64, took: Duration) -> i64 {
    if took < TIME.0 {
        (series * 2).min(SERIES.1)
    } else if took > TIME.1 {
        (series / 2).max(1)
    } else {
        series
    }
}
