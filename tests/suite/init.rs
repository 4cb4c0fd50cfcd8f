//! `amber init`: its configuration runs.

use std::io::Write as _;
use std::process::{Command, Stdio};

use amber::message::Qos;

use crate::support::binary::Amber;
use crate::support::client::Publisher;
use crate::support::eventually;
use crate::support::folder::Folder;
use crate::support::mosquitto::Mosquitto;
use crate::support::sql::Sql;

#[test]
fn with_arguments_it_asks_nothing_and_amber_then_stores_rows() {
    let broker = Mosquitto::start();
    let mut publisher = Publisher::connect(broker.port, "publisher");
    for room in ["kitchen", "bath", "attic"] {
        let payload = r#"{"temperature": 21.5, "humidity": 48}"#;
        publisher.publish_retained(&format!("home/{room}/climate"), payload, Qos::AtLeastOnce);
    }
    let mut amber = Amber::new("");
    std::fs::remove_file(amber.folder().join("config.toml")).unwrap();
    let url = broker.url();
    let args = ["init", "--broker", &url, "--store", "sqlite:mine.db", "--discover", "1s"];
    let output = amber.command(&args);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("checked: no fault; 1 mapping, 1 measurement"), "{said}");
    assert!(said.contains("\n  amber run\n  http://127.0.0.1:"), "{said}");

    let config = std::fs::read_to_string(amber.folder().join("config.toml")).unwrap();
    let output = amber.command(&args);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("`config.toml` is there already"));
    assert_eq!(std::fs::read_to_string(amber.folder().join("config.toml")).unwrap(), config);

    amber.start();
    amber.wait_ready();
    publisher.publish("home/cellar/climate", r#"{"temperature": 12.5, "humidity": 70}"#, Qos::AtLeastOnce);
    let measurement = measurement(&amber);
    let mut sql = Sql::sqlite(&amber.folder().join("mine.db")).unwrap();
    eventually("the reading is stored", || {
        match sql.number(&format!("select count(*) from \"{measurement}\" where temperature = 12.5"))? {
            1 => Ok(()),
            other => Err(format!("{other} rows")),
        }
    });
}

/// The one measurement of what was proposed, as `check` names it.
fn measurement(amber: &Amber) -> String {
    let mut sql = Sql::sqlite(&amber.folder().join("mine.db")).unwrap();
    sql.rows("select name from measurements").unwrap()[0][0].clone().unwrap()
}

#[test]
fn on_a_terminal_it_asks_and_tries_each_answer_and_the_password_is_in_a_file_of_its_own() {
    let folder = Folder::new();
    let passwords = folder.write("passwords", "ann:right\n");
    let hashed = Command::new("mosquitto_passwd").arg("-U").arg(&passwords).status();
    assert!(hashed.expect("mosquitto_passwd is there").success());
    let broker = Mosquitto::configured(|port, _| {
        format!("listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\n", passwords.display())
    });
    std::fs::create_dir(folder.join("etc")).unwrap();
    let mut terminal = Command::new("script")
        .args(["-qec", &format!("{} init", env!("CARGO_BIN_EXE_amber")), "/dev/null"])
        .current_dir(folder.join("etc"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script(1) is there");
    let answers = format!("localhost\n{}\nann\nright\nsqlite:no/where.db\nsqlite:amber.db\nn\n", broker.url());
    terminal.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
    let output = terminal.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    for text in
        ["has no scheme", "User name", "answers, MQTT 5", "a database cannot be made in `no`", "it opens", "Next:"]
    {
        assert!(said.contains(text), "{text}: {said}");
    }
    let config = std::fs::read_to_string(folder.join("etc/config.toml")).unwrap();
    assert!(config.contains("password_file = \"broker.password\"") && !config.contains("right"), "{config}");
    assert_eq!(std::fs::read_to_string(folder.join("etc/broker.password")).unwrap(), "right\n");
}
