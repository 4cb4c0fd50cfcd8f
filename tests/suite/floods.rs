//! Floods: of devices that nobody knows, of bad payloads. They fill neither memory nor the store, and starve nobody.
//!
//! `AMBER_LONG=1 cargo test --test suite floods` sends a million of each.

use std::time::Instant;

use amber::message::Qos;

use crate::support::binary::Amber;
use crate::support::client::Publisher;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::{self, Sent, TOPIC, settings};
use crate::support::postgres;
use crate::support::proxy::{Cut, Mode, Proxy};
use crate::support::{equal, eventually};

/// Whatever is sent.
const MEMORY: f64 = (96 << 20) as f64;

const CLIMATE: &str = r#"
[mapping.climate]
topic = "home/{device}/climate"
max_series = 1000
fields = { v = { type = "int" } }
"#;

fn messages() -> usize {
    if std::env::var_os("AMBER_LONG").is_some() { 1_000_000 } else { 30_000 }
}

/// Of the flood, at most so many wait at the broker: what a known device says comes behind them.
const AHEAD: usize = 5_000;

/// Sends the flood as fast as Amber takes it; meanwhile a known device says one thing after the other, each once the one
/// before is stored. Returns how many that were.
#[track_caller]
fn flood(broker: &Mosquitto, home: &Home, amber: &Amber, message: impl Fn(usize) -> (String, Vec<u8>) + Sync) -> i64 {
    let known = |publisher: &mut Publisher, n: i64| {
        publisher.publish("home/known/climate", format!("{{\"v\":{n}}}"), Qos::AtLeastOnce);
        let found = format!("select count(*) from {} where device = 'known' and v = {n}", home.view("climate"));
        let mut sql = home.sql();
        eventually("the known device is heard", || equal(sql.number(&found), 1));
    };
    let bounded = || {
        let memory = amber.metric("process_resident_memory_bytes").unwrap();
        assert!(memory <= MEMORY, "{memory} bytes of memory");
        memory
    };
    let mut publisher = Publisher::connect(broker.port, "known");
    known(&mut publisher, 0);
    let mut heard = 1;
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let mut publisher = Publisher::connect(broker.port, "flood");
            for from in (0..messages()).step_by(1_000) {
                publisher.publish_all(Qos::AtLeastOnce, (from..from + 1_000).map(&message));
                eventually("amber keeps up", || {
                    let acknowledged = amber.metric("amber_acknowledged_total")? as usize;
                    if from <= acknowledged + AHEAD { Ok(()) } else { Err(format!("{acknowledged} of {from}")) }
                });
            }
        });
        while !flood.is_finished() {
            known(&mut publisher, heard);
            heard += 1;
            bounded();
        }
    });
    let all = messages() as f64 + heard as f64;
    eventually("all is acknowledged", || equal(amber.metric("amber_acknowledged_total"), all));
    println!("{home}: {heard} of the known device, {} bytes of memory", bounded());
    heard
}

/// Nothing comes again.
#[track_caller]
fn assert_at_rest(amber: &mut Amber) {
    assert!(amber.terminate().success());
    amber.start();
    amber.wait_ready();
    eventually("what is subscribed is remembered", || equal(amber.metric("amber_connections_total"), 1.0));
    assert_eq!(amber.metric("amber_messages_received_total{qos=\"1\"}"), Ok(0.0));
}

#[track_caller]
fn devices(home: &Home) {
    let broker = Mosquitto::with("max_queued_messages 0");
    let config = settings(&broker.url(), &home.url(), "") + "[rejects]\nper_minute = 100\n" + CLIMATE;
    let mut amber = Amber::run(&config);
    let start = Instant::now();
    let heard = flood(&broker, home, &amber, |n| (format!("home/device-{n}/climate"), b"{\"v\":1}".to_vec()));
    assert!(heard > 1, "not once within the flood");
    assert_eq!(home.count("climate"), 999 + heard, "the first ones of the flood, and the known device");
    let series = home.sql().number(&format!("select count(*) from {}", home.table("climate_series")));
    assert_eq!(series, Ok(1_000));
    assert_rejects(home, &amber, start, "too_many_series", messages() - 999);
    assert_at_rest(&mut amber);
}

/// All of them are counted, a hundred a minute are kept; they have come since `start`.
#[track_caller]
fn assert_rejects(home: &Home, amber: &Amber, start: Instant, reason: &str, all: usize) {
    // Those that have begun, and the one that had.
    let minutes = start.elapsed().as_secs() / 60 + 2;
    let kept = amber.metric(&format!("amber_rejects_total{{reason=\"{reason}\"}}")).unwrap();
    let unkept = amber.metric(&format!("amber_rejects_unkept_total{{reason=\"{reason}\"}}")).unwrap();
    assert_eq!(kept + unkept, all as f64);
    assert!((100.0..=100.0 * minutes as f64).contains(&kept), "{kept} are kept in {minutes} minutes");
    assert_eq!(home.count("rejects"), kept as i64);
    let log = amber.log();
    let said: Vec<&str> = log.lines().filter(|line| line.contains("more rejects a minute than are kept")).collect();
    let [line] = said[..] else { panic!("it is said once: {said:#?}") };
    assert!(line.contains("look at `amber.rejects`") && line.contains("raise `[rejects] per_minute`"), "{line}");
}

#[test]
fn devices_without_number_make_no_series_without_number_and_starve_no_known_one_in_postgresql() {
    devices(&Home::postgres());
}

#[test]
fn devices_without_number_make_no_series_without_number_and_starve_no_known_one_in_sqlite() {
    devices(&Home::sqlite());
}

#[track_caller]
fn bad_payloads(home: &Home) {
    let broker = Mosquitto::with("max_queued_messages 0");
    let config = settings(&broker.url(), &home.url(), "") + "[rejects]\nper_minute = 100\n" + CLIMATE;
    let mut amber = Amber::run(&config);
    let bad = format!("{{\"v\":\"{}", "x".repeat(200)).into_bytes();
    let start = Instant::now();
    let heard = flood(&broker, home, &amber, |n| (format!("home/device-{}/climate", n % 50), bad.clone()));
    assert!(heard > 1, "not once within the flood");
    assert_eq!(home.count("climate"), heard);
    assert_rejects(home, &amber, start, "payload", messages());
    assert_at_rest(&mut amber);
}

#[test]
fn bad_payloads_without_number_are_counted_and_starve_no_good_one_in_postgresql() {
    bad_payloads(&Home::postgres());
}

#[test]
fn bad_payloads_without_number_are_counted_and_starve_no_good_one_in_sqlite() {
    bad_payloads(&Home::sqlite());
}

#[test]
fn rejects_that_are_old_or_beyond_the_size_are_deleted_while_amber_runs_and_counted() {
    let broker = Mosquitto::start();
    for home in Home::both() {
        let lines = format!("client_id = \"amber-{home}\"");
        let config = settings(&broker.url(), &home.url(), &lines) + "[rejects]\nmax = \"1MiB\"\n" + CLIMATE;
        let mut amber = Amber::run(&config);
        let mut publisher = Publisher::connect(broker.port, "publisher");
        let large = || ("home/a/climate".to_owned(), vec![b'{'; 60_000]);
        publisher.publish_all(Qos::AtLeastOnce, (0..10).map(|_| large()));
        eventually("ten are kept", || equal(Ok(home.count("rejects")), 10));
        // A look is taken at start, and whenever a twentieth of the size has come.
        assert!(amber.terminate().success());
        let old =
            if home.is_postgres() { "now() - interval '31 days'" } else { "(unixepoch() - 31 * 86400) * 1000000" };
        home.sql().run(&format!("update {} set received_at = {old} where id <= 3", home.table("reject")));
        amber.start();
        amber.wait_ready();
        eventually("the old ones are deleted", || {
            equal(amber.metric("amber_rejects_deleted_total{reason=\"age\"}"), 3.0)
        });
        assert_eq!(home.count("rejects"), 7);
        publisher.publish_all(Qos::AtLeastOnce, (0..30).map(|_| large()));
        eventually("no more are kept than the size allows", || {
            let sum = format!("select sum(payload_bytes + 115) from {}", home.view("rejects"));
            let (bytes, all) = (
                home.sql().number(&sum)?,
                home.sql().number(&format!("select max(id) from {}", home.view("rejects")))?,
            );
            if bytes <= 1 << 20 && bytes > 800_000 && all == 40 {
                Ok(())
            } else {
                Err(format!("{bytes} bytes, {all} rejects"))
            }
        });
        eventually("each that was deleted is counted", || {
            let deleted = amber.metric("amber_rejects_deleted_total{reason=\"size\"}")?;
            equal(Ok(home.count("rejects") as f64 + deleted), 37.0)
        });
        assert_eq!(amber.metric("amber_rejects_total{reason=\"payload\"}"), Ok(30.0));
    }
}

#[test]
fn killed_among_rejects_of_which_few_are_kept_amber_keeps_none_twice_and_loses_no_good_message() {
    let broker = Mosquitto::with("max_queued_messages 0");
    for home in Home::both() {
        let lines = format!("client_id = \"amber-{home}\"");
        let config = numbers::config(&broker.url(), &home.url(), &lines) + "[rejects]\nper_minute = 150\n";
        let mut amber = Amber::run(&config);
        let mut publisher = Publisher::connect(broker.port, "publisher");
        for round in 0..3 {
            let numbers = round * 1_000..(round + 1) * 1_000;
            let message = |n: u64| {
                // A good one after each bad one; no two bad ones are alike.
                [
                    ("n/bad".to_owned(), format!("{{{n}").into_bytes()),
                    (TOPIC.to_owned(), format!("{{\"n\":{n}}}").into_bytes()),
                ]
            };
            publisher.publish_all(Qos::AtLeastOnce, numbers.flat_map(message));
            eventually("some are acknowledged", || {
                let acknowledged = amber.metric("amber_acknowledged_total")?;
                if acknowledged > 200.0 { Ok(()) } else { Err(format!("{acknowledged}")) }
            });
            amber.kill();
            amber.start();
        }
        numbers::assert_exactly_once(&Sent::all(0..3_000), broker.port, &mut amber, &home);
        let payload = if home.is_postgres() { "payload_text" } else { "cast(payload as text)" };
        let kept = format!("select count(*) - count(distinct {payload}), count(*) from {}", home.view("rejects"));
        let [found] = &home.sql().rows(&kept).unwrap()[..] else { panic!("one row") };
        let kept: u32 = found[1].as_deref().unwrap().parse().unwrap();
        assert_eq!(found[0].as_deref(), Some("0"), "{home}: kept twice");
        assert!((150..3_000).contains(&kept), "{kept} are kept by four processes");
    }
}

#[test]
fn rows_refused_beyond_the_rate_are_counted_even_if_the_answer_to_the_commit_is_lost() {
    let (broker, database) = (Mosquitto::start(), postgres::database());
    let proxy = Proxy::to(database.port);
    let config = settings(&broker.url(), &database.url_through(proxy.port), "").replace("\"0s\"", "\"2s\"");
    let amber = Amber::run(&(config + "[rejects]\nper_minute = 3\n" + CLIMATE));
    let mut sql = database.sql();
    sql.run("alter table amber_store.climate_data add constraint not_too_hot check (v < 100)");
    let mut publisher = Publisher::connect(broker.port, "publisher");
    // The series is made in a transaction of its own.
    publisher.publish("home/a/climate", "{\"v\":0}", Qos::AtLeastOnce);
    eventually("the first one is counted", || equal(amber.metric("amber_acknowledged_total"), 1.0));
    proxy.swallow_answer_to("commit");
    publisher.publish_all(
        Qos::AtLeastOnce,
        (0..21).map(|n| ("home/a/climate".to_owned(), format!("{{\"v\":{}}}", 80 + n * 20).into_bytes())),
    );
    eventually("the batch is stored", || equal(sql.number("select count(*) from amber.rejects"), 3));
    proxy.set(Mode::Pass);
    proxy.cut(Cut::Reset);
    eventually("all is acknowledged", || equal(amber.metric("amber_acknowledged_total"), 22.0));
    let counted = || {
        let count = |name: &str| amber.metric(&format!("amber_{name}{{reason=\"refused\"}}")).unwrap();
        (count("rejects_total"), count("rejects_unkept_total"))
    };
    assert_eq!(counted(), (3.0, 17.0));
    assert_eq!(amber.metric("amber_rows_written_total{measurement=\"climate\"}"), Ok(2.0));
    assert_eq!(amber.metric("amber_write_failures_total{kind=\"in_doubt\"}"), Ok(1.0), "nothing was put to the test");
}
