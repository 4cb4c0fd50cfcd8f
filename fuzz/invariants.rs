//! What holds whatever bytes a broker sends: no panic, no more memory than the limits allow, the same packets in
//! whatever pieces they come, and an acknowledgement only for what came and is stored.

use std::collections::HashMap;

use amber::message::{Key, Qos};
use amber::session::ledger::{Admit, Ledger, Reply};
use amber::session::wire::{Codec, Packet, Version};
use bytes::BytesMut;
use tokio_util::codec::Decoder as _;

/// `[broker] max_payload`, by two bits of the first byte.
const LIMITS: [usize; 4] = [16, 1_000, 70_000, 1 << 20];
/// Bytes of a head and of one property, which are waited for beyond the limit.
const WAITED: usize = 256 << 10;
/// So many bytes are read at once.
const READ: usize = 64 << 10;

/// The first byte of `input` says which version and limit, and whether much follows; the second how it is cut into
/// pieces; the rest is what the broker sends.
pub fn check(input: &[u8]) {
    let [control, seed, bytes @ ..] = input else { return };
    let version = if control & 1 == 0 { Version::V311 } else { Version::V5 };
    let limit = LIMITS[usize::from(control >> 1 & 3)];
    // Enough for the end of a packet that is too long to be waited for.
    let padded;
    let bytes = if control >> 3 == 31 {
        padded = [bytes, &[0; 150_000]].concat();
        &padded[..]
    } else {
        bytes
    };
    let whole = decode(version, limit, bytes, std::iter::repeat(READ));
    let mut random = Random(u64::from(*seed) + 1);
    let pieces = std::iter::repeat_with(|| 1 + random.below(if bytes.len() > READ { READ } else { 40 }));
    assert_eq!(whole, decode(version, limit, bytes, pieces), "in pieces");
    acknowledge(&whole.packets, u64::from(*seed));
}

/// Everything that was read, and the fault behind it.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    packets: Vec<Packet>,
    fault: Option<String>,
}

fn decode(version: Version, limit: usize, mut bytes: &[u8], mut pieces: impl Iterator<Item = usize>) -> Decoded {
    let mut codec = Codec::new(version, limit);
    let mut buffer = BytesMut::new();
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(pieces.next().map_or(bytes.len(), |length| length.min(bytes.len())));
        bytes = rest;
        buffer.extend_from_slice(piece);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(packet)) => {
                    if let Packet::Publish(publish) = &packet {
                        assert!(publish.payload.len() <= publish.payload_bytes);
                        assert_eq!(publish.too_large, publish.payload_bytes > limit);
                        assert!(!publish.topic.is_empty());
                        assert_eq!(publish.packet_id == 0, publish.qos == Qos::AtMostOnce);
                    }
                    packets.push(packet);
                }
                Ok(None) => break,
                Err(error) => {
                    let fault = error.to_string();
                    assert!(fault.contains("MQTT "), "no clause: {fault}");
                    return Decoded { packets, fault: Some(fault) };
                }
            }
        }
        assert!(buffer.len() <= limit + WAITED, "{} bytes are kept back", buffer.len());
        assert!(buffer.capacity() <= 2 * (limit + WAITED) + READ, "there is room for {}", buffer.capacity());
    }
    Decoded { packets, fault: None }
}

/// Plays the session's part with the ledger; a message is settled, or not yet, as chance has it.
fn acknowledge(packets: &[Packet], seed: u64) {
    let mut ledger = Ledger::default();
    ledger.connected(true);
    let mut random = Random(seed + 1);
    let mut pending = Vec::new();
    // By QoS 2 or not, and packet identifier: how often it may be acknowledged.
    let mut allowed: HashMap<(bool, u16), usize> = HashMap::new();
    for packet in packets {
        match packet {
            Packet::Publish(publish) if publish.qos != Qos::AtMostOnce => {
                let exactly_once = publish.qos == Qos::ExactlyOnce;
                let key = Key { packet_id: publish.packet_id, exactly_once, hash: publish.hash };
                match ledger.publish(key, publish.dup, publish.retain) {
                    Admit::Store { delivery, .. } => pending.push(delivery),
                    // It came before on this connection, and is acknowledged once.
                    Admit::Known => {}
                }
            }
            Packet::PubRel { packet_id } if !ledger.owes_pubrec(*packet_id) => {
                assert_eq!(ledger.pubrel(*packet_id), Reply::PubComp(*packet_id));
            }
            Packet::PingResp => {
                ledger.pong();
            }
            _ => {}
        }
        if !pending.is_empty() && random.below(2) == 0 {
            let delivery = pending.swap_remove(random.below(pending.len()));
            *allowed.entry((delivery.key.exactly_once, delivery.key.packet_id)).or_default() += 1;
            ledger.settle(delivery, Some(1));
        }
        if random.below(4) == 0 {
            ledger.ping();
        }
        while let Some(reply) = ledger.next_reply() {
            let key = match reply {
                Reply::PubAck(packet_id) => (false, packet_id),
                Reply::PubRec(packet_id) => (true, packet_id),
                Reply::PubComp(packet_id) => panic!("a PUBCOMP for {packet_id} without a PUBREL"),
            };
            let left = allowed.get_mut(&key).filter(|left| **left > 0);
            let Some(left) = left else { panic!("{reply:?} for something that is not stored") };
            *left -= 1;
        }
    }
}

/// Enough chance for pieces (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// From 0 to before `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}
