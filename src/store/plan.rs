//! The tables of a measurement: what the schema wants against what the database has. Pure; one planner for both.
//!
//! A measurement `m` is three things: a series table (one row per set of tag values), a data table (one row per
//! reading) and a view that joins them, which is all that people and dashboards see. Planned here: create, add a
//! field, add a tag. Whatever else differs is a conflict that prints both remedies. Nothing is ever dropped but the
//! unique key of the tags (made anew with one more) and, in SQLite, the view.
//!
//! What is found and not wanted stays, in the tables and in the view: it is another mapping's, an older one's, or a
//! person's own. A tag of another mapping is part of the key, so this one writes `''` there.

use std::collections::BTreeMap;

use super::sql::{list, literal, quote};
use crate::schema::{Field, Measurement, Type};

/// Where the two differ in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Postgres,
    Sqlite,
}

impl Dialect {
    /// Quoted name of the table of readings.
    pub(super) fn data(self, measurement: &str) -> String {
        self.table(&format!("{measurement}_data"))
    }

    /// Quoted name of the table of series.
    pub(super) fn series(self, measurement: &str) -> String {
        self.table(&format!("{measurement}_series"))
    }

    fn table(self, name: &str) -> String {
        match self {
            Self::Postgres => format!("amber_store.{}", quote(name)),
            Self::Sqlite => quote(&format!("store_{name}")),
        }
    }

    /// Quoted name of the view that people query.
    pub(super) fn view(self, measurement: &str) -> String {
        match self {
            Self::Postgres => format!("amber.{}", quote(measurement)),
            Self::Sqlite => quote(measurement),
        }
    }

    /// The type of a field's column, in the words in which the catalogue gives it back.
    pub(super) fn column_type(self, r#type: Type) -> &'static str {
        match (self, r#type) {
            (Self::Postgres, Type::Float) => "double precision",
            (Self::Postgres, Type::Int) => "bigint",
            (Self::Postgres, Type::Bool) => "boolean",
            (Self::Postgres, Type::Text) => "text",
            (Self::Postgres, Type::Json) => "jsonb",
            (Self::Postgres, Type::Time) => "timestamp with time zone",
            (Self::Sqlite, Type::Float) => "REAL",
            (Self::Sqlite, Type::Int | Type::Bool | Type::Time) => "INTEGER",
            (Self::Sqlite, Type::Text | Type::Json) => "TEXT",
        }
    }

    fn tag_type(self) -> &'static str {
        match self {
            Self::Postgres => "text collate \"C\" not null default ''",
            Self::Sqlite => "TEXT not null default ''",
        }
    }
}

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
}

impl Table {
    /// All tags of the key, in the order of the catalogue.
    pub(super) fn all_tags(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().chain(&self.other_tags).map(String::as_str)
    }
}

/// Columns that every series table has besides its tags.
const SERIES: [&str; 2] = ["series_id", "retired_at"];
/// Columns that every data table has besides its fields.
const DATA: [&str; 3] = ["time", "series_id", "received_at"];

/// What is to be done for one measurement.
pub(super) fn measurement(dialect: Dialect, wanted: &Measurement, found: &Found) -> (super::Plan, Table) {
    let mut planner = Planner { dialect, wanted, plan: super::Plan::default() };
    let other_tags = planner.series(found);
    let tags: Vec<&str> = wanted.tags.iter().chain(&other_tags).map(String::as_str).collect();
    let fields = planner.data(found);
    planner.view(found, &tags, &fields);
    if dialect == Dialect::Postgres {
        planner.comments(found);
    }
    let plan = planner.plan;
    let fields = wanted.fields.iter().map(|field| (field.name.clone(), field.r#type)).collect();
    (plan, Table { name: wanted.name.clone(), tags: wanted.tags.clone(), other_tags, fields })
}

struct Planner<'a> {
    dialect: Dialect,
    wanted: &'a Measurement,
    plan: super::Plan,
}

impl Planner<'_> {
    fn run(&mut self, statement: String) {
        self.plan.statements.push(statement);
    }

    fn conflict(&mut self, text: String) {
        self.plan.conflicts.push(text);
    }

    /// Plans the series table; gives the tags of others.
    fn series(&mut self, found: &Found) -> Vec<String> {
        let table = self.dialect.series(&self.wanted.name);
        let tag_type = self.dialect.tag_type();
        let Some(relation) = &found.series else {
            let (id, retired, options) = match self.dialect {
                Dialect::Postgres => {
                    ("bigint generated always as identity primary key", "timestamp with time zone", "")
                }
                Dialect::Sqlite => ("INTEGER primary key", "INTEGER", " strict"),
            };
            let tags: String = self.wanted.tags.iter().map(|tag| format!(",\n  {} {tag_type}", quote(tag))).collect();
            self.run(format!("create table {table} (\n  series_id {id},\n  retired_at {retired}{tags}\n){options}"));
            self.create_key(self.wanted.tags.clone());
            return Vec::new();
        };
        if !self.is_table(&table, relation, &SERIES[..1]) {
            return Vec::new();
        }
        // Without the key (someone dropped it) the wanted tags are all that is known.
        let key = found.key.as_ref().map_or(&[][..], |key| &key.tags);
        let others: Vec<String> = key.iter().filter(|tag| !self.wanted.tags.contains(tag)).cloned().collect();
        let text = self.dialect.column_type(Type::Text);
        for tag in &self.wanted.tags {
            match relation.column(tag) {
                None => self.run(format!("alter table {table} add column {} {tag_type}", quote(tag))),
                Some(column) if column.r#type == text => {}
                Some(column) => self.conflict(format!(
                    "tag `{tag}`: column {} of {table} is `{}`, not `{text}`; name the tag otherwise in the mapping, or: {}",
                    quote(tag),
                    column.r#type,
                    self.retype(&table, tag, &column.r#type, Type::Text),
                )),
            }
        }
        self.strangers(&table, relation, |name| {
            SERIES.contains(&name)
                || self.wanted.tags.iter().any(|tag| tag == name)
                || key.iter().any(|tag| tag == name)
        });
        if found.key.is_none() || self.wanted.tags.iter().any(|tag| !key.contains(tag)) {
            if let Some(key) = &found.key {
                self.run(format!("drop index {}", key.name));
            }
            self.create_key(self.wanted.tags.iter().chain(&others).cloned().collect());
        }
        others
    }

    /// One series per set of tag values. Without tags there is one series: an index over a constant says so.
    fn create_key(&mut self, tags: Vec<String>) {
        let table = self.dialect.series(&self.wanted.name);
        let columns = if tags.is_empty() { "(true)".to_owned() } else { list(tags.iter().map(String::as_str)) };
        let name = match self.dialect {
            // PostgreSQL finds a name that is free and short enough.
            Dialect::Postgres => String::new(),
            Dialect::Sqlite => format!("{} ", quote(&format!("store_{}_series_key", self.wanted.name))),
        };
        self.run(format!("create unique index {name}on {table} ({columns})"));
    }

    /// Plans the data table; gives the fields that it will have, ours first.
    fn data(&mut self, found: &Found) -> Vec<String> {
        let table = self.dialect.data(&self.wanted.name);
        let wanted: Vec<String> = self.wanted.fields.iter().map(|field| field.name.clone()).collect();
        let Some(relation) = &found.data else {
            let (time, id, options) = match self.dialect {
                Dialect::Postgres => ("timestamp with time zone", "bigint", ""),
                Dialect::Sqlite => ("INTEGER", "INTEGER", " strict"),
            };
            let fields: String =
                self.wanted.fields.iter().map(|field| format!(",\n  {}", self.column(field))).collect();
            self.run(format!(
                "create table {table} (\n  time {time} not null,\n  series_id {id} not null,\n  received_at {time} not null{fields}\n){options}"
            ));
            self.data_indexes(&table);
            return wanted;
        };
        if !self.is_table(&table, relation, &DATA) {
            return wanted;
        }
        for field in &self.wanted.fields {
            let r#type = self.dialect.column_type(field.r#type);
            let Some(column) = relation.column(&field.name) else {
                self.run(format!("alter table {table} add column {}", self.column(field)));
                continue;
            };
            let word = found.types.get(&field.name).map_or(field.r#type.word(), String::as_str);
            if column.r#type != r#type || word != field.r#type.word() {
                let is = if column.r#type == r#type { word } else { &column.r#type };
                self.conflict(format!(
                    "field `{}` of `{}`: the mapping wants `{}`, and column {} of {table} is `{is}`; name the field otherwise in the mapping (`{}_{} = {{ path = \"…\" }}`), or: {}",
                    field.name,
                    self.wanted.name,
                    field.r#type.word(),
                    quote(&field.name),
                    field.name,
                    field.r#type.word(),
                    self.retype(&table, &field.name, &column.r#type, field.r#type),
                ));
            }
        }
        self.strangers(&table, relation, |name| DATA.contains(&name) || wanted.iter().any(|field| field == name));
        let others = relation.columns.iter().map(|column| &column.name);
        let others = others.filter(|name| !DATA.contains(&name.as_str()) && !wanted.contains(name)).cloned();
        wanted.iter().cloned().chain(others).collect()
    }

    fn column(&self, field: &Field) -> String {
        format!("{} {}", quote(&field.name), self.dialect.column_type(field.r#type))
    }

    /// Ascending: entries of a series arrive in order, and the index splits well; it is read backwards as fast.
    fn data_indexes(&mut self, table: &str) {
        match self.dialect {
            Dialect::Postgres => {
                self.run(format!("create index on {table} (series_id, time)"));
                // minmax_multi: late rows do not spoil a range.
                self.run(format!(
                    "create index on {table} using brin (time timestamptz_minmax_multi_ops) with (pages_per_range = 32, autosummarize = on)"
                ));
            }
            Dialect::Sqlite => {
                let name = &self.wanted.name;
                let index = quote(&format!("store_{name}_data_series_id_time"));
                self.run(format!("create index {index} on {table} (series_id, time)"));
                self.run(format!("create index {} on {table} (time)", quote(&format!("store_{name}_data_time"))));
            }
        }
    }

    /// Plans the view: time, tags, fields, receipt. PostgreSQL can only append columns to one that is there, which
    /// keeps its grants and what others built on it; SQLite makes it anew.
    fn view(&mut self, found: &Found, tags: &[&str], fields: &[String]) {
        if let Some(both) = tags.iter().find(|tag| fields.iter().any(|field| field == *tag)) {
            self.conflict(format!(
                "`{both}` of `{}` is a tag in one table and a field in the other; name one of them otherwise in the mapping",
                self.wanted.name
            ));
            return;
        }
        let view = self.dialect.view(&self.wanted.name);
        let mut columns: Vec<(String, String)> = Vec::new();
        let mut push = |name: &str, from: &str| columns.push((name.to_owned(), format!("{from}.{}", quote(name))));
        push("time", "d");
        tags.iter().for_each(|tag| push(tag, "s"));
        fields.iter().for_each(|field| push(field, "d"));
        push("received_at", "d");
        if self.dialect == Dialect::Sqlite && !columns.iter().any(|(name, _)| name == "time_utc") {
            let text = "strftime('%Y-%m-%dT%H:%M:%fZ', d.time / 1000000.0, 'unixepoch') as time_utc";
            columns.insert(1, ("time_utc".to_owned(), text.to_owned()));
        }
        let mut create = "create view";
        match &found.view {
            None => {}
            Some(Relation { shape: Shape::View, columns: found }) => {
                let same = |found: &Column, (name, _): &(String, String)| found.name == *name;
                match self.dialect {
                    Dialect::Sqlite
                        if found.len() == columns.len() && found.iter().zip(&columns).all(|(f, c)| same(f, c)) =>
                    {
                        return;
                    }
                    Dialect::Sqlite => self.run(format!("drop view {view}")),
                    Dialect::Postgres => {
                        if let Some(stranger) = found.iter().find(|f| !columns.iter().any(|c| same(f, c))) {
                            self.conflict(format!(
                                "the view {view} has a column {} that its tables lack; `drop view {view}` and Amber makes it anew",
                                quote(&stranger.name)
                            ));
                            return;
                        }
                        if found.len() == columns.len() {
                            return;
                        }
                        let place = |c: &(String, String)| found.iter().position(|f| same(f, c)).unwrap_or(found.len());
                        columns.sort_by_key(place);
                        create = "create or replace view";
                    }
                }
            }
            Some(Relation { shape, .. }) => {
                let shape = shape.word();
                self.conflict(format!(
                    "{view} is {shape} of somebody else's, and Amber needs the name for a view; name the measurement otherwise (`measurement = \"…\"`), or: `alter {} {view} rename to …`",
                    shape.rsplit(' ').next().unwrap_or("table"),
                ));
                return;
            }
        }
        let columns = columns.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(", ");
        let (data, series) = (self.dialect.data(&self.wanted.name), self.dialect.series(&self.wanted.name));
        // An outer join: no reading can become invisible.
        self.run(format!(
            "{create} {view} as\nselect {columns}\nfrom {data} d\nleft join {series} s on s.series_id = d.series_id"
        ));
    }

    /// Units and descriptions beside the columns, where psql and Grafana's editor show them.
    fn comments(&mut self, found: &Found) {
        let (view, data) = (self.dialect.view(&self.wanted.name), self.dialect.data(&self.wanted.name));
        let mut wanted = vec![("time".to_owned(), "Time of the reading".to_owned())];
        wanted.extend(self.wanted.fields.iter().filter_map(|field| Some((field.name.clone(), comment(field)?))));
        wanted.push(("received_at".to_owned(), "Receipt of the message that it came with".to_owned()));
        for (relation, found) in [(&data, &found.data), (&view, &found.view)] {
            for (column, text) in &wanted {
                let found = found.as_ref().and_then(|found| found.column(column)?.comment.as_ref());
                if found != Some(text) {
                    self.run(format!("comment on column {relation}.{} is {}", quote(column), literal(text)));
                }
            }
        }
    }

    /// Whether it is a table with Amber's own columns; otherwise a conflict.
    fn is_table(&mut self, table: &str, relation: &Relation, columns: &[&str]) -> bool {
        let lacking = columns.iter().find(|name| relation.column(name).is_none());
        let what = match (&relation.shape, lacking) {
            (Shape::Table, None) => return true,
            (Shape::Table, Some(column)) => format!("has no column {}", quote(column)),
            (shape, _) => format!("is {}, not a table", shape.word()),
        };
        self.conflict(format!(
            "{table} {what}: it is not Amber's; name the measurement otherwise (`measurement = \"…\"`), or rename what is there"
        ));
        false
    }

    fn strangers(&mut self, table: &str, relation: &Relation, known: impl Fn(&str) -> bool) {
        let required = relation.columns.iter().filter(|column| column.required && !known(&column.name));
        let texts: Vec<String> = required
            .map(|column| {
                let name = quote(&column.name);
                let mend = match self.dialect {
                    Dialect::Postgres => format!("`alter table {table} alter column {name} drop not null`"),
                    Dialect::Sqlite => format!("`alter table {table} drop column {name}`"),
                };
                format!(
                    "column {name} of {table} takes no null and has no default, and no mapping fills it; add a field or tag `{}` to the mapping, or: {mend}",
                    column.name
                )
            })
            .collect();
        self.plan.conflicts.extend(texts);
    }

    /// The SQL that a person runs to give a column another type.
    fn retype(&self, table: &str, name: &str, found: &str, wanted: Type) -> String {
        let column = quote(name);
        if self.dialect == Dialect::Sqlite {
            let old = format!("{name}_old");
            return format!(
                "`alter table {table} rename column {column} to {}; update store_field set name = {} where measurement = {} and name = {}` (the old values stay beside the new ones)",
                quote(&old),
                literal(&old),
                literal(&self.wanted.name),
                literal(name),
            );
        }
        let r#type = self.dialect.column_type(wanted);
        let number = |r#type: &str| matches!(r#type, "double precision" | "bigint" | "integer" | "real" | "numeric");
        let using = match (found, wanted) {
            ("boolean", Type::Float | Type::Int) => format!("{column}::integer::{}", r#type),
            (found, Type::Bool) if number(found) => format!("{column} <> 0"),
            (found, Type::Time) if number(found) => format!("to_timestamp({column})"),
            ("timestamp with time zone", Type::Float | Type::Int) => {
                format!("extract(epoch from {column})::{}", r#type)
            }
            (_, Type::Json) => format!("to_jsonb({column})"),
            (found, Type::Float | Type::Int) if number(found) => format!("{column}::{}", r#type),
            _ => format!("{column}::text::{}", r#type),
        };
        let view = self.dialect.view(&self.wanted.name);
        format!(
            "`drop view if exists {view}; alter table {table} alter column {column} type {} using {using}` (Amber makes the view anew)",
            r#type
        )
    }
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

/// `°C: outside, in the shade`
fn comment(field: &Field) -> Option<String> {
    match (&field.unit, &field.description) {
        (None, None) => None,
        (Some(unit), None) => Some(unit.clone()),
        (None, Some(description)) => Some(description.clone()),
        (Some(unit), Some(description)) => Some(format!("{unit}: {description}")),
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

#[cfg(test)]
mod tests;
