//! MessagePack as the JSON it stands for.

use jiff::Timestamp;
use rmp::Marker;

use super::json::Json;
use super::{MAX_DEPTH, Unreadable};

/// The type of the timestamp extension.
const TIMESTAMP: u8 = 0xff;

/// The one item of `payload`, as JSON text.
///
/// # Errors
/// What is no MessagePack, or has no form in JSON, with the byte at which it stands.
pub(super) fn json(payload: &[u8]) -> Result<String, Unreadable> {
    let mut reader = Reader { payload, rest: payload, json: Json::default() };
    reader.item(0)?;
    if !reader.rest.is_empty() {
        return Err(Unreadable::new(format!(
            "has {} bytes behind its MessagePack item, from byte {} on; one item is read",
            reader.rest.len(),
            reader.at()
        )));
    }
    Ok(reader.json.finish())
}

struct Reader<'p> {
    payload: &'p [u8],
    rest: &'p [u8],
    json: Json,
}

impl<'p> Reader<'p> {
    /// How many bytes have been read.
    fn at(&self) -> usize {
        self.payload.len() - self.rest.len()
    }

    fn take(&mut self, length: usize) -> Result<&'p [u8], Unreadable> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            let detail = format!("is not MessagePack: it ends in the middle of what begins before byte {}", self.at());
            return Err(Unreadable::new(detail));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// A number in `N` bytes, the highest first.
    fn number<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn length_of<const N: usize>(&mut self) -> Result<usize, Unreadable> {
        let bytes: [u8; N] = self.number()?;
        Ok(bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
    }

    fn item(&mut self, depth: usize) -> Result<(), Unreadable> {
        let at = self.at();
        let marker = Marker::from_u8(self.number::<1>()?[0]);
        match marker {
            Marker::Null => self.json.raw("null"),
            Marker::True => self.json.bool(true),
            Marker::False => self.json.bool(false),
            Marker::FixPos(number) => self.digits(number),
            Marker::FixNeg(number) => self.digits(number),
            Marker::U8 => self.number().map(u8::from_be_bytes).and_then(|number| self.digits(number)),
            Marker::U16 => self.number().map(u16::from_be_bytes).and_then(|number| self.digits(number)),
            Marker::U32 => self.number().map(u32::from_be_bytes).and_then(|number| self.digits(number)),
            Marker::U64 => self.number().map(u64::from_be_bytes).and_then(|number| self.digits(number)),
            Marker::I8 => self.number().map(i8::from_be_bytes).and_then(|number| self.digits(number)),
            Marker::I16 => self.number().map(i16::from_be_bytes).and_then(|number| self.digits(number)),
            Marker::I32 => self.number().map(i32::from_be_bytes).and_then(|number| self.digits(number)),
            Marker::I64 => self.number().map(i64::from_be_bytes).and_then(|number| self.digits(number)),
            Marker::F32 => self.number().map(f32::from_be_bytes).and_then(|number| self.json.short_float(number)),
            Marker::F64 => self.number().map(f64::from_be_bytes).and_then(|number| self.json.float(number)),
            Marker::FixStr(length) => self.text(usize::from(length)),
            Marker::Str8 => self.length_of::<1>().and_then(|length| self.text(length)),
            Marker::Str16 => self.length_of::<2>().and_then(|length| self.text(length)),
            Marker::Str32 => self.length_of::<4>().and_then(|length| self.text(length)),
            Marker::Bin8 => self.length_of::<1>().and_then(|length| self.bytes(length)),
            Marker::Bin16 => self.length_of::<2>().and_then(|length| self.bytes(length)),
            Marker::Bin32 => self.length_of::<4>().and_then(|length| self.bytes(length)),
            Marker::FixArray(length) => self.array(usize::from(length), depth, at),
            Marker::Array16 => self.length_of::<2>().and_then(|length| self.array(length, depth, at)),
            Marker::Array32 => self.length_of::<4>().and_then(|length| self.array(length, depth, at)),
            Marker::FixMap(length) => self.map(usize::from(length), depth, at),
            Marker::Map16 => self.length_of::<2>().and_then(|length| self.map(length, depth, at)),
            Marker::Map32 => self.length_of::<4>().and_then(|length| self.map(length, depth, at)),
            Marker::FixExt1 => self.extension(1),
            Marker::FixExt2 => self.extension(2),
            Marker::FixExt4 => self.extension(4),
            Marker::FixExt8 => self.extension(8),
            Marker::FixExt16 => self.extension(16),
            Marker::Ext8 => self.length_of::<1>().and_then(|length| self.extension(length)),
            Marker::Ext16 => self.length_of::<2>().and_then(|length| self.extension(length)),
            Marker::Ext32 => self.length_of::<4>().and_then(|length| self.extension(length)),
            Marker::Reserved => {
                Err(Unreadable::new(format!("is not MessagePack: byte {at} is c1, which means nothing")))
            }
        }
    }

    fn digits(&mut self, number: impl ToString) -> Result<(), Unreadable> {
        self.json.raw(&number.to_string())
    }

    fn text(&mut self, length: usize) -> Result<(), Unreadable> {
        let at = self.at();
        let text = std::str::from_utf8(self.take(length)?).map_err(|error| {
            Unreadable::new(format!("has a text that is not UTF-8: byte {} cannot be read", at + error.valid_up_to()))
        })?;
        self.json.text(text)
    }

    fn bytes(&mut self, length: usize) -> Result<(), Unreadable> {
        let bytes = self.take(length)?;
        self.json.hex(bytes)
    }

    fn array(&mut self, length: usize, depth: usize, at: usize) -> Result<(), Unreadable> {
        too_deep(depth, at)?;
        self.json.raw("[")?;
        for index in 0..length {
            if index > 0 {
                self.json.raw(",")?;
            }
            self.item(depth + 1)?;
        }
        self.json.raw("]")
    }

    fn map(&mut self, length: usize, depth: usize, at: usize) -> Result<(), Unreadable> {
        too_deep(depth, at)?;
        self.json.raw("{")?;
        for index in 0..length {
            if index > 0 {
                self.json.raw(",")?;
            }
            let (at, start) = (self.at(), self.json.len());
            // Fixed lists and maps (80 to 9f), and those with a length of their own (dc to df).
            if matches!(self.rest.first(), Some(0x80..=0x9f | 0xdc..=0xdf)) {
                return Err(Unreadable::new(format!("has a key at byte {at} that is no text and no number")));
            }
            self.item(depth + 1)?;
            self.json.key_since(start)?;
            self.item(depth + 1)?;
        }
        self.json.raw("}")
    }

    /// A timestamp as text in RFC 3339; anything else in hex.
    fn extension(&mut self, length: usize) -> Result<(), Unreadable> {
        let [kind] = self.number::<1>()?;
        let data = self.take(length)?;
        match (kind == TIMESTAMP).then(|| timestamp(data)).flatten() {
            Some(time) => self.json.text(&time.to_string()),
            None => self.json.hex(data),
        }
    }
}

/// Seconds in 4 bytes; nanoseconds and seconds in 30 and 34 bits; or in 4 and 8 bytes.
fn timestamp(data: &[u8]) -> Option<Timestamp> {
    let (seconds, nanoseconds) = match data.len() {
        4 => (i64::from(u32::from_be_bytes(data.try_into().ok()?)), 0),
        8 => {
            let both = u64::from_be_bytes(data.try_into().ok()?);
            (i64::try_from(both & ((1 << 34) - 1)).ok()?, i32::try_from(both >> 34).ok()?)
        }
        12 => {
            let (nanoseconds, seconds) = data.split_at(4);
            let nanoseconds = u32::from_be_bytes(nanoseconds.try_into().ok()?);
            (i64::from_be_bytes(seconds.try_into().ok()?), i32::try_from(nanoseconds).ok()?)
        }
        _ => return None,
    };
    Timestamp::new(seconds, nanoseconds).ok()
}

fn too_deep(depth: usize, at: usize) -> Result<(), Unreadable> {
    if depth >= MAX_DEPTH {
        return Err(Unreadable::new(format!("is nested deeper than {MAX_DEPTH} levels at byte {at}")));
    }
    Ok(())
}
