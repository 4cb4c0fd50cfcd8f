//! The persisted form: version byte 1, then per batch number an i64 number, a u32 count, and count × 11 bytes
//! (u16 packet identifier, u64 hash, u8 flags: bit 0 = QoS 2), all big-endian.
//!
//! The number costs 12 bytes a batch, and lets the drain of a spool write exactly what the database then holds.

use std::collections::BTreeMap;
use std::fmt;

use bytes::{Buf, BufMut};

use crate::message::Key;

const VERSION: u8 = 1;
const KEY_BYTES: usize = 11;
const EXACTLY_ONCE: u8 = 1;

/// Keys by batch number, each with what puts it in the order of receipt.
pub(super) type Groups = BTreeMap<i64, Vec<(u64, Key)>>;

/// Why persisted keys cannot be read: a standing fault, because an empty ledger would store messages twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damaged {
    /// The version byte; `None` if there is not even that.
    Version(Option<u8>),
    /// The length does not fit the counts.
    Length,
    Flags(u8),
    /// Keys are unique.
    KeyTwice,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the ledger in the store cannot be read: ")?;
        match self {
            Self::Version(None) => write!(f, "it is empty, without even a version"),
            Self::Version(Some(version)) => write!(f, "version {version} is unknown (a newer Amber wrote it?)"),
            Self::Length => write!(f, "its length does not fit its counts"),
            Self::Flags(flags) => write!(f, "unknown flags {flags:#04x}"),
            Self::KeyTwice => write!(f, "it holds a key twice"),
        }
    }
}

impl std::error::Error for Damaged {}

pub(super) fn encode(groups: Groups) -> Vec<u8> {
    let keys: usize = groups.values().map(Vec::len).sum();
    let mut packets = Vec::with_capacity(1 + groups.len() * 12 + keys * KEY_BYTES);
    packets.put_u8(VERSION);
    for (number, mut keys) in groups {
        if keys.is_empty() {
            continue;
        }
        keys.sort_unstable_by_key(|&(delivery, _)| delivery);
        packets.put_i64(number);
        packets.put_u32(u32::try_from(keys.len()).expect("the ledger is bounded"));
        for (_, key) in keys {
            packets.put_u16(key.packet_id);
            packets.put_u64(key.hash);
            packets.put_u8(if key.exactly_once { EXACTLY_ONCE } else { 0 });
        }
    }
    packets
}

pub(super) fn decode(mut packets: &[u8]) -> Result<Vec<(i64, Key)>, Damaged> {
    match packets.try_get_u8() {
        Ok(VERSION) => {}
        other => return Err(Damaged::Version(other.ok())),
    }
    let mut keys = Vec::with_capacity(packets.len() / KEY_BYTES);
    while packets.has_remaining() {
        let number = packets.try_get_i64().map_err(|_| Damaged::Length)?;
        let count = packets.try_get_u32().map_err(|_| Damaged::Length)? as usize;
        if count == 0 || count.checked_mul(KEY_BYTES).is_none_or(|bytes| bytes > packets.len()) {
            return Err(Damaged::Length);
        }
        for _ in 0..count {
            let (packet_id, hash, flags) = (packets.get_u16(), packets.get_u64(), packets.get_u8());
            if flags & !EXACTLY_ONCE != 0 {
                return Err(Damaged::Flags(flags));
            }
            keys.push((number, Key { packet_id, exactly_once: flags == EXACTLY_ONCE, hash }));
        }
    }
    Ok(keys)
}
