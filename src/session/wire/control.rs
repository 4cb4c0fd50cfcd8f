//! Every packet of a broker but PUBLISH: short ones, which are read once they are complete.
//!
//! They are read here and not by rumqttc's codecs, which take fixed headers with wrong flags and lengths that do not
//! add up, call for another byte where none may come, refuse reason codes that they do not know, and know no AUTH.

use super::connect::{ConnAck, Refusal};
use super::fault::Fault;
use super::properties::{self, Property, Value, id};
use super::{Packet, Version};

/// What the first byte of a fixed header says (2.1.2, 2.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    ConnAck,
    Publish,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    SubAck,
    UnsubAck,
    PingResp,
    Disconnect,
    Auth,
}

impl Kind {
    pub(super) fn of(first: u8, version: Version) -> Result<Self, Fault> {
        let kind = match (first >> 4, version) {
            (2, _) => Self::ConnAck,
            // Its flags are read with its head.
            (3, _) => return Ok(Self::Publish),
            (4, _) => Self::PubAck,
            (5, _) => Self::PubRec,
            (6, _) => Self::PubRel,
            (7, _) => Self::PubComp,
            (9, _) => Self::SubAck,
            (11, _) => Self::UnsubAck,
            (13, _) => Self::PingResp,
            (14, Version::V5) => Self::Disconnect,
            (15, Version::V5) => Self::Auth,
            (1 | 8 | 10 | 12 | 14, _) => {
                let what = format!("a packet of type {}, which only clients send", first >> 4);
                return Err(Fault::protocol("2.1.2", what));
            }
            _ => return Err(Fault::malformed("2.1.2", format!("there are no packets of type {}", first >> 4))),
        };
        let flags = if kind == Self::PubRel { 2 } else { 0 };
        if first & 0x0F != flags {
            let clause = if kind == Self::PubRel { "3.6.1-1" } else { "2.1.3-1" };
            return Err(Fault::malformed(clause, format!("{} has the flags {:#x}", kind.name(), first & 0x0F)));
        }
        Ok(kind)
    }

    /// Its name, with the article.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ConnAck => "a CONNACK",
            Self::Publish => "a PUBLISH",
            Self::PubAck => "a PUBACK",
            Self::PubRec => "a PUBREC",
            Self::PubRel => "a PUBREL",
            Self::PubComp => "a PUBCOMP",
            Self::SubAck => "a SUBACK",
            Self::UnsubAck => "an UNSUBACK",
            Self::PingResp => "a PINGRESP",
            Self::Disconnect => "a DISCONNECT",
            Self::Auth => "an AUTH",
        }
    }

    /// Properties that may come in it, besides the user's (2.2.2.2).
    fn properties(self) -> &'static [u8] {
        match self {
            Self::ConnAck => &[17, 18, 19, 21, 22, 26, 28, 31, 33, 34, 36, 37, 39, 40, 41, 42],
            Self::Disconnect => &[28, 31],
            Self::Auth => &[21, 22, 31],
            _ => &[31],
        }
    }
}

/// Reads a packet that is complete in `body` (without its fixed header).
pub(super) fn read(kind: Kind, version: Version, body: &[u8]) -> Result<Packet, Fault> {
    let mut body = Body { kind, version, rest: body };
    let packet = match kind {
        Kind::ConnAck => Packet::ConnAck(body.connack()?),
        Kind::PubAck => {
            let (packet_id, reason) = body.acknowledged()?;
            Packet::PubAck { packet_id, reason }
        }
        Kind::PubRec => Packet::PubRec { packet_id: body.acknowledged()?.0 },
        Kind::PubRel => Packet::PubRel { packet_id: body.acknowledged()?.0 },
        Kind::PubComp => Packet::PubComp { packet_id: body.acknowledged()?.0 },
        Kind::SubAck => {
            let packet_id = body.packet_id()?;
            body.no_properties()?;
            Packet::SubAck { packet_id, codes: body.granted()? }
        }
        Kind::UnsubAck => {
            let packet_id = body.packet_id()?;
            body.no_properties()?;
            if version == Version::V5 {
                // One reason a filter; what the broker does not have is unsubscribed.
                body.rest = &[];
            }
            Packet::UnsubAck { packet_id }
        }
        Kind::PingResp => Packet::PingResp,
        Kind::Disconnect => {
            let reason = body.reason()?;
            let mut text = None;
            body.properties(|property| {
                said(property, &mut text);
                Ok(())
            })?;
            Packet::Disconnect { reason, text }
        }
        Kind::Auth => return Err(Fault::protocol("4.12.0-6", "an AUTH, and we named no method of authentication")),
        Kind::Publish => return Err(Fault::malformed("2.1.2", "a PUBLISH is read elsewhere")),
    };
    if body.rest.is_empty() {
        Ok(packet)
    } else {
        Err(Fault::malformed("2.1.4", format!("{} is too long", kind.name())))
    }
}

/// What is left of a packet.
struct Body<'a> {
    kind: Kind,
    version: Version,
    rest: &'a [u8],
}

impl<'a> Body<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        properties::take(&mut self.rest)
            .ok_or_else(|| Fault::malformed("2.1.4", format!("{} is too short", self.kind.name())))
    }

    fn packet_id(&mut self) -> Result<u16, Fault> {
        match u16::from_be_bytes(self.take()?) {
            0 => Err(Fault::protocol("2.2.1", format!("the packet identifier of {} is 0", self.kind.name()))),
            packet_id => Ok(packet_id),
        }
    }

    /// MQTT 5: the reason code, 0 where the packet ends before it.
    fn reason(&mut self) -> Result<u8, Fault> {
        if self.rest.is_empty() { Ok(0) } else { self.take().map(|[code]| code) }
    }

    /// Packet identifier, and in MQTT 5 perhaps a reason code (0 unless it is there) and properties.
    fn acknowledged(&mut self) -> Result<(u16, u8), Fault> {
        let packet_id = self.packet_id()?;
        let mut reason = 0;
        if self.version == Version::V5 {
            reason = self.reason()?;
            if !self.rest.is_empty() {
                self.no_properties()?;
            }
        }
        Ok((packet_id, reason))
    }

    fn no_properties(&mut self) -> Result<(), Fault> {
        if self.version == Version::V5 { self.properties(|_| Ok(())) } else { Ok(()) }
    }

    /// One code a filter.
    fn granted(&mut self) -> Result<Vec<u8>, Fault> {
        let codes = std::mem::take(&mut self.rest);
        // 3.1.1 has one code for a refusal; some brokers send those of MQTT 5 there too.
        let is_code = |&code: &u8| code <= 2 || code >= 0x80;
        match codes.iter().find(|code| !is_code(code)) {
            Some(code) => Err(Fault::malformed("3.9.3-2", format!("a SUBACK has the reason code {code:#04x}"))),
            None => Ok(codes.to_vec()),
        }
    }

    /// Reads the properties, none of them twice.
    fn properties(&mut self, mut take: impl FnMut(Property<'a>) -> Result<(), Fault>) -> Result<(), Fault> {
        let kind = self.kind;
        if self.rest.is_empty() && kind == Kind::Disconnect {
            return Ok(());
        }
        let too_short = || Fault::malformed("2.2.2.1", format!("the properties of {} are longer than it", kind.name()));
        let length = properties::variable(&mut self.rest)?.ok_or_else(too_short)? as usize;
        let (mut all, rest) = self.rest.split_at_checked(length).ok_or_else(too_short)?;
        self.rest = rest;
        let mut seen = 0_u64;
        while !all.is_empty() {
            let Some(property) = properties::next(&mut all)? else { return Err(too_short()) };
            let (id, _) = property;
            if id == id::USER {
                continue;
            }
            if !kind.properties().contains(&id) {
                let what = format!("{} bears property {id}, which is not for it", kind.name());
                return Err(Fault::malformed("2.2.2.2", what));
            }
            if seen & 1 << id != 0 {
                return Err(Fault::protocol("2.2.2.2", format!("{} bears property {id} twice", kind.name())));
            }
            seen |= 1 << id;
            take(property)?;
        }
        Ok(())
    }

    fn connack(&mut self) -> Result<ConnAck, Fault> {
        let [flags, code] = self.take()?;
        if flags & 0xFE != 0 {
            return Err(Fault::malformed("3.2.2-1", format!("a CONNACK has the flags {flags:#04x}")));
        }
        let refusal = Refusal::of(code)?;
        let mut ack = ConnAck { session_present: flags == 1, refusal, ..ConnAck::default() };
        // A broker of 3.1.1 answers version 5 in its own form, mostly to refuse it.
        let is_old = self.version == Version::V311 || self.rest.is_empty();
        if is_old {
            ack.no_subscription_identifiers = true;
            if self.version == Version::V5 {
                ack.refusal = refusal.or(Some(Refusal::Version));
                return Ok(ack);
            }
        }
        if ack.session_present && refusal.is_some() {
            return Err(Fault::protocol("3.2.2-6", "a CONNACK refuses the connection and has a session for it"));
        }
        if !is_old {
            self.properties(|property| {
                match property {
                    (id::SESSION_EXPIRY, Value::Four(seconds)) => ack.session_expiry = Some(seconds),
                    (id::SERVER_KEEP_ALIVE, Value::Two(seconds)) => ack.server_keep_alive = Some(seconds),
                    (id::RECEIVE_MAXIMUM, Value::Two(0)) => {
                        return Err(Fault::protocol("3.2.2.3.3", "a CONNACK allows 0 messages in flight"));
                    }
                    (id::MAXIMUM_PACKET_SIZE, Value::Four(0)) => {
                        return Err(Fault::protocol("3.2.2.3.6", "a CONNACK allows packets of 0 bytes"));
                    }
                    (36 | 37 | 40..=42, Value::Byte(2..)) => {
                        let what = format!("property {} of a CONNACK is neither 0 nor 1", property.0);
                        return Err(Fault::protocol("3.2.2.3", what));
                    }
                    (id::SUBSCRIPTION_IDENTIFIERS, Value::Byte(is_there)) => {
                        ack.no_subscription_identifiers = is_there == 0;
                    }
                    other => said(other, &mut ack.text),
                }
                Ok(())
            })?;
        }
        Ok(ack)
    }
}

/// What the broker says to a refusal or to the end of a connection, the other broker that it names included.
fn said((id, value): Property<'_>, text: &mut Option<String>) {
    let said = match (id, value) {
        (id::REASON_STRING, Value::Bytes(bytes)) => words(bytes),
        (id::SERVER_REFERENCE, Value::Bytes(bytes)) => format!("server reference `{}`", words(bytes)),
        _ => return,
    };
    match text {
        None => *text = Some(said),
        Some(text) => {
            text.push_str(", ");
            text.push_str(&said);
        }
    }
}

/// As much of a text as a line of the log takes.
const MAX_WORDS: usize = 500;

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_WORDS)]).replace(char::is_control, " ")
}
