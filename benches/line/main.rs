//! The whole line, measured: a real Mosquitto, PostgreSQL and SQLite, and `mosquitto_sub` that throws the same load
//! away, in turns in one run, because machines are shared and only ratios within one run mean anything.
//!
//!     cargo bench --bench line
//!     cargo bench --bench line -- --messages 500000 --rounds 5
//!     cargo bench --bench line -- --devices 10000 --only drain
//!     cargo bench --bench line -- --devices 10000 --only soak --minutes 10
//!
//! Prints the tables that BENCHMARKS.md keeps. Asserts nothing about time; it does assert that every message is in the
//! database once.

mod codec;
mod load;
#[path = "../../tests/support/support.rs"]
mod support;
mod usage;

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use load::{Load, Rate};
use support::binary::Amber;
use support::eventually_within;
use support::mosquitto::Mosquitto;
use support::postgres::{Database, Postgres};
use support::sql::Sql;
use usage::{Usage, cpu_seconds, peak_mib};

/// Longer than any measured run takes.
const PATIENCE: Duration = Duration::from_secs(300);
const LATENCY_SECONDS: u32 = 10;
/// Of the soak, per second.
const SOAK_RATE: u32 = 5_000;

/// Who receives.
#[derive(Clone, Copy, PartialEq)]
enum Receiver {
    /// The measure of all: receives, acknowledges, throws away.
    MosquittoSub,
    /// Amber's codec alone, likewise: what no receiver of ours can do without.
    Codec,
    Amber(Store),
}

#[derive(Clone, Copy, PartialEq)]
enum Store {
    Postgres,
    Sqlite,
}

impl Receiver {
    const ALL: [Self; 4] = [Self::MosquittoSub, Self::Codec, Self::Amber(Store::Postgres), Self::Amber(Store::Sqlite)];

    fn name(self) -> &'static str {
        match self {
            Self::MosquittoSub => "`mosquitto_sub -q 1`, discarding",
            Self::Codec => "Amber's codec, discarding",
            Self::Amber(Store::Postgres) => "Amber, PostgreSQL",
            Self::Amber(Store::Sqlite) => "Amber, SQLite",
        }
    }
}

/// One measured run.
#[derive(Clone, Copy)]
struct Run {
    per_second: f64,
    /// Microseconds per message.
    receiver: f64,
    broker: f64,
    database: f64,
    peak_mib: f64,
}

/// What is asked for.
struct Arguments {
    messages: usize,
    rounds: usize,
    devices: usize,
    only: Option<String>,
    /// Of the soak, which is run only if asked for.
    minutes: u32,
}

impl Arguments {
    fn read() -> Self {
        let mut asked = Self { messages: 200_000, rounds: 3, devices: 1_000, only: None, minutes: 10 };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().expect("a value follows");
            let number = |text: String| text.parse().expect("a number");
            match arg.as_str() {
                "--messages" => asked.messages = number(value()),
                "--rounds" => asked.rounds = number(value()),
                "--devices" => asked.devices = number(value()),
                "--only" => asked.only = Some(value()),
                "--minutes" => asked.minutes = value().parse().expect("minutes"),
                // What cargo adds by itself.
                "--bench" => {}
                _ => panic!(
                    "`{arg}`? --messages --rounds --devices --only live|drain|latency|soak --minutes is all there is"
                ),
            }
        }
        asked
    }

    fn wants(&self, part: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == part)
    }
}

fn main() {
    let asked = Arguments::read();
    let load = Load { devices: asked.devices, count: asked.messages };
    println!(
        "{} messages at QoS 1, {} devices, 5 fields and 2 tags; median of {} rounds, interleaved",
        asked.messages, asked.devices, asked.rounds
    );
    println!("{}", machine());
    let postgres = Postgres::start();
    for (part, backlog, title) in [
        ("live", Backlog::No, "Live: from the first PUBLISH until all are committed"),
        ("drain", Backlog::Yes, "Backlog: queued at the broker before the receiver starts, until all are committed"),
    ] {
        if !asked.wants(part) {
            continue;
        }
        let mut runs = [const { Vec::new() }; 4];
        for round in 1..=asked.rounds {
            for (index, receiver) in Receiver::ALL.into_iter().enumerate() {
                runs[index].push(measure(receiver, &postgres, load, backlog));
                eprintln!("{part}, round {round} of {}: {} done", asked.rounds, receiver.name());
            }
        }
        table(title, &runs);
    }
    if asked.only.as_deref() == Some("soak") {
        println!("\n{SOAK_RATE} messages/s for {} minutes: resident MiB\n", asked.minutes);
        println!("| | after one minute | at the end | at most |\n|---|---|---|---|");
        for store in [Store::Postgres, Store::Sqlite] {
            let [first, last, peak] = soak(store, &postgres, asked.devices, asked.minutes);
            println!("| {} | {first:.1} | {last:.1} | {peak:.1} |", Receiver::Amber(store).name());
        }
    }
    if asked.wants("latency") {
        println!("\nPublish to visible at 1,000 messages/s for {LATENCY_SECONDS} s, ms\n");
        println!("| | p50 | p99 |\n|---|---|---|");
        for store in [Store::Postgres, Store::Sqlite] {
            let (p50, p99) = latency(store, &postgres);
            println!("| {} | {p50:.2} | {p99:.2} |", Receiver::Amber(store).name());
        }
    }
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let version = support::mosquitto::version().iter().map(u32::to_string).collect::<Vec<_>>().join(".");
    format!("{cores} cores,{} ; Mosquitto {version}", model.trim_start_matches(['\t', ' ', ':']))
}

#[derive(Clone, Copy, PartialEq)]
enum Backlog {
    No,
    Yes,
}

fn measure(receiver: Receiver, postgres: &Postgres, load: Load, backlog: Backlog) -> Run {
    let broker = Mosquitto::with("log_type none\nmax_packet_size 1000000");
    let address: SocketAddr = ([127, 0, 0, 1], broker.port).into();
    match receiver {
        Receiver::MosquittoSub => mosquitto_sub(&broker, address, load, backlog),
        Receiver::Codec => codec_alone(&broker, address, load, backlog),
        Receiver::Amber(store) => amber(store, postgres, &broker, load, backlog),
    }
}

fn amber(store: Store, postgres: &Postgres, broker: &Mosquitto, load: Load, backlog: Backlog) -> Run {
    let address: SocketAddr = ([127, 0, 0, 1], broker.port).into();
    let database = postgres.database();
    let mut amber = Amber::new(&config(store, broker, &database));
    amber.env("AMBER__LOG__LEVEL", "warn");
    amber.start();
    amber.wait_ready();
    let server = || postgres.processes().into_iter().map(cpu_seconds).sum::<f64>();
    let usage = if backlog == Backlog::Yes {
        assert!(amber.terminate().success(), "amber ends well:\n{}", amber.log());
        load.publish(address, Rate::AsFastAsPossible).expect("the broker takes the load");
        let usage = Usage::begin(broker.pid(), server());
        amber.start();
        usage
    } else {
        let usage = Usage::begin(broker.pid(), server());
        std::thread::scope(|scope| {
            let publisher = scope.spawn(|| load.publish(address, Rate::AsFastAsPossible));
            all_written(&amber, load.count);
            publisher.join().expect("no panic").expect("the broker takes the load");
        });
        usage
    };
    all_written(&amber, load.count);
    let run = usage.end(load.count, cpu_seconds(amber.pid()), server(), peak_mib(amber.pid()));
    // Found again in the database: every number once.
    let mut sql = open(store, &amber, &database);
    let counted = sql.rows("select count(*), count(distinct n) from bench_rows").expect("the view is there");
    let wanted = Some(load.count.to_string());
    assert_eq!(counted, [vec![wanted.clone(), wanted]], "every message is stored once");
    drop(sql);
    assert!(amber.terminate().success(), "amber ends well:\n{}", amber.log());
    run
}

fn all_written(amber: &Amber, messages: usize) {
    eventually_within(PATIENCE, "all messages are committed", || {
        let written = amber.metric(r#"amber_rows_written_total{measurement="bench"}"#)?;
        if written >= messages as f64 { Ok(()) } else { Err(format!("{written} of {messages}")) }
    });
}

fn config(store: Store, broker: &Mosquitto, database: &Database) -> String {
    let url = match store {
        Store::Postgres => database.url(),
        Store::Sqlite => "sqlite:bench.db".into(),
    };
    format!(
        r#"
[broker]
url = "{}"
[store]
url = "{url}"
commit_interval = "0s"
[mapping.bench]
topic = "bench/{{site}}/{{device}}"
time = "ts"
[mapping.bench.fields]
n = {{ type = "int" }}
temperature = {{ unit = "°C" }}
humidity = {{ unit = "%" }}
pressure = {{ unit = "hPa" }}
battery = {{ unit = "%" }}
"#,
        broker.url()
    )
}

/// A connection on which `bench_rows` is what Amber has written.
fn open(store: Store, amber: &Amber, database: &Database) -> Sql {
    let (mut sql, view) = match store {
        Store::Postgres => (database.sql(), "amber.bench"),
        Store::Sqlite => (Sql::sqlite(&amber.folder().join("bench.db")).expect("the file is there"), "bench"),
    };
    sql.run(&format!("create temporary view bench_rows as select * from {view}"));
    sql
}

fn mosquitto_sub(broker: &Mosquitto, address: SocketAddr, load: Load, backlog: Backlog) -> Run {
    let port = broker.port.to_string();
    let sub = |more: &[&str]| {
        let mut command = Command::new("mosquitto_sub");
        command.args(["-h", "127.0.0.1", "-p", &port, "-V", "5", "-q", "1", "-i", "bench", "-c", "-x", "3600"]);
        command.args(["-D", "connect", "receive-maximum", "4096", "-t", "bench/#"]).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("mosquitto-clients is installed")
    };
    // Makes the session, so that nothing is missed.
    assert!(sub(&["-E"]).wait().expect("our child").success(), "mosquitto_sub subscribes");
    let count = load.count.to_string();
    let before = usage::children_seconds();
    let (usage, mut child);
    if backlog == Backlog::Yes {
        load.publish(address, Rate::AsFastAsPossible).expect("the broker takes the load");
        usage = Usage::begin(broker.pid(), 0.0);
        child = sub(&["-C", &count]);
    } else {
        child = sub(&["-C", &count]);
        usage = Usage::begin(broker.pid(), 0.0);
        load.publish(address, Rate::AsFastAsPossible).expect("the broker takes the load");
    }
    assert!(child.wait().expect("our child").success(), "mosquitto_sub receives all");
    usage.end(load.count, usage::children_seconds() - before, 0.0, f64::NAN)
}

fn codec_alone(broker: &Mosquitto, address: SocketAddr, load: Load, backlog: Backlog) -> Run {
    codec::subscribe(address).expect("the broker takes the subscription");
    let usage;
    if backlog == Backlog::Yes {
        load.publish(address, Rate::AsFastAsPossible).expect("the broker takes the load");
        usage = Usage::begin(broker.pid(), 0.0);
        let receiver = std::thread::spawn(move || codec::receive(address, load.count));
        let seconds = receiver.join().expect("no panic").expect("the broker sends all");
        return usage.end(load.count, seconds, 0.0, f64::NAN);
    }
    let receiver = std::thread::spawn(move || codec::receive(address, load.count));
    usage = Usage::begin(broker.pid(), 0.0);
    load.publish(address, Rate::AsFastAsPossible).expect("the broker takes the load");
    let seconds = receiver.join().expect("no panic").expect("the broker sends all");
    usage.end(load.count, seconds, 0.0, f64::NAN)
}

/// Resident MiB after a minute of a steady load, at its end, and at most.
fn soak(store: Store, postgres: &Postgres, devices: usize, minutes: u32) -> [f64; 3] {
    let broker = Mosquitto::with("log_type none");
    let address: SocketAddr = ([127, 0, 0, 1], broker.port).into();
    let database = postgres.database();
    let mut amber = Amber::new(&config(store, &broker, &database));
    amber.env("AMBER__LOG__LEVEL", "warn");
    amber.start();
    amber.wait_ready();
    let resident = || {
        let minute = Load { devices, count: SOAK_RATE as usize * 60 };
        minute.publish(address, Rate::PerSecond(SOAK_RATE)).expect("the broker takes the load");
        usage::resident_mib(amber.pid())
    };
    let first = resident();
    let last = (1..minutes).fold(first, |_, _| resident());
    let peak = peak_mib(amber.pid());
    assert!(amber.terminate().success(), "amber ends well:\n{}", amber.log());
    [first, last, peak]
}

/// Milliseconds from the publisher's clock to the first SELECT that sees the row: p50 and p99.
fn latency(store: Store, postgres: &Postgres) -> (f64, f64) {
    let broker = Mosquitto::with("log_type none");
    let address: SocketAddr = ([127, 0, 0, 1], broker.port).into();
    let database = postgres.database();
    let mut amber = Amber::new(&config(store, &broker, &database));
    amber.env("AMBER__LOG__LEVEL", "warn");
    amber.start();
    amber.wait_ready();
    let mut sql = open(store, &amber, &database);
    if store == Store::Postgres {
        // So that what is measured is the way there, and not the reader's search (SQLite has this index anyway).
        sql.run("create index on amber_store.bench_data (time)");
    }
    let messages = 1_000 * LATENCY_SECONDS as usize;
    let load = Load { devices: 1_000, count: messages };
    let mut delays = Vec::with_capacity(messages);
    let published = match store {
        Store::Postgres => "(extract(epoch from time) * 1000000)::bigint",
        Store::Sqlite => "time",
    };
    std::thread::scope(|scope| {
        let start = load::micros();
        let publisher = scope.spawn(|| load.publish(address, Rate::PerSecond(1_000)));
        // All below `low` were seen; message n is not published before n milliseconds have passed.
        let (mut seen, mut low) = (vec![false; messages], 0);
        while low < messages && load::micros() - start < PATIENCE.as_micros() as i64 {
            let since = start + (low as i64 - 1) * 1_000;
            let bound = match store {
                Store::Postgres => format!("to_timestamp({since} / 1000000.0)"),
                Store::Sqlite => since.to_string(),
            };
            let rows = sql.rows(&format!("select n, {published} from bench_rows where time > {bound}")).expect("rows");
            let now = load::micros();
            for row in rows {
                let number = |cell: &Option<String>| {
                    cell.as_deref().and_then(|text| text.parse::<i64>().ok()).expect("a number")
                };
                let seen = &mut seen[number(&row[0]) as usize];
                if !std::mem::replace(seen, true) {
                    delays.push(now - number(&row[1]));
                }
            }
            low += seen[low..].iter().take_while(|seen| **seen).count();
        }
        publisher.join().expect("no panic").expect("the broker takes the load");
    });
    assert_eq!(delays.len(), messages, "every message is seen");
    delays.sort_unstable();
    let at = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize] as f64 / 1_000.0;
    (at(0.50), at(0.99))
}

fn table(title: &str, runs: &[Vec<Run>; 4]) {
    let reference = median(&runs[0], |run| run.per_second);
    println!("\n{title}\n\nCPU in µs a message.\n");
    println!("| | messages/s | ratio | receiver | broker | database | peak memory MiB |");
    println!("|---|---|---|---|---|---|---|");
    for (receiver, runs) in Receiver::ALL.into_iter().zip(runs) {
        let per_second = median(runs, |run| run.per_second);
        let known = |value: f64| if value.is_nan() { "–".to_owned() } else { format!("{value:.1}") };
        println!(
            "| {} | {per_second:.0} | {:.2} | {} | {} | {} | {} |",
            receiver.name(),
            per_second / reference,
            known(median(runs, |run| run.receiver)),
            known(median(runs, |run| run.broker)),
            known(median(runs, |run| run.database)),
            known(median(runs, |run| run.peak_mib)),
        );
    }
}

fn median(runs: &[Run], value: impl Fn(&Run) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
