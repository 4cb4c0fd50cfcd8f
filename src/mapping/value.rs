//! From what was sent to a typed value: a field's type, words, missing values, scale and range.

use std::borrow::Cow;

use super::document::Doc;
use super::number::{self, Decimal, Integer};
use super::time::{self, Moment};
use super::words::{Word, Words, bool_word, is_missing};
use crate::message::Time;
use crate::row::Value;
use crate::schema::Type;

/// A value as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar<'p> {
    Null,
    Bool(bool),
    /// Its digits, as sent.
    Number(&'p str),
    Text(Cow<'p, str>),
    /// The JSON text of an object or array; empty where it was not kept.
    Composite(&'p str),
    /// A text that is no Unicode text: `\ud800` alone.
    Broken,
}

impl<'p> Scalar<'p> {
    pub fn of(doc: &'p Doc<'_>) -> Self {
        let json = match doc {
            Doc::Json(json) => json,
            Doc::Text(text) => return Self::Text(Cow::Borrowed(text)),
            Doc::Object { json, .. } | Doc::Array { json, .. } => return Self::Composite(json.unwrap_or_default()),
            Doc::Other => return Self::Null,
        };
        match json.as_bytes().first() {
            Some(b'"') => {
                let inner = &json[1..json.len() - 1];
                if inner.contains('\\') {
                    serde_json::from_str::<String>(json).map_or(Self::Broken, |text| Self::Text(Cow::Owned(text)))
                } else {
                    Self::Text(Cow::Borrowed(inner))
                }
            }
            Some(b'{' | b'[') => Self::Composite(json),
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'n') | None => Self::Null,
            Some(_) => Self::Number(json),
        }
    }

    /// Its text for comparisons and tags; `None` for null, objects and arrays.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Bool(true) => Some("true"),
            Self::Bool(false) => Some("false"),
            Self::Number(digits) => Some(digits),
            Self::Text(text) => Some(text),
            Self::Null | Self::Composite(_) | Self::Broken => None,
        }
    }

    /// How a report shows it, cut to a line.
    pub fn shown(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Text(text) => format!("{:?}", cut(text)),
            Self::Composite(json) if json.starts_with('[') => "an array".to_owned(),
            Self::Composite(_) => "an object".to_owned(),
            Self::Broken => "a text with a lone surrogate".to_owned(),
            Self::Bool(_) | Self::Number(_) => cut(self.text().unwrap_or_default()).to_owned(),
        }
    }
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(60).map_or(text, |(at, _)| &text[..at])
}

/// What became of a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reading {
    Value(Value),
    /// Null, empty, or a word for "no value".
    Absent,
    /// Not of the type; the text goes on from "`state` got ".
    Unreadable(String),
    /// Of the type, but no store can hold it.
    Unstorable(String),
    /// Outside `min` and `max` under `range = "reject"`.
    OutOfRange(String),
}

/// How the values of one field are read.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub r#type: Type,
    pub words: Words<Value>,
    pub missing: Vec<Word>,
    pub scale: Option<Decimal>,
    pub offset: Option<Decimal>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub range: Option<crate::config::mapping::Range>,
    /// For times that bear none.
    pub zone: Option<jiff::tz::TimeZone>,
}

impl Reader {
    /// Reads what stands at `doc`. `received_at` decides between the two moments of a repeated hour.
    pub fn read(&self, doc: &Doc<'_>, received_at: Time) -> Reading {
        let scalar = Scalar::of(doc);
        if scalar == Scalar::Null {
            return Reading::Absent;
        }
        if self.r#type == Type::Json {
            let missing = scalar.text().is_some_and(|text| self.missing.iter().any(|word| word.is(text.trim())));
            return if missing { Reading::Absent } else { json(doc, &scalar) };
        }
        if let Some(text) = scalar.text() {
            if !self.words.is_empty()
                && let Some(value) = self.words.get(text.trim())
            {
                return Reading::Value(value.clone());
            }
            if text.is_empty() || self.missing.iter().any(|word| word.is(text.trim())) {
                return Reading::Absent;
            }
            if self.r#type != Type::Text && (text.trim().is_empty() || is_missing(text.trim())) {
                return Reading::Absent;
            }
        }
        let reading = match self.r#type {
            Type::Float => self.float(&scalar),
            Type::Int => self.int(&scalar),
            Type::Bool => bool(&scalar),
            Type::Text => text(scalar),
            Type::Time => self.time(&scalar, received_at),
            Type::Json => unreachable!("read above"),
        };
        self.within_range(reading)
    }

    fn float(&self, scalar: &Scalar<'_>) -> Reading {
        let Some(digits) = digits(scalar) else { return not_a(scalar, "number") };
        let number = if self.scale.is_none() && self.offset.is_none() {
            digits.parse().ok()
        } else {
            Decimal::parse(digits)
                .and_then(|decimal| self.scaled(decimal))
                .map(Decimal::to_f64)
                // More digits than a decimal holds: no sensor has them, so the last bit does not matter.
                .or_else(|| Some(digits.parse::<f64>().ok()? * float_of(self.scale, 1.0) + float_of(self.offset, 0.0)))
        };
        match number {
            Some(number) if number.is_finite() => Reading::Value(Value::Float(number)),
            Some(_) => Reading::Unstorable(format!("{}: beyond the range of a float", scalar.shown())),
            None => not_a(scalar, "number"),
        }
    }

    fn int(&self, scalar: &Scalar<'_>) -> Reading {
        let Some(digits) = digits(scalar) else { return not_a(scalar, "number") };
        if self.scale.is_none()
            && self.offset.is_none()
            && let Ok(number) = digits.parse()
        {
            return Reading::Value(Value::Int(number));
        }
        let beyond = || Reading::Unstorable(format!("{}: beyond 64 bits", scalar.shown()));
        match Decimal::parse(digits).and_then(|decimal| self.scaled(decimal)).map(Decimal::to_integer) {
            Some(Integer::Is(number)) => Reading::Value(Value::Int(number)),
            Some(Integer::Fraction) => {
                Reading::Unreadable(format!("{}, which is no whole number: use `type = \"float\"`", scalar.shown()))
            }
            Some(Integer::Beyond) | None => beyond(),
        }
    }

    fn scaled(&self, decimal: Decimal) -> Option<Decimal> {
        let scaled = match self.scale {
            Some(scale) => decimal.times(scale)?,
            None => decimal,
        };
        match self.offset {
            Some(offset) => scaled.plus(offset),
            None => Some(scaled),
        }
    }

    fn time(&self, scalar: &Scalar<'_>, received_at: Time) -> Reading {
        let Some(text) = scalar.text().filter(|_| !matches!(scalar, Scalar::Bool(_))) else {
            return not_a(scalar, "time");
        };
        match time::read(text.trim(), None, self.zone.as_ref(), received_at) {
            Moment::At(time) if time::is_storable(time) => Reading::Value(Value::Time(time)),
            Moment::At(_) | Moment::Beyond => {
                Reading::Unstorable(format!("{}: not between the years 1 and 9999", scalar.shown()))
            }
            Moment::NoZone => {
                Reading::Unreadable(format!("{}, which bears no zone: add `zone` to the mapping", scalar.shown()))
            }
            Moment::Unreadable => not_a(scalar, "time"),
        }
    }

    fn within_range(&self, reading: Reading) -> Reading {
        let Some(range) = self.range else { return reading };
        #[expect(clippy::cast_precision_loss, reason = "a bound is a float")]
        let number = match reading {
            Reading::Value(Value::Float(number)) => number,
            Reading::Value(Value::Int(number)) => number as f64,
            _ => return reading,
        };
        let (low, high) = (self.min.is_some_and(|min| number < min), self.max.is_some_and(|max| number > max));
        if !low && !high {
            return reading;
        }
        match range {
            crate::config::mapping::Range::Missing => Reading::Absent,
            crate::config::mapping::Range::Reject => {
                let bound = if low {
                    self.min.map(|min| format!("below `min` {min}"))
                } else {
                    self.max.map(|max| format!("above `max` {max}"))
                };
                Reading::OutOfRange(format!("{number}, {}", bound.unwrap_or_default()))
            }
        }
    }
}

fn float_of(decimal: Option<Decimal>, otherwise: f64) -> f64 {
    decimal.map_or(otherwise, Decimal::to_f64)
}

/// The digits of a number, or of a text that is one.
fn digits<'s>(scalar: &'s Scalar<'_>) -> Option<&'s str> {
    match scalar {
        Scalar::Number(digits) => Some(digits),
        Scalar::Text(text) => Some(text.trim()).filter(|text| number::is_number(text)),
        _ => None,
    }
}

fn not_a(scalar: &Scalar<'_>, what: &str) -> Reading {
    if what == "time" && !matches!(scalar, Scalar::Broken | Scalar::Composite(_)) {
        return Reading::Unreadable(format!("{}, which is no time (RFC 3339, or a number since 1970)", scalar.shown()));
    }
    let hint = match (scalar, what) {
        (Scalar::Broken, _) => {
            return Reading::Unstorable("a text with a lone surrogate (`\\ud800` to `\\udfff`)".to_owned());
        }
        (Scalar::Composite(_), _) => "a path that goes on into it, or `type = \"json\"`",
        (Scalar::Bool(_), "number") => "`type = \"bool\"`",
        (Scalar::Text(_), "number") => "`type`, or `words`",
        (_, "bool") => "`words`",
        _ => "`type`",
    };
    Reading::Unreadable(format!("{}, which is no {what}: add {hint}", scalar.shown()))
}

fn bool(scalar: &Scalar<'_>) -> Reading {
    let value = match scalar {
        Scalar::Bool(value) => Some(*value),
        Scalar::Number(digits) => bit(digits),
        Scalar::Text(text) => bool_word(text.trim()).or_else(|| bit(text.trim())),
        Scalar::Null | Scalar::Composite(_) | Scalar::Broken => None,
    };
    value.map_or_else(|| not_a(scalar, "bool"), |value| Reading::Value(Value::Bool(value)))
}

fn bit(digits: &str) -> Option<bool> {
    match Decimal::parse(digits)?.to_integer() {
        Integer::Is(0) => Some(false),
        Integer::Is(1) => Some(true),
        Integer::Is(_) | Integer::Fraction | Integer::Beyond => None,
    }
}

fn text(scalar: Scalar<'_>) -> Reading {
    let text = match scalar {
        Scalar::Text(text) => text.into_owned(),
        Scalar::Number(digits) => digits.to_owned(),
        Scalar::Bool(value) => value.to_string(),
        Scalar::Null | Scalar::Composite(_) | Scalar::Broken => return not_a(&scalar, "text"),
    };
    match text.find('\0') {
        Some(at) => Reading::Unstorable(format!("a text with a NUL character at byte {at}")),
        None => Reading::Value(Value::Text(text.into_boxed_str())),
    }
}

fn json(doc: &Doc<'_>, scalar: &Scalar<'_>) -> Reading {
    let json = match doc {
        Doc::Json(json) => *json,
        Doc::Object { json: Some(json), .. } | Doc::Array { json: Some(json), .. } => *json,
        Doc::Text(_) | Doc::Object { .. } | Doc::Array { .. } | Doc::Other => return not_a(scalar, "JSON"),
    };
    match unstorable_json(json) {
        Some(what) => Reading::Unstorable(what),
        None => Reading::Value(Value::Json(json.into())),
    }
}

/// What PostgreSQL's jsonb refuses of valid JSON: `\u0000`, lone surrogates, numbers of more digits than `numeric` has.
fn unstorable_json(json: &str) -> Option<String> {
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
            assert_eq!(unstorable_json(json).is_some(), bad, "{json}");
        }
    }
}
