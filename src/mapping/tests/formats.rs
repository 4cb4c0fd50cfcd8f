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
