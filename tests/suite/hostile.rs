//! What answers is no broker, or a broken one: Amber stays up, says what is wrong, tries again ever more slowly, and
//! works as soon as a good broker is there.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use amber::demo::broker::Script;
use amber::message::Qos;

use crate::support::binary::Amber;
use crate::support::fake::{self, CONNACK, Fake};
use crate::support::home::Home;
use crate::support::numbers::{self, TOPIC};
use crate::support::served::Served;
use crate::support::{equal, eventually};

/// DESIGN: whatever is sent.
const MAX_MEMORY: u64 = 96 << 20;

#[track_caller]
fn wait_for_reason(amber: &Amber, words: &str) {
    eventually(words, || match amber.get("/ready")? {
        (503, reason) if reason.contains(words) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(amber.get("/health").unwrap().0, 200);
}

#[test]
fn whatever_a_hostile_broker_says_amber_stays_up_and_a_good_one_on_the_same_port_gets_it_going() {
    let connected = |bytes: &[u8]| [CONNACK, bytes].concat();
    let cases: [(Vec<u8>, &str); 12] = [
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            "no MQTT broker (MQTT 2.1.3-1: it speaks HTTP: for a WebSocket write `ws://`, or `wss://` with TLS); look at",
        ),
        (b"\0\0\0\0\0\0".to_vec(), "no MQTT broker (MQTT 2.1.2: there are no packets of type 0)"),
        (vec![0xFF; 100_000], "no MQTT broker (MQTT 2.1.3-1: an AUTH has the flags 0xf)"),
        (vec![0xD0, 0], "MQTT 3.2.0-1: the first packet is not a CONNACK"),
        (vec![0x20, 0xFF, 0xFF, 0xFF, 0xFF, 1], "MQTT 1.5.5: a length has more than four bytes"),
        (vec![0x20, 6, 0, 0, 3, 33, 0, 0], "MQTT 3.2.2.3.3: a CONNACK allows 0 messages in flight"),
        (vec![0x20, 3, 0, 0x9D, 0], "the broker says: server moved; set `[broker] url` to the other broker"),
        (connected(CONNACK), "MQTT 3.2.0-2: a second CONNACK on one connection"),
        (connected(&[0x40, 2, 0, 7]), "MQTT 2.2.1-5: a PUBACK with packet identifier 7"),
        (connected(&[0x36, 5, 0, 1, b't', 0, 1]), "MQTT 3.3.1-4: a PUBLISH has both bits of its QoS set"),
        (connected(&[0x30, 6, 0, 0, 3, 35, 0, 1]), "MQTT 3.3.2.3.4: a PUBLISH bears a topic alias"),
        (
            connected(&[0xE0, 9, 0x9C, 7, 28, 0, 4, b'b', b':', b'1', b'8']),
            "use another server (server reference `b:18`)",
        ),
    ];
    for (bytes, words) in cases {
        let fake = Fake::answering(bytes);
        let home = Home::sqlite();
        let mut amber = Amber::new(&numbers::config(&fake.url(), &home.url(), ""));
        amber.start();
        wait_for_reason(&amber, words);
        let port = fake.port;
        drop(fake);
        // One that moved is asked again after half a minute; a new start asks at once.
        if words.contains("server") {
            assert!(amber.terminate().success());
            amber.start();
        }
        let served = Served::start_on(port, Script::default());
        amber.wait_ready();
        served.broker().publish(TOPIC, "{\"n\":1}", Qos::AtLeastOnce, false);
        eventually("it is stored", || equal(Ok(home.count("numbers")), 1));
        assert_eq!(amber.log().matches("panicked").count(), 0);
        assert!(amber.memory_peak() <= MAX_MEMORY, "{} bytes", amber.memory_peak());
    }
}

#[test]
fn a_breach_is_told_to_the_broker_and_the_next_tries_come_ever_more_slowly_and_are_said_once() {
    let fake = Fake::answering([CONNACK, &[0x30, 6, 0, 0, 3, 35, 0, 1]].concat());
    let home = Home::sqlite();
    let mut amber = Amber::new(&numbers::config(&fake.url(), &home.url(), ""));
    amber.start();
    let connections = eventually("nine connections", || {
        let connections = fake.connections();
        if connections.len() < 9 { Err(format!("{}", connections.len())) } else { Ok(connections) }
    });
    for connection in &connections[..8] {
        assert!(connection.heard.ends_with(&[0xE0, 2, 0x94, 0]), "{:02x?}", connection.heard);
    }
    let waits: Vec<_> = connections.windows(2).map(|two| two[1].at - two[0].at).collect();
    assert!(waits.iter().all(|wait| wait.as_millis() >= 100), "{waits:?}");
    // Each is drawn from twice the range of the one before.
    assert!(waits.iter().any(|wait| wait.as_millis() >= 250), "{waits:?}");
    assert_eq!(amber.log().matches("the broker is away; trying again").count(), 1);
    assert_eq!(amber.metric("amber_acknowledged_total"), Ok(0.0));
}

#[test]
fn a_packet_of_200_megabytes_is_skipped_acknowledged_and_a_reject_with_its_size() {
    const BYTES: usize = 200_000_000;
    let fake = Fake::serving(|stream| {
        let head = fake::publish_head(1, 1, TOPIC.as_bytes(), BYTES);
        stream.write_all(&[CONNACK, &head].concat()).unwrap();
        let piece = vec![b'x'; 1_000_000];
        for _ in 0..BYTES / piece.len() {
            stream.write_all(&piece).unwrap();
        }
        stream.write_all(&fake::publish(1, 2, TOPIC.as_bytes(), b"{\"n\":1}")).unwrap();
        wait_for_pubacks(stream, 2);
    });
    let home = Home::sqlite();
    let mut amber = Amber::new(&numbers::config(&fake.url(), &home.url(), ""));
    amber.start();
    eventually("both are acknowledged", || equal(amber.metric("amber_acknowledged_total"), 2.0));
    let reject = "select reason, length(payload), payload_bytes from rejects";
    let row = ["too_large", "65536", "200000000"].map(|value| Some(value.to_owned()));
    assert_eq!(home.sql().rows(reject).unwrap(), [row.to_vec()]);
    assert_eq!(home.count("numbers"), 1);
    assert_eq!(amber.metric("amber_connections_total"), Ok(1.0));
    let peak = amber.memory_peak();
    println!("peak of resident memory: {} MiB", peak >> 20);
    assert!(peak <= MAX_MEMORY, "{peak} bytes");
}

/// Reads until messages 1 to `last` are acknowledged, in that order.
fn wait_for_pubacks(stream: &mut TcpStream, last: u8) {
    let mut heard = Vec::new();
    let wanted = (1..=last).flat_map(|packet_id| [0x40, 2, 0, packet_id]).collect::<Vec<u8>>();
    loop {
        // SUBSCRIBE, and pings in between.
        let acks: Vec<u8> =
            heard.windows(4).filter(|four| four.starts_with(&[0x40, 2, 0])).flatten().copied().collect();
        if acks == wanted {
            return;
        }
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "amber has gone: {heard:02x?}");
        heard.extend_from_slice(&bytes[..count]);
    }
}

#[test]
fn a_topic_that_is_none_is_a_reject_in_both_stores_and_the_next_message_is_stored() {
    for home in Home::both() {
        let fake = Fake::serving(|stream| {
            let odd: [&[u8]; 4] = [b"odd/\xFF", b"odd/+/x", b"odd/#", b"odd/\0"];
            let mut bytes = CONNACK.to_vec();
            for (packet_id, topic) in (1..).zip(odd) {
                bytes.extend(fake::publish(1, packet_id, topic, b"payload"));
            }
            bytes.extend(fake::publish(1, 5, TOPIC.as_bytes(), b"{\"n\":1}"));
            stream.write_all(&bytes).unwrap();
            wait_for_pubacks(stream, 5);
        });
        let mut amber = Amber::new(&numbers::config(&fake.url(), &home.url(), ""));
        amber.start();
        eventually("all are acknowledged", || equal(amber.metric("amber_acknowledged_total"), 5.0));
        let rejects = format!("select reason, topic, detail from {}", home.view("rejects"));
        let mut stored = home.sql().rows(&rejects).unwrap();
        stored.sort();
        let row = |topic: &str, detail: &str| ["topic", topic, detail].map(|value| Some(value.to_owned())).to_vec();
        assert_eq!(
            stored,
            [
                row("odd/#", "the topic name holds `#`, which only filters may (MQTT 3.3.2-2)"),
                row("odd/+/x", "the topic name holds `+`, which only filters may (MQTT 3.3.2-2)"),
                row("odd/\u{fffd}", "the topic name holds NUL (MQTT 4.7.3-2)"),
                row("odd/\u{fffd}", "the topic name is not UTF-8 (MQTT 1.5.4)"),
            ],
            "{home}"
        );
        assert_eq!(home.count("numbers"), 1, "{home}");
        assert_eq!(amber.metric("amber_connections_total"), Ok(1.0));
    }
}
