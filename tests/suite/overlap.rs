//! Topics that several filters of ours match: whatever copies the broker sends, each message is stored once.

use std::time::Duration;

use amber::demo::broker::Script;
use amber::message::Qos;

use crate::support::binary::{self, Amber};
use crate::support::client::Publisher;
use crate::support::folder::Folder;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::{self, Load, TOPIC};
use crate::support::proxy::{Cut, Proxy};
use crate::support::served::Served;
use crate::support::{Random, equal, eventually, pause_for};

const IGNORED_OVERLAP: &str = "amber_messages_ignored_total{reason=\"overlap\"}";
const IGNORED_MERGED: &str = "amber_messages_ignored_total{reason=\"merged\"}";

/// The mapping of the numbers, and two whose topics match where they are published: `n/+`, `+/1` and `n/1/#` cross.
/// Nothing in a number is for those two.
fn crossing(broker: &str, store: &str, lines: &str) -> String {
    numbers::config(broker, store, lines)
        + "\n[mapping.first]\ntopic = \"{place}/1\"\nfields = [\"x\"]\n\
           \n[mapping.deeper]\ntopic = \"n/1/#\"\nfields = [\"y\"]\n"
}

fn protocol(version: &str) -> String {
    format!("protocol = \"{version}\"")
}

/// A load over cuts and kills; QoS 1 and 2 mixed. Amber's way to the broker is given with it.
#[track_caller]
fn cut_and_killed(broker: &Mosquitto, home: &Home, lines: &str) -> (Amber, Proxy) {
    let proxy = Proxy::to(broker.port);
    let url = format!("mqtt://127.0.0.1:{}", proxy.port);
    let mut amber = Amber::run(&crossing(&url, &home.url(), lines));
    let load = Load::start(broker.port, Duration::from_millis(10));
    let mut random = Random(7);
    for round in 0..16 {
        pause_for(Duration::from_millis(random.between(50, 400)));
        if round % 2 == 0 {
            amber.kill();
            amber.start();
        } else {
            proxy.cut(if round % 4 == 1 { Cut::Reset } else { Cut::Close });
        }
    }
    amber.wait_ready();
    load.wait_for(100);
    numbers::assert_exactly_once(&load.end(), broker.port, &mut amber, home);
    (amber, proxy)
}

#[test]
fn over_mqtt_5_three_filters_that_cross_store_each_message_once() {
    let settings = ["allow_duplicate_messages true", "allow_duplicate_messages false"];
    for (home, setting) in Home::both().into_iter().zip(settings) {
        let broker = Mosquitto::with(setting);
        let (amber, _proxy) = cut_and_killed(&broker, &home, &protocol("5"));
        // Of the last message came three copies.
        eventually("two copies are left out", || equal(amber.metric(IGNORED_OVERLAP), 2.0));
        assert_eq!(amber.metric("amber_messages_received_total{qos=\"1\"}"), Ok(3.0), "{home}: {setting}");
    }
}

#[test]
fn over_mqtt_3_1_1_mosquitto_sends_one_copy_unless_it_is_told_otherwise() {
    for (home, setting) in Home::both().into_iter().zip(["", "allow_duplicate_messages false"]) {
        let broker = Mosquitto::with(setting);
        let (amber, _proxy) = cut_and_killed(&broker, &home, &protocol("3.1.1"));
        assert_eq!(amber.metric("amber_messages_received_total{qos=\"1\"}"), Ok(1.0), "{home}: {setting}");
        assert!(amber.log().contains("the filter `n/+` crosses 2 others (`+/1`, `n/1/#`)"), "{}", amber.log());
    }
}

#[test]
fn over_mqtt_3_1_1_copies_are_stored_once_if_the_filters_are_merged() {
    let broker = Mosquitto::with("allow_duplicate_messages true");
    // As it is, each copy is a message like any other.
    let home = Home::sqlite();
    let mut amber = Amber::run(&crossing(&broker.url(), &home.url(), &protocol("3.1.1")));
    let mut publisher = Publisher::connect(broker.port, "publisher");
    publisher.publish_numbers(TOPIC, 0..10, Qos::AtLeastOnce);
    eventually("every copy is stored", || equal(Ok(home.count("numbers")), 30));
    assert!(amber.terminate().success());
    for home in Home::both() {
        let broker = Mosquitto::with("allow_duplicate_messages true");
        let mut publisher = Publisher::connect(broker.port, "publisher");
        let lines = protocol("3.1.1") + "\noverlap = \"merge\"";
        let (amber, _proxy) = cut_and_killed(&broker, &home, &lines);
        assert!(!amber.log().contains("cross"), "{}", amber.log());
        publisher.publish("z/2", "{\"n\":1}", Qos::AtLeastOnce);
        eventually("what nobody asked for is counted", || equal(amber.metric(IGNORED_MERGED), 1.0));
        assert_eq!(amber.metric("amber_messages_ignored_total{reason=\"unmapped\"}"), Ok(0.0), "{home}");
    }
}

#[test]
fn a_broker_that_sends_one_copy_for_all_filters_has_it_stored_once() {
    for copy_per_filter in [false, true] {
        let served = Served::start(Script { copy_per_filter, ..Script::default() });
        let home = Home::sqlite();
        let amber = Amber::run(&crossing(&served.url(), &home.url(), &protocol("5")));
        for (qos, from) in [(Qos::AtMostOnce, 0), (Qos::AtLeastOnce, 10), (Qos::ExactlyOnce, 20)] {
            for n in from..from + 10 {
                served.broker().publish(TOPIC, format!("{{\"n\":{n}}}"), qos, false);
            }
        }
        eventually("all are stored", || equal(Ok(numbers::stored(&home).len()), 30));
        let copies = if copy_per_filter { 60.0 } else { 0.0 };
        eventually("the other copies are left out", || equal(amber.metric(IGNORED_OVERLAP), copies));
        assert_eq!(home.count("numbers"), 30);
        eventually("all are acknowledged", || {
            let seen = served.broker().seen("amber").ok_or("no session")?;
            if seen.in_flight.is_empty() && seen.queued == 0 { Ok(()) } else { Err(format!("{seen:?}")) }
        });
    }
}

#[test]
fn a_broker_that_names_one_filter_of_several_on_its_one_copy_loses_nothing() {
    for lines in ["", "overlap = \"merge\"\nstatus = false"] {
        let served = Served::start(Script { one_identifier: true, ..Script::default() });
        let home = Home::sqlite();
        let mut amber = Amber::run(&crossing(&served.url(), &home.url(), &(protocol("5") + "\n" + lines)));
        for (qos, from) in [(Qos::AtMostOnce, 0), (Qos::AtLeastOnce, 10), (Qos::ExactlyOnce, 20)] {
            for n in from..from + 10 {
                served.broker().publish(TOPIC, format!("{{\"n\":{n}}}"), qos, false);
            }
        }
        // Equal ones, too.
        for _ in 0..200 {
            served.broker().publish(TOPIC, "{\"n\":30}", Qos::AtLeastOnce, false);
        }
        eventually("each is stored, and once", || equal(Ok(home.count("numbers")), 230));
        assert_eq!(numbers::stored(&home).len(), 31);
        assert_eq!(amber.metric(IGNORED_OVERLAP), Ok(0.0));
        assert!(amber.terminate().success());
        assert_eq!(served.broker().seen("amber").map(|seen| seen.in_flight), Some(vec![]));
    }
}

#[test]
fn a_broker_without_identifiers_doubles_what_filters_that_cross_match_unless_they_are_merged() {
    // Without the status, which the merged filter brings too.
    for (lines, rows) in [("status = false", 30), ("status = false\noverlap = \"merge\"", 10)] {
        let served = Served::start(Script { copy_per_filter: true, no_identifiers: true, ..Script::default() });
        let home = Home::sqlite();
        let amber = Amber::run(&crossing(&served.url(), &home.url(), lines));
        for n in 0..10 {
            served.broker().publish(TOPIC, format!("{{\"n\":{n}}}"), Qos::AtLeastOnce, false);
        }
        eventually("all are stored", || equal(Ok(home.count("numbers")), rows));
        assert_eq!(amber.log().contains("cross"), rows == 30, "{}", amber.log());
        eventually("all are acknowledged", || equal(amber.metric("amber_acknowledged_total"), rows as f64));
    }
}

#[test]
fn messages_that_wait_while_crossing_filters_change_are_stored_once() {
    let broker = Mosquitto::start();
    for home in Home::both() {
        let lines = format!("protocol = \"5\"\nclient_id = \"amber-{home}\"");
        let mut amber = Amber::run(&crossing(&broker.url(), &home.url(), &lines));
        let mut publisher = Publisher::connect(broker.port, "publisher");
        let mut next = 0;
        // The first of the filters leaves, and comes again; each time with messages that were queued for the others.
        for config in [
            numbers::config(&broker.url(), &home.url(), &lines).replace("n/{device}", "{_n}/{device}/#"),
            crossing(&broker.url(), &home.url(), &lines),
        ] {
            assert!(amber.terminate().success());
            publisher.publish_numbers(TOPIC, next..next + 20, Qos::AtLeastOnce);
            amber.configure(&config);
            amber.start();
            amber.wait_ready();
            publisher.publish_numbers(TOPIC, next + 20..next + 40, Qos::AtLeastOnce);
            next += 40;
            eventually("all are stored", || equal(Ok(numbers::stored(&home).len() as u64), next));
        }
        assert_eq!(home.count("numbers") as u64, next, "{home}");
    }
}

#[test]
fn a_retained_message_that_several_filters_bring_is_stored_once() {
    let broker = Mosquitto::start();
    for (home, version) in Home::both().into_iter().zip(["5", "3.1.1"]) {
        let mut publisher = Publisher::connect(broker.port, "publisher");
        publisher.publish_retained(TOPIC, "{\"n\":1}", Qos::AtLeastOnce);
        let lines = format!("protocol = \"{version}\"\nclient_id = \"amber-{version}\"");
        let config = crossing(&broker.url(), &home.url(), &lines).replace("fields", "retained = \"store\"\nfields");
        let amber = Amber::run(&config);
        publisher.publish(TOPIC, "{\"n\":2}", Qos::AtLeastOnce);
        eventually("both are stored", || equal(Ok(numbers::stored(&home).len()), 2));
        assert_eq!(numbers::stored(&home)[&1], 1, "{version}");
        eventually("the other copies are left out", || match amber.metric(IGNORED_OVERLAP)? {
            copies if copies >= 2.0 => Ok(()),
            copies => Err(format!("{copies}")),
        });
    }
}

#[test]
fn check_names_the_filter_that_joins_two_that_cross() {
    let check = |lines: &str| {
        let folder = Folder::new();
        folder.write("config.toml", &crossing("mqtt://localhost", "sqlite:x.db", lines));
        let output = binary::command(folder.path(), &["check"]);
        assert!(output.status.success(), "{output:?}");
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (_, said) = check("");
    let wide = "the filter `n/+` crosses 2 others (`+/1`, `n/1/#`)";
    assert!(said.contains(wide) && said.contains("subscribes to `+/+/#` instead"), "{said}");
    assert!(said.contains("the filters `+/1` and `n/1/#` cross"), "{said}");
    assert_eq!(check("protocol = \"5\"").1, "", "mqtt 5 tells the copies apart");
    let (out, said) = check("overlap = \"merge\"");
    assert_eq!(said, "");
    assert_eq!(out.matches("-- subscribes to").count(), 1, "{out}");
    assert!(out.contains("-- subscribes to `+/+/#` at QoS 2"), "{out}");
}

#[test]
fn shared_messages_are_stored_once_while_a_member_is_killed_and_comes_back() {
    for (home, version) in Home::both().into_iter().zip(["5", "3.1.1"]) {
        let broker = Mosquitto::start();
        let config = |member: u8| {
            let lines = format!("client_id = \"amber-{member}\"\nprotocol = \"{version}\"");
            numbers::config(&broker.url(), &home.url(), &lines).replace("n/{device}", "$share/group/n/{device}")
        };
        let mut members = [1, 2].map(|member| Amber::run(&config(member)));
        let load = Load::start(broker.port, Duration::from_millis(10));
        let mut random = Random(9);
        for round in 0..10 {
            pause_for(Duration::from_millis(random.between(50, 400)));
            let member = &mut members[round % 2];
            member.kill();
            load.wait_for(50);
            member.start();
        }
        for member in &members {
            member.wait_ready();
        }
        let sent = load.end();
        assert!(sent.unknown.is_empty(), "the broker does not go away");
        eventually("all are stored", || equal(Ok(numbers::stored(&home).len()), sent.acknowledged.len()));
        // One more life each: what was not acknowledged properly would come again.
        for member in &mut members {
            let stored = member.metric("amber_rows_written_total{measurement=\"numbers\"}").unwrap();
            assert!(stored > 0.0, "each has its share");
            assert!(member.terminate().success());
            member.start();
            member.wait_ready();
        }
        let twice: Vec<_> = numbers::stored(&home).into_iter().filter(|&(_, count)| count != 1).collect();
        assert!(twice.is_empty(), "{home}: more than once: {twice:?}");
    }
}
