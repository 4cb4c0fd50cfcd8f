//! `format` and `encoding`: a word, or a table of a format and its settings.

use crate::config::mapping::{Encoding, Format};
use crate::config::reader::{self, Faults, Section, check_keys};
use crate::config::tree::{Node, Value};
use crate::config::{MISSING, vocabulary};
use crate::fault::Fault;

/// Every format with its default settings.
fn words() -> [(&'static str, Format); 6] {
    [
        ("auto", Format::Auto),
        ("json", Format::Json),
        ("text", Format::Text),
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
    format
}

fn of_type(path: &str, node: &Node, faults: &mut Faults) -> Option<Format> {
    reader::choice(path, "format", node, &words(), faults).map(|at| at.value)
}

pub(super) fn encoding(section: &Section<'_>, faults: &mut Faults) -> Option<Encoding> {
    let words = [("gzip", Encoding::Gzip), ("zlib", Encoding::Zlib)];
    section.choice("encoding", &words, faults).map(|at| at.value)
}
