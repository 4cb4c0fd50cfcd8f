use super::*;

/// One field `v` of a payload `{"v": …}`.
fn field(table: &str, cases: &[(&str, &[&str])]) {
    let toml = format!("[mapping.m]\ntopic = \"a\"\nfields = {{ v = {table}, w = {{ type = \"int\" }} }}");
    let mapping = mapping(&toml);
    for (json, expected) in cases {
        let lines = lines(&mapping, &message("a", format!(r#"{{"v": {json}}}"#)));
        let equal = lines.len() == expected.len()
            && lines.iter().zip(*expected).all(|(line, expected)| line.starts_with(expected));
        assert!(equal, "{table} on {json}\n   got {lines:?}\nwanted {expected:?}");
    }
}

#[test]
fn floats_are_numbers_or_texts_that_are() {
    field(
        "{}",
        &[
            ("21.5", &["m | v=21.5"]),
            ("\" 21.5 \"", &["m | v=21.5"]),
            ("\"1e3\"", &["m | v=1000.0"]),
            ("0.1", &["m | v=0.1"]),
            ("123456789012345678901234567890", &["m | v=1.2345678901234568e29"]),
            ("null", &["ignored empty"]),
            ("\"\"", &["ignored empty"]),
            ("\" \"", &["ignored empty"]),
            ("\"N/A\"", &["ignored empty"]),
            ("\"Unavailable\"", &["ignored empty"]),
            ("\"nan\"", &["ignored empty"]),
            ("\"ON\"", &["rejected field: field `v` at `$.v` got \"ON\", which is no number: add `type`"]),
            ("\"-\"", &["rejected field: field `v` at `$.v` got \"-\", which is no number: list it in `missing`"]),
            (
                "\" 12,5\"",
                &[
                    "rejected field: field `v` at `$.v` got \" 12,5\", and a decimal comma is not read: let the device, or",
                ],
            ),
            ("\"1,234,5\"", &["rejected field: field `v` at `$.v` got \"1,234,5\", which is no number: add `type`"]),
            ("true", &["rejected field: field `v` at `$.v` got true, which is no number: add `type = \"bool\"`"]),
            ("\"inf\"", &["rejected field: "]),
            (
                "\"21.5 °C\"",
                &["rejected field: field `v` at `$.v` got \"21.5 °C\", which is no number: add `pattern = \"{} °C\"`"],
            ),
            ("\"21,5\"", &["rejected field: field `v` at `$.v` got \"21,5\", and a decimal comma is not read"]),
            ("[1]", &["rejected field: field `v` at `$.v` got an array"]),
            ("{\"a\":1}", &["rejected field: field `v` at `$.v` got an object"]),
            ("1e400", &["rejected unstorable: field `v` at `$.v` got 1e400"]),
            ("\"-1e400\"", &["rejected unstorable: "]),
        ],
    );
}

#[test]
fn ints_are_exact_to_64_bits() {
    field(
        "{ type = \"int\" }",
        &[
            ("9223372036854775807", &["m | v=9223372036854775807"]),
            ("-9223372036854775808", &["m | v=-9223372036854775808"]),
            (
                "9223372036854775808",
                &["rejected unstorable: field `v` at `$.v` got 9223372036854775808: beyond 64 bits"],
            ),
            ("3.0", &["m | v=3"]),
            ("1e3", &["m | v=1000"]),
            ("\"42\"", &["m | v=42"]),
            ("1.5", &["rejected field: field `v` at `$.v` got 1.5, which is no whole number"]),
            ("1e40", &["rejected unstorable: "]),
        ],
    );
}

#[test]
fn bools_understand_words_and_the_numbers_0_and_1() {
    field(
        "{ type = \"bool\" }",
        &[
            ("true", &["m | v=true"]),
            ("\"ON\"", &["m | v=true"]),
            ("\"offline\"", &["m | v=false"]),
            ("\"Closed\"", &["m | v=false"]),
            ("1", &["m | v=true"]),
            ("\"0\"", &["m | v=false"]),
            ("2", &["rejected field: field `v` at `$.v` got 2, which is no bool: add `words`"]),
            ("\"maybe\"", &["rejected field: "]),
            ("\"unknown\"", &["ignored empty"]),
        ],
    );
}

#[test]
fn text_keeps_digits_as_sent() {
    field(
        "{ type = \"text\" }",
        &[
            ("3", &["m | v=\"3\""]),
            ("2019.10", &["m | v=\"2019.10\""]),
            ("\"unknown\"", &["m | v=\"unknown\""]),
            ("\" x \"", &["m | v=\" x \""]),
            ("\"\"", &["ignored empty"]),
            ("\"a\\nb\\u00e9\\ud83d\\ude00\"", &["m | v=\"a\\nbé😀\""]),
            ("true", &["m | v=\"true\""]),
            ("\"a\\u0000b\"", &["rejected unstorable: field `v` at `$.v` got a text with a NUL character at byte 1"]),
            ("\"\\ud800\"", &["rejected unstorable: field `v` at `$.v` got a text with a lone surrogate"]),
            ("[1]", &["rejected field: "]),
        ],
    );
}

#[test]
fn json_is_kept_as_sent_unless_no_store_takes_it() {
    field(
        "{ type = \"json\" }",
        &[
            (r#"{"a": [1.10, "x"]}"#, &[r#"m | v={"a": [1.10, "x"]}"#]),
            ("[]", &["m | v=[]"]),
            ("\"x\"", &["m | v=\"x\""]),
            ("null", &["ignored empty"]),
            (r#"["\u0000"]"#, &["rejected unstorable: field `v` at `$.v` got JSON with `\\u0000`"]),
            (r#"["\ud800"]"#, &["rejected unstorable: "]),
        ],
    );
}

#[test]
fn times_are_fields_too() {
    field(
        "{ type = \"time\" }",
        &[
            ("1661461942", &["m | v=2022-08-25T21:12:22Z"]),
            ("\"2022-08-25T21:12:53.828332832Z\"", &["m | v=2022-08-25T21:12:53.828332Z"]),
            ("\"soon\"", &["rejected field: "]),
            (
                "\"2022-08-25T21:12:53\"",
                &["rejected field: field `v` at `$.v` got \"2022-08-25T21:12:53\", which bears no zone"],
            ),
            ("1e30", &["rejected unstorable: "]),
        ],
    );
}

#[test]
fn words_imply_the_type_and_come_before_all_else() {
    field(
        "{ words = { OK = true, LOW = false, 2 = true } }",
        &[("\"ok\"", &["m | v=true"]), ("2", &["m | v=true"]), ("2.0", &["m | v=true"]), ("\"on\"", &["m | v=true"])],
    );
    field("{ words = { L = 0, H = 1 } }", &[("\"h\"", &["m | v=1"]), ("7", &["m | v=7"])]);
    field("{ words = { L = 0, H = 1.5 } }", &[("\"l\"", &["m | v=0.0"]), ("7", &["m | v=7.0"])]);
    field(
        "{ type = \"float\", words = { OFF = 0, unknown = -1 } }",
        &[("\"off\"", &["m | v=0.0"]), ("\"Unknown\"", &["m | v=-1.0"])],
    );
    field("{ words = { bz = \"bath\" } }", &[("\"BZ\"", &["m | v=\"bath\""]), ("\"other\"", &["m | v=\"other\""])]);
}

#[test]
fn missing_values_are_absent() {
    field(
        "{ missing = [327.67, \"none\"] }",
        &[
            ("327.67", &["ignored empty"]),
            ("\"327.670\"", &["ignored empty"]),
            ("\"None\"", &["ignored empty"]),
            ("327.6", &["m | v=327.6"]),
        ],
    );
    field(
        "{ type = \"text\", missing = [\"none\"] }",
        &[("\"None\"", &["ignored empty"]), ("\"N/A\"", &["m | v=\"N/A\""])],
    );
}

#[test]
fn scale_offset_and_range_are_applied_in_this_order() {
    field(
        "{ scale = 0.1 }",
        &[("207", &["m | v=20.7"]), ("\"3\"", &["m | v=0.3"]), ("1e400", &["rejected unstorable: "])],
    );
    field("{ scale = 1.8, offset = 32 }", &[("100", &["m | v=212.0"])]);
    field("{ type = \"int\", scale = 1000 }", &[("1.5", &["m | v=1500"]), ("0.0001", &["rejected field: "])]);
    field("{ min = 0, max = 100 }", &[("101", &["m | v=101.0"])]);
    field("{ min = 0, max = 100, range = \"missing\" }", &[("101", &["ignored empty"]), ("100", &["m | v=100.0"])]);
    field(
        "{ scale = 10, max = 100, range = \"reject\" }",
        &[("11", &["rejected field: field `v` at `$.v` got 110, above `max` 100"])],
    );
}

#[test]
fn a_text_in_hex_is_a_number_or_the_bytes_of_a_text() {
    field(
        "{ decode = \"hex\" }",
        &[
            ("\"0A\"", &["m | v=10.0"]),
            ("\" 0x0a \"", &["m | v=10.0"]),
            ("\"#ff\"", &["m | v=255.0"]),
            // A number of JSON is taken by its digits: 12e4 is as good hex as any.
            ("10", &["m | v=16.0"]),
            ("12e4", &["m | v=4836.0"]),
            ("\"10000000000000000\"", &["m | v=1.8446744073709552e19"]),
            ("\"unknown\"", &["ignored empty"]),
            ("\"\"", &["ignored empty"]),
            ("\"-1\"", &["rejected field: field `v` at `$.v` got \"-1\", which is no hex"]),
            ("\"--\"", &["rejected field: field `v` at `$.v` got \"--\", which is no hex: list it in `missing`"]),
            ("\"0x\"", &["rejected field: "]),
            ("true", &["rejected field: field `v` at `$.v` got true, which is no hex"]),
            ("[1]", &["rejected field: field `v` at `$.v` got an array"]),
            ("\"100000000000000000000000000000000\"", &["rejected unstorable: "]),
        ],
    );
    field(
        "{ type = \"int\", decode = \"hex\", missing = [0xFFFF], words = { 254 = -2 } }",
        &[
            ("\"7fffffffffffffff\"", &["m | v=9223372036854775807"]),
            (
                "\"8000000000000000\"",
                &["rejected unstorable: field `v` at `$.v` got \"9223372036854775808\": beyond 64"],
            ),
            ("\"10000000000000000\"", &["rejected unstorable: "]),
            ("\"ffff\"", &["ignored empty"]),
            ("\"0xFE\"", &["m | v=-2"]),
        ],
    );
    field("{ decode = \"hex\", scale = 0.01, offset = -40 }", &[("\"0fa0\"", &["m | v=0.0"])]);
    field("{ type = \"bool\", decode = \"hex\" }", &[("\"01\"", &["m | v=true"]), ("\"02\"", &["rejected field: "])]);
    for table in ["{ decode = \"hex\", words = W }", "{ type = \"text\", decode = \"hex\", words = W }"] {
        field(
            &table.replace('W', "{ 0x0A = \"alarm\", 16 = \"idle\", off = \"off\" }"),
            &[
                ("\"0A\"", &["m | v=\"alarm\""]),
                ("\"#a\"", &["m | v=\"alarm\""]),
                ("10", &["m | v=\"idle\""]),
                ("\"OFF\"", &["m | v=\"off\""]),
                // Without a word it stays as it was sent, also where its digits are those of one in decimal.
                ("\"0B\"", &["m | v=\"0B\""]),
                ("\"16\"", &["m | v=\"16\""]),
                ("\"ffffffffffffffffffffffffffffffffffff\"", &["m | v=\"ffffffffffffffffffffffffffffffffffff\""]),
                ("\"zz\"", &["rejected field: field `v` at `$.v` got \"zz\", which is no hex"]),
                ("\"\"", &["ignored empty"]),
            ],
        );
    }
    field(
        "{ decode = \"hex\", words = { 0xfe = -2 }, missing = [\"0xFF\"] }",
        &[("\"fe\"", &["m | v=-2"]), ("\"ff\"", &["ignored empty"]), ("\"fd\"", &["m | v=253"])],
    );
    field(
        "{ type = \"text\", decode = \"hex\" }",
        &[
            ("\"48c3A9\"", &["m | v=\"Hé\""]),
            ("48", &["m | v=\"H\""]),
            ("\"486\"", &["rejected field: field `v` at `$.v` got \"486\", which is no hex"]),
            ("\"48ff\"", &["rejected field: field `v` at `$.v` got \"48ff\", whose bytes are not UTF-8 from number 1"]),
            ("\"4800\"", &["rejected unstorable: field `v` at `$.v` got a text with a NUL character at byte 1"]),
            ("\"\"", &["ignored empty"]),
        ],
    );
}

#[test]
fn base64_is_read_as_the_type_says() {
    field(
        "{ decode = \"base64\" }",
        &[
            ("\"MjEuNQ==\"", &["m | v=21.5"]),
            ("\"MjEuNQ\"", &["m | v=21.5"]),
            ("\"dW5rbm93bg==\"", &["ignored empty"]),
            ("\"unknown\"", &["ignored empty"]),
            ("\"b24=\"", &["rejected field: field `v` at `$.v` got \"on\", which is no number"]),
            ("\"MjEuNQ= \"", &["m | v=21.5"]),
            ("\"M\"", &["rejected field: field `v` at `$.v` got \"M\", which is no base64"]),
        ],
    );
    field("{ decode = \"base64\", words = { b = true, c = false } }", &[("\"Yg==\"", &["m | v=true"])]);
    field("{ type = \"bool\", decode = \"base64\" }", &[("\"b24=\"", &["m | v=true"])]);
    field("{ type = \"text\", decode = \"base64\" }", &[("\"w6k_\"", &["m | v=\"é?\""])]);
    field(
        "{ type = \"json\", decode = \"base64\" }",
        &[
            // {"a": 1.10}
            ("\"eyJhIjogMS4xMH0=\"", &["m | v={\"a\": 1.10}"]),
            ("\"bnVsbA==\"", &["ignored empty"]),
            ("\"\"", &["ignored empty"]),
            // {"a"
            ("\"eyJhIg==\"", &["rejected field: field `v` at `$.v` got \"{\\\"a\\\"\", which is no JSON: EOF"]),
            // "\u0000"
            ("\"Ilx1MDAwMCI=\"", &["rejected unstorable: field `v` at `$.v` got JSON with `\\u0000`"]),
        ],
    );
    let deep = format!("\"{}\"", data_encoding::BASE64.encode(&[b'['; 200_000]));
    field("{ type = \"json\", decode = \"base64\" }", &[(&deep, &["rejected field: field `v` at `$.v` got \"[[[[["])]);
}

#[test]
fn a_duration_is_read_in_seconds() {
    field(
        "{ decode = \"duration\" }",
        &[
            ("\"1T02:03:04\"", &["m | v=93784.0"]),
            ("\"-00:00:01.5\"", &["m | v=-1.5"]),
            ("90", &["m | v=90.0"]),
            ("\"N/A\"", &["ignored empty"]),
            ("\"soon\"", &["rejected field: field `v` at `$.v` got \"soon\", which is no duration (`1T02:03:04`"]),
            ("\"02:03\"", &["rejected field: "]),
            ("\"P1M\"", &["rejected field: "]),
        ],
    );
    field(
        "{ type = \"int\", decode = \"duration\", words = { never = -1 } }",
        &[
            ("\"1d 2h\"", &["m | v=93600"]),
            ("\"Never\"", &["m | v=-1"]),
            ("\"1.5s\"", &["rejected field: field `v` at `$.v` got \"1.5\", which is no whole number"]),
        ],
    );
    field("{ decode = \"duration\", scale = 1000, unit = \"ms\" }", &[("\"PT0.25S\"", &["m | v=250.0"])]);
}

#[test]
fn the_unit_of_a_duration_is_the_second_unless_it_is_scaled() {
    let mapping = mapping(
        "[mapping.m]\ntopic = \"a\"\n[mapping.m.fields]\na = { decode = \"duration\" }\n\
         b = { decode = \"duration\", unit = \"seconds\" }\nc = { decode = \"duration\", scale = 1000 }\nd = {}",
    );
    let units: Vec<Option<&str>> =
        mapping.schema().measurements[0].fields.iter().map(|field| field.unit.as_deref()).collect();
    assert_eq!(units, [Some("s"), Some("seconds"), None, None]);
}

#[test]
fn a_pattern_takes_the_value_out_of_a_text() {
    field(
        "{ pattern = \"{} seconds\", scale = 0.5, missing = [-1, \"no answer\"], max = 100, range = \"missing\" }",
        &[
            ("\"12 seconds\"", &["m | v=6.0"]),
            ("\"-1 seconds\"", &["ignored empty"]),
            ("\"No answer\"", &["ignored empty"]),
            ("\"unknown\"", &["ignored empty"]),
            ("\"nan seconds\"", &["ignored empty"]),
            ("\"300 seconds\"", &["ignored empty"]),
            (
                "\"12 s\"",
                &["rejected field: field `v` at `$.v` got \"12 s\", which does not fit `pattern` \"{} seconds\""],
            ),
            ("\"x seconds\"", &["rejected field: field `v` at `$.v` got \"x\", which is no number"]),
            ("12", &["rejected field: field `v` at `$.v` got 12, which does not fit"]),
            ("[1]", &["rejected field: field `v` at `$.v` got an array"]),
        ],
    );
    field(
        "{ pattern = \"state={};*\", words = { up = true, down = false } }",
        &[("\"state=Up;since=3\"", &["m | v=true"]), ("\"state=off;\"", &["m | v=false"])],
    );
    field("{ type = \"text\", pattern = \"v{}\" }", &[("\"v1.2\"", &["m | v=\"1.2\""])]);
    field("{ type = \"time\", pattern = \"at {}\" }", &[("\"at 1661461942\"", &["m | v=2022-08-25T21:12:22Z"])]);
    // {} C, from base64
    field("{ decode = \"base64\", pattern = \"{} C\" }", &[("\"MjEuNSBD\"", &["m | v=21.5"])]);
}

#[test]
fn a_bit_of_a_whole_number_is_a_bool() {
    field(
        "{ bit = 3 }",
        &[
            ("8", &["m | v=true"]),
            ("\"7\"", &["m | v=false"]),
            ("1e3", &["m | v=true"]),
            ("-1", &["m | v=true"]),
            ("-16", &["m | v=false"]),
            ("null", &["ignored empty"]),
            ("1.5", &["rejected field: field `v` at `$.v` got 1.5, which is no whole number of 64 bits"]),
            ("18446744073709551616", &["rejected field: "]),
            ("true", &["rejected field: field `v` at `$.v` got true, which is no whole number"]),
            ("\"on\"", &["rejected field: "]),
        ],
    );
    field("{ bit = 0, type = \"bool\" }", &[("3", &["m | v=true"]), ("2", &["m | v=false"])]);
    field("{ bit = 63 }", &[("18446744073709551615", &["m | v=true"]), ("9223372036854775807", &["m | v=false"])]);
    field("{ bit = 4, decode = \"hex\" }", &[("\"0x10\"", &["m | v=true"]), ("\"ef\"", &["m | v=false"])]);
    field("{ bit = 1, pattern = \"flags {}\" }", &[("\"flags 2\"", &["m | v=true"])]);
    field("{ bit = 1, words = { dead = false } }", &[("\"Dead\"", &["m | v=false"]), ("2", &["m | v=true"])]);
}

#[test]
fn one_unreadable_field_among_good_ones_is_dropped_and_a_required_one_rejects() {
    check(
        "[mapping.m]\ntopic = \"a\"\nfields = { a = {}, b = {}, c = { required = true } }",
        &[
            ("a", r#"{"a":1,"b":"x","c":2}"#, &["m | a=1.0 c=2.0", "-b"]),
            ("a", r#"{"a":1}"#, &["rejected field: field `c` is required and has no value"]),
            ("a", r#"{"a":1,"c":"x"}"#, &["rejected field: field `c` at `$.c` got \"x\"…"]),
            ("a", r#"{}"#, &["rejected field: field `c` is required and has no value"]),
            ("a", r#"{"a":"x","b":"x"}"#, &["rejected field: field `a` at `$.a` got \"x\"…"]),
        ],
    );
}

#[test]
fn a_number_beyond_every_type_where_an_object_was_looked_for_harms_no_other_field() {
    check(
        "[mapping.m]\ntopic = \"a\"\nfields = { wind = \"wind.speed\", t = {}, deep = \"o.p.q\" }",
        &[
            ("a", r#"{"wind":1e400,"t":5}"#, &["m | t=5.0"]),
            ("a", r#"{"o":{"p":1e400},"wind":{"speed":3},"t":5}"#, &["m | wind=3.0 t=5.0"]),
            ("a", r#"{"o":{"p":{"q":7}},"wind":1e400}"#, &["m | deep=7.0"]),
        ],
    );
}

#[test]
fn tags_come_from_captures_paths_templates_and_constants() {
    check(
        r#"
        [mapping.m]
        topic = "a/{room}/{n}/{gone}"
        fields = ["v"]
        [mapping.m.tags]
        room = { words = { bz = "bath" } }
        id = "ids.eui"
        name = "{room}-{n}"
        site = { value = "north" }
        model = { path = "model", words = { x1 = "X One" } }
        gone = false
        "#,
        &[
            (
                "a/BZ/3/q",
                r#"{"v":1,"ids":{"eui":17},"model":"X1"}"#,
                &["m room=bath n=3 id=17 name=BZ-3 site=north model=X One | v=1.0"],
            ),
            ("a/wc/3/q", r#"{"v":1,"ids":null}"#, &["m room=wc n=3 name=wc-3 site=north | v=1.0"]),
            (
                "a/wc/3/q",
                r#"{"v":1,"ids":{"eui":[7]}}"#,
                &["rejected tag: tag `id` at `$.ids.eui` got an array, which is no text"],
            ),
            ("a/wc/3/q", r#"{"v":1,"model":"\u0000"}"#, &["rejected unstorable: tag `model` holds a NUL character"]),
        ],
    );
    let long = "x".repeat(256);
    check(
        "[mapping.m]\ntopic = \"a/{x}\"\nfields = [\"v\"]",
        &[(&format!("a/{long}"), r#"{"v":1}"#, &["rejected tag: tag `x` has 256 bytes, 255 is the most"])],
    );
    check(
        "[mapping.m]\ntopic = \"a\"\ntags = { id = { path = \"id\", required = true } }\nfields = [\"v\"]",
        &[("a", r#"{"v":1,"id":""}"#, &["rejected tag: tag `id` is required and has no value"])],
    );
}
