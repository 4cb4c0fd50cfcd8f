//! From heard messages to a proposed mapping: what `amber discover` writes, and a person then edits.
//!
//! `sample` keeps what was heard, within bounds; `ready` knows the mappings that come with Amber and which of them read
//! it; `already` is what needs no proposal. Pure: no I/O, no clock.
//!
//! A proposal is made in four steps: `topics` are grouped into templates, `payload`s are read into `shape`s of their
//! places, `objects`, `scalars` and `cells` say what is a row and `guess` what is a field, and `verify` runs the result
//! over the sample again. Nothing here knows a product: `words` and `units` are tables of what names commonly mean.

mod already;
mod assemble;
mod cells;
mod compose;
mod draft;
mod guess;
mod json;
mod naming;
mod objects;
mod payload;
pub mod ready;
pub mod sample;
mod scalars;
mod shape;
mod times;
mod topics;
mod units;
mod verify;
mod words;
mod write;

#[cfg(test)]
mod tests;

pub use already::Already;
pub use sample::{Bounds, Heard, Payload, Sample};

use crate::message::Time;

/// A mapping that was made of what was heard.
#[derive(Clone, Debug, Default)]
pub struct Proposal {
    text: String,
    mappings: usize,
}

impl Proposal {
    /// The file: what an `include` may hold, with the evidence in comments.
    #[must_use]
    pub fn text(&self) -> String {
        self.text.clone()
    }

    /// Mappings that are in it as more than comments.
    #[must_use]
    pub fn mappings(&self) -> usize {
        self.mappings
    }
}

/// Proposes a mapping for all of `sample` that `already` does not take.
#[must_use]
pub fn propose(sample: &Sample, already: &Already) -> Proposal {
    propose_in(sample, already, None)
}

/// The same where it is known in which zone devices write local times; otherwise such times are commented out.
#[must_use]
pub fn propose_in(sample: &Sample, already: &Already, zone: Option<&str>) -> Proposal {
    let mut left = assemble::Left::default();
    let open = assemble::open(sample.topics(), already, &mut left);
    let near = sample.span().map_or(Time(0), |(_, last)| last);
    let (mut drafts, filters) = assemble::drafts(&open, already, near, zone);
    verify::check(&mut drafts, &open, &filters);
    drafts.sort_by_key(|draft| !draft.is_on());
    let mut text = head(sample, &left, &drafts);
    for draft in &mut drafts {
        let topics = assemble::said_topics(draft, &open);
        draft.head.insert(1.min(draft.head.len()), topics);
        text.push('\n');
        text.push_str(&draft.text());
    }
    Proposal { text, mappings: drafts.iter().filter(|draft| draft.is_on()).count() }
}

/// What was heard, for the comment above a mapping.
fn heard(messages: u64, topics: usize) -> String {
    let (message, topic) = (if messages == 1 { "" } else { "s" }, if topics == 1 { "" } else { "s" });
    format!("{messages} message{message} of {topics} topic{topic}:")
}

/// The comment above all mappings.
fn head(sample: &Sample, left: &assemble::Left, drafts: &[draft::Draft]) -> String {
    let topics = sample.topics_heard();
    let seconds = sample.span().map_or(0, |(first, last)| last.since(first).as_secs());
    let mut lines = vec![
        format!("Proposed by `amber discover` from {} messages of {topics} topics, heard in {seconds} s.", sample.messages()),
        "Every guess has its evidence behind it: how many values, and a few of them. What is uncertain is commented out".to_owned(),
        "with the reason; take `# ` away where it is right. Then: `amber check`, and `amber explain TOPIC PAYLOAD`.".to_owned(),
    ];
    lines.extend(sample.left_out().iter().map(|said| format!("Left out: {said}.")));
    for (count, why) in [
        (left.already, "that a mapping takes already"),
        (left.too_deep, "with too many levels"),
        (left.empty, "without a payload that could be looked at"),
    ] {
        if count > 0 {
            lines.push(format!("Left out: {count} topics {why}."));
        }
    }
    if drafts.is_empty() {
        lines.push("There is nothing to propose.".to_owned());
    }
    lines.iter().map(|line| format!("# {}\n", write::comment(line, 300))).collect()
}
