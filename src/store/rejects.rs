//! Rejects as both databases store them: bounded, and without the NUL that PostgreSQL's text does not take.

use std::borrow::Cow;

use super::error::Refusal;
use crate::batch::{Batch, MAX_REJECT_PAYLOAD};
use crate::message::{Malformed, Message};
use crate::row::Reason;

/// Bytes kept of a detail; a server's message may be as long as the payload.
const MAX_DETAIL: usize = 4 << 10;

/// One row of the rejects.
pub(super) struct RejectRow<'a> {
    pub(super) message: &'a Message,
    pub(super) mapping: Option<&'a str>,
    pub(super) reason: Reason,
    pub(super) detail: Cow<'a, str>,
}

impl<'a> RejectRow<'a> {
    pub(super) fn topic(&self) -> Cow<'a, str> {
        without_nul(&self.message.topic)
    }

    pub(super) fn payload(&self) -> &'a [u8] {
        &self.message.payload[..self.message.payload.len().min(MAX_REJECT_PAYLOAD)]
    }

    /// Of the payload as it came.
    pub(super) fn payload_bytes(&self) -> i64 {
        let bytes = match self.message.malformed {
            Some(Malformed::TooLarge { payload_bytes }) => payload_bytes,
            Some(Malformed::TopicNotUtf8 | Malformed::TopicHolds(_)) | None => self.message.payload.len(),
        };
        i64::try_from(bytes).unwrap_or(i64::MAX)
    }
}

/// Those of the batch, and of its rows that the database refused (position and why) those that are kept, one for each message and mapping.
pub(super) fn rows<'a>(batch: &'a Batch, refused: &'a [(usize, Refusal)]) -> Vec<RejectRow<'a>> {
    let own = batch.rejects.iter().map(|(origin, reject)| RejectRow {
        message: &batch.messages[*origin],
        mapping: reject.mapping.as_deref(),
        reason: reject.reason,
        detail: bounded(&reject.detail),
    });
    let refused = batch.kept_of(refused).into_iter().map(|((position, why), more)| {
        let mut detail = bounded(why.full());
        if more > 0 {
            detail.to_mut().push_str(&format!(" (and {more} more rows)"));
        }
        let (origin, row) = &batch.rows[*position];
        RejectRow { message: &batch.messages[*origin], mapping: Some(&*row.mapping), reason: Reason::Refused, detail }
    });
    own.chain(refused).collect()
}

fn bounded(text: &str) -> Cow<'_, str> {
    without_nul(&text[..text.floor_char_boundary(MAX_DETAIL)])
}

fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_cut_between_characters_and_hold_no_nul() {
        let long = "°".repeat(MAX_DETAIL);
        assert_eq!(bounded(&long).len(), MAX_DETAIL);
        assert_eq!(bounded(&format!("a{long}")).len(), MAX_DETAIL - 1);
        assert_eq!(bounded("a\0b"), "a\u{fffd}b");
    }
}
