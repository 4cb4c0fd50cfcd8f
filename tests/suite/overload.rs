//! More than the store takes: QoS 0 is dropped and counted, QoS 1 is not, memory is bounded, and Amber answers.

use std::io::Write as _;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use amber::message::Qos;

use crate::support::binary::Amber;
use crate::support::client::Publisher;
use crate::support::fake::{self, CONNACK, Fake};
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::{self, Load};
use crate::support::postgres::Postgres;
use crate::support::{DEADLINE, equal, eventually};

/// DESIGN: whatever is sent.
const MAX_MEMORY: u64 = 96 << 20;

const FLOOD: &str = "
[mapping.flood]
topic = \"flood/{device}\"
fields = { n = { type = \"int\" } }
";

/// A payload of so many bytes for the mapping `flood`.
fn payload(bytes: usize) -> Vec<u8> {
    format!("{{\"n\":1,\"pad\":\"{}\"}}", "x".repeat(bytes - 16)).into_bytes()
}

/// Asks what a person or a machine would ask; the longest wait.
#[track_caller]
fn longest_answer(amber: &Amber) -> Duration {
    let ask = |path: &str| {
        let start = Instant::now();
        assert_eq!(amber.get(path).unwrap().0, 200, "{path}");
        start.elapsed()
    };
    ask("/health").max(ask("/metrics"))
}

#[test]
fn a_flood_of_qos_0_on_a_store_that_stalls_is_dropped_and_counted_and_costs_qos_1_nothing() {
    const DROPPED: &str = "amber_messages_dropped_total{reason=\"overload\"}";
    let server = Postgres::start();
    let home = Home::Postgres(server.database());
    let broker = Mosquitto::start();
    let mut amber = Amber::run(&(numbers::config(&broker.url(), &home.url(), "keep_alive = \"5s\"") + FLOOD));
    let load = Load::start(broker.port, Duration::from_millis(10));
    load.wait_for(100);
    server.pause();
    let stalled = Instant::now();
    let mut publisher = Publisher::connect(broker.port, "flood");
    let mut longest = Duration::ZERO;
    let mut round = 0;
    // Longer than the keep-alive and the half of it that brokers add, and until thousands are dropped.
    while stalled.elapsed() < Duration::from_secs(12) || amber.metric(DROPPED).unwrap() < 5_000.0 {
        let sizes = [64, 500, 5_000, 50_000][round % 4];
        let burst = (0..500).map(|device| (format!("flood/{device}"), payload(sizes)));
        publisher.publish_all(Qos::AtMostOnce, burst);
        longest = longest.max(longest_answer(&amber));
        round += 1;
    }
    load.wait_for(100);
    let peak = amber.memory_peak();
    server.resume();
    // Through the same connection: behind all of the flood.
    publisher.publish("flood/last", "{\"n\":2}", Qos::AtLeastOnce);
    let last = format!("select count(*) from {} where n = 2", home.view("flood"));
    eventually("the last of the flood is stored", || equal(home.sql().number(&last), 1));
    let received = amber.metric("amber_messages_received_total{qos=\"0\"}").unwrap();
    let dropped = amber.metric(DROPPED).unwrap();
    eventually("what was taken is stored", || equal(Ok(home.count("flood") as f64), received - dropped + 1.0));
    eventually("the overload is over", || {
        if amber.log().contains("messages of qos 0 are taken again") { Ok(()) } else { Err("not said".to_owned()) }
    });
    let log = amber.log();
    assert_eq!(log.matches("too many messages in hand; those of qos 0 are dropped").count(), 1, "once a change");
    assert_eq!(log.matches("messages of qos 0 are taken again").count(), 1, "once a change");
    assert_eq!(amber.metric("amber_connections_total"), Ok(1.0), "the keep-alive went on");
    println!(
        "longest answer {longest:?}, peak of resident memory {} MiB, {received} of QoS 0 received, {dropped} dropped",
        peak >> 20
    );
    // Less than the store stood still.
    assert!(longest < Duration::from_secs(8), "{longest:?}");
    assert!(peak <= MAX_MEMORY, "{peak} bytes");
    numbers::assert_exactly_once(&load.end(), broker.port, &mut amber, &home);
}

fn publish(qos: u8, packet_id: u16, payload: &[u8]) -> Vec<u8> {
    fake::publish(qos, packet_id, b"flood/x", payload)
}

/// The packets to send next, the first with this identifier.
type Flood = fn(u16) -> Vec<u8>;

/// What Amber has at most while `server` stands still and a broker sends `flood`, without regard to any window, for as
/// long as it is taken.
#[track_caller]
fn peak_under(server: &Postgres, flood: Flood) -> u64 {
    const ENOUGH: usize = 160 << 20;
    let home = Home::Postgres(server.database());
    let (go, going) = mpsc::channel();
    let (done, ended) = mpsc::channel();
    let going = Mutex::new(going);
    let fake = Fake::serving(move |stream| {
        stream.write_all(CONNACK).unwrap();
        going.lock().unwrap().recv().unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        let (mut sent, mut id) = (0, 0_u16);
        while sent < ENOUGH {
            id = id % u16::MAX + 1;
            let packets = flood(id);
            sent += packets.len();
            if stream.write_all(&packets).is_err() {
                break;
            }
        }
        done.send(()).unwrap();
    });
    let mut amber = Amber::new(&(numbers::config(&fake.url(), &home.url(), "") + FLOOD));
    amber.start();
    eventually("amber is connected", || equal(amber.metric("amber_connections_total"), 1.0));
    server.pause();
    go.send(()).unwrap();
    ended.recv_timeout(3 * DEADLINE).expect("all is taken, or nothing more");
    longest_answer(&amber);
    let peak = amber.memory_peak();
    amber.kill();
    server.resume();
    peak
}

#[track_caller]
fn assert_bounded(flood: Flood) {
    let peak = peak_under(&Postgres::start(), flood);
    println!("{} MiB", peak >> 20);
    assert!(peak <= MAX_MEMORY, "{peak} bytes");
}

#[test]
fn a_mebibyte_at_a_time_fills_both_limits_in_bytes_and_memory_is_bounded() {
    assert_bounded(|id| publish(u8::from(id > 100), id, &payload(1 << 20)));
}

#[test]
fn a_payload_does_not_keep_the_buffer_that_it_came_in() {
    assert_bounded(|id| [publish(1, id, &payload(5_000)), publish(0, 0, &payload(60_000))].concat());
}

#[test]
fn a_burst_does_not_keep_the_room_of_what_was_dropped_from_it() {
    assert_bounded(|id| [publish(1, id, &payload(64)), publish(0, 0, b"{}").repeat(100)].concat());
}
