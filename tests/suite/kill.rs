//! `kill -9` at any moment: every message that the broker took is stored exactly once.

use std::time::Duration;

use amber::message::Qos;

use crate::support::binary::Amber;
use crate::support::client::Publisher;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::{self, Load, Sent, TOPIC};
use crate::support::{Random, pause_for};

const KILLS: u64 = 50;
/// A life, at most; starting takes a part of it.
const LIFE_MS: u64 = 500;

/// Lets it live for a while, kills it, and starts it again. Returns how many messages came again and were known, about.
fn live_and_die(amber: &mut Amber, random: &mut Random) -> f64 {
    pause_for(Duration::from_millis(random.between(0, LIFE_MS)));
    // It may not listen yet.
    let redelivered = amber.metric("amber_messages_redelivered_total").unwrap_or(0.0);
    amber.kill();
    amber.start();
    redelivered
}

/// Kills it so many times, and on a slow machine, where few lives are long enough for a commit, more often.
fn die_until_redelivered(amber: &mut Amber, random: &mut Random, kills: u64) -> f64 {
    let mut redelivered = 0.0;
    for life in 0..5 * kills {
        if life >= kills && redelivered > 0.0 {
            break;
        }
        redelivered += live_and_die(amber, random);
    }
    redelivered
}

/// QoS 1 and 2 mixed, published on while Amber is killed and started.
#[track_caller]
fn killed_fifty_times(home: &Home, protocol: &str) {
    let broker = Mosquitto::start();
    let config = numbers::config(&broker.url(), &home.url(), &format!("protocol = \"{protocol}\""));
    let mut amber = Amber::run(&config);
    let load = Load::start(broker.port, Duration::from_millis(10));
    let mut random = Random(KILLS);
    let redelivered = die_until_redelivered(&mut amber, &mut random, KILLS);
    let messages = numbers::assert_exactly_once(&load.end(), broker.port, &mut amber, home);
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

#[test]
fn columns_that_appear_over_kills_hold_every_value_exactly_once() {
    // The last level of the topic is a name that no field lists: a new column every fifty numbers.
    const MAPPING: &str = "\n[mapping.numbers]\ntopic = \"n/{name}\"\nothers = \"add\"\n\
        pivot = { name = \"{name}\", value = \"n\" }\nfields = { n = { path = \"$.n\", type = \"int\" } }\n";
    for home in Home::both() {
        let broker = Mosquitto::start();
        let mut amber = Amber::run(&(numbers::settings(&broker.url(), &home.url(), "qos = 2") + MAPPING));
        let load = Load::route(broker.port, Duration::from_millis(10), "load", 0, |n| format!("n/k{}", n / 50));
        let mut random = Random(KILLS_OF_DRAIN);
        for _ in 0..2 * KILLS_OF_DRAIN {
            live_and_die(&mut amber, &mut random);
        }
        let messages = numbers::assert_exactly_once(&load.end(), broker.port, &mut amber, &home);
        let columns = format!("select name from {} where position >= 1000000 and name like 'k%'", home.view("fields"));
        let columns: Vec<String> = home.sql().rows(&columns).unwrap().iter().filter_map(|row| row[0].clone()).collect();
        println!("{home}: {messages} messages, {} columns", columns.len());
        assert!(columns.len() > 5, "{columns:?}");
        let view = home.view("numbers");
        for column in columns {
            let of = format!("n / 50 = {} and n < {}", &column[1..], numbers::SENTINEL);
            let wrong = format!("select count(*) from {view} where {of} and ({column} is null or {column} <> n)");
            let elsewhere = format!("select count({column}) from {view} where not ({of})");
            assert_eq!(home.sql().rows(&wrong), home.sql().rows(&elsewhere), "{home}: {column}");
            assert_eq!(home.sql().number(&wrong), Ok(0), "{home}: {column}");
        }
    }
}

/// What has gathered at the broker while Amber was away, and how often it is killed before all is stored.
const QUEUED: u64 = 20_000;
const KILLS_OF_DRAIN: u64 = 10;

/// Amber with a session at the broker, and `messages` that have come since; QoS 1 and 2 in turns.
#[track_caller]
fn queued(broker: &Mosquitto, home: &Home, protocol: &str, payload: impl Fn(u64) -> String) -> Amber {
    let config = numbers::config(&broker.url(), &home.url(), &format!("protocol = \"{protocol}\""));
    let mut amber = Amber::run(&config);
    assert!(amber.terminate().success());
    let mut publisher = Publisher::connect(broker.port, "publisher");
    for (turn, qos) in (0..QUEUED / 100).zip([Qos::AtLeastOnce, Qos::ExactlyOnce].into_iter().cycle()) {
        let messages = turn * 100..(turn + 1) * 100;
        publisher.publish_all(qos, messages.map(|n| (TOPIC.to_owned(), payload(n).into_bytes())));
    }
    amber.start();
    amber
}

#[track_caller]
fn killed_while_draining(amber: &mut Amber) {
    let mut random = Random(KILLS_OF_DRAIN);
    let redelivered = die_until_redelivered(amber, &mut random, KILLS_OF_DRAIN);
    println!("{redelivered} messages came again and were known");
    assert!(redelivered > 0.0, "no kill fell between a commit and its acknowledgement");
}

#[test]
fn a_queue_that_is_drained_over_kills_is_stored_exactly_once() {
    for (home, protocol) in Home::both().into_iter().zip(["5", "3.1.1"]) {
        let broker = Mosquitto::start();
        let mut amber = queued(&broker, &home, protocol, |n| format!("{{\"n\":{n}}}"));
        killed_while_draining(&mut amber);
        numbers::assert_exactly_once(&Sent::all(0..QUEUED), broker.port, &mut amber, &home);
    }
}

#[test]
fn messages_that_are_all_alike_are_all_stored_over_kills() {
    for (home, protocol) in Home::both().into_iter().zip(["5", "3.1.1"]) {
        let broker = Mosquitto::start();
        let mut amber = queued(&broker, &home, protocol, |_| "{\"n\":7}".to_owned());
        killed_while_draining(&mut amber);
        numbers::come_to_rest(broker.port, &mut amber, &home);
        assert_eq!(numbers::stored(&home)[&7], QUEUED, "{home}");
    }
}
