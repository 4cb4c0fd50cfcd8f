//! Sessions at the broker that end: by `amber leave`, by expiry, by a restart of the broker, by another client of the
//! same name; and what mappings say of messages that come again.

use std::process::Child;

use amber::demo::broker::Script;
use amber::message::Qos;

use crate::support::binary::Amber;
use crate::support::client::{self, Publisher};
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::{self, TOPIC};
use crate::support::proxy::{Cut, Mode, Proxy};
use crate::support::served::Served;
use crate::support::{equal, eventually};

const VERSIONS: [&str; 2] = ["5", "3.1.1"];

fn protocol(version: &str) -> String {
    format!("protocol = \"{version}\"\nclient_id = \"amber-{version}\"")
}

fn publish(broker: &Mosquitto, numbers: std::ops::Range<u64>) {
    Publisher::connect(broker.port, "publisher").publish_numbers(TOPIC, numbers, Qos::AtLeastOnce);
}

#[test]
fn leave_ends_the_session_and_its_queue_and_says_what_it_found() {
    let broker = Mosquitto::start();
    for (home, version) in Home::both().into_iter().zip(VERSIONS) {
        let mut amber = Amber::run(&numbers::config(&broker.url(), &home.url(), &protocol(version)));
        publish(&broker, 0..1);
        eventually("it is stored", || equal(Ok(home.count("numbers")), 1));
        assert!(amber.terminate().success());
        publish(&broker, 1..5);
        for (number, said) in ["and its queue are ended", "had no session"].into_iter().enumerate() {
            let output = amber.command(&["leave"]);
            assert!(output.status.success(), "{output:?}");
            let out = String::from_utf8(output.stdout).unwrap();
            assert!(out.contains(said), "{version}, time {number}: {out}");
            assert!(!out.contains("looking"), "nothing is to be waited for: {out}");
        }
        amber.start();
        amber.wait_ready();
        publish(&broker, 5..6);
        eventually("what comes then is stored", || equal(Ok(home.count("numbers")), 2));
        assert_eq!(
            amber.metric("amber_sessions_lost_total"),
            Ok(1.0),
            "{version}: the store remembers that there was one"
        );
    }
}

#[test]
fn leave_refuses_while_another_client_uses_the_session() {
    let broker = Mosquitto::start();
    let home = Home::sqlite();
    let config = numbers::config(&broker.url(), &home.url(), &protocol("5"));
    let amber = Amber::run(&config);
    let output = amber.command(&["leave"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("an Amber that runs answers on"), "{output:?}");
    assert_eq!(amber.metric("amber_connections_total"), Ok(1.0), "it was not disturbed");
    // From another place: by what it says of itself.
    let elsewhere = Amber::new(&config);
    let output = elsewhere.command(&["leave"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("`amber/amber-5/status` says `online`") && said.contains("`--yes`"), "{output:?}");
    assert_eq!(amber.metric("amber_connections_total"), Ok(1.0), "it was not disturbed");
    amber.wait_ready();
    publish(&broker, 0..5);
    eventually("nothing is lost", || equal(Ok(numbers::stored(&home).len()), 5));
    assert_eq!(amber.metric("amber_sessions_lost_total"), Ok(0.0));
}

#[test]
fn leave_waits_for_an_amber_that_says_nothing_of_itself_to_take_the_session_back() {
    // Mosquitto from 2.0.15 on tells the one that is thrown out, over MQTT 5, which then waits for up to 30 s.
    for (version, time) in [("5", "35 s"), ("3.1.1", "2 s")] {
        let broker = Mosquitto::start();
        let home = Home::sqlite();
        let config = numbers::config(&broker.url(), &home.url(), &(protocol(version) + "\nstatus = false"));
        let amber = Amber::run(&config);
        let output = Amber::new(&config).command(&["leave"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(time), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("took the connection back"), "{output:?}");
        amber.wait_ready();
        publish(&broker, 0..5);
        eventually("nothing is lost", || equal(Ok(numbers::stored(&home).len()), 5));
        assert_eq!(amber.metric("amber_sessions_lost_total"), Ok(0.0));
    }
}

#[test]
fn leave_finds_an_amber_that_its_broker_has_told_of_the_take_over() {
    let served = Served::start(Script::default());
    let home = Home::sqlite();
    let config = numbers::config(&served.url(), &home.url(), &(protocol("5") + "\nstatus = false"));
    let amber = Amber::run(&config);
    let output = Amber::new(&config).command(&["leave"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("took the connection back"), "{output:?}");
    amber.wait_ready();
    assert_eq!(amber.metric("amber_takeovers_total"), Ok(1.0));
    assert_eq!(amber.metric("amber_sessions_lost_total"), Ok(0.0));
}

#[test]
fn a_session_that_has_expired_is_counted_said_once_and_gone_on_from() {
    let broker = Mosquitto::with("sys_interval 1");
    let home = Home::sqlite();
    let lines = protocol("5") + "\nsession_expiry = \"1s\"";
    let mut amber = Amber::run(&numbers::config(&broker.url(), &home.url(), &lines));
    assert!(amber.terminate().success());
    eventually("the session has expired", || {
        let expired = ["-t", "$SYS/broker/clients/expired", "-C", "1", "-W", "1"];
        equal(Ok(client::mosquitto_sub(broker.port, &expired)), vec!["1".to_owned()])
    });
    amber.start();
    amber.wait_ready();
    assert_eq!(amber.metric("amber_sessions_lost_total"), Ok(1.0));
    assert_eq!(amber.log().matches("the broker has lost our session").count(), 1);
    publish(&broker, 0..5);
    eventually("what comes is stored", || equal(Ok(home.count("numbers")), 5));
}

#[test]
fn a_broker_that_is_restarted_without_persistence_has_lost_the_session_which_is_counted() {
    for (home, version) in Home::both().into_iter().zip(VERSIONS) {
        let mut broker = Mosquitto::with("persistence false");
        let amber = Amber::run(&numbers::config(&broker.url(), &home.url(), &protocol(version)));
        broker.stop();
        broker.start_again();
        eventually("amber knows", || equal(amber.metric("amber_sessions_lost_total"), 1.0));
        amber.wait_ready();
        assert_eq!(amber.log().matches("the broker has lost our session").count(), 1);
        publish(&broker, 0..5);
        eventually("what comes is stored", || equal(Ok(home.count("numbers")), 5));
    }
}

/// Somebody else with the client identifier, who connects again and again as Amber does.
struct Rival(Child);

impl Rival {
    fn of(broker: &Mosquitto, version: &str) -> Self {
        let mqtt = if version == "5" { "mqttv5" } else { "mqttv311" };
        let name = format!("amber-{version}");
        Self(client::mosquitto_sub_started(broker.port, &["-V", mqtt, "-i", &name, "-t", "other", "-W", "600"]))
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_client_id_that_is_taken_elsewhere_is_counted_and_said_and_amber_goes_on_when_it_is_free() {
    let broker = Mosquitto::start();
    let fight = |home: Home, version: &str| {
        let amber = Amber::run(&numbers::config(&broker.url(), &home.url(), &protocol(version)));
        let rivals = Rival::of(&broker, version);
        eventually("amber says so", || match amber.get("/ready")? {
            (503, reason) if reason.contains("in use elsewhere") => Ok(()),
            other => Err(format!("{other:?}")),
        });
        assert!(amber.metric("amber_takeovers_total").unwrap() >= 1.0);
        drop(rivals);
        amber.wait_ready();
        let mut publisher = Publisher::connect(broker.port, &format!("publisher-{version}"));
        publisher.publish_numbers(&format!("n/{version}"), 0..5, Qos::AtLeastOnce);
        let stored = format!("select count(*) from {} where device = '{version}'", home.view("numbers"));
        eventually("what comes is stored", || equal(home.sql().number(&stored), 5));
    };
    // At the same time: Amber waits long after a fight.
    std::thread::scope(|scope| {
        for (home, version) in Home::both().into_iter().zip(VERSIONS) {
            let fight = &fight;
            scope.spawn(move || fight(home, version));
        }
    });
}

#[test]
fn retained_messages_are_asked_for_once_when_a_mapping_comes_to_want_them() {
    let broker = Mosquitto::start();
    for (home, version) in Home::both().into_iter().zip(VERSIONS) {
        let mut publisher = Publisher::connect(broker.port, "publisher");
        publisher.publish_retained(TOPIC, "{\"n\":1}", Qos::AtLeastOnce);
        let config = numbers::config(&broker.url(), &home.url(), &protocol(version));
        let mut amber = Amber::run(&config);
        publisher.publish(TOPIC, "{\"n\":2}", Qos::AtLeastOnce);
        eventually("the live one is stored", || equal(Ok(home.count("numbers")), 1));
        for (life, n) in (0..3).zip(3..) {
            assert!(amber.terminate().success());
            if life == 0 {
                amber.configure(&config.replace("fields", "retained = \"store\"\nfields"));
            }
            amber.start();
            amber.wait_ready();
            publisher.publish(TOPIC, format!("{{\"n\":{n}}}"), Qos::AtLeastOnce);
            eventually("the live one is stored", || equal(Ok(numbers::stored(&home).get(&n).copied()), Some(1)));
            assert_eq!(numbers::stored(&home).get(&1), Some(&1), "{version}, life {life}");
        }
    }
}

#[test]
fn what_comes_again_is_stored_again_where_the_mapping_wants_it() {
    for (home, version) in Home::both().into_iter().zip(VERSIONS) {
        let served = Served::start(Script::default());
        let proxy = Proxy::to(served.port());
        let url = format!("mqtt://127.0.0.1:{}", proxy.port);
        let lines = format!("protocol = \"{version}\"");
        let config = numbers::config(&url, &home.url(), &lines).replace("fields", "redelivery = \"store\"\nfields");
        let amber = Amber::run(&config);
        let first = amber.metric("amber_acknowledged_total").unwrap();
        proxy.set(Mode::DownstreamOnly);
        for n in 0..5 {
            served.broker().publish(TOPIC, format!("{{\"n\":{n}}}"), Qos::AtLeastOnce, false);
        }
        // The acknowledgements are lost: they come again.
        eventually("all are acknowledged", || equal(amber.metric("amber_acknowledged_total"), first + 5.0));
        proxy.cut(Cut::Reset);
        proxy.set(Mode::Pass);
        eventually("each is stored twice", || equal(Ok(home.count("numbers")), 10));
        eventually("the broker is done with them", || {
            let seen = served.broker().seen("amber").ok_or("no session")?;
            if seen.in_flight.is_empty() { Ok(()) } else { Err(format!("{seen:?}")) }
        });
        assert_eq!(amber.metric("amber_messages_redelivered_total"), Ok(0.0));
    }
}

#[test]
fn a_mapping_on_sys_topics_is_served_and_a_wildcard_does_not_take_them() {
    let broker = Mosquitto::with("sys_interval 1");
    let home = Home::sqlite();
    let config = numbers::settings(&broker.url(), &home.url(), "")
        + "\n[mapping.broker]\ntopic = \"$SYS/broker/messages/{what}\"\nfields = { value = \".\" }\n\
           \n[mapping.all]\ntopic = \"#\"\nfields = { value = { path = \".\", type = \"text\" } }\n";
    let _amber = Amber::run(&config);
    Publisher::connect(broker.port, "publisher").publish("a/b", "1", Qos::AtLeastOnce);
    eventually("the broker's own are stored", || {
        let count = home.count("broker");
        if count > 0 { Ok(()) } else { Err(format!("{count}")) }
    });
    eventually("the other is stored", || equal(Ok(home.count("all")), 1));
}
