//! What the queries of generated dashboards say, to the number: counters over days and hours, lines of sparse rows, gaps.

use std::collections::{BTreeMap, BTreeSet};

use amber::schema::Type;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::queries::{add_device, choose, field, generated, measurement, panels, prepared, query, total};
use crate::stack::grafana::Asked;
use crate::support::home::Home;
use crate::support::sql::Sql;

/// A measurement with a counter, a number, and a state, and whoever reads its dashboard. Its devices have 60 s for their
/// usual interval.
struct House {
    sql: Sql,
    dashboard: Value,
    _home: Home,
}

/// `time`, and the value or that there is none.
type Line = Vec<(String, Option<f64>)>;

impl House {
    fn new() -> Self {
        let fields = vec![total("energy"), field("power", Type::Float), field("open", Type::Bool)];
        let home = prepared(vec![measurement("house", &["device"], fields)]);
        let mut sql = home.sql();
        sql.run("set timezone = 'UTC'");
        let dashboard = generated(&home).remove(0);
        Self { sql, dashboard, _home: home }
    }

    fn device(&mut self, name: &str) -> i64 {
        add_device(&mut self.sql, "house", name, &json!({"device": name}), &json!({}))
    }

    fn row(&mut self, device: i64, time: Timestamp, fields: &str, values: &str) {
        self.sql.run(&format!(
            "insert into amber_store.house_data (time, series_id, received_at, {fields})
             values ('{time}', {device}, '{time}', {values})"
        ));
    }

    /// The answer of a panel for all devices, by device, in order of time.
    fn lines(&mut self, panel: &str, from: &str, to: &str, interval: &str) -> BTreeMap<String, Line> {
        let mut asked = Asked {
            from: from.to_owned(),
            to: to.to_owned(),
            interval: interval.to_owned(),
            timezone: "Europe/Berlin".to_owned(),
            variables: BTreeMap::new(),
        };
        choose(&self.dashboard, &mut asked, &mut self.sql, "all");
        let found = panels(&self.dashboard).find(|candidate| candidate["title"] == panel);
        let text = asked.expand(query(found.unwrap_or_else(|| panic!("no panel {panel}")))).unwrap();
        let rows = self.sql.rows(&text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
        let mut lines: BTreeMap<String, Line> = BTreeMap::new();
        for row in rows {
            let [time, device, _, value] = &row[..] else { panic!("{row:?}") };
            let time = time.as_deref().unwrap().strip_suffix("+00").unwrap().to_owned();
            let value = value.as_deref().map(|value| (value.parse::<f64>().unwrap() * 1e6).round() / 1e6);
            lines.entry(device.clone().unwrap()).or_default().push((time, value));
        }
        lines
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn line(points: &[(&str, f64)]) -> Line {
    points.iter().map(|&(time, value)| (time.to_owned(), Some(value))).collect()
}

#[test]
fn a_counter_grows_by_local_day_over_resets_and_the_end_of_summer_time() {
    let mut house = House::new();
    let hour = SignedDuration::from_hours(1);
    // One more each hour, from before the range; begins anew at noon of the 24th (UTC), half of an hour's worth later
    // read; an hour in which it falls by a rounding.
    let steady = house.device("steady");
    let (mut time, mut value) = (at("2024-10-20T00:00:00Z"), 1_000.0);
    while time <= at("2024-10-28T22:00:00Z") {
        let text = time.to_string();
        value = match text.as_str() {
            "2024-10-24T12:00:00Z" => 0.5,
            "2024-10-25T12:00:00Z" => value - 0.01,
            _ => value + 1.0,
        };
        house.row(steady, time, "energy", &value.to_string());
        time += hour;
    }
    // Last read four days before the range; then once, on its first day.
    let seldom = house.device("seldom");
    house.row(seldom, at("2024-10-18T00:00:00Z"), "energy", "100");
    house.row(seldom, at("2024-10-22T06:00:00Z"), "energy", "110");
    // New in the range: what it had counted before is nobody's.
    let new = house.device("young");
    house.row(new, at("2024-10-23T10:00:00Z"), "energy", "500");
    house.row(new, at("2024-10-23T11:00:00Z"), "energy", "501");

    // Berlin: the 27th has 25 hours. A day begins at 22:00 before it, at 23:00 after.
    let found = house.lines("energy, per day", "2024-10-21T22:00:00Z", "2024-10-28T22:59:00Z", "15m");
    let steady = [
        ("2024-10-21 22:00:00", 24.0),
        ("2024-10-22 22:00:00", 24.0),
        ("2024-10-23 22:00:00", 23.5),
        ("2024-10-24 22:00:00", 23.0),
        ("2024-10-25 22:00:00", 24.0),
        ("2024-10-26 22:00:00", 25.0),
        ("2024-10-27 23:00:00", 24.0),
    ];
    assert_eq!(found["steady"], line(&steady));
    assert_eq!(found["seldom"], line(&[("2024-10-21 22:00:00", 10.0)]));
    assert_eq!(found["young"], line(&[("2024-10-22 22:00:00", 1.0)]));

    // A range of hours shows seven days all the same, and the first of them whole.
    let hours = house.lines("energy, per day", "2024-10-28T16:00:00Z", "2024-10-28T21:59:00Z", "1m");
    assert_eq!(hours["steady"][..6], line(&steady)[..6]);
    assert_eq!(hours["steady"][6..], line(&[("2024-10-27 23:00:00", 23.0)]));
}

#[test]
fn a_counter_grows_an_hour_from_the_reading_before_the_range_on() {
    let mut house = House::new();
    let meter = house.device("meter");
    for (minutes, value) in [(-5, 10.0), (5, 11.0), (15, 13.0), (25, 13.0), (35, 0.5), (45, 1.5)] {
        let time = at("2024-05-01T10:00:00Z") + SignedDuration::from_mins(minutes);
        house.row(meter, time, "energy", &value.to_string());
    }
    let new = house.device("new");
    house.row(new, at("2024-05-01T10:20:00Z"), "energy", "700");
    house.row(new, at("2024-05-01T10:30:00Z"), "energy", "701");
    let found = house.lines("energy, per hour", "2024-05-01T10:00:00Z", "2024-05-01T11:00:00Z", "1m");
    let meter = [
        ("2024-05-01 10:05:00", 6.0),
        ("2024-05-01 10:15:00", 12.0),
        ("2024-05-01 10:25:00", 0.0),
        ("2024-05-01 10:35:00", 3.0),
        ("2024-05-01 10:45:00", 6.0),
    ];
    assert_eq!(found["meter"], line(&meter));
    assert_eq!(found["new"], line(&[("2024-05-01 10:30:00", 6.0)]));
}

#[test]
fn a_device_that_sends_one_value_a_message_has_the_lines_of_one_that_sends_all_together() {
    let mut house = House::new();
    let (dense, sparse) = (house.device("dense"), house.device("sparse"));
    for minute in 0..120 {
        let time = at("2024-05-01T10:00:00Z") + SignedDuration::from_mins(minute);
        let (energy, power, open) = (100 + minute, 50 + minute % 7, minute / 30 % 2 == 0);
        house.row(dense, time, "energy, power, open", &format!("{energy}, {power}, {open}"));
        for (name, value) in [("energy", energy.to_string()), ("power", power.to_string()), ("open", open.to_string())]
        {
            house.row(sparse, time, name, &value);
        }
    }
    for (panel, interval, count) in [
        ("power", "1m", 120),
        ("power", "5m", 24),
        ("energy, per hour", "5m", 23),
        ("energy, per day", "1m", 1),
        ("open", "1m", 4),
    ] {
        let found = house.lines(panel, "2024-05-01T09:30:00Z", "2024-05-01T12:00:00Z", interval);
        let dense: Line =
            found["dense"].iter().filter(|point| point.0.as_str() < "2024-05-01 12:00:00").cloned().collect();
        assert_eq!(dense.len(), count, "{panel}: {dense:?}");
        assert!(dense.iter().all(|(_, value)| value.is_some()), "{panel}: {dense:?}");
        assert_eq!(found["sparse"], found["dense"], "{panel}");
    }
}

#[test]
fn an_outage_is_a_gap_and_a_short_pause_is_none() {
    let mut house = House::new();
    let device = house.device("device");
    let start = at("2024-05-01T10:00:00Z");
    // Away for 2 minutes at 10:20, and for 30 at 10:40.
    let minutes: BTreeSet<i64> = (0..120).filter(|minute| *minute != 20 && !(40..69).contains(minute)).collect();
    for &minute in &minutes {
        let fields = format!("{minute}, 1, {}", minute < 100);
        house.row(device, start + SignedDuration::from_mins(minute), "energy, power, open", &fields);
    }
    for panel in ["power", "energy, per hour", "open"] {
        let found = house.lines(panel, "2024-05-01T10:00:00Z", "2024-05-01T12:00:00Z", "1m");
        let gaps: Vec<&str> =
            found["device"].iter().filter(|(_, value)| value.is_none()).map(|(time, _)| time.as_str()).collect();
        assert_eq!(gaps, ["2024-05-01 10:42:00"], "{panel}");
    }
    let open = house.lines("open", "2024-05-01T10:00:00Z", "2024-05-01T12:00:00Z", "1m").remove("device").unwrap();
    let open: Vec<(&str, Option<f64>)> = open.iter().map(|(time, value)| (time.as_str(), *value)).collect();
    let states = [
        ("2024-05-01 10:00:00", Some(1.0)),
        ("2024-05-01 10:42:00", None),
        ("2024-05-01 11:09:00", Some(1.0)),
        ("2024-05-01 11:40:00", Some(0.0)),
    ];
    assert_eq!(open, states);
}
