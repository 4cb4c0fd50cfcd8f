//! `amber init`: three questions (or their answers as arguments), each tried at once, and a configuration that works.
//!
//! It never overwrites a file. Passwords go into files of their own that only their owner reads.

mod answers;
mod ask;
#[cfg(test)]
mod tests;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args as ClapArgs;
use tokio_util::sync::CancellationToken;

use super::discover::{Offer, everything, listen, zone};
use super::run::stop_on_signals;
use super::{Wrong, demo, file};
use crate::config;
use crate::discover::Sample;
use crate::fault;
use crate::store::Store;
use answers::{Login, Place};

#[derive(Debug, ClapArgs)]
pub struct InitArgs {
    /// The broker: mqtt://host:1883, mqtts://host, ws://host/path, wss://host/path, unix:///path/to/socket
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    /// Who Amber logs in as
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The file with the password, which the configuration will name
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The store: `sqlite:FILE` or postgres://user:password@host/database
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// How long to listen to the broker and propose mappings, as in `60s`; or `no`
    #[arg(long, value_name = "TIME|no", value_parser = listening)]
    discover: Option<Listening>,
    /// The folder for config.toml and mappings/
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

/// What `--discover` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listening {
    No,
    For(Duration),
}

/// Unless told otherwise.
const USUAL: Duration = Duration::from_secs(60);

fn listening(text: &str) -> Result<Listening, String> {
    match text {
        "no" => Ok(Listening::No),
        text => demo::duration(text).map(Listening::For).map_err(|why| format!("{why}, or `no`")),
    }
}

/// What is written, by name.
struct Paths {
    config: PathBuf,
    folder: PathBuf,
    discovered: PathBuf,
    broker_password: PathBuf,
    store_password: PathBuf,
}

impl Paths {
    /// In `dir`, as Amber finds them from where it runs: here, or anywhere if that is elsewhere.
    fn new(dir: &Path) -> anyhow::Result<Self> {
        if !dir.is_dir() {
            bail!("there is no folder `{}`; make it first", dir.display());
        }
        let dir = match dir.to_str() {
            Some("." | "./") => PathBuf::new(),
            _ => dir.canonicalize().with_context(|| format!("`{}` cannot be read", dir.display()))?,
        };
        Ok(Self {
            config: dir.join("config.toml"),
            folder: dir.join("mappings"),
            discovered: dir.join("mappings").join("discovered.toml"),
            broker_password: dir.join("broker.password"),
            store_password: dir.join("store.password"),
        })
    }

    /// What is there already, before anybody is asked.
    fn taken(&self) -> Option<fault::Fault> {
        let is_there = |path: &&PathBuf| path.symlink_metadata().is_ok();
        let path = [&self.config, &self.discovered].into_iter().find(is_there)?;
        let what = format!("`{}` is there already, and is never overwritten", path.display());
        let remedy = "`amber check` says what is wrong with it, `amber discover` proposes more mappings; or choose another \
                      folder with `--dir`";
        Some(fault::Fault::new(&fault::Place::Default, "init", what, remedy))
    }
}

pub fn init(init: &InitArgs) -> anyhow::Result<()> {
    let paths = Paths::new(&init.dir)?;
    if let Some(fault) = paths.taken() {
        eprintln!("{fault}");
        return Err(Wrong.into());
    }
    let asks = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    super::runtime()?.block_on(run(init, &paths, asks))
}

async fn run(init: &InitArgs, paths: &Paths, asks: bool) -> anyhow::Result<()> {
    let given = Login {
        url: init.broker.clone().unwrap_or_default(),
        user: init.user.clone(),
        password_file: init.password_file.clone(),
        ..Login::default()
    };
    // Whoever wants nothing heard may write it where nothing of it can be reached: while an image is built.
    let may_be_away = !asks && matches!(init.discover, Some(Listening::No));
    let login = answers::broker(given, asks, may_be_away).await?;
    let default = format!("sqlite:{}", paths.config.with_file_name("amber.db").display());
    let store = answers::store(init.store.clone(), &default, asks, may_be_away).await?;
    let time = match init.discover {
        Some(Listening::No) => None,
        Some(Listening::For(time)) => Some(time),
        None if !login.works => None,
        None if asks => how_long()?,
        None => Some(USUAL),
    };
    let offer = match time {
        Some(time) => offered(&login, time).await?,
        None => None,
    };
    write(paths, &login, &store, offer.as_ref())?;
    finish(paths, offer.is_some())
}

fn how_long() -> anyhow::Result<Option<Duration>> {
    if !ask::is_wanted("Listen to the broker now, and propose mappings for what is heard?")? {
        return Ok(None);
    }
    loop {
        let answer = ask::question("For how long", "60s")?;
        match demo::duration(&answer) {
            Ok(time) => return Ok(Some(time)),
            Err(why) => ask::say(&format!("  {why}"))?,
        }
    }
}

/// What is proposed; `None` if nothing was heard.
async fn offered(login: &Login, time: Duration) -> anyhow::Result<Option<Offer>> {
    let broker = login.settings().map_err(anyhow::Error::msg)?;
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    ask::say(&format!("Listening for {} to `#`; Ctrl-C ends it sooner.", config::written_duration(time)))?;
    let mut sample = Sample::default();
    let mut tell = |line: String| eprintln!("  {line}");
    let heard = listen(&broker, &[everything()], time, &mut sample, &stop, &mut tell).await;
    if let Err(why) = heard {
        ask::say(&format!("  {why:#}"))?;
        return Ok(None);
    }
    sample.left_out().into_iter().for_each(&mut tell);
    let offer = Offer::new(&sample, &broker.url.value.to_string(), zone().as_deref(), &[], true);
    for line in offer.summary() {
        ask::say(&format!("  {line}"))?;
    }
    Ok(Some(offer))
}

/// The main file comes last: without it there is no configuration, and `init` can be run again.
fn write(paths: &Paths, login: &Login, store: &Place, offer: Option<&Offer>) -> anyhow::Result<()> {
    let mut login = login.clone();
    if let Some(password) = &login.password {
        made(&paths.broker_password, &format!("{password}\n"), file::PRIVATE)?;
        login.password_file = Some(paths.broker_password.clone());
    }
    let store_password = match &store.password {
        Some(password) => {
            made(&paths.store_password, &format!("{password}\n"), file::PRIVATE)?;
            Some(paths.store_password.as_path())
        }
        None => None,
    };
    if !paths.folder.is_dir() {
        std::fs::create_dir(&paths.folder).with_context(|| format!("`{}` cannot be made", paths.folder.display()))?;
    }
    if let Some(offer) = offer {
        let mut told = Vec::new();
        offer.write_ready(&paths.folder, &mut |line| told.push(line))?;
        // What to include is written down already.
        for line in told.iter().filter(|line| !line.starts_with("in config.toml")) {
            ask::say(line)?;
        }
        made(&paths.discovered, &offer.text(), file::PUBLIC)?;
    }
    made(&paths.config, &text(&login, store, store_password), file::PUBLIC)
}

fn made(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    file::create(path, text, mode)?;
    ask::say(&format!("written to {}", path.display()))
}

/// Checks what was written as `amber check` does, and says what to type next.
fn finish(paths: &Paths, has_heard: bool) -> anyhow::Result<()> {
    let (config, mapping, warnings) = super::compiled(config::load(Some(&paths.config), config::environment()))?;
    for warning in &warnings {
        eprintln!("{warning}");
    }
    let plan = Store::new(&config.store, &config.broker.client_id, 0).plan_for_empty(mapping.schema());
    if !plan.conflicts.is_empty() {
        bail!("store: {}", plan.conflicts.join("\namber: store: "));
    }
    let tables = mapping.schema().measurements.len();
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    ask::say(&format!(
        "checked: no fault; {}, {}",
        count(config.mappings.len(), "mapping"),
        count(tables, "measurement")
    ))?;
    let named = match paths.config.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => format!(" --config {}", paths.config.display()),
        _ => String::new(),
    };
    ask::say("\nNext:")?;
    if config.mappings.is_empty() {
        let why = if has_heard { "what to write yourself: docs/mapping.md" } else { "when devices are publishing" };
        let out = paths.folder.join("mine.toml");
        ask::say(&format!("  amber{named} discover --out {}    {why}", out.display()))?;
    }
    ask::say(&format!("  amber{named} run"))?;
    ask::say(&format!("  http://{}/    once it runs", super::health::reachable(config.http.listen.value)))
}

/// The main file.
fn text(login: &Login, store: &Place, store_password: Option<&Path>) -> String {
    let mut text = String::from(
        "# Made by `amber init`. All settings: docs/configuration.md, config.example.toml.\n\
         # A running Amber takes up changes by itself; `amber check` says beforehand what is wrong.\n\
         \n\
         include = [\"mappings/*.toml\"]           # what is listened to, and how it is read\n\
         \n\
         [broker]\n",
    );
    text.push_str(&format!("url = {}\n", quoted(&login.url)));
    let mut line = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!("{key} = {}\n", quoted(&value)));
        }
    };
    line("username", login.user.clone().filter(|user| !user.is_empty()));
    line("password_file", login.password_file.as_ref().map(|file| file.display().to_string()));
    text.push_str(&format!("\n[store]\nurl = {}\n", quoted(&store.url)));
    if let Some(file) = store_password {
        text.push_str(&format!("password_file = {}\n", quoted(&file.display().to_string())));
    }
    text.push_str("\n[http]\n# listen = \"127.0.0.1:9583\"             # the page, /health, /ready, /metrics\n");
    text
}

/// As TOML writes a text.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
