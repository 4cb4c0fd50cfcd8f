use super::*;
use crate::message::Malformed;

#[test]
fn a_capture_is_a_tag_and_the_smallest_mapping_is_two_lines() {
    check(
        "[mapping.climate]\ntopic = \"home/{room}/climate\"\nfields = [\"temperature\", \"humidity\"]",
        &[
            (
                "home/bath/climate",
                r#"{"temperature": 21.5, "humidity": 40, "other": [1, {"a": 2}]}"#,
                &["climate room=bath | temperature=21.5 humidity=40.0"],
            ),
            ("home/bath/climate", r#"{"humidity": 40}"#, &["climate room=bath | humidity=40.0"]),
            ("home/bath/climate", r#"{"other": 40}"#, &["ignored empty"]),
            ("home/bath/climate", "", &["ignored empty"]),
            ("home/bath/climate", "  ", &["rejected payload: …"]),
            ("home/bath", r#"{"humidity": 40}"#, &["ignored unmapped"]),
            ("home/bädle/climate", r#"{"humidity": 40}"#, &["climate room=bädle | humidity=40.0"]),
        ],
    );
}

#[test]
fn a_list_of_topics_gives_each_its_captures_and_the_others_are_empty() {
    check(
        "[mapping.m]\ntopic = [\"a/{x}/{y}\", \"b/{x}\", \"c/{_z}\"]\nfields = [\"v\"]",
        &[
            ("a/1/2", r#"{"v":1}"#, &["m x=1 y=2 | v=1.0"]),
            ("b/1", r#"{"v":1}"#, &["m x=1 | v=1.0"]),
            ("c/1", r#"{"v":1}"#, &["m | v=1.0"]),
        ],
    );
}

#[test]
fn except_and_fallback_choose_between_mappings() {
    check(
        r##"
        [mapping.rest]
        topic = "house/#"
        except = ["house/bridge/#"]
        fallback = true
        fields = { v = { path = ".", type = "text" } }
        [mapping.power]
        topic = "house/{device}/power"
        fields = { w = "." }
        "##,
        &[
            ("house/a/power", "3", &["power device=a | w=3.0"]),
            ("house/a/state", "on", &["rest | v=\"on\""]),
            ("house/bridge/state", "on", &["ignored unmapped"]),
            ("house/a/power", "x", &["rejected field: …"]),
        ],
    );
}

#[test]
fn several_mappings_may_take_one_message_and_each_gives_its_rows() {
    check(
        r#"
        [mapping.climate]
        topic = "z/{device}"
        fields = ["temperature"]
        [mapping.battery]
        topic = "z/{device}"
        fields = { percent = "battery", ok = { path = "battery_ok", type = "bool" } }
        "#,
        &[
            (
                "z/a",
                r#"{"temperature": 1, "battery": 90}"#,
                &["climate device=a | temperature=1.0", "battery device=a | percent=90.0"],
            ),
            ("z/a", r#"{"battery": 90}"#, &["battery device=a | percent=90.0"]),
            ("z/a", r#"{"battery": "ON"}"#, &["rejected field: field `percent` at `$.battery` got \"ON\"…"]),
            ("z/a", r#"{"temperature": 1, "battery": "ON"}"#, &["climate device=a | temperature=1.0", "!field: …"]),
            (
                "z/a",
                r#"{"temperature": 1, "battery": "ON", "battery_ok": true}"#,
                &["climate device=a | temperature=1.0", "battery device=a | ok=true", "-percent"],
            ),
        ],
    );
}

#[test]
fn two_mappings_may_feed_one_measurement() {
    let mapping = mapping(
        r#"
        [mapping.a]
        topic = "a/{room}/{device}"
        measurement = "climate"
        fields = { temperature = { unit = "°C" }, battery = {} }
        [mapping.b]
        topic = "b/{device}/{floor}"
        measurement = "climate"
        fields = { humidity = {}, temperature = { path = "t" } }
        "#,
    );
    let climate = &mapping.schema().measurements[0];
    assert_eq!(climate.tags, ["room", "device", "floor"]);
    let fields: Vec<_> = climate.fields.iter().map(|field| (&*field.name, field.unit.as_deref())).collect();
    assert_eq!(fields, [("temperature", Some("°C")), ("battery", None), ("humidity", None)]);
    assert_eq!(
        lines(&mapping, &message("a/r/d", r#"{"temperature":1}"#)),
        ["climate room=r device=d | temperature=1.0"]
    );
    assert_eq!(
        lines(&mapping, &message("b/d/2", r#"{"t":1,"humidity":2}"#)),
        ["climate device=d floor=2 | temperature=1.0 humidity=2.0"]
    );
}

#[test]
fn a_measurement_may_be_named_by_a_capture_that_when_bounds() {
    check(
        r#"
        [mapping.m]
        topic = "plant/{device}/{kind}"
        measurement = "plant_{kind}"
        when = { kind = ["climate", "power"] }
        fields = ["v"]
        "#,
        &[
            ("plant/a/climate", r#"{"v":1}"#, &["plant_climate device=a | v=1.0"]),
            ("plant/a/POWER", r#"{"v":1}"#, &["plant_power device=a | v=1.0"]),
            ("plant/a/state", r#"{"v":1}"#, &["ignored unmapped"]),
        ],
    );
}

#[test]
fn retained_messages_are_skipped_unless_the_mapping_stores_them() {
    let mapping = mapping(
        "[mapping.a]\ntopic = \"a/{x}\"\nfields = [\"v\"]\n[mapping.b]\ntopic = \"b/{x}\"\nretained = \"store\"\nfields = [\"v\"]",
    );
    let retained = |topic: &str| Message { retain: true, ..message(topic, r#"{"v":1}"#) };
    assert_eq!(lines(&mapping, &retained("a/1")), ["ignored retained"]);
    assert_eq!(lines(&mapping, &retained("b/1")), ["b x=1 | v=1.0"]);
    assert_eq!(lines(&mapping, &retained("c/1")), ["ignored unmapped"]);
}

#[test]
fn a_malformed_message_is_rejected_before_anything_is_read() {
    let mapping = mapping("[mapping.a]\ntopic = \"a/{x}\"\nfields = [\"v\"]");
    let malformed = |malformed| Message { malformed: Some(malformed), ..message("a/1", r#"{"v":1}"#) };
    assert!(lines(&mapping, &malformed(Malformed::TopicNotUtf8))[0].starts_with("rejected topic:"));
    assert!(
        lines(&mapping, &malformed(Malformed::TooLarge { payload_bytes: 10_000_000 }))[0]
            .starts_with("rejected too_large:")
    );
}

#[test]
fn subscriptions_cover_the_templates() {
    let mapping = mapping(
        r#"
        [mapping.a]
        topic = ["a/{x}/b{n}", "c/{x#}/d"]
        qos = 2
        retained = "store"
        fields = ["v"]
        "#,
    );
    let subscriptions: Vec<_> = mapping
        .subscriptions()
        .into_iter()
        .map(|subscription| (subscription.filter.as_str().to_owned(), subscription.qos.level(), subscription.retained))
        .collect();
    assert_eq!(subscriptions, [("a/+/+".to_owned(), 2, true), ("c/#".to_owned(), 2, true)]);
}

#[test]
fn the_status_of_an_amber_is_taken_only_by_a_topic_that_names_it() {
    let all = "[mapping.m]\ntopic = [\"#\", \"{a}/{b}/status\", \"+/{x}/{c}\"]\nfields = { v = { path = \".\", type = \"text\" } }";
    check(
        all,
        &[
            ("amber/kitchen/status", "online", &["ignored status"]),
            ("amber/kitchen/statu", "online", &["m | v=\"online\""]),
        ],
    );
    let own = "[mapping.m]\ntopic = \"amber/{id}/status\"\nfields = { v = { path = \".\", type = \"text\" } }";
    check(own, &[("amber/kitchen/status", "online", &["m id=kitchen | v=\"online\""])]);
}

#[test]
fn a_tag_of_the_defaults_is_left_out_by_a_mapping() {
    check(
        "[defaults]\ntags = { site = { value = \"north\" }, room = \"where\" }\n\
         [mapping.m]\ntopic = \"a/{x}\"\ntags = { room = false }\nfields = [\"v\"]\n\
         [mapping.n]\ntopic = \"b/{site}\"\ntags = { site = false }\nfields = [\"v\"]\n",
        &[
            ("a/1", r#"{"v": 1, "where": "bath"}"#, &["m x=1 site=north | v=1.0"]),
            ("b/1", r#"{"v": 1, "where": "bath"}"#, &["n room=bath | v=1.0"]),
        ],
    );
    let (_, faults) = load("[mapping.m]\ntopic = \"a\"\ntags = { room = false }\nfields = [\"v\"]\n");
    assert!(faults.iter().any(|fault| fault.what.contains("there is no tag `room` to remove")), "{faults:?}");
}
