//! What a mapping's own paths lead to, as seen from a row: the places that are not "other".

use std::collections::HashMap;

use crate::mapping::path::Step;
use crate::mapping::pattern::{Captures, Pattern};

/// A place, and what lies below it.
#[derive(Debug, Default)]
pub(in crate::mapping) struct Taken {
    /// A path ends here: all below is taken.
    ends: bool,
    keys: HashMap<Box<str>, Taken>,
    indexes: HashMap<usize, Taken>,
    caught_keys: Vec<(Pattern, Taken)>,
    /// By the capture that holds the position.
    caught_indexes: Vec<(usize, Taken)>,
}

/// A step down.
#[derive(Clone, Copy, Debug)]
pub(in crate::mapping) enum Part<'p> {
    Key(&'p str),
    Index(usize),
}

impl Taken {
    /// Adds a path. One that leads nowhere, or to the row as a whole, takes none of its parts.
    pub(in crate::mapping) fn add(&mut self, steps: &[Step]) {
        if steps.is_empty() || steps.iter().any(Step::is_many) {
            return;
        }
        let mut place = self;
        for step in steps {
            place = match step {
                Step::Key(key) => place.keys.entry(key.clone()).or_default(),
                Step::Index(index) => place.indexes.entry(*index).or_default(),
                Step::CaughtKey(pattern) => {
                    let found = place.caught_keys.iter().position(|(known, _)| known == pattern);
                    let index = found.unwrap_or_else(|| {
                        place.caught_keys.push((pattern.clone(), Self::default()));
                        place.caught_keys.len() - 1
                    });
                    &mut place.caught_keys[index].1
                }
                Step::CaughtIndex(slot) => {
                    let found = place.caught_indexes.iter().position(|(known, _)| known == slot);
                    let index = found.unwrap_or_else(|| {
                        place.caught_indexes.push((*slot, Self::default()));
                        place.caught_indexes.len() - 1
                    });
                    &mut place.caught_indexes[index].1
                }
                Step::Members(_) | Step::Each(_) | Step::Zip(_) | Step::Inside => return,
            };
        }
        place.ends = true;
    }
}

/// What is taken one step below `places`; `None`: all of it.
pub(super) fn below<'t>(places: &[&'t Taken], part: Part<'_>, captures: &Captures<'_>) -> Option<Vec<&'t Taken>> {
    let mut found = Vec::new();
    for place in places {
        match part {
            Part::Key(key) => {
                found.extend(place.keys.get(key));
                let caught = place.caught_keys.iter();
                found.extend(caught.filter(|(name, _)| name.fill(captures).as_deref() == Some(key)).map(|(_, at)| at));
            }
            Part::Index(index) => {
                found.extend(place.indexes.get(&index));
                let is_here = |slot: usize| captures.get(slot)?.as_deref()?.parse().ok();
                let caught = place.caught_indexes.iter();
                found.extend(caught.filter(|(slot, _)| is_here(*slot) == Some(index)).map(|(_, at)| at));
            }
        }
    }
    found.iter().all(|place| !place.ends).then_some(found)
}
