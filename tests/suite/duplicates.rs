//! `on_duplicate` of a running Amber: what it counts, and that what was there already is acknowledged.

use amber::message::Qos;

use crate::support::binary::Amber;
use crate::support::client::Publisher;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::settings;
use crate::support::sql::Texts;
use crate::support::{equal, eventually};

/// What is sent: all of one time but the last.
const FIVE: [&str; 5] = [
    r#"{"ts":1795608000,"t":1.5}"#,
    r#"{"ts":1795608000,"h":2.5}"#,
    r#"{"ts":1795608000,"t":3.5}"#,
    r#"{"ts":1795608000,"t":1.5}"#,
    r#"{"ts":1795608060,"t":4.5}"#,
];

#[test]
fn messages_of_one_reading_are_acknowledged_and_counted_one_by_one_and_together() {
    for (on_duplicate, first) in [("ignore", ["1.5", ""]), ("replace", ["1.5", "2.5"])] {
        for (together, home) in [false, true].into_iter().flat_map(|together| Home::both().map(|home| (together, home)))
        {
            let broker = Mosquitto::start();
            let mapping = format!(
                "\n[mapping.air]\ntopic = \"air/{{room}}\"\ntime = \"ts\"\nfields = [\"t\", \"h\"]\non_duplicate = \"{on_duplicate}\"\n"
            );
            let mut amber = Amber::new(&(settings(&broker.url(), &home.url(), "") + &mapping));
            amber.env("AMBER__STORE__COMMIT_INTERVAL", if together { "1s" } else { "0s" });
            amber.start();
            amber.wait_ready();
            let mut publisher = Publisher::connect(broker.port, "publisher");
            for (n, payload) in FIVE.iter().enumerate() {
                publisher.publish("air/a", payload.as_bytes().to_vec(), Qos::AtLeastOnce);
                if !together {
                    let done = (n + 1) as f64;
                    eventually("it is settled", || equal(amber.metric("amber_acknowledged_total"), done));
                }
            }
            eventually("all are acknowledged", || equal(amber.metric("amber_acknowledged_total"), 5.0));
            let metric = |name: &str| amber.metric(&format!("amber_rows_{name}_total{{measurement=\"air\"}}"));
            assert_eq!(
                (metric("written"), metric("duplicate")),
                (Ok(2.0), Ok(3.0)),
                "{home} {on_duplicate} {together}"
            );
            let own = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let expected: [Texts; 2] = [first.map(own).to_vec(), ["4.5", ""].map(own).to_vec()];
            let found = home.sql().rows(&format!("select t, h from {} order by time", home.view("air"))).unwrap();
            assert_eq!(found, expected, "{home} {on_duplicate} {together}");
            assert_eq!(home.count("rejects"), 0);
        }
    }
}
