//! What is read already, by the configuration or by a ready file, and is left out of a proposal.

use std::collections::BTreeSet;

use crate::config::MappingConfig;
use crate::mapping::Mapping;
use crate::message::Message;
use crate::row::{Ignored, Outcome};

use super::ready::Recognised;

/// What needs no proposal, and which names are in use.
#[derive(Debug, Default)]
pub struct Already {
    /// The mappings of a configuration, or of the file that is added to.
    in_force: Vec<Mapping>,
    /// Ready files that are proposed instead.
    pub ready: Vec<Recognised>,
    names: BTreeSet<String>,
}

impl Already {
    /// Those of each of `files`, and the ready files that are proposed.
    #[must_use]
    pub fn new(files: &[&[MappingConfig]], ready: Vec<Recognised>) -> Self {
        let in_force: Vec<Mapping> = files.iter().filter_map(|mappings| Mapping::new(mappings).0).collect();
        let named = files.iter().flat_map(|mappings| *mappings);
        let mut names: BTreeSet<String> = named.map(|mapping| mapping.name.value.to_lowercase()).collect();
        let measurements = in_force.iter().flat_map(|mapping| &mapping.schema().measurements);
        names.extend(measurements.map(|measurement| measurement.name.to_lowercase()));
        names.extend(ready.iter().flat_map(|ready| ready.names().map(str::to_lowercase)));
        Self { in_force, ready, names }
    }

    /// Whether `message` needs no mapping: one takes it already, whether it gives rows of it or not.
    #[must_use]
    pub fn takes(&self, message: &Message) -> bool {
        let takes = |mapping: &Mapping| mapping.map(message).outcome != Outcome::Ignored(Ignored::Unmapped);
        self.in_force.iter().any(takes) || self.ready.iter().any(|ready| ready.takes(message))
    }

    /// Whether a mapping or a measurement of that name is there already: a proposal takes another.
    #[must_use]
    pub fn is_taken(&self, name: &str) -> bool {
        self.names.contains(&name.to_lowercase())
    }
}
