//! Words that stand for values, and words that stand for none. Compared in any case, numbers by their amount.

use super::number;

/// What words stand for.
#[derive(Clone, Debug)]
pub(super) struct Words<T>(Vec<(Word, T)>);

/// A word to compare with.
#[derive(Clone, Debug)]
pub(super) struct Word {
    text: Box<str>,
    number: Option<f64>,
}

impl Word {
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), number: number::float(text) }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether `text` is this word.
    pub fn is(&self, text: &str) -> bool {
        same(&self.text, text) || self.number.is_some_and(|number| number::float(text) == Some(number))
    }
}

impl<T> Default for Words<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Words<T> {
    /// Adds a word; `false` if it is there already, in whatever case.
    pub fn add(&mut self, text: &str, value: T) -> bool {
        if self.get(text).is_some() {
            return false;
        }
        self.0.push((Word::new(text), value));
        true
    }

    pub fn get(&self, text: &str) -> Option<&T> {
        self.0.iter().find(|(word, _)| word.is(text)).map(|(_, value)| value)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Equal in any case.
pub(super) fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
        || (!one.is_ascii() && !other.is_ascii() && one.to_lowercase() == other.to_lowercase())
}

/// Words that many devices send for "no value"; a text field takes them as they are.
pub(super) fn is_missing(text: &str) -> bool {
    ["n/a", "unknown", "unavailable", "nan"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// The words that a bool understands by itself.
pub(super) fn bool_word(text: &str) -> Option<bool> {
    const PAIRS: [(&str, &str); 6] = [
        ("on", "off"),
        ("true", "false"),
        ("yes", "no"),
        ("online", "offline"),
        ("connected", "disconnected"),
        ("open", "closed"),
    ];
    PAIRS.iter().find_map(|(yes, no)| {
        if text.eq_ignore_ascii_case(yes) {
            Some(true)
        } else if text.eq_ignore_ascii_case(no) {
            Some(false)
        } else {
            None
        }
    })
}

/// Whether `text` fits `glob`, in which `*` stands for any run of characters. In any case.
pub(super) fn glob(glob: &str, text: &str) -> bool {
    let (glob, text) = (glob.to_lowercase(), text.to_lowercase());
    let mut runs = glob.split('*');
    let Some(mut rest) = text.strip_prefix(runs.next().unwrap_or_default()) else { return false };
    let mut runs: Vec<_> = runs.collect();
    let Some(last) = runs.pop() else { return rest.is_empty() };
    for run in runs {
        match rest.find(run) {
            Some(at) => rest = &rest[at + run.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

/// The word of `known` that `word` was probably meant to be.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    known
        .into_iter()
        .map(|known| (strsim::osa_distance(&word, &known.to_lowercase()), known))
        .filter(|(distance, known)| {
            let length = known.chars().count();
            // Any two names of one or two letters are a letter or two apart.
            let bound = if length.max(word.chars().count()) > 2 { length.max(3) / 3 } else { 0 };
            *distance <= bound
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run() {
        for (pattern, text, expected) in [
            ("BME280*", "bme280-76", true),
            ("BME280*", "BME280", true),
            ("BME280", "BME280-76", false),
            ("*x", "xyx", true),
            ("*x", "xy", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*", "", true),
            ("É*", "éa", true),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn words_are_found_in_any_case_and_numbers_by_their_amount() {
        let mut words = Words::default();
        assert!(words.add("Ok", 1) && words.add("1", 2) && words.add("ÄN", 3));
        assert!(!words.add("OK", 4) && !words.add("1.0", 4));
        assert_eq!(
            [words.get("oK"), words.get("1.00"), words.get("än"), words.get("x")],
            [Some(&1), Some(&2), Some(&3), None]
        );
    }

    #[test]
    fn the_nearest_word_is_proposed_only_if_it_is_near() {
        let known = ["device", "sensor", "room"];
        assert_eq!(nearest("sensro", known), Some("sensor"));
        assert_eq!(nearest("roon", known), Some("room"));
        assert_eq!(nearest("temperature", known), None);
        assert_eq!(nearest("v", ["x", "id"]), None);
        assert_eq!(nearest("T", ["id", "t"]), Some("t"), "in any case");
        assert_eq!(nearest("tme", ["time"]), Some("time"));
    }
}
