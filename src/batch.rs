//! Outcomes gathered until the store is free: a `Batch` becomes one transaction. No I/O.
//!
//! A batch keeps its messages, because a row that the database refuses becomes a reject with the raw payload.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::message::{Delivery, Message, Time};
use crate::row::{Mapped, Outcome, Reason, Reject, Row};

/// Enough to make a commit's fixed cost small; more only makes the statement slower to answer.
pub const MAX_ROWS: usize = 5_000;
/// Of rows and rejected payloads: bounds a statement.
pub const MAX_BYTES: usize = 4 << 20;

/// Bytes kept of the payload of a reject.
pub const MAX_REJECT_PAYLOAD: usize = 64 << 10;

/// What one transaction stores.
#[derive(Debug, Default)]
pub struct Batch {
    /// Those that have a row or a reject in it, or had one that need not be stored; in order of receipt.
    pub messages: Vec<Message>,
    /// Each with the position of its message in `messages`; in order of receipt.
    pub rows: Vec<(usize, Row)>,
    /// Likewise.
    pub rejects: Vec<(usize, Reject)>,
    bytes: usize,
    first_at: Option<Time>,
    room_for_refused: Option<HashMap<Arc<str>, u64>>,
}

impl Batch {
    /// Messages that have nothing but these rows, for tests of what comes after.
    #[cfg(test)]
    pub(crate) fn of(messages: impl IntoIterator<Item = Vec<crate::row::Row>>) -> Self {
        let mut batch = Self::default();
        for rows in messages {
            let message = Message {
                topic: "x".into(),
                payload: bytes::Bytes::new(),
                qos: crate::message::Qos::AtMostOnce,
                retain: false,
                received_at: Time(0),
                delivery: None,
                malformed: None,
            };
            let outcome = Outcome::Rows { rows, rejects: vec![] };
            assert!(batch.push(message, Mapped { outcome, dropped: vec![], expired: vec![] }).is_none());
        }
        batch
    }

    /// Takes in what mapping made of `message`; an ignored message has no place here and is given back.
    pub fn push(&mut self, message: Message, mapped: Mapped) -> Option<Message> {
        let origin = self.messages.len();
        match mapped.outcome {
            Outcome::Ignored(_) => return Some(message),
            Outcome::Rows { rows, rejects } => {
                self.bytes += rows.iter().map(Row::bytes).sum::<usize>();
                self.rows.extend(rows.into_iter().map(|row| (origin, row)));
                self.push_rejects(origin, rejects, &message);
            }
            Outcome::Rejected(reject) => self.push_rejects(origin, vec![reject], &message),
        }
        self.first_at.get_or_insert(message.received_at);
        self.messages.push(message);
        None
    }

    fn push_rejects(&mut self, origin: usize, rejects: Vec<Reject>, message: &Message) {
        for reject in rejects {
            self.bytes += message.payload.len() + reject.detail.len();
            self.rejects.push((origin, reject));
        }
    }

    /// Makes rejects of rows (position and why, ascending), one for each message and mapping.
    pub fn reject(&mut self, rows: Vec<(usize, String)>, reason: Reason) -> Vec<(usize, Reject)> {
        let mut why = rows.into_iter().peekable();
        let mut rejects: Vec<(usize, Reject, usize)> = Vec::new();
        let mut position = 0;
        self.rows.retain(|(origin, row)| {
            let refused = why.next_if(|(refused, _)| *refused == position);
            position += 1;
            let Some((_, detail)) = refused else { return true };
            let same = rejects.iter_mut().rev().take_while(|(of, ..)| of == origin);
            match same.into_iter().find(|(_, reject, _)| reject.mapping.as_ref() == Some(&row.mapping)) {
                Some((.., more)) => *more += 1,
                None => rejects.push((*origin, Reject { mapping: Some(row.mapping.clone()), reason, detail }, 0)),
            }
            false
        });
        let told = |(origin, mut reject, more): (usize, Reject, usize)| {
            if more > 0 {
                reject.detail.push_str(&format!(" (and {more} more rows)"));
            }
            (origin, reject)
        };
        rejects.into_iter().map(told).collect()
    }

    /// Adds rejects of its messages.
    pub fn add_rejects(&mut self, rejects: Vec<(usize, Reject)>) {
        self.rejects.extend(rejects);
        self.rejects.sort_by_key(|(origin, _)| *origin);
    }

    /// Bounds how many rejects of rows that the store refuses are kept, by mapping; the others are dropped there.
    pub fn bound_refused(&mut self, room: HashMap<Arc<str>, u64>) {
        self.room_for_refused = Some(room);
    }

    /// Those of `refused`, positions of rows, that are kept as rejects: the first one of each message and mapping, and
    /// how many more there are of it, because each reject has the payload of the whole message.
    pub fn kept_of<'r, T>(&self, refused: &'r [(usize, T)]) -> Vec<(&'r (usize, T), usize)> {
        let mut left = self.room_for_refused.clone();
        let mut kept: Vec<(&'r (usize, T), usize)> = Vec::new();
        // Their places in `kept`; `None` where there was no room.
        let mut places: HashMap<(usize, &Arc<str>), Option<usize>> = HashMap::new();
        for one in refused {
            let (origin, row) = &self.rows[one.0];
            match places.entry((*origin, &row.mapping)) {
                Entry::Occupied(place) => {
                    if let Some(place) = place.get() {
                        kept[*place].1 += 1;
                    }
                }
                Entry::Vacant(place) => {
                    let has_room = left.as_mut().is_none_or(|left| {
                        left.get_mut(&row.mapping).filter(|left| **left > 0).map(|left| *left -= 1).is_some()
                    });
                    place.insert(has_room.then_some(kept.len()));
                    if has_room {
                        kept.push((one, 0));
                    }
                }
            }
        }
        kept
    }

    /// About what its rejects take in the store.
    #[must_use]
    pub fn reject_bytes(&self) -> u64 {
        let bytes = |(origin, reject): &(usize, Reject)| {
            let message = &self.messages[*origin];
            (message.payload.len().min(MAX_REJECT_PAYLOAD) + message.topic.len() + reject.detail.len()) as u64
        };
        self.rejects.iter().map(bytes).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether it should be sealed as soon as the store is free, whatever the commit interval.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.rows.len() >= MAX_ROWS || self.bytes >= MAX_BYTES || self.messages.len() >= MAX_ROWS
    }

    /// Receipt of its oldest message.
    #[must_use]
    pub fn first_at(&self) -> Option<Time> {
        self.first_at
    }

    /// Receipt of its newest message.
    #[must_use]
    pub fn last_at(&self) -> Option<Time> {
        self.messages.last().map(|message| message.received_at)
    }

    /// What the receipt will settle. QoS 0 has no delivery.
    pub fn deliveries(&self) -> impl Iterator<Item = Delivery> {
        self.messages.iter().filter_map(|message| message.delivery)
    }
}
