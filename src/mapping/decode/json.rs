//! JSON text as it is written by formats that stand for it.

use super::{MAX_BYTES, Unreadable};

/// A text under way, at most `MAX_BYTES` long.
#[derive(Default)]
pub(super) struct Json {
    bytes: Vec<u8>,
}

impl Json {
    pub fn finish(self) -> String {
        String::from_utf8(self.bytes).expect("only texts were written")
    }

    /// Refuses before it grows. A text is escaped first and looked at then: it may be six times as long for a moment.
    fn has_room(&self, more: usize) -> Result<(), Unreadable> {
        if self.bytes.len() + more > MAX_BYTES {
            let detail = format!("is more than {MAX_BYTES} bytes when it is written as JSON, which is the most");
            return Err(Unreadable::too_large(detail));
        }
        Ok(())
    }

    /// Punctuation, digits, `true`, `false`, `null`.
    pub fn raw(&mut self, token: &str) -> Result<(), Unreadable> {
        self.has_room(token.len())?;
        self.bytes.extend_from_slice(token.as_bytes());
        Ok(())
    }

    pub fn text(&mut self, text: &str) -> Result<(), Unreadable> {
        self.has_room(text.len() + 2)?;
        serde_json::to_writer(&mut self.bytes, text).expect("a text is written to memory");
        self.has_room(0)
    }

    /// Bytes, as a text in hex.
    pub fn hex(&mut self, bytes: &[u8]) -> Result<(), Unreadable> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.has_room(2 * bytes.len() + 2)?;
        self.bytes.push(b'"');
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        self.bytes.extend(digits.map(|digit| DIGITS[usize::from(digit)]));
        self.bytes.push(b'"');
        Ok(())
    }

    pub fn bool(&mut self, value: bool) -> Result<(), Unreadable> {
        self.raw(if value { "true" } else { "false" })
    }

    /// The shortest digits that are this number; `null` for what is none.
    pub fn float(&mut self, number: f64) -> Result<(), Unreadable> {
        serde_json::to_writer(&mut self.bytes, &number).expect("a number is written to memory");
        self.has_room(0)
    }

    /// A number of 32 bits, which a device had no more of, or which had no more digits: 21.3 stays 21.3, and a number that
    /// lost nothing on its way into 32 bits (1100201.625) stays what it was.
    pub fn short_float(&mut self, number: f32) -> Result<(), Unreadable> {
        let (start, wide) = (self.bytes.len(), f64::from(number));
        self.float(wide)?;
        // Of 24 bits no more than nine digits are meant; what has more of them as 64 bits has them from rounding.
        if self.bytes[start..].iter().filter(|byte| byte.is_ascii_digit()).count() > 12 {
            self.bytes.truncate(start);
            serde_json::to_writer(&mut self.bytes, &number).expect("a number is written to memory");
        }
        self.has_room(0)
    }

    /// What has been written since `start` is a key: numbers and words of JSON become texts.
    ///
    /// Scalars only, which have nothing to escape but what is a text already.
    pub fn key_since(&mut self, start: usize) -> Result<(), Unreadable> {
        if self.bytes.get(start) != Some(&b'"') {
            self.bytes.insert(start, b'"');
            self.bytes.push(b'"');
        }
        self.raw(":")
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}
