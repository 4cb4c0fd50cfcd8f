//! `explain --all`: why the mappings whose topics do not match do not.

use std::sync::Arc;

use super::Explanation;
use crate::fault::Place;
use crate::mapping::Mapping;
use crate::mapping::template::Levels;

/// A mapping none of whose topics matches.
#[derive(Clone, Debug, PartialEq)]
pub struct Apart {
    pub mapping: Arc<str>,
    pub place: Place,
    /// The likest of its templates.
    pub topic: String,
    /// Where it differs from the topic.
    pub detail: String,
}

impl Mapping {
    /// Those that `explanation` does not speak of, the likest topics first; at most `most`, and how many more there are.
    #[must_use]
    pub fn apart(&self, topic: &str, explanation: &Explanation, most: usize) -> (Vec<Apart>, usize) {
        let levels = Levels::new(topic);
        let near: String = topic.chars().take(200).collect();
        let mut apart: Vec<(usize, usize, Apart)> = Vec::new();
        for (mapping, written) in self.mappings.iter().zip(&self.written) {
            if explanation.mappings.iter().any(|one| one.mapping == mapping.name) {
                continue;
            }
            let differences = mapping.topics.iter().filter_map(|template| {
                let (fitting, detail) = template.difference(&levels)?;
                let distance = strsim::osa_distance(&near, &template.text.chars().take(200).collect::<String>());
                let likest = (usize::MAX - fitting, distance);
                let topic = template.text.to_string();
                let (mapping, place) = (Arc::clone(&mapping.name), written.name.clone());
                Some((likest.0, likest.1, Apart { mapping, place, topic, detail }))
            });
            apart.extend(differences.min_by_key(|(fitting, distance, _)| (*fitting, *distance)));
        }
        apart.sort_by_key(|(fitting, distance, _)| (*fitting, *distance));
        let more = apart.len().saturating_sub(most);
        (apart.into_iter().take(most).map(|(.., apart)| apart).collect(), more)
    }
}
