use super::*;

#[test]
fn each_scalar_that_no_path_leads_to_becomes_a_column_of_its_own() {
    check(
        r#"
        [mapping.m]
        topic = "a/{dev}"
        time = "ts"
        tags = { kind = "meta.kind" }
        when = { "meta.on" = true }
        others = "add"
        missing = [-9999, "none"]
        fields = { temperature = "t.out", phases = { path = "p", type = "json" }, secret = false, "net.mac" = false, wifi_rssi = false }
        "#,
        &[
            (
                "a/1",
                r#"{"ts":1700000000,"meta":{"kind":"k","on":true,"fw":"1.2"},"t":{"out":20,"in":21},"p":{"l1":1},"secret":1,
                    "net":{"mac":"x","ip":"y"},"wifi":{"rssi":-60},"batteryVoltage":3.30,"Temp-1":7,"RSSIValue":1e3,"on":false}"#,
                &[
                    "m dev=1 kind=k | temperature=20.0 phases={\"l1\":1} battery_voltage=3.3 meta_fw=\"1.2\" net_ip=\"y\" on=false rssi_value=1000.0 t_in=21.0 temp_1=7.0 @ 2023-11-14T22:13:20Z",
                ],
            ),
            // Absent is absent.
            (
                "a/1",
                r#"{"meta":{"on":true},"a":null,"b":"","c":"N/A","d":-9999.0,"e":"None","f":" ","g":{},"h":[],"x":1}"#,
                &["m dev=1 | x=1.0 @ absent"],
            ),
            ("a/1", r#"{"meta":{"on":true},"a":null}"#, &["ignored empty"]),
            // A field that cannot be read is dropped where another value makes the row.
            ("a/1", r#"{"meta":{"on":true},"t":{"out":"?"},"x":1}"#, &["m dev=1 | x=1.0 @ absent", "-temperature"]),
        ],
    );
}

#[test]
fn without_a_list_of_fields_all_that_is_sent_becomes_columns() {
    for list in ["", "fields = []", "fields = {}", "fields = { x = false }"] {
        check(
            &format!("[mapping.m]\ntopic = \"a\"\nothers = \"add\"\n{list}"),
            &[
                ("a", r#"{"b":{"c":[1,{"d":"e"}]}}"#, &["m | b_c_0=1.0 b_c_1_d=\"e\""]),
                ("a", r#"[true,[2]]"#, &["m | 0=true 1_0=2.0"]),
                ("a", "{}", &["ignored empty"]),
                ("a", "21.5", &["rejected payload: …"]),
            ],
        );
    }
}

#[test]
fn what_can_be_no_column_is_left_out_and_counted() {
    let long = "k".repeat(64);
    let mapping = mapping(
        r#"
        [mapping.m]
        topic = "a/{room}"
        others = "add"
        fields = { temperature = "t" }
        [mapping.n]
        topic = "b"
        measurement = "m"
        tags = { floor = "f" }
        fields = { Humidity = "h", power = { type = "text" } }
        "#,
    );
    for (json, fields, dropped, why) in [
        (r#""time":1,"x":1"#.to_owned(), "x=1.0", 1, "others: no column can be called `time`"),
        (
            r#""Series-ID":1,"xmin":2,"x":1"#.to_owned(),
            "x=1.0",
            2,
            "others: no column can be called `series_id` (and 1 more)",
        ),
        (
            r#""room":"bath","Floor":2,"temperature":3,"humidity":4,"x":1"#.to_owned(),
            "x=1.0",
            4,
            "others: `room` is another field or tag (and 3 more)",
        ),
        // The column of another mapping is open.
        (r#""power":"on","x":1"#.to_owned(), "power=\"on\" x=1.0", 0, ""),
        (
            format!(r#""{long}":1,"{}":2,"x":1"#, &long[1..]),
            &format!("{}=2.0 x=1.0", &long[1..]),
            1,
            &format!("others: no column can be called `{}`", &long[1..]),
        ),
        (r#""":1,"!?":2,"x":1"#.to_owned(), "x=1.0", 2, "others: no column can be called `` (and 1 more)"),
        (
            r#""a":"\u0000","b":"\ud800","c":1e400,"x":1"#.to_owned(),
            "x=1.0",
            3,
            "others: `a` got a text with a NUL character (and 2 more)",
        ),
        // The first counts.
        (
            r#""aB":1,"a_b":2,"a":{"b":3},"x":1"#.to_owned(),
            "a_b=1.0 x=1.0",
            2,
            "others: another value is called `a_b` already (and 1 more)",
        ),
        (
            r#""s":[0,1,2,3,4,5,6,7,8,9]"#.to_owned(),
            "s_0=0.0 s_1=1.0 s_2=2.0 s_3=3.0 s_4=4.0 s_5=5.0 s_6=6.0 s_7=7.0",
            2,
            "others: the array `s` has more than 8 elements (and 1 more)",
        ),
        // No value is none there either.
        (
            r#""s":[0,null,null,null,null,null,null,null,null,"",{"b":null},"N/A",[1],{"b":2}]"#.to_owned(),
            "s_0=0.0",
            2,
            "others: the array `s` has more than 8 elements (and 1 more)",
        ),
    ] {
        let message = message("a/1", format!("{{{json}}}"));
        let mapped = mapping.map(&message);
        let Outcome::Rows { rows, .. } = &mapped.outcome else { panic!("{json}: {mapped:?}") };
        assert_eq!(line(&mapping, &rows[0]), format!("m room=1 | {fields}"), "{json}");
        let counted: Vec<(&str, u64, &str)> =
            mapped.dropped.iter().map(|dropped| (&*dropped.field, dropped.count, dropped.detail.as_str())).collect();
        assert_eq!(counted, if dropped == 0 { vec![] } else { vec![("others", dropped, why)] }, "{json}");
        assert_eq!(mapping.explain(&message).mapped, mapped);
    }
    assert_eq!(
        lines(&mapping, &message("a/1", r#"{"time":1,"room":2}"#)),
        ["rejected field: no value can be a column: no column can be called `time` (and 1 more)"]
    );
}

#[test]
fn of_a_row_with_thousands_of_values_two_hundred_are_looked_at_and_the_rest_are_counted() {
    let mapping = mapping("[mapping.m]\ntopic = \"a\"\nothers = \"add\"\nfields = [\"k5000\"]");
    let json: Vec<String> = (0..6_000).map(|n| format!("\"k{n}\":{n}")).collect();
    let mapped = mapping.map(&message("a", format!("{{{}}}", json.join(","))));
    let Outcome::Rows { rows, .. } = mapped.outcome else { panic!("{mapped:?}") };
    assert_eq!((rows[0].fields.clone(), rows[0].others.len()), (vec![Some(Value::Float(5000.0))], 200));
    assert_eq!(mapped.dropped[0].count, 6_000 - 200 - 1);
}

#[test]
fn others_are_those_of_the_row_and_not_of_the_payload() {
    check(
        r#"
        [mapping.m]
        topic = "a"
        rows = "s[{i}]"
        time = "$.ts"
        tags = { gw = "$.gw", id = "$.s[].id" }
        others = "add"
        fields = { v = {}, limit = "limits[{i}]" }
        "#,
        &[(
            "a",
            r#"{"gw":"g","x":9,"s":[{"id":"A","v":1,"w":2},{"id":"B","limits":[5,6]},{"id":"C"},7]}"#,
            &["m i=0 gw=g id=A | v=1.0 w=2.0 @ absent", "m i=1 gw=g id=B | limit=6.0 limits_0=5.0 @ absent"],
        )],
    );
    check(
        "[mapping.m]\ntopic = \"a\"\nrows = \"{s}\"\nothers = \"add\"\nfields = { t = \"{s}.x\" }",
        &[("a", r#"{"Time":"now","A":{"A":{"x":1,"y":2},"B":{"x":3}}}"#, &["m s=A | t=1.0 a_y=2.0 b_x=3.0"])],
    );
}

#[test]
fn a_name_that_no_field_lists_is_a_column_under_a_pivot() {
    check(
        r#"
        [mapping.m]
        topic = "s/{dev}/{name#}"
        pivot = "{name}"
        others = "add"
        fields = { power = "dc/power", uptime = false, state = "st.now" }
        "#,
        &[
            ("s/1/dc/power", "71", &["m dev=1 | power=71.0"]),
            ("s/1/ac/freqMax", "50.1", &["m dev=1 | ac_freq_max=50.1"]),
            ("s/1/uptime", "5", &["ignored empty"]),
            ("s/1/st", r#"{"now":1,"then":"x"}"#, &["m dev=1 | state=1.0 st_then=\"x\""]),
            ("s/1/mode", "eco", &["m dev=1 | mode=\"eco\""]),
        ],
    );
    check(
        r#"
        [mapping.m]
        topic = "p"
        rows = "v[]"
        pivot = { name = "id", value = "v" }
        time = "t"
        others = "add"
        fields = { pressure = "P1" }
        "#,
        &[(
            "p",
            r#"{"v":[{"id":"P1","v":1,"q":0},{"id":"Motor.On","v":true},{"id":"P2","v":2},{"id":"P2","v":3}]}"#,
            &["m | pressure=1.0 motor_on=true p2=2.0 @ absent", "m | p2=3.0 @ absent"],
        )],
    );
}

#[test]
fn the_rest_of_a_row_is_kept_as_json_as_it_was_sent() {
    check(
        r#"
        [mapping.m]
        topic = "a"
        rows = ["s[]", "."]
        time = "ts"
        others = "json"
        fields = { v = "a.b", w = "l[1].x", c_d = false, "e.f" = false }
        "#,
        &[
            (
                "a",
                r#"{"ts":0,"a":{"b":1,"é\n":1.50},"l":[1, {"x":2}, {"y":null}],"c":{"d":1},"e":{"f":1,"g":[]},"n":null, "z" : {} }"#,
                &[r#"m | v=1.0 w=2.0 others={"a":{"é\n":1.50},"l":[1,null,{"y":null}],"n":null,"z":{}} @ outside"#],
            ),
            ("a", r#"{"a":{"b":1}}"#, &["m | v=1.0 @ absent"]),
            ("a", r#"{"a":{"b":1},"n":null,"z":[]}"#, &["m | v=1.0 @ absent"]),
            ("a", r#"{"x":{"y":1}}"#, &[r#"m | others={"x":{"y":1}} @ absent"#]),
            ("a", r#"{"n":null}"#, &["ignored empty"]),
            ("a", r#"{"s":[{"p":1},{"a":{"b":2}},3]}"#, &[r#"m | others={"p":1} @ absent"#, "m | v=2.0 @ absent"]),
            ("a", r#"{"a":{"b":1},"x":"\u0000"}"#, &["m | v=1.0 @ absent", "-others"]),
        ],
    );
    check(
        "[mapping.m]\ntopic = \"s/{name}\"\npivot = \"{name}\"\nothers = \"json\"\nfields = [\"p\"]",
        &[
            ("s/p", "1", &["m | p=1.0"]),
            ("s/q", "2.50", &[r#"m | others={"q":2.50}"#]),
            ("s/q", "null", &["ignored empty"]),
        ],
    );
}

#[test]
fn what_others_cannot_be_is_a_fault() {
    for (toml, what) in [
        ("others = \"json\"\nfields = [\"others\"]", "a field has it already"),
        ("others = \"add\"\nrows = \"*[]\"", "rows of parallel arrays have no others"),
        ("others = \"add\"\nformat = \"text\"", "a text has no parts"),
        ("others = \"all\"", "\"all\" is not known here"),
        ("others = \"ignore\"", "mapping.m.fields: is missing"),
        ("others = \"ignore\"\nfields = []", "the list is empty"),
        ("others = \"add\"\nfields = { \"a[\" = false }", "does not close it"),
    ] {
        let (_, faults) = load(&format!("[mapping.m]\ntopic = \"a\"\n{toml}"));
        assert!(faults.iter().any(|fault| fault.to_string().contains(what)), "{toml}: {faults:?}");
    }
    let (_, faults) = load(
        "[mapping.m]\ntopic = \"a\"\nothers = \"json\"\n[mapping.n]\ntopic = \"b\"\nmeasurement = \"m\"\nfields = [\"others\"]",
    );
    assert!(
        faults.iter().any(|fault| fault.to_string().contains("the field is `float` here and `json`")),
        "{faults:?}"
    );
}

#[test]
fn in_formats_without_types_what_is_a_number_is_a_float() {
    check(
        "[mapping.m]\ntopic = \"c\"\nformat = { type = \"csv\", header = true }\nothers = \"add\"\nfields = [\"t\"]",
        &[("c", "t,relHumidity,state\n1,2.5,on\n2,,N/A", &["m | t=1.0 rel_humidity=2.5 state=\"on\"", "m | t=2.0"])],
    );
    check(
        "[mapping.m]\ntopic = \"p\"\nformat = { type = \"pairs\", separator = \";\" }\nothers = \"add\"",
        &[("p", "t=1;h=-2.50e1;s=on;v=1.2.3", &["m | h=-25.0 s=\"on\" t=1.0 v=\"1.2.3\""])],
    );
}
