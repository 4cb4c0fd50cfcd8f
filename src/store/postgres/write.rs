//! Stores a batch: by one statement, or by several in one transaction where one would be too large.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::text;
use crate::schema::OnDuplicate;
use crate::store::columns::{Block, ColumnBuf};
use crate::store::duplicates::{Counts, Joined};
use crate::store::error::Failure;
use crate::store::link::{Gate, Passed};
use crate::store::plan::{Dialect, Table};
use crate::store::rejects::{self, RejectRow};
use crate::store::series::Rows;
use crate::store::split::{by_table, in_index_order};

/// Beyond these a batch takes several statements: planning one grows with both.
const MAX_TABLES: usize = 8;
const MAX_PARAMETERS: usize = 500;
/// Bytes of buffers kept over all tables; each keeps what its largest batch of late needed.
const MAX_BUFFER_BYTES: usize = 8 << 20;
/// Texts kept; a service with more sets of tables in its batches makes them again.
const MAX_TEXTS: usize = 128;

/// Texts and buffers, kept from batch to batch.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// By the tables in it, and whether it has rejects.
    batches: HashMap<(Box<[usize]>, bool), Arc<str>>,
    rows: HashMap<usize, Arc<str>>,
    blocks: HashMap<usize, Block>,
    rejects: Vec<ColumnBuf>,
}

impl Kept {
    /// Gives buffers back that together are too large: of a thousand tables each may have had a large batch once.
    pub(super) fn trim(&mut self) {
        if self.blocks.values().map(Block::capacity).sum::<usize>() > MAX_BUFFER_BYTES {
            self.blocks.clear();
        }
    }

    /// Forgets all, for tables that changed.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn batch_text(&mut self, tables: &[Table], set: &[usize], rejects: bool) -> Arc<str> {
        let key = (Box::from(set), rejects);
        if let Some(text) = self.batches.get(&key) {
            return Arc::clone(text);
        }
        if self.batches.len() >= MAX_TEXTS {
            self.batches.clear();
        }
        let tables: Vec<&Table> = set.iter().map(|&n| &tables[n]).collect();
        let text: Arc<str> = text::batch(&tables, rejects).into();
        self.batches.insert(key, Arc::clone(&text));
        text
    }

    fn rows_text(&mut self, tables: &[Table], n: usize) -> Arc<str> {
        Arc::clone(self.rows.entry(n).or_insert_with(|| text::rows(&tables[n]).into()))
    }

    fn block(&mut self, tables: &[Table], n: usize) -> &mut Block {
        self.blocks.entry(n).or_insert_with(|| Block::new(&tables[n]))
    }

    fn fill_rejects(&mut self, rows: &[RejectRow<'_>]) {
        if self.rejects.is_empty() {
            self.rejects = text::reject_elements().map(ColumnBuf::new).collect();
        }
        self.rejects.iter_mut().for_each(ColumnBuf::clear);
        let [received, topic, payload, bytes, qos, retain, mapping, reason, detail] = self.rejects.as_mut_slice()
        else {
            unreachable!("a reject has nine columns");
        };
        for row in rows {
            received.time(row.message.received_at);
            topic.text(&row.topic());
            payload.bytes(row.payload());
            bytes.int(row.payload_bytes());
            qos.small(i16::from(row.message.qos.level()));
            retain.bool(row.message.retain);
            match row.mapping {
                Some(name) => mapping.text(name),
                None => mapping.null(),
            }
            reason.text(row.reason.word());
            detail.text(&row.detail);
        }
    }
}

/// Stores all rows and rejects. `sent` is set once the statement that decides is on its way.
pub(super) async fn write(
    connection: &mut PgConnection,
    gate: Gate<'_>,
    tables: &[Table],
    kept: &mut Kept,
    rows: Rows<'_>,
    (duplicates, sent): (&mut Counts, &mut bool),
) -> Result<Passed, Failure> {
    kept.trim();
    let mut parts = by_table(rows.batch, &[]);
    in_index_order(&mut parts, rows.series, rows.batch);
    let parameters: usize = parts.iter().map(|(table, _)| tables[*table].width()).sum();
    if parts.len() > MAX_TABLES || parameters > MAX_PARAMETERS {
        return write_parts(connection, gate, tables, kept, rows, &parts, (duplicates, sent)).await;
    }
    let rejects = rejects::rows(rows.batch, &[]);
    let set: Vec<usize> = parts.iter().map(|(table, _)| *table).collect();
    let text = kept.batch_text(tables, &set, !rejects.is_empty());
    let parts: Vec<(usize, Joined)> =
        parts.into_iter().map(|(table, positions)| (table, Joined::new(&tables[table], rows, &positions))).collect();
    for (table, joined) in &parts {
        kept.block(tables, *table).fill(rows, joined);
    }
    let mut query =
        sqlx::query(AssertSqlSafe(text)).bind(gate.writer).bind(gate.epoch).bind(gate.number).bind(gate.packets);
    query = query.bind(gate.last).bind(gate.owner);
    for table in &set {
        let block = &kept.blocks[table];
        for column in block.columns() {
            query = query.bind(column);
        }
        if tables[*table].on_duplicate.is_unique() {
            let [least, largest] = block.span();
            query = query.bind(least).bind(largest);
        }
    }
    if !rejects.is_empty() {
        kept.fill_rejects(&rejects);
        for column in &kept.rejects {
            query = query.bind(column);
        }
    }
    *sent = true;
    let row = super::answered(query.fetch_one(connection)).await?;
    let expected =
        parts.iter().map(|(_, joined)| joined.positions.len()).chain((!rejects.is_empty()).then_some(rejects.len()));
    let counts = (0..row.len()).map(|n| row.try_get::<i64, _>(n)).collect::<Result<Vec<_>, _>>()?;
    // Behind all that is proof.
    let (proof, existing) = counts.split_at((1 + parts.len() + usize::from(!rejects.is_empty())).min(counts.len()));
    match proof {
        [1, stored @ ..] if stored.iter().copied().eq(expected.map(|n| i64::try_from(n).unwrap_or(i64::MAX))) => {
            let mut existing = existing.iter().map(|n| u64::try_from(*n).unwrap_or(u64::MAX));
            for (table, joined) in parts.iter().filter(|(table, _)| tables[*table].on_duplicate.is_unique()) {
                *duplicates.entry(*table).or_default() += joined.gone + existing.next().unwrap_or(0);
            }
            Ok(Passed::Stored)
        }
        [0, stored @ ..] if stored.iter().all(|n| *n == 0) => Ok(Passed::Fenced),
        // The statement itself fails where rows are kept away, so that this cannot be; what is there, the next
        // adoption tells.
        _ => Err(Failure::away(format!("a fault in Amber: the database counts {counts:?}"))),
    }
}

/// A count that the server answers.
fn number(row: &PgRow, n: usize) -> Result<u64, Failure> {
    Ok(u64::try_from(row.try_get::<i64, _>(n)?).unwrap_or(u64::MAX))
}

/// The same in several statements. COMMIT leaves only after the gate has answered.
async fn write_parts(
    connection: &mut PgConnection,
    gate: Gate<'_>,
    tables: &[Table],
    kept: &mut Kept,
    rows: Rows<'_>,
    parts: &[(usize, Vec<usize>)],
    (duplicates, sent): (&mut Counts, &mut bool),
) -> Result<Passed, Failure> {
    super::command(connection, "begin").await?;
    let outcome = async {
        if pass(connection, gate).await? == Passed::Fenced {
            return Ok(Passed::Fenced);
        }
        for (table, positions) in parts {
            *duplicates.entry(*table).or_default() +=
                insert_rows(connection, tables, kept, *table, rows, positions).await?;
        }
        insert_rejects(connection, kept, &rejects::rows(rows.batch, &[])).await?;
        Ok(Passed::Stored)
    };
    let outcome = outcome.await;
    end(connection, outcome, sent).await
}

/// COMMIT if all is stored, else ROLLBACK.
pub(super) async fn end(
    connection: &mut PgConnection,
    outcome: Result<Passed, Failure>,
    sent: &mut bool,
) -> Result<Passed, Failure> {
    match outcome {
        Ok(Passed::Stored) => {
            *sent = true;
            // No statement failed since the last savepoint, so that the answer is COMMIT and no ROLLBACK in disguise.
            super::command(connection, "commit").await?;
            Ok(Passed::Stored)
        }
        Ok(Passed::Fenced) => {
            super::command(connection, "rollback").await?;
            Ok(Passed::Fenced)
        }
        Err(failure) => Err(super::roll_back(connection, failure).await),
    }
}

pub(super) async fn pass(connection: &mut PgConnection, gate: Gate<'_>) -> Result<Passed, Failure> {
    let query = sqlx::query(text::GATE).bind(gate.writer).bind(gate.epoch).bind(gate.number).bind(gate.packets);
    let query = query.bind(gate.last).bind(gate.owner);
    let done = super::answered(query.execute(connection)).await.map_err(Failure::rowless)?;
    Ok(if done.rows_affected() == 1 { Passed::Stored } else { Passed::Fenced })
}

/// Inserts the rows at `positions`, all of one table; fewer than all is refused. Gives how many were there already, in the
/// table or among `positions`.
pub(super) async fn insert_rows(
    connection: &mut PgConnection,
    tables: &[Table],
    kept: &mut Kept,
    table: usize,
    rows: Rows<'_>,
    positions: &[usize],
) -> Result<u64, Failure> {
    let text = kept.rows_text(tables, table);
    let joined = Joined::new(&tables[table], rows, positions);
    let block = kept.block(tables, table);
    block.fill(rows, &joined);
    let (wanted, on_duplicate) = (joined.positions.len() as u64, tables[table].on_duplicate);
    let (mut stored, mut inserted) = (0, 0);
    // Another Amber's row that comes between the look and the insert is seen the next time (`text::Insert::accounted`).
    for _ in 0..if on_duplicate == OnDuplicate::Ignore { 2 } else { 1 } {
        let mut query = sqlx::query(AssertSqlSafe(Arc::clone(&text)));
        for column in block.columns() {
            query = query.bind(column);
        }
        if on_duplicate.is_unique() {
            let [least, largest] = block.span();
            query = query.bind(least).bind(largest);
            let row = super::answered(query.fetch_one(&mut *connection)).await?;
            stored = number(&row, 0)?;
            inserted += stored.saturating_sub(number(&row, 1)?);
        } else {
            stored = super::answered(query.execute(&mut *connection)).await?.rows_affected();
            inserted = stored;
        }
        if stored == wanted {
            return Ok(joined.gone + wanted.saturating_sub(inserted));
        }
    }
    let target = tables[table].target(Dialect::Postgres);
    Err(Failure::refused(format!("{}{stored} of {wanted}", text::kept_away(&target))))
}

pub(super) async fn insert_rejects(
    connection: &mut PgConnection,
    kept: &mut Kept,
    rows: &[RejectRow<'_>],
) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    kept.fill_rejects(rows);
    let mut query = sqlx::query(AssertSqlSafe(text::rejects()));
    for column in &kept.rejects {
        query = query.bind(column);
    }
    let stored = super::answered(query.execute(connection)).await.map_err(Failure::rowless)?.rows_affected();
    if stored == rows.len() as u64 {
        return Ok(());
    }
    Err(Failure::standing(format!("{}{stored} of {}", text::kept_away("amber_store.reject"), rows.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::message::Time;
    use crate::row::{Row, Tags, TimeSource, Value};
    use crate::schema::Type;
    use crate::store::others::Settled;

    #[test]
    fn buffers_of_a_thousand_tables_that_each_had_a_large_batch_once_are_bounded() {
        let fields = vec![("t".to_owned(), Type::Text)];
        let table = |n| Table {
            name: format!("m{n}"),
            tags: vec![],
            other_tags: vec![],
            fields: fields.clone(),
            listed: 1,
            others: None,
            max_series: 1,
            on_duplicate: OnDuplicate::Keep,
            partitions: None,
            own: None,
        };
        let tables: Vec<Table> = (0..1_000).map(table).collect();
        let mut kept = Kept::default();
        for n in 0..tables.len() {
            let row = Row {
                measurement: n,
                mapping: "m".into(),
                time: Time(0),
                time_source: TimeSource::Receipt,
                tags: Tags::new([]),
                fields: vec![Some(Value::Text("x".repeat(1 << 20).into()))],
                others: vec![],
            };
            let batch = Batch::of([vec![row]]);
            kept.trim();
            let others = Settled::default();
            let rows = Rows { batch: &batch, series: &[1], others: &others, tables: &tables };
            kept.block(&tables, n).fill(rows, &Joined::new(&tables[n], rows, &[0]));
            let bytes: usize = kept.blocks.values().map(Block::capacity).sum();
            assert!(bytes <= MAX_BUFFER_BYTES + (2 << 20), "{bytes}");
        }
        assert!(kept.blocks.len() > 1, "what is small enough is kept");
    }
}
