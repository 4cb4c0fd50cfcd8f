//! How often a device is heard: the gaps between its messages, and the interval that is usual for it. Pure.
//!
//! The usual interval is the mean of the gaps, each weighted by its own length: what somebody waits for who looks at any
//! moment. A device that sends each value on a topic of its own makes bursts of short gaps, and those weigh nothing.

use std::collections::BTreeMap;

use crate::message::Time;
use crate::row::Value;

/// A gap takes so much of the old ones' weight, at most and at least; one that is shorter than usual takes less, so that
/// a burst does not wash away what was known before it.
const FADES: (f64, f64) = (0.9, 0.995);
/// Messages of one second are of one burst: a gap between them is no news of the others, however many they are.
const SECOND: i64 = 1_000_000;
/// From so many gaps on, one counts for no more than this many times the usual: an outage, or an absence of Amber's own,
/// is no new habit.
const KNOWN: (i64, f64) = (8, 4.0);

/// The gaps between the receipts of one series.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gaps {
    /// But for those within a second.
    pub count: i64,
    /// Seconds; older ones fade.
    pub sum: f64,
    /// Of their squares; fades alike.
    pub squares: f64,
}

impl Gaps {
    /// The usual interval in seconds.
    #[must_use]
    pub fn usual(&self) -> Option<f64> {
        (self.sum > 0.0).then(|| self.squares / self.sum)
    }

    /// Learns that the next message was received at `to`, and the one before it at `from`. Messages of one moment are one.
    pub fn add(&mut self, from: Time, to: Time) {
        if to <= from {
            return;
        }
        let mut gap = to.since(from).as_secs_f64();
        let mut fade = 1.0;
        let is_apart = from.0.div_euclid(SECOND) != to.0.div_euclid(SECOND);
        if let Some(usual) = self.usual()
            && is_apart
        {
            if self.count >= KNOWN.0 {
                gap = gap.min(KNOWN.1 * usual);
            }
            fade = (1.0 - (1.0 - FADES.0) * gap / usual).clamp(FADES.0, FADES.1);
        }
        self.count += i64::from(is_apart);
        self.sum = self.sum * fade + gap;
        self.squares = self.squares * fade + gap * gap;
    }
}

/// What the table has of a device's times.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Base {
    pub last_seen: Option<Time>,
    pub last_time: Option<Time>,
    pub gaps: Gaps,
}

/// What is new of one device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct News {
    pub first_seen: Option<Time>,
    pub last_seen: Option<Time>,
    /// Time of the newest row among them.
    pub last_time: Option<Time>,
    /// As they are now, not what is new of them; none at all: as they were.
    pub gaps: Gaps,
    /// Newest value of each field of the mapping's, in their order, and the time of its row.
    pub fields: Box<[Option<Dated>]>,
    /// The same of fields by name.
    pub others: BTreeMap<Box<str>, Dated>,
}

/// A value, and the time of its row.
pub type Dated = (Time, Value);

impl News {
    /// Whether a value of a row of `time` takes the place of `known`. `first_stays`: of two of one time the first is stored.
    #[must_use]
    pub fn is_newer(known: Option<&Dated>, time: Time, first_stays: bool) -> bool {
        known.is_none_or(|(of, _)| time > *of || (time == *of && !first_stays))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The usual interval after messages at these seconds.
    fn usual(seconds: impl IntoIterator<Item = f64>) -> f64 {
        let mut gaps = Gaps::default();
        let times: Vec<Time> = seconds.into_iter().map(|second| Time((second * 1e6) as i64)).collect();
        for pair in times.windows(2) {
            gaps.add(pair[0], pair[1]);
        }
        gaps.usual().unwrap()
    }

    #[test]
    fn what_is_usual_is_the_time_between_bursts_and_neither_outage_nor_burst_changes_it_for_long() {
        let is_about = |found: f64, wanted: f64| assert!((found / wanted - 1.0).abs() < 0.15, "{found} for {wanted}");
        let minutes = |n: i32| f64::from(n) * 60.0;
        is_about(usual((0..20).map(minutes)), 60.0);
        // Six values, a topic each; and fifty.
        is_about(usual((0..20).flat_map(|n| (0..6).map(move |k| minutes(n) + 0.01 * f64::from(k)))), 60.0);
        is_about(usual((0..20).flat_map(|n| (0..50).map(move |k| minutes(n) + 0.01 * f64::from(k)))), 60.0);
        is_about(usual((0..20).flat_map(|n| (0..3_000).map(move |k| minutes(60 * n) + 0.001 * f64::from(k)))), 3_600.0);
        is_about(usual((0..3_000).map(|n| 0.1 * f64::from(n))), 0.1);
        // Ten hours without any.
        let outage = |n: i32| minutes(n) + if n >= 20 { 36_000.0 } else { 0.0 };
        assert!(usual((0..21).map(outage)) < 150.0);
        is_about(usual((0..60).map(outage)), 60.0);
        // Another habit is learnt, both ways.
        is_about(usual((0..40).map(minutes).chain((1..60).map(|n| minutes(39) + f64::from(n) * 600.0))), 600.0);
        is_about(usual((0..40).map(minutes).chain((1..1_500).map(|n| minutes(39) + f64::from(n)))), 1.0);
    }

    #[test]
    fn messages_of_one_moment_and_a_clock_that_is_set_back_are_no_gap() {
        let mut gaps = Gaps::default();
        gaps.add(Time(5), Time(5));
        gaps.add(Time(5), Time(3));
        assert_eq!(gaps, Gaps::default());
        assert_eq!(gaps.usual(), None);
    }

    #[test]
    fn of_values_the_newest_by_its_row_stays_and_of_one_time_the_one_that_is_stored() {
        let known = (Time(5), Value::Int(1));
        for first_stays in [false, true] {
            assert!(News::is_newer(None, Time(1), first_stays));
            let is_newer = |time| News::is_newer(Some(&known), Time(time), first_stays);
            assert_eq!([is_newer(4), is_newer(5), is_newer(6)], [false, !first_stays, true]);
        }
    }
}
