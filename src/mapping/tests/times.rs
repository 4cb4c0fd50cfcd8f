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
