//! What is subscribed at the broker, what should be, and what is remembered of it over a restart. No I/O.
//!
//! The broker's session outlives ours, so a filter that left the configuration must be unsubscribed; only the text
//! that the store keeps knows it then. Before a SUBSCRIBE the text names old and new, after all answers the new.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::wire::{Outgoing, Retained};
use crate::message::Qos;
use crate::topic::{Subscription, TopicFilter};

/// Filters in one SUBSCRIBE or UNSUBSCRIBE; there are brokers that take no more than eight (AWS IoT Core).
const FILTERS_PER_PACKET: usize = 8;

/// One filter as the broker may have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    filter: String,
    qos: u8,
    /// Whether its retained messages were asked for.
    retained: bool,
    /// Asked for and not answered yet: perhaps the broker does not have it, so its retained messages are new to us.
    /// Texts of earlier versions leave it out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unanswered: bool,
}

/// What should be subscribed, and what may be.
#[derive(Debug)]
pub(super) struct Subscriptions {
    wanted: Vec<Subscription>,
    remembered: Vec<Remembered>,
}

/// A filter that the broker refuses, and its reason code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) filter: TopicFilter,
    pub(super) code: u8,
}

/// The questions to one connection's broker that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Asked {
    subscribe: HashMap<u16, Vec<usize>>,
    unsubscribe: HashSet<u16>,
    pub(super) refused: Vec<Refused>,
    /// Filters granted at a lower QoS than asked for, and that QoS.
    pub(super) lowered: Vec<(TopicFilter, u8)>,
    /// Positions of filters whose retained messages are new to us; on 3.1.1 the others send theirs again.
    retained: HashSet<usize>,
}

impl Subscriptions {
    /// `text` is what [`Subscriptions::text`] gave in an earlier life; `None` in the result's place if it is damaged.
    pub(super) fn new(wanted: Vec<Subscription>, text: &str) -> (Self, Result<(), serde_json::Error>) {
        let (remembered, result) = match text {
            "" => (Vec::new(), Ok(())),
            _ => match serde_json::from_str(text) {
                Ok(remembered) => (remembered, Ok(())),
                Err(error) => (Vec::new(), Err(error)),
            },
        };
        (Self { wanted, remembered }, result)
    }

    /// Writes the packets that bring the broker from what it may have to what is wanted. Afterwards `text` names both.
    pub(super) fn ask(&mut self, session_present: bool, outgoing: &mut Outgoing) -> Asked {
        if !session_present {
            self.remembered.clear();
        }
        let mut asked = Asked::default();
        let all: Vec<usize> = (0..self.wanted.len()).collect();
        let wanted: HashSet<&str> = self.wanted.iter().map(|one| one.filter.as_str()).collect();
        let stale: Vec<String> =
            self.remembered.iter().map(|one| one.filter.clone()).filter(|one| !wanted.contains(one.as_str())).collect();
        let mut packet_id = self.subscribe(&all, &mut asked, outgoing);
        for filters in stale.chunks(FILTERS_PER_PACKET) {
            packet_id += 1;
            outgoing.unsubscribe(packet_id, filters);
            asked.unsubscribe.insert(packet_id);
        }
        asked
    }

    /// Asks again for what was refused, all being answered; and for nothing else, because on 3.1.1 a SUBSCRIBE brings
    /// the retained messages of all its filters once more, which cannot be told from those of the first that are still
    /// on their way.
    pub(super) fn ask_again(&mut self, asked: &mut Asked, outgoing: &mut Outgoing) {
        let refused = std::mem::take(&mut asked.refused);
        let is_refused = |&position: &usize| refused.iter().any(|one| one.filter == self.wanted[position].filter);
        let positions: Vec<usize> = (0..self.wanted.len()).filter(is_refused).collect();
        self.subscribe(&positions, asked, outgoing);
    }

    /// Writes the SUBSCRIBEs, and returns the last packet identifier that they use.
    fn subscribe(&mut self, positions: &[usize], asked: &mut Asked, outgoing: &mut Outgoing) -> u16 {
        let old: HashMap<&str, &Remembered> = self.remembered.iter().map(|one| (one.filter.as_str(), one)).collect();
        let mut packet_id = 0;
        let mut new = Vec::new();
        for chunk in positions.chunks(FILTERS_PER_PACKET) {
            packet_id += 1;
            let mut filters = Vec::with_capacity(chunk.len());
            for &position in chunk {
                let subscription = &self.wanted[position];
                let known = old.get(subscription.filter.as_str());
                // Asked anew if their policy changed: the subscription is not new to the broker.
                let retained = match known {
                    _ if !subscription.retained => Retained::Never,
                    Some(known) if !known.retained => Retained::Always,
                    _ => Retained::IfNew,
                };
                if known.is_none_or(|known| known.unanswered || subscription.retained && !known.retained) {
                    asked.retained.insert(position);
                }
                if known.is_none() {
                    new.push(Remembered { unanswered: true, ..remember(subscription) });
                }
                filters.push((subscription, retained));
            }
            outgoing.subscribe(packet_id, filters.into_iter());
            asked.subscribe.insert(packet_id, chunk.to_vec());
        }
        self.remembered.extend(new);
        packet_id
    }

    /// All questions are answered: the broker has what is wanted and not refused.
    pub(super) fn answered(&mut self, refused: &[Refused]) {
        let has = |one: &&Subscription| refused.iter().all(|refused| refused.filter != one.filter);
        self.remembered = self.wanted.iter().filter(has).map(remember).collect();
    }

    /// What to remember.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(&self.remembered).expect("plain data")
    }

    pub(super) fn wanted(&self) -> &[Subscription] {
        &self.wanted
    }

    /// Whether a retained message of `topic` may be one that we have not had: a filter that brings it is new, or
    /// asks for retained messages for the first time.
    pub(super) fn retained_is_new(&self, asked: &Asked, topic: &str) -> bool {
        asked.retained.iter().any(|&position| self.wanted[position].filter.matches(topic))
    }
}

impl Asked {
    /// How many filters the SUBSCRIBE with this packet identifier asks for; `None` if it is answered, or never was.
    pub(super) fn filters(&self, packet_id: u16) -> Option<usize> {
        self.subscribe.get(&packet_id).map(Vec::len)
    }

    /// A SUBACK has come. `false` if nobody asked.
    pub(super) fn suback(&mut self, packet_id: u16, codes: &[u8], wanted: &[Subscription]) -> bool {
        let Some(positions) = self.subscribe.remove(&packet_id) else { return false };
        for (index, position) in positions.into_iter().enumerate() {
            let Subscription { filter, qos, .. } = &wanted[position];
            // A code that is missing is no grant.
            match codes.get(index).copied().unwrap_or(0x80) {
                granted if granted == qos.level() => {}
                granted if granted < qos.level() => self.lowered.push((filter.clone(), granted)),
                // More than was asked for is harmless.
                granted if Qos::from_level(granted).is_some() => {}
                code => self.refused.push(Refused { filter: filter.clone(), code }),
            }
        }
        true
    }

    pub(super) fn unsuback(&mut self, packet_id: u16) -> bool {
        self.unsubscribe.remove(&packet_id)
    }

    pub(super) fn is_answered(&self) -> bool {
        self.subscribe.is_empty() && self.unsubscribe.is_empty()
    }
}

fn remember(subscription: &Subscription) -> Remembered {
    Remembered {
        filter: subscription.filter.to_string(),
        qos: subscription.qos.level(),
        retained: subscription.retained,
        unanswered: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::wire::Version;

    fn subscription(filter: &str, retained: bool) -> Subscription {
        Subscription { filter: TopicFilter::new(filter).unwrap(), qos: Qos::AtLeastOnce, retained }
    }

    fn ask(subscriptions: &mut Subscriptions, session_present: bool) -> (Asked, usize) {
        let mut outgoing = Outgoing::new(Version::V5);
        let asked = subscriptions.ask(session_present, &mut outgoing);
        let unsubscribes = asked.unsubscribe.len();
        (asked, unsubscribes)
    }

    #[test]
    fn what_left_the_configuration_is_unsubscribed_and_remembered_until_that_is_answered() {
        let (mut first, _) = Subscriptions::new(vec![subscription("a/#", false)], "");
        ask(&mut first, false);
        first.answered(&[]);

        let (mut second, result) = Subscriptions::new(vec![subscription("b/#", false)], &first.text());
        assert!(result.is_ok());
        let (mut asked, unsubscribes) = ask(&mut second, true);
        assert_eq!(unsubscribes, 1);
        assert!(second.text().contains("a/#") && second.text().contains("b/#"));
        assert!(asked.suback(1, &[1], second.wanted()) && !asked.is_answered());
        assert!(asked.unsuback(2) && asked.is_answered());
        second.answered(&asked.refused);
        assert!(!second.text().contains("a/#"));
    }

    #[test]
    fn a_broker_that_lost_the_session_is_not_asked_to_forget() {
        let (mut subscriptions, _) =
            Subscriptions::new(vec![subscription("b", false)], r#"[{"filter":"a","qos":1,"retained":false}]"#);
        assert_eq!(ask(&mut subscriptions, false).1, 0);
    }

    #[test]
    fn refusals_and_lower_grants_are_told_apart() {
        let wanted = ["a", "b", "c", "d"].map(|filter| subscription(filter, false));
        let (mut subscriptions, _) = Subscriptions::new(wanted.to_vec(), "");
        let (mut asked, _) = ask(&mut subscriptions, false);
        assert!(asked.suback(1, &[1, 0x87, 0], &wanted));
        assert!(!asked.suback(1, &[1], &wanted) && !asked.suback(9, &[1], &wanted));
        let refused: Vec<_> = asked.refused.iter().map(|one| (one.filter.as_str(), one.code)).collect();
        assert_eq!(refused, [("b", 0x87), ("d", 0x80)]);
        assert_eq!(asked.lowered, [(TopicFilter::new("c").unwrap(), 0)]);
        subscriptions.answered(&asked.refused);
        assert!(!subscriptions.text().contains('b') && subscriptions.text().contains('c'));
    }

    #[test]
    fn retained_messages_are_new_only_where_a_filter_or_its_wish_is_new() {
        let old = r#"[{"filter":"a","qos":1,"retained":true},{"filter":"b","qos":1,"retained":false}]"#;
        let wanted = ["a", "b", "c"].map(|filter| subscription(filter, true));
        let (mut subscriptions, _) = Subscriptions::new(wanted.to_vec(), old);
        let (asked, _) = ask(&mut subscriptions, true);
        let new = ["a", "b", "c"].map(|topic| subscriptions.retained_is_new(&asked, topic));
        assert_eq!(new, [false, true, true]);
    }

    #[test]
    fn retained_messages_are_new_until_the_subscribe_for_them_is_answered() {
        let wanted = vec![subscription("a", true)];
        let (mut subscriptions, _) = Subscriptions::new(wanted.clone(), "");
        ask(&mut subscriptions, false);
        // The connection is cut, and then the process is killed.
        let (asked, _) = ask(&mut subscriptions, true);
        assert!(subscriptions.retained_is_new(&asked, "a"));
        let (mut subscriptions, result) = Subscriptions::new(wanted, &subscriptions.text());
        assert!(result.is_ok());
        let (asked, _) = ask(&mut subscriptions, true);
        assert!(subscriptions.retained_is_new(&asked, "a"));
        subscriptions.answered(&[]);
        let (asked, _) = ask(&mut subscriptions, true);
        assert!(!subscriptions.retained_is_new(&asked, "a"));
        assert_eq!(subscriptions.text(), r#"[{"filter":"a","qos":1,"retained":true}]"#);
    }

    #[test]
    fn damaged_text_is_said() {
        assert!(Subscriptions::new(vec![], "{").1.is_err());
    }
}
