//! Real messages beside the rows that a sensible user wants: `tests/corpus/*.jsonl` with the mappings beside them.

use super::*;

#[derive(serde::Deserialize)]
struct Case {
    topic: String,
    payload: String,
    #[serde(default)]
    retain: bool,
    /// As `lines` gives them.
    expect: Vec<String>,
}

fn corpus(name: &str, toml: &str, jsonl: &str) {
    let loaded = config::load_text(name, toml, []);
    let (mapping, faults) = Mapping::new(&loaded.config.unwrap().mappings);
    let faults: Vec<String> = loaded.faults.iter().chain(&faults).map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let mapping = mapping.unwrap();
    let mut wrong = String::new();
    for (number, line) in jsonl.lines().enumerate() {
        let case: Case = serde_json::from_str(line).unwrap();
        let message = Message { retain: case.retain, ..message(&case.topic, &case.payload) };
        let lines = lines(&mapping, &message);
        if lines != case.expect {
            let (got, wanted) = (lines.join("\n  "), case.expect.join("\n  "));
            wrong.push_str(&format!("{name}:{} {}\n got\n  {got}\n wanted\n  {wanted}\n", number + 1, case.topic));
        }
        assert_eq!(mapping.explain(&message).mapped, mapping.map(&message));
    }
    assert!(wrong.is_empty(), "{wrong}");
}

macro_rules! corpus {
    ($($test:ident: $file:literal;)+) => {
        $(
            #[test]
            fn $test() {
                let folder = (
                    include_str!(concat!("../../../tests/corpus/", $file, ".toml")),
                    include_str!(concat!("../../../tests/corpus/", $file, ".jsonl")),
                );
                corpus($file, folder.0, folder.1);
            }
        )+
    };
}

corpus! {
    zigbee2mqtt_messages_become_the_rows_wanted: "zigbee2mqtt";
    tasmota_messages_become_the_rows_wanted: "tasmota";
    shelly_messages_become_the_rows_wanted: "shelly-gen1";
    the_things_stack_messages_become_the_rows_wanted: "tts-v3";
}
