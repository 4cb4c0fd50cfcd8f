//! Whatever breaks around Amber (broker, network, database): what the broker took is stored exactly once.

use std::time::Duration;

use amber::message::Qos;

use crate::support::binary::Amber;
use crate::support::client::Publisher;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::{self, Load, TOPIC};
use crate::support::postgres::Postgres;
use crate::support::proxy::{Cut, Mode, Proxy};
use crate::support::{equal, eventually, pause_for};

/// Between the bursts of a load.
const PAUSE: Duration = Duration::from_millis(10);

fn version(protocol: &str) -> String {
    format!("protocol = \"{protocol}\"\nkeep_alive = \"5s\"")
}

#[track_caller]
fn stopped_and_started(home: &Home, protocol: &str) {
    let mut broker = Mosquitto::start();
    let mut amber = Amber::run(&numbers::config(&broker.url(), &home.url(), &version(protocol)));
    let load = Load::start(broker.port, PAUSE);
    for _ in 0..3 {
        load.wait_for(300);
        let failures = amber.metric("amber_connection_failures_total").unwrap();
        broker.stop();
        // The connection that ends, and an attempt at another.
        eventually("amber finds the broker away", || {
            let now = amber.metric("amber_connection_failures_total")?;
            if now >= failures + 2.0 { Ok(()) } else { Err(format!("{now} failures after {failures}")) }
        });
        broker.start_again();
        amber.wait_ready();
    }
    assert_eq!(amber.metric("amber_sessions_lost_total"), Ok(0.0));
    assert!(!amber.log().contains("in use elsewhere"), "a broker that comes and goes is no fight");
    numbers::assert_exactly_once(&load.end(), broker.port, &mut amber, home);
}

#[test]
fn a_broker_stopped_and_started_with_persistence_costs_no_message_and_doubles_none_over_mqtt_5() {
    stopped_and_started(&Home::postgres(), "5");
}

#[test]
fn a_broker_stopped_and_started_with_persistence_costs_no_message_and_doubles_none_over_mqtt_3_1_1() {
    stopped_and_started(&Home::sqlite(), "3.1.1");
}

#[test]
fn a_database_that_is_stopped_or_killed_and_started_costs_no_message_and_doubles_none() {
    let mut server = Postgres::start();
    let home = Home::Postgres(server.database());
    let broker = Mosquitto::start();
    let mut amber = Amber::run(&numbers::config(&broker.url(), &home.url(), ""));
    let load = Load::start(broker.port, PAUSE);
    for round in 0..6 {
        load.wait_for(200);
        match round % 3 {
            0 => server.kill(),
            1 => server.quit(),
            _ => server.stop(),
        }
        load.wait_for(50);
        eventually("amber says that the store is away", || match amber.get("/ready")? {
            (503, reason) if reason.starts_with("store: ") => Ok(()),
            other => Err(format!("{other:?}")),
        });
        server.start_again();
        amber.wait_ready();
    }
    assert_eq!(
        amber.metric("amber_connections_total"),
        Ok(1.0),
        "the connection to the broker has nothing to do with it"
    );
    numbers::assert_exactly_once(&load.end(), broker.port, &mut amber, &home);
}

#[test]
fn a_sqlite_file_that_somebody_locks_costs_no_message() {
    let home = Home::sqlite();
    let broker = Mosquitto::start();
    let mut amber = Amber::run(&numbers::config(&broker.url(), &home.url(), ""));
    let load = Load::start(broker.port, PAUSE);
    load.wait_for(100);
    let mut sql = home.sql();
    sql.run("begin immediate");
    eventually("amber says that the store is away", || match amber.get("/ready")? {
        (503, reason) if reason.contains("locked") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    sql.run("rollback");
    amber.wait_ready();
    assert_eq!(amber.metric("amber_connections_total"), Ok(1.0));
    numbers::assert_exactly_once(&load.end(), broker.port, &mut amber, &home);
}

/// Acknowledgements are lost, messages are lost, both, or the end is orderly; at last nobody says that it has ended.
#[track_caller]
fn cut(home: &Home, protocol: &str) {
    let broker = Mosquitto::start();
    let proxy = Proxy::to(broker.port);
    let url = format!("mqtt://127.0.0.1:{}", proxy.port);
    let mut amber = Amber::run(&numbers::config(&url, &home.url(), &version(protocol)));
    let load = Load::start(broker.port, PAUSE);
    let mut cuts = 0;
    for (before, how) in [
        (Mode::Pass, Cut::Close),
        (Mode::UpstreamOnly, Cut::Reset),
        (Mode::DownstreamOnly, Cut::Reset),
        (Mode::BlackHole, Cut::Reset),
    ] {
        cuts += 1;
        eventually("amber is connected", || equal(amber.metric("amber_connections_total"), f64::from(cuts)));
        load.wait_for(100);
        if cuts == 3 {
            // Three that end within their first second would be taken for a fight over the client identifier.
            pause_for(Duration::from_millis(1_100));
        }
        proxy.set(before);
        pause_for(Duration::from_millis(50));
        proxy.cut(how);
        proxy.set(Mode::Pass);
    }
    eventually("amber is connected", || equal(amber.metric("amber_connections_total"), f64::from(cuts + 1)));
    load.wait_for(100);
    proxy.set(Mode::BlackHole);
    eventually("amber notices the silence", || {
        equal(amber.metric("amber_connection_failures_total"), f64::from(cuts + 1))
    });
    proxy.set(Mode::Pass);
    numbers::assert_exactly_once(&load.end(), broker.port, &mut amber, home);
}

#[test]
fn cuts_between_amber_and_its_broker_cost_no_message_and_double_none_over_mqtt_5() {
    cut(&Home::postgres(), "5");
}

#[test]
fn cuts_between_amber_and_its_broker_cost_no_message_and_double_none_over_mqtt_3_1_1() {
    cut(&Home::sqlite(), "3.1.1");
}

#[test]
fn cuts_between_amber_and_its_database_cost_no_message_and_double_none() {
    let home = Home::postgres();
    let Home::Postgres(database) = &home else { unreachable!("it was made so") };
    let broker = Mosquitto::start();
    let proxy = Proxy::to(database.port);
    let config = numbers::config(&broker.url(), &database.url_through(proxy.port), "client_id = \"gateway-7\"");
    let mut amber = Amber::run(&config);
    let load = Load::start(broker.port, PAUSE);
    for round in 0..9 {
        // By then the last cut has been noticed, and mended.
        load.wait_for(100);
        amber.wait_ready();
        match round % 3 {
            0 => proxy.cut(Cut::Close),
            1 => proxy.cut(Cut::Reset),
            _ => {
                // Each statement that stores a batch bears the name of the writer: it is done, and nobody hears of it.
                proxy.swallow_answer_to("gateway-7");
                eventually("messages gather behind the batch in doubt", || {
                    let in_hand = amber.metric("amber_in_hand_messages")?;
                    if in_hand > 100.0 { Ok(()) } else { Err(format!("{in_hand} in hand")) }
                });
                proxy.set(Mode::Pass);
                proxy.cut(Cut::Reset);
            }
        }
    }
    load.wait_for(100);
    amber.wait_ready();
    let in_doubt = amber.metric("amber_write_failures_total{kind=\"in_doubt\"}").unwrap();
    assert!(in_doubt >= 3.0, "{in_doubt} batches were in doubt");
    assert_eq!(amber.metric("amber_connections_total"), Ok(1.0));
    assert_eq!(amber.metric("amber_store_went_back_total"), Ok(0.0));
    numbers::assert_exactly_once(&load.end(), broker.port, &mut amber, &home);
}

/// Three times the keep-alive. `AMBER_LONG` asks for five minutes: the limits of a statement and of a connect strike then.
fn stopped() -> Duration {
    Duration::from_secs(if std::env::var_os("AMBER_LONG").is_some() { 300 } else { 15 })
}

#[test]
fn a_database_that_does_not_answer_costs_neither_the_connection_to_the_broker_nor_memory() {
    const MESSAGES: u64 = 40_000;
    let server = Postgres::start();
    let home = Home::Postgres(server.database());
    let broker = Mosquitto::start();
    let amber = Amber::run(&numbers::config(&broker.url(), &home.url(), "keep_alive = \"5s\""));
    let mut publisher = Publisher::connect(broker.port, "publisher");
    publisher.publish_numbers(TOPIC, 0..100, Qos::AtLeastOnce);
    server.pause();
    publisher.publish_numbers(TOPIC, 100..MESSAGES, Qos::AtLeastOnce);
    pause_for(stopped());
    let (status, reason) = amber.get("/ready").unwrap();
    assert!(status == 503 && reason.contains("no answer"), "{reason}");
    let in_hand = amber.metric("amber_in_hand_messages").unwrap();
    assert!(in_hand > 100.0 && in_hand <= 30_000.0, "{in_hand} messages are in hand");
    assert!(amber.metric("amber_in_hand_bytes").unwrap() <= f64::from(32 << 20));
    assert!(amber.metric("amber_oldest_unsettled_seconds").unwrap() >= 10.0);
    let memory = amber.metric("process_resident_memory_bytes").unwrap();
    assert!(memory <= f64::from(128 << 20), "{memory} bytes of memory");
    server.resume();
    eventually("all is stored", || {
        equal(amber.metric("amber_rows_written_total{measurement=\"numbers\"}"), MESSAGES as f64)
    });
    assert_eq!(amber.metric("amber_connections_total"), Ok(1.0));
    assert_eq!(amber.metric("amber_connection_failures_total"), Ok(0.0));
    let log = broker.log();
    let ended: Vec<&str> = log.lines().filter(|line| line.contains("Client amber") && !line.contains("PING")).collect();
    assert!(ended.is_empty(), "{ended:?}");
    let stored = numbers::stored(&home);
    assert_eq!(stored.len() as u64, MESSAGES);
    assert!(stored.values().all(|&count| count == 1), "some are there twice");
}

#[test]
fn messages_of_qos_0_beyond_the_limit_in_hand_are_dropped_and_counted() {
    const MESSAGES: u64 = 40_000;
    let server = Postgres::start();
    let home = Home::Postgres(server.database());
    let broker = Mosquitto::start();
    let amber = Amber::run(&numbers::config(&broker.url(), &home.url(), "keep_alive = \"5s\""));
    server.pause();
    let mut publisher = Publisher::connect(broker.port, "publisher");
    publisher.publish_numbers(TOPIC, 0..MESSAGES, Qos::AtMostOnce);
    // Through the same connection: behind all of them.
    publisher.publish_numbers(TOPIC, MESSAGES..MESSAGES + 1, Qos::AtLeastOnce);
    eventually("all have come", || equal(amber.metric("amber_messages_received_total{qos=\"1\"}"), 1.0));
    let received = amber.metric("amber_messages_received_total{qos=\"0\"}").unwrap();
    let dropped = amber.metric("amber_messages_dropped_total{reason=\"overload\"}").unwrap();
    assert!(dropped > 0.0 && received > dropped, "{received} received, {dropped} dropped");
    server.resume();
    // What was taken is stored, what is counted as dropped is not.
    eventually("the rest is stored", || {
        equal(amber.metric("amber_rows_written_total{measurement=\"numbers\"}"), received - dropped + 1.0)
    });
    assert_eq!(home.count("numbers") as f64, received - dropped + 1.0);
    let said = "too many messages in hand; those of qos 0 are dropped";
    assert_eq!(amber.log().matches(said).count(), 1, "once per change of state");
}
