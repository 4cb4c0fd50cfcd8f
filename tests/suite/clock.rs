//! The system clock is set while Amber runs: nothing is lost, no time-out fires, no time goes back within a batch.
//!
//! The line runs in this process, because its clock is an argument; broker and store are the real ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use amber::mapping::Mapping;
use amber::message::{Clock, Qos, Time};
use amber::pipeline::{self, Face};
use tokio_util::sync::CancellationToken;

use crate::support::client::Publisher;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::settings;
use crate::support::{equal, eventually};

const MAPPING: &str = r#"
[mapping.numbers]
topic = "n/{device}"
fields = { n = { type = "int" } }
[mapping.stamped]
topic = "stamped/{device}"
time = "ts"
fields = { n = { type = "int" } }
"#;

/// The line, until it is ended.
struct Line {
    face: Face,
    stop: CancellationToken,
    thread: std::thread::JoinHandle<anyhow::Result<()>>,
}

impl Line {
    fn start(text: &str, clock: Clock) -> Self {
        let config = std::sync::Arc::new(amber::config::load_text("config.toml", text, []).config.unwrap());
        let mapping = Mapping::new(&config.mappings).0.unwrap();
        let (face, stop) = (Face::new(&config, &mapping), CancellationToken::new());
        let (shown, end) = (face.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(pipeline::run(config, mapping, None, shown, clock, end))
        });
        let line = Self { face, stop, thread };
        eventually("the line is ready", || line.face.status.ready());
        line
    }

    fn total(&self, metric: &str) -> u64 {
        self.face.metrics.total(metric)
    }

    #[track_caller]
    fn end(self) {
        self.stop.cancel();
        self.thread.join().unwrap().unwrap();
    }
}

/// 2026-11-25T12:00:00Z
const NOON: i64 = 1_795_608_000_000_000;
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

#[test]
fn a_clock_that_is_set_ahead_and_back_loses_nothing_fires_no_time_out_and_deletes_no_reject() {
    static NOW: AtomicI64 = AtomicI64::new(NOON);
    let broker = Mosquitto::start();
    for home in Home::both() {
        NOW.store(NOON, Ordering::Relaxed);
        let lines = format!("client_id = \"amber-{home}\"\nkeep_alive = \"5s\"");
        let text =
            settings(&broker.url(), &home.url(), &lines) + "[rejects]\nkeep = \"10m\"\nmax = \"1MiB\"\n" + MAPPING;
        let line = Line::start(&text, || Time(NOW.load(Ordering::Relaxed)));
        let mut publisher = Publisher::connect(broker.port, "publisher");
        publisher.publish("n/a", "{", Qos::AtLeastOnce);
        let mut n = 0;
        for jump in [0, 10 * DAY, -3_600 * SECOND, 3_650 * DAY, -20_000 * DAY, 16_350 * DAY, SECOND, -SECOND] {
            NOW.fetch_add(jump, Ordering::Relaxed);
            publisher.publish_numbers("n/a", n..n + 50, Qos::AtLeastOnce);
            publisher.publish_numbers("n/a", n + 50..n + 100, Qos::ExactlyOnce);
            n += 100;
            eventually("all are stored", || equal(Ok(home.count("numbers")), n as i64));
        }
        // One that is really old is deleted at the next look, which comes each six seconds where `keep` is ten minutes.
        let copied = "payload_bytes, qos, retain, topic, payload, mapping, reason, detail";
        let table = home.table("reject");
        let epoch = if home.is_postgres() { "'1970-01-01T00:00:00Z'::timestamptz" } else { "0" };
        home.sql().run(&format!("insert into {table} (received_at, {copied}) select {epoch}, {copied} from {table}"));
        eventually("the old one is deleted", || equal(Ok(line.total("amber_rejects_deleted_total")), 1));
        assert_eq!(home.count("rejects"), 1, "the other one is not ten minutes old: {home}");
        assert_eq!(line.total("amber_connections_total"), 1, "no time-out struck");
        assert_eq!(line.total("amber_connection_failures_total"), 0);
        assert_eq!(line.total("amber_write_failures_total"), 0);
        let twice = format!(
            "select count(*) from (select n from {} group by n having count(*) > 1) as t",
            home.view("numbers")
        );
        assert_eq!(home.sql().number(&twice), Ok(0));
        line.end();
    }
}

#[test]
fn within_a_batch_no_time_of_receipt_goes_back_and_the_next_batch_follows_the_clock() {
    /// Goes back by a second at each message.
    static NOW: AtomicI64 = AtomicI64::new(NOON);
    let broker = Mosquitto::start();
    for home in Home::both() {
        NOW.store(NOON, Ordering::Relaxed);
        let lines = format!("client_id = \"amber-{home}\"");
        let text = settings(&broker.url(), &home.url(), &lines).replace("\"0s\"", "\"5s\"") + MAPPING;
        let line = Line::start(&text, || Time(NOW.fetch_sub(SECOND, Ordering::Relaxed)));
        let metrics = Arc::clone(&line.face.metrics);
        let batches = || metrics.total("amber_batches_written_total");
        let mut publisher = Publisher::connect(broker.port, "publisher");
        // Less than half of the window, so that they wait for one another: for the interval, then for the end.
        publisher.publish_numbers("n/a", 0..9, Qos::AtLeastOnce);
        eventually("they are stored", || equal(Ok(home.count("numbers")), 9));
        assert_eq!(batches(), 1, "one batch: {home}");
        publisher.publish_numbers("n/a", 9..18, Qos::AtLeastOnce);
        eventually("all have come", || equal(Ok(line.total("amber_messages_received_total")), 18));
        line.end();
        assert_eq!((home.count("numbers"), batches()), (18, 2), "another batch: {home}");
        let times =
            format!("select count(distinct received_at), count(distinct time) from {} where n ", home.view("numbers"));
        let mut sql = home.sql();
        for batch in ["< 9", ">= 9"] {
            let found = sql.rows(&format!("{times}{batch}")).unwrap();
            assert_eq!(found, [[Some("1".to_owned()), Some("1".to_owned())]], "{home}: it stands still");
        }
        let view = home.view("numbers");
        let back = format!(
            "select count(*) from {view} where n = 9 and received_at < (select received_at from {view} where n = 8)"
        );
        assert_eq!(sql.number(&back), Ok(1));
    }
}

#[test]
fn the_next_reject_that_is_kept_says_how_many_were_not() {
    static NOW: AtomicI64 = AtomicI64::new(NOON);
    let broker = Mosquitto::start();
    for home in Home::both() {
        NOW.store(NOON, Ordering::Relaxed);
        let lines = format!("client_id = \"amber-{home}\"");
        let text = settings(&broker.url(), &home.url(), &lines) + "[rejects]\nper_minute = 3\n" + MAPPING;
        let line = Line::start(&text, || Time(NOW.load(Ordering::Relaxed)));
        let mut publisher = Publisher::connect(broker.port, "publisher");
        let told = format!(
            "select count(*) from {} where detail like '%(498 more of this reason came before and were counted, not kept)'",
            home.view("rejects")
        );
        let mut bad = |count: usize, [kept, unkept]: [u64; 2], wanted: i64| {
            let messages = (0..count).map(|_| ("n/a".to_owned(), b"{".to_vec()));
            publisher.publish_all(Qos::AtLeastOnce, messages);
            eventually("all are counted", || {
                equal(
                    Ok(["amber_rejects_total", "amber_rejects_unkept_total"].map(|name| line.total(name))),
                    [kept, unkept],
                )
            });
            assert_eq!((home.count("rejects"), home.sql().number(&told)), (kept as i64, Ok(wanted)), "{home}");
        };
        bad(500, [3, 497], 0);
        // To the last moment of the minute, and into the next one.
        NOW.store(NOON + 60 * SECOND - 1, Ordering::Relaxed);
        bad(1, [3, 498], 0);
        NOW.fetch_add(1, Ordering::Relaxed);
        bad(1, [4, 498], 1);
        line.end();
    }
}

#[test]
fn the_readings_of_a_device_whose_clock_is_wrong_bear_the_time_of_receipt_and_are_counted() {
    let broker = Mosquitto::start();
    let home = Home::sqlite();
    let line = Line::start(&(settings(&broker.url(), &home.url(), "") + MAPPING), || Time(NOON));
    let mut publisher = Publisher::connect(broker.port, "publisher");
    let wrong = [
        "0",
        "1970",
        "\"1970-01-01T00:05:00Z\"",
        "\"1999-12-31T23:59:59Z\"",
        "\"2026-11-26T12:00:01Z\"",
        "\"2106-02-07T06:28:15Z\"",
        "1e300",
    ];
    let right = ["\"2026-11-26T12:00:00Z\"", "946684800", "\"2026-11-25T12:59:60+01:00\""];
    for (n, ts) in wrong.iter().chain(&right).enumerate() {
        publisher.publish("stamped/a", format!("{{\"n\":{n},\"ts\":{ts}}}"), Qos::AtLeastOnce);
    }
    eventually("all are stored", || equal(Ok(home.count("stamped")), (wrong.len() + right.len()) as i64));
    let received = format!("select count(*) from stamped where time = {NOON} and n < {}", wrong.len());
    assert_eq!(home.sql().number(&received), Ok(wrong.len() as i64));
    let times: Vec<i64> = home
        .sql()
        .rows(&format!("select time from stamped where n >= {} order by n", wrong.len()))
        .unwrap()
        .iter()
        .map(|row| row[0].as_deref().unwrap().parse().unwrap())
        .collect();
    assert_eq!(times, [NOON + DAY, 946_684_800 * SECOND, NOON]);
    assert_eq!(line.total("amber_times_received_total"), wrong.len() as u64);
    line.end();
}
