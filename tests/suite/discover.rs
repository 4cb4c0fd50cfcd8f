//! `amber discover` as people run it: against a real broker, and with captured messages.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Output;

use amber::message::{Qos, base64};

use crate::support::binary;
use crate::support::client::{self, Publisher};
use crate::support::fake::{CONNACK, Fake};
use crate::support::folder::Folder;
use crate::support::mosquitto::Mosquitto;
use crate::support::ports;

const CONFIG: &str =
    "include = [\"mappings/*.toml\"]\n[broker]\nurl = \"mqtt://localhost\"\n[store]\nurl = \"sqlite:a.db\"\n";

/// Topic and payload of all messages of the corpus.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let message = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let payload = match line["payload"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => base64(line["payload_base64"].as_str().unwrap()).unwrap(),
        };
        (line["topic"].as_str().unwrap().to_owned(), payload)
    };
    text.lines().map(message).collect()
}

#[track_caller]
fn amber(folder: &Folder, args: &[&str], code: i32) -> (String, String) {
    let Output { status, stdout, stderr } = binary::command(folder.path(), args);
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(code), "{args:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

/// A folder with a configuration and an empty folder of mappings.
fn configured() -> Folder {
    let folder = Folder::new();
    folder.write("config.toml", CONFIG);
    std::fs::create_dir(folder.join("mappings")).unwrap();
    folder
}

#[test]
fn what_a_broker_keeps_gives_a_proposal_that_passes_check_and_nothing_stays_at_the_broker() {
    let mut broker = Mosquitto::start();
    let mut publisher = Publisher::connect(broker.port, "publisher");
    for (topic, payload) in corpus().iter().filter(|(topic, payload)| !topic.starts_with("$SYS") && !payload.is_empty())
    {
        publisher.publish_retained(topic, payload.clone(), Qos::AtLeastOnce);
    }
    publisher.publish_retained("plant/oven1/state", r#"{"temp": 181.5, "door": "closed"}"#, Qos::AtLeastOnce);
    // A session that does stay, to see that it would be found.
    client::mosquitto_sub(broker.port, &["-i", "keeper", "-c", "-q", "1", "-t", "keep/#", "-E"]);

    let folder = configured();
    let url = broker.url();
    let args = ["discover", "--broker", &url, "--for", "1s", "--out", "mappings/found.toml"];
    let (stdout, stderr) = amber(&folder, &args, 0);
    assert_eq!(stdout, "");
    assert!(stderr.contains("zigbee2mqtt.toml (Zigbee2MQTT 1.x and 2.x) reads"), "{stderr}");
    assert!(stderr.contains("set `zone`, which says Europe/Zurich, to yours"), "{stderr}");
    let found = std::fs::read_to_string(folder.join("mappings/found.toml")).unwrap();
    assert!(found.contains("plant/") && !found.contains("\ntopic = \"zigbee2mqtt/"), "{found}");
    let ready = std::fs::read_to_string(folder.join("mappings/zigbee2mqtt.toml")).unwrap();
    assert_eq!(ready, amber(&folder, &["mappings", "zigbee2mqtt"], 0).0);
    amber(&folder, &["check"], 0);

    let (_, stderr) = amber(&folder, &args, 2);
    assert!(stderr.contains("`mappings/found.toml` is there already, and is never overwritten"), "{stderr}");
    assert_eq!(std::fs::read_to_string(folder.join("mappings/found.toml")).unwrap(), found);

    let log = broker.log();
    assert!(log.contains(" as amber-discover-") && log.contains("(p5, c1, "), "{log}");
    broker.stop();
    let saved = String::from_utf8_lossy(&broker.saved()).into_owned();
    assert!(saved.contains("keeper") && !saved.contains("amber-discover"));
}

/// Captured messages of some rooms, a reading each ten seconds.
fn rooms(names: &[&str]) -> String {
    let mut text = String::new();
    for round in 0..6 {
        for name in names {
            let payload = format!("{{\\\"temperature\\\": 2{round}.5, \\\"humidity\\\": 4{round}}}");
            let at = format!("2026-01-01T00:0{round}:00Z");
            writeln!(text, r#"{{"topic": "{name}", "payload": "{payload}", "received_at": "{at}"}}"#).unwrap();
        }
    }
    text
}

#[test]
fn only_what_is_new_is_added_and_the_old_bytes_stay() {
    let folder = configured();
    folder.write("one.jsonl", &rooms(&["home/kitchen/climate", "home/bath/climate"]));
    folder.write(
        "two.jsonl",
        &rooms(&["home/kitchen/climate", "home/attic/climate", "shed/north/air", "shed/south/air"]),
    );
    amber(&folder, &["discover", "--from", "one.jsonl", "--out", "mappings/mine.toml"], 0);
    let old = std::fs::read_to_string(folder.join("mappings/mine.toml")).unwrap() + "# mine\r\n# no newline";
    folder.write("mappings/mine.toml", &old);
    let append = ["discover", "--from", "two.jsonl", "--append", "mappings/mine.toml"];
    let (_, stderr) = amber(&folder, &append, 0);
    assert!(stderr.contains("2 topics read by the configuration already"), "{stderr}");
    let new = std::fs::read_to_string(folder.join("mappings/mine.toml")).unwrap();
    let added = new.strip_prefix(&old).expect("the old bytes stay");
    assert!(added.contains("\"shed/") && !added.contains("\ntopic = \"home/"), "{added}");
    amber(&folder, &["check"], 0);
    let (stdout, _) = amber(&folder, &["explain", "shed/west/air", r#"{"temperature": 1.5, "humidity": 50}"#], 0);
    assert!(stdout.contains("temperature = 1.5"), "{stdout}");

    let (_, stderr) = amber(&folder, &append, 0);
    assert!(stderr.contains("nothing to add; mappings/mine.toml is as it was"), "{stderr}");
    assert_eq!(std::fs::read_to_string(folder.join("mappings/mine.toml")).unwrap(), new);
}

#[test]
fn what_cannot_be_done_is_said_and_no_file_is_made() {
    let broker = Mosquitto::start();
    let (url, nobody) = (broker.url(), format!("mqtt://127.0.0.1:{}", ports::free()));
    let folder = Folder::new();
    folder.write("broken.jsonl", "{\"topic\": \"a\"\nnonsense\n");
    folder.write("defaults.toml", "[defaults]\ntime = \"t\"\n");
    folder.write("some.jsonl", &rooms(&["a/b"]));
    for (args, code, said) in [
        (&["--broker", &url, "--for", "200ms"][..], 1, "no message came by `#` from"),
        (&["--broker", &nobody], 1, "cannot connect: 127.0.0.1"),
        (&["--broker", "localhost"], 2, "broker.url: has no scheme"),
        (&["--broker", &url, "a/#/b"], 2, "`a/#/b` is not a topic filter: `#` must be the last level"),
        (&[], 2, "no broker: there is no configuration file; say which with `--broker"),
        (&["--from", "broken.jsonl"], 1, "amber: broken.jsonl:2: the line is no message"),
        (&["--from", "absent.jsonl"], 1, "`absent.jsonl` cannot be opened"),
        (&["--from", "some.jsonl", "--append", "absent.toml"], 1, "a file that is not there yet is made with `--out`"),
        (
            &["--from", "some.jsonl", "--append", "defaults.toml"],
            2,
            "has `[defaults]`, which would change what is added",
        ),
        (&["--from", "some.jsonl", "--out", "no/where.toml"], 2, "there is no folder `no`"),
    ] {
        let out =
            if args.contains(&"--append") || args.contains(&"--out") { &[][..] } else { &["--out", "found.toml"] };
        let (_, stderr) = amber(&folder, &[&["discover"], args, out].concat(), code);
        assert!(stderr.contains(said), "{args:?}: {stderr}");
        assert!(!folder.join("found.toml").exists(), "{args:?}");
    }
    // A broker that lets nobody listen to everything (SUBACK 0x87).
    let refusing = Fake::answering([CONNACK, &[0x90, 4, 0, 1, 0, 0x87]].concat());
    let (_, stderr) = amber(&folder, &["discover", "--broker", &refusing.url()], 1);
    assert!(stderr.contains("does not let us hear `#` (not authorized)"), "{stderr}");
    assert!(stderr.contains("every filter was refused"), "{stderr}");
    // Without a terminal no progress is shown.
    let (_, stderr) = amber(&folder, &["discover", "--broker", &url, "--for", "100ms"], 1);
    assert!(!stderr.contains('\r'), "{stderr}");
    let (_, stderr) = amber(&folder, &["mappings", "zigbee"], 2);
    assert!(stderr.contains("`zigbee2mqtt`?"), "{stderr}");
}
