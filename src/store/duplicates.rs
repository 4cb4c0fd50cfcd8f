//! Rows of one series and one time: within a batch they are joined here, so that no statement touches a row twice; what
//! is in the table already is left to the statement. Pure.

use std::collections::{BTreeMap, HashMap};

use super::plan::Table;
use super::series::Rows;
use crate::schema::OnDuplicate;

/// Rows that met one of their series and time, in the batch or in the table, by measurement.
pub(super) type Counts = BTreeMap<usize, u64>;

/// The rows of one table that a statement is given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Joined {
    /// In the order in which they were given.
    pub(super) positions: Vec<usize>,
    /// Of a row that has replaced others: their positions, in the order in which they came.
    replaced: HashMap<usize, Vec<usize>>,
    /// How many are in it no more.
    pub(super) gone: u64,
}

impl Joined {
    /// Of each series and time the row that came first, or with `Replace` the last one, which takes the place of the others
    /// and has the values that only they have. `positions` of the same series and time are in the order in which they came.
    pub(super) fn new(table: &Table, rows: Rows<'_>, positions: &[usize]) -> Self {
        let key = |position: usize| (rows.series[position], rows.batch.rows[position].1.time);
        if !table.on_duplicate.is_unique() {
            return Self { positions: positions.to_vec(), ..Self::default() };
        }
        // Where in `kept` the row of a series and time is.
        let mut places = HashMap::with_capacity(positions.len());
        let mut kept: Vec<usize> = Vec::with_capacity(positions.len());
        let mut replaced: HashMap<usize, Vec<usize>> = HashMap::new();
        for &position in positions {
            let place = *places.entry(key(position)).or_insert(kept.len());
            if place == kept.len() {
                kept.push(position);
            } else if table.on_duplicate == OnDuplicate::Replace {
                let earlier = std::mem::replace(&mut kept[place], position);
                let mut all = replaced.remove(&earlier).unwrap_or_default();
                all.push(earlier);
                replaced.insert(position, all);
            }
        }
        let gone = (positions.len() - kept.len()) as u64;
        Self { positions: kept, replaced, gone }
    }

    /// The rows that the one at `position` has replaced, in the order in which they came.
    pub(super) fn replaced(&self, position: usize) -> &[usize] {
        self.replaced.get(&position).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::batch::Batch;
    use crate::message::Time;
    use crate::row::{Row, Tags, TimeSource, Value};
    use crate::schema::Type;
    use crate::store::others::Settled;

    fn table(on_duplicate: OnDuplicate) -> Table {
        Table {
            name: "m".to_owned(),
            tags: vec![],
            other_tags: vec![],
            fields: vec![("a".to_owned(), Type::Int), ("b".to_owned(), Type::Int)],
            listed: 2,
            others: None,
            max_series: 10,
            on_duplicate,
            partitions: None,
            own: None,
        }
    }

    /// Rows of (time, a, b).
    fn batch(rows: &[(i64, Option<i64>, Option<i64>)]) -> Batch {
        let row = |&(time, a, b): &(i64, Option<i64>, Option<i64>)| Row {
            measurement: 0,
            mapping: Arc::from("m"),
            time: Time(time),
            time_source: TimeSource::Payload,
            tags: Tags::new([]),
            fields: vec![a.map(Value::Int), b.map(Value::Int)],
            others: vec![],
        };
        let mut batch = Batch::default();
        batch.rows.extend(rows.iter().map(|values| (0, row(values))));
        batch
    }

    /// Positions and values.
    type Given = Vec<(usize, Vec<Option<i64>>)>;

    /// What a statement is given, and how many rows are not.
    fn given(on_duplicate: OnDuplicate, series: &[i64], batch: &Batch) -> (Given, u64) {
        let tables = [table(on_duplicate)];
        let settled = Settled::default();
        let rows = Rows { batch, series, others: &settled, tables: &tables };
        let positions: Vec<usize> = (0..batch.rows.len()).collect();
        let joined = Joined::new(&tables[0], rows, &positions);
        let values = |position: usize| {
            let values = rows.joined_values(&joined, position).map(|value| match value {
                Some(Value::Int(value)) => Some(*value),
                None => None,
                other => panic!("{other:?}"),
            });
            (position, values.collect())
        };
        (joined.positions.iter().map(|&position| values(position)).collect(), joined.gone)
    }

    #[test]
    fn rows_of_one_series_and_time_are_joined_as_the_mapping_says() {
        // The third is of another series, the fourth of another time.
        let batch = batch(&[
            (1, Some(1), None),
            (1, None, Some(2)),
            (1, Some(3), Some(3)),
            (2, Some(4), None),
            (1, Some(5), None),
            (1, None, None),
        ]);
        let series = [7, 7, 8, 7, 7, 7];
        let (kept, gone) = given(OnDuplicate::Keep, &series, &batch);
        assert_eq!((kept.len(), gone), (6, 0));
        let others = [(2, vec![Some(3), Some(3)]), (3, vec![Some(4), None])];
        let (ignoring, gone) = given(OnDuplicate::Ignore, &series, &batch);
        let first = (0, vec![Some(1), None]);
        assert_eq!((ignoring, gone), (vec![first, others[0].clone(), others[1].clone()], 3));
        let (replacing, gone) = given(OnDuplicate::Replace, &series, &batch);
        let last = (5, vec![Some(5), Some(2)]);
        assert_eq!((replacing, gone), (vec![last, others[0].clone(), others[1].clone()], 3));
    }
}
