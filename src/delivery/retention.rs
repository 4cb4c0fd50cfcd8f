//! Drops or deletes rows that are too old, and makes partitions ahead: a stage of its own, on a connection of its own, so
//! that no batch and no acknowledgement waits for it (`store::Upkeep` has the steps).
//!
//! A failure here harms nobody: it is said once and tried again. What is old is judged by the system clock, but no later
//! than the monotonic clock has come since the start, and no later than by the database's clock.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::in_force::Following;
use crate::message::{Clock, Time};
use crate::metrics::Metrics;
use crate::schema::Schema;
use crate::status::told;
use crate::store::{Kept, Upkeep, WriteError};

/// The shortest and the longest time between two looks.
const EVERY: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3_600));

/// The stage.
pub struct Retention {
    upkeep: Upkeep,
    following: Following,
    clock: Clock,
    started: (Time, Instant),
    metrics: Arc<Metrics>,
    /// What is in the way, as it was said last.
    said: Vec<String>,
}

impl Retention {
    #[must_use]
    pub fn new(following: Following, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let upkeep = Upkeep::new(&following.borrow().config.store);
        Self { upkeep, following, clock, started: (clock(), Instant::now()), metrics, said: Vec::new() }
    }

    /// Until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let ended = stop.clone();
        let looks = async {
            loop {
                let in_force = Arc::clone(&self.following.borrow_and_update());
                let next = if self.look(&in_force.schema).await { every(&in_force.schema) } else { EVERY.0 };
                tokio::select! {
                    () = sleep(next) => {}
                    // Perhaps there are other retentions.
                    changed = self.following.changed() => if changed.is_err() {
                        break stop.cancelled().await;
                    },
                }
            }
        };
        ended.run_until_cancelled(looks).await;
    }

    /// Whether all went well.
    async fn look(&mut self, schema: &Schema) -> bool {
        let mut kept = Kept::default();
        let outcome = self.upkeep.look(schema, self.now(), &mut kept).await;
        for (measurement, partitions) in &kept.dropped {
            self.metrics.partitions_dropped.with_label_values(&[measurement.as_str()]).inc_by(*partitions);
            info!(measurement, partitions, "partitions were dropped: their rows are older than the retention");
        }
        for (measurement, rows) in &kept.deleted {
            self.metrics.rows_deleted.with_label_values(&[measurement.as_str()]).inc_by(*rows);
            info!(measurement, rows, "rows were deleted: they are older than the retention");
        }
        let mut hindrances = kept.hindrances;
        match outcome {
            Ok(()) => {}
            // That is delivery's to say.
            Err(WriteError::Away { source, .. }) => {
                debug!(reason = told(&source), "no look for rows that are too old");
                return false;
            }
            Err(error) => hindrances.push(told(&error.into_source())),
        }
        self.metrics.retention_hindered.set(i64::from(!hindrances.is_empty()));
        for reason in hindrances.iter().filter(|reason| !self.said.contains(reason)) {
            warn!(reason, "rows are not kept as the mappings say; a person must act");
        }
        let is_well = hindrances.is_empty() && !kept.is_held;
        self.said = hindrances;
        is_well
    }

    /// The present, as far as no clock that was set ahead says otherwise.
    fn now(&self) -> Time {
        let (started, since) = self.started;
        let elapsed = i64::try_from(since.elapsed().as_micros()).unwrap_or(i64::MAX);
        (self.clock)().min(Time(started.0.saturating_add(elapsed)))
    }
}

/// A hundredth of the shortest retention: so much longer than it a row may stay, beside what its partition takes.
fn every(schema: &Schema) -> Duration {
    let shortest = schema.measurements.iter().filter_map(|measurement| measurement.retention).min();
    shortest.map_or(EVERY.1, |shortest| (shortest / 100).clamp(EVERY.0, EVERY.1))
}
