//! The planner of one measurement: series table, data table, view, comments, in this order.

use super::partitions::{self, BY_TIME};
use super::{Appeared, Column, Dialect, Found, Layout, Ranges, Relation, Shape, Timescale, duplicates, remedy};
use crate::schema::{Field, Measurement, Type};
use crate::store::Plan;
use crate::store::sql::{list, literal, quote};

/// Columns that a series table may have besides its tags: the number, and in one of the first version when a person
/// retired the series. The table of devices has that now.
const SERIES: [&str; 2] = ["series_id", "retired_at"];
/// Columns that every data table has besides its fields.
pub(super) const DATA: [&str; 3] = ["time", "series_id", "received_at"];

/// What is wanted, and what is to be done so far.
pub(super) struct Planner<'a> {
    pub(super) dialect: Dialect,
    pub(super) wanted: &'a Measurement,
    pub(super) plan: Plan,
}

impl<'a> Planner<'a> {
    pub(super) fn new(dialect: Dialect, wanted: &'a Measurement) -> Self {
        Self { dialect, wanted, plan: Plan::default() }
    }

    pub(super) fn run(&mut self, statement: String) {
        self.plan.statements.push(statement);
    }

    pub(super) fn conflict(&mut self, text: String) {
        self.plan.conflicts.push(text);
    }

    /// Plans the series table; gives the tags of others.
    pub(super) fn series(&mut self, found: &Found) -> Vec<String> {
        let table = self.dialect.series(&self.wanted.name);
        let tag_type = self.dialect.tag_type();
        let Some(relation) = &found.series else {
            let (id, options) = match self.dialect {
                Dialect::Postgres => ("bigint generated always as identity primary key", ""),
                Dialect::Sqlite => ("INTEGER primary key", " strict"),
            };
            let tags: String = self.wanted.tags.iter().map(|tag| format!(",\n  {} {tag_type}", quote(tag))).collect();
            self.run(format!("create table {table} (\n  series_id {id}{tags}\n){options}"));
            self.create_key(self.wanted.tags.clone());
            self.plan.is_anew = true;
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
                _ if found.data.as_ref().is_some_and(|data| data.column(tag).is_some()) => {
                    self.was_the_other(found, tag, false);
                }
                None => self.run(format!("alter table {table} add column {} {tag_type}", quote(tag))),
                Some(column) if column.r#type == text => {}
                Some(column) => self.conflict(format!(
                    "tag `{tag}`: column {} of {table} is `{}`, not `{text}`; name the tag otherwise in the mapping, or run: `{}`",
                    quote(tag),
                    column.r#type,
                    remedy::script(&remedy::set_aside(self.dialect, self.wanted, found, tag, true)),
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
    pub(super) fn data(&mut self, found: &Found) -> Vec<String> {
        let table = self.dialect.data(&self.wanted.name);
        let wanted: Vec<String> = self.wanted.fields.iter().map(|field| field.name.clone()).collect();
        let Some(relation) = &found.data else {
            let (time, id, options) = match self.dialect {
                Dialect::Postgres => ("timestamp with time zone", "bigint", ""),
                Dialect::Sqlite => ("INTEGER", "INTEGER", " strict"),
            };
            let fields: String =
                self.wanted.fields.iter().map(|field| format!(",\n  {}", self.column(field))).collect();
            let options = if self.makes_partitions(found) { BY_TIME } else { options };
            self.run(format!(
                "create table {table} (\n  time {time} not null,\n  series_id {id} not null,\n  received_at {time} not null{fields}\n){options}"
            ));
            self.data_indexes(&table);
            if let Some(timescale) = found.timescale.as_ref().filter(|_| self.makes_hypertable(found)) {
                self.plan.statements.extend(timescale.create(self.wanted));
                self.plan.notes.extend(timescale.cannot(self.wanted));
            }
            self.plan.is_anew = true;
            return wanted;
        };
        if !self.is_table(&table, relation, &DATA) {
            return wanted;
        }
        self.on_duplicate(found);
        if let Some(timescale) = &found.timescale {
            if let Layout::Hypertable(hypertable) = &found.layout {
                self.plan.statements.extend(timescale.keep(self.wanted, hypertable));
            }
            self.plan.notes.extend(timescale.note(self.wanted, found));
        }
        let key = found.key.as_ref().map_or(&[][..], |key| &key.tags);
        let mut widened = Vec::new();
        for field in &self.wanted.fields {
            let r#type = self.dialect.column_type(field.r#type);
            if key.contains(&field.name) {
                self.was_the_other(found, &field.name, true);
                continue;
            }
            let Some(column) = relation.column(&field.name) else {
                self.run(format!("alter table {table} add column {}", self.column(field)));
                self.plan.is_anew = true;
                continue;
            };
            let word = found.types.get(&field.name).map_or(field.r#type.word(), String::as_str);
            if column.r#type == r#type && word == field.r#type.word() {
                continue;
            }
            // In SQLite a column of integers may be one of truth values or times.
            let is_int = column.r#type == self.dialect.column_type(Type::Int) && !matches!(word, "bool" | "time");
            let is_widened = is_int && field.r#type == Type::Float;
            let hindrance = is_widened.then(|| remedy::hindrance(found, &field.name)).flatten();
            let name = quote(&field.name);
            let using = remedy::conversion(self.dialect, &name, &column.r#type, field.r#type);
            match using {
                Some(using) if is_widened && hindrance.is_none() => {
                    widened.push((field.name.as_str(), using, field.r#type));
                }
                using => {
                    let using = using.filter(|_| self.dialect == Dialect::Postgres || is_int);
                    let is = if column.r#type == r#type { word } else { &column.r#type };
                    let text = self.another_type(found, field, is, hindrance.as_deref(), using);
                    self.conflict(text);
                }
            }
        }
        if !widened.is_empty() {
            let statements = remedy::convert(self.dialect, self.wanted, found, &widened);
            self.plan.statements.extend(statements);
        }
        self.strangers(&table, relation, |name| DATA.contains(&name) || wanted.iter().any(|field| field == name));
        let others = relation.columns.iter().map(|column| &column.name);
        let others = others.filter(|name| !DATA.contains(&name.as_str()) && !wanted.contains(name)).cloned();
        wanted.iter().cloned().chain(others).collect()
    }

    /// Adds columns that no mapping lists.
    pub(super) fn appear(&mut self, columns: &[Appeared]) {
        let table = self.dialect.data(&self.wanted.name);
        for column in columns {
            let (name, r#type) = (quote(&column.name), self.dialect.column_type(column.r#type));
            self.run(format!("alter table {table} add column {name} {}", r#type));
        }
    }

    fn column(&self, field: &Field) -> String {
        format!("{} {}", quote(&field.name), self.dialect.column_type(field.r#type))
    }

    /// Ascending: entries of a series arrive in order, and the index splits well; it is read backwards as fast.
    fn data_indexes(&mut self, table: &str) {
        self.run(duplicates::create_index(self.dialect, &self.wanted.name, self.wanted.on_duplicate));
        match self.dialect {
            Dialect::Postgres => {
                // minmax_multi: late rows do not spoil a range.
                self.run(format!(
                    "create index on {table} using brin (time timestamptz_minmax_multi_ops) with (pages_per_range = 32, autosummarize = on)"
                ));
            }
            Dialect::Sqlite => {
                let name = &self.wanted.name;
                self.run(format!("create index {} on {table} (time)", quote(&format!("store_{name}_data_time"))));
            }
        }
    }

    /// Whether the data table, which is not there, is to be partitioned.
    fn makes_partitions(&self, found: &Found) -> bool {
        self.dialect == Dialect::Postgres && self.wanted.retention.is_some() && !self.makes_hypertable(found)
    }

    /// Whether it is to be TimescaleDB's.
    fn makes_hypertable(&self, found: &Found) -> bool {
        self.dialect == Dialect::Postgres && Timescale::makes_hypertables(found)
    }

    /// Plans partitions for the time to come; gives those that there will be.
    pub(super) fn partitions(&mut self, found: &Found) -> Option<Ranges> {
        let there = match (&found.data, &found.layout) {
            (None, _) if self.makes_hypertable(found) => {
                let chunk = found.timescale.as_ref().map_or(0, |timescale| timescale.chunk(self.wanted));
                return Some(Ranges::chunks(&[], chunk));
            }
            (Some(_), Layout::Hypertable(table)) => return Some(Ranges::chunks(&table.chunks, table.chunk)),
            (None, _) if self.makes_partitions(found) => &[][..],
            (Some(_), Layout::Partitioned(partitions)) => partitions.as_slice(),
            (None | Some(_), _) => return None,
        };
        let ranges = Ranges::new(self.wanted.retention, there);
        if let Some((from, to)) = found.span {
            for lacking in ranges.clone().cover(from, to) {
                self.plan.statements.extend(partitions::create(&self.wanted.name, lacking));
            }
        }
        // Whether they are made, who has planned them does not know: nobody waits for them.
        Some(ranges)
    }

    /// Plans the view: time, tags, fields, receipt. PostgreSQL can only append columns to one that is there, which
    /// keeps its grants and what others built on it; SQLite makes it anew.
    pub(super) fn view(&mut self, found: &Found, tags: &[&str], fields: &[String]) {
        if let Some(both) = tags.iter().find(|tag| fields.iter().any(|field| field == *tag)) {
            // Of what is wanted it is said already.
            if self.plan.conflicts.is_empty() {
                self.conflict(format!(
                    "`{both}` of `{}` is a column of the series and of the readings, and the view can have but one; rename one of them",
                    self.wanted.name
                ));
            }
            return;
        }
        let view = self.dialect.view(&self.wanted.name);
        let mut columns: Vec<(String, String)> = Vec::new();
        let dialect = self.dialect;
        let mut push = |name: &str, from: &str| {
            if !dialect.has_no_view_column(name) {
                columns.push((name.to_owned(), format!("{from}.{}", quote(name))));
            }
        };
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
    pub(super) fn comments(&mut self, found: &Found) {
        let (view, data) = (self.dialect.view(&self.wanted.name), self.dialect.data(&self.wanted.name));
        let own = |text: &str| Some(text.to_owned());
        let mut wanted = vec![("time", own("Time of the reading"))];
        wanted.extend(self.wanted.fields.iter().map(|field| (field.name.as_str(), comment(field))));
        wanted.push(("received_at", own("Receipt of the message that it came with")));
        for (relation, found) in [(&data, &found.data), (&view, &found.view)] {
            for (column, text) in &wanted {
                let found = found.as_ref().and_then(|found| found.column(column)?.comment.as_ref());
                if found != text.as_ref() {
                    // What the mapping says no more is taken back.
                    let text = text.as_deref().map_or_else(|| "null".to_owned(), literal);
                    self.run(format!("comment on column {relation}.{} is {text}", quote(column)));
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

    /// A field whose column has another type, and the two ways out.
    fn another_type(&self, found: &Found, field: &Field, is: &str, why: Option<&str>, using: Option<String>) -> String {
        let (statements, effect) = match using {
            Some(using) => {
                let columns = [(field.name.as_str(), using, field.r#type)];
                (remedy::convert(self.dialect, self.wanted, found, &columns), "")
            }
            None => (
                remedy::set_aside(self.dialect, self.wanted, found, &field.name, false),
                " (the old values stay beside the new ones)",
            ),
        };
        format!(
            "field `{name}` of `{}`: the mapping wants `{word}`, and column {} of {} is `{is}`{}{}; name the field otherwise in the mapping (`{name}_{word} = {{ path = \"…\" }}`), or run{effect}: `{}`",
            self.wanted.name,
            quote(&field.name),
            self.dialect.data(&self.wanted.name),
            if why.is_some() { ", " } else { "" },
            why.unwrap_or_default(),
            remedy::script(&statements),
            name = field.name,
            word = field.r#type.word(),
        )
    }

    /// A tag that was a field, or with `was_tag` a field that was a tag, and the two ways out.
    fn was_the_other(&mut self, found: &Found, name: &str, was_tag: bool) {
        let (is, was) = if was_tag { ("field", "tag") } else { ("tag", "field") };
        self.conflict(format!(
            "{is} `{name}` of `{}` was a {was}, and one column cannot be both; name the {is} otherwise in the mapping, or run (the old values stay beside the new ones): `{}`",
            self.wanted.name,
            remedy::script(&remedy::set_aside(self.dialect, self.wanted, found, name, was_tag)),
        ));
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
