//! The whole line, measured: a real Mosquitto, PostgreSQL and SQLite, and `mosquitto_sub` that throws the same load
//! away, in turns in one run, because machines are shared and only ratios within one run mean anything.
//!
//!     cargo bench --bench line
//!     cargo bench --bench line -- --messages 500000 --rounds 5
//!
//! Prints the tables that BENCHMARKS.md keeps. Asserts nothing about time; it does assert that every message is in the
//! database once.

mod load;
#[path = "../../tests/support/support.rs"]
mod support;

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use load::{Rate, publish};
use support::binary::Amber;
use support::eventually_within;
use support::mosquitto::Mosquitto;
use support::postgres::{Database, Postgres};
use support::sql::Sql;

/// Longer than any measured run takes.
const PATIENCE: Duration = Duration::from_secs(300);
const LATENCY_SECONDS: u32 = 10;

/// Who receives.
#[derive(Clone, Copy, PartialEq)]
enum Receiver {
    MosquittoSub,
    Postgres,
    Sqlite,
}

impl Receiver {
    const ALL: [Self; 3] = [Self::MosquittoSub, Self::Postgres, Self::Sqlite];

    fn name(self) -> &'static str {
        match self {
            Self::MosquittoSub => "mosquitto_sub -q 1, discarding",
            Self::Postgres => "amber, PostgreSQL",
            Self::Sqlite => "amber, SQLite",
        }
    }
}

/// One measured run.
#[derive(Clone, Copy)]
struct Run {
    per_second: f64,
    /// Of the receiver, per message; unknown for `mosquitto_sub`.
    cpu_micros: f64,
    peak_mib: f64,
}

fn main() {
    let (messages, rounds) = arguments();
    println!(
        "{messages} messages at QoS 1, {} devices, 5 fields and 2 tags; median of {rounds} rounds, interleaved",
        load::DEVICES
    );
    println!("{}", machine());
    let postgres = Postgres::start();
    let mut live = [const { Vec::new() }; 3];
    let mut drain = [const { Vec::new() }; 3];
    for round in 1..=rounds {
        for (index, receiver) in Receiver::ALL.into_iter().enumerate() {
            live[index].push(measure(receiver, &postgres, messages, Backlog::No));
            drain[index].push(measure(receiver, &postgres, messages, Backlog::Yes));
            eprintln!("round {round} of {rounds}: {} done", receiver.name());
        }
    }
    table("Live: from the first PUBLISH until all are committed", &live);
    table("Backlog: queued at the broker before the receiver starts; from its start until all are committed", &drain);
    println!("\nPublish to visible at 1,000 messages/s for {LATENCY_SECONDS} s, ms\n");
    println!("| | p50 | p99 |\n|---|---|---|");
    for receiver in [Receiver::Postgres, Receiver::Sqlite] {
        let (p50, p99) = latency(receiver, &postgres);
        println!("| {} | {p50:.2} | {p99:.2} |", receiver.name());
    }
}

fn arguments() -> (usize, usize) {
    let (mut messages, mut rounds) = (200_000, 3);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|text| text.parse().ok()).expect("a number follows");
        match arg.as_str() {
            "--messages" => messages = number(),
            "--rounds" => rounds = number(),
            // What cargo adds by itself.
            "--bench" => {}
            _ => panic!("--messages N and --rounds N are all there is, not `{arg}`"),
        }
    }
    (messages, rounds)
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

fn measure(receiver: Receiver, postgres: &Postgres, messages: usize, backlog: Backlog) -> Run {
    let broker = Mosquitto::with("log_type none\nmax_packet_size 1000000");
    let address: SocketAddr = ([127, 0, 0, 1], broker.port).into();
    if receiver == Receiver::MosquittoSub {
        return mosquitto_sub(&broker, address, messages, backlog);
    }
    let database = postgres.database();
    let mut amber = Amber::new(&config(receiver, &broker, &database));
    amber.env("AMBER__LOG__LEVEL", "warn");
    amber.start();
    amber.wait_ready();
    let start = if backlog == Backlog::Yes {
        assert!(amber.terminate().success(), "amber ends well:\n{}", amber.log());
        publish(address, messages, Rate::AsFastAsPossible).expect("the broker takes the load");
        let start = Instant::now();
        amber.start();
        start
    } else {
        let start = Instant::now();
        std::thread::scope(|scope| {
            let load = scope.spawn(|| publish(address, messages, Rate::AsFastAsPossible));
            all_written(&amber, messages);
            load.join().expect("no panic").expect("the broker takes the load");
        });
        start
    };
    all_written(&amber, messages);
    let took = start.elapsed();
    let (cpu_seconds, peak_mib) = usage(amber.pid());
    // Found again in the database: every number once.
    let mut sql = open(receiver, &amber, &database);
    let counted = sql.rows("select count(*), count(distinct n) from bench_rows").expect("the view is there");
    let wanted = Some(messages.to_string());
    assert_eq!(counted, [vec![wanted.clone(), wanted]], "every message is stored once");
    drop(sql);
    assert!(amber.terminate().success(), "amber ends well:\n{}", amber.log());
    Run { per_second: messages as f64 / took.as_secs_f64(), cpu_micros: cpu_seconds * 1e6 / messages as f64, peak_mib }
}

fn all_written(amber: &Amber, messages: usize) {
    eventually_within(PATIENCE, "all messages are committed", || {
        let written = amber.metric(r#"amber_rows_written_total{measurement="bench"}"#)?;
        if written >= messages as f64 { Ok(()) } else { Err(format!("{written} of {messages}")) }
    });
}

fn config(receiver: Receiver, broker: &Mosquitto, database: &Database) -> String {
    let store = match receiver {
        Receiver::Postgres => database.url(),
        Receiver::Sqlite | Receiver::MosquittoSub => "sqlite:bench.db".into(),
    };
    format!(
        r#"
[broker]
url = "{}"
[store]
url = "{store}"
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
fn open(receiver: Receiver, amber: &Amber, database: &Database) -> Sql {
    let (mut sql, view) = match receiver {
        Receiver::Postgres => (database.sql(), "amber.bench"),
        Receiver::Sqlite | Receiver::MosquittoSub => {
            (Sql::sqlite(&amber.folder().join("bench.db")).expect("the file is there"), "bench")
        }
    };
    sql.run(&format!("create temporary view bench_rows as select * from {view}"));
    sql
}

/// The measure of all: receives, acknowledges, throws away.
fn mosquitto_sub(broker: &Mosquitto, address: SocketAddr, messages: usize, backlog: Backlog) -> Run {
    let port = broker.port.to_string();
    let sub = |more: &[&str]| {
        let mut command = Command::new("mosquitto_sub");
        command.args(["-h", "127.0.0.1", "-p", &port, "-V", "5", "-q", "1", "-i", "bench", "-c", "-x", "3600"]);
        command.args(["-D", "connect", "receive-maximum", "4096", "-t", "bench/#"]).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("mosquitto-clients is installed")
    };
    // Makes the session, so that nothing is missed.
    assert!(sub(&["-E"]).wait().expect("our child").success(), "mosquitto_sub subscribes");
    let count = messages.to_string();
    let (start, mut child);
    if backlog == Backlog::Yes {
        publish(address, messages, Rate::AsFastAsPossible).expect("the broker takes the load");
        start = Instant::now();
        child = sub(&["-C", &count]);
    } else {
        child = sub(&["-C", &count]);
        start = Instant::now();
        publish(address, messages, Rate::AsFastAsPossible).expect("the broker takes the load");
    }
    assert!(child.wait().expect("our child").success(), "mosquitto_sub receives all");
    Run { per_second: messages as f64 / start.elapsed().as_secs_f64(), cpu_micros: f64::NAN, peak_mib: f64::NAN }
}

/// Milliseconds from the publisher's clock to the first SELECT that sees the row: p50 and p99.
fn latency(receiver: Receiver, postgres: &Postgres) -> (f64, f64) {
    let broker = Mosquitto::with("log_type none");
    let address: SocketAddr = ([127, 0, 0, 1], broker.port).into();
    let database = postgres.database();
    let mut amber = Amber::new(&config(receiver, &broker, &database));
    amber.env("AMBER__LOG__LEVEL", "warn");
    amber.start();
    amber.wait_ready();
    let mut sql = open(receiver, &amber, &database);
    if receiver == Receiver::Postgres {
        // So that what is measured is the way there, and not the reader's search (SQLite has this index anyway).
        sql.run("create index on amber_store.bench_data (time)");
    }
    let messages = 1_000 * LATENCY_SECONDS as usize;
    let mut delays = Vec::with_capacity(messages);
    let published = match receiver {
        Receiver::Postgres => "(extract(epoch from time) * 1000000)::bigint",
        Receiver::Sqlite | Receiver::MosquittoSub => "time",
    };
    std::thread::scope(|scope| {
        let start = load::micros();
        let load = scope.spawn(|| publish(address, messages, Rate::PerSecond(1_000)));
        // All below `low` were seen; message n is not published before n milliseconds have passed.
        let (mut seen, mut low) = (vec![false; messages], 0);
        while low < messages && load::micros() - start < PATIENCE.as_micros() as i64 {
            let since = start + (low as i64 - 1) * 1_000;
            let bound = match receiver {
                Receiver::Postgres => format!("to_timestamp({since} / 1000000.0)"),
                Receiver::Sqlite | Receiver::MosquittoSub => since.to_string(),
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
        load.join().expect("no panic").expect("the broker takes the load");
    });
    assert_eq!(delays.len(), messages, "every message is seen");
    delays.sort_unstable();
    let at = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize] as f64 / 1_000.0;
    (at(0.50), at(0.99))
}

/// CPU seconds so far and peak resident memory in MiB, as the kernel counts them.
fn usage(pid: u32) -> (f64, f64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let after_name = stat.rsplit_once(')').expect("proc(5)").1;
    let ticks: f64 =
        after_name.split_whitespace().skip(11).take(2).map(|text| text.parse::<f64>().expect("proc(5)")).sum();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let peak_kib: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
        .expect("proc(5)");
    // USER_HZ is 100 on every Linux that Rust's tier 1 knows.
    (ticks / 100.0, peak_kib / 1024.0)
}

fn table(title: &str, runs: &[Vec<Run>; 3]) {
    let reference = median(&runs[0], |run| run.per_second);
    println!("\n{title}\n");
    println!("| | messages/s | ratio | CPU µs a message | peak memory MiB |\n|---|---|---|---|---|");
    for (receiver, runs) in Receiver::ALL.into_iter().zip(runs) {
        let per_second = median(runs, |run| run.per_second);
        let (cpu, peak) = (median(runs, |run| run.cpu_micros), median(runs, |run| run.peak_mib));
        let known = |value: f64| if value.is_nan() { "–".to_owned() } else { format!("{value:.1}") };
        println!(
            "| {} | {per_second:.0} | {:.2} | {} | {} |",
            receiver.name(),
            per_second / reference,
            known(cpu),
            known(peak)
        );
    }
}

fn median(runs: &[Run], value: impl Fn(&Run) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
