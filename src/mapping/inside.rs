//! A payload inside the payload: a text that is decoded, unpacked and read where `rows` comes by.

use std::borrow::Cow;

use elsa::FrozenVec;

use super::decode::{self, Form, MAX_BYTES, Unreadable};
use super::document::{Doc, Kept, Want};
use super::value::Scalar;
use super::value::decode::hex;
use crate::config::mapping::{Decode, Format};
use crate::message::base64;
use crate::row::Reason;

/// What an unreadable one counts for, in bytes: so that a message full of broken ones is given up soon.
const UNREADABLE_BYTES: usize = MAX_BYTES / 64;

/// How the text is read.
#[derive(Debug)]
pub(super) struct Inside {
    /// `None`: the text is taken as it is.
    pub decode: Option<Decode>,
    pub form: Form,
    /// Whether a text that is no JSON can give a row.
    pub takes_text: bool,
    pub want: Want,
}

/// What one mapping has read inside of one message; it stays until its rows are made.
pub(super) struct Found<'m> {
    pub inside: Option<&'m Inside>,
    texts: &'m FrozenVec<String>,
    documents: FrozenVec<Box<Doc<'m>>>,
    kept: &'m Kept,
}

impl<'m> Found<'m> {
    pub fn new(inside: Option<&'m Inside>, texts: &'m FrozenVec<String>, kept: &'m Kept) -> Self {
        Self { inside, texts, documents: FrozenVec::new(), kept }
    }
}

impl Inside {
    /// Reads what stands at `doc`; `None` where nothing does. `spent`: bytes read so far for this mapping and message.
    ///
    /// # Errors
    /// What cannot be read; more than `MAX_BYTES` in all, which is `Reason::TooLarge`.
    pub fn read<'r, 'm>(
        &'m self,
        doc: &Doc<'_>,
        found: &'r Found<'m>,
        spent: &mut usize,
    ) -> Result<Option<&'r Doc<'m>>, Unreadable> {
        let text = match Scalar::of(doc) {
            Scalar::Null => return Ok(None),
            Scalar::Text(text) if text.trim().is_empty() => return Ok(None),
            Scalar::Text(text) => text,
            Scalar::Number(digits) => Cow::Borrowed(digits),
            other if other.is_empty() => return Ok(None),
            other @ (Scalar::Bool(_) | Scalar::Composite(_) | Scalar::Broken) => {
                return Err(Unreadable::new(format!("is {}, and a text is read here", other.shown())));
            }
        };
        let read = self.text(&text).and_then(|text| {
            *spent += text.len().max(self.form.encoding.map_or(0, |_| UNREADABLE_BYTES / 4));
            if *spent > MAX_BYTES {
                let detail = format!("is, with those before it, more than {MAX_BYTES} bytes, which is the most");
                return Err(Unreadable { reason: Reason::TooLarge, detail });
            }
            let index = found.texts.len();
            found.texts.push(text);
            let text = found.texts.get(index).unwrap_or_default();
            match self.document(text, found) {
                Err(Unreadable { reason: Reason::Payload, .. })
                    if self.takes_text && self.form.format == Format::Auto =>
                {
                    Ok(Doc::Text(Cow::Borrowed(text)))
                }
                read => read,
            }
        });
        match read {
            Ok(doc) => Ok(Some(found.documents.push_get(Box::new(doc)))),
            Err(mut unreadable) => {
                *spent += UNREADABLE_BYTES;
                if *spent > MAX_BYTES {
                    unreadable.reason = Reason::TooLarge;
                }
                Err(unreadable)
            }
        }
    }

    /// `text`, or else what may be read in its place.
    fn document<'m>(&'m self, text: &'m str, found: &Found<'m>) -> Result<Doc<'m>, Unreadable> {
        let format = &self.form.format;
        decode::document(text, format, &self.want, found.kept).or_else(|error| {
            let Some(mended) = decode::mended(text, format) else { return Err(error) };
            let index = found.texts.len();
            found.texts.push(mended);
            let mended = found.texts.get(index).unwrap_or_default();
            decode::document(mended, format, &self.want, found.kept).map_err(|_| error)
        })
    }

    fn text(&self, text: &str) -> Result<String, Unreadable> {
        let bytes = match self.decode {
            None | Some(Decode::Duration) => Cow::Borrowed(text.as_bytes()),
            Some(Decode::Hex) => Cow::Owned(hex(text.trim()).ok_or_else(|| Unreadable::new("is no hex"))?),
            Some(Decode::Base64) => Cow::Owned(base64(text.trim()).ok_or_else(|| Unreadable::new("is no base64"))?),
        };
        decode::text(&bytes, &self.form).map(Cow::into_owned)
    }
}
