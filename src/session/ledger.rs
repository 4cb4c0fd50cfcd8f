//! The delivery ledger: which deliveries are pending, settled, acknowledged, confirmed. It alone decides what is
//! stored, skipped and acknowledged.
//!
//! Pure: no clock, no I/O. It outlives connections, and is loaded at start from what the store committed. The rules,
//! each with the counterexample that shows why it is needed, are tested by a search over all interleavings
//! (`ledger/checker.rs`). In short:
//!
//! - A delivery is known, and not stored again, if and only if its PUBLISH has DUP=1 and its key is in the ledger.
//! - Nothing is acknowledged before it is settled, nor what has not come on this connection, and that once.
//! - A key leaves when the broker is known to have processed our acknowledgement: a PINGREQ went after it, and its
//!   PINGRESP came back. Until then it is in every snapshot that a batch commits beside its rows.
//!
//! QoS 0 has no place here. What mappings store again (`redelivery = "store"`: at least once, for equal payloads on
//! brokers that reuse identifiers) is known only by what came on this connection: `publish_again`.

mod key_hasher;
mod packets;
mod rule;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::num::NonZeroI64;

use crate::message::{Delivery, Key};
use key_hasher::KeyHasher;
use packets::Settled;
use rule::Rule;

pub use packets::Damaged;

/// As many keys are kept; beyond it the oldest leftovers of broken connections are dropped: a duplicate one day
/// rather than memory without bound.
pub const MAX_ENTRIES: usize = 200_000;
/// As many acknowledgements may wait for their confirmation: twice the largest window that brokers are set to. Only
/// one that keeps no window (mosquitto up to 2.0.12) puts so much in front of a PINGRESP; the oldest, long since
/// processed there, are then taken for confirmed, rather than be written beside every batch of a long drain.
pub const MAX_UNCONFIRMED: usize = 65_536;

/// All that is known of deliveries, and what the present connection owes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    entries: HashMap<Key, Entry, BuildHasherDefault<KeyHasher>>,
    /// Those with a number, as they are persisted.
    settled: Settled,
    /// Keys of QoS 2 by packet identifier: what a PUBREL can mean.
    exactly_once: HashMap<u16, Vec<Key>>,
    /// The identity that the last delivery got.
    last: u64,
    connection: Connection,
    #[cfg(test)]
    without: Option<Rule>,
}

/// What dies with a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Connection {
    /// Replies owed, in the order of receipt (MQTT 4.6).
    acks: VecDeque<Delivery>,
    /// Acknowledged and not confirmed, in the order of the acknowledgements.
    sent: VecDeque<Delivery>,
    /// Length of `sent` at each PINGREQ that is on its way.
    marks: VecDeque<usize>,
    /// A new message (DUP=0, not retained) has come: the broker is done with repeating.
    resumed: bool,
    /// Owed, not settled, and their entry was taken by a newer delivery of the same key. Only brokers that give an
    /// identifier twice at a time cause it (mosquitto up to 2.0.12); their reply still waits for their receipt.
    displaced: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Entry {
    /// Tells two messages with one key apart.
    delivery: u64,
    state: State,
    /// Of the batch that holds it; `None` before it is settled, and for ignored messages.
    number: Option<NonZeroI64>,
    here: Here,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    /// Handed on, not settled.
    Pending,
    /// Committed, or synced to the spool.
    Settled,
    /// Acknowledged for good: PUBACK sent, or PUBREL seen; or a leftover that was released.
    Acked,
}

/// What has happened to a delivery on this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Here {
    No,
    Received,
    Acked,
}

/// What is to be done with a PUBLISH of QoS 1 or 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Hand it on. `late`: it is a repetition of something unknown after new messages have come, so the broker
    /// does not repeat first, and duplicates are possible.
    Store { delivery: Delivery, late: bool },
    /// It is known: not stored again, acknowledged in its turn.
    Known,
}

/// What is to be sent for a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// QoS 1.
    PubAck(u16),
    /// QoS 2.
    PubRec(u16),
    /// To a PUBREL.
    PubComp(u16),
}

impl Ledger {
    /// The ledger as a store has it: all settled, nothing received on this connection.
    ///
    /// # Errors
    /// If `packets` is not what [`Ledger::snapshot`] gave: never an empty ledger instead.
    pub fn load(packets: &[u8]) -> Result<Self, Damaged> {
        let mut ledger = Self::default();
        for (number, key) in packets::decode(packets)? {
            ledger.last += 1;
            let entry =
                Entry { delivery: ledger.last, state: State::Settled, number: NonZeroI64::new(number), here: Here::No };
            if ledger.insert(key, entry).is_some() {
                return Err(Damaged::KeyTwice);
            }
            ledger.settled.add(number, key);
        }
        Ok(ledger)
    }

    /// A CONNACK has come: what the old connection owed is forgotten, and without a session all entries are.
    /// Returns how many leftovers were dropped because there are too many (0 is normal).
    pub fn connected(&mut self, session_present: bool) -> usize {
        let old = std::mem::take(&mut self.connection);
        if self.lacks(Rule::AcknowledgeOnlyWhatCame) {
            self.connection.acks = old.sent.into_iter().chain(old.acks).collect();
        }
        if (!session_present && !self.lacks(Rule::LostSessionClears)) || self.lacks(Rule::SurviveConnections) {
            // Deliveries in hand go on being stored; their receipts find no entry.
            self.entries.clear();
            self.settled.clear();
            self.exactly_once.clear();
            return 0;
        }
        for entry in self.entries.values_mut() {
            entry.here = Here::No;
            if entry.state == State::Acked {
                entry.state = State::Settled;
            }
        }
        let excess = self.entries.len().saturating_sub(MAX_ENTRIES);
        let dropped = if excess > 0 { self.leftovers() } else { Vec::new() };
        for delivery in dropped.iter().take(excess) {
            self.remove(delivery.key);
        }
        excess.min(dropped.len())
    }

    /// The same for what is stored again when it comes again on another connection: there an equal message of which
    /// the identifier was used before cannot be told from the one that used it, and rather is there twice than never.
    pub fn publish_again(&mut self, key: Key, dup: bool, retain: bool) -> Admit {
        if self.entries.get(&key).is_some_and(|entry| entry.here == Here::No) {
            self.remove(key);
        }
        self.publish(key, dup, retain)
    }

    /// A PUBLISH of QoS 1 or 2 has come.
    pub fn publish(&mut self, key: Key, dup: bool, retain: bool) -> Admit {
        let qos_2_needs_no_dup = key.exactly_once && self.lacks(Rule::KnownNeedsDupAlsoAtQos2);
        let (silent, again) = (self.lacks(Rule::KnownIsAcknowledged), self.lacks(Rule::KnownIsAcknowledgedOnce));
        let is_known = |entry: &Entry| dup || (qos_2_needs_no_dup && entry.state != State::Acked);
        let needs_dup = !self.lacks(Rule::KnownNeedsDup);
        if let Some(entry) = self.entries.get_mut(&key)
            && (is_known(entry) || !needs_dup)
        {
            if (entry.here == Here::No || again) && !silent {
                entry.here = Here::Received;
                self.connection.acks.push_back(Delivery { key, id: entry.delivery });
            }
            return Admit::Known;
        }
        let late = dup && self.connection.resumed;
        if !dup && !retain && !self.connection.resumed {
            self.connection.resumed = true;
            if !self.lacks(Rule::ReleaseLeftovers) && !self.lacks(Rule::KnownNeedsDupAlsoAtQos2) {
                self.release_leftovers();
            }
        }
        self.last += 1;
        let delivery = Delivery { key, id: self.last };
        let entry = Entry { delivery: self.last, state: State::Pending, number: None, here: Here::Received };
        if let Some(old) = self.insert(key, entry)
            && old.state == State::Pending
            && old.here == Here::Received
        {
            self.connection.displaced.insert(old.delivery);
        }
        self.connection.acks.push_back(delivery);
        Admit::Store { delivery, late }
    }

    /// Whether the key is in the ledger.
    pub fn knows(&self, key: Key) -> bool {
        self.entries.contains_key(&key)
    }

    /// The broker sends new messages, so it has repeated all it had to: what has not come was processed there.
    fn release_leftovers(&mut self) {
        for delivery in self.leftovers() {
            if let Some(entry) = self.entries.get_mut(&delivery.key) {
                entry.state = State::Acked;
            }
            self.connection.sent.push_back(delivery);
        }
    }

    /// Settled and not come on this connection, oldest first.
    fn leftovers(&self) -> Vec<Delivery> {
        let mut found: Vec<Delivery> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.state == State::Settled && entry.here == Here::No)
            .map(|(&key, entry)| Delivery { key, id: entry.delivery })
            .collect();
        found.sort_unstable_by_key(|delivery| delivery.id);
        found
    }

    /// `delivery` is at rest: in batch `number`, or ignored. By delivery, not by key: a receipt for an older
    /// delivery of the same key settles nothing.
    pub fn settle(&mut self, delivery: Delivery, number: Option<i64>) {
        let by_key = self.lacks(Rule::SettleByDelivery);
        match self.entries.get_mut(&delivery.key) {
            Some(entry) if entry.delivery == delivery.id || by_key => {
                if entry.state == State::Pending {
                    entry.state = State::Settled;
                    entry.number = number.and_then(NonZeroI64::new);
                    if let Some(number) = number {
                        self.settled.add(number, delivery.key);
                    }
                }
            }
            _ => {
                self.connection.displaced.remove(&delivery.id);
            }
        }
    }

    /// The next reply whose turn has come; `None` while the oldest owed is pending.
    pub fn next_reply(&mut self) -> Option<Reply> {
        let delivery = *self.connection.acks.front()?;
        let Delivery { key, id } = delivery;
        let (too_soon, at_once) = (self.lacks(Rule::AcknowledgeAfterSettling), self.lacks(Rule::ForgetAfterRoundTrip));
        match self.entries.get_mut(&key) {
            Some(entry) if entry.delivery == id => {
                if entry.state == State::Pending && !too_soon {
                    return None;
                }
                entry.here = Here::Acked;
                if at_once {
                    self.remove(key);
                } else if !key.exactly_once && entry.state != State::Acked {
                    entry.state = State::Acked;
                    self.connection.sent.push_back(delivery);
                }
            }
            // Confirmed meanwhile, which counts as settled; or displaced.
            _ if self.connection.displaced.contains(&id) => return None,
            _ => {}
        }
        self.connection.acks.pop_front();
        Some(if key.exactly_once { Reply::PubRec(key.packet_id) } else { Reply::PubAck(key.packet_id) })
    }

    /// Whether a message of QoS 2 with this identifier has come on this connection and not had its PUBREC, and none
    /// before it is waiting for a PUBREL, which therefore may not come.
    #[must_use]
    pub fn owes_pubrec(&self, packet_id: u16) -> bool {
        let keys = self.exactly_once.get(&packet_id).into_iter().flatten();
        let mut owes = false;
        for entry in keys.filter_map(|key| self.entries.get(key)) {
            match (entry.state, entry.here) {
                (State::Pending, Here::Received) => owes = true,
                (State::Settled, _) => return false,
                (State::Pending, Here::No | Here::Acked) | (State::Acked, _) => {}
            }
        }
        owes
    }

    /// A PUBREL has come; PUBCOMP is always the answer, whether it is known or not.
    pub fn pubrel(&mut self, packet_id: u16) -> Reply {
        let entries = &self.entries;
        let oldest = self
            .exactly_once
            .get(&packet_id)
            .into_iter()
            .flatten()
            .filter_map(|&key| entries.get(&key).map(|entry| (key, entry)))
            .filter(|(_, entry)| entry.state == State::Settled)
            .map(|(key, entry)| Delivery { key, id: entry.delivery })
            .min_by_key(|delivery| delivery.id);
        if let Some(delivery) = oldest {
            if let Some(entry) = self.entries.get_mut(&delivery.key) {
                entry.state = State::Acked;
            }
            self.connection.sent.push_back(delivery);
            if self.lacks(Rule::KeepAfterPubrel) {
                self.remove(delivery.key);
            }
        }
        Reply::PubComp(packet_id)
    }

    /// A PINGREQ is being sent, for whatever reason.
    pub fn ping(&mut self) {
        self.connection.marks.push_back(self.connection.sent.len());
    }

    /// A PINGRESP has come: what was acknowledged before its PINGREQ is confirmed and leaves. By delivery, not by key.
    /// Returns how many left.
    pub fn pong(&mut self) -> usize {
        // A PINGRESP that nobody asked for confirms nothing.
        let mut mark = self.connection.marks.pop_front().unwrap_or(0);
        if self.lacks(Rule::MarkPerPing) {
            mark = self.connection.marks.pop_back().unwrap_or(mark);
        }
        for other in &mut self.connection.marks {
            *other -= mark;
        }
        let by_key = self.lacks(Rule::ConfirmByDelivery);
        self.confirm(mark, by_key)
    }

    /// The oldest `count` of those sent leave; returns how many were still known.
    fn confirm(&mut self, count: usize, by_key: bool) -> usize {
        let mut confirmed = 0;
        for _ in 0..count {
            let Some(Delivery { key, id }) = self.connection.sent.pop_front() else { break };
            let is_it = |entry: &Entry| (entry.delivery == id && entry.state == State::Acked) || by_key;
            if self.entries.get(&key).is_some_and(is_it) {
                self.remove(key);
                confirmed += 1;
            }
        }
        confirmed
    }

    /// Takes the oldest acknowledgements beyond `MAX_UNCONFIRMED` for confirmed; returns how many (0 is normal).
    pub fn forget_unconfirmed(&mut self) -> usize {
        let excess = self.connection.sent.len().saturating_sub(MAX_UNCONFIRMED);
        for mark in &mut self.connection.marks {
            *mark = mark.saturating_sub(excess);
        }
        self.confirm(excess, false)
    }

    /// Acknowledged deliveries that no PINGREQ on its way would confirm.
    #[must_use]
    pub fn unmarked(&self) -> usize {
        self.connection.sent.len() - self.connection.marks.back().copied().unwrap_or(0)
    }

    /// Whether a PINGREQ is on its way.
    #[must_use]
    pub fn is_pinging(&self) -> bool {
        !self.connection.marks.is_empty()
    }

    /// Received on this connection and not yet replied to.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.connection.acks.len()
    }

    /// Deliveries that are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What batch `number` persists beside its rows: all that is settled under numbers up to its own, and its own
    /// `deliveries`. With no deliveries, what the ledger alone persists.
    pub fn snapshot(&self, deliveries: impl IntoIterator<Item = Delivery>, number: i64) -> Vec<u8> {
        let is_pending = |&Delivery { key, id }: &Delivery| {
            self.entries.get(&key).is_some_and(|entry| entry.delivery == id && entry.state == State::Pending)
        };
        let own: Vec<Key> = deliveries.into_iter().filter(is_pending).map(|delivery| delivery.key).collect();
        let is_known =
            |key, number| self.entries.get(&key).is_some_and(|entry| entry.number == NonZeroI64::new(number));
        self.settled.encode(number, is_known, &own)
    }

    fn insert(&mut self, key: Key, entry: Entry) -> Option<Entry> {
        let old = self.entries.insert(key, entry);
        if let Some(number) = old.and_then(|old| old.number) {
            self.left(number);
        }
        if key.exactly_once && old.is_none() {
            self.exactly_once.entry(key.packet_id).or_default().push(key);
        }
        old
    }

    /// A key of batch `number` is no entry any more, or one of another batch.
    fn left(&mut self, number: NonZeroI64) {
        let is_of = |key: Key| self.entries.get(&key).is_some_and(|entry| entry.number == Some(number));
        self.settled.take(number.get(), is_of);
    }

    fn remove(&mut self, key: Key) {
        if let Some(number) = self.entries.remove(&key).and_then(|entry| entry.number) {
            self.left(number);
        }
        if key.exactly_once
            && let Some(keys) = self.exactly_once.get_mut(&key.packet_id)
        {
            keys.retain(|&other| other != key);
            if keys.is_empty() {
                self.exactly_once.remove(&key.packet_id);
            }
        }
    }
}

#[cfg(test)]
mod checker;
#[cfg(test)]
mod tests;
