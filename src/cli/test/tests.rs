use super::*;
use crate::config;

const START: &str = "[broker]\nurl = \"mqtt://localhost\"\n[store]\nurl = \"sqlite:x.db\"\n";
const MAPPINGS: &str = r#"
[mapping.climate]
topic = "home/{room}/climate"
time  = "ts"
[mapping.climate.fields]
temperature = { unit = "°C" }
note  = { type = "text" }
raw   = { type = "json" }
count = { type = "int" }
seen  = { type = "time" }

[mapping.list]
topic  = "list/{device}"
rows   = "v[]"
fields = ["a", "b"]

[mapping.copy]
topic       = "list/+"
measurement = "copies"
fields      = { all = { path = "v", type = "json" } }
"#;

/// What `amber test ARGS` prints, and whether all passed, with `examples` below the mappings.
fn amber_test(examples: &str, args: &[&str]) -> (String, bool) {
    amber_test_of("config.toml", &format!("{START}{MAPPINGS}{examples}"), args)
}

fn amber_test_of(name: &str, text: &str, args: &[&str]) -> (String, bool) {
    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: TestArgs,
    }
    let args = <Command as clap::Parser>::try_parse_from(["test"].iter().chain(args)).unwrap().args;
    let loaded = config::load_text(name, text, []);
    assert!(!loaded.is_faulty(), "{text}\n{:?}", loaded.faults.iter().map(ToString::to_string).collect::<Vec<_>>());
    let config = loaded.config.unwrap();
    let mapping = Mapping::new(&config.mappings).0.unwrap();
    let now = captured::time("2024-01-01T00:00:00Z").unwrap();
    let mut out = Vec::new();
    let result = test(&args, &config, &mapping, now, &mut out);
    let passed = result.is_ok();
    assert!(result.err().is_none_or(|error| error.is::<Failed>()), "only examples fail");
    (String::from_utf8(out).unwrap(), passed)
}

fn climate(payload: &str, expected: &str) -> (String, bool) {
    let example =
        format!("[[mapping.climate.example]]\ntopic = \"home/bath/climate\"\npayload = '{payload}'\n{expected}\n");
    amber_test(&example, &[])
}

#[test]
fn columns_that_no_field_names_are_compared_and_written_like_fields() {
    let all = "[mapping.all]\ntopic = \"all/{d}\"\nothers = \"add\"\nfields = [\"a\"]\n";
    let payload = r#"{"a": 1, "roomName": "hall"}"#;
    for (fields, passes) in [
        (r#"{ a = 1, room_name = "hall" }"#, true),
        ("{ a = 1 }", false),
        (r#"{ a = 1, room_name = "hall", b = 2 }"#, false),
    ] {
        let example = format!(
            "{all}[[mapping.all.example]]\ntopic = \"all/x\"\npayload = '{payload}'\nrows = [{{ fields = {fields} }}]\n"
        );
        let (printed, passed) = amber_test(&example, &[]);
        assert_eq!(passed, passes, "{fields}\n{printed}");
    }
    let (printed, _) = amber_test(all, &["--write", "all/x", payload]);
    assert!(printed.contains(r#"fields = { a = 1.0, room_name = "hall" }"#), "{printed}");
}

#[test]
fn what_is_as_the_example_says_passes() {
    for (payload, expected) in [
        (r#"{"temperature": 21.5}"#, "rows = [{ fields = { temperature = 21.5 } }]"),
        (r#"{"temperature": 21.5}"#, "rows = [{}]"),
        (r#"{"temperature": 21}"#, "rows = [{ fields = { temperature = 21 } }]"),
        (r#"{"count": 21}"#, "rows = [{ fields = { count = 21.0 }, tags = { room = \"bath\" } }]"),
        (r#"{"count": 9007199254740993}"#, "rows = [{ fields = { count = 9007199254740993 } }]"),
        (
            r#"{"temperature": 1}"#,
            "rows = [{ measurement = \"climate\", mapping = \"climate\", time_source = \"received\" }]",
        ),
        (r#"{"temperature": 1, "ts": 1700000000}"#, "rows = [{ time = 2023-11-14T23:13:20+01:00 }]"),
        (
            r#"{"temperature": 1, "ts": 1700000000}"#,
            "rows = [{ time = \"2023-11-14T22:13:20Z\", time_source = \"payload\" }]",
        ),
        (r#"{"temperature": 1}"#, "received_at = 2025-01-01T00:00:00Z\nrows = [{ time = 2025-01-01T00:00:00Z }]"),
        (r#"{"seen": 1700000000}"#, "rows = [{ fields = { seen = 2023-11-14T22:13:20Z } }]"),
        (r#"{"raw": {"b": [1, 2.0], "a": "x"}}"#, "rows = [{ fields = { raw = { a = \"x\", b = [1.0, 2] } } }]"),
        (r#"{"raw": {"b": null}}"#, "rows = [{ fields = { raw = \"{\\\"b\\\": null}\" } }]"),
        (r#"{"raw": "x"}"#, "rows = [{ fields = { raw = \"x\" } }]"),
        ("", "outcome = \"ignored\""),
        ("", "outcome = \"ignored\"\nreason = \"empty\""),
        (r#"{"temperature": 1}"#, "retain = true\noutcome = \"ignored\"\nreason = \"retained\""),
        ("{", "outcome = \"rejected\"\nreason = \"payload\""),
        (r#"{"temperature": 1, "ts": "?"}"#, "outcome = \"rejected\"\nreason = \"time\""),
    ] {
        let (said, passed) = climate(payload, expected);
        assert!(passed, "{payload}\n{expected}\n{said}");
        assert_eq!(said, "ok    climate: 1 example\n1 example of 1 mapping: all pass\n");
    }
}

#[test]
fn what_is_otherwise_is_told_row_by_row_and_field_by_field() {
    for (payload, expected, told) in [
        (
            r#"{"temperature": 2.15, "note": "a"}"#,
            "rows = [{ tags = { room = \"hall\", floor = \"1\" }, fields = { temperature = 21.5, count = 1 } }]",
            &[
                "row at config.toml:28:9:",
                "  - tag room = \"hall\"",
                "  + tag room = \"bath\"",
                "  - tag floor = \"1\"",
                "  - temperature = 21.5",
                "  + temperature = 2.15",
                "  - count = 1",
                "  + note = \"a\"",
            ][..],
        ),
        (
            r#"{"temperature": 1, "count": "x"}"#,
            "rows = [{ time = 2024-01-01T00:00:01Z, time_source = \"payload\", measurement = \"x\" }]",
            &[
                "row at config.toml:28:9:",
                "  - measurement = x",
                "  + measurement = climate",
                "  - time = 2024-01-01T00:00:01Z",
                "  + time = 2024-01-01T00:00:00Z",
                "  - time_source = payload",
                "  + time_source = received",
                "dropped: field `count` at `$.count` got \"x\", which is no number: add `type`, or `words`",
            ],
        ),
        (r#"{"temperature": 1}"#, "rows = [{}, {}]", &["row at config.toml:28:13 is missing"]),
        (
            "",
            "rows = [{}]",
            &["- rows (1)", "+ ignored (empty)", "mapping climate takes it, and gets nothing: the payload is empty"],
        ),
        (
            r#"{"temperature": 1}"#,
            "outcome = \"rejected\"\nreason = \"time\"",
            &["- rejected (time)", "+ rows (1)", "+ tag room = \"bath\"", "+ temperature = 1.0"],
        ),
        (
            r#"{"temperature": 1, "ts": "?"}"#,
            "outcome = \"ignored\"",
            &["- ignored", "+ rejected (time): time at `$.ts` got \"?\", which is no time: add `format`"],
        ),
        (
            r#"{"raw": {"a": [1, 2]}}"#,
            "rows = [{ fields = { raw = { a = [2, 1] } } }]",
            &["row at config.toml:28:9:", r#"  - raw = {"a":[2,1]}"#, r#"  + raw = {"a": [1, 2]}"#],
        ),
    ] {
        let (said, passed) = climate(payload, expected);
        assert!(!passed, "{said}");
        let told: String = told.iter().map(|line| format!("      {line}\n")).collect();
        let start = "FAIL  climate: config.toml:25:1: home/bath/climate\n";
        assert_eq!(said, format!("{start}{told}1 example of 1 mapping: 0 pass, 1 fails\n"), "{payload}");
    }
}

#[test]
fn the_order_of_rows_does_not_matter_and_those_of_other_mappings_are_not_compared() {
    let list = |rows: &str| {
        amber_test(
            &format!(
                "[[mapping.list.example]]\ntopic = \"list/x\"\npayload = {{ v = [{{ a = 1, b = 2 }}, {{ a = 3 }}] }}\nrows = [\n{rows}\n]"
            ),
            &[],
        )
    };
    for rows in [
        "{ fields = { a = 3 } }, { fields = { a = 1, b = 2 } }",
        // The first would do for both rows, and leaves the second one its own.
        "{}, { fields = { a = 1, b = 2 } }",
        "{}, { fields = { a = 3 } }",
    ] {
        let (said, passed) = list(rows);
        assert!(passed, "{rows}\n{said}");
    }
    let (said, passed) = list("{ fields = { a = 3 } }");
    assert!(
        !passed
            && said.contains(
                "a row that is not wanted:\n        + tag device = \"x\"\n        + a = 1.0\n        + b = 2.0\n"
            ),
        "{said}"
    );
    let (said, passed) = list("{ fields = { a = 9 } }, { fields = { a = 1, b = 2 } }");
    assert!(!passed && said.contains("- a = 9\n        + a = 3.0\n") && !said.contains("missing"), "{said}");
}

#[test]
fn a_topic_that_does_not_match_is_said() {
    let (said, passed) =
        amber_test("[[mapping.climate.example]]\ntopic = \"home/climate\"\npayload = '{}'\nrows = [{}]", &[]);
    assert!(!passed && said.contains("mapping climate has no topic that matches"), "{said}");
}

#[test]
fn json_is_an_object_an_example_and_without_examples_that_is_said() {
    let examples = "[[mapping.climate.example]]\ntopic = \"home/a/climate\"\npayload = ''\noutcome = \"ignored\"\n\
                    [[mapping.climate.example]]\ntopic = \"home/b/climate\"\npayload_base64 = '/w'\noutcome = \"ignored\"\n";
    let (said, passed) = amber_test(examples, &["--json"]);
    let lines: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!passed && lines.len() == 2, "{said}");
    assert_eq!(
        lines[0],
        serde_json::json!({"mapping": "climate", "place": "config.toml:25:1", "topic": "home/a/climate", "passed": true,
            "differences": []})
    );
    assert_eq!(lines[1]["differences"][0], "- ignored");
    assert_eq!(lines[1]["differences"][1], "+ rejected (payload): the payload is not UTF-8: byte 0 cannot be read");

    let (said, passed) = amber_test("", &[]);
    assert!(passed && said.starts_with("no mapping has an example; `amber test --write TOPIC PAYLOAD`"), "{said}");
    assert_eq!(amber_test("", &["--json"]), (String::new(), true));
}

#[test]
fn what_write_prints_passes_when_it_is_pasted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("payload");
    std::fs::write(&file, b"{\"temperature\": \xff}").unwrap();
    let binary = format!("@{}", file.display());
    for (topic, payload, more, part) in [
        (
            "home/bath/climate",
            r#"{"temperature":21.5,"note":"it's\n","raw":{"a":[null,"ä"]},"ts":1700000000}"#,
            &[][..],
            "time = \"2023-11-14T22:13:20Z\"",
        ),
        ("home/b\"\\/climate", "{\n  \"count\": 5,\n  \"seen\": 1700000000.5\n}", &[], "payload = '''\n{\n"),
        ("home/bath/climate", r#"{"temperature": 1e300, "raw": "[1]", "count": -5}"#, &[], "count = -5"),
        ("home/bath/climate", "-5", &[], "outcome = \"rejected\"\nreason = \"payload\""),
        ("home/bath/climate", &binary, &[], "payload_base64 = "),
        ("home/bath/climate", "", &[], "outcome = \"ignored\"\nreason = \"empty\""),
        ("home/bath/climate", "1", &["--retain"], "retain = true\n"),
        ("list/x", r#"{"v": [{"a": 1}, {"b": 2}]}"#, &[], "measurement = \"copies\""),
        (
            "list/x",
            r#"{"v": [{"a": 1}, {"b": 2}]}"#,
            &["--received-at", "2020-01-01T00:00:00.25Z"],
            "2020-01-01T00:00:00.25Z",
        ),
    ] {
        let args: Vec<&str> = ["--write", topic, payload].iter().chain(more).copied().collect();
        let (written, _) = amber_test("", &args);
        assert!(written.contains(part), "{written}");
        let (said, passed) = amber_test(&written, &[]);
        assert!(passed && said.contains("all pass"), "{written}\n{said}");
    }
    let (written, _) = amber_test("", &["--write", "list/x", r#"{"v": [{"a": 1}]}"#]);
    assert!(written.contains("[[mapping.list.example]]") && written.contains("[[mapping.copy.example]]"), "{written}");
    assert_eq!(
        amber_test("", &["--write", "home/bath/clim\nate", "1"]).0.lines().next(),
        Some("# No mapping has a topic that matches home/bath/clim\u{fffd}ate")
    );
}

#[test]
fn a_topic_alone_is_a_usage_fault() {
    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: TestArgs,
    }
    for args in [&["a"][..], &["--write"], &["--write", "a/#"], &["--retain"], &["--write", "a", "--json"]] {
        let parsed = <Command as clap::Parser>::try_parse_from(["test"].iter().chain(args));
        assert!(parsed.map(|command| command.args).is_err(), "{args:?}");
    }
}

#[test]
fn the_examples_of_the_ready_mappings_pass_alone_and_together() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder.join("mappings")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    for name in names.chain(["*.toml".to_owned()]) {
        let text = format!("include = [\"mappings/{name}\"]\n{START}");
        let (said, passed) = amber_test_of(folder.join("config.toml").to_str().unwrap(), &text, &[]);
        assert!(passed, "{name}: {said}");
        assert!(said.contains("all pass") || said.contains("no mapping has an example"), "{name}: {said}");
    }
}
