//! `pattern = "{} seconds"`: the part of a text that is the value.

use crate::mapping::number;
use crate::mapping::pattern::Wrong;

/// What stands around the value. Blanks around the text and around the value do not matter.
#[derive(Clone, Debug)]
pub(in crate::mapping) struct Around {
    /// As it was written.
    pub text: Box<str>,
    /// Literal runs, between which `*` stands for any characters; at least one, perhaps empty.
    before: Box<[Box<str>]>,
    after: Box<[Box<str>]>,
}

impl Around {
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let wrong = |what: String, remedy: &str| Err(Wrong { what, remedy: remedy.to_owned() });
        let Some((before, after)) = text.split_once("{}") else {
            return wrong(
                format!("no `{{}}` in {text:?} says where the value stands"),
                "write `{}` in its place, as in `pattern = \"{} seconds\"`",
            );
        };
        if after.contains("{}") {
            return wrong(
                format!("`{{}}` stands twice in {text:?}, and a field has one value"),
                "write `*` for what is passed over, or make two fields of it",
            );
        }
        if before.trim().is_empty() && after.trim().is_empty() {
            return wrong(format!("{text:?} takes out the whole text"), "leave `pattern` out");
        }
        if before.ends_with('*') || after.starts_with('*') {
            return wrong(
                format!("`*` beside `{{}}` in {text:?} leaves open where the value ends"),
                "write a text between them, if only a blank: `pattern = \"{} *\"`",
            );
        }
        let runs = |text: &str| -> Vec<Box<str>> { text.split('*').map(Into::into).collect() };
        let (mut before, mut after) = (runs(before.trim_start()), runs(after.trim_end()));
        // A blank between the value and `*` is all that divides them; any other one next to the value may be missing.
        if let Some(run) = before.last_mut().filter(|run| !run.trim().is_empty()) {
            *run = run.trim_end().into();
        }
        if let Some(run) = after.first_mut().filter(|run| !run.trim().is_empty()) {
            *run = run.trim_start().into();
        }
        Ok(Self { text: text.into(), before: before.into(), after: after.into() })
    }

    /// The value, if `text` fits. What stands before it takes as little as it can, then the value does, but not nothing.
    pub fn take_out<'t>(&self, text: &'t str) -> Option<&'t str> {
        let text = text.trim();
        let (first, runs) = self.before.split_first()?;
        let mut rest = text.strip_prefix(&**first)?;
        for run in runs {
            rest = &rest[rest.find(&**run)? + run.len()..];
        }
        let (first, runs) = self.after.split_first()?;
        let rest = rest.trim_start();
        let value = match runs.split_last() {
            None => rest.strip_suffix(&**first)?,
            Some((last, runs)) => {
                // Blanks before the value are gone, so its first character is one of its own.
                let start = rest.chars().next()?.len_utf8();
                let end = start + rest[start..].find(&**first)?;
                let mut tail = &rest[end + first.len()..];
                for run in runs {
                    tail = &tail[tail.find(&**run)? + run.len()..];
                }
                tail.ends_with(&**last).then(|| &rest[..end])?
            }
        };
        Some(value.trim()).filter(|value| !value.is_empty())
    }
}

/// The pattern that takes the number out of `21.5 °C`; `None` where a text only happens to begin with a digit, as a date does.
pub(super) fn around_number(text: &str) -> Option<String> {
    let text = text.trim();
    let ends = text.char_indices().map(|(at, _)| at).take(40);
    let end = ends.filter(|end| number::is_number(&text[..*end])).last()?;
    let rest = &text[end..];
    let unit = rest.trim_start();
    let first = unit.chars().next()?;
    // Digits belong to a unit as in ` m3`; others are a second value.
    let mut previous = ' ';
    let digits_are_of_it = unit.chars().all(|character| {
        let of_it = !character.is_ascii_digit() || (rest.starts_with(' ') && previous.is_alphabetic());
        previous = character;
        of_it
    });
    let is_unit = (first.is_alphabetic() || "%‰°'\"$€£/".contains(first))
        && digits_are_of_it
        && unit.chars().count() <= 30
        && !unit.contains(['{', '}', '*'])
        && !unit.contains(char::is_control);
    is_unit.then(|| format!("{{}}{rest}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_with_a_unit_behind_it_has_a_pattern() {
        for (text, expected) in [
            ("21.5 °C", Some("{} °C")),
            (" 12 seconds ", Some("{} seconds")),
            ("-3.5e2V", Some("{}V")),
            ("50%", Some("{}%")),
            ("7 m3/h", Some("{} m3/h")),
            ("5 in \"", Some("{} in \"")),
            ("2024-01-01", None),
            ("12:30", None),
            ("21,5", None),
            ("1T02:03:04", None),
            ("192.168.1.1", None),
            ("3 of 5", None),
            ("1d 2h", None),
            ("0x1F", None),
            ("5 *", None),
            ("21.5", None),
            ("ON", None),
            ("", None),
        ] {
            assert_eq!(around_number(text).as_deref(), expected, "{text:?}");
            if let Some(pattern) = expected {
                let number = Around::parse(pattern).unwrap().take_out(text).unwrap();
                assert!(number::is_number(number), "{number:?} of {text:?}");
            }
        }
    }

    #[test]
    fn what_stands_in_the_place_of_the_value_is_taken_out() {
        for (pattern, text, expected) in [
            ("{} seconds", "12 seconds", Some("12")),
            ("{} seconds", "  12seconds ", Some("12")),
            ("{} seconds", "12 Seconds", None),
            ("{} seconds", "seconds", None),
            ("{} seconds", " seconds", None),
            ("{} seconds", "12", None),
            ("{}%", "48 %", Some("48")),
            ("Temp: {}", "Temp:21.5", Some("21.5")),
            ("Temp: {} C", "Temp: 21.5 C", Some("21.5")),
            ("Temp: {} C", "Temp:  C", None),
            ("a {} a", "a a", None),
            ("a {} a", "a b a", Some("b")),
            ("{} *", "21.5 °C, rising", Some("21.5")),
            ("{} *", "21.5 ", None),
            ("* {}", "RSSI is -67", Some("is -67")),
            ("* is {}", "RSSI is -67", Some("-67")),
            ("*={} *", "v=1 w=2", Some("1")),
            ("*w={}", "v=1 w=2", Some("2")),
            ("{},*,*", "1,2,3", Some("1")),
            ("{},*,*", "1,2", None),
            ("*,*,{}", "1,2,3", Some("3")),
            ("{}|*|", "1|x|", Some("1")),
            ("{}|*|", "1|", None),
            ("[{}]", "[é]", Some("é")),
            ("{}é*", "éé1", Some("é")),
            ("({})", "(", None),
        ] {
            assert_eq!(Around::parse(pattern).unwrap().take_out(text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_pattern_that_does_not_say_where_the_value_is_is_refused() {
        for (pattern, part) in [
            ("seconds", "no `{}`"),
            ("", "no `{}`"),
            ("{} to {}", "twice"),
            (" {} ", "whole text"),
            ("{}*", "beside `{}`"),
            ("*{} s", "beside `{}`"),
        ] {
            assert!(Around::parse(pattern).unwrap_err().what.contains(part), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_a_filled_pattern_gives_back_the_value(
            pattern in "[ab* é]{0,5}\\{\\}[ab* é]{0,5}|.{0,8}", text in "[ab* é1]{0,12}|.{0,12}",
            value in "[0-9]{1,5}",
        ) {
            if let Ok(around) = Around::parse(&pattern) {
                let _any = around.take_out(&text);
                let filled = pattern.replace("{}", &value);
                prop_assert_eq!(around.take_out(&filled), Some(&*value), "{} in {}", pattern, filled);
            }
        }
    }
}
