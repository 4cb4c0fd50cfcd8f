//! From what the values at one place are like to a field: its type, unit, words, and the evidence for them.

use super::shape::{Said, Shape};
use super::times::{self, Written};
use super::{units, words, write};
use crate::message::Time;

/// What a place holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Guess {
    Field(Field),
    /// A field that is probably not wanted, and why.
    Doubtful(Field, String),
    /// A moment: the time of the row, or a field.
    Moment(Moment),
    /// Nothing that a field could hold, and why.
    Nothing(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Epoch,
    Text(Written),
}

/// A field without its name and path.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Field {
    /// Keys of its table with their values as TOML.
    pub keys: Vec<(&'static str, String)>,
    /// What the guess goes by.
    pub notes: Vec<String>,
}

impl Field {
    fn of_type(word: &str) -> Self {
        Self { keys: vec![("type", write::string(word))], notes: Vec::new() }
    }

    fn with(mut self, key: &'static str, value: String) -> Self {
        self.keys.push((key, value));
        self
    }

    fn note(mut self, note: impl Into<String>) -> Self {
        let note = note.into();
        if !note.is_empty() {
            self.notes.push(note);
        }
        self
    }
}

/// Texts that are states have at most so many values.
const MAX_STATES: usize = 16;
/// Longer texts are messages for people, or data.
const STATE_CHARS: usize = 64;
/// Numbers by which sensors say that they have none: DS18x20, and the usual ones.
const NO_TEMPERATURE: [f64; 4] = [-127.0, 327.67, 327.68, -3276.8];
const NO_NUMBER: [f64; 4] = [-9999.0, -999.0, 9999.0, -32768.0];

/// What the values of `shape` under `key` are; `near` is when they were heard.
pub(super) fn guess(key: &str, shape: &Shape, near: Time) -> Guess {
    let texts: Vec<&str> = shape.texts.distinct.iter().map(|text| text.trim()).collect();
    let texts: Vec<&str> = texts.into_iter().filter(|text| !text.is_empty() && !is_no_value(text)).collect();
    let (numbers, bools) = (shape.numbers.count, shape.bools());
    if numbers == 0 && bools == 0 && texts.is_empty() {
        return Guess::Nothing("no value was seen".to_owned());
    }
    if texts.is_empty() && bools == 0 {
        return of_numbers(key, shape, near);
    }
    if texts.is_empty() && numbers == 0 {
        return Guess::Field(Field::of_type("bool"));
    }
    if numbers == 0 && bools == 0 {
        return of_texts(key, shape, &texts, near);
    }
    mixed(key, shape, &texts, near)
}

fn is_no_value(text: &str) -> bool {
    ["n/a", "unknown", "unavailable", "nan", "null", "none", "-", "--"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
}

fn of_numbers(key: &str, shape: &Shape, near: Time) -> Guess {
    let numbers = &shape.numbers;
    let all_epoch = numbers.examples.iter().all(|number| times::is_epoch(*number, near)) && numbers.min > 0.0;
    if all_epoch && (words::is_time_key(key) || is_of_now(numbers.min, near)) {
        return Guess::Moment(Moment::Epoch);
    }
    let field = with_unit(Field::default(), key, shape);
    if words::is_identity(key) && numbers.are_whole() {
        return Guess::Doubtful(int(), "a number that is a name: a tag, if it tells devices apart".to_owned());
    }
    if numbers.are_whole() && numbers.min >= 0.0 && numbers.max <= 1.0 && words::is_yes_or_no(key) {
        return Guess::Field(Field::of_type("bool").note("0 and 1 by its name are no and yes"));
    }
    if numbers.are_whole()
        && is_counted(key)
        && !field.keys.iter().any(|(key, _)| *key == "scale")
        && numbers.max.abs() < 9e15
    {
        return Guess::Field(Field { keys: [int().keys, field.keys].concat(), notes: field.notes });
    }
    Guess::Field(field)
}

/// So near to the time of receipt that a key that says nothing of time may bear one.
fn is_of_now(number: f64, near: Time) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "some days more or less")]
    let near = near.0 as f64 / 1e6;
    [1.0, 1e3].iter().any(|unit| (number / unit - near).abs() < 86_400.0 * 2.0)
}

fn int() -> Field {
    Field::of_type("int")
}

fn is_counted(key: &str) -> bool {
    const COUNTED: &[&str] = &[
        "count",
        "counter",
        "cnt",
        "number",
        "seq",
        "sequence",
        "index",
        "port",
        "channel",
        "version",
        "uptime",
        "bytes",
        "errors",
        "fails",
        "retries",
        "steps",
        "linkquality",
        "lqi",
        "frame",
        "restarts",
        "reboots",
        "boots",
        "clients",
        "connections",
        "code",
        "id",
        "tariff",
    ];
    words::words(key).iter().any(|word| COUNTED.contains(&word.as_str()))
}

/// With the unit that a member beside it, or its name, speaks for; and what the sensor sends in the place of a number.
fn with_unit(mut field: Field, key: &str, shape: &Shape) -> Field {
    let numbers = (shape.numbers.count > 0).then_some(&shape.numbers);
    let by_name = units::unit_of(key, numbers);
    match &shape.unit {
        Said::Unit(said) => {
            let unit = units::proper(said);
            field = field.with("unit", write::string(unit)).note("its unit stands beside it");
            if ["kWh", "Wh", "MWh", "m³"].contains(&unit) && shape.numbers.min >= 0.0 {
                field = field.with("kind", write::string("total"));
            }
        }
        Said::Various => field = field.note("its units vary: convert them, or ask for one"),
        Said::Nothing => {
            if let Some(unit) = by_name.unit {
                field = field.with("unit", write::string(unit));
                if !by_name.why.is_empty() {
                    field = field.note(format!("unit {}", by_name.why));
                }
            }
            if by_name.thousandths {
                field = field.with("scale", "0.001".to_owned());
            }
            if by_name.total {
                field = field.with("kind", write::string("total"));
            }
        }
    }
    let is_temperature = field.keys.iter().any(|(key, unit)| *key == "unit" && unit.contains('°'));
    let odd = shape.numbers.examples.iter().filter(|number| {
        NO_NUMBER.contains(number) && by_name.unit.is_some() || is_temperature && NO_TEMPERATURE.contains(number)
    });
    let odd: Vec<String> = odd.map(|number| write::number(*number)).collect();
    if !odd.is_empty() {
        field = field.with("missing", format!("[{}]", odd.join(", "))).note("which sensors send for no value");
    }
    field
}

fn of_texts(key: &str, shape: &Shape, texts: &[&str], near: Time) -> Guess {
    if let Some(written) = moments(texts) {
        return Guess::Moment(Moment::Text(written));
    }
    let is_version = words::words(key).last().is_some_and(|word| word == "version" || word == "ver");
    if !is_version && texts.iter().all(|text| plain_number(text)) {
        return numbers_in_texts(key, shape, texts, near);
    }
    if let Some(guess) = truth(key, texts) {
        return guess;
    }
    if texts.iter().all(|text| decimal_comma(text)) {
        return Guess::Doubtful(
            Field::default(),
            "decimal commas are not read: let the device, or a bridge, send a point".to_owned(),
        );
    }
    if let Some(guess) = number_and_unit(key, texts) {
        return guess;
    }
    if texts.iter().all(|text| times::is_duration(text)) {
        return Guess::Field(Field::default().with("decode", write::string("duration")).note("a duration, in seconds"));
    }
    let text = Field::of_type("text");
    if words::is_identity(key) {
        return Guess::Doubtful(text, "a name: a tag, if it tells devices apart".to_owned());
    }
    if let Some(what) = identifier(texts) {
        return Guess::Doubtful(text, what.to_owned());
    }
    let longest = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
    if shape.texts.more || texts.len() > MAX_STATES {
        return Guess::Doubtful(text, "a text that is another each time, and no state".to_owned());
    }
    if longest > STATE_CHARS
        && !words::words(key)
            .iter()
            .any(|word| ["message", "description", "text", "warn", "error"].contains(&word.as_str()))
    {
        return Guess::Doubtful(text, "a long text, and no state".to_owned());
    }
    Guess::Field(text)
}

/// How all of `texts` write a moment; local if some bear a zone and some none.
fn moments(texts: &[&str]) -> Option<Written> {
    let mut all = texts.iter().map(|text| times::read(text));
    let first = all.next()??;
    all.try_fold(first, |written, next| match (written, next?) {
        (one, other) if one == other => Some(one),
        (Written::Zoned, Written::Local) | (Written::Local, Written::Zoned) => Some(Written::Local),
        _ => None,
    })
}

fn plain_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) && text.parse::<f64>().is_ok_and(f64::is_finite)
}

fn numbers_in_texts(key: &str, shape: &Shape, texts: &[&str], near: Time) -> Guess {
    let mut read = Shape { unit: shape.unit.clone(), ..Shape::default() };
    texts.iter().filter_map(|text| text.parse().ok()).for_each(|number| read.add(&super::json::Json::Number(number)));
    let zeros = texts.iter().any(|text| {
        text.len() > 1 && text.starts_with('0') && !text.starts_with("0.") && text.chars().all(|c| c.is_ascii_digit())
    });
    if words::is_identity(key) || zeros && texts.iter().any(|text| text.len() > 4) {
        return Guess::Doubtful(
            Field::of_type("text"),
            "digits that are a name: a tag, if it tells devices apart".to_owned(),
        );
    }
    match of_numbers(key, &read, near) {
        _ if zeros => Guess::Field(int().note("numbers in texts")),
        Guess::Field(field) => Guess::Field(field.note("numbers in texts")),
        guess => guess,
    }
}

fn decimal_comma(text: &str) -> bool {
    let Some((whole, fraction)) = text.trim_start_matches('-').split_once(',') else { return false };
    [whole, fraction].iter().all(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()))
}

/// Words of which each is yes or no. Where only one of the two was heard and the key is of a choice, it is a text.
fn truth(key: &str, texts: &[&str]) -> Option<Guess> {
    let known: Vec<(&str, bool)> =
        texts.iter().map(|text| Some((*text, words::truth(text)?))).collect::<Option<_>>()?;
    if words::is_choice(key) {
        return None;
    }
    let mut field = Field::of_type("bool");
    let mut listed: Vec<String> = Vec::new();
    let mut lower: Vec<String> = Vec::new();
    for (text, value) in &known {
        if !lower.contains(&text.to_lowercase()) {
            lower.push(text.to_lowercase());
            listed.push(format!("{} = {value}", write::key(text)));
        }
    }
    let by_itself = |text: &str| {
        ["on", "off", "true", "false", "yes", "no", "online", "offline", "connected", "disconnected", "open", "closed"]
            .iter()
            .any(|word| text.eq_ignore_ascii_case(word))
    };
    if !texts.iter().all(|text| by_itself(text)) {
        // `Home` may be one of many places, `RUNNING` one of many states: a bool would lose the others.
        if known.iter().all(|(_, value)| *value == known[0].1) {
            return None;
        }
        field.keys = vec![("words", format!("{{ {} }}", listed.join(", ")))];
        field = field.note("add the words that were not heard");
    }
    Some(Guess::Field(field))
}

/// `21.5 °C`: all of them with the same unit.
fn number_and_unit(key: &str, texts: &[&str]) -> Option<Guess> {
    fn split(text: &str) -> Option<(f64, &str, bool)> {
        let end = text.find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c)))?;
        let number: f64 = text[..end].parse().ok()?;
        let unit = text[end..].trim();
        Some((number, unit, text[end..].starts_with(' ')))
    }
    let (_, unit, _) = split(texts[0])?;
    let fits = |text: &&str| {
        split(text).is_some_and(|(_, of_this, spaced)| {
            of_this == unit
                && (units::is_unit(unit)
                    || spaced && unit.chars().count() <= 12 && !unit.contains([' ', ':', '*', '{', '}']))
        })
    };
    if unit.is_empty() || unit.contains(['*', '{', '}']) || !texts.iter().all(fits) {
        return None;
    }
    let spaced = if texts[0].contains(' ') { " " } else { "" };
    let field = Field::default()
        .with("pattern", write::string(&format!("{{}}{spaced}{unit}")))
        .with("unit", write::string(units::proper(unit)));
    let total = units::unit_of(key, None).total && ["kWh", "Wh", "m³"].contains(&units::proper(unit));
    Some(Guess::Field(if total { field.with("kind", write::string("total")) } else { field }))
}

/// What all of `texts` name, if they are no states.
fn identifier(texts: &[&str]) -> Option<&'static str> {
    let all = |is: &dyn Fn(&str) -> bool| texts.iter().all(|text| is(text));
    let is_hex = |text: &str| text.chars().all(|c| c.is_ascii_hexdigit());
    if all(&|text| text.contains("://")) {
        return Some("an address in the web");
    }
    if all(&|text| {
        text.split(['.', ':']).count() >= 4 && text.chars().all(|c| c.is_ascii_hexdigit() || ".:".contains(c))
    }) {
        return Some("an address of a network");
    }
    if all(&|text| {
        text.len() >= 6 && text.len().is_multiple_of(2) && is_hex(text) && text.contains(|c: char| c.is_ascii_digit())
    }) {
        return Some("bytes in hex, or an identifier: `decode` reads some");
    }
    if all(&|text| text.len() == 36 && text.split('-').count() == 5) {
        return Some("an identifier");
    }
    if all(&|text| {
        text.len() >= 8
            && text.len().is_multiple_of(4)
            && !text.contains([' ', '-', '.', '_'])
            && crate::message::base64(text).is_some()
            && (text.ends_with('=') || text.contains(['+', '/']) || text.len() >= 32)
            && text.contains(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit())
    }) {
        return Some("bytes in base64, or an identifier");
    }
    None
}

/// Numbers, words and truth values at one place.
fn mixed(key: &str, shape: &Shape, texts: &[&str], near: Time) -> Guess {
    let numbers = shape.numbers.count + shape.texts.distinct.iter().filter(|text| plain_number(text)).count() as u64;
    let words: Vec<&str> = texts.iter().copied().filter(|text| !plain_number(text)).collect();
    if numbers == 0 && words.iter().all(|word| words::truth(word).is_some()) {
        return truth(key, texts).unwrap_or_else(|| Guess::Field(Field::of_type("text")));
    }
    if words.is_empty() && shape.bools() == 0 {
        return match of_numbers(key, shape, near) {
            Guess::Field(field) => Guess::Field(field.note("some numbers in texts")),
            guess => guess,
        };
    }
    if numbers == 0 || shape.texts.more || words.len() > 6 || words.iter().any(|word| word.chars().count() > 24) {
        return Guess::Field(Field::of_type("text").note("values of several kinds"));
    }
    let Guess::Field(mut field) = of_numbers(key, &Shape { trues: 0, falses: 0, ..shape.clone() }, near) else {
        return Guess::Field(Field::of_type("text").note("values of several kinds"));
    };
    if field.keys.iter().any(|(key, _)| *key == "missing") || field.keys.first().is_some_and(|(key, _)| *key == "type")
    {
        return Guess::Field(Field::of_type("text").note("values of several kinds"));
    }
    let mut given: Vec<String> = Vec::new();
    if shape.bools() > 0 {
        given.extend(["true = 1".to_owned(), "false = 0".to_owned()]);
        field.keys.insert(0, ("type", write::string("float")));
    }
    if !given.is_empty() {
        field = field.with("words", format!("{{ {} }}", given.join(", ")));
    }
    if !words.is_empty() {
        let words: Vec<String> = words.iter().map(|word| write::string(word)).collect();
        field = field
            .with("missing", format!("[{}]", words.join(", ")))
            .note("numbers, and words that stand for no number");
    }
    Guess::Field(field)
}

/// A few values, cut, for a comment.
pub(super) fn evidence(shape: &Shape) -> String {
    let mut values: Vec<String> = shape.numbers.examples.iter().take(3).map(|number| write::number(*number)).collect();
    values.extend(shape.texts.distinct.iter().take(3).map(|text| format!("\"{}\"", write::comment(text, 24))));
    if shape.trues > 0 {
        values.push("true".to_owned());
    }
    if shape.falses > 0 {
        values.push("false".to_owned());
    }
    values.truncate(4);
    if shape.numbers.count as usize > shape.numbers.examples.len()
        && shape.numbers.max > shape.numbers.min
        && shape.numbers.examples.len() > 2
    {
        values.push(format!("{} to {}", write::number(shape.numbers.min), write::number(shape.numbers.max)));
    }
    values.join(", ")
}
