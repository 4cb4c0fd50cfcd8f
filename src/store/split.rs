//! Finds the rows that a database refuses among those it accepts, by halves. Pure; the caller tries each part.
//!
//! The work is bounded: once many were refused, or the time is over, a part that fails is refused whole, its good rows
//! with it. All of them are kept as rejects with their payload.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::batch::Batch;

/// So many refused and none accepted: it is not the rows.
pub(super) const MAX_REFUSED: usize = 64;
/// Refused one by one up to here if others are accepted.
const MAX_SINGLE: usize = 1_024;
/// Refused one by one for so long, in all tables of a batch.
pub(super) const MAX_TIME: Duration = Duration::from_secs(10);

/// Positions of the rows per table, both ascending, without those that are refused already.
pub(super) fn by_table(batch: &Batch, refused: &[(usize, String)]) -> Vec<(usize, Vec<usize>)> {
    let refused: HashSet<usize> = refused.iter().map(|(position, _)| *position).collect();
    let mut tables: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (position, (_, row)) in batch.rows.iter().enumerate() {
        if !refused.contains(&position) {
            tables.entry(row.measurement).or_default().push(position);
        }
    }
    tables.into_iter().collect()
}

/// What is still to be tried, and what was found.
#[derive(Debug)]
pub(super) struct Split {
    todo: Vec<Vec<usize>>,
    accepted: usize,
    refused: Vec<(usize, String)>,
    end: Instant,
}

impl Split {
    /// `end`: when the time for single rows is over.
    pub(super) fn new(positions: Vec<usize>, end: Instant) -> Self {
        let todo = if positions.is_empty() { vec![] } else { vec![positions] };
        Self { todo, accepted: 0, refused: Vec::new(), end }
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

    pub(super) fn refused(&mut self, mut part: Vec<usize>, reason: String) {
        if part.len() == 1 {
            self.refused.push((part[0], reason));
        } else if self.refused.len() >= MAX_SINGLE || Instant::now() >= self.end {
            let reason =
                format!("{reason}; refused together with {} others, too many to try one by one", part.len() - 1);
            self.refused.extend(part.into_iter().map(|position| (position, reason.clone())));
        } else {
            let second = part.split_off(part.len() / 2);
            self.todo.push(second);
            self.todo.push(part);
        }
    }

    /// Many were tried, and not one accepted: it is not the rows.
    pub(super) fn hopeless(&self) -> bool {
        self.accepted == 0 && self.refused.len() >= MAX_REFUSED
    }

    /// In the order of the rows.
    pub(super) fn into_refused(self) -> Vec<(usize, String)> {
        self.refused
    }

    /// The words for the last one.
    pub(super) fn last_reason(&self) -> &str {
        self.refused.last().map_or("", |(_, reason)| reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tries all parts against a database that refuses what `bad` says; gives the refused and the number of tries.
    fn run(rows: usize, bad: impl Fn(usize) -> bool) -> (Split, usize) {
        let mut split = Split::new((0..rows).collect(), Instant::now() + MAX_TIME);
        let mut tries = 0;
        while !split.hopeless() {
            let Some(part) = split.next() else { break };
            tries += 1;
            if part.iter().any(|row| bad(*row)) { split.refused(part, "bad".into()) } else { split.accepted(part) }
        }
        (split, tries)
    }

    #[tokio::test]
    async fn one_bad_row_of_five_thousand_is_found_in_few_tries_and_order_is_kept() {
        let (split, tries) = run(5_000, |row| row == 3_210);
        assert_eq!(split.accepted, 4_999);
        assert_eq!(split.into_refused(), [(3_210, "bad".to_owned())]);
        assert!(tries <= 27, "{tries}");
        let (split, _) = run(100, |row| row % 9 == 0);
        let refused: Vec<usize> = split.into_refused().into_iter().map(|(row, _)| row).collect();
        assert_eq!(refused, (0..100).step_by(9).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_table_that_takes_nothing_is_given_up_soon() {
        let (split, tries) = run(5_000, |_| true);
        assert!(split.hopeless());
        assert!(tries < 200, "{tries}");
    }

    #[tokio::test]
    async fn few_bad_rows_are_refused_even_if_there_are_no_others() {
        let (split, _) = run(3, |_| true);
        assert!(!split.hopeless());
        assert_eq!(split.into_refused().len(), 3);
    }

    #[tokio::test]
    async fn beyond_the_bound_a_failing_part_is_refused_whole() {
        let (split, tries) = run(5_000, |row| row > 0);
        assert_eq!(split.accepted, 1);
        assert_eq!(split.refused.len(), 4_999);
        assert!(tries < 2_200, "{tries}");
    }
}
