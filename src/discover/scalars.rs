//! Topics that hold one value each: where a level names what it is, `pivot` makes columns of them.

use std::collections::{BTreeMap, HashMap};

use super::draft::{Draft, Field};
use super::guess::{self, Guess};
use super::naming::{self, Names};
use super::objects;
use super::shape::Shape;
use super::topics::{Level, Template};
use super::{compose, words, write};
use crate::message::Time;

/// Columns of one pivot.
const MAX_FIELDS: usize = 150;

/// A template whose payloads are values.
pub(super) struct Values<'t> {
    pub template: &'t Template,
    pub shape: Shape,
    pub messages: u64,
    pub retained: u64,
}

/// A draft with the levels of its topic, for its name.
pub(super) struct Proposed {
    pub draft: Draft,
    pub levels: Vec<Level>,
    /// What the name is to end in.
    pub suffix: Option<&'static str>,
}

/// How the levels of a topic are written; captures by name, `None` where one level stands for all.
pub(super) fn topic(levels: &[Level], names: &[Option<String>]) -> String {
    let written = levels.iter().zip(names).map(|(level, name)| match (level, name) {
        (Level::Const(label), _) if label.contains(['{', '}']) => "+".to_owned(),
        (Level::Const(label), _) => label.to_string(),
        (Level::Varies { before, .. }, Some(name)) => format!("{before}{{{name}}}"),
        (Level::Varies { .. }, None) => "+".to_owned(),
    });
    written.collect::<Vec<_>>().join("/")
}

pub(super) fn drafts(values: &[Values<'_>], near: Time) -> Vec<Proposed> {
    let mut proposed = Vec::new();
    let mut groups: BTreeMap<String, Vec<&Values<'_>>> = BTreeMap::new();
    for value in values {
        let levels = &value.template.levels;
        let is_there = is_availability(value);
        match prefix(levels) {
            Some(prefix)
                if prefix < levels.len()
                    && !is_there
                    && levels[prefix..].iter().all(|level| level.label().is_some_and(is_sayable)) =>
            {
                // With what stands before a capture: `battery_{}` and `inverter_{}` are not one topic.
                groups.entry(topic(&levels[..prefix], &vec![Some(String::new()); prefix])).or_default().push(value);
            }
            _ => proposed.push(single(value, near, is_there)),
        }
    }
    for group in groups.values() {
        proposed.extend(pivots(group, near));
    }
    proposed
}

/// Whether a level can stand in a path and in a topic.
fn is_sayable(label: &str) -> bool {
    objects::segment(label).is_some() && !label.contains(['{', '}'])
}

/// How many levels say who sent it: up to the last that varies; where none does, the first.
fn prefix(levels: &[Level]) -> Option<usize> {
    match levels.iter().rposition(|level| level.label().is_none()) {
        Some(at) => Some(at + 1),
        None => (levels.len() > 1).then_some(1),
    }
}

/// Whether the values say that something is there: their last one counts, retained or not.
fn is_availability(value: &Values<'_>) -> bool {
    let Some(label) = value.template.levels.last().and_then(Level::label) else { return false };
    let shape = &value.shape;
    let says = |text: &str| {
        words::truth(text).is_some() && !["on", "off", "open", "closed"].contains(&text.to_lowercase().as_str())
    };
    let has_words = shape.texts.count > 0 && shape.texts.distinct.iter().all(|text| says(text))
        || shape.bools() > 0 && label.eq_ignore_ascii_case("online");
    words::is_availability(label) && has_words && shape.numbers.count == 0
}

/// The field that a value is, by the level that names it.
fn field(names: &mut Names, wanted: &[String], key: &str, shape: &Shape, path: &str, near: Time) -> Field {
    let (field, off) = match guess::guess(key, shape, near) {
        Guess::Field(field) => (field, None),
        Guess::Doubtful(field, why) => (field, Some(why)),
        Guess::Moment(moment) => compose::moment_field(moment, None),
        Guess::Nothing(why) => (guess::Field::default(), Some(why)),
    };
    let name = names.take(wanted);
    let path = (name != path).then(|| path.to_owned());
    Field { name, path, field, evidence: format!("{}: {}", shape.seen, guess::evidence(shape)), off }
}

/// The level that says what the value is: the last that says anything.
fn naming_level(levels: &[Level]) -> Option<&str> {
    let labels = || levels.iter().rev().filter_map(Level::label).filter(|label| !label.is_empty());
    labels().find(|label| !words::is_generic(label)).or_else(|| labels().next())
}

/// A mapping of topics whose every level is who sent it, or of one topic.
fn single(value: &Values<'_>, near: Time, is_there: bool) -> Proposed {
    let levels = &value.template.levels;
    let captures = super::topics::name_captures(levels);
    let mut names = Names::default();
    captures.iter().flatten().for_each(|capture| drop(names.take(std::slice::from_ref(capture))));
    let key = naming_level(levels).unwrap_or("value").to_owned();
    let wanted = if is_there { "online".to_owned() } else { naming::plain(&key) };
    let mut draft = Draft { topics: vec![topic(levels, &captures)], ..Draft::default() };
    let mut field = field(&mut names, &[wanted], &key, &value.shape, ".", near);
    if let (true, Guess::Field(guess)) = (is_there, guess::guess("online", &value.shape, near)) {
        field.field = guess;
        field.off = None;
    }
    draft.fields.push(field);
    retained(&mut draft, &[value], is_there);
    count(&mut draft, &[value]);
    Proposed { draft, levels: levels.clone(), suffix: is_there.then_some("availability") }
}

fn count(draft: &mut Draft, values: &[&Values<'_>]) {
    draft.form = Some(super::payload::Form::Scalar);
    draft.messages = values.iter().map(|value| value.messages).sum();
    draft.members = values.iter().flat_map(|value| value.template.members.iter().copied()).collect();
    let topics: usize = values.iter().map(|value| value.template.members.len()).sum();
    draft.head.insert(0, super::heard(draft.messages, topics));
}

/// Last words are worth keeping; of readings, what is retained is old.
pub(super) fn keep_retained(draft: &mut Draft, messages: u64, retained: u64, is_state: bool) {
    let is_only = retained > 0 && retained == messages;
    let is_words =
        |field: &Field| {
            field.field.keys.iter().any(|(key, value)| {
                *key == "words" || *key == "type" && (value.contains("text") || value.contains("bool"))
            })
        };
    let is_words = draft.has_fields() && draft.fields.iter().filter(|field| field.off.is_none()).all(is_words);
    if is_state {
        draft.key("retained", write::string("store"), "a state: the last word counts, retained or not");
    } else if is_only && is_words {
        draft.key("retained", write::string("store"), "heard as retained only, and no number in it: what is sent once");
    } else if is_only {
        draft.keys.push(super::draft::Key {
            key: "retained",
            value: write::string("store"),
            note: "heard as retained only: old readings, which each connection would store again; for states take `# ` away".to_owned(),
            off: true,
        });
    }
}

fn retained(draft: &mut Draft, values: &[&Values<'_>], is_state: bool) {
    let (messages, retained) = values
        .iter()
        .fold((0, 0), |(messages, retained), value| (messages + value.messages, retained + value.retained));
    keep_retained(draft, messages, retained, is_state);
}

/// Mappings for topics that begin alike, each with one level that names the field; what fits nowhere shares one.
fn pivots(group: &[&Values<'_>], near: Time) -> Vec<Proposed> {
    let mut start = prefix(&group[0].template.levels).unwrap_or(0);
    let shortest = group.iter().map(|value| value.template.levels.len()).min().unwrap_or(0);
    while start + 1 < shortest
        && group.iter().all(|value| value.template.levels[start] == group[0].template.levels[start])
    {
        start += 1;
    }
    let tails: Vec<Vec<&str>> =
        group.iter().map(|value| value.template.levels[start..].iter().filter_map(Level::label).collect()).collect();
    let hole = |tail: &[&str], at: usize| -> (usize, Vec<String>) {
        (at, tail.iter().enumerate().filter(|(index, _)| *index != at).map(|(_, label)| (*label).to_owned()).collect())
    };
    let mut counts: HashMap<(usize, Vec<String>), usize> = HashMap::new();
    for tail in &tails {
        (0..tail.len().min(8)).for_each(|at| *counts.entry(hole(tail, at)).or_default() += 1);
    }
    let mut clusters: BTreeMap<(usize, Vec<String>), Vec<usize>> = BTreeMap::new();
    let mut rest = Vec::new();
    for (index, tail) in tails.iter().enumerate() {
        let best = (0..tail.len().min(8)).max_by_key(|at| {
            let says = usize::from(!words::is_generic(tail[*at]));
            (counts[&hole(tail, *at)].min(MAX_FIELDS) * 4 + usize::from(words::is_quantity(tail[*at])) * 2 + says, *at)
        });
        match best.map(|at| hole(tail, at)) {
            Some(key) if counts[&key] > 1 || tail.len() == 1 => clusters.entry(key).or_default().push(index),
            _ => rest.push(index),
        }
    }
    let lonely: Vec<(usize, Vec<String>)> =
        clusters.iter().filter(|(_, indices)| indices.len() == 1).map(|(key, _)| key.clone()).collect();
    for key in lonely {
        rest.extend(clusters.remove(&key).unwrap_or_default());
    }
    rest.sort_unstable();
    let mut proposed = Vec::new();
    for ((at, _), indices) in &clusters {
        for part in indices.chunks(MAX_FIELDS) {
            let values: Vec<&Values<'_>> = part.iter().map(|index| group[*index]).collect();
            let tails: Vec<&[&str]> = part.iter().map(|index| &tails[*index][..]).collect();
            proposed.push(pivot(&values, start, &tails, Some(*at), near));
        }
    }
    if let [one] = rest.as_slice() {
        proposed.push(single(group[*one], near, false));
    } else {
        for part in rest.chunks(MAX_FIELDS) {
            let values: Vec<&Values<'_>> = part.iter().map(|index| group[*index]).collect();
            let tails: Vec<&[&str]> = part.iter().map(|index| &tails[*index][..]).collect();
            proposed.push(pivot(&values, start, &tails, None, near));
        }
    }
    proposed
}

/// One mapping; the level `at` of the tails names the field, or all of them do.
fn pivot(values: &[&Values<'_>], start: usize, tails: &[&[&str]], at: Option<usize>, near: Time) -> Proposed {
    let levels = &values[0].template.levels[..start];
    let captures = super::topics::name_captures(levels);
    let mut names = Names::default();
    captures.iter().flatten().for_each(|capture| drop(names.take(std::slice::from_ref(capture))));
    let mut written = vec![topic(levels, &captures)];
    let mut named_levels = levels.to_vec();
    let capture = match at {
        Some(at) => {
            for (index, label) in tails[0].iter().enumerate() {
                if index == at {
                    written.push("{_what}".to_owned());
                } else {
                    written.push((*label).to_owned());
                    named_levels.push(Level::Const((*label).into()));
                }
            }
            "{_what}"
        }
        None => {
            written.push("{_what#}".to_owned());
            "{_what}"
        }
    };
    let mut draft = Draft { topics: vec![written.join("/")], ..Draft::default() };
    draft.key("pivot", write::string(capture), "the level that names the field");
    let retained_of: Vec<&Values<'_>> = values.to_vec();
    for (value, tail) in values.iter().zip(tails) {
        let labels: Vec<&str> = match at {
            Some(at) => vec![tail[at]],
            None => tail.to_vec(),
        };
        let path = match at {
            Some(at) => objects::segment(tail[at]),
            None => objects::segment(&tail.join("/")),
        };
        let Some(path) = path else { continue };
        let told: Vec<&str> = labels.iter().copied().filter(|label| !words::is_generic(label)).collect();
        let told = if told.is_empty() { labels.clone() } else { told };
        let wanted = [naming::plain(&told.join("_")), naming::plain(&labels.join("_"))];
        let key = told[told.len().saturating_sub(2)..].join("_");
        draft.fields.push(field(&mut names, &wanted, &key, &value.shape, &path, near));
    }
    draft.fields.sort_by_key(|field| field.off.is_some());
    retained(&mut draft, &retained_of, false);
    count(&mut draft, values);
    Proposed { draft, levels: named_levels, suffix: None }
}
