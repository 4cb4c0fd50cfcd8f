//! `format` and `encoding`: a word, or a table of a format and its settings; `rows` with a payload inside.

use crate::config::mapping::{ColumnNames, Csv, Decode, Encoding, Format, Inside, Pairs};
use crate::config::reader::{self, Faults, Section, check_keys};
use crate::config::tree::{Node, Value};
use crate::config::{MISSING, vocabulary};
use crate::fault::{At, Fault};

/// Every format with its default settings.
fn words() -> [(&'static str, Format); 8] {
    let csv = Csv { separator: ',', names: ColumnNames::None };
    let pairs = Pairs { separator: ",".to_owned(), assign: "=".to_owned() };
    [
        ("auto", Format::Auto),
        ("json", Format::Json),
        ("text", Format::Text),
        ("csv", Format::Csv(csv)),
        ("pairs", Format::Pairs(pairs)),
        ("xml", Format::Xml),
        ("cbor", Format::Cbor),
        ("msgpack", Format::MsgPack),
    ]
}

/// `format = "json"`, or `format = { type = "json" }` with the settings of that format.
pub(super) fn format(section: &Section<'_>, faults: &mut Faults) -> Format {
    let Some(node) = section.get("format") else { return Format::default() };
    let path = section.path("format");
    let Value::Table(table) = &node.value else { return of_type(&path, node, faults).unwrap_or_default() };
    let settings = Section { path, place: node.place.clone(), table };
    let Some(r#type) = settings.get("type") else {
        if settings.lacks("type", &["type"]) {
            faults.push(Fault::new(&node.place, settings.path("type"), MISSING, "write `{ type = \"json\" }`"));
        }
        check_keys(&settings, "format", &["type"], faults);
        return Format::default();
    };
    let Some(format) = of_type(&settings.path("type"), r#type, faults) else { return Format::default() };
    check_keys(&settings, "format", vocabulary::format_settings(&format), faults);
    // What has settings reads them here.
    match format {
        Format::Auto | Format::Json | Format::Text | Format::Cbor | Format::MsgPack | Format::Xml => format,
        Format::Csv(defaults) => Format::Csv(csv(defaults, &settings, faults)),
        Format::Pairs(defaults) => Format::Pairs(pairs(defaults, &settings, faults)),
    }
}

fn csv(defaults: Csv, settings: &Section<'_>, faults: &mut Faults) -> Csv {
    let mut separator = defaults.separator;
    if let Some(written) = settings.text("separator", faults) {
        let mut characters = written.value.chars();
        match (characters.next(), characters.next()) {
            (Some(one), None) if !matches!(one, '"' | '\n' | '\r') => separator = one,
            _ => {
                let what = format!("must be one character, and no quote or end of a line, not {:?}", written.value);
                let remedy = "write `\",\"`, `\";\"`, `\"\\t\"`, or `\" \"` for blanks";
                faults.push(Fault::new(&written.place, settings.path("separator"), what, remedy));
            }
        }
    }
    let header = settings.flag("header", faults);
    let Some(columns) = columns(settings, faults) else {
        let names = if header == Some(true) { ColumnNames::Header } else { defaults.names };
        return Csv { separator, names };
    };
    if header == Some(true) {
        let what = "`columns` names the columns, and so would the first line of the payload (`header`)";
        faults.push(Fault::new(&settings.place, settings.path("header"), what, "keep one of them"));
    }
    Csv { separator, names: ColumnNames::Listed(columns) }
}

/// Names, each once; an empty one skips a column.
fn columns(settings: &Section<'_>, faults: &mut Faults) -> Option<Vec<String>> {
    settings.get("columns")?;
    let written = settings.texts("columns", faults);
    for (index, name) in written.iter().enumerate() {
        if !name.value.is_empty() && written[..index].iter().any(|known| known.value == name.value) {
            let what = format!("`{}` is named twice", name.value);
            let remedy = "keep one; an empty name, `\"\"`, skips a column";
            faults.push(Fault::new(&name.place, settings.path("columns"), what, remedy));
        }
    }
    Some(written.into_iter().map(|name| name.value).collect())
}

fn pairs(defaults: Pairs, settings: &Section<'_>, faults: &mut Faults) -> Pairs {
    let mut text = |key: &str, default: String| {
        let Some(written) = settings.text(key, faults) else { return default };
        if written.value.is_empty() {
            let what = "is empty, and nothing could be told apart by it";
            faults.push(Fault::new(&written.place, settings.path(key), what, format!("write `{key} = {default:?}`")));
            return default;
        }
        written.value
    };
    let pairs = Pairs { separator: text("separator", defaults.separator), assign: text("assign", defaults.assign) };
    if pairs.assign.contains(&pairs.separator) {
        let what = format!("`separator` {:?} would take `assign` {:?} apart", pairs.separator, pairs.assign);
        let remedy = "`separator` stands between the pieces, `assign` between a name and its value";
        faults.push(Fault::new(&settings.place, settings.path("assign"), what, remedy));
    }
    pairs
}

fn of_type(path: &str, node: &Node, faults: &mut Faults) -> Option<Format> {
    reader::choice(path, "format", node, &words(), faults).map(|at| at.value)
}

pub(super) fn encoding(section: &Section<'_>, faults: &mut Faults) -> Option<Encoding> {
    let words = [("gzip", Encoding::Gzip), ("zlib", Encoding::Zlib)];
    section.choice("encoding", &words, faults).map(|at| at.value)
}

/// `rows = "path"`, a list of paths, or `rows = { path = "body", decode = "base64", … }`.
pub(super) fn rows(section: &Section<'_>, faults: &mut Faults) -> (Vec<At<String>>, Option<At<Inside>>) {
    let Some(node) = section.get("rows") else { return (vec![], None) };
    let Value::Table(table) = &node.value else { return (section.one_or_more("rows", faults), None) };
    let table = Section { path: section.path("rows"), place: node.place.clone(), table };
    check_keys(&table, "rows", vocabulary::ROWS, faults);
    if table.lacks("path", vocabulary::ROWS) {
        let remedy = "write `rows = { path = \"body\", decode = \"base64\" }`";
        faults.push(Fault::new(&node.place, table.path("path"), MISSING, remedy));
    }
    let decodes = [("base64", Decode::Base64), ("hex", Decode::Hex)];
    let inside = Inside {
        decode: table.choice("decode", &decodes, faults).map(|at| at.value),
        format: format(&table, faults),
        encoding: encoding(&table, faults),
        rows: table.one_or_more("rows", faults),
    };
    (table.text("path", faults).into_iter().collect(), Some(At::new(inside, node.place.clone())))
}
