//! What stands where no value is: empty lists, objects beside scalars, words that are no JSON.

use super::*;

#[test]
fn empty_arrays_and_objects_are_no_value_unless_they_are_json() {
    check(
        r#"
        [mapping.m]
        topic = "a"
        time = "ts"
        tags = { place = "place" }
        fields = { v = "value", n = { type = "int" }, s = { type = "text" }, b = { type = "bool" }, t = { type = "time" } }
        [mapping.j]
        topic = "j"
        fields = { v = { path = "value", type = "json" } }
        "#,
        &[
            ("a", r#"{"value": []}"#, &["ignored empty"]),
            ("a", r#"{"value": [ ], "n": {}, "s": { }, "b": [], "t": []}"#, &["ignored empty"]),
            ("a", r#"{"value": 1, "place": [], "ts": []}"#, &["m | v=1.0 @ absent"]),
            ("a", r#"{"value": [[]], "n": 1, "ts": 1700000000}"#, &["m | n=1 @ 2023-11-14T22:13:20Z", "-v"]),
            ("a", r#"{"value": [0]}"#, &["rejected field: field `v` at `$.value` got an array…"]),
            ("a", r#"{"value": 1, "place": [0]}"#, &["rejected tag: tag `place` at `$.place` got an array…"]),
            ("a", r#"{"value": 1, "ts": [0]}"#, &["rejected time: time at `$.ts` got an array, which is no time"]),
            ("j", r#"{"value": []}"#, &["j | v=[]"]),
            ("j", r#"{"value": {}}"#, &["j | v={}"]),
        ],
    );
}

#[test]
fn an_object_in_a_list_of_paths_is_passed_over_for_a_scalar() {
    check(
        r#"
        [mapping.m]
        topic = "a"
        time = ["at", { path = "ms", unit = "ms", since = "from" }, "ts"]
        tags = { place = ["place", "room"] }
        fields = { v = ["value", "out", "in"] }
        [mapping.whole]
        topic = "b"
        fields = { v = ["value", "."] }
        [mapping.j]
        topic = "j"
        fields = { v = { path = ["value", "out"], type = "json" } }
        "#,
        &[
            ("a", r#"{"value": {"x": 1}, "out": [1], "in": 3}"#, &["m | v=3.0 @ absent"]),
            ("a", r#"{"value": {"x": 1}, "in": "off"}"#, &["rejected field: field `v` at `$.in` got \"off\"…"]),
            ("a", r#"{"value": {"x": 1}, "out": [1]}"#, &["rejected field: field `v` at `$.value` got an object…"]),
            ("a", r#"{"value": null, "out": [1]}"#, &["rejected field: field `v` at `$.out` got an array…"]),
            ("a", r#"{"in": 3, "place": {"x": 1}, "room": "bath"}"#, &["m place=bath | v=3.0 @ absent"]),
            ("a", r#"{"in": 3, "place": {"x": 1}}"#, &["rejected tag: tag `place` at `$.place` got an object…"]),
            ("a", r#"{"in": 3, "room": [1]}"#, &["rejected tag: tag `place` at `$.room` got an array…"]),
            ("a", r#"{"in": 3, "at": {"x": 1}, "ts": 1700000000}"#, &["m | v=3.0 @ 2023-11-14T22:13:20Z"]),
            (
                "a",
                r#"{"in": 3, "at": [1], "from": {"x": 1}, "ms": 5, "ts": 1700000000}"#,
                &["m | v=3.0 @ 2023-11-14T22:13:20Z"],
            ),
            ("a", r#"{"in": 3, "at": {"x": 1}}"#, &["rejected time: time at `$.at` got an object, which is no time"]),
            ("b", "3", &["whole | v=3.0"]),
            ("b", r#"{"value": 3}"#, &["whole | v=3.0"]),
            ("b", r#"{"value": null}"#, &["ignored empty"]),
            ("b", r#"{"value": []}"#, &["ignored empty"]),
            ("b", r#"{"value": [3]}"#, &["rejected field: field `v` at `$.value` got an array…"]),
            ("b", r#"{"other": 3}"#, &["rejected field: field `v` at `$` got an object…"]),
            ("j", r#"{"value": {"x": 1}, "out": 3}"#, &["j | v={\"x\": 1}"]),
        ],
    );
}

#[test]
fn bare_words_for_no_number_are_null() {
    check(
        r#"
        [mapping.m]
        topic = "a"
        others = "add"
        fields = { v = {}, s = { type = "text" }, j = { type = "json" } }
        [mapping.whole]
        topic = "b"
        fields = { v = { path = ".", type = "text" } }
        [mapping.rest]
        topic = "r"
        format = "json"
        others = "json"
        fields = ["v"]
        "#,
        &[
            (
                "a",
                r#"{"v": NaN, "s": "NaN", "j": [1, -Infinity], "o": nan, "p": 2}"#,
                &["m | s=\"NaN\" j=[1, null] p=2.0"],
            ),
            ("a", r#"{"v": 1, "o": -inf, "unread": [inf]}"#, &["m | v=1.0"]),
            ("a", r#"{"v": NaN}"#, &["ignored empty"]),
            // What is still no JSON is told of as it was sent.
            (
                "a",
                r#"{"v": NaN, "s": ?}"#,
                &["rejected payload: the payload is not JSON: expected value at line 1 column 7"],
            ),
            ("a", r#"{"v": NaNa}"#, &["rejected payload: the payload is not JSON…"]),
            ("b", "inf", &["whole | v=\"inf\""]),
            ("r", r#"{"v": 1, "o": NaN, "p": [2, nan]}"#, &["rest | v=1.0 others={\"o\":null,\"p\":[2, null]}"]),
        ],
    );
    let deep = format!("{}nan{}", "[".repeat(129), "]".repeat(129));
    check(
        "[mapping.m]\ntopic = \"a\"\nfields = [\"v\"]",
        &[("a", &deep, &["rejected payload: the payload is not JSON: nested deeper than 128 levels at byte 128"])],
    );
}
