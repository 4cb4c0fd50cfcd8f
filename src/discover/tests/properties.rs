//! Whatever is heard, the proposal can be read, and stores no value of a message twice.

use proptest::prelude::*;

use super::{RECEIVED_AT, message, proposed, sample};
use crate::discover::{Already, propose};
use crate::message::Message;
use crate::row::{Outcome, Value};

/// Levels that provoke: numbers, words of kinds and quantities, what is special in topics, templates and TOML.
fn level() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec![
            "a", "b", "dev1", "dev2", "7", "42", "0xff01", "aabbccddee01", "kitchen", "temperature", "state", "status", "relay:0", "relay:1",
            "POWER1", "POWER2", "SENSOR", "home", "LWT", "json", "x-1234",
        ]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["", " ", "$x", "$SYS", "{y}", "{", "'", "\"", "\\", "é/", "°", "a.b", "[0]", "*", "\u{202e}x", "\u{1}", "$share"])
            .prop_map(str::to_owned),
        1 => "[^+#\u{0}/]{0,6}",
    ]
}

fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("topics have a character", |topic| !topic.is_empty())
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec![
            "temperature", "Humidity", "state", "value", "v", "unit", "id", "name", "time", "ts", "BME280", "DS18B20-1", "DS18B20-2", "before",
            "after", "d1", "d2", "d3", "d4", "values", "energy", "a.b", "order", "true", "received_at",
        ]).prop_map(str::to_owned),
        1 => "[^\u{0}]{0,5}",
    ]
}

/// Trees whose numbers are numbered afterwards, so that none comes twice.
fn tree() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        4 => Just(serde_json::json!(0)),
        1 => prop::sample::select(vec!["ON", "OFF", "21.5 °C", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00", "", "0T01:02:03", "x\u{7}y", "a'b\"c", "12,5"])
            .prop_map(|text| serde_json::json!(text)),
        1 => any::<bool>().prop_map(|value| serde_json::json!(value)),
        1 => Just(serde_json::Value::Null),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec((key(), inner.clone()), 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            prop::collection::vec(inner, 0..5).prop_map(serde_json::Value::Array),
        ]
    })
}

fn number(tree: &mut serde_json::Value, next: &mut i64) {
    match tree {
        serde_json::Value::Number(_) => {
            *next += 1;
            *tree = serde_json::json!(*next as f64 + 0.25);
        }
        serde_json::Value::Array(elements) => elements.iter_mut().for_each(|element| number(element, next)),
        serde_json::Value::Object(members) => members.values_mut().for_each(|member| number(member, next)),
        _ => {}
    }
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => tree().prop_map(|mut tree| {
            number(&mut tree, &mut 100);
            tree.to_string().into_bytes()
        }),
        1 => prop::sample::select(vec!["1;2;3", "a=1,b=2", "<a><b>1</b></a>", "x 5 °C", "{\"a\":", "on", "20.25", "1,2,3\n4,5,6", "2024-01-01"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ]
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    prop::collection::vec((topic(), payload(), any::<bool>()), 0..14).prop_map(|heard| {
        let message = |(topic, payload, retain): (String, Vec<u8>, bool)| Message {
            retain,
            received_at: RECEIVED_AT,
            ..message(&topic, payload)
        };
        heard.into_iter().map(message).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_heard_the_proposal_can_be_read_and_stores_no_value_twice(messages in messages()) {
        let sample = sample(&messages);
        let (mapping, text) = proposed(&sample, Some("Europe/Lisbon"));
        proposed(&sample, None);
        prop_assert_eq!(&propose(&sample, &Already::default()).text(), &propose(&sample, &Already::default()).text());
        let Some(mapping) = mapping else { return Ok(()) };
        for message in &messages {
            let message = Message { retain: false, ..message.clone() };
            let Outcome::Rows { rows, .. } = mapping.map(&message).outcome else { continue };
            let mut seen = Vec::new();
            for row in &rows {
                for (name, value) in row.named(&mapping.schema().measurements[row.measurement]) {
                    let Value::Float(number) = value else { continue };
                    // Those that `number` has numbered.
                    if number.fract() == 0.25 && *number > 100.0 {
                        prop_assert!(!seen.contains(&number.to_bits()), "{} of `{}` is stored twice\n{}\n{:?}", name, message.topic, text, message.payload);
                        seen.push(number.to_bits());
                    }
                }
            }
        }
    }
}
