//! Groups of mappings that read a payload together: Tasmota's sensors may be ten mappings on one topic.

use std::collections::HashMap;

use super::compiled::Compiled;
use super::document::Want;

/// Puts mappings that share a topic template into one group, so that a payload is read once for all of them.
pub(super) fn group(mappings: &mut [Compiled]) -> Vec<Want> {
    let mut by_template: HashMap<&str, usize> = HashMap::new();
    let mut parents: Vec<usize> = (0..mappings.len()).collect();
    for (index, mapping) in mappings.iter().enumerate() {
        for template in &mapping.topics {
            if let Some(other) = by_template.insert(&template.text, index) {
                let (one, other) = (find(&mut parents, index), find(&mut parents, other));
                parents[one.max(other)] = one.min(other);
            }
        }
    }
    let mut wants: Vec<Want> = Vec::new();
    let mut groups: HashMap<usize, usize> = HashMap::new();
    for (index, mapping) in mappings.iter_mut().enumerate() {
        let group = *groups.entry(find(&mut parents, index)).or_insert_with(|| {
            wants.push(Want::default());
            wants.len() - 1
        });
        mapping.group = group;
        mapping.add_to(&mut wants[group]);
    }
    wants.iter_mut().for_each(Want::finish);
    wants
}

/// The representative of a group (union-find, with paths halved).
fn find(parents: &mut [usize], mut index: usize) -> usize {
    while parents[index] != index {
        parents[index] = parents[parents[index]];
        index = parents[index];
    }
    index
}
