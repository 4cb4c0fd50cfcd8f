//! What is offered: the proposal, and the ready files that read the rest.

use std::path::Path;

use super::super::file;
use crate::config::{self, MappingConfig};
use crate::discover::ready::{Library, Recognised};
use crate::discover::{Already, Heard, Sample, propose_in};
use crate::fault::Severity;
use crate::mapping::Mapping;

/// Topics that are named where some give no rows.
const NAMED: usize = 5;

pub(in crate::cli) struct Offer {
    already: Already,
    proposal: String,
    /// Mappings in the proposal.
    mappings: usize,
    /// What is wrong with the proposal, which is nobody's fault but ours.
    faults: Vec<String>,
    /// How many topics were heard, for people.
    topics: String,
    /// Topics that the configuration reads.
    read: usize,
    messages: u64,
    origin: String,
}

impl Offer {
    /// What to offer for `sample`, which came from `origin`, beside the mappings that are there. `zone` is that of the
    /// devices, if it is known.
    pub(in crate::cli) fn new(
        sample: &Sample,
        origin: &str,
        zone: Option<&str>,
        in_force: &[&[MappingConfig]],
        with_ready: bool,
    ) -> Self {
        let mut already = Already::new(in_force, vec![]);
        let is_read = |heard: &&Heard| heard.as_messages().any(|message| already.takes(&message));
        let (read, rest): (Vec<&Heard>, Vec<&Heard>) = sample.topics().partition(is_read);
        if with_ready {
            already = Already::new(in_force, Library::new().recognise(rest));
        }
        let proposal = propose_in(sample, &already, zone).text();
        let loaded = config::load_text("proposal", &proposal, []);
        let config = loaded.config.as_ref();
        let mut faults = loaded.faults.clone();
        faults.extend(config.map(|config| Mapping::new(&config.mappings).1).unwrap_or_default());
        let ours = |fault: &&crate::fault::Fault| {
            fault.severity == Severity::Fault && fault.path != "broker.url" && fault.path != "store.url"
        };
        Self {
            mappings: config.map_or(0, |config| config.mappings.len()),
            faults: faults.iter().filter(ours).map(ToString::to_string).collect(),
            already,
            proposal,
            topics: match sample.one_in() {
                1 => counted(sample.topics_heard(), "topic"),
                _ => format!("about {}", counted(sample.topics_heard(), "topic")),
            },
            read: read.len(),
            messages: sample.messages(),
            origin: origin.to_owned(),
        }
    }

    /// Whether there is no mapping in the proposal.
    pub(in crate::cli) fn is_empty(&self) -> bool {
        self.mappings == 0
    }

    pub(in crate::cli) fn ready(&self) -> &[Recognised] {
        &self.already.ready
    }

    /// The file.
    pub(in crate::cli) fn text(&self) -> String {
        self.proposal.clone()
    }

    /// The file where the ready ones cannot be written beside it: it says how to get them.
    pub(super) fn text_with_ready(&self) -> String {
        let mut text = String::new();
        for ready in self.ready() {
            let name = ready.name;
            text.push_str(&format!("# {}\n#   amber mappings {name} > mappings/{name}.toml\n", evidence(ready)));
            text.extend(notes(ready).iter().map(|note| format!("#   {note}\n")));
        }
        if !text.is_empty() {
            text.push_str("# With `include = [\"mappings/*.toml\"]` in config.toml they are read.\n\n");
        }
        text + &self.proposal
    }

    /// What was heard and what reads it, for people.
    pub(in crate::cli) fn summary(&self) -> Vec<String> {
        let mut said = vec![format!("{} on {} from {}", counted(self.messages, "message"), self.topics, self.origin)];
        if self.read > 0 {
            said.push(format!("{} read by the configuration already", counted(self.read as u64, "topic")));
        }
        for ready in self.ready() {
            said.push(evidence(ready));
            said.extend(notes(ready).iter().map(|note| format!("  {note}")));
        }
        said.push(match self.mappings {
            0 => "nothing else to propose".to_owned(),
            mappings => format!("{} proposed", counted(mappings as u64, "mapping")),
        });
        if !self.faults.is_empty() {
            said.push("the proposal has faults, which are Amber's; mend them, and report them, please:".to_owned());
            said.extend(self.faults.iter().cloned());
        }
        said
    }

    /// Writes the ready files into `folder`; one that is there is left as it is.
    pub(in crate::cli) fn write_ready(&self, folder: &Path, tell: &mut dyn FnMut(String)) -> anyhow::Result<()> {
        let mut names = Vec::new();
        for ready in self.ready() {
            let path = folder.join(format!("{}.toml", ready.name));
            match std::fs::read_to_string(&path) {
                Ok(text) if text == ready.text => {}
                Ok(_) => tell(format!("{} is there already and differs; it is left as it is", path.display())),
                Err(_) => {
                    file::create(&path, ready.text, file::PUBLIC)?;
                    tell(format!("written to {}", path.display()));
                }
            }
            names.push(path.display().to_string());
        }
        if !names.is_empty() {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            tell(format!("in config.toml: include = [\"{}/*.toml\"], or those that you want", folder.display()));
        }
        Ok(())
    }
}

/// `zigbee2mqtt.toml (Zigbee2MQTT 1.x and 2.x): rows from 19 of 23 topics, 25 messages`
fn evidence(ready: &Recognised) -> String {
    let (read, silent) = (ready.read.len(), ready.silent.len());
    format!(
        "{}.toml ({}) reads {} of {}, {}",
        ready.name,
        crate::discover::ready::title(ready.text),
        read,
        counted((read + silent) as u64, "topic"),
        counted(ready.messages, "message"),
    )
}

/// What a person should know who takes it.
fn notes(ready: &Recognised) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(zone) = ready.zone {
        notes.push(format!("its times are local: set `zone`, which says {zone}, to yours"));
    }
    if !ready.silent.is_empty() {
        let named: Vec<String> =
            ready.silent.iter().take(NAMED).map(|topic| format!("{}", topic.escape_debug())).collect();
        let more = if ready.silent.len() > NAMED { ", …" } else { "" };
        notes.push(format!("no rows from {}{more} (`amber explain` says why)", named.join(", ")));
    }
    for (other, topics) in &ready.also {
        notes.push(format!(
            "{other}.toml would read {} of these too, and store them a second time",
            counted(*topics as u64, "topic")
        ));
    }
    notes
}

/// The zone of this machine, unless it is UTC: of machines that is no sign of where they are.
pub(in crate::cli) fn zone() -> Option<String> {
    let zone = jiff::tz::TimeZone::system();
    zone.iana_name().filter(|name| name.contains('/') && !name.starts_with("Etc/")).map(str::to_owned)
}

fn counted(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
