//! Stores a batch in one transaction: gate, rows, rejects; and apart, when some row is refused.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection};

use super::text::{self, NOW};
use crate::batch::Batch;
use crate::row::Value;
use crate::store::error::{Class, Failure, Refusal};
use crate::store::link::{Gate, Passed};
use crate::store::plan::{Dialect, Table};
use crate::store::rejects::{self, RejectRow};
use crate::store::series::{Resolved, Rows};
use crate::store::split::{Split, by_table, in_index_order};

/// Texts kept; a service with more tables makes them again.
const MAX_TEXTS: usize = 512;

/// Texts, by table and rows in a block.
#[derive(Debug, Default)]
pub(super) struct Kept {
    rows: HashMap<(usize, usize), Arc<str>>,
}

impl Kept {
    fn text(&mut self, tables: &[Table], table: usize, rows: usize) -> Arc<str> {
        if self.rows.len() >= MAX_TEXTS && !self.rows.contains_key(&(table, rows)) {
            self.rows.clear();
        }
        let text = self.rows.entry((table, rows)).or_insert_with(|| text::insert_rows(&tables[table], rows).into());
        Arc::clone(text)
    }
}

/// Stores the batch without the rows that `resolved` refuses, which become rejects. `apart`: finds those that SQLite
/// refuses and adds them there; otherwise the first one fails the batch. `sent` is set once COMMIT is on its way.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    gate: Gate<'_>,
    tables: &[Table],
    kept: &mut Kept,
    (batch, resolved): (&Batch, &mut Resolved),
    apart: bool,
    sent: &mut bool,
) -> Result<Passed, Failure> {
    super::command(connection, "begin immediate").await?;
    let outcome = async {
        if pass(connection, gate).await? == Passed::Fenced {
            return Ok(Passed::Fenced);
        }
        let mut parts = by_table(batch, &resolved.refused);
        if !apart {
            in_index_order(&mut parts, &resolved.ids);
        }
        for (table, positions) in parts {
            let rows = Rows { batch, series: &resolved.ids };
            if apart {
                let refused = split(connection, tables, kept, table, rows, positions).await?;
                resolved.refused.extend(refused);
            } else {
                insert_rows(connection, tables, kept, table, rows, &positions).await?;
            }
        }
        resolved.refused.sort_unstable_by_key(|(position, _)| *position);
        insert_rejects(connection, &rejects::rows(batch, &resolved.refused)).await?;
        Ok(Passed::Stored)
    };
    let outcome = outcome.await;
    match outcome {
        Ok(Passed::Stored) => {
            *sent = true;
            match super::command(connection, "commit").await {
                Ok(()) => Ok(Passed::Stored),
                // Whether it is done, only a look at the file tells.
                Err(failure) => Err(Failure { lost: true, ..failure }),
            }
        }
        Ok(Passed::Fenced) => {
            super::command(connection, "rollback").await?;
            Ok(Passed::Fenced)
        }
        Err(failure) => Err(super::roll_back(connection, failure).await),
    }
}

async fn pass(connection: &mut SqliteConnection, gate: Gate<'_>) -> Result<Passed, Failure> {
    let text = format!(
        "update store_delivery set seq = ?, packets = ?, updated_at = {NOW}
         where writer = ? and epoch = ? and owner = ? and seq < ? and seq = ?"
    );
    let query = sqlx::query(AssertSqlSafe(text)).bind(gate.number).bind(gate.packets);
    let query = query.bind(gate.writer).bind(gate.epoch).bind(gate.owner).bind(gate.number).bind(gate.last);
    let done = super::answered(query.execute(connection)).await.map_err(Failure::rowless)?;
    Ok(if done.rows_affected() == 1 { Passed::Stored } else { Passed::Fenced })
}

/// Inserts the rows at `positions`, all of one table; fewer than all is refused.
async fn insert_rows(
    connection: &mut SqliteConnection,
    tables: &[Table],
    kept: &mut Kept,
    table: usize,
    Rows { batch, series }: Rows<'_>,
    positions: &[usize],
) -> Result<(), Failure> {
    let mut rest = positions;
    while !rest.is_empty() {
        let (block, later) = rest.split_at(text::block(rest.len(), text::row_columns(&tables[table])));
        rest = later;
        let mut query = sqlx::query(AssertSqlSafe(kept.text(tables, table, block.len())));
        for &position in block {
            let (origin, row) = &batch.rows[position];
            query = query.bind(row.time.0).bind(series[position]).bind(batch.messages[*origin].received_at.0);
            for value in &row.fields {
                query = bind(query, value.as_ref());
            }
        }
        let stored = super::answered(query.execute(&mut *connection)).await?.rows_affected();
        if stored != block.len() as u64 {
            let target = Dialect::Sqlite.data(&tables[table].name);
            return Err(Failure::refused(format!(
                "a trigger on {target} keeps rows away; rows let through: {stored} of {}",
                block.len()
            )));
        }
    }
    Ok(())
}

fn bind<'q>(query: Query<'q, Sqlite, SqliteArguments>, value: Option<&'q Value>) -> Query<'q, Sqlite, SqliteArguments> {
    match value {
        None => query.bind(None::<i64>),
        Some(Value::Float(value)) => query.bind(*value),
        Some(Value::Int(value)) => query.bind(*value),
        Some(Value::Bool(value)) => query.bind(i64::from(*value)),
        Some(Value::Time(value)) => query.bind(value.0),
        Some(Value::Text(value) | Value::Json(value)) => query.bind(&**value),
    }
}

async fn insert_rejects(connection: &mut SqliteConnection, rows: &[RejectRow<'_>]) -> Result<(), Failure> {
    let mut rest = rows;
    while !rest.is_empty() {
        let (block, later) = rest.split_at(text::block(rest.len(), text::REJECT_COLUMNS));
        rest = later;
        let mut query = sqlx::query(AssertSqlSafe(text::insert_rejects(block.len())));
        for row in block {
            query = query
                .bind(row.message.received_at.0)
                .bind(row.topic())
                .bind(row.payload())
                .bind(row.payload_bytes())
                .bind(i64::from(row.message.qos.level()))
                .bind(row.message.retain)
                .bind(row.mapping)
                .bind(row.reason.word())
                .bind(&*row.detail);
        }
        super::answered(query.execute(&mut *connection)).await.map_err(Failure::rowless)?;
    }
    Ok(())
}

/// Stores the rows of one table that SQLite takes; gives the others. Standing if it takes none of many.
async fn split(
    connection: &mut SqliteConnection,
    tables: &[Table],
    kept: &mut Kept,
    table: usize,
    rows: Rows<'_>,
    positions: Vec<usize>,
) -> Result<Vec<(usize, Refusal)>, Failure> {
    let mut split = Split::new(positions);
    while let Some(part) = split.next() {
        // A part may be several statements.
        super::command(connection, "savepoint one").await?;
        match insert_rows(connection, tables, kept, table, rows, &part).await {
            Ok(()) => {
                super::command(connection, "release one").await?;
                split.accepted(part);
            }
            Err(failure) if failure.class == Class::Refused && !failure.lost => {
                super::command(connection, "rollback to one; release one").await?;
                split.refused(part, failure.into_refusal());
            }
            Err(failure) => return Err(failure),
        }
        if split.hopeless() {
            let target = Dialect::Sqlite.data(&tables[table].name);
            return Err(Failure::standing(format!("{target} takes no row at all: {}", split.last_reason())));
        }
    }
    Ok(split.into_refused())
}
