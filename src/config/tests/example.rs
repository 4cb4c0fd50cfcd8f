//! `[[mapping.<name>.example]]`

use super::*;
use crate::config::mapping::Expected;

/// The faults of `keys` in an example of mapping `m`.
fn faults_of_example(keys: &str) -> Vec<String> {
    let text = format!("{MINIMAL}[mapping.m]\ntopic = 'a'\nfields = ['v']\n[[mapping.m.example]]\n{keys}");
    lines(&load_text("c.toml", &text, []))
}

#[test]
fn an_example_is_read_with_its_place() {
    let text = "[mapping.m]\ntopic = 'a'\nfields = ['v']\n[[mapping.m.example]]\ntopic = 'a'\npayload = 'x'\noutcome = 'ignored'\n\
                [[mapping.m.example]]\ntopic = 'a'\npayload_base64 = '/w=='\nretain = true\nreceived_at = 1970-01-01T00:00:01Z\n\
                rows = [\n  { tags = { t = 'x', none = '' }, fields = { v = 1 } },\n]";
    let mapping = one_mapping(text);
    let [first, second] = &mapping.example[..] else { panic!("{:?}", mapping.example) };
    assert!(matches!(first.expected, Expected::Ignored(None)) && first.received_at.is_none());
    assert_eq!((first.payload.as_slice(), second.payload.as_slice()), (&b"x"[..], &b"\xff"[..]));
    assert!(second.retain && second.received_at.unwrap().0 == 1_000_000);
    let Expected::Rows(rows) = &second.expected else { panic!("{:?}", second.expected) };
    assert_eq!(rows[0].tags.as_deref(), Some(&[("t".to_owned(), "x".to_owned())][..]), "an empty tag is none");
    assert!(rows[0].time.is_none() && rows[0].measurement.is_none());
}

#[test]
fn what_is_wrong_with_an_example_is_said_with_its_place() {
    for (keys, expected) in [
        ("payload = ''\nrows = [{}]", "mapping.m.example.topic: is missing"),
        (
            "topic = 'a'\nrows = [{}]",
            "mapping.m.example.payload: is missing; write `payload = '…'`; `''` is an empty one",
        ),
        ("topic = 'a'\npayload = ''", "mapping.m.example.rows: neither `rows` nor `outcome` says what is wanted"),
        ("topic = 'a'\npayload = ''\nrows = []", "mapping.m.example.rows: the list is empty; write `outcome"),
        (
            "topic = 'a'\npayload = ''\nrows = [{}]\noutcome = 'ignored'",
            "mapping.m.example.outcome: the example has both `rows` and `outcome`; leave one out",
        ),
        ("topic = 'a'\npayload = ''\nrows = [{}]\nreason = 'time'", "mapping.m.example.reason: a reason belongs to"),
        ("topic = 'a'\npayload = ''\npayload_base64 = ''\nrows = [{}]", "has both `payload` and `payload_base64`"),
        ("topic = 'a'\npayload_base64 = '!'\nrows = [{}]", "payload_base64: no base64"),
        ("topic = 'a'\npayload = 21.50\nrows = [{}]", "payload: must be a text, not a number; put it in quotes"),
        ("topic = 'a/#'\npayload = ''\nrows = [{}]", "topic: a topic name has no wildcards (MQTT 4.7.1)"),
        ("topic = ''\npayload = ''\nrows = [{}]", "topic: a topic name has at least one character"),
        ("topic = 'a'\npayload = ''\noutcome = 'ignore'", "`ignored`?"),
        ("topic = 'a'\npayload = ''\noutcome = 'rejected'\nreason = 'empty'", "write `topic`, `too_large`"),
        ("topic = 'a'\npayload = ''\noutcome = 'ignored'\nreason = 'time'", "write `unmapped`, `empty`"),
        (
            "topic = 'a'\npayload = ''\nreceived_at = 2024-01-01\nrows = [{}]",
            "received_at: no time with a zone; write it as in",
        ),
        (
            "topic = 'a'\npayload = ''\nrows = [{ time = 'soon' }]",
            "mapping.m.example.rows[0].time: no time with a zone",
        ),
        (
            "topic = 'a'\npayload = ''\nrows = [{}, { mapping = 'n' }]",
            "rows[1].mapping: the rows of an example are those of its mapping, `m`",
        ),
        ("topic = 'a'\npayload = ''\nrows = [{ field = {} }]", "rows[0].field: unknown key; did you mean `fields`?"),
        (
            "topic = 'a'\npayload = ''\nrows = [{ tags = { n = 2 } }]",
            "tags.n: must be a text, not a number; put it in quotes",
        ),
        ("topic = 'a'\npayload = ''\nrows = [{ fields = ['v'] }]", "rows[0].fields: must be a table, not a list"),
        ("topic = 'a'\npayload = ''\nrows = [{ fields = { v = nan } }]", "fields.v: must be a finite number"),
        ("topic = 'a'\npayload = ''\nrows = { fields = { v = 1 } }", "rows: must be a list of tables, not a table"),
        ("topic = 'a'\npayload = ''\nrow = [{}]", "example.row: unknown key; did you mean `rows`?"),
    ] {
        let faults = faults_of_example(keys);
        assert!(faults.len() == 1 && faults[0].contains(expected), "{keys}\n   got {faults:#?}\nwanted {expected}");
        assert!(faults[0].starts_with("c.toml:"), "{faults:?}");
    }
    let text = format!("{MINIMAL}[defaults]\nexample = []\n[mapping.m]\ntopic = 'a'\nfields = ['v']\n");
    let faults = lines(&load_text("c.toml", &text, []));
    assert!(faults[0].contains("defaults.example: an example stands below the mapping"), "{faults:?}");
}
