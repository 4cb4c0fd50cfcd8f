//! What was heard, within bounds: a house's topics whole, of a million topics a fair share.
//!
//! While all topics fit, all are kept and counted exactly. When they do not, first the payloads of each topic are
//! thinned; then every second topic is let go, chosen by a hash of its name, so that a topic is kept with all its
//! messages or not at all, and those that are kept are as varied as those that are not (adaptive sampling). This
//! repeats: the share kept is 1 in a power of two, and that share of the topics is known to be kept from its first
//! message on.
//!
//! Payloads are copied: what the network hands out is a slice of a buffer of 64 KiB, which a few bytes would hold.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::message::{Malformed, Message, Qos, Time};

/// Payloads that are longer are counted, and only their size is kept.
const MAX_PAYLOAD_BYTES: usize = 64 << 10;
/// Distinct payloads of a topic, while there is room for so many.
const PAYLOADS: usize = 32;
/// And when there is not, before whole topics are let go.
const FEWEST_PAYLOADS: usize = 4;
/// About what the bookkeeping of a topic and of a payload takes beside their bytes.
const TOPIC_BYTES: usize = 320;
const PAYLOAD_BYTES: usize = 96;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of all topics and payloads that are kept, with their bookkeeping.
    pub bytes: usize,
    pub topics: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { bytes: 32 << 20, topics: 20_000 }
    }
}

/// One topic.
#[derive(Clone, Debug)]
pub struct Heard {
    pub topic: Arc<str>,
    /// All of its messages, the retained ones included.
    pub messages: u64,
    /// Those that the broker had kept (the RETAIN flag, MQTT 3.3.1.3).
    pub retained: u64,
    /// Those without a payload, which delete what the broker keeps.
    pub empty: u64,
    pub first_at: Time,
    pub last_at: Time,
    /// First and last of those that were published while we listened: what a rate can be told from.
    pub live: Option<(Time, Time)>,
    /// Distinct, never cut, none empty; at most 32, of as many structures as there are. In the order of receipt.
    pub payloads: Vec<Payload>,
    /// Messages whose payload is too long to be kept, and the longest of them in bytes.
    pub too_long: u64,
    pub largest_bytes: usize,
    /// Bytes of `payloads` with their bookkeeping.
    bytes: usize,
}

/// One payload as it came first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    pub bytes: Bytes,
    pub received_at: Time,
    pub retain: bool,
    /// Hash of the bytes.
    hash: u64,
    /// Hash of the bytes without what varies: see [`structure`].
    structure: u64,
}

/// For readers the payload is its bytes.
impl std::ops::Deref for Payload {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.bytes
    }
}

/// What was heard.
#[derive(Clone, Debug)]
pub struct Sample {
    bounds: Bounds,
    topics: BTreeMap<Arc<str>, Heard>,
    bytes: usize,
    /// Payloads of a topic that there is room for.
    payloads: usize,
    /// 1 topic in 2 to this power is kept.
    halvings: u32,
    messages: u64,
    retained: u64,
    odd_topics: u64,
    span: Option<(Time, Time)>,
}

impl Sample {
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            topics: BTreeMap::new(),
            bytes: 0,
            payloads: PAYLOADS,
            halvings: 0,
            messages: 0,
            retained: 0,
            odd_topics: 0,
            span: None,
        }
    }

    /// Counts `message`, and keeps of it what is new.
    pub fn take(&mut self, message: &Message) {
        let at = message.received_at;
        self.messages += 1;
        self.retained += u64::from(message.retain);
        self.span = Some(self.span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        let too_long = match message.malformed {
            Some(Malformed::TopicNotUtf8 | Malformed::TopicHolds(_)) => {
                self.odd_topics += 1;
                return;
            }
            Some(Malformed::TooLarge { payload_bytes }) => Some(payload_bytes),
            None => Some(message.payload.len()).filter(|&bytes| bytes > MAX_PAYLOAD_BYTES),
        };
        if !is_kept(&message.topic, self.halvings) {
            return;
        }
        if !self.topics.contains_key(&*message.topic) {
            let topic: Arc<str> = Arc::from(&*message.topic);
            self.bytes += topic.len() + TOPIC_BYTES;
            self.topics.insert(Arc::clone(&topic), Heard::new(topic, at));
        }
        let Some(heard) = self.topics.get_mut(&*message.topic) else { return };
        self.bytes -= heard.bytes;
        heard.count(message);
        match too_long {
            Some(bytes) => {
                heard.too_long += 1;
                heard.largest_bytes = heard.largest_bytes.max(bytes);
            }
            None if message.payload.is_empty() => heard.empty += 1,
            None => heard.keep(message, self.payloads),
        }
        self.bytes += heard.bytes;
        self.fit();
    }

    /// Lets go what the bounds have no room for.
    fn fit(&mut self) {
        while self.topics.len() > self.bounds.topics.max(1) || self.bytes > self.bounds.bytes {
            if self.topics.len() <= self.bounds.topics && self.payloads > FEWEST_PAYLOADS {
                self.payloads /= 2;
                let payloads = self.payloads;
                self.topics.values_mut().for_each(|heard| heard.thin(payloads));
            } else if self.topics.len() > 1 && self.halvings < u64::BITS - 1 {
                self.halvings += 1;
                let halvings = self.halvings;
                self.topics.retain(|topic, _| is_kept(topic, halvings));
            } else if self.payloads > 0 {
                self.payloads /= 2;
                let payloads = self.payloads;
                self.topics.values_mut().for_each(|heard| heard.thin(payloads));
            } else {
                return;
            }
            let of = |heard: &Heard| heard.topic.len() + TOPIC_BYTES + heard.bytes;
            self.bytes = self.topics.values().map(of).sum();
        }
    }

    /// The topics that are kept, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Heard> {
        self.topics.values()
    }

    /// All messages that were heard, kept or not.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Those of them that the broker had kept.
    #[must_use]
    pub fn retained(&self) -> u64 {
        self.retained
    }

    /// Messages whose topic is none (not UTF-8, with a wildcard or NUL in it): counted only.
    #[must_use]
    pub fn odd_topics(&self) -> u64 {
        self.odd_topics
    }

    /// How many topics there are: exactly while all are kept, otherwise about.
    #[must_use]
    pub fn topics_heard(&self) -> u64 {
        (self.topics.len() as u64) << self.halvings
    }

    /// 1 topic in so many is kept.
    #[must_use]
    pub fn one_in(&self) -> u64 {
        1 << self.halvings
    }

    /// When the first and the last message came.
    #[must_use]
    pub fn span(&self) -> Option<(Time, Time)> {
        self.span
    }

    /// About the memory that is held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was left out, and why: a sentence each, for people.
    #[must_use]
    pub fn left_out(&self) -> Vec<String> {
        let mut said = Vec::new();
        if self.halvings > 0 {
            said.push(format!(
                "about {} topics heard, 1 in {} kept: more than {} topics, or {} MiB",
                grouped(self.topics_heard()),
                grouped(self.one_in()),
                grouped(self.bounds.topics as u64),
                self.bounds.bytes >> 20,
            ));
        } else if self.payloads < PAYLOADS {
            said.push(format!("of each topic up to {} payloads kept, to hold them all", self.payloads));
        }
        let too_long: u64 = self.topics().map(|heard| heard.too_long).sum();
        if too_long > 0 {
            let largest = self.topics().map(|heard| heard.largest_bytes).max().unwrap_or(0);
            said.push(format!(
                "{} with a payload longer than {} KiB counted only (the longest has {} bytes)",
                counted(too_long, "message"),
                MAX_PAYLOAD_BYTES >> 10,
                grouped(largest as u64),
            ));
        }
        if self.odd_topics > 0 {
            said.push(format!(
                "{} under what is no topic name (not UTF-8, or `+`, `#` or NUL in it) left out",
                counted(self.odd_topics, "message")
            ));
        }
        said
    }
}

impl Default for Sample {
    fn default() -> Self {
        Self::new(Bounds::default())
    }
}

impl Heard {
    fn new(topic: Arc<str>, at: Time) -> Self {
        Self {
            topic,
            messages: 0,
            retained: 0,
            empty: 0,
            first_at: at,
            last_at: at,
            live: None,
            payloads: Vec::new(),
            too_long: 0,
            largest_bytes: 0,
            bytes: 0,
        }
    }

    /// Its payloads as the messages that they came in.
    pub fn as_messages(&self) -> impl Iterator<Item = Message> {
        self.payloads.iter().map(|payload| Message {
            topic: (*self.topic).into(),
            payload: payload.bytes.clone(),
            qos: Qos::AtMostOnce,
            retain: payload.retain,
            received_at: payload.received_at,
            delivery: None,
            malformed: None,
        })
    }

    fn count(&mut self, message: &Message) {
        let at = message.received_at;
        self.messages += 1;
        self.first_at = self.first_at.min(at);
        self.last_at = self.last_at.max(at);
        if message.retain {
            self.retained += 1;
        } else {
            self.live = Some(self.live.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        }
    }

    /// Keeps a payload that is not among `most` ones yet: as long as there is room; then in place of one whose
    /// structure is there more than once, if its own is new; then by chance, so that early and late ones are alike.
    fn keep(&mut self, message: &Message, most: usize) {
        let hash = xxh3_64(&message.payload);
        if self.payloads.iter().any(|kept| kept.hash == hash) {
            return;
        }
        let structure = structure(&message.payload);
        let place = if self.payloads.len() < most {
            None
        } else {
            let of_own = self.payloads.iter().filter(|kept| kept.structure == structure).count();
            let place = if of_own == 0 { self.spare() } else { self.by_chance(structure, of_own, hash) };
            match place {
                Some(place) => Some(place),
                None => return,
            }
        };
        if let Some(place) = place {
            let gone = self.payloads.remove(place);
            self.bytes -= gone.bytes.len() + PAYLOAD_BYTES;
        }
        self.bytes += message.payload.len() + PAYLOAD_BYTES;
        self.payloads.push(Payload {
            bytes: Bytes::copy_from_slice(&message.payload),
            received_at: message.received_at,
            retain: message.retain,
            hash,
            structure,
        });
    }

    /// One payload of the structure that is there most often, if any is there twice.
    fn spare(&self) -> Option<usize> {
        let times = |structure| self.payloads.iter().filter(|kept| kept.structure == structure).count();
        let (times, place) =
            (0..self.payloads.len()).map(|place| (times(self.payloads[place].structure), place)).max()?;
        (times > 1).then_some(place)
    }

    /// One of the same structure, with the probability that a reservoir of its size gives the newest message.
    fn by_chance(&self, structure: u64, of_own: usize, hash: u64) -> Option<usize> {
        // The hash of a payload that is new is as good as chance, and the same again when a capture is read again.
        let drawn = usize::try_from((hash ^ self.messages.wrapping_mul(0x9e37_79b9_7f4a_7c15)) % self.messages.max(1));
        let nth = drawn.ok().filter(|&drawn| drawn < of_own)?;
        (0..self.payloads.len()).filter(|&place| self.payloads[place].structure == structure).nth(nth)
    }

    /// Keeps `most` payloads: of as many structures as possible.
    fn thin(&mut self, most: usize) {
        while self.payloads.len() > most {
            let place = self.spare().unwrap_or(self.payloads.len() - 1);
            let gone = self.payloads.remove(place);
            self.bytes -= gone.bytes.len() + PAYLOAD_BYTES;
        }
        self.payloads.shrink_to_fit();
    }
}

/// Whether a topic belongs to the share that is kept; whoever belongs to a smaller share belongs to the larger ones.
fn is_kept(topic: &str, halvings: u32) -> bool {
    xxh3_64(topic.as_bytes()).trailing_zeros() >= halvings
}

/// A hash of what does not vary between two readings: the names of members, brackets and separators; a number, a word
/// and a text are one sign each, however long. For bytes that are no JSON it is as good as any.
fn structure(payload: &[u8]) -> u64 {
    let mut signs: Vec<u8> = Vec::with_capacity(payload.len().min(256));
    let mut at = 0;
    while let Some(&byte) = payload.get(at) {
        let sign = match byte {
            b'"' => {
                let start = at + 1;
                let mut end = start;
                while end < payload.len() && payload[end] != b'"' {
                    end += if payload[end] == b'\\' { 2 } else { 1 };
                }
                at = end + 1;
                let rest = payload.get(at..).unwrap_or_default();
                if rest.trim_ascii_start().first() == Some(&b':') {
                    signs.extend_from_slice(payload.get(start..end).unwrap_or_default());
                }
                signs.push(b'"');
                continue;
            }
            b'0'..=b'9' | b'-' | b'+' | b'.' => b'0',
            byte if byte.is_ascii_alphabetic() => b'a',
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            byte if byte.is_ascii_punctuation() => byte,
            _ => 0,
        };
        // Digits with letters among them (`1.5e3`, `0xff`) are one word.
        let joins = matches!((signs.last(), sign), (Some(b'0' | b'a'), b'0' | b'a') | (Some(0), 0));
        if !joins {
            signs.push(sign);
        }
        at += 1;
    }
    xxh3_64(&signs)
}

/// `1,000,000`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn counted(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{} {what}s", grouped(number)) }
}
