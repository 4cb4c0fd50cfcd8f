//! Fields: their paths, types and words, and how a value becomes one of the type.

use std::sync::Arc;

use super::Compiler;
use super::reading::Reading;
use super::sources::text_of;
use crate::config::mapping::{Decode, FieldConfig, Others, Word as Written};
use crate::fault::At;
use crate::mapping::compiled::{Field, Located};
use crate::mapping::names::Role;
use crate::mapping::number::Decimal;
use crate::mapping::path::Path;
use crate::mapping::value::Reader;
use crate::mapping::words::{Word, Words};
use crate::row::Value;
use crate::schema::{self, Deadband, Kind, Type};

impl Compiler<'_, '_> {
    /// The fields, and the columns they are stored in, in the order of the file.
    pub(super) fn fields(&mut self, pivoted: bool) -> (Vec<Field>, Vec<schema::Field>) {
        let config = self.config;
        let (mut fields, mut columns): (Vec<Field>, Vec<schema::Field>) = (Vec::new(), Vec::new());
        for written in config.fields.iter().filter(|field| !field.removed) {
            let name = &written.name;
            let key = format!("fields.{}", name.value);
            self.name(Role::Field, &name.value, &name.place, &key);
            if let Some(twin) = columns.iter().find(|column| column.name.to_lowercase() == name.value.to_lowercase()) {
                let what = format!(
                    "`{}` and `{}` differ only in case, and SQLite takes them for one column",
                    twin.name, name.value
                );
                self.fault(&name.place, &key, what, "give one another name; `path` says where its value comes from");
                continue;
            }
            let Some((field, column)) = self.field(written, &key, pivoted) else { continue };
            fields.push(field);
            columns.push(column);
        }
        if config.others == Others::Ignore && !config.fields.iter().any(|field| !field.removed) {
            self.fault(
                &config.name.place,
                "fields",
                "the mapping has no fields, so it could never give a row",
                "write `fields = [\"temperature\"]`",
            );
        }
        (fields, columns)
    }

    fn field(&mut self, written: &FieldConfig, key: &str, pivoted: bool) -> Option<(Field, schema::Field)> {
        let name = &written.name;
        let mut paths = Vec::new();
        for path in &written.path {
            // No path was written: then the name is the key, taken to the letter.
            if path.place == name.place && path.value == name.value {
                paths.push(self.default_path(written, key, pivoted));
                continue;
            }
            let Some(located) = self.field_path(&path.value, &path.place, &format!("{key}.path"), pivoted) else {
                continue;
            };
            if pivoted {
                self.check_pivoted(&located, &path.place, &format!("{key}.path"));
            }
            paths.push(located);
        }
        if written.path.is_empty() {
            paths.push(self.default_path(written, key, pivoted));
        }
        let (r#type, words) = self.words(written, key)?;
        let reading = self.reading(written, key, r#type);
        let mut missing = Vec::new();
        for word in self.config.missing.iter().chain(&written.missing) {
            let missed = Self::word(written, r#type, &word.value);
            if words.get(&missed).is_some() {
                self.fault(
                    &word.place,
                    &format!("{key}.missing"),
                    format!("`{}` is a value in `words` and none in `missing`", word.value),
                    "leave one out",
                );
            }
            missing.push(Word::new(&missed));
        }
        self.numbers_only(written, key, r#type);
        let scale = self.factor(written.scale.as_ref(), &format!("{key}.scale"), true);
        let offset = self.factor(written.offset.as_ref(), &format!("{key}.offset"), false);
        let min = self.finite(written.min.as_ref(), &format!("{key}.min"));
        let max = self.finite(written.max.as_ref(), &format!("{key}.max"));
        if let (Some(min), Some(max), Some(at)) = (min, max, &written.max)
            && min > max
        {
            self.fault(&at.place, &format!("{key}.max"), format!("`max` {max} is below `min` {min}"), "exchange them");
        }
        if let Some(range) = &written.range
            && min.is_none()
            && max.is_none()
        {
            self.fault(
                &range.place,
                &format!("{key}.range"),
                "`range` needs `min` or `max` to compare with",
                "add one of them, or leave `range` out",
            );
        }
        // A duration is seconds, unless `scale` makes something else of it.
        let seconds = reading.decode == Some(Decode::Duration) && scale.is_none();
        let unit = written.unit.as_ref().map(|unit| unit.value.clone()).or_else(|| seconds.then(|| "s".to_owned()));
        let deadband = self.deadband(written, key, r#type);
        let column = schema::Field {
            name: name.value.clone(),
            kind: written.kind,
            r#type,
            unit,
            description: written.description.clone(),
            decimals: written.decimals,
            min,
            max,
            deadband,
        };
        let range = written.range.as_ref().map(|range| range.value);
        let Reading { decode, pattern, bit } = reading;
        let zone = self.zone.clone();
        let reader = Reader { r#type, words, missing, decode, pattern, bit, scale, offset, min, max, range, zone };
        Some((Field { name: Arc::from(name.value.as_str()), paths, reader, required: written.required }, column))
    }

    /// Which values are not worth storing again. What is no number has no distance: there 0 means "as before".
    fn deadband(&mut self, written: &FieldConfig, key: &str, r#type: Type) -> Option<Deadband> {
        let heartbeat = written.heartbeat.as_ref();
        let Some(amount) = &written.deadband else {
            if let Some(heartbeat) = heartbeat {
                self.fault(
                    &heartbeat.place,
                    &format!("{key}.heartbeat"),
                    "`heartbeat` says how often a value is stored that stays within `deadband`, and there is none",
                    "add `deadband = 0` to store a value when it changes, or leave `heartbeat` out",
                );
            }
            return None;
        };
        if amount.value < 0.0 {
            let what = format!("`deadband` is a distance, and {} is below 0", amount.value);
            self.fault(&amount.place, &format!("{key}.deadband"), what, format!("write `{}`", -amount.value));
            return None;
        }
        if amount.value > 0.0 && !matches!(r#type, Type::Float | Type::Int) {
            let what = format!("the field is of type `{}`, whose values are alike or not", r#type.word());
            let remedy = "write `deadband = 0`: stored when it changes";
            self.fault(&amount.place, &format!("{key}.deadband"), what, remedy);
            return None;
        }
        Some(Deadband { amount: amount.value, heartbeat: heartbeat.map(|heartbeat| heartbeat.value) })
    }

    /// The path that is the field's name.
    fn default_path(&mut self, written: &FieldConfig, key: &str, pivoted: bool) -> Located {
        let name = &written.name;
        if name.value.contains(['.', '[', ']', '{', '}', '\'', '"']) {
            let what = format!("`{}` may be a key or a path, and no `path` says which", name.value);
            let remedy = format!("write `name = \"'{0}'\"` for the key, `name = \"{0}\"` for the path", name.value);
            self.fault(&name.place, key, what, remedy);
        }
        let path = Path::key(&name.value);
        let located = Located::new(if pivoted { path } else { self.zipped(path) }, &self.rows);
        if !pivoted {
            self.leads_to_a_cell(&located, &name.place, key);
        }
        located
    }

    /// The type, as written or as `words` imply it, and the words as values of it.
    fn words(&mut self, written: &FieldConfig, key: &str) -> Option<(Type, Words<Value>)> {
        let bit = written.bit.is_some().then_some(Type::Bool);
        let declared = written.r#type.as_ref().map(|declared| declared.value).or(bit);
        if written.words.is_empty() {
            return Some((declared.unwrap_or_default(), Words::default()));
        }
        let implied = self.implied(&written.words, key)?;
        let r#type = match (declared, implied) {
            (None, implied) => implied,
            (Some(Type::Float), Type::Int) => Type::Float,
            (Some(declared), implied) if declared == implied => declared,
            (Some(declared), implied) => {
                let place = written.r#type.as_ref().map_or(&written.name.place, |declared| &declared.place);
                let remedy = if written.bit.is_some() {
                    "write `true` and `false` as values: with `bit` the field is a bool".to_owned()
                } else if matches!(declared, Type::Json | Type::Time) {
                    format!("leave `words` out: a {} has none", declared.word())
                } else {
                    "leave `type` out, words imply it".to_owned()
                };
                let what = format!(
                    "the type is `{}`, and the values of `words` are of type `{}`",
                    declared.word(),
                    implied.word()
                );
                self.fault(place, &format!("{key}.type"), what, remedy);
                return None;
            }
        };
        let mut words = Words::default();
        for (word, value) in &written.words {
            #[expect(clippy::cast_precision_loss, reason = "nobody writes a word for an integer beyond 2^53")]
            let value = match (&value.value, r#type) {
                (Written::Int(number), Type::Float) => Value::Float(*number as f64),
                (Written::Int(number), _) => Value::Int(*number),
                (Written::Float(number), _) => Value::Float(*number),
                (Written::Bool(value), _) => Value::Bool(*value),
                (Written::Text(text), _) => Value::Text(text.as_str().into()),
            };
            if !words.add(&Self::word(written, r#type, &word.value), value) {
                self.fault(
                    &word.place,
                    &format!("{key}.words"),
                    format!(
                        "`{}` is listed twice (words are compared in any case, numbers by their amount)",
                        word.value
                    ),
                    "leave one out",
                );
            }
        }
        Some((r#type, words))
    }

    fn implied(&mut self, words: &[(At<String>, At<Written>)], key: &str) -> Option<Type> {
        let mut implied = None;
        for (_, value) in words {
            let r#type = match &value.value {
                Written::Text(text) => {
                    if text.contains('\0') {
                        self.fault(
                            &value.place,
                            &format!("{key}.words"),
                            "a text holds no NUL character",
                            "leave it out",
                        );
                    }
                    Type::Text
                }
                Written::Int(_) => Type::Int,
                Written::Float(number) => {
                    if !number.is_finite() {
                        self.fault(
                            &value.place,
                            &format!("{key}.words"),
                            "no store sums up `inf` and `nan`",
                            "list the word in `missing` instead",
                        );
                    }
                    Type::Float
                }
                Written::Bool(_) => Type::Bool,
            };
            implied = match (implied, r#type) {
                (None, first) => Some(first),
                (Some(Type::Int), Type::Float) | (Some(Type::Float), Type::Int) => Some(Type::Float),
                (Some(known), next) if known == next => Some(known),
                (Some(known), next) => {
                    let what = format!(
                        "`words` mix {} and {} (`{}`), and a field has one type",
                        known.word(),
                        next.word(),
                        text_of(&value.value)
                    );
                    self.fault(&value.place, &format!("{key}.words"), what, "write all values in one type");
                    return None;
                }
            };
        }
        implied
    }

    /// What only numbers can have.
    fn numbers_only(&mut self, written: &FieldConfig, key: &str, r#type: Type) {
        if matches!(r#type, Type::Float | Type::Int) {
            return;
        }
        let place = |at: &Option<At<f64>>| at.as_ref().map(|at| at.place.clone());
        let range = written.range.as_ref().map(|range| range.place.clone());
        let decimals = written.decimals.map(|_| written.name.place.clone());
        let total = (written.kind == Kind::Total).then(|| written.name.place.clone());
        for (word, place) in [
            ("scale", place(&written.scale)),
            ("offset", place(&written.offset)),
            ("min", place(&written.min)),
            ("max", place(&written.max)),
            ("range", range),
            ("decimals", decimals),
            ("kind", total),
        ] {
            if let Some(place) = place {
                let what = format!("`{word}` is for numbers, and the field is of type `{}`", r#type.word());
                self.fault(&place, &format!("{key}.{word}"), what, "leave it out");
            }
        }
    }

    fn finite(&mut self, written: Option<&At<f64>>, key: &str) -> Option<f64> {
        let written = written?;
        if !written.value.is_finite() {
            self.fault(
                &written.place,
                key,
                format!("{} is no bound", written.value),
                "write a number, or leave it out",
            );
            return None;
        }
        Some(written.value)
    }

    /// A factor or summand, as the decimal it was written as; `None` where it changes nothing.
    fn factor(&mut self, written: Option<&At<f64>>, key: &str, times: bool) -> Option<Decimal> {
        let written = written?;
        if !written.value.is_finite() || (times && written.value == 0.0) {
            self.fault(
                &written.place,
                key,
                format!("{} would leave nothing of the value", written.value),
                "write another number, or leave it out",
            );
            return None;
        }
        #[expect(clippy::float_cmp, reason = "one and zero are exact")]
        let idle = written.value == if times { 1.0 } else { 0.0 };
        if idle { None } else { Decimal::of_float(written.value) }
    }
}
