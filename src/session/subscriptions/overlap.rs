//! Which of several copies of a message is taken, where filters of ours cross (MQTT 5). No I/O.
//!
//! A broker may deliver a copy for each filter that matches (3.3.4), with the subscription identifier of that filter.
//! Here an identifier names more than its filter: also the filters that *stand before* it, whose copies are taken in
//! place of its own. So a copy says by itself what was subscribed when the broker made it, however long it waited and
//! whatever the configuration is today. A copy is left out if and only if each of its identifiers is known here, and
//! each says that a filter stands before it that matches the topic. In every other case it is taken: without an
//! identifier, with one that nobody knows any more, or with that of a first filter among others.
//!
//! Why nothing is lost by it:
//!
//! - No copy is left out before the broker has shown that it sends the others (`connection::copies`).
//! - An identifier goes to the broker only when all that it says to stand before are granted ([`super`] waits for their
//!   SUBACK), and none of them is unsubscribed before the SUBSCRIBE that takes the identifier back is answered. So at
//!   any moment what stands before a filter is subscribed as well, and gets a copy of its own.
//! - Filters are asked for in one order, and only earlier ones stand before: they never stand before one another in a
//!   circle, also while a new order replaces an old one, because the new one is set up from its beginning. So among the
//!   filters that match a topic there is one that none of the others stands before, and its copy is taken.
//! - What stands before is no shared subscription, whose copy may go to somebody else, and has no lower QoS.
//!
//! An identifier is written down in the store before it goes to the broker, and stays there when its filter has another
//! or none (the newest [`MAX_OLD`] of these): so whoever takes the session over knows it, too.
//!
//! What can come twice: what has no identifier (subscribed by an earlier version, or over 3.1.1); two shared
//! subscriptions; and what bears an identifier that the store did not come to write down, or that is forgotten.

use std::collections::{HashMap, HashSet};

use xxhash_rust::xxh3::Xxh3;

use crate::session::wire::Identifiers;
use crate::topic::TopicFilter;

/// The identifier of every filter that nothing stands before.
pub(super) const FIRST: u32 = 1;
/// The largest subscription identifier (MQTT 5, 3.8.2.1.2).
const MAX_IDENTIFIER: u32 = 268_435_455;
/// As many identifiers are kept that no filter bears any more: copies with them may wait at the broker, though of several
/// changes in a row hardly so.
const MAX_OLD: usize = 64;

/// What the identifiers mean that our filters bear or bore.
#[derive(Debug)]
pub(super) struct Overlap {
    /// [`FIRST`] is not among them.
    known: HashMap<u32, Standing>,
    /// When each was last named.
    named: HashMap<u32, u64>,
    last_named: u64,
    /// Those that the store is known to have.
    written: HashSet<u32>,
    /// Makes new identifiers other than those of every other process: one that did not come to write down what it
    /// asked for leaves identifiers that nobody takes for his own.
    salt: u64,
}

/// A filter, and those that stand before it; there are some.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standing {
    filter: TopicFilter,
    before: Vec<TopicFilter>,
}

impl Overlap {
    pub(super) fn new(salt: u64) -> Self {
        Self { known: HashMap::new(), named: HashMap::new(), last_named: 0, written: HashSet::new(), salt }
    }

    /// No copy is left out.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The identifier of `filter` behind `before`: as remembered, or a new one.
    pub(super) fn name(&mut self, filter: &TopicFilter, before: Vec<TopicFilter>) -> u32 {
        if before.is_empty() {
            return FIRST;
        }
        let standing = Standing { filter: filter.clone(), before };
        if let Some((&identifier, _)) = self.known.iter().find(|(_, known)| **known == standing) {
            self.note(identifier);
            return identifier;
        }
        let mut identifier = self.hash(&standing);
        while self.known.contains_key(&identifier) {
            identifier = if identifier == MAX_IDENTIFIER { FIRST + 1 } else { identifier + 1 };
        }
        self.known.insert(identifier, standing);
        self.note(identifier);
        identifier
    }

    fn note(&mut self, identifier: u32) {
        self.last_named += 1;
        self.named.insert(identifier, self.last_named);
    }

    /// Remembers what `identifier` meant, unless it means something else by now. The store has it.
    pub(super) fn remember(&mut self, identifier: u32, filter: TopicFilter, before: Vec<TopicFilter>) {
        if identifier > FIRST && !before.is_empty() {
            self.known.entry(identifier).or_insert(Standing { filter, before });
            self.written.insert(identifier);
        }
    }

    /// The store has all that is known now.
    pub(super) fn all_are_written(&mut self) {
        self.written = self.known.keys().copied().collect();
    }

    /// Whether a successor would know it.
    pub(super) fn is_written(&self, identifier: u32) -> bool {
        identifier == FIRST || self.written.contains(&identifier)
    }

    /// Filters bear `borne` now: of the others the newest are kept.
    pub(super) fn keep(&mut self, borne: &HashSet<u32>) {
        let mut old: Vec<u32> = self.known.keys().copied().filter(|identifier| !borne.contains(identifier)).collect();
        old.sort_by_key(|identifier| std::cmp::Reverse((self.named.get(identifier), *identifier)));
        for identifier in old.iter().skip(MAX_OLD) {
            self.known.remove(identifier);
        }
        self.named.retain(|identifier, _| self.known.contains_key(identifier));
        self.written.retain(|identifier| self.known.contains_key(identifier));
    }

    /// Those that no filter bears, oldest first: identifier, its filter, and what stands before that.
    pub(super) fn others(&self, borne: &HashSet<u32>) -> Vec<(u32, &TopicFilter, &[TopicFilter])> {
        let mut others: Vec<u32> =
            self.known.keys().copied().filter(|identifier| !borne.contains(identifier)).collect();
        others.sort_by_key(|identifier| (self.named.get(identifier), *identifier));
        let told = |identifier| (identifier, &self.known[&identifier].filter, &self.known[&identifier].before[..]);
        others.into_iter().map(told).collect()
    }

    /// `filter` is not granted as it was asked for: whatever says that it stands before something is not believed.
    pub(super) fn doubt(&mut self, filter: &TopicFilter) {
        self.known.retain(|_, standing| !standing.before.contains(filter));
        self.salt = self.salt.wrapping_add(1);
    }

    /// What the identifiers of `filter` say is not known any more: no copy of it is left out.
    pub(super) fn forget(&mut self, filter: &TopicFilter) {
        self.known.retain(|_, standing| standing.filter != *filter);
        self.salt = self.salt.wrapping_add(1);
    }

    /// Whether a copy that bears `identifiers` is not the one to take of a message with this topic.
    pub(super) fn leaves_out(&self, topic: &str, identifiers: &Identifiers) -> bool {
        let stands_behind = |identifier| {
            self.known.get(&identifier).is_some_and(|Standing { filter, before }| {
                filter.matches(topic) && before.iter().any(|first| first.matches(topic))
            })
        };
        !self.known.is_empty() && !identifiers.is_empty() && identifiers.iter().all(stands_behind)
    }

    fn hash(&self, Standing { filter, before }: &Standing) -> u32 {
        let mut hasher = Xxh3::with_seed(self.salt);
        for filter in std::iter::once(filter).chain(before) {
            hasher.update(filter.as_str().as_bytes());
            // No filter holds it (4.7.3).
            hasher.update(&[0]);
        }
        let identifiers = u64::from(MAX_IDENTIFIER - FIRST);
        u32::try_from(hasher.digest() % identifiers).unwrap_or(0) + FIRST + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::new(text).unwrap()
    }

    #[test]
    fn a_copy_is_left_out_if_all_its_identifiers_say_that_another_filter_brings_it() {
        let mut overlap = Overlap::new(1);
        let (first, second) = (filter("a/+/c"), filter("a/b/+"));
        let one = overlap.name(&first, vec![]);
        let two = overlap.name(&second, vec![first.clone()]);
        let leaves_out = |topic: &str, identifiers: &[u32]| overlap.leaves_out(topic, &Identifiers::of(identifiers));
        assert!(leaves_out("a/b/c", &[two]));
        // The first one, one that only the second matches, a copy for both, none, one that nobody knows.
        for (topic, identifiers) in
            [("a/b/c", &[one][..]), ("a/b/d", &[two]), ("a/b/c", &[two, one]), ("a/b/c", &[]), ("a/b/c", &[two, 7])]
        {
            assert!(!leaves_out(topic, identifiers), "{topic} {identifiers:?}");
        }
        overlap.doubt(&first);
        assert!(!overlap.leaves_out("a/b/c", &Identifiers::of(&[two])));
    }

    #[test]
    fn an_identifier_is_remembered_and_another_in_every_other_case() {
        let (first, second, third) = (filter("a/+/c"), filter("a/b/+"), filter("+/b/c"));
        let named = |salt, before: &[&TopicFilter]| {
            Overlap::new(salt).name(&second, before.iter().map(|&filter| filter.clone()).collect())
        };
        let all =
            [named(1, &[]), named(1, &[&first]), named(1, &[&third]), named(1, &[&first, &third]), named(2, &[&first])];
        for (position, one) in all.iter().enumerate() {
            assert!((1..=MAX_IDENTIFIER).contains(one) && !all[..position].contains(one));
        }
        let mut overlap = Overlap::new(2);
        overlap.remember(all[1], second.clone(), vec![first.clone()]);
        assert_eq!(overlap.name(&second, vec![first.clone()]), all[1]);
        overlap.doubt(&first);
        assert!(!all.contains(&overlap.name(&second, vec![first])));
    }

    #[test]
    fn an_identifier_that_means_something_else_already_is_passed_over() {
        let mut overlap = Overlap::new(1);
        let (first, second) = (filter("a/+/c"), filter("a/b/+"));
        let taken = Overlap::new(1).name(&second, vec![first.clone()]);
        overlap.remember(taken, filter("x"), vec![filter("+")]);
        let identifier = overlap.name(&second, vec![first.clone()]);
        assert_ne!(identifier, taken);
        assert_eq!(overlap.name(&second, vec![first]), identifier, "and it stays so");
        assert!(overlap.leaves_out("x", &Identifiers::of(&[taken])));
    }
}
