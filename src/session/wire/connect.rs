//! What a broker answers to CONNECT and SUBSCRIBE, in one form for both versions.

use super::fault::Fault;

/// CONNACK (3.2).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ConnAck {
    pub session_present: bool,
    pub refusal: Option<Refusal>,
    /// What the broker says to it, the other broker that it names included (MQTT 5).
    pub text: Option<String>,
    /// Seconds; overrides ours (MQTT 5, 3.2.2.3.14).
    pub server_keep_alive: Option<u16>,
    /// Seconds, where it is another than we asked for (MQTT 5, 3.2.2.3.2).
    pub session_expiry: Option<u32>,
    /// The broker takes no subscription identifiers (MQTT 5, 3.2.2.3.12); 3.1.1 has none either.
    pub no_subscription_identifiers: bool,
}

/// Why a CONNECT was refused, as far as callers act differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Version,
    ClientId,
    Credentials,
    NotAuthorized,
    Banned,
    /// To another broker, for a while or for good. Its code.
    Moved(u8),
    /// Any other reason: busy, shutting down, quota. Its code.
    Other(u8),
}

impl Refusal {
    /// By the return code of 3.1.1 (3.2.2.3) or the reason code of MQTT 5 (3.2.2.2): none has two meanings, and brokers
    /// who do not know the version asked for give one of the other.
    pub(in crate::session) fn of(code: u8) -> Result<Option<Self>, Fault> {
        Ok(Some(match code {
            0 => return Ok(None),
            1 | 0x84 => Self::Version,
            2 | 0x85 => Self::ClientId,
            4 | 0x86 | 0x8C => Self::Credentials,
            5 | 0x87 => Self::NotAuthorized,
            0x8A => Self::Banned,
            ELSEWHERE | MOVED => Self::Moved(code),
            3 | 0x80.. => Self::Other(code),
            _ => return Err(Fault::malformed("3.2.2.2", format!("a CONNACK has the reason code {code:#04x}"))),
        }))
    }
}

/// Reason codes of a broker that names another one: for a while, or for good.
pub const ELSEWHERE: u8 = 0x9C;
pub const MOVED: u8 = 0x9D;

/// The words of a reason code (MQTT 5, 2.4), as far as brokers give it to a subscriber.
#[must_use]
pub fn reason(code: u8) -> &'static str {
    match code {
        0x00 => "normal disconnection",
        0x03 => "service unavailable",
        0x81 => "malformed packet",
        0x82 => "protocol error",
        0x83 => "implementation specific error",
        0x87 => "not authorized",
        0x88 => "server unavailable",
        0x89 => "server busy",
        0x8B => "server shutting down",
        0x8D => "keep alive time-out",
        0x8E => "session taken over",
        0x8F => "topic filter invalid",
        0x91 => "packet identifier in use",
        0x93 => "receive maximum exceeded",
        0x95 => "packet too large",
        0x96 => "message rate too high",
        0x97 => "quota exceeded",
        0x98 => "administrative action",
        0x9C => "use another server",
        0x9D => "server moved",
        0x9E => "shared subscriptions not supported",
        0x9F => "connection rate exceeded",
        0xA0 => "maximum connect time",
        0xA1 => "subscription identifiers not supported",
        0xA2 => "wildcard subscriptions not supported",
        _ => "unspecified error",
    }
}
