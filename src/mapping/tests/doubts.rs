//! Warnings of what can be meant as it is written, and probably is not; and that nothing else is warned of.

use super::*;

/// All that is said of `toml`, which begins at line 5.
fn said(toml: &str) -> Vec<String> {
    let (mapping, faults) = load(toml);
    assert!(mapping.is_some(), "only warnings: {faults:?}");
    faults.iter().map(ToString::to_string).collect()
}

/// The text behind `[mapping.m]`, and what the one warning begins with and ends in; `""`: there is none.
fn check(cases: &[(&str, &str, &str)]) {
    for (toml, start, end) in cases {
        let said = said(&format!("[mapping.m]\n{toml}"));
        if start.is_empty() {
            assert!(said.is_empty(), "{toml}\n{said:#?}");
        } else {
            assert!(said.len() == 1 && said[0].starts_with(start) && said[0].ends_with(end), "{toml}\n{said:#?}");
        }
    }
}

#[test]
fn a_value_that_a_capture_cannot_have_is_warned_of_beside_one_that_it_can() {
    check(&[
        (
            "topic = \"a/{x}\"\nwhen = { x = [\"b\", \"c/d\"] }\nfields = [\"v\"]",
            "config.toml:7:20: warning: mapping.m.when.x: \"c/d\" can be no `{x}`, which is one level and holds no `/`",
            "catch several in `topic`: `{x#}`",
        ),
        (
            "topic = \"a/p-{x}\"\nwhen = { x = [\"p-1\", \"*/2\"] }\nfields = [\"v\"]",
            "config.toml:7:22: warning: mapping.m.when.x: \"*/2\" can be no `{x}`",
            "`{x#}`",
        ),
        (
            "topic = \"a/{x}\"\nwhen = { x = [\"+\", \"b\"] }\nfields = [\"v\"]",
            "config.toml:7:15: warning: mapping.m.when.x: \"+\" can be no `{x}`: a topic name holds no `+` (MQTT 3.3.2-2)",
            "write `*` for any characters",
        ),
        (
            "topic = \"a\"\nrows = \"{x}\"\nwhen = { x = [\"\", \"b\"] }\nfields = [\"v\"]",
            "config.toml:8:15: warning: mapping.m.when.x: `{x}` is never empty where it was caught",
            "for any value write `when = \"x\"`",
        ),
        // Several levels, keys of the payload, another topic of the list, and paths may have them.
        ("topic = \"a/{x#}\"\nwhen = { x = \"c/d\" }\nfields = [\"v\"]", "", ""),
        ("topic = [\"a/{x}\", \"b/{x#}\"]\nwhen = { x = \"c/d\" }\nfields = [\"v\"]", "", ""),
        ("topic = \"a\"\nrows = \"{x}\"\nwhen = { x = \"c/+\" }\nfields = [\"v\"]", "", ""),
        ("topic = \"a\"\nwhen = { x = [\"c/d\", \"\", \"#\"] }\nfields = [\"v\"]", "", ""),
        ("topic = \"a/p-{x}\"\nwhen = { x = [\"p-1\", 2, 0.5, true, \"*\"] }\nfields = [\"v\"]", "", ""),
    ]);
}

#[test]
fn a_topic_without_the_capture_that_when_asks_for_is_warned_of() {
    for when in ["\"x\"", "{ x = \"c\" }"] {
        check(&[(
            &format!("topic = [\"a/{{x}}\", \"b/+\"]\nwhen = {when}\nfields = [\"v\"]"),
            "config.toml:6:19: warning: mapping.m.topic: the mapping takes nothing by `b/+`, which catches no `{x}`",
            "catch `{x}` in it, or make it a mapping of its own",
        )]);
    }
}

#[test]
fn topics_of_the_broker_itself_are_written_out() {
    check(&[
        (
            "topic = \"+/broker/load/{span}\"\nfields = [\"v\"]",
            "config.toml:6:9: warning: mapping.m.topic: it takes nothing of `$SYS/broker`: a wildcard in the first level",
            "write `$SYS/broker/load/{span}`",
        ),
        ("topic = \"{sys}/broker/{name#}\"\nfields = [\"v\"]", "config.toml:6:9: warning: ", "`$SYS/broker/{name#}`"),
        (
            "topic = [\"a\", \"SYS/broker/uptime\"]\nfields = [\"v\"]",
            "config.toml:6:15: warning: mapping.m.topic: what brokers say of themselves begins with `$SYS`",
            "write `$SYS/broker/uptime`",
        ),
        ("topic = \"$SYS/broker/uptime\"\nfields = [\"v\"]", "", ""),
        ("topic = [\"{a}/{broker}\", \"home/broker/x\", \"SYSTEM/x\", \"{a}/brokers\"]\nfields = [\"v\"]", "", ""),
    ]);
}

#[test]
fn a_key_that_is_called_as_a_capture_is_warned_of_unless_the_payload_is_known_to_have_it() {
    check(&[
        (
            "topic = \"a/{device}\"\ntags = { x = \"device\" }\nfields = [\"v\"]",
            "config.toml:7:14: warning: mapping.m.tags.x: `device` is read as a key of the payload; \
             write `{device}` for the capture, or `'device'` if the key is meant",
            "",
        ),
        (
            "topic = \"a/{device}\"\ntags = { x = [\"devcie\", \"b\"] }\nfields = [\"v\"]",
            "config.toml:7:15: warning: mapping.m.tags.x: `devcie` is read as a key",
            "did you mean the capture `{device}`? If not, write `'devcie'`",
        ),
        (
            "topic = \"a/{_ts}\"\ntime = \"_ts\"\nfields = [\"v\"]",
            "config.toml:7:8: warning: mapping.m.time: ",
            "meant",
        ),
        (
            "topic = \"a/{name}\"\npivot = { name = \"name\", value = \"value\" }\nfields = [\"v\"]",
            "config.toml:7:18: warning: mapping.m.pivot.name: `name` is read as a key",
            "meant",
        ),
        (
            "topic = \"a/{kind}\"\nmeasurement = \"kind\"\nwhen = { kind = [\"p\", \"q\"] }\nfields = [\"v\"]",
            "config.toml:7:15: warning: mapping.m.measurement: the measurement is called `kind`",
            "write `{kind}` for a measurement for each of its values",
        ),
        // A field reads it too, a column has the name, it is quoted, a path, a template, short, or only the payload's own is wanted.
        ("topic = \"a/{device}\"\ntags = { x = \"device\" }\nfields = { v = { path = \"device\" } }", "", ""),
        (
            "topic = \"a/{device}\"\nformat = { type = \"csv\", columns = [\"device\", \"v\"] }\ntags = { x = \"device\" }\nfields = [\"v\"]",
            "",
            "",
        ),
        (
            "topic = \"a/{device}\"\ntags = { x = \"'device'\", y = \"{device}\", z = \"device.id\" }\nfields = [\"v\"]",
            "",
            "",
        ),
        ("topic = \"a/{i}\"\ntags = { x = \"id\" }\nfields = [\"v\"]", "", ""),
        ("topic = \"a/{_device}\"\ntags = { device = \"device\" }\nfields = [\"v\"]", "", ""),
        ("topic = \"a/{kind}\"\nmeasurement = \"kind\"\nfields = [\"v\"]", "", ""),
    ]);
}

#[test]
fn a_fallback_that_falls_back_on_nothing_is_warned_of() {
    let two = |topic: &str, keys: &str, fallback: &str| {
        said(&format!(
            "[mapping.a]\ntopic = \"{topic}\"\nfields = [\"v\"]\n{keys}\n[mapping.b]\ntopic = {fallback}\nfields = [\"w\"]\nfallback = true"
        ))
    };
    let nothing = "config.toml:12:12: warning: mapping.b.fallback: `fallback` does nothing: no other mapping takes";
    let never = "config.toml:12:12: warning: mapping.b.fallback: this mapping takes nothing: `mapping.a` (config.toml:5:10) takes";
    for (topic, keys, fallback, expected) in [
        ("a/{x}", "", "\"b/{y}\"", nothing),
        ("a/{x}", "", "[\"b/#\", \"a/{y}/c\"]", nothing),
        ("a/{x}", "", "\"$SYS/broker/x\"", nothing),
        // What a mapping without `when` takes it takes whatever it finds there.
        ("a/{x}", "", "\"a/{y}\"", never),
        ("a/#", "", "[\"a/{y}/c\", \"a\", \"a/b/{z#}\"]", never),
        ("a/+", "", "\"a/+\"", never),
        ("a/{x}", "retained = \"store\"", "\"a/p-{y}\"", never),
        ("a/p-{x}", "", "\"a/p-{y}\"", never),
        // Something is left for it.
        ("a/{x}", "when = \"v\"", "\"a/{y}\"", ""),
        ("a/{x}", "except = [\"a/b\"]", "\"a/{y}\"", ""),
        ("a/{x}", "", "\"a/+\"", ""),
        ("a/{x}", "", "\"a/#\"", ""),
        ("a/{x}", "", "[\"a/{y}\", \"b\"]", ""),
        ("a/p-{x}", "", "\"a/{y}\"", ""),
        ("a/{x#}/c", "", "\"a/{y#}\"", ""),
        ("#", "", "\"$SYS/broker/x\"\nmeasurement = \"c\"", nothing),
        ("#", "", "\"amber/{client}/status\"", ""),
    ] {
        let said = two(topic, keys, fallback);
        let right = match expected {
            "" => said.is_empty(),
            // Where `measurement` stands in between, a line later.
            start => said.len() == 1 && said[0].replace(":13:12:", ":12:12:").starts_with(start),
        };
        assert!(right, "{topic} {keys} {fallback}: {said:#?}");
    }
    let retained = "[mapping.a]\ntopic = \"a\"\nfields = [\"v\"]\n[mapping.b]\ntopic = \"a\"\nfields = [\"w\"]\nfallback = true\nretained = \"store\"";
    assert!(said(retained).is_empty(), "retained messages are left for it");
    let mapping = load(retained).0.unwrap();
    let message = message("a", "{\"w\":1}");
    assert_eq!(lines(&mapping, &message), ["ignored empty"], "the first one took it");
    assert_eq!(lines(&mapping, &Message { retain: true, ..message }), ["b | w=1.0"]);
}

#[test]
fn a_mapping_that_is_there_twice_is_named_with_its_original() {
    let one = "topic = \"a/{x}/t\"\nmeasurement = \"m\"\nfields = { v = { path = \"p\", scale = 2 }, w = {} }";
    let with = |other: &str| said(&format!("[mapping.a]\n{one}\n[mapping.b]\n{other}"));
    for (from, to) in [("", ""), ("{x}", "{y}"), ("{x}", "+"), ("\"a/{x}/t\"", "[\"c\", \"a/{x}/t\"]")] {
        let said = with(&one.replacen(from, to, 1));
        let start = "warning: mapping.b.topic: `mapping.a` (config.toml:5:10) reads the same from `a/";
        let end = "` for the same measurement, so that each row is stored twice; leave one of them out";
        assert!(said.len() == 1 && said[0].contains(start) && said[0].ends_with(end), "{from} {to}: {said:?}");
        assert!(said[0].starts_with("config.toml:10:"), "{said:?}");
    }
    for (from, to) in [
        ("/t", "/u"),
        ("\"m\"", "\"n\""),
        ("\"p\"", "\"q\""),
        ("scale = 2", "scale = 3"),
        ("scale = 2", "scale = 2, pattern = \"{} s\""),
        (", w = {}", ""),
        ("\nfields", "\nwhen = \"w\"\nfields"),
        ("\nfields", "\nrows = \"r\"\nfields"),
        ("\nfields", "\nexcept = [\"a/b/t\"]\nfields"),
        ("\nfields", "\nformat = \"cbor\"\nfields"),
    ] {
        let other = one.replacen(from, to, 1);
        assert_ne!(other, one);
        let said = with(&other);
        assert!(said.is_empty(), "{other}\n{said:?}");
    }
}

#[test]
fn two_files_that_disagree_on_a_field_are_both_named() {
    let folder = tempfile::tempdir().unwrap();
    for (file, field) in [("one", "type = \"int\", unit = \"Wh\""), ("two", "unit = \"kWh\"")] {
        let text = format!(
            "[mapping.{file}]\ntopic = \"{file}\"\nmeasurement = \"m\"\n[mapping.{file}.fields]\nenergy = {{ {field} }}\n"
        );
        std::fs::write(folder.path().join(format!("{file}.toml")), text).unwrap();
    }
    let main = folder.path().join("config.toml");
    let text = "include = [\"*.toml\"]\n[broker]\nurl = \"mqtt://localhost\"\n[store]\nurl = \"sqlite:x.db\"\n";
    let loaded = config::load_text(main.to_str().unwrap(), text, []);
    let (mapping, faults) = Mapping::new(&loaded.config.unwrap().mappings);
    assert!(mapping.is_none());
    let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (one, two) = (file("one.toml"), file("two.toml"));
    assert_eq!(
        said,
        [
            format!(
                "{two}:5:1: mapping.two.fields.energy: the field is `float` here and `int` in `mapping.one` ({one}:5:1), and both \
                 feed measurement `m`; give it one type, or another name in one of them"
            ),
            format!(
                "{two}:5:1: mapping.two.fields.energy: the unit is `kWh` here and `Wh` in `mapping.one` ({one}:5:1), and both \
                 feed measurement `m`; convert one with `scale` and `offset`, or give it another name"
            ),
        ]
    );
}
