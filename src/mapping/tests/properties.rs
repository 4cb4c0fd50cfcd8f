//! What holds for every input: nothing panics, and what is skipped while reading changes no row.

use proptest::prelude::*;

use super::*;
use crate::mapping::document::{Kept, Want};
use crate::mapping::path::{Catching, Path, Step, descend};
use crate::mapping::pattern::CaptureNames;
use crate::mapping::template::Template;
use crate::mapping::value::Scalar;

/// Texts of the characters that mean something, and of those that do not.
fn texts() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![
            Just("{"),
            Just("}"),
            Just("#"),
            Just("+"),
            Just("/"),
            Just("."),
            Just("["),
            Just("]"),
            Just("'"),
            Just("\""),
            Just("$"),
            Just("*"),
            Just("a"),
            Just("{a}"),
            Just("{b#}"),
            Just("é"),
            Just("0"),
            Just("[]"),
            Just("[{i}]"),
            Just(" "),
            Just("\0"),
        ],
        0..8,
    )
    .prop_map(|parts| parts.concat())
}

pub(super) fn json() -> impl Strategy<Value = serde_json::Value> {
    let scalar = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        // Eighths: serde_json's own trees round other floats.
        any::<i32>().prop_map(|number| (f64::from(number) / 8.0).into()),
        "[a-c\\\\\"é\u{0}]{0,3}".prop_map(Into::into),
    ];
    scalar.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::btree_map("[a-c]{1,2}|é\"", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Goes down in a whole tree, for comparison.
fn walk<'v>(mut value: &'v serde_json::Value, steps: &[Step]) -> Option<&'v serde_json::Value> {
    for step in steps {
        value = match step {
            Step::Key(key) => value.as_object()?.get(&**key)?,
            Step::Index(index) => value.as_array()?.get(*index)?,
            _ => return None,
        };
    }
    Some(value)
}

proptest! {
    #[test]
    fn no_template_panics_and_what_compiles_is_covered_by_its_filter(text in texts(), topic in texts()) {
        let mut names = CaptureNames::default();
        if let Ok(template) = Template::parse(&text, &mut names) {
            let filter = TopicFilter::new(&template.filter()).unwrap();
            let mut captures = vec![None; names.0.len()];
            if !topic.is_empty() && template.matches(&Levels::new(&topic), &mut captures) {
                prop_assert!(filter.matches(&topic), "{} covers {} on {}", filter.as_str(), text, topic);
            }
        }
    }

    #[test]
    fn no_path_panics(text in texts()) {
        let mut names = CaptureNames(vec!["a".to_owned()]);
        let _known = Path::parse(&text, Catching::Known(&names));
        let _new = Path::parse(&text, Catching::New { names: &mut names, topic: 1 });
    }

    #[test]
    fn a_payload_that_is_read_in_part_gives_what_a_whole_tree_gives(
        value in json(),
        paths in proptest::collection::vec("([a-c]{1,2}|\\[[0-2]\\])(\\.[a-c]{1,2}|\\[[0-2]\\]){0,3}", 1..5),
        pretty in any::<bool>(),
    ) {
        let names = CaptureNames::default();
        let paths: Vec<Path> = paths.iter().filter_map(|path| Path::parse(path, Catching::Known(&names)).ok()).collect();
        let mut want = Want::default();
        paths.iter().for_each(|path| want.add(path.steps.iter()));
        want.finish();
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let doc = want.read(&text, &Kept::default()).unwrap();
        for path in &paths {
            let found = descend(&doc, &path.steps, &Vec::new()).map(Scalar::of);
            let expected = walk(&value, &path.steps);
            match (found, expected) {
                (None, None) | (Some(Scalar::Null), Some(serde_json::Value::Null)) => {}
                (Some(Scalar::Bool(found)), Some(serde_json::Value::Bool(expected))) => prop_assert_eq!(found, *expected),
                (Some(Scalar::Text(found)), Some(serde_json::Value::String(expected))) => prop_assert_eq!(&*found, expected),
                (Some(Scalar::Number(found)), Some(serde_json::Value::Number(expected))) => prop_assert_eq!(found, expected.to_string()),
                (Some(Scalar::Composite(found)), Some(expected)) => {
                    prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(found).unwrap(), expected);
                }
                (found, expected) => prop_assert!(false, "{}: {found:?}, not {expected:?}", path.text),
            }
        }
    }

    #[test]
    fn no_time_panics(text in "[0-9:TZ+. eE/-]{0,30}|.{0,12}", format in "(%[a-zA-Z]|[ .:-]){0,6}") {
        use crate::mapping::time;
        let zone = time::zone("Europe/Zurich").ok();
        let _read = time::read(&text, None, zone.as_ref(), RECEIVED_AT);
        let _checked = time::check_format(&format);
        let style = time::Style::Format(format.into());
        let _read = time::read(&text, Some(&style), zone.as_ref(), RECEIVED_AT);
        let _bound = time::bound(&text, None);
    }
}

#[test]
fn no_message_panics_and_rows_are_whole() {
    let mapping = everything();
    proptest!(|(topic in "(a|b|é)/(x|\\$|é|[a-z]{0,3}-[0-9])(/[a-z0-9]{0,2}){0,3}",
        value in prop_oneof![
            json().prop_map(|value| value.to_string().into_bytes()),
            proptest::collection::vec(any::<u8>(), 0..60),
            "[0-9:TZ+. e-]{0,30}".prop_map(String::into_bytes),
            ".{0,30}".prop_map(|text| format!("{{\"a\":{text:?},\"b\":{text}}}").into_bytes()),
        ])| {
        let message = message(&topic, &value);
        let mapped = mapping.map(&message);
        if let Outcome::Rows { rows, .. } = &mapped.outcome {
            prop_assert!(!rows.is_empty());
            for row in rows {
                let measurement = &mapping.schema().measurements[row.measurement];
                prop_assert_eq!(row.fields.len(), measurement.fields.len());
                prop_assert!(row.fields.iter().any(Option::is_some) || !row.others.is_empty());
                prop_assert!(measurement.tags.is_empty() || row.tags.iter().count() == measurement.tags.len());
                prop_assert!(row.others.is_sorted_by(|(one, _), (other, _)| one < other));
                for (name, value) in &row.others {
                    prop_assert!(crate::mapping::names::is_column(name), "{name:?}");
                    let fits = match value {
                        Value::Float(number) => number.is_finite(),
                        Value::Text(text) => !text.contains('\0') && !text.trim().is_empty(),
                        Value::Bool(_) => true,
                        Value::Int(_) | Value::Json(_) | Value::Time(_) => false,
                    };
                    prop_assert!(fits, "{name} is {value:?}");
                    let columns = measurement.tags.iter().chain(measurement.fields.iter().map(|field| &field.name));
                    prop_assert!(columns.into_iter().all(|column| **column != **name), "{name}");
                }
                for (value, field) in row.fields.iter().zip(&measurement.fields) {
                    let fits = match value {
                        None => true,
                        Some(Value::Float(number)) => number.is_finite() && field.r#type == crate::schema::Type::Float,
                        Some(Value::Text(text)) => !text.contains('\0'),
                        Some(Value::Json(json)) => serde_json::from_str::<serde_json::Value>(json).is_ok(),
                        Some(Value::Int(_) | Value::Bool(_) | Value::Time(_)) => true,
                    };
                    prop_assert!(fits, "{} is {value:?}", field.name);
                }
            }
        }
        prop_assert_eq!(mapping.explain(&message).mapped, mapped);
    });
}

#[test]
fn no_text_makes_a_decoded_field_panic() {
    let mapping = mapping(
        r#"
        [mapping.m]
        topic = "a"
        [mapping.m.fields]
        a = { path = "v", decode = "hex" }
        b = { path = "v", decode = "hex", type = "text" }
        c = { path = "v", decode = "hex", type = "json" }
        d = { path = "v", decode = "hex", type = "int", scale = 3 }
        e = { path = "v", decode = "base64", pattern = "a{}b*" }
        f = { path = "v", decode = "base64", type = "json" }
        g = { path = "v", decode = "duration", type = "int" }
        h = { path = "v", decode = "hex", bit = 63 }
        i = { path = "v", bit = 3 }
        j = { path = "v", pattern = "*a {} b*", type = "text" }
        k = { path = "v", decode = "base64", bit = 0, pattern = "{} *" }
        "#,
    );
    proptest!(|(text in prop_oneof![
        "[0-9a-fx#]{0,40}",
        "[-0-9T:PDHMS. dhms]{0,20}",
        "[ab* 1é]{0,12}",
        ".{0,20}",
        ".{0,12}".prop_map(|text| data_encoding::BASE64.encode(text.as_bytes())),
        ".{0,12}".prop_map(|text| data_encoding::HEXLOWER.encode(text.as_bytes())),
        json().prop_map(|json| data_encoding::BASE64URL_NOPAD.encode(json.to_string().as_bytes())),
    ])| {
        let payload = serde_json::json!({ "v": text }).to_string();
        let _any = mapping.map(&message("a", payload));
    });
}

/// A mapping of each kind, compiled once a test.
fn everything() -> Mapping {
    mapping(
        r#"
        [defaults]
        zone = "Europe/Zurich"
        time = ["a.t", "$.b"]
        [mapping.plain]
        topic = "a/{x}/{y#}"
        fields = { a = {}, i = { path = "b", type = "int" }, t = { path = "a.b", type = "text" }, j = { path = "c", type = "json" } }
        tags = { tag = "a.c" }
        [mapping.rows]
        topic = ["+/{x}-{n}", "b/{x}/{_z#}/1"]
        rows = ["a[{i}]", "{m}", "."]
        fields = { v = [".", "a"], w = { path = "$.b", scale = 0.1 }, d = { path = "b", type = "time" } }
        [mapping.zip]
        topic = "b/{x}/#"
        rows = "a.*[{i}]"
        fields = { z = "a", y = "b.c" }
        [mapping.pivot]
        topic = "b/{name}/#"
        pivot = "{name}"
        fields = { x = { type = "bool" }, ab = { path = "a.b", type = "float" } }
        [mapping.add]
        topic = ["a/{x}/#", "+/{name}/{x}-{_y}/#"]
        rows = ["{m}", "a[{i}]", "."]
        others = "add"
        fields = { a = "b.c", d = "$.a[{i}].{x}", aa_b = false, "b.a" = false }
        missing = [7]
        [mapping.json]
        topic = ["b/{x}/#", "\u00e9/{x}/#"]
        rows = ["a[]", "."]
        others = "json"
        tags = { tag = "a.c" }
        fields = { b = "'c'", "a[0]" = false }
        [mapping.added]
        topic = "b/{name}/#"
        pivot = "{name}"
        others = "add"
        fields = { x = "x.a" }
        [mapping.rest]
        topic = "\u00e9/#"
        fallback = true
        fields = { v = { path = ".", type = "text" } }
        "#,
    )
}
