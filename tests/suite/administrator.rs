//! `[store] ddl = false`: an administrator runs what `amber check` prints, and Amber goes on by itself.

use std::process::{Command, Stdio};

use amber::message::Qos;

use crate::support::binary::Amber;
use crate::support::client::Publisher;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::{equal, eventually, numbers, process};

const CLIMATE: &str = "[mapping.climate]\ntopic = \"home/{room}/climate\"\nfields = [\"temperature\"]\n";
/// With a tag, a field and a measurement more.
const MORE: &str = "[mapping.climate]\ntopic = \"home/{room}/climate\"\ntags = { model = \"model\" }\nfields = [\"temperature\", \"humidity\"]\n\
                    [mapping.power]\ntopic = \"home/{room}/power\"\nfields = [\"w\"]\n";

/// What docs/operation.md grants, to another role.
fn grants(role: &str) -> String {
    let text = include_str!("../../docs/operation.md");
    let (_, rest) = text.split_once("the least that it needs -->\n```sql\n").unwrap();
    rest.split_once("\n```").unwrap().0.replace(" to amber;", &format!(" to {role};"))
}

/// Runs the SQL as docs/operation.md has it.
fn run(home: &Home, amber: &Amber, sql: &[u8]) {
    let file = amber.folder().join("tables.sql");
    std::fs::write(&file, sql).unwrap();
    let mut command = match home {
        Home::Postgres(_) => {
            let mut psql =
                Command::new(process::find("AMBER_TEST_PSQL", &["psql"], "install the package postgresql-client"));
            psql.args(["--single-transaction", "--set", "ON_ERROR_STOP=1", "--file"]).arg(&file).arg(home.url());
            psql
        }
        Home::Sqlite(folder) => {
            let tool = process::find("AMBER_TEST_SQLITE3", &["sqlite3"], "install the package sqlite3");
            let mut sqlite = Command::new(tool);
            sqlite
                .args(["-bail", "-cmd", ".timeout 10000"])
                .arg(folder.join("store.db"))
                .stdin(Stdio::from(std::fs::File::open(&file).unwrap()));
            sqlite
        }
    };
    let output = command.output().unwrap();
    assert!(output.status.success() && !String::from_utf8_lossy(&output.stderr).contains("rror"), "{output:?}");
}

#[track_caller]
fn wait_for_the_administrator(amber: &Amber) {
    eventually("amber says who must act", || match amber.get("/ready")? {
        (503, reason) if reason.contains("`[store] ddl = false`") && reason.contains("`amber check") => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn an_administrator_runs_what_check_prints_and_amber_goes_on_by_itself_with_the_least_grants() {
    for home in Home::both() {
        let broker = Mosquitto::start();
        let (mut url, mut role) = (home.url(), String::new());
        if let Home::Postgres(database) = &home {
            role = format!("least_{}", database.name);
            home.sql().run(&format!("create role {role} login"));
            url = url.replace("postgres@", &format!("{role}@"));
        }
        let mut amber = Amber::new(&(numbers::settings(&broker.url(), &url, "") + CLIMATE));
        amber.env("AMBER__STORE__DDL", "false");
        amber.start();
        wait_for_the_administrator(&amber);
        let printed = amber.command(&["check"]);
        assert!(printed.status.success(), "{printed:?}");
        // Tables without grants would be another reason to act, if Amber looked just then: both in one transaction.
        let grants = if home.is_postgres() { grants(&role) } else { String::new() };
        run(&home, &amber, &[&printed.stdout, grants.as_bytes()].concat());
        amber.wait_ready();
        let mut publisher = Publisher::connect(broker.port, "publisher");
        publisher.publish("home/kitchen/climate", "{\"temperature\":21.5}", Qos::AtLeastOnce);
        publisher.publish("home/kitchen/climate", "no JSON", Qos::AtLeastOnce);
        eventually("both are kept", || equal(Ok((home.count("climate"), home.count("rejects"))), (1, 1)));

        assert!(amber.terminate().success());
        amber.configure(&(numbers::settings(&broker.url(), &url, "") + MORE));
        amber.start();
        wait_for_the_administrator(&amber);
        amber.env("AMBER__STORE__URL", &home.url());
        let printed = amber.command(&["check", "--connect"]);
        assert!(printed.status.success(), "{printed:?}");
        let text = String::from_utf8_lossy(&printed.stdout);
        assert!(text.contains("add column \"model\"") && !text.contains("create schema"), "{text}");
        run(&home, &amber, &printed.stdout);
        amber.wait_ready();
        let payload = "{\"temperature\":21.5,\"humidity\":40,\"model\":\"T1\"}";
        publisher.publish("home/kitchen/climate", payload, Qos::AtLeastOnce);
        publisher.publish("home/kitchen/power", "{\"w\":5}", Qos::AtLeastOnce);
        eventually("both are stored", || equal(Ok((home.count("climate"), home.count("power"))), (2, 1)));
        let log = amber.log();
        assert_eq!(log.matches("a person must act").count(), 2, "{log}");
    }
}
