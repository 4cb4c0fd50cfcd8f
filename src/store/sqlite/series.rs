//! Finds and makes series, in a transaction of its own before the batch, as for PostgreSQL.

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::text;
use crate::row::Tags;
use crate::store::error::{Class, Failure, Refusal};
use crate::store::plan::Table;
use crate::store::series::{self, Ids, Made, Misses};
use crate::store::split::Split;

pub(super) async fn make(
    connection: &mut SqliteConnection,
    tables: &[Table],
    misses: &Misses,
) -> Result<Made, Failure> {
    super::command(connection, "begin immediate").await?;
    match make_all(connection, tables, misses).await {
        Ok(made) => {
            super::command(connection, "commit").await?;
            Ok(made)
        }
        Err(failure) => Err(super::roll_back(connection, failure).await),
    }
}

async fn make_all(connection: &mut SqliteConnection, tables: &[Table], misses: &Misses) -> Result<Made, Failure> {
    let mut made = Made::default();
    for miss in misses {
        let (table, tags) = (&tables[miss.measurement], &miss.tags);
        same_tags(connection, table).await?;
        let mut ids = Ids::new(tags);
        find(connection, table, &mut ids).await?;
        let missing = ids.missing();
        let mut refused = Vec::new();
        if !missing.is_empty() {
            let series = match miss.series {
                Some(series) => series,
                None => count(connection, table).await?,
            };
            let missing = made.admit(miss, table, missing, series);
            if !missing.is_empty() {
                refused = insert(connection, table, tags, missing).await?;
                find(connection, table, &mut ids).await?;
            }
        }
        made.add(miss.measurement, ids, refused);
    }
    Ok(made)
}

/// Fills in the ids that are not known yet.
async fn find(connection: &mut SqliteConnection, table: &Table, ids: &mut Ids<'_>) -> Result<(), Failure> {
    let missing = ids.missing();
    let mut rest = missing.as_slice();
    while !rest.is_empty() {
        let (part, later) = rest.split_at(text::block(rest.len(), 1 + table.tags.len()));
        rest = later;
        let mut query = sqlx::query_as::<_, (i64, i64)>(AssertSqlSafe(text::find_series(table, part.len())));
        for (place, &n) in (0_i64..).zip(part) {
            query = query.bind(place);
            for value in ids.tags[n].iter().take(table.tags.len()) {
                query = query.bind(value);
            }
        }
        for (place, id) in super::answered(query.fetch_all(&mut *connection)).await? {
            ids.learn(part, place, id)?;
        }
    }
    Ok(())
}

/// How many series there are, up to the bound.
async fn count(connection: &mut SqliteConnection, table: &Table) -> Result<u64, Failure> {
    let query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(text::count_series(table)));
    let series = super::answered(query.fetch_one(connection)).await?;
    Ok(u64::try_from(series).unwrap_or(0))
}

/// Whether the key of the series is still what was planned: another Amber may have added a tag.
async fn same_tags(connection: &mut SqliteConnection, table: &Table) -> Result<(), Failure> {
    let query = sqlx::query_scalar("select tags from store_measurement where name = ?").bind(&table.name);
    let tags: Option<String> = super::answered(query.fetch_optional(connection)).await?;
    let now: Vec<String> = serde_json::from_str(tags.as_deref().unwrap_or("[]")).unwrap_or_default();
    series::same_tags(table, &now)
}

/// Makes the series at `missing`; gives those that were refused.
async fn insert(
    connection: &mut SqliteConnection,
    table: &Table,
    tags: &[Tags],
    missing: Vec<usize>,
) -> Result<Vec<(usize, Refusal)>, Failure> {
    let mut split = Split::new(missing);
    while let Some(mut part) = split.next() {
        let block = text::block(part.len(), table.tags.len().max(1));
        if block < part.len() {
            split.later(part.split_off(block));
        }
        let mut query = sqlx::query(AssertSqlSafe(text::make_series(table, part.len())));
        for &n in &part {
            for value in tags[n].iter().take(table.tags.len()) {
                query = query.bind(value);
            }
        }
        // A statement that fails is undone alone; the transaction goes on.
        match super::answered(query.execute(&mut *connection)).await {
            Ok(_) => split.accepted(part),
            Err(failure) if failure.class == Class::Refused && !failure.lost => {
                split.refused(part, failure.context("its series").into_refusal());
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(split.into_refused())
}
