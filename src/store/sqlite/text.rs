//! Statements with many rows of values, as text. Pure.
//!
//! Bare `?` only: sqlx asks for the name of every numbered parameter, which makes long lists quadratic. Rows go in
//! blocks of a few sizes, so that a handful of prepared statements per table serve every number of rows; one row a
//! statement costs ten to twenty times as much.

use crate::schema::OnDuplicate;
use crate::store::plan::{Dialect, Table};
use crate::store::sql::{list, literal, quote};

/// Rows of one statement.
const BLOCKS: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];
/// SQLite's own limit (SQLITE_MAX_VARIABLE_NUMBER).
const MAX_PARAMETERS: usize = 32_766;

/// Now, in microseconds since 1970.
pub(super) const NOW: &str = "cast(unixepoch('subsec') * 1000000 as integer)";

/// The largest block for `rows` rows of `columns` columns.
pub(super) fn block(rows: usize, columns: usize) -> usize {
    let fits = |block: &usize| *block <= rows && *block * columns <= MAX_PARAMETERS;
    BLOCKS.into_iter().find(fits).unwrap_or(1)
}

/// `(?, ?), (?, ?)`
fn values(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(", "));
    vec![row; rows].join(", ")
}

/// Columns of a reading.
pub(super) fn row_columns(table: &Table) -> usize {
    table.width()
}

pub(super) fn insert_rows(table: &Table, rows: usize) -> String {
    let columns = match &table.own {
        Some(own) => list(own.columns.iter().map(|column| column.name.as_str())),
        None => {
            let fields = table.fields.iter().map(|(name, _)| name.as_str());
            list(["time", "series_id", "received_at"].into_iter().chain(fields))
        }
    };
    let target = table.target(Dialect::Sqlite);
    let conflict = match table.on_duplicate {
        OnDuplicate::Keep => String::new(),
        OnDuplicate::Ignore => " on conflict (series_id, time) do nothing".to_owned(),
        OnDuplicate::Replace => format!(" on conflict (series_id, time) do update set {}", replace(table)),
    };
    format!("insert into {target} as d ({columns}) values {}{conflict}", values(rows, row_columns(table)))
}

/// What a row does to the one that is there.
fn replace(table: &Table) -> String {
    let fields = table.fields.iter().map(|(name, _)| {
        let name = quote(name);
        format!("{name} = coalesce(excluded.{name}, d.{name})")
    });
    fields.chain(["received_at = excluded.received_at".to_owned()]).collect::<Vec<_>>().join(", ")
}

/// How many rows are there already, by series and time.
pub(super) fn count_existing(table: &Table, rows: usize) -> String {
    let target = table.target(Dialect::Sqlite);
    format!(
        "with u(series_id, time) as (values {}) select count(*) from u join {target} d on d.series_id = u.series_id and d.time = u.time",
        values(rows, 2)
    )
}

pub(super) const REJECT_COLUMNS: usize = 9;

pub(super) fn insert_rejects(rows: usize) -> String {
    format!(
        "insert into store_reject (received_at, topic, payload, payload_bytes, qos, retain, mapping, reason, detail) values {}",
        values(rows, REJECT_COLUMNS)
    )
}

/// The series that are there: (place, id). Per set of tag values its place, then the values.
pub(super) fn find_series(table: &Table, rows: usize) -> String {
    let series = Dialect::Sqlite.series(&table.name);
    let names: Vec<String> = (1..=table.tags.len()).map(|n| format!("t{n}")).collect();
    let own = table.tags.iter().zip(&names).map(|(tag, name)| format!("s.{} = u.{name}", quote(tag)));
    let others = table.other_tags.iter().map(|tag| format!("s.{} = ''", quote(tag)));
    let condition = own.chain(others).collect::<Vec<_>>().join(" and ");
    let condition = if condition.is_empty() { "true" } else { &condition };
    let names: String = names.iter().map(|name| format!(", {name}")).collect();
    format!(
        "with u(place{names}) as (values {}) select u.place, s.series_id from u join {series} s on {condition}",
        values(rows, 1 + table.tags.len())
    )
}

/// How many there are that are not retired, counted no further than to the bound.
pub(super) fn count_series(table: &Table) -> String {
    let (series, bound) = (Dialect::Sqlite.series(&table.name), table.max_series);
    let retired = format!(
        "select 1 from store_device d where d.measurement = {} and d.series_id = s.series_id and d.retired_at is not null",
        literal(&table.name)
    );
    format!("select count(*) from (select 1 from {series} s where not exists ({retired}) limit {bound}) as s")
}

pub(super) fn make_series(table: &Table, rows: usize) -> String {
    let series = Dialect::Sqlite.series(&table.name);
    if table.tags.is_empty() {
        return format!("insert or ignore into {series} default values");
    }
    format!(
        "insert into {series} ({}) values {} on conflict ({}) do nothing",
        list(table.tags.iter().map(String::as_str)),
        values(rows, table.tags.len()),
        list(table.all_tags()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_of_few_sizes_and_within_the_limit_of_parameters() {
        assert_eq!([5_000, 63, 3, 1].map(|rows| block(rows, 8)), [64, 32, 2, 1]);
        assert_eq!(block(64, 1_000), 32);
        assert_eq!(values(2, 3), "(?, ?, ?), (?, ?, ?)");
    }
}
