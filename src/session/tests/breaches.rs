//! What may not come now: the connection ends, says why, and acknowledges nothing that is not stored.

use super::*;
use crate::message::Malformed;

/// Plays a connection on which `bytes` come once the filter is granted; what it ended with, and what it said last.
async fn after_granted(version: Version, bytes: &[u8]) -> (String, Vec<u8>) {
    let (told, mut heard) = mpsc::channel(1);
    let filters = vec![filter("t/#")];
    let end = play_over(version, filters, false, 10, |scene, mut broker| async move {
        let _kept = scene;
        let (_, body) = broker.packet().await.unwrap();
        let suback = [&[0x90][..], &[3 + u8::from(version == Version::V5)], &body[..2]].concat();
        broker.send(&suback).await;
        broker.send(if version == Version::V5 { &[0, 1] } else { &[1] }).await;
        broker.send(bytes).await;
        let mut said = Vec::new();
        while let Some((first, body)) = broker.packet().await {
            said.extend([&[first, body.len() as u8], &body[..]].concat());
        }
        told.send(said).await.unwrap();
    })
    .await;
    let End::Lost(lost) = end else { panic!("{bytes:02x?} did not end it") };
    (lost.to_string(), heard.recv().await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asked_for_ends_the_connection_with_the_clause_and_a_reason() {
    let cases: [(Version, &[u8], u8, &str); 17] = [
        (
            Version::V5,
            &[0x40, 2, 0, 7],
            0x82,
            "MQTT 2.2.1-5: a PUBACK with packet identifier 7, which nobody waits for",
        ),
        (
            Version::V5,
            &[0x50, 2, 0, 7],
            0x82,
            "MQTT 2.2.1-5: a PUBREC with packet identifier 7, which nobody waits for",
        ),
        (
            Version::V5,
            &[0x70, 2, 0, 7],
            0x82,
            "MQTT 2.2.1-5: a PUBCOMP with packet identifier 7, which nobody waits for",
        ),
        (
            Version::V5,
            &[0x90, 4, 0, 9, 0, 1],
            0x82,
            "MQTT 2.2.1-6: a SUBACK with packet identifier 9, which nobody waits for",
        ),
        (
            Version::V5,
            &[0x90, 4, 0, 1, 0, 1],
            0x82,
            "MQTT 2.2.1-6: a SUBACK with packet identifier 1, which nobody waits for",
        ),
        (
            Version::V5,
            &[0xB0, 4, 0, 1, 0, 0],
            0x82,
            "MQTT 2.2.1-6: an UNSUBACK with packet identifier 1, which nobody waits for",
        ),
        (Version::V5, &[0xD0, 0], 0x82, "MQTT 3.12.4-1: a PINGRESP answers no PINGREQ of ours"),
        (Version::V5, &[0x20, 3, 0, 0, 0], 0x82, "MQTT 3.2.0-2: a second CONNACK on one connection"),
        (Version::V5, &[0xF0, 0], 0x82, "MQTT 4.12.0-6: an AUTH, and we named no method of authentication"),
        (Version::V5, &[0xC0, 0], 0x82, "MQTT 2.1.2: a packet of type 12, which only clients send"),
        (Version::V5, &[0x36, 3, 0, 1, b't'], 0x81, "MQTT 3.3.1-4: a PUBLISH has both bits of its QoS set"),
        (
            Version::V5,
            &[0x30, 6, 0, 0, 3, 35, 0, 1],
            0x94,
            "MQTT 3.3.2.3.4: a PUBLISH bears a topic alias, and we allow none",
        ),
        (
            Version::V5,
            &[0x34, 7, 0, 1, b't', 0, 5, 0, 1, 0x62, 2, 0, 5],
            0x82,
            "MQTT 4.3.3: a PUBREL with packet identifier 5 came before our PUBREC",
        ),
        (Version::V311, &[0x40, 2, 0, 7], 0, "MQTT 2.2.1-5: a PUBACK with packet identifier 7, which nobody waits for"),
        (Version::V311, &[0xD0, 0], 0, "MQTT 3.12.4-1: a PINGRESP answers no PINGREQ of ours"),
        (Version::V311, &[0xE0, 0], 0, "MQTT 2.1.2: a packet of type 14, which only clients send"),
        (Version::V311, &[0x00, 0], 0, "MQTT 2.1.2: there are no packets of type 0"),
    ];
    for (version, bytes, code, why) in cases {
        let (lost, said) = after_granted(version, bytes).await;
        assert_eq!(lost, format!("the broker breaks the protocol: {why}"));
        let goodbye: &[u8] = if version == Version::V5 { &[0xE0, 2, code, 0] } else { &[] };
        assert_eq!(said, goodbye, "{why}: and no acknowledgement");
    }
}

#[tokio::test(start_paused = true)]
async fn a_suback_for_more_or_fewer_filters_than_asked_for_ends_the_connection() {
    for codes in [&[][..], &[1, 1]] {
        let end = play(false, 10, |_scene, mut broker| async move {
            let (_, body) = broker.packet().await.unwrap();
            broker.send(&[&[0x90, 2 + codes.len() as u8], &body[..2], codes].concat()).await;
            assert!(broker.packet().await.is_none());
        })
        .await;
        let End::Lost(lost) = end else { panic!() };
        let why = format!("MQTT 3.8.4-6: a SUBACK has {} reason codes for 1 filters", codes.len());
        assert_eq!(lost.to_string(), format!("the broker breaks the protocol: {why}"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_breach_is_taken_and_what_comes_behind_it_is_not() {
    let end = play(false, 10, |mut scene, mut broker| async move {
        broker.grant(1).await;
        broker.send(&[&publish(QOS_1, 1, 1)[..], &[0xD0, 0], &publish(QOS_1, 2, 2)].concat()).await;
        assert!(broker.packet().await.is_none());
        let burst = scene.received.recv().await.unwrap();
        assert_eq!(burst.iter().map(|message| message.payload[0]).collect::<Vec<_>>(), [1]);
        assert_eq!(scene.in_hand.messages(), 1);
    })
    .await;
    assert!(matches!(end, End::Lost(connection::Lost::Wire(_))));
}

#[tokio::test(start_paused = true)]
async fn half_a_packet_before_the_end_is_said_and_not_taken() {
    // The second is too long to be waited for.
    for half in [&publish(QOS_1, 1, 1)[..7], &[0x32, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1, b't', 0, 1, b'x']] {
        let mut in_hand = None;
        let end = play(false, 10, |scene, mut broker| {
            in_hand = Some(Arc::clone(&scene.in_hand));
            async move {
                let _kept = scene;
                broker.grant(1).await;
                broker.send(half).await;
            }
        })
        .await;
        assert_eq!(in_hand.unwrap().messages(), 0);
        let End::Lost(lost) = end else { panic!() };
        assert_eq!(lost.to_string(), "the broker has closed the connection within a packet");
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_none_is_a_reject_and_acknowledged_like_any_message() {
    let cases: [(&[u8], Malformed); 4] = [
        (b"t/\xFF", Malformed::TopicNotUtf8),
        (b"t/+/x", Malformed::TopicHolds('+')),
        (b"t/#", Malformed::TopicHolds('#')),
        (b"t/\0", Malformed::TopicHolds('\0')),
    ];
    play(false, 10, |mut scene, mut broker| async move {
        broker.grant(1).await;
        for (number, (topic, malformed)) in cases.into_iter().enumerate() {
            let packet_id = number as u8 + 1;
            let length = topic.len() as u8;
            broker.send(&[&[0x32, length + 5, 0, length], topic, &[0, packet_id, b'p']].concat()).await;
            let burst = scene.received.recv().await.unwrap();
            assert_eq!(burst[0].malformed, Some(malformed));
            scene.in_hand.settle(&burst, Some(1));
            broker.expect(&puback(packet_id)).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_asks_for_answers_and_reads_none_is_left_before_they_fill_memory() {
    let end = play(false, 10, |_scene, mut broker| async move {
        broker.grant(1).await;
        let releases = [0x62, 2, 0, 7].repeat(16_000);
        // 64 KiB of answers wait in the stream; 12 MiB is more than the session lets gather.
        for _ in 0..200 {
            if broker.stream.write_all(&releases).await.is_err() {
                return;
            }
        }
        panic!("all was taken");
    })
    .await;
    let End::Lost(lost) = end else { panic!() };
    assert_eq!(lost.to_string(), "the broker asks for answers and does not read them (4 MiB wait)");
}

#[tokio::test(start_paused = true)]
async fn a_message_among_many_that_are_dropped_keeps_no_room_for_them() {
    play(false, OUT_CAPACITY, |mut scene, mut broker| async move {
        broker.grant(1).await;
        let many = [0x30, 4, 0, 1, b't', 0].repeat(1_000);
        for _ in 0..31 {
            broker.send(&many).await;
        }
        let drop = [0x30, 4, 0, 1, b't', 0].repeat(200);
        broker.send(&[&drop[..], &publish(QOS_1, 1, 1), &drop].concat()).await;
        let burst = loop {
            let burst = scene.received.recv().await.unwrap();
            if burst.iter().any(|message| message.qos == Qos::AtLeastOnce) {
                break burst;
            }
        };
        assert_eq!((burst.len(), burst.capacity()), (1, 1));
    })
    .await;
}

fn run() -> Run {
    let metrics = Arc::new(Metrics::new());
    Run::new(Session {
        config: broker(),
        wanted: unchanging(vec![filter("t/#")]),
        remembered: String::new(),
        in_hand: Arc::new(InHand::new(ledger::Ledger::default(), Arc::clone(&metrics))),
        out: mpsc::channel(1).0,
        subscribed: watch::channel(String::new()).0,
        written: watch::channel(String::new()).1,
        clock: || Time(0),
        metrics,
        status: Arc::new(Status::new()),
        stop: CancellationToken::new(),
        grace: Duration::from_secs(10),
    })
}

#[test]
fn a_broker_that_breaks_the_protocol_is_away_and_not_taken_for_a_rival() {
    let mut run = run();
    let mut waits = Vec::new();
    for _ in 0..20 {
        let fault = wire::Fault::malformed("3.3.1-4", "a PUBLISH has both bits of its QoS set");
        waits.push(run.lost(&connection::Lost::Wire(fault.into()), Duration::from_millis(10), false));
    }
    assert!(waits.iter().any(|wait| *wait > waits[0] * 10), "{waits:?}");
    assert_eq!(
        run.session.status.broker.get(),
        Condition::Away(
            "the broker breaks the protocol: MQTT 3.3.1-4: a PUBLISH has both bits of its QoS set; look for a newer \
             version of the broker, or set another `[broker] protocol`"
                .into()
        )
    );
}

#[test]
fn another_broker_that_is_named_is_for_a_person_to_set() {
    let mut run = run();
    for reason in [0x9C, 0x9D] {
        let text = Some("server reference `b:1883`".to_owned());
        run.lost(&connection::Lost::Disconnected { reason, text: text.clone() }, Duration::from_secs(1), false);
        let Condition::Standing(why) = run.session.status.broker.get() else { panic!() };
        assert!(why.contains("`b:1883`") && why.ends_with("set `[broker] url` to the other broker"), "{why}");
        run.refused(ConnectError::Refused { refusal: Refusal::Moved(reason), text });
        let Condition::Standing(why) = run.session.status.broker.get() else { panic!() };
        assert!(why.contains("`b:1883`") && why.ends_with("set `[broker] url` to the other broker"), "{why}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Nothing is settled, so that nothing may be acknowledged.
    #[test]
    fn whatever_comes_nothing_is_acknowledged_that_is_not_stored(
        packets in proptest::collection::vec((0_usize..10, proptest::prelude::any::<[u8; 3]>()), 0..30),
    ) {
        let mut bytes = Vec::new();
        for (kind, [a, b, c]) in packets {
            let packet_id = a % 4 + 1;
            match kind {
                0 | 1 => bytes.extend(publish(QOS_1, packet_id, b % 4)),
                2 | 3 => bytes.extend(publish(QOS_2, packet_id, b % 4)),
                4 => bytes.extend(publish(QOS_1 | DUP, packet_id, b % 4)),
                5 => bytes.extend(publish(QOS_2 | DUP | RETAIN, packet_id, b % 4)),
                6 => bytes.extend([0x62, 2, 0, packet_id]),
                7 => bytes.extend(PINGRESP),
                8 => bytes.extend([0x30, 4, 0, 1, b't', c]),
                _ => bytes.extend([a, b, c]),
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(play(true, 100, |scene, mut broker| async move {
            let _kept = scene;
            broker.grant(1).await;
            broker.send(&bytes).await;
            // Pings, answers to PUBRELs, and the end after one and a half keep-alives of silence.
            while let Some((first, _)) = broker.packet().await {
                assert!([0xC0, 0x70].contains(&first), "{first:#x} after {bytes:02x?}");
            }
        }));
    }
}
