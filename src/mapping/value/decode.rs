//! `decode`: texts that stand for something else.

use data_encoding::HEXLOWER_PERMISSIVE;

use super::{Reading, Scalar, duration, is_stroke, not_a};
use crate::config::mapping::Decode;
use crate::message::base64;
use crate::schema::Type;

/// The text that `scalar` stands for, where the field is of type `r#type`: of a number or a duration its decimal digits.
pub(super) fn decoded(decode: Decode, scalar: &Scalar<'_>, r#type: Type) -> Result<String, Reading> {
    let text = match scalar {
        Scalar::Number(digits) => digits,
        Scalar::Text(text) => text.trim(),
        Scalar::Bool(_) => return Err(no(decode, scalar)),
        Scalar::Null | Scalar::Composite(_) | Scalar::Broken => return Err(not_a(scalar, "text")),
    };
    match decode {
        Decode::Hex if matches!(r#type, Type::Float | Type::Int | Type::Bool) => match number(text) {
            Some(Some(number)) => Ok(number.to_string()),
            Some(None) => Err(Reading::Unstorable(format!("{}: beyond 128 bits", scalar.shown()))),
            None => Err(no(decode, scalar)),
        },
        Decode::Hex => utf8(hex(text), decode, scalar),
        Decode::Base64 => utf8(base64(text), decode, scalar),
        Decode::Duration => duration::seconds(text).ok_or_else(|| no(decode, scalar)),
    }
}

fn no(decode: Decode, scalar: &Scalar<'_>) -> Reading {
    let what = match decode {
        Decode::Hex if scalar.text().is_some_and(is_stroke) => "hex: list it in `missing`",
        Decode::Hex => "hex",
        Decode::Base64 => "base64",
        Decode::Duration => "duration (`1T02:03:04`, `1d 2h 3m`, `02:03:04`, `P1DT2H`)",
    };
    Reading::Unreadable(format!("{}, which is no {what}", scalar.shown()))
}

fn utf8(bytes: Option<Vec<u8>>, decode: Decode, scalar: &Scalar<'_>) -> Result<String, Reading> {
    let bytes = bytes.ok_or_else(|| no(decode, scalar))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Reading::Unreadable(format!("{}, whose bytes are not UTF-8 from number {at} on", scalar.shown()))
    })
}

/// Whether `text` is a number in base 16.
pub(in crate::mapping) fn is_hex_number(text: &str) -> bool {
    number(text).is_some()
}

/// A number in base 16, `0x` or `#` before it if wanted; the inner `None` is beyond 128 bits.
fn number(text: &str) -> Option<Option<u128>> {
    let digits = without_prefix(text);
    let all = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    all.then(|| u128::from_str_radix(digits, 16).ok())
}

/// Bytes in hex, in any case.
pub(in crate::mapping) fn hex(text: &str) -> Option<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(without_prefix(text).as_bytes()).ok()
}

/// What a word under `decode = "hex"` is compared as: `0x0a` is 10, `10` is ten.
pub(in crate::mapping) fn hex_word(word: &str) -> Option<String> {
    let text = word.trim();
    if without_prefix(text).len() == text.len() { None } else { number(text)?.map(|number| number.to_string()) }
}

fn without_prefix(text: &str) -> &str {
    ["0x", "0X", "#"].iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_hex_come_in_pairs() {
        for (text, expected) in [
            ("", Some(&b""[..])),
            ("48656C6c6f", Some(b"Hello")),
            ("0x4a", Some(b"J")),
            ("4", None),
            ("4g", None),
            ("48 65", None),
        ] {
            assert_eq!(hex(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_number_in_base_16_is_unsigned() {
        for (text, expected) in [
            ("ff", Some(Some(255))),
            ("0x0A", Some(Some(10))),
            ("#10", Some(Some(16))),
            ("12e4", Some(Some(0x12e4))),
            ("ffffffffffffffffffffffffffffffff", Some(Some(u128::MAX))),
            ("100000000000000000000000000000000", Some(None)),
            ("000000000000000000000000000000000001", Some(Some(1))),
            ("-1", None),
            ("+1", None),
            ("0x", None),
            ("", None),
            ("1_0", None),
            ("0x0x1", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }
}
