//! Formats of cells: csv and pairs.

use proptest::prelude::*;

use super::*;

/// The faults of a mapping with `keys`, in the order they come.
fn faults(keys: &str) -> Vec<String> {
    let (_, faults) = load(&format!("[mapping.m]\ntopic = \"a\"\n{keys}"));
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn a_line_of_csv_is_a_row_and_its_cells_are_found_by_position() {
    check(
        "[mapping.m]\ntopic = \"a\"\nformat = \"csv\"\ntime = \"[0]\"\ntags = { id = \"[1]\" }\n\
         fields = { t = \"[2]\", on = { path = \"[3]\", type = \"bool\" }, note = { path = \"[4]\", type = \"text\" } }",
        &[
            (
                "a",
                "1700000000, a1, 21.5, on\r\n1700000060,b2,,0,\"so, \"\"so\"\"\"\r\n",
                &[
                    "m id=a1 | t=21.5 on=true @ 2023-11-14T22:13:20Z",
                    "m id=b2 | on=false note=\"so, \\\"so\\\"\" @ 2023-11-14T22:14:20Z",
                ],
            ),
            ("a", "\u{feff}1700000000,a,1", &["m id=a | t=1.0 @ 2023-11-14T22:13:20Z"]),
            ("a", "\n \n", &["ignored empty"]),
            ("a", "1700000000,a", &["ignored empty"]),
            ("a", "1700000000,a,x", &["rejected field: field `t` at `$[0][2]` got \"x\", which is no number…"]),
            ("a", "x,\"a", &["rejected payload: the payload is not CSV: the quote at byte 2 is not closed"]),
            // JSON is a text here like any other.
            ("a", "{\"t\":1}", &["ignored empty"]),
        ],
    );
}

#[test]
fn columns_have_the_names_of_the_first_line() {
    check(
        "[mapping.m]\ntopic = \"a\"\nformat = { type = \"csv\", separator = \";\", header = true }\n\
         when = { kind = \"t*\" }\nfields = { temp = {}, hum = \"rel hum\", first = { path = \"[0]\", type = \"text\" } }",
        &[
            (
                "a",
                "kind; temp ;\"rel hum\"\nt1;1;2\nother;3;4\nt2;5\nt3;6;7;8\n",
                &[
                    "m | temp=1.0 hum=2.0 first=\"t1\"",
                    "m | temp=5.0 first=\"t2\"",
                    "m | temp=6.0 hum=7.0 first=\"t3\"",
                ],
            ),
            ("a", "kind;temp\n", &["ignored unmapped"]),
            ("a", "temp;kind;temp\n1;t;2", &["m | temp=2.0 first=\"1\""]),
            ("a", "kind;temp\n;5", &["ignored unmapped"]),
        ],
    );
}

#[test]
fn columns_are_named_by_the_configuration() {
    check(
        "[mapping.m]\ntopic = \"a/{x}\"\nformat = { type = \"csv\", separator = \" \", columns = [\"temp\", \"\", \"hum\"] }\n\
         fields = { temp = {}, hum = {}, skipped = \"[1]\", more = \"[3]\" }",
        &[
            ("a/1", "21.5   7\t40", &["m x=1 | temp=21.5 hum=40.0 skipped=7.0"]),
            ("a/1", "  1 2 3 4  \n5\n", &["m x=1 | temp=1.0 hum=3.0 skipped=2.0 more=4.0", "m x=1 | temp=5.0"]),
        ],
    );
}

#[test]
fn rows_of_csv_may_be_other_than_its_lines() {
    check(
        "[mapping.line]\ntopic = \"line\"\nformat = \"csv\"\nrows = \".\"\nfields = { a = \"[0][1]\", b = \"[1][0]\" }\n\
         [mapping.cell]\ntopic = \"cell\"\nformat = \"csv\"\nrows = \"[{l}][{c}]\"\nfields = { v = \".\" }\n\
         [mapping.name]\ntopic = \"name\"\nformat = { type = \"csv\", header = true }\nrows = \"[].{sensor}\"\nfields = { v = \".\" }\n\
         when = { sensor = \"t*\" }\n\
         [mapping.pivot]\ntopic = \"pivot\"\nformat = \"csv\"\npivot = { name = \"[0]\", value = \"[1]\" }\nfields = { temp = \"t\", hum = \"h\" }",
        &[
            ("line", "1,2\n3", &["line | a=2.0 b=3.0"]),
            ("cell", "1,2\n3", &["cell l=0 c=0 | v=1.0", "cell l=0 c=1 | v=2.0", "cell l=1 c=0 | v=3.0"]),
            ("name", "t1,t2,h\n5,6,7", &["name sensor=t1 | v=5.0", "name sensor=t2 | v=6.0"]),
            ("pivot", "t,21\nh,40\nx,1", &["pivot | temp=21.0 hum=40.0"]),
        ],
    );
}

#[test]
fn a_table_of_more_than_ten_thousand_lines_is_a_reject() {
    let mapping = mapping("[mapping.m]\ntopic = \"a\"\nformat = \"csv\"\nfields = { v = \"[0]\" }");
    assert_eq!(lines(&mapping, &message("a", "1\n".repeat(10_000))).len(), 10_000);
    for count in [10_001, 500_000] {
        let lines = lines(&mapping, &message("a", "1\n".repeat(count)));
        assert_eq!(lines, ["rejected too_many_rows: more than 10000 rows in `rows` `[]`"]);
    }
}

#[test]
fn pairs_are_one_object() {
    check(
        "[mapping.m]\ntopic = \"a\"\nformat = \"pairs\"\n\
         fields = { a = {}, b = { type = \"text\" }, state = { path = \"[1]\", type = \"text\" } }",
        &[
            ("a", "a=1,b=2", &["m | a=1.0 b=\"2\""]),
            ("a", " a = 1 , OK , b = x=y, a=3 \n", &["m | a=3.0 b=\"x=y\" state=\"OK\""]),
            ("a", "OK,a=1", &["m | a=1.0"]),
            ("a", "a=1,,b=", &["m | a=1.0"]),
            ("a", "a=1,a=", &["ignored empty"]),
            ("a", "c=1", &["ignored empty"]),
            ("a", ",", &["ignored empty"]),
            ("a", "a=x", &["rejected field: field `a` at `$.a` got \"x\", which is no number…"]),
            ("a", "{\"a\": 1}", &["ignored empty"]),
        ],
    );
    check(
        "[mapping.m]\ntopic = \"a\"\nformat = { type = \"pairs\", separator = \"\\n\", assign = \": \" }\nfields = [\"temp\", \"hum\"]",
        &[("a", "temp: 21.5\r\nhum: 40\r\n", &["m | temp=21.5 hum=40.0"])],
    );
    check(
        "[mapping.m]\ntopic = \"a\"\nformat = { type = \"pairs\", separator = \" \", assign = \":\" }\nfields = [\"temp\", \"hum\"]",
        &[("a", "temp:21.5   hum:40", &["m | temp=21.5 hum=40.0"])],
    );
    check(
        "[mapping.m]\ntopic = \"a\"\nformat = { type = \"pairs\", separator = \"||\", assign = \"->\" }\n\
         rows = \"leak{n}\"\nfields = { wet = { path = \".\", type = \"bool\" } }",
        &[("a", "leak1->on||leak2->off||x->1", &["m n=1 | wet=true", "m n=2 | wet=false"])],
    );
    check(
        "[mapping.m]\ntopic = \"a\"\nformat = \"pairs\"\nwhen = { \"$.kind\" = \"t\" }\nrows = \"[{n}]\"\nfields = { v = \".\" }",
        &[("a", "kind=t,5,6", &["m n=1 | v=5.0", "m n=2 | v=6.0"])],
    );
}

#[test]
fn others_are_the_cells_and_pairs_that_have_names() {
    check(
        "[mapping.m]\ntopic = \"a\"\nformat = { type = \"csv\", header = true }\nothers = \"add\"\nfields = { temp = {}, Gone = false }",
        &[("a", "temp,Rel Hum,Gone,note\n1,2,3,ok\n4,,,,5", &["m | temp=1.0 note=\"ok\" rel_hum=2.0", "m | temp=4.0"])],
    );
    // A column that a path finds by its position is none of them, whatever its name.
    for (shape, others) in [("add", "b=2.0 c=1.0"), ("json", "others={\"b\":\"2\",\"c\":\"1\"}")] {
        for names in ["header = true", "columns = [\"a\", \"b\", \"c\", \"d\"]"] {
            let header = if names.starts_with("header") { "a,b,c,d\n" } else { "" };
            let toml = format!(
                "[mapping.m]\ntopic = \"a\"\nformat = {{ type = \"csv\", {names} }}\nothers = \"{shape}\"\n\
                 fields = {{ x = \"[0]\", y = {{ path = \"[3]\", type = \"text\" }} }}"
            );
            check(
                &toml,
                &[("a", &format!("{header}1,2,1,\"\"\"q\"\"\""), &[&format!("m | x=1.0 y=\"\\\"q\\\"\" {others}")])],
            );
        }
    }
    check(
        "[mapping.m]\ntopic = \"a\"\nformat = \"csv\"\nothers = \"json\"\nfields = { temp = \"[0]\" }",
        &[("a", "1,,x", &["m | temp=1.0 others=[null,null,\"x\"]"])],
    );
    check(
        "[mapping.m]\ntopic = \"a\"\nformat = \"pairs\"\nothers = \"json\"\nfields = { temp = {} }",
        &[("a", "temp=1,hum=40,up", &["m | temp=1.0 others={\"hum\":\"40\"}"])],
    );
}

#[test]
fn cells_that_are_kept_are_bounded() {
    let mapping = mapping("[mapping.m]\ntopic = \"a\"\nformat = \"csv\"\nothers = \"json\"\nfields = { v = \"[0]\" }");
    let fits = format!("{}\n", "1,".repeat(24)).repeat(10_000);
    assert_eq!(lines(&mapping, &message("a", fits)).len(), 10_000);
    let beyond = format!("{}\n", "1,".repeat(25)).repeat(10_000);
    assert_eq!(
        lines(&mapping, &message("a", beyond)),
        ["rejected too_large: the payload has more than 260000 values that are wanted"]
    );
}

#[test]
fn paths_that_can_lead_to_no_cell_are_faults() {
    let csv = "format = \"csv\"";
    let named = "format = { type = \"csv\", columns = [\"temp\", \"\", \"hum\"] }";
    let header = "format = { type = \"csv\", header = true }";
    let pairs = "format = \"pairs\"";
    for (keys, expected) in [
        (
            format!("{csv}\nfields = [\"temp\"]"),
            "config.toml:8:11: mapping.m.fields.temp: a cell is named, and the columns have no names; write its position, as in `[2]`, or name the columns",
        ),
        (
            format!("{csv}\nfields = {{ v = \".\" }}"),
            "mapping.m.fields.v.path: `.` is a line or all of them, and one cell is needed",
        ),
        (
            format!("{csv}\nfields = {{ v = \"[0].x\" }}"),
            "mapping.m.fields.v.path: `[0].x` leads into a cell, and a cell has no parts; leave out",
        ),
        (
            format!("{header}\nfields = {{ v = \"a.b\" }}"),
            "`a.b` leads into a cell, and a cell has no parts; leave out what leads on from it, or quote a name that has a dot: `\"'a.b'\"`",
        ),
        (format!("{header}\nfields = {{ v = \"$.a\" }}"), "no line has a name; write `[]` for the lines in `rows`"),
        (
            format!("{header}\nrows = \"data[]\"\nfields = [\"v\"]"),
            "config.toml:8:8: mapping.m.rows: csv is a list of lines",
        ),
        (format!("{header}\nrows = \"[].a.b\"\nfields = [\"v\"]"), "mapping.m.rows: `[].a.b` leads into a cell"),
        (format!("{header}\nrows = \"*[]\"\nfields = [\"v\"]"), "mapping.m.rows: `*[]` takes arrays apart"),
        (format!("{csv}\nrows = \"[].{{x}}\"\nfields = {{ v = \".\" }}"), "mapping.m.rows: a cell is named"),
        (format!("{named}\nfields = [\"tmp\"]"), "no column is named `tmp`; did you mean `temp`?"),
        (format!("{named}\nfields = [\"pressure\"]"), "no column is named `pressure`; add it to `columns`"),
        (format!("{named}\nfields = [\"temp\"]\ntags = {{ id = \"id\" }}"), "mapping.m.tags.id"),
        (format!("{named}\nfields = [\"temp\"]\ntime = \"ts\""), "mapping.m.time: no column is named `ts`"),
        (format!("{named}\nfields = [\"temp\"]\nwhen = \"kind\""), "mapping.m.when: no column is named `kind`"),
        (format!("{pairs}\nfields = {{ v = \"a.b\" }}"), "`a.b` leads into a cell, and a cell has no parts"),
        (format!("{pairs}\nfields = {{ v = \".\" }}"), "`.` is all the pairs, and one of them is needed"),
        (format!("{pairs}\nrows = \"a[]\"\nfields = {{ v = \".\" }}"), "mapping.m.rows: `a[]` leads into a cell"),
        (
            format!("{pairs}\npivot = {{ name = \"n\", value = \"v\" }}\nfields = {{ v = \"a.b\" }}"),
            "mapping.m.fields.v.path: `a.b` leads into a cell",
        ),
        (
            format!("{pairs}\nrows = \"[{{n}}]\"\nwhen = \"kind\"\nfields = {{ v = \".\" }}"),
            "mapping.m.when: `rows` makes a row of a cell, and `kind` would be a part of it; write `.` for the cell itself, `$.kind` for another one",
        ),
        (
            format!("{csv}\nrows = \"[][]\"\nfields = {{ v = \"[1]\" }}"),
            "write `.` for the cell itself, `$[][1]` for another one",
        ),
    ] {
        let faults = faults(&keys);
        assert!(faults.len() == 1 && faults[0].contains(expected), "{keys}\n   got {faults:#?}\nwanted {expected}");
    }
    for keys in [
        format!("{named}\nfields = {{ temp = {{}}, other = \"[7]\", first = \"$[0].hum\" }}"),
        format!("{pairs}\npivot = {{ name = \"n\", value = \"v\" }}\nfields = {{ v = \"a\" }}"),
        format!("{header}\nrows = [\"[0]\", \"[]\"]\nfields = {{ v = [\"a\", \"'a.b'\"] }}"),
    ] {
        assert_eq!(faults(&keys), Vec::<String>::new(), "{keys}");
    }
}

#[test]
fn no_payload_of_cells_panics() {
    let mappings = [
        "format = \"csv\"\nfields = { v = \"[0]\", w = { path = \"[1]\", type = \"text\" } }",
        "format = { type = \"csv\", separator = \" \", header = true }\nfields = { v = \"a\", w = { path = \"[1]\", type = \"int\" } }",
        "format = { type = \"csv\", separator = \";\", columns = [\"a\", \"\", \"b\"] }\nrows = \"[{l}].{c}\"\nfields = { v = { path = \".\", type = \"text\" } }",
        "format = \"pairs\"\nfields = { v = \"a\", w = { path = \"[0]\", type = \"text\" } }",
        "format = { type = \"pairs\", separator = \"; \", assign = \"a\" }\nrows = \"{c}\"\nfields = { v = { path = \".\", type = \"text\" } }",
    ]
    .map(|keys| mapping(&format!("[mapping.m]\ntopic = \"a\"\n{keys}")));
    proptest!(|(payload in prop_oneof![
        "[ab1,;=\" \t\n\ré]{0,30}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..40),
    ])| {
        for mapping in &mappings {
            let message = message("a", &payload);
            let mapped = mapping.map(&message);
            if let Outcome::Rows { rows, .. } = &mapped.outcome {
                prop_assert!(rows.len() <= payload.len());
            }
            prop_assert_eq!(mapping.explain(&message).mapped, mapped);
        }
    });
}

#[test]
fn a_header_of_nothing_but_separators_is_a_reject() {
    let header = "[mapping.m]\ntopic = \"a\"\nformat = { type = \"csv\", header = true }\nfields = [\"v\"]\n";
    let mapping = mapping(header);
    let of = |columns: usize| lines(&mapping, &message("a", format!("v{}\n1\n", ",".repeat(columns - 1))));
    assert_eq!(of(10_000), ["m | v=1.0"]);
    assert_eq!(of(10_001), ["rejected too_large: the payload has a header of more than 10000 columns"]);
}
