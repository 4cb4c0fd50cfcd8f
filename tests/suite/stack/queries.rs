//! Every query of every panel, variable and annotation, as Grafana would send it, on a real PostgreSQL as the role that
//! Grafana has: empty and seeded, for every choice of the variables, over an hour, a day and a month.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::dashboards::{self, Dashboard, Kind, is_prometheus, variable_query, word};
use super::grafana::Asked;
use super::seed::{self, now};
use super::text;
use crate::support::sql::{Sql, Texts};

type Values = BTreeMap<String, Vec<String>>;

/// What a person may choose. One: each option in turn, where a variable takes one only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    All,
    One,
    Several,
    None,
    /// What no option is: an address that somebody wrote.
    Odd,
}

const ODD: &str = "it's \"odd\" {1} \\";
const NO_SERIES: &str = "999999999999";

/// How Grafana sees a result.
fn is_number(r#type: &str) -> bool {
    ["INT2", "INT4", "INT8", "FLOAT4", "FLOAT8", "NUMERIC"].contains(&r#type)
}

fn is_time(r#type: &str) -> bool {
    ["TIMESTAMPTZ", "TIMESTAMP", "DATE"].contains(&r#type)
}

/// Ranges in hours, with the interval that Grafana makes of each on a wide screen.
fn ranges() -> impl Iterator<Item = (i64, Asked)> {
    [(1, "1m"), (24, "2m"), (30 * 24, "30m")].into_iter().map(|(hours, interval)| {
        let asked = Asked {
            from: (now() - SignedDuration::from_hours(hours)).to_string(),
            to: (now() + SignedDuration::from_mins(1)).to_string(),
            interval: interval.to_owned(),
            timezone: "Europe/Berlin".to_owned(),
            variables: Values::new(),
        };
        (hours, asked)
    })
}

/// The values of all variables for a choice; more than one set where a variable that takes one value has several.
fn choices(dashboard: &Dashboard, choice: Choice, asked: &Asked, reader: &mut Sql) -> Vec<Values> {
    let mut sets = vec![Values::new()];
    for variable in dashboard.variables().filter(|variable| !is_prometheus(variable)) {
        let name = word(variable, "name");
        let mut next = Vec::new();
        for set in sets {
            for values in values(variable, choice, &set, asked, reader) {
                let mut set = set.clone();
                set.insert(name.to_owned(), values);
                next.push(set);
            }
        }
        sets = next;
    }
    sets
}

/// The values of one variable, each a selection that a person may make.
fn values(
    variable: &serde_json::Value,
    choice: Choice,
    before: &Values,
    asked: &Asked,
    reader: &mut Sql,
) -> Vec<Vec<String>> {
    if word(variable, "type") == "textbox" {
        return vec![vec![if choice == Choice::Odd { ODD } else { "" }.to_owned()]];
    }
    let asked = Asked { variables: before.clone(), ..asked.clone() };
    let options = options(variable, &asked, reader);
    let is_multi = variable["multi"] == true;
    match choice {
        Choice::Odd if variable_query(variable).contains("series_id as __value") => vec![vec![NO_SERIES.to_owned()]],
        Choice::Odd => vec![vec![ODD.to_owned()]],
        Choice::None if is_multi => vec![vec![]],
        _ if options.is_empty() && !is_multi => vec![vec![String::new()]],
        _ if !is_multi => options.into_iter().map(|value| vec![value]).collect(),
        Choice::All | Choice::None => vec![options],
        Choice::One => vec![options.into_iter().take(1).collect()],
        Choice::Several => vec![options.into_iter().take(2).collect()],
    }
}

/// What a variable offers. Its values are such that no way of quoting matters, its texts are unique.
fn options(variable: &serde_json::Value, asked: &Asked, reader: &mut Sql) -> Vec<String> {
    let name = word(variable, "name");
    let (sql, columns, rows) = run(&format!("variable {name}"), variable_query(variable), asked, reader);
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.len() == 1 || names == ["__text", "__value"], "variable {name}: columns {names:?}");
    let texts: BTreeSet<_> = rows.iter().map(|row| row[0].clone()).collect();
    assert_eq!(texts.len(), rows.len(), "variable {name}: texts are not unique:\n{sql}");
    let values: Vec<String> = rows.into_iter().map(|row| row.last().cloned().flatten().expect("a value")).collect();
    for value in &values {
        let is_plain = value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        assert!(is_plain && !value.is_empty(), "variable {name}: `{value}` is quoted differently by version");
    }
    values
}

type Answer = (String, Vec<(String, String)>, Vec<Texts>);

/// The statement that arrives, the columns and the rows of its answer.
#[track_caller]
fn run(place: &str, text: &str, asked: &Asked, reader: &mut Sql) -> Answer {
    let sql = asked.expand(text).unwrap_or_else(|error| panic!("{place}: {error}"));
    let columns = reader.columns(&sql).unwrap_or_else(|error| panic!("{place}: {error}\n{sql}"));
    let rows = reader.rows(&sql).unwrap_or_else(|error| panic!("{place}: {error}\n{sql}"));
    (sql, columns, rows)
}

/// Whether Grafana can make of an answer what the panel wants.
fn check_shape(place: &str, kind: Kind, (sql, columns, rows): &Answer) {
    let names: BTreeSet<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), columns.len(), "{place}: two columns have one name");
    let time = columns.iter().position(|(name, _)| name == "time");
    match kind {
        Kind::Series => {
            let time = time.unwrap_or_else(|| panic!("{place}: no column `time`:\n{sql}"));
            assert!(is_time(&columns[time].1) || is_number(&columns[time].1), "{place}: `time` is no time");
            let others = || columns.iter().enumerate().filter(|(n, _)| *n != time).map(|(_, column)| column);
            let is_value = |r#type: &str| is_number(r#type) || r#type == "BOOL";
            assert!(others().any(|(_, r#type)| is_value(r#type)), "{place}: no value: {columns:?}");
            let odd: Vec<_> = others().filter(|(_, r#type)| !is_value(r#type) && r#type != "TEXT").collect();
            assert!(odd.is_empty(), "{place}: neither value nor label: {odd:?}");
            let times: Vec<&String> = rows.iter().map(|row| row[time].as_ref().expect("a time is not null")).collect();
            let numbers: Vec<f64> = times.iter().filter_map(|time| time.parse().ok()).collect();
            let in_order = if is_number(&columns[time].1) { numbers.is_sorted() } else { times.is_sorted() };
            assert!(in_order, "{place}: not in order of time");
        }
        Kind::Annotation => {
            assert!(time.is_some() && names.contains("text"), "{place}: columns {names:?}");
        }
        Kind::Table | Kind::Prometheus => {}
    }
}

/// Asks everything for one choice. What shows nothing is returned.
fn ask(dashboard: &Dashboard, choice: Choice, reader: &mut Sql) -> BTreeMap<String, String> {
    let mut shown = BTreeSet::new();
    let mut empty = BTreeMap::new();
    for (hours, asked) in ranges() {
        for variables in choices(dashboard, choice, &asked, reader) {
            let asked = Asked { variables, ..asked.clone() };
            for query in dashboard.queries().into_iter().filter(|query| query.kind != Kind::Prometheus) {
                let place = format!("{}: {}", dashboard.name, query.place);
                let told = format!("{place}, {hours} h, {choice:?} {:?}", asked.variables);
                let answer = run(&told, &query.text, &asked, reader);
                check_shape(&told, query.kind, &answer);
                let time = answer.1.iter().position(|(name, _)| name == "time");
                let has_value =
                    |row: &Texts| row.iter().enumerate().any(|(n, value)| Some(n) != time && value.is_some());
                if answer.2.iter().any(has_value) {
                    shown.insert((hours, place));
                } else {
                    empty.entry((hours, place)).or_insert(answer.0);
                }
            }
        }
    }
    empty
        .into_iter()
        .filter(|(key, _)| !shown.contains(key))
        .map(|((h, place), sql)| (format!("{place}, {h} h"), sql))
        .collect()
}

const EVERY: [Choice; 5] = [Choice::All, Choice::One, Choice::Several, Choice::None, Choice::Odd];

#[test]
fn every_query_runs_on_an_empty_store() {
    let stack = seed::empty();
    let mut reader = stack.reader();
    for dashboard in dashboards::written().into_iter().chain(stack.generated()) {
        for choice in EVERY {
            ask(&dashboard, choice, &mut reader);
        }
    }
}

#[test]
fn every_query_shows_something_on_a_seeded_store() {
    let mut stack = seed::seeded();
    stack.let_a_device_fall_silent();
    let mut reader = stack.reader();
    let page = text("docs/dashboards.md");
    let block = |mark: &str| {
        let (_, block) = page.split_once(&format!("<!-- test: {mark} -->\n```sql\n")).expect("the page shows it");
        block.split_once(";\n```").expect("a block ends").0.to_owned()
    };
    assert!(!reader.rows(&block("readings")).unwrap().is_empty());
    stack.owner().run(&block("retire"));
    for dashboard in dashboards::written().into_iter().chain(stack.generated()) {
        for choice in EVERY {
            let empty = ask(&dashboard, choice, &mut reader);
            let must_show = matches!(choice, Choice::All | Choice::One | Choice::Several);
            assert!(!must_show || empty.is_empty(), "{choice:?}: nothing is shown: {empty:#?}");
        }
    }
}
