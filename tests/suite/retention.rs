//! `retention` as the service carries it out, whatever interrupts it, and a backup of what it has made.

use amber::message::{Qos, Time};

use crate::support::binary::Amber;
use crate::support::client::Publisher;
use crate::support::folder::Folder;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::{equal, eventually, numbers, postgres};

const CLIMATE: &str = "[mapping.climate]\ntopic = \"home/{room}/climate\"\ntime = \"ts\"\nnot_after = \"20d\"\nfields = [\"temperature\"]\n";
const KEPT: &str = "retention = \"30d\"\n";
const DAY: i64 = 86_400;

/// Of so many days ago.
fn reading(days: i64) -> (String, Vec<u8>) {
    let ts = Time::now().0 / 1_000_000 - days * DAY;
    ("home/kitchen/climate".to_owned(), format!("{{\"ts\":{ts},\"temperature\":21.5}}").into_bytes())
}

fn is_partitioned(home: &Home) -> Result<(), String> {
    let kind = home.sql().value("select relkind::text from pg_class where oid = 'amber_store.climate_data'::regclass");
    equal(kind, "p".to_owned()).map(drop)
}

#[test]
fn a_retention_on_a_full_store_is_carried_out_whatever_interrupts_it_and_a_backup_of_it_goes_on() {
    for home in Home::both() {
        let broker = Mosquitto::start();
        let mut amber = Amber::run(&(numbers::settings(&broker.url(), &home.url(), "") + CLIMATE));
        let mut publisher = Publisher::connect(broker.port, "publisher");
        publisher.publish_all(Qos::AtLeastOnce, (0..50).map(reading));
        let stored = |count: i64| eventually("all are stored", || equal(Ok(home.count("climate")), count));
        stored(50);
        amber.kill();
        let mut reader = home.sql();
        reader.run("begin");
        reader.rows(&format!("select * from {}", home.view("climate"))).unwrap();
        amber.configure(&(numbers::settings(&broker.url(), &home.url(), "") + CLIMATE + KEPT));
        amber.start();
        amber.wait_ready();
        // A reader delays no row, and the old ones go.
        publisher.publish_all(Qos::AtLeastOnce, [reading(20), reading(40), reading(0)]);
        stored(32);
        eventually("the one that came too late is counted", || {
            equal(amber.metric("amber_rows_expired_total{measurement=\"climate\"}"), 1.0)
        });
        amber.kill();
        publisher.publish_all(Qos::AtLeastOnce, [reading(1), reading(-15)]);
        reader.run("commit");
        amber.start();
        amber.wait_ready();
        stored(34);
        if !home.is_postgres() {
            assert_eq!(home.count("rejects"), 0);
            continue;
        }
        eventually("the table is partitioned", || is_partitioned(&home));
        publisher.publish_all(Qos::AtLeastOnce, [reading(2), reading(-19)]);
        stored(36);
        assert!(amber.terminate().success());
        assert_eq!(home.count("rejects"), 0);
        let parts = "select string_agg(inhrelid::regclass::text, ' ' order by inhrelid::regclass::text) from pg_inherits where inhparent = 'amber_store.climate_data'::regclass";
        let before = home.sql().value(parts).unwrap();

        let (folder, database) = (Folder::new(), postgres::database());
        let Home::Postgres(from) = &home else { panic!("it is SQLite") };
        from.dump(&folder.join("backup"));
        database.restore(&folder.join("backup"));
        let copy = Home::Postgres(database);
        assert_eq!(copy.sql().value(parts), Ok(before));
        amber.env("AMBER__STORE__URL", &copy.url());
        let checked = amber.command(&["check", "--connect"]);
        let text = String::from_utf8_lossy(&checked.stdout);
        assert!(
            checked.status.success() && text.contains("-- the store has all that the mappings need\n"),
            "{checked:?}"
        );
        amber.start();
        amber.wait_ready();
        publisher.publish_all(Qos::AtLeastOnce, [reading(3), reading(-18)]);
        eventually("both are stored", || equal(Ok(copy.count("climate")), 38));
        is_partitioned(&copy).unwrap();
        assert_eq!(home.count("climate"), 36);
    }
}

#[test]
fn explain_shows_rows_that_are_too_old_beside_those_that_are_kept() {
    let mapping = "[mapping.climate]\ntopic = \"home/{room}/climate\"\nrows = \"log[]\"\ntime = \"ts\"\nfields = [\"temperature\"]\nretention = \"30d\"\n";
    let amber = Amber::new(&(numbers::settings("mqtt://localhost", "sqlite:amber.db", "") + mapping));
    let now = Time::now().0 / 1_000_000;
    let at = |days: i64| format!("{{\"ts\":{},\"temperature\":{days}}}", now - days * DAY);
    let payload = format!("{{\"log\":[{},{},{}]}}", at(1), at(31), at(90));
    let shown = amber.command(&["explain", "--json", "home/hall/climate", &payload]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!((&shown["outcome"], shown["rows"].as_array().map(Vec::len)), (&"rows".into(), Some(1)), "{shown}");
    assert_eq!(shown["expired"], serde_json::json!([{ "measurement": "climate", "rows": 2 }]));
}
