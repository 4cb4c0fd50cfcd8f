//! The statements of a batch, as text. Pure. Every text is made once per table or set of tables, and prepared once.

use std::fmt::Write as _;

use crate::schema::OnDuplicate;
use crate::store::columns::Element;
use crate::store::plan::{Dialect, Form, OwnTable, Table};
use crate::store::sql::{list, literal, quote};

/// Shuts out statements of older connections, sees that the database has not gone back in time, and takes the number.
/// $1 writer, $2 epoch, $3 number, $4 packets, $5 the number before, $6 owner.
pub(super) const GATE: &str = "\
update amber_store.delivery set seq = $3, packets = $4, updated_at = now()
where writer = $1 and epoch = $2 and owner = $6 and seq < $3 and seq = $5";

/// Parameters of the gate.
pub(super) const GATE_PARAMETERS: usize = 6;

/// Parameters behind the columns of a table that does not keep duplicates: least and largest time.
const SPAN_PARAMETERS: usize = 2;

const REJECT: [(&str, Element); 9] = [
    ("received_at", Element::Timestamptz),
    ("topic", Element::Text),
    ("payload", Element::Bytea),
    ("payload_bytes", Element::Int8),
    ("qos", Element::Int2),
    ("retain", Element::Bool),
    ("mapping", Element::Text),
    ("reason", Element::Text),
    ("detail", Element::Text),
];

/// Of the columns that a reject has, in their order.
pub(super) fn reject_elements() -> impl Iterator<Item = Element> {
    REJECT.iter().map(|(_, element)| *element)
}

/// Target, columns and `unnest(…)` of one table, from parameter `first` on.
struct Insert {
    target: String,
    columns: String,
    arrays: String,
    /// What is selected of `u`, and the names of its columns.
    values: String,
    names: String,
    on_duplicate: OnDuplicate,
    /// `on conflict …`, with a blank before it; empty where duplicates are kept.
    conflict: String,
    first: usize,
    next: usize,
}

impl Insert {
    fn new(target: String, columns: &[(&str, Element)], first: usize) -> Self {
        let arrays: Vec<String> =
            columns.iter().zip(first..).map(|((_, element), n)| format!("${n}::{}", element.array())).collect();
        Self {
            target,
            columns: list(columns.iter().map(|(name, _)| *name)),
            arrays: arrays.join(", "),
            values: "u.*".to_owned(),
            names: "u".to_owned(),
            on_duplicate: OnDuplicate::Keep,
            conflict: String::new(),
            first,
            next: first + columns.len(),
        }
    }

    fn rows(table: &Table, first: usize) -> Self {
        if let Some(own) = &table.own {
            return Self::own(own, first);
        }
        let mut columns =
            vec![("time", Element::Timestamptz), ("series_id", Element::Int8), ("received_at", Element::Timestamptz)];
        columns.extend(table.fields.iter().map(|(name, r#type)| (name.as_str(), Element::from(*r#type))));
        let conflict = match table.on_duplicate {
            OnDuplicate::Keep => String::new(),
            OnDuplicate::Ignore => " on conflict (series_id, time) do nothing".to_owned(),
            OnDuplicate::Replace => format!(" on conflict (series_id, time) do update set {}", replace(table)),
        };
        let insert = Self::new(Dialect::Postgres.data(&table.name), &columns, first);
        let span = if table.on_duplicate.is_unique() { SPAN_PARAMETERS } else { 0 };
        Self { on_duplicate: table.on_duplicate, conflict, next: insert.next + span, ..insert }
    }

    /// Into a table of the user's own.
    fn own(own: &OwnTable, first: usize) -> Self {
        let columns: Vec<(&str, Element)> =
            own.columns.iter().map(|column| (column.name.as_str(), column.element())).collect();
        let names: Vec<String> = (1..=columns.len()).map(|n| format!("c{n}")).collect();
        let values = own.columns.iter().zip(&names).map(|(column, name)| match &column.form {
            Form::Plain | Form::Text | Form::TagNumber | Form::Seconds => format!("u.{name}"),
            Form::Digits => format!("u.{name}::text::numeric"),
            Form::Cast(r#type) => format!("u.{name}::{}", r#type),
            Form::TagCast(r#type) => format!("nullif(u.{name}, '')::{}", r#type),
        });
        let values = values.collect::<Vec<_>>().join(", ");
        Self { values, names: format!("u({})", names.join(", ")), ..Self::new(own.target.clone(), &columns, first) }
    }

    fn rejects(first: usize) -> Self {
        Self::new("amber_store.reject".to_owned(), &REJECT, first)
    }

    /// Inserts what is selected from `from` as well.
    fn insert(&self, from: &str) -> String {
        let Self { target, columns, arrays, values, names, conflict, .. } = self;
        format!(
            "insert into {target} as d ({columns}) select {values} from {from}unnest({arrays}) as {names}{conflict}"
        )
    }

    /// How many of the rows were there already. It sees the table as it was before the statement.
    ///
    /// A table may consist of hundreds of parts by time: the bounds leave those of the batch, at planning and, in a plan
    /// for any parameters, at its start. `offset 0`: a look into the index for each row, whatever statistics say; a join
    /// may read all of the table, or unpack what is compressed.
    fn existing(&self, from: &str) -> String {
        let (target, time, series) = (&self.target, self.first, self.first + 1);
        let [least, largest] = [self.next - SPAN_PARAMETERS, self.next - 1];
        format!(
            "select count(*) as n from {from}unnest(${time}::timestamptz[], ${series}::int8[]) as u(time, series_id) \
             where exists (select from {target} d where d.series_id = u.series_id and d.time = u.time \
             and d.time between ${least}::timestamptz and ${largest}::timestamptz offset 0)"
        )
    }

    /// How many rows are accounted for, by the names of the statement that inserts and of the one that counts.
    ///
    /// Who ignores duplicates inserts only what is not there. Another Amber's row that comes between the look and the
    /// insert is in neither count: then the statement fails as for rows that are kept away, and the next one sees it.
    fn accounted(&self, inserted: &str, existing: &str) -> String {
        match self.on_duplicate {
            OnDuplicate::Keep | OnDuplicate::Replace => format!("(select count(*) from {inserted})"),
            OnDuplicate::Ignore => format!("(select count(*) from {inserted}) + (select n from {existing})"),
        }
    }

    /// On its own, in a transaction that has passed the gate. Where duplicates are not kept it answers how many rows are
    /// accounted for, and how many of them were there already.
    fn alone(&self) -> String {
        let insert = self.insert("");
        if !self.on_duplicate.is_unique() {
            return insert;
        }
        let (existing, accounted) = (self.existing(""), self.accounted("t", "e"));
        format!("with t as ({insert} returning 1),\ne as ({existing})\nselect {accounted}, (select n from e)")
    }
}

/// What a row does to the one that is there.
fn replace(table: &Table) -> String {
    let fields = table.fields.iter().map(|(name, _)| {
        let name = quote(name);
        format!("{name} = coalesce(excluded.{name}, d.{name})")
    });
    fields.chain(["received_at = excluded.received_at".to_owned()]).collect::<Vec<_>>().join(", ")
}

/// Gate, rows of all `tables`, rejects: one statement, one round trip, one transaction.
///
/// It answers the counts: (1, rows …) stored, (0, 0 …) fenced off; and behind them, of each table that does not keep
/// duplicates, how many there were. Where a trigger keeps rows away, which no count could undo once it is read, the
/// statement fails, so that these rows are found and kept as rejects.
pub(super) fn batch(tables: &[&Table], rejects: bool) -> String {
    let mut inserts = Vec::new();
    let mut next = GATE_PARAMETERS + 1;
    for table in tables {
        let insert = Insert::rows(table, next);
        next = insert.next;
        inserts.push(insert);
    }
    if rejects {
        inserts.push(Insert::rejects(next));
    }
    let mut text = format!("with l as ({GATE} returning 1)");
    let (mut answers, mut counts) = (String::from("n.l"), String::from("(select count(*) from l) as l"));
    let mut duplicates = String::new();
    for (n, insert) in inserts.iter().enumerate() {
        let (said, first) = (literal(&kept_away(&insert.target)), insert.first);
        write!(text, ",\nt{n} as ({} returning 1)", insert.insert("l, ")).expect("a String takes every write");
        if insert.on_duplicate.is_unique() {
            write!(text, ",\ne{n} as ({})", insert.existing("l, ")).expect("a String takes every write");
            write!(counts, ", (select n from e{n}) as e{n}").expect("a String takes every write");
            write!(duplicates, ", n.e{n}").expect("a String takes every write");
        }
        let accounted = insert.accounted(&format!("t{n}"), &format!("e{n}"));
        write!(
            answers,
            ",\n  case when n.l = 1 and n.t{n} <> cardinality(${first}) then ({said} || n.t{n})::int8 else n.t{n} end"
        )
        .expect("a String takes every write");
        write!(counts, ", {accounted} as t{n}").expect("a String takes every write");
    }
    // `offset 0`: counted once, not once for each mention.
    format!("{text}\nselect {answers}{duplicates}\nfrom (select {counts} offset 0) as n")
}

/// What is said of a trigger (or rule) that lets an INSERT succeed and stores nothing.
pub(super) fn kept_away(target: &str) -> String {
    format!("a trigger on {target} keeps rows away; rows let through: ")
}

pub(super) fn rows(table: &Table) -> String {
    Insert::rows(table, 1).alone()
}

pub(super) fn rejects() -> String {
    Insert::rejects(1).alone()
}

/// The series that are there: (place in the arrays from 1, id). One array per tag.
pub(super) fn find_series(table: &Table) -> String {
    let series = Dialect::Postgres.series(&table.name);
    let others = table.other_tags.iter().map(|tag| format!("s.{} = ''", quote(tag)));
    if table.tags.is_empty() {
        let condition = others.collect::<Vec<_>>().join(" and ");
        let condition = if condition.is_empty() { "true" } else { &condition };
        return format!("select 1::int8, s.series_id from {series} s where {condition}");
    }
    let names: Vec<String> = (1..=table.tags.len()).map(|n| format!("t{n}")).collect();
    let own = table.tags.iter().zip(&names).map(|(tag, name)| format!("s.{} = u.{name}", quote(tag)));
    format!(
        "select u.place, s.series_id from unnest({}) with ordinality as u({}, place) join {series} s on {}",
        tag_arrays(table),
        names.join(", "),
        own.chain(others).collect::<Vec<_>>().join(" and "),
    )
}

/// How many there are that are not retired, counted no further than to the bound.
pub(super) fn count_series(table: &Table) -> String {
    let (series, bound) = (Dialect::Postgres.series(&table.name), table.max_series);
    let retired = format!(
        "select 1 from amber_store.device d where d.measurement = {} and d.series_id = s.series_id and d.retired_at is not null",
        literal(&table.name)
    );
    format!("select count(*) from (select 1 from {series} s where not exists ({retired}) limit {bound}) as s")
}

/// Makes those that are not there, in an order that every Amber has, whatever order its tags have: an INSERT waits for
/// the same series in another's open transaction, and two of them must not wait for each other.
pub(super) fn make_series(table: &Table) -> String {
    let series = Dialect::Postgres.series(&table.name);
    if table.tags.is_empty() {
        return format!("insert into {series} default values on conflict do nothing");
    }
    let mut order: Vec<&str> = table.tags.iter().map(String::as_str).collect();
    order.sort_unstable();
    let order: Vec<String> = order.iter().map(|tag| format!("u.{} collate \"C\"", quote(tag))).collect();
    let tags = list(table.tags.iter().map(String::as_str));
    format!(
        "insert into {series} ({tags}) select u.* from unnest({}) as u({tags}) order by {} on conflict ({}) do nothing",
        tag_arrays(table),
        order.join(", "),
        list(table.all_tags()),
    )
}

fn tag_arrays(table: &Table) -> String {
    (1..=table.tags.len()).map(|n| format!("${n}::text[]")).collect::<Vec<_>>().join(", ")
}
