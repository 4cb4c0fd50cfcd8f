//! What answers is no broker, or a broken one: Amber stays up, says what is wrong, tries again ever more slowly, and
//! works as soon as a good broker is there.

use std::io::{Read as _, Write as _};

use amber::demo::broker::Script;
use amber::message::Qos;

use crate::support::binary::Amber;
use crate::support::fake::{CONNACK, Fake};
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
            "no MQTT broker (MQTT 2.1.3-1: a PUBACK has the flags 0x8); look at `[broker] url`",
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
        stream.write_all(CONNACK).unwrap();
        let topic = TOPIC.as_bytes();
        let remaining = 2 + topic.len() + 2 + 1 + BYTES;
        let length = [0, 7, 14, 21].map(|shift| (remaining >> shift) as u8 & 0x7F | if shift < 21 { 0x80 } else { 0 });
        stream.write_all(&[&[0x32][..], &length, &[0, topic.len() as u8], topic, &[0, 1, 0]].concat()).unwrap();
        let piece = vec![b'x'; 1_000_000];
        for _ in 0..BYTES / piece.len() {
            stream.write_all(&piece).unwrap();
        }
        let next = b"{\"n\":1}";
        let remaining = 2 + topic.len() + 2 + 1 + next.len();
        stream.write_all(&[&[0x32, remaining as u8, 0, topic.len() as u8], topic, &[0, 2, 0], next].concat()).unwrap();
        // The broker's turn is over when both are acknowledged.
        let mut heard = Vec::new();
        while !(contains(&heard, &[0x40, 2, 0, 1]) && contains(&heard, &[0x40, 2, 0, 2])) {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).unwrap();
            assert!(count > 0, "amber has gone: {heard:02x?}");
            heard.extend_from_slice(&bytes[..count]);
        }
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

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
