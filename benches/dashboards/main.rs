//! How long every panel takes on ten million readings of a thousand devices, over 24 hours:
//!
//! ```sh
//! cargo bench --profile dev --bench dashboards
//! cargo bench --profile dev --bench dashboards -- --explain Readings   # plans of panels with this title
//! ```
//!
//! It starts a PostgreSQL of its own, lets `amber run` make the tables and `amber dashboards` the generated dashboards, and
//! fills the tables by SQL: a reading a minute of each device, a week of them. What is timed is the statement that Grafana
//! would send, with All devices where a panel takes several. It takes some minutes and 3 GB in /tmp.

#[path = "../../tests/suite/stack/dashboards.rs"]
mod dashboards;
#[path = "../../tests/suite/stack/grafana.rs"]
mod grafana;
#[path = "../../tests/support/support.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use dashboards::{Dashboard, Kind, is_prometheus, variable_query, word};
use grafana::Asked;
use support::binary::Amber;
use support::mosquitto::Mosquitto;
use support::postgres::Postgres;
use support::sql::Sql;

const DEVICES: u32 = 1_000;
const MINUTES: u32 = 10_000;
const ROUNDS: usize = 3;

const CONFIG: &str = r#"
[broker]
url = "mqtt://localhost:1883"
[store]
url = "sqlite:unused.db"
[mapping.room]
topic = "speed/{site}/{device}"
time = "ts"
[mapping.room.fields]
temperature = { unit = "°C", decimals = 1, min = -20, max = 50 }
humidity    = { unit = "%", min = 0, max = 100 }
power       = { unit = "W" }
energy      = { unit = "kWh", kind = "total", type = "float" }
battery     = { unit = "%", type = "int" }
window      = { type = "bool" }
mode        = { type = "text" }
"#;

/// A file of the project.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let explain = arguments.iter().position(|argument| argument == "--explain").map(|at| arguments[at + 1].clone());
    let server = Postgres::start();
    let database = server.database();
    let broker = Mosquitto::start();
    let mut amber = Amber::new(CONFIG);
    amber.env("AMBER__BROKER__URL", &broker.url()).env("AMBER__STORE__URL", &database.url());
    amber.start();
    amber.wait_ready();
    assert!(amber.terminate().success());
    let mut sql = database.sql();
    let start = Instant::now();
    fill(&mut sql);
    eprintln!("{} rows after {:?}", DEVICES * MINUTES, start.elapsed());
    let mut all = dashboards::written();
    let output = amber.command(&["dashboards", "--out", "generated"]);
    assert!(output.status.success(), "{output:?}");
    all.extend(dashboards::of_folder(&amber.folder().join("generated")));

    println!("| dashboard | panel | rows | ms |\n|---|---|---|---|");
    for dashboard in all {
        time(&dashboard, &mut sql, explain.as_deref());
    }
}

/// Readings in the order in which they come, devices as the service keeps them, rejects.
fn fill(sql: &mut Sql) {
    sql.run(&format!(
        "insert into amber_store.room_series (site, device)
         select 'site ' || n % 50, 'device ' || n from generate_series(1, {DEVICES}) as n"
    ));
    for part in 0..10 {
        let (from, to) = (part * MINUTES / 10, (part + 1) * MINUTES / 10);
        sql.run(&format!(
            "insert into amber_store.room_data
               (time, series_id, received_at, temperature, humidity, power, energy, battery, \"window\", mode)
             select at, s, at + interval '1 second', 20 + 5 * sin(m / 200.0 + s), 50 + s % 30, 100 + m % 70, m / 60.0 + s,
               90 - m / 1000, (m / 300 + s) % 2 = 0, case (m / 500 + s) % 3 when 0 then 'auto' when 1 then 'eco' else 'off' end
             from generate_series({from}, {to} - 1) as m
             cross join lateral (
               select s, date_trunc('minute', now()) - ({MINUTES} - m) * interval '1 minute' + s * interval '50 ms' as at
               from generate_series(1, {DEVICES}) as s
             ) as each"
        ));
    }
    sql.run(
        "insert into amber_store.device (measurement, series_id, device, tags, first_seen, last_seen, last_time, gap_sum,
           gap_squares, gaps, last_values)
         select 'room', series_id, site || ' / ' || device, jsonb_build_object('site', site, 'device', device),
           now() - interval '7 days', now(), now(), 600, 36000, 10,
           jsonb_build_object('temperature', 21.5, 'humidity', 55, 'power', 120, 'energy', 170.5, 'battery', 80,
             'window', true, 'mode', 'auto')
         from amber_store.room_series
         on conflict (measurement, series_id) do update set last_values = excluded.last_values, gaps = 10, gap_sum = 600,
           gap_squares = 36000, last_seen = excluded.last_seen, last_time = excluded.last_time",
    );
    sql.run(
        "insert into amber_store.reject (received_at, payload_bytes, qos, retain, topic, payload, mapping, reason, detail)
         select now() - n * interval '2 s', 200, 1, false, 'speed/a/' || n % 1000, convert_to(repeat('{\"x\": 1}', 25), 'UTF8'),
           'room', case n % 3 when 0 then 'payload' else 'field' end, 'temperature: expected a number, found an object'
         from generate_series(1, 500000) as n",
    );
    sql.run("vacuum (analyze) amber_store.room_data");
    sql.run("vacuum (analyze) amber_store.device");
    sql.run("vacuum (analyze) amber_store.reject");
    sql.run("analyze");
}

/// Times the panels of one dashboard; of what takes several values, all are chosen, of the rest the first.
fn time(dashboard: &Dashboard, sql: &mut Sql, explain: Option<&str>) {
    let now = jiff::Timestamp::from_microsecond(amber::message::Time::now().0).expect("it is in range");
    let mut asked = Asked {
        from: (now - jiff::SignedDuration::from_hours(24)).to_string(),
        to: now.to_string(),
        interval: "2m".to_owned(),
        timezone: "Europe/Berlin".to_owned(),
        variables: BTreeMap::new(),
    };
    for variable in dashboard.variables().filter(|variable| !is_prometheus(variable)) {
        let name = word(variable, "name").to_owned();
        if word(variable, "type") == "textbox" {
            asked.variables.insert(name, vec![String::new()]);
            continue;
        }
        let text = variable_query(variable);
        let values = run(dashboard, &format!("variable {name}"), text, &asked, sql, explain);
        let count = if variable["multi"] == true { values.len() } else { 1 };
        asked.variables.insert(name, values.into_iter().take(count).collect());
    }
    for query in dashboard.queries().into_iter().filter(|query| query.kind != Kind::Prometheus) {
        run(dashboard, &query.place, &query.text, &asked, sql, explain);
    }
}

/// Prints a line, and returns the last column.
fn run(
    dashboard: &Dashboard,
    place: &str,
    text: &str,
    asked: &Asked,
    sql: &mut Sql,
    explain: Option<&str>,
) -> Vec<String> {
    let statement = asked.expand(text).unwrap_or_else(|error| panic!("{place}: {error}"));
    let mut times = Vec::new();
    let mut rows = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        rows = sql.rows(&statement).unwrap_or_else(|error| panic!("{place}: {error}\n{statement}"));
        times.push(start.elapsed());
    }
    times.sort();
    let milliseconds = times[ROUNDS / 2].as_secs_f64() * 1_000.0;
    let title = word(&dashboard.json, "title");
    println!("| {title} ({}) | {place} | {} | {milliseconds:.0} |", dashboard.name, rows.len());
    if explain.is_some_and(|title| place.contains(title)) {
        for row in sql.rows(&format!("explain (analyze, buffers) {statement}")).expect("it ran before") {
            eprintln!("{}", row[0].as_deref().unwrap_or_default());
        }
    }
    rows.into_iter().filter_map(|row| row.into_iter().next_back().flatten()).collect()
}
