//! `kill -9` at any moment: every message that the broker took is stored exactly once.

use std::time::Duration;

use crate::support::binary::Amber;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::{self, Load};
use crate::support::{Random, pause_for};

const KILLS: u64 = 50;
/// A life, at most; starting takes a part of it.
const LIFE_MS: u64 = 500;

/// QoS 1 and 2 mixed, published on while Amber is killed and started.
#[track_caller]
fn killed_fifty_times(home: &Home, protocol: &str) {
    let broker = Mosquitto::start();
    let config = numbers::config(&broker.url(), &home.url(), &format!("protocol = \"{protocol}\""));
    let mut amber = Amber::run(&config);
    let load = Load::start(broker.port, Duration::from_millis(10));
    let mut random = Random(KILLS);
    let mut redelivered = 0.0;
    for _ in 0..KILLS {
        pause_for(Duration::from_millis(random.between(0, LIFE_MS)));
        // It may not listen yet.
        redelivered += amber.metric("amber_messages_redelivered_total").unwrap_or(0.0);
        amber.kill();
        amber.start();
    }
    let messages = numbers::assert_exactly_once(load, broker.port, &mut amber, home);
    println!("{home}, MQTT {protocol}: {messages} messages, {redelivered} of them came again and were known");
    // Otherwise nothing was put to the test.
    assert!(redelivered > 0.0, "no kill fell between a commit and its acknowledgement");
}

#[test]
fn over_mqtt_5_into_postgresql_every_message_is_stored_exactly_once() {
    killed_fifty_times(&Home::postgres(), "5");
}

#[test]
fn over_mqtt_5_into_sqlite_every_message_is_stored_exactly_once() {
    killed_fifty_times(&Home::sqlite(), "5");
}

#[test]
fn over_mqtt_3_1_1_into_postgresql_every_message_is_stored_exactly_once() {
    killed_fifty_times(&Home::postgres(), "3.1.1");
}

#[test]
fn over_mqtt_3_1_1_into_sqlite_every_message_is_stored_exactly_once() {
    killed_fifty_times(&Home::sqlite(), "3.1.1");
}
