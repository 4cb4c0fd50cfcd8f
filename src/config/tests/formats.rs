//! `format` and `encoding`, as a word and as a table.

use super::*;
use crate::config::mapping::{Encoding, Format};

fn read(keys: &str) -> (Format, Option<Encoding>) {
    let mapping = one_mapping(&format!("[mapping.m]\ntopic = 'a'\nfields = ['x']\n{keys}\n"));
    (mapping.format, mapping.encoding)
}

#[test]
fn a_format_is_a_word_or_a_table_with_its_settings() {
    assert_eq!(read(""), (Format::Auto, None));
    assert_eq!(read("format = 'json'\nencoding = 'gzip'"), (Format::Json, Some(Encoding::Gzip)));
    assert_eq!(read("format = { type = 'text' }\nencoding = 'zlib'"), (Format::Text, Some(Encoding::Zlib)));
}

#[test]
fn what_is_wrong_with_a_format_is_told_where_it_stands() {
    for (keys, expected) in [
        ("format = 'jsn'", "config.toml:7:10: mapping.m.format: \"jsn\" is not known here; did you mean `json`?"),
        ("format = {}", "config.toml:7:10: mapping.m.format.type: is missing; write `{ type = \"json\" }`"),
        ("format = { typ = 'json' }", "config.toml:7:12: mapping.m.format.typ: unknown key; did you mean `type`?"),
        (
            "format = { type = 'json', separator = ';' }",
            "config.toml:7:27: mapping.m.format.separator: unknown key; known here: `type`",
        ),
        (
            "format = { type = 'jsn' }",
            "config.toml:7:19: mapping.m.format.type: \"jsn\" is not known here; did you mean `json`?",
        ),
        ("encoding = 'gz'", "config.toml:7:12: mapping.m.encoding: \"gz\" is not known here; did you mean `gzip`?"),
        ("encoding = 'none'", "config.toml:7:12: mapping.m.encoding: \"none\" is not known here; write `gzip`, `zlib`"),
    ] {
        assert_eq!(faults_of(keys), [expected], "{keys}");
    }
}
