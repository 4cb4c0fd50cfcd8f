//! Which topics were ignored lately, for people who look for what their mapping misses: a bounded memory.
//!
//! It is filled by who maps, so it must cost next to nothing: a look at a lock that is nearly always free, and a copy of the
//! beginning of a payload. Of a flood only some messages are noted, each for many; who reads may make a note be left out,
//! never wait. Counts are therefore good for people, and the metrics are exact.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::message::{Message, Time};
use crate::row::Ignored;

/// Topics that are remembered.
const MAX_TOPICS: usize = 200;
/// Of a topic: longer ones are counted among the others.
const MAX_TOPIC_BYTES: usize = 1_024;
/// Of a payload.
const SHOWN_BYTES: usize = 256;
/// Messages of a second that are noted one by one, and of those beyond one in so many.
const EACH: u32 = 500;
const ONE_IN: u32 = 64;

/// The memory, shared by who maps and who shows it.
#[derive(Debug, Default)]
pub struct IgnoredTopics(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    topics: HashMap<Box<str>, Heard>,
    /// Messages of topics that are not remembered.
    others: u64,
    /// When it began.
    since: Option<Time>,
    /// The second of the last note, and how many messages it had so far.
    second: i64,
    in_second: u32,
}

#[derive(Clone, Debug)]
struct Heard {
    reason: Ignored,
    count: u64,
    last_at: Time,
    payload: Vec<u8>,
    payload_bytes: usize,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoredTopic {
    pub topic: String,
    /// Of the newest message.
    pub reason: Ignored,
    pub count: u64,
    pub last_at: Time,
    /// The beginning of the newest payload, and how long it was.
    pub payload: Vec<u8>,
    pub payload_bytes: usize,
}

/// All that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnoredLately {
    /// The most frequent first.
    pub topics: Vec<IgnoredTopic>,
    /// Messages of other topics.
    pub others: u64,
    /// `None`: nothing was ignored.
    pub since: Option<Time>,
}

impl IgnoredTopics {
    /// Notes a message that was ignored, unless there are very many or somebody reads just now.
    pub fn note(&self, message: &Message, reason: Ignored) {
        if let Ok(mut memory) = self.0.try_lock() {
            memory.note(message, reason);
        }
    }

    /// Begins anew: another mapping is in force.
    pub fn forget(&self) {
        *self.0.lock().expect("no holder of this lock panics") = Memory::default();
    }

    #[must_use]
    pub fn lately(&self) -> IgnoredLately {
        let memory = self.0.lock().expect("no holder of this lock panics");
        let heard: Vec<(Box<str>, Heard)> =
            memory.topics.iter().map(|(topic, heard)| (topic.clone(), heard.clone())).collect();
        let (others, since) = (memory.others, memory.since);
        drop(memory);
        let of = |(topic, heard): (Box<str>, Heard)| {
            let Heard { reason, count, last_at, payload, payload_bytes } = heard;
            IgnoredTopic { topic: topic.into(), reason, count, last_at, payload, payload_bytes }
        };
        let mut topics: Vec<IgnoredTopic> = heard.into_iter().map(of).collect();
        topics.sort_by(|a, b| (b.count, b.last_at).cmp(&(a.count, a.last_at)).then_with(|| a.topic.cmp(&b.topic)));
        IgnoredLately { topics, others, since }
    }
}

impl Memory {
    fn note(&mut self, message: &Message, reason: Ignored) {
        let second = message.received_at.0.div_euclid(1_000_000);
        if second != self.second {
            (self.second, self.in_second) = (second, 0);
        }
        self.in_second = self.in_second.saturating_add(1);
        let stands_for = match self.in_second {
            ..=EACH => 1,
            many if many % ONE_IN == 0 => ONE_IN,
            _ => return,
        };
        self.since.get_or_insert(message.received_at);
        let cut = &message.payload[..message.payload.len().min(SHOWN_BYTES)];
        if let Some(heard) = self.topics.get_mut(&message.topic) {
            heard.reason = reason;
            heard.count += u64::from(stands_for);
            heard.last_at = message.received_at;
            heard.payload.clear();
            heard.payload.extend_from_slice(cut);
            heard.payload_bytes = message.payload.len();
            return;
        }
        if message.topic.len() > MAX_TOPIC_BYTES {
            self.others += u64::from(stands_for);
            return;
        }
        if self.topics.len() >= MAX_TOPICS {
            self.make_room();
        }
        let heard = Heard {
            reason,
            count: stands_for.into(),
            last_at: message.received_at,
            payload: cut.to_vec(),
            payload_bytes: message.payload.len(),
        };
        self.topics.insert(message.topic.clone(), heard);
    }

    /// The least frequent gives way, of those the one that was not heard for longest: what is frequent stays, and what is new
    /// is seen.
    fn make_room(&mut self) {
        let least = self.topics.iter().min_by_key(|(_, heard)| (heard.count, heard.last_at));
        let Some(least) = least.map(|(topic, _)| topic.clone()) else { return };
        self.others += self.topics.remove(&least).map_or(0, |heard| heard.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(topics: &IgnoredTopics, topic: &str, payload: &str, at_us: i64) {
        let message = crate::explain::message(topic, payload.into(), false, Time(at_us));
        topics.note(&message, Ignored::Unmapped);
    }

    #[test]
    fn memory_is_bounded_and_what_is_frequent_stays_whatever_else_is_heard() {
        let topics = IgnoredTopics::default();
        let long = "x".repeat(10_000);
        for second in 0..100 {
            note(&topics, "frequent", "1", second * 1_000_000);
            for number in 0..100 {
                note(&topics, &format!("rare/{second}/{number}"), &long, second * 1_000_000 + number);
            }
            note(&topics, &long, "1", second * 1_000_000 + 200);
        }
        let lately = topics.lately();
        assert_eq!(lately.topics.len(), MAX_TOPICS);
        let first = &lately.topics[0];
        assert_eq!((first.topic.as_str(), first.count, first.last_at), ("frequent", 100, Time(99_000_000)));
        assert!(lately.topics.iter().all(|topic| topic.payload.len() <= SHOWN_BYTES));
        assert_eq!(lately.topics[1].payload_bytes, 10_000);
        assert!(lately.topics.iter().any(|topic| topic.topic == "rare/99/99"), "what is new is seen");
        let all: u64 = lately.topics.iter().map(|topic| topic.count).sum::<u64>() + lately.others;
        assert_eq!(all, 100 * 102, "none is lost from the count");
    }

    #[test]
    fn of_a_flood_some_are_noted_for_all() {
        let topics = IgnoredTopics::default();
        for number in 0..100_000 {
            note(&topics, "flood", "1", number * 10);
        }
        let count = topics.lately().topics[0].count;
        assert!((99_000..=101_000).contains(&count), "{count}");
    }

    #[test]
    fn who_reads_never_makes_who_maps_wait() {
        let topics = IgnoredTopics::default();
        let held = topics.0.lock().unwrap();
        note(&topics, "a", "1", 0);
        drop(held);
        assert!(topics.lately().topics.is_empty());
        note(&topics, "a", "1", 0);
        assert_eq!(topics.lately().topics.len(), 1);
        topics.forget();
        assert_eq!(topics.lately(), IgnoredLately::default());
    }
}
