//! The embedded broker against clients that were written by others: Mosquitto's tools and paho.

use std::process::Command;

use amber::demo::broker::Script;
use amber::message::Qos;

use crate::support::client::{self, Publisher};
use crate::support::eventually;
use crate::support::served::Served;

#[test]
fn mosquitto_publishes_and_subscribes_at_every_quality_over_both_versions() {
    let served = Served::start(Script::default());
    for version in ["mqttv311", "mqttv5"] {
        for qos in ["0", "1", "2"] {
            let args =
                ["-V", version, "-q", qos, "-i", "subscriber", "-t", "a/+/#", "-C", "2", "-W", "30", "-F", "%t %q %p"];
            let listener = client::mosquitto_sub_started(served.port(), &args);
            served.wait_for("subscriber");
            for topic in ["a/b", "a/b/c", "b/a"] {
                client::mosquitto_pub(served.port(), &["-V", version, "-q", qos, "-t", topic, "-m", "é 1"]);
            }
            let came = client::lines(&listener.wait_with_output().unwrap().stdout);
            assert_eq!(came, [format!("a/b {qos} é 1"), format!("a/b/c {qos} é 1")], "{version}");
            eventually("the session has ended", || match served.broker().seen("subscriber") {
                None => Ok(()),
                seen => Err(format!("{seen:?}")),
            });
        }
    }
}

#[test]
fn messages_wait_for_a_session_that_lasts() {
    let served = Served::start(Script::default());
    for version in [&["-V", "mqttv311"][..], &["-V", "mqttv5", "-x", "3600"]] {
        let keep = [version, &["-c", "-i", "keeper", "-q", "2", "-t", "k/#"]].concat();
        client::mosquitto_sub(served.port(), &[&keep[..], &["-E"]].concat());
        let mut publisher = Publisher::connect(served.port(), "publisher");
        // In front of what is acknowledged, so that the broker has seen it before the client comes back.
        publisher.publish("k/0", "lost", Qos::AtMostOnce);
        publisher.publish_numbers("k/1", 0..150, Qos::AtLeastOnce);
        publisher.publish_numbers("k/2", 150..300, Qos::ExactlyOnce);
        let came = client::mosquitto_sub(served.port(), &[&keep[..], &["-C", "300", "-W", "30"]].concat());
        assert_eq!(came, (0..300).map(|n| format!("{{\"n\":{n}}}")).collect::<Vec<_>>());
        // The next round's CONNECT finds nothing left over.
        eventually("the last acknowledgement is taken", || {
            let seen = served.broker().seen("keeper").ok_or("no session")?;
            if seen.in_flight.is_empty() && !seen.connected { Ok(()) } else { Err(format!("{seen:?}")) }
        });
        served.broker().forget_sessions();
    }
}

#[test]
fn retained_messages_are_sent_to_new_subscribers_until_they_are_cleared() {
    let served = Served::start(Script::default());
    client::mosquitto_pub(served.port(), &["-r", "-t", "r/a", "-m", "kept", "-q", "1"]);
    let args = ["-t", "r/#", "-C", "1", "-W", "30", "-F", "%r %p"];
    assert_eq!(client::mosquitto_sub(served.port(), &args), ["1 kept"]);
    client::mosquitto_pub(served.port(), &["-r", "-t", "r/a", "-n"]);
    let args = ["-V", "mqttv5", "-i", "late", "-t", "r/#", "-C", "1", "-W", "30", "-F", "%r %p"];
    let listener = client::mosquitto_sub_started(served.port(), &args);
    served.wait_for("late");
    client::mosquitto_pub(served.port(), &["-r", "-t", "r/a", "-m", "live"]);
    assert_eq!(client::lines(&listener.wait_with_output().unwrap().stdout), ["0 live"]);
}

#[test]
fn the_will_of_a_client_that_is_lost_is_published() {
    let served = Served::start(Script::default());
    let args = ["-i", "heir", "-t", "will/#", "-C", "1", "-W", "30"];
    let listener = client::mosquitto_sub_started(served.port(), &args);
    served.wait_for("heir");
    let will = ["--will-topic", "will/x", "--will-payload", "gone", "-i", "mortal", "-t", "x"];
    let mut mortal = client::mosquitto_sub_started(served.port(), &will);
    served.wait_for("mortal");
    mortal.kill().unwrap();
    mortal.wait().unwrap();
    assert_eq!(client::lines(&listener.wait_with_output().unwrap().stdout), ["gone"]);
}

#[test]
fn paho_of_both_versions_talks_to_paho_of_both() {
    let served = Served::start(Script::default());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/exchange.py");
    let output = Command::new(client::python()).args([script, &served.port().to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
