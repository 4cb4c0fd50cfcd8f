//! The tables of a measurement: what the schema wants against what the database has. Pure; one planner for both.
//!
//! A measurement `m` is three things: a series table (one row per set of tag values), a data table (one row per
//! reading) and a view that joins them, which is all that people and dashboards see. Planned here: create, add a
//! field, add a tag. Whatever else differs is a conflict that prints both remedies. Nothing is ever dropped but the
//! unique key of the tags (made anew with one more) and, in SQLite, the view.
//!
//! What is found and not wanted stays, in the tables and in the view: it is another mapping's, an older one's, or a
//! person's own. A tag of another mapping is part of the key, so this one writes `''` there.

mod dialect;
mod planner;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::{Plan, migrations};
use crate::schema::{Measurement, Schema, Type};

pub(super) use dialect::Dialect;

/// What the database has of one measurement.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) series: Option<Relation>,
    pub(super) data: Option<Relation>,
    pub(super) view: Option<Relation>,
    /// The unique index over the tags of the series table.
    pub(super) key: Option<Key>,
    /// Types of the fields by the catalogue, for SQLite, whose columns tell less.
    pub(super) types: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
pub(super) struct Key {
    /// Quoted, with its schema.
    pub(super) name: String,
    pub(super) tags: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) shape: Shape,
    pub(super) columns: Vec<Column>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Table,
    View,
    /// In the database's words.
    Other(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) r#type: String,
    /// NOT NULL without a default: an INSERT that does not name it fails.
    pub(super) required: bool,
    pub(super) comment: Option<String>,
}

impl Relation {
    fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// A measurement's tables as the writer needs them once the plan is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    /// In the order of a row's values.
    pub(super) tags: Vec<String>,
    /// Tags of others in the key of the series; `''` for us.
    pub(super) other_tags: Vec<String>,
    /// In the order of a row's values.
    pub(super) fields: Vec<(String, Type)>,
    pub(super) max_series: u64,
}

impl Table {
    /// All tags of the key, in the order of the catalogue.
    pub(super) fn all_tags(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().chain(&self.other_tags).map(String::as_str)
    }
}

/// What an empty store would be given.
pub(super) fn for_empty(dialect: Dialect, schema: &Schema) -> Plan {
    let mut all = Plan { statements: Vec::new(), conflicts: names(dialect, &schema.measurements) };
    if dialect == Dialect::Postgres {
        all.statements.extend(["create schema amber_store".to_owned(), "create schema amber".to_owned()]);
    }
    all.statements.extend(migrations::pending(dialect, None).expect("an empty store has nothing that is not known"));
    for wanted in &schema.measurements {
        let (plan, _) = measurement(dialect, wanted, &Found::default());
        all.statements.extend(plan.statements);
        all.conflicts.extend(plan.conflicts);
    }
    all
}

/// What is to be done for one measurement.
pub(super) fn measurement(dialect: Dialect, wanted: &Measurement, found: &Found) -> (Plan, Table) {
    let mut planner = planner::Planner::new(dialect, wanted);
    let other_tags = planner.series(found);
    let tags: Vec<&str> = wanted.tags.iter().chain(&other_tags).map(String::as_str).collect();
    let fields = planner.data(found);
    planner.view(found, &tags, &fields);
    if dialect == Dialect::Postgres {
        planner.comments(found);
    }
    let plan = planner.plan;
    let fields = wanted.fields.iter().map(|field| (field.name.clone(), field.r#type)).collect();
    let (name, tags, max_series) = (wanted.name.clone(), wanted.tags.clone(), wanted.max_series);
    (plan, Table { name, tags, other_tags, fields, max_series })
}

impl Shape {
    fn word(&self) -> &str {
        match self {
            Self::Table => "a table",
            Self::View => "a view",
            Self::Other(word) => word,
        }
    }
}

/// Names that the database cannot take, or cannot tell apart.
pub(super) fn names(dialect: Dialect, measurements: &[Measurement]) -> Vec<String> {
    let mut conflicts = Vec::new();
    let mut check = |place: &str, names: Vec<&str>, max_bytes: usize| {
        let mut seen = BTreeMap::new();
        for name in names {
            match dialect {
                // PostgreSQL cuts longer names in silence, and two of them may become one.
                Dialect::Postgres if name.len() > max_bytes => {
                    conflicts.push(format!(
                        "{place}`{name}` is longer than {max_bytes} bytes; name it shorter in the mapping"
                    ));
                }
                Dialect::Postgres if SYSTEM.contains(&name) => {
                    conflicts.push(format!(
                        "{place}`{name}` is a column of PostgreSQL's own; name it otherwise in the mapping"
                    ));
                }
                Dialect::Postgres => {}
                Dialect::Sqlite => {
                    if let Some(other) = seen.insert(name.to_ascii_lowercase(), name) {
                        conflicts.push(format!(
                            "{place}`{other}` and `{name}` differ in case only, which SQLite's names do not; name one of them otherwise in the mapping"
                        ));
                    }
                }
            }
        }
    };
    let names = measurements.iter().map(|measurement| measurement.name.as_str()).collect();
    check("the measurements ", names, MAX_NAME - "_series".len());
    for measurement in measurements {
        let fields = measurement.fields.iter().map(|field| field.name.as_str());
        let names = measurement.tags.iter().map(String::as_str).chain(fields).collect();
        check(&format!("in `{}`, ", measurement.name), names, MAX_NAME);
    }
    conflicts
}

/// Bytes of an identifier in PostgreSQL.
const MAX_NAME: usize = 63;
/// Columns that every table in PostgreSQL has.
const SYSTEM: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];
