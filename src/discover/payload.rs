//! What a payload is: its format by its bytes, and the tree that it stands for.

use super::json::Json;
use crate::config::mapping::{Encoding, Format};
use crate::mapping;

/// How payloads are read; those of one form are read by one mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Form {
    /// An object or an array.
    Json,
    /// One value: a number, a word.
    Scalar,
    Csv {
        separator: char,
    },
    Pairs {
        separator: char,
        assign: char,
    },
    Xml,
    Cbor,
    MsgPack,
    Empty,
    /// Looks like JSON, and is not.
    Broken,
    /// Bytes that no format reads.
    Binary,
}

/// A payload that was looked at.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub form: Form,
    pub encoding: Option<Encoding>,
    pub json: Json,
}

impl Read {
    fn new(form: Form, json: Json) -> Self {
        Self { form, encoding: None, json }
    }
}

pub(super) fn read(payload: &[u8]) -> Read {
    if let Some(encoding) = packed(payload) {
        let form = |format: &Format| mapping::transcoded(payload, format, Some(encoding));
        if let Some(text) = form(&Format::Json) {
            let read = of_text(&text);
            return Read { encoding: Some(encoding), ..read };
        }
        for (form_of, format) in [(Form::MsgPack, Format::MsgPack), (Form::Cbor, Format::Cbor)] {
            if let Some(json) = form(&format).and_then(|text| Json::parse(&text)).filter(|json| !json.is_scalar()) {
                return Read { encoding: Some(encoding), ..Read::new(form_of, json) };
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(payload)
        && !text.contains('\0')
    {
        return of_text(text);
    }
    of_bytes(payload)
}

/// Whether `payload` begins as gzip (RFC 1952) or zlib (RFC 1950) does.
fn packed(payload: &[u8]) -> Option<Encoding> {
    match payload {
        [0x1f, 0x8b, 8, ..] => Some(Encoding::Gzip),
        [0x78, flags, ..] if (0x7800 + u16::from(*flags)).is_multiple_of(31) => Some(Encoding::Zlib),
        _ => None,
    }
}

/// Of two formats whose bytes look alike, the one that gives an object.
fn of_bytes(payload: &[u8]) -> Read {
    let as_format = |format: Format| {
        let text = mapping::transcoded(payload, &format, None)?;
        Json::parse(&text).filter(|json| !json.is_scalar())
    };
    let (pack, cbor) = (as_format(Format::MsgPack), as_format(Format::Cbor));
    match (pack, cbor) {
        (Some(pack @ Json::Object(_)), _) => Read::new(Form::MsgPack, pack),
        (_, Some(cbor)) => Read::new(Form::Cbor, cbor),
        (Some(pack), None) => Read::new(Form::MsgPack, pack),
        (None, None) => Read::new(Form::Binary, Json::Null),
    }
}

fn of_text(text: &str) -> Read {
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Read::new(Form::Empty, Json::Null);
    }
    if text.starts_with(['{', '[']) {
        let json = mapping::transcoded(text.as_bytes(), &Format::Json, None).and_then(|text| Json::parse(&text));
        return match json {
            Some(json) => Read::new(Form::Json, json),
            None => Read::new(Form::Broken, Json::Null),
        };
    }
    if text.starts_with('<') {
        let json = mapping::transcoded(text.as_bytes(), &Format::Xml, None).and_then(|text| Json::parse(&text));
        if let Some(json) = json {
            return Read::new(Form::Xml, json);
        }
    }
    if let Some(json) = Json::parse(text) {
        return Read::new(Form::Scalar, json);
    }
    csv(text).or_else(|| pairs(text)).unwrap_or_else(|| Read::new(Form::Scalar, Json::Text(text.into())))
}

fn is_number(text: &str) -> bool {
    !text.is_empty()
        && text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && text.parse::<f64>().is_ok()
}

/// Lines of cells, at least half of which are numbers; what is a list of words, or `21,5`, is none.
fn csv(text: &str) -> Option<Read> {
    for separator in [';', '\t', '|', ','] {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let first: Vec<&str> = lines.next()?.split(separator).map(str::trim).collect();
        let least = if separator == ',' { 3 } else { 2 };
        let last =
            lines.next_back().map_or_else(|| first.clone(), |line| line.split(separator).map(str::trim).collect());
        let numbers = last.iter().filter(|cell| is_number(cell)).count();
        let is_like_first = last.len().abs_diff(first.len()) <= 1;
        let is_pairs =
            last.iter().filter(|cell| cell.contains(['=', ':']) && super::times::read(cell).is_none()).count() * 2
                > last.len();
        if first.len() < least || !is_like_first || is_pairs || numbers * 2 < last.len() || first.len() > 200 {
            continue;
        }
        let cells = |line: &str| {
            Json::Array(line.split(separator).map(|cell| Json::Text(cell.trim().trim_matches('"').into())).collect())
        };
        let lines = text.lines().filter(|line| !line.trim().is_empty()).take(200).map(cells).collect();
        return Some(Read::new(Form::Csv { separator }, Json::Array(lines)));
    }
    None
}

/// `a=1,b=2`: two pieces at least, all of which have a name.
fn pairs(text: &str) -> Option<Read> {
    for (separator, assign) in [(',', '='), (';', '='), ('&', '='), (' ', '='), (',', ':'), (';', ':'), (' ', ':')] {
        let pieces: Vec<(&str, &str)> = text
            .split(separator)
            .filter(|piece| !piece.trim().is_empty())
            .map_while(|piece| piece.split_once(assign))
            .map(|(name, value)| (name.trim(), value.trim()))
            .take(200)
            .collect();
        let count = text.split(separator).filter(|piece| !piece.trim().is_empty()).take(200).count();
        let is_name = |name: &str| {
            name.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && name.len() <= 40
                && !name.contains([' ', '/', '{', '"'])
        };
        if pieces.len() < 2 || pieces.len() < count || !pieces.iter().all(|(name, _)| is_name(name)) {
            continue;
        }
        let members = pieces.iter().map(|(name, value)| ((*name).into(), Json::Text((*value).into()))).collect();
        return Some(Read::new(Form::Pairs { separator, assign }, Json::Object(members)));
    }
    None
}
