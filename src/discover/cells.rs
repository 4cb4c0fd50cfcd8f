//! Lines of cells, and pairs: one mapping of cells by their position, by the names of a first line, or by the pairs' own.

use super::json::Json;
use super::objects::{Leaf, Rows, segment};
use super::payload::{Form, Read};
use super::shape::Shape;
use super::write;

/// Cells of a line that become fields.
const MAX_CELLS: usize = 60;

/// Rows, and the `format`, of payloads that were read as csv with this separator.
pub(super) fn csv(reads: &[&Read], separator: char) -> (Rows, String) {
    let lines: Vec<&Vec<Json>> = reads.iter().filter_map(|read| lines(read)).flatten().collect();
    let header = header(reads);
    let mut rows = Rows::default();
    let longest = lines.iter().map(|line| line.len()).max().unwrap_or(0).min(MAX_CELLS);
    for at in 0..longest {
        let mut shape = Shape::default();
        for (number, line) in lines.iter().enumerate() {
            let is_header = header.is_some() && is_first(reads, number);
            if let Some(cell) = line.get(at).filter(|cell| !is_header && **cell != Json::Text("".into())) {
                shape.add(cell);
            }
        }
        if shape.seen == 0 {
            continue;
        }
        let named = header.as_ref().and_then(|names| names.get(at)).filter(|name| !name.is_empty());
        let (key, path) = match named.and_then(|name| Some((name.clone(), segment(name)?))) {
            Some(named) => named,
            None => (format!("value_{}", at + 1), format!("[{at}]")),
        };
        rows.leaves.push(Leaf { keys: vec![key], path, shape, is_json: false });
    }
    let header = if header.is_some() { ", header = true" } else { "" };
    (rows, format!("{{ type = \"csv\", separator = {}{header} }}", write::string(&separator.to_string())))
}

fn lines(read: &Read) -> Option<Vec<&Vec<Json>>> {
    let Json::Array(lines) = &read.json else { return None };
    Some(lines.iter().filter_map(|line| if let Json::Array(cells) = line { Some(cells) } else { None }).collect())
}

/// Whether the line of this number, counted over all payloads, is the first of its payload.
fn is_first(reads: &[&Read], number: usize) -> bool {
    let mut start = 0;
    for read in reads {
        let count = lines(read).map_or(0, |lines| lines.len());
        if number == start {
            return true;
        }
        start += count;
    }
    false
}

/// The names in the first line, if all payloads begin with the same line of words.
fn header(reads: &[&Read]) -> Option<Vec<String>> {
    let first = |read: &Read| -> Option<Vec<String>> {
        let lines = lines(read)?;
        let names: Vec<String> = lines
            .first()?
            .iter()
            .filter_map(|cell| if let Json::Text(text) = cell { Some(text.to_string()) } else { None })
            .collect();
        let are_names = names
            .iter()
            .all(|name| name.parse::<f64>().is_err() && !name.is_empty() && super::times::read(name).is_none());
        let mut unique = names.clone();
        unique.sort();
        unique.dedup();
        (are_names && lines.len() > 1 && unique.len() == names.len()).then_some(names)
    };
    let names = first(reads.first()?)?;
    reads.iter().all(|read| first(read).as_ref() == Some(&names)).then_some(names)
}

/// The `format` of a form that is read as objects.
pub(super) fn format(form: Form) -> Option<String> {
    match form {
        Form::Pairs { separator, assign } => Some(format!(
            "{{ type = \"pairs\", separator = {}, assign = {} }}",
            write::string(&separator.to_string()),
            write::string(&assign.to_string())
        )),
        Form::Xml => Some("\"xml\"".to_owned()),
        Form::Cbor => Some("\"cbor\"".to_owned()),
        Form::MsgPack => Some("\"msgpack\"".to_owned()),
        Form::Json | Form::Scalar | Form::Csv { .. } | Form::Empty | Form::Broken | Form::Binary => None,
    }
}
