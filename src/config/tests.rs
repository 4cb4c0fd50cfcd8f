//! What a person sees: a text in, a configuration or faults out.

mod example;
mod formats;
mod vocabulary;
mod words;

use std::path::Path;

use super::mapping::{Pivot, TagSource, Word};
use super::*;
use crate::fault::Place;

const MINIMAL: &str = "[broker]\nurl = \"mqtt://localhost\"\n[store]\nurl = \"sqlite:a.db\"\n";

fn lines(loaded: &Loaded) -> Vec<String> {
    loaded.faults.iter().map(ToString::to_string).collect()
}

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Loads a text that must give no fault.
fn good(text: &str, pairs: &[(&str, &str)]) -> Config {
    let loaded = load_text("config.toml", text, environment(pairs));
    assert_eq!(lines(&loaded), Vec::<String>::new());
    loaded.config.unwrap()
}

/// The one mapping of `text`, which stands below the minimal settings.
fn one_mapping(text: &str) -> MappingConfig {
    good(&format!("{MINIMAL}{text}"), &[]).mappings.remove(0)
}

/// The faults of the keys of one mapping, below a topic and fields (line 7 on).
fn faults_of(keys: &str) -> Vec<String> {
    let text = format!("{MINIMAL}[mapping.m]\ntopic = \"a\"\n{keys}\n[mapping.m.fields]\nx = \"x\"\n");
    lines(&load_text("config.toml", &text, []))
}

fn texts(list: &[At<String>]) -> Vec<&str> {
    list.iter().map(|at| at.value.as_str()).collect()
}

#[test]
fn the_minimal_file_works() {
    let config = good(minimal(), &[]);
    assert_eq!(config.broker.url.value, BrokerUrl::mqtt("localhost", 1883));
    assert_eq!(config.store.url.value, StoreUrl::Sqlite("amber.db".into()));
    assert_eq!(config.mappings[0].name.value, "climate");
    assert_eq!(config.mappings[0].fields.len(), 2);
}

#[test]
fn every_planted_fault_is_reported_at_its_place_and_nothing_else() {
    let text = include_str!("../../tests/config/faulty.toml");
    let loaded = load_text("tests/config/faulty.toml", text, []);
    let found: Vec<String> = lines(&loaded).iter().map(|line| line.replace("tests/config/faulty.toml:", "")).collect();
    let expected: Vec<&str> = include_str!("../../tests/config/faulty.txt").lines().collect();
    assert_eq!(found, expected, "\n{}\n", found.join("\n"));
    assert!(loaded.is_faulty());
    assert!(!format!("{loaded:?}").contains("geheim"));
}

#[test]
fn every_fault_of_syntax_is_reported_without_echoes() {
    let text = "x = mqtt://y\n[http\n[broker]\nurl = mqtt://x\nqos = 3 3\n[store]\nurl = \"sqlite:a.db\nurl = 'sqlite:b.db'\n\
                [store]\n[mapping.a]\ntopic = ['x' 'y']\nfields = ['t']\nwhen = 1_\nextra = 99999999999999999999\n";
    let loaded = load_text("c.toml", text, []);
    assert_eq!(
        lines(&loaded),
        [
            "c.toml:1:5: not TOML: a text must be in quotes",
            "c.toml:2:6: not TOML: unclosed table, expected `]`",
            "c.toml:4:7: not TOML: a text must be in quotes",
            "c.toml:5:7: not TOML: a text must be in quotes",
            "c.toml:7:19: not TOML: invalid basic string, expected `\"`",
            "c.toml:8:1: not TOML: the key is there already",
            "c.toml:9:2: not TOML: the key is there already",
            "c.toml:11:14: not TOML: missing comma between array elements, expected `,`",
            "c.toml:13:9: not TOML: `_` may only go between digits, expected nothing",
            "c.toml:14:9: an integer beyond 64 bits",
        ],
        "\n{}\n",
        lines(&loaded).join("\n")
    );
}

#[test]
fn a_file_of_rubbish_is_faults_and_no_panic() {
    for text in [
        "\u{feff}",
        "\0",
        "[",
        "[[",
        "= 1",
        "a.b.c",
        "'''",
        "\"\\u{d800}\"",
        "[mapping]\n[[mapping.a]]",
        "mapping = 1",
        "ä\n=ö",
    ] {
        assert!(load_text("c.toml", text, []).is_faulty(), "{text:?}");
    }
    let deep = format!("x = {}", "[".repeat(10_000));
    assert!(load_text("c.toml", &deep, []).is_faulty());
    let deep = format!("[mapping.a]\nwhen.{} = 1", "a.".repeat(10_000) + "a");
    assert!(load_text("c.toml", &deep, []).is_faulty());
}

#[test]
fn a_section_in_a_section_is_read_from_the_file_and_from_the_environment() {
    let text = "[broker]\nurl = 'mqtt://a'\n[store]\nurl = 'postgres://db/a'\n[store.timescale]\nchunk = '6h'\ncompress_after = '30d'\n\
                [mapping.a]\ntopic='a'\nfields=['a']";
    let hours = |hours: u64| Some(Duration::from_secs(hours * 3_600));
    let read = good(text, &[]).store.timescale;
    assert_eq!(read, Timescale { hypertable: true, chunk: hours(6), compress_after: hours(720) });
    let pairs = [("AMBER__STORE__TIMESCALE__HYPERTABLE", "false"), ("AMBER__STORE__TIMESCALE__CHUNK", "12h")];
    let read = good(text, &pairs).store.timescale;
    assert_eq!(read, Timescale { hypertable: false, chunk: hours(12), compress_after: hours(720) });
    let faults = |text: &str| lines(&load_text("c.toml", &format!("{MINIMAL}{text}"), []));
    let [misspelt] = &faults("[store.timescale]\nchunks = '1d'\n[mapping.a]\ntopic='a'\nfields=['a']")[..] else {
        panic!()
    };
    assert!(misspelt.contains("store.timescale.chunks: unknown key; did you mean `chunk`?"), "{misspelt}");
    let [no_table] = &faults("timescale = true\n[mapping.a]\ntopic='a'\nfields=['a']")[..] else { panic!() };
    assert!(
        no_table.contains("store.timescale: must be a table") && no_table.contains("[store.timescale]"),
        "{no_table}"
    );
    let [file] = &faults("[store.timescale]\nchunk = '1d'\n[mapping.a]\ntopic='a'\nfields=['a']")[..] else { panic!() };
    assert!(
        file.contains("warning: store.timescale.chunk: is for PostgreSQL with the extension TimescaleDB"),
        "{file}"
    );
}

#[test]
fn the_environment_overrides_the_file_and_faults_name_the_variable() {
    let text = "[broker]\nurl = \"mqtt://file\"\nqos = 1\nkeep_alive = \"60s\"\n[store]\nurl = 5\n[mapping.a]\ntopic='a'\nfields=['a']";
    let config = good(
        text,
        &[
            ("AMBER__BROKER__URL", "mqtt://environment:2000"),
            ("AMBER__BROKER__QOS", "2"),
            ("AMBER__BROKER__USERNAME", "true"),
            ("AMBER__BROKER__PASSWORD", "0123"),
            ("AMBER__BROKER__CLIENT_ID", ""),
            ("AMBER__STORE__URL", "postgres://amber@db/amber"),
            ("AMBER__HTTP__LISTEN", "[::1]:80"),
            ("AMBER_CONFIG", "config.toml"),
            ("AMBER_STORE", "of somebody else"),
        ],
    );
    assert_eq!(config.broker.url.value, BrokerUrl::mqtt("environment", 2000));
    assert_eq!(config.broker.url.place, Place::Environment("AMBER__BROKER__URL".into()));
    assert_eq!(config.broker.qos, Qos::ExactlyOnce);
    assert_eq!(config.broker.keep_alive, Duration::from_secs(60));
    assert_eq!(config.broker.username.as_deref(), Some("true"));
    assert_eq!(config.broker.password, Some(Secret::new("0123")));
    assert_eq!(config.broker.client_id, "amber");
    assert_eq!(config.http.listen.value.port(), 80);
    assert_eq!(config.store.commit_interval, Duration::ZERO);

    let loaded = load_text(
        "config.toml",
        minimal(),
        environment(&[
            ("AMBER__BROKER__QOS", "3"),
            ("AMBER__BROKER__URL", "nowhere"),
            ("AMBER__BROKR__URL", "x"),
            ("AMBER__broker__keep_alive", "x"),
            ("AMBER__MAPPING__A__TOPIC", "x"),
            ("AMBER__SPOOL__MAX", "x"),
            ("AMBER__", "x"),
            ("AMBER_STORE_URL", "x"),
        ]),
    );
    assert_eq!(
        lines(&loaded),
        [
            "environment AMBER_STORE_URL: warning: is not read: sections and keys are joined by two underscores; if it is meant for Amber, name it `AMBER__STORE__URL`",
            "environment AMBER__: no such setting; docs/configuration.md lists all variables",
            "environment AMBER__BROKER__QOS: broker.qos: must be a whole number from 0 to 2",
            "environment AMBER__BROKER__URL: broker.url: has no scheme; write `mqtt://nowhere`",
            "environment AMBER__BROKR__URL: no such setting; did you mean `AMBER__BROKER__URL`?",
            "environment AMBER__MAPPING__A__TOPIC: only settings are read from the environment; write mappings into the file, or a file that it includes",
            "environment AMBER__SPOOL__MAX: comes with a later version; unset it for now",
            "environment AMBER__broker__keep_alive: no such setting; did you mean `AMBER__BROKER__KEEP_ALIVE`?",
        ]
    );
}

#[test]
fn what_is_missing_is_said_with_an_example() {
    assert_eq!(
        lines(&load_text("c.toml", "[broker]\n", [])),
        [
            "c.toml:1:1: store.url: is missing; write `url = \"sqlite:amber.db\"` below `[store]`, or set AMBER__STORE__URL",
            "c.toml:1:1: warning: mapping: no mapping: nothing is subscribed to and nothing is stored; write a `[mapping.<name>]` with `topic` and `fields`",
            "c.toml:1:2: broker.url: is missing; write `url = \"mqtt://localhost:1883\"` below `[broker]`, or set AMBER__BROKER__URL",
        ]
    );
    let loaded = load_text("c.toml", MINIMAL, []);
    assert!(!loaded.is_faulty() && loaded.faults.len() == 1, "no mapping is a warning");
}

#[test]
fn a_misspelt_section_is_one_fault() {
    let text =
        "[brokr]\nurl = \"mqtt://a\"\n[store]\nulr = \"sqlite:a.db\"\n[mappings.a]\ntopic = 'a'\nfields = ['a']\n";
    assert_eq!(
        lines(&load_text("c.toml", text, [])),
        [
            "c.toml:1:2: brokr: unknown key; did you mean `broker`?",
            "c.toml:4:1: store.ulr: unknown key; did you mean `url`?",
            "c.toml:5:2: mappings: unknown key; did you mean `mapping`?",
        ]
    );
}

#[test]
fn the_password_of_a_file_is_taken_without_its_newline_and_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "ge heim%\r\n").unwrap();
    let file = file.to_str().unwrap();
    let text = format!(
        "[broker]\nurl = 'mqtt://a'\nusername = 'u'\npassword_file = {file:?}\n[store]\nurl = 'postgres://me@db/amber'\n\
         password_file = {file:?}\n[mapping.a]\ntopic = 'a'\nfields = ['a']\n"
    );
    let config = good(&text, &[]);
    assert_eq!(config.broker.password, Some(Secret::new("ge heim%")));
    assert_eq!(config.store.url.value, StoreUrl::Postgres(vec![Secret::new("postgres://me:ge%20heim%25@db/amber")]));
    let printed = format!("{config:?}");
    assert!(!printed.contains("heim") && printed.contains("***"), "{printed}");
}

#[test]
fn a_client_id_is_checked() {
    let faults = |id: &str| {
        let text = format!(
            "[broker]\nurl = 'mqtt://a'\nclient_id = {id:?}\n[store]\nurl = 'sqlite:a'\n[mapping.a]\ntopic = 'a'\nfields = ['a']\n"
        );
        load_text("c.toml", &text, [])
    };
    for (id, faulty, said) in [
        ("", true, 1),
        ("a\nb", true, 1),
        ("amber", false, 0),
        ("amber-kitchen.2_a", false, 0),
        ("ämber", false, 1),
        ("amber in the kitchen of the house", false, 1),
        (&"a".repeat(200), true, 1),
    ] {
        let loaded = faults(id);
        assert_eq!((loaded.is_faulty(), loaded.faults.len()), (faulty, said), "{id}: {:?}", lines(&loaded));
    }
}

#[test]
fn a_level_for_a_module_that_does_not_exist_is_a_warning_and_other_crates_may_be_named() {
    let lib = include_str!("../lib.rs");
    let modules: Vec<&str> = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.split(';').next()).collect();
    assert_eq!(modules, settings::MODULES);
    for (level, said) in [
        ("info,amber::sesion=debug", Some("did you mean `amber::session`?")),
        ("info,session::ledger=debug", None),
        ("info,session=debug", Some("write `amber::session=…`")),
        ("info,amber::session::ledger=trace,amber=debug", None),
        ("info,amber::kitchen=debug", Some("modules are `backoff`, ")),
        ("info,sqlx=debug,amberly=off", None),
    ] {
        let loaded = load_text(
            "c.toml",
            &format!("{MINIMAL}[log]\nlevel = {level:?}\n[mapping.a]\ntopic = 'a'\nfields = ['a']\n"),
            [],
        );
        assert!(!loaded.is_faulty());
        assert_eq!(lines(&loaded).len(), usize::from(said.is_some()), "{level}: {:?}", lines(&loaded));
        assert!(said.is_none_or(|said| lines(&loaded)[0].contains(said)), "{level}: {:?}", lines(&loaded));
    }
}

#[test]
fn names_keep_their_case_and_fields_their_order() {
    let mapping = one_mapping(
        "[defaults]\nfields.gone = {}\n[mapping.Klima]\ntopic = 'a'\nfields.zeta = 'Z'\nfields.Alpha = { path = ['A', 'a'], words = { ON = true, Off = false } }\n\
         fields.mid = {}\nfields.gone = false\n",
    );
    assert_eq!(mapping.name.value, "Klima");
    let names: Vec<&str> = mapping.fields.iter().map(|field| field.name.value.as_str()).collect();
    assert_eq!(names, ["zeta", "Alpha", "mid", "gone"]);
    assert_eq!(texts(&mapping.fields[0].path), ["Z"]);
    assert_eq!(texts(&mapping.fields[1].path), ["A", "a"]);
    let words: Vec<(&str, &Word)> =
        mapping.fields[1].words.iter().map(|(key, word)| (key.value.as_str(), &word.value)).collect();
    assert_eq!(words, [("ON", &Word::Bool(true)), ("Off", &Word::Bool(false))]);
    assert_eq!(texts(&mapping.fields[2].path), ["mid"], "the path is the field's name unless told otherwise");
    assert!(mapping.fields[3].removed);
}

#[test]
fn defaults_join_tags_and_fields_and_give_way_in_the_rest() {
    let mapping = one_mapping(
        "[defaults]\nzone = 'Europe/Lisbon'\nqos = 0\ntags = { site = { value = 'home' }, room = 'r' }\n\
         fields = { battery = { unit = '%' }, x = 'other' }\n\
         [mapping.a]\ntopic = 'a'\nqos = 2\ntags.room = 'own'\nfields = { x = 'own', y = 'own' }\n",
    );
    assert_eq!(mapping.zone.unwrap().value, "Europe/Lisbon");
    assert_eq!(mapping.qos, Some(Qos::ExactlyOnce));
    let fields: Vec<(&str, &str)> =
        mapping.fields.iter().map(|field| (field.name.value.as_str(), field.path[0].value.as_str())).collect();
    assert_eq!(fields, [("x", "own"), ("y", "own"), ("battery", "battery")]);
    let tags: Vec<&str> = mapping.tags.iter().map(|tag| tag.name.value.as_str()).collect();
    assert_eq!(tags, ["room", "site"]);
    assert!(matches!(&mapping.tags[0].source, TagSource::Paths(paths) if paths[0].value == "own"));
    let listed = one_mapping("[defaults]\nfields = { battery = {} }\n[mapping.a]\ntopic = 'a'\nfields = ['x']\n");
    assert_eq!(listed.fields.len(), 1, "a list overrides");
}

#[test]
fn conditions_times_and_pivots_are_read_in_all_their_forms() {
    let mapping = one_mapping(
        "[mapping.a]\ntopic = ['a', 'b']\nfields = ['x']\nwhen = { a.b = 2, sensor = ['BME*', true], '$.k' = 1.5 }\n\
         time = ['ts', { path = 't', format = '%s', zone = 'UTC', unit = 'ms', since = 's' }]\npivot = '{name#}'\n\
         missing = ['-', -9999, -99.5]\nnot_before = 2020-01-01\nnot_after = '2d'\nrows = ['a[]', '{s}']\n",
    );
    let when: Vec<(&str, Vec<&Word>)> = mapping
        .when
        .iter()
        .map(|condition| (condition.key.value.as_str(), condition.values.iter().map(|at| &at.value).collect()))
        .collect();
    assert_eq!(
        when,
        [
            ("a.b", vec![&Word::Int(2)]),
            ("sensor", vec![&Word::Text("BME*".into()), &Word::Bool(true)]),
            ("$.k", vec![&Word::Float(1.5)])
        ]
    );
    assert_eq!(mapping.time.len(), 2);
    assert_eq!(mapping.time[1].value.unit.as_ref().unwrap().value, "ms");
    assert!(matches!(mapping.pivot.unwrap().value, Pivot::Capture(text) if text == "{name#}"));
    assert_eq!(texts(&mapping.missing), ["-", "-9999", "-99.5"]);
    assert_eq!(mapping.not_before.unwrap().value, "2020-01-01");
    let present =
        one_mapping("[mapping.a]\ntopic = 'a'\nfields = ['x']\nwhen = 'x'\npivot = { name = 'n', value = 'v' }\n");
    assert!(present.when[0].values.is_empty());
    assert!(matches!(present.pivot.unwrap().value, Pivot::Pair { .. }));
}

#[test]
fn included_files_are_read_in_order_under_both_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("maps")).unwrap();
    write(
        "config.toml",
        &format!(
            "include = ['maps/*.toml', 'maps/b.toml', '*.toml', 'empty*']\n{MINIMAL}[defaults]\nqos = 0\nzone = 'UTC'\n[mapping.main]\ntopic = 'm'\nfields = ['x']\n"
        ),
    );
    write("maps/b.toml", "[defaults]\nqos = 2\n[mapping.b]\ntopic = 'b'\nfields = ['x']\n");
    write("maps/a.toml", "[mapping.a]\ntopic = 'a'\nfields = ['x']\n");
    write("maps/.hidden.toml", "rubbish");
    write("maps/c.toml~", "rubbish");
    let loaded = load(Some(&folder.path().join("config.toml")), []);
    assert_eq!(lines(&loaded), Vec::<String>::new());
    let mappings: Vec<_> =
        loaded.config.unwrap().mappings.into_iter().map(|m| (m.name.value, m.qos, m.zone.unwrap().value)).collect();
    let expected = [("main", Qos::AtMostOnce), ("a", Qos::AtMostOnce), ("b", Qos::ExactlyOnce)];
    assert_eq!(mappings, expected.map(|(name, qos)| (name.to_owned(), Some(qos), "UTC".to_owned())));
}

#[test]
fn faults_of_included_files_are_reported_with_their_own_places() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| std::fs::write(folder.path().join(name), text).unwrap();
    let main = format!(
        "include = ['a.toml', 'b.toml', 'bytes.toml', 'gone.toml', 'none/*.toml']\n{MINIMAL}[mapping.m]\ntopic = 'm'\nfields = ['x']\n"
    );
    write("config.toml", main.as_bytes());
    write("a.toml", b"include = ['b.toml']\nfoo = 1\n[broker]\nqos = 1\n[mapping.m]\ntopic = 'a'\nfields = ['x']\n");
    write(
        "b.toml",
        b"[defaults]\nqos = 7\n[mapping.b]\ntopic = 'b'\nfields = ['x']\n[mapping.c]\ntopic = 'c'\nfields = ['x']\n",
    );
    write("bytes.toml", b"# \xc3\xa4\n# \xc3\xa4\xff\n");
    let loaded = load(Some(&folder.path().join("config.toml")), []);
    let root = format!("{}/", folder.path().display());
    let found: Vec<String> = lines(&loaded).iter().map(|line| line.replace(&root, "")).collect();
    assert_eq!(
        found,
        [
            "config.toml:1:46: include: `gone.toml` cannot be read: No such file or directory (os error 2)",
            "config.toml:1:59: warning: include: there is no folder `none`; make it, or mend the path",
            "a.toml:1:1: include: an included file cannot include others; name the files in the main file",
            "a.toml:2:1: foo: unknown key; known here: `defaults`, `mapping`",
            "a.toml:3:2: broker: an included file holds `[defaults]` and `[mapping.<name>]` only; move it to the main file",
            "a.toml:5:10: mapping.m: the name is used twice: also at config.toml:6:10; rename one of them",
            "b.toml:2:7: defaults.qos: must be a whole number from 0 to 2",
            "bytes.toml:2:4: not UTF-8, so not TOML; save the file as UTF-8",
        ]
    );
}

#[test]
fn faults_that_mapping_finds_are_told_in_order_and_once() {
    let place = |line| Place::File { file: "c.toml".into(), line, column: 8 };
    let mut loaded = load_text("c.toml", &format!("{MINIMAL}[http]\nlisten = 5\n"), []);
    let zone = |path: &str| Fault::new(&place(4), path, "there is no such zone", "");
    loaded.add(vec![zone("mapping.a.zone"), zone("mapping.b.zone"), Fault::new(&place(9), "", "last", "")]);
    let found = lines(&loaded);
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found[0].contains("no mapping") && found[1].contains("mapping.a.zone"), "{found:?}");
    assert!(found[2].contains("http.listen") && found[3].contains("last"), "{found:?}");
}

#[test]
fn a_named_file_that_is_not_there_is_a_fault_and_no_other_is_read() {
    let loaded = load(Some(Path::new("tests/config/nowhere.toml")), []);
    assert!(loaded.config.is_none() && loaded.is_faulty());
    assert!(lines(&loaded)[0].starts_with("`tests/config/nowhere.toml` cannot be read: "), "{:?}", lines(&loaded));
}

#[test]
fn the_first_file_that_is_there_is_read() {
    let loaded = load::load_first(None, &["./nowhere.toml", "./config.example.toml", "./tests/config/faulty.toml"], []);
    let config = loaded.config.unwrap();
    assert!(matches!(&config.broker.url.place, Place::File { file, .. } if **file == *"config.example.toml"));
}

#[test]
fn without_a_file_the_four_places_and_a_working_one_are_printed() {
    let loaded = load::load_first(None, &["./tests/config/nowhere.toml"], []);
    let line = &lines(&loaded)[0];
    for part in ["--config", "$AMBER_CONFIG", "./config.toml", "/etc/amber/config.toml", minimal()] {
        assert!(line.contains(part), "{line}");
    }
    assert!(line.starts_with("no configuration file"), "{line}");
}

#[test]
fn a_file_cut_or_spoilt_anywhere_gives_no_panic() {
    let text = include_str!("../../tests/config/faulty.toml");
    for (turn, (index, _)) in text.char_indices().step_by(5).enumerate() {
        let (head, tail) = text.split_at(index);
        let rest = tail.chars().next().map_or("", |c| &tail[c.len_utf8()..]);
        let spoilt = match turn % 4 {
            0 => head.to_owned(),
            1 => format!("{head}{rest}"),
            2 => format!("{head}[{rest}"),
            _ => format!("{head}\"{tail}"),
        };
        load_text("c.toml", &spoilt, []);
    }
}

#[test]
fn two_ecosystems_are_read_as_they_are_written() {
    let tasmota = "[defaults]\nzone = \"Europe/Lisbon\"\ntime = [\"$.Time\", \"$.StatusSNS.Time\"]\n\
        [mapping.climate]\ntopic = [\"tele/{device}/SENSOR\", \"stat/{device}/STATUS8\"]\n\
        rows = [\"{sensor}\", \"StatusSNS.{sensor}\"]\nwhen = { sensor = [\"BME280*\", \"DS18B20*\"] }\n\
        [mapping.climate.fields]\ntemperature = { path = \"Temperature\", unit = \"°C\" }\n\
        humidity = { path = \"Humidity\", unit = \"%\" }\n";
    let mapping = one_mapping(tasmota);
    assert_eq!((mapping.topic.len(), mapping.rows.len(), mapping.time.len()), (2, 2, 2));
    let things = "[defaults]\ntopic = \"v3/{app}@{_tenant}/devices/{device}/up\"\ntime = \"$.received_at\"\n\
        tags = { dev_eui = \"$.end_device_ids.dev_eui\" }\n\
        [mapping.soil]\nrows = \"uplink_message.decoded_payload\"\nwhen = \"moisture\"\nfields.moisture = { unit = \"%\" }\n\
        fields.battery = { path = \"bat_mv\", scale = 0.001, unit = \"V\" }\n\
        fields.frame = { path = \"$.uplink_message.f_cnt\", type = \"int\" }\n\
        [mapping.reception]\nrows = \"uplink_message.rx_metadata[]\"\ntags = { gateway = \"gateway_ids.gateway_id\" }\n\
        fields = { rssi = { unit = \"dBm\" }, snr = { unit = \"dB\" } }\n";
    let config = good(&format!("{MINIMAL}{things}"), &[]);
    let [soil, reception] = &config.mappings[..] else { panic!("two mappings") };
    assert_eq!(soil.fields[1].scale.as_ref().unwrap().value, 0.001);
    assert_eq!((soil.tags.len(), reception.tags.len()), (1, 2));
    assert_eq!(texts(&reception.topic), ["v3/{app}@{_tenant}/devices/{device}/up"]);
}

/// The faults of keys of `[broker]` (line 2 on), without those of files that the system words.
fn broker_faults(keys: &str) -> Vec<String> {
    let text = format!("[broker]\n{keys}\n[store]\nurl = 'sqlite:a'\n[mapping.a]\ntopic = 'a'\nfields = ['a']\n");
    lines(&load_text("c.toml", &text, []))
}

#[test]
fn what_is_for_tls_is_a_fault_without_it() {
    for (url, scheme, secure) in
        [("mqtt://a", "mqtt", "mqtts"), ("ws://a", "ws", "wss"), ("unix:///a", "unix", "mqtts")]
    {
        for key in ["ca", "cert", "key", "server_name", "alpn"] {
            let faults = broker_faults(&format!("url = '{url}'\n{key} = 'x'"));
            let line = faults.iter().find(|line| line.contains("is for TLS")).unwrap_or_else(|| panic!("{faults:?}"));
            assert!(line.starts_with(&format!("c.toml:3:{}: broker.{key}: ", key.len() + 4)), "{line}");
            assert!(line.contains(&format!("`{scheme}://` has none; write `{secure}://`")), "{line}");
        }
    }
    assert_eq!(broker_faults("url = 'mqtt://a'\nverify = false").len(), 1);
    assert_eq!(broker_faults("url = 'mqtt://a'\nverify = true"), Vec::<String>::new());
}

#[test]
fn verification_that_is_off_is_a_warning_at_every_load() {
    let faults = broker_faults("url = 'mqtts://a'\nverify = false");
    let [line] = &faults[..] else { panic!("{faults:?}") };
    assert!(
        line.starts_with("c.toml:3:10: warning: broker.verify: the broker's certificate is not verified"),
        "{line}"
    );
    assert_eq!(broker_faults("url = 'wss://a'"), Vec::<String>::new());
}

#[test]
fn files_for_tls_that_will_not_do_are_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).display().to_string()
    };
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["client".to_owned()]).unwrap().self_signed(&key).unwrap();
    let cert = file("cert.pem", &certificate.pem());
    let right = file("key.pem", &key.serialize_pem());
    let other = file("other.pem", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    let text = file("text.pem", "no PEM at all");
    let locked =
        file("locked.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let traditional = file(
        "traditional.pem",
        "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n\
         AAAA\n-----END EC PRIVATE KEY-----\n",
    );
    let cut = file("cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    let empty = file("empty.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let gone = folder.path().join("gone.pem").display().to_string();
    let url = "url = 'mqtts://a'\n";
    for (keys, key, what, remedy) in [
        (format!("ca = '{gone}'"), "ca", "`G` cannot be read: No such file", "mend the path"),
        (format!("ca = '{text}'"), "ca", "holds no certificate in PEM", "openssl x509 -inform der"),
        (format!("ca = '{right}'"), "ca", "holds no certificate in PEM", "BEGIN CERTIFICATE"),
        (format!("ca = '{cut}'"), "ca", "is damaged PEM", "anew"),
        (format!("ca = '{empty}'"), "ca", "cannot be used", "of the CA"),
        (format!("ca = \"\"\"{}\"\"\"", certificate.pem()), "ca", "not what is in it", "/etc/amber/ca.pem"),
        (format!("cert = '{cert}'"), "cert", "stands without `key`", "set `key` too"),
        (format!("key = '{right}'"), "key", "stands without `cert`", "set `cert` too"),
        (format!("cert = '{cert}'\nkey = '{gone}'"), "key", "`G` cannot be read", "mend the path"),
        (format!("cert = '{cert}'\nkey = '{cert}'"), "key", "holds no private key", "BEGIN PRIVATE KEY"),
        (format!("cert = '{cert}'\nkey = '{locked}'"), "key", "locked with a passphrase", "openssl pkey"),
        (format!("cert = '{cert}'\nkey = '{traditional}'"), "key", "locked with a passphrase", "openssl pkey"),
        (format!("cert = '{cert}'\nkey = '{other}'"), "key", "is not the key of the certificate", "belong together"),
        (format!("cert = '{text}'\nkey = '{right}'"), "cert", "holds no certificate in PEM", "BEGIN CERTIFICATE"),
        ("server_name = 'a b'".to_owned(), "server_name", "neither a host name nor an IP address", "broker.lan"),
        ("alpn = ''".to_owned(), "alpn", "1 to 255 bytes", ""),
        ("status = 'no'".to_owned(), "status", "must be `true` or `false`", ""),
        ("verify = 'false'".to_owned(), "verify", "must be `true` or `false`", "without quotes"),
        ("client_id = 'a+'".to_owned(), "client_id", "wildcards", "`status = false`"),
    ] {
        let faults = broker_faults(&format!("{url}{keys}"));
        let [line] = &faults[..] else { panic!("{keys}: {faults:#?}") };
        let line = line.replace(&gone, "G");
        assert!(
            line.contains(&format!("broker.{key}: ")) && line.contains(what) && line.contains(remedy),
            "{keys}: {line}"
        );
        assert!(!line.contains("AAAA") && !line.contains(&certificate.pem()[100..120]), "{line}");
    }
    let both = broker_faults(&format!("{url}cert = '{gone}'\nkey = '{text}'\nca = '{gone}'"));
    assert_eq!(both.len(), 3, "all at once: {both:?}");
    assert_eq!(broker_faults(&format!("{url}ca = '{cert}'\ncert = '{cert}'\nkey = '{right}'")), Vec::<String>::new());
    assert_eq!(broker_faults("url = 'mqtts://a'\nclient_id = 'a+'\nstatus = false").len(), 1, "a warning");
}

#[test]
fn flags_of_the_environment_are_words() {
    let pairs = [("AMBER__BROKER__STATUS", "false"), ("AMBER__BROKER__VERIFY", "true")];
    let config = good(minimal(), &pairs);
    assert!(!config.broker.status && config.broker.tls.verify);
    let loaded = load_text("config.toml", minimal(), environment(&[("AMBER__BROKER__STATUS", "no")]));
    assert_eq!(
        lines(&loaded),
        ["environment AMBER__BROKER__STATUS: broker.status: must be `true` or `false`, not a text"]
    );
}
