//! What is subscribed at the broker, what should be, and what is remembered of it over a restart. No I/O.
//!
//! The broker's session outlives ours, so a filter that left the configuration must be unsubscribed; only the text
//! that the store keeps knows it then. Before a SUBSCRIBE the text names old and new, after all answers the new. It also
//! names the subscription identifiers that copies at the broker may bear: a new one goes out only when the store has it
//! ([`Subscriptions::written`]), or has not come to write it in time ([`Subscriptions::wait_no_more`]).
//!
//! Filters bear subscription identifiers where the broker takes them (`overlap` says what for). Those that cross are
//! asked for one after another then: each only when those ahead of it that it crosses are answered. (Of an older
//! session the broker has them meanwhile as they were.) All others go at once.

mod asked;
mod overlap;

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::wire::{Identifiers, Outgoing, Retained};
use crate::message::Qos;
use crate::topic::{Subscription, TopicFilter};
use overlap::Overlap;

use asked::Had;

pub(super) use asked::Asked;

/// Filters in one SUBSCRIBE or UNSUBSCRIBE; there are brokers that take no more than eight (AWS IoT Core).
const FILTERS_PER_PACKET: usize = 8;

/// One filter as the broker may have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    filter: String,
    /// As granted.
    qos: u8,
    /// Whether its retained messages were asked for.
    retained: bool,
    /// Asked for and not answered yet: perhaps the broker does not have it, so its retained messages are new to us. Or
    /// answered, and they have not all come.
    /// Texts of earlier versions leave it out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unanswered: bool,
    /// The subscription identifier; 0 is none. Texts of earlier versions leave it out.
    #[serde(default, skip_serializing_if = "is_zero")]
    identifier: u32,
    /// What the identifier says to stand before the filter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    before: Vec<String>,
    /// The broker was shown to send the copies of those, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    all_copies: bool,
    /// Nothing that is subscribed: only what `identifier` means, on copies that wait at the broker, or on those of a
    /// SUBSCRIBE that is about to go out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    only_named: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(identifier: &u32) -> bool {
    *identifier == 0
}

/// What should be subscribed, and what may be.
#[derive(Debug)]
pub(super) struct Subscriptions {
    wanted: Vec<Subscription>,
    /// Of each of `wanted`: the positions of those that it crosses.
    crossing: Vec<Vec<usize>>,
    /// In the order in which they were asked for.
    remembered: Vec<Remembered>,
    overlap: Overlap,
    /// Filters that the broker may have under an identifier that something stands before, whether it has answered or not.
    perhaps_behind: HashSet<String>,
    /// The broker was shown to send a copy for each filter, or to name all on one.
    all_copies: bool,
}

/// A filter that the broker refuses, and its reason code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) filter: TopicFilter,
    pub(super) code: u8,
}

impl Subscriptions {
    /// `crossing` are pairs of those wanted. `text` is what [`Subscriptions::text`] gave in an earlier life; an error in
    /// the result's place if it is damaged. `salt`: another one in every process.
    pub(super) fn new(
        wanted: Vec<Subscription>,
        crossing: &[(TopicFilter, TopicFilter)],
        text: &str,
        salt: u64,
    ) -> (Self, Result<(), serde_json::Error>) {
        let (remembered, result) = match text {
            "" => (Vec::new(), Ok(())),
            _ => match serde_json::from_str::<Vec<Remembered>>(text) {
                Ok(remembered) => (remembered, Ok(())),
                Err(error) => (Vec::new(), Err(error)),
            },
        };
        let mut overlap = Overlap::new(salt);
        for Remembered { filter, identifier, before, .. } in remembered.iter().filter(|one| one.identifier != 0) {
            let before: Result<Vec<_>, _> = before.iter().map(|text| TopicFilter::new(text)).collect();
            if let (Ok(filter), Ok(before)) = (TopicFilter::new(filter), before) {
                overlap.remember(*identifier, filter, before);
            }
        }
        let crossing = positions(&wanted, crossing);
        let all_copies = remembered.iter().any(|one| one.all_copies);
        let is_behind = |one: &&Remembered| !one.before.is_empty();
        let perhaps_behind = remembered.iter().filter(is_behind).map(|one| one.filter.clone()).collect();
        let remembered = with_those_named(remembered);
        (Self { wanted, crossing, remembered, overlap, perhaps_behind, all_copies }, result)
    }

    /// Something else is wanted; the next [`Subscriptions::ask`] says so.
    pub(super) fn want(&mut self, wanted: Vec<Subscription>, crossing: &[(TopicFilter, TopicFilter)]) {
        self.crossing = positions(&wanted, crossing);
        self.wanted = wanted;
    }

    /// Something else is wanted on a connection that lives, all of `asked` being answered: writes the first packets that bring the broker
    /// from what it has to what is wanted now. It is asked as on a new connection, in the same order and with the same
    /// waits; but what it has granted already, just so, is not asked for again.
    pub(super) fn change(
        &mut self,
        wanted: Vec<Subscription>,
        crossing: &[(TopicFilter, TopicFilter)],
        asked: &Asked,
        outgoing: &mut Outgoing,
    ) -> Asked {
        debug_assert!(asked.is_answered());
        let has: HashMap<TopicFilter, Had> =
            asked.has().map(|(position, had)| (self.wanted[position].filter.clone(), had)).collect();
        let qos: HashMap<TopicFilter, Qos> = self.wanted.iter().map(|one| (one.filter.clone(), one.qos)).collect();
        self.want(wanted, crossing);
        let as_asked =
            |one: &Subscription| has.get(&one.filter).copied().filter(|_| qos.get(&one.filter) == Some(&one.qos));
        let has = self.wanted.iter().map(as_asked).collect();
        self.begin(|order, stale, waits| asked.next(order, stale, waits, has), outgoing)
    }

    /// Writes the first packets that bring the broker from what it may have to what is wanted; the answers bring the
    /// others. Afterwards `text` names both. `identifiers`: the broker takes subscription identifiers.
    pub(super) fn ask(&mut self, session_present: bool, identifiers: bool, outgoing: &mut Outgoing) -> Asked {
        if !session_present {
            self.remembered.clear();
            // Perhaps it is another broker.
            self.all_copies = false;
        }
        let new = |order: &[usize], stale, waits| {
            let mut asked = Asked::new(order, identifiers, stale, identifiers && waits);
            // A broker without our session has nothing of us: what is not subscribed at once is lost.
            asked.is_hasty = !session_present;
            asked
        };
        self.begin(new, outgoing)
    }

    /// `asked` makes the questions of: the order of what is wanted, what is to be unsubscribed, and whether that waits.
    fn begin(&mut self, asked: impl FnOnce(&[usize], Vec<String>, bool) -> Asked, outgoing: &mut Outgoing) -> Asked {
        let wanted: HashSet<&str> = self.wanted.iter().map(|one| one.filter.as_str()).collect();
        let old: HashMap<&str, (usize, &Remembered)> =
            self.remembered.iter().enumerate().map(|(place, one)| (one.filter.as_str(), (place, one))).collect();
        let mut order: Vec<usize> = (0..self.wanted.len()).collect();
        // As before, so that identifiers stay; but what has a lower QoS, or may go to somebody else, stands before nobody.
        order.sort_by_key(|&position| {
            let Subscription { filter, qos, .. } = &self.wanted[position];
            let place = old.get(filter.as_str()).map_or(usize::MAX, |(place, _)| *place);
            (filter.group().is_some(), Reverse(*qos), place)
        });
        // Backwards: what stands before another goes after it.
        let is_stale = |one: &&Remembered| !wanted.contains(one.filter.as_str());
        let stale = self.remembered.iter().rev().filter(is_stale).map(|one| one.filter.clone()).collect();
        // They may stand before what is asked for only later, or before what was asked for and never answered.
        let waits = !self.perhaps_behind.is_empty() || self.are_crossing();
        let new: Vec<Remembered> = self
            .wanted
            .iter()
            .filter(|one| !old.contains_key(one.filter.as_str()))
            .map(|one| Remembered { unanswered: true, ..remember(one) })
            .collect();
        let mut asked = asked(&order, stale, waits);
        self.name(&asked);
        self.go_on(&mut asked, outgoing);
        self.remembered.extend(new);
        asked
    }

    /// Makes the identifiers that filters will bear if all are granted, so that the text has them.
    fn name(&mut self, asked: &Asked) {
        if !asked.identifiers {
            return;
        }
        for position in asked.waiting() {
            if !self.crossing[position].is_empty() {
                let (before, _) = self.place(asked, position);
                let filters = before.into_iter().map(|other| self.wanted[other].filter.clone()).collect();
                self.overlap.name(&self.wanted[position].filter, filters);
            }
        }
    }

    /// The store has this text: what waited for it is asked for.
    pub(super) fn written(&mut self, text: &str, asked: &mut Asked, outgoing: &mut Outgoing) {
        if text == self.text() {
            self.overlap.all_are_written();
            self.go_on(asked, outgoing);
        }
    }

    /// The store takes too long: a copy that comes twice after the next start is better than one that never comes.
    pub(super) fn wait_no_more(&mut self, asked: &mut Asked, outgoing: &mut Outgoing) {
        asked.is_hasty = true;
        self.go_on(asked, outgoing);
    }

    /// Asks again for what was refused, all being answered; and for nothing else, because on 3.1.1 a SUBSCRIBE brings
    /// the retained messages of all its filters once more, which cannot be told from those of the first that are still
    /// on their way. What is granted so late stands behind what it crosses.
    pub(super) fn ask_again(&mut self, asked: &mut Asked, outgoing: &mut Outgoing) {
        let refused = std::mem::take(&mut asked.refused);
        let is_refused = |&position: &usize| refused.iter().any(|one| one.filter == self.wanted[position].filter);
        let highest = (0..self.wanted.len()).filter(is_refused).map(|position| self.wanted[position].qos).max();
        // It cannot stand behind what has a lower QoS: that comes behind it anew, all of it, so that there is no circle.
        let is_behind = |&position: &usize| {
            let Subscription { filter, qos, .. } = &self.wanted[position];
            let is_lower = filter.group().is_some() || highest.is_some_and(|highest| *qos < highest);
            asked.identifiers && !self.crossing[position].is_empty() && is_lower
        };
        let mut positions: Vec<usize> =
            (0..self.wanted.len()).filter(|position| is_refused(position) || is_behind(position)).collect();
        positions.sort_by_key(|&position| {
            let Subscription { filter, qos, .. } = &self.wanted[position];
            (filter.group().is_some(), Reverse(*qos), asked.rank(position))
        });
        asked.restart(positions.into_iter());
        self.name(asked);
        let new = refused.iter().filter_map(|refused| {
            self.wanted
                .iter()
                .find(|one| one.filter == refused.filter)
                .map(|one| Remembered { unanswered: true, ..remember(one) })
        });
        let new: Vec<Remembered> = new.collect();
        self.go_on(asked, outgoing);
        self.remembered.extend(new);
    }

    /// A SUBACK has come, and what waited for it is asked for. `false` if nobody asked.
    pub(super) fn suback(&mut self, asked: &mut Asked, packet_id: u16, codes: &[u8], outgoing: &mut Outgoing) -> bool {
        let Some(failed) = asked.suback(packet_id, codes, &self.wanted) else { return false };
        for position in failed {
            let filter = &self.wanted[position].filter;
            self.overlap.doubt(filter);
            if asked.is_refused(position) {
                // Perhaps the broker goes on with what it had of it, and what stood before that may go: taken twice
                // rather than never.
                self.overlap.forget(filter);
            }
            // What stands behind it must not do so any more.
            for &other in &self.crossing[position] {
                if asked.stands_before(position, other) {
                    asked.wait_again(other);
                }
            }
        }
        self.go_on(asked, outgoing);
        true
    }

    /// Writes the SUBSCRIBEs that wait for no answer, and the UNSUBSCRIBEs behind the last of them.
    fn go_on(&mut self, asked: &mut Asked, outgoing: &mut Outgoing) {
        asked.awaits_store = false;
        let old: HashMap<&str, &Remembered> = self.remembered.iter().map(|one| (one.filter.as_str(), one)).collect();
        let mut together = Vec::new();
        let together_as = asked.identifiers.then_some(overlap::FIRST);
        for position in asked.waiting() {
            let subscription = &self.wanted[position];
            let known = old.get(subscription.filter.as_str()).copied();
            if self.crossing[position].is_empty() || !asked.identifiers {
                let retained = retained(subscription, known, asked, position);
                if asked.keeps(position, together_as.unwrap_or(0), &[], retained) {
                    continue;
                }
                together.push((position, retained));
                asked.is_asked(position, together_as.unwrap_or(0), Vec::new());
                continue;
            }
            let (before, is_its_turn) = self.place(asked, position);
            if !is_its_turn {
                continue;
            }
            let filters = before.iter().map(|&other| self.wanted[other].filter.clone()).collect();
            let identifier = self.overlap.name(&subscription.filter, filters);
            if !asked.is_hasty && !self.overlap.is_written(identifier) {
                asked.awaits_store = true;
                continue;
            }
            let retained = retained(subscription, known, asked, position);
            if asked.keeps(position, identifier, &before, retained) {
                continue;
            }
            if !before.is_empty() {
                self.perhaps_behind.insert(subscription.filter.to_string());
            }
            asked.is_asked(position, identifier, before);
            let packet_id = asked.next_packet_id();
            outgoing.subscribe(packet_id, Some(identifier), std::iter::once((subscription, retained)));
            asked.sent(packet_id, vec![position]);
        }
        for chunk in together.chunks(FILTERS_PER_PACKET) {
            let packet_id = asked.next_packet_id();
            let filters = chunk.iter().map(|&(position, retained)| (&self.wanted[position], retained));
            outgoing.subscribe(packet_id, together_as, filters);
            asked.sent(packet_id, chunk.iter().map(|&(position, _)| position).collect());
        }
        let mut unsubscribe = asked.unsubscribe_now();
        if !unsubscribe.is_empty() {
            // Perhaps the broker still has it behind a filter that goes now: it goes first.
            let was_behind = |one: &&Refused| self.perhaps_behind.contains(one.filter.as_str());
            let refused: Vec<String> =
                asked.refused.iter().filter(was_behind).map(|one| one.filter.to_string()).collect();
            unsubscribe.splice(0..0, refused);
        }
        for filters in unsubscribe.chunks(FILTERS_PER_PACKET) {
            let packet_id = asked.next_packet_id();
            outgoing.unsubscribe(packet_id, filters);
            asked.unsubscribed(packet_id, filters.len());
        }
    }

    /// What stands before a filter, and whether all that it crosses of those ahead of it is known.
    fn place(&self, asked: &Asked, position: usize) -> (Vec<usize>, bool) {
        let ahead = || self.crossing[position].iter().copied().filter(|&other| asked.is_ahead(other, position));
        let stands_before = |&other: &usize| {
            let first = &self.wanted[other];
            let is_ours_alone = first.filter.group().is_none();
            is_ours_alone && !asked.has_failed(other) && first.qos >= self.wanted[position].qos
        };
        (ahead().filter(stands_before).collect(), ahead().all(|other| asked.is_settled(other)))
    }

    /// All questions are answered: the broker has what is wanted and not refused.
    pub(super) fn answered(&mut self, asked: &Asked) {
        let text = |&position: &usize| self.wanted[position].filter.to_string();
        // Perhaps the broker goes on with what it had of a filter that it refuses now: what stood before that must not go
        // first, in this round or in a later one.
        let is_refused = |one: &&Remembered| asked.refused.iter().any(|refused| refused.filter.as_str() == one.filter);
        let behind = self.remembered.iter().filter(|one| self.perhaps_behind.contains(&one.filter)).filter(is_refused);
        let behind: Vec<Remembered> = behind.cloned().collect();
        self.perhaps_behind = behind.iter().map(|one| one.filter.clone()).collect();
        self.remembered = asked
            .granted()
            .map(|granted| Remembered {
                qos: granted.qos.unwrap_or(self.wanted[granted.position].qos.level()),
                identifier: granted.identifier,
                before: granted.before.iter().map(text).collect(),
                all_copies: self.all_copies && !granted.before.is_empty(),
                unanswered: self.wanted[granted.position].retained && asked.retained.contains(&granted.position),
                ..remember(&self.wanted[granted.position])
            })
            .chain(behind)
            .collect();
        let are_behind = self.remembered.iter().filter(|one| !one.before.is_empty());
        self.perhaps_behind.extend(are_behind.map(|one| one.filter.clone()));
        self.overlap.keep(&self.borne());
    }

    /// The identifiers that filters bear, as far as is remembered.
    fn borne(&self) -> HashSet<u32> {
        self.remembered.iter().map(|one| one.identifier).collect()
    }

    /// The retained messages of all that is answered have come.
    pub(super) fn retained_have_come(&mut self) {
        for one in &mut self.remembered {
            one.unanswered = false;
        }
    }

    /// What to remember.
    pub(super) fn text(&self) -> String {
        let borne = self.borne();
        let others = self.overlap.others(&borne).into_iter().map(|(identifier, filter, before)| Remembered {
            filter: filter.to_string(),
            qos: 0,
            retained: false,
            unanswered: false,
            identifier,
            before: before.iter().map(ToString::to_string).collect(),
            all_copies: self.all_copies,
            only_named: true,
        });
        let all: Vec<Remembered> = self.remembered.iter().cloned().chain(others).collect();
        serde_json::to_string(&all).expect("plain data")
    }

    /// Whether a retained message of `topic` may be one that we have not had: a filter that brings it is new, or
    /// asks for retained messages for the first time.
    pub(super) fn retained_is_new(&self, asked: &Asked, topic: &str) -> bool {
        asked.retained.iter().any(|&position| self.wanted[position].filter.matches(topic))
    }

    /// Whether this is a copy, for another filter of ours, of a message that is taken once.
    pub(super) fn leaves_out(&self, topic: &str, identifiers: &Identifiers) -> bool {
        self.overlap.leaves_out(topic, identifiers)
    }

    /// Whether it is still to be shown that what [`Subscriptions::leaves_out`] says of this broker is true.
    pub(super) fn is_learning(&self) -> bool {
        !self.all_copies && !self.overlap.is_empty()
    }

    /// The broker was shown to send a copy for each filter, or to name all on one.
    pub(super) fn all_copies_come(&mut self) {
        self.all_copies = true;
        for one in self.remembered.iter_mut().filter(|one| !one.before.is_empty()) {
            one.all_copies = true;
        }
    }

    /// Whether filters of ours cross at all.
    pub(super) fn are_crossing(&self) -> bool {
        self.crossing.iter().any(|others| !others.is_empty())
    }
}

fn positions(wanted: &[Subscription], crossing: &[(TopicFilter, TopicFilter)]) -> Vec<Vec<usize>> {
    let position: HashMap<&TopicFilter, usize> =
        wanted.iter().enumerate().map(|(position, one)| (&one.filter, position)).collect();
    let mut positions = vec![Vec::new(); wanted.len()];
    for (one, other) in crossing {
        if let (Some(&one), Some(&other)) = (position.get(one), position.get(other)) {
            positions[one].push(other);
            positions[other].push(one);
        }
    }
    positions
}

/// What to ask for retained messages, and notes where they are new to us.
fn retained(subscription: &Subscription, known: Option<&Remembered>, asked: &mut Asked, position: usize) -> Retained {
    // Asked anew if their policy changed: the subscription is not new to the broker.
    let retained = match known {
        _ if !subscription.retained => Retained::Never,
        Some(known) if !known.retained && !asked.retained.contains(&position) => Retained::Always,
        _ => Retained::IfNew,
    };
    if known.is_none_or(|known| known.unanswered || subscription.retained && !known.retained) {
        asked.retained.insert(position);
    }
    retained
}

/// What the broker may have: also what was only named. Whoever wrote that may have subscribed to it and not come to write
/// it down; what stands before it must not go first.
fn with_those_named(remembered: Vec<Remembered>) -> Vec<Remembered> {
    let (named, mut all): (Vec<Remembered>, Vec<Remembered>) = remembered.into_iter().partition(|one| one.only_named);
    let mut known: HashSet<String> = all.iter().map(|one| one.filter.clone()).collect();
    let named = named.into_iter().filter(|one| known.insert(one.filter.clone())).map(|one| Remembered {
        unanswered: true,
        identifier: 0,
        before: Vec::new(),
        only_named: false,
        ..one
    });
    all.extend(named);
    all
}

fn remember(subscription: &Subscription) -> Remembered {
    Remembered {
        filter: subscription.filter.to_string(),
        qos: subscription.qos.level(),
        retained: subscription.retained,
        unanswered: false,
        identifier: 0,
        before: Vec::new(),
        all_copies: false,
        only_named: false,
    }
}

#[cfg(test)]
mod tests;
