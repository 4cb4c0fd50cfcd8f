//! From what was sent to a typed value, in this order: `decode`, `words` and `missing`, `pattern`, the type or `bit`,
//! `scale` and `offset`, `range`.

pub(super) mod decode;
mod duration;
pub(super) mod json;
pub(super) mod pattern;

use std::borrow::Cow;

use super::document::Doc;
use super::number::{self, Decimal, Integer};
use super::time::{self, Moment};
use super::words::{Word, Words, bool_word, is_missing};
use crate::config::mapping::{Decode, Range};
use crate::message::Time;
use crate::row::Value;
use crate::schema::Type;
use pattern::Around;

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
        let doc = doc.itself();
        let json = match doc {
            Doc::Json(json) => json,
            Doc::Text(text) => return Self::Text(Cow::Borrowed(text)),
            Doc::Object { .. } | Doc::Array { .. } => return Self::Composite(doc.json().unwrap_or_default()),
            // Nothing is alone twice.
            Doc::Alone(_) | Doc::Other => return Self::Null,
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

    /// Whether it is `[]` or `{}`, which some devices send for "no value".
    pub fn is_empty(&self) -> bool {
        let inner = |json: &str| Some(json.strip_prefix(['[', '{'])?.trim_start().len() == 1);
        matches!(self, Self::Composite(json) if inner(json) == Some(true))
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
    pub decode: Option<Decode>,
    pub pattern: Option<Around>,
    /// The number of a bit, the lowest is 0; the type is bool then.
    pub bit: Option<u8>,
    pub scale: Option<Decimal>,
    pub offset: Option<Decimal>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub range: Option<Range>,
    /// For times that bear none.
    pub zone: Option<jiff::tz::TimeZone>,
}

impl Reader {
    /// Reads what stands at `doc`. `received_at` decides between the two moments of a repeated hour.
    pub fn read(&self, doc: &Doc<'_>, received_at: Time) -> Reading {
        let sent = Scalar::of(doc);
        if sent == Scalar::Null || (sent.is_empty() && self.r#type != Type::Json) {
            return Reading::Absent;
        }
        // Most of what comes are numbers of which only the type has something to say.
        let is_plain = self.decode.is_none() && self.pattern.is_none();
        if matches!(sent, Scalar::Number(_))
            && is_plain
            && self.words.is_empty()
            && self.missing.is_empty()
            && self.r#type != Type::Json
        {
            return self.typed(sent, received_at);
        }
        let scalar = match self.decode {
            None => sent,
            Some(Decode::Hex) if self.r#type == Type::Text && !self.words.is_empty() => return self.named(sent),
            Some(decode) => match decode::decoded(decode, &sent, self.r#type) {
                Ok(text) => Scalar::Text(Cow::Owned(text)),
                // `"unknown"` is no duration, and means what it always means.
                Err(reading) => return sent.text().and_then(|text| self.known(text)).unwrap_or(reading),
            },
        };
        if self.r#type == Type::Json {
            let missing = scalar.text().is_some_and(|text| self.missing.iter().any(|word| word.is(text.trim())));
            return match &scalar {
                _ if missing => Reading::Absent,
                Scalar::Text(text) if self.decode.is_some() => json::decoded(text),
                _ => json::sent(doc, &scalar),
            };
        }
        if let Some(reading) = scalar.text().and_then(|text| self.known(text)) {
            return reading;
        }
        let Some(pattern) = &self.pattern else { return self.typed(scalar, received_at) };
        let Some(text) = scalar.text() else { return not_a(&scalar, "text") };
        let Some(value) = pattern.take_out(text) else {
            return Reading::Unreadable(format!("{}, which does not fit `pattern` {:?}", scalar.shown(), pattern.text));
        };
        self.known(value).unwrap_or_else(|| self.typed(Scalar::Text(Cow::Borrowed(value)), received_at))
    }

    /// A text by the words of a number in base 16; a number that has none stays as it was sent.
    fn named(&self, sent: Scalar<'_>) -> Reading {
        match decode::decoded(Decode::Hex, &sent, Type::Int) {
            Ok(number) => self.known(&number).unwrap_or_else(|| text(sent)),
            // Beyond all numbers, so it has no word.
            Err(Reading::Unstorable(_)) if sent.text().is_some() => text(sent),
            Err(reading) => sent.text().and_then(|text| self.known(text)).unwrap_or(reading),
        }
    }

    /// What `text` is without being read as the type: one of `words`, or no value.
    fn known(&self, text: &str) -> Option<Reading> {
        if !self.words.is_empty()
            && let Some(value) = self.words.get(text.trim())
        {
            return Some(Reading::Value(value.clone()));
        }
        let none = text.is_empty()
            || self.missing.iter().any(|word| word.is(text.trim()))
            || (!matches!(self.r#type, Type::Text | Type::Json) && (text.trim().is_empty() || is_missing(text.trim())));
        none.then_some(Reading::Absent)
    }

    fn typed(&self, scalar: Scalar<'_>, received_at: Time) -> Reading {
        let reading = match self.r#type {
            Type::Float => self.float(&scalar),
            Type::Int => self.int(&scalar),
            Type::Bool => match self.bit {
                Some(position) => bit_of(&scalar, position),
                None => bool(&scalar),
            },
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
            Range::Missing => Reading::Absent,
            Range::Reject => {
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
        (Scalar::Text(text), "number") if is_stroke(text) => {
            return Reading::Unreadable(format!("{}, which is no {what}: list it in `missing`", scalar.shown()));
        }
        (Scalar::Text(text), "number") if has_decimal_comma(text) => {
            let shown = scalar.shown();
            let remedy = "let the device, or a bridge, send a point";
            return Reading::Unreadable(format!("{shown}, and a decimal comma is not read: {remedy}"));
        }
        (Scalar::Text(text), "number") => match pattern::around_number(text) {
            Some(pattern) => &format!("`pattern = {pattern:?}`"),
            None => "`type`, or `words`",
        },
        (_, "bool") => "`words`",
        _ => "`type`",
    };
    Reading::Unreadable(format!("{}, which is no {what}: add {hint}", scalar.shown()))
}

/// `-`, `---`, `*`: what stands where a value should be.
fn is_stroke(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains(char::is_alphanumeric)
}

/// `12,5`, which may as well be a list of two, or in thousands.
fn has_decimal_comma(text: &str) -> bool {
    text.matches(',').count() == 1 && number::is_number(&text.trim().replace(',', "."))
}

fn bool(scalar: &Scalar<'_>) -> Reading {
    let value = match scalar {
        Scalar::Bool(value) => Some(*value),
        Scalar::Number(digits) => zero_or_one(digits),
        Scalar::Text(text) => bool_word(text.trim()).or_else(|| zero_or_one(text.trim())),
        Scalar::Null | Scalar::Composite(_) | Scalar::Broken => None,
    };
    value.map_or_else(|| not_a(scalar, "bool"), |value| Reading::Value(Value::Bool(value)))
}

/// One bit of a whole number; a negative one is in two's complement of 64 bits.
fn bit_of(scalar: &Scalar<'_>, position: u8) -> Reading {
    let Some(digits) = digits(scalar) else { return not_a(scalar, "whole number") };
    let bits = digits.parse::<u64>().ok().or_else(|| match Decimal::parse(digits)?.to_integer() {
        Integer::Is(number) => Some(number.cast_unsigned()),
        Integer::Fraction | Integer::Beyond => None,
    });
    match bits {
        Some(bits) => Reading::Value(Value::Bool(bits >> position & 1 == 1)),
        None => Reading::Unreadable(format!("{}, which is no whole number of 64 bits", scalar.shown())),
    }
}

fn zero_or_one(digits: &str) -> Option<bool> {
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
