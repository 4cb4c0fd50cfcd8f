//! CBOR (RFC 8949) as the JSON it stands for.

use ciborium_ll::{Decoder, Error, Header, simple, tag};

use super::json::Json;
use super::{MAX_DEPTH, Unreadable};

/// The digits of whole numbers beyond 64 bits are counted out one by one; 1,024 bits are as far as a float goes.
const MAX_BIGNUM_BYTES: usize = 128;

/// The one item of `payload`, as JSON text.
///
/// # Errors
/// What is no CBOR, or has no form in JSON, with the byte at which it stands.
pub(super) fn json(payload: &[u8]) -> Result<String, Unreadable> {
    let mut reader = Reader { payload, decoder: Decoder::from(payload), at: 0, json: Json::default() };
    let header = reader.pull()?;
    reader.item(header, 0)?;
    let end = reader.decoder.offset();
    if end < payload.len() {
        return Err(Unreadable::new(format!(
            "has {} bytes behind its CBOR item, from byte {end} on; one item is read",
            payload.len() - end
        )));
    }
    Ok(reader.json.finish())
}

struct Reader<'p> {
    payload: &'p [u8],
    decoder: Decoder<&'p [u8]>,
    /// Where the header that was pulled last begins.
    at: usize,
    json: Json,
}

impl Reader<'_> {
    fn pull(&mut self) -> Result<Header, Unreadable> {
        self.at = self.decoder.offset();
        self.decoder.pull().map_err(|error| wrong(&error, self.at))
    }

    /// Writes the item that begins with `header`, which was pulled last.
    fn item(&mut self, mut header: Header, depth: usize) -> Result<(), Unreadable> {
        let mut tagged = None;
        // Of tags before tags the last one says what the value is.
        while let Header::Tag(number) = header {
            tagged = Some(number);
            header = self.pull()?;
        }
        let at = self.at;
        match header {
            Header::Positive(number) => self.json.raw(&number.to_string()),
            Header::Negative(number) => self.json.raw(&(-1 - i128::from(number)).to_string()),
            Header::Float(number) => self.float(number),
            Header::Simple(simple::TRUE) => self.json.bool(true),
            Header::Simple(simple::FALSE) => self.json.bool(false),
            // Null, undefined, and what has no meaning yet.
            Header::Simple(_) => self.json.raw("null"),
            Header::Text(length) => {
                let text = self.text(length, at)?;
                self.json.text(&text)
            }
            Header::Bytes(length) => {
                let bytes = self.bytes(length, at)?;
                match tagged {
                    Some(tag::BIGPOS) => self.bignum(&bytes, false, at),
                    Some(tag::BIGNEG) => self.bignum(&bytes, true, at),
                    _ => self.json.hex(&bytes),
                }
            }
            Header::Array(length) => self.array(length, depth, at),
            Header::Map(length) => self.map(length, depth, at),
            Header::Break => Err(Unreadable::new(format!("is not CBOR: a break at byte {at} ends nothing"))),
            // Read over above.
            Header::Tag(_) => Ok(()),
        }
    }

    fn array(&mut self, length: Option<usize>, depth: usize, at: usize) -> Result<(), Unreadable> {
        too_deep(depth, at)?;
        self.json.raw("[")?;
        let mut count = 0;
        while Some(count) != length {
            let header = self.pull()?;
            if length.is_none() && header == Header::Break {
                break;
            }
            if count > 0 {
                self.json.raw(",")?;
            }
            self.item(header, depth + 1)?;
            count += 1;
        }
        self.json.raw("]")
    }

    fn map(&mut self, length: Option<usize>, depth: usize, at: usize) -> Result<(), Unreadable> {
        too_deep(depth, at)?;
        self.json.raw("{")?;
        let mut count = 0;
        while Some(count) != length {
            let header = self.pull()?;
            match header {
                Header::Break if length.is_none() => break,
                Header::Array(_) | Header::Map(_) => {
                    return Err(Unreadable::new(format!(
                        "has a key at byte {} that is no text and no number",
                        self.at
                    )));
                }
                _ => {}
            }
            if count > 0 {
                self.json.raw(",")?;
            }
            let start = self.json.len();
            // A tag may still be followed by a list, which then is as deep as can be.
            self.item(header, if matches!(header, Header::Tag(_)) { MAX_DEPTH } else { depth + 1 })?;
            self.json.key_since(start)?;
            let header = self.pull()?;
            self.item(header, depth + 1)?;
            count += 1;
        }
        self.json.raw("}")
    }

    /// What the number was written in tells which digits are meant.
    fn float(&mut self, number: f64) -> Result<(), Unreadable> {
        const DOUBLE: u8 = 0xfb;
        #[expect(clippy::cast_possible_truncation, reason = "a half or single float fits")]
        match self.payload.get(self.at) {
            Some(&DOUBLE) => self.json.float(number),
            _ => self.json.short_float(number as f32),
        }
    }

    /// The digits of a number of any length (RFC 8949 3.4.3).
    fn bignum(&mut self, bytes: &[u8], negative: bool, at: usize) -> Result<(), Unreadable> {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let bytes = &bytes[zeros..];
        if bytes.len() > MAX_BIGNUM_BYTES {
            let detail = format!("has a number of {} bytes at byte {at}; {MAX_BIGNUM_BYTES} are the most", bytes.len());
            return Err(Unreadable::new(detail));
        }
        // Nine decimal digits a place, the lowest first.
        let mut places: Vec<u64> = vec![u64::from(negative)];
        for (index, byte) in bytes.iter().enumerate() {
            // -1 - n is -(n + 1): the one is added with the last byte.
            let first = index == 0;
            let mut carry = u64::from(*byte);
            if first {
                places[0] = 0;
            }
            if negative && index + 1 == bytes.len() {
                carry += 1;
            }
            for place in &mut places {
                let value = *place * 256 + carry;
                *place = value % 1_000_000_000;
                carry = value / 1_000_000_000;
            }
            if carry > 0 {
                places.push(carry);
            }
        }
        let mut digits = String::from(if negative { "-" } else { "" });
        for (index, place) in places.iter().rev().enumerate() {
            digits.push_str(&if index == 0 { place.to_string() } else { format!("{place:09}") });
        }
        self.json.raw(&digits)
    }

    fn text(&mut self, length: Option<usize>, at: usize) -> Result<String, Unreadable> {
        let mut text = String::new();
        let mut buffer = [0; 256];
        let mut segments = self.decoder.text(length);
        while let Some(mut segment) = segments.pull().map_err(|error| wrong(&error, at))? {
            while let Some(part) = segment.pull(&mut buffer).map_err(|error| wrong(&error, at))? {
                text.push_str(part);
            }
        }
        Ok(text)
    }

    fn bytes(&mut self, length: Option<usize>, at: usize) -> Result<Vec<u8>, Unreadable> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 256];
        let mut segments = self.decoder.bytes(length);
        while let Some(mut segment) = segments.pull().map_err(|error| wrong(&error, at))? {
            while let Some(part) = segment.pull(&mut buffer).map_err(|error| wrong(&error, at))? {
                bytes.extend_from_slice(part);
            }
        }
        Ok(bytes)
    }
}

fn too_deep(depth: usize, at: usize) -> Result<(), Unreadable> {
    if depth >= MAX_DEPTH {
        return Err(Unreadable::new(format!("is nested deeper than {MAX_DEPTH} levels at byte {at}")));
    }
    Ok(())
}

fn wrong<E>(error: &Error<E>, at: usize) -> Unreadable {
    Unreadable::new(match error {
        Error::Io(_) => format!("is not CBOR: it ends in the middle of what begins at byte {at}"),
        Error::Syntax(at) => format!("is not CBOR: byte {at} cannot be read"),
    })
}
