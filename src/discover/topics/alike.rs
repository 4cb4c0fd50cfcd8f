//! Which siblings are alike: below them the same stands, or in them.

use std::collections::{HashMap, HashSet};

use super::{Trie, is_one_of_many};
use crate::discover::words;

/// Topics below a sibling that are looked at.
const MAX_BELOW: usize = 64;
/// Siblings that hold one value are fields of one mapping up to this number, and beyond it devices.
const MAX_FIELDS: usize = 100;
/// Groups of objects that a further object is compared with.
const MAX_GROUPS: usize = 32;

/// What is found below a sibling: how deep, the last level, whether it holds one value.
type Feature<'t> = (usize, &'t str, bool);

impl Trie<'_> {
    /// Those of `siblings` that one capture is to take.
    pub(super) fn varying<'t>(
        &'t self,
        siblings: &[(&'t str, usize)],
        parent: Option<&str>,
        depth: usize,
    ) -> Vec<&'t str> {
        let is_free = |label: &str| !label.is_empty() && (depth > 0 || !label.starts_with('$'));
        let is_named = |label: &str| words::is_kind(label) || words::is_quantity(label) && !label.contains(['-', ' ']);
        let strong: Vec<bool> = siblings.iter().map(|(label, _)| is_free(label) && is_one_of_many(label)).collect();
        let open: Vec<bool> = siblings
            .iter()
            .zip(&strong)
            .map(|((label, _), strong)| *strong || is_free(label) && !is_named(label))
            .collect();
        let mut varies = strong.clone();
        self.mark_alike_below(siblings, &open, depth, &mut varies);
        self.mark_alike_objects(siblings, &open, depth, &mut varies);
        self.mark_numbered(siblings, &open, &mut varies);
        self.mark_values(siblings, &open, parent, &mut varies);
        siblings.iter().zip(varies).filter(|(_, varies)| *varies).map(|((label, _), _)| *label).collect()
    }

    /// Siblings below which the same topics are.
    fn mark_alike_below(&self, siblings: &[(&str, usize)], open: &[bool], depth: usize, varies: &mut [bool]) {
        let mut having: HashMap<Feature<'_>, Vec<usize>> = HashMap::new();
        let mut counts = vec![0_usize; siblings.len()];
        for (index, (_, child)) in siblings.iter().enumerate().filter(|(index, _)| open[*index]) {
            let features = self.below(*child);
            counts[index] = features.len();
            for feature in features {
                having.entry(feature).or_default().push(index);
            }
        }
        let mut shared = vec![0_usize; siblings.len()];
        let mut most_beside = vec![0_usize; siblings.len()];
        for indices in having.values().filter(|indices| indices.len() > 1) {
            for index in indices {
                shared[*index] += 1;
                most_beside[*index] = most_beside[*index].max(indices.len());
            }
        }
        for index in 0..siblings.len() {
            // At the root there are programs beside one another, which are alike by chance.
            let least = if depth == 0 {
                (counts[index] * 2).div_ceil(3).max(if most_beside[index] > 2 { 1 } else { 2 })
            } else {
                counts[index].div_ceil(3).max(1)
            };
            if shared[index] >= least {
                varies[index] = true;
            }
        }
    }

    fn below(&self, node: usize) -> HashSet<Feature<'_>> {
        let mut features = HashSet::new();
        let mut stack = vec![(node, 0_usize, "")];
        let mut looked_at = 0;
        while let Some((at, depth, label)) = stack.pop() {
            looked_at += 1;
            if looked_at > MAX_BELOW {
                break;
            }
            let node = &self.nodes[at];
            if depth > 0
                && let Some(heard) = node.heard.first()
            {
                let label = if is_one_of_many(label) { "*" } else { label };
                features.insert((depth, label, self.peeks[*heard].is_scalar));
            }
            stack.extend(node.children.iter().take(MAX_BELOW).map(|(label, child)| (*child, depth + 1, &**label)));
        }
        features
    }

    /// Siblings whose objects have mostly the same keys; and if a third of them is alike, all: devices of many kinds.
    fn mark_alike_objects(&self, siblings: &[(&str, usize)], open: &[bool], depth: usize, varies: &mut [bool]) {
        let keys = |child: usize| -> Option<HashSet<&str>> {
            let peek = &self.peeks[*self.nodes[child].heard.first()?];
            let keys: HashSet<&str> =
                peek.keys.iter().map(|key| &**key).filter(|key| words::time_rank(key).is_none()).collect();
            (!keys.is_empty()).then_some(keys)
        };
        let objects: Vec<(usize, HashSet<&str>)> = (0..siblings.len())
            .filter(|index| open[*index])
            .filter_map(|index| Some((index, keys(siblings[index].1)?)))
            .collect();
        let mut groups: Vec<(&HashSet<&str>, Vec<usize>)> = Vec::new();
        for (index, keys) in &objects {
            let is_alike = |group: &HashSet<&str>| {
                let both = group.intersection(keys).count();
                both * 3 >= group.len().max(keys.len())
                    && both * 2 >= group.len().min(keys.len())
                    && (both > 1 || group.len() == 1)
            };
            // The label as the only key beside a unit: each topic is a field of its own object.
            match groups.iter().position(|(group, _)| is_alike(group)) {
                Some(group) => groups[group].1.push(*index),
                None if groups.len() < MAX_GROUPS => groups.push((keys, vec![*index])),
                None => {}
            }
        }
        let alike: Vec<usize> =
            groups.iter().filter(|(_, indices)| indices.len() > 1).flat_map(|(_, indices)| indices.clone()).collect();
        let all = alike.len() * 3 >= objects.len() && objects.len() > 3 && depth > 0;
        if all {
            objects.iter().for_each(|(index, _)| varies[*index] = true);
        }
        if depth > 0 || alike.len() > 2 {
            alike.iter().for_each(|index| varies[*index] = true);
        }
    }

    /// `ch0` and `ch1`, if they are more than values.
    fn mark_numbered(&self, siblings: &[(&str, usize)], open: &[bool], varies: &mut [bool]) {
        let mut stems: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, (label, child)) in siblings.iter().enumerate().filter(|(index, _)| open[*index]) {
            let stem = label.trim_end_matches(|c: char| c.is_ascii_digit());
            let node = &self.nodes[*child];
            let is_value = node.children.is_empty() && node.heard.iter().all(|heard| self.peeks[*heard].is_scalar);
            if stem.len() < label.len() && !stem.is_empty() && !is_value {
                stems.entry(stem).or_default().push(index);
            }
        }
        stems.values().filter(|indices| indices.len() > 1).flatten().for_each(|index| varies[*index] = true);
    }

    /// Siblings that hold one value: behind the name of a quantity they are places, and very many are no fields.
    fn mark_values(&self, siblings: &[(&str, usize)], open: &[bool], parent: Option<&str>, varies: &mut [bool]) {
        let is_value = |child: usize| {
            let node = &self.nodes[child];
            node.children.is_empty() && node.heard.first().is_some_and(|heard| self.peeks[*heard].is_scalar)
        };
        let values: Vec<usize> =
            (0..siblings.len()).filter(|index| open[*index] && is_value(siblings[*index].1)).collect();
        let by_parent = parent.is_some_and(|parent| words::is_quantity(parent) && !words::is_kind(parent))
            && values.len() == siblings.len()
            && values.len() > 1;
        if by_parent || values.len() > MAX_FIELDS {
            values.iter().for_each(|index| varies[*index] = true);
        }
    }
}
