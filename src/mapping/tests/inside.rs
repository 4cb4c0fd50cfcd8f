//! A payload inside the payload.

use super::*;
use crate::mapping::decode::MAX_BYTES;

const ROW: &str = "[mapping.m]\ntopic = \"a/{x}\"\nfields = { v = {}, out = \"$.o\" }\n";

fn check_rows(rows: &str, cases: &[(&str, &str, &[&str])]) {
    check(&format!("{ROW}rows = {rows}"), cases);
}

#[test]
fn rows_begin_in_the_payload_inside_and_the_root_is_the_outer_one() {
    // eyJ2IjoxfQ== is {"v":1}
    check_rows(
        "{ path = \"b\", decode = \"base64\", format = \"json\" }",
        &[
            ("a/1", r#"{"b":"eyJ2IjoxfQ==","o":7}"#, &["m x=1 | v=1.0 out=7.0"]),
            ("a/1", r#"{"b":"eyJ2IjoxfQ"}"#, &["m x=1 | v=1.0"]),
            ("a/1", r#"{"o":7}"#, &["ignored empty"]),
            ("a/1", r#"{"b":null,"v":5}"#, &["ignored empty"]),
            ("a/1", r#"{"b":"?","o":7}"#, &["rejected payload: the payload at `$.b > $` is no base64"]),
            ("a/1", r#"{"b":"e30x"}"#, &["rejected payload: the payload at `$.b > $` is not JSON: trailing…"]),
            ("a/1", r#"{"b":{"v":1}}"#, &["rejected payload: the payload at `$.b > $` is an object, and a text…"]),
            (
                "a/1",
                r#"{"b":"eyJ2IjoieCJ9"}"#,
                &["rejected field: field `v` at `$.b > $.v` got \"x\", which is no number…"],
            ),
        ],
    );
    check_rows(
        "{ path = \"b\", decode = \"hex\", format = \"cbor\" }",
        &[
            ("a/1", r#"{"b":"a1617605"}"#, &["m x=1 | v=5.0"]),
            ("a/1", r#"{"b":"A1617605"}"#, &["m x=1 | v=5.0"]),
            ("a/1", r#"{"b":"a16176"}"#, &["rejected payload: the payload at `$.b > $` is not CBOR: it ends…"]),
        ],
    );
    check_rows(
        "{ path = \"b\" }",
        &[
            ("a/1", r#"{"b":"{\"v\":1,\"w\":NaN}"}"#, &["m x=1 | v=1.0"]),
            ("a/1", r#"{"b":"{\"v\":NaN,?}"}"#, &["rejected payload: the payload at `$.b > $` is not JSON: expected…"]),
            ("a/1", r#"{"b":[],"o":7}"#, &["ignored empty"]),
        ],
    );
    check_rows(
        "{ path = \"b\", format = \"xml\", rows = \"r[]\" }",
        &[("a/1", r#"{"b":"<s><r><v>5</v></r></s>"}"#, &["m x=1 | v=5.0"])],
    );
}

#[test]
fn a_payload_may_be_text_that_holds_another() {
    check_rows(
        "{ path = \".\", decode = \"base64\", format = \"json\" }",
        &[
            ("a/1", "eyJ2IjoxfQ==", &["m x=1 | v=1.0"]),
            ("a/1", "\"eyJ2IjoxfQ==\"", &["m x=1 | v=1.0"]),
            ("a/1", "ä", &["rejected payload: the payload at `$ > $` is no base64"]),
        ],
    );
    check(
        "[mapping.m]\ntopic = \"a\"\nformat = \"text\"\nrows = { path = \".\", decode = \"base64\" }\nfields = { v = \".\" }",
        &[("a", "Mi41", &["m | v=2.5"]), ("a", "eA==", &["rejected field: field `v` at `$ > $` got \"x\"…"])],
    );
}

#[test]
fn several_payloads_inside_give_rows_each() {
    check_rows(
        "{ path = \"l[{i}].b\", rows = [\"r[{j}]\", \".\"] }",
        &[
            (
                "a/1",
                r#"{"o":7,"l":[{"b":"{\"r\":[{\"v\":1},{\"v\":2}]}"},{"b":"{\"r\":[{\"v\":3}]}"}]}"#,
                &["m x=1 i=0 j=0 | v=1.0 out=7.0", "m x=1 i=0 j=1 | v=2.0 out=7.0", "m x=1 i=1 j=0 | v=3.0 out=7.0"],
            ),
            ("a/1", r#"{"l":[{"b":"{\"v\":1}"},{"b":"{\"v\":2}"}]}"#, &["m x=1 i=0 | v=1.0", "m x=1 i=1 | v=2.0"]),
            (
                "a/1",
                r#"{"l":[{"b":"{"},{"b":"{\"r\":[{\"v\":2}]}"},{"b":"}"}]}"#,
                &[
                    "m x=1 i=1 j=0 | v=2.0",
                    "!payload: the payload at `$.l[0].b > $` is not JSON: EOF while parsing an object at line 1 column 1 (and 1 more rows)",
                ],
            ),
        ],
    );
}

#[test]
fn what_is_read_inside_is_bounded() {
    let mapping = mapping(&format!("{ROW}rows = {{ path = \"l[]\", decode = \"base64\", encoding = \"gzip\" }}"));
    let bomb = {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![b' '; MAX_BYTES - 100]).unwrap();
        data_encoding::BASE64.encode(&encoder.finish().unwrap())
    };
    for bomb in [bomb.as_str(), "H4sI", "="] {
        let payload = format!("{{\"l\":[{}]}}", vec![format!("{bomb:?}"); 5_000].join(","));
        let lines = lines(&mapping, &message("a/1", payload));
        assert!(lines.len() == 1 && lines[0].starts_with("rejected "), "{lines:?}");
    }
}

#[test]
fn what_is_wrong_with_a_payload_inside_is_told() {
    let (_, faults) = load(&format!("{ROW}rows = {{ decode = \"duration\", pth = 1, rows = \"a..b\" }}"));
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    for part in ["rows.decode: \"duration\" is not known here", "rows.pth: unknown key; did you mean `path`?"] {
        assert!(faults.iter().any(|fault| fault.contains(part)), "{part}: {faults:?}");
    }
    let (_, faults) = load(&format!("{ROW}rows = {{ path = \"b\", rows = \"a..b\" }}"));
    assert!(
        faults.iter().any(|fault| fault.to_string().contains("rows.rows: a key is missing in `a..b`")),
        "{faults:?}"
    );
}

#[test]
fn what_is_inside_is_read_and_checked_as_its_own_format() {
    let csv = "{ path = \"b\", format = { type = \"csv\", columns = [\"t\", \"v\"] } }";
    check_rows(csv, &[("a/1", r#"{"b":"x,1\ny,2","o":7}"#, &["m x=1 | v=1.0 out=7.0", "m x=1 | v=2.0 out=7.0"])]);
    check(
        "[mapping.m]\ntopic = \"a\"\nformat = \"pairs\"\nrows = { path = \"data\", decode = \"base64\" }\n\
         fields = { v = {}, id = { path = \"$.id\", type = \"text\" } }",
        &[("a", "id=s1,data=eyJ2IjoxfQ", &["m | v=1.0 id=\"s1\""])],
    );
    check(
        "[mapping.m]\ntopic = \"a\"\nformat = { type = \"csv\", header = true }\n\
         rows = { path = \"[].data\", decode = \"hex\" }\nfields = [\"v\"]",
        &[("a", "id,data\n1,7b2276223a317d\n2,7b2276223a327d", &["m | v=1.0", "m | v=2.0"])],
    );
    check(
        "[mapping.m]\ntopic = \"a\"\nrows = { path = \"b\", format = \"pairs\" }\nothers = \"add\"",
        &[("a", r#"{"b":"v=1,w=x"}"#, &["m | v=1.0 w=\"x\""])],
    );
    for (rows, fields, fault) in [
        (csv, "fields = { v = \"vv\" }", "fields.v.path: no column is named `vv`"),
        (csv, "fields = { v = \"v.w\" }", "`v.w` leads into a cell"),
        ("{ path = \"b\", format = \"csv\", rows = \"[].[0].x\" }", "fields = { v = \".\" }", "rows.rows: "),
        ("{ path = \"b\", format = \"csv\" }", "fields = [\"v\"]", "a cell is named, and the columns have no names"),
        ("{ path = \"b\", format = \"text\" }", "fields = [\"v\"]", "`v` leads into the payload, which is one text"),
        (
            "{ path = \"b\", format = \"text\", rows = \"c\" }",
            "fields = { v = \".\" }",
            "rows.rows: a text has no parts",
        ),
        ("{ path = \"b\", format = \"text\" }", "others = \"add\"", "a text has no parts that could be others"),
        (
            "{ path = \"b\" }\nformat = \"csv\"",
            "fields = [\"v\"]",
            "rows.path: csv is a list of lines, and no line has a name",
        ),
        (
            "{ path = \"[]\" }\nformat = \"csv\"",
            "fields = [\"v\"]",
            "rows.path: `[]` is a line or all of them, and one cell is needed",
        ),
        (
            "{ path = \".\" }\nformat = \"text\"",
            "fields = { v = \"$.o\" }",
            "`$.o` leads into the payload, which is one text",
        ),
    ] {
        let (_, faults) = load(&format!("[mapping.m]\ntopic = \"a\"\nrows = {rows}\n{fields}"));
        assert!(faults.iter().any(|found| found.to_string().contains(fault)), "{rows} {fields}: {faults:?}");
    }
}
