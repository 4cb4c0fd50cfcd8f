//! The same values in every format, and what holds for any bytes.

use proptest::prelude::*;

use super::properties::json;
use super::*;
use crate::config::mapping::{Encoding, Format};
use crate::mapping::decode::{self, Form, MAX_BYTES};

/// A mapping that wants much, in a format.
fn greedy(format: &str) -> Mapping {
    mapping(&format!(
        r#"
        [mapping.m]
        topic = "a"
        {format}
        rows = ["a[{{i}}]", "{{k}}", "."]
        fields = {{ v = [".", "a", "b[0]"], t = {{ path = "b", type = "text" }}, j = {{ path = "a", type = "json" }} }}
        [mapping.rest]
        topic = "a"
        {format}
        others = "add"
        fields = {{ c = {{}} }}
        "#
    ))
}

fn element(value: &serde_json::Value, name: &str, out: &mut String) {
    match value {
        serde_json::Value::Array(items) => items.iter().for_each(|item| element(item, name, out)),
        serde_json::Value::Object(members) => {
            out.push_str(&format!("<{name}>"));
            members.iter().for_each(|(name, value)| element(value, name, out));
            out.push_str(&format!("</{name}>"));
        }
        text => {
            let text = text.as_str().unwrap_or_default();
            out.push_str(&format!("<{name}>{}</{name}>", quick_xml::escape::escape(text)));
        }
    }
}

/// What XML can say: objects with members, texts without blanks around, lists of several that are no lists.
fn xml() -> impl Strategy<Value = serde_json::Value> {
    let text = "[a-c<&>\"'é]{0,3}".prop_map(serde_json::Value::from);
    text.prop_recursive(4, 30, 3, |inner| {
        let list = proptest::collection::vec(inner.clone(), 2..4).prop_map(|items| {
            let flat = items.into_iter().flat_map(|item| match item {
                serde_json::Value::Array(items) => items,
                item => vec![item],
            });
            serde_json::Value::Array(flat.collect())
        });
        proptest::collection::btree_map("[a-c]{1,2}", prop_oneof![inner, list], 1..4)
            .prop_map(|map| serde_json::Value::Object(map.into_iter().collect()))
    })
}

#[test]
fn a_value_gives_the_same_rows_in_every_format() {
    let [plain, cbor, msgpack] = ["", "format = \"cbor\"", "format = \"msgpack\""].map(greedy);
    proptest!(|(value in json())| {
        let wanted = plain.map(&message("a", value.to_string()));
        // A payload that is one value, or none, is told in the words of its format.
        prop_assume!(matches!(wanted.outcome, Outcome::Rows { .. }));
        let mut bytes = Vec::new();
        ciborium::into_writer(&value, &mut bytes).unwrap();
        prop_assert_eq!(&cbor.map(&message("a", &bytes)), &wanted);
        prop_assert_eq!(&msgpack.map(&message("a", rmp_serde::to_vec(&value).unwrap())), &wanted);
    });
}

proptest! {
    #[test]
    fn xml_of_a_tree_is_that_tree(value in xml()) {
        let mut document = String::new();
        element(&value, "root", &mut document);
        let text = decode::text(document.as_bytes(), &Form { format: Format::Xml, encoding: None }).unwrap();
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value, "{}", document);
    }

    #[test]
    fn no_bytes_make_a_decoder_panic_or_its_text_large(
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            // Heads of lists, maps, texts and tags, of both formats.
            proptest::collection::vec(prop_oneof![Just(0x81_u8), Just(0x91), Just(0x9f), Just(0xbf), Just(0xa1), Just(0xc1), Just(0x7f), Just(0xff), Just(0x61), Just(0xd9), any::<u8>()], 0..300),
            "(<[a-c]|</[a-c]>|>|/>|=|\"|'|&|;|#|<!|\\[CDATA\\[|\\]\\]>|<\\?|[a-c ]){0,40}".prop_map(String::into_bytes),
        ],
    ) {
        for format in [Format::Json, Format::Text, Format::Cbor, Format::MsgPack, Format::Xml] {
            for encoding in [None, Some(Encoding::Gzip), Some(Encoding::Zlib)] {
                match decode::text(&bytes, &Form { format: format.clone(), encoding }) {
                    Ok(text) => {
                        prop_assert!(text.len() <= MAX_BYTES);
                        if matches!(format, Format::Cbor | Format::MsgPack | Format::Xml) {
                            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "{}", text);
                        }
                    }
                    Err(unreadable) => prop_assert!(unreadable.detail.len() < 400, "{}", unreadable.detail),
                }
            }
        }
    }
}

#[test]
fn no_payload_of_any_format_panics() {
    let mappings = ["format = \"cbor\"", "format = \"msgpack\"", "format = \"xml\"", "encoding = \"gzip\""].map(greedy);
    proptest!(|(bytes in proptest::collection::vec(any::<u8>(), 0..100))| {
        for mapping in &mappings {
            let message = message("a", &bytes);
            prop_assert_eq!(mapping.explain(&message).mapped, mapping.map(&message));
        }
    });
}
