//! Properties of MQTT 5 (2.2.2), one after another.
//!
//! Of a PUBLISH only what the broker itself adds is looked at: its subscription identifiers, and a topic alias, which
//! we do not allow. The rest is the publisher's, passed on by the broker as it came; a text in it that is not UTF-8 is
//! no reason to end the connection, which the broker would repeat the message on for ever.

use super::fault::Fault;

/// The value of one property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Byte(u8),
    Two(u16),
    Four(u32),
    Variable(u32),
    /// A text, not checked to be UTF-8, or bytes.
    Bytes(&'a [u8]),
    Pair,
}

/// Its identifier and value.
pub(super) type Property<'a> = (u8, Value<'a>);

/// Identifiers of the properties that are looked at (2.2.2.2).
pub(super) mod id {
    pub const SUBSCRIPTION_IDENTIFIER: u8 = 11;
    pub const SESSION_EXPIRY: u8 = 17;
    pub const SERVER_KEEP_ALIVE: u8 = 19;
    pub const SERVER_REFERENCE: u8 = 28;
    pub const REASON_STRING: u8 = 31;
    pub const RECEIVE_MAXIMUM: u8 = 33;
    pub const TOPIC_ALIAS: u8 = 35;
    pub const USER: u8 = 38;
    pub const MAXIMUM_PACKET_SIZE: u8 = 39;
    pub const SUBSCRIPTION_IDENTIFIERS: u8 = 41;
}

/// Takes one property off `source`; `None` if it is not all there, which then is left as it is.
pub(super) fn next<'a>(source: &mut &'a [u8]) -> Result<Option<Property<'a>>, Fault> {
    let Some((&id, mut rest)) = source.split_first() else { return Ok(None) };
    let value = match id {
        1 | 23 | 25 | 36 | 37 | 40 | 41 | 42 => take(&mut rest).map(|[byte]| Value::Byte(byte)),
        19 | 33 | 34 | 35 => take(&mut rest).map(|two| Value::Two(u16::from_be_bytes(two))),
        2 | 17 | 24 | 39 => take(&mut rest).map(|four| Value::Four(u32::from_be_bytes(four))),
        id::SUBSCRIPTION_IDENTIFIER => variable(&mut rest)?.map(Value::Variable),
        3 | 8 | 9 | 18 | 21 | 22 | 26 | 28 | 31 => bytes(&mut rest).map(Value::Bytes),
        id::USER => bytes(&mut rest).and_then(|_| bytes(&mut rest)).map(|_| Value::Pair),
        _ => return Err(Fault::malformed("2.2.2.2", format!("there is no property {id}"))),
    };
    Ok(value.map(|value| {
        *source = rest;
        (id, value)
    }))
}

pub(super) fn take<const N: usize>(source: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = source.split_first_chunk()?;
    *source = rest;
    Some(*taken)
}

/// Text or binary data behind its length of two bytes (1.5.4, 1.5.6).
pub(super) fn bytes<'a>(source: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut rest = *source;
    let length = u16::from_be_bytes(take(&mut rest)?);
    let (taken, rest) = rest.split_at_checked(usize::from(length))?;
    *source = rest;
    Some(taken)
}

/// A variable byte integer (1.5.5); `None` if it is not all there.
pub(super) fn variable(source: &mut &[u8]) -> Result<Option<u32>, Fault> {
    let mut value = 0;
    for position in 0..4 {
        let Some(&byte) = source.get(position) else { return Ok(None) };
        value |= u32::from(byte & 0x7F) << (7 * position);
        if byte & 0x80 == 0 {
            *source = &source[position + 1..];
            return Ok(Some(value));
        }
    }
    Err(Fault::malformed("1.5.5", "a length has more than four bytes"))
}

/// More filters of ours than match one topic.
const MAX_IDENTIFIERS: usize = 4_096;

/// The subscription identifiers of a PUBLISH (3.3.2.3.8): those of our filters that brought it. Usually none or one,
/// which takes no memory of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identifiers {
    /// 0: there is none.
    first: u32,
    more: Vec<u32>,
}

impl Identifiers {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = u32> {
        (self.first != 0).then_some(self.first).into_iter().chain(self.more.iter().copied())
    }

    #[must_use]
    pub fn contains(&self, identifier: u32) -> bool {
        self.iter().any(|one| one == identifier)
    }

    /// These, for tests.
    #[cfg(test)]
    pub fn of(identifiers: &[u32]) -> Self {
        Self { first: identifiers.first().copied().unwrap_or(0), more: identifiers.iter().skip(1).copied().collect() }
    }

    fn push(&mut self, identifier: u32) -> Result<(), Fault> {
        if identifier == 0 {
            return Err(Fault::protocol("3.3.2.3.8", "a subscription identifier is 0"));
        }
        if self.first == 0 {
            self.first = identifier;
        } else if self.more.len() < MAX_IDENTIFIERS {
            self.more.push(identifier);
        } else {
            return Err(Fault::other(
                Fault::TOO_LARGE,
                "3.3.4-3",
                "a PUBLISH bears more subscription identifiers than we can have filters for it",
            ));
        }
        Ok(())
    }

    /// Takes one property of a PUBLISH into account.
    pub(super) fn take(&mut self, (id, value): Property<'_>) -> Result<(), Fault> {
        match (id, value) {
            (id::SUBSCRIPTION_IDENTIFIER, Value::Variable(identifier)) => self.push(identifier),
            (id::TOPIC_ALIAS, _) => {
                let what = "a PUBLISH bears a topic alias, and we allow none";
                Err(Fault::other(Fault::TOPIC_ALIAS, "3.3.2.3.4", what))
            }
            // Payload format, expiry, content type, response topic, correlation data, user properties.
            (1 | 2 | 3 | 8 | 9 | 38, _) => Ok(()),
            _ => Err(Fault::malformed("2.2.2.2", format!("a PUBLISH bears property {id}, which is not for it"))),
        }
    }
}
