//! The dashboards: their shape, by the rules that keep them working over Grafana's versions, and every query of
//! theirs on the tables that Amber makes, empty and with readings.

use std::collections::{BTreeMap, BTreeSet};

use amber::message::Qos;
use serde_json::Value;

use super::grafana::Asked;
use super::{Stack, path, text};
use crate::support::client::Publisher;
use crate::support::sql::Sql;
use crate::support::{equal, eventually};

/// Readings of the devices of `config.example.toml` that fill every panel, `ago` minutes ago, with tag values that would
/// break careless queries. The last one cannot be read.
fn readings(now: jiff::Timestamp, ago: i64) -> Vec<(String, String)> {
    let time = now - jiff::SignedDuration::from_mins(ago);
    let mut readings = Vec::new();
    for room in ["kitchen", "o'brien's \"den\"", "$__timeFilter(x)", "küche, ${room}\\"] {
        readings.extend([
            (format!("home/{room}/climate"), r#"{"temperature": 21.4, "humidity": 48.2, "battery": 97}"#.to_owned()),
            (
                format!("home/{room}/power"),
                format!(
                    r#"{{"ts": {}, "power": 123.4, "energy": {}, "voltage": 230.1}}"#,
                    time.as_second(),
                    1234.5 - ago as f64 / 10.0
                ),
            ),
            (format!("home/{room}/fridge/status"), if ago > 0 { "online" } else { "offline" }.to_owned()),
        ]);
    }
    let weather =
        format!(r#"{{"time": "{time}", "wind": {{"speed": 3.2, "gust": 5.1}}, "rain": 0.2, "pressure": 1013.2}}"#);
    readings.push(("garden/pond/weather".to_owned(), weather));
    readings.push(("home/kitchen/climate".to_owned(), "{\"temperature\": ".to_owned()));
    readings
}

/// Every dashboard, by its file's name.
fn dashboards() -> Vec<(String, Value)> {
    let folder = path("grafana/dashboards");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("it is there").map(|file| file.expect("it is read").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "there is no dashboard");
    let read = |file: std::path::PathBuf| {
        let name = file.file_name().expect("it has a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).expect("it is read");
        let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, json)
    };
    files.into_iter().map(read).collect()
}

/// The panels of a dashboard, those of collapsed rows too.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let top = dashboard["panels"].as_array().expect("a dashboard has panels");
    top.iter()
        .flat_map(|panel| std::iter::once(panel).chain(panel["panels"].as_array().into_iter().flatten()))
        .collect()
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(amber::message::Time::now().0).expect("it is in range")
}

fn word<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// Every query of a dashboard: where it stands, its SQL, and whether it is a time series.
fn queries(dashboard: &Value) -> Vec<(String, String, bool)> {
    let mut queries = Vec::new();
    for panel in panels(dashboard) {
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push((
                word(panel, "title").to_owned(),
                word(target, "rawSql").to_owned(),
                word(target, "format") == "time_series",
            ));
        }
    }
    for variable in dashboard["templating"]["list"].as_array().into_iter().flatten() {
        queries.push((format!("variable {}", word(variable, "name")), word(variable, "query").to_owned(), false));
    }
    queries
}

/// The faults of a dashboard's shape, all at once.
fn faults(dashboard: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |right: bool, what: String| {
        if !right {
            faults.push(what);
        }
    };
    for key in ["elements", "layout", "spec", "__inputs", "__requires"] {
        check(dashboard.get(key).is_none(), format!("`{key}` belongs to another kind of file"));
    }
    check(dashboard["schemaVersion"] == 42, "schemaVersion is not 42".to_owned());
    check(dashboard["editable"] == false, "editable is not false".to_owned());
    check(dashboard["id"].is_null(), "it has an id of some instance".to_owned());
    check(
        !word(dashboard, "title").is_empty() && !word(dashboard, "description").is_empty(),
        "title, description".to_owned(),
    );
    let uid = word(dashboard, "uid");
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    check(!uid.is_empty() && uid.len() <= 40 && uid.chars().all(plain), format!("uid `{uid}`"));
    check(dashboard["tags"].as_array().is_some_and(|tags| tags.contains(&"amber".into())), "no tag `amber`".to_owned());

    let sources = text("grafana/provisioning/datasources/amber.yaml");
    let known = |source: &Value| sources.lines().any(|line| line.trim() == format!("uid: {}", word(source, "uid")));
    let mut ids = BTreeSet::new();
    let mut taken: BTreeMap<(u64, u64), String> = BTreeMap::new();
    for panel in panels(dashboard) {
        let title = word(panel, "title");
        check(!title.is_empty(), format!("panel {} has no title", panel["id"]));
        check(ids.insert(panel["id"].as_u64()) && panel["id"].is_u64(), format!("{title}: id {}", panel["id"]));
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap_or_else(|| panic!("{title}: gridPos.{key}"));
        check(place("x") + place("w") <= 24 && place("w") > 0 && place("h") > 0, format!("{title}: beyond 24 columns"));
        for cell in (place("x")..place("x") + place("w"))
            .flat_map(|x| (place("y")..place("y") + place("h")).map(move |y| (x, y)))
        {
            if let Some(other) = taken.insert(cell, title.to_owned()) {
                check(other == title, format!("{title} lies on {other}"));
            }
        }
        if word(panel, "type") == "row" {
            continue;
        }
        check(!word(panel, "description").is_empty(), format!("{title}: no description"));
        check(known(&panel["datasource"]), format!("{title}: data source {}", panel["datasource"]));
        let defaults = &panel["fieldConfig"]["defaults"];
        check(!word(defaults, "unit").is_empty(), format!("{title}: no unit"));
        check(!word(defaults, "noValue").is_empty(), format!("{title}: no text for no value"));
        check(
            defaults["thresholds"]["steps"][0].get("value") == Some(&Value::Null),
            format!("{title}: first threshold"),
        );
        check(panel["targets"].as_array().is_some_and(|targets| targets.len() == 1), format!("{title}: not one query"));
        for target in panel["targets"].as_array().into_iter().flatten() {
            let sql = word(target, "rawSql");
            check(known(&target["datasource"]), format!("{title}: data source of its query"));
            check(
                target["rawQuery"] == true && word(target, "editorMode") == "code",
                format!("{title}: not a raw query"),
            );
            check(
                word(target, "format") != "time_series" || sql.contains("order by 1"),
                format!("{title}: not in order of time"),
            );
            check(
                !sql.contains("select *") && !sql.contains("--") && !sql.contains(';'),
                format!("{title}: `*`, comment or `;`"),
            );
            check(sql.contains("$__timeFilter("), format!("{title}: not bound to the range shown"));
        }
    }
    for variable in dashboard["templating"]["list"].as_array().into_iter().flatten() {
        let name = word(variable, "name");
        check(known(&variable["datasource"]), format!("variable {name}: data source"));
        check(
            variable.get("allValue").is_none_or(Value::is_null),
            format!("variable {name}: allValue goes in unquoted"),
        );
    }
    faults
}

/// What a person may ask a dashboard: ranges, and for each variable all values, one, none, and a made-up one. (Grafana
/// expands a macro in a value, too: a made-up address can break its own query. It can do no more than its role.)
fn asked(variables: &BTreeMap<String, Vec<String>>) -> Vec<(String, Asked)> {
    let now = now();
    let mut all = Vec::new();
    for (range, interval) in [(1, "1m"), (24, "2m"), (30 * 24, "1h")] {
        for choice in ["all", "first", "none", "made up"] {
            let chosen = variables.iter().map(|(name, values)| {
                let values = match choice {
                    "all" => values.clone(),
                    "first" => values.iter().take(1).cloned().collect(),
                    "none" => vec![],
                    _ => vec!["it's \"odd\" {1} \\".to_owned()],
                };
                (name.clone(), values)
            });
            let (from, to) = (now - jiff::SignedDuration::from_hours(range), now + jiff::SignedDuration::from_mins(1));
            all.push((
                format!("{range} h, variables: {choice}"),
                Asked {
                    from: from.to_string(),
                    to: to.to_string(),
                    interval: interval.to_owned(),
                    variables: chosen.collect(),
                },
            ));
        }
    }
    all
}

/// The values that the variables of a dashboard offer now.
fn variables(dashboard: &Value, reader: &mut Sql) -> BTreeMap<String, Vec<String>> {
    let mut values = BTreeMap::new();
    for variable in dashboard["templating"]["list"].as_array().into_iter().flatten() {
        let rows = reader.rows(word(variable, "query")).unwrap_or_else(|error| panic!("{variable}: {error}"));
        let texts: BTreeSet<_> = rows.iter().map(|row| row[0].clone()).collect();
        assert_eq!(texts.len(), rows.len(), "the texts of {} are not unique", variable["name"]);
        values.insert(
            word(variable, "name").to_owned(),
            rows.into_iter().map(|row| row.last().cloned().flatten().expect("a value")).collect(),
        );
    }
    values
}

#[test]
fn every_dashboard_has_the_shape_that_grafana_keeps() {
    let mut uids = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        assert_eq!(faults(&dashboard), [""; 0], "{name}");
        assert!(uids.insert(word(&dashboard, "uid").to_owned()), "{name}: uid used twice");
    }
}

#[test]
fn every_query_runs_on_an_empty_store_and_shows_something_on_a_full_one() {
    let stack = Stack::start();
    let mut reader = stack.reader();
    for (name, dashboard) in dashboards() {
        for (with, asked) in asked(&variables(&dashboard, &mut reader)) {
            for (title, sql, _) in queries(&dashboard) {
                let sql = asked.expand(&sql).unwrap_or_else(|error| panic!("{name}: {title}: {error}"));
                reader.rows(&sql).unwrap_or_else(|error| panic!("{name}: {title}, empty, {with}: {error}\n{sql}"));
            }
        }
    }

    let mut publisher = Publisher::connect(stack.broker.port, "sensors");
    for ago in [20, 10, 0] {
        let readings = readings(now(), ago).into_iter().map(|(topic, payload)| (topic, payload.into_bytes()));
        publisher.publish_all(Qos::AtLeastOnce, readings);
    }
    eventually("the last of the readings is stored", || equal(reader.number("select count(*) from amber.rejects"), 3));

    for (name, dashboard) in dashboards() {
        for (with, asked) in asked(&variables(&dashboard, &mut reader)) {
            for (title, sql, is_series) in queries(&dashboard) {
                let sql = asked.expand(&sql).unwrap_or_else(|error| panic!("{name}: {title}: {error}"));
                let rows = reader.rows(&sql).unwrap_or_else(|error| panic!("{name}: {title}, {with}: {error}\n{sql}"));
                let shows = rows.iter().any(|row| row.iter().any(Option::is_some));
                let chosen = with.ends_with("all") || with.ends_with("first") || !sql.contains("array[");
                assert!(shows || !chosen, "{name}: {title} shows nothing, {with}:\n{sql}");
                if is_series && shows {
                    let columns = format!(
                        "select string_agg(key, ' ') from (select json_object_keys(row_to_json(q)) as key from (select * from ({sql}) as q limit 1) as q) as keys"
                    );
                    assert_eq!(reader.value(&columns).as_deref(), Ok("time metric value"), "{name}: {title}");
                    let times: Vec<f64> = rows.iter().filter_map(|row| row[0].as_deref()?.parse().ok()).collect();
                    assert!(times.is_sorted(), "{name}: {title} is not in order of time");
                }
            }
        }
    }
}
