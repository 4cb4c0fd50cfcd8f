//! Measurements that cannot be given a column now: another role owns the table, the table is full, a long query holds it.
//! Pure; the clock is the caller's.
//!
//! A column that a row brings is worth no standstill: after a bounded wait the rows are stored without it, and those of
//! other measurements with them. It is tried again once a minute, because only a try tells whether it goes now.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::others::{Lacking, Unplaced};

/// So long a lock is waited for, over all tries: a dashboard's query has ended by then, and a dump has not.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long no further try is made.
const PAUSE: Duration = Duration::from_secs(60);
/// An obstacle that was not met for so long is another one when it is met again.
const FORGOTTEN: Duration = Duration::from_secs(180);

/// Why a column cannot be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Obstacle {
    /// `Locked` or `Barred`.
    pub(super) why: Unplaced,
    /// The database's words, and what can be done.
    pub(super) words: Arc<str>,
}

#[derive(Debug)]
struct Met {
    obstacle: Obstacle,
    first: Instant,
    last: Instant,
    /// The rows go on without.
    is_given_up: bool,
}

/// By the position of the measurement.
#[derive(Debug, Default)]
pub(super) struct Hindered(HashMap<usize, Met>);

impl Hindered {
    /// What is worth a try.
    pub(super) fn without(&self, mut lacking: Lacking, now: Instant) -> Lacking {
        let pauses = |met: &Met| met.is_given_up && now.saturating_duration_since(met.last) < PAUSE;
        lacking.retain(|measurement, _| !self.0.get(measurement).is_some_and(pauses));
        lacking
    }

    /// A try that was begun at `begun` has failed. Whether the rows are to go on without the column.
    pub(super) fn met(&mut self, measurement: usize, obstacle: Obstacle, begun: Instant, now: Instant) -> bool {
        let known = self.0.remove(&measurement);
        let known = known.filter(|met| now.saturating_duration_since(met.last) < FORGOTTEN);
        let first = known.map_or(begun, |met| met.first);
        let waits = obstacle.why == Unplaced::Locked && now.saturating_duration_since(first) < PATIENCE;
        self.0.insert(measurement, Met { obstacle, first, last: now, is_given_up: !waits });
        !waits
    }

    /// The columns of these are there.
    pub(super) fn added(&mut self, lacking: &Lacking) {
        lacking.keys().for_each(|measurement| drop(self.0.remove(measurement)));
    }

    /// What keeps the measurement from having more columns, as far as is known.
    pub(super) fn by(&self, measurement: usize) -> Option<&Obstacle> {
        self.0.get(&measurement).map(|met| &met.obstacle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Type;

    fn lacking() -> Lacking {
        [0, 1].map(|measurement| (measurement, vec![("x".to_owned(), Type::Float)])).into()
    }

    fn obstacle(why: Unplaced) -> Obstacle {
        Obstacle { why, words: "held".into() }
    }

    fn tried(hindered: &Hindered, now: Instant) -> Vec<usize> {
        hindered.without(lacking(), now).into_keys().collect()
    }

    #[test]
    fn a_lock_is_waited_for_some_seconds_and_then_tried_once_a_minute_without_a_wait() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut hindered = Hindered::default();
        assert!(!hindered.met(0, obstacle(Unplaced::Locked), at(0), at(2)));
        assert_eq!(tried(&hindered, at(2)), [0, 1], "it is still waited for");
        assert!(!hindered.met(0, obstacle(Unplaced::Locked), at(7), at(9)));
        assert!(hindered.met(0, obstacle(Unplaced::Locked), at(9), at(11)));
        assert_eq!(tried(&hindered, at(70)), [1]);
        assert_eq!(hindered.by(0), Some(&obstacle(Unplaced::Locked)));
        assert_eq!(tried(&hindered, at(71)), [0, 1]);
        assert!(hindered.met(0, obstacle(Unplaced::Locked), at(71), at(73)), "a dump may take hours");
        // Long after, it is another query.
        assert!(!hindered.met(0, obstacle(Unplaced::Locked), at(300), at(302)));
        hindered.added(&lacking());
        assert_eq!(hindered.by(0), None);
    }

    #[test]
    fn what_no_wait_mends_is_not_waited_for() {
        let now = Instant::now();
        let mut hindered = Hindered::default();
        assert!(hindered.met(1, obstacle(Unplaced::Barred), now, now));
        assert_eq!(tried(&hindered, now), [0]);
    }
}
