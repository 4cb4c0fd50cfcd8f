//! `amber discover`: listens for a while, or reads captured messages, and proposes a mapping for what was heard.
//!
//! It reads only: at QoS 0, in a session of its own that leaves nothing at the broker. It never overwrites a file.

mod capture;
mod listen;
mod offer;
mod settings;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args as ClapArgs;
use tokio_util::sync::CancellationToken;

use super::run::stop_on_signals;
use super::{Args, Wrong, demo, file};
use crate::config::{self, MappingConfig};
use crate::discover::{Bounds, Sample};
use crate::fault::{Fault, Place};
use crate::message::Time;
use crate::topic::TopicFilter;

pub(super) use listen::listen;
pub(super) use offer::{Offer, zone};

#[derive(Debug, ClapArgs)]
pub struct DiscoverArgs {
    /// Topic filters to listen to; `#` unless given, which is all but `$SYS`
    #[arg(value_name = "FILTER", value_parser = filter)]
    filters: Vec<TopicFilter>,
    /// How long to listen, as in `60s`, `10m`; Ctrl-C ends it sooner
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = demo::duration, conflicts_with = "from")]
    duration: Duration,
    /// The broker, as in `[broker] url`; otherwise that of the configuration
    #[arg(long, value_name = "URL", conflicts_with = "from")]
    broker: Option<String>,
    /// Who to log in as
    #[arg(long, value_name = "NAME", conflicts_with = "from")]
    user: Option<String>,
    /// The file with the password
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    password_file: Option<PathBuf>,
    /// The file with the CA of the broker's certificate; otherwise the roots of the system
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    ca: Option<PathBuf>,
    /// Instead of listening, read captured messages: `{"topic": …, "payload": …}` a line, or what `mosquitto_sub -v` and
    /// `-F %j` print; `-` for standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// The file to write, which must not be there yet; otherwise standard output
    #[arg(long, value_name = "FILE", conflicts_with = "append")]
    out: Option<PathBuf>,
    /// Add to this file what it, and the configuration, do not read yet
    #[arg(long, value_name = "FILE")]
    append: Option<PathBuf>,
    /// Propose for all that was heard, also where a ready file reads it
    #[arg(long)]
    no_ready: bool,
    /// Propose for all that was heard, also where the configuration reads it
    #[arg(long, conflicts_with = "append")]
    all: bool,
    /// Topics that are kept; of more, a fair share is
    #[arg(long, value_name = "N", default_value_t = Bounds::default().topics)]
    max_topics: usize,
    /// MiB of memory for topics and payloads
    #[arg(long, value_name = "MIB", default_value_t = Bounds::default().bytes >> 20, value_parser = mebibytes)]
    max_memory: usize,
}

/// An argument that is a topic filter.
fn filter(text: &str) -> Result<TopicFilter, String> {
    TopicFilter::new(text).map_err(|why| format!("`{text}` is not a topic filter: {why}"))
}

fn mebibytes(text: &str) -> Result<usize, String> {
    let number = text.strip_suffix("MiB").unwrap_or(text).parse::<usize>().ok();
    number
        .filter(|number| (1..=16_384).contains(number))
        .ok_or_else(|| "a number of MiB from 1 to 16384 is wanted".into())
}

pub fn discover(args: &Args, discover: &DiscoverArgs) -> anyhow::Result<()> {
    let mut loaded = settings::loaded(args, discover);
    loaded.faults.extend(discover.out.as_deref().and_then(cannot_be_made));
    let sources = loaded.sources.files();
    let (config, ..) = super::compiled(loaded)?;
    let old = discover.append.as_deref().map(|path| Old::read(path, &sources)).transpose()?;

    let bounds = Bounds { bytes: discover.max_memory << 20, topics: discover.max_topics };
    let mut sample = Sample::new(bounds);
    let mut tell = |line: String| eprintln!("amber: {line}");
    let origin = match &discover.from {
        Some(file) => {
            capture::read(file, &discover.filters, Time::now(), &mut sample, &mut tell)?;
            file.display().to_string()
        }
        None => {
            let filters = if discover.filters.is_empty() { vec![everything()] } else { discover.filters.clone() };
            super::runtime()?.block_on(async {
                let stop = CancellationToken::new();
                stop_on_signals(stop.clone())?;
                listen(&config.broker, &filters, discover.duration, &mut sample, &stop, &mut tell).await
            })?;
            config.broker.url.value.to_string()
        }
    };
    for line in sample.left_out() {
        tell(line);
    }

    let mut in_force: Vec<&[MappingConfig]> = old.iter().map(|old| &*old.mappings).collect();
    if !discover.all {
        in_force.push(&config.mappings);
    }
    // Who captured the messages, and where, is not known.
    let zone = if discover.from.is_some() { None } else { zone() };
    let offer = Offer::new(&sample, &origin, zone.as_deref(), &in_force, !discover.no_ready);
    offer.summary().into_iter().for_each(&mut tell);
    match (&discover.out, &old) {
        (Some(path), _) => {
            if let Err(error) = file::create(path, &offer.text(), file::PUBLIC) {
                // A minute of listening is not thrown away.
                write(&offer.text())?;
                return Err(error.context("the proposal is on standard output instead"));
            }
            tell(format!("written to {}", path.display()));
            offer.write_ready(path.parent().unwrap_or(Path::new("")), &mut tell)?;
            tell(format!("look it over, then: amber check --config {}", path.display()));
        }
        (None, Some(old)) => old.append(&offer, &mut tell)?,
        (None, None) => write(&offer.text_with_ready())?,
    }
    Ok(())
}

/// `#`
pub(super) fn everything() -> TopicFilter {
    TopicFilter::new("#").expect("`#` is a topic filter")
}

fn write(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// What stands in the way of a file of that name; said before anybody listens for a minute.
fn cannot_be_made(path: &Path) -> Option<Fault> {
    let fault = |what: String, remedy: &str| Some(Fault::new(&Place::Default, "--out", what, remedy));
    if path.symlink_metadata().is_ok() {
        let what = format!("`{}` is there already, and is never overwritten", path.display());
        return fault(what, "name another file, or add to this one with `--append`");
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return fault(format!("there is no folder `{}`", folder.display()), "make it first");
    }
    None
}

/// A file that is added to.
struct Old {
    path: PathBuf,
    bytes: Vec<u8>,
    mappings: Vec<MappingConfig>,
}

impl Old {
    /// Reads it. Its mappings count once, also where the configuration includes it.
    fn read(path: &Path, sources: &[PathBuf]) -> anyhow::Result<Self> {
        let name = path.display();
        let mut bytes = Vec::new();
        let read = std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
        read.with_context(|| format!("`{name}` cannot be read; a file that is not there yet is made with `--out`"))?;
        let text = std::str::from_utf8(&bytes).with_context(|| format!("`{name}` is not UTF-8, so not TOML"))?;
        if toml::from_str::<toml::Table>(text).is_ok_and(|table| table.contains_key("defaults")) {
            let what = format!("`{name}` has `[defaults]`, which would change what is added");
            let fault = Fault::new(&Place::Default, "--append", what, "write a new file beside it, with `--out`");
            eprintln!("{fault}");
            return Err(Wrong.into());
        }
        let same =
            |other: &PathBuf| other.canonicalize().ok().is_some_and(|other| path.canonicalize().ok() == Some(other));
        let mut mappings = Vec::new();
        if !sources.iter().any(same) {
            let mut loaded = config::load_text(&name.to_string(), text, []);
            loaded.needs_no_connections();
            mappings = super::compiled(loaded)?.0.mappings;
        }
        Ok(Self { path: path.to_owned(), bytes, mappings })
    }

    fn append(&self, offer: &Offer, tell: &mut dyn FnMut(String)) -> anyhow::Result<()> {
        let name = self.path.display();
        offer.write_ready(self.path.parent().unwrap_or(Path::new("")), tell)?;
        if offer.is_empty() {
            tell(format!("nothing to add; {name} is as it was"));
            return Ok(());
        }
        let gap = if self.bytes.is_empty() || self.bytes.ends_with(b"\n") { "\n" } else { "\n\n" };
        let text = format!("{gap}{}", offer.text());
        // Of the whole file: two tables of one name, for one.
        let whole = [&self.bytes[..], text.as_bytes()].concat();
        let mut loaded = config::load_text(&name.to_string(), &String::from_utf8_lossy(&whole), []);
        loaded.needs_no_connections();
        if super::compiled(loaded).is_err() {
            write(&offer.text())?;
            bail!("what would be added does not fit into {name}, which is as it was; it is on standard output instead");
        }
        file::append(&self.path, &self.bytes, &text)?;
        tell(format!("added to {name}; look it over, then: amber check"));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
