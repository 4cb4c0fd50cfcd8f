//! What changes from second to second, made once for all who look.
//!
//! A handful of counters are read once a second, always, so that who opens the page sees the last minutes. All else is read
//! only while somebody listens, and once for all of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::{Shown, access};
use crate::message::Time;
use crate::metrics::Metrics;
use crate::status::{Condition, Part};

const EVERY: Duration = Duration::from_secs(1);
/// Seconds of rates that are kept: five minutes.
const KEPT: usize = 300;
/// Who listens at a time: a household's screens, with room; each has a connection and a task.
const MAX_LISTENERS: usize = 32;
/// Faults of a refused configuration that are shown.
const MAX_FAULTS: usize = 20;

pub(super) struct Live {
    shown: Shown,
    started_at: Time,
    samples: Mutex<VecDeque<Sample>>,
    latest: watch::Sender<Arc<str>>,
    listeners: Arc<Semaphore>,
}

/// The counters at one moment.
#[derive(Clone, Copy)]
struct Sample {
    taken: Instant,
    at: Time,
    totals: Totals,
    lag_ms: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Totals {
    messages: u64,
    rows: u64,
    rejects: u64,
    ignored: u64,
    dropped: u64,
    /// Came again and were recognised.
    duplicates: u64,
}

impl Totals {
    fn of(metrics: &Metrics) -> Self {
        Self {
            messages: Metrics::sum(&metrics.messages_received),
            rows: Metrics::sum(&metrics.rows_written),
            rejects: Metrics::sum(&metrics.rejects),
            ignored: Metrics::sum(&metrics.messages_ignored),
            dropped: Metrics::sum(&metrics.messages_dropped),
            duplicates: metrics.messages_redelivered.get(),
        }
    }
}

/// One who listens, for as long as this is kept.
pub(super) struct Listener {
    latest: watch::Receiver<Arc<str>>,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    /// The next state; what was missed is left out. `None` once the service ends. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Arc<str>> {
        self.latest.changed().await.ok()?;
        Some(Arc::clone(&self.latest.borrow_and_update()))
    }
}

impl Live {
    pub(super) fn new(shown: Shown) -> Self {
        let started_at = (shown.clock)();
        Self {
            shown,
            started_at,
            samples: Mutex::default(),
            latest: watch::Sender::new("".into()),
            listeners: Arc::new(Semaphore::new(MAX_LISTENERS)),
        }
    }

    /// For ever. Cancel safe.
    pub(super) async fn run(&self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            self.sample();
            if self.latest.receiver_count() > 0 {
                self.latest.send_replace(self.state().into());
                self.shown.onlookers.notify_one();
            }
        }
    }

    /// `None` if too many listen already.
    pub(super) fn listen(&self) -> Option<Listener> {
        let place = Arc::clone(&self.listeners).try_acquire_owned().ok()?;
        Some(Listener { latest: self.latest.subscribe(), _place: place })
    }

    fn sample(&self) {
        let (at, totals) = ((self.shown.clock)(), Totals::of(&self.shown.metrics));
        let sample = Sample { taken: Instant::now(), at, totals, lag_ms: self.lag_ms(at) };
        let mut samples = self.samples.lock().expect("no holder of this lock panics");
        if samples.len() > KEPT {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// Tenths are enough, and short.
    fn lag_ms(&self, now: Time) -> Option<f64> {
        self.shown.status.lag(now).map(|lag| (lag.as_secs_f64() * 10_000.0).round() / 10.0)
    }

    /// The rates and lags of the last minutes, as JSON.
    pub(super) fn rates(&self) -> String {
        let samples = self.samples.lock().expect("no holder of this lock panics");
        let mut rates = Rates { step_s: EVERY.as_secs(), ..Rates::default() };
        for (before, after) in samples.iter().zip(samples.iter().skip(1)) {
            let rate = PerSecond::between(before, after);
            rates.times.push(after.at.0 / 1_000_000);
            rates.rows.push(rate.rows);
            rates.messages.push(rate.messages);
            rates.lag_ms.push(after.lag_ms);
        }
        written(&rates)
    }

    /// How it stands now, as JSON.
    pub(super) fn state(&self) -> String {
        let Shown { metrics, status, in_force, clock, .. } = &self.shown;
        let (number, kind, asks_token) = {
            let in_force = in_force.borrow();
            let config = &in_force.config;
            (in_force.number, config.store.url.value.kind(), access::asks_token(&config.http))
        };
        let per_second = {
            let samples = self.samples.lock().expect("no holder of this lock panics");
            let mut last = samples.iter().rev();
            last.next()
                .zip(last.next())
                .map_or_else(PerSecond::default, |(now, before)| PerSecond::between(before, now))
        };
        let files = status.files();
        written(&State {
            now: milliseconds(clock()),
            version: env!("CARGO_PKG_VERSION"),
            started_at: milliseconds(self.started_at),
            number,
            asks_token,
            ready: status.ready().is_ok(),
            broker: Side::of(&status.broker, None),
            store: Side::of(&status.store, Some(kind)),
            files: Files {
                refused: files.refused.into_iter().take(MAX_FAULTS).collect(),
                waits: files.waits,
                after_restart: files.after_restart,
                cut_off: files.cut_off.iter().map(|file| file.display().to_string()).collect(),
            },
            totals: Totals::of(metrics),
            per_second,
            in_hand: InHand { messages: metrics.in_hand_messages.get(), bytes: metrics.in_hand_bytes.get() },
            lag_ms: self.lag_ms(clock()),
            devices_written: metrics.devices_written.get(),
            dropped_by_reason: Metrics::by_label(&metrics.messages_dropped).into_iter().collect(),
            ignored_by_reason: Metrics::by_label(&metrics.messages_ignored).into_iter().collect(),
        })
    }
}

pub(super) fn written(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers are JSON")
}

/// Since 1970, as scripts count.
fn milliseconds(time: Time) -> i64 {
    time.0 / 1_000
}

#[derive(Default, Serialize)]
struct Rates {
    step_s: u64,
    times: Vec<i64>,
    rows: Vec<f64>,
    messages: Vec<f64>,
    lag_ms: Vec<Option<f64>>,
}

#[derive(Serialize)]
struct State {
    now: i64,
    version: &'static str,
    started_at: i64,
    number: u64,
    asks_token: bool,
    ready: bool,
    broker: Side,
    store: Side,
    files: Files,
    totals: Totals,
    per_second: PerSecond,
    in_hand: InHand,
    /// From the receipt of a message to its commit: of the oldest message of the newest batch.
    lag_ms: Option<f64>,
    devices_written: u64,
    dropped_by_reason: std::collections::BTreeMap<String, u64>,
    ignored_by_reason: std::collections::BTreeMap<String, u64>,
}

#[derive(Default, Serialize)]
struct PerSecond {
    messages: f64,
    rows: f64,
    rejects: f64,
    ignored: f64,
    dropped: f64,
}

impl PerSecond {
    fn between(before: &Sample, after: &Sample) -> Self {
        let seconds = after.taken.duration_since(before.taken).as_secs_f64().max(0.001);
        // Tenths are enough, and short.
        #[expect(clippy::cast_precision_loss, reason = "a second has no 2^53 of anything")]
        let rate = |before: u64, after: u64| (after.saturating_sub(before) as f64 / seconds * 10.0).round() / 10.0;
        let (before, after) = (&before.totals, &after.totals);
        Self {
            messages: rate(before.messages, after.messages),
            rows: rate(before.rows, after.rows),
            rejects: rate(before.rejects, after.rejects),
            ignored: rate(before.ignored, after.ignored),
            dropped: rate(before.dropped, after.dropped),
        }
    }
}

#[derive(Serialize)]
struct Side {
    condition: &'static str,
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
}

impl Side {
    fn of(part: &Part, kind: Option<&'static str>) -> Self {
        let (condition, why) = match part.get() {
            Condition::Starting => ("starting", None),
            Condition::Up => ("up", None),
            Condition::Away(why) => ("away", Some(why)),
            Condition::Standing(why) => ("standing", Some(why)),
        };
        Self { condition, why, kind }
    }
}

#[derive(Serialize)]
struct Files {
    refused: Vec<String>,
    waits: Option<String>,
    after_restart: Vec<&'static str>,
    cut_off: Vec<String>,
}

#[derive(Serialize)]
struct InHand {
    messages: i64,
    bytes: i64,
}
