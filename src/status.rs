//! What `/ready` answers: the condition of the broker and of the store, each in one place, as a value.
//!
//! Logged where it changes, once per change (`Part::set` tells whether it did).

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::message::Time;

/// How it stands with one side of Amber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Not yet tried.
    Starting,
    Up,
    /// Away: expected to come back by itself. The text says why.
    Away(String),
    /// Standing: a person must act. The text says what is wrong and what to do.
    Standing(String),
}

/// One side: the broker, or the store.
#[derive(Debug)]
pub struct Part(Mutex<Held>);

#[derive(Debug)]
struct Held {
    condition: Condition,
    /// Shown until the next condition is set.
    meanwhile: Option<Condition>,
}

impl Part {
    fn new() -> Self {
        Self(Mutex::new(Held { condition: Condition::Starting, meanwhile: None }))
    }

    #[must_use]
    pub fn get(&self) -> Condition {
        let held = self.0.lock().expect("no holder of this lock panics");
        held.meanwhile.as_ref().unwrap_or(&held.condition).clone()
    }

    /// Shows a condition on the way to another, which is told of none: what is set next is compared with what was set
    /// before.
    pub fn show_meanwhile(&self, condition: Condition) {
        self.0.lock().expect("no holder of this lock panics").meanwhile = Some(condition);
    }

    /// Returns whether people should be told: it is another condition than before, or another reason to act. That what
    /// is away is away for another reason is shown by `/ready`, and not worth a line, unless something was shown
    /// meanwhile.
    pub fn set(&self, condition: Condition) -> bool {
        let mut current = self.0.lock().expect("no holder of this lock panics");
        let was_shown = current.meanwhile.take().is_some();
        let is_news = match (&current.condition, &condition) {
            (Condition::Away(_), Condition::Away(_)) if !was_shown => false,
            (before, now) => before != now,
        };
        current.condition = condition;
        is_news
    }
}

/// How the files of the configuration stand to what runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// What is wrong with them, a line or more each: what was before keeps running. Empty: nothing.
    pub refused: Vec<String>,
    /// Why they are not in force yet.
    pub waits: Option<String>,
    /// Settings that take effect after a restart.
    pub after_restart: Vec<&'static str>,
    /// Mounted files that were replaced where they are mounted from.
    pub cut_off: Vec<PathBuf>,
}

/// What is to be said and done of a mounted file that was replaced where it is mounted from.
#[must_use]
pub fn cut_off(file: &Path) -> String {
    format!(
        "`{}` was replaced outside, and its mount shows the old one: edits of it are not seen; restart the container \
         (`docker compose restart amber`), or mount the folder instead of the file",
        file.display()
    )
}

/// So many faults are shown.
const MAX_FAULTS: usize = 20;

impl std::fmt::Display for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.refused.is_empty() {
            writeln!(f, "the configuration on disk is refused; the one before it keeps running:")?;
            for fault in self.refused.iter().take(MAX_FAULTS) {
                writeln!(f, "{fault}")?;
            }
            if self.refused.len() > MAX_FAULTS {
                writeln!(f, "and {} more, which the log names", self.refused.len() - MAX_FAULTS)?;
            }
        }
        if let Some(why) = &self.waits {
            writeln!(f, "the configuration on disk waits to be applied: {why}")?;
        }
        for file in &self.cut_off {
            writeln!(f, "{}", cut_off(file))?;
        }
        if !self.after_restart.is_empty() {
            writeln!(f, "changed on disk, and take effect after a restart: {}", self.after_restart.join(", "))?;
        }
        Ok(())
    }
}

/// Both sides, and the files.
#[derive(Debug)]
pub struct Status {
    pub broker: Part,
    pub store: Part,
    files: Mutex<Files>,
    /// Microseconds since 1970 at which a batch was stored, and for how long its oldest message had waited then.
    stored_at: AtomicI64,
    waited: AtomicI64,
}

/// A batch that was stored longer ago says nothing of now.
const RECENT: Duration = Duration::from_secs(15);

impl Status {
    #[must_use]
    pub fn new() -> Self {
        Self {
            broker: Part::new(),
            store: Part::new(),
            files: Mutex::default(),
            stored_at: AtomicI64::new(i64::MIN),
            waited: AtomicI64::new(0),
        }
    }

    /// A batch is stored; `received_at` is that of its oldest message.
    pub fn note_stored(&self, received_at: Time, now: Time) {
        self.waited.store(now.0.saturating_sub(received_at.0).max(0), Ordering::Relaxed);
        self.stored_at.store(now.0, Ordering::Relaxed);
    }

    /// For how long the oldest message of the newest batch had waited when it was stored; `None`: nothing was stored lately.
    #[must_use]
    pub fn lag(&self, now: Time) -> Option<Duration> {
        let stored_at = self.stored_at.load(Ordering::Relaxed);
        let is_recent = stored_at != i64::MIN && now.since(Time(stored_at)) <= RECENT;
        is_recent.then(|| Duration::from_micros(self.waited.load(Ordering::Relaxed).unsigned_abs()))
    }

    /// Changes what is said of the files.
    pub fn set_files(&self, change: impl FnOnce(&mut Files)) {
        change(&mut self.files.lock().expect("no holder of this lock panics"));
    }

    /// What is to be said of the files.
    #[must_use]
    pub fn files(&self) -> Files {
        self.files.lock().expect("no holder of this lock panics").clone()
    }

    /// `Ok` if messages can come and be stored; otherwise the reason, one line.
    ///
    /// # Errors
    /// The first side that is not up, and why.
    pub fn ready(&self) -> Result<(), String> {
        for (name, part) in [("store", &self.store), ("broker", &self.broker)] {
            match part.get() {
                Condition::Up => {}
                Condition::Starting => return Err(format!("{name}: starting")),
                Condition::Away(why) | Condition::Standing(why) => return Err(format!("{name}: {why}")),
            }
        }
        Ok(())
    }
}

impl Default for Status {
    fn default() -> Self {
        Self::new()
    }
}

/// An error and what it comes from, in one line: what a cause says again of another is left out.
#[must_use]
pub fn told(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_says_it_again_is_left_out() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let text = refused.to_string();
        let error = anyhow::Error::new(refused).context(format!("error communicating with database: {text}"));
        assert_eq!(
            told(&error.context("cannot connect")),
            format!("cannot connect: error communicating with database: {text}")
        );
    }

    #[test]
    fn the_lag_is_that_of_the_newest_batch_and_is_not_told_for_ever() {
        let status = Status::new();
        assert_eq!(status.lag(Time(5)), None);
        status.note_stored(Time(1_000_000), Time(1_250_000));
        assert_eq!(status.lag(Time(2_000_000)), Some(Duration::from_millis(250)));
        assert_eq!(status.lag(Time(60_000_000)), None);
        status.note_stored(Time(2_000_000), Time(1_000_000));
        assert_eq!(status.lag(Time(1_000_000)), Some(Duration::ZERO), "the clock was set back");
    }

    #[test]
    fn only_news_is_told() {
        let part = Part::new();
        assert!(part.set(Condition::Away("refused".into())));
        assert!(!part.set(Condition::Away("timed out".into())), "away for another reason is away all the same");
        assert_eq!(part.get(), Condition::Away("timed out".into()), "but /ready shows the reason of today");
        assert!(part.set(Condition::Standing("grant this".into())));
        assert!(part.set(Condition::Standing("grant that".into())));
        assert!(!part.set(Condition::Standing("grant that".into())));
    }

    #[test]
    fn what_is_shown_meanwhile_is_neither_news_nor_hides_any() {
        let part = Part::new();
        part.set(Condition::Away("refused".into()));
        let connected = Condition::Away("connected".into());
        for (why, is_news) in [("it does not answer", true), ("it does not answer", false), ("closed", true)] {
            part.show_meanwhile(connected.clone());
            assert_eq!(part.get(), connected);
            assert_eq!(part.set(Condition::Away(why.into())), is_news, "{why}");
            assert_eq!(part.get(), Condition::Away(why.into()));
        }
    }
}
