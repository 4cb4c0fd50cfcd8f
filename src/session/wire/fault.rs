//! How a broker breaks the protocol: the clause, what it did, and the reason code with which MQTT 5 tells it (4.13).
//!
//! Clauses are those of the MQTT 5.0 text, which repeats what 3.1.1 says; `3.3.1-4` is the statement `[MQTT-3.3.1-4]`,
//! `2.1.4` a section.

use std::borrow::Cow;
use std::fmt;

/// A breach of the protocol after which the connection cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub code: u8,
    clause: &'static str,
    what: Cow<'static, str>,
}

impl Fault {
    pub const MALFORMED: u8 = 0x81;
    pub const PROTOCOL: u8 = 0x82;
    pub const TOPIC_ALIAS: u8 = 0x94;
    pub const TOO_LARGE: u8 = 0x95;

    /// The bytes are no packet.
    pub fn malformed(clause: &'static str, what: impl Into<Cow<'static, str>>) -> Self {
        Self { code: Self::MALFORMED, clause, what: what.into() }
    }

    /// The packet is one that may not come, or not now.
    pub fn protocol(clause: &'static str, what: impl Into<Cow<'static, str>>) -> Self {
        Self { code: Self::PROTOCOL, clause, what: what.into() }
    }

    pub fn other(code: u8, clause: &'static str, what: impl Into<Cow<'static, str>>) -> Self {
        Self { code, clause, what: what.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MQTT {}: {}", self.clause, self.what)
    }
}
