//! `Message → Outcome { Rows | Ignored | Rejected }`, by the mappings of the configuration. Pure: no I/O, no clock.
//!
//! Topic templates are one trie (`trie`); a payload is decoded once for all mappings that share a template and a format
//! (`decode`, `groups`), and read only as far as they want it (`document`); then each mapping makes its rows (`run`).
//! What the language means is written in docs/mapping.md. The same message gives the same outcome, whenever it is
//! mapped: times are judged by the time of receipt.
//!
//! No payload makes it panic, and none makes it hold much: unpacked or transcoded it has at most `decode::MAX_BYTES`, of
//! which at most `document::MAX_PLACES` places are kept, and a mapping makes at most `run::MAX_ROWS` rows of them.

mod compile;
mod compiled;
mod decode;
mod document;
mod explain;
mod groups;
mod inside;
mod merge;
mod names;
mod number;
mod others;
mod own;
mod path;
mod pattern;
mod run;
mod shares;
mod template;
mod time;
mod together;
mod trie;
mod value;
mod words;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use elsa::FrozenVec;

use crate::config::MappingConfig;
use crate::config::mapping::Redelivery;
use crate::config::mapping::{Encoding, Format};
use crate::fault::{Fault, Severity};
use crate::message::{Malformed, Message, Qos, Time};
use crate::row::{Ignored, Mapped, Outcome, Reason, Reject, Row};
use crate::schema::Schema;
use crate::topic::{self, Subscription, TopicFilter};

use compiled::Compiled;
use decode::Unreadable;
use document::Kept;
use explain::Written;
use groups::{Document, Group, Read};
use pattern::Captures;
use run::{Made, Run};
use template::Levels;
use trie::{Numbers, Trie};

pub use explain::{Apart, Explanation, Failure, MappingExplained, Verdict};

/// The JSON that a payload of this format stands for, as mappings read it; `None` if it is not of the format.
///
/// Only for formats that are JSON or are read as JSON: of others it is their text.
#[must_use]
pub fn transcoded(payload: &[u8], format: &Format, encoding: Option<Encoding>) -> Option<String> {
    let text = decode::text(payload, &decode::Form { format: format.clone(), encoding }).ok()?;
    let text = text.into_owned();
    Some(decode::mended(&text, format).unwrap_or(text))
}

/// Whether a column may be called `name`, and queries need not quote it.
#[must_use]
pub fn is_plain_column(name: &str) -> bool {
    names::check(names::Role::Field, name).is_none()
}

/// All mappings, compiled.
#[derive(Debug)]
pub struct Mapping {
    schema: Schema,
    /// Whether a measurement has a retention.
    any_expires: bool,
    subscriptions: Vec<Subscription>,
    /// Of mappings that store what comes again.
    stored_again: Vec<TopicFilter>,
    mappings: Vec<Compiled>,
    /// Where each of them stands in the configuration.
    written: Vec<Written>,
    trie: Trie,
    /// For each number in the trie, the mapping and its template.
    templates: Vec<(usize, usize)>,
    groups: Vec<Group>,
}

/// A mapping whose topic matches, and what was caught from the topic.
struct Candidate<'m> {
    mapping: usize,
    template: usize,
    captures: Captures<'m>,
}

impl Mapping {
    /// Compiles all mappings. The faults are all that is wrong with them; with only warnings among them there is a `Mapping`.
    #[must_use]
    pub fn new(mappings: &[MappingConfig]) -> (Option<Self>, Vec<Fault>) {
        let mut faults = Vec::new();
        let mut names: HashMap<&str, &MappingConfig> = HashMap::new();
        for mapping in mappings {
            if let Some(first) = names.insert(&mapping.name.value, mapping) {
                let what = format!("a mapping of this name is at {} already", first.name.place);
                faults.push(Fault::new(
                    &mapping.name.place,
                    format!("mapping.{}", mapping.name.value),
                    what,
                    "give one another name",
                ));
            }
        }
        let drafts = mappings.iter().filter_map(|mapping| compile::compile(mapping, &mut faults)).collect();
        let (schema, compiled) = merge::merge(drafts, &mut faults);
        if faults.iter().all(|fault| fault.severity != Severity::Fault) {
            faults.extend(shares::mixed(&compiled, mappings));
            faults.extend(shares::forgetful(&compiled, mappings, &schema));
        }
        if faults.iter().any(|fault| fault.severity == Severity::Fault) {
            return (None, faults);
        }
        faults.extend(together::doubts(&compiled, mappings));
        (Some(Self::link(schema, compiled, mappings)), faults)
    }

    fn link(schema: Schema, mut mappings: Vec<Compiled>, configs: &[MappingConfig]) -> Self {
        let mut trie = Trie::default();
        let mut templates = Vec::new();
        let mut subscriptions = Vec::new();
        let mut stored_again = Vec::new();
        for (index, (mapping, config)) in mappings.iter().zip(configs).enumerate() {
            for (position, template) in mapping.topics.iter().enumerate() {
                trie.add(template, templates.len());
                templates.push((index, position));
                subscriptions.push(Subscription {
                    filter: TopicFilter::new(&template.filter())
                        .expect("a template that compiled gives a topic filter"),
                    qos: config.qos.unwrap_or(Qos::AtLeastOnce),
                    retained: mapping.retained,
                });
                if config.redelivery == Redelivery::Store {
                    let filter = TopicFilter::new(&template.topic_filter());
                    stored_again.push(filter.expect("a template that compiled gives a topic filter"));
                }
            }
        }
        let written = mappings.iter().zip(configs).map(|(mapping, config)| Written::new(mapping, config)).collect();
        let groups = groups::group(&mut mappings);
        let any_expires = schema.measurements.iter().any(|measurement| measurement.retention.is_some());
        Self { schema, any_expires, subscriptions, stored_again, mappings, written, trie, templates, groups }
    }

    /// The measurements that the mappings feed.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The filters to subscribe to, one for each topic template: what covers it. Not reduced; the session does that.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<Subscription> {
        self.subscriptions.clone()
    }

    /// What brings messages that are stored again when they come again (`redelivery = "store"`).
    pub fn stored_again(&self) -> Vec<TopicFilter> {
        self.stored_again.clone()
    }

    /// Each topic template with the name of its mapping, in the order of the configuration.
    pub fn topics(&self) -> impl Iterator<Item = (&str, &str)> {
        let template = |(mapping, template): &(usize, usize)| {
            let mapping = &self.mappings[*mapping];
            (&*mapping.name, &*mapping.topics[*template].text)
        };
        self.templates.iter().map(template)
    }

    /// Maps one message.
    #[must_use]
    pub fn map(&self, message: &Message) -> Mapped {
        self.outcome(message, None)
    }

    /// Maps one message and tells why it became what it became.
    #[must_use]
    pub fn explain(&self, message: &Message) -> Explanation {
        let mut mappings = Vec::new();
        let mapped = self.outcome(message, Some(&mut mappings));
        Explanation { mappings, mapped }
    }

    fn outcome(&self, message: &Message, mut told: Option<&mut Vec<MappingExplained>>) -> Mapped {
        if let Some(malformed) = &message.malformed {
            let (reason, detail) = match malformed {
                Malformed::TopicNotUtf8 => (Reason::Topic, "the topic name is not UTF-8 (MQTT 1.5.4)".to_owned()),
                Malformed::TopicHolds('\0') => (Reason::Topic, "the topic name holds NUL (MQTT 4.7.3-2)".to_owned()),
                Malformed::TopicHolds(wildcard) => {
                    (Reason::Topic, format!("the topic name holds `{wildcard}`, which only filters may (MQTT 3.3.2-2)"))
                }
                Malformed::TooLarge { payload_bytes } => {
                    (Reason::TooLarge, format!("the payload has {payload_bytes} bytes, more than `broker.max_payload`"))
                }
            };
            return rejected(None, reason, detail);
        }
        let topic = Levels::new(&message.topic);
        let mut takers = self.candidates(&topic);
        let mut any_retained = false;
        takers.retain(|candidate| {
            let mapping = &self.mappings[candidate.mapping];
            let verdict = if mapping.except.iter().any(|template| template.takes(&topic)) {
                Verdict::Excepted
            } else if message.retain && !mapping.retained {
                any_retained = true;
                Verdict::Retained
            } else {
                return true;
            };
            if let Some(told) = told.as_deref_mut() {
                told.push(self.explained(candidate, verdict));
            }
            false
        });
        if takers.is_empty() {
            return ignored(match any_retained {
                true => Ignored::Retained,
                false if topic::is_status(&message.topic) => Ignored::Status,
                false => Ignored::Unmapped,
            });
        }
        if message.payload.is_empty() {
            if let Some(told) = told {
                told.extend(
                    takers.iter().map(|taker| self.explained(taker, Verdict::Empty("the payload is empty".to_owned()))),
                );
            }
            return ignored(Ignored::Empty);
        }
        self.read(message, takers, any_retained, told)
    }

    /// The mappings whose topic matches, in the order of the configuration, each with its first template that does.
    fn candidates<'m>(&self, topic: &Levels<'m>) -> Vec<Candidate<'m>> {
        let mut numbers = Numbers::new();
        self.trie.candidates(topic, &mut numbers);
        let mut candidates: Vec<Candidate<'m>> = Vec::with_capacity(numbers.len());
        for number in numbers {
            let (mapping, template) = self.templates[number];
            if candidates.last().is_some_and(|last| last.mapping == mapping) {
                continue;
            }
            let compiled = &self.mappings[mapping];
            let mut captures = vec![None; compiled.captures.0.len()];
            if compiled.topics[template].matches(topic, &mut captures) {
                candidates.push(Candidate { mapping, template, captures });
            }
        }
        candidates
    }

    fn read(
        &self,
        message: &Message,
        mut takers: Vec<Candidate<'_>>,
        any_retained: bool,
        told: Option<&mut Vec<MappingExplained>>,
    ) -> Mapped {
        let readers = takers.iter().map(|taker| &self.mappings[taker.mapping]);
        let texts = groups::texts(&message.payload, readers, &self.groups);
        let kept = Kept::default();
        let documents = groups::documents(&texts, &self.groups, &kept);
        let mut made: Vec<(usize, Made)> = Vec::with_capacity(takers.len());
        let mut room = run::MAX_ROW_BYTES;
        for fallback in [false, true] {
            if fallback && made.iter().any(|(_, made)| made.taken) {
                break;
            }
            for taker in takers.iter_mut().filter(|taker| self.mappings[taker.mapping].fallback == fallback) {
                let mapping = &self.mappings[taker.mapping];
                // Only an explanation needs them again.
                let captures =
                    if told.is_some() { taker.captures.clone() } else { std::mem::take(&mut taker.captures) };
                let texts = FrozenVec::new();
                let found = inside::Found::new(mapping.inside.as_ref(), &texts, &kept);
                let run = Run::new(mapping, message, captures, &found, room, told.is_some());
                let document = documents.iter().find(|document| document.group == mapping.group);
                let one = self.make(mapping, run, document);
                room = room.saturating_sub(one.bytes);
                made.push((taker.mapping, one));
            }
        }
        if let Some(told) = told {
            for taker in &takers {
                let made = made.iter().find(|(mapping, _)| *mapping == taker.mapping).map(|(_, made)| made);
                let mapping = &self.mappings[taker.mapping];
                let mut one = self.explained(taker, made.map_or(Verdict::NotNeeded, |made| Verdict::of(made, mapping)));
                one.failures.extend(made.into_iter().flat_map(|made| &made.failures).map(|(part, detail, path)| {
                    let place = self.written[taker.mapping].place(*part).clone();
                    Failure { detail: detail.clone(), place, path: path.clone() }
                }));
                let document = documents.iter().find(|document| document.group == mapping.group);
                if let Some(Ok(read)) = document.map(|document| &document.read) {
                    one.hints = match &one.verdict {
                        Verdict::Unmet(_) => explain::hints(mapping, read.text, true, true),
                        Verdict::Empty(_) => explain::hints(mapping, read.text, false, true),
                        Verdict::Took { .. } => explain::hints(mapping, read.text, false, false),
                        _ => vec![],
                    };
                }
                told.push(one);
            }
        }
        self.settle(made, any_retained, message.received_at)
    }

    /// What one mapping makes of the payload.
    fn make<'r, 'm>(&self, mapping: &'r Compiled, run: Run<'r, 'm>, document: Option<&'r Document<'m>>) -> Made {
        let refused = |run: &Run<'_, '_>, unreadable: &Unreadable| {
            let mut made = Made { taken: run.may_be_taken(), ..Made::default() };
            if made.taken {
                made.refuse(unreadable.reason, || format!("the payload {}", unreadable.detail));
            }
            made
        };
        // The group of every taker is read.
        let Some(document) = document else { return Made::default() };
        let Read { text, root, plain } = match &document.read {
            Ok(read) => read,
            Err(unreadable) => return refused(&run, unreadable),
        };
        match root {
            Ok(root) => {
                let mut made = run.map(root);
                let nothing = made.taken && made.rows.is_empty() && made.refusals.is_empty();
                let one_value = root.is_scalar() && mapping.form.format != Format::Text && text.trim() != "null";
                if nothing && one_value && !mapping.takes_scalars {
                    made.refuse(Reason::Payload, || {
                        format!(
                            "the payload is one value, and the mapping reads members of an object: {}",
                            bare(mapping)
                        )
                    });
                }
                made
            }
            Err(Unreadable { reason: Reason::Payload, .. })
                if mapping.form.format == Format::Auto && mapping.takes_scalars =>
            {
                run.map(plain)
            }
            Err(unreadable) => refused(&run, unreadable),
        }
    }

    /// One outcome of what all mappings made.
    fn settle(&self, made: Vec<(usize, Made)>, any_retained: bool, received_at: Time) -> Mapped {
        let any_taken = made.iter().any(|(_, made)| made.taken);
        let mut any_rows = made.iter().any(|(_, made)| !made.rows.is_empty());
        let mut rows: Vec<Row> = Vec::new();
        let mut dropped = Vec::new();
        let mut rejects = Vec::new();
        for (mapping, mut made) in made {
            let gave_rows = !made.rows.is_empty();
            if rows.is_empty() {
                rows = made.rows;
            } else {
                rows.append(&mut made.rows);
            }
            dropped.append(&mut made.dropped);
            for refusal in made.refusals {
                // A payload of another form is no fault where another mapping could read it.
                if any_rows && !gave_rows && refusal.reason == Reason::Payload {
                    continue;
                }
                let mut detail = refusal.detail;
                if refusal.rows > 1 {
                    detail.push_str(&format!(" (and {} more rows)", refusal.rows - 1));
                }
                rejects.push(Reject {
                    mapping: Some(Arc::clone(&self.mappings[mapping].name)),
                    reason: refusal.reason,
                    detail,
                });
            }
        }
        let expired = self.expire(&mut rows, received_at);
        any_rows &= !rows.is_empty();
        let outcome = if any_rows {
            Outcome::Rows { rows, rejects }
        } else if rejects.is_empty() && !expired.is_empty() {
            Outcome::Ignored(Ignored::Expired)
        } else if rejects.is_empty() {
            Outcome::Ignored(match (any_taken, any_retained) {
                (true, _) => Ignored::Empty,
                (false, true) => Ignored::Retained,
                (false, false) => Ignored::Unmapped,
            })
        } else {
            Outcome::Rejected(one_of(rejects))
        };
        Mapped { outcome, dropped, expired }
    }

    /// Takes away the rows that are older than the retention of their measurement, by the time of receipt: nothing would be
    /// left of them soon. Counts them by measurement.
    fn expire(&self, rows: &mut Vec<Row>, received_at: Time) -> Vec<(usize, u64)> {
        let mut expired: Vec<(usize, u64)> = Vec::new();
        if !self.any_expires {
            return expired;
        }
        rows.retain(|row| {
            let Some(retention) = self.schema.measurements[row.measurement].retention else { return true };
            let retention = i64::try_from(retention.as_micros()).unwrap_or(i64::MAX);
            if row.time.0 >= received_at.0.saturating_sub(retention) {
                return true;
            }
            match expired.iter_mut().find(|(measurement, _)| *measurement == row.measurement) {
                Some((_, count)) => *count += 1,
                None => expired.push((row.measurement, 1)),
            }
            false
        });
        expired
    }

    fn explained(&self, candidate: &Candidate<'_>, verdict: Verdict) -> MappingExplained {
        let mapping = &self.mappings[candidate.mapping];
        let captures = mapping.captures.0.iter().zip(&candidate.captures);
        MappingExplained {
            mapping: Arc::clone(&mapping.name),
            place: self.written[candidate.mapping].name.clone(),
            topic: mapping.topics[candidate.template].text.to_string(),
            captures: captures
                .filter_map(|(name, caught)| Some((name.clone(), caught.as_deref()?.to_owned())))
                .collect(),
            verdict,
            failures: vec![],
            hints: vec![],
        }
    }
}

/// Rejects of one message that are told with the one that is kept.
const MAX_TOLD: usize = 4;

/// The one reject that is kept of a message; `rejects` has at least one.
fn one_of(mut rejects: Vec<Reject>) -> Reject {
    // That a payload is of another form is what the mappings of its other forms say: whoever could read it knows more.
    let first = rejects.iter().position(|reject| reject.reason != Reason::Payload).unwrap_or(0);
    let mut reject = rejects.remove(first);
    // A payload that is no JSON is that for every mapping: said once.
    rejects.retain(|other| other.reason != reject.reason || other.detail != reject.detail);
    if rejects.is_empty() {
        return reject;
    }
    let mut told: Vec<(&str, Vec<&str>)> = Vec::new();
    for other in &rejects {
        let (name, word) = (other.mapping.as_deref().unwrap_or_default(), other.reason.word());
        match told.iter_mut().find(|(known, _)| *known == name) {
            Some((_, words)) => words.push(word),
            None => told.push((name, vec![word])),
        }
    }
    let listed: Vec<String> =
        told.iter().take(MAX_TOLD).map(|(name, words)| format!("{name}: {}", words.join(", "))).collect();
    let rest = if told.len() > MAX_TOLD { "; …" } else { "" };
    reject.detail.push_str(&format!(" (and {} more: {}{rest})", rejects.len(), listed.join("; ")));
    reject
}

fn bare(mapping: &Compiled) -> String {
    match mapping.fields.first() {
        Some(field) => format!("write `{} = {{ path = \".\" }}` if it is the value", field.name),
        None => "add `fields = { value = { path = \".\" } }` if it is the value".to_owned(),
    }
}

fn ignored(why: Ignored) -> Mapped {
    Mapped { outcome: Outcome::Ignored(why), dropped: Vec::new(), expired: Vec::new() }
}

fn rejected(mapping: Option<Arc<str>>, reason: Reason, detail: String) -> Mapped {
    Mapped { outcome: Outcome::Rejected(Reject { mapping, reason, detail }), dropped: Vec::new(), expired: Vec::new() }
}
