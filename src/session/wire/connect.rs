//! What a broker answers to CONNECT and SUBSCRIBE, in one form for both versions.

use rumqttc::v5::mqttbytes::v5;

/// CONNACK (3.2).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ConnAck {
    pub session_present: bool,
    pub refusal: Option<Refusal>,
    /// What the broker says to it.
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
    /// Any other reason: busy, shutting down, quota. Its code.
    Other(u8),
}

/// The form of 3.1.1.
pub(super) fn connack(flags: u8, code: u8) -> ConnAck {
    let refusal = match code {
        0 => None,
        1 | 0x84 => Some(Refusal::Version),
        2 => Some(Refusal::ClientId),
        4 => Some(Refusal::Credentials),
        5 => Some(Refusal::NotAuthorized),
        code => Some(Refusal::Other(code)),
    };
    ConnAck { session_present: flags & 1 == 1, refusal, no_subscription_identifiers: true, ..ConnAck::default() }
}

pub(super) fn connack_v5(ack: v5::ConnAck) -> ConnAck {
    use v5::ConnectReturnCode as Code;
    let refusal = match ack.code {
        Code::Success => None,
        Code::UnsupportedProtocolVersion | Code::RefusedProtocolVersion => Some(Refusal::Version),
        Code::ClientIdentifierNotValid | Code::BadClientId => Some(Refusal::ClientId),
        Code::BadUserNamePassword | Code::BadAuthenticationMethod => Some(Refusal::Credentials),
        Code::NotAuthorized => Some(Refusal::NotAuthorized),
        Code::Banned => Some(Refusal::Banned),
        code => Some(Refusal::Other(other_code(code))),
    };
    let mut properties = ack.properties;
    ConnAck {
        session_present: ack.session_present,
        refusal,
        text: properties.as_mut().and_then(|properties| properties.reason_string.take()),
        server_keep_alive: properties.as_ref().and_then(|properties| properties.server_keep_alive),
        session_expiry: properties.as_ref().and_then(|properties| properties.session_expiry_interval),
        no_subscription_identifiers: properties
            .as_ref()
            .is_some_and(|properties| properties.subscription_identifiers_available == Some(0)),
    }
}

fn other_code(code: v5::ConnectReturnCode) -> u8 {
    use v5::ConnectReturnCode as Code;
    match code {
        Code::MalformedPacket => 0x81,
        Code::ProtocolError => 0x82,
        Code::ImplementationSpecificError => 0x83,
        Code::ServerUnavailable | Code::ServiceUnavailable => 0x88,
        Code::ServerBusy => 0x89,
        Code::TopicNameInvalid => 0x90,
        Code::PacketTooLarge => 0x95,
        Code::QuotaExceeded => 0x97,
        Code::PayloadFormatInvalid => 0x99,
        Code::RetainNotSupported => 0x9A,
        Code::QoSNotSupported => 0x9B,
        Code::UseAnotherServer => 0x9C,
        Code::ServerMoved => 0x9D,
        Code::ConnectionRateExceeded => 0x9F,
        _ => 0x80,
    }
}

pub(super) fn suback_code(code: v5::SubscribeReasonCode) -> u8 {
    use v5::SubscribeReasonCode as Code;
    match code {
        Code::Success(qos) => qos as u8,
        Code::Failure | Code::Unspecified => 0x80,
        Code::ImplementationSpecific => 0x83,
        Code::NotAuthorized => 0x87,
        Code::TopicFilterInvalid => 0x8F,
        Code::PkidInUse => 0x91,
        Code::QuotaExceeded => 0x97,
        Code::SharedSubscriptionsNotSupported => 0x9E,
        Code::SubscriptionIdNotSupported => 0xA1,
        Code::WildcardSubscriptionsNotSupported => 0xA2,
    }
}

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
