//! Warnings of what can be meant as it is written, and probably is not.

use super::{Compiler, Level, Template};
use crate::config::mapping::{ColumnNames, Csv, Format, Pivot, TagSource};
use crate::fault::{At, Fault};
use crate::mapping::words::nearest;

/// Shorter names are near to too much: `id` to `{i}`.
const LEAST_NEAR: usize = 3;

impl Compiler<'_, '_> {
    pub(super) fn doubts(&mut self, topics: &[Template]) {
        self.topics_of_the_broker(topics);
        self.keys_like_captures();
        self.measurement_like_a_capture();
    }

    /// What a broker says of itself begins with `$SYS`, and no wildcard in the first level takes it.
    fn topics_of_the_broker(&mut self, topics: &[Template]) {
        for template in topics {
            let what = match template.levels.as_slice() {
                [Level::Literal(first), ..] if **first == *"SYS" => "what brokers say of themselves begins with `$SYS`",
                [Level::Any(_) | Level::Part(_) | Level::Tail(_), Level::Literal(second), ..]
                    if **second == *"broker" =>
                {
                    "it takes nothing of `$SYS/broker`: a wildcard in the first level takes no `$` topic (MQTT 4.7.2)"
                }
                _ => continue,
            };
            let below = template.written().split_once('/').map_or("#", |(_, below)| below);
            let place = self.config.topic.iter().find(|topic| *topic.value == *template.text);
            let place = place.map_or(&self.config.name.place, |topic| &topic.place);
            let remedy = format!("if that is meant, write `$SYS/{below}`");
            self.faults.push(Fault::warning(place, self.path("topic"), what, remedy));
        }
    }

    /// A plain word that is the name of a capture, or nearly, where a key of the payload is read.
    fn keys_like_captures(&mut self) {
        let config = self.config;
        let mut read: Vec<(String, &At<String>)> = Vec::new();
        for tag in &config.tags {
            if let TagSource::Paths(paths) = &tag.source {
                read.extend(paths.iter().map(|path| (format!("tags.{}", tag.name.value), path)));
            }
        }
        for time in &config.time {
            read.push(("time".to_owned(), &time.value.path));
            read.extend(time.value.since.iter().map(|since| ("time.since".to_owned(), since)));
        }
        if let Some(At { value: Pivot::Pair { name, value }, .. }) = &config.pivot {
            read.extend([("pivot.name".to_owned(), name), ("pivot.value".to_owned(), value)]);
        }
        for (key, path) in read {
            let word = path.value.as_str();
            if !word.contains(['.', '[', ']', '{', '}', '\'', '"'])
                && !self.is_known_key(word)
                && let Some(capture) = self.capture_like(word)
            {
                let what = format!("`{word}` is read as a key of the payload");
                let remedy = match capture == word {
                    true => format!("write `{{{capture}}}` for the capture, or `'{word}'` if the key is meant"),
                    false => format!("did you mean the capture `{{{capture}}}`? If not, write `'{word}'`"),
                };
                self.faults.push(Fault::warning(&path.place, self.path(&key), what, remedy));
            }
        }
    }

    /// Whether something else says that the payload has it.
    fn is_known_key(&self, word: &str) -> bool {
        let columns = match &self.config.format {
            Format::Csv(Csv { names: ColumnNames::Listed(names), .. }) => names.as_slice(),
            _ => &[],
        };
        let mut fields = self.config.fields.iter().flat_map(|field| &field.path);
        columns.iter().any(|name| name == word) || fields.any(|path| path.value == word)
    }

    /// A capture without a tag (`{_device}`) is near to none that has one: the payload's own is wanted there.
    fn capture_like(&self, word: &str) -> Option<String> {
        let alike = |name: &&String| name.starts_with('_') == word.starts_with('_');
        let names = || self.names.0.iter().filter(alike);
        let is_long = |name: &&String| name.chars().count().min(word.chars().count()) >= LEAST_NEAR;
        let same = names().find(|name| *name == word);
        same.cloned().or_else(|| nearest(word, names().filter(is_long).map(String::as_str)).map(str::to_owned))
    }

    /// Only where `when` lists what the capture may be: for a template it has to.
    fn measurement_like_a_capture(&mut self) {
        let Some(measurement) = &self.config.measurement else { return };
        let name = &measurement.value;
        let mut listed = self.config.when.iter().filter(|condition| !condition.values.is_empty());
        if self.names.find(name).is_some() && listed.any(|condition| condition.key.value == *name) {
            let what = format!("the measurement is called `{name}`, whatever the capture of that name is");
            let remedy = format!("write `{{{name}}}` for a measurement for each of its values");
            self.faults.push(Fault::warning(&measurement.place, self.path("measurement"), what, remedy));
        }
    }
}
