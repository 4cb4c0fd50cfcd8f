//! Stores a batch in one transaction: gate, rows, rejects; and apart, when some row is refused.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection};

use super::text::{self, NOW};
use crate::batch::Batch;
use crate::message::Time;
use crate::row::{Row, Value};
use crate::schema::OnDuplicate;
use crate::store::duplicates::Joined;
use crate::store::error::{Class, Failure, Refusal};
use crate::store::link::{Gate, Passed};
use crate::store::plan::{Dialect, Form, OwnTable, Source, Table};
use crate::store::rejects::{self, RejectRow};
use crate::store::series::{Resolved, Rows};
use crate::store::split::{Split, by_table, in_index_order};

/// Texts kept; a service with more tables makes them again.
const MAX_TEXTS: usize = 512;

/// Texts, by table and rows in a block.
#[derive(Debug, Default)]
pub(super) struct Kept {
    rows: HashMap<(usize, usize), Arc<str>>,
    /// That count what is there already.
    existing: HashMap<(usize, usize), Arc<str>>,
}

impl Kept {
    fn text(&mut self, tables: &[Table], table: usize, rows: usize) -> Arc<str> {
        if self.rows.len() >= MAX_TEXTS && !self.rows.contains_key(&(table, rows)) {
            self.rows.clear();
        }
        let text = self.rows.entry((table, rows)).or_insert_with(|| text::insert_rows(&tables[table], rows).into());
        Arc::clone(text)
    }

    fn existing_text(&mut self, tables: &[Table], table: usize, rows: usize) -> Arc<str> {
        if self.existing.len() >= MAX_TEXTS && !self.existing.contains_key(&(table, rows)) {
            self.existing.clear();
        }
        let text = self.existing.entry((table, rows));
        Arc::clone(text.or_insert_with(|| text::count_existing(&tables[table], rows).into()))
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
            in_index_order(&mut parts, &resolved.ids, batch);
        }
        for (table, positions) in parts {
            let rows = Rows { batch, series: &resolved.ids, others: &resolved.others, tables };
            let duplicates = if apart {
                let (refused, duplicates) = split(connection, tables, kept, table, rows, positions).await?;
                resolved.refused.extend(refused);
                duplicates
            } else {
                insert_rows(connection, tables, kept, table, rows, &positions).await?
            };
            resolved.duplicates.insert(table, duplicates);
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
                // A foreign key that waits for COMMIT, in a table of the user's own: the transaction is still open.
                Err(failure) if failure.class == Class::Refused => {
                    let failure =
                        failure.context("a row is refused only by the COMMIT, which tells no row from another");
                    Err(super::roll_back(connection, failure).await)
                }
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

/// Inserts the rows at `positions`, all of one table; fewer than all is refused. Gives how many were there already, in the
/// table or among `positions`: exactly, because nobody else writes meanwhile.
async fn insert_rows(
    connection: &mut SqliteConnection,
    tables: &[Table],
    kept: &mut Kept,
    table: usize,
    rows: Rows<'_>,
    positions: &[usize],
) -> Result<u64, Failure> {
    let Rows { batch, series, .. } = rows;
    let joined = Joined::new(&tables[table], rows, positions);
    let on_duplicate = tables[table].on_duplicate;
    let mut duplicates = joined.gone;
    let mut rest = &joined.positions[..];
    while !rest.is_empty() {
        let (block, later) = rest.split_at(text::block(rest.len(), text::row_columns(&tables[table])));
        rest = later;
        let mut existing = 0;
        if on_duplicate.is_unique() {
            let text = kept.existing_text(tables, table, block.len());
            let mut query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(text));
            for &position in block {
                query = query.bind(series[position]).bind(batch.rows[position].1.time.0);
            }
            existing = u64::try_from(super::answered(query.fetch_one(&mut *connection)).await?).unwrap_or(u64::MAX);
        }
        let mut query = sqlx::query(AssertSqlSafe(kept.text(tables, table, block.len())));
        for &position in block {
            let (origin, row) = &batch.rows[position];
            if let Some(own) = &tables[table].own {
                query = bind_own(query, own, row, batch.messages[*origin].received_at)?;
                continue;
            }
            query = query.bind(row.time.0).bind(series[position]).bind(batch.messages[*origin].received_at.0);
            for value in rows.joined_values(&joined, position) {
                query = bind(query, value);
            }
        }
        let stored = super::answered(query.execute(&mut *connection)).await?.rows_affected();
        // What is replaced is counted by the database, and what is ignored is not.
        let ignored = if on_duplicate == OnDuplicate::Ignore { existing } else { 0 };
        if stored + ignored != block.len() as u64 {
            let target = tables[table].target(Dialect::Sqlite);
            return Err(Failure::refused(format!(
                "a trigger on {target} keeps rows away; rows let through: {stored} of {}",
                block.len()
            )));
        }
        duplicates += existing;
    }
    Ok(duplicates)
}

/// A row as a table of the user's own has it.
fn bind_own<'q>(
    mut query: Query<'q, Sqlite, SqliteArguments>,
    own: &OwnTable,
    row: &'q Row,
    received_at: Time,
) -> Result<Query<'q, Sqlite, SqliteArguments>, Failure> {
    for column in &own.columns {
        query = match column.source {
            Source::Time => bind_time(query, row.time, &column.form),
            Source::ReceivedAt => bind_time(query, received_at, &column.form),
            Source::Tag(n) => {
                let tag = row.tags.iter().nth(n).unwrap_or_default();
                match column.form {
                    Form::TagNumber => query.bind(whole_number(tag, &column.name)?),
                    _ => query.bind(tag),
                }
            }
            Source::Field(n) => match row.fields[n].as_ref() {
                Some(Value::Time(time)) => bind_time(query, *time, &column.form),
                value => bind(query, value),
            },
        };
    }
    Ok(query)
}

/// A tag for a column of integers, which would keep what is none as a text.
fn whole_number(tag: &str, column: &str) -> Result<Option<i64>, Failure> {
    if tag.is_empty() {
        return Ok(None);
    }
    tag.trim().parse().map(Some).map_err(|_| Failure {
        data: Some(format!("`{tag}`")),
        ..Failure::refused(format!("column `{column}` takes integers, and the tag for it is none"))
    })
}

fn bind_time<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    time: Time,
    form: &Form,
) -> Query<'q, Sqlite, SqliteArguments> {
    match form {
        Form::Text => query.bind(six_decimals(time)),
        #[expect(clippy::cast_precision_loss, reason = "a float of seconds tells microseconds apart until 2255")]
        Form::Seconds => query.bind(time.0 as f64 / 1e6),
        Form::Plain | Form::Digits | Form::Cast(_) | Form::TagCast(_) | Form::TagNumber => query.bind(time.0),
    }
}

/// `2026-11-25T18:20:19.500000Z`: of one length, so that texts are in the order of their times.
fn six_decimals(time: Time) -> String {
    match jiff::Timestamp::from_microsecond(time.0) {
        Ok(timestamp) => format!("{timestamp:.6}"),
        // Beyond the year 9999, which no mapping lets through.
        Err(_) => time.to_string(),
    }
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

/// A row that the table refuses has ended the transaction, and with it what the others were to be kept in.
fn ended_by_row(target: &str, refusal: &Refusal) -> Failure {
    // The next plan looks for what it is, and says it better.
    Failure {
        lost: true,
        stale: true,
        ..Failure::standing(format!(
            "{target} ends the transaction of the whole batch because of one row ({}): no row can be told from another; \
             look for `rollback` in its constraints, its triggers and theirs, and make it `abort`",
            refusal.reason
        ))
    }
}

/// Stores the rows of one table that SQLite takes; gives the others, and how many were there already. Standing if it
/// takes none of many.
async fn split(
    connection: &mut SqliteConnection,
    tables: &[Table],
    kept: &mut Kept,
    table: usize,
    rows: Rows<'_>,
    positions: Vec<usize>,
) -> Result<(Vec<(usize, Refusal)>, u64), Failure> {
    let (mut split, mut duplicates) = (Split::new(positions), 0);
    while let Some(part) = split.next() {
        // A part may be several statements.
        super::command(connection, "savepoint one").await?;
        match insert_rows(connection, tables, kept, table, rows, &part).await {
            Ok(more) => {
                duplicates += more;
                super::command(connection, "release one").await?;
                split.accepted(part);
            }
            Err(failure) if failure.class == Class::Refused && !failure.lost => {
                let ended = super::command(connection, "rollback to one; release one").await.is_err();
                let refusal = failure.into_refusal();
                if ended {
                    return Err(ended_by_row(tables[table].target(Dialect::Sqlite).as_ref(), &refusal));
                }
                split.refused(part, refusal);
            }
            Err(failure) => return Err(failure),
        }
        if split.hopeless() {
            let target = tables[table].target(Dialect::Sqlite);
            return Err(Failure::standing(format!("{target} takes no row at all: {}", split.last_reason())));
        }
    }
    Ok((split.into_refused(), duplicates))
}
