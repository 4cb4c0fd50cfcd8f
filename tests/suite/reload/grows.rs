//! An edit from end to end: the file, the tables, the dashboards, the devices, and every message of a publisher that goes on
//! all the while.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::{APPLIED, replace, wait_for};
use crate::support::binary::Amber;
use crate::support::client::Publisher;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::{self, Load};
use crate::support::{equal, eventually};

/// Title and unit of every panel with a unit.
fn panels(path: &Path) -> Result<Vec<(String, String)>, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let dashboard: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let panels = dashboard["panels"].as_array().ok_or("no panels")?.iter();
    let told = panels.filter_map(|panel| {
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str()?;
        Some((panel["title"].as_str()?.to_owned(), unit.to_owned()))
    });
    Ok(told.collect())
}

#[track_caller]
fn wait_for_panel(path: &Path, title: &str, unit: &str) {
    let wanted = (title.to_owned(), unit.to_owned());
    eventually(&format!("a panel {title} in {unit}"), || {
        let panels = panels(path)?;
        if panels.contains(&wanted) { Ok(()) } else { Err(format!("{panels:?}")) }
    });
}

#[test]
fn an_edited_mapping_shows_up_as_a_new_column_a_new_panel_and_no_lost_message() {
    let (home, broker) = (Home::postgres(), Mosquitto::start());
    let settings = numbers::settings(&broker.url(), &home.url(), "qos = 2\n")
        .replace("[store]", "[dashboards]\ndir = \"out\"\n[store]");
    let before =
        settings + "[mapping.numbers]\ntopic = \"n/{device}\"\n[mapping.numbers.fields]\nn = { type = \"int\" }\n";
    let with_field = before.clone() + "level = { path = \"n\", unit = \"°C\" }\n";
    let with_mapping = with_field.clone()
        + "[mapping.power]\ntopic = \"power/{meter}\"\nretention = \"90d\"\n\
           fields = { energy = { unit = \"kWh\", kind = \"total\" } }\n";
    let mut amber = Amber::new(&before);
    amber.env("AMBER__STORE__DEVICES_INTERVAL", "50ms");
    amber.start();
    amber.wait_ready();
    let out = amber.folder().join("out");
    eventually("the first dashboard", || equal(Ok(out.join("numbers.json").exists()), true));
    assert!(!fs::read_to_string(out.join("numbers.json")).unwrap().contains("level"));
    let load = Load::start(broker.port, Duration::from_millis(5));
    load.wait_for(200);

    replace(&amber, &with_field);
    wait_for(&amber, APPLIED, 1.0);
    wait_for_panel(&out.join("numbers.json"), "level", "celsius");
    let filled = "select count(*) from amber.numbers where level = n";
    let mut sql = home.sql();
    eventually("the new column has values", || match sql.number(filled)? {
        0 => Err("none".to_owned()),
        _ => Ok(()),
    });
    load.wait_for(100);

    replace(&amber, &with_mapping);
    wait_for(&amber, APPLIED, 2.0);
    wait_for_panel(&out.join("power.json"), "energy, per day", "kwatth");
    let kept = "select extract(epoch from retention)::int8 / 86400 from amber.measurements where name = 'power'";
    assert_eq!(sql.number(kept), Ok(90));
    Publisher::connect(broker.port, "meter").publish("power/m1", "{\"energy\":5.5}", amber::message::Qos::AtLeastOnce);
    let energy = "select count(*) from amber.power where energy = 5.5";
    eventually("the new mapping stores", || equal(sql.number(energy), 1));
    load.wait_for(100);

    let sent = load.end();
    let last = *sent.acknowledged.last().unwrap();
    let of_device = format!(
        "select count(*) from amber.devices where measurement = 'numbers' and (last_values ->> 'level')::float8 = {last}"
    );
    eventually("the device has the last value of the new field", || equal(sql.number(&of_device), 1));
    assert_eq!(amber.metric("amber_reloads_total{outcome=\"refused\"}"), Ok(0.0));
    let messages = numbers::assert_exactly_once(&sent, broker.port, &mut amber, &home);
    let values = sql.number(filled).unwrap();
    println!("{messages} messages, of which {values} have the new column");
    let wrong = "select count(*) from amber.numbers where level <> n";
    assert_eq!(sql.number(wrong), Ok(0));
}
