//! A text with holes, `DS18B20-{i}`: one level of a topic, a member's name, or a template to fill in.
//!
//! Holes match leftmost-shortest and at least one character. Two holes always have a text between them.

use std::borrow::Cow;

/// What is wrong with a text of the language, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub what: String,
    pub remedy: String,
}

impl Wrong {
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

/// Names of the captures of one mapping; the position of a name is its slot in `Captures`.
#[derive(Clone, Debug, Default)]
pub(super) struct CaptureNames(pub Vec<String>);

impl CaptureNames {
    /// The slot of `name`, a new one if it was not caught before.
    pub fn slot(&mut self, name: &str) -> usize {
        self.find(name).unwrap_or_else(|| {
            self.0.push(name.to_owned());
            self.0.len() - 1
        })
    }

    pub fn find(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|known| known == name)
    }
}

/// What was caught, by slot; `None` where a template lacks the capture.
pub(super) type Captures<'m> = Vec<Option<Cow<'m, str>>>;

/// One piece of a text with holes, before it is known what the holes' names mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Hole(String),
}

/// Takes `text` apart at its braces.
///
/// # Errors
/// Braces that do not pair, a hole without a name, two holes without a text between them.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, Wrong> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let Some(brace) = rest.find(['{', '}']) else {
            pieces.push(Piece::Text(rest.to_owned()));
            break;
        };
        if rest[brace..].starts_with('}') {
            return Err(Wrong::new(
                format!("`{text}` closes a brace that was never opened"),
                "write captures as `{name}`",
            ));
        }
        if brace > 0 {
            pieces.push(Piece::Text(rest[..brace].to_owned()));
        }
        let inner = &rest[brace + 1..];
        let Some(close) = inner.find(['{', '}']).filter(|at| inner[*at..].starts_with('}')) else {
            return Err(Wrong::new(
                format!("`{text}` opens a brace and does not close it"),
                "write captures as `{name}`",
            ));
        };
        let name = &inner[..close];
        if name.is_empty() || name == "#" {
            return Err(Wrong::new(
                format!("a capture in `{text}` has no name"),
                "write `{name}`, or `{_name}` to keep no tag",
            ));
        }
        if name.trim() != name {
            return Err(Wrong::new(
                format!("`{{{name}}}` in `{text}` has a blank in it"),
                format!("write `{{{}}}`", name.trim()),
            ));
        }
        if matches!(pieces.last(), Some(Piece::Hole(_))) {
            return Err(Wrong::new(
                format!("two captures follow one another in `{text}`, so nothing says where the first one ends"),
                "put a text between them, or catch both in one",
            ));
        }
        pieces.push(Piece::Hole(name.to_owned()));
        rest = &inner[close + 1..];
    }
    Ok(pieces)
}

/// A compiled text with at least one hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    head: Box<str>,
    /// Slot of the hole, and the text behind it: empty only behind the last one.
    holes: Vec<(usize, Box<str>)>,
}

impl Pattern {
    /// Compiles `pieces`; `slot` gives each hole's name its place.
    pub fn new<E>(pieces: &[Piece], mut slot: impl FnMut(&str) -> Result<usize, E>) -> Result<Self, E> {
        let mut head = String::new();
        let mut holes: Vec<(usize, String)> = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Hole(name) => holes.push((slot(name)?, String::new())),
                Piece::Text(text) => holes.last_mut().map_or(&mut head, |hole| &mut hole.1).push_str(text),
            }
        }
        let holes = holes.into_iter().map(|(slot, text)| (slot, text.into_boxed_str())).collect();
        Ok(Self { head: head.into_boxed_str(), holes })
    }

    pub fn slots(&self) -> impl Iterator<Item = usize> {
        self.holes.iter().map(|(slot, _)| *slot)
    }

    /// The text with the names of its holes left out.
    pub fn shape(&self) -> String {
        self.holes.iter().fold(self.head.to_string(), |text, (_, behind)| text + "{}" + behind)
    }

    pub fn starts_with(&self, prefix: &str) -> bool {
        self.head.starts_with(prefix)
    }

    /// Whether `text` fits; `caught` is told what each hole took, which counts only if it does.
    ///
    /// Taking each text behind a hole where it comes first is right for all but the last one, which must
    /// stand at the end: what a text found later would leave to the holes behind it, an earlier one leaves too.
    pub fn matches<'t>(&self, text: &'t str, mut caught: impl FnMut(usize, &'t str)) -> bool {
        let Some(mut rest) = text.strip_prefix(&*self.head) else { return false };
        for (index, (slot, behind)) in self.holes.iter().enumerate() {
            let Some(first) = rest.chars().next().map(char::len_utf8) else { return false };
            let end = if index + 1 == self.holes.len() {
                match rest.strip_suffix(&**behind) {
                    Some(hole) if hole.len() >= first => hole.len(),
                    _ => return false,
                }
            } else {
                match rest[first..].find(&**behind) {
                    Some(at) => first + at,
                    None => return false,
                }
            };
            caught(*slot, &rest[..end]);
            rest = &rest[end + behind.len()..];
        }
        true
    }

    /// Whether `text` fits.
    pub fn takes(&self, text: &str) -> bool {
        self.matches(text, |_, _| {})
    }

    /// Puts captures into the holes; `None` if one of them was not caught.
    pub fn fill(&self, captures: &Captures<'_>) -> Option<String> {
        let mut text = String::from(&*self.head);
        for (slot, behind) in &self.holes {
            text.push_str(captures.get(*slot)?.as_deref()?);
            text.push_str(behind);
        }
        Some(text)
    }

    /// Puts captures into the holes; `""` for those that were not caught.
    pub fn fill_or_empty(&self, captures: &Captures<'_>) -> String {
        let mut text = String::from(&*self.head);
        for (slot, behind) in &self.holes {
            text.push_str(captures.get(*slot).and_then(Option::as_deref).unwrap_or_default());
            text.push_str(behind);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caught(pattern: &str, text: &str) -> Option<Vec<String>> {
        let mut names = CaptureNames::default();
        let pattern = Pattern::new::<()>(&pieces(pattern).unwrap(), |name| Ok(names.slot(name))).unwrap();
        let mut captures = vec![String::new(); names.0.len()];
        pattern.matches(text, |slot, text| captures[slot] = text.to_owned()).then_some(captures)
    }

    #[test]
    fn holes_match_leftmost_shortest_and_at_least_one_character() {
        for (pattern, text, expected) in [
            ("relay:{n}", "relay:0", Some(vec!["0"])),
            ("relay:{n}", "relay:", None),
            ("{a}-{b}", "x-y-z", Some(vec!["x", "y-z"])),
            ("{a}-{b}", "--z", Some(vec!["-", "z"])),
            ("{a}-{b}", "-z", None),
            ("{a}-{b}-", "x-y-z-", Some(vec!["x", "y-z"])),
            ("{a}.x", "é.x", Some(vec!["é"])),
            ("{a}.x", ".x", None),
            ("{a}é{b}", "ééé", Some(vec!["é", "é"])),
            ("a{b}c", "ac", None),
        ] {
            let expected = expected.map(|list| list.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(caught(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn braces_that_say_nothing_are_refused() {
        for text in ["{a}{b}", "{", "}", "a}b", "{a", "{}", "{a{b}}", "{ a }", "{#}"] {
            assert!(pieces(text).is_err(), "{text}");
        }
    }
}
