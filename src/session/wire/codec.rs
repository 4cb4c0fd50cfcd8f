//! Bytes to packets.

use bytes::{Buf, Bytes, BytesMut};
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;
use tokio_util::codec::Decoder;
use xxhash_rust::xxh3::Xxh3;

use super::connect::{connack, connack_v5};
use super::{Packet, Publish, Version, WireError, hash, hasher};
use crate::message::Qos;

/// What is kept of a payload over the limit.
pub const CUT_BYTES: usize = 64 << 10;
/// The longest packet that MQTT can frame (2.2.3).
const MAX_REMAINING: usize = 268_435_455;
/// More than the topic and the usual properties of a PUBLISH take: such a packet, if longer than this and the limit
/// together, is not waited for but read as it comes.
const HEAD_BYTES: usize = 128 << 10;

/// Reads what a broker sends.
#[derive(Debug)]
pub struct Codec {
    version: Version,
    max_payload_bytes: usize,
    scratch: Vec<u8>,
    long: Option<Box<Long>>,
    /// Bytes of the stream that were seen, and how many of them were left in the buffer when last looked.
    seen: u64,
    left: usize,
}

/// A PUBLISH that is too long to be waited for.
struct Long {
    publish: Publish,
    hasher: Xxh3,
    kept: Vec<u8>,
    /// Bytes of payload to keep: all of them if it is only the properties that are long.
    keep: usize,
    /// Bytes of MQTT 5 properties that are still to come.
    properties: usize,
    /// Bytes of payload that are still to come.
    payload: usize,
}

impl std::fmt::Debug for Long {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Long").field("payload", &self.payload).finish_non_exhaustive()
    }
}

impl Codec {
    #[must_use]
    pub fn new(version: Version, max_payload_bytes: usize) -> Self {
        Self { version, max_payload_bytes, scratch: Vec::new(), long: None, seen: 0, left: 0 }
    }

    /// Bytes that have come so far: they grow while a long packet arrives that takes longer than the patience.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// A PUBLISH that is complete in `body` (without its fixed header, whose first byte is `first`).
    fn publish(&mut self, first: u8, mut body: Bytes) -> Result<Publish, WireError> {
        let Some((mut publish, properties)) = head(first, self.version, &mut body)? else {
            return Err(WireError::protocol("a PUBLISH is shorter than its header (3.3)"));
        };
        if properties > body.len() {
            return Err(WireError::protocol("properties are longer than their packet (2.2.2)"));
        }
        body.advance(properties);
        publish.payload_bytes = body.len();
        if publish.qos != Qos::AtMostOnce {
            publish.hash = hash(&publish.topic, &body, &mut self.scratch);
        }
        publish.too_large = body.len() > self.max_payload_bytes;
        publish.payload = if publish.too_large {
            // A copy, so that the long buffer is given back.
            Bytes::copy_from_slice(&body[..body.len().min(CUT_BYTES)])
        } else {
            body
        };
        Ok(publish)
    }

    /// Begins a PUBLISH of `remaining` bytes after its fixed header of `header` bytes; `None` if its head is not there.
    fn begin_long(&self, source: &mut BytesMut, header: usize, remaining: usize) -> Result<Option<Long>, WireError> {
        let available = source.len().min(header + HEAD_BYTES);
        let mut body = Bytes::copy_from_slice(&source[header..available]);
        let before = body.len();
        let Some((mut publish, properties)) = head(source[0], self.version, &mut body)? else {
            return if before >= HEAD_BYTES {
                Err(WireError::protocol("a PUBLISH has no end of its header (3.3)"))
            } else {
                Ok(None)
            };
        };
        let head_bytes = before - body.len();
        let payload = remaining
            .checked_sub(head_bytes + properties)
            .ok_or_else(|| WireError::protocol("properties are longer than their packet (2.2.2)"))?;
        source.advance(header + head_bytes);
        let hasher = hasher(&publish.topic);
        publish.too_large = payload > self.max_payload_bytes;
        let keep = if publish.too_large { payload.min(CUT_BYTES) } else { payload };
        Ok(Some(Long { publish, hasher, kept: Vec::new(), keep, properties, payload }))
    }
}

impl Long {
    /// Takes what is there; whether it is complete.
    fn feed(&mut self, source: &mut BytesMut) -> bool {
        let skipped = self.properties.min(source.len());
        source.advance(skipped);
        self.properties -= skipped;
        if self.properties == 0 {
            let taken = self.payload.min(source.len());
            self.hasher.update(&source[..taken]);
            let kept = taken.min(self.keep - self.kept.len());
            self.kept.extend_from_slice(&source[..kept]);
            source.advance(taken);
            self.payload -= taken;
            self.publish.payload_bytes += taken;
        }
        self.properties == 0 && self.payload == 0
    }

    fn finish(self) -> Publish {
        Publish { hash: self.hasher.digest(), payload: self.kept.into(), ..self.publish }
    }
}

impl Decoder for Codec {
    type Item = Packet;
    type Error = WireError;

    fn decode(&mut self, source: &mut BytesMut) -> Result<Option<Packet>, WireError> {
        self.seen += source.len().saturating_sub(self.left) as u64;
        let packet = self.packet(source);
        self.left = source.len();
        packet
    }
}

impl Codec {
    fn packet(&mut self, source: &mut BytesMut) -> Result<Option<Packet>, WireError> {
        if let Some(long) = &mut self.long {
            if !long.feed(source) {
                return Ok(None);
            }
            return Ok(self.long.take().map(|long| Packet::Publish(long.finish())));
        }
        let Some((header, remaining)) = fixed_header(source)? else { return Ok(None) };
        let first = source[0];
        if first >> 4 == PUBLISH && remaining > self.max_payload_bytes.saturating_add(HEAD_BYTES) {
            self.long = self.begin_long(source, header, remaining)?.map(Box::new);
            return if self.long.is_some() { self.packet(source) } else { Ok(None) };
        }
        if remaining > MAX_OTHER && first >> 4 != PUBLISH {
            return Err(WireError::protocol(format!("a packet of type {} has {remaining} bytes", first >> 4)));
        }
        let Some(missing) = (header + remaining).checked_sub(source.len()).filter(|&missing| missing > 0) else {
            let packet = source.split_to(header + remaining);
            return match first >> 4 {
                PUBLISH => {
                    let mut body = packet.freeze();
                    body.advance(header);
                    Ok(Some(Packet::Publish(self.publish(first, body)?)))
                }
                _ => rare(self.version, first, packet, header).map(Some),
            };
        };
        source.reserve(missing);
        Ok(None)
    }
}

const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const DISCONNECT: u8 = 14;
/// Other packets from a broker are short: SUBACK is bounded by what we subscribe in one packet, texts by 64 KiB each.
const MAX_OTHER: usize = 1 << 20;

/// Length of the fixed header, and of what follows it (2.2.3).
fn fixed_header(source: &[u8]) -> Result<Option<(usize, usize)>, WireError> {
    let Some((_, mut rest)) = source.split_first() else { return Ok(None) };
    match variable_integer(&mut rest) {
        Some(remaining) => {
            let remaining = remaining?;
            debug_assert!(remaining <= MAX_REMAINING);
            Ok(Some((source.len() - rest.len(), remaining)))
        }
        None => Ok(None),
    }
}

/// A variable byte integer (MQTT 5, 1.5.5); `None` if it is not complete.
fn variable_integer(source: &mut &[u8]) -> Option<Result<usize, WireError>> {
    let mut value = 0;
    for position in 0..4 {
        let byte = *source.get(position)?;
        value |= usize::from(byte & 0x7F) << (7 * position);
        if byte & 0x80 == 0 {
            *source = &source[position + 1..];
            return Some(Ok(value));
        }
    }
    Some(Err(WireError::protocol("a length has more than four bytes (1.5.5)")))
}

/// Topic, packet identifier and length of the properties; `body` is left where the properties begin. `None` if they
/// are not all there.
fn head(first: u8, version: Version, body: &mut Bytes) -> Result<Option<(Publish, usize)>, WireError> {
    let Some(qos) = Qos::from_level(first >> 1 & 3) else {
        return Err(WireError::protocol("a PUBLISH has both QoS bits set (3.3.1.2)"));
    };
    let Ok(topic_bytes) = body.try_get_u16().map(usize::from) else { return Ok(None) };
    if body.len() < topic_bytes {
        return Ok(None);
    }
    let topic = body.split_to(topic_bytes);
    let mut packet_id = 0;
    if qos != Qos::AtMostOnce {
        let Ok(id) = body.try_get_u16() else { return Ok(None) };
        if id == 0 {
            return Err(WireError::protocol("a packet identifier is 0 (2.2.1)"));
        }
        packet_id = id;
    }
    let mut properties = 0;
    if version == Version::V5 {
        let mut rest = &body[..];
        let Some(length) = variable_integer(&mut rest) else { return Ok(None) };
        properties = length?;
        let used = body.len() - rest.len();
        body.advance(used);
    }
    let (dup, retain) = (first & 8 != 0, first & 1 != 0);
    let publish = Publish {
        dup,
        qos,
        retain,
        packet_id,
        topic,
        payload: Bytes::new(),
        payload_bytes: 0,
        too_large: false,
        hash: 0,
    };
    Ok(Some((publish, properties)))
}

/// Every packet but PUBLISH, complete.
fn rare(version: Version, first: u8, mut packet: BytesMut, header: usize) -> Result<Packet, WireError> {
    let body = &packet[header..];
    match (version, first >> 4) {
        (Version::V5, DISCONNECT) => {
            let reason = body.first().copied().unwrap_or(0);
            let text = if body.len() > 2 { disconnect_text(packet) } else { None };
            Ok(Packet::Disconnect { reason, text })
        }
        // A broker of 3.1.1 refuses version 5 in its own form.
        (_, CONNACK) if body.len() == 2 => Ok(Packet::ConnAck(connack(body[0], body[1]))),
        (Version::V5, _) => match v5::Packet::read(&mut packet, None).map_err(malformed)? {
            v5::Packet::ConnAck(ack) => Ok(Packet::ConnAck(connack_v5(ack))),
            v5::Packet::SubAck(ack) => {
                let codes = ack.return_codes.iter().map(|&code| super::connect::suback_code(code)).collect();
                Ok(Packet::SubAck { packet_id: ack.pkid, codes })
            }
            v5::Packet::UnsubAck(ack) => Ok(Packet::UnsubAck { packet_id: ack.pkid }),
            v5::Packet::PubRel(release) => Ok(Packet::PubRel { packet_id: release.pkid }),
            v5::Packet::PingResp(_) => Ok(Packet::PingResp),
            _ => Err(unexpected(first)),
        },
        (Version::V311, _) => match v4::Packet::read(&mut packet, MAX_REMAINING).map_err(malformed)? {
            v4::Packet::SubAck(ack) => {
                let codes = ack.return_codes.iter().map(|code| match code {
                    v4::SubscribeReasonCode::Success(qos) => *qos as u8,
                    v4::SubscribeReasonCode::Failure => 128,
                });
                Ok(Packet::SubAck { packet_id: ack.pkid, codes: codes.collect() })
            }
            v4::Packet::UnsubAck(ack) => Ok(Packet::UnsubAck { packet_id: ack.pkid }),
            v4::Packet::PubRel(release) => Ok(Packet::PubRel { packet_id: release.pkid }),
            v4::Packet::PingResp => Ok(Packet::PingResp),
            _ => Err(unexpected(first)),
        },
    }
}

fn disconnect_text(mut packet: BytesMut) -> Option<String> {
    match v5::Packet::read(&mut packet, None) {
        Ok(v5::Packet::Disconnect(disconnect)) => disconnect.properties?.reason_string,
        _ => None,
    }
}

/// The packet was complete, so that also "more bytes wanted" means that it is malformed.
fn malformed(error: impl std::fmt::Display) -> WireError {
    WireError::protocol(error.to_string())
}

fn unexpected(first: u8) -> WireError {
    WireError::protocol(format!("a broker never sends packets of type {} (2.1.2)", first >> 4))
}
