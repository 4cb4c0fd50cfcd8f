//! Topics to templates: which levels say what a message is, and which say who sent it.
//!
//! A trie of all topics is walked from its root. At each node the levels that vary, by their form (numbers, addresses) or
//! because the same stands below them, are merged into one capture, and what is below them with them. So no two templates
//! are alike, and the work grows with the number of topics, not with its square.

mod alike;
mod name;

use std::collections::{BTreeMap, HashSet};

use super::words;

pub(super) use name::name_captures;

/// Deeper topics are left out: nobody names so many levels, and each costs a call.
pub(super) const MAX_LEVELS: usize = 48;
/// Labels of a capture that are kept to name it.
const MAX_LABELS: usize = 24;

/// A level of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Level {
    Const(Box<str>),
    /// A text and a number behind it: `relay:{n}`. The text may be empty: then all of the level varies.
    Varies {
        before: Box<str>,
        labels: Vec<Box<str>>,
        count: usize,
    },
}

impl Level {
    pub fn label(&self) -> Option<&str> {
        match self {
            Self::Const(label) => Some(label),
            Self::Varies { .. } => None,
        }
    }
}

/// Topics that are alike.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pub levels: Vec<Level>,
    /// Positions of its topics in the sample.
    pub members: Vec<usize>,
}

/// What is asked of a topic to group it: whether it holds one value, and the keys of its object.
#[derive(Clone, Debug, Default)]
pub(super) struct Peek {
    pub is_scalar: bool,
    pub keys: Vec<Box<str>>,
}

/// What a capture took: the node that all were merged into, some of their labels, and how many they were.
type Varying = (usize, Vec<Box<str>>, usize);

#[derive(Debug, Default)]
struct Node {
    children: BTreeMap<Box<str>, usize>,
    /// Of its children, those that a capture takes: the text before it, and the labels.
    varies: BTreeMap<Box<str>, Varying>,
    heard: Vec<usize>,
}

struct Trie<'p> {
    nodes: Vec<Node>,
    peeks: &'p [Peek],
}

/// Groups `topics`; `peeks` are theirs.
pub(super) fn templates(topics: &[&str], peeks: &[Peek]) -> Vec<Template> {
    let mut trie = Trie { nodes: vec![Node::default()], peeks };
    for (index, topic) in topics.iter().enumerate() {
        let mut at = 0;
        for level in topic.split('/') {
            at = match trie.nodes[at].children.get(level) {
                Some(child) => *child,
                None => {
                    trie.nodes.push(Node::default());
                    let child = trie.nodes.len() - 1;
                    trie.nodes[at].children.insert(level.into(), child);
                    child
                }
            };
        }
        trie.nodes[at].heard.push(index);
    }
    trie.generalise(0, None, 0);
    let mut found = Vec::new();
    trie.collect(0, &mut Vec::new(), &mut found);
    found
}

impl Trie<'_> {
    /// Merges what varies at `node`, below `label`, and then below it.
    fn generalise(&mut self, node: usize, label: Option<&str>, depth: usize) {
        let classes = self.classes(node, label, depth);
        for (before, labels) in classes {
            let mut merged: Option<usize> = None;
            let count = labels.len();
            for label in &labels {
                let Some(child) = self.nodes[node].children.remove(label) else { continue };
                merged = Some(match merged {
                    None => child,
                    Some(other) => self.merge(other, child),
                });
            }
            if let Some(merged) = merged {
                let labels = labels.into_iter().take(MAX_LABELS).collect();
                self.nodes[node].varies.insert(before, (merged, labels, count));
            }
        }
        let children: Vec<(Option<Box<str>>, usize)> = {
            let node = &self.nodes[node];
            let constant = node.children.iter().map(|(label, child)| (Some(label.clone()), *child));
            constant.chain(node.varies.values().map(|(child, _, _)| (None, *child))).collect()
        };
        for (below, child) in children {
            let below = below.as_deref().or(label);
            self.generalise(child, below, depth + 1);
        }
    }

    /// Joins two nodes that are not generalised yet; the larger one takes the other in.
    fn merge(&mut self, one: usize, other: usize) -> usize {
        let (one, other) =
            if self.nodes[one].children.len() < self.nodes[other].children.len() { (other, one) } else { (one, other) };
        let taken = std::mem::take(&mut self.nodes[other]);
        self.nodes[one].heard.extend(taken.heard);
        for (label, child) in taken.children {
            let merged = match self.nodes[one].children.get(&label) {
                Some(known) => self.merge(*known, child),
                None => child,
            };
            self.nodes[one].children.insert(label, merged);
        }
        one
    }

    fn collect(&self, at: usize, levels: &mut Vec<Level>, found: &mut Vec<Template>) {
        let node = &self.nodes[at];
        if !node.heard.is_empty() {
            let mut members = node.heard.clone();
            members.sort_unstable();
            found.push(Template { levels: levels.clone(), members });
        }
        for (label, child) in &node.children {
            levels.push(Level::Const(label.clone()));
            self.collect(*child, levels, found);
            levels.pop();
        }
        for (before, (child, labels, count)) in &node.varies {
            levels.push(Level::Varies { before: before.clone(), labels: labels.clone(), count: *count });
            self.collect(*child, levels, found);
            levels.pop();
        }
    }
}

/// Whether a level is, by its form alone, the name of one of many: a number, an address.
fn is_one_of_many(label: &str) -> bool {
    let is_hex = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit());
    let has_digit = label.contains(|c: char| c.is_ascii_digit());
    if !label.is_empty() && label.chars().all(|c| c.is_ascii_digit()) {
        return true;
    }
    if label.starts_with('<') && label.ends_with('>') && label.len() > 2 {
        return true;
    }
    if let Some(rest) =
        label.strip_prefix("0x").or_else(|| label.strip_prefix("0X")).or_else(|| label.strip_prefix('!'))
    {
        return rest.len() >= 2 && is_hex(rest);
    }
    if is_address(label) || label.len() == 36 && label.split('-').count() == 5 && has_digit {
        return true;
    }
    if label.len() >= 8 && is_hex(label) && has_digit {
        return true;
    }
    let end = label.rsplit(['-', '_', '.']).next().unwrap_or(label);
    let digits = label.chars().fold((0_usize, 0_usize), |(most, run), c| {
        let run = if c.is_ascii_digit() { run + 1 } else { 0 };
        (most.max(run), run)
    });
    digits.0 >= 4 || end != label && end.len() >= 6 && is_hex(end) && end.contains(|c: char| c.is_ascii_digit())
}

/// Six bytes in hex, with or without separators.
pub(super) fn is_address(label: &str) -> bool {
    let digits: Vec<char> = label.chars().filter(|c| !matches!(c, ':' | '-')).collect();
    digits.len() == 12
        && digits.iter().all(char::is_ascii_hexdigit)
        && (label.len() == 12 || label.len() == 17)
        && digits.iter().any(char::is_ascii_digit)
}

/// `relay:0` is `relay:` and a number; so is `POWER1`.
fn numbered(label: &str) -> Option<&str> {
    let stem = label.trim_end_matches(|c: char| c.is_ascii_digit());
    (!is_address(label)
        && stem.len() < label.len()
        && stem.len() > 1
        && label.len() - stem.len() <= 3
        && !stem.contains(['{', '}']))
    .then_some(stem)
}

impl Trie<'_> {
    /// The classes of levels at `node` that vary: the text before what varies, and the labels.
    fn classes(&self, node: usize, parent: Option<&str>, depth: usize) -> Vec<(Box<str>, Vec<Box<str>>)> {
        let children = &self.nodes[node].children;
        let mut stems: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for label in children.keys() {
            if let Some(stem) = numbered(label) {
                stems.entry(stem).or_default().push(label);
            }
        }
        let is_part = |stem: &str, labels: &[&str]| {
            let word = stem.trim_end_matches([':', '_', '-', '.']);
            let is_known = !word.contains(['-', '_', ' ', '.']) && (words::is_kind(word) || words::is_quantity(word));
            depth > 0 && (stem.ends_with(':') || labels.len() > 1 && is_known) && !words::is_kind(labels[0])
        };
        let mut classes: Vec<(Box<str>, Vec<Box<str>>)> = Vec::new();
        let mut in_parts = HashSet::new();
        for (stem, labels) in stems.iter().filter(|(stem, labels)| is_part(stem, labels)) {
            in_parts.extend(labels.iter().copied());
            classes.push(((*stem).into(), labels.iter().map(|label| (*label).into()).collect()));
        }
        let rest: Vec<(&str, usize)> = children
            .iter()
            .filter(|(label, _)| !in_parts.contains(&***label))
            .map(|(label, child)| (&**label, *child))
            .collect();
        let varying = self.varying(&rest, parent, depth);
        if !varying.is_empty() {
            classes.push(("".into(), varying.into_iter().map(Into::into).collect()));
        }
        classes
    }
}
