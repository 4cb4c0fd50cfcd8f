//! What becomes of a message, told to people and to programs: for `amber explain`, and for the live page.
//!
//! What is told is what the mapping tells of itself (`mapping::Explanation`); here it is only written down.

mod json;
mod text;

use bytes::Bytes;

use crate::message::{Malformed, Message, Qos, Time};

pub use json::write as write_json;
pub use text::write as write_text;
pub use text::{nearest_topics, plain, told};

/// A message as if it had just come, of QoS 1.
#[must_use]
pub fn message(topic: &str, payload: Vec<u8>, retain: bool, received_at: Time) -> Message {
    Message {
        topic: topic.into(),
        payload: Bytes::from(payload),
        qos: Qos::AtLeastOnce,
        retain,
        received_at,
        delivery: None,
        malformed: None,
    }
}

/// The message as `run` would have it: one that is too long says so.
#[must_use]
pub fn limited(mut message: Message, max_payload_bytes: usize) -> Message {
    let payload_bytes = message.payload.len();
    message.malformed = (payload_bytes > max_payload_bytes).then_some(Malformed::TooLarge { payload_bytes });
    message
}
