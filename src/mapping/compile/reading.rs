//! What a field's text is made of before its type: `decode`, `pattern`, `bit`.

use std::borrow::Cow;

use super::Compiler;
use crate::config::mapping::{Decode, FieldConfig};
use crate::fault::At;
use crate::mapping::number;
use crate::mapping::value::decode::{hex_word, is_hex_number};
use crate::mapping::value::pattern::Around;
use crate::schema::Type;

/// The three keys, checked against one another and the type.
pub(super) struct Reading {
    pub decode: Option<Decode>,
    pub pattern: Option<Around>,
    pub bit: Option<u8>,
}

impl Compiler<'_, '_> {
    pub(super) fn reading(&mut self, written: &FieldConfig, key: &str, r#type: Type) -> Reading {
        self.decode(written, key, r#type);
        if let (Some(bit), Some(declared)) = (&written.bit, &written.r#type)
            && declared.value != Type::Bool
        {
            let what = format!("a bit is a bool, and the type is `{}`", declared.value.word());
            self.fault(&bit.place, &format!("{key}.bit"), what, "leave `type` out, `bit` implies it");
        }
        let pattern = written.pattern.as_ref().and_then(|pattern| {
            let key = format!("{key}.pattern");
            if r#type == Type::Json {
                let what = "`pattern` takes a value out of a text, and the field is of type `json`";
                self.fault(&pattern.place, &key, what, "leave one of them out");
            }
            self.ok(Around::parse(&pattern.value), &pattern.place, &key)
        });
        Reading {
            decode: written.decode.as_ref().map(|decode| decode.value),
            pattern,
            bit: written.bit.as_ref().map(|bit| bit.value),
        }
    }

    fn decode(&mut self, written: &FieldConfig, key: &str, r#type: Type) {
        let Some(At { value: decode, place }) = &written.decode else { return };
        let is_number = matches!(r#type, Type::Float | Type::Int);
        let decode_key = format!("{key}.decode");
        match decode {
            _ if r#type == Type::Time => {
                let what = "a time is not decoded";
                let remedy = match decode {
                    Decode::Duration => "a duration is a number of seconds: leave `type` out",
                    Decode::Hex | Decode::Base64 => "leave one of them out: `type = \"text\"`, or no `decode`",
                };
                self.fault(place, &decode_key, what, remedy);
            }
            Decode::Duration if !is_number => {
                let what = format!("a duration is a number of seconds, and the field is of type `{}`", r#type.word());
                let remedy = if written.bit.is_some() { "leave `bit` out" } else { "leave `type` out" };
                self.fault(place, &decode_key, what, remedy);
            }
            Decode::Duration => self.seconds(written, key),
            Decode::Hex if is_number || r#type == Type::Bool || !written.words.is_empty() => {
                self.decoded_words(written, key);
            }
            Decode::Hex | Decode::Base64 => {}
        }
    }

    /// A unit that seconds do not have.
    fn seconds(&mut self, written: &FieldConfig, key: &str) {
        let Some(unit) = &written.unit else { return };
        let scale = match unit.value.as_str() {
            "ms" => "1000",
            "min" => "0.016666666666666667",
            "h" => "0.0002777777777777778",
            "d" => "0.000011574074074074074",
            _ => return,
        };
        if written.scale.is_none() {
            let what = format!("a duration is in seconds, and the unit is `{}`", unit.value);
            let remedy = format!("leave `unit` out, or add `scale = {scale}`");
            self.fault(&unit.place, &format!("{key}.unit"), what, remedy);
        }
    }

    /// `0x0a` under `decode = "hex"` means what it says; all else is compared as it is written.
    pub(super) fn word<'w>(written: &FieldConfig, r#type: Type, word: &'w str) -> Cow<'w, str> {
        let is_hex = written.decode.as_ref().is_some_and(|decode| decode.value == Decode::Hex)
            && (!matches!(r#type, Type::Text | Type::Json) || !written.words.is_empty());
        hex_word(word).filter(|_| is_hex).map_or(Cow::Borrowed(word), Cow::Owned)
    }

    /// Words that could never be met, because what is compared with them is decoded first.
    fn decoded_words(&mut self, written: &FieldConfig, key: &str) {
        let words = written.words.iter().map(|(word, _)| (word, "words"));
        for (word, list) in words.chain(written.missing.iter().map(|word| (word, "missing"))) {
            let text = word.value.trim();
            if number::is_number(text) || hex_word(text).is_some() || !is_hex_number(text) {
                continue;
            }
            let what = format!("`{text}` is compared with the number that was decoded, which is written in decimal");
            let remedy = match hex_word(&format!("0x{text}")) {
                Some(number) => format!("write `{number}`, or `0x{text}`"),
                None => "leave it out".to_owned(),
            };
            self.fault(&word.place, &format!("{key}.{list}"), what, remedy);
        }
    }
}
