//! Whether the broker sends a copy for each filter of ours that matches, or one that names them all, as MQTT 5 demands
//! (3.3.4-3 to -5): only then may a copy be left out because another is to come. Not all do: Aedes (Node-RED's broker)
//! sends one copy with the identifier of one filter.
//!
//! It is learned once a session from the messages themselves. Brokers send the copies of a message one behind the other;
//! so copies that would be left out are held until another message comes, or for a moment. If among them comes the copy
//! that is to be taken, or one that bears several identifiers, the broker is shown to send all. Else they are taken:
//! twice rather than never. What is held is in no ledger, not acknowledged, and comes again if the connection ends.

use std::time::Duration;

use tokio::time::Instant;

use crate::session::wire::Publish;

/// How long copies are held; those of one message come at once.
pub(super) const HELD_FOR: Duration = Duration::from_millis(200);
/// As many copies are held.
const MAX_HELD: usize = 64;

/// The copies of one message that came one behind the other.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// Of topic and payload.
    hash: Option<u64>,
    /// One that is taken is among them.
    is_taken: bool,
    held: Vec<Publish>,
    since: Option<Instant>,
}

/// What is to be done now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sorted {
    /// In the order in which they came.
    pub due: Vec<Publish>,
    /// The broker sends all copies.
    pub is_shown: bool,
}

impl Copies {
    /// A message that is not retained has come. `is_behind`: its identifiers say that another copy comes of it.
    pub(super) fn sort(&mut self, publish: Publish, hash: u64, is_behind: bool, now: Instant) -> Sorted {
        let mut sorted = Sorted::default();
        if self.hash != Some(hash) || self.held.len() >= MAX_HELD {
            sorted.due = self.release();
            self.hash = Some(hash);
        }
        let identifiers = publish.subscription_identifiers.iter().count();
        let is_pair = if is_behind { self.is_taken } else { identifiers > 0 && !self.held.is_empty() };
        sorted.is_shown = is_pair || identifiers > 1;
        self.is_taken |= !is_behind && identifiers > 0;
        if is_behind && !sorted.is_shown {
            self.since.get_or_insert(now);
            self.held.push(publish);
        } else {
            sorted.due.append(&mut self.held);
            sorted.due.push(publish);
            self.since = None;
        }
        sorted
    }

    /// Gives what is held, and begins anew.
    pub(super) fn release(&mut self) -> Vec<Publish> {
        std::mem::take(self).held
    }

    /// When what is held is to be given.
    pub(super) fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + HELD_FOR)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::Qos;
    use crate::session::wire::Identifiers;

    fn publish(packet_id: u16, identifiers: &[u32]) -> Publish {
        Publish {
            dup: false,
            qos: Qos::AtLeastOnce,
            retain: false,
            packet_id,
            topic: Bytes::from_static(b"t"),
            payload: Bytes::new(),
            payload_bytes: 0,
            too_large: false,
            hash: 0,
            subscription_identifiers: Identifiers::of(identifiers),
        }
    }

    /// Copies of messages (hash, identifiers), of which 1 is the first; which are due when, and whether it is shown.
    fn sorted(copies: &[(u64, &[u32])]) -> Vec<(Vec<u16>, bool)> {
        let mut sorter = Copies::default();
        let sort = |(&(hash, identifiers), packet_id): (&(u64, &[u32]), u16)| {
            let is_behind = !identifiers.is_empty() && !identifiers.contains(&1);
            let sorted = sorter.sort(publish(packet_id, identifiers), hash, is_behind, Instant::now());
            (sorted.due.iter().map(|publish| publish.packet_id).collect(), sorted.is_shown)
        };
        copies.iter().zip(1..).map(sort).collect()
    }

    #[test]
    fn a_pair_or_several_identifiers_show_a_broker_that_sends_all_copies() {
        assert_eq!(sorted(&[(7, &[1]), (7, &[2])]), [(vec![1], false), (vec![2], true)]);
        let held = (vec![], false);
        assert_eq!(sorted(&[(7, &[2]), (7, &[3]), (7, &[1])]), [held.clone(), held, (vec![1, 2, 3], true)]);
        assert_eq!(sorted(&[(7, &[2, 3])]), [(vec![1], true)]);
    }

    #[test]
    fn other_messages_show_nothing_and_what_was_held_comes_before_them() {
        let held = (vec![], false);
        let one = |packet_id| (vec![packet_id], false);
        assert_eq!(sorted(&[(7, &[1]), (8, &[2]), (9, &[1])]), [one(1), held.clone(), (vec![2, 3], false)]);
        assert_eq!(sorted(&[(7, &[]), (7, &[2]), (7, &[])]), [one(1), held.clone(), (vec![2, 3], false)]);
        assert_eq!(sorted(&[(7, &[2]), (8, &[2]), (7, &[1])]), [held, one(1), (vec![2, 3], false)]);
    }

    #[test]
    fn equal_messages_without_end_are_not_all_held() {
        let results = sorted(&[(7, &[2][..]); 1_000]);
        assert_eq!(results.iter().map(|(due, _)| due.len()).max(), Some(MAX_HELD));
        assert!(!results.iter().any(|(_, is_shown)| *is_shown));
    }
}
