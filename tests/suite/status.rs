//! What Amber says of itself at the broker: there or not, retained, and no reading of anybody's.

use std::time::{Duration, Instant};

use amber::message::Qos;

use crate::support::binary::Amber;
use crate::support::client::{self, Publisher};
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers;
use crate::support::{equal, eventually};

const EVERYTHING: &str = "[mapping.everything]\ntopic = \"#\"\nretained = \"store\"\nfields = { text = { path = \".\", type = \"text\" } }\n";

/// What the broker has retained on `topic`.
fn retained(broker: &Mosquitto, topic: &str) -> Vec<String> {
    client::mosquitto_sub(broker.port, &["-t", topic, "--retained-only", "-C", "1", "-W", "1", "-F", "%r %p"])
}

#[track_caller]
fn wait_for_word(broker: &Mosquitto, topic: &str, word: &str) {
    eventually("the status at the broker", || equal(Ok(retained(broker, topic)), vec![format!("1 {word}")]));
}

#[test]
fn the_status_follows_amber_and_is_not_stored_by_who_maps_everything() {
    for (home, version) in Home::both().into_iter().zip(["5", "3.1.1"]) {
        let broker = Mosquitto::start();
        let topic = "amber/gateway-7/status";
        let lines = format!("client_id = \"gateway-7\"\nprotocol = \"{version}\"");
        let mut amber = Amber::run(&(numbers::settings(&broker.url(), &home.url(), &lines) + EVERYTHING));
        wait_for_word(&broker, topic, "online");
        amber.kill();
        wait_for_word(&broker, topic, "offline");
        amber.start();
        amber.wait_ready();
        wait_for_word(&broker, topic, "online");

        let mut publisher = Publisher::connect(broker.port, "publisher");
        publisher.publish_retained("amber/another/status", "online", Qos::AtLeastOnce);
        publisher.publish("dev/1/status", "online", Qos::AtLeastOnce);
        eventually("what is no Amber's is stored", || equal(Ok(home.count("everything")), 1));
        // Its own, and the other's.
        eventually("the rest is counted", || {
            let ignored = amber.metric("amber_messages_ignored_total{reason=\"status\"}")?;
            if ignored >= 2.0 { Ok(()) } else { Err(format!("{ignored} are ignored")) }
        });
        assert!(amber.terminate().success());
        wait_for_word(&broker, topic, "offline");
        assert_eq!((home.count("everything"), home.count("rejects")), (1, 0), "{home}");
        assert_eq!(broker.log().matches("Received DISCONNECT from gateway-7").count(), 1, "not when it was killed");
        let output = amber.command(&["leave"]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(retained(&broker, topic), Vec::<String>::new(), "who has left has no status");
    }
}

#[test]
fn without_the_setting_nothing_is_said() {
    let broker = Mosquitto::start();
    let home = Home::sqlite();
    let mut amber = Amber::run(&numbers::config(&broker.url(), &home.url(), "status = false"));
    amber.kill();
    assert_eq!(retained(&broker, "amber/amber/status"), Vec::<String>::new());
}

#[test]
fn a_broker_that_does_not_let_us_say_it_costs_nothing_else_and_is_told_of_once() {
    for version in ["5", "3.1.1"] {
        let home = Home::sqlite();
        let acl = home_file(&home, "acl", "topic readwrite n/#\ntopic read amber/#\n");
        let broker = Mosquitto::with(&format!("acl_file {acl}"));
        let lines = format!("protocol = \"{version}\"");
        let mut amber = Amber::run(&numbers::config(&broker.url(), &home.url(), &lines));
        let mut publisher = Publisher::connect(broker.port, "publisher");
        for round in 1..=2 {
            publisher.publish_numbers(numbers::TOPIC, round * 10..round * 10 + 10, Qos::AtLeastOnce);
            eventually("they are stored", || equal(Ok(home.count("numbers")), 10 * round as i64));
        }
        amber.wait_ready();
        assert!(amber.terminate().success());
        let log = amber.log();
        // 3.1.1 has no word for it; Mosquitto 2.0.11 ends the connection instead, others drop the message.
        let told = log.matches("the broker refuses our status").count();
        assert!(told == 1 || (version == "3.1.1" && told == 0), "{log}");
        assert!(!log.contains("wants a person to act"), "{log}");
        assert_eq!(retained(&broker, "amber/amber/status"), Vec::<String>::new());
    }
}

#[test]
fn connections_that_are_taken_over_at_once_do_not_cost_a_status_that_the_broker_takes() {
    let broker = Mosquitto::start();
    let home = Home::sqlite();
    let mut amber = Amber::run(&numbers::config(&broker.url(), &home.url(), "protocol = \"3.1.1\""));
    let topic = "amber/amber/status";
    // Those behind the first are younger than a second, whatever the first was.
    for connections in 1..=3 {
        eventually("the broker has taken the status", || {
            equal(Ok(broker.log().matches("Sending PUBACK to amber ").count()), connections)
        });
        let since = Instant::now();
        eventually("it has stood for a while", || {
            if since.elapsed() >= Duration::from_millis(500) { Ok(()) } else { Err("not yet".to_owned()) }
        });
        drop(Publisher::connect(broker.port, "amber"));
        eventually("amber is back", || equal(amber.metric("amber_connections_total"), connections as f64 + 1.0));
    }
    wait_for_word(&broker, topic, "online");
    assert!(amber.terminate().success());
    wait_for_word(&broker, topic, "offline");
    assert!(!amber.log().contains("the broker refuses our status"), "{}", amber.log());
}

/// Writes a file beside a SQLite store, and gives its path.
fn home_file(home: &Home, name: &str, text: &str) -> String {
    let Home::Sqlite(folder) = home else { unreachable!("it was made so") };
    folder.write(name, text).display().to_string()
}
