//! What the values at one place of many payloads are like: which kinds, which members, a few examples.
//!
//! Merging is cheap and bounded: a device that makes up keys or words makes no shape grow without end.

use std::collections::HashMap;

use super::json::Json;

/// Members of an object that are told apart. More are no columns, and no sensible names of rows either.
pub(super) const MAX_MEMBERS: usize = 256;
/// Distinct texts that are kept of one place.
const MAX_TEXTS: usize = 24;
/// Examples of numbers.
const MAX_EXAMPLES: usize = 4;
/// Elements of an array that are looked at.
const MAX_ELEMENTS: usize = 64;
/// Texts longer than this are kept cut: nobody reads more of them in a comment.
const TEXT_CHARS: usize = 160;

#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    /// Values that were there, null included.
    pub seen: u64,
    pub nulls: u64,
    pub trues: u64,
    pub falses: u64,
    pub numbers: Numbers,
    pub texts: Texts,
    pub objects: u64,
    pub members: Members,
    pub arrays: u64,
    pub longest: usize,
    pub elements: Option<Box<Shape>>,
    /// What a member beside it says of its unit, while all say the same.
    pub unit: Said,
}

/// What members beside a value say of its unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Said {
    #[default]
    Nothing,
    Unit(Box<str>),
    Various,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    pub count: u64,
    pub fractions: u64,
    pub min: f64,
    pub max: f64,
    pub examples: Vec<f64>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    pub count: u64,
    pub longest: usize,
    /// In the order in which they came.
    pub distinct: Vec<Box<str>>,
    /// There are more than `distinct` holds.
    pub more: bool,
}

/// Members by name, in the order in which they first came.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    list: Vec<(Box<str>, Shape)>,
    index: HashMap<Box<str>, usize>,
    /// Members beyond `MAX_MEMBERS`.
    pub more: u64,
}

impl Members {
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Shape)> {
        self.list.iter().map(|(name, shape)| (&**name, shape))
    }

    pub fn get(&self, name: &str) -> Option<&Shape> {
        Some(&self.list[*self.index.get(name)?].1)
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    fn entry(&mut self, name: &str) -> Option<&mut Shape> {
        if let Some(index) = self.index.get(name) {
            return Some(&mut self.list[*index].1);
        }
        if self.list.len() >= MAX_MEMBERS {
            self.more += 1;
            return None;
        }
        self.index.insert(name.into(), self.list.len());
        self.list.push((name.into(), Shape::default()));
        self.list.last_mut().map(|(_, shape)| shape)
    }
}

impl Shape {
    pub fn add(&mut self, value: &Json) {
        self.seen += 1;
        match value {
            Json::Null => self.nulls += 1,
            Json::Bool(true) => self.trues += 1,
            Json::Bool(false) => self.falses += 1,
            Json::Number(number) => self.numbers.add(*number),
            Json::Text(text) => self.texts.add(text),
            Json::Array(elements) => {
                self.arrays += 1;
                self.longest = self.longest.max(elements.len());
                let shape = self.elements.get_or_insert_default();
                elements.iter().take(MAX_ELEMENTS).for_each(|element| shape.add(element));
            }
            Json::Object(members) => {
                self.objects += 1;
                let unit = unit_beside(members);
                for (name, value) in members {
                    let Some(shape) = self.members.entry(name) else { continue };
                    shape.add(value);
                    if let Some((_, unit)) = unit.filter(|(of, _)| *of == &**name) {
                        shape.say(unit);
                    }
                }
            }
        }
    }

    fn say(&mut self, unit: &str) {
        self.unit = match std::mem::take(&mut self.unit) {
            Said::Nothing => Said::Unit(unit.into()),
            Said::Unit(known) if &*known == unit => Said::Unit(known),
            Said::Unit(_) | Said::Various => Said::Various,
        };
    }

    pub fn bools(&self) -> u64 {
        self.trues + self.falses
    }

    pub fn scalars(&self) -> u64 {
        self.bools() + self.numbers.count + self.texts.count
    }

    /// Never an object or an array.
    pub fn is_scalar(&self) -> bool {
        self.objects == 0 && self.arrays == 0
    }
}

/// Keys under which a unit stands beside its value.
pub(super) const UNIT_KEYS: [&str; 5] = ["unit", "units", "unit_of_measurement", "uom", "u"];

/// In `{"voltage": 230, "unit": "V"}` the member that the unit is of, and the unit.
fn unit_beside(members: &[(Box<str>, Json)]) -> Option<(&str, &str)> {
    let is_unit = |name: &str| UNIT_KEYS.iter().any(|key| name.eq_ignore_ascii_case(key));
    let unit = members.iter().find_map(|(name, value)| match value {
        Json::Text(text) if is_unit(name) && !text.is_empty() && text.chars().count() <= 16 => Some(&**text),
        _ => None,
    })?;
    let mut numbers = members.iter().filter(|(name, value)| {
        let number = match value {
            Json::Number(_) => true,
            Json::Text(text) => text.trim().parse::<f64>().is_ok(),
            _ => false,
        };
        number && !is_unit(name) && !super::words::is_time_key(name)
    });
    match (numbers.next(), numbers.next()) {
        (Some((name, _)), None) => Some((name, unit)),
        _ => members.iter().find(|(name, _)| name.eq_ignore_ascii_case("value")).map(|(name, _)| (&**name, unit)),
    }
}

impl Numbers {
    fn add(&mut self, number: f64) {
        if self.count == 0 {
            (self.min, self.max) = (number, number);
        }
        self.count += 1;
        self.fractions += u64::from(number.fract() != 0.0);
        self.min = self.min.min(number);
        self.max = self.max.max(number);
        if self.examples.len() < MAX_EXAMPLES && !self.examples.contains(&number) {
            self.examples.push(number);
        }
    }

    pub fn are_whole(&self) -> bool {
        self.fractions == 0
    }
}

impl Texts {
    fn add(&mut self, text: &str) {
        self.count += 1;
        self.longest = self.longest.max(text.len());
        let cut: Box<str> = match text.char_indices().nth(TEXT_CHARS) {
            Some((at, _)) => text[..at].into(),
            None => text.into(),
        };
        if self.distinct.contains(&cut) {
        } else if self.distinct.len() < MAX_TEXTS {
            self.distinct.push(cut);
        } else {
            self.more = true;
        }
    }
}

impl Shape {
    /// Takes in what is known of another place.
    pub fn merge(&mut self, other: &Self) {
        self.seen += other.seen;
        self.nulls += other.nulls;
        self.trues += other.trues;
        self.falses += other.falses;
        self.objects += other.objects;
        self.arrays += other.arrays;
        self.longest = self.longest.max(other.longest);
        self.numbers.merge(&other.numbers);
        self.texts.merge(&other.texts);
        match &other.unit {
            Said::Nothing => {}
            Said::Unit(unit) => self.say(unit),
            Said::Various => self.unit = Said::Various,
        }
        if let Some(elements) = &other.elements {
            self.elements.get_or_insert_default().merge(elements);
        }
        for (name, member) in other.members.iter() {
            if let Some(own) = self.members.entry(name) {
                own.merge(member);
            }
        }
        self.members.more += other.members.more;
    }
}

impl Numbers {
    fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = other.clone();
            return;
        }
        self.count += other.count;
        self.fractions += other.fractions;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        for example in &other.examples {
            if self.examples.len() < MAX_EXAMPLES && !self.examples.contains(example) {
                self.examples.push(*example);
            }
        }
    }
}

impl Texts {
    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.longest = self.longest.max(other.longest);
        self.more |= other.more;
        for text in &other.distinct {
            if self.distinct.contains(text) {
            } else if self.distinct.len() < MAX_TEXTS {
                self.distinct.push(text.clone());
            } else {
                self.more = true;
            }
        }
    }
}
