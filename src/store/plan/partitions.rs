//! Partitions of a table of readings, in PostgreSQL: which ranges of time there are to be, and the SQL that makes them.
//! Pure; the present is given.
//!
//! A measurement with a retention has a table that is partitioned from its first day: to drop a day costs nothing, to delete
//! its rows costs more than to insert them. There is no default partition, which every new one would have to be compared
//! with. Ranges begin and end at midnight, UTC, and never overlap: what is there is left as it is, and new ones are fitted in
//! between, whatever their width was meant to be.

use std::time::Duration;

use jiff::Timestamp;

use super::{Dialect, Hypertable};
use crate::message::Time;
use crate::store::sql::{literal, quote};

pub(in crate::store) const DAY: i64 = 86_400_000_000;
const WEEK: i64 = 7 * DAY;
/// 1970-01-05
const A_MONDAY: i64 = 4 * DAY;
/// Up to this retention a partition is a day, beyond it a week: some dozens are enough to give space back evenly.
const DAYS_UP_TO: Duration = Duration::from_secs(45 * 86_400);
/// So many partitions one table may have. A query plans with all that its times do not rule out.
pub(in crate::store) const MAX_PARTITIONS: usize = 4_000;
/// What the name of a constraint begins with that holds a plain table ready to become a part of one (`upkeep::attach`); the
/// day follows before which all rows are.
pub(in crate::store) const BEFORE: &str = "amber_before";
/// Bytes that the name of a partition is longer than that of its measurement.
pub(super) const SUFFIX: usize = "_data_20251122".len();

/// How a table of readings is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::store) enum Layout {
    /// One table, or partitioned by somebody else in another way: Amber makes no partition of it.
    #[default]
    Plain,
    /// By ranges of time.
    Partitioned(Vec<Partition>),
    /// By TimescaleDB.
    Hypertable(Box<Hypertable>),
}

/// A part of a table. Microseconds; the least and the largest number where it has no bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Partition {
    /// Quoted, with its schema.
    pub(in crate::store) name: String,
    pub(in crate::store) from: i64,
    pub(in crate::store) to: i64,
}

/// What the writer knows of the partitions of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Ranges {
    /// Ascending, without overlap.
    ranges: Vec<(i64, i64)>,
    width: i64,
    /// A range begins so long after a multiple of the width, counted from 1970.
    offset: i64,
    /// TimescaleDB makes them when a row comes: here they are only counted.
    pub(in crate::store) are_chunks: bool,
}

/// A time for which there is no partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Lacking {
    pub(in crate::store) from: i64,
    pub(in crate::store) to: i64,
}

impl Ranges {
    pub(in crate::store) fn new(retention: Option<Duration>, partitions: &[Partition]) -> Self {
        let width = width(retention);
        Self::of(partitions, width, if width == WEEK { A_MONDAY } else { 0 }, false)
    }

    /// Of a hypertable.
    pub(in crate::store) fn chunks(chunks: &[Partition], width: i64) -> Self {
        Self::of(chunks, width.max(1), 0, true)
    }

    fn of(partitions: &[Partition], width: i64, offset: i64, are_chunks: bool) -> Self {
        let mut ranges: Vec<(i64, i64)> = partitions.iter().map(|partition| (partition.from, partition.to)).collect();
        ranges.sort_unstable();
        Self { ranges, width, offset, are_chunks }
    }

    pub(in crate::store) fn has(&self, time: Time) -> bool {
        let behind = self.ranges.partition_point(|(from, _)| *from <= time.0);
        behind.checked_sub(1).is_some_and(|n| time.0 < self.ranges[n].1)
    }

    pub(in crate::store) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// The range that a partition for `time`, which has none, is to have.
    fn around(&self, time: i64) -> Lacking {
        let start = time - (time - self.offset).rem_euclid(self.width);
        let behind = self.ranges.partition_point(|(from, _)| *from <= time);
        let from = behind.checked_sub(1).map_or(start, |n| start.max(self.ranges[n].1));
        let to = self.ranges.get(behind).map_or(start + self.width, |(from, _)| (start + self.width).min(*from));
        Lacking { from, to }
    }

    /// The ranges that are to be made for `times`, and takes them for made.
    pub(in crate::store) fn admit(&mut self, times: impl IntoIterator<Item = Time>) -> Vec<Lacking> {
        let mut all = Vec::new();
        for time in times {
            if !self.has(time) && self.ranges.len() < MAX_PARTITIONS {
                let lacking = self.around(time.0);
                let place = self.ranges.partition_point(|(from, _)| *from < lacking.from);
                self.ranges.insert(place, (lacking.from, lacking.to));
                all.push(lacking);
            }
        }
        all
    }

    /// The same for all times from `from` to `to`.
    pub(in crate::store) fn cover(&mut self, from: Time, to: Time) -> Vec<Lacking> {
        let mut all = Vec::new();
        let mut time = from.0;
        while time <= to.0 {
            all.extend(self.admit([Time(time)]));
            let behind = self.ranges.partition_point(|(from, _)| *from <= time);
            match behind.checked_sub(1).map(|n| self.ranges[n].1) {
                Some(next) if next > time => time = next,
                // There may be no more of them.
                Some(_) | None => break,
            }
        }
        all
    }

    /// Up to when there are partitions from `now` on, without a gap.
    pub(in crate::store) fn covered_until(&self, now: Time) -> Time {
        let mut until = now.0;
        for &(from, to) in &self.ranges {
            if from <= until && until < to {
                until = to;
            }
        }
        Time(until)
    }
}

/// How much time one is to hold.
pub(super) fn width(retention: Option<Duration>) -> i64 {
    if retention.is_some_and(|kept| kept <= DAYS_UP_TO) { DAY } else { WEEK }
}

/// What follows the columns of a table that is made so.
pub(in crate::store) const BY_TIME: &str = " partition by range (time)";

/// Makes a partition aside and attaches it, which keeps no writer and no reader waiting.
pub(in crate::store) fn create(measurement: &str, lacking: Lacking) -> [String; 2] {
    let parent = Dialect::Postgres.data(measurement);
    let name = format!("amber_store.{}", quote(&format!("{measurement}_data_{}", date(lacking.from))));
    [
        format!(
            "create table {name} (like {parent} including all excluding indexes excluding identity excluding statistics excluding comments)"
        ),
        format!(
            "alter table {parent} attach partition {name} for values from ({}) to ({})",
            instant(lacking.from),
            instant(lacking.to)
        ),
    ]
}

/// Whether the statement makes a partition: what is written now may not need it.
pub(in crate::store) fn is_for_later(statement: &str) -> bool {
    let is_table = statement.starts_with("create table amber_store.") && statement.contains(" (like amber_store.");
    is_table || (statement.starts_with("alter table amber_store.") && statement.contains(" attach partition "))
}

/// `20251122`
pub(in crate::store) fn date(time: i64) -> String {
    Timestamp::from_microsecond(time).map_or_else(|_| time.to_string(), |at| at.strftime("%Y%m%d").to_string())
}

/// A literal that no setting of a session reads otherwise.
pub(in crate::store) fn instant(time: i64) -> String {
    match time {
        i64::MIN => "minvalue".to_owned(),
        i64::MAX => "maxvalue".to_owned(),
        _ => literal(&Time(time).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_795_608_000_000_000;
    const MIDNIGHT: i64 = NOON - DAY / 2;

    fn days(days: u64) -> Option<Duration> {
        Some(Duration::from_secs(days * 86_400))
    }

    fn part(from: i64, to: i64) -> Partition {
        Partition { name: String::new(), from, to }
    }

    #[test]
    fn a_short_retention_has_days_and_a_long_one_weeks_from_monday() {
        let lacking = Ranges::new(days(30), &[]).admit([Time(NOON), Time(NOON + 1), Time(MIDNIGHT)]);
        assert_eq!(lacking, [Lacking { from: MIDNIGHT, to: MIDNIGHT + DAY }]);
        // 2026-11-25 is a Wednesday.
        for kept in [days(90), None] {
            let lacking = Ranges::new(kept, &[]).admit([Time(NOON)]);
            assert_eq!(lacking, [Lacking { from: MIDNIGHT - 2 * DAY, to: MIDNIGHT + 5 * DAY }]);
        }
        let before = Ranges::new(days(1), &[]).admit([Time(-1)]);
        assert_eq!(before, [Lacking { from: -DAY, to: 0 }]);
    }

    #[test]
    fn new_ranges_are_fitted_in_between_those_that_are_there() {
        // Days, and the retention is now so long that weeks are wanted.
        let there = [part(i64::MIN, MIDNIGHT - DAY), part(MIDNIGHT, MIDNIGHT + DAY)];
        let mut ranges = Ranges::new(days(90), &there);
        assert!(ranges.has(Time(0)) && ranges.has(Time(NOON)) && !ranges.has(Time(MIDNIGHT - 1)));
        let lacking = ranges.cover(Time(NOON - 3 * DAY), Time(NOON + 7 * DAY));
        let expected = [
            (MIDNIGHT - DAY, MIDNIGHT),
            (MIDNIGHT + DAY, MIDNIGHT + 5 * DAY),
            (MIDNIGHT + 5 * DAY, MIDNIGHT + 12 * DAY),
        ];
        assert_eq!(lacking, expected.map(|(from, to)| Lacking { from, to }));
        assert_eq!(ranges.covered_until(Time(NOON)), Time(MIDNIGHT + 12 * DAY));
        assert_eq!(ranges.cover(Time(NOON), Time(NOON + 7 * DAY)), []);
        let open = Ranges::new(None, &[part(MIDNIGHT, i64::MAX)]).cover(Time(NOON), Time(NOON + DAY));
        assert_eq!(open, []);
    }

    #[test]
    fn a_table_has_no_more_partitions_than_a_query_can_bear() {
        let mut ranges = Ranges::new(days(1), &[]);
        let made = ranges.cover(Time(0), Time(NOON));
        assert_eq!((made.len(), ranges.len()), (MAX_PARTITIONS, MAX_PARTITIONS));
        assert_eq!(ranges.admit([Time(NOON)]), []);
        assert!(!ranges.has(Time(NOON)));
    }

    #[test]
    fn a_partition_is_made_aside_and_attached() {
        let [create, attach] = create("a\"b", Lacking { from: MIDNIGHT, to: MIDNIGHT + DAY });
        assert!(
            create.starts_with("create table amber_store.\"a\"\"b_data_20261125\" (like amber_store.\"a\"\"b_data\" ")
        );
        assert_eq!(
            attach,
            "alter table amber_store.\"a\"\"b_data\" attach partition amber_store.\"a\"\"b_data_20261125\" for values from ('2026-11-25T00:00:00Z') to ('2026-11-26T00:00:00Z')"
        );
        assert!(is_for_later(&create) && is_for_later(&attach));
        assert!(!is_for_later("create table amber_store.\"x_data\" (\n  time timestamp with time zone not null"));
        assert!(!is_for_later("alter table amber_store.\"x_data\" add column \"y\" text"));
    }
}
