//! Finds and makes series, in a transaction of its own before the batch: an id cached from a transaction that was
//! rolled back would point nowhere.

use sqlx::{AssertSqlSafe, PgConnection};

use super::text;
use crate::row::Tags;
use crate::store::columns::{ColumnBuf, Element};
use crate::store::error::{Class, Failure, Refusal};
use crate::store::plan::Table;
use crate::store::series::{self, Ids, Made, Misses};
use crate::store::split::Split;

pub(super) async fn make(connection: &mut PgConnection, tables: &[Table], misses: &Misses) -> Result<Made, Failure> {
    super::command(connection, "begin").await?;
    match make_all(connection, tables, misses).await {
        Ok(made) => {
            super::command(connection, "commit").await?;
            Ok(made)
        }
        Err(failure) => Err(super::roll_back(connection, failure).await),
    }
}

async fn make_all(connection: &mut PgConnection, tables: &[Table], misses: &Misses) -> Result<Made, Failure> {
    let mut made = Made::default();
    for miss in misses {
        let (table, tags) = (&tables[miss.measurement], &miss.tags);
        let mut ids = Ids::new(tags);
        find(connection, table, &mut ids).await?;
        // The look takes a lock that holds off another Amber's change of the key until we commit; so what the
        // catalogue says now was so when we looked.
        same_tags(connection, table).await?;
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
async fn find(connection: &mut PgConnection, table: &Table, ids: &mut Ids<'_>) -> Result<(), Failure> {
    let missing = ids.missing();
    let columns = columns(table, ids.tags, &missing);
    let mut query = sqlx::query_as::<_, (i64, i64)>(AssertSqlSafe(text::find_series(table)));
    for column in &columns {
        query = query.bind(column);
    }
    for (place, id) in super::answered(query.fetch_all(connection)).await? {
        ids.learn(&missing, place - 1, id)?;
    }
    Ok(())
}

/// How many series there are, up to the bound.
async fn count(connection: &mut PgConnection, table: &Table) -> Result<u64, Failure> {
    let query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(text::count_series(table)));
    let series = super::answered(query.fetch_one(connection)).await?;
    Ok(u64::try_from(series).unwrap_or(0))
}

/// Whether the key of the series is still what was planned: another Amber may have added a tag.
async fn same_tags(connection: &mut PgConnection, table: &Table) -> Result<(), Failure> {
    let query = sqlx::query_scalar("select tags from amber_store.measurement where name = $1").bind(&table.name);
    let tags: Option<Vec<String>> = super::answered(query.fetch_optional(connection)).await?;
    series::same_tags(table, &tags.unwrap_or_default())
}

/// Makes the series at `missing`; gives those that the server refused.
async fn insert(
    connection: &mut PgConnection,
    table: &Table,
    tags: &[Tags],
    missing: Vec<usize>,
) -> Result<Vec<(usize, Refusal)>, Failure> {
    let sql = text::make_series(table);
    let mut split = Split::new(missing);
    super::command(connection, "savepoint one").await?;
    while let Some(part) = split.next() {
        let columns = columns(table, tags, &part);
        let mut query = sqlx::query(AssertSqlSafe(sql.as_str()));
        for column in &columns {
            query = query.bind(column);
        }
        match super::answered(query.execute(&mut *connection)).await {
            Ok(_) => {
                super::command(connection, "release savepoint one; savepoint one").await?;
                split.accepted(part);
            }
            Err(failure) if failure.class == Class::Refused && !failure.lost => {
                super::command(connection, "rollback to savepoint one").await?;
                split.refused(part, failure.context("its series").into_refusal());
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(split.into_refused())
}

/// One array per tag.
fn columns(table: &Table, tags: &[Tags], positions: &[usize]) -> Vec<ColumnBuf> {
    let mut columns: Vec<ColumnBuf> = table.tags.iter().map(|_| ColumnBuf::new(Element::Text)).collect();
    for &position in positions {
        for (column, value) in columns.iter_mut().zip(tags[position].iter()) {
            column.text(value);
        }
    }
    columns
}
