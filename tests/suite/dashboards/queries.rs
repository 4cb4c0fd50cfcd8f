//! Every query of generated dashboards, whatever measurements, tags and fields are called, empty and with readings, for
//! every kind of choice. What some of them say: `values`.

use std::collections::{BTreeMap, BTreeSet};

use amber::dashboards;
use amber::schema::{Described, Field, Kind, MAX_SERIES, Measurement, OnDuplicate, Schema, Type};
use amber::store::Describer;
use serde_json::Value;

use crate::stack::grafana::Asked;
use crate::support::home::Home;
use crate::support::sql::Sql;

/// Names that Grafana, PostgreSQL or both might read otherwise.
const WILD: [&str; 12] = [
    "plain",
    "it's \"quoted\"",
    "$__timeFilter(x)",
    "${device:sqlstring}",
    "[[device]] $device",
    "a--b /* c",
    "back\\slash;",
    "größe in °C, 東京 🌡",
    "time",
    "value",
    "%s {0} {{x}}",
    "sixty_three_bytes_are_the_most_that_a_name_has_in_postgresql_xx",
];

pub(super) fn field(name: &str, r#type: Type) -> Field {
    Field {
        name: name.to_owned(),
        kind: Kind::Gauge,
        r#type,
        unit: None,
        description: None,
        decimals: None,
        min: None,
        max: None,
        deadband: None,
    }
}

pub(super) fn total(name: &str) -> Field {
    Field { kind: Kind::Total, ..field(name, Type::Float) }
}

pub(super) fn measurement(name: &str, tags: &[&str], fields: Vec<Field>) -> Measurement {
    Measurement {
        name: name.to_owned(),
        tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
        fields,
        max_series: MAX_SERIES,
        on_duplicate: OnDuplicate::Keep,
        retention: None,
        compress: None,
        others: false,
        own: None,
    }
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A database with the tables of `measurements`, without a row.
pub(super) fn prepared(measurements: Vec<Measurement>) -> Home {
    let home = Home::postgres();
    let mut subject = home.store(1);
    subject.prepare(&Schema { measurements }).unwrap();
    home
}

fn described(home: &Home) -> Vec<Described> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let describer = Describer::new(&home.store_config()).unwrap();
    runtime.block_on(describer.describe(None)).unwrap().unwrap().1.unwrap()
}

/// The generated dashboards of a database.
pub(super) fn generated(home: &Home) -> Vec<Value> {
    let all = dashboards::all(&described(home));
    all.iter().map(|dashboard| serde_json::from_str(&dashboard.text).unwrap()).collect()
}

/// A device, its row in `amber_store.device`, as the service keeps it.
pub(super) fn add_device(sql: &mut Sql, measurement: &str, device: &str, tags: &Value, last_values: &Value) -> i64 {
    let table = quote(&format!("{measurement}_series"));
    let tags_object = tags.as_object().unwrap();
    let names: Vec<String> = tags_object.keys().map(|tag| quote(tag)).collect();
    let values: Vec<String> = tags_object.values().map(|value| literal(value.as_str().unwrap())).collect();
    let id = match names.is_empty() {
        true => sql.number(&format!("insert into amber_store.{table} default values returning series_id")),
        false => sql.number(&format!(
            "insert into amber_store.{table} ({}) values ({}) returning series_id",
            names.join(", "),
            values.join(", ")
        )),
    };
    let id = id.unwrap();
    sql.run(&format!(
        "insert into amber_store.device (measurement, series_id, device, tags, first_seen, last_seen, last_time, gap_sum, gap_squares, gaps, last_values)
         values ({}, {id}, {}, {}, now() - interval '1 day', now(), now(), 600, 36000, 10, {})",
        literal(measurement),
        literal(device),
        literal(&tags.to_string()),
        literal(&last_values.to_string()),
    ));
    id
}

/// Panels, those of rows that are closed too.
pub(super) fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let top = dashboard["panels"].as_array().unwrap().iter();
    top.flat_map(|panel| std::iter::once(panel).chain(panel["panels"].as_array().into_iter().flatten()))
        .filter(|panel| panel["type"] != "row")
}

pub(super) fn query(panel: &Value) -> &str {
    panel["targets"][0]["rawSql"].as_str().unwrap()
}

fn asked(hours: i64, interval: &str) -> Asked {
    let now = jiff::Timestamp::from_microsecond(amber::message::Time::now().0).unwrap();
    Asked {
        from: (now - jiff::SignedDuration::from_hours(hours)).to_string(),
        to: (now + jiff::SignedDuration::from_mins(1)).to_string(),
        interval: interval.to_owned(),
        timezone: "Europe/Berlin".to_owned(),
        variables: BTreeMap::new(),
    }
}

/// Chooses for each variable in turn, as the browser does: those before are in its query.
pub(super) fn choose(dashboard: &Value, asked: &mut Asked, sql: &mut Sql, choice: &str) {
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let text = asked.expand(variable["query"].as_str().unwrap()).unwrap();
        let rows = sql.rows(&text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
        let texts: BTreeSet<_> = rows.iter().map(|row| row[0].clone()).collect();
        assert_eq!(texts.len(), rows.len(), "texts are unique:\n{text}");
        let mut values: Vec<String> = rows.into_iter().map(|row| row[1].clone().unwrap()).collect();
        assert!(values.iter().all(|value| value.bytes().all(|byte| byte.is_ascii_alphanumeric())), "{values:?}");
        match choice {
            "all" => {}
            "one" => values.truncate(1),
            "none" => values.clear(),
            _ => values = vec!["it's \"odd\" {1} \\".to_owned(), "999999999999999999999".to_owned()],
        }
        asked.variables.insert(variable["name"].as_str().unwrap().to_owned(), values);
    }
}

/// Runs every query of a dashboard; returns which panels show something.
fn run(dashboard: &Value, asked: &Asked, sql: &mut Sql) -> BTreeSet<u64> {
    let mut shown = BTreeSet::new();
    for panel in panels(dashboard) {
        let text = asked.expand(query(panel)).unwrap_or_else(|error| panic!("{}: {error}", panel["title"]));
        let rows = sql.rows(&text).unwrap_or_else(|error| panic!("{}: {error}:\n{text}", panel["title"]));
        if panel["type"] != "stat" && panel["type"] != "table" {
            let times: Vec<&String> = rows.iter().map(|row| row[0].as_ref().unwrap()).collect();
            assert!(times.is_sorted(), "{} is not in order of time", panel["title"]);
        }
        let value = if panel["type"] == "stat" { 0 } else { 3 };
        if rows.iter().any(|row| row[value].is_some()) {
            shown.insert(panel["id"].as_u64().unwrap());
        }
    }
    shown
}

#[test]
fn whatever_the_names_are_every_query_runs_and_shows_what_there_is() {
    let fields = || {
        let types = [Type::Float, Type::Int, Type::Bool, Type::Text, Type::Time, Type::Json];
        WILD.iter()
            .filter(|name| **name != "time")
            .zip(types.into_iter().cycle())
            .map(|(name, r#type)| field(name, r#type))
    };
    let mut measurements: Vec<Measurement> = WILD
        .iter()
        .map(|name| measurement(&name.chars().take(20).collect::<String>(), &[], fields().collect()))
        .collect();
    measurements.push(measurement(
        "tags",
        &WILD.map(|name| if name == "time" { "device" } else { name })[..10],
        vec![field("v", Type::Float)],
    ));
    measurements.push(measurement("totals", &["a", "b"], WILD[..8].iter().map(|name| total(name)).collect()));
    measurements.push(measurement("wide", &["t"], (0..200).map(|n| field(&format!("f{n}"), Type::Float)).collect()));
    measurements.push(measurement("bare", &[], vec![]));
    let home = prepared(measurements.clone());
    let mut sql = home.sql();
    let dashboards = generated(&home);
    assert_eq!(dashboards.len(), measurements.len());
    let uids: BTreeSet<&str> = dashboards.iter().map(|dashboard| dashboard["uid"].as_str().unwrap()).collect();
    assert_eq!(uids.len(), dashboards.len(), "{uids:?}");
    assert!(
        uids.iter().all(
            |uid| uid.len() <= 40 && uid.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        )
    );
    for dashboard in &dashboards {
        for choice in ["all", "one", "none", "odd"] {
            let mut asked = asked(24, "2m");
            choose(dashboard, &mut asked, &mut sql, choice);
            run(dashboard, &asked, &mut sql);
        }
    }

    // Two devices each, with the same names of tags' values, and a value of each field.
    for measurement in &measurements {
        for value in ["o'b\"rien \\ $x", "[[y]]"] {
            let tags: serde_json::Map<_, _> = measurement.tags.iter().map(|tag| (tag.clone(), value.into())).collect();
            let last: serde_json::Map<_, _> = measurement
                .fields
                .iter()
                .map(|field| {
                    (
                        field.name.clone(),
                        match field.r#type {
                            Type::Float | Type::Int => 1.5.into(),
                            Type::Bool => true.into(),
                            Type::Text | Type::Time | Type::Json => "on".into(),
                        },
                    )
                })
                .collect();
            if measurement.tags.is_empty() && value != "[[y]]" {
                continue;
            }
            let id = add_device(&mut sql, &measurement.name, "the device", &tags.into(), &last.into());
            let names: String = measurement.fields.iter().map(|field| format!(", {}", quote(&field.name))).collect();
            let values = |n: usize| {
                measurement
                    .fields
                    .iter()
                    .map(move |field| match field.r#type {
                        Type::Float | Type::Int => format!(", {n}"),
                        Type::Bool => format!(", {}", n.is_multiple_of(2)),
                        Type::Text => format!(", 'state {n}'"),
                        Type::Time => ", now()".to_owned(),
                        Type::Json => ", '{}'".to_owned(),
                    })
                    .collect::<String>()
            };
            for n in 0..4 {
                sql.run(&format!(
                    "insert into amber_store.{} (time, series_id, received_at{names}) values (now() - interval '{} minutes', {id}, now(){})",
                    quote(&format!("{}_data", measurement.name)),
                    10 - n,
                    values(n)
                ));
            }
        }
    }
    for dashboard in &dashboards {
        for (choice, hours, interval) in [
            ("all", 1, "15s"),
            ("all", 24, "2m"),
            ("all", 30 * 24, "1h"),
            ("one", 24, "2m"),
            ("none", 24, "2m"),
            ("odd", 24, "2m"),
        ] {
            let mut asked = asked(hours, interval);
            choose(dashboard, &mut asked, &mut sql, choice);
            let shown = run(dashboard, &asked, &mut sql);
            let all: BTreeSet<u64> = panels(dashboard).map(|panel| panel["id"].as_u64().unwrap()).collect();
            let bounded = panels(dashboard).filter(|panel| panel["title"].as_str().unwrap().ends_with(", per hour"));
            let coarse: BTreeSet<u64> =
                bounded.map(|panel| panel["id"].as_u64().unwrap()).filter(|_| interval == "1h").collect();
            if matches!(choice, "all" | "one") {
                let missing: Vec<&u64> = all.difference(&shown).filter(|id| !coarse.contains(id)).collect();
                let missing: Vec<&Value> = panels(dashboard)
                    .filter(|panel| missing.contains(&&panel["id"].as_u64().unwrap()))
                    .map(|panel| &panel["title"])
                    .collect();
                assert!(missing.is_empty(), "{} {choice} {hours} h: nothing in {missing:?}", dashboard["title"]);
            }
        }
    }
}
