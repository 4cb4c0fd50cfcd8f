//! Paths into a payload: `a.b[0].c`, `$.a`, `'quoted key'`, `x{n}`, `values[]`.
//!
//! Only `.` `[` `]` `{` `}` `'` `"`, `*` before `[` and a leading `$.` or `$[` are special; blanks, colons and `@`
//! are parts of keys. No arithmetic, no regular expressions, no conditions.

use super::document::Doc;
use super::pattern::{CaptureNames, Captures, Pattern, Piece, Wrong, pieces};

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(Box<str>),
    /// The member whose name is what was caught.
    CaughtKey(Pattern),
    /// Each member whose name fits; catches from it.
    Members(Pattern),
    Index(usize),
    /// The element whose position was caught.
    CaughtIndex(usize),
    /// Each element; catches its position.
    Each(Option<usize>),
    /// Into the payload that stands here; only in `rows`.
    Inside,
    /// Each position of the arrays that are members here; catches it. Paths from the row then lead into them.
    Zip(usize),
}

impl Step {
    /// Whether it leads to several places.
    pub fn is_many(&self) -> bool {
        matches!(self, Self::Members(_) | Self::Each(_) | Self::Zip(_))
    }
}

/// A compiled path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub text: Box<str>,
    /// From the root of the payload rather than from the row.
    pub root: bool,
    pub steps: Vec<Step>,
}

/// What a path may catch.
pub(super) enum Catching<'n> {
    /// `rows`: holes that neither the topic (the first `topic` names) nor an earlier step catches are new.
    New { names: &'n mut CaptureNames, topic: usize },
    /// Elsewhere: a hole stands for what was caught before.
    Known(&'n CaptureNames),
}

impl Path {
    /// Compiles `text`.
    ///
    /// # Errors
    /// What is no path, and captures that nobody catches.
    pub fn parse(text: &str, catching: Catching<'_>) -> Result<Self, Wrong> {
        Parser { text, rest: text, catching, caught: Vec::new(), steps: Vec::new() }.path()
    }

    /// The path that is one key, taken to the letter.
    pub fn key(name: &str) -> Self {
        Self { text: name.into(), root: false, steps: vec![Step::Key(name.into())] }
    }

    /// Whether it is the whole payload or row.
    pub fn is_whole(&self) -> bool {
        self.steps.is_empty()
    }
}

/// Goes down from `doc`; `None` if there is no such place.
pub(super) fn descend<'d, 'p>(mut doc: &'d Doc<'p>, steps: &[Step], captures: &Captures<'_>) -> Option<&'d Doc<'p>> {
    for step in steps {
        doc = match step {
            Step::Key(key) => doc.member(key)?,
            Step::CaughtKey(pattern) => doc.member(&pattern.fill(captures)?)?,
            Step::Index(index) => doc.item(*index)?,
            Step::CaughtIndex(slot) => doc.item(captures.get(*slot)?.as_deref()?.parse().ok()?)?,
            // Compiling has seen to it that these are left to `rows`.
            Step::Members(_) | Step::Each(_) | Step::Zip(_) | Step::Inside => return None,
        };
    }
    Some(doc)
}

struct Parser<'t, 'n> {
    text: &'t str,
    rest: &'t str,
    catching: Catching<'n>,
    /// Slots that this path catches.
    caught: Vec<usize>,
    steps: Vec<Step>,
}

impl Parser<'_, '_> {
    fn path(mut self) -> Result<Path, Wrong> {
        if self.text.is_empty() {
            return Err(Wrong::new("the path is empty", "write `.` for the whole payload or row"));
        }
        let mut root = false;
        if let Some(rest) = self.rest.strip_prefix("$.") {
            (root, self.rest) = (true, rest);
        } else if self.rest.starts_with("$[") {
            (root, self.rest) = (true, &self.rest[1..]);
        } else if self.rest == "." {
            self.rest = "";
        } else if let Some(rest) = self.rest.strip_prefix('.') {
            return Err(Wrong::new(format!("`{}` begins with a dot", self.text), format!("write `{rest}`")));
        }
        if self.rest.starts_with('[') {
            self.bracket()?;
            self.brackets_and_dot()?;
        }
        while !self.rest.is_empty() {
            self.member()?;
            self.brackets_and_dot()?;
        }
        Ok(Path { text: self.text.into(), root, steps: self.steps })
    }

    /// Any `[…]`, then the end or a dot with something behind it.
    fn brackets_and_dot(&mut self) -> Result<(), Wrong> {
        while self.rest.starts_with('[') {
            self.bracket()?;
        }
        if let Some(rest) = self.rest.strip_prefix('.') {
            if rest.is_empty() {
                return Err(Wrong::new(
                    format!("`{}` ends with a dot", self.text),
                    "leave the dot out, or quote the key: `'a.'`",
                ));
            }
            self.rest = rest;
            return Ok(());
        }
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(self.special(self.rest.chars().next().unwrap_or_default()))
    }

    fn special(&self, character: char) -> Wrong {
        Wrong::new(
            format!("`{character}` stands where it means nothing in `{}`", self.text),
            "put the key in quotes if it is a part of it: `'a key'`",
        )
    }

    fn member(&mut self) -> Result<(), Wrong> {
        if let Some(quote) = self.rest.chars().next().filter(|c| matches!(c, '\'' | '"')) {
            let Some(end) = self.rest[1..].find(quote) else {
                return Err(Wrong::new(
                    format!("`{}` opens a quote and does not close it", self.text),
                    "close it, or write the other kind of quote around the key",
                ));
            };
            self.steps.push(Step::Key(self.rest[1..=end].into()));
            self.rest = &self.rest[end + 2..];
            return Ok(());
        }
        // Braces may hold anything but braces.
        let mut depth = 0_u32;
        let end = self
            .rest
            .find(|c| {
                match c {
                    '{' => depth += 1,
                    '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                depth == 0 && matches!(c, '.' | '[' | ']' | '\'' | '"')
            })
            .unwrap_or(self.rest.len());
        let (key, rest) = self.rest.split_at(end);
        if key.is_empty() {
            return Err(match rest.chars().next() {
                Some('.') | None => {
                    Wrong::new(format!("a key is missing in `{}`", self.text), "write one dot between two keys")
                }
                Some(other) => self.special(other),
            });
        }
        if rest.starts_with(['\'', '"', ']']) {
            return Err(self.special(rest.chars().next().unwrap_or_default()));
        }
        if rest.starts_with('[') && key.ends_with('*') {
            return self.zip(key, rest);
        }
        let pieces = pieces(key)?;
        self.rest = rest;
        let step = match pieces.as_slice() {
            [Piece::Text(text)] => Step::Key(text.as_str().into()),
            pieces => self.holes(pieces)?,
        };
        self.steps.push(step);
        Ok(())
    }

    /// `*[]` or `*[{i}]`, the last of a path of `rows`.
    fn zip(&mut self, key: &str, rest: &str) -> Result<(), Wrong> {
        let text = self.text;
        let name = match rest {
            "[]" => Some("_*"),
            _ => rest
                .strip_prefix("[{")
                .and_then(|rest| rest.strip_suffix("}]"))
                .filter(|name| !name.contains(['{', '}', '[', ']', '#'])),
        };
        let Some(name) = name.filter(|name| key == "*" && !name.is_empty()) else {
            return Err(Wrong::new(
                format!("`{text}` has a `*` before a bracket, which stands for parallel arrays at the end of `rows`"),
                "write `*[]`, `*[{i}]` or `a.*[]`; a key that ends with `*` is put in quotes",
            ));
        };
        let known = self.find(name).is_some();
        match &mut self.catching {
            Catching::New { names, .. } if !known => {
                let slot = names.slot(name);
                self.steps.push(Step::Zip(slot));
                self.rest = "";
                Ok(())
            }
            Catching::New { .. } => {
                Err(Wrong::new(format!("`{{{name}}}` in `{text}` is caught already"), "give it another name"))
            }
            Catching::Known(_) => Err(Wrong::new(
                format!("`{text}` zips arrays, which only `rows` does"),
                "write it in `rows`; paths then lead into the arrays",
            )),
        }
    }

    fn holes(&mut self, pieces: &[Piece]) -> Result<Step, Wrong> {
        let text = self.text;
        let names = pieces.iter().filter_map(|piece| match piece {
            Piece::Hole(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        });
        let mut known = 0;
        let mut unknown = Vec::new();
        for name in names {
            if name.contains('#') {
                return Err(Wrong::new(
                    format!("`{{{name}}}` in `{text}` takes several levels, and a key has one"),
                    "leave out the `#`",
                ));
            }
            match self.find(name) {
                Some(_) => known += 1,
                None => unknown.push(name.to_owned()),
            }
        }
        match &mut self.catching {
            Catching::Known(names) => {
                if let Some(name) = unknown.first() {
                    return Err(uncaught(text, name, names));
                }
                Ok(Step::CaughtKey(Pattern::new(pieces, |name| {
                    names.find(name).ok_or_else(|| uncaught(text, name, names))
                })?))
            }
            Catching::New { names, .. } if unknown.is_empty() => {
                Ok(Step::CaughtKey(Pattern::new(pieces, |name| Ok::<_, Wrong>(names.slot(name)))?))
            }
            Catching::New { names, .. } if known == 0 => {
                let pattern = Pattern::new(pieces, |name| Ok::<_, Wrong>(names.slot(name)))?;
                self.caught.extend(pattern.slots());
                Ok(Step::Members(pattern))
            }
            Catching::New { .. } => Err(Wrong::new(
                format!("one key of `{text}` holds a capture that is caught already and one that is not"),
                "give the new one a level of its own, or another name to both",
            )),
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        match &self.catching {
            Catching::New { names, topic } => {
                names.find(name).filter(|slot| slot < topic || self.caught.contains(slot))
            }
            Catching::Known(names) => names.find(name),
        }
    }

    fn bracket(&mut self) -> Result<(), Wrong> {
        let text = self.text;
        let Some(end) = self.rest.find(']') else {
            return Err(Wrong::new(
                format!("`{text}` opens a bracket and does not close it"),
                "write `[0]`, `[]` or `[{i}]`",
            ));
        };
        let inner = &self.rest[1..end];
        self.rest = &self.rest[end + 1..];
        let step = if inner.is_empty() {
            Step::Each(None)
        } else if let Some(name) = inner.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) {
            if name.is_empty() || name.contains(['{', '}', '#']) {
                return Err(Wrong::new(format!("`[{inner}]` in `{text}` is no position"), "write `[{i}]`"));
            }
            match (self.find(name), &mut self.catching) {
                (Some(slot), _) => Step::CaughtIndex(slot),
                (None, Catching::Known(names)) => return Err(uncaught(text, name, names)),
                (None, Catching::New { names, .. }) => {
                    let slot = names.slot(name);
                    self.caught.push(slot);
                    Step::Each(Some(slot))
                }
            }
        } else if let Ok(index) = inner.parse() {
            Step::Index(index)
        } else {
            let remedy = if inner.starts_with(['\'', '"']) {
                format!("write `.{inner}`")
            } else {
                "write a position counted from 0, `[]` for each element or `[{i}]` to catch the position".to_owned()
            };
            return Err(Wrong::new(format!("`[{inner}]` in `{text}` is no position"), remedy));
        };
        self.steps.push(step);
        Ok(())
    }
}

fn uncaught(text: &str, name: &str, names: &CaptureNames) -> Wrong {
    let remedy = if names.0.is_empty() {
        "catch it in `topic` or `rows` first".to_owned()
    } else {
        format!("captures are {}; others are caught in `topic` or `rows`", list(&names.0))
    };
    Wrong::new(format!("`{{{name}}}` in `{text}` is caught nowhere"), remedy)
}

/// `a`, `b` and `c` in backticks.
pub(super) fn list<T: AsRef<str>>(words: &[T]) -> String {
    words.iter().map(|word| format!("`{}`", word.as_ref())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Path {
        Path::parse(text, Catching::New { names: &mut CaptureNames(vec!["t".to_owned()]), topic: 1 }).unwrap()
    }

    fn key(name: &str) -> Step {
        Step::Key(name.into())
    }

    #[test]
    fn paths_are_taken_apart() {
        for (text, root, steps) in [
            (".", false, vec![]),
            ("$.", true, vec![]),
            ("a", false, vec![key("a")]),
            ("a b:c@d", false, vec![key("a b:c@d")]),
            ("$", false, vec![key("$")]),
            ("$x", false, vec![key("$x")]),
            ("a.b[0].c", false, vec![key("a"), key("b"), Step::Index(0), key("c")]),
            ("[1][2]", false, vec![Step::Index(1), Step::Index(2)]),
            ("$[0].a", true, vec![Step::Index(0), key("a")]),
            ("$.a.'b.c'.\"d'e\"", true, vec![key("a"), key("b.c"), key("d'e")]),
            ("a[]", false, vec![key("a"), Step::Each(None)]),
            ("a[{i}].b", false, vec![key("a"), Step::Each(Some(1)), key("b")]),
            ("a[{t}]", false, vec![key("a"), Step::CaughtIndex(0)]),
            ("é.ü", false, vec![key("é"), key("ü")]),
            ("dc/power", false, vec![key("dc/power")]),
            ("a*", false, vec![key("a*")]),
            ("*[]", false, vec![Step::Zip(1)]),
            ("a.*[{i}]", false, vec![key("a"), Step::Zip(1)]),
        ] {
            let path = parse(text);
            assert_eq!((path.root, path.steps), (root, steps), "{text}");
        }
        assert!(matches!(parse("x{n}").steps[0], Step::Members(_)));
        assert!(matches!(parse("x{t}").steps[0], Step::CaughtKey(_)));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in [
            "", "a.", ".a", "a..b", "a[", "a[x]", "a['b']", "a]", "a'b'", "'a", "'a'b", "{n}{m}", "{n#}", "*[0]",
            "*[].b", "*[{t}]", "a*[]", "a[-1]", "{t}{n}", "{t}-{n}", "a[{}]",
        ] {
            assert!(
                Path::parse(text, Catching::New { names: &mut CaptureNames(vec!["t".to_owned()]), topic: 1 }).is_err(),
                "{text}"
            );
        }
        let wrong = Path::parse("{n}", Catching::Known(&CaptureNames(vec!["t".to_owned()]))).unwrap_err();
        assert!(wrong.what.contains("caught nowhere"), "{wrong:?}");
    }
}
