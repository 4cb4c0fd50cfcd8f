use super::*;

#[test]
fn a_bare_value_is_read_where_a_path_is_the_payload() {
    check(
        "[mapping.m]\ntopic = \"a/{x}\"\nfields = { v = { path = \".\", type = \"text\" } }\n[mapping.n]\ntopic = \"n/{x}\"\nfields = { v = \".\" }",
        &[
            ("a/1", "on", &["m x=1 | v=\"on\""]),
            ("a/1", "\"on\"", &["m x=1 | v=\"on\""]),
            ("a/1", "007", &["m x=1 | v=\"007\""]),
            ("a/1", "{broken", &["m x=1 | v=\"{broken\""]),
            ("n/1", "21.5", &["n x=1 | v=21.5"]),
            ("n/1", "21.5\n", &["n x=1 | v=21.5"]),
            ("n/1", "007", &["n x=1 | v=7.0"]),
            ("n/1", "+5", &["n x=1 | v=5.0"]),
            ("n/1", "null", &["ignored empty"]),
            ("n/1", "unavailable", &["ignored empty"]),
            ("n/1", "on", &["rejected field: field `v` at `$` got \"on\", which is no number…"]),
        ],
    );
}

#[test]
fn a_bare_value_is_a_reject_where_members_are_wanted() {
    check(
        "[mapping.m]\ntopic = \"a\"\nfields = [\"v\"]",
        &[
            ("a", "on", &["rejected payload: the payload is not JSON: expected value at line 1 column 1…"]),
            ("a", "42", &["rejected payload: the payload is one value…"]),
            ("a", "\"x\"", &["rejected payload: the payload is one value…"]),
            ("a", "null", &["ignored empty"]),
            ("a", r#"{"v":1}x"#, &["rejected payload: the payload is not JSON: trailing characters…"]),
            ("a", r#"{"v":1,}"#, &["rejected payload: …"]),
            ("a", r#"{"v":NaN}"#, &["ignored empty"]),
        ],
    );
}

#[test]
fn a_format_may_be_told() {
    check(
        "[mapping.m]\ntopic = \"a\"\nformat = \"text\"\nfields = { v = { path = \".\", type = \"text\" } }\n[mapping.n]\ntopic = \"n\"\nformat = \"json\"\nfields = { v = { path = \".\", type = \"text\" } }",
        &[
            ("a", "\"on\"", &["m | v=\"\\\"on\\\"\""]),
            ("n", "\"on\"", &["n | v=\"on\""]),
            ("n", "on", &["rejected payload: …"]),
        ],
    );
}

#[test]
fn what_no_parser_may_trip_over_is_a_reject() {
    let mapping = mapping("[mapping.m]\ntopic = \"a\"\nfields = { v = {}, j = { type = \"json\" }, d = \"x[0][0]\" }");
    let one = |payload: &[u8]| lines(&mapping, &message("a", payload)).join("\n");
    assert_eq!(one(b"{\"v\":\xff}"), "rejected payload: the payload is not UTF-8: byte 5 cannot be read");
    for key in ["v", "j", "x", "skipped"] {
        let deep = format!(r#"{{"{key}":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert!(
            one(deep.as_bytes()).starts_with("rejected payload: the payload is not JSON: nested deeper than 128"),
            "{key}"
        );
    }
    let wide = format!(r#"{{"v":1,"j":[{}]}}"#, vec!["[]"; 5_000].join(","));
    assert!(one(wide.as_bytes()).starts_with("m | v=1.0 j=[[],[]"), "many brackets are no depth");
    let quoted = format!(r#"{{"v":1,"s":"{}\""}}"#, "[".repeat(10_000));
    assert_eq!(one(quoted.as_bytes()), "m | v=1.0");
    assert_eq!(one(b"\xef\xbb\xbf{\"v\":1}"), "m | v=1.0", "a byte order mark is no part of the payload");
}

#[test]
fn of_two_formats_on_one_topic_the_reject_of_the_one_that_fits_is_kept() {
    check(
        r#"
        [mapping.m_json]
        topic = "a"
        format = "json"
        fields = ["v"]
        [mapping.n_lines]
        topic = "a"
        format = "csv"
        fields = { v = "[0]", w = "[1]" }
        [mapping.o_json]
        topic = "a"
        format = "json"
        fields = ["u"]
        "#,
        &[
            (
                "a",
                "x;1",
                &["rejected field: field `v` at `$[0][0]` got \"x;1\", which is no number: add `type`, or `words` \
                   (and 2 more: m_json: payload; o_json: payload)"],
            ),
            ("a", "1,2", &["n_lines | v=1.0 w=2.0"]),
            // Nobody can read it: the first says why, and the same is not said again.
            (
                "a",
                "{",
                &["rejected field: field `v` at `$[0][0]` got \"{\", which is no number: list it in `missing` \
                          (and 2 more: m_json: payload; o_json: payload)"],
            ),
        ],
    );
    let mapping =
        mapping("[mapping.m]\ntopic = \"a\"\nfields = [\"v\"]\n[mapping.n]\ntopic = \"a\"\nfields = [\"w\"]\n");
    let [only] = &lines(&mapping, &message("a", "{"))[..] else { panic!() };
    assert!(only.starts_with("rejected payload: the payload is not JSON") && !only.contains("more"), "{only}");
}
