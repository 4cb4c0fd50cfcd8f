//! A single file that is mounted from elsewhere, and replaced there.

use std::fs;
use std::process::Command;

use super::{publish, wait_for, wait_for_ready_to_say, wait_for_rows};
use crate::support::binary::Amber;
use crate::support::disk;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers;

const CUT_OFF: &str = "amber_configuration_cut_off";

#[track_caller]
fn mount(args: &[&str]) {
    let status = Command::new("mount").args(args).status().expect("there is mount");
    assert!(status.success(), "mount {args:?}: {status}");
}

#[test]
fn a_mounted_file_that_is_replaced_outside_is_said_once_and_a_restart_is_named_as_the_remedy() {
    let name =
        "reload::mounted::a_mounted_file_that_is_replaced_outside_is_said_once_and_a_restart_is_named_as_the_remedy";
    disk::alone(name, 4, |_| {
        let (home, broker) = (Home::sqlite(), Mosquitto::start());
        let config = numbers::config(&broker.url(), &home.url(), "");
        let more = config.clone() + "[mapping.more]\ntopic = \"more\"\nfields = { v = \".\" }\n";
        let mut amber = Amber::new("");
        let outside = amber.folder().join("outside.toml");
        let mounted = amber.folder().join("config.toml");
        fs::write(&outside, &config).unwrap();
        mount(&["--bind", outside.to_str().unwrap(), mounted.to_str().unwrap()]);
        amber.start();
        amber.wait_ready();
        // Written over, it is the same file.
        fs::write(&outside, &more).unwrap();
        wait_for(&amber, super::APPLIED, 1.0);
        assert_eq!(amber.metric(CUT_OFF), Ok(0.0));
        publish(&broker, "more", "1");
        wait_for_rows(&home, "more", "v = 1", 1);
        // Replaced, as most editors do, it is another one.
        let new = amber.folder().join("outside.new");
        fs::write(&new, &config).unwrap();
        fs::rename(&new, &outside).unwrap();
        assert_eq!(fs::read_to_string(&mounted).unwrap(), more, "the mount shows the old one");
        let body = wait_for_ready_to_say(&amber, "was replaced outside");
        assert!(body.contains("config.toml") && body.contains("docker compose restart amber"), "{body}");
        wait_for(&amber, CUT_OFF, 1.0);
        publish(&broker, "more", "2");
        wait_for_rows(&home, "more", "v = 2", 1);
        let said = amber.log().matches("was replaced outside").count();
        assert_eq!(said, 1, "{}", amber.log());
        // A restart of the container mounts anew.
        assert!(amber.terminate().success());
        assert!(Command::new("umount").arg(&mounted).status().unwrap().success());
        mount(&["--bind", outside.to_str().unwrap(), mounted.to_str().unwrap()]);
        amber.start();
        amber.wait_ready();
        assert_eq!(amber.get("/ready"), Ok((200, "ready\n".to_owned())));
        assert_eq!(amber.metric(CUT_OFF), Ok(0.0));
        assert!(amber.terminate().success());
        assert!(Command::new("umount").arg(&mounted).status().unwrap().success());
    });
}
