//! The end: what is in hand is stored and acknowledged first, within the grace period.

use std::time::{Duration, Instant};

use amber::demo::broker::Script;
use amber::message::Qos;
use amber::pipeline::GRACE;

use crate::support::binary::Amber;
use crate::support::client::Publisher;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::{self, TOPIC};
use crate::support::postgres::Postgres;
use crate::support::process::Signal;
use crate::support::served::Served;
use crate::support::{equal, eventually};

/// Longer than the grace period and what follows it, on a machine with other work to do.
const AT_MOST: Duration = Duration::from_secs(15);

const REDELIVERED: &str = "amber_messages_redelivered_total";
const IN_HAND: &str = "amber_in_hand_messages";

#[test]
fn a_signal_to_stop_stores_and_acknowledges_what_is_in_hand() {
    for (home, version) in Home::both().into_iter().zip(["5", "3.1.1"]) {
        for signal in [Signal::Term, Signal::Int] {
            let broker = Mosquitto::start();
            let mut amber =
                Amber::new(&numbers::config(&broker.url(), &home.url(), &format!("protocol = \"{version}\"")));
            // All of them wait in one batch when the signal comes.
            amber.env("AMBER__STORE__COMMIT_INTERVAL", "10m");
            amber.start();
            amber.wait_ready();
            let before = numbers::stored(&home).len();
            let first = before as u64 * 10;
            let mut publisher = Publisher::connect(broker.port, "publisher");
            // Below half of the smallest window (MQTT 3.1.1: 20), which would send the batch off.
            for (qos, from) in [(Qos::AtMostOnce, first), (Qos::AtLeastOnce, first + 3), (Qos::ExactlyOnce, first + 6)]
            {
                publisher.publish_numbers(TOPIC, from..from + 3, qos);
            }
            eventually("all are in hand", || equal(amber.metric(IN_HAND), 9.0));
            assert_eq!(numbers::stored(&home).len(), before, "nothing is stored yet");
            amber.signal(signal);
            let status = amber.wait();
            assert_eq!(status.code(), Some(0), "{signal:?}");
            assert_eq!(numbers::stored(&home).len(), before + 9, "{home}, {signal:?}");
            amber.env("AMBER__STORE__COMMIT_INTERVAL", "0s").start();
            amber.wait_ready();
            publisher.publish_numbers(TOPIC, first + 9..first + 10, Qos::AtLeastOnce);
            eventually("the next is stored", || equal(Ok(numbers::stored(&home).len()), before + 10));
            assert_eq!(amber.metric(REDELIVERED), Ok(0.0), "all was acknowledged");
            assert_eq!(amber.metric("amber_messages_received_total{qos=\"2\"}"), Ok(0.0));
            assert_eq!(amber.metric("amber_sessions_lost_total"), Ok(0.0));
            assert!(amber.terminate().success());
        }
    }
}

#[test]
fn a_stop_while_the_database_is_away_ends_within_the_grace_period_and_loses_nothing() {
    let mut server = Postgres::start();
    let home = Home::Postgres(server.database());
    let broker = Mosquitto::start();
    let mut amber = Amber::run(&numbers::config(&broker.url(), &home.url(), ""));
    let mut publisher = Publisher::connect(broker.port, "publisher");
    publisher.publish_numbers(TOPIC, 0..10, Qos::AtLeastOnce);
    eventually("they are stored", || equal(Ok(numbers::stored(&home).len()), 10));
    server.stop();
    publisher.publish_numbers(TOPIC, 10..20, Qos::AtLeastOnce);
    publisher.publish_numbers(TOPIC, 20..30, Qos::ExactlyOnce);
    eventually("they are in hand", || equal(amber.metric(IN_HAND), 20.0));
    let start = Instant::now();
    let status = amber.terminate();
    assert!(start.elapsed() < AT_MOST, "it took {:?}", start.elapsed());
    assert!(status.success(), "{status}");
    let log = amber.log();
    assert!(log.contains("come again"), "what is left is said: {log}");
    server.start_again();
    amber.start();
    eventually("all are stored", || equal(Ok(numbers::stored(&home).len()), 30));
    assert!(numbers::stored(&home).values().all(|&count| count == 1));
}

#[test]
fn a_second_signal_ends_at_once() {
    let server = Postgres::start();
    let home = Home::Postgres(server.database());
    let broker = Mosquitto::start();
    let mut amber = Amber::run(&numbers::config(&broker.url(), &home.url(), ""));
    server.pause();
    Publisher::connect(broker.port, "publisher").publish_numbers(TOPIC, 0..10, Qos::AtLeastOnce);
    eventually("they are in hand", || equal(amber.metric(IN_HAND), 10.0));
    amber.signal(Signal::Term);
    eventually("it stops", || {
        let log = amber.log();
        if log.contains("stopping") { Ok(()) } else { Err(log) }
    });
    let start = Instant::now();
    amber.signal(Signal::Int);
    let status = amber.wait();
    // Less than the grace period, whose end gives another code.
    assert!(start.elapsed() < GRACE, "it took {:?}", start.elapsed());
    assert_eq!(status.code(), Some(1));
    server.resume();
    amber.start();
    eventually("they are stored", || equal(Ok(numbers::stored(&home).len()), 10));
    assert!(numbers::stored(&home).values().all(|&count| count == 1));
}

#[test]
fn a_stop_says_goodbye_to_the_broker_and_keeps_the_session() {
    let served = Served::start(Script::default());
    let home = Home::sqlite();
    let mut amber = Amber::run(&numbers::config(&served.url(), &home.url(), ""));
    assert!(amber.terminate().success());
    eventually("the broker knows", || {
        let seen = served.broker().seen("amber").ok_or("the session is gone")?;
        if seen.connected || seen.filters.is_empty() { Err(format!("{seen:?}")) } else { Ok(()) }
    });
    // Also where the broker cannot be reached.
    amber.configure(&numbers::config("mqtt://127.0.0.1:9", &home.url(), ""));
    amber.start();
    eventually("amber serves", || equal(amber.get("/health").map(|(status, _)| status), 200));
    assert!(amber.terminate().success());
}
