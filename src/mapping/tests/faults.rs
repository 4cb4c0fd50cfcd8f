use super::*;
use crate::schema::OnDuplicate;

/// The faults of `toml`, which is the text behind `[mapping.m]`.
fn faults(toml: &str) -> Vec<String> {
    let (mapping, faults) = load(&format!("[mapping.m]\n{toml}"));
    let only_warnings = faults.iter().all(|fault| fault.severity == Severity::Warning);
    assert!(mapping.is_some() || !only_warnings, "without a fault there is a mapping");
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn one_bound_of_series_holds_for_a_measurement_and_two_must_agree() {
    let two = |a: &str, b: &str| {
        load(&format!(
            "[mapping.a]\ntopic = \"a/{{x}}\"\nmeasurement = \"m\"\nfields = [\"v\"]\n{a}\n\
             [mapping.b]\ntopic = \"b/{{x}}\"\nmeasurement = \"m\"\nfields = [\"v\"]\n{b}"
        ))
    };
    for (a, b, bound) in [
        ("", "", 100_000),
        ("max_series = 5", "", 5),
        ("", "max_series = 200000", 200_000),
        ("max_series = 7", "max_series = 7", 7),
    ] {
        let measurements = two(a, b).0.unwrap().schema().measurements.clone();
        assert_eq!(measurements.iter().map(|m| m.max_series).collect::<Vec<_>>(), [bound], "{a} {b}");
    }
    let (mapping, faults) = two("max_series = 5", "max_series = 6");
    assert!(mapping.is_none());
    let said = "config.toml:14:14: mapping.b.max_series: `max_series` is 6 here and 5 in `mapping.a` (config.toml:9:14), and both";
    assert!(faults.len() == 1 && faults[0].to_string().starts_with(said), "{faults:?}");
}

#[test]
fn what_becomes_of_duplicates_holds_for_a_measurement_and_two_must_agree() {
    let two = |a: &str, b: &str| {
        load(&format!(
            "[mapping.a]\ntopic = \"a/{{x}}\"\nmeasurement = \"m\"\ntime = \"ts\"\nfields = [\"v\"]\n{a}\n\
             [mapping.b]\ntopic = \"b/{{x}}\"\nmeasurement = \"m\"\ntime = \"ts\"\nfields = [\"v\"]\n{b}"
        ))
    };
    for (a, b, expected) in [
        ("", "", OnDuplicate::Keep),
        ("on_duplicate = \"ignore\"", "", OnDuplicate::Ignore),
        ("", "on_duplicate = \"replace\"", OnDuplicate::Replace),
        ("on_duplicate = \"replace\"", "on_duplicate = \"replace\"", OnDuplicate::Replace),
        ("on_duplicate = \"keep\"", "on_duplicate = \"keep\"", OnDuplicate::Keep),
    ] {
        let (mapping, faults) = two(a, b);
        assert_eq!((mapping.unwrap().schema().measurements[0].on_duplicate, faults.len()), (expected, 0), "{a} {b}");
    }
    for (a, b) in [("keep", "ignore"), ("replace", "keep"), ("ignore", "replace")] {
        let (mapping, faults) = two(&format!("on_duplicate = \"{a}\""), &format!("on_duplicate = \"{b}\""));
        assert!(mapping.is_none());
        let said = format!(
            "config.toml:16:16: mapping.b.on_duplicate: `on_duplicate` is \"{b}\" here and \"{a}\" in `mapping.a` (config.toml:10:16), and both"
        );
        assert!(faults.len() == 1 && faults[0].to_string().starts_with(&said), "{faults:?}");
    }
}

#[test]
fn what_cannot_go_with_on_duplicate_is_said() {
    let begin = "topic = \"a/{x}\"\nfields = [\"v\"]\n";
    let cases = [
        ("time = \"ts\"\non_duplicate = \"replace\"", None),
        ("on_duplicate = \"keep\"", None),
        ("on_duplicate = \"replace\"", Some("warning: mapping.m.on_duplicate: without `time`")),
        ("on_duplicate = \"skip\"", Some("mapping.m.on_duplicate: ")),
        ("time = \"ts\"\ntable = \"r\"\non_duplicate = \"ignore\"", Some("unique index or a trigger of your own")),
    ];
    for (toml, said) in cases {
        let faults = faults(&format!("{begin}{toml}"));
        match said {
            None => assert_eq!(faults, [""; 0], "{toml}"),
            Some(said) => assert!(faults.len() == 1 && faults[0].contains(said), "{toml}: {faults:?}"),
        }
    }
    // The deadband may be another mapping's.
    let (mapping, faults) = load(
        "[mapping.a]\ntopic = \"a/{x}\"\nmeasurement = \"m\"\ntime = \"ts\"\nfields = [\"v\"]\non_duplicate = \"ignore\"\n\
         [mapping.b]\ntopic = \"b/{x}\"\nmeasurement = \"m\"\ntime = \"ts\"\nfields.v = { deadband = 1 }",
    );
    assert!(mapping.is_none());
    let said = faults[0].to_string();
    assert!(
        faults.len() == 1 && said.starts_with("config.toml:10:16: mapping.a.on_duplicate: with \"ignore\""),
        "{said}"
    );
    assert!(said.contains("field `v` of measurement `m`") && said.contains("`on_duplicate = \"replace\"`"), "{said}");
}

#[test]
fn a_deadband_is_of_the_measurements_field_and_two_mappings_must_agree() {
    let two = |a: &str, b: &str| {
        load(&format!(
            "[mapping.a]\ntopic = \"a/{{x}}\"\nmeasurement = \"m\"\nfields.v = {{ {a} }}\n\
             [mapping.b]\ntopic = \"b/{{x}}\"\nmeasurement = \"m\"\nfields.v = {{ {b} }}"
        ))
    };
    let ten_minutes = Some(std::time::Duration::from_secs(600));
    for (a, b, expected) in [
        ("", "", None),
        ("deadband = 0", "", Some((0.0, None))),
        ("", "deadband = 0.5, heartbeat = \"10m\"", Some((0.5, ten_minutes))),
        ("deadband = 2", "deadband = 2.0", Some((2.0, None))),
    ] {
        let field = two(a, b).0.unwrap().schema().measurements[0].fields[0].clone();
        assert_eq!(field.deadband.map(|deadband| (deadband.amount, deadband.heartbeat)), expected, "{a} {b}");
    }
    for b in ["deadband = 2", "deadband = 1, heartbeat = \"10m\""] {
        let (mapping, faults) = two("deadband = 1", b);
        assert!(mapping.is_none());
        let said = "config.toml:12:8: mapping.b.fields.v: `deadband` or `heartbeat` is another in `mapping.a` (config.toml:8:8)";
        assert!(faults.len() == 1 && faults[0].to_string().starts_with(said), "{faults:?}");
    }
}

#[test]
fn a_shared_subscription_beside_one_that_brings_the_same_to_everybody_is_a_fault() {
    let two = |a: &str, b: &str| {
        load(&format!(
            "[mapping.a]\ntopic = \"{a}\"\nfields = [\"v\"]\n[mapping.b]\ntopic = \"{b}\"\nfields = [\"v\"]\nfallback = true"
        ))
    };
    for (a, b) in [
        ("$share/g/mn/{x}", "mn/{x}"),
        ("$share/g/mn/{x}", "#"),
        ("$share/g/mn/{x}", "$share/h/{_}/b"),
        ("{_}/b", "$share/g/mn/{x}"),
    ] {
        let (mapping, faults) = two(a, b);
        let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(mapping.is_none() && said.len() == 1, "{a} {b}: {said:?}");
        let start =
            format!("config.toml:6:9: mapping.a.topic: `{a}` and `{b}` (config.toml:9:9) match the same topics");
        assert!(said[0].starts_with(&start), "{said:?}");
    }
    for (a, b) in [("$share/g/mn/{x}", "$share/g/#"), ("$share/g/mn/{x}", "other/{x}"), ("mn/{x}", "#")] {
        assert!(two(a, b).0.is_some(), "{a} {b}");
    }
}

#[test]
fn a_deadband_of_a_field_that_several_ambers_feed_is_a_fault() {
    let with = |topic: &str, field: &str, more: &str| {
        load(&format!("[mapping.tank]\ntopic = {topic}\nfields = {{ level = {field}, seen = {{}} }}\n{more}"))
    };
    let other = "[mapping.old]\ntopic = \"old/{tank}\"\nmeasurement = \"tank\"\nfields = { level = { deadband = 1 } }";
    for (topic, field, more) in [
        ("\"$share/g/tank/{tank}\"", "{ deadband = 0.5 }", ""),
        ("[\"$share/g/tank/{tank}\"]", "{ deadband = 0, heartbeat = \"1m\" }", ""),
        // The two have one last value.
        ("\"$share/g/tank/{tank}\"", "{}", other),
    ] {
        let (mapping, faults) = with(topic, field, more);
        let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(mapping.is_none() && said.len() == 1, "{topic}: {said:?}");
        assert!(said[0].contains("mapping.tank.topic: `$share/g/tank/{tank}` shares its messages"), "{said:?}");
        assert!(
            said[0].contains("field `level` has a `deadband`") && said[0].contains("; leave `deadband` out"),
            "{said:?}"
        );
    }
    assert!(with("\"tank/{tank}\"", "{ deadband = 0.5 }", "").0.is_some());
    assert!(with("\"$share/g/tank/{tank}\"", "{}", "").0.is_some());
}

#[test]
fn every_fault_is_named_with_place_and_remedy() {
    for (toml, expected) in [
        ("topic = \"a/{b}{c}\"\nfields = [\"v\"]", "config.toml:6:9: mapping.m.topic: two captures follow one another"),
        ("topic = \"a/#/b\"\nfields = [\"v\"]", "write `{_x#}`"),
        ("topic = [\"a\", \"b/c#\"]\nfields = [\"v\"]", "config.toml:6:15: mapping.m.topic: "),
        ("topic = [\"a\", \"a\"]\nfields = [\"v\"]", "listed twice"),
        ("topic = \"a\"\nexcept = [\"#\"]\nfields = [\"v\"]", "never match"),
        ("topic = \"a\"\nfields = { v = \"a..b\" }", "mapping.m.fields.v.path: a key is missing in `a..b`"),
        ("topic = \"a\"\nfields = { v = \"a[]\" }", "leads to several values"),
        ("topic = \"a\"\nfields = { v = \"{x}\" }", "caught nowhere"),
        ("topic = \"a\"\nfields = [\"a.b\"]", "may be a key or a path"),
        ("topic = \"a\"\nfields = { v = { heartbeat = \"1m\" } }", "add `deadband = 0`"),
        (
            "topic = \"a\"\nfields = { v = { deadband = -0.5 } }",
            "fields.v.deadband: `deadband` is a distance, and -0.5 is below 0; write `0.5`",
        ),
        (
            "topic = \"a\"\nfields = { v = { type = \"bool\", deadband = 1 } }",
            "is of type `bool`, whose values are alike or not; write `deadband = 0`",
        ),
        ("topic = \"a\"\nfields = [\"time\"]", "reserved"),
        ("topic = \"a/{time}\"\nfields = [\"v\"]", "or `{_time}` to catch it without a tag"),
        ("topic = \"a/{v}\"\nfields = [\"v\"]", "`v` is a tag of this mapping too"),
        ("topic = \"a\"\nfields = { Temp = \"a\", temp = \"b\" }", "differ only in case"),
        ("topic = \"a/{x}\"\ntags = { X = \"y\" }\nfields = [\"v\"]", "differ only in case"),
        ("topic = \"a\"\nmeasurement = \"rejects\"\nfields = [\"v\"]", "reserved"),
        ("topic = \"a/{x}\"\nmeasurement = \"m_{x}\"\nfields = [\"v\"]", "list the names"),
        ("topic = \"a/{x}\"\nmeasurement = \"m_{x}\"\nwhen = { x = \"a*\" }\nfields = [\"v\"]", "list the names"),
        ("topic = \"a\"\nzone = \"Europe/Zurch\"\nfields = [\"v\"]", "did you mean `Europe/Zurich`?"),
        ("topic = \"a\"\ntime = { path = \"t\", format = \"%Y-%E\" }\nfields = [\"v\"]", "is no format"),
        ("topic = \"a\"\ntime = { path = \"t\", unit = \"min\" }\nfields = [\"v\"]", "mapping.m.time.unit"),
        ("topic = \"a/{room}\"\ntime = \"{rom}\"\nfields = [\"v\"]", "did you mean `{room}`?"),
        ("topic = \"a\"\nnot_before = \"once\"\nfields = [\"v\"]", "mapping.m.not_before"),
        ("topic = \"a\"\npivot = \"{x}\"\nfields = [\"v\"]", "caught neither in `topic` nor in `rows`"),
        ("topic = \"a/{x}\"\npivot = \"{x}\"\nfields = { v = \".\" }", "begins with no name"),
        ("topic = \"a\"\nfields = { v = { words = { A = 1, B = true } } }", "a field has one type"),
        (
            "topic = \"a\"\nfields = { v = { type = \"text\", kind = \"total\" } }",
            "`kind` is for numbers, and the field is of type `text`",
        ),
        (
            "topic = \"a\"\nzone = \"+25:00\"\nfields = [\"v\"]",
            "config.toml:7:8: mapping.m.zone: no clock of the world is `+25:00` from UTC",
        ),
        ("topic = \"a\"\nfields = { v = { type = \"int\", words = { A = true } } }", "leave `type` out"),
        ("topic = \"a\"\nfields = { v = { words = { on = 1, ON = 2 } } }", "listed twice"),
        ("topic = \"a\"\nfields = { v = { words = { on = 1 }, missing = [\"ON\"] } }", "none in `missing`"),
        ("topic = \"a\"\nfields = { v = { type = \"bool\", scale = 2 } }", "`scale` is for numbers"),
        ("topic = \"a\"\nfields = { v = { range = \"reject\" } }", "needs `min` or `max`"),
        ("topic = \"a\"\nfields = { v = { min = 5, max = 1 } }", "is below `min`"),
        ("topic = \"a\"\ntags = { x = { words = { a = \"b\" } } }\nfields = [\"v\"]", "is no capture"),
        ("topic = \"a/{room}\"\ntags = { x = \"{roon}-1\" }\nfields = [\"v\"]", "did you mean `{room}`?"),
        ("topic = \"a\"\ntags = { x = false }\nfields = [\"v\"]", "no tag `x` to remove"),
        (
            "topic = \"a\"\n[mapping.m.fields]\nv = {}\ntemprature = false\n[defaults.fields]\ntemperature = {}",
            "`temprature = false` removes nothing: no field of `[defaults]` has this name; did you mean `temperature`?",
        ),
        ("topic = \"a\"\nfields = { v = {}, hum = false }", "leave it out: without `others`"),
        ("topic = \"a\"\nformat = \"text\"\nfields = [\"v\"]", "write `path = \".\"`"),
        ("topic = \"a\"\nrows = \"a*[]\"\nfields = [\"v\"]", "has a `*` before a bracket"),
        ("topic = \"a\"\nrows = [\"*[]\", \".\"]\nfields = [\"v\"]", "stands alone"),
        ("topic = \"a\"\nrows = \"$.a[]\"\nfields = [\"v\"]", "write `a[]`"),
        (
            "topic = \"a/{room}\"\nwhen = { rom = \"x\" }\nfields = [\"v\"]",
            "warning: mapping.m.when: `rom` is no capture",
        ),
        (
            "topic = \"a\"\nfields = { v = { pattern = \"seconds\" } }",
            "config.toml:7:28: mapping.m.fields.v.pattern: no `{}`",
        ),
        ("topic = \"a\"\nfields = { v = { pattern = \"{} to {}\" } }", "`{}` stands twice"),
        ("topic = \"a\"\nfields = { v = { pattern = \"{}\" } }", "leave `pattern` out"),
        ("topic = \"a\"\nfields = { v = { pattern = \"{}*\" } }", "write a text between them"),
        (
            "topic = \"a\"\nfields = { v = { type = \"json\", pattern = \"{} s\" } }",
            "mapping.m.fields.v.pattern: `pattern` takes a value out of a text",
        ),
        ("topic = \"a\"\nfields = { v = { bit = 64 } }", "mapping.m.fields.v.bit: must be a whole number from 0 to 63"),
        (
            "topic = \"a\"\nfields = { v = { bit = 1, type = \"int\" } }",
            "mapping.m.fields.v.bit: a bit is a bool, and the type is `int`; leave `type` out",
        ),
        (
            "topic = \"a\"\nfields = { v = { bit = 1, scale = 2 } }",
            "`scale` is for numbers, and the field is of type `bool`",
        ),
        ("topic = \"a\"\nfields = { v = { bit = 1, min = 0, range = \"reject\" } }", "`range` is for numbers"),
        ("topic = \"a\"\nfields = { v = { bit = 1, words = { a = 5 } } }", "with `bit` the field is a bool"),
        ("topic = \"a\"\nfields = { v = { bit = 1, decode = \"duration\" } }", "leave `bit` out"),
        (
            "topic = \"a\"\nfields = { v = { type = \"bool\", decode = \"duration\" } }",
            "a duration is a number of seconds, and the field is of type `bool`",
        ),
        ("topic = \"a\"\nfields = { v = { type = \"text\", decode = \"duration\" } }", "leave `type` out"),
        (
            "topic = \"a\"\nfields = { v = { type = \"time\", decode = \"duration\" } }",
            "a duration is a number of seconds: leave `type` out",
        ),
        (
            "topic = \"a\"\nfields = { v = { type = \"time\", decode = \"hex\" } }",
            "mapping.m.fields.v.decode: a time is not decoded",
        ),
        ("topic = \"a\"\nfields = { v = { decode = \"gzip\" } }", "mapping.m.fields.v.decode: "),
        (
            "topic = \"a\"\nfields = { v = { decode = \"duration\", unit = \"min\" } }",
            "mapping.m.fields.v.unit: a duration is in seconds, and the unit is `min`; leave `unit` out, or add `scale = 0.0166",
        ),
        (
            "topic = \"a\"\nfields = { v = { decode = \"hex\", missing = [\"fffe\"] } }",
            "mapping.m.fields.v.missing: `fffe` is compared with the number that was decoded",
        ),
        ("topic = \"a\"\nfields = { v = { decode = \"hex\", words = { ff = -1 } } }", "write `255`, or `0xff`"),
        (
            "topic = \"a\"\nfields = { v = { decode = \"hex\", words = { 0A = \"alarm\" } } }",
            "mapping.m.fields.v.words: `0A` is compared with the number that was decoded",
        ),
        (
            "topic = \"a/{tank}\"\nfields = { v = \"'Tank{tank}.Level'\" }",
            "the key `Tank{tank}.Level` is in quotes, in which braces are letters",
        ),
        (
            "topic = \"a/{x}\"\nwhen = { x = \"b/c\" }\nfields = [\"v\"]",
            "config.toml:7:14: mapping.m.when.x: the mapping can never match: \"b/c\" can be no `{x}`, which is one level",
        ),
        (
            "topic = \"a/{x}\"\nwhen = { x = [\"*/c\", \"\"] }\nfields = [\"v\"]",
            "config.toml:7:15: mapping.m.when.x: the mapping can never match: \"*/c\" can be no",
        ),
        (
            "topic = \"a/{x#}\"\nwhen = { x = \"\" }\nfields = [\"v\"]",
            "the mapping can never match: `{x}` is never empty where it was caught",
        ),
        ("topic = \"a/{x#}\"\nwhen = { x = \"b/#\" }\nfields = [\"v\"]", "no `#` (MQTT 3.3.2-2); write `*`"),
        ("topic = \"a\"\nfields = [\"PM\"]", "warning: "),
    ] {
        let faults = faults(toml);
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{toml}\n   got {faults:#?}\nwanted {expected}");
    }
}

#[test]
fn all_faults_come_at_once() {
    let faults = faults(
        "topic = \"a/{x}{y}\"\nzone = \"Nowhere/Here\"\nnot_before = \"never\"\ntime = { path = \"a..b\", zone = \"UTD\" }\n[mapping.m.fields]\ntime = {}\nb = { path = \"[\", min = 2, max = 1 }\n[mapping.n]\ntopic = \"#/a\"\nfields = [\"v\"]",
    );
    for part in [
        "follow one another",
        "Nowhere/Here",
        "not_before",
        "`a..b`",
        "UTD",
        "fields.time",
        "fields.b",
        "mapping.n.topic",
    ] {
        assert!(faults.iter().any(|fault| fault.contains(part)), "{part} in {faults:#?}");
    }
}

#[test]
fn mappings_that_feed_one_measurement_must_agree() {
    let two = |first: &str, second: &str| {
        faults(&format!(
            "topic = \"a/{{x}}\"\nmeasurement = \"k\"\n{first}\n[mapping.n]\ntopic = \"b/{{y}}\"\nmeasurement = \"k\"\n{second}"
        ))
    };
    for (first, second, expected) in [
        ("fields = { v = {} }", "fields = { v = { type = \"int\" } }", "`int` here and `float` in `mapping.m`"),
        ("fields = { v = { unit = \"°C\" } }", "fields = { v = { unit = \"°F\" } }", "the unit is `°F` here and `°C`"),
        ("fields = { v = {} }", "fields = { V = \"v\" }", "differ only in case"),
        ("fields = { v = {} }", "fields = { w = {}, x = \"v\" }", "a field here and a tag"),
        ("fields = { y = {} }", "fields = { w = {} }", "a tag here and a field"),
        ("fields = { v = {} }", "tags = { X = \"x\" }\nfields = { v = {} }", "differ only in case"),
    ] {
        let faults = two(first, second);
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{first} / {second}: {faults:#?}");
    }
    assert!(two("fields = { v = { unit = \"V\" } }", "fields = { v = {} }").is_empty());
}

#[test]
fn measurements_that_differ_only_in_case_are_a_fault() {
    let faults = faults("topic = \"a\"\nfields = [\"v\"]\n[mapping.M]\ntopic = \"b\"\nfields = [\"v\"]");
    assert!(faults.iter().any(|fault| fault.contains("differ only in case")), "{faults:?}");
}
