//! Brokers that repeat, renumber, forget and refuse: the scripted one does what real ones do rarely or elsewhere.

use std::collections::BTreeMap;

use amber::demo::broker::{Script, VersionRefusal};
use amber::message::Qos;

use crate::support::binary::Amber;
use crate::support::client::Publisher;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::{self, TOPIC};
use crate::support::proxy::{Cut, Mode, Proxy};
use crate::support::served::Served;
use crate::support::{equal, eventually};

const BOTH: [Qos; 2] = [Qos::AtLeastOnce, Qos::ExactlyOnce];
const VERSIONS: [&str; 2] = ["5", "3.1.1"];

fn protocol(version: &str) -> String {
    format!("protocol = \"{version}\"")
}

fn through(proxy: &Proxy) -> String {
    format!("mqtt://127.0.0.1:{}", proxy.port)
}

fn publish(served: &Served, numbers: std::ops::Range<u64>, qos: Qos) {
    for n in numbers {
        served.broker().publish(TOPIC, format!("{{\"n\":{n}}}"), qos, false);
    }
}

/// Waits until `count` numbers are stored, and what else is on its way has come to rest.
#[track_caller]
fn wait_for_rest(served: &Served, home: &Home, count: u64) -> BTreeMap<u64, u64> {
    eventually("all is stored and acknowledged", || {
        let seen = served.broker().seen("amber").ok_or("no session")?;
        let stored = numbers::stored(home).len() as u64;
        if stored == count && seen.in_flight.is_empty() && seen.queued == 0 {
            Ok(())
        } else {
            Err(format!("{stored} of {count} stored; {seen:?}"))
        }
    });
    numbers::stored(home)
}

#[track_caller]
fn assert_once(stored: &BTreeMap<u64, u64>) {
    let twice: Vec<_> = stored.iter().filter(|&(_, &count)| count != 1).collect();
    assert!(twice.is_empty(), "more than once: {twice:?}");
}

#[test]
fn a_message_that_is_repeated_on_the_same_connection_is_stored_once() {
    for (home, version) in Home::both().into_iter().zip(VERSIONS) {
        let served = Served::start(Script { repeat: true, ..Script::default() });
        let amber = Amber::run(&numbers::config(&served.url(), &home.url(), &protocol(version)));
        for (qos, from) in BOTH.into_iter().zip([0, 500]) {
            publish(&served, from..from + 500, qos);
        }
        assert_once(&wait_for_rest(&served, &home, 1_000));
        eventually("the repetitions were known", || equal(amber.metric("amber_messages_redelivered_total"), 1_000.0));
    }
}

#[test]
fn messages_whose_acknowledgements_were_lost_are_known_over_a_cut_and_over_a_restart() {
    for (home, version) in Home::both().into_iter().zip(VERSIONS) {
        let served = Served::start(Script::default());
        let proxy = Proxy::to(served.port());
        let mut amber = Amber::run(&numbers::config(&through(&proxy), &home.url(), &protocol(version)));
        for round in 0..2 {
            let before = amber.metric("amber_acknowledged_total").unwrap();
            proxy.set(Mode::DownstreamOnly);
            for (qos, from) in BOTH.into_iter().zip([round * 40, round * 40 + 20]) {
                publish(&served, from..from + 20, qos);
            }
            eventually("all are acknowledged", || equal(amber.metric("amber_acknowledged_total"), before + 40.0));
            if round == 0 {
                proxy.cut(Cut::Reset);
                proxy.set(Mode::Pass);
            } else {
                amber.kill();
                proxy.set(Mode::Pass);
                amber.start();
            }
            eventually("they come again", || equal(amber.metric("amber_messages_redelivered_total"), 40.0));
            assert_once(&wait_for_rest(&served, &home, (round + 1) * 40));
        }
        assert_eq!(amber.metric("amber_rows_written_total{measurement=\"numbers\"}"), Ok(0.0), "known, and not stored");
    }
}

/// Publishes 400 messages over three connections.
#[track_caller]
fn cut_twice(served: &Served, proxy: &Proxy, amber: &Amber, qos: Qos) {
    for round in 0..2 {
        publish(served, round * 200..round * 200 + 200, qos);
        proxy.cut(Cut::Reset);
        eventually("amber is connected again", || equal(amber.metric("amber_connections_total"), round as f64 + 2.0));
    }
}

#[test]
fn cuts_by_a_broker_that_gives_the_lowest_free_identifier_cost_nothing() {
    for (home, (version, qos)) in Home::both().into_iter().zip(VERSIONS.into_iter().zip(BOTH)) {
        let served = Served::start(Script { lowest_free_ids: true, ..Script::default() });
        let proxy = Proxy::to(served.port());
        let amber = Amber::run(&numbers::config(&through(&proxy), &home.url(), &protocol(version)));
        cut_twice(&served, &proxy, &amber, qos);
        assert_once(&wait_for_rest(&served, &home, 400));
    }
}

#[test]
fn a_broker_that_gives_new_identifiers_to_what_it_repeats_loses_nothing() {
    for (home, version) in Home::both().into_iter().zip(VERSIONS) {
        let served = Served::start(Script { renumber: true, ..Script::default() });
        let proxy = Proxy::to(served.port());
        let amber = Amber::run(&numbers::config(&through(&proxy), &home.url(), &protocol(version)));
        cut_twice(&served, &proxy, &amber, Qos::AtLeastOnce);
        // At least once: docs/delivery.md promises no more there.
        wait_for_rest(&served, &home, 400);
    }
}

#[test]
fn version_5_is_given_up_where_a_broker_refuses_it_in_whatever_manner() {
    for how in [VersionRefusal::Connack311, VersionRefusal::Connack5, VersionRefusal::Close] {
        let served = Served::start(Script { refuse_v5: Some(how), ..Script::default() });
        let home = Home::sqlite();
        let amber = Amber::run(&numbers::config(&served.url(), &home.url(), ""));
        publish(&served, 0..10, Qos::AtLeastOnce);
        assert_once(&wait_for_rest(&served, &home, 10));
        assert!(amber.log().contains("version=3.1.1"), "{how:?}");
        assert_eq!(amber.metric("amber_connection_failures_total"), Ok(1.0), "{how:?}: asked once, then remembered");
    }
}

#[test]
fn a_filter_that_the_broker_refuses_is_said_and_the_others_are_served() {
    let served = Served::start(Script { refuse_filters: vec!["secret/#".to_owned()], ..Script::default() });
    let home = Home::sqlite();
    let config =
        numbers::config(&served.url(), &home.url(), "") + "[mapping.secret]\ntopic = \"secret/#\"\nfields = [\"x\"]\n";
    let mut amber = Amber::new(&config);
    amber.start();
    eventually("amber is not ready", || match amber.get("/ready")? {
        (503, reason) if reason.contains("refuses `secret/#`") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(amber.metric("amber_subscriptions_refused"), Ok(1.0));
    publish(&served, 0..10, Qos::AtLeastOnce);
    wait_for_rest(&served, &home, 10);
    assert_eq!(amber.log().matches("the broker wants a person to act").count(), 1);
}

#[test]
fn a_session_that_the_broker_has_lost_is_counted_and_the_next_messages_are_stored() {
    for (home, version) in Home::both().into_iter().zip(VERSIONS) {
        let served = Served::start(Script::default());
        let proxy = Proxy::to(served.port());
        let mut amber = Amber::run(&numbers::config(&through(&proxy), &home.url(), &protocol(version)));
        publish(&served, 0..10, Qos::AtLeastOnce);
        wait_for_rest(&served, &home, 10);
        proxy.set(Mode::Refuse);
        proxy.cut(Cut::Close);
        served.broker().forget_sessions();
        proxy.set(Mode::Pass);
        eventually("amber knows", || equal(amber.metric("amber_sessions_lost_total"), 1.0));
        served.wait_for("amber");
        publish(&served, 10..20, Qos::AtLeastOnce);
        wait_for_rest(&served, &home, 20);
        // Lost while Amber was away: the store remembers that there was one.
        assert!(amber.terminate().success());
        served.broker().forget_sessions();
        amber.start();
        eventually("amber knows", || equal(amber.metric("amber_sessions_lost_total"), 1.0));
    }
}

#[test]
fn filters_that_left_the_configuration_are_unsubscribed_over_a_restart() {
    let broker = Mosquitto::start();
    for (home, version) in Home::both().into_iter().zip(VERSIONS) {
        let lines = format!("protocol = \"{version}\"\nclient_id = \"amber-{version}\"");
        let config = numbers::config(&broker.url(), &home.url(), &lines);
        let mut amber = Amber::run(&format!("{config}[mapping.old]\ntopic = \"old/{{device}}\"\nfields = [\"x\"]\n"));
        let mut publisher = Publisher::connect(broker.port, "publisher");
        publisher.publish("old/1", "{\"x\":1}", Qos::AtLeastOnce);
        eventually("it is stored", || equal(amber.metric("amber_rows_written_total{measurement=\"old\"}"), 1.0));
        assert!(amber.terminate().success());
        amber.configure(&config);
        amber.start();
        amber.wait_ready();
        publisher.publish("old/1", "{\"x\":2}", Qos::AtLeastOnce);
        publisher.publish(TOPIC, "{\"n\":1}", Qos::AtLeastOnce);
        eventually("the last one is stored", || equal(Ok(home.count("numbers")), 1));
        assert_eq!(amber.metric("amber_messages_received_total{qos=\"1\"}"), Ok(1.0), "{version}");
        assert_eq!(home.count("old"), 1);
    }
}

#[test]
fn of_two_processes_with_one_client_id_and_one_store_the_first_ends_with_the_reason() {
    let broker = Mosquitto::start();
    for home in Home::both() {
        let config = numbers::config(&broker.url(), &home.url(), &format!("client_id = \"amber-{home}\""));
        let mut first = Amber::run(&config);
        let mut second = Amber::new(&config);
        second.start();
        eventually("the second has taken over", || {
            if second.get("/ready")?.0 == 200 || !first.is_running() { Ok(()) } else { Err("not yet".to_owned()) }
        });
        // Whoever reconnects last is given it; the first may not store it and ends.
        Publisher::connect(broker.port, "publisher").publish_numbers(TOPIC, 0..10, Qos::AtLeastOnce);
        eventually("the first has ended", || if first.is_running() { Err("it runs".to_owned()) } else { Ok(()) });
        let status = first.wait();
        assert_eq!(status.code(), Some(1));
        let log = first.log();
        let reason = "another Amber with the same `broker.client_id` has taken over this store";
        assert_eq!(log.matches(reason).count(), 1, "{log}");
        assert!(log.lines().last().is_some_and(|line| line.starts_with("amber: ") && line.contains(reason)), "{log}");
        eventually("the second stores all", || equal(Ok(numbers::stored(&home).len()), 10));
        assert_once(&numbers::stored(&home));
        assert!(second.is_running());
    }
}

const LAST_WORDS: &str = "
[mapping.online]
topic = \"dev/{device}/status\"
retained = \"store\"
fields = { online = { path = \".\", type = \"bool\" } }

[mapping.reading]
topic = \"dev/{device}/reading\"
fields = [\"x\"]
";

#[test]
fn retained_messages_are_skipped_unless_wanted_and_not_stored_again_at_a_reconnect() {
    let broker = Mosquitto::start();
    let mut publisher = Publisher::connect(broker.port, "publisher");
    for (home, version) in Home::both().into_iter().zip(VERSIONS) {
        publisher.publish_retained("dev/a/status", "online", Qos::AtLeastOnce);
        publisher.publish_retained("dev/b/status", "offline", Qos::AtMostOnce);
        publisher.publish_retained("dev/a/reading", "{\"x\":1}", Qos::AtLeastOnce);
        let proxy = Proxy::to(broker.port);
        let lines = format!("protocol = \"{version}\"\nclient_id = \"amber-{version}\"");
        let mut amber = Amber::run(&(numbers::config(&through(&proxy), &home.url(), &lines) + LAST_WORDS));
        eventually("the last words are stored", || equal(Ok(home.count("online")), 2));
        assert_eq!(home.count("reading"), 0);

        // Live, it is a reading like any other, although it is to be retained.
        publisher.publish_retained("dev/a/reading", "{\"x\":2}", Qos::AtLeastOnce);
        publisher.publish_retained("dev/a/status", "offline", Qos::AtLeastOnce);
        eventually("both are stored", || equal(Ok((home.count("online"), home.count("reading"))), (3, 1)));

        proxy.set(Mode::Refuse);
        proxy.cut(Cut::Reset);
        proxy.set(Mode::Pass);
        eventually("amber is connected again", || equal(amber.metric("amber_connections_total"), 2.0));
        amber.wait_ready();
        publisher.publish(TOPIC, "{\"n\":1}", Qos::AtLeastOnce);
        eventually("what comes behind is stored", || equal(Ok(home.count("numbers")), 1));
        assert_eq!((home.count("online"), home.count("reading")), (3, 1), "{version}");

        assert!(amber.terminate().success());
        amber.start();
        amber.wait_ready();
        publisher.publish(TOPIC, "{\"n\":2}", Qos::AtLeastOnce);
        eventually("what comes behind is stored", || equal(Ok(home.count("numbers")), 2));
        assert_eq!((home.count("online"), home.count("reading")), (3, 1), "{version}");
    }
}
