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

use crate::in_force::{Following, InForce};
use crate::message::{Clock, Time};
use crate::metrics::Metrics;
use crate::schema::Schema;
use crate::status::told;
use crate::store::{Kept, Upkeep, WriteError};

/// The shortest and the longest time between two looks.
const EVERY: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3_600));

/// After a change in a running service rows that only it makes too old wait so long: a slip of the pen deletes nothing.
const CAUTION: Duration = Duration::from_secs(600);

/// The stage.
pub struct Retention {
    upkeep: Upkeep,
    following: Following,
    clock: Clock,
    started: (Time, Instant),
    metrics: Arc<Metrics>,
    /// What is in the way, as it was said last.
    said: Vec<String>,
    /// What cannot be, likewise.
    noted: Vec<String>,
    /// What became of tables that were there before their retention, likewise.
    parts: Vec<String>,
}

impl Retention {
    #[must_use]
    pub fn new(following: Following, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let upkeep = Upkeep::new(&following.borrow().config.store);
        Self {
            upkeep,
            following,
            clock,
            started: (clock(), Instant::now()),
            metrics,
            said: Vec::new(),
            noted: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// Until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let ended = stop.clone();
        let mut following = self.following.clone();
        let looks = async {
            // What the last look went by.
            let mut looked: Option<Arc<InForce>> = None;
            loop {
                let in_force = Arc::clone(&following.borrow_and_update());
                let shorter =
                    looked.as_ref().map(|before| shorter(&before.schema, &in_force.schema)).unwrap_or_default();
                let mut kept = Kept::default();
                let look = async {
                    if !shorter.is_empty() {
                        warn!(
                            measurements = shorter.join(", "),
                            minutes = CAUTION.as_secs() / 60,
                            "a retention is shorter than it was, or new: rows beyond it are deleted after these minutes; \
                             a mistake can be mended until then"
                        );
                        sleep(CAUTION).await;
                    }
                    looked = Some(Arc::clone(&in_force));
                    let is_well = self.look(&in_force.schema, &mut kept).await;
                    sleep(if is_well { every(&in_force.schema) } else { EVERY.0 }).await;
                };
                let changed = tokio::select! {
                    () = look => Ok(()),
                    // A look that is under way ends where it is: perhaps nothing is too old any more.
                    changed = following.changed() => changed,
                };
                self.count(&mut kept);
                if changed.is_err() {
                    break stop.cancelled().await;
                }
            }
        };
        ended.run_until_cancelled(looks).await;
    }

    fn count(&self, kept: &mut Kept) {
        for (measurement, partitions) in std::mem::take(&mut kept.dropped) {
            self.metrics.partitions_dropped.with_label_values(&[measurement.as_str()]).inc_by(partitions);
            info!(measurement, partitions, "partitions were dropped: their rows are older than the retention");
        }
        for (measurement, rows) in std::mem::take(&mut kept.deleted) {
            self.metrics.rows_deleted.with_label_values(&[measurement.as_str()]).inc_by(rows);
            info!(measurement, rows, "rows were deleted: they are older than the retention");
        }
    }

    /// Whether all went well. Cancel safe: `kept` has what was done until then.
    async fn look(&mut self, schema: &Schema, kept: &mut Kept) -> bool {
        let outcome = self.upkeep.look(schema, self.now(), kept).await;
        self.count(kept);
        let notes = std::mem::take(&mut kept.notes);
        for note in notes.iter().filter(|note| !self.noted.contains(note)) {
            warn!(reason = note, "TimescaleDB does not do as the configuration says");
        }
        if outcome.is_ok() {
            self.noted = notes;
        }
        for part in kept.parts.iter().filter(|part| !self.parts.contains(part)) {
            info!(part, "of a table that was there before its retention");
        }
        self.parts = std::mem::take(&mut kept.parts);
        let mut hindrances = std::mem::take(&mut kept.hindrances);
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

/// The measurements whose rows are kept for a shorter time than before.
fn shorter<'m>(before: &Schema, after: &'m Schema) -> Vec<&'m str> {
    let of = |measurement: &crate::schema::Measurement| measurement.retention.unwrap_or(Duration::MAX);
    let is_shorter = |after: &&crate::schema::Measurement| {
        // One that was not there may have a table from earlier.
        let before = before.measurements.iter().find(|before| before.name == after.name);
        of(after) < before.map_or(Duration::MAX, of)
    };
    after.measurements.iter().filter(is_shorter).map(|measurement| measurement.name.as_str()).collect()
}

/// A hundredth of the shortest retention: so much longer than it a row may stay, beside what its partition takes.
fn every(schema: &Schema) -> Duration {
    let shortest = schema.measurements.iter().filter_map(|measurement| measurement.retention).min();
    shortest.map_or(EVERY.1, |shortest| (shortest / 100).clamp(EVERY.0, EVERY.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Mapping;

    /// Measurements, and the days that their rows are kept.
    fn schema(days: &[(&str, Option<u64>)]) -> Schema {
        let mut toml = "[broker]\nurl = \"mqtt://localhost\"\n[store]\nurl = \"sqlite:x.db\"\n".to_owned();
        for (name, days) in days {
            toml += &format!("[mapping.{name}]\ntopic = \"{name}\"\nfields = [\"v\"]\n");
            toml += &days.map(|days| format!("retention = \"{days}d\"\n")).unwrap_or_default();
        }
        let config = crate::config::load_text("config.toml", &toml, []).config.unwrap();
        Mapping::new(&config.mappings).0.unwrap().schema().clone()
    }

    #[test]
    fn a_retention_that_is_shorter_or_new_is_found_and_one_that_is_longer_or_gone_is_not() {
        let before =
            schema(&[("same", Some(90)), ("less", Some(90)), ("first", None), ("more", Some(9)), ("gone", Some(9))]);
        let after = [
            ("new", Some(9)),
            ("gone", None),
            ("more", Some(90)),
            ("first", Some(90)),
            ("less", Some(9)),
            ("same", Some(90)),
            ("never", None),
        ];
        assert_eq!(shorter(&before, &schema(&after)), ["new", "first", "less"]);
        assert!(shorter(&before, &before).is_empty());
    }
}
