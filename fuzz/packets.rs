//! Real packets of a broker, written by rumqttc's codecs: what fuzzing and the tests of hostile bytes begin with.

use amber::session::wire::Version;
use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::{QoS as QosV4, v4};
use rumqttc::v5::mqttbytes::{QoS as QosV5, v5};

/// The first byte of an input of [`super::invariants::check`].
pub fn control(version: Version, limit: u8) -> u8 {
    u8::from(version == Version::V5) | limit << 1
}

/// Packets, and runs of packets as they come on a connection.
pub fn all() -> Vec<(Version, Vec<u8>)> {
    let of = |version, packets: Vec<Vec<u8>>| {
        let run = packets.concat();
        packets.into_iter().chain([run]).map(move |bytes| (version, bytes)).collect::<Vec<_>>()
    };
    [of(Version::V311, v311()), of(Version::V5, v5())].concat()
}

fn v311() -> Vec<Vec<u8>> {
    let publish = |dup, qos, pkid, topic: &str, payload: &[u8]| {
        let mut publish = v4::Publish::new(topic, qos, payload);
        (publish.dup, publish.pkid) = (dup, pkid);
        v4::Packet::Publish(publish)
    };
    let codes = vec![
        v4::SubscribeReasonCode::Success(QosV4::AtLeastOnce),
        v4::SubscribeReasonCode::Success(QosV4::ExactlyOnce),
        v4::SubscribeReasonCode::Failure,
    ];
    [
        v4::Packet::ConnAck(v4::ConnAck::new(v4::ConnectReturnCode::Success, true)),
        v4::Packet::ConnAck(v4::ConnAck::new(v4::ConnectReturnCode::NotAuthorized, false)),
        v4::Packet::SubAck(v4::SubAck::new(1, codes)),
        v4::Packet::UnsubAck(v4::UnsubAck::new(2)),
        publish(false, QosV4::AtMostOnce, 0, "house/küche/t", b"21.5"),
        publish(false, QosV4::AtLeastOnce, 1, "a", b""),
        publish(true, QosV4::AtLeastOnce, 1, "a", b""),
        publish(false, QosV4::ExactlyOnce, 2, "a/b", &[b'x'; 200]),
        v4::Packet::PubRel(v4::PubRel::new(2)),
        v4::Packet::PubAck(v4::PubAck::new(3)),
        v4::Packet::PubRec(v4::PubRec::new(4)),
        v4::Packet::PubComp(v4::PubComp::new(5)),
        v4::Packet::PingResp,
    ]
    .map(|packet| {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, usize::MAX).unwrap();
        bytes.to_vec()
    })
    .to_vec()
}

fn v5() -> Vec<Vec<u8>> {
    let user_properties = vec![("key".to_owned(), "value".to_owned()), (String::new(), "°".to_owned())];
    let reason = Some("because".to_owned());
    let publish = |dup, qos, pkid, properties| {
        let mut publish = v5::Publish::new("house/küche/t", qos, &b"{\"t\":21.5}"[..], properties);
        (publish.dup, publish.pkid) = (dup, pkid);
        v5::Packet::Publish(publish)
    };
    let every = v5::PublishProperties {
        payload_format_indicator: Some(1),
        message_expiry_interval: Some(60),
        topic_alias: None,
        response_topic: Some("answers".to_owned()),
        correlation_data: Some(Bytes::from_static(b"\0\xFF")),
        user_properties: user_properties.clone(),
        subscription_identifiers: vec![1, 200, 268_435_455],
        content_type: Some("application/json".to_owned()),
    };
    let aliased = v5::PublishProperties { topic_alias: Some(1), ..every.clone() };
    let one = v5::PublishProperties { subscription_identifiers: vec![7], ..v5::PublishProperties::default() };
    let connack = v5::ConnAckProperties {
        session_expiry_interval: Some(3_600),
        receive_max: Some(20),
        max_qos: Some(1),
        retain_available: Some(1),
        max_packet_size: Some(1 << 20),
        assigned_client_identifier: Some("amber".to_owned()),
        topic_alias_max: Some(10),
        reason_string: reason.clone(),
        user_properties: user_properties.clone(),
        wildcard_subscription_available: Some(1),
        subscription_identifiers_available: Some(0),
        shared_subscription_available: Some(1),
        server_keep_alive: Some(30),
        response_information: Some("answers".to_owned()),
        server_reference: Some("other.example:1883".to_owned()),
        authentication_method: None,
        authentication_data: None,
    };
    let suback = v5::SubAckProperties { reason_string: reason.clone(), user_properties: user_properties.clone() };
    let unsuback = v5::UnsubAckProperties { reason_string: reason.clone(), user_properties: user_properties.clone() };
    let puback = v5::PubAckProperties { reason_string: reason.clone(), user_properties: user_properties.clone() };
    let pubrel = v5::PubRelProperties { reason_string: reason.clone(), user_properties };
    let success = v5::ConnectReturnCode::Success;
    let mut disconnect = v5::Disconnect::new(v5::DisconnectReasonCode::ServerMoved);
    disconnect.properties = Some(v5::DisconnectProperties {
        session_expiry_interval: None,
        reason_string: reason,
        user_properties: vec![],
        server_reference: Some("other.example:1883".to_owned()),
    });
    let codes = vec![
        v5::SubscribeReasonCode::Success(QosV5::AtMostOnce),
        v5::SubscribeReasonCode::Success(QosV5::ExactlyOnce),
        v5::SubscribeReasonCode::NotAuthorized,
    ];
    let mut packets = [
        v5::Packet::ConnAck(v5::ConnAck { session_present: true, code: success, properties: None }),
        v5::Packet::ConnAck(v5::ConnAck { session_present: false, code: success, properties: Some(connack) }),
        v5::Packet::ConnAck(v5::ConnAck {
            session_present: false,
            code: v5::ConnectReturnCode::NotAuthorized,
            properties: None,
        }),
        v5::Packet::SubAck(v5::SubAck { pkid: 1, return_codes: codes, properties: Some(suback) }),
        v5::Packet::UnsubAck(v5::UnsubAck {
            pkid: 2,
            reasons: vec![v5::UnsubAckReason::Success, v5::UnsubAckReason::NoSubscriptionExisted],
            properties: Some(unsuback),
        }),
        publish(false, QosV5::AtMostOnce, 0, None),
        publish(false, QosV5::AtLeastOnce, 1, Some(one)),
        publish(true, QosV5::AtLeastOnce, 1, None),
        publish(false, QosV5::ExactlyOnce, 2, Some(every)),
        publish(false, QosV5::ExactlyOnce, 3, Some(aliased)),
        v5::Packet::PubRel(v5::PubRel::new(2, None)),
        v5::Packet::PubRel(v5::PubRel::new(2, Some(pubrel))),
        v5::Packet::PubAck(v5::PubAck::new(3, Some(puback))),
        v5::Packet::PubRec(v5::PubRec::new(4, None)),
        v5::Packet::PubComp(v5::PubComp::new(5, None)),
        v5::Packet::PingResp(v5::PingResp),
        v5::Packet::Disconnect(disconnect),
    ]
    .map(|packet| {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, None).unwrap();
        bytes.to_vec()
    })
    .to_vec();
    // Forms that rumqttc's codec does not write: DISCONNECTs without properties, a refusal in the form of 3.1.1, AUTH.
    packets.extend([&[0xE0, 0][..], &[0xE0, 1, 0x8E], &[0x20, 2, 0, 1], &[0xF0, 2, 0, 0]].map(<[u8]>::to_vec));
    packets
}
