//! Deletes rejects that are too old or too many: a stage of its own, on a connection of its own, so that no batch and no
//! acknowledgement waits for it (`store::Pruner` has the steps).
//!
//! A failure here harms nobody: it is said once and tried again. Nothing is old because the clock was set: the age is
//! judged by the system clock, but no later than the monotonic clock has come since the start.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::config;
use crate::in_force::Following;
use crate::message::{Clock, Time};
use crate::metrics::Metrics;
use crate::status::told;
use crate::store::{Deleted, Pruner, WriteError};

/// The shortest and the longest time between two looks.
const EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));
/// After a look that failed the next one comes so soon.
const AGAIN: Duration = Duration::from_secs(60);
/// A look each time this part of `max` has come in: so much the bound is passed at most, and a moment's more.
const PART: u64 = 20;

/// The stage.
pub struct OldRejects {
    pruner: Pruner,
    /// Its `[rejects]` are the bounds.
    following: Following,
    clock: Clock,
    started: (Time, Instant),
    metrics: Arc<Metrics>,
    /// Bytes of rejects stored so far.
    stored: watch::Receiver<u64>,
    /// The last attempt failed, and it was said.
    said: bool,
}

impl OldRejects {
    #[must_use]
    pub fn new(following: Following, clock: Clock, metrics: Arc<Metrics>, stored: watch::Receiver<u64>) -> Self {
        let pruner = Pruner::new(&following.borrow().config.store);
        Self { pruner, following, clock, started: (clock(), Instant::now()), metrics, stored, said: false }
    }

    /// Until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let ended = stop.clone();
        let looks = async {
            loop {
                let seen = *self.stored.borrow_and_update();
                let bounds = self.following.borrow_and_update().config.rejects.clone();
                let every = (bounds.keep / 100).clamp(EVERY.0, EVERY.1);
                let next = if self.look(&bounds).await { every } else { every.min(AGAIN) };
                let due = seen.saturating_add(bounds.max_bytes / PART);
                tokio::select! {
                    () = sleep(next) => {}
                    // Perhaps there are other bounds.
                    changed = self.following.changed() => if changed.is_err() {
                        break stop.cancelled().await;
                    },
                    ended = async { self.stored.wait_for(|stored| *stored >= due).await.is_err() } => if ended {
                        // Delivery has ended, and says why itself.
                        break stop.cancelled().await;
                    }
                }
            }
        };
        ended.run_until_cancelled(looks).await;
    }

    /// Whether all went well.
    async fn look(&mut self, bounds: &config::Rejects) -> bool {
        let keep = i64::try_from(bounds.keep.as_micros()).unwrap_or(i64::MAX);
        let before = Time(self.now().0.saturating_sub(keep));
        let mut deleted = Deleted::default();
        let outcome = self.pruner.prune(before, bounds.max_bytes, &mut deleted).await;
        for (reason, rows) in [("age", deleted.by_age), ("size", deleted.by_size)] {
            self.metrics.rejects_deleted.with_label_values(&[reason]).inc_by(rows);
        }
        if deleted != Deleted::default() {
            info!(too_old = deleted.by_age, too_many = deleted.by_size, "rejects were deleted");
        }
        match outcome {
            Ok(()) => {
                self.said = false;
                return true;
            }
            // That is delivery's to say.
            Err(WriteError::Away { source, .. }) => debug!(reason = told(&source), "no look for old rejects"),
            Err(error) => {
                if !std::mem::replace(&mut self.said, true) {
                    warn!(reason = told(&error.into_source()), "old rejects cannot be deleted");
                }
            }
        }
        false
    }

    /// The present, as far as no clock that was set ahead says otherwise.
    fn now(&self) -> Time {
        let (started, since) = self.started;
        let elapsed = i64::try_from(since.elapsed().as_micros()).unwrap_or(i64::MAX);
        (self.clock)().min(Time(started.0.saturating_add(elapsed)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::in_force::InForce;
    use crate::schema::Schema;

    static NOW: AtomicI64 = AtomicI64::new(1_000_000_000);

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_ahead_makes_nothing_old_and_one_that_is_set_back_is_believed() {
        let config = crate::config::load_text("config.toml", crate::config::minimal(), []).config.unwrap();
        let in_force = InForce { number: 1, config: Arc::new(config), schema: Schema::default() };
        let following = watch::channel(Arc::new(in_force)).1;
        let clock: Clock = || Time(NOW.load(Ordering::Relaxed));
        let metrics = Arc::new(Metrics::new());
        let stage = OldRejects::new(following, clock, metrics, watch::channel(0).1);
        NOW.store(1_000_000_000_000_000, Ordering::Relaxed);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(stage.now(), Time(1_002_000_000));
        NOW.store(5, Ordering::Relaxed);
        assert_eq!(stage.now(), Time(5));
    }
}
