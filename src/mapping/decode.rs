//! From the bytes of a payload to what its paths lead into: unpacked, then the JSON that it stands for.
//!
//! A format that has objects, arrays and values of its own is transcoded to JSON text and read by `Want::read` like
//! JSON itself, so that paths, types and rows are one code for all. Whatever comes, nothing here panics, and no payload
//! becomes more than `MAX_BYTES`.

mod bare;
mod cbor;
mod csv;
mod json;
mod msgpack;
mod pairs;
mod unpack;
mod xml;

use std::borrow::Cow;

use super::document::{Doc, Kept, MAX_DEPTH, Want};
use crate::config::mapping::{Encoding, Format};
use crate::row::Reason;

/// Bytes that a payload may have once it is unpacked, and text that it may become. What a sensor packs has some kB; a
/// bomb of 4 kB that stops here has cost some milliseconds.
pub(super) const MAX_BYTES: usize = 4 << 20;

/// How a payload is read. Mappings of one form read a payload together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Form {
    pub format: Format,
    pub encoding: Option<Encoding>,
}

impl Form {
    /// What it has in common with forms that read a payload to the same document.
    pub fn reads_like(&self) -> Self {
        let format = match &self.format {
            // They differ in what they make of a payload that is no JSON.
            Format::Auto => Format::Json,
            format => format.clone(),
        };
        Self { format, encoding: self.encoding }
    }
}

/// Why a payload cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub reason: Reason,
    /// A whole sentence, without what names the payload: it goes on from "the payload ".
    pub detail: String,
}

impl Unreadable {
    pub fn new(detail: impl Into<String>) -> Self {
        Self { reason: Reason::Payload, detail: detail.into() }
    }

    pub fn too_large(detail: impl Into<String>) -> Self {
        Self { reason: Reason::TooLarge, detail: detail.into() }
    }
}

/// The text of a payload: as it was sent, or the JSON that it stands for.
///
/// # Errors
/// What is broken, and at which byte; what would be larger than `MAX_BYTES`.
pub(super) fn text<'p>(payload: &'p [u8], form: &Form) -> Result<Cow<'p, str>, Unreadable> {
    let bytes = match form.encoding {
        None => Cow::Borrowed(payload),
        Some(encoding) => Cow::Owned(unpack::unpack(payload, encoding)?),
    };
    let text = match form.format {
        Format::Auto | Format::Json | Format::Text | Format::Csv(_) | Format::Pairs(_) => utf8(bytes),
        Format::Cbor => cbor::json(&bytes).map(Cow::Owned),
        Format::MsgPack => msgpack::json(&bytes).map(Cow::Owned),
        Format::Xml => xml::json(&bytes).map(Cow::Owned),
    };
    text.map_err(|mut error| {
        if form.encoding.is_some() {
            error.detail.push_str(" (of what was unpacked)");
        }
        error
    })
}

/// Reads the `text` of a payload as far as it is wanted, and counts what is `kept`.
///
/// # Errors
/// What is not of the format; more values that are wanted than may be kept of a message.
pub(super) fn document<'t>(text: &'t str, format: &'t Format, want: &Want, kept: &Kept) -> Result<Doc<'t>, Unreadable> {
    let before = kept.count();
    let json = |what: &str| {
        let unreadable = |error| kept.too_many().unwrap_or_else(|| Unreadable::new(format!("{what}: {error}")));
        want.read(text, kept).map_err(unreadable)
    };
    let read = match format {
        Format::Auto | Format::Json => json("is not JSON"),
        Format::Cbor | Format::MsgPack | Format::Xml => json("stands for JSON that cannot be read"),
        Format::Text => Ok(Doc::Text(Cow::Borrowed(text))),
        Format::Csv(settings) => csv::document(text, settings, want, kept),
        Format::Pairs(settings) => pairs::document(text, settings, want, kept),
    };
    if read.is_err() {
        kept.back_to(before);
    }
    read
}

/// What may be read in the place of a `text` that could not be: the same with `null` for bare words such as `NaN`.
///
/// Such words are rare, and good payloads must not be searched for them.
pub(super) fn mended(text: &str, format: &Format) -> Option<String> {
    match format {
        Format::Auto | Format::Json => bare::mended(text).filter(|mended| mended.len() <= text.len().max(MAX_BYTES)),
        Format::Text | Format::Csv(_) | Format::Pairs(_) | Format::Cbor | Format::MsgPack | Format::Xml => None,
    }
}

fn utf8(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, Unreadable> {
    let wrong = |error: std::str::Utf8Error| {
        Unreadable::new(format!("is not UTF-8: byte {} cannot be read", error.valid_up_to()))
    };
    // RFC 8259 8.1 lets a reader ignore a byte order mark; in a text it is no part of the value either.
    match bytes {
        Cow::Borrowed(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(wrong)?;
            Ok(Cow::Borrowed(text.strip_prefix('\u{feff}').unwrap_or(text)))
        }
        Cow::Owned(bytes) => {
            let mut text = String::from_utf8(bytes).map_err(|error| wrong(error.utf8_error()))?;
            if text.starts_with('\u{feff}') {
                text.drain(..'\u{feff}'.len_utf8());
            }
            Ok(Cow::Owned(text))
        }
    }
}
