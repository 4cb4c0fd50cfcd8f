//! What a person has set up wrongly: said with its place and remedy, once, and never half started.

use std::net::TcpListener;
use std::process::Command;

use amber::demo::broker::Script;
use amber::message::Qos;

use crate::support::binary::{self, Amber};
use crate::support::client::Publisher;
use crate::support::folder::Folder;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::{self, TOPIC};
use crate::support::served::Served;
use crate::support::{equal, eventually, ports, process};

const FAULTY: &str = r#"[broker]
url = "localhost:1883"
qos = 3
keepalive = "30s"

[store]
url = "mysql://db/amber"

[mapping.climate]
topic = "home/#/climate"
fields = { temperature = { type = "string" } }

[mapping.power]
topic = "home/{room}/power"
zone = "Europe/Lisboa"
fields = ["power"]
"#;

#[test]
fn all_faults_of_a_configuration_are_listed_at_once_with_their_places() {
    let folder = Folder::new();
    folder.write("config.toml", FAULTY);
    for command in ["run", "check"] {
        let output = binary::command(folder.path(), &[command]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        let text = String::from_utf8(output.stderr).unwrap();
        for (place, word) in [
            ("2:7: broker.url: ", "mqtt://localhost:1883"),
            ("3:7: broker.qos: ", "from 0 to 2"),
            ("4:1: broker.keepalive: ", "did you mean `keep_alive`?"),
            ("7:7: store.url: ", "postgres://"),
            ("10:9: mapping.climate.topic: ", "`#`"),
            ("11:35: mapping.climate.fields.temperature.type: ", "did you mean `text`?"),
            ("15:8: mapping.power.zone: ", "Europe/Lisboa"),
        ] {
            let line = text.lines().find(|line| line.starts_with(&format!("config.toml:{place}")));
            assert!(line.is_some_and(|line| line.contains(word)), "{command}: no line {place} with {word} in:\n{text}");
        }
        assert_eq!(text.lines().filter(|line| line.starts_with("config.toml:")).count(), 7, "{text}");
        assert!(text.contains("7 faults"), "{text}");
        assert!(!folder.join("amber.db").exists());
    }
}

#[test]
fn mappings_alone_are_enough_to_explain_and_check_and_not_to_run() {
    let folder = Folder::new();
    folder.write("mappings.toml", "[mapping.climate]\ntopic = \"home/{room}/climate\"\nfields = [\"temperature\"]\n");
    let args = ["explain", "--config", "mappings.toml", "--json", "home/hall/climate", r#"{"temperature": 21.5}"#];
    let output = binary::command(folder.path(), &args);
    assert!(output.status.success(), "{output:?}");
    let explained: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(explained["rows"][0]["fields"]["temperature"], 21.5);
    let checked = binary::command(folder.path(), &["check", "--config", "mappings.toml"]);
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.status.success() && checked.stderr.is_empty(), "{said}");
    for part in ["-- mappings alone: ", "-- subscribes to `home/+/climate`", "create table", "temperature"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    for args in [&["run"][..], &["check", "--connect"]] {
        let output = binary::command(folder.path(), &[args, &["--config", "mappings.toml"]].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("broker.url: is missing") && text.contains("store.url: is missing"), "{text}");
    }
    // What is half there is meant to connect, and what is wrong is a fault.
    for (rest, part) in
        [("[store]\nurl = \"sqlite:x.db\"\n", "broker.url: is missing"), ("qos = 3\n", "mapping.climate.qos: ")]
    {
        let mapping = "[mapping.climate]\ntopic = \"home/{room}/climate\"\nfields = [\"temperature\"]\n";
        folder.write("mappings.toml", &format!("{mapping}{rest}"));
        let output = binary::command(folder.path(), &["check", "--config", "mappings.toml"]);
        assert_eq!(output.status.code(), Some(2), "{rest}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn the_exit_code_of_test_says_whether_the_examples_pass() {
    let folder = Folder::new();
    let mapping = "[mapping.climate]\ntopic = \"home/{room}/climate\"\nfields = [\"temperature\"]\n";
    let example = |temperature: &str| {
        format!(
            "{mapping}[[mapping.climate.example]]\ntopic = 'home/hall/climate'\npayload = '{{\"temperature\": 21.5}}'\n\
             rows = [{{ fields = {{ temperature = {temperature} }} }}]\n"
        )
    };
    for (included, code, part) in [
        (mapping.to_owned(), 0, "no mapping has an example"),
        (example("21.5"), 0, "1 example of 1 mapping: all pass"),
        (example("2.15"), 1, "FAIL  climate: mappings.toml:4:1: home/hall/climate"),
        (example("'"), 2, ""),
    ] {
        folder.write("mappings.toml", &included);
        folder.write("config.toml", "include = [\"mappings.toml\"]\n");
        for file in ["mappings.toml", "config.toml"] {
            let output = binary::command(folder.path(), &["test", "--config", file]);
            let said = String::from_utf8(output.stdout).unwrap();
            assert_eq!(output.status.code(), Some(code), "{file}: {said}");
            assert!(said.contains(part), "{file}: {said}");
        }
    }
    folder.write("mappings.toml", mapping);
    let written = binary::command(
        folder.path(),
        &["test", "--config", "mappings.toml", "--write", "home/hall/climate", r#"{"temperature": 1}"#],
    );
    folder.write("mappings.toml", &format!("{mapping}{}", String::from_utf8(written.stdout).unwrap()));
    assert!(binary::command(folder.path(), &["test", "--config", "mappings.toml"]).status.success());
}

#[test]
fn faults_of_the_environment_name_the_variable() {
    let mut amber = Amber::new(&numbers::config("mqtt://127.0.0.1", "sqlite:amber.db", ""));
    amber.env("AMBER__BROKER__QOS", "7").env("AMBER__STORE__URI", "sqlite:x.db");
    let output = amber.command(&["run"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    for start in ["environment AMBER__BROKER__QOS: broker.qos: ", "environment AMBER__STORE__URI: "] {
        assert!(text.lines().any(|line| line.starts_with(start)), "{text}");
    }
}

#[test]
fn without_a_configuration_file_the_places_and_a_minimal_file_are_shown() {
    let folder = Folder::new();
    let output = binary::command(folder.path(), &["run"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    for place in ["`--config`", "`$AMBER_CONFIG`", "`./config.toml`", "`/etc/amber/config.toml`"] {
        assert!(text.contains(place), "{text}");
    }
    // It works as it is printed.
    let lines = text.lines().skip_while(|line| !line.starts_with('[')).take_while(|line| !line.starts_with("amber:"));
    folder.write("config.toml", &lines.collect::<Vec<_>>().join("\n"));
    let output = binary::command(folder.path(), &["check"]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_configuration_that_cannot_be_read_is_said() {
    let folder = Folder::new();
    for (text, word) in
        [(&b"[broker"[..], "config.toml:1:"), (b"\xff\xfe", "UTF-8"), (b"a = 1\na = 2\n", "config.toml:2:")]
    {
        std::fs::write(folder.join("config.toml"), text).unwrap();
        let output = binary::command(folder.path(), &["run"]);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(word), "{said}");
    }
    let output = binary::command(folder.path(), &["--config", "nowhere.toml", "run"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("nowhere.toml"));
}

#[test]
fn a_port_that_is_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut amber = Amber::new(&numbers::config("mqtt://127.0.0.1", "sqlite:amber.db", ""));
    amber.env("AMBER__HTTP__LISTEN", &address.to_string());
    let output = amber.command(&["run"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    let start = format!("environment AMBER__HTTP__LISTEN: http.listen: cannot listen on `{address}`: ");
    assert!(text.lines().any(|line| line.starts_with(&start)), "{text}");
    assert!(!amber.folder().join("amber.db").exists(), "nothing else has begun");
}

/// Waits until `/ready` gives 503 with these words.
#[track_caller]
fn wait_not_ready(amber: &Amber, words: &str) {
    eventually("amber says why it is not ready", || match amber.get("/ready")? {
        (503, reason) if reason.contains(words) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(amber.get("/health").unwrap().0, 200, "it lives");
}

#[test]
fn a_broker_that_refuses_the_password_is_asked_again_and_said_once() {
    let folder = Folder::new();
    let passwords = folder.join("passwords");
    let tool = process::find("AMBER_TEST_MOSQUITTO_PASSWD", &["mosquitto_passwd"], "install the package mosquitto");
    let made = Command::new(tool).args(["-c", "-b"]).arg(&passwords).args(["amber", "right"]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let broker = Mosquitto::with(&format!("allow_anonymous false\npassword_file {}", passwords.display()));
    let home = Home::sqlite();
    folder.write("password", "wrong\n");
    let lines = format!("username = \"amber\"\npassword_file = \"{}\"", folder.join("password").display());
    for version in ["5", "3.1.1"] {
        let config = numbers::config(&broker.url(), &home.url(), &format!("{lines}\nprotocol = \"{version}\""));
        let mut amber = Amber::new(&config);
        amber.start();
        wait_not_ready(&amber, "broker: the broker ");
        let (_, reason) = amber.get("/ready").unwrap();
        assert!(reason.contains("`[broker] username` and `password`"), "{reason}");
        assert_eq!(amber.metric("amber_up{side=\"broker\"}"), Ok(0.0));
        if version == "5" {
            eventually("it is asked again", || match amber.metric("amber_connection_failures_total")? {
                failures if failures >= 2.0 => Ok(()),
                failures => Err(format!("{failures} failures")),
            });
        }
        let log = amber.log();
        assert_eq!(log.matches("the broker wants a person to act").count(), 1, "{log}");
        assert!(!log.contains("wrong"), "the password is in the log");
    }
    folder.write("password", "right\n");
    let amber = Amber::run(&numbers::config(&broker.url(), &home.url(), &lines));
    assert_eq!(amber.metric("amber_up{side=\"broker\"}"), Ok(1.0));
}

#[test]
fn a_broker_that_cannot_be_reached_is_said_once_and_found_when_it_comes() {
    let home = Home::sqlite();
    let port = ports::free();
    let mut amber = Amber::new(&numbers::config(&format!("mqtt://127.0.0.1:{port}"), &home.url(), ""));
    amber.start();
    wait_not_ready(&amber, "broker: cannot connect: ");
    eventually("it is tried again", || match amber.metric("amber_connection_failures_total")? {
        failures if failures >= 4.0 => Ok(()),
        failures => Err(format!("{failures} failures")),
    });
    assert_eq!(amber.log().matches("the broker is away").count(), 1);

    let nowhere = numbers::config("mqtt://broker.invalid", &home.url(), "client_id = \"other\"");
    let mut other = Amber::new(&nowhere);
    other.start();
    wait_not_ready(&other, "broker: cannot connect: ");
    let log = other.log();
    assert!(log.contains("broker.invalid:1883"), "{log}");
}

#[test]
fn a_role_without_the_right_to_create_is_told_what_to_grant_and_goes_on_when_it_has_it() {
    let home = Home::postgres();
    let Home::Postgres(database) = &home else { unreachable!("it was made so") };
    let role = format!("{}_writer", database.name);
    let mut sql = home.sql();
    sql.run(&format!("create role {role} login"));
    let broker = Served::start(Script::default());
    let url = database.url().replace("postgres@", &format!("{role}@"));
    let mut amber = Amber::new(&numbers::config(&broker.url(), &url, ""));
    amber.start();
    wait_not_ready(&amber, &format!("`grant create on database … to \"{role}\"`"));
    assert_eq!(amber.metric("amber_up{side=\"store\"}"), Ok(0.0));
    assert_eq!(amber.log().matches("a person must act").count(), 1);
    assert!(broker.broker().seen("amber").is_none(), "without the ledger nothing is asked of the broker");
    sql.run(&format!("grant create on database {} to {role}", database.name));
    amber.wait_ready();
    broker.broker().publish(TOPIC, "{\"n\":1}", Qos::AtLeastOnce, false);
    eventually("it stores", || equal(Ok(home.count("numbers")), 1));
}

#[test]
fn a_table_that_has_another_shape_is_said_with_the_sql_that_mends_it() {
    for home in Home::both() {
        let broker = Served::start(Script::default());
        let config = |r#type: &str| {
            numbers::settings(&broker.url(), &home.url(), "")
                + &format!("[mapping.numbers]\ntopic = \"n/{{device}}\"\nfields.n.type = \"{}\"\n", r#type)
        };
        let mut amber = Amber::run(&config("int"));
        Publisher::connect(broker.port(), "publisher").publish(TOPIC, "{\"n\":1}", Qos::AtLeastOnce);
        eventually("it is stored", || equal(Ok(home.count("numbers")), 1));
        assert!(amber.terminate().success());
        amber.configure(&config("text"));
        amber.start();
        wait_not_ready(&amber, "field `n` of `numbers`: the mapping wants `text`");
        let (_, reason) = amber.get("/ready").unwrap();
        assert!(reason.contains("name the field otherwise in the mapping"), "{home}: {reason}");
        assert!(amber.is_running());
        assert_eq!(amber.log().matches("a person must act").count(), 1);
        assert_eq!(home.count("numbers"), 1, "nothing is changed");
        let output = amber.command(&["check", "--connect"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(amber.terminate().success());
        amber.configure(&config("int"));
        amber.start();
        amber.wait_ready();
    }
}

#[test]
fn a_database_that_is_not_there_is_waited_for_and_said_once() {
    let broker = Served::start(Script::default());
    let port = ports::free();
    let url = format!("postgres://amber:secret@127.0.0.1:{port}/amber?sslmode=disable");
    let mut amber = Amber::new(&numbers::config(&broker.url(), &url, ""));
    amber.start();
    wait_not_ready(&amber, "store: cannot connect to PostgreSQL at ");
    eventually("it is tried again", || match amber.metric("amber_write_failures_total{kind=\"away\"}")? {
        failures if failures >= 4.0 => Ok(()),
        failures => Err(format!("{failures} failures")),
    });
    let log = amber.log();
    assert_eq!(log.matches("the store is away").count(), 1, "{log}");
    assert!(!log.contains("secret"), "the password is in the log");
    let status = amber.terminate();
    assert!(status.success(), "it ends although it has not begun: {status}");

    let folder = Folder::new();
    let url = format!("sqlite:{}/nowhere/amber.db", folder.path().display());
    let mut amber = Amber::new(&numbers::config(&broker.url(), &url, ""));
    amber.start();
    wait_not_ready(&amber, "`mkdir -p ");
    // What is no database is not overwritten.
    let path = folder.write("text.db", &"This is no database. ".repeat(100));
    let mut amber = Amber::new(&numbers::config(&broker.url(), &format!("sqlite:{}", path.display()), ""));
    amber.start();
    wait_not_ready(&amber, "name another file in [store] url");
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("This is no database."));
}
