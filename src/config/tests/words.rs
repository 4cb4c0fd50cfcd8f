//! Words of closed sets that are misspelt, and values with quotes too many or too few.

use super::*;

/// The one fault of `fields = { x = { … } }`.
fn fault_of_field(keys: &str) -> Vec<String> {
    let text = format!("{MINIMAL}[mapping.m]\ntopic = \"a\"\nfields.x = {{ {keys} }}\n");
    lines(&load_text("config.toml", &text, []))
}

#[test]
fn a_misspelt_word_brings_the_nearest_one_or_all_of_them() {
    for (key, word, remedy) in [
        ("format", "jsn", "did you mean `json`?"),
        ("format", "CSV", "did you mean `csv`?"),
        ("format", "tsv", "did you mean `csv`?"),
        ("format", "message_pack", "write `auto`, `json`, `text`, `csv`, `pairs`, `xml`, `cbor`, `msgpack`"),
        ("encoding", "gz", "did you mean `gzip`?"),
        ("encoding", "deflate", "did you mean `zlib`?"),
        ("encoding", "none", "write `gzip`, `zlib`"),
        ("others", "ad", "did you mean `add`?"),
        ("others", "all", "write `ignore`, `add`, `json`"),
        ("outside", "recieved", "did you mean `received`?"),
        ("outside", "drop", "write `received`, `reject`"),
        ("retained", "stored", "did you mean `store`?"),
        ("retained", "keep", "write `skip`, `store`"),
        ("redelivery", "skp", "did you mean `skip`?"),
        ("redelivery", "twice", "write `skip`, `store`"),
    ] {
        let said = faults_of(&format!("{key} = \"{word}\""));
        let column = key.len() + 4;
        let start = format!("config.toml:7:{column}: mapping.m.{key}: \"{word}\" is not known here; {remedy}");
        assert_eq!(said, [start], "{key} {word}");
    }
    for (key, word, remedy) in [
        ("type", "string", "did you mean `text`?"),
        ("type", "integer", "did you mean `int`?"),
        ("type", "boolen", "did you mean `bool`?"),
        ("type", "blob", "write `float`, `int`, `bool`, `text`, `json`, `time`"),
        ("kind", "counter", "did you mean `total`?"),
        ("kind", "guage", "did you mean `gauge`?"),
        ("kind", "delta", "write `gauge`, `total`"),
        ("range", "rejct", "did you mean `reject`?"),
        ("range", "clamp", "write `missing`, `reject`"),
        ("decode", "base-64", "did you mean `base64`?"),
        ("decode", "hexa", "did you mean `hex`?"),
        ("decode", "utf8", "write `hex`, `base64`, `duration`"),
    ] {
        let said = fault_of_field(&format!("{key} = \"{word}\""));
        let end = format!(": mapping.m.fields.x.{key}: \"{word}\" is not known here; {remedy}");
        assert!(
            said.len() == 1 && said[0].starts_with("config.toml:7:") && said[0].ends_with(&end),
            "{word}: {said:?}"
        );
    }
}

#[test]
fn quotes_too_many_or_too_few_are_named() {
    for (keys, what) in [
        ("qos = \"1\"", "qos: must be a whole number from 0 to 2; write it without quotes"),
        ("max_series = \"5\"", "max_series: must be a whole number from 1 to 1000000000; write it without quotes"),
        ("fallback = \"true\"", "fallback: must be `true` or `false`, not a text; write it without quotes"),
        ("zone = 1", "zone: must be a text, not a number; put it in quotes"),
        ("measurement = 5", "measurement: must be a text, not a number; put it in quotes"),
        ("not_after = 24", "not_after: must be a duration, not a number; write `\"24s\"`"),
        ("retained = true", "retained: must be one of `skip`, `store`, not a truth value"),
        // Quotes would not help.
        ("qos = \"one\"", "qos: must be a whole number from 0 to 2"),
        ("qos = 3", "qos: must be a whole number from 0 to 2"),
    ] {
        let said = faults_of(keys);
        assert!(said.len() == 1 && said[0].ends_with(&format!(": mapping.m.{what}")), "{keys}: {said:?}");
    }
    for (keys, what) in [
        ("required = \"true\"", "required: must be `true` or `false`, not a text; write it without quotes"),
        ("decimals = \"1\"", "decimals: must be a whole number from 0 to 15; write it without quotes"),
        ("bit = \"3\"", "bit: must be a whole number from 0 to 63; write it without quotes"),
        ("scale = \"0.1\"", "scale: must be a number, not a text; write it without quotes"),
        ("offset = \"-40\"", "offset: must be a number, not a text; write it without quotes"),
        ("min = \"1e3\"", "min: must be a number, not a text; write it without quotes"),
        ("max = \"12 V\"", "max: must be a number, not a text"),
        ("deadband = \"0.5\"", "deadband: must be a number, not a text; write it without quotes"),
        ("unit = 5", "unit: must be a text, not a number; put it in quotes"),
        ("pattern = 5", "pattern: must be a text, not a number; put it in quotes"),
        ("description = true", "description: must be a text, not a truth value; put it in quotes"),
        ("path = 1", "path: must be a text or a list of texts, not a number"),
        ("type = true", "type: must be one of `float`, `int`, `bool`, `text`, `json`, `time`, not a truth value"),
    ] {
        let said = fault_of_field(keys);
        assert!(said.len() == 1 && said[0].ends_with(&format!(": mapping.m.fields.x.{what}")), "{keys}: {said:?}");
    }
}

#[test]
fn what_the_catalogue_holds_fits_into_a_database_and_beside_a_value() {
    for (keys, what) in [
        (
            r#"unit = "a\u0000b""#.to_owned(),
            "unit: the text holds a NUL character, and no database takes one; leave it out",
        ),
        (
            r#"description = "\u0000""#.to_owned(),
            "description: the text holds a NUL character, and no database takes one; leave it out",
        ),
        (format!("unit = \"{}\"", "x".repeat(65)), "unit: the text has more than 64 characters; shorten it"),
        (
            format!("description = \"{}\"", "x".repeat(1_001)),
            "description: the text has more than 1000 characters; shorten it",
        ),
    ] {
        let said = fault_of_field(&keys);
        assert!(said.len() == 1 && said[0].ends_with(&format!(": mapping.m.fields.x.{what}")), "{keys}: {said:?}");
    }
    assert!(fault_of_field(&format!("unit = \"{}\"", "é".repeat(64))).is_empty());
}
