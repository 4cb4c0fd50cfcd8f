//! Finds a table of the user's own in the file.

use sqlx::SqliteConnection;

use crate::schema::{Measurement, Own};
use crate::store::error::Failure;
use crate::store::plan::own::{FoundColumn, FoundOwn, shown};
use crate::store::plan::{self, Dialect, Shape, Table};
use crate::store::sql::quote;

/// Names of Amber's tables and of SQLite's own.
const PREFIXES: [&str; 2] = ["store_", "sqlite_"];

/// What stands in the way of writing into it, and how it is written.
pub(super) async fn plan(
    connection: &mut SqliteConnection,
    measurement: &Measurement,
    own: &Own,
) -> Result<(Vec<String>, Table), Failure> {
    let found = find(connection, own).await?;
    let (mut conflicts, table) = plan::own_measurement(Dialect::Sqlite, measurement, own, found.as_ref().ok_or(None));
    if let Some(conflict) = name(own) {
        conflicts = vec![conflict];
    }
    Ok((conflicts, table))
}

/// What is wrong with the name itself.
pub(super) fn name(own: &Own) -> Option<String> {
    let table = shown(&own.table);
    if let Some(schema) = own.table.schema.as_deref().filter(|schema| !schema.eq_ignore_ascii_case("main")) {
        return Some(format!(
            "`table` names {table}, and a file of SQLite has no schema `{schema}`; write the name alone: `table = '{}'`",
            table.split_once('.').map_or(table.as_str(), |(_, name)| name)
        ));
    }
    let lower = own.table.name.to_lowercase();
    let is_ours = PREFIXES.iter().any(|prefix| lower.starts_with(prefix));
    is_ours.then(|| {
        format!("`table` names {table}, and such names are of Amber's or of SQLite's own tables; leave `table` out and set `measurement`, or name another")
    })
}

async fn find(connection: &mut SqliteConnection, own: &Own) -> Result<Option<FoundOwn>, Failure> {
    let relation: Option<(String, String)> = sqlx::query_as(
        "select name, type from sqlite_schema where name = ? collate nocase and type in ('table', 'view')",
    )
    .bind(&own.table.name)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((name, r#type)) = relation else { return Ok(None) };
    let shape = if r#type == "view" { Shape::View } else { Shape::Table };
    let columns: Vec<(String, String, bool, bool)> = sqlx::query_as(
        "select name, type, \"notnull\" and dflt_value is null and not (pk = 1 and upper(type) = 'INTEGER'), hidden in (2, 3)
         from pragma_table_xinfo(?) where hidden <> 1 order by cid",
    )
    .bind(&name)
    .fetch_all(connection)
    .await?;
    let column = |(name, shown, required, is_generated): (String, String, bool, bool)| FoundColumn {
        name,
        r#type: shown.to_uppercase(),
        shown,
        required: required && !is_generated,
        is_generated,
        ..FoundColumn::default()
    };
    let columns = columns.into_iter().map(column).collect();
    // A view takes rows by triggers only, which SQLite does not count: there would be no proof.
    let takes_rows = shape == Shape::Table;
    Ok(Some(FoundOwn { target: quote(&name), shape, takes_rows, columns, grants: vec![] }))
}
