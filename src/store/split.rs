//! Finds the rows that a database refuses among those it accepts, by halves. Pure; the caller tries each part.
//!
//! A row is refused only on its own: no good row is refused for its neighbours, however many of them are bad. Every try
//! makes progress, and there are fewer than two per row; how long each may take is the caller's to bound.

use std::collections::{BTreeMap, HashSet};

use super::error::Refusal;
use crate::batch::Batch;

/// So many refused, and they are all there are: it is not the rows.
pub(super) const MAX_REFUSED: usize = 64;

/// Positions of the rows per table, both ascending, without those that are refused already.
pub(super) fn by_table(batch: &Batch, refused: &[(usize, Refusal)]) -> Vec<(usize, Vec<usize>)> {
    let refused: HashSet<usize> = refused.iter().map(|(position, _)| *position).collect();
    let mut tables: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (position, (_, row)) in batch.rows.iter().enumerate() {
        if !refused.contains(&position) {
            tables.entry(row.measurement).or_default().push(position);
        }
    }
    tables.into_iter().collect()
}

/// The order of the index `(series_id, time)`, as far as a batch can know it: neighbours in the index are written one
/// after another, so that each page of it is looked for and changed once a batch, not once a row. And where the index is
/// unique, two Ambers that write the same rows wait for one another, and never each for the other. Rows of one series and
/// time stay in the order in which they came.
pub(super) fn in_index_order(parts: &mut [(usize, Vec<usize>)], series: &[i64], batch: &Batch) {
    for (_, positions) in parts {
        positions.sort_by_key(|&position| (series[position], batch.rows[position].1.time));
    }
}

/// What is still to be tried, and what was found.
#[derive(Debug)]
pub(super) struct Split {
    todo: Vec<Vec<usize>>,
    accepted: usize,
    refused: Vec<(usize, Refusal)>,
}

impl Split {
    pub(super) fn new(positions: Vec<usize>) -> Self {
        let todo = if positions.is_empty() { vec![] } else { vec![positions] };
        Self { todo, accepted: 0, refused: Vec::new() }
    }

    /// The next part to try. In the order of the rows.
    pub(super) fn next(&mut self) -> Option<Vec<usize>> {
        self.todo.pop()
    }

    /// Puts back what was too much for one statement.
    pub(super) fn later(&mut self, part: Vec<usize>) {
        self.todo.push(part);
    }

    pub(super) fn accepted(&mut self, part: Vec<usize>) {
        self.accepted += part.len();
    }

    pub(super) fn refused(&mut self, mut part: Vec<usize>, why: Refusal) {
        if part.len() == 1 {
            self.refused.push((part[0], why));
        } else {
            let second = part.split_off(part.len() / 2);
            self.todo.push(second);
            self.todo.push(part);
        }
    }

    /// All were tried, many, and not one was accepted: it is not the rows. One that is good is worth the search: a
    /// device that sends nonsense must not stop the others that feed its table.
    pub(super) fn hopeless(&self) -> bool {
        self.todo.is_empty() && self.accepted == 0 && self.refused.len() >= MAX_REFUSED
    }

    /// In the order of the rows.
    pub(super) fn into_refused(self) -> Vec<(usize, Refusal)> {
        self.refused
    }

    /// The words for the last one, without its data.
    pub(super) fn last_reason(&self) -> &str {
        self.refused.last().map_or("", |(_, why)| &why.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Time;
    use crate::row::{Row, Tags, TimeSource};

    #[test]
    fn rows_of_a_series_follow_one_another_by_time_and_those_of_one_time_as_they_came() {
        let mut parts = vec![(0, vec![0, 1, 2, 3, 5, 7]), (1, vec![4, 6])];
        in_index_order(&mut parts, &[7, 3, 7, 3, 2, 1, 1, 7], &batch(&[5, 5, 4, 5, 5, 5, 5, 5]));
        assert_eq!(parts, [(0, vec![5, 1, 3, 2, 0, 7]), (1, vec![6, 4])]);
    }

    /// Rows of these times.
    fn batch(times: &[i64]) -> Batch {
        let row = |time: &i64| Row {
            measurement: 0,
            mapping: "m".into(),
            time: Time(*time),
            time_source: TimeSource::Payload,
            tags: Tags::new([]),
            fields: vec![],
            others: vec![],
        };
        let mut batch = Batch::default();
        batch.rows.extend(times.iter().map(|time| (0, row(time))));
        batch
    }

    fn bad_row() -> Refusal {
        "bad".to_owned().into()
    }

    /// Tries all parts against a database that refuses what `bad` says; gives the refused and the number of tries.
    fn run(rows: usize, bad: impl Fn(usize) -> bool) -> (Split, usize) {
        let mut split = Split::new((0..rows).collect());
        let mut tries = 0;
        while let Some(part) = split.next() {
            tries += 1;
            if part.iter().any(|row| bad(*row)) { split.refused(part, bad_row()) } else { split.accepted(part) }
        }
        (split, tries)
    }

    #[test]
    fn one_bad_row_of_five_thousand_is_found_in_few_tries_and_order_is_kept() {
        let (split, tries) = run(5_000, |row| row == 3_210);
        assert_eq!(split.accepted, 4_999);
        assert_eq!(split.into_refused(), [(3_210, bad_row())]);
        assert!(tries <= 27, "{tries}");
        let (split, _) = run(100, |row| row % 9 == 0);
        let refused: Vec<usize> = split.into_refused().into_iter().map(|(row, _)| row).collect();
        assert_eq!(refused, (0..100).step_by(9).collect::<Vec<_>>());
    }

    #[test]
    fn a_table_that_takes_nothing_is_told_from_one_good_row_at_the_end() {
        let (split, tries) = run(5_000, |_| true);
        assert!(split.hopeless());
        assert!(tries < 10_000, "{tries}");
        let (split, _) = run(5_000, |row| row < 4_999);
        assert!(!split.hopeless());
        assert_eq!(split.into_refused().len(), 4_999);
    }

    #[test]
    fn few_bad_rows_are_refused_even_if_there_are_no_others() {
        let (split, _) = run(3, |_| true);
        assert!(!split.hopeless());
        assert_eq!(split.into_refused().len(), 3);
    }

    #[test]
    fn no_good_row_is_refused_for_its_neighbours_however_many_are_bad() {
        for bad in [|row: usize| row > 0, |row| row % 2 == 1, |row| row % 3 != 0, |row| row != 0 && row != 4_321] {
            let (split, tries) = run(5_000, bad);
            assert!(!split.hopeless());
            let refused: Vec<usize> = split.into_refused().into_iter().map(|(row, _)| row).collect();
            assert_eq!(refused, (0..5_000).filter(|row| bad(*row)).collect::<Vec<_>>());
            assert!(tries < 10_000, "{tries}");
        }
    }
}
