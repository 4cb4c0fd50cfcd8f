//! Packets as the broker sees them: one type over MQTT 3.1.1 and 5, on rumqttc's codecs.
//!
//! Frames are cut here and the codec is given whole ones, so that what it calls too few bytes is a malformed packet
//! and not a reason to wait. The version is that of the CONNECT (its level byte), which is why both live on one port.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;

use crate::message::Qos;

/// The longest packet that is taken, in bytes; MQTT 5 clients are told.
pub(super) const MAX_PACKET_BYTES: usize = 16 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V311,
    V5,
}

/// Why a connection ends on account of what the client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// Another protocol level than 4 and 5, or MQTT 3.1.
    Version,
    Packet,
    TooLarge,
}

/// An application message on its way.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) topic: Arc<str>,
    pub(super) payload: Bytes,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    /// Of MQTT 5, passed on without aliases and identifiers.
    pub(super) properties: Option<Arc<v5::PublishProperties>>,
}

#[derive(Clone, Debug)]
pub(super) struct Connect {
    pub(super) version: Version,
    /// Empty if the broker is to choose.
    pub(super) client_id: String,
    pub(super) clean_start: bool,
    /// Whether the session outlives the connection.
    pub(super) persistent: bool,
    /// Seconds; 0 for none.
    pub(super) keep_alive: u16,
    /// What MQTT 5 announced.
    pub(super) receive_maximum: Option<u16>,
    pub(super) will: Option<Message>,
}

/// One filter of a SUBSCRIBE.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) qos: Qos,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) retain_handling: RetainHandling,
    pub(super) identifier: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetainHandling {
    Always,
    IfNew,
    Never,
}

#[derive(Clone, Debug)]
pub(super) enum FromClient {
    Connect(Box<Connect>),
    /// With its packet identifier; 0 at QoS 0.
    Publish(Message, u16),
    PubAck(u16),
    /// `refused`: with a reason that ends the message (MQTT 5, 4.3.3).
    PubRec {
        id: u16,
        refused: bool,
    },
    PubRel(u16),
    PubComp(u16),
    Subscribe(u16, Vec<(String, Subscription)>),
    Unsubscribe(u16, Vec<String>),
    PingReq,
    Disconnect {
        /// MQTT 5 may ask for it all the same.
        publish_will: bool,
        /// Whether the session shall end (MQTT 5: expiry set to 0).
        end_session: bool,
    },
}

/// A PUBLISH to a client.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) message: Message,
    /// At which it is delivered.
    pub(super) qos: Qos,
    pub(super) retain: bool,
    /// 0 at QoS 0.
    pub(super) id: u16,
    pub(super) dup: bool,
    /// Of the subscriptions that it is delivered for (MQTT 5).
    pub(super) identifiers: Vec<usize>,
}

/// Answer to one filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Granted {
    Qos(Qos),
    NotAuthorized,
    Invalid,
    SharedNotSupported,
}

/// Why a client is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    ClientId,
    BadLogin,
    Unavailable,
}

/// Why the broker ends a connection of MQTT 5; 3.1.1 has no words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    ShuttingDown,
    TakenOver,
    Malformed,
    TooLarge,
    KeepAlive,
}

#[derive(Clone, Debug)]
pub(super) enum ToClient {
    ConnAck {
        session_present: bool,
        /// Given to a client that had none.
        client_id: Option<String>,
        /// Whether subscriptions may have identifiers.
        identifiers: bool,
    },
    Refused(Refused),
    Publish(Delivery),
    PubAck(u16),
    PubRec(u16),
    PubRel(u16),
    PubComp(u16),
    SubAck(u16, Vec<Granted>),
    /// With whether each filter was subscribed.
    UnsubAck(u16, Vec<bool>),
    PingResp,
    Disconnect(Farewell),
}

/// A CONNACK of MQTT 3.1.1 that refuses the version (3.2.2.3): what a broker says that knows no other.
pub(super) const VERSION_REFUSED_V311: [u8; 4] = [0x20, 0x02, 0x00, 0x01];
/// The same in MQTT 5: unsupported protocol version, no properties.
pub(super) const VERSION_REFUSED_V5: [u8; 5] = [0x20, 0x03, 0x00, 0x84, 0x00];

/// Takes the next packet out of `input`; `None` if it is not all there. `version` is `None` before CONNECT.
pub(super) fn read(input: &mut BytesMut, version: Option<Version>) -> Result<Option<FromClient>, Malformed> {
    if version.is_none() && input.first().is_some_and(|&byte| byte != 0x10) {
        // Not a CONNECT (3.1.0-1), perhaps not even MQTT: not worth waiting for the rest.
        return Err(Malformed::Packet);
    }
    let Some((header_bytes, body_bytes)) = frame(input)? else { return Ok(None) };
    if body_bytes > MAX_PACKET_BYTES {
        return Err(Malformed::TooLarge);
    }
    if input.len() < header_bytes + body_bytes {
        input.reserve(header_bytes + body_bytes - input.len());
        return Ok(None);
    }
    let mut packet = input.split_to(header_bytes + body_bytes);
    let version = match version {
        Some(version) => version,
        None => connect_version(&packet, header_bytes)?,
    };
    match version {
        Version::V311 => {
            v4::Packet::read(&mut packet, MAX_PACKET_BYTES).map_err(|_| Malformed::Packet).and_then(from_v4)
        }
        Version::V5 => {
            // Two legal forms that the codec refuses: DISCONNECT without reason, and with a reason alone (3.14.2.2.1).
            if packet[0] == 0xe0 && body_bytes < 2 {
                let publish_will = body_bytes == 1 && packet[2] == 0x04;
                return Ok(Some(FromClient::Disconnect { publish_will, end_session: false }));
            }
            let limit = u32::try_from(MAX_PACKET_BYTES).ok();
            v5::Packet::read(&mut packet, limit).map_err(|_| Malformed::Packet).and_then(from_v5)
        }
    }
    .map(Some)
}

/// Length of the fixed header and of what follows it (MQTT 2.2.3); `None` if the header is not all there.
fn frame(input: &BytesMut) -> Result<Option<(usize, usize)>, Malformed> {
    let mut length = 0;
    for position in 0..4 {
        let Some(byte) = input.get(1 + position) else { return Ok(None) };
        length |= usize::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            return Ok(Some((2 + position, length)));
        }
    }
    Err(Malformed::Packet)
}

/// The level byte of what must be a CONNECT (3.1.2.2).
fn connect_version(packet: &[u8], header_bytes: usize) -> Result<Version, Malformed> {
    match packet.get(header_bytes..) {
        Some([0, 4, b'M', b'Q', b'T', b'T', 4, ..]) => Ok(Version::V311),
        Some([0, 4, b'M', b'Q', b'T', b'T', 5, ..]) => Ok(Version::V5),
        Some([0, 4, b'M', b'Q', b'T', b'T', _, ..] | [0, 6, b'M', b'Q', b'I', b's', b'd', b'p', ..]) => {
            Err(Malformed::Version)
        }
        _ => Err(Malformed::Packet),
    }
}

/// A topic name (4.7): not empty, no wildcard, no NUL.
fn topic_name(topic: &str) -> Result<Arc<str>, Malformed> {
    if topic.is_empty() || topic.contains(['+', '#', '\0']) { Err(Malformed::Packet) } else { Ok(topic.into()) }
}

fn utf8(bytes: &Bytes) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed::Packet)
}

fn from_v4(packet: v4::Packet) -> Result<FromClient, Malformed> {
    Ok(match packet {
        v4::Packet::Connect(connect) => FromClient::Connect(Box::new(Connect {
            version: Version::V311,
            client_id: connect.client_id,
            clean_start: connect.clean_session,
            persistent: !connect.clean_session,
            keep_alive: connect.keep_alive,
            receive_maximum: None,
            will: match connect.last_will {
                None => None,
                Some(will) => Some(Message {
                    topic: topic_name(&will.topic)?,
                    payload: will.message,
                    qos: qos_v4(will.qos),
                    retain: will.retain,
                    properties: None,
                }),
            },
        })),
        v4::Packet::Publish(publish) => FromClient::Publish(
            Message {
                topic: topic_name(&publish.topic)?,
                payload: publish.payload,
                qos: qos_v4(publish.qos),
                retain: publish.retain,
                properties: None,
            },
            publish.pkid,
        ),
        v4::Packet::PubAck(ack) => FromClient::PubAck(ack.pkid),
        v4::Packet::PubRec(ack) => FromClient::PubRec { id: ack.pkid, refused: false },
        v4::Packet::PubRel(ack) => FromClient::PubRel(ack.pkid),
        v4::Packet::PubComp(ack) => FromClient::PubComp(ack.pkid),
        v4::Packet::Subscribe(subscribe) => {
            let filters = subscribe.filters.into_iter().map(|filter| {
                let subscription = Subscription {
                    qos: qos_v4(filter.qos),
                    no_local: false,
                    retain_as_published: false,
                    retain_handling: RetainHandling::Always,
                    identifier: None,
                };
                (filter.path, subscription)
            });
            FromClient::Subscribe(subscribe.pkid, filters.collect())
        }
        v4::Packet::Unsubscribe(unsubscribe) => FromClient::Unsubscribe(unsubscribe.pkid, unsubscribe.topics),
        v4::Packet::PingReq => FromClient::PingReq,
        v4::Packet::Disconnect => FromClient::Disconnect { publish_will: false, end_session: false },
        v4::Packet::ConnAck(_) | v4::Packet::SubAck(_) | v4::Packet::UnsubAck(_) | v4::Packet::PingResp => {
            return Err(Malformed::Packet);
        }
    })
}

fn from_v5(packet: v5::Packet) -> Result<FromClient, Malformed> {
    Ok(match packet {
        v5::Packet::Connect(connect, will, _login) => {
            let properties = connect.properties.as_ref();
            FromClient::Connect(Box::new(Connect {
                version: Version::V5,
                client_id: connect.client_id,
                clean_start: connect.clean_start,
                persistent: properties.and_then(|it| it.session_expiry_interval).is_some_and(|seconds| seconds > 0),
                keep_alive: connect.keep_alive,
                receive_maximum: properties.and_then(|it| it.receive_maximum).filter(|&count| count > 0),
                will: match will {
                    None => None,
                    Some(will) => Some(Message {
                        topic: topic_name(utf8(&will.topic)?)?,
                        payload: will.message,
                        qos: qos_v5(will.qos),
                        retain: will.retain,
                        properties: None,
                    }),
                },
            }))
        }
        v5::Packet::Publish(mut publish) => {
            if let Some(properties) = &mut publish.properties {
                // None was offered, and identifiers come from the broker alone (3.3.2.3.4, 3.3.4-6).
                if properties.topic_alias.is_some() || !properties.subscription_identifiers.is_empty() {
                    return Err(Malformed::Packet);
                }
            }
            FromClient::Publish(
                Message {
                    topic: topic_name(utf8(&publish.topic)?)?,
                    payload: publish.payload,
                    qos: qos_v5(publish.qos),
                    retain: publish.retain,
                    properties: publish.properties.map(Arc::new),
                },
                publish.pkid,
            )
        }
        v5::Packet::PubAck(ack) => FromClient::PubAck(ack.pkid),
        v5::Packet::PubRec(ack) => FromClient::PubRec {
            id: ack.pkid,
            refused: !matches!(ack.reason, v5::PubRecReason::Success | v5::PubRecReason::NoMatchingSubscribers),
        },
        v5::Packet::PubRel(ack) => FromClient::PubRel(ack.pkid),
        v5::Packet::PubComp(ack) => FromClient::PubComp(ack.pkid),
        v5::Packet::Subscribe(subscribe) => {
            let identifier = subscribe.properties.and_then(|properties| properties.id);
            let filters = subscribe.filters.into_iter().map(|filter| {
                let subscription = Subscription {
                    qos: qos_v5(filter.qos),
                    no_local: filter.nolocal,
                    retain_as_published: filter.preserve_retain,
                    retain_handling: match filter.retain_forward_rule {
                        v5::RetainForwardRule::OnEverySubscribe => RetainHandling::Always,
                        v5::RetainForwardRule::OnNewSubscribe => RetainHandling::IfNew,
                        v5::RetainForwardRule::Never => RetainHandling::Never,
                    },
                    identifier,
                };
                (filter.path, subscription)
            });
            FromClient::Subscribe(subscribe.pkid, filters.collect())
        }
        v5::Packet::Unsubscribe(unsubscribe) => FromClient::Unsubscribe(unsubscribe.pkid, unsubscribe.filters),
        v5::Packet::PingReq(_) => FromClient::PingReq,
        v5::Packet::Disconnect(disconnect) => FromClient::Disconnect {
            publish_will: disconnect.reason_code == v5::DisconnectReasonCode::DisconnectWithWillMessage,
            end_session: disconnect.properties.and_then(|it| it.session_expiry_interval) == Some(0),
        },
        v5::Packet::Auth(_)
        | v5::Packet::ConnAck(_)
        | v5::Packet::SubAck(_)
        | v5::Packet::UnsubAck(_)
        | v5::Packet::PingResp(_) => return Err(Malformed::Packet),
    })
}

/// Appends `packet` to `output`.
pub(super) fn write(packet: ToClient, version: Version, output: &mut BytesMut) {
    let written = match version {
        Version::V311 => match to_v4(packet) {
            Some(packet) => packet.write(output, usize::MAX).map_err(|error| format!("{error:?}")),
            None => Ok(0),
        },
        Version::V5 => to_v5(packet).write(output, None).map_err(|error| format!("{error:?}")),
    };
    // What came in within MAX_PACKET_BYTES goes out within the 256 MiB of the format, and identifiers are not 0.
    written.expect("the broker makes packets that the codec can write");
}

fn to_v4(packet: ToClient) -> Option<v4::Packet> {
    Some(match packet {
        ToClient::ConnAck { session_present, .. } => {
            v4::Packet::ConnAck(v4::ConnAck::new(v4::ConnectReturnCode::Success, session_present))
        }
        ToClient::Refused(why) => v4::Packet::ConnAck(v4::ConnAck::new(
            match why {
                Refused::ClientId => v4::ConnectReturnCode::BadClientId,
                Refused::BadLogin => v4::ConnectReturnCode::BadUserNamePassword,
                Refused::Unavailable => v4::ConnectReturnCode::ServiceUnavailable,
            },
            false,
        )),
        ToClient::Publish(delivery) => v4::Packet::Publish(v4::Publish {
            dup: delivery.dup,
            qos: to_qos_v4(delivery.qos),
            retain: delivery.retain,
            topic: delivery.message.topic.as_ref().into(),
            pkid: delivery.id,
            payload: delivery.message.payload,
        }),
        ToClient::PubAck(id) => v4::Packet::PubAck(v4::PubAck::new(id)),
        ToClient::PubRec(id) => v4::Packet::PubRec(v4::PubRec::new(id)),
        ToClient::PubRel(id) => v4::Packet::PubRel(v4::PubRel::new(id)),
        ToClient::PubComp(id) => v4::Packet::PubComp(v4::PubComp::new(id)),
        ToClient::SubAck(id, granted) => {
            let codes = granted.into_iter().map(|granted| match granted {
                Granted::Qos(qos) => v4::SubscribeReasonCode::Success(to_qos_v4(qos)),
                Granted::NotAuthorized | Granted::Invalid | Granted::SharedNotSupported => {
                    v4::SubscribeReasonCode::Failure
                }
            });
            v4::Packet::SubAck(v4::SubAck::new(id, codes.collect()))
        }
        ToClient::UnsubAck(id, _) => v4::Packet::UnsubAck(v4::UnsubAck::new(id)),
        ToClient::PingResp => v4::Packet::PingResp,
        ToClient::Disconnect(_) => return None,
    })
}

fn to_v5(packet: ToClient) -> v5::Packet {
    match packet {
        ToClient::ConnAck { session_present, client_id, identifiers } => v5::Packet::ConnAck(v5::ConnAck {
            session_present,
            code: v5::ConnectReturnCode::Success,
            properties: Some(v5::ConnAckProperties {
                session_expiry_interval: None,
                receive_max: None,
                max_qos: None,
                retain_available: None,
                max_packet_size: u32::try_from(MAX_PACKET_BYTES).ok(),
                assigned_client_identifier: client_id,
                topic_alias_max: None,
                reason_string: None,
                user_properties: vec![],
                wildcard_subscription_available: None,
                subscription_identifiers_available: (!identifiers).then_some(0),
                shared_subscription_available: Some(0),
                server_keep_alive: None,
                response_information: None,
                server_reference: None,
                authentication_method: None,
                authentication_data: None,
            }),
        }),
        ToClient::Refused(why) => v5::Packet::ConnAck(v5::ConnAck {
            session_present: false,
            code: match why {
                Refused::ClientId => v5::ConnectReturnCode::ClientIdentifierNotValid,
                Refused::BadLogin => v5::ConnectReturnCode::BadUserNamePassword,
                Refused::Unavailable => v5::ConnectReturnCode::ServerUnavailable,
            },
            properties: None,
        }),
        ToClient::Publish(delivery) => v5::Packet::Publish(v5::Publish {
            dup: delivery.dup,
            qos: to_qos_v5(delivery.qos),
            retain: delivery.retain,
            topic: Bytes::copy_from_slice(delivery.message.topic.as_bytes()),
            pkid: delivery.id,
            payload: delivery.message.payload,
            properties: match (delivery.message.properties, delivery.identifiers) {
                (None, identifiers) if identifiers.is_empty() => None,
                (properties, identifiers) => {
                    let mut properties = properties.map_or_else(Default::default, Arc::unwrap_or_clone);
                    properties.subscription_identifiers = identifiers;
                    Some(properties)
                }
            },
        }),
        ToClient::PubAck(id) => v5::Packet::PubAck(v5::PubAck::new(id, None)),
        ToClient::PubRec(id) => v5::Packet::PubRec(v5::PubRec::new(id, None)),
        ToClient::PubRel(id) => v5::Packet::PubRel(v5::PubRel::new(id, None)),
        ToClient::PubComp(id) => v5::Packet::PubComp(v5::PubComp::new(id, None)),
        ToClient::SubAck(id, granted) => {
            let codes = granted.into_iter().map(|granted| match granted {
                Granted::Qos(qos) => v5::SubscribeReasonCode::Success(to_qos_v5(qos)),
                Granted::NotAuthorized => v5::SubscribeReasonCode::NotAuthorized,
                Granted::Invalid => v5::SubscribeReasonCode::TopicFilterInvalid,
                Granted::SharedNotSupported => v5::SubscribeReasonCode::SharedSubscriptionsNotSupported,
            });
            v5::Packet::SubAck(v5::SubAck { pkid: id, return_codes: codes.collect(), properties: None })
        }
        ToClient::UnsubAck(id, found) => {
            let reasons = found.into_iter().map(|found| match found {
                true => v5::UnsubAckReason::Success,
                false => v5::UnsubAckReason::NoSubscriptionExisted,
            });
            v5::Packet::UnsubAck(v5::UnsubAck { pkid: id, reasons: reasons.collect(), properties: None })
        }
        ToClient::PingResp => v5::Packet::PingResp(v5::PingResp),
        ToClient::Disconnect(why) => v5::Packet::Disconnect(v5::Disconnect {
            reason_code: match why {
                Farewell::ShuttingDown => v5::DisconnectReasonCode::ServerShuttingDown,
                Farewell::TakenOver => v5::DisconnectReasonCode::SessionTakenOver,
                Farewell::Malformed => v5::DisconnectReasonCode::MalformedPacket,
                Farewell::TooLarge => v5::DisconnectReasonCode::PacketTooLarge,
                Farewell::KeepAlive => v5::DisconnectReasonCode::KeepAliveTimeout,
            },
            properties: None,
        }),
    }
}

const fn qos_v4(qos: rumqttc::mqttbytes::QoS) -> Qos {
    match qos {
        rumqttc::mqttbytes::QoS::AtMostOnce => Qos::AtMostOnce,
        rumqttc::mqttbytes::QoS::AtLeastOnce => Qos::AtLeastOnce,
        rumqttc::mqttbytes::QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}

const fn qos_v5(qos: rumqttc::v5::mqttbytes::QoS) -> Qos {
    match qos {
        rumqttc::v5::mqttbytes::QoS::AtMostOnce => Qos::AtMostOnce,
        rumqttc::v5::mqttbytes::QoS::AtLeastOnce => Qos::AtLeastOnce,
        rumqttc::v5::mqttbytes::QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}

const fn to_qos_v4(qos: Qos) -> rumqttc::mqttbytes::QoS {
    match qos {
        Qos::AtMostOnce => rumqttc::mqttbytes::QoS::AtMostOnce,
        Qos::AtLeastOnce => rumqttc::mqttbytes::QoS::AtLeastOnce,
        Qos::ExactlyOnce => rumqttc::mqttbytes::QoS::ExactlyOnce,
    }
}

const fn to_qos_v5(qos: Qos) -> rumqttc::v5::mqttbytes::QoS {
    match qos {
        Qos::AtMostOnce => rumqttc::v5::mqttbytes::QoS::AtMostOnce,
        Qos::AtLeastOnce => rumqttc::v5::mqttbytes::QoS::AtLeastOnce,
        Qos::ExactlyOnce => rumqttc::v5::mqttbytes::QoS::ExactlyOnce,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `read` makes of `bytes`, frame by frame, until it wants more or refuses.
    fn read_all(bytes: &[u8], version: Option<Version>) -> Result<Vec<FromClient>, Malformed> {
        let mut input = BytesMut::from(bytes);
        let mut packets = vec![];
        while let Some(packet) = read(&mut input, version)? {
            packets.push(packet);
        }
        Ok(packets)
    }

    #[test]
    fn the_level_byte_chooses_the_version() {
        for (level, version) in [(4, Version::V311), (5, Version::V5)] {
            let mut bytes = vec![0x10, 0, 0, 4, b'M', b'Q', b'T', b'T', level, 2, 0, 60];
            if level == 5 {
                bytes.push(0);
            }
            bytes.extend([0, 1, b'x']);
            bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
            let packets = read_all(&bytes, None).unwrap();
            let [FromClient::Connect(connect)] = packets.as_slice() else { panic!("{packets:?}") };
            assert_eq!((connect.version, connect.client_id.as_str()), (version, "x"));
        }
        let old = [0x10, 15, 0, 6, b'M', b'Q', b'I', b's', b'd', b'p', 3, 2, 0, 60, 0, 1, b'x'];
        assert_eq!(read_all(&old, None).unwrap_err(), Malformed::Version);
    }

    #[test]
    fn a_disconnect_of_version_5_may_leave_out_reason_and_properties() {
        for (bytes, will) in
            [(&[0xe0, 0][..], false), (&[0xe0, 1, 0], false), (&[0xe0, 1, 4], true), (&[0xe0, 2, 4, 0], true)]
        {
            let packets = read_all(bytes, Some(Version::V5)).unwrap();
            assert!(
                matches!(packets[..], [FromClient::Disconnect { publish_will, end_session: false }] if publish_will == will),
                "{bytes:?}: {packets:?}"
            );
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic() {
        let mut seed: u64 = 1;
        let mut next = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33).to_le_bytes()[0]
        };
        for _ in 0..200_000 {
            let length = usize::from(next() % 40);
            let mut bytes: Vec<u8> = std::iter::repeat_with(&mut next).take(length).collect();
            if bytes.len() >= 2 {
                // Mostly a right length, so that the body is read at all.
                bytes[1] = u8::try_from(length - 2).unwrap();
                bytes[0] = next();
            }
            for version in [None, Some(Version::V311), Some(Version::V5)] {
                drop(read_all(&bytes, version));
            }
        }
    }

    #[test]
    fn a_length_that_does_not_end_or_is_beyond_the_limit_is_refused() {
        assert_eq!(read_all(&[0x30, 0xff, 0xff, 0xff, 0xff, 1], Some(Version::V5)).unwrap_err(), Malformed::Packet);
        assert_eq!(read_all(&[0x30, 0xff, 0xff, 0xff, 0x7f], Some(Version::V5)).unwrap_err(), Malformed::TooLarge);
        assert!(read_all(&[0x30, 0xff], Some(Version::V5)).unwrap().is_empty());
    }
}
