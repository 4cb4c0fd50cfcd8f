//! Topic templates: topic filters whose wildcards have names (MQTT 4.7), and what they catch.
//!
//! `{x}` is a level or a part of one, `{x#}` any number of levels (also none, as `#`), `+` a level, `#` the
//! rest. What the broker is asked for is the filter that covers a template; the template itself is matched here.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::topic;

use super::pattern::{CaptureNames, Captures, Pattern, Piece, Wrong, pieces};

/// A topic name with its levels found.
pub(super) struct Levels<'m> {
    text: &'m str,
    /// Start of each level, and one past the end of the text plus one.
    starts: SmallVec<[usize; 12]>,
}

impl<'m> Levels<'m> {
    pub fn new(text: &'m str) -> Self {
        let mut starts = SmallVec::new();
        starts.push(0);
        starts.extend(text.bytes().enumerate().filter(|(_, byte)| *byte == b'/').map(|(at, _)| at + 1));
        starts.push(text.len() + 1);
        Self { text, starts }
    }

    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub fn get(&self, index: usize) -> &'m str {
        &self.text[self.starts[index]..self.starts[index + 1] - 1]
    }

    /// Levels `from..to` with the slashes between them.
    fn span(&self, from: usize, to: usize) -> &'m str {
        if from == to { "" } else { &self.text[self.starts[from]..self.starts[to] - 1] }
    }

    /// Whether wildcards at the first level must not take it: what begins with `$` ([MQTT-4.7.2-1]), and where Ambers say
    /// that they are there, which is no reading of anybody who maps `#`.
    pub fn is_reserved(&self) -> bool {
        self.text.starts_with('$') || topic::is_status(self.text)
    }
}

/// One level of a template, or a run of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Literal(Box<str>),
    /// `+` or `{x}`: the slot of the capture, if it has a name.
    Any(Option<usize>),
    Part(Pattern),
    /// `#` or `{x#}`: any number of levels.
    Tail(Option<usize>),
}

/// A compiled topic template.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pub text: Box<str>,
    /// Of a shared subscription (`$share/group/topic`).
    group: Option<Box<str>>,
    pub levels: Vec<Level>,
    /// Captures that must have room when it is matched.
    slots: usize,
}

/// The group of a shared subscription (MQTT 5, 4.8.2), and the topic behind it.
fn shared(text: &str) -> Result<(Option<Box<str>>, &str), Wrong> {
    if text != "$share" && !text.starts_with("$share/") {
        return Ok((None, text));
    }
    match text.strip_prefix("$share/").and_then(|shared| shared.split_once('/')) {
        Some((group, topic)) if !group.is_empty() && !topic.is_empty() && !group.contains(['+', '#', '{', '}']) => {
            Ok((Some(group.into()), topic))
        }
        _ => Err(Wrong::new(
            format!("`{text}` is no shared subscription: its group must be a plain name, and a topic must follow"),
            "write `$share/group/home/{room}/climate`",
        )),
    }
}

impl Template {
    /// Compiles `text`; its captures get slots in `names`.
    ///
    /// # Errors
    /// What is not a topic filter (MQTT 4.7.1), and captures that cannot be told apart.
    pub fn parse(text: &str, names: &mut CaptureNames) -> Result<Self, Wrong> {
        if text.is_empty() {
            return Err(Wrong::new(
                "a topic has at least one character (MQTT 4.7.3)",
                "write a topic such as `home/{room}/climate`",
            ));
        }
        if text.contains('\0') {
            return Err(Wrong::new("a topic holds no NUL character (MQTT 4.7.3)", "leave it out"));
        }
        if text.len() > 65_535 {
            return Err(Wrong::new("a topic has at most 65,535 bytes (MQTT 4.7.3)", "shorten it"));
        }
        let (group, topic) = shared(text)?;
        let mut seen = Vec::new();
        let mut levels = Vec::new();
        let count = topic.split('/').count();
        for (index, level) in topic.split('/').enumerate() {
            levels.push(parse_level(text, level, index + 1 == count, &mut |name: &str| {
                if seen.iter().any(|known| known == name) {
                    return Err(Wrong::new(
                        format!("`{text}` catches `{{{name}}}` twice"),
                        "give each capture a name of its own",
                    ));
                }
                seen.push(name.to_owned());
                Ok(names.slot(name))
            })?);
        }
        if let Level::Part(pattern) = &levels[0]
            && pattern.starts_with("$")
        {
            return Err(Wrong::new(
                format!(
                    "`{text}` can never match: brokers send no `$` topic to a filter that begins with a wildcard (MQTT 4.7.2)"
                ),
                "write the first level out",
            ));
        }
        if levels.windows(2).any(|pair| matches!(pair, [Level::Tail(_), Level::Tail(_)])) {
            return Err(Wrong::new(
                format!("two tails follow one another in `{text}`, so nothing says where the first one ends"),
                "catch both in one",
            ));
        }
        Ok(Self { text: text.into(), group, levels, slots: names.0.len() })
    }

    /// The topic filter that covers the template, and its group if it is shared.
    pub fn filter(&self) -> String {
        let filter = self.topic_filter();
        self.group.as_ref().map_or_else(|| filter.clone(), |group| format!("$share/{group}/{filter}"))
    }

    /// The topic filter that covers the template, whoever shares it.
    pub fn topic_filter(&self) -> String {
        let mut filter = Vec::with_capacity(self.levels.len());
        for level in &self.levels {
            match level {
                Level::Literal(text) => filter.push(&**text),
                Level::Any(_) | Level::Part(_) => filter.push("+"),
                Level::Tail(_) => {
                    filter.push("#");
                    break;
                }
            }
        }
        filter.join("/")
    }

    /// As it was written, without the group.
    pub fn written(&self) -> &str {
        shared(&self.text).map_or(&*self.text, |(_, topic)| topic)
    }

    /// The level that catches what goes to `slot`.
    pub fn catches(&self, slot: usize) -> Option<&Level> {
        self.levels.iter().find(|level| match level {
            Level::Literal(_) => false,
            Level::Any(caught) | Level::Tail(caught) => *caught == Some(slot),
            Level::Part(pattern) => pattern.slots().any(|caught| caught == slot),
        })
    }

    /// The template with the names of captures left out: `a/+/b{}/#`.
    pub fn shape(&self) -> String {
        let level = |level: &Level| match level {
            Level::Literal(text) => text.to_string(),
            Level::Any(_) => "+".to_owned(),
            Level::Part(pattern) => pattern.shape(),
            Level::Tail(_) => "#".to_owned(),
        };
        self.levels.iter().map(level).collect::<Vec<_>>().join("/")
    }

    /// Whether it surely takes every topic that `other` takes; a tail that is not last covers nothing.
    pub fn covers(&self, other: &Self) -> bool {
        // What a wildcard in the first level leaves alone.
        let reserved =
            |level: &Level| matches!(level, Level::Literal(text) if text.starts_with('$') || **text == *"amber");
        if !matches!(self.levels[0], Level::Literal(_)) && reserved(&other.levels[0]) {
            return false;
        }
        let mut theirs = other.levels.iter();
        for (index, ours) in self.levels.iter().enumerate() {
            if let Level::Tail(_) = ours {
                return index + 1 == self.levels.len();
            }
            let covered = match (ours, theirs.next()) {
                (_, None | Some(Level::Tail(_))) => false,
                (Level::Any(None), Some(_)) => true,
                // A hole takes at least one character, `+` also an empty level.
                (Level::Any(Some(_)), Some(Level::Literal(text))) => !text.is_empty(),
                (Level::Any(Some(_)), Some(theirs)) => *theirs != Level::Any(None),
                (Level::Part(pattern), Some(Level::Literal(text))) => pattern.takes(text),
                (Level::Part(pattern), Some(Level::Part(theirs))) => pattern.shape() == theirs.shape(),
                (Level::Literal(ours), Some(Level::Literal(theirs))) => ours == theirs,
                (Level::Part(_) | Level::Literal(_) | Level::Tail(_), Some(_)) => false,
            };
            if !covered {
                return false;
            }
        }
        theirs.next().is_none()
    }

    /// Whether `topic` fits, whatever is caught.
    pub fn takes(&self, topic: &Levels<'_>) -> bool {
        self.matches(topic, &mut vec![None; self.slots])
    }

    /// For people: how many leading levels fit, and where `topic` differs; `None` if it does not.
    pub fn difference(&self, topic: &Levels<'_>) -> Option<(usize, String)> {
        if self.takes(topic) {
            return None;
        }
        let written = self.written();
        if topic.is_reserved() && !matches!(self.levels[0], Level::Literal(_)) {
            let what = "a wildcard in the first level takes no `$` topic and no status of an Amber (MQTT 4.7.2)";
            return Some((0, what.to_owned()));
        }
        let captures = &mut vec![None; self.slots];
        for (index, (level, text)) in self.levels.iter().zip(written.split('/')).enumerate() {
            let number = index + 1;
            if matches!(level, Level::Tail(_)) {
                return Some((index, format!("what lies behind level {index} does not fit `{written}`")));
            }
            if index >= topic.len() {
                return Some((index, format!("level {number} is not there, and `{text}` is wanted")));
            }
            if !fits(std::slice::from_ref(level), topic, index, captures) {
                let found = topic.get(index).chars().take(100).collect::<String>();
                return Some((index, format!("level {number} is {found:?}, and `{text}` is wanted")));
            }
        }
        let count = self.levels.len();
        Some((count, format!("the topic has {} levels, and {count} are wanted", topic.len())))
    }

    /// Whether `topic` fits; if it does, `captures` holds what was caught.
    pub fn matches<'m>(&self, topic: &Levels<'m>, captures: &mut Captures<'m>) -> bool {
        if topic.is_reserved() && !matches!(self.levels[0], Level::Literal(_)) {
            return false;
        }
        // Between two tails stands a run of levels of fixed length: as with `*` in a glob, the leftmost place
        // where it fits is as good as any later one, and the last run must stand at the end.
        let mut runs = self.levels.split(|level| matches!(level, Level::Tail(_)));
        let first = runs.next().unwrap_or_default();
        if topic.len() < first.len() || !fits(first, topic, 0, captures) {
            return false;
        }
        let mut at = first.len();
        let mut place = first.len();
        let mut runs = runs.peekable();
        if runs.peek().is_none() {
            return at == topic.len();
        }
        while let Some(run) = runs.next() {
            let Some(last_start) = topic.len().checked_sub(run.len()).filter(|start| *start >= at) else {
                return false;
            };
            let from = if runs.peek().is_none() { last_start } else { at };
            let Some(start) = (from..=last_start).find(|start| fits(run, topic, *start, captures)) else {
                return false;
            };
            if let Level::Tail(Some(slot)) = self.levels[place] {
                captures[slot] = Some(Cow::Borrowed(topic.span(at, start)));
            }
            at = start + run.len();
            place += 1 + run.len();
        }
        true
    }
}

/// Whether `run`, which has no tail in it, fits the levels of `topic` from `start` on.
fn fits<'m>(run: &[Level], topic: &Levels<'m>, start: usize, captures: &mut Captures<'m>) -> bool {
    run.iter().enumerate().all(|(index, level)| {
        let text = topic.get(start + index);
        match level {
            Level::Literal(literal) => **literal == *text,
            Level::Any(None) => true,
            Level::Any(Some(slot)) => {
                // A hole takes at least one character, `+` also an empty level.
                captures[*slot] = Some(Cow::Borrowed(text));
                !text.is_empty()
            }
            Level::Part(pattern) => pattern.matches(text, |slot, caught| captures[slot] = Some(Cow::Borrowed(caught))),
            Level::Tail(_) => unreachable!("runs are split at tails"),
        }
    })
}

fn parse_level(
    text: &str,
    level: &str,
    last: bool,
    slot: &mut dyn FnMut(&str) -> Result<usize, Wrong>,
) -> Result<Level, Wrong> {
    if level == "+" {
        return Ok(Level::Any(None));
    }
    if level == "#" {
        if last {
            return Ok(Level::Tail(None));
        }
        return Err(Wrong::new(
            format!("`{text}` is not a topic filter: `#` must be the last level (MQTT 4.7.1.2)"),
            "write `{_x#}` for any number of levels in the middle, or `+` for one",
        ));
    }
    let pieces = pieces(level)?;
    for piece in &pieces {
        if let Piece::Text(literal) = piece
            && let Some(wildcard) = literal.chars().find(|c| matches!(c, '+' | '#'))
        {
            return Err(Wrong::new(
                format!("`{text}` is not a topic filter: `{wildcard}` must stand alone in its level (MQTT 4.7.1)"),
                format!("write `{}`", level.replace(wildcard, "{_x}")),
            ));
        }
    }
    match pieces.as_slice() {
        [] => Ok(Level::Literal("".into())),
        [Piece::Text(literal)] => Ok(Level::Literal(literal.as_str().into())),
        [Piece::Hole(name)] => match name.strip_suffix('#') {
            Some(name) => Ok(Level::Tail(Some(slot(checked(text, name)?)?))),
            None => Ok(Level::Any(Some(slot(checked(text, name)?)?))),
        },
        pieces => {
            let pattern = Pattern::new(pieces, |name| {
                if name.ends_with('#') {
                    return Err(Wrong::new(
                        format!("`{{{name}}}` in `{text}` takes whole levels and must stand alone between slashes"),
                        format!("write `{{{}}}` for a part of one level", name.trim_end_matches('#')),
                    ));
                }
                slot(checked(text, name)?)
            })?;
            Ok(Level::Part(pattern))
        }
    }
}

fn checked<'n>(text: &str, name: &'n str) -> Result<&'n str, Wrong> {
    if name.contains(['#', '+']) {
        return Err(Wrong::new(
            format!("`{{{name}}}` in `{text}` has a wildcard in its name"),
            "write `{name}` for one level, `{name#}` for any number of them",
        ));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caught(template: &str, topic: &str) -> Option<Vec<(String, String)>> {
        let mut names = CaptureNames::default();
        let template = Template::parse(template, &mut names).unwrap();
        let mut captures = vec![None; names.0.len()];
        template.matches(&Levels::new(topic), &mut captures).then(|| {
            let texts = captures.into_iter().map(|caught| caught.unwrap_or_default().into_owned());
            names.0.into_iter().zip(texts).collect()
        })
    }

    #[test]
    fn templates_match_topics_and_catch_their_holes() {
        type Case<'c> = (&'c str, &'c str, Option<&'c [(&'c str, &'c str)]>);
        let cases: &[Case<'_>] = &[
            ("home/{room}/climate", "home/bath/climate", Some(&[("room", "bath")])),
            ("home/{room}/climate", "home//climate", None),
            ("home/+/climate", "home//climate", Some(&[])),
            ("home/{room}/climate", "home/bath/climate/x", None),
            ("home/{room}", "home", None),
            ("{room}", "bath", Some(&[("room", "bath")])),
            ("+/x", "$SYS/x", None),
            ("{a}/x", "$SYS/x", None),
            ("#", "$SYS/x", None),
            ("{a#}", "$SYS/x", None),
            ("$SYS/{a#}", "$SYS/x/y", Some(&[("a", "x/y")])),
            ("a/{x#}", "a", Some(&[("x", "")])),
            ("a/{x#}", "a/b/c", Some(&[("x", "b/c")])),
            ("a/#", "a", Some(&[])),
            ("a/#", "ab", None),
            ("a/{x#}/z", "a/b/c/z", Some(&[("x", "b/c")])),
            ("a/{x#}/z", "a/z", Some(&[("x", "")])),
            ("a/{x#}/z", "a/z/z", Some(&[("x", "z")])),
            ("a/{x#}/z", "a/z/y", None),
            ("{x#}/m/{y#}", "a/m/b/m/c", Some(&[("x", "a"), ("y", "b/m/c")])),
            ("{x#}/m/{y}/{z#}/e", "m/m/b/c/e", Some(&[("x", ""), ("y", "m"), ("z", "b/c")])),
            ("status/relay:{n}", "status/relay:2", Some(&[("n", "2")])),
            ("v3/{app}@{_t}/up", "v3/a@b@c/up", Some(&[("app", "a"), ("_t", "b@c")])),
            ("/ble/{mac}", "/ble/é", Some(&[("mac", "é")])),
            ("{x}/ü", "ö/ü", Some(&[("x", "ö")])),
            ("a//b", "a//b", Some(&[])),
        ];
        for (template, topic, expected) in cases {
            let expected = expected.map(|list| {
                list.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect::<Vec<_>>()
            });
            assert_eq!(caught(template, topic), expected, "{template} on {topic}");
        }
    }

    #[test]
    fn the_filter_covers_the_template() {
        for (template, filter) in [
            ("home/{room}/climate", "home/+/climate"),
            ("a/relay:{n}/b", "a/+/b"),
            ("a/{x#}/b", "a/#"),
            ("{x#}", "#"),
            ("/a/+", "/a/+"),
        ] {
            assert_eq!(Template::parse(template, &mut CaptureNames::default()).unwrap().filter(), filter);
        }
    }

    #[test]
    fn what_is_no_template_is_refused_with_the_reason() {
        for (template, part) in [
            ("", "at least one character"),
            ("a/#/b", "`#` must be the last level"),
            ("a/b#", "must stand alone"),
            ("a+/b", "must stand alone"),
            ("a/{x}{y}", "follow one another"),
            ("a/{x}/{x}", "twice"),
            ("a/x{y#}", "whole levels"),
            ("{x#}/{y#}", "two tails"),
            ("$share", "shared subscription"),
            ("$share/g", "shared subscription"),
            ("$share//a", "shared subscription"),
            ("$share/{g}/a", "shared subscription"),
            ("$share/g/", "shared subscription"),
            ("$S{x}/a", "never match"),
            ("a/{x", "does not close"),
            ("a\0b", "NUL"),
        ] {
            let wrong = Template::parse(template, &mut CaptureNames::default()).unwrap_err();
            assert!(wrong.what.contains(part), "{template}: {wrong:?}");
        }
    }
}
