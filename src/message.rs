//! What comes in: one application message as the broker delivered it, and the name the ledger gives it.

use bytes::Bytes;
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};

/// Microseconds since 1970-01-01T00:00:00Z, the precision of both stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

/// Where the present comes from; a function is given one and never reads the clock itself.
pub type Clock = fn() -> Time;

impl Time {
    /// Reads the system clock. The only place that does.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn now() -> Self {
        Self(jiff::Timestamp::now().as_microsecond())
    }

    /// `self - earlier`, zero where the clock went back.
    #[must_use]
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_micros(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }
}

/// RFC 3339 in UTC with `Z`, as many decimals as needed (`2026-11-25T18:20:19.5Z`).
impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(timestamp) => timestamp.fmt(f),
            Err(_) => write!(f, "{} µs", self.0),
        }
    }
}

/// Quality of service (MQTT 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Qos {
    AtMostOnce,
    #[default]
    AtLeastOnce,
    ExactlyOnce,
}

impl Qos {
    #[must_use]
    pub const fn level(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
            Self::ExactlyOnce => 2,
        }
    }

    #[must_use]
    pub const fn from_level(level: u8) -> Option<Self> {
        match level {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// What a redelivery is recognised by. Two messages may bear one key, after one another.
///
/// `hash` is XXH3-64 of `len(topic) as u32 big-endian ‖ topic ‖ payload`. It is persisted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub packet_id: u16,
    pub exactly_once: bool,
    pub hash: u64,
}

/// One delivery, unlike any other in this process: the `id` tells apart two messages with one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Delivery {
    pub key: Key,
    pub id: u64,
}

/// Why a PUBLISH cannot be mapped at all; it is rejected, never dropped and never a reason to reconnect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// MQTT 1.5.4 wants UTF-8; `topic` holds replacement characters.
    TopicNotUtf8,
    /// A character that topic names may not hold: a wildcard (3.3.2-2) or NUL (4.7.3-2).
    TopicHolds(char),
    /// Longer than `[broker] max_payload`; the payload is cut.
    TooLarge { payload_bytes: usize },
}

/// An application message (MQTT 3.3).
#[derive(Clone, Debug)]
pub struct Message {
    pub topic: Box<str>,
    pub payload: Bytes,
    pub qos: Qos,
    /// The RETAIN flag (3.3.1.3): an older value, sent because we subscribed.
    pub retain: bool,
    pub received_at: Time,
    /// `None` at QoS 0.
    pub delivery: Option<Delivery>,
    pub malformed: Option<Malformed>,
}

impl Message {
    /// What it counts against the limit in hand.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.topic.len() + self.payload.len() + size_of::<Self>()
    }
}

/// Bytes that are written as text in base64 (RFC 4648, section 4 or 5); padding may be left out.
#[must_use]
pub fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let encoding = if text.contains(['-', '_']) { BASE64URL_NOPAD } else { BASE64_NOPAD };
    encoding.decode(digits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_in_both_alphabets_with_and_without_padding() {
        for (text, expected) in [
            ("", Some(&b""[..])),
            ("Zg==", Some(b"f")),
            ("Zm8", Some(b"fo")),
            ("Zm9v", Some(b"foo")),
            ("/+8=", Some(b"\xff\xef")),
            ("_-8", Some(b"\xff\xef")),
            ("/-8=", None),
            ("Z", None),
            ("Zh==", None),
            ("Zm 9v", None),
        ] {
            assert_eq!(base64(text).as_deref(), expected, "{text}");
        }
    }
}
