//! Small houses, and what is proposed for them.

use super::{message, proposed, sample};
use crate::message::Message;

/// Asserts that the proposal for what is heard has all of these lines, up to what is behind them.
fn check(heard: &[(&str, &str)], lines: &[&str]) {
    let messages: Vec<Message> = heard.iter().map(|(topic, payload)| message(topic, payload)).collect();
    let (_, text) = proposed(&sample(&messages), None);
    for line in lines {
        assert!(text.lines().any(|proposed| proposed.starts_with(line)), "{line}\nis not in\n{text}");
    }
}

#[test]
fn levels_that_vary_become_captures_with_sensible_names() {
    check(
        &[
            ("home/kitchen/climate", r#"{"temperature": 21.5, "humidity": 40}"#),
            ("home/bath/climate", r#"{"temperature": 23.5, "humidity": 60}"#),
        ],
        &["topic = \"home/{room}/climate\"", "temperature = { unit = \"°C\" }", "humidity = { unit = \"%\" }"],
    );
    check(
        &[("gw/aabbccddee01", r#"{"rssi": -60}"#), ("gw/aabbccddee02", r#"{"rssi": -70}"#)],
        &["topic = \"gw/{mac}\"", "rssi = { unit = \"dBm\" }"],
    );
    check(
        &[
            ("box/status/relay:0", r#"{"apower": 5.5, "on": true}"#),
            ("box/status/relay:1", r#"{"apower": 6.5, "on": true}"#),
        ],
        &["topic = \"box/status/relay:{n}\"", "apower = {", "on_value = { path = \"on\", type = \"bool\" }"],
    );
}

#[test]
fn a_level_that_is_the_quantity_becomes_a_pivot() {
    check(
        &[("pot/a1-2231/temperature", "21.5"), ("pot/a1-2232/temperature", "22"), ("pot/a1-2231/soil_moisture", "40")],
        &[
            "topic = \"pot/{device}/{_what}\"",
            "pivot = \"{_what}\"",
            "temperature = { unit = \"°C\" }",
            "soil_moisture = { unit = \"%\" }",
        ],
    );
}

#[test]
fn objects_that_are_alike_become_rows() {
    check(
        &[("tele/x/SENSOR", r#"{"DS18B20-1": {"Temperature": 1.5}, "DS18B20-2": {"Temperature": 2.5}, "uptime": 7}"#)],
        &[
            "rows = \"DS18B20-{n}\"",
            "temperature = { path = \"Temperature\", unit = \"°C\" }",
            "uptime = { type = \"int\", unit = \"s\" }",
        ],
    );
    check(
        &[("plc/1", r#"{"values": [{"id": "P1", "v": 2.5}, {"id": "P2", "v": 3.5}]}"#)],
        &["rows = \"values[]\"", "id = \"id\"", "v = {}"],
    );
    check(
        &[("forecast/x", r#"{"hourly": {"time": [1700000000, 1700003600], "temp": [12, 13]}}"#)],
        &["rows = \"hourly.*[]\"", "time = \"time\"", "temp = { unit = \"°C\" }"],
    );
}

#[test]
fn times_are_recognised_and_local_ones_ask_for_the_zone() {
    check(&[("a/b", r#"{"ts": 1700000000500, "x": 1.5}"#)], &["time = \"ts\""]);
    check(&[("a/b", r#"{"when": {"at": "2023-11-14T22:13:20Z"}, "x": 1.5}"#)], &["time = \"when.at\""]);
    check(&[("a/b", r#"{"time": "2023-11-14T22:13:20", "x": 1.5}"#)], &["# time = \"time\"", "# zone = "]);
    check(
        &[("a/b", r#"{"date": "14.11.2023 22:13", "x": 1.5}"#)],
        &["# time = { path = \"date\", format = \"%d.%m.%Y %H:%M\" }"],
    );
}

#[test]
fn formats_are_told_by_the_bytes() {
    check(
        &[("log/a", "1700000000;21.5;40"), ("log/a", "1700000060;21.6;41")],
        &["format = { type = \"csv\", separator = \";\" }", "value_2 = { path = \"[1]\" }"],
    );
    check(
        &[("log/a", "at;temp\n1700000000;21.5\n")],
        &["format = { type = \"csv\", separator = \";\", header = true }", "temp = { unit = \"°C\""],
    );
    check(&[("log/a", "T:21.5 H:40")], &["format = { type = \"pairs\", separator = \" \", assign = \":\" }"]);
    check(&[("log/a", "<r><power>5</power></r>")], &["format = \"xml\"", "power = { unit = \"W\" }"]);
    let cbor = [0xa1, 0x61, b't', 0x15];
    let (_, text) = proposed(&sample(&[Message { payload: cbor.to_vec().into(), ..message("log/a", "") }]), None);
    assert!(text.contains("format = \"cbor\"") || text.contains("format = \"msgpack\""), "{text}");
}

#[test]
fn what_cannot_be_read_is_commented_out_with_the_reason() {
    check(&[("a/b", "{\"x\": ")], &["# Commented out: looks like JSON, and is not"]);
    check(&[("a/b", r#"{"t": "21,5"}"#)], &["# # t = {}"]);
    let bytes = [0xff, 0xfe, 0x00, 0x01];
    let (_, text) = proposed(&sample(&[Message { payload: bytes.to_vec().into(), ..message("a/b", "") }]), None);
    assert!(text.contains("# Commented out: bytes of no known format: ff fe 00 01 (4 bytes)"), "{text}");
}

#[test]
fn units_stand_beside_the_value_in_the_key_or_in_the_text() {
    check(
        &[("m/x", r#"{"energy_delivered": 170.9, "unit": "kWh"}"#)],
        &["energy_delivered = { unit = \"kWh\", kind = \"total\" }"],
    );
    check(
        &[("m/x", r#"{"temp_f": 70.5, "power_w": 5}"#)],
        &["temp_f = { unit = \"°F\" }", "power_w = { unit = \"W\" }"],
    );
    check(&[("m/x", r#"{"level": "21.5 cm"}"#)], &["level = { pattern = \"{} cm\", unit = \"cm\" }"]);
    check(&[("m/x", r#"{"battery": 80, "voltage": 3045}"#)], &["voltage = { unit = \"V\", scale = 0.001 }"]);
}

#[test]
fn the_last_word_on_whether_something_is_there_is_kept() {
    check(
        &[("dev/LWT", "Online")],
        &["[mapping.dev_lwt_availability]", "retained = \"store\"", "online = { path = \".\", type = \"bool\" }"],
    );
}

#[test]
fn a_topic_that_two_templates_fit_is_read_by_one_mapping() {
    let heard = [
        ("z/lamp/state", "ON"),
        ("z/plug/state", "OFF"),
        ("z/lamp/power", "5.5"),
        ("z/plug/power", "6.5"),
        ("z/bridge/state", "ON"),
        ("z/bridge/power", "7.5"),
    ];
    let messages: Vec<Message> = heard.iter().map(|(topic, payload)| message(topic, payload)).collect();
    let (mapping, text) = proposed(&sample(&messages), None);
    let mapping = mapping.expect("mappings");
    for message in &messages {
        let crate::row::Outcome::Rows { rows, .. } = mapping.map(message).outcome else { panic!("{text}") };
        assert_eq!(rows.len(), 1, "{}\n{text}", message.topic);
    }
}
