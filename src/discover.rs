//! From heard messages to a proposed mapping: what `amber discover` writes, and a person then edits.
//!
//! `sample` keeps what was heard, within bounds; `ready` knows the mappings that come with Amber and which of them read
//! it; `already` is what needs no proposal. Pure: no I/O, no clock.

mod already;
pub mod ready;
pub mod sample;

pub use already::Already;
pub use sample::{Bounds, Heard, Payload, Sample};

/// A mapping that was made of what was heard.
#[derive(Clone, Debug, Default)]
pub struct Proposal {
    text: String,
}

impl Proposal {
    /// The file: what an `include` may hold, with the evidence in comments.
    #[must_use]
    pub fn text(&self) -> String {
        self.text.clone()
    }
}

/// Proposes a mapping for all of `sample` that `already` does not take.
#[must_use]
pub fn propose(sample: &Sample, already: &Already) -> Proposal {
    let rest = sample.topics().filter(|heard| heard.as_messages().any(|message| !already.takes(&message)));
    let text = rest.map(|heard| format!("# {}\n", heard.topic.escape_debug())).collect();
    Proposal { text }
}
