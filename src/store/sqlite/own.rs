//! Finds a table of the user's own in the file.

use sqlx::SqliteConnection;

use crate::schema::{Measurement, Own};
use crate::store::Plan;
use crate::store::error::Failure;
use crate::store::plan::own::{FoundColumn, FoundOwn, shown};
use crate::store::plan::{self, Dialect, Shape, Table};
use crate::store::sql::quote;

/// Names of Amber's tables and of SQLite's own.
const PREFIXES: [&str; 2] = ["store_", "sqlite_"];

/// What stands in the way of writing into it and what is good to know of it, and how it is written.
pub(super) async fn plan(
    connection: &mut SqliteConnection,
    measurement: &Measurement,
    own: &Own,
) -> Result<(Plan, Table), Failure> {
    let found = find(connection, own).await?;
    let notes = plan::own::notes(Dialect::Sqlite, measurement, own, found.as_ref());
    let (mut conflicts, table) = plan::own_measurement(Dialect::Sqlite, measurement, own, found.as_ref().ok_or(None));
    if let Some(found) = &found {
        conflicts.extend(ending(connection, measurement, own, found).await?);
    }
    if let Some(conflict) = name(own) {
        conflicts = vec![conflict];
    }
    Ok((Plan { conflicts, notes, ..Plan::default() }, table))
}

/// What in the table or its triggers ends the transaction of a whole batch for one row, so that its neighbours could not
/// be kept: no savepoint outlives it, and what is checked only at COMMIT is no row's.
async fn ending(
    connection: &mut SqliteConnection,
    measurement: &Measurement,
    own: &Own,
    found: &FoundOwn,
) -> Result<Vec<String>, Failure> {
    let declared: Vec<(String, String, String)> = sqlx::query_as(
        "select type, name, sql from sqlite_schema
         where tbl_name = ? collate nocase and type in ('table', 'trigger') and sql is not null order by rowid",
    )
    .bind(&own.table.name)
    .fetch_all(connection)
    .await?;
    let mut conflicts = Vec::new();
    for (r#type, name, sql) in declared {
        let sql = words(&sql);
        if r#type == "trigger" && !sql.contains(" insert on ") {
            continue;
        }
        let place = if r#type == "trigger" {
            format!("trigger {} of {}", quote(&name), found.target)
        } else {
            found.target.clone()
        };
        for (clause, remedy) in ENDING {
            if sql.contains(clause) {
                conflicts.push(format!(
                    "{place}, which `table` of measurement `{}` names, has `{}`: one row would end the transaction of all; {remedy}",
                    measurement.name,
                    clause.trim()
                ));
            }
        }
    }
    Ok(conflicts)
}

/// Clauses, as `words` has them, and what to make of them.
const ENDING: [(&str, &str); 4] = [
    (" on conflict rollback", "make the table anew with `on conflict abort`, or without the clause"),
    (" raise ( rollback", "make the trigger anew with `raise(abort, …)`"),
    (" or rollback ", "make the trigger anew without `or rollback`"),
    (" initially deferred", "make the table anew with a foreign key that is not `initially deferred`"),
];

/// SQL in lower case, with one blank between its words, and neither comments nor what is quoted.
fn words(sql: &str) -> String {
    let mut words = String::from(" ");
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '-' if rest.starts_with("--") => Some("\n"),
            '/' if rest.starts_with("/*") => Some("*/"),
            '\'' => Some("'"),
            '"' => Some("\""),
            '`' => Some("`"),
            '[' => Some("]"),
            _ => None,
        };
        let is_word = first.is_alphanumeric() || first == '_';
        if let Some(end) = end {
            let start = if first == '/' { 2 } else { 1 };
            rest = rest[start..].split_once(end).map_or("", |(_, rest)| rest);
        } else {
            rest = &rest[first.len_utf8()..];
        }
        if is_word {
            words.extend(first.to_lowercase());
            continue;
        }
        if !words.ends_with(' ') {
            words.push(' ');
        }
        if end.is_none() && !first.is_whitespace() {
            words.push(first);
            words.push(' ');
        }
    }
    words
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_are_found_however_they_are_written_and_not_in_texts_or_comments() {
        let found = |sql: &str| -> Vec<&str> {
            let sql = words(sql);
            ENDING.iter().map(|(clause, _)| clause.trim()).filter(|clause| sql.contains(clause)).collect()
        };
        for (sql, expected) in [
            ("create table t (v int unique ON  CONFLICT\n ROLLBACK)", vec!["on conflict rollback"]),
            ("create table t (v, unique(v)on conflict/* why */rollback)", vec!["on conflict rollback"]),
            ("begin select RAISE ( Rollback , 'no'); end", vec!["raise ( rollback"]),
            ("begin select raise(rollback,'no'); end", vec!["raise ( rollback"]),
            ("begin insert or rollback into u values (1); end", vec!["or rollback"]),
            ("references r deferrable\tInitially -- late\nDeferred", vec!["initially deferred"]),
            ("v text default 'it''s on conflict rollback', \"or rollback x\" int -- initially deferred", vec![]),
            ("v int unique on conflict abort, check (v <> 'é'), deferrable initially immediate", vec![]),
        ] {
            assert_eq!(found(sql), expected, "{sql}");
        }
    }
}
