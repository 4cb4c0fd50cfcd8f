//! Where in the configuration the parts of a mapping stand, for reports.

use crate::config::MappingConfig;
use crate::fault::Place;
use crate::mapping::compiled::Compiled;

/// A part of a mapping that reads a place of the payload; the positions are those of `Compiled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mapping) enum Part {
    Field(usize),
    Tag(usize),
    Time(usize),
}

/// The places of one mapping.
#[derive(Debug)]
pub(in crate::mapping) struct Written {
    pub name: Place,
    fields: Vec<Place>,
    tags: Vec<Place>,
    times: Vec<Place>,
}

impl Written {
    pub fn new(mapping: &Compiled, config: &MappingConfig) -> Self {
        let name = &config.name.place;
        let topic = config.topic.first().map_or(name, |topic| &topic.place);
        let field = |name: &str| config.fields.iter().find(|field| field.name.value == name && !field.removed);
        let tag = |name: &str| config.tags.iter().find(|tag| tag.name.value == name);
        let fields = mapping.fields.iter().map(|one| field(&one.name).map_or(name, |at| &at.name.place).clone());
        let tags = mapping.tags.iter().map(|one| tag(&one.name).map_or(topic, |at| &at.name.place).clone());
        let times = config.time.iter().map(|time| time.place.clone());
        Self { name: name.clone(), fields: fields.collect(), tags: tags.collect(), times: times.collect() }
    }

    pub fn place(&self, part: Part) -> &Place {
        let place = match part {
            Part::Field(index) => self.fields.get(index),
            Part::Tag(index) => self.tags.get(index),
            Part::Time(index) => self.times.get(index),
        };
        place.unwrap_or(&self.name)
    }
}
