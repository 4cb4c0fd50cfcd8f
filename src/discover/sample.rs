//! What was heard: of each topic how often, when, and a few payloads that differ. Bounded, whatever is sent.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::message::{Message, Time};

/// How much a sample keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Topics that are told apart; the messages of others are counted.
    pub topics: usize,
    /// Payloads of one topic that differ.
    pub payloads: usize,
    /// A longer payload is counted and not kept: a payload that is cut could not be read.
    pub payload_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { topics: 100_000, payloads: 32, payload_bytes: 64 * 1024 }
    }
}

/// What was heard of one topic.
#[derive(Clone, Debug)]
pub struct Heard {
    pub topic: Box<str>,
    pub messages: u64,
    /// How many of them bore the RETAIN flag.
    pub retained: u64,
    pub first_at: Time,
    pub last_at: Time,
    /// Distinct, in the order in which they came, none of them cut.
    pub payloads: Vec<Bytes>,
    /// Messages whose payload was too long to be kept.
    pub too_long: u64,
}

/// What the bounds left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Messages of topics beyond `Bounds::topics`.
    pub messages: u64,
    /// Messages whose payload was longer than `Bounds::payload_bytes`.
    pub too_long: u64,
}

/// Messages that were heard, by topic.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    bounds: Bounds,
    heard: BTreeMap<Box<str>, Heard>,
    left_out: LeftOut,
}

impl Sample {
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    pub fn take(&mut self, message: &Message) {
        if !self.heard.contains_key(&message.topic) && self.heard.len() >= self.bounds.topics {
            self.left_out.messages += 1;
            return;
        }
        let heard = self.heard.entry(message.topic.clone()).or_insert_with(|| Heard {
            topic: message.topic.clone(),
            messages: 0,
            retained: 0,
            first_at: message.received_at,
            last_at: message.received_at,
            payloads: Vec::new(),
            too_long: 0,
        });
        heard.messages += 1;
        heard.retained += u64::from(message.retain);
        heard.first_at = heard.first_at.min(message.received_at);
        heard.last_at = heard.last_at.max(message.received_at);
        if message.payload.len() > self.bounds.payload_bytes {
            heard.too_long += 1;
            self.left_out.too_long += 1;
        } else if heard.payloads.len() < self.bounds.payloads && !heard.payloads.contains(&message.payload) {
            heard.payloads.push(message.payload.clone());
        }
    }

    /// In the order of their names.
    pub fn topics(&self) -> impl Iterator<Item = &Heard> {
        self.heard.values()
    }

    #[must_use]
    pub fn left_out(&self) -> LeftOut {
        self.left_out
    }
}
