//! What an explanation says beyond the outcome: places, hints, what would have fitted.

use super::*;

const START: usize = 4;

fn explained(toml: &str, topic: &str, payload: &str) -> MappingExplained {
    let mut explanation = mapping(toml).explain(&message(topic, payload));
    assert_eq!(explanation.mappings.len(), 1, "{explanation:?}");
    explanation.mappings.remove(0)
}

#[test]
fn what_fails_is_told_with_its_place_in_the_configuration_and_in_the_payload() {
    let toml = "[mapping.m]\ntopic = \"t/{x}\"\nrows = \"a[]\"\ntime = \"ts\"\ntags = { y = \"why\" }\n[mapping.m.fields]\n\
                v = \"deep.v\"\nw = { required = true }\n";
    for (payload, line, path) in [
        (r#"{"a": [{"w": 1, "deep": {"v": "?"}}]}"#, 7, Some("$.a[0].deep.v")),
        (r#"{"a": [{"deep": {"v": 1}}]}"#, 8, Some("$.a[0].w")),
        (r#"{"a": [{"w": 1, "ts": "?"}]}"#, 4, Some("$.a[0].ts")),
        (r#"{"a": [{"w": 1, "why": {"b": 1}}]}"#, 5, Some("$.a[0].why")),
    ] {
        let told = explained(toml, "t/x", payload);
        let [failure] = &told.failures[..] else { panic!("{payload}: {told:?}") };
        let start = format!("config.toml:{}:", START + line);
        assert!(failure.place.to_string().starts_with(&start), "{payload}: {failure:?}");
        assert_eq!(failure.path.as_deref(), path, "{payload}");
        assert_eq!(told.place.to_string(), format!("config.toml:{}:10", START + 1));
    }
    let explanation = mapping(toml).explain(&message("t/x", r#"{"a": [{"w": 1, "ts": "?"}, {"w": 2, "ts": "?"}]}"#));
    let Outcome::Rejected(reject) = &explanation.mapped.outcome else { panic!("{explanation:?}") };
    assert!(reject.detail.ends_with("(and 1 more rows)"), "{reject:?}");
    let (place, path) = explanation.source("m", &reject.detail).unwrap();
    assert_eq!((place.to_string().as_str(), path), ("config.toml:8:8", Some("$.a[0].ts")));
}

#[test]
fn the_nearest_key_is_told_where_a_path_finds_nothing() {
    let climate =
        "[mapping.m]\ntopic = \"t\"\n[mapping.m.fields]\ntemperature = \"Temperature\"\nhumidity = \"Humidity\"\n";
    let rows = |rows: &str| format!("[mapping.m]\ntopic = \"t\"\nrows = \"{rows}\"\nfields = [\"power\"]\n");
    let when = "[mapping.m]\ntopic = \"t\"\nwhen = { \"$.kind\" = [\"reading\", \"state*\"] }\nfields = [\"power\"]\n";
    for (toml, payload, hints) in [
        (
            climate,
            r#"{"Temprature": 1, "Humidity": 2}"#,
            &["there is no `Temperature` at `$`, there is `Temprature`"][..],
        ),
        // An absent field is nothing strange where another one is there.
        (climate, r#"{"Pressure": 1, "Humidity": 2}"#, &[]),
        (
            climate,
            r#"{"a": 1, "b": 2}"#,
            &[
                "there is no `Temperature` at `$`, there are `a`, `b`",
                "there is no `Humidity` at `$`, there are `a`, `b`",
            ],
        ),
        (
            climate,
            r#"{"a": 1}"#,
            &["there is no `Temperature` at `$`, there is `a`", "there is no `Humidity` at `$`, there is `a`"],
        ),
        (&rows("ENERGY"), r#"{"ENERGY": {"Power": 5}}"#, &["there is no `power` at `$.ENERGY`, there is `Power`"]),
        (&rows("energy"), r#"{"ENERGY": {"power": 5}}"#, &["there is no `energy` at `$`, there is `ENERGY`"]),
        (&rows("a[]"), r#"{"a": {"power": 5}}"#, &["there is no list at `$.a`, there is an object"]),
        (
            &rows("a"),
            r#"{"a": [{"power": 5}]}"#,
            &[
                "there is no `power` at `$.a`, which is a list: name its elements in `rows` (`[]`), or one by its position (`[0]`)",
            ],
        ),
        (&rows("leak{n}"), r#"{"leek1": {"power": 5}}"#, &["no key at `$` fits `rows`, there is `leek1`"]),
        (&rows("leak{n}"), r#"{"leak1": {}, "leak2": {"power": 5}}"#, &[]),
        (when, r#"{"kid": "reading"}"#, &["there is no `kind` at `$`, there is `kid`"]),
    ] {
        assert_eq!(explained(toml, "t", payload).hints, hints, "{payload}");
    }
    let many: String = (0..30).map(|number| format!("\"k{number:02}\":1,")).collect();
    let told = explained(&rows("."), "t", &format!("{{{many}\"z\":1}}"));
    assert!(told.hints[0].ends_with("`k06`, `k07` and 23 more"), "{:?}", told.hints);
    let told = explained(&rows("."), "t", "{\"a\\u001b[31m\":1}");
    assert_eq!(told.hints, ["there is no `power` at `$`, there is `a\u{fffd}[31m`"]);

    let Verdict::Unmet(why) = explained(when, "t", r#"{"kind": "raeding", "power": 1}"#).verdict else { panic!() };
    assert_eq!(why, "`when`: `$.kind` is \"raeding\", and one of `reading`, `state*` is wanted");
}

#[test]
fn the_level_of_a_topic_that_differs_is_named() {
    for (template, topic, expected) in [
        ("home/{room}/climate", "home/bath/clmate", "level 3 is \"clmate\", and `climate` is wanted"),
        ("home/{room}/climate", "home/bath", "level 3 is not there, and `climate` is wanted"),
        ("home/{room}", "home/bath/climate", "the topic has 3 levels, and 2 are wanted"),
        ("home/{room}/climate", "home//climate", "level 2 is \"\", and `{room}` is wanted"),
        ("relay:{n}/x", "relay/x", "level 1 is \"relay\", and `relay:{n}` is wanted"),
        ("a/{x#}/z", "a/b/c", "what lies behind level 1 does not fit `a/{x#}/z`"),
        ("{x}/y", "$SYS/y", "a wildcard in the first level takes no `$` topic and no status of an Amber (MQTT 4.7.2)"),
        ("$share/g/home/x", "home/y", "level 2 is \"y\", and `x` is wanted"),
    ] {
        let mapping = mapping(&format!("[mapping.m]\ntopic = \"{template}\"\nfields = [\"v\"]\n"));
        let message = message(topic, "1");
        let (apart, more) = mapping.apart(topic, &mapping.explain(&message), 5);
        assert_eq!((apart.len(), more), (1, 0), "{template}");
        assert_eq!(apart[0].detail, expected, "{template}");
    }
}

#[test]
fn where_when_holds_for_no_row_the_likeliest_one_is_told() {
    let sensors = "[mapping.m]\ntopic = \"t\"\nrows = \"{sensor}\"\nwhen = { sensor = [\"BME280*\", \"DS18B20*\"] }\n\
                   fields = { temperature = \"Temperature\" }\n";
    let scalars =
        "[mapping.m]\ntopic = \"t\"\nrows = \"{name}\"\nwhen = { name = \"level\" }\nfields = { v = \".\" }\n";
    for (toml, payload, expected) in [
        (
            sensors,
            r#"{"Time": "x", "AM2301": {"Temperature": 1}, "BME680-1": {"Temperature": 2}, "Unit": "C"}"#,
            "`when`: `sensor` is \"BME680-1\", and one of `BME280*`, `DS18B20*` is wanted in row `$.BME680-1`",
        ),
        // What is a scalar is told where there is nothing else.
        (
            sensors,
            r#"{"Time": "x"}"#,
            "`when`: `sensor` is \"Time\", and one of `BME280*`, `DS18B20*` is wanted in row `$.Time`",
        ),
        (
            scalars,
            r#"{"pump": 1, "levle": 2, "mode": "x"}"#,
            "`when`: `name` is \"levle\", and `level` is wanted in row `$.levle`",
        ),
    ] {
        let Verdict::Unmet(why) = explained(toml, "t", payload).verdict else { panic!("{payload}") };
        assert_eq!(why, expected, "{payload}");
    }
}

#[test]
fn under_a_pivot_the_names_that_came_are_told_beside_those_that_are_read() {
    let topic = "[mapping.m]\ntopic = \"t/{name#}\"\npivot = \"{name}\"\nfields = { power = \"dc/power\", yield = \"YieldDay\" }\n";
    let keys = "[mapping.m]\ntopic = \"t\"\nrows = \"data[]\"\npivot = { name = \"id\", value = \"q\" }\n\
                fields = { power = \"P1\" }\n";
    for (toml, name, payload, expected) in [
        (topic, "t/uptime", "5", "no field reads `uptime`; fields read `dc/power`, `YieldDay`"),
        (topic, "t/dc/power", "null", "no value of `dc/power`"),
        (
            keys,
            "t",
            r#"{"data": [{"id": "P2", "q": 1}, {"id": "P3", "q": 2}, {"id": "P1", "q": null}]}"#,
            "no field reads `P2`, `P3`; fields read `P1`; no value of `P1`",
        ),
        (keys, "t", r#"{"data": [{"name": "P1", "q": 1}]}"#, "no row has a name at `id` and a value at `q`"),
        (keys, "t", r#"{"date": []}"#, "no row at `data[]`"),
    ] {
        let Verdict::Empty(why) = explained(toml, name, payload).verdict else { panic!("{payload}") };
        assert_eq!(why, expected, "{payload}");
    }
}
