//! The files: written, written anew only if they changed, never over somebody's own, removed with their measurement.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::support::binary::Amber;
use crate::support::client::Publisher;
use crate::support::folder::Folder;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::{equal, eventually};

const MAPPINGS: &str = r#"
[mapping.climate]
topic  = "home/{room}/climate"
fields = { temperature = { unit = "°C", decimals = 1 }, window = { type = "bool" } }

[mapping.power]
topic  = "home/{room}/power"
fields = { energy = { unit = "kWh", kind = "total" } }
"#;

fn config(broker: &Mosquitto, home: &Home, more: &str) -> String {
    format!("[broker]\nurl = \"{}\"\n[store]\nurl = \"{}\"\n{more}\n{MAPPINGS}", broker.url(), home.url())
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn dashboard(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn titles(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels.map(|panel| panel["title"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_command_writes_what_has_changed_and_nobody_elses_file() {
    let (broker, home) = (Mosquitto::start(), Home::postgres());
    let mut amber = Amber::new(&config(&broker, &home, ""));
    let run = |amber: &Amber, args: &[&str]| {
        let output = amber.command(args);
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), text)
    };
    let (code, text) = run(&amber, &["dashboards"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("--out"), "{text}");
    let out = amber.folder().join("out");
    let args = ["dashboards", "--out", "out"];
    let (code, text) = run(&amber, &args);
    assert!(code == Some(0) && text.contains("no measurement is known yet"), "an empty database: {text}");
    assert!(!out.exists());

    amber.start();
    amber.wait_ready();
    amber.terminate();
    assert_eq!(run(&amber, &args), (Some(0), "2 written, 0 as before, 0 removed\n".to_owned()));
    assert_eq!(names(&out), ["climate.json", "power.json"]);
    let climate = dashboard(&out.join("climate.json"));
    assert_eq!(climate["uid"], "amber-m-climate");
    assert_eq!(titles(&climate)[5..], ["Trends", "temperature", "window"]);
    let written = fs::metadata(out.join("climate.json")).unwrap().modified().unwrap();
    assert_eq!(run(&amber, &args), (Some(0), "0 written, 2 as before, 0 removed\n".to_owned()));
    assert_eq!(fs::metadata(out.join("climate.json")).unwrap().modified().unwrap(), written);

    // Somebody's own stays, whatever the measurement does.
    let own = fs::read_to_string(out.join("power.json")).unwrap().replace("\"amber-generated\"", "\"mine\"");
    fs::write(out.join("power.json"), &own).unwrap();
    home.sql().run("update amber_store.field set unit = 'Wh' where name = 'energy'");
    let (code, text) = run(&amber, &args);
    assert!(code == Some(0) && text.starts_with("0 written, 1 as before, 0 removed\n"), "{text}");
    assert!(text.contains("power.json") && text.contains("amber-generated"), "{text}");
    assert_eq!(fs::read_to_string(out.join("power.json")).unwrap(), own);

    home.sql().run("delete from amber_store.measurement");
    let (code, text) = run(&amber, &args);
    assert_eq!((code, text.as_str()), (Some(0), "0 written, 0 as before, 1 removed\n"));
    assert_eq!(names(&out), ["power.json"]);
}

#[test]
fn dashboards_on_sqlite_are_a_clear_fault() {
    let (broker, home) = (Mosquitto::start(), Home::sqlite());
    let amber = Amber::new(&config(&broker, &home, "[dashboards]\ndir = \"out\""));
    let output = amber.command(&["check"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("config.toml:6:7: dashboards.dir: dashboards are made for PostgreSQL"), "{text}");
    let amber = Amber::new(&config(&broker, &home, ""));
    let output = amber.command(&["dashboards", "--out", "out"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("dashboards are made for PostgreSQL") && text.lines().count() == 1, "{text}");
}

#[test]
fn the_service_writes_at_its_start_and_when_a_column_appears() {
    let (broker, home) = (Mosquitto::start(), Home::postgres());
    let text = config(&broker, &home, "[dashboards]\ndir = \"out\"").replace("window =", "others = \"add\"\nwindow =");
    let text = text.replace("others = \"add\"\nwindow", "window").replace(
        "[mapping.power]",
        "[mapping.open]\ntopic = \"home/{room}/open\"\nothers = \"add\"\nfields = [\"a\"]\n\n[mapping.power]",
    );
    let amber = Amber::run(&text);
    let out = amber.folder().join("out");
    eventually("the dashboards are written", || {
        equal(Ok(names(&out)), ["climate.json", "open.json", "power.json"].map(str::to_owned).to_vec())
    });
    assert_eq!(titles(&dashboard(&out.join("open.json"))).last().unwrap(), "a");
    let mut publisher = Publisher::connect(broker.port, "sensors");
    publisher.publish_all(
        amber::message::Qos::AtLeastOnce,
        [("home/kitchen/open".to_owned(), br#"{"a": 1, "fresh": 2.5}"#.to_vec())],
    );
    eventually("the new column has a panel", || {
        equal(Ok(titles(&dashboard(&out.join("open.json"))).last().cloned()), Some("fresh".to_owned()))
    });
    assert_eq!(amber.metric("amber_dashboards_written_total"), Ok(4.0));
    assert_eq!(amber.metric("amber_dashboards_failing"), Ok(0.0));
}

#[test]
fn a_folder_that_cannot_be_written_is_said_once_and_the_service_goes_on() {
    let (broker, home) = (Mosquitto::start(), Home::postgres());
    // A file where the folder should be: no right would help, whoever runs the tests.
    let blocked = Folder::new();
    blocked.write("dashboards", "");
    let dir = blocked.join("dashboards");
    let mut amber = Amber::run(&config(&broker, &home, &format!("[dashboards]\ndir = \"{}\"", dir.display())));
    eventually("the metric says it", || equal(amber.metric("amber_dashboards_failing"), 1.0));
    let mut publisher = Publisher::connect(broker.port, "sensors");
    publisher.publish_all(
        amber::message::Qos::AtLeastOnce,
        [("home/kitchen/climate".to_owned(), br#"{"temperature": 20}"#.to_vec())],
    );
    eventually("the row is stored", || equal(Ok(home.count("climate")), 1));
    assert_eq!(amber.get("/ready").unwrap().0, 200);
    let said = amber.log().matches("dashboards cannot be written").count();
    assert_eq!(said, 1, "{}", amber.log());
    fs::remove_file(&dir).unwrap();
    eventually("it is made up for", || {
        equal(Ok(names(&dir)), ["climate.json", "power.json"].map(str::to_owned).to_vec())
    });
    eventually("the metric says so", || equal(amber.metric("amber_dashboards_failing"), 0.0));
    assert!(amber.terminate().success());
    let readable = fs::metadata(dir.join("climate.json")).unwrap().permissions().mode() & 0o444;
    assert_eq!(readable, 0o444, "Grafana is another user");
}
