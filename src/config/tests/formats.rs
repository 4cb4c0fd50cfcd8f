//! `format` and `encoding`, as a word and as a table.

use super::*;
use crate::config::mapping::{ColumnNames, Csv, Encoding, Format, Pairs};

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
fn csv_and_pairs_have_settings() {
    let csv = |separator, names| Format::Csv(Csv { separator, names });
    let pairs = |separator: &str, assign: &str| {
        Format::Pairs(Pairs { separator: separator.to_owned(), assign: assign.to_owned() })
    };
    let listed = ColumnNames::Listed(vec!["a".to_owned(), String::new(), String::new(), "b".to_owned()]);
    for (written, expected) in [
        ("'csv'", csv(',', ColumnNames::None)),
        ("{ type = 'csv' }", csv(',', ColumnNames::None)),
        ("{ type = 'csv', separator = \"\\t\", header = true }", csv('\t', ColumnNames::Header)),
        ("{ type = 'csv', separator = ' ', header = false }", csv(' ', ColumnNames::None)),
        ("{ type = 'csv', columns = ['a', '', '', 'b'] }", csv(',', listed)),
        ("'pairs'", pairs(",", "=")),
        ("{ type = 'pairs', separator = \"\\n\", assign = ': ' }", pairs("\n", ": ")),
    ] {
        assert_eq!(read(&format!("format = {written}")).0, expected, "{written}");
    }
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
        (
            "format = { type = 'csv', separator = '::' }",
            "config.toml:7:38: mapping.m.format.separator: must be one character, and no quote or end of a line, \
             not \"::\"; write `\",\"`, `\";\"`, `\"\\t\"`, or `\" \"` for blanks",
        ),
        (
            "format = { type = 'csv', header = true, columns = ['a'] }",
            "config.toml:7:10: mapping.m.format.header: `columns` names the columns, and so would the first line of the \
             payload (`header`); keep one of them",
        ),
        (
            "format = { type = 'csv', columns = ['a', 'b', 'a'] }",
            "config.toml:7:47: mapping.m.format.columns: `a` is named twice; keep one; an empty name, `\"\"`, skips a column",
        ),
        (
            "format = { type = 'csv', delimiter = ';' }",
            "config.toml:7:26: mapping.m.format.delimiter: unknown key; did you mean `separator`?",
        ),
        (
            "format = { type = 'pairs', assign = '' }",
            "config.toml:7:37: mapping.m.format.assign: is empty, and nothing could be told apart by it; write `assign = \"=\"`",
        ),
        (
            "format = { type = 'pairs', separator = '=' }",
            "config.toml:7:10: mapping.m.format.assign: `separator` \"=\" would take `assign` \"=\" apart; \
             `separator` stands between the pieces, `assign` between a name and its value",
        ),
        ("encoding = 'gz'", "config.toml:7:12: mapping.m.encoding: \"gz\" is not known here; did you mean `gzip`?"),
        ("encoding = 'none'", "config.toml:7:12: mapping.m.encoding: \"none\" is not known here; write `gzip`, `zlib`"),
    ] {
        assert_eq!(faults_of(keys), [expected], "{keys}");
    }
}
