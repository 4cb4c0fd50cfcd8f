//! The least set of filters that brings all that is wanted.
//!
//! Brokers may deliver one copy per matching filter (MQTT 5, 3.3.4), so what another filter covers is left out.
//! Two filters that cross without one covering the other are returned: messages in the crossing may come twice.
//! A trie finds the partners of a filter, so that ten thousand filters do not cost their square.

use std::collections::HashMap;

use super::{Subscription, TopicFilter};

/// As many crossing pairs are told; messages that others match both of may come twice.
pub const CROSSING_MAX: usize = 1_000;

/// What to subscribe to, and what to warn of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reduced {
    /// In the order given. The most QoS of what each covers; retained if one of them wants it.
    pub subscriptions: Vec<Subscription>,
    /// Pairs of them that some topic matches both of; at most [`CROSSING_MAX`].
    pub crossing: Vec<(TopicFilter, TopicFilter)>,
}

/// Leaves out what others cover; of equal filters the first stays.
#[must_use]
pub fn reduce(wanted: &[Subscription]) -> Reduced {
    let mut trie = Node::default();
    for (position, subscription) in wanted.iter().enumerate() {
        trie.insert(subscription.filter.inner(), position);
    }
    let covered_by = |position: usize, other: usize| {
        let (one, other_filter) = (&wanted[position].filter, &wanted[other].filter);
        other != position && other_filter.covers(one) && (other < position || !one.covers(other_filter))
    };
    let partners: Vec<Vec<usize>> = wanted.iter().map(|one| trie.partners(one.filter.inner())).collect();
    let kept: Vec<bool> = partners
        .iter()
        .enumerate()
        .map(|(position, others)| !others.iter().any(|&other| covered_by(position, other)))
        .collect();

    let mut joined = wanted.to_vec();
    let mut crossing = Vec::new();
    for (position, others) in partners.iter().enumerate() {
        for &other in others.iter().filter(|&&other| kept[other] && other != position) {
            if !kept[position] {
                if covered_by(position, other) {
                    joined[other].qos = joined[other].qos.max(wanted[position].qos);
                    joined[other].retained |= wanted[position].retained;
                }
            } else if position < other
                && crossing.len() < CROSSING_MAX
                && wanted[position].filter.overlaps(&wanted[other].filter)
            {
                crossing.push((wanted[position].filter.clone(), wanted[other].filter.clone()));
            }
        }
    }
    let subscriptions = joined.into_iter().zip(kept).filter_map(|(one, kept)| kept.then_some(one)).collect();
    Reduced { subscriptions, crossing }
}

/// Filters by their levels; what begins with `$` is told apart afterwards, by `covers` and `overlaps`.
#[derive(Default)]
struct Node<'a> {
    literal: HashMap<&'a str, Node<'a>>,
    plus: Option<Box<Node<'a>>>,
    /// Filters that end here.
    ends: Vec<usize>,
    /// Filters that go on with `#` from here.
    rest: Vec<usize>,
}

impl<'a> Node<'a> {
    fn insert(&mut self, filter: &'a str, position: usize) {
        let mut node = self;
        for level in filter.split('/') {
            node = match level {
                "#" => return node.rest.push(position),
                "+" => node.plus.get_or_insert_default(),
                _ => node.literal.entry(level).or_default(),
            };
        }
        node.ends.push(position);
    }

    /// Positions of all filters that may overlap `filter`, in ascending order.
    fn partners(&self, filter: &str) -> Vec<usize> {
        let levels: Vec<&str> = filter.split('/').collect();
        let mut found = Vec::new();
        self.collect(&levels, &mut found);
        found.sort_unstable();
        found
    }

    fn collect(&self, levels: &[&str], found: &mut Vec<usize>) {
        found.extend(&self.rest);
        match levels.split_first() {
            None => found.extend(&self.ends),
            Some((&"#", _)) => self.collect_below(found),
            Some((&level, below)) => {
                if let Some(plus) = &self.plus {
                    plus.collect(below, found);
                }
                if level == "+" {
                    self.literal.values().for_each(|node| node.collect(below, found));
                } else if let Some(node) = self.literal.get(level) {
                    node.collect(below, found);
                }
            }
        }
    }

    fn collect_below(&self, found: &mut Vec<usize>) {
        found.extend(&self.ends);
        for node in self.literal.values().chain(self.plus.as_deref()) {
            found.extend(&node.rest);
            node.collect_below(found);
        }
    }
}
