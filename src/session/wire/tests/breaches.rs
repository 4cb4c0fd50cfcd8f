//! How brokers can break the protocol: the clause that is named, and the reason code that MQTT 5 is told.

use super::*;
use Version::{V5, V311};

/// The fault of `bytes`, whatever pieces they come in.
#[track_caller]
fn fault(version: Version, bytes: &[u8]) -> Fault {
    let mut faults = [1, 2, 3, bytes.len()].map(|piece| match decode(version, MAX, bytes, piece) {
        Err(WireError::Protocol(fault)) => fault,
        other => panic!("{bytes:02x?}: {other:?}"),
    });
    assert!(faults.iter().all(|fault| *fault == faults[0]), "{faults:?}");
    std::mem::replace(&mut faults[0], Fault::malformed("", ""))
}

#[track_caller]
fn assert_faults(cases: &[(Version, &[u8], u8, &str)]) {
    for (version, bytes, code, words) in cases {
        let fault = fault(*version, bytes);
        let said = fault.to_string();
        assert_eq!((fault.code, &*said), (*code, *words), "{version:?} {bytes:02x?}");
    }
}

#[test]
fn a_wrong_fixed_header_names_its_clause() {
    assert_faults(&[
        (V311, &[0x00, 0], 0x81, "MQTT 2.1.2: there are no packets of type 0"),
        (V311, &[0xF0, 0], 0x81, "MQTT 2.1.2: there are no packets of type 15"),
        (V5, &[0x48, 2, 0, 1], 0x81, "MQTT 2.1.3-1: a PUBACK has the flags 0x8"),
        (
            V5,
            b"HTTP/1.1 400 Bad Request",
            0x81,
            "MQTT 2.1.3-1: it speaks HTTP: for a WebSocket write `ws://`, or `wss://` with TLS",
        ),
        (V311, b"SSH-2.0-OpenSSH_9.2", 0x81, "MQTT 2.1.3-1: it speaks SSH: this is not the broker's port"),
        (V311, &[0x10, 2, 0, 0], 0x82, "MQTT 2.1.2: a packet of type 1, which only clients send"),
        (V5, &[0x82, 2, 0, 0], 0x82, "MQTT 2.1.2: a packet of type 8, which only clients send"),
        (V5, &[0xA2, 2, 0, 0], 0x82, "MQTT 2.1.2: a packet of type 10, which only clients send"),
        (V311, &[0xC0, 0], 0x82, "MQTT 2.1.2: a packet of type 12, which only clients send"),
        (V311, &[0xE0, 0], 0x82, "MQTT 2.1.2: a packet of type 14, which only clients send"),
        (V5, &[0xF0, 2, 0, 0], 0x82, "MQTT 4.12.0-6: an AUTH, and we named no method of authentication"),
        (V5, &[0x21, 3, 0, 0, 0], 0x81, "MQTT 2.1.3-1: a CONNACK has the flags 0x1"),
        (V311, &[0x60, 2, 0, 1], 0x81, "MQTT 3.6.1-1: a PUBREL has the flags 0x0"),
        (V311, &[0xD2, 0], 0x81, "MQTT 2.1.3-1: a PINGRESP has the flags 0x2"),
        (V311, &[0x30, 0x80, 0x80, 0x80, 0x80, 1], 0x81, "MQTT 1.5.5: a length has more than four bytes"),
        (V5, &[0x90, 0x80, 0x80, 0x80, 0x01], 0x95, "MQTT 4.13.2: a SUBACK has 2097152 bytes"),
    ]);
}

#[test]
fn a_wrong_publish_names_its_clause() {
    assert_faults(&[
        (V311, &[0x36, 5, 0, 1, b'a', 0, 1], 0x81, "MQTT 3.3.1-4: a PUBLISH has both bits of its QoS set"),
        (V5, &[0x38, 4, 0, 1, b'a', 0], 0x81, "MQTT 3.3.1-2: a PUBLISH of QoS 0 is marked as sent again"),
        (V311, &[0x32, 5, 0, 1, b'a', 0, 0], 0x82, "MQTT 2.2.1-4: the packet identifier of a PUBLISH is 0"),
        (V5, &[0x34, 6, 0, 1, b'a', 0, 0, 0], 0x82, "MQTT 2.2.1-4: the packet identifier of a PUBLISH is 0"),
        (V311, &[0x30, 3, 0, 9, b'a'], 0x81, "MQTT 3.3.2: a PUBLISH ends before its topic and packet identifier do"),
        (V311, &[0x30, 0], 0x81, "MQTT 3.3.2: a PUBLISH ends before its topic and packet identifier do"),
        (V311, &[0x32, 4, 0, 1, b'a', 0], 0x81, "MQTT 3.3.2: a PUBLISH ends before its topic and packet identifier do"),
        (V311, &[0x30, 3, 0, 0, b'p'], 0x82, "MQTT 4.7.3-1: a PUBLISH has an empty topic name"),
        (V5, &[0x30, 4, 0, 0, 0, b'p'], 0x82, "MQTT 4.7.3-1: a PUBLISH has an empty topic name"),
        (V5, &[0x30, 6, 0, 0, 3, 35, 0, 1], 0x94, "MQTT 3.3.2.3.4: a PUBLISH bears a topic alias, and we allow none"),
        (
            V5,
            &[0x30, 7, 0, 1, b'a', 3, 35, 0, 0],
            0x94,
            "MQTT 3.3.2.3.4: a PUBLISH bears a topic alias, and we allow none",
        ),
        (V5, &[0x30, 4, 0, 1, b'a', 9], 0x81, "MQTT 2.2.2.1: the properties of a PUBLISH are longer than the packet"),
        (
            V5,
            &[0x30, 8, 0, 1, b'a', 4, 3, 0, 2, b'x'],
            0x81,
            "MQTT 2.2.2.1: the last property of a PUBLISH is longer than the properties",
        ),
        (V5, &[0x30, 5, 0, 1, b'a', 1, 4], 0x81, "MQTT 2.2.2.2: there is no property 4"),
        (
            V5,
            &[0x30, 9, 0, 1, b'a', 5, 17, 0, 0, 0, 1],
            0x81,
            "MQTT 2.2.2.2: a PUBLISH bears property 17, which is not for it",
        ),
        (V5, &[0x30, 6, 0, 1, b'a', 2, 11, 0], 0x82, "MQTT 3.3.2.3.8: a subscription identifier is 0"),
        (
            V5,
            &[0x30, 9, 0, 1, b'a', 5, 11, 0x80, 0x80, 0x80, 0x80],
            0x81,
            "MQTT 1.5.5: a length has more than four bytes",
        ),
    ]);
}

#[test]
fn a_wrong_answer_names_its_clause() {
    assert_faults(&[
        (V5, &[0x20, 1, 0], 0x81, "MQTT 2.1.4: a CONNACK is too short"),
        (V311, &[0x20, 3, 0, 0, 0], 0x81, "MQTT 2.1.4: a CONNACK is too long"),
        (V5, &[0x20, 4, 0, 0, 0, 9], 0x81, "MQTT 2.1.4: a CONNACK is too long"),
        (V311, &[0x20, 2, 2, 0], 0x81, "MQTT 3.2.2-1: a CONNACK has the flags 0x02"),
        (V311, &[0x20, 2, 0, 6], 0x81, "MQTT 3.2.2.2: a CONNACK has the reason code 0x06"),
        (V5, &[0x20, 3, 1, 0x87, 0], 0x82, "MQTT 3.2.2-6: a CONNACK refuses the connection and has a session for it"),
        (V5, &[0x20, 6, 0, 0, 3, 33, 0, 0], 0x82, "MQTT 3.2.2.3.3: a CONNACK allows 0 messages in flight"),
        (V5, &[0x20, 8, 0, 0, 5, 39, 0, 0, 0, 0], 0x82, "MQTT 3.2.2.3.6: a CONNACK allows packets of 0 bytes"),
        (V5, &[0x20, 5, 0, 0, 2, 36, 2], 0x82, "MQTT 3.2.2.3: property 36 of a CONNACK is neither 0 nor 1"),
        (V5, &[0x20, 7, 0, 0, 4, 37, 1, 37, 1], 0x82, "MQTT 2.2.2.2: a CONNACK bears property 37 twice"),
        (V5, &[0x20, 5, 0, 0, 2, 11, 1], 0x81, "MQTT 2.2.2.2: a CONNACK bears property 11, which is not for it"),
        (V5, &[0x20, 4, 0, 0, 2, 36], 0x81, "MQTT 2.2.2.1: the properties of a CONNACK are longer than it"),
        (V5, &[0x90, 4, 0, 1, 9, 1], 0x81, "MQTT 2.2.2.1: the properties of a SUBACK are longer than it"),
        (V311, &[0x90, 3, 0, 0, 1], 0x82, "MQTT 2.2.1: the packet identifier of a SUBACK is 0"),
        (V311, &[0x90, 3, 0, 1, 3], 0x81, "MQTT 3.9.3-2: a SUBACK has the reason code 0x03"),
        (V5, &[0x90, 4, 0, 1, 0, 5], 0x81, "MQTT 3.9.3-2: a SUBACK has the reason code 0x05"),
        (V5, &[0xB0, 2, 0, 1], 0x81, "MQTT 2.2.2.1: the properties of an UNSUBACK are longer than it"),
        (V311, &[0xB0, 3, 0, 1, 0], 0x81, "MQTT 2.1.4: an UNSUBACK is too long"),
        (V311, &[0x62, 1, 0], 0x81, "MQTT 2.1.4: a PUBREL is too short"),
        (V311, &[0x62, 3, 0, 1, 0], 0x81, "MQTT 2.1.4: a PUBREL is too long"),
        (V5, &[0x62, 4, 0, 1, 0, 9], 0x81, "MQTT 2.2.2.1: the properties of a PUBREL are longer than it"),
        (V311, &[0xD0, 1, 0], 0x81, "MQTT 2.1.4: a PINGRESP is too long"),
        (
            V5,
            &[0xE0, 7, 0x80, 5, 17, 0, 0, 0, 1],
            0x81,
            "MQTT 2.2.2.2: a DISCONNECT bears property 17, which is not for it",
        ),
    ]);
}

#[test]
fn what_a_publisher_wrote_into_the_properties_ends_no_connection() {
    // A content type and a user property that are not UTF-8, a payload format that there is not, an empty response
    // topic, and two of what may come once: the broker passes them on, and would for ever.
    let properties = [3, 0, 1, 0xFF, 38, 0, 1, 0xFE, 0, 0, 1, 9, 8, 0, 0, 2, 0, 0, 0, 1, 2, 0, 0, 0, 1];
    let bytes = [&[0x32, 31, 0, 1, b'a', 0, 1, 25][..], &properties].concat();
    let Packet::Publish(publish) = one(V5, &bytes).unwrap() else { panic!() };
    assert_eq!((&publish.topic[..], &publish.payload[..]), (&b"a"[..], &b""[..]));
}

#[test]
fn properties_of_every_kind_are_read_over() {
    let properties = v5::PublishProperties {
        payload_format_indicator: Some(1),
        message_expiry_interval: Some(60),
        topic_alias: None,
        response_topic: Some("answers".into()),
        correlation_data: Some(vec![0, 0xFF].into()),
        user_properties: vec![("key".into(), "value".into()); 3],
        subscription_identifiers: vec![268_435_455, 1, 128],
        content_type: Some("text".into()),
    };
    let mut packet = v5::Publish::new("a/b", QosV5::AtMostOnce, "payload", Some(properties));
    packet.retain = true;
    let mut bytes = BytesMut::new();
    packet.write(&mut bytes).unwrap();
    let Packet::Publish(publish) = one(V5, &bytes).unwrap() else { panic!() };
    assert_eq!((&publish.topic[..], &publish.payload[..], publish.retain), (&b"a/b"[..], &b"payload"[..], true));
    let identifiers = publish.subscription_identifiers;
    assert_eq!(identifiers.iter().collect::<Vec<_>>(), [268_435_455, 1, 128]);
    assert!(identifiers.contains(128) && !identifiers.contains(2));
}

#[test]
fn more_subscription_identifiers_than_there_can_be_filters_are_a_fault_and_no_memory() {
    // 64 MiB of them in one packet, of which each takes two bytes.
    let length = 64_usize << 20;
    let variable =
        |value: usize| [0, 7, 14, 21].map(|shift| (value >> shift) as u8 | if shift < 21 { 0x80 } else { 0 });
    let head = [&[0x30][..], &variable(length + 7), &[0, 1, b'a'], &variable(length)].concat();
    let mut codec = Codec::new(V5, MAX);
    let mut buffer = BytesMut::from(&head[..]);
    let pair = [11, 1].repeat(1_000);
    for _ in 0..length / pair.len() {
        buffer.extend_from_slice(&pair);
        if let Err(error) = codec.decode(&mut buffer) {
            assert!(error.to_string().contains("more subscription identifiers than we can have"), "{error}");
            return;
        }
        assert!(buffer.len() <= pair.len());
    }
    panic!("all were taken");
}

#[test]
fn a_suback_of_3_1_1_with_a_code_of_mqtt_5_is_a_refusal() {
    let packet = one(V311, &[0x90, 4, 0, 1, 0x87, 1]).unwrap();
    assert_eq!(packet, Packet::SubAck { packet_id: 1, codes: vec![0x87, 1] });
}

#[test]
fn a_connack_of_3_1_1_to_version_5_is_a_refusal_of_it() {
    let Packet::ConnAck(ack) = one(V5, &[0x20, 2, 0, 0]).unwrap() else { panic!() };
    assert_eq!(ack.refusal, Some(Refusal::Version));
}

#[test]
fn another_broker_that_is_named_is_part_of_what_the_broker_says() {
    let reference = [&[28, 0, 4][..], b"b:18"].concat();
    let connack = [&[0x20, 10, 0, 0x9D, 7][..], &reference].concat();
    let Packet::ConnAck(ack) = one(V5, &connack).unwrap() else { panic!() };
    assert_eq!((ack.refusal, ack.text.as_deref()), (Some(Refusal::Moved(0x9D)), Some("server reference `b:18`")));
    let disconnect = [&[0xE0, 13, 0x9C, 11][..], &reference, &[31, 0, 1, b'\n']].concat();
    let Packet::Disconnect { reason, text } = one(V5, &disconnect).unwrap() else { panic!() };
    assert_eq!((reason, text.as_deref()), (0x9C, Some("server reference `b:18`,  ")), "no line of its own in the log");
}

#[test]
fn acknowledgements_are_read_with_and_without_reason_and_properties() {
    let forms: [&[u8]; 4] = [&[2, 0, 7], &[3, 0, 7, 0x92], &[4, 0, 7, 0x92, 0], &[8, 0, 7, 0, 4, 31, 0, 1, b'x']];
    for (form, bytes) in forms.iter().enumerate() {
        for (first, packet) in [
            (0x40, Packet::PubAck { packet_id: 7, reason: if matches!(form, 1 | 2) { 0x92 } else { 0 } }),
            (0x50, Packet::PubRec { packet_id: 7 }),
            (0x62, Packet::PubRel { packet_id: 7 }),
            (0x70, Packet::PubComp { packet_id: 7 }),
        ] {
            let bytes = [&[first], *bytes].concat();
            assert_eq!(one(V5, &bytes).unwrap(), packet);
            let result = one_or_fault(V311, &bytes);
            assert_eq!(result.ok(), (form == 0).then_some(packet));
        }
    }
}

fn one_or_fault(version: Version, bytes: &[u8]) -> Result<Packet, WireError> {
    decode(version, MAX, bytes, bytes.len()).map(|mut packets| packets.remove(0))
}
