//! What holds for any payload in any format: no panic, the same outcome whether it is explained or mapped, rows that
//! fit their measurement, and reports that stay short.

use std::sync::OnceLock;

use amber::config;
use amber::mapping::Mapping;
use amber::message::{Message, Qos, Time};
use amber::row::{Outcome, Value};
use bytes::Bytes;

/// How a payload is read, by the first byte of an input.
pub const FORMS: [&str; 10] = [
    "",
    "format = 'json'",
    "format = 'text'",
    "format = 'cbor'",
    "format = 'msgpack'",
    "format = 'xml'",
    "encoding = 'gzip'",
    "encoding = 'zlib'\nformat = 'cbor'",
    "inside = 'base64'",
    "inside = 'hex'",
];

/// A mapping that wants much of a payload.
fn mapping(form: &str) -> Mapping {
    let (form, rows, fields) = match form.strip_prefix("inside = ") {
        Some(decode) => ("", format!("{{ path = 'a', decode = {decode}, rows = ['a[]', '.'] }}"), "v = 'a'"),
        None if form.contains("text") => (form, "'.'".to_owned(), "v = '.'"),
        None => {
            (form, "['a[{i}]', '{k}', '.']".to_owned(), "v = ['.', 'a', 'b[0]']\nj = { path = 'b', type = 'json' }")
        }
    };
    let others = if form.contains("text") { "" } else { "others = 'add'" };
    let text = format!(
        "[broker]\nurl = 'mqtt://a'\n[store]\nurl = 'sqlite:a'\n[mapping.m]\ntopic = 'a'\n{form}\n{others}\nrows = {rows}\n\
         [mapping.m.fields]\nt = {{ path = '.', type = 'text' }}\n{fields}\n"
    );
    let loaded = config::load_text("fuzz.toml", &text, []);
    let config = loaded.config.unwrap_or_else(|| panic!("{text}\n{:?}", loaded.faults));
    let (mapping, faults) = Mapping::new(&config.mappings);
    mapping.unwrap_or_else(|| panic!("{text}\n{faults:?}"))
}

/// The first byte of `input` says how the rest is read.
pub fn check(input: &[u8]) {
    static MAPPINGS: OnceLock<Vec<Mapping>> = OnceLock::new();
    let [form, payload @ ..] = input else { return };
    let mappings = MAPPINGS.get_or_init(|| FORMS.iter().map(|form| mapping(form)).collect());
    let mapping = &mappings[usize::from(*form) % FORMS.len()];
    let message = Message {
        topic: "a".into(),
        payload: Bytes::copy_from_slice(payload),
        qos: Qos::AtLeastOnce,
        retain: false,
        received_at: Time(1_704_067_200_000_000),
        delivery: None,
        malformed: None,
    };
    let mapped = mapping.map(&message);
    assert_eq!(mapping.explain(&message).mapped, mapped);
    match &mapped.outcome {
        Outcome::Rows { rows, .. } => {
            assert!(!rows.is_empty() && rows.len() <= 10_000);
            for row in rows {
                assert_eq!(row.fields.len(), mapping.schema().measurements[row.measurement].fields.len());
                let values = row.fields.iter().flatten().chain(row.others.iter().map(|(_, value)| value));
                for value in values {
                    match value {
                        Value::Float(number) => assert!(number.is_finite()),
                        Value::Text(text) => assert!(!text.contains('\0')),
                        Value::Int(_) | Value::Bool(_) | Value::Json(_) | Value::Time(_) => {}
                    }
                }
            }
        }
        Outcome::Rejected(reject) => assert!(reject.detail.len() < 2_000, "{}", reject.detail),
        Outcome::Ignored(_) => {}
    }
}
