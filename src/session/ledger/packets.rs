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

/// What is settled, batch by batch, in the form that is persisted: made once, when a batch settles, because every later
/// batch writes it again until it is confirmed.
#[derive(Clone, Debug, Default)]
pub(super) struct Settled {
    batches: BTreeMap<i64, Batch>,
}

#[derive(Clone, Debug, Default)]
struct Batch {
    /// `KEY_BYTES` each, in the order of receipt; also of those that have left.
    keys: Vec<u8>,
    /// How many have not left.
    live: usize,
}

/// All of it follows from the entries of the ledger.
impl PartialEq for Settled {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Settled {}

impl Settled {
    pub(super) fn clear(&mut self) {
        self.batches.clear();
    }

    /// A key is settled in batch `number`.
    pub(super) fn add(&mut self, number: i64, key: Key) {
        let batch = self.batches.entry(number).or_default();
        put_key(&mut batch.keys, key);
        batch.live += 1;
    }

    /// One key of batch `number` has left; those that are still `known` there stay. Their room is given back once they
    /// are the fewer: one key that a broker never releases is not to keep a whole batch.
    pub(super) fn take(&mut self, number: i64, known: impl Fn(Key) -> bool) {
        let Some(batch) = self.batches.get_mut(&number) else { return };
        batch.live = batch.live.saturating_sub(1);
        if batch.live == 0 {
            self.batches.remove(&number);
        } else if batch.live * KEY_BYTES < batch.keys.len() / 2 {
            let keys = batch.keys.chunks_exact(KEY_BYTES).filter(|bytes| known(get_key(bytes).0));
            batch.keys = keys.flatten().copied().collect();
        }
    }

    /// Bytes of all keys that are kept.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.batches.values().map(|batch| batch.keys.len()).sum()
    }

    /// What batch `number` persists: the keys of batches up to it that are still `known` there, then its `own`.
    pub(super) fn encode(&self, number: i64, known: impl Fn(Key, i64) -> bool, own: &[Key]) -> Vec<u8> {
        let keys: usize = self.batches.range(..=number).map(|(_, batch)| batch.live).sum::<usize>() + own.len();
        let mut packets = Vec::with_capacity(1 + (self.batches.len() + 1) * 12 + keys * KEY_BYTES);
        packets.put_u8(VERSION);
        // Its own batch may be there already: a ledger alone is written under the number of the last one.
        let last = self.batches.get(&number).map(|batch| (&number, batch));
        for (&of, batch) in self.batches.range(..number).chain(last) {
            put_group(&mut packets, of, |packets| {
                if batch.live * KEY_BYTES == batch.keys.len() {
                    packets.extend_from_slice(&batch.keys);
                } else {
                    let keys = batch.keys.chunks_exact(KEY_BYTES);
                    keys.filter(|bytes| known(get_key(bytes).0, of)).for_each(|bytes| packets.extend_from_slice(bytes));
                }
            });
        }
        debug_assert!(last.is_none() || own.is_empty(), "a batch settles once");
        put_group(&mut packets, number, |packets| own.iter().for_each(|&key| put_key(packets, key)));
        packets
    }
}

/// Number, count and keys; nothing if there are no keys.
fn put_group(packets: &mut Vec<u8>, number: i64, put_keys: impl FnOnce(&mut Vec<u8>)) {
    let start = packets.len();
    packets.put_i64(number);
    packets.put_u32(0);
    let first = packets.len();
    put_keys(packets);
    let keys = (packets.len() - first) / KEY_BYTES;
    if keys == 0 {
        packets.truncate(start);
    } else {
        packets[first - 4..first].copy_from_slice(&u32::try_from(keys).expect("the ledger is bounded").to_be_bytes());
    }
}

fn put_key(packets: &mut Vec<u8>, key: Key) {
    packets.put_u16(key.packet_id);
    packets.put_u64(key.hash);
    packets.put_u8(if key.exactly_once { EXACTLY_ONCE } else { 0 });
}

/// A key and its flags.
fn get_key(mut bytes: &[u8]) -> (Key, u8) {
    let (packet_id, hash, flags) = (bytes.get_u16(), bytes.get_u64(), bytes.get_u8());
    (Key { packet_id, exactly_once: flags == EXACTLY_ONCE, hash }, flags)
}

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
            let (key, flags) = get_key(&packets[..KEY_BYTES]);
            packets.advance(KEY_BYTES);
            if flags & !EXACTLY_ONCE != 0 {
                return Err(Damaged::Flags(flags));
            }
            keys.push((number, key));
        }
    }
    Ok(keys)
}
