//! Watches the files of the configuration, and orders what they say: a stage of `run`.
//!
//! - The files are looked at once a second (`files` says why not inotify), and at SIGHUP. What was found to be other at
//!   two looks running is loaded: a file that is still being written is left alone. What is faulty has one look more to
//!   become good before it is refused.
//! - A configuration is put in force as a whole or not at all: the order goes to the mapper (`pipeline::mapper`), and what
//!   comes back says what became of it. Until then, and if it is refused, what was before goes on.
//! - A refusal is in the log once, with all faults; in `/ready`, and in the metrics, for as long as it lasts.
//! - What waits for the store, or for a table that somebody is to mend, is tried again by itself; a newer edit takes its
//!   place.
//! - What cannot change in a running service is named, and the rest is put in force (`config::live`).
//! - A mounted file that was replaced where it is mounted from is a thing to say: no edit of it is ever seen here.
//! - What the environment sets stays as it was at the start.

mod files;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::backoff::Backoff;
use crate::config::{self, Config, Loaded, Log, Sources};
use crate::fault::{Fault, Place, Severity};
use crate::in_force::{Order, Unfit};
use crate::mapping::Mapping;
use crate::metrics::Metrics;
use crate::status::{self, Status};
use files::Seen;

/// Short beside the time that a person takes to look for the effect, and long enough to cost nothing.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The first wait for a store that is away, and the longest.
const AWAY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// The same for tables that are in the way: somebody may run the SQL that was printed.
const REFUSED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// An answer that takes longer is said to be waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// A configuration that can run, and what is to be said of it.
pub type Ready = (Config, Mapping, Vec<Fault>);

/// Compiles the mappings of what was loaded.
///
/// # Errors
/// All faults, and the warnings among them.
pub fn compile(mut loaded: Loaded) -> Result<Ready, Vec<Fault>> {
    let mut mapping = None;
    if let Some(config) = &loaded.config {
        let (compiled, faults) = Mapping::new(&config.mappings);
        mapping = compiled;
        loaded.add(faults);
    }
    if !loaded.is_faulty()
        && let (Some(config), Some(mapping)) = (loaded.config, mapping)
    {
        return Ok((config, mapping, loaded.faults));
    }
    Err(loaded.faults)
}

/// Where a configuration is read from: one file and what it includes, under an environment.
#[derive(Clone, Debug)]
pub struct Origin {
    pub file: PathBuf,
    pub environment: Vec<(String, String)>,
}

/// The files as they are before a start reads them, so that an edit in between is not missed.
pub struct Before {
    origin: Origin,
    sources: Sources,
    seen: Seen,
    nameless: Vec<PathBuf>,
}

impl Before {
    /// Looks at the files of `origin`. Blocks.
    #[must_use]
    pub fn start(origin: Origin) -> Self {
        let sources = config::load(Some(&origin.file), origin.environment.clone()).sources;
        let seen = files::look(&sources);
        let nameless = files::nameless(&sources);
        Self { origin, sources, seen, nameless }
    }
}

/// The stage.
pub struct Reload {
    origin: Arc<Origin>,
    hangup: Signal,
    /// What the service was started with.
    start: Arc<Config>,
    /// Sets the level of the log.
    log: Box<dyn Fn(&Log) + Send + Sync>,
    metrics: Arc<Metrics>,
    status: Arc<Status>,
    looks: Looks,
    waiting: Option<Waiting>,
    /// When what is waited for is tried again.
    again: Option<Instant>,
    away: Backoff,
    refused: Backoff,
    /// What was said of the present contents.
    said: Said,
}

/// What the looks have shown.
struct Looks {
    sources: Sources,
    /// Of what is in force.
    applied: Sources,
    last: Option<Seen>,
    /// What was last put in force, ordered, or refused.
    judged: Option<Seen>,
    /// Was faulty, and has one look more.
    doubted: Option<Seen>,
    /// Files without a name at the start: there are file systems that count no names.
    nameless: Vec<PathBuf>,
    /// Those that lost theirs since.
    cut_off: Vec<PathBuf>,
}

/// An order that is not answered.
struct Waiting {
    answer: oneshot::Receiver<Result<(), Unfit>>,
    since: Instant,
    log: Log,
    mappings: usize,
    after_restart: Vec<&'static str>,
    warnings: Vec<Fault>,
}

/// What was said and need not be said again.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    refused: Vec<String>,
    waits: bool,
    after_restart: Vec<&'static str>,
}

impl Reload {
    /// Listens for SIGHUP from now on. `config` was read after `before`; `log` sets the level.
    ///
    /// # Errors
    /// The signal cannot be listened for.
    pub fn new(
        before: Before,
        config: Arc<Config>,
        log: Box<dyn Fn(&Log) + Send + Sync>,
        metrics: Arc<Metrics>,
        status: Arc<Status>,
    ) -> io::Result<Self> {
        let hangup = signal(SignalKind::hangup())?;
        let Before { origin, sources, seen, nameless } = before;
        let (last, judged) = (Some(seen.clone()), Some(seen));
        Ok(Self {
            looks: Looks {
                applied: sources.clone(),
                sources,
                last,
                judged,
                doubted: None,
                nameless,
                cut_off: Vec::new(),
            },
            origin: Arc::new(origin),
            hangup,
            start: config,
            log,
            metrics,
            status,
            waiting: None,
            again: None,
            away: Backoff::new(AWAY.0, AWAY.1),
            refused: Backoff::new(REFUSED.0, REFUSED.1),
            said: Said::default(),
        })
    }

    /// Until `stop` is cancelled, or nobody takes orders.
    pub async fn run(mut self, orders: mpsc::Sender<Order>, stop: CancellationToken) {
        let end = stop.clone();
        if end.run_until_cancelled(self.watch(&orders)).await.is_some() {
            // Nobody takes orders: the line ends, and says why itself.
            stop.cancelled().await;
        }
    }

    async fn watch(&mut self, orders: &mpsc::Sender<Order>) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_asked = tokio::select! { biased;
                Some(()) = self.hangup.recv() => true,
                fit = answer(&mut self.waiting) => {
                    if !self.answered(fit) {
                        return;
                    }
                    continue;
                }
                _ = looks.tick() => false,
            };
            self.say_that_it_waits();
            let Some(order) = self.look(is_asked).await else { continue };
            if orders.send(order).await.is_err() {
                return;
            }
        }
    }

    /// Looks at the files; gives an order if they are to be put in force. `is_asked`: whatever the files are.
    async fn look(&mut self, is_asked: bool) -> Option<Order> {
        let sources = self.looks.sources.clone();
        let (seen, nameless) = blocking(move || (files::look(&sources), files::nameless(&sources))).await;
        self.say_what_is_cut_off(nameless);
        let is_stable = self.looks.last.replace(seen.clone()).as_ref() == Some(&seen);
        let is_new = self.looks.judged.as_ref() != Some(&seen);
        let is_due = is_asked || if is_new { is_stable } else { self.again.is_some_and(|at| at <= Instant::now()) };
        if !is_due {
            return None;
        }
        let (origin, applied) = (Arc::clone(&self.origin), self.looks.applied.clone());
        let (sources, result, seen_after) = blocking(move || load(&origin, &applied)).await;
        if sources != self.looks.sources {
            // Other files belong to it now: they are to be looked at, too.
            self.looks.sources = sources;
            if !is_asked {
                self.looks.last = None;
                self.looks.judged = None;
                return None;
            }
        } else if seen_after != seen && !is_asked {
            return None;
        }
        if is_new || is_asked {
            self.said = Said { after_restart: std::mem::take(&mut self.said.after_restart), ..Said::default() };
            self.away.reset();
            self.refused.reset();
        }
        let ready = match result {
            Ok(ready) => ready,
            Err(faults) => {
                if is_asked || self.looks.doubted.as_ref() == Some(&seen) {
                    self.judge(seen_after);
                    self.refuse(faults.iter().map(ToString::to_string).collect());
                } else {
                    self.looks.doubted = Some(seen);
                }
                return None;
            }
        };
        self.judge(seen_after);
        Some(self.order(ready))
    }

    /// Says once of each file that no edit of it can be seen.
    fn say_what_is_cut_off(&mut self, mut nameless: Vec<PathBuf>) {
        nameless.retain(|path| !self.looks.nameless.contains(path));
        if nameless == self.looks.cut_off {
            return;
        }
        for path in nameless.iter().filter(|path| !self.looks.cut_off.contains(path)) {
            error!("{}", status::cut_off(path));
        }
        self.metrics.configuration_cut_off.set(i64::from(!nameless.is_empty()));
        self.status.set_files(|files| files.cut_off.clone_from(&nameless));
        self.looks.cut_off = nameless;
    }

    /// These contents are dealt with.
    fn judge(&mut self, seen: Seen) {
        // An older order is given up: nobody waits for its answer any more.
        (self.waiting, self.again) = (None, None);
        self.looks.doubted = None;
        self.looks.last = Some(seen.clone());
        self.looks.judged = Some(seen);
    }

    fn order(&mut self, (config, mapping, warnings): Ready) -> Order {
        let (config, after_restart) = self.start.change_to(config);
        let (answer, answered) = oneshot::channel();
        self.waiting = Some(Waiting {
            answer: answered,
            since: Instant::now(),
            log: config.log.clone(),
            mappings: config.mappings.len(),
            after_restart,
            warnings,
        });
        Order { config: Arc::new(config), mapping, answer }
    }

    /// What became of the order; `false` if the line ends.
    fn answered(&mut self, fit: Option<Result<(), Unfit>>) -> bool {
        let Some(waiting) = self.waiting.take() else { return true };
        match fit {
            None => return false,
            Some(Ok(())) => self.applied(waiting),
            Some(Err(Unfit::Refused(conflicts))) => {
                self.again = Some(Instant::now() + self.refused.next_wait());
                self.refuse(conflicts);
            }
            Some(Err(Unfit::Away(why))) => {
                self.again = Some(Instant::now() + self.away.next_wait());
                self.wait(why);
            }
        }
        true
    }

    fn applied(&mut self, waiting: Waiting) {
        let Waiting { log, mappings, after_restart, warnings, .. } = waiting;
        self.metrics.reloads.with_label_values(&["applied"]).inc();
        self.metrics.configuration_refused.set(0);
        self.status.set_files(|files| {
            files.refused.clear();
            files.waits = None;
            files.after_restart.clone_from(&after_restart);
        });
        self.looks.applied.clone_from(&self.looks.sources);
        (self.log)(&log);
        info!(mappings, "the configuration was read again and is in force");
        for warning in &warnings {
            warn!("{warning}");
        }
        if !after_restart.is_empty() && self.said.after_restart != after_restart {
            warn!(settings = after_restart.join(", "), "changed, and take effect after a restart");
        }
        self.said = Said { after_restart, ..Said::default() };
    }

    /// What was before keeps running.
    fn refuse(&mut self, faults: Vec<String>) {
        self.metrics.configuration_refused.set(1);
        self.status.set_files(|files| {
            files.refused.clone_from(&faults);
            files.waits = None;
        });
        if self.said.refused == faults {
            return;
        }
        self.metrics.reloads.with_label_values(&["refused"]).inc();
        for fault in &faults {
            error!("{fault}");
        }
        error!(faults = faults.len(), "the configuration on disk is refused; the one before it keeps running");
        self.said.refused = faults;
    }

    /// It is to be tried again.
    fn wait(&mut self, why: String) {
        self.metrics.configuration_refused.set(0);
        self.status.set_files(|files| {
            files.refused.clear();
            files.waits = Some(why.clone());
        });
        if !std::mem::replace(&mut self.said.waits, true) {
            warn!(why, "the configuration on disk waits for the store; the one before it keeps running");
        }
    }

    fn say_that_it_waits(&mut self) {
        let is_long = self.waiting.as_ref().is_some_and(|waiting| waiting.since.elapsed() >= PATIENCE);
        if is_long && !self.said.waits {
            self.wait("the store is busy, or away".to_owned());
        }
    }
}

/// The answer, or that there will be none. Cancel safe.
async fn answer(waiting: &mut Option<Waiting>) -> Option<Result<(), Unfit>> {
    match waiting {
        Some(waiting) => (&mut waiting.answer).await.ok(),
        None => std::future::pending().await,
    }
}

/// Where files are read, nobody else waits for them.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("reading files does not panic")
}

/// Reads the files; the faults of a running service are more than those of a start. `before`: where it came from until
/// now.
fn load(origin: &Origin, before: &Sources) -> (Sources, Result<Ready, Vec<Fault>>, Seen) {
    if files::is_no_file(&origin.file) {
        let what = format!("`{}` is no file, and cannot be read again", origin.file.display());
        let fault = Fault::new(&Place::Default, "", what, "start Amber with a file, or start it again");
        return (before.clone(), Err(vec![fault]), files::look(before));
    }
    let loaded = config::load(Some(&origin.file), origin.environment.clone());
    let sources = loaded.sources.clone();
    let result = compile(loaded).and_then(|ready| {
        let faults = gone(&ready, &sources, before);
        if faults.is_empty() { Ok(ready) } else { Err(faults) }
    });
    let seen = files::look(&sources);
    (sources, result, seen)
}

/// What a start would take for what is meant, and a running service takes for an accident: a folder that is not there, a
/// file that was emptied.
fn gone((config, _, warnings): &Ready, sources: &Sources, before: &Sources) -> Vec<Fault> {
    let at = |place: &Path| Place::File { file: place.display().to_string().into(), line: 1, column: 1 };
    let is_old = |folder: &&Path| before.folders().any(|old| old == *folder);
    let lost = sources.folders().filter(|folder| !folder.exists()).filter(is_old);
    let mut faults: Vec<Fault> = lost
        .map(|folder| {
            let what = format!("the folder `{}` is gone, and its mappings with it", folder.display());
            Fault::new(&at(sources.main()), "include", what, "bring it back, or take it out of `include`")
        })
        .collect();
    if config.mappings.is_empty() && faults.is_empty() {
        let what = "no mapping is left: nothing would be stored any more";
        let remedy = "bring the mappings back, or stop Amber if that is meant";
        faults.push(Fault::new(&at(sources.main()), "mapping", what, remedy));
    }
    if !faults.is_empty() {
        let others = warnings.iter().filter(|fault| fault.severity == Severity::Warning);
        faults.extend(others.filter(|warning| warning.path != "mapping" && warning.path != "include").cloned());
    }
    faults
}
