//! The tables of a measurement: what the schema wants against what the database has. Pure; one planner for both.
//!
//! A measurement `m` is three things: a series table (one row per set of tag values), a data table (one row per
//! reading) and a view that joins them, which is all that people and dashboards see. Planned here: create, add a
//! field, add a tag, make an int column of a small table a float, make the index of a small table unique
//! (`on_duplicate`). Whatever else differs is a conflict that prints both remedies. Columns that appear by themselves
//! (`others = "add"`) are added alike. Nothing is ever dropped but what is made anew at once: the unique key of the tags
//! with one more; our view, in SQLite, and where a column of it becomes a float.
//!
//! What is found and not wanted stays, in the tables and in the view: it is another mapping's, an older one's, or a
//! person's own. A tag of another mapping is part of the key, so this one writes `''` there.

mod appeared;
mod dialect;
mod duplicates;
pub(super) mod own;
pub(super) mod partitions;
mod planner;
mod remedy;
#[cfg(test)]
mod tests;
pub(super) mod timescale;

use std::collections::BTreeMap;

use super::others::Places;
use super::{Plan, migrations};
use crate::message::Time;
use crate::schema::{Field, Measurement, OnDuplicate, Own, Schema, Type};

pub(super) use appeared::Appeared;
pub(super) use dialect::Dialect;
pub(super) use own::{Form, OwnTable, Source};
pub(super) use partitions::{Layout, Partition, Ranges};
pub(super) use remedy::EXACT_INT;
pub(super) use timescale::{Hypertable, Timescale};

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
    /// All fields by the catalogue, with type and position; read only for measurements that get columns from rows.
    pub(super) catalogue: Vec<(String, String, i32)>,
    /// Indexes of the data table over series and time, and no more; the oldest first.
    pub(super) readings: Vec<Index>,
    pub(super) around: Around,
    /// Of the data table.
    pub(super) layout: Layout,
    /// The present by the database's clock, and from when to when there are to be partitions; `None`: nobody has looked.
    pub(super) span: Option<(Time, Time)>,
    /// The extension, if it is there.
    pub(super) timescale: Option<Timescale>,
}

/// What a column's new type would have to take along; read only where a column has another type than is wanted, or an index is to be
/// unique.
#[derive(Clone, Debug, Default)]
pub(super) struct Around {
    /// The data table is written anew in a few seconds.
    pub(super) is_small: bool,
    /// The data table has rows of one series and one time; read only where there may be none, and it is small.
    pub(super) has_duplicates: bool,
    /// Fields that the catalogue has as ints: the mapping has changed, and not somebody the table.
    pub(super) ints: Vec<String>,
    /// Fields with integers that no float tells apart.
    pub(super) inexact: Vec<String>,
    /// Views that show the column, ours among them, each before those that it is built on. PostgreSQL only.
    pub(super) views: Vec<View>,
}

/// A view, and all that is lost with it.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Quoted, with its schema.
    pub(super) name: String,
    pub(super) is_ours: bool,
    pub(super) is_materialized: bool,
    /// The statements that make it again with its owner, grants, comments, triggers and indexes.
    pub(super) create: Vec<String>,
}

impl View {
    fn drop(&self) -> String {
        format!("drop {}view {}", if self.is_materialized { "materialized " } else { "" }, self.name)
    }
}

impl Found {
    /// Whether the index of the readings is to become unique.
    pub(super) fn is_to_be_unique(&self, wanted: &Measurement) -> bool {
        let is_table = self.data.as_ref().is_some_and(|data| data.shape == Shape::Table);
        is_table && wanted.on_duplicate.is_unique() && !self.readings.iter().any(|index| index.is_unique)
    }

    /// Fields that have a column of another type, by what the database says.
    pub(super) fn retyped<'m>(&self, dialect: Dialect, wanted: &'m Measurement) -> Vec<&'m Field> {
        let is_other = |field: &&Field| {
            let column = self.data.as_ref().and_then(|data| data.column(&field.name));
            column.is_some_and(|column| column.r#type != dialect.column_type(field.r#type))
        };
        wanted.fields.iter().filter(is_other).collect()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Index {
    /// Quoted, with its schema.
    pub(super) name: String,
    pub(super) is_unique: bool,
    /// The constraint that it belongs to, quoted.
    pub(super) constraint: Option<String>,
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
    /// In the order of a row's values, and behind them what only values that no field names go to.
    pub(super) fields: Vec<(String, Type)>,
    /// How many of the fields have a value in each row.
    pub(super) listed: usize,
    /// Where values go that no field names; `None`: rows have none.
    pub(super) others: Option<Places>,
    pub(super) max_series: u64,
    pub(super) on_duplicate: OnDuplicate,
    /// What is known of its partitions; `None`: it has none that Amber makes.
    pub(super) partitions: Option<Ranges>,
    /// The user's own; then there are no series, and none of Amber's tables.
    pub(super) own: Option<OwnTable>,
}

impl Table {
    /// All tags of the key, in the order of the catalogue.
    pub(super) fn all_tags(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().chain(&self.other_tags).map(String::as_str)
    }
}

/// What an empty store would be given.
pub(super) fn for_empty(dialect: Dialect, schema: &Schema) -> Plan {
    let mut all = Plan { conflicts: names(dialect, &schema.measurements), ..Plan::default() };
    if dialect == Dialect::Postgres {
        all.statements.extend(["create schema amber_store".to_owned(), "create schema amber".to_owned()]);
    }
    all.statements.extend(migrations::pending(dialect, None).expect("an empty store has nothing that is not known"));
    for wanted in &schema.measurements {
        if let Some(own) = &wanted.own {
            all.notes.push(own::note(own));
            all.notes.push(format!("such a table is: {}", own::proposal(dialect, wanted, own)));
            continue;
        }
        let (plan, _) = measurement(dialect, wanted, &Found::default());
        all.statements.extend(plan.statements);
        all.conflicts.extend(plan.conflicts);
    }
    all
}

/// What is to be done for one measurement.
pub(super) fn measurement(dialect: Dialect, wanted: &Measurement, found: &Found) -> (Plan, Table) {
    let (plan, table, _) = appearing(dialect, wanted, found, &[]);
    (plan, table)
}

/// The same with columns that appear by themselves: those of `new` that are not there, as far as there is room for them.
pub(super) fn appearing(
    dialect: Dialect,
    wanted: &Measurement,
    found: &Found,
    new: &[(String, Type)],
) -> (Plan, Table, Vec<Appeared>) {
    let mut planner = planner::Planner::new(dialect, wanted);
    let other_tags = planner.series(found);
    let tags: Vec<&str> = wanted.tags.iter().chain(&other_tags).map(String::as_str).collect();
    let mut columns = planner.data(found);
    let mut fields: Vec<(String, Type)> =
        wanted.fields.iter().map(|field| (field.name.clone(), field.r#type)).collect();
    let listed = fields.len();
    let (mut others, mut appeared) = (None, Vec::new());
    if wanted.others {
        let mut places = appeared::places(dialect, wanted, found, &other_tags, &mut fields);
        appeared = appeared::admitted(found, &mut places, &mut fields, new);
        planner.appear(&appeared);
        columns.extend(appeared.iter().map(|column| column.name.clone()));
        others = Some(places);
    }
    let partitions = planner.partitions(found);
    planner.view(found, &tags, &columns);
    if dialect == Dialect::Postgres {
        planner.comments(found);
    }
    let plan = planner.plan;
    let (name, tags, max_series) = (wanted.name.clone(), wanted.tags.clone(), wanted.max_series);
    let on_duplicate = wanted.on_duplicate;
    let table =
        Table { name, tags, other_tags, fields, listed, others, max_series, on_duplicate, partitions, own: None };
    (plan, table, appeared)
}

/// What stands in the way of writing into a table of the user's own; `None`: it is not there.
pub(super) fn own_measurement(
    dialect: Dialect,
    wanted: &Measurement,
    own: &Own,
    found: Result<&own::FoundOwn, Option<&str>>,
) -> (Vec<String>, Table) {
    let (conflicts, own) = match found {
        Ok(found) => own::plan(dialect, wanted, own, found),
        Err(like) => {
            let nowhere = OwnTable { target: own::shown(&own.table), columns: vec![] };
            (vec![own::missing(dialect, wanted, own, like)], nowhere)
        }
    };
    let fields: Vec<(String, Type)> = wanted.fields.iter().map(|field| (field.name.clone(), field.r#type)).collect();
    let (name, tags, max_series) = (wanted.name.clone(), wanted.tags.clone(), wanted.max_series);
    let listed = fields.len();
    let on_duplicate = OnDuplicate::Keep;
    (
        conflicts,
        Table {
            name,
            tags,
            other_tags: vec![],
            fields,
            listed,
            others: None,
            max_series,
            on_duplicate,
            partitions: None,
            own: Some(own),
        },
    )
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
    // A table of the user's own has its own names.
    let measurements: Vec<&Measurement> = measurements.iter().filter(|measurement| measurement.own.is_none()).collect();
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
    let dropped = measurements.iter().filter(|measurement| measurement.retention.is_some());
    let dropped = dropped.map(|measurement| measurement.name.as_str());
    let dropped = dropped.filter(|name| name.len() <= MAX_NAME - "_series".len()).collect();
    if dialect == Dialect::Postgres {
        check("with `retention` the measurements ", dropped, MAX_NAME - partitions::SUFFIX);
    }
    let mut unnamed = Vec::new();
    for measurement in &measurements {
        let place = format!("in `{}`, ", measurement.name);
        let fields = measurement.fields.iter().map(|field| field.name.as_str());
        let names: Vec<&str> = measurement.tags.iter().map(String::as_str).chain(fields).collect();
        unnamed.extend(names.iter().filter(|name| dialect.has_no_view_column(name)).map(|name| {
            format!(
                "{place}`{name}` is a truth value to SQLite, and no column of a view; name it otherwise in the mapping"
            )
        }));
        check(&place, names, MAX_NAME);
    }
    conflicts.extend(unnamed);
    conflicts
}

/// Bytes of an identifier in PostgreSQL.
const MAX_NAME: usize = 63;
/// Columns that every table in PostgreSQL has.
const SYSTEM: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];
