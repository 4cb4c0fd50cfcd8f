//! The questions to one connection's broker, and what it answered.

use std::collections::{HashMap, HashSet};

use super::Refused;
use crate::message::Qos;
use crate::session::wire::Retained;
use crate::topic::{Subscription, TopicFilter};

/// SUBACK: the broker takes no subscription identifiers, though its CONNACK did not say so (MQTT 5, 3.9.3).
const NO_IDENTIFIERS: u8 = 0xA1;

/// What was asked of one connection's broker, and what is not answered yet. By positions of what is wanted.
#[derive(Debug, Default)]
pub(in crate::session) struct Asked {
    questions: Vec<Question>,
    /// Whether filters bear identifiers.
    pub(super) identifiers: bool,
    subscribe: HashMap<u16, Vec<usize>>,
    unsubscribe: HashSet<u16>,
    /// How many filters were unsubscribed.
    unsubscribing: usize,
    /// To be unsubscribed.
    stale: Vec<String>,
    /// Only when all SUBSCRIBEs are answered.
    stale_waits: bool,
    /// What has an identifier that the store does not know yet waits for it.
    pub(super) awaits_store: bool,
    /// Nothing waits for the store.
    pub(super) is_hasty: bool,
    /// By position, in a round that is not the first of the connection: what need not be asked for again.
    has: Vec<Option<Had>>,
    last_packet_id: u16,
    last_rank: usize,
    pub(in crate::session) refused: Vec<Refused>,
    /// Filters granted at a lower QoS than asked for, and that QoS.
    pub(in crate::session) lowered: Vec<(TopicFilter, u8)>,
    /// Positions of filters whose retained messages are new to us; on 3.1.1 the others send theirs again.
    pub(super) retained: HashSet<usize>,
}

/// One filter.
#[derive(Debug)]
struct Question {
    /// Its place in the order in which filters are asked for.
    rank: usize,
    /// 0: none.
    identifier: u32,
    /// What `identifier` says to stand before it.
    before: Vec<usize>,
    state: State,
    /// Of the newest SUBSCRIBE; what an older one is answered is of no interest.
    packet_id: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Asked,
    Granted,
    /// Granted at a lower QoS.
    Lowered(u8),
    Refused,
}

/// What the broker has of a filter since an earlier round on the same connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Had {
    identifier: u32,
    state: State,
}

/// What a filter was granted.
pub(super) struct Granted<'a> {
    pub position: usize,
    /// If it is lower than asked for.
    pub qos: Option<u8>,
    pub identifier: u32,
    pub before: &'a [usize],
}

impl Asked {
    /// All wait, in this order.
    pub(super) fn new(order: &[usize], identifiers: bool, stale: Vec<String>, stale_waits: bool) -> Self {
        let question = |rank| Question { rank, identifier: 0, before: Vec::new(), state: State::Waiting, packet_id: 0 };
        let mut questions: Vec<Question> = order.iter().map(|_| question(0)).collect();
        for (rank, &position) in order.iter().enumerate() {
            questions[position].rank = rank;
        }
        Self { last_rank: questions.len(), questions, identifiers, stale, stale_waits, ..Self::default() }
    }

    /// The next round on the same connection; `has` by position.
    pub(super) fn next(&self, order: &[usize], stale: Vec<String>, waits: bool, has: Vec<Option<Had>>) -> Self {
        let new = Self::new(order, self.identifiers, stale, self.identifiers && waits);
        Self { last_packet_id: self.last_packet_id, has, ..new }
    }

    /// What the broker has, by position.
    pub(super) fn has(&self) -> impl Iterator<Item = (usize, Had)> {
        let had = |(position, one): (usize, &Question)| match one.state {
            state @ (State::Granted | State::Lowered(_)) => Some((position, Had { identifier: one.identifier, state })),
            State::Waiting | State::Asked | State::Refused => None,
        };
        self.questions.iter().enumerate().filter_map(had)
    }

    /// Whether the broker has it just so, and need not be asked.
    pub(super) fn keeps(&mut self, position: usize, identifier: u32, before: &[usize], retained: Retained) -> bool {
        let has = self.has.get_mut(position).and_then(Option::take);
        // Retained messages come of a SUBSCRIBE only.
        let has = has.filter(|had| had.identifier == identifier && retained != Retained::Always);
        if let Some(Had { state, .. }) = has {
            let question = &mut self.questions[position];
            *question = Question { identifier, before: before.to_vec(), state, ..*question };
        }
        has.is_some()
    }

    /// Whether filters bear identifiers.
    pub(in crate::session) fn are_identified(&self) -> bool {
        self.identifiers
    }

    /// Whether a filter waits until the store has written down its identifier.
    pub(in crate::session) fn awaits_store(&self) -> bool {
        self.awaits_store
    }

    /// How many filters are asked for, and how many are to be unsubscribed, as far as is known by now.
    pub(in crate::session) fn outstanding(&self) -> (usize, usize) {
        let asked = self.questions.iter().filter(|one| matches!(one.state, State::Waiting | State::Asked)).count();
        (asked, self.stale.len() + self.unsubscribing)
    }

    /// Asks for these anew, behind all others.
    pub(super) fn restart(&mut self, positions: impl Iterator<Item = usize>) {
        for position in positions {
            self.last_rank += 1;
            self.questions[position].rank = self.last_rank;
            self.questions[position].state = State::Waiting;
        }
    }

    /// Asks for it anew; what it was asked for last is of no interest any more.
    pub(super) fn wait_again(&mut self, position: usize) {
        let question = &mut self.questions[position];
        (question.state, question.packet_id) = (State::Waiting, 0);
    }

    /// Positions of those that wait, in their order.
    pub(super) fn waiting(&self) -> Vec<usize> {
        let is_waiting = |position: &usize| self.questions[*position].state == State::Waiting;
        let mut waiting: Vec<usize> = (0..self.questions.len()).filter(is_waiting).collect();
        waiting.sort_by_key(|&position| self.questions[position].rank);
        waiting
    }

    pub(super) fn rank(&self, position: usize) -> usize {
        self.questions[position].rank
    }

    pub(super) fn is_ahead(&self, one: usize, other: usize) -> bool {
        self.questions[one].rank < self.questions[other].rank
    }

    /// Whether `one` was said to stand before `other`.
    pub(super) fn stands_before(&self, one: usize, other: usize) -> bool {
        self.questions[other].before.contains(&one)
    }

    /// Whether what the broker has of it is known.
    pub(super) fn is_settled(&self, position: usize) -> bool {
        !matches!(self.questions[position].state, State::Waiting | State::Asked)
    }

    pub(super) fn is_refused(&self, position: usize) -> bool {
        self.questions[position].state == State::Refused
    }

    pub(super) fn has_failed(&self, position: usize) -> bool {
        matches!(self.questions[position].state, State::Lowered(_) | State::Refused)
    }

    /// A filter is being asked for.
    pub(super) fn is_asked(&mut self, position: usize, identifier: u32, before: Vec<usize>) {
        let question = &mut self.questions[position];
        *question = Question { identifier, before, state: State::Asked, ..*question };
    }

    pub(super) fn next_packet_id(&mut self) -> u16 {
        self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
        self.last_packet_id
    }

    pub(super) fn sent(&mut self, packet_id: u16, positions: Vec<usize>) {
        for &position in &positions {
            self.questions[position].packet_id = packet_id;
        }
        self.subscribe.insert(packet_id, positions);
    }

    /// What is to be unsubscribed by now.
    pub(super) fn unsubscribe_now(&mut self) -> Vec<String> {
        let waits = !self.subscribe.is_empty() || self.questions.iter().any(|one| one.state == State::Waiting);
        if self.stale_waits && waits { Vec::new() } else { std::mem::take(&mut self.stale) }
    }

    pub(super) fn unsubscribed(&mut self, packet_id: u16, filters: usize) {
        self.unsubscribe.insert(packet_id);
        self.unsubscribing += filters;
    }

    /// How many filters the SUBSCRIBE with this packet identifier asks for; `None` if it is answered, or never was.
    pub(in crate::session) fn filters(&self, packet_id: u16) -> Option<usize> {
        self.subscribe.get(&packet_id).map(Vec::len)
    }

    /// A SUBACK has come: the positions of those not granted as asked for; `None` if nobody asked.
    pub(super) fn suback(&mut self, packet_id: u16, codes: &[u8], wanted: &[Subscription]) -> Option<Vec<usize>> {
        let positions = self.subscribe.remove(&packet_id)?;
        let mut failed = Vec::new();
        for (index, position) in positions.into_iter().enumerate() {
            let question = &mut self.questions[position];
            if question.packet_id != packet_id {
                continue;
            }
            let Subscription { filter, qos, .. } = &wanted[position];
            // A code that is missing is no grant.
            question.state = match codes.get(index).copied().unwrap_or(0x80) {
                granted if granted < qos.level() => {
                    self.lowered.push((filter.clone(), granted));
                    State::Lowered(granted)
                }
                // More than was asked for is harmless.
                granted if Qos::from_level(granted).is_some() => State::Granted,
                NO_IDENTIFIERS if question.identifier != 0 => {
                    self.identifiers = false;
                    State::Waiting
                }
                code => {
                    self.refused.push(Refused { filter: filter.clone(), code });
                    State::Refused
                }
            };
            if question.state != State::Granted {
                failed.push(position);
            }
        }
        Some(failed)
    }

    /// `false` if nobody asked.
    pub(in crate::session) fn unsuback(&mut self, packet_id: u16) -> bool {
        self.unsubscribe.remove(&packet_id)
    }

    pub(in crate::session) fn is_answered(&self) -> bool {
        let is_waiting = self.questions.iter().any(|one| one.state == State::Waiting);
        self.subscribe.is_empty() && self.unsubscribe.is_empty() && !is_waiting
    }

    /// UNSUBSCRIBEs that are not answered.
    #[cfg(test)]
    pub(super) fn unsubscribes(&self) -> usize {
        self.unsubscribe.len()
    }

    /// What was granted, in the order of asking.
    pub(super) fn granted(&self) -> impl Iterator<Item = Granted<'_>> {
        let mut granted: Vec<(usize, &Question)> =
            self.questions.iter().enumerate().filter(|(_, one)| one.state != State::Refused).collect();
        granted.sort_by_key(|(_, one)| one.rank);
        granted.into_iter().map(|(position, one)| Granted {
            position,
            qos: if let State::Lowered(qos) = one.state { Some(qos) } else { None },
            identifier: one.identifier,
            before: &one.before,
        })
    }
}
