//! Edits of what the tables are: a measurement that goes and comes back, a tag more, another retention.

use super::{apply, publish, wait_for_rows};
use crate::support::binary::Amber;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers;
use crate::support::{equal, eventually};

#[test]
fn a_measurement_goes_and_comes_back_with_a_tag_more_and_keeps_its_rows_and_devices() {
    for home in Home::both() {
        let broker = Mosquitto::start();
        let base = numbers::config(&broker.url(), &home.url(), "");
        let with = |topic: &str| format!("{base}[mapping.climate]\ntopic = \"{topic}\"\nfields = {{ v = {{}} }}\n");
        let mut amber = Amber::new(&with("climate/{device}"));
        amber.env("AMBER__STORE__DEVICES_INTERVAL", "50ms");
        amber.start();
        amber.wait_ready();
        let mut sql = home.sql();
        let mut devices = |condition: &str, count: i64| {
            let select =
                format!("select count(*) from {} where measurement = 'climate' {condition}", home.view("devices"));
            eventually(&format!("{home}: {select}"), || equal(sql.number(&select), count));
        };
        publish(&broker, "climate/a", "{\"v\":1}");
        wait_for_rows(&home, "climate", "v = 1", 1);
        devices("and device = 'a'", 1);

        apply(&amber, &base);
        publish(&broker, "climate/a", "{\"v\":2}");
        publish(&broker, "n/1", "{\"n\":1}");
        wait_for_rows(&home, "numbers", "n = 1", 1);
        wait_for_rows(&home, "climate", "1 = 1", 1);
        devices("and device = 'a'", 1);

        apply(&amber, &with("climate/{device}/{room}"));
        publish(&broker, "climate/a", "{\"v\":3}");
        publish(&broker, "climate/a/attic", "{\"v\":4}");
        wait_for_rows(&home, "climate", "v = 4 and room = 'attic'", 1);
        wait_for_rows(&home, "climate", "1 = 1", 2);
        devices("", 2);
        devices("and device = 'a / attic'", 1);

        // As it was at first: its device is the one of before.
        apply(&amber, &with("climate/{device}"));
        publish(&broker, "climate/a", "{\"v\":5}");
        wait_for_rows(&home, "climate", "v = 5", 1);
        devices("", 2);
        devices("and cast(last_values ->> 'v' as text) in ('5', '5.0')", 1);
        assert!(amber.terminate().success());
    }
}

#[test]
fn a_retention_that_is_edited_holds_for_new_rows_at_once_and_deletes_old_ones_only_after_a_while() {
    for home in Home::both() {
        let broker = Mosquitto::start();
        let base = numbers::config(&broker.url(), &home.url(), "");
        let with = |retention: &str| {
            format!("{base}[mapping.old]\ntopic = \"old\"\n{retention}\ntime = \"ts\"\nfields = {{ v = {{}} }}\n")
        };
        let now = amber::message::Time::now().0.unsigned_abs() / 1_000_000;
        let sent =
            |v: u32, hours: u64| publish(&broker, "old", &format!("{{\"v\":{v},\"ts\":{}}}", now - hours * 3_600));
        let amber = Amber::run(&with(""));
        sent(1, 5);
        sent(2, 0);
        wait_for_rows(&home, "old", "v in (1, 2)", 2);

        apply(&amber, &with("retention = \"2h\""));
        let says = "a retention is shorter than it was, or new";
        eventually(says, || amber.log().contains(says).then_some(()).ok_or_else(|| amber.log()));
        sent(3, 5);
        sent(4, 1);
        wait_for_rows(&home, "old", "v = 4", 1);
        wait_for_rows(&home, "old", "v = 3", 0);
        eventually("it is counted", || equal(amber.metric("amber_rows_expired_total{measurement=\"old\"}"), 1.0));

        apply(&amber, &with(""));
        sent(5, 5);
        wait_for_rows(&home, "old", "v = 5", 1);
        wait_for_rows(&home, "old", "v in (1, 2, 4)", 3);
    }
}
