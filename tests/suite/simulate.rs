//! `amber simulate` against a real Mosquitto that asks for passwords.

use std::path::{Path, PathBuf};

use crate::support::binary;
use crate::support::eventually;
use crate::support::folder::Folder;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::{Process, Program, Signal};

/// A broker that knows `sensors` with the password `right`.
fn broker(folder: &Folder) -> Mosquitto {
    let passwords = folder.write("passwords", "sensors:right\n");
    let hashed = std::process::Command::new("mosquitto_passwd").arg("-U").arg(&passwords).status();
    assert!(hashed.expect("mosquitto_passwd is there").success());
    Mosquitto::configured(|port, _| {
        format!("listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\n", passwords.display())
    })
}

fn start(folder: &Folder, args: &[&str]) -> (Process, PathBuf) {
    let log = folder.join("simulate.log");
    let process = Process::start(Program {
        path: PathBuf::from(env!("CARGO_BIN_EXE_amber")),
        args: ["simulate"].iter().chain(args).map(|&word| word.to_owned()).collect(),
        envs: vec![],
        folder: folder.path().to_owned(),
        log: log.clone(),
        user: None,
        at_death: Signal::Kill,
    });
    (process, log)
}

#[track_caller]
fn says(log: &Path, text: &str) {
    eventually(text, || {
        let log = std::fs::read_to_string(log).unwrap_or_default();
        if log.contains(text) { Ok(()) } else { Err(log) }
    });
}

#[test]
fn simulated_sensors_log_in_come_back_after_the_broker_and_end_on_sigterm() {
    let folder = Folder::new();
    let mut broker = broker(&folder);
    let password = folder.write("password", "right\n").display().to_string();
    let url = broker.url();
    let args = ["--url", &url, "--username", "sensors", "--password-file", &password, "--rate", "200"];
    let (process, log) = start(&folder, &args);
    says(&log, "publishing simulated readings");
    broker.stop();
    says(&log, "simulated sensors have no broker, trying again");
    broker.start_again();
    says(&log, "simulated sensors are connected again");
    process.signal(Signal::Term);
    assert!(process.wait().success());
    let text = std::fs::read_to_string(&log).unwrap();
    let (_, acknowledged) = text.split_once("acknowledged=").unwrap_or_else(|| panic!("{text}"));
    assert!(acknowledged.trim().parse::<u64>().unwrap() > 0, "{text}");
    assert!(!text.contains("right"), "no password in the log: {text}");
    assert_eq!(text.matches("publishing simulated readings").count(), 1, "{text}");
}

#[test]
fn a_wrong_password_is_said_once_and_tried_again() {
    let folder = Folder::new();
    let broker = broker(&folder);
    let (process, log) = start(&folder, &["--url", &broker.url(), "--username", "sensors"]);
    says(&log, "simulated sensors have no broker, trying again");
    // It has been refused more than once.
    eventually("another attempt", || {
        let refused = broker.log().matches("disconnected, not authorised").count();
        if refused > 2 { Ok(()) } else { Err(refused.to_string()) }
    });
    let text = std::fs::read_to_string(&log).unwrap();
    assert_eq!(text.matches("trying again").count(), 1, "{text}");
    process.signal(Signal::Term);
    assert!(process.wait().success());
}

#[test]
fn what_is_wrong_with_the_arguments_is_said_and_ends_it() {
    let folder = Folder::new();
    for (args, said) in [
        (&["simulate"][..], "broker.url: is missing"),
        (&["simulate", "--url", "localhost"], "broker.url: has no scheme"),
        (&["simulate", "--url", "mqtt://localhost", "--password-file", "absent"], "the file cannot be read"),
    ] {
        let output = binary::command(folder.path(), args);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{output:?}");
    }
}
