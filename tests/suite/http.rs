//! What Amber shows of itself: `/health`, `/ready`, `/metrics`, and `amber health`.

use amber::message::Qos;

use crate::support::binary::Amber;
use crate::support::client::Publisher;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::{self, TOPIC};
use crate::support::{equal, eventually};

#[test]
fn after_some_traffic_the_metrics_show_the_counts() {
    let broker = Mosquitto::start();
    for home in Home::both() {
        let lines = format!("client_id = \"amber-{home}\"");
        let mut amber = Amber::run(&numbers::config(&broker.url(), &home.url(), &lines));
        let mut publisher = Publisher::connect(broker.port, "publisher");
        for (qos, numbers) in [(Qos::AtMostOnce, 0..10), (Qos::AtLeastOnce, 10..30), (Qos::ExactlyOnce, 30..60)] {
            publisher.publish_numbers(TOPIC, numbers, qos);
        }
        publisher.publish(TOPIC, "{\"n\":\"many\"}", Qos::AtLeastOnce);
        publisher.publish(TOPIC, "{}", Qos::AtLeastOnce);
        eventually("all is stored", || equal(Ok((home.count("numbers"), home.count("rejects"))), (60, 1)));
        for (metric, wanted) in [
            ("amber_messages_received_total{qos=\"0\"}", 10.0),
            ("amber_messages_received_total{qos=\"1\"}", 22.0),
            ("amber_messages_received_total{qos=\"2\"}", 30.0),
            ("amber_messages_redelivered_total", 0.0),
            ("amber_messages_ignored_total{reason=\"empty\"}", 1.0),
            ("amber_messages_dropped_total{reason=\"overload\"}", 0.0),
            ("amber_rejects_total{reason=\"field\"}", 1.0),
            ("amber_rows_written_total{measurement=\"numbers\"}", 60.0),
            ("amber_acknowledged_total", 52.0),
            ("amber_in_hand_messages", 0.0),
            ("amber_in_hand_bytes", 0.0),
            ("amber_oldest_unsettled_seconds", 0.0),
            ("amber_connections_total", 1.0),
            ("amber_connection_failures_total", 0.0),
            ("amber_up{side=\"broker\"}", 1.0),
            ("amber_up{side=\"store\"}", 1.0),
            // Every acknowledgement is confirmed by a PINGRESP within a moment.
            ("amber_ledger_entries", 0.0),
        ] {
            eventually(metric, || equal(amber.metric(metric), wanted));
        }
        let batches = amber.metric("amber_batches_written_total").unwrap();
        assert!((1.0..=61.0).contains(&batches), "{batches} batches");
        assert_eq!(amber.metric("amber_commit_seconds_count"), Ok(batches));
        assert!(amber.metric("amber_commit_seconds_sum").unwrap() > 0.0);
        let (_, text) = amber.get("/metrics").unwrap();
        assert!(!text.contains(TOPIC), "no topic name is shown");
        assert!(amber.terminate().success());
    }
}

#[test]
fn health_tells_by_its_exit_code_whether_amber_lives() {
    let broker = Mosquitto::start();
    let home = Home::sqlite();
    let mut amber = Amber::new(&numbers::config(&broker.url(), &home.url(), ""));
    let output = amber.command(&["health"]);
    assert_eq!(output.status.code(), Some(1), "nobody listens: {output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("[http] listen"), "{output:?}");
    amber.start();
    amber.wait_ready();
    let output = amber.command(&["health"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    amber.kill();
    assert_eq!(amber.command(&["health"]).status.code(), Some(1));
}

#[test]
fn ready_follows_the_broker_and_other_paths_are_not_there() {
    let mut broker = Mosquitto::start();
    let home = Home::sqlite();
    let amber = Amber::run(&numbers::config(&broker.url(), &home.url(), ""));
    assert_eq!(amber.get("/ready").unwrap(), (200, "ready\n".to_owned()));
    assert_eq!(amber.get("/nowhere").unwrap().0, 404);
    broker.stop();
    eventually("it is not ready", || match amber.get("/ready")? {
        (503, reason) if reason.starts_with("broker: ") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(amber.get("/health").unwrap().0, 200);
    broker.start_again();
    amber.wait_ready();
}
