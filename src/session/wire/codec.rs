//! Bytes to packets.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio_util::codec::Decoder;
use xxhash_rust::xxh3::Xxh3;

use super::control::{self, Kind};
use super::fault::Fault;
use super::properties::{self, Identifiers};
use super::{Packet, Publish, Version, WireError, hash, hasher};
use crate::message::Qos;

/// What is kept of a payload over the limit.
pub const CUT_BYTES: usize = 64 << 10;
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
    fn publish(&mut self, first: u8, mut body: Bytes) -> Result<Publish, Fault> {
        let Some(head) = Head::read(first, self.version, &body)? else {
            return Err(Fault::malformed("3.3.2", "a PUBLISH ends before its topic and packet identifier do"));
        };
        let payload_bytes = head.payload_bytes(body.len())?;
        let mut publish = head.publish(body.slice(2..2 + head.topic_bytes));
        body.advance(head.bytes);
        let properties = body.split_to(head.properties);
        let left = take_properties(&mut publish.subscription_identifiers, &properties, true)?;
        debug_assert_eq!(left, 0);
        named(&publish)?;
        publish.payload_bytes = payload_bytes;
        if publish.qos != Qos::AtMostOnce {
            publish.hash = hash(&publish.topic, &body, &mut self.scratch);
        }
        publish.too_large = payload_bytes > self.max_payload_bytes;
        publish.payload = if publish.too_large {
            // A copy, so that the long buffer is given back.
            Bytes::copy_from_slice(&body[..payload_bytes.min(CUT_BYTES)])
        } else {
            body
        };
        Ok(publish)
    }

    /// Begins a PUBLISH of `remaining` bytes after its fixed header of `header` bytes; `None` if its head is not there.
    fn begin_long(&self, source: &mut BytesMut, header: usize, remaining: usize) -> Result<Option<Long>, Fault> {
        let Some(head) = Head::read(source[0], self.version, &source[header..])? else { return Ok(None) };
        let payload = head.payload_bytes(remaining)?;
        let topic = Bytes::copy_from_slice(&source[header + 2..][..head.topic_bytes]);
        source.advance(header + head.bytes);
        let hasher = hasher(&topic);
        let mut publish = head.publish(topic);
        publish.too_large = payload > self.max_payload_bytes;
        let keep = if publish.too_large { payload.min(CUT_BYTES) } else { payload };
        Ok(Some(Long { publish, hasher, kept: Vec::new(), keep, properties: head.properties, payload }))
    }
}

impl Long {
    /// Takes what is there; whether it is complete.
    fn feed(&mut self, source: &mut BytesMut) -> Result<bool, Fault> {
        let available = self.properties.min(source.len());
        let is_all = available == self.properties;
        let left = take_properties(&mut self.publish.subscription_identifiers, &source[..available], is_all)?;
        source.advance(available - left);
        self.properties -= available - left;
        if self.properties > 0 {
            return Ok(false);
        }
        if self.publish.payload_bytes == 0 {
            named(&self.publish)?;
        }
        let taken = self.payload.min(source.len());
        self.hasher.update(&source[..taken]);
        let kept = taken.min(self.keep - self.kept.len());
        self.kept.extend_from_slice(&source[..kept]);
        source.advance(taken);
        self.payload -= taken;
        self.publish.payload_bytes += taken;
        Ok(self.payload == 0)
    }

    fn finish(self) -> Publish {
        Publish { hash: self.hasher.digest(), payload: self.kept.into(), ..self.publish }
    }
}

/// Takes properties off the front of `source`, of which it is `all` or the beginning; returns how many bytes are left.
fn take_properties(identifiers: &mut Identifiers, mut source: &[u8], is_all: bool) -> Result<usize, Fault> {
    while let Some(property) = properties::next(&mut source)? {
        identifiers.take(property)?;
    }
    if is_all && !source.is_empty() {
        return Err(Fault::malformed("2.2.2.1", "the last property of a PUBLISH is longer than the properties"));
    }
    Ok(source.len())
}

/// A topic may be left out where an alias stands for it; we allow none.
fn named(publish: &Publish) -> Result<(), Fault> {
    if publish.topic.is_empty() {
        return Err(Fault::protocol("4.7.3-1", "a PUBLISH has an empty topic name"));
    }
    Ok(())
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

    fn decode_eof(&mut self, source: &mut BytesMut) -> Result<Option<Packet>, WireError> {
        match self.decode(source)? {
            None if !source.is_empty() || self.long.is_some() => {
                // Not `UnexpectedEof`: so TLS calls an end between packets without its own farewell.
                Err(io::Error::other("the broker has closed the connection within a packet").into())
            }
            packet => Ok(packet),
        }
    }
}

impl Codec {
    fn packet(&mut self, source: &mut BytesMut) -> Result<Option<Packet>, WireError> {
        if let Some(long) = &mut self.long {
            if !long.feed(source)? {
                return Ok(None);
            }
            return Ok(self.long.take().map(|long| Packet::Publish(long.finish())));
        }
        let Some(&first) = source.first() else { return Ok(None) };
        let kind = match Kind::of(first, self.version) {
            Ok(kind) => kind,
            Err(fault) => return stranger(source, fault).map_or(Ok(None), |fault| Err(fault.into())),
        };
        let Some((header, remaining)) = fixed_header(source)? else { return Ok(None) };
        if kind == Kind::Publish {
            if remaining > self.max_payload_bytes.saturating_add(HEAD_BYTES) {
                self.long = self.begin_long(source, header, remaining)?.map(Box::new);
                return if self.long.is_some() { self.packet(source) } else { Ok(None) };
            }
        } else if remaining > MAX_OTHER {
            let what = format!("{} has {remaining} bytes", kind.name());
            return Err(Fault::other(Fault::TOO_LARGE, "4.13.2", what).into());
        }
        let missing = (header + remaining).saturating_sub(source.len());
        if missing > 0 {
            source.reserve(missing);
            return Ok(None);
        }
        let mut packet = source.split_to(header + remaining);
        Ok(Some(if kind == Kind::Publish {
            packet.advance(header);
            Packet::Publish(self.publish(first, packet.freeze())?)
        } else {
            control::read(kind, self.version, &packet[header..])?
        }))
    }
}

/// Other protocols by their first letters, which begin no packet, and what to do.
const STRANGERS: [(&[u8], &str); 2] = [
    (b"HTTP/", "it speaks HTTP: for a WebSocket write `ws://`, or `wss://` with TLS"),
    (b"SSH-", "it speaks SSH: this is not the broker's port"),
];

/// `fault` in the first byte of `source`, in better words if that is another protocol; `None` if that is yet to be seen.
fn stranger(source: &[u8], fault: Fault) -> Option<Fault> {
    let known = STRANGERS.iter().find(|(letters, _)| source.starts_with(letters) || letters.starts_with(source));
    match known {
        None => Some(fault),
        Some((letters, what)) => (source.len() >= letters.len()).then(|| Fault::malformed("2.1.3-1", *what)),
    }
}

/// Other packets from a broker are short: SUBACK is bounded by what we subscribe in one packet, a text by 64 KiB.
const MAX_OTHER: usize = 256 << 10;

/// Length of the fixed header, and of what follows it (2.1.4).
fn fixed_header(source: &[u8]) -> Result<Option<(usize, usize)>, Fault> {
    let Some((_, mut rest)) = source.split_first() else { return Ok(None) };
    let remaining = properties::variable(&mut rest)?;
    Ok(remaining.map(|remaining| (source.len() - rest.len(), remaining as usize)))
}

/// What a PUBLISH begins with, after its fixed header.
struct Head {
    dup: bool,
    qos: Qos,
    retain: bool,
    topic_bytes: usize,
    packet_id: u16,
    /// Where the properties begin.
    bytes: usize,
    /// Length of the properties.
    properties: usize,
}

impl Head {
    /// `None` if it is not all there.
    fn read(first: u8, version: Version, body: &[u8]) -> Result<Option<Self>, Fault> {
        let Some(qos) = Qos::from_level(first >> 1 & 3) else {
            return Err(Fault::malformed("3.3.1-4", "a PUBLISH has both bits of its QoS set"));
        };
        let dup = first & 8 != 0;
        if dup && qos == Qos::AtMostOnce {
            return Err(Fault::malformed("3.3.1-2", "a PUBLISH of QoS 0 is marked as sent again"));
        }
        let mut rest = body;
        let Some(topic) = properties::bytes(&mut rest) else { return Ok(None) };
        let mut packet_id = 0;
        if qos != Qos::AtMostOnce {
            let Some(id) = properties::take(&mut rest) else { return Ok(None) };
            packet_id = u16::from_be_bytes(id);
            if packet_id == 0 {
                return Err(Fault::protocol("2.2.1-4", "the packet identifier of a PUBLISH is 0"));
            }
        }
        let mut properties = 0;
        if version == Version::V5 {
            let Some(length) = properties::variable(&mut rest)? else { return Ok(None) };
            properties = length as usize;
        }
        let bytes = body.len() - rest.len();
        let topic_bytes = topic.len();
        Ok(Some(Self { dup, qos, retain: first & 1 != 0, topic_bytes, packet_id, bytes, properties }))
    }

    fn payload_bytes(&self, remaining: usize) -> Result<usize, Fault> {
        let too_long = || Fault::malformed("2.2.2.1", "the properties of a PUBLISH are longer than the packet");
        remaining.checked_sub(self.bytes + self.properties).ok_or_else(too_long)
    }

    fn publish(&self, topic: Bytes) -> Publish {
        Publish {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            packet_id: self.packet_id,
            topic,
            payload: Bytes::new(),
            payload_bytes: 0,
            too_large: false,
            hash: 0,
            subscription_identifiers: Identifiers::default(),
        }
    }
}
