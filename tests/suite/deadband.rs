//! `deadband` and `heartbeat`: what is as before is left out, and nothing because of a value that was not stored.

use amber::message::Qos;

use crate::restore::{back_up, put_back};
use crate::support::binary::Amber;
use crate::support::client::Publisher;
use crate::support::folder::Folder;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::settings;
use crate::support::postgres;
use crate::support::proxy::{Cut, Mode, Proxy};
use crate::support::sql::Texts;
use crate::support::{Random, equal, eventually, eventually_within, pause_for};

const MAPPING: &str = r#"
[mapping.tank]
topic = "tank/{tank}"
time  = "ts"
[mapping.tank.fields]
level = { deadband = 0.5, heartbeat = "10m" }
pump  = { type = "text", deadband = 0 }
seen  = { type = "int" }
"#;

/// Amber that stores each message for itself, or what comes within a second together.
#[track_caller]
fn amber(broker: &Mosquitto, home: &Home, together: bool) -> Amber {
    let mut amber =
        Amber::new(&(settings(&broker.url(), &home.url(), &format!("client_id = \"amber-{home}\"")) + MAPPING));
    amber.env("AMBER__STORE__COMMIT_INTERVAL", if together { "1s" } else { "0s" });
    amber.start();
    amber.wait_ready();
    amber
}

/// The start of the payload times, 2026-11-25T12:00:00Z.
const NOON: i64 = 1_795_608_000;

fn payload(second: i64, members: &str) -> Vec<u8> {
    format!("{{\"ts\":{},{members}}}", NOON + second).into_bytes()
}

/// Second, level, pump, seen of every row.
fn rows(home: &Home) -> Vec<Texts> {
    let second = if home.is_postgres() {
        format!("(extract(epoch from time) - {NOON})::int8")
    } else {
        format!("time / 1000000 - {NOON}")
    };
    let select = format!("select {second}, level, pump, seen from {} order by 1", home.view("tank"));
    home.sql().rows(&select).unwrap()
}

fn row(second: i64, level: Option<&str>, pump: Option<&str>, seen: Option<&str>) -> Texts {
    let own = |text: Option<&str>| text.map(str::to_owned);
    [vec![Some(second.to_string())], vec![own(level), own(pump), own(seen)]].concat().into_iter().collect()
}

/// SQLite's REAL and PostgreSQL's double print whole numbers each in their own way: none is used here.
const TEN: [(i64, &str); 10] = [
    (0, r#""level":20.25,"pump":"on""#),
    (60, r#""level":20.75,"pump":"on""#),
    (120, r#""level":20.8,"pump":"on""#),
    (180, r#""level":20.8,"pump":"off""#),
    (240, r#""level":21.3,"pump":"off","seen":1"#),
    (300, r#""level":21.2"#),
    // Late: older than the last one that is stored, and kept.
    (30, r#""level":20.8"#),
    (720, r#""level":20.9,"pump":"off""#),
    (1_320, r#""level":20.9,"pump":"off""#),
    (1_330, r#""level":99.5,"pump":"on""#),
];

fn expected() -> Vec<Texts> {
    vec![
        row(0, Some("20.25"), Some("on"), None),
        row(30, Some("20.8"), None, None),
        // 0.55 from 20.25; 20.75 was not.
        row(120, Some("20.8"), None, None),
        row(180, None, Some("off"), None),
        row(240, None, None, Some("1")),
        // Ten minutes after the level at 120.
        row(720, Some("20.9"), None, None),
        row(1_320, Some("20.9"), None, None),
        row(1_330, Some("99.5"), Some("on"), None),
    ]
}

#[test]
fn ten_messages_become_the_rows_in_which_something_is_new_one_by_one_and_together() {
    for together in [false, true] {
        for home in Home::both() {
            let broker = Mosquitto::start();
            let mut amber = amber(&broker, &home, together);
            let mut publisher = Publisher::connect(broker.port, "publisher");
            for (n, (second, members)) in TEN.iter().enumerate() {
                publisher.publish("tank/a", payload(*second, members), Qos::AtLeastOnce);
                if !together {
                    let done = (n + 1) as f64;
                    eventually("it is settled", || equal(amber.metric("amber_acknowledged_total"), done));
                }
            }
            eventually("all are acknowledged", || equal(amber.metric("amber_acknowledged_total"), 10.0));
            assert_eq!(rows(&home), expected(), "{home}, together: {together}");
            let metric = |name: &str| amber.metric(&format!("amber_{name}_total{{measurement=\"tank\"}}"));
            assert_eq!(metric("rows_written"), Ok(8.0));
            assert_eq!(metric("rows_unchanged"), Ok(2.0), "at 60 and at 300");
            // 60: both; 120: pump; 180: level; 240: both; 300: level; 720 and 1320: pump.
            assert_eq!(metric("fields_unchanged"), Ok(9.0));
            assert_eq!(home.count("rejects"), 0);
            if together {
                assert_eq!(amber.metric("amber_batches_written_total"), Ok(1.0));
            }
            // What is known is forgotten with the process, and nothing comes again.
            assert!(amber.terminate().success());
            amber.start();
            amber.wait_ready();
            for second in [1_340, 1_350] {
                publisher.publish("tank/a", payload(second, r#""level":99.5"#), Qos::AtLeastOnce);
            }
            eventually("both are acknowledged", || equal(amber.metric("amber_acknowledged_total"), 2.0));
            let mut expected = expected();
            expected.push(row(1_340, Some("99.5"), None, None));
            assert_eq!(rows(&home), expected, "{home}: one row more");
        }
    }
}

#[test]
fn values_of_a_column_or_table_that_is_gone_are_stored_again() {
    let broker = Mosquitto::start();
    for home in Home::both() {
        let amber = amber(&broker, &home, false);
        let mut publisher = Publisher::connect(broker.port, "publisher");
        let mut count = 0.0;
        let mut publish = |second, members: &str| {
            publisher.publish("tank/a", payload(second, members), Qos::AtLeastOnce);
            count += 1.0;
            eventually("it is acknowledged", || equal(amber.metric("amber_acknowledged_total"), count));
        };
        let (view, data) = (home.view("tank"), home.table("tank_data"));
        publish(0, r#""level":20.5,"pump":"on","seen":1"#);
        publish(1, r#""level":20.5,"pump":"on","seen":2"#);
        home.sql().run(&format!("drop view {view}; alter table {data} drop column level"));
        // Also the row by which it is found out.
        publish(2, r#""level":20.5,"pump":"on","seen":3"#);
        publish(3, r#""level":20.5,"pump":"on","seen":4"#);
        let expected = [
            row(0, None, Some("on"), Some("1")),
            row(1, None, None, Some("2")),
            row(2, Some("20.5"), Some("on"), Some("3")),
            row(3, None, None, Some("4")),
        ];
        assert_eq!(rows(&home), expected, "{home}");
        home.sql().run(&format!("drop view {view}; drop table {data}"));
        publish(4, r#""level":20.5,"pump":"on","seen":5"#);
        publish(5, r#""level":20.5,"pump":"on","seen":6"#);
        let expected = [row(4, Some("20.5"), Some("on"), Some("5")), row(5, None, None, Some("6"))];
        assert_eq!(rows(&home), expected, "{home}");
    }
}

#[test]
fn what_the_store_refuses_makes_nothing_behind_it_look_as_before() {
    let broker = Mosquitto::start();
    for home in Home::both() {
        let amber = amber(&broker, &home, true);
        home.sql().run(if home.is_postgres() {
            "alter table amber_store.tank_data add constraint not_too_much check (seen < 100)"
        } else {
            "create trigger not_too_much before insert on store_tank_data when new.seen >= 100
             begin select raise(abort, 'not_too_much'); end"
        });
        let mut publisher = Publisher::connect(broker.port, "publisher");
        publisher.publish("tank/a", payload(0, r#""level":20.5"#), Qos::AtLeastOnce);
        eventually("the first is acknowledged", || equal(amber.metric("amber_acknowledged_total"), 1.0));
        let batch = [
            (1, r#""level":20.6"#),
            (2, r#""level":30.5,"seen":451"#),
            (3, r#""level":30.6"#),
            (4, r#""level":30.7,"pump":"on""#),
        ];
        publisher.publish_all(
            Qos::AtLeastOnce,
            batch.map(|(second, members)| ("tank/a".to_owned(), payload(second, members))),
        );
        eventually("all are acknowledged", || equal(amber.metric("amber_acknowledged_total"), 5.0));
        assert_eq!(amber.metric("amber_batches_written_total"), Ok(2.0));
        publisher.publish("tank/a", payload(5, r#""level":30.6,"pump":"on""#), Qos::AtLeastOnce);
        eventually("the last is acknowledged", || equal(amber.metric("amber_acknowledged_total"), 6.0));
        let expected = [
            row(0, Some("20.5"), None, None),
            row(3, Some("30.6"), None, None),
            // Careful: the one before might have been refused too.
            row(4, Some("30.7"), Some("on"), None),
        ];
        assert_eq!(rows(&home), expected, "{home}");
        assert_eq!(home.count("rejects"), 1);
    }
}

#[test]
fn over_kills_no_change_is_lost_and_each_life_has_one_row_more() {
    const STEPS: i64 = 400;
    const ALIKE: i64 = 20;
    const KILLS: i64 = 8;
    for home in Home::both() {
        let broker = Mosquitto::start();
        let mapping = "\n[mapping.n]\ntopic = \"n/{device}\"\nfields = { v = { type = \"int\", deadband = 0 } }\n";
        let mut amber = Amber::run(&(settings(&broker.url(), &home.url(), "") + mapping));
        assert!(amber.terminate().success());
        let mut publisher = Publisher::connect(broker.port, "publisher");
        let messages = (0..STEPS * ALIKE).map(|n| ("n/1".to_owned(), format!("{{\"v\":{}}}", n / ALIKE).into_bytes()));
        publisher.publish_all(Qos::AtLeastOnce, messages);
        amber.start();
        let mut random = Random(7);
        for _ in 0..KILLS {
            pause_for(std::time::Duration::from_millis(random.between(50, 500)));
            amber.kill();
            amber.start();
        }
        publisher.publish("n/1", format!("{{\"v\":{STEPS}}}"), Qos::AtLeastOnce);
        let view = home.view("n");
        let mut sql = home.sql();
        let last = format!("select count(*) from {view} where v = {STEPS}");
        eventually_within(std::time::Duration::from_secs(60), "the last one is stored", || equal(sql.number(&last), 1));
        assert_eq!(
            sql.number(&format!("select count(distinct v) from {view}")),
            Ok(STEPS + 1),
            "{home}: no value is lost"
        );
        let rows = home.count("n");
        assert!(rows <= STEPS + 1 + KILLS, "{home}: {rows} rows of {} values and {KILLS} kills", STEPS + 1);
    }
}

#[test]
fn a_commit_in_doubt_counts_once_it_is_known_to_be_stored_and_not_before() {
    let (broker, database) = (Mosquitto::start(), postgres::database());
    let proxy = Proxy::to(database.port);
    let amber = Amber::run(&(settings(&broker.url(), &database.url_through(proxy.port), "") + MAPPING));
    let home = Home::Postgres(database);
    let mut publisher = Publisher::connect(broker.port, "publisher");
    let mut publish = |second, members: &str| publisher.publish("tank/a", payload(second, members), Qos::AtLeastOnce);
    let acknowledged =
        |count| eventually("they are acknowledged", || equal(amber.metric("amber_acknowledged_total"), count));
    let in_doubt = || amber.metric("amber_write_failures_total{kind=\"in_doubt\"}");
    publish(0, r#""level":20.25"#);
    acknowledged(1.0);
    // Stored, and the answer is lost: what waits behind it is as before.
    proxy.swallow_answer_to("marked");
    publish(1, r#""level":30.25,"pump":"marked""#);
    publish(2, r#""level":30.25"#);
    eventually("it is stored", || equal(Ok(home.count("tank")), 2));
    proxy.set(Mode::Pass);
    proxy.cut(Cut::Reset);
    acknowledged(3.0);
    assert_eq!(in_doubt(), Ok(1.0), "nothing was put to the test");
    // The new connection knows the series now, so that the batch is the next thing that is said.
    publish(3, r#""seen":1"#);
    acknowledged(4.0);
    // Sent, and never stored: the same batch goes again, and is not as before because it was sent once.
    proxy.set(Mode::DownstreamOnly);
    publish(4, r#""level":40.25"#);
    publish(5, r#""level":40.25"#);
    eventually("both are in hand", || equal(amber.metric("amber_in_hand_messages"), 2.0));
    proxy.set(Mode::Pass);
    proxy.cut(Cut::Reset);
    acknowledged(6.0);
    assert_eq!(in_doubt(), Ok(2.0), "nothing was put to the test");
    let expected = [
        row(0, Some("20.25"), None, None),
        row(1, Some("30.25"), Some("marked"), None),
        row(3, None, None, Some("1")),
        row(4, Some("40.25"), None, None),
    ];
    assert_eq!(rows(&home), expected);
}

#[test]
fn what_a_backup_lacks_is_not_taken_for_stored() {
    for home in Home::both() {
        let (broker, folder) = (Mosquitto::start(), Folder::new());
        let amber = amber(&broker, &home, false);
        let mut publisher = Publisher::connect(broker.port, "publisher");
        let mut publish = |second, members: &str, count| {
            publisher.publish("tank/a", payload(second, members), Qos::AtLeastOnce);
            eventually("it is acknowledged", || equal(amber.metric("amber_acknowledged_total"), count));
        };
        publish(0, r#""level":20.25"#, 1.0);
        let backup = back_up(&home, &folder);
        publish(1, r#""level":30.25"#, 2.0);
        put_back(&home, &backup);
        publish(2, r#""level":30.25"#, 3.0);
        publish(3, r#""level":30.25"#, 4.0);
        let expected = [row(0, Some("20.25"), None, None), row(2, Some("30.25"), None, None)];
        assert_eq!(rows(&home), expected, "{home}");
        assert_eq!(amber.metric("amber_store_went_back_total"), Ok(1.0));
    }
}

#[test]
fn of_a_series_too_many_every_message_is_a_reject_though_they_are_alike() {
    for home in Home::both() {
        let broker = Mosquitto::start();
        let mapping = "\n[mapping.n]\ntopic = \"n/{device}\"\nmax_series = 1\nfields = { v = { type = \"int\", deadband = 0 } }\n";
        let mut amber = Amber::new(&(settings(&broker.url(), &home.url(), "") + mapping));
        amber.env("AMBER__STORE__COMMIT_INTERVAL", "1s");
        amber.start();
        amber.wait_ready();
        let mut publisher = Publisher::connect(broker.port, "publisher");
        publisher.publish("n/known", "{\"v\":1}", Qos::AtLeastOnce);
        eventually("the first is acknowledged", || equal(amber.metric("amber_acknowledged_total"), 1.0));
        let batch = [("n/new", 7), ("n/known", 1), ("n/new", 7), ("n/known", 2), ("n/new", 7)];
        let batch = batch.map(|(topic, v)| (topic.to_owned(), format!("{{\"v\":{v}}}").into_bytes()));
        publisher.publish_all(Qos::AtLeastOnce, batch);
        eventually("all are acknowledged", || equal(amber.metric("amber_acknowledged_total"), 6.0));
        assert_eq!(amber.metric("amber_batches_written_total"), Ok(2.0), "all are in one batch");
        let rejects = format!(
            "select count(*) from {} where reason = 'too_many_series' and topic = 'n/new'",
            home.view("rejects")
        );
        assert_eq!(home.sql().number(&rejects), Ok(3), "{home}");
        let stored = home.sql().rows(&format!("select device, v from {} order by v", home.view("n"))).unwrap();
        let known = |v: &str| -> Texts { [Some("known".to_owned()), Some(v.to_owned())].into_iter().collect() };
        assert_eq!(stored, [known("1"), known("2")], "{home}");
        assert_eq!(amber.metric("amber_rows_unchanged_total{measurement=\"n\"}"), Ok(1.0));
    }
}

#[test]
fn a_row_whose_fields_are_as_before_and_whose_others_found_no_column_is_counted_with_its_batch_and_told() {
    for home in Home::both() {
        let broker = Mosquitto::start();
        let mapping = "\n[mapping.n]\ntopic = \"n/{device}\"\nothers = \"add\"\nfields = { v = { type = \"int\", deadband = 0 } }\n";
        let mut amber = Amber::new(&(settings(&broker.url(), &home.url(), "") + mapping));
        amber.start();
        amber.wait_ready();
        let mut publisher = Publisher::connect(broker.port, "publisher");
        let mut send = |n: f64, payload: &str| {
            publisher.publish("n/a", payload, Qos::AtLeastOnce);
            eventually("it is acknowledged", || equal(amber.metric("amber_acknowledged_total"), n));
        };
        send(1.0, r#"{"v":1,"x":1.5}"#);
        // `x` is a float.
        send(2.0, r#"{"v":1,"x":"no number"}"#);
        assert_eq!((home.count("n"), home.count("rejects")), (1, 0), "{home}");
        let metric = |name: &str| amber.metric(&format!("amber_{name}"));
        assert_eq!(metric("fields_dropped_total{field=\"others\",mapping=\"n\"}"), Ok(1.0));
        assert_eq!(metric("rows_unchanged_total{measurement=\"n\"}"), Ok(1.0));
        let log = amber.log();
        assert!(log.contains("a value that no field lists is of another type"), "{log}");
        // Without a field it is a reject.
        send(3.0, r#"{"x":"no number"}"#);
        assert_eq!((home.count("n"), home.count("rejects")), (1, 1), "{home}");
    }
}

#[test]
fn in_a_table_of_ones_own_too_only_what_is_new_is_stored() {
    for home in Home::both() {
        let broker = Mosquitto::start();
        let time = if home.is_postgres() { "timestamptz" } else { "INTEGER" };
        let mapping = "\n[mapping.n]\ntopic = \"n/{device}\"\ntable = \"readings\"\nfields = { v = { type = \"int\", deadband = 1 }, w = { type = \"int\" } }\n";
        let mut amber = Amber::new(&(settings(&broker.url(), &home.url(), "") + mapping));
        amber.start();
        eventually("it waits for its table", || match amber.get("/ready")? {
            (503, why) if why.contains("is not there, and Amber does not make it") => Ok(()),
            other => Err(format!("{other:?}")),
        });
        home.sql().run(&format!("create table readings (\"time\" {time}, device text, v bigint, w bigint)"));
        amber.wait_ready();
        let mut publisher = Publisher::connect(broker.port, "publisher");
        let payloads = [r#"{"v":1}"#, r#"{"v":2}"#, r#"{"v":2,"w":5}"#, r#"{"v":3}"#, r#"{"v":4}"#];
        for (n, payload) in payloads.into_iter().enumerate() {
            publisher.publish("n/a", payload, Qos::AtLeastOnce);
            eventually("it is acknowledged", || equal(amber.metric("amber_acknowledged_total"), (n + 1) as f64));
        }
        let stored = home.sql().rows("select v, w from readings order by time").unwrap();
        let some = |text: &str| Some(text.to_owned());
        let expected: [Texts; 3] = [vec![some("1"), None], vec![None, some("5")], vec![some("3"), None]];
        assert_eq!(stored, expected, "{home}");
    }
}
