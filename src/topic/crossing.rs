//! What is said of filters that cross, where a broker does not tell which copy is for which: a line for each wide filter,
//! not one for each pair.

use std::collections::HashMap;
use std::fmt;

use super::{TopicFilter, join};

/// As many lines are said; a configuration with more has one fault, not a hundred.
pub const CROSSING_SAID: usize = 100;

/// As many of the others are named.
const NAMED: usize = 3;

/// A filter and those that it crosses. Prints what that means, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    pub filter: TopicFilter,
    /// Not empty.
    pub others: Vec<TopicFilter>,
}

/// Each of `pairs` once, with that filter of it that crosses more; in the order of `pairs`.
#[must_use]
pub fn crossings(pairs: &[(TopicFilter, TopicFilter)]) -> Vec<Crossing> {
    let mut counts: HashMap<&TopicFilter, usize> = HashMap::new();
    for (one, other) in pairs {
        *counts.entry(one).or_default() += 1;
        *counts.entry(other).or_default() += 1;
    }
    let mut places: HashMap<&TopicFilter, usize> = HashMap::new();
    let mut crossings: Vec<Crossing> = Vec::new();
    for (one, other) in pairs {
        let (wide, narrow) = if counts[other] > counts[one] { (other, one) } else { (one, other) };
        let place = *places.entry(wide).or_insert_with(|| {
            crossings.push(Crossing { filter: wide.clone(), others: Vec::new() });
            crossings.len() - 1
        });
        crossings[place].others.push(narrow.clone());
    }
    crossings
}

impl fmt::Display for Crossing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = "over MQTT 3.1.1 a message that both match may come, and be stored, twice";
        if let [other] = self.others.as_slice() {
            write!(f, "the filters `{}` and `{other}` cross: {why}; ", self.filter)?;
        } else {
            write!(f, "the filter `{}` crosses {} others (", self.filter, self.others.len())?;
            for (index, other) in self.others.iter().take(NAMED).enumerate() {
                write!(f, "{}`{other}`", if index == 0 { "" } else { ", " })?;
            }
            let more = if self.others.len() > NAMED { ", …" } else { "" };
            write!(f, "{more}): {why}; ")?;
        }
        let joined = self.others.iter().try_fold(self.filter.clone(), |joined, other| join(&joined, other));
        match joined {
            Some(joined) => {
                write!(f, "set `[broker] overlap = \"merge\"`, which subscribes to `{joined}` instead")?;
                if self.others.len() > 1 { write!(f, ", or narrow `{}`", self.filter) } else { Ok(()) }
            }
            None => write!(f, "leave one of them out"),
        }
    }
}
