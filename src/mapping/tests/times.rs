use super::*;

#[test]
fn a_time_is_read_from_the_payload_or_is_the_time_of_receipt() {
    check(
        "[mapping.m]\ntopic = \"a\"\ntime = [\"ts\", \"$.meta.at\"]\nzone = \"Europe/Zurich\"\nfields = [\"v\"]",
        &[
            ("a", r#"{"v":1,"ts":1700000000}"#, &["m | v=1.0 @ 2023-11-14T22:13:20Z"]),
            ("a", r#"{"v":1,"ts":"1700000000500"}"#, &["m | v=1.0 @ 2023-11-14T22:13:20.5Z"]),
            ("a", r#"{"v":1,"ts":null,"meta":{"at":"2023-11-14T23:13:20"}}"#, &["m | v=1.0 @ 2023-11-14T22:13:20Z"]),
            ("a", r#"{"v":1,"ts":""}"#, &["m | v=1.0 @ absent"]),
            ("a", r#"{"v":1,"ts":0}"#, &["m | v=1.0 @ outside"]),
            ("a", r#"{"v":1,"ts":1e30}"#, &["m | v=1.0 @ outside"]),
            ("a", r#"{"v":1,"ts":"2024-01-01T23:59:59Z"}"#, &["m | v=1.0 @ 2024-01-01T23:59:59Z"]),
            ("a", r#"{"v":1,"ts":"2024-01-02T00:00:01Z"}"#, &["m | v=1.0 @ outside"]),
            (
                "a",
                r#"{"v":1,"ts":"soon"}"#,
                &["rejected time: time at `$.ts` got \"soon\", which is no time: add `format`"],
            ),
            ("a", r#"{"v":1,"ts":true}"#, &["rejected time: time at `$.ts` got true, which is no time"]),
            ("a", r#"{"ts":"soon"}"#, &["ignored empty"]),
        ],
    );
}

#[test]
fn a_local_time_without_a_zone_is_a_reject_that_names_the_line_to_add() {
    check(
        "[mapping.m]\ntopic = \"a\"\ntime = \"ts\"\nfields = [\"v\"]",
        &[(
            "a",
            r#"{"v":1,"ts":"2023-11-14T23:13:20"}"#,
            &[
                "rejected time: time at `$.ts` got \"2023-11-14T23:13:20\", which bears no zone: add `zone = \"Europe/Lisbon\"` (yours) to `mapping.m`",
            ],
        )],
    );
}

#[test]
fn bounds_units_formats_and_since_are_obeyed() {
    check(
        r#"
        [mapping.a]
        topic = "a"
        time = { path = "ts", unit = "ms" }
        not_before = "2023-01-01"
        not_after = "1h"
        outside = "reject"
        fields = ["v"]
        [mapping.b]
        topic = "b"
        time = { path = "at", format = "%d.%m.%Y %H:%M", zone = "UTC" }
        fields = ["v"]
        [mapping.c]
        topic = "c/{ts}"
        time = "{ts}"
        fields = ["v"]
        [mapping.d]
        topic = "d"
        rows = "r[]"
        time = { path = "dt", unit = "ms", since = "$.start" }
        fields = ["v"]
        "#,
        &[
            ("a", r#"{"v":1,"ts":1700000000000}"#, &["a | v=1.0 @ 2023-11-14T22:13:20Z"]),
            (
                "a",
                r#"{"v":1,"ts":1700000000}"#,
                &["rejected time: time 1970-01-20T16:13:20Z is before `not_before` (2023-01-01T00:00:00Z)"],
            ),
            ("a", r#"{"v":1,"ts":"1704070801000"}"#, &["rejected time: time 2024-01-01T01:00:01Z is later than…"]),
            ("b", r#"{"v":1,"at":"14.11.2023 22:13"}"#, &["b | v=1.0 @ 2023-11-14T22:13:00Z"]),
            (
                "b",
                r#"{"v":1,"at":"14.11.2023"}"#,
                &["rejected time: time at `$.at` got \"14.11.2023\", which is no time in the format…"],
            ),
            ("c/1700000000", r#"{"v":1}"#, &["c | v=1.0 @ 2023-11-14T22:13:20Z"]),
            (
                "d",
                r#"{"start":1700000000,"r":[{"v":1,"dt":1500},{"v":2}]}"#,
                &["d | v=1.0 @ 2023-11-14T22:13:21.5Z", "d | v=2.0 @ 2023-11-14T22:13:20Z"],
            ),
            ("d", r#"{"r":[{"v":1,"dt":1500}]}"#, &["d | v=1.0 @ absent"]),
        ],
    );
}

#[test]
fn a_date_and_a_time_of_day_in_two_keys_are_one_local_time() {
    let in_zurich = "[mapping.m]\ntopic = \"a\"\nzone = \"Europe/Zurich\"\n\
        time = { path = \"time\", since = \"date\" }\nnot_after = \"900d\"\nfields = [\"v\"]\n";
    check(
        in_zurich,
        &[
            ("a", r#"{"v":1,"date":"2023-05-01","time":"12:30"}"#, &["m | v=1.0 @ 2023-05-01T10:30:00Z"]),
            ("a", r#"{"v":1,"date":" 2023-05-01","time":"12:30:05 "}"#, &["m | v=1.0 @ 2023-05-01T10:30:05Z"]),
            ("a", r#"{"v":1,"date":"2023-05-01","time":"8:05:00.25"}"#, &["m | v=1.0 @ 2023-05-01T06:05:00.25Z"]),
            ("a", r#"{"v":1,"date":"2022-12-31","time":"23:59:60"}"#, &["m | v=1.0 @ 2022-12-31T23:00:00Z"]),
            // An hour that is skipped, and one that comes twice: received in winter, the later is nearer.
            ("a", r#"{"v":1,"date":"2023-03-26","time":"02:30"}"#, &["m | v=1.0 @ 2023-03-26T01:30:00Z"]),
            ("a", r#"{"v":1,"date":"2023-10-29","time":"02:30"}"#, &["m | v=1.0 @ 2023-10-29T01:30:00Z"]),
            // Received before it, the earlier one is.
            ("a", r#"{"v":1,"date":"2024-10-27","time":"02:30"}"#, &["m | v=1.0 @ 2024-10-27T00:30:00Z"]),
            // A number counts from the date, as ever; one of the two alone.
            ("a", r#"{"v":1,"date":"2023-05-01","time":60}"#, &["m | v=1.0 @ 2023-04-30T22:01:00Z"]),
            ("a", r#"{"v":1,"date":"2023-05-01"}"#, &["m | v=1.0 @ 2023-04-30T22:00:00Z"]),
            ("a", r#"{"v":1,"time":"12:30"}"#, &["m | v=1.0 @ absent"]),
            (
                "a",
                r#"{"v":1,"date":"2023-05-01T10:00:00","time":"12:30"}"#,
                &["rejected time: time got \"12:30\", which is no number to count from `since`, and no time of day…"],
            ),
            ("a", r#"{"v":1,"date":1700000000,"time":"12:30"}"#, &["rejected time: time got \"12:30\"…"]),
            ("a", r#"{"v":1,"date":"2023-05-01","time":"25:30"}"#, &["rejected time: time got \"25:30\"…"]),
            ("a", r#"{"v":1,"date":"2023-05-01","time":"12:30+05:00"}"#, &["rejected time: time got…"]),
            ("a", r#"{"v":1,"date":"2023-05-01","time":"noon"}"#, &["rejected time: time got \"noon\"…"]),
            ("a", r#"{"v":1,"date":"2023-02-30","time":"12:30"}"#, &["rejected time: time at `$.date` got…"]),
        ],
    );
    check(
        &in_zurich.replace("zone = \"Europe/Zurich\"\n", ""),
        &[(
            "a",
            r#"{"v":1,"date":"2023-05-01","time":"12:30"}"#,
            &[
                "rejected time: time at `$.date` got \"2023-05-01\", which bears no zone: add `zone = \"Europe/Lisbon\"` (yours) to `mapping.m`",
            ],
        )],
    );
}

#[test]
fn beside_since_a_format_is_of_the_date_and_a_unit_of_the_number() {
    let mapping = |time: &str| {
        format!(
            "[mapping.m]\ntopic = \"a\"\nzone = \"Europe/Zurich\"\nnot_after = \"900d\"\nfields = [\"v\"]\ntime = {{ {time} }}\n"
        )
    };
    check(
        &mapping("path = \"time\", since = \"date\", format = \"%d.%m.%Y\""),
        &[
            ("a", r#"{"v":1,"date":"01.05.2023","time":"12:30"}"#, &["m | v=1.0 @ 2023-05-01T10:30:00Z"]),
            ("a", r#"{"v":1,"date":"26.03.2023","time":"02:30"}"#, &["m | v=1.0 @ 2023-03-26T01:30:00Z"]),
            ("a", r#"{"v":1,"date":"01.05.2023"}"#, &["m | v=1.0 @ 2023-04-30T22:00:00Z"]),
            ("a", r#"{"v":1,"date":"01.05.2023","time":60}"#, &["m | v=1.0 @ 2023-04-30T22:01:00Z"]),
            ("a", r#"{"v":1,"date":"2023-05-01","time":"12:30"}"#, &["rejected time: time at `$.date` got…"]),
        ],
    );
    check(
        &mapping("path = \"time\", since = \"date\", format = \"%d.%m.%Y %H:%M\", unit = \"ms\""),
        &[
            ("a", r#"{"v":1,"date":"01.05.2023 12:30","time":250}"#, &["m | v=1.0 @ 2023-05-01T10:30:00.25Z"]),
            // It has a time of day already.
            ("a", r#"{"v":1,"date":"01.05.2023 12:30","time":"12:30"}"#, &["rejected time: time got \"12:30\"…"]),
        ],
    );
}

#[test]
fn time_false_undoes_the_time_of_the_defaults() {
    check(
        "[defaults]\ntime = \"ts\"\n[mapping.a]\ntopic = \"a\"\nfields = [\"v\"]\n\
         [mapping.b]\ntopic = \"b\"\ntime = false\nfields = [\"v\"]",
        &[
            ("a", r#"{"v":1,"ts":1700000000}"#, &["a | v=1.0 @ 2023-11-14T22:13:20Z"]),
            ("a", r#"{"v":1}"#, &["a | v=1.0 @ absent"]),
            ("b", r#"{"v":1,"ts":1700000000}"#, &["b | v=1.0"]),
            ("b", r#"{"v":1}"#, &["b | v=1.0"]),
        ],
    );
    // Where there is nothing to undo it says what holds anyway.
    check(
        "[defaults]\ntime = false\n[mapping.a]\ntopic = \"a\"\ntime = false\nfields = [\"v\"]",
        &[("a", r#"{"v":1,"ts":1700000000}"#, &["a | v=1.0"])],
    );
    let (_, faults) = load("[mapping.a]\ntopic = \"a\"\n[mapping.a.fields]\nv = {}\ntime = false");
    assert_eq!(
        faults[0].to_string(),
        "config.toml:9:1: mapping.a.fields.time: `time` is a key of the mapping, and here it stands among the fields; \
         move it above the fields"
    );
    let (_, faults) = load("[mapping.a]\ntopic = \"a\"\ntime = true\nfields = [\"v\"]");
    assert_eq!(
        faults[0].to_string(),
        "config.toml:7:8: mapping.a.time: must be a path, a table, a list of them or `false`, not `true`; \
         write where the time is: `time = \"ts\"`"
    );
}
