use super::*;

#[test]
fn paths_lead_into_objects_and_arrays() {
    check(
        r#"
        [mapping.m]
        topic = "a"
        [mapping.m.fields]
        a = "x.y[1].z"
        b = "'q.r'"
        c = "$.s t[0]"
        d = ["no", "x.n", "x.w"]
        "#,
        &[
            ("a", r#"{"x":{"y":[0,{"z":5}],"n":null,"w":7},"q.r":6,"s t":[8,9]}"#, &["m | a=5.0 b=6.0 c=8.0 d=7.0"]),
            ("a", r#"{"x":{"y":{"1":{"z":5}}},"q":{"r":6},"s t":8}"#, &["ignored empty"]),
            ("a", r#"[1,2]"#, &["ignored empty"]),
            // Of a key that comes twice, the last value counts.
            ("a", r#"{"q.r":1,"q.r":2}"#, &["m | b=2.0"]),
        ],
    );
}

#[test]
fn an_array_gives_a_row_an_element() {
    check(
        r#"
        [mapping.m]
        topic = "a/{dev}"
        rows = "readings[{i}]"
        time = "$.ts"
        tags = { unit = "u", gw = "$.gw" }
        fields = { v = {}, other = "$.others[{i}]", same = "$.readings[].w" }
        "#,
        &[
            (
                "a/1",
                r#"{"gw":"g","ts":1700000000,"others":[5,6],"readings":[{"v":1,"u":"A","w":9},{"v":2}]}"#,
                &[
                    "m dev=1 i=0 unit=A gw=g | v=1.0 other=5.0 same=9.0 @ 2023-11-14T22:13:20Z",
                    "m dev=1 i=1 gw=g | v=2.0 other=6.0 @ 2023-11-14T22:13:20Z",
                ],
            ),
            ("a/1", r#"{"readings":[]}"#, &["ignored empty"]),
            ("a/1", r#"{"readings":{"v":1}}"#, &["ignored empty"]),
            (
                "a/1",
                r#"{"readings":[{"v":1},{"v":"x"},{"v":"y"}]}"#,
                &[
                    "m dev=1 i=0 | v=1.0 @ absent",
                    "!field: field `v` at `$.readings[1].v` got \"x\", which is no number: add `type`, or `words` (and 1 more rows)",
                ],
            ),
        ],
    );
}

#[test]
fn a_top_level_array_and_nested_ones_are_rows() {
    check(
        "[mapping.m]\ntopic = \"a\"\nrows = \"[]\"\nfields = [\"v\"]",
        &[("a", r#"[{"v":1},{"w":1},{"v":2}]"#, &["m | v=1.0", "m | v=2.0"])],
    );
    check(
        "[mapping.m]\ntopic = \"a\"\nrows = \"a[{i}].b[{j}]\"\nfields = { v = \".\", k = \"$.a[].k\" }",
        &[(
            "a",
            r#"{"a":[{"k":7,"b":[1,2]},{"b":[3]}]}"#,
            &["m i=0 j=0 | v=1.0 k=7.0", "m i=0 j=1 | v=2.0 k=7.0", "m i=1 j=0 | v=3.0"],
        )],
    );
}

#[test]
fn members_are_rows_and_their_names_tags() {
    check(
        r#"
        [mapping.m]
        topic = "tele/{device}/SENSOR"
        rows = ["{sensor}", "StatusSNS.{sensor}"]
        when = { sensor = ["BME280*", "DS18B20*"] }
        fields = { temperature = "Temperature" }
        "#,
        &[
            (
                "tele/a/SENSOR",
                r#"{"Time":"x","BME280":{"Temperature":1},"DS18B20-1":{"Temperature":2},"AM2301":{"Temperature":3}}"#,
                &["m device=a sensor=BME280 | temperature=1.0", "m device=a sensor=DS18B20-1 | temperature=2.0"],
            ),
            (
                "tele/a/SENSOR",
                r#"{"StatusSNS":{"BME280":{"Temperature":1}}}"#,
                &["m device=a sensor=BME280 | temperature=1.0"],
            ),
            ("tele/a/SENSOR", r#"{"AM2301":{"Temperature":3}}"#, &["ignored unmapped"]),
            ("tele/a/SENSOR", r#"{"BME280":{"Temperature":null}}"#, &["ignored empty"]),
            ("tele/a/SENSOR", r#"{"BME280":"#, &["rejected payload: …"]),
        ],
    );
    check(
        "[mapping.m]\ntopic = \"a\"\nrows = \"leak{n}\"\nfields = { wet = { path = \".\", type = \"bool\" } }",
        &[("a", r#"{"leak1":true,"leak2":0,"leak":1,"x":1}"#, &["m n=1 | wet=true", "m n=2 | wet=false"])],
    );
}

#[test]
fn a_capture_that_the_topic_lacks_is_caught_in_the_rows() {
    check(
        r#"
        [mapping.m]
        topic = ["{device}/status/switch:{n}", "{device}/events"]
        rows = ["params.switch:{n}", "."]
        fields = ["power"]
        "#,
        &[
            ("a/status/switch:1", r#"{"power":5}"#, &["m device=a n=1 | power=5.0"]),
            (
                "a/events",
                r#"{"params":{"switch:0":{"power":6},"ts":1,"switch:2":{"power":7}}}"#,
                &["m device=a n=0 | power=6.0", "m device=a n=2 | power=7.0"],
            ),
            // What the topic says is not caught anew.
            ("a/status/switch:1", r#"{"params":{"switch:0":{"power":6}},"power":5}"#, &["m device=a n=1 | power=5.0"]),
            ("a/events", r#"{"params":{"cloud":{"power":6}}}"#, &["ignored empty"]),
        ],
    );
}

#[test]
fn a_tag_is_the_first_of_its_sources_that_holds_a_value() {
    check(
        r#"
        [mapping.m]
        topic = "n/{driver}"
        rows = ["values.{tag}", "tags[]"]
        tags = { tag = ["{tag}", "id", "name"], unit = { path = ["u", "$.unit"], words = { c = "°C" } } }
        fields = { value = ["value", "."] }
        "#,
        &[
            (
                "n/d",
                r#"{"values":{"t1":1,"t2":2}}"#,
                &["m driver=d tag=t1 | value=1.0", "m driver=d tag=t2 | value=2.0"],
            ),
            (
                "n/d",
                r#"{"unit":"c","tags":[{"name":"t1","id":7,"value":1,"u":"K"},{"name":"t2","id":null,"value":2}]}"#,
                &["m driver=d tag=7 unit=K | value=1.0", "m driver=d tag=t2 unit=°C | value=2.0"],
            ),
            ("n/d", r#"{"tags":[{"value":1}]}"#, &["m driver=d | value=1.0"]),
            ("n/d", r#"{"tags":[{"id":{"a":1},"name":"x","value":1}]}"#, &["m driver=d tag=x | value=1.0"]),
            ("n/d", r#"{"tags":[{"id":{"a":1},"value":1}]}"#, &["rejected tag: tag `tag` at `$.tags[0].id`…"]),
        ],
    );
}

#[test]
fn when_is_presence_or_one_of_some_values() {
    check(
        r#"
        [mapping.m]
        topic = "a/{x}"
        when = { "$.kind" = ["reading", 2], n.ok = true }
        fields = ["v"]
        "#,
        &[
            ("a/1", r#"{"v":1,"kind":"Reading","n":{"ok":true}}"#, &["m x=1 | v=1.0"]),
            ("a/1", r#"{"v":1,"kind":2.0,"n":{"ok":"TRUE"}}"#, &["m x=1 | v=1.0"]),
            ("a/1", r#"{"v":1,"kind":"x","n":{"ok":true}}"#, &["ignored unmapped"]),
            ("a/1", r#"{"v":1,"kind":"reading"}"#, &["ignored unmapped"]),
            ("a/1", "{", &["rejected payload: …"]),
        ],
    );
    check(
        "[mapping.m]\ntopic = \"a\"\nwhen = \"ok\"\nfields = [\"v\"]",
        &[
            ("a", r#"{"v":1,"ok":{}}"#, &["m | v=1.0"]),
            ("a", r#"{"v":1,"ok":null}"#, &["ignored unmapped"]),
            ("a", r#"{"v":1}"#, &["ignored unmapped"]),
        ],
    );
    check(
        "[mapping.m]\ntopic = \"a/{x}\"\nwhen = { x = \"k*\" }\nfields = [\"v\"]",
        &[("a/kitchen", "{", &["rejected payload: …"]), ("a/bath", "{", &["ignored unmapped"])],
    );
}

#[test]
fn a_pivot_makes_fields_of_topic_levels() {
    check(
        r#"
        [mapping.m]
        topic = "inv/{device}/{name#}"
        pivot = "{name}"
        [mapping.m.fields]
        power = "dc/power"
        yield = { path = "YieldDay" }
        state = { type = "text" }
        deep = "obj.x"
        "#,
        &[
            ("inv/a/dc/power", "71.0", &["m device=a | power=71.0"]),
            ("inv/a/YieldDay", "5", &["m device=a | yield=5.0"]),
            ("inv/a/state", "running", &["m device=a | state=\"running\""]),
            ("inv/a/obj", r#"{"x":3}"#, &["m device=a | deep=3.0"]),
            ("inv/a/unlisted", "5", &["ignored empty"]),
            ("inv/a/dc/power", "high", &["rejected field: field `power` at `$` got \"high\"…"]),
        ],
    );
}

#[test]
fn a_pivot_makes_fields_of_pairs_and_joins_them() {
    check(
        r#"
        [mapping.m]
        topic = "gw/{gw}"
        rows = "values[]"
        pivot = { name = "id", value = "v" }
        time = "t"
        fields = { temp = "Room.Temp", hum = "Hum" }
        "#,
        &[(
            "gw/1",
            r#"{"values":[{"id":"Hum","v":5,"t":1700000000},{"id":"Hum","v":6,"t":1700000000},{"id":"Other","v":1}]}"#,
            &["m gw=1 | hum=5.0 @ 2023-11-14T22:13:20Z", "m gw=1 | hum=6.0 @ 2023-11-14T22:13:20Z"],
        )],
    );
    check(
        r#"
        [mapping.m]
        topic = "gw/{gw}"
        rows = "values[]"
        pivot = { name = "id", value = "v" }
        fields = { temp = "'Room.Temp'", hum = "Hum" }
        "#,
        &[("gw/1", r#"{"values":[{"id":"Hum","v":5},{"id":"Room.Temp","v":6}]}"#, &["m gw=1 | temp=6.0 hum=5.0"])],
    );
    check(
        r#"
        [mapping.m]
        topic = "dsmr/{_q}"
        pivot = { name = "{_q}", value = "{_q}" }
        fields = ["power", "gas"]
        "#,
        &[("dsmr/power", r#"{"power":1.23,"unit":"kW"}"#, &["m | power=1.23"])],
    );
    check(
        "[mapping.m]\ntopic = \"a\"\nrows = \"{q}.{_t}\"\npivot = \"{q}\"\nfields = { dc = \"DC Power\", volt = \"DC Voltage\" }\ntags = { tracker = \"{_t}\" }",
        &[(
            "a",
            r#"{"DC Power":{"T1":1,"T2":2},"DC Voltage":{"T1":3,"T2":4},"x":5}"#,
            &["m tracker=T1 | dc=1.0 volt=3.0", "m tracker=T2 | dc=2.0 volt=4.0"],
        )],
    );
}

#[test]
fn a_pivot_makes_fields_of_parallel_arrays() {
    check(
        r#"
        [mapping.m]
        topic = "a"
        rows = "*[]"
        pivot = { name = "names", value = "values" }
        fields = { temp = {}, hum = "h", x = "pos.x" }
        "#,
        &[(
            "a",
            r#"{"names":["temp","h","pos","other"],"values":[21.5,40,{"x":3},5]}"#,
            &["m | temp=21.5 hum=40.0 x=3.0"],
        )],
    );
}

#[test]
fn more_rows_than_a_message_may_give_are_a_reject() {
    let mapping = mapping("[mapping.m]\ntopic = \"a\"\nrows = \"[]\"\nfields = { v = \".\" }");
    let payload = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    assert_eq!(lines(&mapping, &message("a", payload(10_000))).len(), 10_000);
    let lines = lines(&mapping, &message("a", payload(10_001)));
    assert_eq!(lines, ["rejected too_many_rows: more than 10000 rows in `rows` `[]`"]);
}

#[test]
fn parallel_arrays_are_zipped() {
    check(
        r#"
        [mapping.m]
        topic = "a/{x}"
        rows = "hourly.*[]"
        time = "at"
        fields = { t = "temp", h = {}, n = "wind.speed", first = "$.hourly.temp[0]", site = { path = "$.site", type = "text" } }
        "#,
        &[
            (
                "a/1",
                r#"{"site":"n","hourly":{"at":[1700000000,1700003600],"temp":[1,2],"h":[5],"wind":[{"speed":7},{}],"other":[1,2,3]}}"#,
                &[
                    "m x=1 | t=1.0 h=5.0 n=7.0 first=1.0 site=\"n\" @ 2023-11-14T22:13:20Z",
                    "m x=1 | t=2.0 first=1.0 site=\"n\" @ 2023-11-14T23:13:20Z",
                ],
            ),
            ("a/1", r#"{"hourly":{"temp":[]}}"#, &["ignored empty"]),
            ("a/1", r#"{"hourly":[1]}"#, &["ignored empty"]),
            ("a/1", r#"{"hourly":{"temp":["x"]}}"#, &["rejected field: field `t` at `$.hourly.*[0].temp` got \"x\"…"]),
        ],
    );
    check(
        "[mapping.m]\ntopic = \"a\"\nrows = \"*[{i}]\"\nfields = [\"v\"]",
        &[("a", r#"{"v":[1,null,3]}"#, &["m i=0 | v=1.0", "m i=2 | v=3.0"])],
    );
}

#[test]
fn keys_in_a_report_are_fit_for_a_store_and_a_terminal() {
    let mapping = mapping("[mapping.m]\ntopic = \"a\"\nrows = \"{k}\"\nfields = [\"v\"]");
    let payload = format!(r#"{{"\u0000\u001b{}":{{"v":"x"}}}}"#, "y".repeat(1_000));
    let lines = lines(&mapping, &message("a", payload));
    assert!(!lines[0].contains(['\0', '\u{1b}']) && lines[0].len() < 300, "{lines:?}");
}

#[test]
fn a_value_of_the_payload_keeps_no_elements_of_a_pivot_apart() {
    check(
        r#"
        [mapping.m]
        topic = "a"
        rows = "values[]"
        pivot = { name = "id", value = "v" }
        fields = { p = "P", q = "Q", mode = { path = "$.mode", type = "text" } }
        "#,
        &[
            (
                "a",
                r#"{"mode": "auto", "values": [{"id": "P", "v": 1}, {"id": "Q", "v": 2}]}"#,
                &["m | p=1.0 q=2.0 mode=\"auto\""],
            ),
            // Two readings of one name are two, also if they are equal.
            (
                "a",
                r#"{"mode": "auto", "values": [{"id": "P", "v": 1}, {"id": "P", "v": 1}]}"#,
                &["m | p=1.0 mode=\"auto\"", "m | p=1.0 mode=\"auto\""],
            ),
            ("a", r#"{"values": [{"id": "P", "v": 1}, {"id": "Q", "v": 2}]}"#, &["m | p=1.0 q=2.0"]),
        ],
    );
}

/// A value that each row has once more makes rows that are ten thousand times their payload.
#[test]
fn the_rows_of_one_message_are_bounded_by_their_size_too() {
    let mapping = mapping(
        r#"
        [mapping.m]
        topic = "a"
        rows = "r[]"
        fields = { v = { path = "." }, big = { path = "$.big", type = "text" } }
        [mapping.n]
        topic = "a"
        fields = { big = { type = "text" } }
        "#,
    );
    let payload = |count: usize, bytes: usize| {
        format!(r#"{{"big":"{}","r":[{}]}}"#, "x".repeat(bytes), vec!["1"; count].join(","))
    };
    let of = |payload: &str, name: &str| {
        let told = lines(&mapping, &message("a", payload));
        told.into_iter().filter(|line| line.starts_with(name)).count()
    };
    assert_eq!(of(&payload(80, 100_000), "m "), 80);
    let told = lines(&mapping, &message("a", payload(9_999, 100_000)));
    assert_eq!(told.iter().filter(|line| line.starts_with("m ")).count(), 0);
    assert_eq!(told.iter().filter(|line| line.starts_with("n ")).count(), 1);
    let rejects: Vec<&String> = told.iter().filter(|line| line.starts_with('!')).collect();
    assert_eq!(
        rejects,
        [
            "!too_large: the first 84 rows of `rows` `r[]` fill the 8 MiB that the rows of one message may have: a long value \
             that each of them repeats belongs into a mapping of its own"
        ]
    );
    // One row is as large as its payload, whose bound is the broker's.
    assert_eq!(of(&payload(1, 9 << 20), "m "), 1);
}
