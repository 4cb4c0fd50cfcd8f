//! The whole line, from a client's PUBLISH to typed rows and rejects, on both stores.

use amber::message::Qos;
use serde_json::json;

use crate::support::binary::Amber;
use crate::support::client::{self, Publisher};
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::settings;
use crate::support::sql::Texts;
use crate::support::{equal, eventually};

/// Every type of field, a time, tags from the topic and from the payload.
const MAPPING: &str = r#"
[mapping.climate]
topic = "home/{room}/{device}/climate"
time  = "ts"
tags  = { model = "model" }
[mapping.climate.fields]
temperature = { path = "temp", unit = "°C" }
count       = { type = "int" }
ok          = { type = "bool" }
state       = { type = "text" }
"#;

fn texts(values: &[&str]) -> Texts {
    values.iter().map(|&value| Some(value.to_owned())).collect()
}

#[test]
fn a_json_message_of_qos_0_from_paho_becomes_a_typed_row_in_both_stores() {
    let broker = Mosquitto::start();
    for home in Home::both() {
        let lines = format!("client_id = \"amber-{home}\"");
        let amber = Amber::run(&(settings(&broker.url(), &home.url(), &lines) + MAPPING));
        for (version, count) in [("3.1.1", 7), ("5", 8)] {
            let payload = json!({
                "temp": 21.5, "count": count, "ok": true, "state": "it's \"idle\" °", "ts": 1_764_095_019.5, "model": "T1"
            });
            let topic = "home/küche/t1/climate";
            client::paho_publish(broker.port, version, &[json!({"topic": topic, "payload": payload, "qos": 0})]);
        }
        eventually("two rows", || equal(Ok(home.count("climate")), 2));
        let columns = "temperature, count, ok, state, room, device, model";
        let types: Vec<String> =
            columns
                .split(", ")
                .map(|column| {
                    if home.is_postgres() { format!("pg_typeof({column})::text") } else { format!("typeof({column})") }
                })
                .collect();
        let select = format!("select {columns}, {} from {} order by count", types.join(", "), home.view("climate"));
        let ok = if home.is_postgres() { "t" } else { "1" };
        let types = if home.is_postgres() {
            ["double precision", "bigint", "boolean", "text", "text", "text", "text"]
        } else {
            // SQLite has no truth values.
            ["real", "integer", "integer", "text", "text", "text", "text"]
        };
        let row = |count| texts(&[&["21.5", count, ok, "it's \"idle\" °", "küche", "t1", "T1"], &types[..]].concat());
        let mut sql = home.sql();
        assert_eq!(sql.rows(&select).unwrap(), [row("7"), row("8")], "{home}");
        let at = if home.is_postgres() {
            "time = '2025-11-25T18:23:39.5Z' and received_at > '2025-11-25' and pg_typeof(time)::text = 'timestamp with time zone'"
        } else {
            "time = 1764095019500000 and time_utc = '2025-11-25T18:23:39.500Z' and received_at > 1764000000000000"
        };
        assert_eq!(sql.number(&format!("select count(*) from {} where {at}", home.view("climate"))), Ok(2), "{home}");
        assert_eq!(amber.metric("amber_messages_received_total{qos=\"0\"}"), Ok(2.0));
    }
}

/// Amber whose batches take whatever comes within a second.
#[track_caller]
fn gathering(broker: &Mosquitto, home: &Home, mapping: &str) -> Amber {
    let lines = format!("client_id = \"amber-{home}\"");
    let mut amber = Amber::new(&(settings(&broker.url(), &home.url(), &lines) + mapping));
    amber.env("AMBER__STORE__COMMIT_INTERVAL", "1s");
    amber.start();
    amber.wait_ready();
    amber
}

const ONE_FIELD: &str = r#"
[mapping.value]
topic = "value/{device}"
fields = ["v"]

[mapping.count]
topic = "count/{device}"
fields = { n = { type = "int" } }

[mapping.word]
topic = "word/{device}"
fields = { w = { type = "text" } }

[mapping.any]
topic = "{place}/any/{device}"
fields = { doc = { path = ".", type = "json" } }
"#;

#[test]
fn what_cannot_be_read_or_stored_is_kept_as_it_came_and_its_neighbours_are_stored() {
    let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
    let deep_inside = [&br#"{"v":1,"x":"#[..], &deep, b"}"].concat();
    let bad: Vec<(&str, &str, Vec<u8>)> = vec![
        ("value/a", "payload", b"{\"v\":".to_vec()),
        ("value/b", "payload", b"\xff\xfe{\"v\":1}".to_vec()),
        ("value/c", "payload", deep.clone()),
        ("value/d", "payload", deep_inside),
        ("value/e", "field", br#"{"v":"warm"}"#.to_vec()),
        ("value/f", "unstorable", br#"{"v":1e999}"#.to_vec()),
        ("count/a", "unstorable", br#"{"n":9223372036854775808}"#.to_vec()),
        ("word/a", "unstorable", br#"{"w":"a\u0000b"}"#.to_vec()),
        ("word/b", "unstorable", br#"{"w":"\ud800"}"#.to_vec()),
        // As text it is no JSON.
        ("home/any/a", "field", deep),
        ("home/any/b", "unstorable", br#"{"x":"a\u0000b"}"#.to_vec()),
    ];
    let good: Vec<(&str, &str)> = vec![
        ("value/h", r#"{"v":1.5}"#),
        // The last one of equal keys counts.
        ("value/h", r#"{"v":1,"v":2.5}"#),
        ("count/h", r#"{"n":-9223372036854775808}"#),
        ("count/h", r#"{"n":9223372036854775807}"#),
        ("word/h", r#"{"w":"é🦟"}"#),
        ("é/any/é", r#"{"x":[1]}"#),
        ("🦟/any/h", r#"{"x":[2]}"#),
    ];
    let broker = Mosquitto::start();
    for home in Home::both() {
        let amber = gathering(&broker, &home, ONE_FIELD);
        let mut publisher = Publisher::connect(broker.port, "publisher");
        // Each bad one between good ones; an empty payload is nothing at all.
        let all = bad.iter().zip(good.iter().cycle()).flat_map(|((bad_topic, _, payload), (topic, good))| {
            [(*bad_topic, payload.clone()), (*topic, good.as_bytes().to_vec()), ("value/h", Vec::new())]
        });
        publisher.publish_all(Qos::AtLeastOnce, all.map(|(topic, payload)| (topic.to_owned(), payload)));
        let tables = ["value", "count", "word", "any"];
        let rows = || -> i64 { tables.iter().map(|table| home.count(table)).sum() };
        eventually("the good ones are stored", || equal(Ok(rows()), bad.len() as i64));
        assert_eq!(amber.metric("amber_batches_written_total"), Ok(1.0), "all are in one batch");
        assert_eq!(amber.metric("amber_messages_ignored_total{reason=\"empty\"}"), Ok(bad.len() as f64));

        let hex = if home.is_postgres() { "encode(payload, 'hex')" } else { "lower(hex(payload))" };
        let select = format!("select topic, reason, {hex}, payload_bytes from {} order by id", home.view("rejects"));
        let kept = home.sql().rows(&select).unwrap();
        let expected: Vec<Texts> = bad
            .iter()
            .map(|(topic, reason, payload)| {
                let hex: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
                texts(&[topic, reason, &hex, &payload.len().to_string()])
            })
            .collect();
        for (kept, expected) in kept.iter().zip(&expected) {
            assert!(kept == expected, "{home}: {:?} instead of {:?}", &kept[..2], &expected[..2]);
        }
        assert_eq!(kept.len(), expected.len());
        for reason in ["payload", "field", "unstorable"] {
            let count = bad.iter().filter(|(_, of, _)| *of == reason).count();
            let metric = format!("amber_rejects_total{{reason=\"{reason}\"}}");
            assert_eq!(amber.metric(&metric), Ok(count as f64), "{home}: {reason}");
        }
        assert_eq!(amber.metric("amber_connections_total"), Ok(1.0));
        let mut sql = home.sql();
        let mut is = |table: &str, condition: &str, wanted: i64| {
            let count = sql.number(&format!("select count(*) from {} where {condition}", home.view(table)));
            assert_eq!(count, Ok(wanted), "{home}: {table} where {condition}");
        };
        is("value", "device = 'h' and v = 2.5", 2);
        is("count", "n = -9223372036854775808 or n = 9223372036854775807", 4);
        is("word", "w = 'é🦟'", 1);
        is("any", "place = 'é' and device = 'é'", 1);
        is("any", "place = '🦟'", 1);
        // The broker is not asked for anything again.
        drop(amber);
        let mut again =
            Amber::new(&(settings(&broker.url(), &home.url(), &format!("client_id = \"amber-{home}\"")) + ONE_FIELD));
        again.start();
        again.wait_ready();
        assert_eq!(again.metric("amber_rows_written_total{measurement=\"value\"}"), Ok(0.0));
    }
}

#[test]
fn a_message_that_is_too_long_is_a_reject_that_keeps_its_beginning_and_its_neighbours_are_stored() {
    let broker = Mosquitto::start();
    for (home, version) in Home::both().into_iter().zip(["5", "3.1.1"]) {
        let lines = format!("client_id = \"amber-{home}\"\nprotocol = \"{version}\"");
        let amber = Amber::run(&(settings(&broker.url(), &home.url(), &lines) + ONE_FIELD));
        let mut publisher = Publisher::connect(broker.port, "publisher");
        // `max_payload` is 1 MiB unless told otherwise.
        let sizes = [10_000_000, (1 << 20) + 1];
        publisher.publish("value/a", "{\"v\":1}", Qos::AtLeastOnce);
        for size in sizes {
            publisher.publish("value/a", vec![b'1'; size], Qos::AtLeastOnce);
            publisher.publish("value/a", "{\"v\":2}", Qos::AtLeastOnce);
        }
        eventually("the neighbours are stored", || equal(Ok(home.count("value")), 3));
        let length = if home.is_postgres() { "octet_length" } else { "length" };
        let rejects = home.view("rejects");
        let kept = format!("select topic, reason, {length}(payload), payload_bytes from {rejects} order by id");
        // The beginning shows whose it is.
        let expected = sizes.map(|size| texts(&["value/a", "too_large", "65536", &size.to_string()]));
        assert_eq!(home.sql().rows(&kept).unwrap(), expected, "{home}");
        assert_eq!(amber.metric("amber_connections_total"), Ok(1.0));
        eventually("all are acknowledged", || equal(amber.metric("amber_acknowledged_total"), 5.0));
    }
}

#[test]
fn a_row_that_a_check_or_trigger_of_somebody_refuses_is_a_reject_and_its_neighbours_are_stored() {
    let broker = Mosquitto::start();
    for home in Home::both() {
        let amber = gathering(&broker, &home, ONE_FIELD);
        home.sql().run(if home.is_postgres() {
            "alter table amber_store.value_data add constraint not_too_hot check (v < 100)"
        } else {
            "create trigger not_too_hot before insert on store_value_data when new.v >= 100
             begin select raise(abort, 'not_too_hot'); end"
        });
        let mut publisher = Publisher::connect(broker.port, "publisher");
        let messages = (0..100).map(|n| ("value/a".to_owned(), format!("{{\"v\":{}}}", if n == 42 { 451 } else { n })));
        publisher.publish_all(Qos::AtLeastOnce, messages.map(|(topic, payload)| (topic, payload.into_bytes())));
        eventually("the others are stored", || equal(Ok((home.count("value"), home.count("rejects"))), (99, 1)));
        assert_eq!(amber.metric("amber_batches_written_total"), Ok(1.0), "all are in one batch");
        assert_eq!(amber.metric("amber_rejects_total{reason=\"refused\"}"), Ok(1.0));
        assert_eq!(amber.metric("amber_rows_written_total{measurement=\"value\"}"), Ok(99.0));
        let kept = format!(
            "select count(*) from {} where reason = 'refused' and mapping = 'value' and topic = 'value/a'
             and payload_text = '{{\"v\":451}}' and detail like '%not_too_hot%'",
            home.view("rejects")
        );
        assert_eq!(home.sql().number(&kept), Ok(1));
        assert_eq!(amber.get("/ready").unwrap().0, 200);
        publisher.publish("value/a", "{\"v\":1}", Qos::AtLeastOnce);
        eventually("the next is stored as ever", || equal(Ok(home.count("value")), 100));
    }
}

#[test]
fn a_message_for_nobody_and_one_with_nothing_in_it_are_ignored_and_counted() {
    let broker = Mosquitto::start();
    let home = Home::sqlite();
    let mapping = "[mapping.value]\ntopic = \"value/#\"\nexcept = [\"value/log\"]\nfields = [\"v\"]\n";
    let amber = Amber::run(&(settings(&broker.url(), &home.url(), "") + mapping));
    let mut publisher = Publisher::connect(broker.port, "publisher");
    publisher.publish("value/log", "anything", Qos::AtLeastOnce);
    publisher.publish("value/a", "{\"w\":1}", Qos::AtLeastOnce);
    publisher.publish("value/a", "{\"v\":null}", Qos::AtLeastOnce);
    publisher.publish("value/a", "{\"v\":1}", Qos::AtLeastOnce);
    eventually("the last one is stored", || equal(Ok(home.count("value")), 1));
    assert_eq!(amber.metric("amber_messages_ignored_total{reason=\"unmapped\"}"), Ok(1.0));
    assert_eq!(amber.metric("amber_messages_ignored_total{reason=\"empty\"}"), Ok(2.0));
    eventually("all are acknowledged", || equal(amber.metric("amber_acknowledged_total"), 4.0));
    assert_eq!(home.count("rejects"), 0);
}
