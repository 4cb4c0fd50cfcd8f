//! The index over series and time: unique where `on_duplicate` is not "keep".
//!
//! Amber makes it unique by itself where that takes a moment and cannot fail. It never goes back by itself: another Amber may
//! have made it unique, and the two would undo each other's index for ever.

use super::planner::{DATA, Planner};
use super::{Dialect, Found, Index, remedy};
use crate::schema::OnDuplicate;
use crate::store::sql::quote;

/// The statement that makes the index.
pub(super) fn create_index(dialect: Dialect, measurement: &str, on_duplicate: OnDuplicate) -> String {
    let unique = if on_duplicate.is_unique() { "unique " } else { "" };
    let name = match dialect {
        // PostgreSQL finds a name that is free and short enough.
        Dialect::Postgres => String::new(),
        Dialect::Sqlite => format!("{} ", quote(&format!("store_{measurement}_data_series_id_time"))),
    };
    format!("create {unique}index {name}on {} (series_id, time)", dialect.data(measurement))
}

impl Planner<'_> {
    /// Plans the index of a data table that is there.
    pub(super) fn on_duplicate(&mut self, found: &Found) {
        let (name, wanted) = (&self.wanted.name, self.wanted.on_duplicate);
        let create = create_index(self.dialect, name, wanted);
        let unique = found.readings.iter().find(|index| index.is_unique);
        if let Some(unique) = unique.filter(|_| !wanted.is_unique()) {
            let undo = [self.drop(unique), create.clone()];
            self.conflict(format!(
                "`on_duplicate` of `{name}` is \"keep\", and a unique index over series and time, {}, refuses duplicates; write `on_duplicate = \"replace\"` or \"ignore\" in the mapping, as it was when the index was made, or run: `{}`",
                unique.name,
                remedy::script(&undo),
            ));
        }
        if !found.is_to_be_unique(self.wanted) {
            return;
        }
        let plain = found.readings.first();
        let change: Vec<String> = plain.map(|plain| self.drop(plain)).into_iter().chain([create]).collect();
        if found.around.is_small && !found.around.has_duplicates {
            change.into_iter().for_each(|statement| self.run(statement));
            return;
        }
        let why = if found.around.has_duplicates {
            "has several"
        } else {
            "is too large to be looked through while everybody waits"
        };
        let text = format!(
            "`on_duplicate = \"{}\"` of `{name}` takes one row for each series and time, and {} {why}; see which by `{}`; leave `on_duplicate` out to keep them all, or run ({}): `{}`",
            wanted.word(),
            self.dialect.data(name),
            self.find(),
            match wanted {
                OnDuplicate::Replace => "of each the last stays, with the values that only older ones have",
                OnDuplicate::Ignore | OnDuplicate::Keep => "of each the first stays",
            },
            remedy::script(&self.remove(found).into_iter().chain(change).collect::<Vec<_>>()),
        );
        self.conflict(text);
    }

    fn drop(&self, index: &Index) -> String {
        match &index.constraint {
            Some(constraint) => {
                format!("alter table {} drop constraint {constraint}", self.dialect.data(&self.wanted.name))
            }
            None => format!("drop index {}", index.name),
        }
    }

    /// The SQL that finds duplicates.
    fn find(&self) -> String {
        let table = self.dialect.data(&self.wanted.name);
        format!("select series_id, time, count(*) from {table} group by series_id, time having count(*) > 1")
    }

    /// The SQL that makes one row of each set of duplicates.
    fn remove(&self, found: &Found) -> Vec<String> {
        let table = self.dialect.data(&self.wanted.name);
        let row = match self.dialect {
            Dialect::Postgres => "ctid",
            Dialect::Sqlite => "rowid",
        };
        let others = format!("from {table} as o where o.series_id = d.series_id and o.time = d.time");
        let later = match self.wanted.on_duplicate {
            OnDuplicate::Replace => ">",
            OnDuplicate::Ignore | OnDuplicate::Keep => "<",
        };
        let mut statements = Vec::new();
        let columns = found.data.iter().flat_map(|data| &data.columns);
        let names = columns.map(|column| column.name.as_str()).filter(|name| !DATA.contains(name)).map(quote);
        let values: Vec<String> = names
            .map(|name| {
                format!(
                    "{name} = coalesce(d.{name}, (select o.{name} {others} and o.{name} is not null order by o.received_at desc, o.{row} desc limit 1))"
                )
            })
            .collect();
        if self.wanted.on_duplicate == OnDuplicate::Replace && !values.is_empty() {
            statements.push(format!(
                "update {table} as d set {} where exists (select 1 {others} and o.{row} <> d.{row})",
                values.join(", ")
            ));
        }
        statements.push(format!(
            "delete from {table} as d where exists (select 1 {others} and (o.received_at, o.{row}) {later} (d.received_at, d.{row}))"
        ));
        statements
    }
}
