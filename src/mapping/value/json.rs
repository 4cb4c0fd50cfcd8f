//! JSON that is kept as it was sent, unless no store takes it.

use super::{Doc, Reading, Scalar, not_a};
use crate::mapping::document;
use crate::mapping::number::Decimal;
use crate::row::Value;

pub(super) fn sent(doc: &Doc<'_>, scalar: &Scalar<'_>) -> Reading {
    doc.itself().json().map_or_else(|| not_a(scalar, "JSON"), storable)
}

/// What `decode` made.
pub(super) fn decoded(text: &str) -> Reading {
    let text = text.trim();
    if text.is_empty() || text == "null" {
        return Reading::Absent;
    }
    let parsed = document::check_depth(text)
        .and_then(|()| serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| error.to_string()));
    match parsed {
        Ok(_) => storable(text),
        Err(error) => Reading::Unreadable(format!("{}, which is no JSON: {error}", Scalar::Text(text.into()).shown())),
    }
}

fn storable(json: &str) -> Reading {
    match unstorable(json) {
        Some(what) => Reading::Unstorable(what),
        None => Reading::Value(Value::Json(json.into())),
    }
}

/// What PostgreSQL's jsonb refuses of valid JSON: `\u0000`, lone surrogates, numbers of more digits than `numeric` has.
pub(in crate::mapping) fn unstorable(json: &str) -> Option<String> {
    let bytes = json.as_bytes();
    let (mut at, mut quoted) = (0, false);
    // Where the second half of a surrogate pair must stand.
    let mut low_at = None;
    while let Some(byte) = bytes.get(at) {
        if let Some(expected) = low_at
            && at >= expected
            && !(at == expected && matches!(unit(json, at), Some(0xDC00..=0xDFFF)))
        {
            return Some(format!("JSON with a lone surrogate before byte {at}"));
        }
        match byte {
            b'"' => {
                quoted = !quoted;
                at += 1;
            }
            b'\\' if quoted => match unit(json, at) {
                Some(0) => return Some(format!("JSON with `\\u0000` at byte {at}")),
                Some(0xD800..=0xDBFF) => {
                    low_at = Some(at + 6);
                    at += 6;
                }
                Some(0xDC00..=0xDFFF) if low_at.take().is_none() => {
                    return Some(format!("JSON with a lone surrogate at byte {at}"));
                }
                Some(_) => at += 6,
                None => at += 2,
            },
            b'-' | b'0'..=b'9' if !quoted => {
                let end = json[at..].find([',', ']', '}', ' ', '\n', '\r', '\t']).map_or(json.len(), |end| at + end);
                if !Decimal::is_numeric(&json[at..end]) {
                    return Some(format!("JSON with a number beyond the range of the store at byte {at}"));
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    None
}

/// The code unit of a `\uXXXX` at `at`.
fn unit(json: &str, at: usize) -> Option<u16> {
    json.get(at..at + 6)?.strip_prefix("\\u").and_then(|hex| u16::from_str_radix(hex, 16).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_that_no_store_takes_is_found() {
        for (json, bad) in [
            (r#"{"a":"\u0000"}"#, true),
            (r#"{"a\u0000":1}"#, true),
            (r#"["\\u0000"]"#, false),
            (r#"["\ud83d\ude00"]"#, false),
            (r#"["\ud83d"]"#, true),
            (r#"["\ud83dx\ude00"]"#, true),
            (r#"["\ude00"]"#, true),
            (r#"["\ud83d\ud83d\ude00"]"#, true),
            (r#"["\ud83d\n"]"#, true),
            ("[1e400, 2]", false),
            ("[1e200000]", true),
            ("[1e-200000]", true),
            (r#"["1e200000"]"#, false),
        ] {
            assert_eq!(unstorable(json).is_some(), bad, "{json}");
        }
    }
}
