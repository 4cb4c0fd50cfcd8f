//! Tags, times and the pivot: what a row has beside its fields.

use super::{Compiler, begins_with_a_name};
use crate::config::mapping::{self as config, TagConfig, TimeConfig, Word as Written};
use crate::fault::At;
use crate::mapping::compiled::{Located, Pivot, Tag, TagSource, TimeSource, Wanted};
use crate::mapping::names::Role;
use crate::mapping::path::{Path, list};
use crate::mapping::pattern::{Pattern, Piece, Wrong, pieces};
use crate::mapping::run::MAX_TAG_BYTES;
use crate::mapping::time::{self, Style, Unit};
use crate::mapping::words::{Word, Words, nearest};

/// A value of `when`.
pub(super) fn wanted(word: &Written) -> Wanted {
    match word {
        Written::Text(text) if text.contains('*') => Wanted::Glob(text.as_str().into()),
        other => Wanted::Word(Word::new(&text_of(other))),
    }
}

/// A scalar of the configuration as text.
pub(super) fn text_of(word: &Written) -> String {
    match word {
        Written::Text(text) => text.clone(),
        Written::Int(number) => number.to_string(),
        Written::Float(number) => number.to_string(),
        Written::Bool(value) => value.to_string(),
    }
}

impl Compiler<'_, '_> {
    pub(super) fn pivot(&mut self) -> Option<Pivot> {
        let written = self.config.pivot.as_ref()?;
        match &written.value {
            config::Pivot::Capture(text) => {
                if !text.starts_with('{') || !text.ends_with('}') {
                    let what = format!("`{text}` has no braces around it, so it is no capture");
                    let remedy = format!(
                        "write `pivot = \"{{name}}\"`, or `pivot = {{ name = \"{text}\", value = \"value\" }}` for two keys of the payload"
                    );
                    self.fault(&written.place, "pivot", what, remedy);
                    return None;
                }
                let name = self.subject(text, &written.place, "pivot")?;
                let whole = Path { text: ".".into(), root: false, steps: Vec::new() };
                let value = Located::new(whole, &self.rows);
                self.leads_to_a_cell(&value, &written.place, "pivot");
                Some(Pivot { name, value })
            }
            config::Pivot::Pair { name, value } => {
                let name = self.subject(&name.value, &name.place, "pivot.name");
                let value = self.located(&value.value, &value.place, "pivot.value");
                Some(Pivot { name: name?, value: value? })
            }
        }
    }

    pub(super) fn time(&mut self, written: &TimeConfig) -> Option<TimeSource> {
        let subject = self.subject(&written.path.value, &written.path.place, "time");
        let zone = match &written.zone {
            Some(zone) => Some(self.ok(time::zone(&zone.value), &zone.place, "time.zone")?),
            None => self.zone.clone(),
        };
        if let (Some(format), Some(_), None) = (&written.format, &written.unit, &written.since) {
            self.fault(
                &format.place,
                "time.format",
                "a time has a `format` or a `unit`, not both",
                "leave one out: `unit` is for numbers",
            );
        }
        let format = match &written.format {
            Some(format) => {
                self.ok(time::check_format(&format.value), &format.place, "time.format")?;
                Some(Style::Format(format.value.as_str().into()))
            }
            None => None,
        };
        let unit = match &written.unit {
            Some(unit) => Some(Style::Unit(self.ok(Unit::parse(&unit.value), &unit.place, "time.unit")?)),
            None => None,
        };
        // What is counted from a moment is a number or a time of day, so that a format can only be the moment's.
        let (style, since, since_format) = match &written.since {
            Some(since) => (unit, Some(self.located(&since.value, &since.place, "time.since")?), format),
            None => (format.or(unit), None, None),
        };
        Some(TimeSource { subject: subject?, style, zone, since, since_format })
    }

    /// Captures first, in the order in which they are caught, then what `tags` adds.
    pub(super) fn tags(&mut self) -> Vec<Tag> {
        let config = self.config;
        let written: Vec<&TagConfig> = config.tags.iter().collect();
        let mut tags = Vec::new();
        for (slot, name) in self.names.0.clone().iter().enumerate() {
            let written = written.iter().find(|tag| tag.name.value == *name);
            match written {
                Some(written) => tags.extend(self.tag(written)),
                None if name.starts_with('_') || self.used.contains(&slot) => {}
                None => {
                    let place = config.topic.first().map_or(&config.name.place, |topic| &topic.place);
                    if let Some((severity, wrong)) = crate::mapping::names::check(Role::Tag, name) {
                        let remedy = format!("{}, or `{{_{name}}}` to catch it without a tag", wrong.remedy);
                        let fault = crate::fault::Fault::new(place, self.path("topic"), wrong.what, remedy);
                        self.faults.push(crate::fault::Fault { severity, ..fault });
                    }
                    let sources = vec![TagSource::Capture(slot)];
                    tags.push(Tag { name: name.as_str().into(), sources, words: Words::default(), required: false });
                }
            }
        }
        for written in written {
            if self.names.find(&written.name.value).is_none() {
                tags.extend(self.tag(written));
            }
        }
        for (index, tag) in tags.iter().enumerate() {
            let twin = tags[..index].iter().find(|other| other.name.to_lowercase() == tag.name.to_lowercase());
            if let Some(twin) = twin {
                let what = format!(
                    "`{}` and `{}` differ only in case, and SQLite takes them for one column",
                    twin.name, tag.name
                );
                let place = config
                    .tags
                    .iter()
                    .find(|written| *written.name.value == *tag.name)
                    .map_or(&config.name.place, |written| &written.name.place);
                self.fault(place, &format!("tags.{}", tag.name), what, "give one another name");
            }
        }
        tags
    }

    fn tag(&mut self, written: &TagConfig) -> Option<Tag> {
        let name = &written.name;
        let key = format!("tags.{}", name.value);
        let capture = self.names.find(&name.value);
        let sources = match &written.source {
            config::TagSource::Undone => return None,
            config::TagSource::Removed => {
                if capture.is_none() {
                    self.fault(
                        &name.place,
                        &key,
                        format!("there is no tag `{}` to remove: no capture has this name", name.value),
                        "leave it out",
                    );
                }
                return None;
            }
            config::TagSource::Capture => match capture {
                Some(slot) => vec![TagSource::Capture(slot)],
                None => {
                    let captures = list(&self.names.0);
                    let remedy = if captures.is_empty() {
                        "add `path`".to_owned()
                    } else {
                        format!("add `path`; captures are {captures}")
                    };
                    self.fault(
                        &name.place,
                        &key,
                        format!("`{}` is no capture, so the tag has no source", name.value),
                        remedy,
                    );
                    return None;
                }
            },
            config::TagSource::Value(value) => {
                if value.value.len() > MAX_TAG_BYTES || value.value.contains('\0') {
                    self.fault(
                        &value.place,
                        &key,
                        format!("a tag has at most {MAX_TAG_BYTES} bytes and no NUL character"),
                        "shorten it",
                    );
                }
                vec![TagSource::Value(value.value.as_str().into())]
            }
            config::TagSource::Paths(paths) => {
                paths.iter().map(|path| self.tag_source(path, &key)).collect::<Option<Vec<_>>>()?
            }
        };
        self.name(Role::Tag, &name.value, &name.place, &key);
        let mut words = Words::default();
        for (word, value) in &written.words {
            if !words.add(&word.value, text_of(&value.value).into_boxed_str()) {
                self.fault(
                    &word.place,
                    &format!("{key}.words"),
                    format!("`{}` is listed twice (words are compared in any case)", word.value),
                    "leave one out",
                );
            }
        }
        Some(Tag { name: name.value.as_str().into(), sources, words, required: written.required })
    }

    /// Braces make a template; what begins at the root is a path with captures put in.
    fn tag_source(&mut self, path: &At<String>, key: &str) -> Option<TagSource> {
        if path.value.contains(['{', '}']) && !path.value.starts_with("$.") && !path.value.starts_with("$[") {
            let template = self.template(&path.value);
            return Some(TagSource::Template(self.ok(template, &path.place, key)?));
        }
        Some(TagSource::Path(self.located(&path.value, &path.place, key)?))
    }

    /// A text with captures in it.
    fn template(&self, text: &str) -> Result<Pattern, Wrong> {
        let parts: Vec<Piece> = pieces(text)?;
        Pattern::new(&parts, |name| {
            self.names.find(name).ok_or_else(|| {
                let remedy = nearest(name, self.names.0.iter().map(String::as_str)).map_or_else(
                    || format!("captures are {}", list(&self.names.0)),
                    |near| format!("did you mean `{{{near}}}`?"),
                );
                Wrong::new(format!("`{{{name}}}` in `{text}` is caught nowhere"), remedy)
            })
        })
    }

    /// A field's path under a pivot begins with the name that the pivot gives.
    pub(super) fn check_pivoted(&mut self, located: &Located, place: &crate::fault::Place, key: &str) {
        if !begins_with_a_name(&located.path) {
            self.fault(
                place,
                key,
                format!(
                    "`{}` begins with no name, and under `pivot` a path begins with the name of the value",
                    located.path.text
                ),
                "write the name as it is sent",
            );
        }
    }
}
