//! The table of devices: last seen, usual interval, last values, silence; kept beside the readings and made right again
//! after whatever happens to it.

mod recipes;

use amber::message::Qos;

use crate::support::binary::Amber;
use crate::support::client::Publisher;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::settings;
use crate::support::sql::Texts;
use crate::support::{equal, eventually};

/// Sparse rows: each message has one value, or a few.
const CLIMATE: &str = r#"
[mapping.climate]
topic = "home/{room}/{device}"
time = "ts"
[mapping.climate.fields]
temperature = {}
count = { type = "int" }
open  = { type = "bool" }
note  = { type = "text" }
raw   = { type = "json" }
seen  = { type = "time" }
"#;

/// The start of the payload times, 2026-11-25T12:00:00Z.
const NOON: i64 = 1_795_608_000;
const HOUR: i64 = 3_600;

/// Amber that writes the devices at once, or only at its end.
fn amber_of(broker: &Mosquitto, home: &Home, mapping: &str, interval: &str) -> Amber {
    let mut amber = Amber::new(&(settings(&broker.url(), &home.url(), "") + mapping));
    amber.env("AMBER__STORE__DEVICES_INTERVAL", interval);
    amber
}

fn started(broker: &Mosquitto, home: &Home, mapping: &str, interval: &str) -> Amber {
    let mut amber = amber_of(broker, home, mapping, interval);
    amber.start();
    amber.wait_ready();
    amber
}

fn payload(second: i64, members: &str) -> Vec<u8> {
    format!("{{\"ts\":{},{members}}}", NOON + second).into_bytes()
}

/// A time of the view as seconds since noon.
fn seconds(home: &Home, column: &str) -> String {
    if home.is_postgres() {
        format!("round(extract(epoch from {column}) - {NOON})::int8")
    } else {
        format!("{column} / 1000000 - {NOON}")
    }
}

/// Of one device, in the order of `columns`.
fn device(home: &Home, device: &str, columns: &[&str]) -> Result<Texts, String> {
    let select = format!("select {} from {} where device = '{device}'", columns.join(", "), home.view("devices"));
    let mut rows = home.sql().rows(&select)?;
    if rows.len() == 1 { Ok(rows.remove(0)) } else { Err(format!("{} rows", rows.len())) }
}

fn value(field: &str) -> String {
    format!("last_values ->> '{field}'")
}

fn texts<const N: usize>(texts: [Option<&str>; N]) -> Texts {
    texts.map(|text| text.map(str::to_owned)).into_iter().collect()
}

/// Makes a test's own rows, as an earlier Amber has stored them: (series, seconds ago, temperature).
fn insert(home: &Home, rows: &str) {
    let (table, ago) = (home.table("climate_data"), |ago: &str| {
        if home.is_postgres() {
            format!("now() - {ago} * interval '1 second'")
        } else {
            format!("cast((unixepoch('subsec') - {ago}) * 1000000 as integer)")
        }
    });
    let (time, values) = (ago("v.ago"), rows);
    home.sql().run(&format!(
        "with v(device, ago, t) as ({values}) insert into {table} (time, series_id, received_at, temperature)
         select {time}, s.series_id, {time}, v.t from v join {} s on s.device = v.device",
        home.table("climate_series")
    ));
}

/// Series of the measurement, as an earlier Amber has made them.
fn insert_series(home: &Home, devices: &[&str]) {
    let table = home.table("climate_series");
    for device in devices {
        home.sql().run(&format!("insert into {table} (room, device) values ('attic', '{device}')"));
    }
}

/// `values` of so many rows of a device, `every` seconds, the newest `last` seconds ago.
fn regular(home: &Home, device: &str, count: i64, every: i64, last: i64) {
    let rows: Vec<String> =
        (0..count).map(|n| format!("select '{device}', {}, {n}.5", last + every * (count - 1 - n))).collect();
    insert(home, &rows.join(" union all "));
}

#[test]
fn last_values_are_the_newest_that_were_not_null_whatever_order_they_came_in() {
    for home in Home::both() {
        let broker = Mosquitto::start();
        let mut amber = started(&broker, &home, CLIMATE, "50ms");
        let mut publisher = Publisher::connect(broker.port, "publisher");
        let long = "é".repeat(300);
        let one_by_one = [
            (100, r#""temperature":20.25"#.to_owned()),
            (110, r#""count":9223372036854775807"#.to_owned()),
            (120, format!(r#""note":"{long}","raw":{{"a":1}}"#)),
            (130, r#""open":true,"seen":"2026-11-25T10:00:00Z""#.to_owned()),
            // Older than what is known of it, and than what is known at all.
            (90, r#""temperature":99.5"#.to_owned()),
            (140, r#""temperature":21.5,"note":"it's °C\"""#.to_owned()),
        ];
        for (n, (second, members)) in (1..).zip(&one_by_one) {
            publisher.publish("home/attic/t1", payload(*second, members), Qos::AtLeastOnce);
            if n == 3 {
                // What comes behind is merged with what is in the table.
                let note = format!("length({})", value("note"));
                eventually("the text is there, cut", || {
                    equal(device(&home, "attic / t1", &[&note]), texts([Some("256")]))
                });
            }
        }
        let (time, is_true) = (seconds(&home, "last_time"), if home.is_postgres() { "true" } else { "1" });
        let fields = ["temperature", "count", "note", "open", "seen", "raw"].map(value);
        let columns: Vec<&str> = fields.iter().chain([&time]).map(String::as_str).collect();
        let wanted = ["21.5", "9223372036854775807", "it's °C\"", is_true, "2026-11-25T10:00:00Z"].map(Some);
        let wanted = [texts(wanted), texts([None, Some("140")])].concat();
        eventually("all are the last", || equal(device(&home, "attic / t1", &columns), wanted.clone()));
        // An older row fills in what nothing is known of, and nothing else.
        publisher.publish("home/attic/t2", payload(100, r#""temperature":1.5"#), Qos::AtLeastOnce);
        eventually("it is known", || device(&home, "attic / t2", &["device"]));
        publisher.publish("home/attic/t2", payload(50, r#""temperature":2.5,"count":3"#), Qos::AtLeastOnce);
        let columns = [&*fields[0], &fields[1], &time];
        eventually("it is filled in", || {
            equal(device(&home, "attic / t2", &columns), texts([Some("1.5"), Some("3"), Some("100")]))
        });
        let tags = ["tags ->> 'room'", "tags ->> 'device'", "first_seen <= last_seen", "usual_interval_s is null"];
        let wanted = texts([Some("attic"), Some("t2"), Some(home_true(&home)), Some(home_true(&home))]);
        assert_eq!(device(&home, "attic / t2", &tags), Ok(wanted));
        assert_eq!(amber.metric("amber_devices_failures_total"), Ok(0.0), "{}", amber.log());
        assert!(amber.metric("amber_devices_written_total").unwrap() >= 4.0);
        assert!(amber.terminate().success());
    }
}

fn home_true(home: &Home) -> &'static str {
    if home.is_postgres() { "t" } else { "1" }
}

#[test]
fn a_device_is_silent_after_its_own_interval_and_a_store_of_before_is_filled_in() {
    for home in Home::both() {
        let broker = Mosquitto::start();
        // Tables, and no devices: as an Amber of before has left them.
        let mut amber = started(&broker, &home, CLIMATE, "0s");
        assert!(amber.terminate().success());
        let devices = ["minute", "slow", "late", "alive", "new", "never", "retired", "burst"];
        insert_series(&home, &devices);
        regular(&home, "minute", 30, 60, HOUR);
        regular(&home, "slow", 30, 2 * HOUR, 3 * HOUR);
        regular(&home, "late", 30, 2 * HOUR, 7 * HOUR);
        regular(&home, "alive", 30, 60, 1);
        regular(&home, "new", 2, 60, HOUR);
        regular(&home, "retired", 30, 60, HOUR);
        // Ten values an hour, within a second.
        let burst = |n: i64| format!("select 'burst', {} + 0.1 * {}, 1.5", HOUR * (n / 10 + 1), 9 - n % 10);
        insert(&home, &(0..100).map(burst).collect::<Vec<_>>().join(" union all "));
        // People have retired it in the column of the first version.
        let (kind, now) =
            if home.is_postgres() { ("timestamptz", "now()") } else { ("integer", "unixepoch() * 1000000") };
        let series = home.table("climate_series");
        home.sql().run(&format!("alter table {series} add column retired_at {kind}"));
        home.sql().run(&format!("update {series} set retired_at = {now} where device = 'retired'"));
        amber.env("AMBER__STORE__DEVICES_INTERVAL", "50ms");
        amber.start();
        amber.wait_ready();
        eventually("all are there", || equal(Ok(home.count("devices")), devices.len() as i64));
        let interval = |device: &str| {
            format!("(select round(usual_interval_s) from {} where device = 'attic / {device}')", home.view("devices"))
        };
        let whole = |device: &str| home.sql().value(&format!("select cast({} as integer)", interval(device)));
        assert_eq!([whole("minute"), whole("slow"), whole("alive")].map(Result::unwrap), ["60", "7200", "60"]);
        assert!((3_590..=3_600).contains(&whole("burst").unwrap().parse().unwrap()), "{:?}", whole("burst"));
        let silent = format!("select device from {} where silent order by device", home.view("devices"));
        let seen: Vec<Texts> = home.sql().rows(&silent).unwrap();
        assert_eq!(seen, [texts([Some("attic / late")]), texts([Some("attic / minute")])], "{home}");
        let temperature = value("temperature");
        assert_eq!(device(&home, "attic / slow", &[&temperature]), Ok(texts([Some("29.5")])));
        let never = device(&home, "attic / never", &["first_seen", "last_seen", "last_time", "usual_interval_s"]);
        assert_eq!(never, Ok(texts([None, None, None, None])));
        assert_eq!(device(&home, "attic / retired", &["retired_at is not null"]), Ok(texts([Some(home_true(&home))])));
        // It is taken over once: from now on the table of devices has the truth.
        home.sql().run(&format!("update {} set retired_at = null", home.table("device")));
        assert!(amber.terminate().success());
        amber.start();
        amber.wait_ready();
        Publisher::connect(broker.port, "publisher").publish(
            "home/attic/late",
            payload(0, "\"count\":1"),
            Qos::AtLeastOnce,
        );
        let count = value("count");
        eventually("it is heard again", || {
            equal(
                device(&home, "attic / late", &[&count, "silent"]),
                texts([Some("1"), Some(if home.is_postgres() { "f" } else { "0" })]),
            )
        });
        let retired = format!("select count(*) from {} where retired_at is not null", home.view("devices"));
        assert_eq!(home.sql().number(&retired), Ok(0));
        assert!(amber.terminate().success());
    }
}

#[test]
fn after_a_kill_between_commit_and_write_the_table_is_right_at_the_next_start() {
    for home in Home::both() {
        let broker = Mosquitto::start();
        let mut amber = started(&broker, &home, CLIMATE, "50ms");
        let mut publisher = Publisher::connect(broker.port, "publisher");
        publisher.publish("home/attic/t1", payload(0, r#""temperature":1.5,"count":1"#), Qos::AtLeastOnce);
        eventually("it is known", || device(&home, "attic / t1", &["device"]));
        assert!(amber.terminate().success());
        amber.env("AMBER__STORE__DEVICES_INTERVAL", "1h");
        amber.start();
        amber.wait_ready();
        // The first turn is over, and the next is in an hour.
        publisher.publish("home/attic/t1", payload(10, r#""temperature":2.5"#), Qos::AtLeastOnce);
        publisher.publish("home/attic/t1", payload(20, r#""open":true"#), Qos::AtLeastOnce);
        publisher.publish("home/attic/t2", payload(30, r#""temperature":3.5"#), Qos::AtLeastOnce);
        eventually("all are stored", || equal(Ok(home.count("climate")), 4));
        amber.kill();
        let (temperature, count, time) = (value("temperature"), value("count"), seconds(&home, "last_time"));
        let columns = [temperature.as_str(), &count, &time];
        assert_eq!(
            device(&home, "attic / t1", &columns),
            Ok(texts([Some("1.5"), Some("1"), Some("0")])),
            "nothing was put to the test"
        );
        amber.start();
        amber.wait_ready();
        eventually("it is made right", || {
            equal(device(&home, "attic / t1", &columns), texts([Some("2.5"), Some("1"), Some("20")]))
        });
        eventually("and the new one", || {
            equal(device(&home, "attic / t2", &columns), texts([Some("3.5"), None, Some("30")]))
        });
        let newest = format!(
            "select count(*) from {} d where d.last_seen = (select max(received_at) from {} r where r.series_id = d.series_id)",
            home.view("devices"),
            home.table("climate_data")
        );
        assert_eq!(home.sql().number(&newest), Ok(2));
        // A graceful end waits for no interval.
        publisher.publish("home/attic/t2", payload(40, r#""count":7"#), Qos::AtLeastOnce);
        eventually("it is stored", || equal(Ok(home.count("climate")), 5));
        assert!(amber.terminate().success());
        assert_eq!(device(&home, "attic / t2", &columns), Ok(texts([Some("3.5"), Some("7"), Some("40")])));
    }
}

#[test]
fn ten_thousand_devices_are_kept_and_a_message_of_each_moves_its_row() {
    const MANY: &str = "[mapping.many]\ntopic = \"many\"\nrows = \"list[{i}]\"\ntags = { device = \"d\" }\nfields = { n = { type = \"int\" } }\n";
    for home in Home::both() {
        let broker = Mosquitto::start();
        let mut amber = started(&broker, &home, MANY, "200ms");
        let mut publisher = Publisher::connect(broker.port, "publisher");
        for round in 1..=2 {
            for part in 0..10 {
                let list: Vec<String> =
                    (0..1_000).map(|n| format!("{{\"d\":\"d{}\",\"n\":{round}}}", part * 1_000 + n)).collect();
                publisher.publish("many", format!("{{\"list\":[{}]}}", list.join(",")), Qos::AtLeastOnce);
            }
            let moved = format!("select count(*) from {} where last_values ->> 'n' = '{round}'", home.view("devices"));
            let moved =
                if home.is_postgres() { moved } else { moved.replace(&format!("'{round}'"), &round.to_string()) };
            eventually("all have moved", || equal(home.sql().number(&moved), 10_000));
        }
        assert_eq!(amber.metric("amber_devices_failures_total"), Ok(0.0), "{}", amber.log());
        assert!(amber.terminate().success());
    }
}

#[test]
fn two_ambers_write_the_same_devices_at_the_same_time() {
    for home in Home::both() {
        let broker = Mosquitto::start();
        let mapping = |name: &str| {
            settings(&broker.url(), &home.url(), &format!("client_id = \"{name}\""))
                + &format!(
                    "[mapping.{name}]\nmeasurement = \"both\"\ntopic = \"{name}/{{device}}\"\nfields = {{ {name} = {{ path = \"n\", type = \"int\" }} }}\n"
                )
        };
        let mut ambers = ["one", "other"].map(|name| {
            let mut amber = Amber::new(&mapping(name));
            amber.env("AMBER__STORE__DEVICES_INTERVAL", "20ms");
            amber.start();
            amber.wait_ready();
            amber
        });
        let mut publisher = Publisher::connect(broker.port, "publisher");
        for n in 1..=40 {
            for device in 0..20 {
                // Each in another order.
                publisher.publish(&format!("one/d{device}"), format!("{{\"n\":{n}}}"), Qos::AtMostOnce);
                publisher.publish(&format!("other/d{}", 19 - device), format!("{{\"n\":{n}}}"), Qos::AtLeastOnce);
            }
        }
        let both = format!(
            "select count(*) from {} where cast(last_values ->> 'one' as integer) = 40 and cast(last_values ->> 'other' as integer) = 40",
            home.view("devices")
        );
        eventually("each has the last of both", || equal(home.sql().number(&both), 20));
        for amber in &mut ambers {
            let log = amber.log();
            assert!(!log.contains("deadlock") && !log.contains("devices cannot be written"), "{log}");
            assert!(amber.terminate().success());
        }
    }
}

#[test]
fn a_device_whose_values_are_as_before_or_that_is_retired_was_seen_all_the_same_and_a_retained_message_is_no_sign_of_life()
 {
    const TANK: &str = r#"
        [mapping.tank]
        topic = "tank/{tank}"
        retained = "store"
        fields = { level = { deadband = 0.5 }, note = { type = "text" } }
        "#;
    for home in Home::both() {
        let broker = Mosquitto::start();
        let mut publisher = Publisher::connect(broker.port, "publisher");
        publisher.publish_retained("tank/kept", r#"{"level":7.5}"#, Qos::AtLeastOnce);
        let mut amber = started(&broker, &home, TANK, "50ms");
        let level = value("level");
        eventually("the retained one is known", || {
            equal(
                device(&home, "kept", &[&level, "last_seen", "silent"]),
                texts([Some("7.5"), None, Some(if home.is_postgres() { "f" } else { "0" })]),
            )
        });
        publisher.publish("tank/a", r#"{"level":1.5}"#, Qos::AtLeastOnce);
        eventually("it is known", || equal(device(&home, "a", &[&level]), texts([Some("1.5")])));
        let (now, table) = (if home.is_postgres() { "now()" } else { "unixepoch() * 1000000" }, home.table("device"));
        home.sql().run(&format!("update {table} set retired_at = {now}, last_seen = null where device = 'a'"));
        publisher.publish("tank/a", r#"{"level":1.75}"#, Qos::AtLeastOnce);
        let seen = ["last_seen is not null", "last_seen > last_time", "retired_at is not null", "silent"];
        let (yes, no) = if home.is_postgres() { ("t", "f") } else { ("1", "0") };
        let wanted = texts([Some(yes), Some(yes), Some(yes), Some(no)]);
        eventually("it was seen, and stays retired", || equal(device(&home, "a", &seen), wanted.clone()));
        assert_eq!(device(&home, "a", &[&level]), Ok(texts([Some("1.5")])), "as it is stored");
        assert_eq!(home.count("tank"), 2);
        assert!(amber.terminate().success());
    }
}

#[test]
fn a_clock_that_was_far_ahead_does_not_leave_a_device_seen_in_the_future() {
    for home in Home::both() {
        let broker = Mosquitto::start();
        let mut amber = started(&broker, &home, CLIMATE, "50ms");
        let mut publisher = Publisher::connect(broker.port, "publisher");
        publisher.publish("home/attic/t1", payload(0, r#""count":1"#), Qos::AtLeastOnce);
        eventually("it is known", || device(&home, "attic / t1", &["device"]));
        let ahead = |hours: i64| {
            if home.is_postgres() {
                format!("now() + {hours} * interval '1 hour'")
            } else {
                format!("unixepoch() * 1000000 + {hours} * 3600000000")
            }
        };
        home.sql().run(&format!("update {} set last_seen = {}", home.table("device"), ahead(48)));
        publisher.publish("home/attic/t1", payload(10, r#""count":2"#), Qos::AtLeastOnce);
        let (count, is_past) = (value("count"), format!("last_seen < {}", ahead(1)));
        let wanted = texts([Some("2"), Some(home_true(&home))]);
        eventually("it was seen now", || equal(device(&home, "attic / t1", &[&count, &is_past]), wanted.clone()));
        assert!(amber.terminate().success());
    }
}

#[test]
fn a_table_of_devices_that_is_gone_harms_nobody_is_said_once_and_made_right_when_it_is_back() {
    for home in Home::both() {
        let broker = Mosquitto::start();
        let mut amber = started(&broker, &home, CLIMATE, "20ms");
        let mut publisher = Publisher::connect(broker.port, "publisher");
        publisher.publish("home/attic/t1", payload(0, r#""temperature":1.5"#), Qos::AtLeastOnce);
        eventually("it is known", || device(&home, "attic / t1", &["device"]));
        // A trigger rather than a rename: SQLite's views would follow that.
        let table = home.table("device");
        let (bar, lift) = if home.is_postgres() {
            (
                format!(
                    "create function bar() returns trigger language plpgsql as $$ begin raise exception 'barred'; end $$; create trigger bar before insert or update on {table} execute function bar()"
                ),
                format!("drop trigger bar on {table}"),
            )
        } else {
            (
                format!("create trigger bar before update on {table} begin select raise(abort, 'barred'); end"),
                "drop trigger bar".to_owned(),
            )
        };
        home.sql().run(&bar);
        publisher.publish("home/attic/t1", payload(10, r#""temperature":2.5"#), Qos::AtLeastOnce);
        eventually("it fails more than once", || match amber.metric("amber_devices_failures_total")? {
            failures if failures >= 3.0 => Ok(()),
            failures => Err(failures.to_string()),
        });
        publisher.publish("home/attic/t1", payload(20, r#""count":5"#), Qos::AtLeastOnce);
        eventually("rows are stored", || equal(Ok(home.count("climate")), 3));
        assert_eq!(amber.get("/ready").unwrap().0, 200);
        let log = amber.log();
        assert_eq!(log.matches("the table of devices cannot be written").count(), 1, "{log}");
        home.sql().run(&lift);
        let (temperature, count) = (value("temperature"), value("count"));
        eventually("nothing is missing", || {
            equal(device(&home, "attic / t1", &[&temperature, &count]), texts([Some("2.5"), Some("5")]))
        });
        assert!(amber.terminate().success());
    }
}
