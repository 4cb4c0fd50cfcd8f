//! Another type for a column: what Amber does by itself, and the SQL that a person runs.
//!
//! Values are converted only where that cannot fail and loses nothing. Otherwise the column is set aside under another
//! name, at once on any size: its values, grants and views stay, and the new column begins empty.

use super::{Dialect, Found, MAX_NAME, View, timescale};
use crate::schema::{Measurement, Type};
use crate::store::sql::{literal, quote};

/// Integers up to this one are floats too.
pub(in crate::store) const EXACT_INT: i64 = 1 << 53;

/// Whether Amber may give an int column another type by itself: `None`, or why not.
pub(super) fn hindrance(found: &Found, field: &str) -> Option<String> {
    if !found.around.ints.iter().any(|name| name == field) {
        return Some("which somebody has made of it".to_owned());
    }
    let others = found.around.views.iter().filter(|view| !view.is_ours);
    let others: Vec<&str> = others.map(|view| view.name.as_str()).collect();
    if !others.is_empty() {
        return Some(format!("and views of others are built on it: {}", others.join(", ")));
    }
    if timescale::has_compressed(found) {
        return Some("and chunks of the table are compressed".to_owned());
    }
    if !found.around.is_small {
        return Some("and the table is too large to be written anew while everybody waits".to_owned());
    }
    let is_inexact = found.around.inexact.iter().any(|name| name == field);
    is_inexact.then(|| "and it has integers beyond 2^53, which a float cannot tell apart".to_owned())
}

/// How the values of a column become those of another type without fail and without loss.
pub(super) fn conversion(dialect: Dialect, column: &str, found: &str, wanted: Type) -> Option<String> {
    let r#type = dialect.column_type(wanted);
    match (dialect, found, wanted) {
        (Dialect::Postgres, "boolean", Type::Float | Type::Int) => Some(format!("{column}::integer::{}", r#type)),
        (Dialect::Postgres, "bigint" | "integer" | "smallint" | "real", Type::Float)
        | (Dialect::Postgres, "integer" | "smallint", Type::Int)
        | (Dialect::Postgres, _, Type::Text) => Some(format!("{column}::{}", r#type)),
        (Dialect::Postgres, _, Type::Json) => Some(format!("to_jsonb({column})")),
        (Dialect::Sqlite, "INTEGER", Type::Float) => Some(column.to_owned()),
        (Dialect::Postgres, _, Type::Float | Type::Int | Type::Bool | Type::Time) | (Dialect::Sqlite, _, _) => None,
    }
}

/// The statements that give columns of the data table another type: name, type found, how its values are converted, type
/// wanted.
pub(super) fn convert(
    dialect: Dialect,
    measurement: &Measurement,
    found: &Found,
    columns: &[(&str, String, Type)],
) -> Vec<String> {
    let table = dialect.data(&measurement.name);
    match dialect {
        Dialect::Postgres => {
            let changes: Vec<String> = columns
                .iter()
                .map(|(name, using, wanted)| {
                    format!("alter column {} type {} using {using}", quote(name), dialect.column_type(*wanted))
                })
                .collect();
            // A column that a view shows cannot change: views go, the topmost first, and come again as they were.
            let views = &found.around.views;
            let mut statements: Vec<String> = views.iter().map(View::drop).collect();
            statements.extend(timescale::decompress(found, &measurement.name));
            statements.push(format!("alter table {table} {}", changes.join(", ")));
            statements.extend(views.iter().rev().flat_map(|view| view.create.iter().cloned()));
            statements
        }
        // SQLite cannot change a type. No view is touched: with the older manners of ALTER it does not mind that they
        // lack a column for a moment.
        Dialect::Sqlite => {
            let mut statements = vec!["pragma legacy_alter_table = on".to_owned()];
            for (name, using, wanted) in columns {
                let kept = quote(&free_name(found, name));
                // Columns of integers are told apart by the catalogue, so that it must say so too.
                let catalogue = format!(
                    "update store_field set type = {} where measurement = {} and name = {}",
                    literal(wanted.word()),
                    literal(&measurement.name),
                    literal(name)
                );
                let (name, r#type) = (quote(name), dialect.column_type(*wanted));
                statements.extend([
                    format!("alter table {table} add column {kept} {}", r#type),
                    format!("update {table} set {kept} = {using}"),
                    format!("alter table {table} drop column {name}"),
                    format!("alter table {table} add column {name} {}", r#type),
                    format!("update {table} set {name} = {kept}"),
                    format!("alter table {table} drop column {kept}"),
                    catalogue,
                ]);
            }
            statements.push("pragma legacy_alter_table = off".to_owned());
            statements
        }
    }
}

/// The statements that give a column of the data table, or with `is_tag` of the series table, another name.
pub(super) fn set_aside(
    dialect: Dialect,
    measurement: &Measurement,
    found: &Found,
    name: &str,
    is_tag: bool,
) -> Vec<String> {
    let (old, new) = (quote(name), free_name(found, name));
    let table = if is_tag { dialect.series(&measurement.name) } else { dialect.data(&measurement.name) };
    let rename = format!("alter table {table} rename column {old} to {}", quote(&new));
    let field = match dialect {
        Dialect::Postgres => "amber_store.field",
        Dialect::Sqlite => "store_field",
    };
    let catalogue = format!(
        "update {field} set name = {} where measurement = {} and name = {}",
        literal(&new),
        literal(&measurement.name),
        literal(name)
    );
    let mut statements = match dialect {
        Dialect::Postgres => vec![rename],
        Dialect::Sqlite => vec!["pragma legacy_alter_table = on".to_owned(), rename],
    };
    match dialect {
        // SQLite does that by itself, to the view of ours.
        Dialect::Sqlite => statements.push("pragma legacy_alter_table = off".to_owned()),
        Dialect::Postgres if found.view.as_ref().is_some_and(|view| view.column(name).is_some()) => {
            let view = dialect.view(&measurement.name);
            statements.push(format!("alter view {view} rename column {old} to {}", quote(&new)));
        }
        Dialect::Postgres => {}
    }
    if !is_tag {
        statements.push(catalogue);
    }
    statements
}

/// As a person runs it: all or nothing.
pub(super) fn script(statements: &[String]) -> String {
    format!("begin; {}; commit", statements.join("; "))
}

/// `name_old`, or the next that is not taken.
fn free_name(found: &Found, name: &str) -> String {
    let is_taken = |new: &str| {
        let mut relations = [&found.series, &found.data, &found.view].into_iter().flatten();
        relations.any(|relation| relation.columns.iter().any(|column| column.name.eq_ignore_ascii_case(new)))
    };
    let names = (1..).map(|n| {
        let suffix = if n == 1 { "_old".to_owned() } else { format!("_old{n}") };
        let stem: String = name
            .char_indices()
            .take_while(|(start, c)| start + c.len_utf8() + suffix.len() <= MAX_NAME)
            .map(|(_, c)| c)
            .collect();
        stem + &suffix
    });
    let mut names = names.skip_while(|new| is_taken(new));
    names.next().expect("there are fewer columns than numbers")
}
