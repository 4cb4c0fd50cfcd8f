//! Which ready files read what was heard.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::FILES;
use crate::config::{self, MappingConfig};
use crate::discover::sample::Heard;
use crate::mapping::{Explanation, Mapping, Verdict};
use crate::message::Message;

/// Of each topic so many payloads are tried: they differ in structure, and one topic is one device or one value.
const TRIED: usize = 4;
/// Of the topics that a file can read or fails to read, in percent.
const READABLE: usize = 80;
/// Of all topics that it takes, in percent, where its name is not in them.
const FRUITFUL: usize = 25;
/// Names that are shorter are contained in too much.
const MIN_NAME: usize = 3;

/// A ready file that reads some of what was heard.
#[derive(Debug)]
pub struct Recognised {
    /// Without `.toml`.
    pub name: &'static str,
    pub text: &'static str,
    /// Of these topics a message gives rows.
    pub read: Vec<Arc<str>>,
    /// It takes these and gives no rows, or they stand below a level that is its own.
    pub silent: Vec<Arc<str>>,
    /// Messages of the topics that it reads.
    pub messages: u64,
    /// The zone that local times are read in, where the file has one: somebody else's.
    pub zone: Option<&'static str>,
    /// Other files that would read some of its topics too, and how many.
    pub also: Vec<(&'static str, usize)>,
    mapping: Arc<Mapping>,
    /// Levels that are its own: whatever stands below them is no business of another mapping.
    roots: Vec<String>,
}

impl Recognised {
    /// Whether the message is this file's, with rows or without.
    #[must_use]
    pub fn takes(&self, message: &Message) -> bool {
        self.is_below_root(&message.topic) || takes(&self.mapping.explain(message))
    }

    fn is_below_root(&self, topic: &str) -> bool {
        self.roots.iter().any(|root| is_below(topic, root))
    }

    /// The names of its mappings and of the measurements that only it feeds.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let measurements = self.mapping.schema().measurements.iter().map(|measurement| measurement.name.as_str());
        self.mapping.topics().map(|(mapping, _)| mapping).chain(measurements)
    }
}

/// One file, compiled.
struct File {
    name: &'static str,
    text: &'static str,
    config: Vec<MappingConfig>,
    mapping: Arc<Mapping>,
}

/// All ready files, compiled.
pub struct Library(Vec<File>);

impl Library {
    /// Compiles all of them; none has a fault, or a test fails.
    #[must_use]
    pub fn new() -> Self {
        let file = |(name, text): &(&'static str, &'static str)| {
            let config = config::load_text(&format!("{name}.toml"), text, []).config?.mappings;
            let mapping = Arc::new(Mapping::new(&config).0?);
            Some(File { name, text, config, mapping })
        };
        Self(FILES.iter().filter_map(file).collect())
    }

    /// The files that read what was heard, the one that explains most first.
    #[must_use]
    pub fn recognise<'s>(&self, topics: impl IntoIterator<Item = &'s Heard>) -> Vec<Recognised> {
        let topics: Vec<&Heard> = topics.into_iter().collect();
        let mut rest = topics.clone();
        let mut recognised: Vec<Recognised> = Vec::new();
        loop {
            let is_new = |file: &&File| recognised.iter().all(|known| known.name != file.name);
            let found = self.0.iter().filter(is_new).filter_map(|file| Found::new(file, &rest));
            // The first of those that explain as much, so that the answer is always the same.
            let best = found.reduce(|best, other| if other.read.len() > best.read.len() { other } else { best });
            let Some(best) = best else { break };
            let best = best.into_recognised(&rest);
            rest.retain(|heard| !messages(heard).any(|message| best.takes(&message)));
            recognised.push(best);
        }
        for found in &mut recognised {
            let theirs: Vec<&Heard> =
                topics.iter().copied().filter(|heard| found.read.contains(&heard.topic)).collect();
            let count = |file: &File| {
                let reads = |heard: &&&Heard| messages(heard).any(|message| gives_rows(&file.mapping, &message));
                (file.name, theirs.iter().filter(reads).count())
            };
            let others = self.0.iter().filter(|file| file.name != found.name);
            found.also = others.map(count).filter(|(_, topics)| *topics > 0).collect();
        }
        recognised
    }
}

impl Default for Library {
    fn default() -> Self {
        Self::new()
    }
}

/// As live messages: what the broker had kept tells as much of the form.
fn messages(heard: &Heard) -> impl Iterator<Item = Message> {
    heard.as_messages().take(TRIED).map(|message| Message { retain: false, ..message })
}

/// Whether some topic template matches, and is not excepted.
fn takes(explanation: &Explanation) -> bool {
    explanation.mappings.iter().any(|mapping| !matches!(mapping.verdict, Verdict::Excepted))
}

fn gives_rows(mapping: &Mapping, message: &Message) -> bool {
    mapping.explain(message).mappings.iter().any(|mapping| matches!(mapping.verdict, Verdict::Took { .. }))
}

/// What one file makes of the topics that nobody explains yet.
struct Found<'f> {
    file: &'f File,
    read: Vec<Arc<str>>,
    silent: Vec<Arc<str>>,
    messages: u64,
    /// The literal levels that templates begin with that gave rows.
    beginnings: BTreeSet<String>,
}

impl<'f> Found<'f> {
    /// `None` if the evidence is not enough.
    fn new(file: &'f File, topics: &[&Heard]) -> Option<Self> {
        let (read, silent, beginnings) = (Vec::new(), Vec::new(), BTreeSet::new());
        let mut found = Self { file, read, silent, messages: 0, beginnings };
        let (mut failed, mut evidence, mut named) = (0, 0, false);
        for heard in topics {
            let (mut is_taken, mut is_read, mut is_failed, mut is_evidence) = (false, false, false, false);
            for message in messages(heard) {
                let explanation = file.mapping.explain(&message);
                is_taken |= takes(&explanation);
                for one in &explanation.mappings {
                    match &one.verdict {
                        Verdict::Took { .. } => {
                            is_read = true;
                            let beginning = beginning(&one.topic);
                            let is_named = is_named_after(&beginning, file.name);
                            named |= is_named;
                            // Anybody may say `online` anywhere.
                            let tells = is_named || !one.mapping.ends_with("availability");
                            is_evidence |= tells && (is_specific(&one.topic) || file.looks_inside(&one.mapping));
                            if !beginning.is_empty() {
                                found.beginnings.insert(beginning);
                            }
                        }
                        Verdict::Rejected { .. } => is_failed = true,
                        Verdict::Empty(_)
                        | Verdict::Unmet(_)
                        | Verdict::Excepted
                        | Verdict::Retained
                        | Verdict::NotNeeded => {}
                    }
                }
            }
            evidence += usize::from(is_evidence);
            match (is_taken, is_read) {
                (false, _) => {}
                (true, true) => {
                    found.messages += heard.messages;
                    found.read.push(Arc::clone(&heard.topic));
                }
                (true, false) => {
                    failed += usize::from(is_failed);
                    found.silent.push(Arc::clone(&heard.topic));
                }
            }
        }
        let read = found.read.len();
        let is_readable = read * 100 >= (read + failed) * READABLE;
        let is_fruitful = named || read * 100 >= (read + found.silent.len()) * FRUITFUL;
        (evidence > 0 && is_readable && is_fruitful).then_some(found)
    }

    fn into_recognised(self, topics: &[&Heard]) -> Recognised {
        // Where the first level bears its name, all below that is its own: `zigbee2mqtt/bridge/…` too. (Not below a
        // `home` or `tele`, however much of it the file reads: there others may stand too.)
        let first = |beginning: &String| {
            let name = beginning.trim_start_matches('/');
            let end = beginning.len() - name.len() + name.find('/').unwrap_or(name.len());
            beginning[..end].to_owned()
        };
        let firsts: BTreeSet<String> = self.beginnings.iter().map(first).collect();
        let roots = firsts.into_iter().filter(|first| is_named_after(first, self.file.name)).collect();
        let mut recognised = Recognised {
            name: self.file.name,
            text: self.file.text,
            read: self.read,
            silent: self.silent,
            messages: self.messages,
            zone: zone(self.file.text),
            also: Vec::new(),
            mapping: Arc::clone(&self.file.mapping),
            roots,
        };
        let others = topics.iter().map(|heard| &heard.topic).filter(|topic| recognised.is_below_root(topic));
        let silent: Vec<Arc<str>> = others
            .filter(|topic| !recognised.read.contains(topic) && !recognised.silent.contains(topic))
            .map(Arc::clone)
            .collect();
        recognised.silent.extend(silent);
        recognised
    }
}

impl File {
    /// Whether that mapping chooses messages by what is in them, and so needs no topic that says whose they are.
    fn looks_inside(&self, mapping: &str) -> bool {
        let config = self.config.iter().find(|config| config.name.value == mapping);
        config.is_some_and(|config| !config.when.is_empty())
    }
}

fn is_below(topic: &str, root: &str) -> bool {
    topic.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_literal(level: &str) -> bool {
    !level.contains(['{', '+', '#'])
}

/// The literal levels that the template begins with.
fn beginning(template: &str) -> String {
    let levels: Vec<&str> = template.split('/').take_while(|level| is_literal(level)).collect();
    levels.join("/")
}

/// Whether the template names more than others do: where it begins, or two levels.
fn is_specific(template: &str) -> bool {
    let first = template.split('/').find(|level| !level.is_empty());
    first.is_some_and(is_literal) || template.split('/').filter(|level| is_literal(level)).count() >= 2
}

/// Whether the first level is what the ecosystem is called, or a part of that.
fn is_named_after(beginning: &str, name: &str) -> bool {
    let plain = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let level = plain(beginning.split('/').find(|level| !level.is_empty()).unwrap_or_default());
    let name = plain(name);
    level.len() >= MIN_NAME && (name.contains(&level) || level.contains(&name))
}

/// What the file says in `zone`.
fn zone(text: &'static str) -> Option<&'static str> {
    let line = text.lines().find_map(|line| line.strip_prefix("zone")?.trim_start().strip_prefix('='))?;
    line.split('"').nth(1)
}
