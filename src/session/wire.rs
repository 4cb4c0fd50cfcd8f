//! One packet type over MQTT 3.1.1 and 5: what a broker sends us, what we send it.
//!
//! rumqttc's codecs write what we send; what a broker sends is read here. PUBLISH, because it must never end a
//! connection that the broker would then repeat it on for ever: a topic that is not UTF-8 is passed on as bytes, a
//! payload over the limit is hashed and cut while it streams in, so that memory is bounded by the limit and not by
//! the sender. The others, because whatever else comes must be a fault that names its clause, and never a panic:
//! rumqttc's readers pass over wrong flags and lengths, and stop at a DISCONNECT without properties (`E0 00`), at
//! reason codes that they do not know, and at the CONNACK with which 3.1.1 brokers refuse version 5.
//!
//! What depends on the packet alone is checked here; whether it may come now, by the connection. No topic alias is
//! announced, so every PUBLISH names its topic.

mod codec;
mod connect;
mod control;
mod fault;
mod outgoing;
mod properties;

pub use codec::{CUT_BYTES, Codec};
pub use connect::{ConnAck, ELSEWHERE, MOVED, Refusal, reason};
pub use fault::Fault;
pub use outgoing::{Outgoing, Retained};
pub use properties::Identifiers;

use std::fmt;
use std::io;

use bytes::Bytes;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::message::Qos;

/// Version of MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V311,
    V5,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V311 => "3.1.1",
            Self::V5 => "5",
        })
    }
}

/// What a broker may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    ConnAck(ConnAck),
    Publish(Publish),
    /// Of something that we published, like the next two: its reason code (MQTT 5), 128 and more if it was refused.
    PubAck {
        packet_id: u16,
        reason: u8,
    },
    PubRec {
        packet_id: u16,
    },
    PubComp {
        packet_id: u16,
    },
    PubRel {
        packet_id: u16,
    },
    /// One code a filter: the QoS granted, or the reason of the refusal (128 and more).
    SubAck {
        packet_id: u16,
        codes: Vec<u8>,
    },
    UnsubAck {
        packet_id: u16,
    },
    PingResp,
    /// MQTT 5: reason code (4.13) and what the broker says, the other broker that it names included.
    Disconnect {
        reason: u8,
        text: Option<String>,
    },
}

/// PUBLISH (3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    pub dup: bool,
    pub qos: Qos,
    pub retain: bool,
    /// 0 at QoS 0.
    pub packet_id: u16,
    /// Perhaps not UTF-8.
    pub topic: Bytes,
    /// Cut to [`CUT_BYTES`] if it is longer than the limit; `payload_bytes` says how long it was.
    pub payload: Bytes,
    pub payload_bytes: usize,
    /// It is longer than the limit. Not to be told from the cut: a limit may be less than that.
    pub too_large: bool,
    /// Of the whole, as [`hash`] gives it.
    pub hash: u64,
    /// MQTT 5: our filters that brought it.
    pub subscription_identifiers: Identifiers,
}

/// Why a connection cannot be read on.
#[derive(Debug)]
pub enum WireError {
    Io(io::Error),
    /// The broker breaks the protocol.
    Protocol(Fault),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Protocol(fault) => write!(f, "the broker breaks the protocol: {fault}"),
        }
    }
}

impl std::error::Error for WireError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Protocol(_) => None,
        }
    }
}

impl From<Fault> for WireError {
    fn from(fault: Fault) -> Self {
        Self::Protocol(fault)
    }
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Shorter messages are hashed in one piece, which is cheaper than the streaming hash.
const SHORT: usize = 4 << 10;

/// XXH3-64 of `len(topic) as u32 big-endian ‖ topic ‖ payload` (persisted: never to be changed).
#[must_use]
pub fn hash(topic: &[u8], payload: &[u8], scratch: &mut Vec<u8>) -> u64 {
    if topic.len() + payload.len() > SHORT {
        let mut hasher = hasher(topic);
        hasher.update(payload);
        return hasher.digest();
    }
    scratch.clear();
    scratch.extend_from_slice(&topic_length(topic));
    scratch.extend_from_slice(topic);
    scratch.extend_from_slice(payload);
    xxh3_64(scratch)
}

/// The hash at the point where the payload follows.
fn hasher(topic: &[u8]) -> Xxh3 {
    let mut hasher = Xxh3::new();
    hasher.update(&topic_length(topic));
    hasher.update(topic);
    hasher
}

fn topic_length(topic: &[u8]) -> [u8; 4] {
    u32::try_from(topic.len()).expect("a topic has at most 65535 bytes").to_be_bytes()
}

#[cfg(test)]
mod tests;
