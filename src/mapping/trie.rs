//! One trie over the topic templates of all mappings: the cost of a match grows with the depth of the topic.
//!
//! It finds candidates; what lies behind a tail in the middle is left to the exact match of the template.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::pattern::Pattern;
use super::template::{Level, Levels, Template};

/// Numbers of templates; more than these few of one topic cost an allocation.
pub(super) type Numbers = SmallVec<[usize; 8]>;

/// Templates by their levels; a template is known by the number that it was added under.
#[derive(Debug, Default)]
pub(super) struct Trie {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, Node>,
    any: Option<Box<Node>>,
    parts: Vec<(Pattern, Node)>,
    /// Templates that go on with a tail here.
    tails: Vec<usize>,
    /// Templates that end here.
    ends: Vec<usize>,
}

impl Trie {
    pub fn add(&mut self, template: &Template, number: usize) {
        let mut node = &mut self.root;
        for level in &template.levels {
            node = match level {
                Level::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Level::Any(_) => node.any.get_or_insert_default(),
                Level::Part(pattern) => {
                    // Slots differ between mappings, so only what is equal to the letter shares a node.
                    let found = node.parts.iter().position(|(known, _)| known == pattern);
                    let index = found.unwrap_or_else(|| {
                        node.parts.push((pattern.clone(), Node::default()));
                        node.parts.len() - 1
                    });
                    &mut node.parts[index].1
                }
                Level::Tail(_) => {
                    node.tails.push(number);
                    return;
                }
            };
        }
        node.ends.push(number);
    }

    /// The numbers of all templates that may fit, in order.
    pub fn candidates(&self, topic: &Levels<'_>, found: &mut Numbers) {
        found.clear();
        self.root.walk(topic, 0, found);
        found.sort_unstable();
    }
}

impl Node {
    fn walk(&self, topic: &Levels<'_>, depth: usize, found: &mut Numbers) {
        found.extend_from_slice(&self.tails);
        if depth == topic.len() {
            found.extend_from_slice(&self.ends);
            return;
        }
        let level = topic.get(depth);
        if let Some(next) = self.literals.get(level) {
            next.walk(topic, depth + 1, found);
        }
        if depth == 0 && topic.is_reserved() {
            return;
        }
        if let Some(next) = &self.any {
            next.walk(topic, depth + 1, found);
        }
        for (pattern, next) in &self.parts {
            if pattern.takes(level) {
                next.walk(topic, depth + 1, found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pattern::CaptureNames;
    use super::*;

    #[test]
    fn the_trie_finds_what_a_walk_over_all_templates_finds() {
        let texts = ["a/{x}", "a/b", "a/#", "#", "+/b", "a/b{n}", "{x#}/b", "a/+/c", "$SYS/#", "a/{y#}/c", "é/{z}"];
        let templates: Vec<_> =
            texts.iter().map(|text| Template::parse(text, &mut CaptureNames::default()).unwrap()).collect();
        let mut trie = Trie::default();
        for (number, template) in templates.iter().enumerate() {
            trie.add(template, number);
        }
        for topic in ["a", "a/b", "a/b1", "a/b/c", "x/b", "$SYS/x", "$SYS/b", "é/b", "a/x/y/c", "", "/", "b"] {
            let levels = Levels::new(topic);
            let fits = |number: &usize| templates[*number].matches(&levels, &mut vec![None; 2]);
            let mut found = Numbers::new();
            trie.candidates(&levels, &mut found);
            found.retain(|number| fits(number));
            let all: Vec<_> = (0..templates.len()).filter(fits).collect();
            assert_eq!(found.to_vec(), all, "{topic}");
        }
    }
}
