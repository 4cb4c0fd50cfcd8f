//! From a sample to drafts: topics are grouped, payloads are read, and each form of payload gets its mappings.

use std::collections::BTreeMap;

use super::cells;
use super::compose::{self, Context};
use super::draft::Draft;
use super::naming::{self, Names};
use super::objects::{self, Rows};
use super::payload::{self, Form, Read};
use super::scalars::{self, Proposed, Values};
use super::shape::Shape;
use super::topics::{self, Level, Peek, Template};
use super::{Already, Heard, words, write};
use crate::config::mapping::Encoding;
use crate::message::Time;

/// Payloads of one template that are read; of many topics a few each.
const MAX_PAYLOADS: usize = 3_000;
/// Topics that stand in a comment.
const MAX_SAID: usize = 3;

/// A topic that needs a mapping, with the payloads that do.
pub(super) struct Open<'s> {
    pub heard: &'s Heard,
    pub payloads: Vec<&'s [u8]>,
}

/// What is not proposed, for the head of the file.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub already: u64,
    pub too_deep: u64,
    pub empty: u64,
}

/// The topics of `heard` that `already` does not take.
pub(super) fn open<'s>(heard: impl Iterator<Item = &'s Heard>, already: &Already, left: &mut Left) -> Vec<Open<'s>> {
    let mut open = Vec::new();
    for heard in heard {
        if heard.topic.split('/').count() > topics::MAX_LEVELS {
            left.too_deep += 1;
            continue;
        }
        if heard.payloads.is_empty() {
            left.empty += 1;
            continue;
        }
        let messages = heard.as_messages().zip(&heard.payloads);
        let payloads: Vec<&[u8]> =
            messages.filter(|(message, _)| !already.takes(message)).map(|(_, payload)| &payload.bytes[..]).collect();
        if payloads.is_empty() {
            left.already += 1;
        } else {
            open.push(Open { heard, payloads });
        }
    }
    open
}

/// Proposals for `open`, largest first, each with a name of its own; and for each topic the filter of its like.
pub(super) fn drafts(
    open: &[Open<'_>],
    already: &Already,
    near: Time,
    zone: Option<&str>,
) -> (Vec<Draft>, Vec<String>) {
    let names: Vec<&str> = open.iter().map(|open| &*open.heard.topic).collect();
    let peeks: Vec<Peek> = open.iter().map(|open| peek(open.payloads[0])).collect();
    let templates = topics::templates(&names, &peeks);
    let mut filters: Vec<String> = vec![String::new(); open.len()];
    let mut values: Vec<Values<'_>> = Vec::new();
    let mut proposed: Vec<Proposed> = Vec::new();
    for template in &templates {
        let filter = filter(&template.levels);
        template.members.iter().for_each(|member| filters[*member].clone_from(&filter));
        let reads = read(template, open);
        let mut forms: BTreeMap<(Form, u8), Vec<&Read>> = BTreeMap::new();
        for read in &reads {
            forms.entry((read.form, packing(read.encoding))).or_default().push(read);
        }
        let messages: u64 = template.members.iter().map(|member| open[*member].heard.messages).sum();
        let retained: u64 = template.members.iter().map(|member| open[*member].heard.retained).sum();
        let many = forms.len() > 1;
        for ((form, _), of_form) in &forms {
            let share = if many { messages * of_form.len() as u64 / reads.len().max(1) as u64 } else { messages };
            let template_of = Of { template, messages: share.max(1), retained: retained.min(share.max(1)), near, zone };
            match form {
                Form::Scalar if of_form[0].encoding.is_none() => {
                    let mut shape = Shape::default();
                    of_form.iter().for_each(|read| shape.add(&read.json));
                    values.push(Values { template, shape, messages: share.max(1), retained });
                }
                Form::Json
                | Form::Scalar
                | Form::Csv { .. }
                | Form::Pairs { .. }
                | Form::Xml
                | Form::Cbor
                | Form::MsgPack => {
                    proposed.extend(template_of.structured(*form, of_form));
                }
                Form::Broken | Form::Binary => proposed.push(template_of.unreadable(*form, open)),
                Form::Empty => {}
            }
        }
    }
    proposed.extend(scalars::drafts(&values, near));
    (named(proposed, already), filters)
}

fn packing(encoding: Option<Encoding>) -> u8 {
    match encoding {
        None => 0,
        Some(Encoding::Gzip) => 1,
        Some(Encoding::Zlib) => 2,
    }
}

fn peek(payload: &[u8]) -> Peek {
    let read = payload::read(payload);
    match &read.json {
        super::json::Json::Object(members) => {
            Peek { is_scalar: false, keys: members.iter().take(64).map(|(name, _)| name.clone()).collect() }
        }
        _ => Peek { is_scalar: read.form == Form::Scalar, keys: Vec::new() },
    }
}

/// Payloads of the members of `template`, some of each.
fn read(template: &Template, open: &[Open<'_>]) -> Vec<Read> {
    let each = (MAX_PAYLOADS / template.members.len().max(1)).max(1);
    let members = template.members.iter().take(MAX_PAYLOADS);
    members.flat_map(|member| open[*member].payloads.iter().take(each)).map(|payload| payload::read(payload)).collect()
}

/// The topics of a template as a list of exceptions says them; `relay:{n}` needs its name there, for `+` is a level.
fn filter(levels: &[Level]) -> String {
    let has_parts = levels.iter().any(|level| matches!(level, Level::Varies { before, .. } if !before.is_empty()));
    let names = if has_parts { topics::name_captures(levels) } else { vec![None; levels.len()] };
    scalars::topic(levels, &names)
}

/// One template with what drafts of it need.
struct Of<'a> {
    template: &'a Template,
    messages: u64,
    retained: u64,
    near: Time,
    zone: Option<&'a str>,
}

impl Of<'_> {
    fn structured(&self, form: Form, reads: &[&Read]) -> Vec<Proposed> {
        let levels = &self.template.levels;
        let captures = topics::name_captures(levels);
        let caught: Vec<String> = captures.iter().flatten().cloned().collect();
        let (all, format): (Vec<Rows>, Option<String>) = match form {
            Form::Csv { separator } => {
                let (rows, format) = cells::csv(reads, separator);
                (vec![rows], Some(format))
            }
            _ => {
                let mut shape = Shape::default();
                reads.iter().for_each(|read| shape.add(&read.json));
                (objects::rows(&shape, &caught), cells::format(form))
            }
        };
        let context = Context { captures: &caught, payloads: reads.len() as u64, near: self.near, zone: self.zone };
        let mut proposed = Vec::new();
        for at in 0..all.len() {
            let mut draft = compose::draft(&all, at, &context);
            if draft.fields.is_empty() && draft.tags.is_empty() {
                continue;
            }
            if let Some(format) = &format {
                draft.key("format", format.clone(), "");
            }
            if let Some(encoding) = reads[0].encoding {
                let word = match encoding {
                    Encoding::Gzip => "gzip",
                    Encoding::Zlib => "zlib",
                };
                draft.key("encoding", write::string(word), "");
            }
            let last = levels.last().and_then(Level::label).unwrap_or_default();
            let is_state = words::is_availability(last)
                && draft
                    .fields
                    .iter()
                    .filter(|field| field.off.is_none())
                    .all(|field| field.field.keys.iter().any(|(key, _)| *key == "words" || *key == "type"));
            scalars::keep_retained(&mut draft, self.messages, self.retained, is_state);
            draft.form = Some(form);
            draft.topics = vec![scalars::topic(levels, &captures)];
            self.count(&mut draft);
            let mut levels = levels.clone();
            levels.extend(all[at].keys.iter().map(|key| Level::Const(key.as_str().into())));
            proposed.push(Proposed { draft, levels, suffix: None });
        }
        proposed
    }

    fn count(&self, draft: &mut Draft) {
        draft.messages = self.messages;
        draft.members.clone_from(&self.template.members);
        draft.head.insert(0, super::heard(self.messages, self.template.members.len()));
    }

    /// Payloads that no mapping reads: what they look like, for the reader.
    fn unreadable(&self, form: Form, open: &[Open<'_>]) -> Proposed {
        let captures = topics::name_captures(&self.template.levels);
        let mut draft = Draft { topics: vec![scalars::topic(&self.template.levels, &captures)], ..Draft::default() };
        let payload = self
            .template
            .members
            .iter()
            .flat_map(|member| &open[*member].payloads)
            .find(|payload| payload::read(payload).form == form);
        let payload = payload.copied().unwrap_or_default();
        let why = match form {
            Form::Broken => {
                format!("looks like JSON, and is not: {}", String::from_utf8_lossy(&payload[..payload.len().min(60)]))
            }
            _ => {
                let hex: Vec<String> = payload.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
                format!("bytes of no known format: {} ({} bytes)", hex.join(" "), payload.len())
            }
        };
        draft.off = Some(why);
        self.count(&mut draft);
        Proposed { draft, levels: self.template.levels.clone(), suffix: None }
    }
}

/// Gives names, largest first, so that the shortest go to the largest.
fn named(mut proposed: Vec<Proposed>, already: &Already) -> Vec<Draft> {
    proposed.sort_by(|one, other| {
        (other.draft.is_on(), other.draft.messages)
            .cmp(&(one.draft.is_on(), one.draft.messages))
            .then_with(|| one.draft.topics.cmp(&other.draft.topics))
    });
    let mut names = Names::default();
    let mut drafts = Vec::new();
    for Proposed { mut draft, levels, suffix } in proposed {
        let base = naming::of_topic(&levels);
        let base = match suffix {
            Some(suffix) if !base.ends_with(suffix) => naming::mapping_name(&format!(
                "{}_{suffix}",
                base.trim_end_matches("_status").trim_end_matches("_state")
            )),
            _ => base,
        };
        draft.name = loop {
            let name = names.take(std::slice::from_ref(&base));
            if !already.is_taken(&name) {
                break name;
            }
        };
        drafts.push(draft);
    }
    drafts
}

/// A few topics of a draft, for its comment.
pub(super) fn said_topics(draft: &Draft, open: &[Open<'_>]) -> String {
    let mut topics: Vec<String> =
        draft.members.iter().take(MAX_SAID).map(|member| write::comment(&open[*member].heard.topic, 80)).collect();
    if draft.members.len() > MAX_SAID {
        topics.push("…".to_owned());
    }
    let said = topics.join(", ");
    match seconds_apart(draft, open) {
        Some(seconds) => format!("{said} (each about every {seconds} s)"),
        None => said,
    }
}

/// How far apart the messages of a topic are on average; retained ones say nothing of it.
fn seconds_apart(draft: &Draft, open: &[Open<'_>]) -> Option<u64> {
    let spans = draft.members.iter().filter_map(|member| {
        let heard = open[*member].heard;
        let (first, last) = heard.live?;
        let gaps = (heard.messages - heard.retained).checked_sub(1).filter(|gaps| *gaps > 0)?;
        Some((last.since(first).as_secs(), gaps))
    });
    let (seconds, gaps) = spans.fold((0, 0), |(seconds, gaps), (more, of)| (seconds + more, gaps + of));
    (gaps > 0 && seconds >= gaps).then(|| (seconds + gaps / 2) / gaps)
}
