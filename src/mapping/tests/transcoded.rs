//! Formats that are read as the JSON they stand for.

use super::*;
use crate::config::mapping::Format;
use crate::mapping::decode::{self, Form};

/// The JSON that a payload stands for, or why it stands for none.
fn json(format: Format, payload: &[u8]) -> String {
    match decode::text(payload, &Form { format, encoding: None }) {
        Ok(text) => text.into_owned(),
        Err(unreadable) => format!("{}: {}", unreadable.reason.word(), unreadable.detail),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}

fn check_bytes(format: &Format, cases: &[(&str, &str)]) {
    for (hex, expected) in cases {
        assert_eq!(json(format.clone(), &bytes(hex)), *expected, "{hex}");
    }
}

#[test]
fn cbor_is_the_json_it_stands_for() {
    check_bytes(
        &Format::Cbor,
        &[
            // RFC 8949, appendix A.
            ("00", "0"),
            ("1bffffffffffffffff", "18446744073709551615"),
            ("3bffffffffffffffff", "-18446744073709551616"),
            ("3863", "-100"),
            ("c249010000000000000000", "18446744073709551616"),
            ("c349010000000000000000", "-18446744073709551617"),
            ("c240", "0"),
            ("c340", "-1"),
            ("c341ff", "-256"),
            ("f93e00", "1.5"),
            ("fa47c35000", "100000.0"),
            ("fb3ff199999999999a", "1.1"),
            ("fb7e37e43c8800759c", "1e+300"),
            ("f97c00", "null"),
            ("fa7fc00000", "null"),
            ("fbfff0000000000000", "null"),
            ("f4", "false"),
            ("f5", "true"),
            ("f6", "null"),
            ("f7", "null"),
            ("f0", "null"),
            ("c074323031332d30332d32315432303a30343a30305a", "\"2013-03-21T20:04:00Z\""),
            ("c11a514b67b0", "1363896240"),
            ("c1fb41d452d9ec200000", "1363896240.5"),
            ("d74401020304", "\"01020304\""),
            ("6161", "\"a\""),
            ("62225c", "\"\\\"\\\\\""),
            ("64f0908591", "\"\u{10151}\""),
            ("8301820203820405", "[1,[2,3],[4,5]]"),
            ("a26161016162820203", "{\"a\":1,\"b\":[2,3]}"),
            ("a201020304", "{\"1\":2,\"3\":4}"),
            ("a3200140f542ff00f6", "{\"-1\":1,\"\":true,\"ff00\":null}"),
            ("5f42010243030405ff", "\"0102030405\""),
            ("7f657374726561646d696e67ff", "\"streaming\""),
            ("9fff", "[]"),
            ("9f018202039f0405ffff", "[1,[2,3],[4,5]]"),
            ("bf61610161629f0203ffff", "{\"a\":1,\"b\":[2,3]}"),
            // Beside it: the digits of 32 bits, and tags that say nothing.
            ("fa41aa6666", "21.3"),
            ("8518fb181818fffa41aa6666fa41aa6666", "[251,24,255,21.3,21.3]"),
            ("d9d9f7c101", "1"),
        ],
    );
}

#[test]
fn cbor_that_is_broken_is_told_with_its_byte() {
    check_bytes(
        &Format::Cbor,
        &[
            ("8201", "payload: is not CBOR: it ends in the middle of what begins at byte 2"),
            ("6361", "payload: is not CBOR: it ends in the middle of what begins at byte 0"),
            ("1c", "payload: is not CBOR: byte 0 cannot be read"),
            ("81ff", "payload: is not CBOR: a break at byte 1 ends nothing"),
            ("bf6161ff", "payload: is not CBOR: a break at byte 3 ends nothing"),
            ("61ff", "payload: is not CBOR: byte 0 cannot be read"),
            ("0102", "payload: has 1 bytes behind its CBOR item, from byte 1 on; one item is read"),
            ("a18001", "payload: has a key at byte 1 that is no text and no number"),
            ("9bffffffffffffffff", "payload: is not CBOR: it ends in the middle of what begins at byte 9"),
            ("5bffffffffffffffff", "payload: is not CBOR: it ends in the middle of what begins at byte 0"),
        ],
    );
    let deep = |levels: usize| [vec![0x81; levels], vec![0]].concat();
    assert_eq!(json(Format::Cbor, &deep(128)).len(), 257);
    assert_eq!(json(Format::Cbor, &deep(129)), "payload: is nested deeper than 128 levels at byte 128");
    let tags = [vec![0xc1; 100_000], vec![5]].concat();
    assert_eq!(json(Format::Cbor, &tags), "5", "tags are no depth");
    let keys = [[0xa1, 0xc1].repeat(200_000), vec![0]].concat();
    assert_eq!(json(Format::Cbor, &keys), "payload: is nested deeper than 128 levels at byte 2");
    let wide = [&[0x5a, 0, 0x40, 0, 0][..], &vec![7; 4 << 20]].concat();
    assert_eq!(
        json(Format::Cbor, &wide),
        "too_large: is more than 4194304 bytes when it is written as JSON, which is the most"
    );
    let long = [&[0xc2, 0x58, 129][..], &[1; 129]].concat();
    assert_eq!(json(Format::Cbor, &long), "payload: has a number of 129 bytes at byte 1; 128 are the most");
}

#[test]
fn messagepack_is_the_json_it_stands_for() {
    check_bytes(
        &Format::MsgPack,
        &[
            ("c0", "null"),
            ("c2", "false"),
            ("c3", "true"),
            ("7f", "127"),
            ("ff", "-1"),
            ("e0", "-32"),
            ("ccff", "255"),
            ("cd0100", "256"),
            ("ce00010000", "65536"),
            ("cfffffffffffffffff", "18446744073709551615"),
            ("d080", "-128"),
            ("d18000", "-32768"),
            ("d280000000", "-2147483648"),
            ("d38000000000000000", "-9223372036854775808"),
            ("ca41aa6666", "21.3"),
            ("cb40354ccccccccccd", "21.3"),
            ("cb7ff8000000000000", "null"),
            ("ca7f800000", "null"),
            ("a0", "\"\""),
            ("a2220a", "\"\\\"\\n\""),
            ("d90161", "\"a\""),
            ("da000161", "\"a\""),
            ("db0000000161", "\"a\""),
            ("c402beef", "\"beef\""),
            ("c50001be", "\"be\""),
            ("c600000001be", "\"be\""),
            ("920102", "[1,2]"),
            ("dc000101", "[1]"),
            ("dd00000000", "[]"),
            ("82a16101a16290", "{\"a\":1,\"b\":[]}"),
            ("de0001a16101", "{\"a\":1}"),
            ("df00000001a16101", "{\"a\":1}"),
            ("820102c301", "{\"1\":2,\"true\":1}"),
            // Timestamps of 32, 64 and 96 bits; one that is beyond any date; other extensions.
            ("d6ff65920080", "\"2024-01-01T00:00:00Z\""),
            ("d7ff77359400 65920080", "\"2024-01-01T00:00:00.5Z\""),
            ("c70cff1dcd6500ffffffffffffffff", "\"1969-12-31T23:59:59.5Z\""),
            ("c70cff000000007fffffffffffffff", "\"000000007fffffffffffffff\""),
            ("d40107", "\"07\""),
            ("d501be07", "\"be07\""),
            ("c70305010203", "\"010203\""),
        ],
    );
}

#[test]
fn messagepack_that_is_broken_is_told_with_its_byte() {
    check_bytes(
        &Format::MsgPack,
        &[
            ("c1", "payload: is not MessagePack: byte 0 is c1, which means nothing"),
            ("92", "payload: is not MessagePack: it ends in the middle of what begins before byte 1"),
            ("a361", "payload: is not MessagePack: it ends in the middle of what begins before byte 1"),
            ("ddffffffff", "payload: is not MessagePack: it ends in the middle of what begins before byte 5"),
            ("a2c3c3", "payload: has a text that is not UTF-8: byte 1 cannot be read"),
            ("0001", "payload: has 1 bytes behind its MessagePack item, from byte 1 on; one item is read"),
            ("8190c0", "payload: has a key at byte 1 that is no text and no number"),
            ("81de0000c0", "payload: has a key at byte 1 that is no text and no number"),
        ],
    );
    let deep = |levels: usize| [vec![0x91; levels], vec![0]].concat();
    assert_eq!(json(Format::MsgPack, &deep(128)).len(), 257);
    assert_eq!(json(Format::MsgPack, &deep(100_000)), "payload: is nested deeper than 128 levels at byte 128");
}

#[test]
fn xml_is_the_json_it_stands_for() {
    for (xml, expected) in [
        ("<vs><ac>170</ac><dc/></vs>", r#"{"ac":"170","dc":""}"#),
        ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<t>21.5</t>\n", r#""21.5""#),
        ("<t unit=\"C\">21.5</t>", r##"{"@unit":"C","#text":"21.5"}"##),
        (
            "<s><r n='1'>on</r><x>1</x><r n='2'>off</r></s>",
            r##"{"r":[{"@n":"1","#text":"on"},{"@n":"2","#text":"off"}],"x":"1"}"##,
        ),
        ("<a:b xmlns:a=\"urn:x\"><a:c/></a:b>", r#"{"@xmlns:a":"urn:x","a:c":""}"#),
        ("<t>&lt;&amp;&gt;&quot;&apos;&#65;&#x42;</t>", r#""<&>\"'AB""#),
        ("<t a=\"&lt;&#65;\"/>", r#"{"@a":"<A"}"#),
        ("<t><![CDATA[<a> & b]]></t>", r#""<a> & b""#),
        ("<t>\n  one <b>2</b>\n three\n</t>", r##"{"b":"2","#text":"one \n three"}"##),
        ("<!-- a --><t><?pi x?>1<!-- b -->2</t>", r#""12""#),
        ("<t a='1' a='2'/>", r#"{"@a":["1","2"]}"#),
        ("<é>ü</é>", "\"ü\""),
        ("\u{feff}<t>1</t>", r#""1""#),
    ] {
        assert_eq!(json(Format::Xml, xml.as_bytes()), expected, "{xml}");
    }
}

#[test]
fn xml_that_is_broken_or_refused_is_told_with_its_byte() {
    for (xml, expected) in [
        ("", "payload: is not XML: it has no element"),
        ("21.5", "payload: is not XML: text stands outside of its element at byte 0"),
        ("<a>1</a>x", "payload: is not XML: text stands outside of its element at byte 8"),
        ("<a/><b/>", "payload: is not XML: a second root element begins at byte 4"),
        ("<a><b>1</b>", "payload: is not XML: it ends before the element `a` does"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "payload: has a DOCTYPE at byte 0, and XML is read without one"),
        (
            "<a>&b;</a>",
            "payload: has an entity at byte 3 that is none of `&lt;` `&gt;` `&amp;` `&apos;` `&quot;` and no number of a character",
        ),
        (
            "<a b='&c;'/>",
            "payload: has an entity at byte 0 that is none of `&lt;` `&gt;` `&amp;` `&apos;` `&quot;` and no number of a character",
        ),
        (
            "<?xml version='1.0' encoding='ISO-8859-1'?><a/>",
            "payload: is XML in the encoding `ISO-8859-1`, and only UTF-8 is read",
        ),
    ] {
        assert_eq!(json(Format::Xml, xml.as_bytes()), expected, "{xml}");
    }
    for xml in ["<a></b>", "<a", "<a b=1/>", "<a>&", "<a>&#0;</a>", "<a>&#xffffff;</a>", "<![CDATA["] {
        let found = json(Format::Xml, xml.as_bytes());
        assert!(found.starts_with("payload: is not XML: ") && found.contains("at byte "), "{xml}: {found}");
    }
    assert_eq!(
        json(Format::Xml, b"<?xml version='1.0' encoding='latin1'?><a>\xe9</a>"),
        "payload: is XML in the encoding `latin1`, and only UTF-8 is read"
    );
    assert_eq!(json(Format::Xml, b"<a>\xe9</a>"), "payload: is not UTF-8: byte 3 cannot be read");
    assert_eq!(json(Format::Xml, b"\xff\xfe<\0"), "payload: is XML in UTF-16, and only UTF-8 is read");
    let deep = |levels: usize| format!("{}{}", "<a>".repeat(levels), "</a>".repeat(levels));
    assert_eq!(json(Format::Xml, deep(129).as_bytes()).matches('{').count(), 128);
    assert_eq!(json(Format::Xml, deep(130).as_bytes()), "payload: is nested deeper than 128 levels at byte 387");
    let wide = format!("<a>{}</a>", "<b/>".repeat(100_001));
    assert!(json(Format::Xml, wide.as_bytes()).starts_with("too_large: has more than 100000 elements and attributes"));
    let attributes: String = (0..90_000).map(|number| format!(" a{number}=''")).collect();
    assert!(json(Format::Xml, format!("<a{attributes}/>").as_bytes()).starts_with("{\"@a0\":\"\""));
}

#[test]
fn a_device_with_one_relay_maps_like_one_with_two() {
    let mapping = mapping(
        r#"
        [mapping.m]
        topic = "a"
        format = "xml"
        rows = "relay[{n}]"
        tags = { name = "@name" }
        fields = { on = { path = "state", type = "bool" }, all = { path = "$.relay[0].state", type = "text" } }
        [mapping.t]
        topic = "t"
        format = "xml"
        fields = { a = "t[0]", b = "t", c = "t[1]", d = "." }
        "#,
    );
    let two = r#"<s><relay name="a"><state>on</state></relay><relay name="b"><state>off</state></relay></s>"#;
    let rows = ["m n=0 name=a | on=true all=\"on\"", "m n=1 name=b | on=false all=\"on\""];
    assert_eq!(lines(&mapping, &message("a", two)), rows);
    let one = r#"<s><relay name="a"><state>on</state></relay></s>"#;
    assert_eq!(lines(&mapping, &message("a", one)), rows[..1]);
    assert_eq!(lines(&mapping, &message("t", "<s><t>5</t></s>")), ["t | a=5.0 b=5.0", "-d"]);
    assert_eq!(lines(&mapping, &message("t", "<s>7</s>")), ["t | d=7.0"]);
}

#[test]
fn a_list_of_one_is_no_value_in_json() {
    check(
        "[mapping.m]\ntopic = \"a\"\nfields = { v = \"a[0]\", w = \"b\" }",
        &[("a", r#"{"a":1,"b":2}"#, &["m | w=2.0"])],
    );
}

#[test]
fn places_in_a_payload_that_is_no_json_are_paths() {
    let mapping = mapping(
        "[mapping.m]\ntopic = \"a\"\nformat = \"msgpack\"\nfields = { v = \"a.b[1]\", j = { path = \"a\", type = \"json\" } }",
    );
    // {"a": {"b": [1, 2]}} and {"a": {"b": [1, "x"]}}
    let mut payload = bytes("81a161 81a162 920102");
    assert_eq!(lines(&mapping, &message("a", &payload)), [r#"m | v=2.0 j={"b":[1,2]}"#]);
    payload.truncate(8);
    payload.extend(*b"\xa1x");
    assert_eq!(lines(&mapping, &message("a", &payload)), [r#"m | j={"b":[1,"x"]}"#, "-v"]);
    let dropped = &mapping.map(&message("a", &payload)).dropped[0];
    assert_eq!(dropped.detail, "field `v` at `$.a.b[1]` got \"x\", which is no number: add `type`, or `words`");
}

#[test]
fn what_no_field_names_in_xml_is_a_number_where_it_looks_like_one() {
    check(
        "[mapping.m]\ntopic = \"a\"\nformat = \"xml\"\nothers = \"add\"\nfields = [\"v\"]",
        &[("a", "<s><v>1</v><w>2.5</w><x y=\"z\"/></s>", &["m | v=1.0 w=2.5 x_y=\"z\""])],
    );
}
