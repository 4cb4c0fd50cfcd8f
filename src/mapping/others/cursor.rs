//! A way through a JSON text that was read before: nothing is checked again, and nothing is copied.
//!
//! serde's visitors do not give the digits of a number, and a `RawValue` at each level reads a nested text as often
//! as it is deep. On a text that is no JSON it ends as well, somewhere.

use std::borrow::Cow;

pub(super) struct Cursor<'j> {
    json: &'j str,
    at: usize,
}

impl<'j> Cursor<'j> {
    pub(super) fn new(json: &'j str) -> Self {
        Self { json, at: 0 }
    }

    /// The next byte that is no blank, a comma or a colon; 0 at the end.
    fn peek(&mut self) -> u8 {
        let bytes = self.json.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t' | b',' | b':')) {
            self.at += 1;
        }
        bytes.get(self.at).copied().unwrap_or(0)
    }

    /// Where it stands: at the beginning of a value.
    pub(super) fn place(&mut self) -> usize {
        self.peek();
        self.at
    }

    /// Goes behind the value at `start`, unless it was read.
    pub(super) fn pass(&mut self, start: usize) {
        if self.at == start {
            self.value();
        }
    }

    /// Goes into an object (`{`) or an array (`[`), if one is next.
    pub(super) fn opens(&mut self, bracket: char) -> bool {
        let opens = char::from(self.peek()) == bracket;
        self.at += usize::from(opens);
        opens
    }

    /// The key of the next member; `None` behind the last one, which ends the object.
    pub(super) fn key(&mut self) -> Option<Cow<'j, str>> {
        self.raw_key().map(unescaped)
    }

    /// The same as it was written, too.
    pub(super) fn both_keys(&mut self) -> Option<(&'j str, Cow<'j, str>)> {
        self.raw_key().map(|raw| (raw, unescaped(raw)))
    }

    fn raw_key(&mut self) -> Option<&'j str> {
        if self.peek() == b'"' {
            return Some(self.scalar());
        }
        self.at = self.json.len().min(self.at + 1);
        None
    }

    /// Whether there is another element; if not, the array is ended.
    pub(super) fn has_element(&mut self) -> bool {
        let has = !matches!(self.peek(), b']' | b'}' | 0);
        if !has {
            self.at = self.json.len().min(self.at + 1);
        }
        has
    }

    /// The literal text of a scalar.
    pub(super) fn scalar(&mut self) -> &'j str {
        let quoted = self.peek() == b'"';
        let start = self.at;
        let bytes = self.json.as_bytes();
        if quoted {
            self.at += 1;
            while let Some(byte) = bytes.get(self.at) {
                self.at += 1;
                match byte {
                    b'"' => break,
                    b'\\' => self.at += 1,
                    _ => {}
                }
            }
        } else {
            while !matches!(bytes.get(self.at), None | Some(b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t')) {
                self.at += 1;
            }
        }
        self.at = self.at.min(self.json.len());
        self.json.get(start..self.at).unwrap_or_default()
    }

    /// The literal text of any value, and whether there is a scalar in it other than `null`.
    pub(super) fn value(&mut self) -> (&'j str, bool) {
        self.peek();
        let (start, mut depth, mut some) = (self.at, 0_usize, false);
        loop {
            match self.peek() {
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                0 => break,
                b'"' => {
                    self.scalar();
                    // A key is no value.
                    some |= !self.json[self.at..].trim_start().starts_with(':');
                }
                first => {
                    self.scalar();
                    some |= first != b'n';
                }
            }
            if depth == 0 {
                break;
            }
        }
        (self.json.get(start..self.at).unwrap_or_default(), some)
    }
}

/// The text of a literal. With a lone surrogate it is none, and stands for itself.
fn unescaped(literal: &str) -> Cow<'_, str> {
    let inner = literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default();
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    serde_json::from_str(literal).map_or(Cow::Borrowed(inner), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_elements_are_passed_one_after_another() {
        let mut cursor = Cursor::new(r#" { "a" : [ 1 , {"x":"]"} ] , "b\"\u0041" :{ }, "c":-1.5e3}"#);
        assert!(cursor.opens('{'));
        assert_eq!(cursor.key().as_deref(), Some("a"));
        assert_eq!(cursor.value(), (r#"[ 1 , {"x":"]"} ]"#, true));
        assert_eq!(cursor.key().as_deref(), Some("b\"A"));
        assert_eq!(cursor.value(), ("{ }", false));
        assert_eq!(cursor.key().as_deref(), Some("c"));
        assert_eq!(cursor.scalar(), "-1.5e3");
        assert_eq!(cursor.key(), None);
    }

    #[test]
    fn only_a_scalar_is_a_value() {
        for (json, some) in [
            ("{}", false),
            (r#"{"a":null,"b":[[],{"c":null}]}"#, false),
            (r#"{"a":[null,false]}"#, true),
            (r#"["a"]"#, true),
            (r#"{"a" : ""}"#, true),
            ("0", true),
        ] {
            assert_eq!(Cursor::new(json).value(), (json, some), "{json}");
        }
    }

    #[test]
    fn what_is_no_json_ends_too() {
        for text in ["", "{", "[", "\"", "\"\\", "{\"a", "{\"a\":", "[1,", "]]", "}", "{]", "[}", "é", "{é}", "[é"] {
            let mut cursor = Cursor::new(text);
            cursor.value();
            let mut cursor = Cursor::new(text);
            while cursor.opens('{') || cursor.opens('[') {}
            while cursor.has_element() {
                cursor.value();
            }
            let mut cursor = Cursor::new(text);
            while cursor.raw_key().is_some() {}
        }
    }
}
