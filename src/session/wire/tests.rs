mod breaches;

use bytes::BytesMut;
use proptest::prelude::*;
use rumqttc::mqttbytes::{QoS as QosV4, v4};
use rumqttc::v5::mqttbytes::{QoS as QosV5, v5};
use tokio_util::codec::Decoder as _;

use super::*;

const MAX: usize = 1 << 20;

/// A PUBLISH as a broker sends it.
fn publish(version: Version, topic: &str, payload: &[u8], qos: u8, packet_id: u16) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    match version {
        Version::V311 => {
            let qos = [QosV4::AtMostOnce, QosV4::AtLeastOnce, QosV4::ExactlyOnce][usize::from(qos)];
            let mut packet = v4::Publish::new(topic, qos, payload);
            packet.pkid = packet_id;
            packet.write(&mut bytes).unwrap();
        }
        Version::V5 => {
            let qos = [QosV5::AtMostOnce, QosV5::AtLeastOnce, QosV5::ExactlyOnce][usize::from(qos)];
            let properties = v5::PublishProperties {
                subscription_identifiers: vec![1, 200],
                content_type: Some("text".into()),
                user_properties: vec![("key".into(), "value".into())],
                ..v5::PublishProperties::default()
            };
            let mut packet = v5::Publish::new(topic, qos, payload.to_vec(), Some(properties));
            packet.pkid = packet_id;
            packet.write(&mut bytes).unwrap();
        }
    }
    bytes.to_vec()
}

/// Everything in `bytes`, given to the codec in pieces.
fn decode(version: Version, max: usize, bytes: &[u8], piece: usize) -> Result<Vec<Packet>, WireError> {
    let mut codec = Codec::new(version, max);
    let mut buffer = BytesMut::new();
    let mut packets = Vec::new();
    for piece in bytes.chunks(piece) {
        buffer.extend_from_slice(piece);
        while let Some(packet) = codec.decode(&mut buffer)? {
            packets.push(packet);
        }
    }
    Ok(packets)
}

fn one(version: Version, bytes: &[u8]) -> Result<Packet, WireError> {
    let mut packets = decode(version, MAX, bytes, bytes.len())?;
    assert_eq!(packets.len(), 1, "{packets:?}");
    Ok(packets.remove(0))
}

fn whole_hash(topic: &[u8], payload: &[u8]) -> u64 {
    hash(topic, payload, &mut Vec::new())
}

#[test]
fn the_hash_is_the_one_that_is_persisted() {
    assert_eq!(xxh3_64(b"abc"), 0x78af_5f94_892f_3950);
    assert_eq!(whole_hash(b"a", b"bc"), xxh3_64(b"\0\0\0\x01abc"));
    let long = vec![7; 100_000];
    assert_eq!(whole_hash(b"a", &long), xxh3_64(&[b"\0\0\0\x01a", &long[..]].concat()));
}

#[test]
fn a_publish_is_read_in_whatever_pieces_it_comes() {
    for version in [Version::V311, Version::V5] {
        for (qos, packet_id) in [(0, 0), (1, 7), (2, 65_535)] {
            let bytes = [
                publish(version, "éa/b", b"one", qos, packet_id),
                publish(version, "a", b"", qos, packet_id),
                publish(version, "a", &[b'x'; 300], qos, packet_id),
            ]
            .concat();
            let whole = decode(version, MAX, &bytes, bytes.len()).unwrap();
            let Packet::Publish(first) = &whole[0] else { panic!("{whole:?}") };
            assert_eq!((&first.topic[..], &first.payload[..]), ("éa/b".as_bytes(), &b"one"[..]));
            assert_eq!((first.qos.level(), first.packet_id, first.payload_bytes), (qos, packet_id, 3));
            assert_eq!(first.hash, if qos == 0 { 0 } else { whole_hash("éa/b".as_bytes(), b"one") });
            assert_eq!(whole.len(), 3);
            let identifiers: Vec<u32> = first.subscription_identifiers.iter().collect();
            assert_eq!(identifiers, if version == Version::V5 { &[1, 200][..] } else { &[] });
            for piece in [1, 2, 3, 7] {
                assert_eq!(decode(version, MAX, &bytes, piece).unwrap(), whole, "pieces of {piece}");
            }
        }
    }
}

#[test]
fn a_payload_over_the_limit_is_cut_and_hashed_whole() {
    for version in [Version::V311, Version::V5] {
        for size in [1_001, 100_000, 200_000, 3_000_000] {
            let payload: Vec<u8> = (0..size).map(|n| n as u8).collect();
            let bytes = [publish(version, "big", &payload, 1, 3), publish(version, "next", b"n", 1, 4)].concat();
            for piece in [1_000, 65_536, bytes.len()] {
                let packets = decode(version, 1_000, &bytes, piece).unwrap();
                let [Packet::Publish(big), Packet::Publish(next)] = &packets[..] else { panic!("{packets:?}") };
                assert_eq!((big.payload_bytes, big.packet_id, big.too_large), (size, 3, true));
                assert!(big.payload == payload[..size.min(CUT_BYTES)]);
                assert_eq!(big.hash, whole_hash(b"big", &payload));
                assert_eq!((&next.topic[..], next.packet_id, next.too_large), (&b"next"[..], 4, false));
            }
        }
    }
}

#[test]
fn a_payload_within_the_limit_is_kept_whole_however_long_its_properties_are() {
    let properties = v5::PublishProperties {
        user_properties: vec![("key".into(), "x".repeat(60_000)); 40],
        ..v5::PublishProperties::default()
    };
    let mut packet = v5::Publish::new("a", QosV5::AtLeastOnce, vec![b'x'; 100_000], Some(properties));
    packet.pkid = 1;
    let mut bytes = BytesMut::new();
    packet.write(&mut bytes).unwrap();
    let packets = decode(Version::V5, MAX, &bytes, 65_536).unwrap();
    let [Packet::Publish(publish)] = &packets[..] else { panic!("{packets:?}") };
    assert_eq!((publish.payload.len(), publish.payload_bytes, publish.too_large), (100_000, 100_000, false));
}

#[test]
fn a_payload_over_the_limit_does_not_fill_memory() {
    let mut codec = Codec::new(Version::V311, MAX);
    let mut buffer = BytesMut::new();
    let bytes = publish(Version::V311, "big", &vec![0; 20 << 20], 1, 3);
    for piece in bytes.chunks(65_536) {
        buffer.extend_from_slice(piece);
        codec.decode(&mut buffer).unwrap();
        assert!(buffer.len() <= 65_536);
    }
    assert!(buffer.capacity() <= MAX);
}

#[test]
fn a_topic_that_is_not_utf_8_is_passed_on() {
    for version in [Version::V311, Version::V5] {
        let mut bytes = publish(version, "aXb", b"p", 1, 1);
        let position = bytes.iter().position(|&byte| byte == b'X').unwrap();
        bytes[position] = 0xFF;
        let Packet::Publish(publish) = one(version, &bytes).unwrap() else { panic!() };
        assert_eq!(&publish.topic[..], b"a\xFFb");
    }
}

#[test]
fn a_disconnect_needs_neither_reason_nor_properties() {
    let cases: [(&[u8], u8, Option<&str>); 4] = [
        (&[0xE0, 0], 0, None),
        (&[0xE0, 1, 0x8E], 0x8E, None),
        (&[0xE0, 2, 0x8B, 0], 0x8B, None),
        (&[0xE0, 7, 0x97, 5, 31, 0, 2, b'n', b'o'], 0x97, Some("no")),
    ];
    for (bytes, reason, text) in cases {
        let text = text.map(str::to_owned);
        assert_eq!(one(Version::V5, bytes).unwrap(), Packet::Disconnect { reason, text }, "{bytes:02x?}");
    }
}

#[test]
fn a_refusal_in_the_form_of_the_other_version_is_understood() {
    let cases: [(Version, &[u8], Option<Refusal>); 7] = [
        (Version::V5, &[0x20, 2, 0, 1], Some(Refusal::Version)),
        (Version::V5, &[0x20, 3, 0, 0x84, 0], Some(Refusal::Version)),
        (Version::V5, &[0x20, 3, 0, 0x86, 0], Some(Refusal::Credentials)),
        (Version::V5, &[0x20, 3, 1, 0, 0], None),
        (Version::V311, &[0x20, 2, 0, 5], Some(Refusal::NotAuthorized)),
        (Version::V311, &[0x20, 2, 0, 2], Some(Refusal::ClientId)),
        (Version::V311, &[0x20, 2, 1, 0], None),
    ];
    for (version, bytes, refusal) in cases {
        let Packet::ConnAck(ack) = one(version, bytes).unwrap() else { panic!() };
        assert_eq!((ack.refusal, ack.session_present), (refusal, bytes[2] == 1), "{bytes:02x?}");
    }
}

#[test]
fn the_properties_of_a_connack_are_read() {
    let bytes = [0x20, 11, 0, 0, 8, 19, 0, 60, 17, 0, 0, 1, 0];
    let Packet::ConnAck(ack) = one(Version::V5, &bytes).unwrap() else { panic!() };
    assert_eq!((ack.server_keep_alive, ack.session_expiry), (Some(60), Some(256)));
}

#[test]
fn what_we_send_is_what_rumqttc_reads() {
    let broker = crate::session::tests::broker();
    for version in [Version::V311, Version::V5] {
        let mut outgoing = Outgoing::new(version);
        outgoing.connect(&broker);
        outgoing.unsubscribe(9, &["a/#".to_owned()]);
        outgoing.disconnect();
        match version {
            Version::V311 => {
                let v4::Packet::Connect(connect) = v4::Packet::read(outgoing.bytes(), MAX).unwrap() else { panic!() };
                assert!(!connect.clean_session && connect.client_id == "amber");
                let v4::Packet::Unsubscribe(unsubscribe) = v4::Packet::read(outgoing.bytes(), MAX).unwrap() else {
                    panic!()
                };
                assert_eq!((unsubscribe.pkid, &unsubscribe.topics[..]), (9, &["a/#".to_owned()][..]));
            }
            Version::V5 => {
                let v5::Packet::Connect(connect, _, _) = v5::Packet::read(outgoing.bytes(), None).unwrap() else {
                    panic!()
                };
                let properties = connect.properties.unwrap();
                assert!(!connect.clean_start);
                assert_eq!(properties.receive_maximum, Some(4_096));
                assert_eq!(properties.session_expiry_interval, Some(7 * 86_400));
                assert_eq!((properties.max_packet_size, properties.topic_alias_max), (None, None));
                assert!(matches!(v5::Packet::read(outgoing.bytes(), None), Ok(v5::Packet::Unsubscribe(_))));
            }
        }
        assert_eq!(&outgoing.bytes()[..], [0xE0, 0]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_codec_panic(first: u8, mut bytes in prop::collection::vec(any::<u8>(), 0..80), piece in 1..80_usize) {
        for version in [Version::V311, Version::V5] {
            std::hint::black_box(decode(version, 10, &bytes, piece)).ok();
        }
        // With a header that fits, so that what is behind it is read.
        bytes.splice(0..0, [first, bytes.len() as u8]);
        for version in [Version::V311, Version::V5] {
            std::hint::black_box(decode(version, 10, &bytes, piece)).ok();
        }
    }

    #[test]
    fn a_broken_long_publish_is_no_panic(head in prop::collection::vec(any::<u8>(), 0..40), piece in 1..4_000_usize) {
        let bytes = [&[0x32, 0xFF, 0xFF, 0x10], &head[..], &[0; 9_000]].concat();
        for version in [Version::V311, Version::V5] {
            std::hint::black_box(decode(version, 10, &bytes, piece)).ok();
        }
    }
}
