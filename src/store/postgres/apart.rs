//! Stores a batch of which some row is refused: the others are stored, the refused ones become rejects, in one
//! transaction.

use sqlx::PgConnection;

use super::write::{Kept, end, insert_rejects, insert_rows, pass};
use crate::batch::Batch;
use crate::store::error::{Class, Failure, Refusal};
use crate::store::link::{Gate, Passed};
use crate::store::plan::{Dialect, Table};
use crate::store::rejects;
use crate::store::series::{Resolved, Rows};
use crate::store::split::{Split, by_table};

/// `resolved.refused` grows by what the server refuses.
pub(super) async fn write(
    connection: &mut PgConnection,
    gate: Gate<'_>,
    tables: &[Table],
    kept: &mut Kept,
    (batch, resolved): (&Batch, &mut Resolved),
    sent: &mut bool,
) -> Result<Passed, Failure> {
    kept.trim();
    super::command(connection, "begin").await?;
    let outcome = async {
        // A constraint that waits for COMMIT would refuse the whole batch there.
        super::command(connection, "set constraints all immediate").await?;
        if pass(connection, gate).await? == Passed::Fenced {
            return Ok(Passed::Fenced);
        }
        for (table, positions) in by_table(batch, &resolved.refused) {
            let rows = Rows { batch, series: &resolved.ids, others: &resolved.others, tables };
            let (refused, duplicates) = split(connection, tables, kept, table, rows, positions).await?;
            resolved.refused.extend(refused);
            resolved.duplicates.insert(table, duplicates);
        }
        resolved.refused.sort_unstable_by_key(|(position, _)| *position);
        insert_rejects(connection, kept, &rejects::rows(batch, &resolved.refused)).await?;
        Ok(Passed::Stored)
    };
    let outcome = outcome.await;
    end(connection, outcome, sent).await
}

/// Stores the rows of one table that the server takes; gives the others, and how many were there already. Standing if it takes none of many.
async fn split(
    connection: &mut PgConnection,
    tables: &[Table],
    kept: &mut Kept,
    table: usize,
    rows: Rows<'_>,
    positions: Vec<usize>,
) -> Result<(Vec<(usize, Refusal)>, u64), Failure> {
    let (mut split, mut duplicates) = (Split::new(positions), 0);
    super::command(connection, "savepoint one").await?;
    while let Some(part) = split.next() {
        match insert_rows(connection, tables, kept, table, rows, &part).await {
            Ok(more) => {
                duplicates += more;
                super::command(connection, "release savepoint one; savepoint one").await?;
                split.accepted(part);
            }
            Err(failure) if failure.class == Class::Refused && !failure.lost => {
                super::command(connection, "rollback to savepoint one").await?;
                split.refused(part, failure.into_refusal());
            }
            Err(failure) => return Err(failure),
        }
        if split.hopeless() {
            let target = tables[table].target(Dialect::Postgres);
            return Err(Failure::standing(format!("{target} takes no row at all: {}", split.last_reason())));
        }
    }
    super::command(connection, "release savepoint one").await?;
    Ok((split.into_refused(), duplicates))
}
