//! The ready files, and who is taken for whom over the messages of all ecosystems.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::discover::sample::Sample;
use crate::message::{Message, Qos, Time, base64};

/// The messages of `tests/corpus`, by ecosystem.
fn corpus() -> BTreeMap<String, Vec<Message>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| {
        let messages = std::fs::read_to_string(&path).unwrap().lines().map(message).collect();
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), messages)
    };
    files.map(read).collect()
}

fn message(line: &str) -> Message {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let payload = match (&line["payload"], &line["payload_base64"]) {
        (serde_json::Value::String(text), _) => text.clone().into_bytes(),
        (_, serde_json::Value::String(text)) => base64(text).unwrap(),
        other => panic!("{other:?}"),
    };
    Message {
        topic: line["topic"].as_str().unwrap().into(),
        payload: payload.into(),
        qos: Qos::AtMostOnce,
        retain: line["retain"] == true,
        received_at: line["received_at"].as_str().map_or(Time(1_704_067_200_000_000), |text| {
            Time(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
        }),
        delivery: None,
        malformed: None,
    }
}

fn sample<'m>(messages: impl IntoIterator<Item = &'m Message>) -> Sample {
    let mut sample = Sample::default();
    messages.into_iter().for_each(|message| sample.take(message));
    sample
}

#[test]
fn the_binary_holds_every_file_of_the_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().strip_suffix(".toml").unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    let ours: Vec<(String, String)> =
        FILES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    assert_eq!(ours, files);
    for (name, text) in FILES {
        assert!((4..=80).contains(&title(text).len()), "{name}: {}", title(text));
    }
}

#[test]
fn each_ecosystem_is_recognised_as_its_own_file_and_as_no_other() {
    let library = Library::new();
    for (ecosystem, messages) in corpus() {
        let names: Vec<&str> = library.recognise(sample(&messages).topics()).iter().map(|found| found.name).collect();
        // What Home Assistant is told of devices is no reading; there is no file for it.
        let own = if ecosystem == "homeassistant-discovery" { vec![] } else { vec![ecosystem.as_str()] };
        assert_eq!(names, own, "{ecosystem}");
    }
}

#[test]
fn a_house_with_all_ecosystems_gets_each_file_for_its_own_topics_only() {
    let corpus = corpus();
    let found = Library::new().recognise(sample(corpus.values().flatten()).topics());
    let mut names: Vec<&str> = found.iter().map(|found| found.name).collect();
    names.sort_unstable();
    let all: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, all);
    for found in &found {
        let own = |topic: &str| corpus[found.name].iter().any(|message| &*message.topic == topic);
        let foreign: Vec<_> = found.read.iter().chain(&found.silent).filter(|topic| !own(topic)).collect();
        assert!(foreign.is_empty(), "{}: {foreign:?}", found.name);
        assert!(found.also.is_empty(), "{}: {:?}", found.name, found.also);
    }
}

#[test]
fn plain_topics_are_not_taken_for_an_ecosystem() {
    let messages = [
        ("home/kitchen/climate", r#"{"temperature": 21.4, "humidity": 48.2}"#),
        ("home/kitchen/LWT", "online"),
        ("home/kitchen/fridge/status", "online"),
        ("kitchen/status", "offline"),
        ("garden/pond/messages", r#"{"temperature": 12.5}"#),
        ("plant/messages/1", r#"{"MessageType": "note", "Messages": []}"#),
        ("tele/tower/LWT", "Online"),
        ("sensors/1/temperature", "21.5"),
        ("factory/line1/oven", r#"{"values": [{"temperature": 200}]}"#),
        ("wled/desk/status", "nobody knows"),
        ("inverter/total", "12"),
        ("solar/power/1", r#"{"DC": 5}"#),
    ];
    let messages: Vec<Message> = messages
        .iter()
        .map(|(topic, payload)| message(&serde_json::json!({"topic": topic, "payload": payload}).to_string()))
        .collect();
    let found = Library::new().recognise(sample(&messages).topics());
    assert!(found.is_empty(), "{:?}", found.iter().map(|found| (found.name, &found.read)).collect::<Vec<_>>());
}

#[test]
fn below_a_level_that_bears_its_name_a_file_takes_all_and_elsewhere_what_its_topics_say() {
    let corpus = corpus();
    let own = message(r#"{"topic": "home/attic/mine", "payload": "5"}"#);
    let house = corpus["openmqttgateway"].iter().chain(&corpus["zigbee2mqtt"]).chain([&own]);
    let found = Library::new().recognise(sample(house).topics());
    let names: Vec<&str> = found.iter().map(|found| found.name).collect();
    assert_eq!(names, ["zigbee2mqtt", "openmqttgateway"]);
    assert!(found.iter().all(|found| !found.takes(&own)));
    let bridge = message(r#"{"topic": "zigbee2mqtt/bridge/request/x/y", "payload": "{}"}"#);
    assert!(found[0].takes(&bridge));
    assert!(found[0].silent.iter().any(|topic| &**topic == "zigbee2mqtt/bridge/groups"));
}

#[test]
fn a_file_with_local_times_says_whose() {
    let library = Library::new();
    let zones: Vec<(&str, &str)> = corpus()
        .values()
        .flat_map(|messages| library.recognise(sample(messages).topics()))
        .filter_map(|found| Some((found.name, found.zone?)))
        .collect();
    let files = FILES.iter().filter(|(_, text)| text.contains("\nzone "));
    assert_eq!(
        zones.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        files.map(|(name, _)| *name).collect::<Vec<_>>()
    );
    assert!(zones.contains(&("tasmota", "Europe/Zurich")));
}
