//! Finds and makes series, in a transaction of its own before the batch: an id cached from a transaction that was
//! rolled back would point nowhere.

use sqlx::{AssertSqlSafe, PgConnection};

use super::text;
use crate::row::Tags;
use crate::store::columns::{ColumnBuf, Element};
use crate::store::error::{Class, Failure, Refusal};
use crate::store::plan::Table;
use crate::store::series::{Made, Misses};
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
    for (measurement, tags) in misses {
        let table = &tables[*measurement];
        let mut ids = vec![None; tags.len()];
        find(connection, table, tags, &mut ids).await?;
        // The look takes a lock that holds off another Amber's change of the key until we commit; so what the
        // catalogue says now was so when we looked.
        same_tags(connection, table).await?;
        if ids.contains(&None) {
            let missing: Vec<usize> = (0..tags.len()).filter(|&n| ids[n].is_none()).collect();
            for (n, reason) in insert(connection, table, tags, missing).await? {
                made.refused.insert((*measurement, tags[n].clone()), reason);
            }
            find(connection, table, tags, &mut ids).await?;
        }
        let found = tags.iter().zip(&ids).filter_map(|(tags, id)| Some((tags.clone(), (*id)?)));
        made.found.push((*measurement, found.collect()));
    }
    Ok(made)
}

/// Fills in the ids that are not known yet.
async fn find(
    connection: &mut PgConnection,
    table: &Table,
    tags: &[Tags],
    ids: &mut [Option<i64>],
) -> Result<(), Failure> {
    let missing: Vec<usize> = (0..tags.len()).filter(|&n| ids[n].is_none()).collect();
    let columns = columns(table, tags, &missing);
    let mut query = sqlx::query_as::<_, (i64, i64)>(AssertSqlSafe(text::find_series(table)));
    for column in &columns {
        query = query.bind(column);
    }
    for (place, id) in super::answered(query.fetch_all(connection)).await? {
        let place = usize::try_from(place - 1).ok().and_then(|place| missing.get(place));
        let place = place.ok_or_else(|| Failure::standing("a series came back at a place that was not asked for"))?;
        ids[*place] = Some(id);
    }
    Ok(())
}

/// Whether the key of the series is still what was planned: another Amber may have added a tag.
async fn same_tags(connection: &mut PgConnection, table: &Table) -> Result<(), Failure> {
    let query = sqlx::query_scalar("select tags from amber_store.measurement where name = $1").bind(&table.name);
    let tags: Option<Vec<String>> = super::answered(query.fetch_optional(connection)).await?;
    let (mut now, mut planned) = (tags.unwrap_or_default(), table.all_tags().map(str::to_owned).collect::<Vec<_>>());
    now.sort_unstable();
    planned.sort_unstable();
    if now == planned {
        return Ok(());
    }
    Err(Failure::stale(format!("the tags of `{}` were changed by another Amber: planning anew", table.name)))
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
