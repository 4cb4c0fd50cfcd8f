//! A payload as far as it is wanted, and what is wanted of it; `read` reads JSON so.
//!
//! What a path ends at is kept as the text that was sent, so that digits stay as they are until a type is
//! asked for. No tree of the whole document is made. Of a key that comes twice, the last value counts.
//! Deeper than 128 levels is refused (also in what is skipped), so no payload can exhaust the stack.

mod read;

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;

use super::decode::Unreadable;
use super::path::Step;
use super::pattern::Pattern;
use super::run::MAX_ROWS;

pub(super) use read::{check_depth, last_of_each};

/// Places that are kept of one message: of each row 25 and the row itself. Each costs some 100 bytes.
pub(super) const MAX_PLACES: usize = 26 * MAX_ROWS;
/// Beyond these no room is made in advance, and none is left unused: ordinary payloads have fewer, and pay nothing.
const MANY_PLACES: usize = 1_000;
/// As deep as serde_json goes.
pub(super) const MAX_DEPTH: usize = 128;

/// A place in a payload, with what is wanted of it.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::redundant_allocation, reason = "a thin pointer, for what few places have, keeps all of them small")]
pub(super) enum Doc<'p> {
    /// The literal text of a JSON value.
    Json(&'p str),
    /// A text: the payload, where it is one, or a part of a format that has no types.
    Text(Cow<'p, str>),
    Object {
        /// Boxed, for few are kept as a whole too, and an element of a large array shall be small.
        json: Option<Box<&'p str>>,
        members: Vec<(Cow<'p, str>, Doc<'p>)>,
        /// Parts that are found by position beside those that have names; JSON has none.
        pieces: Option<Box<Pieces<'p>>>,
    },
    Array {
        json: Option<Box<&'p str>>,
        items: Vec<(usize, Doc<'p>)>,
    },
    /// Something that stands alone where it might be repeated, in a format that makes no lists of one: read as what it
    /// is, and as a list of it.
    Alone(Box<Doc<'p>>),
    /// A scalar where only a member of it was asked for.
    Other,
}

/// Parts by their position, which ascends.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pieces<'p>(Vec<(usize, Doc<'p>)>);

/// How many places are kept of one message. All its documents share the bound: an array of a million elements must not
/// become a tree, however it is nested.
#[derive(Debug, Default)]
pub(super) struct Kept(Cell<usize>);

impl Kept {
    /// Counts `more` places.
    ///
    /// # Errors
    /// More than `MAX_PLACES`.
    pub fn add(&self, more: usize) -> Result<(), Unreadable> {
        self.0.set(self.0.get().saturating_add(more));
        self.too_many().map_or(Ok(()), Err)
    }

    pub fn too_many(&self) -> Option<Unreadable> {
        let full = self.0.get() > MAX_PLACES;
        full.then(|| Unreadable::too_large(format!("has more than {MAX_PLACES} values that are wanted")))
    }

    pub fn are_many(&self) -> bool {
        self.0.get() > MANY_PLACES
    }

    pub fn count(&self) -> usize {
        self.0.get()
    }

    /// Forgets those that were counted since there were `count`, because they are kept no more.
    pub fn back_to(&self, count: usize) {
        self.0.set(count);
    }
}

impl<'p> Doc<'p> {
    /// Of members and of parts that are found by their position.
    pub fn object(mut members: Vec<(Cow<'p, str>, Self)>, items: Vec<(usize, Self)>) -> Self {
        last_of_each(&mut members);
        Self::Object { json: None, members, pieces: (!items.is_empty()).then(|| Box::new(Pieces(items))) }
    }

    /// The text that was sent, where all of it is kept.
    pub fn json(&self) -> Option<&'p str> {
        match self {
            Self::Json(json) => Some(json),
            Self::Object { json, .. } | Self::Array { json, .. } => json.as_deref().copied(),
            Self::Text(_) | Self::Alone(_) | Self::Other => None,
        }
    }

    /// The parts that are found by position.
    pub fn items(&self) -> &[(usize, Self)] {
        match self {
            Self::Array { items, .. } => items,
            Self::Object { pieces: Some(pieces), .. } => &pieces.0,
            Self::Object { pieces: None, .. } | Self::Json(_) | Self::Text(_) | Self::Alone(_) | Self::Other => &[],
        }
    }

    /// What it is where no list is asked for.
    pub fn itself(&self) -> &Self {
        match self {
            Self::Alone(doc) => doc.itself(),
            doc => doc,
        }
    }

    pub fn member(&self, key: &str) -> Option<&Self> {
        match self.itself() {
            Self::Object { members, .. } => members.iter().find(|(name, _)| name == key).map(|(_, doc)| doc),
            _ => None,
        }
    }

    pub fn item(&self, index: usize) -> Option<&Self> {
        match self {
            Self::Alone(doc) => Some(&**doc).filter(|_| index == 0),
            doc => match doc.items().get(index) {
                Some((at, doc)) if *at == index => Some(doc),
                _ => {
                    let items = doc.items();
                    items.binary_search_by_key(&index, |(at, _)| *at).ok().map(|found| &items[found].1)
                }
            },
        }
    }

    /// Whether it is one value rather than an object or an array.
    pub fn is_scalar(&self) -> bool {
        match self {
            Self::Json(text) => !text.starts_with(['{', '[']),
            Self::Alone(doc) => doc.is_scalar(),
            Self::Text(_) | Self::Other => true,
            Self::Object { .. } | Self::Array { .. } => false,
        }
    }
}

/// What is wanted of a place: the union of all paths that lead through it. It may keep more than a path takes, never less.
#[derive(Clone, Debug, Default)]
pub(super) struct Want {
    keep: bool,
    keys: Vec<(Box<str>, Want)>,
    /// Only filled where a linear search would be slow.
    key_index: HashMap<Box<str>, usize>,
    patterns: Vec<Pattern>,
    /// What is wanted of members whose names fit one of `patterns`.
    fitting: Option<Box<Want>>,
    indexes: Vec<(usize, Want)>,
    each: Option<Box<Want>>,
    /// What is wanted of the payload that stands here as a text.
    inside: Option<Box<Want>>,
    /// What is wanted of something that stands alone where elements are wanted; only where lists of one are not written.
    alone: Option<Box<Want>>,
}

impl Want {
    /// Also wants the place that `steps` lead to.
    pub fn add<'s>(&mut self, mut steps: impl Iterator<Item = &'s Step> + Clone) {
        let Some(step) = steps.next() else {
            self.keep = true;
            return;
        };
        let next = match step {
            Step::Key(key) => {
                let found = self.keys.iter().position(|(known, _)| known == key);
                let index = found.unwrap_or_else(|| {
                    self.keys.push((key.clone(), Self::default()));
                    self.keys.len() - 1
                });
                &mut self.keys[index].1
            }
            Step::CaughtKey(pattern) | Step::Members(pattern) => {
                if !self.patterns.contains(pattern) {
                    self.patterns.push(pattern.clone());
                }
                &mut **self.fitting.get_or_insert_default()
            }
            Step::Index(index) => {
                let found = self.indexes.iter().position(|(known, _)| known == index);
                let index = found.unwrap_or_else(|| {
                    self.indexes.push((*index, Self::default()));
                    self.indexes.len() - 1
                });
                &mut self.indexes[index].1
            }
            // The arrays are members here: the next step names one.
            Step::Zip(_) => return self.add(steps),
            Step::CaughtIndex(_) | Step::Each(_) => &mut **self.each.get_or_insert_default(),
            Step::Inside => {
                self.keep = true;
                &mut **self.inside.get_or_insert_default()
            }
        };
        next.add(steps);
    }

    /// What is wanted of the payload inside, wherever it stands.
    pub fn into_inside(self) -> Option<Self> {
        if let Some(inside) = self.inside {
            return Some(*inside);
        }
        let parts = self.keys.into_iter().map(|(_, want)| want).chain(self.indexes.into_iter().map(|(_, want)| want));
        let boxed = self.fitting.into_iter().chain(self.each).map(|want| *want);
        parts.chain(boxed).find_map(Self::into_inside)
    }

    /// Also wants all that `other` wants.
    fn merge(&mut self, other: &Self) {
        self.keep |= other.keep;
        for (key, want) in &other.keys {
            match self.keys.iter_mut().find(|(known, _)| known == key) {
                Some((_, known)) => known.merge(want),
                None => self.keys.push((key.clone(), want.clone())),
            }
        }
        for pattern in &other.patterns {
            if !self.patterns.contains(pattern) {
                self.patterns.push(pattern.clone());
            }
        }
        merge_option(&mut self.fitting, other.fitting.as_deref());
        for (index, want) in &other.indexes {
            match self.indexes.iter_mut().find(|(known, _)| known == index) {
                Some((_, known)) => known.merge(want),
                None => self.indexes.push((*index, want.clone())),
            }
        }
        merge_option(&mut self.each, other.each.as_deref());
    }

    /// Makes it ready: a key that also fits a pattern, and an index beside `[]`, want both.
    pub fn finish(&mut self) {
        if let Some(fitting) = &mut self.fitting {
            for (key, want) in &mut self.keys {
                if self.patterns.iter().any(|pattern| pattern.takes(key)) {
                    want.merge(fitting);
                }
            }
            fitting.finish();
        }
        if let Some(each) = &mut self.each {
            for (_, want) in &mut self.indexes {
                want.merge(each);
            }
            each.finish();
        }
        self.keys.iter_mut().for_each(|(_, want)| want.finish());
        self.indexes.iter_mut().for_each(|(_, want)| want.finish());
        if self.keys.len() > 12 {
            self.key_index = self.keys.iter().enumerate().map(|(index, (key, _))| (key.clone(), index)).collect();
        }
    }

    /// Takes what stands alone for a list of one, too. To be called once it is finished.
    pub fn alone_is_a_list(&mut self) {
        if let Some(element) = self.of_index(0) {
            let mut alone =
                Self { indexes: Vec::new(), each: None, key_index: HashMap::new(), alone: None, ..self.clone() };
            alone.merge(element);
            alone.finish();
            alone.alone_is_a_list();
            self.alone = Some(Box::new(alone));
        }
        let parts = self.keys.iter_mut().map(|(_, want)| want).chain(self.indexes.iter_mut().map(|(_, want)| want));
        parts.chain(self.fitting.as_deref_mut()).chain(self.each.as_deref_mut()).for_each(Self::alone_is_a_list);
    }

    /// Whether all of the place is wanted.
    pub fn keeps(&self) -> bool {
        self.keep
    }

    /// What is wanted of the member `key`, if anything.
    pub fn of_key(&self, key: &str) -> Option<&Self> {
        let found = if self.key_index.is_empty() {
            // Most keys differ in their last character: cheaper than to compare each as a whole.
            let last = key.as_bytes().last();
            let same = |known: &str| known.len() == key.len() && known.as_bytes().last() == last && known == key;
            self.keys.iter().find(|(known, _)| same(known))
        } else {
            self.key_index.get(key).map(|index| &self.keys[*index])
        };
        match found {
            Some((_, want)) => Some(want),
            None => self.fitting.as_deref().filter(|_| self.patterns.iter().any(|pattern| pattern.takes(key))),
        }
    }

    /// What is wanted of the element at `index`, if anything.
    pub fn of_index(&self, index: usize) -> Option<&Self> {
        let found = self.indexes.iter().find(|(known, _)| *known == index).map(|(_, want)| want);
        found.or(self.each.as_deref())
    }

    fn wants_parts(&self) -> bool {
        !self.keys.is_empty() || self.fitting.is_some() || !self.indexes.is_empty() || self.each.is_some()
    }
}

fn merge_option(into: &mut Option<Box<Want>>, from: Option<&Want>) {
    if let Some(from) = from {
        into.get_or_insert_default().merge(from);
    }
}
