//! Values that no field names (`Row::others`) on their way to a column: which columns are lacking, and which value goes
//! where. Pure; the planner adds the columns, before the batch and in a transaction of its own.
//!
//! Nothing that cannot be stored is stored wrongly, and none of it holds up the batch: it is dropped and counted. Only a
//! row that has nothing else becomes a reject.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::WriteError;
use super::hindered::{Hindered, Obstacle};
use super::plan::Table;
use crate::batch::Batch;
use crate::row::{Row, Value};
use crate::schema::Type;

/// Columns of one measurement that appeared by themselves. A device that makes up names would fill a table otherwise,
/// and no database takes many more than a thousand.
pub(super) const MAX_APPEARED: usize = 200;

/// Columns that a table does not have, by the position of its measurement.
pub(super) type Lacking = BTreeMap<usize, Vec<(String, Type)>>;

/// The columns of a table for who only knows their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// By name in lower case, because SQLite's names are without case: the place among `Table::fields`, or `None`
    /// where the column is for nobody's values (a tag, Amber's own, a person's own).
    pub(super) columns: HashMap<String, Option<usize>>,
    /// How many more may appear.
    pub(super) room: usize,
}

/// Why a value that no field names is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unplaced {
    /// The measurement has as many columns that appeared by themselves as there may be.
    Full,
    /// The column is of another type, or is no field's.
    Taken,
    /// `[store] ddl = false`, and there is no such column.
    NoDdl,
    /// Somebody holds the table, so that it is given no column.
    Locked,
    /// The database lets Amber add none, whoever waits.
    Barred,
}

/// Values that were dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    pub mapping: Arc<str>,
    /// Position in `Schema::measurements`.
    pub measurement: usize,
    pub why: Unplaced,
    pub values: u64,
    /// The column of the first.
    pub column: String,
    /// What keeps the column from being added: the database's words, with a remedy. Empty but for `Locked` and `Barred`.
    pub words: Arc<str>,
}

/// A row of which nothing would be left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bare {
    /// For the one who finds the reject.
    pub told: String,
    /// Its values, for when the row is no reject after all.
    pub lost: Vec<Lost>,
}

/// Where the values of a batch go.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// In step with `Batch::rows`, or empty where no row has others: column and position in `Row::others`, by column.
    places: Vec<Vec<(usize, usize)>>,
    pub(super) lost: Vec<Lost>,
}

impl Settled {
    fn add(&mut self, lost: Vec<Lost>) {
        for one in lost {
            match self.lost.iter_mut().find(|known| known.is_of(&one.mapping, one.measurement, one.why)) {
                Some(known) => known.values += one.values,
                None => self.lost.push(one),
            }
        }
    }

    /// Column and position in `Row::others`, by column.
    pub(super) fn of(&self, row: usize) -> &[(usize, usize)] {
        self.places.get(row).map_or(&[], Vec::as_slice)
    }
}

fn has_none(batch: &Batch) -> bool {
    batch.rows.iter().all(|(_, row)| row.others.is_empty())
}

/// The columns that are to be made for `batch`.
pub(super) fn lacking(batch: &Batch, tables: &[Table]) -> Lacking {
    let mut lacking = Lacking::new();
    for (_, row) in batch.rows.iter().filter(|(_, row)| !row.others.is_empty()) {
        let Some(Table { others: Some(places), .. }) = tables.get(row.measurement) else { continue };
        for (name, value) in &row.others {
            if places.columns.contains_key(&**name) {
                continue;
            }
            let columns = lacking.entry(row.measurement).or_default();
            if columns.len() < places.room && !columns.iter().any(|(known, _)| **known == **name) {
                columns.push((name.to_string(), value.r#type()));
            }
        }
    }
    lacking.retain(|_, columns| !columns.is_empty());
    lacking
}

/// The first `portion` columns of `lacking`, and the others.
pub(super) fn split(lacking: Lacking, portion: usize) -> (Lacking, Lacking) {
    let (mut now, mut later, mut room) = (Lacking::new(), Lacking::new(), portion);
    for (measurement, mut columns) in lacking {
        let rest = columns.split_off(columns.len().min(room));
        room -= columns.len();
        if !columns.is_empty() {
            now.insert(measurement, columns);
        }
        if !rest.is_empty() {
            later.insert(measurement, rest);
        }
    }
    (now, later)
}

/// So long a transaction that adds columns may take, about.
const PORTION: Duration = Duration::from_secs(5);

/// How many columns are added next, after `columns` that took so long.
pub(super) fn next_portion(columns: usize, took: Duration) -> usize {
    let next = PORTION.as_micros() * columns as u128 / took.as_micros().max(1);
    usize::try_from(next).unwrap_or(usize::MAX).clamp(1, MAX_APPEARED)
}

/// Gives each value its column.
///
/// # Errors
/// `NoColumn`: rows of which nothing would be left.
pub(super) fn settle(batch: &Batch, tables: &[Table], hindered: &Hindered, ddl: bool) -> Result<Settled, WriteError> {
    let mut settled = Settled::default();
    if has_none(batch) {
        return Ok(settled);
    }
    let mut rejected = Vec::new();
    for (position, (_, row)) in batch.rows.iter().enumerate() {
        let (mut places, mut lost, mut first) = (Vec::new(), Vec::new(), None);
        for (n, (name, value)) in row.others.iter().enumerate() {
            let why = match tables.get(row.measurement).map(|table| place(table, row, name, value)) {
                Some(Ok(column)) => {
                    places.push((column, n));
                    continue;
                }
                Some(Err(Some(why))) => (why, None),
                Some(Err(None)) => absent(&tables[row.measurement], hindered.by(row.measurement), ddl),
                // Refused as a whole, further on.
                None => continue,
            };
            first.get_or_insert((name, why));
            lose(&mut lost, row, why, name);
        }
        if let Some((name, why)) = first
            && places.is_empty()
            && row.fields.iter().all(Option::is_none)
        {
            let told = told(row, &tables[row.measurement], name, why);
            rejected.push((position, Bare { told, lost }));
        } else {
            settled.add(lost);
        }
        places.sort_unstable();
        settled.places.push(places);
    }
    if rejected.is_empty() { Ok(settled) } else { Err(WriteError::NoColumn(rejected)) }
}

/// The column of a value; or why it has none, `None` if there is no such column.
fn place(table: &Table, row: &Row, name: &str, value: &Value) -> Result<usize, Option<Unplaced>> {
    let places = table.others.as_ref().ok_or(Unplaced::Taken)?;
    let column = places.columns.get(name).ok_or(None)?.ok_or(Unplaced::Taken)?;
    let is_set = row.fields.get(column).is_some_and(Option::is_some);
    let fits = match (value, table.fields[column].1) {
        (Value::Float(number), Type::Int) => is_whole(*number),
        (value, r#type) => value.r#type() == r#type,
    };
    if fits && !is_set { Ok(column) } else { Err(Some(Unplaced::Taken)) }
}

/// Why there is no such column, and the database's words if it is the database.
type Absent<'a> = (Unplaced, Option<&'a Arc<str>>);

fn absent<'a>(table: &Table, obstacle: Option<&'a Obstacle>, ddl: bool) -> Absent<'a> {
    let is_full = table.others.as_ref().is_some_and(|places| places.room == 0);
    match obstacle {
        _ if !ddl => (Unplaced::NoDdl, None),
        Some(obstacle) if !is_full => (obstacle.why, Some(&obstacle.words)),
        Some(_) | None => (Unplaced::Full, None),
    }
}

/// Whether a column of integers holds it without loss.
fn is_whole(number: f64) -> bool {
    // 2^53: beyond it a float is no longer told from its neighbours.
    number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0
}

impl Lost {
    fn is_of(&self, mapping: &str, measurement: usize, why: Unplaced) -> bool {
        self.why == why && self.measurement == measurement && *self.mapping == *mapping
    }
}

fn lose(lost: &mut Vec<Lost>, row: &Row, (why, words): Absent<'_>, name: &str) {
    match lost.iter_mut().find(|known| known.is_of(&row.mapping, row.measurement, why)) {
        Some(known) => known.values += 1,
        None => lost.push(Lost {
            mapping: Arc::clone(&row.mapping),
            measurement: row.measurement,
            why,
            values: 1,
            column: name.to_owned(),
            words: words.map_or_else(Arc::default, Arc::clone),
        }),
    }
}

/// For the one who finds the reject.
fn told(row: &Row, table: &Table, name: &str, (why, words): Absent<'_>) -> String {
    let words = words.map_or("", |words| words);
    let why = match why {
        Unplaced::Full => {
            format!("it has {MAX_APPEARED} columns that appeared by themselves; list what you need in `fields`")
        }
        Unplaced::Taken => {
            "the column is of another type, or no field's; list it in `fields` under another name".to_owned()
        }
        Unplaced::NoDdl => "it has no such column, and `[store] ddl = false`; list it in `fields`".to_owned(),
        Unplaced::Locked => format!("somebody holds the table, so that none can be added: {words}"),
        Unplaced::Barred => format!("none can be added: {words}"),
    };
    let more = if row.others.len() > 1 { format!(" (and {} more)", row.others.len() - 1) } else { String::new() };
    format!("no column of `{}` takes `{name}`{more}: {why}", table.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Time;
    use crate::row::{Tags, TimeSource};

    /// `m (device; n int, t text)` with a float `x` that appeared, and room for two more columns.
    fn tables() -> Vec<Table> {
        let fields = [("n", Type::Int), ("t", Type::Text), ("x", Type::Float)];
        let columns = [("n", Some(0)), ("t", Some(1)), ("x", Some(2)), ("device", None)];
        let columns = columns.into_iter().map(|(name, place)| (name.to_owned(), place)).collect();
        vec![Table {
            name: "m".to_owned(),
            tags: vec!["device".to_owned()],
            other_tags: vec![],
            fields: fields.map(|(name, r#type)| (name.to_owned(), r#type)).to_vec(),
            listed: 2,
            others: Some(Places { columns, room: 2 }),
            max_series: 10,
            on_duplicate: crate::schema::OnDuplicate::Keep,
            partitions: None,
            own: None,
        }]
    }

    type Others<'a> = &'a [(&'a str, Value)];

    /// A row for each, with the value of `n`.
    fn batch(rows: &[(Option<i64>, Others<'_>)]) -> Batch {
        let rows = rows.iter().map(|(n, others)| Row {
            measurement: 0,
            mapping: "a".into(),
            time: Time(0),
            time_source: TimeSource::Receipt,
            tags: Tags::new(["d"]),
            fields: vec![n.map(Value::Int), None],
            others: others.iter().map(|(name, value)| ((*name).into(), value.clone())).collect(),
        });
        Batch::of([rows.collect()])
    }

    #[test]
    fn each_column_is_asked_for_once_with_the_type_of_its_first_value_and_no_more_than_there_is_room_for() {
        let one: &[_] = &[("b", Value::Bool(true)), ("x", Value::Float(1.0))];
        let two: &[_] = &[
            ("a", Value::Float(1.0)),
            ("b", Value::Float(1.0)),
            ("c", Value::Float(1.0)),
            ("device", Value::Bool(true)),
        ];
        let lacking = lacking(&batch(&[(None, one), (None, two)]), &tables());
        assert_eq!(lacking, BTreeMap::from([(0, vec![("b".to_owned(), Type::Bool), ("a".to_owned(), Type::Float)])]));
    }

    #[test]
    fn columns_are_added_in_portions_of_some_seconds_and_at_least_one_by_one() {
        let of = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), Type::Float)).collect::<Vec<_>>();
        let all = Lacking::from([(0, of(&["a", "b"])), (1, of(&["c"])), (4, of(&["d", "e"]))]);
        let (now, later) = split(all.clone(), 1);
        assert_eq!(now, Lacking::from([(0, of(&["a"]))]));
        assert_eq!(later, Lacking::from([(0, of(&["b"])), (1, of(&["c"])), (4, of(&["d", "e"]))]));
        let (now, later) = split(all.clone(), 4);
        assert_eq!(now, Lacking::from([(0, of(&["a", "b"])), (1, of(&["c"])), (4, of(&["d"]))]));
        assert_eq!(later, Lacking::from([(4, of(&["e"]))]));
        assert_eq!(split(all.clone(), 200), (all, Lacking::new()));

        let second = Duration::from_secs(1);
        assert_eq!(next_portion(1, second * 60), 1);
        assert_eq!(next_portion(1, second), 5);
        assert_eq!(next_portion(5, second * 4), 6);
        assert_eq!(next_portion(1, second / 1000), MAX_APPEARED);
        assert_eq!(next_portion(1, Duration::ZERO), MAX_APPEARED);
    }

    #[test]
    fn a_value_goes_to_the_column_of_its_name_and_type_or_is_dropped_and_counted() {
        let float = Value::Float;
        let cases: [(Value, &str, Result<usize, Unplaced>); 9] = [
            (float(1.5), "x", Ok(2)),
            (Value::Text("1".into()), "x", Err(Unplaced::Taken)),
            (Value::Bool(true), "x", Err(Unplaced::Taken)),
            (Value::Text("1".into()), "t", Ok(1)),
            (float(-3.0), "n", Ok(0)),
            (float(1.5), "n", Err(Unplaced::Taken)),
            (float(1e300), "n", Err(Unplaced::Taken)),
            (float(1.0), "device", Err(Unplaced::Taken)),
            (float(1.0), "new", Err(Unplaced::Full)),
        ];
        for (value, name, expected) in cases {
            // Beside another value, so that the row is kept.
            let beside = if name == "x" { ("t", Value::Text("y".into())) } else { ("x", float(0.0)) };
            let batch = batch(&[(None, &[(name, value.clone()), beside])]);
            let settled = settle(&batch, &tables(), &Hindered::default(), true).unwrap();
            let column = settled.of(0).iter().find(|(_, n)| *n == 0).map(|(column, _)| *column);
            let lost: Vec<(Unplaced, u64)> = settled.lost.iter().map(|lost| (lost.why, lost.values)).collect();
            match expected {
                Ok(expected) => assert_eq!((column, lost), (Some(expected), vec![]), "{name} {value:?}"),
                Err(why) => assert_eq!((column, lost), (None, vec![(why, 1)]), "{name} {value:?}"),
            }
        }
        let settled = settle(
            &batch(&[(Some(1), &[("new", float(1.0)), ("n", float(2.0))])]),
            &tables(),
            &Hindered::default(),
            false,
        )
        .unwrap();
        let lost: Vec<(Unplaced, &str)> = settled.lost.iter().map(|lost| (lost.why, lost.column.as_str())).collect();
        assert_eq!(lost, [(Unplaced::NoDdl, "new"), (Unplaced::Taken, "n")]);
    }

    #[test]
    fn a_row_of_which_nothing_is_left_is_a_reject() {
        let lost: &[_] = &[("device", Value::Bool(true)), ("x", Value::Bool(true))];
        let kept: &[_] = &[("t", Value::Text("y".into()))];
        match settle(&batch(&[(Some(1), lost), (None, lost), (None, kept)]), &tables(), &Hindered::default(), true) {
            Err(WriteError::NoColumn(rows)) => {
                assert_eq!(rows.len(), 1);
                assert_eq!(rows[0].0, 1);
                let Bare { told, lost } = &rows[0].1;
                assert!(told.starts_with("no column of `m` takes `device` (and 1 more): "), "{told}");
                assert_eq!(lost.iter().map(|lost| lost.values).sum::<u64>(), 2);
            }
            other => panic!("{other:?}"),
        }
    }
}
