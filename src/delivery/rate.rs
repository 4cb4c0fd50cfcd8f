//! Which rejects are kept: so many a minute for each mapping and reason. The others are settled and counted, so that a
//! flood of bad payloads costs a number and neither memory nor disk.
//!
//! Mappings and reasons are closed sets, so that this table is bounded. The minute is that of the time of receipt: a
//! batch that is tried again is decided no second time, and a clock that jumps only begins another minute.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tracing::warn;

use crate::batch::Batch;
use crate::message::{Message, Time};
use crate::row::{Reason, Reject};

/// Rejects that are not kept, by reason.
pub(super) type Unkept = BTreeMap<Reason, u64>;

const MINUTE_MICROS: i64 = 60_000_000;

#[derive(Debug)]
pub(super) struct Rate {
    per_minute: u64,
    kinds: HashMap<(Option<Arc<str>>, Reason), Minute>,
}

/// The latest minute of one mapping and reason.
#[derive(Debug, Default)]
struct Minute {
    number: i64,
    kept: u64,
    /// Not kept in this minute.
    unkept: u64,
    /// Not kept since the last one that was.
    untold: u64,
    /// The log has said that not all are kept, and it has been so ever since.
    said: bool,
}

impl Minute {
    fn turn(&mut self, at: Time) {
        let number = at.0.div_euclid(MINUTE_MICROS);
        if number != self.number {
            self.said &= self.unkept > 0;
            (self.number, self.kept, self.unkept) = (number, 0, 0);
        }
    }

    /// `count` are not kept.
    fn pass(&mut self, count: u64, (mapping, reason): &(Option<Arc<str>>, Reason), per_minute: u64) {
        self.unkept += count;
        self.untold += count;
        if count > 0 && !std::mem::replace(&mut self.said, true) {
            let mapping = mapping.as_deref().unwrap_or("");
            warn!(
                mapping,
                reason = reason.word(),
                per_minute,
                "more rejects a minute than are kept; the others are counted: look at `amber.rejects` (SQLite: `rejects`) for \
                 what is wrong with them, or raise `[rejects] per_minute`"
            );
        }
    }
}

impl Rate {
    pub(super) fn new(per_minute: u64) -> Self {
        Self { per_minute, kinds: HashMap::new() }
    }

    /// The bound is another one, and mappings that are gone need no minutes.
    pub(super) fn follow(&mut self, per_minute: u64, is_mapping: impl Fn(&str) -> bool) {
        self.per_minute = per_minute;
        self.kinds.retain(|(mapping, _), _| mapping.as_deref().is_none_or(&is_mapping));
    }

    /// Those of `rejects`, all of `messages`, that are kept; the first one after some that were not says how many.
    pub(super) fn keep(
        &mut self,
        messages: &[Message],
        rejects: Vec<(usize, Reject)>,
        unkept: &mut Unkept,
    ) -> Vec<(usize, Reject)> {
        let keep = |(origin, mut reject): (usize, Reject)| {
            let kind = (reject.mapping.clone(), reject.reason);
            let minute = self.kinds.entry(kind.clone()).or_default();
            minute.turn(messages[origin].received_at);
            if minute.kept >= self.per_minute {
                minute.pass(1, &kind, self.per_minute);
                *unkept.entry(reject.reason).or_default() += 1;
                return None;
            }
            minute.kept += 1;
            let untold = std::mem::take(&mut minute.untold);
            if untold > 0 {
                reject
                    .detail
                    .push_str(&format!(" ({untold} more of this reason came before and were counted, not kept)"));
            }
            Some((origin, reject))
        };
        rejects.into_iter().filter_map(keep).collect()
    }

    /// How many rejects of each mapping of `batch` may be kept if the store refuses rows.
    pub(super) fn room(&mut self, batch: &Batch) -> HashMap<Arc<str>, u64> {
        let at = batch.first_at().unwrap_or(Time(0));
        let mut room = HashMap::new();
        for (_, row) in &batch.rows {
            room.entry(Arc::clone(&row.mapping)).or_insert_with(|| {
                let minute = self.kinds.entry((Some(Arc::clone(&row.mapping)), Reason::Refused)).or_default();
                minute.turn(at);
                self.per_minute.saturating_sub(minute.kept)
            });
        }
        room
    }

    /// The store has refused rows of so many messages of `mapping`: how many it kept, by the `room` it was given.
    pub(super) fn refused(&mut self, mapping: &Arc<str>, messages: u64, unkept: &mut Unkept) -> u64 {
        let kind = (Some(Arc::clone(mapping)), Reason::Refused);
        let minute = self.kinds.entry(kind.clone()).or_default();
        let kept = messages.min(self.per_minute.saturating_sub(minute.kept));
        minute.kept += kept;
        minute.pass(messages - kept, &kind, self.per_minute);
        if messages > kept {
            *unkept.entry(Reason::Refused).or_default() += messages - kept;
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Qos;

    /// A reject of each message, which came at these seconds.
    fn rejects(seconds: &[i64], mapping: &str, reason: Reason) -> (Vec<Message>, Vec<(usize, Reject)>) {
        let message = |seconds: &i64| Message {
            topic: "t".into(),
            payload: bytes::Bytes::new(),
            qos: Qos::AtMostOnce,
            retain: false,
            received_at: Time(seconds * 1_000_000),
            delivery: None,
            malformed: None,
        };
        let reject = |origin| (origin, Reject { mapping: Some(mapping.into()), reason, detail: "bad".to_owned() });
        (seconds.iter().map(message).collect(), (0..seconds.len()).map(reject).collect())
    }

    /// Positions and details of those that are kept.
    fn keep(rate: &mut Rate, seconds: &[i64], mapping: &str, reason: Reason) -> (Vec<usize>, Vec<String>, u64) {
        let (messages, rejects) = rejects(seconds, mapping, reason);
        let mut unkept = Unkept::new();
        let kept = rate.keep(&messages, rejects, &mut unkept);
        let (origins, details) = kept.into_iter().map(|(origin, reject)| (origin, reject.detail)).unzip();
        (origins, details, unkept.values().sum())
    }

    #[test]
    fn so_many_a_minute_are_kept_and_the_next_one_that_is_kept_tells_how_many_were_not() {
        let mut rate = Rate::new(2);
        let (kept, details, unkept) = keep(&mut rate, &[0, 1, 2, 59, 60, 61, 62], "m", Reason::Payload);
        assert_eq!((kept, unkept), (vec![0, 1, 4, 5], 3));
        assert_eq!(
            details,
            ["bad", "bad", "bad (2 more of this reason came before and were counted, not kept)", "bad"]
        );
        // The minute goes on in the next batch.
        let (kept, _, unkept) = keep(&mut rate, &[119, 120], "m", Reason::Payload);
        assert_eq!((kept, unkept), (vec![1], 1));
    }

    #[test]
    fn each_mapping_and_reason_has_a_number_of_its_own() {
        let mut rate = Rate::new(1);
        for (mapping, reason) in [("m", Reason::Payload), ("m", Reason::Field), ("other", Reason::Payload)] {
            assert_eq!(keep(&mut rate, &[0, 0], mapping, reason).0, [0], "{mapping} {reason:?}");
        }
    }

    #[test]
    fn a_clock_that_jumps_begins_another_minute_and_loses_no_count() {
        let mut rate = Rate::new(1);
        let (kept, _, unkept) = keep(&mut rate, &[100, 100, -86_400, -86_400, 100, 1 << 40], "m", Reason::Time);
        assert_eq!((kept, unkept), (vec![0, 2, 4, 5], 2));
    }

    #[test]
    fn it_is_said_once_while_it_lasts() {
        let mut rate = Rate::new(1);
        let said = |rate: &Rate| rate.kinds.values().all(|minute| minute.said);
        keep(&mut rate, &[0], "m", Reason::Time);
        assert!(!said(&rate));
        keep(&mut rate, &[1, 61, 61], "m", Reason::Time);
        assert!(said(&rate));
        keep(&mut rate, &[121], "m", Reason::Time);
        assert!(said(&rate), "the minute before had some");
        keep(&mut rate, &[181], "m", Reason::Time);
        assert!(!said(&rate));
    }

    #[test]
    fn the_table_grows_with_mappings_and_reasons_only() {
        let mut rate = Rate::new(10);
        for second in 0..100_000 {
            keep(&mut rate, &[second * 7], if second % 2 == 0 { "a" } else { "b" }, Reason::ALL[second as usize % 10]);
        }
        assert!(rate.kinds.len() <= 2 * Reason::ALL.len());
    }
}
