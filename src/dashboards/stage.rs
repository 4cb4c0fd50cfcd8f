//! Keeps the folder of the dashboards in step with the catalogue while the service runs: at the start, when told that the
//! tables have changed, and when a look at the catalogue finds it changed (columns that appear by themselves, another
//! Amber, an administrator).
//!
//! A stage of its own, on a connection of its own that ends with each look: no batch and no acknowledgement waits for it.
//! A failure here harms nobody: it is said once, counted as long as it lasts, and tried again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{Folder, Written, all};
use crate::config;
use crate::in_force::Following;
use crate::metrics::Metrics;
use crate::status::told;
use crate::store::{Describer, WriteError};

/// So often the catalogue is looked at. Grafana looks at the files as often.
const EVERY: Duration = Duration::from_secs(30);
/// So many looks later the files are compared though nothing has changed: somebody may have removed one.
const COMPARED_EVERY: u32 = 60;

/// The stage.
pub struct Dashboards {
    describer: Describer,
    following: Following,
    metrics: Arc<Metrics>,
    /// Of the catalogue that the files show.
    fingerprint: Option<String>,
    /// What was said last of what went wrong, or of files that are not ours.
    said: Option<String>,
}

impl Dashboards {
    /// `None`: the store is a SQLite file.
    #[must_use]
    pub fn new(store: &config::Store, following: Following, metrics: Arc<Metrics>) -> Option<Self> {
        Some(Self { describer: Describer::new(store)?, following, metrics, fingerprint: None, said: None })
    }

    /// Until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let ended = stop.clone();
        let looks = async {
            let mut looks = 0;
            loop {
                if looks % COMPARED_EVERY == 0 {
                    self.fingerprint = None;
                }
                looks += 1;
                let dir = self.following.borrow_and_update().config.dashboards.dir.clone();
                match dir {
                    Some(dir) => self.look(Folder::new(dir)).await,
                    // Without a folder nothing fails.
                    None => self.metrics.dashboards_failing.set(0),
                }
                tokio::select! {
                    () = sleep(EVERY) => {}
                    changed = self.following.changed() => {
                        self.fingerprint = None;
                        if changed.is_err() {
                            // The others have ended, and say why themselves.
                            break stop.cancelled().await;
                        }
                    }
                }
            }
        };
        ended.run_until_cancelled(looks).await;
    }

    async fn look(&mut self, folder: Folder) {
        let (fingerprint, measurements) = match self.describer.describe(self.fingerprint.as_deref()).await {
            Ok(Some((fingerprint, Some(measurements)))) => (fingerprint, measurements),
            // Nothing has changed, or there is nothing yet.
            Ok(Some((_, None)) | None) => return,
            // That is delivery's to say.
            Err(WriteError::Away { source, .. }) => {
                debug!(reason = told(&source), "no look at the catalogue for the dashboards");
                return;
            }
            Err(error) => return self.failed(told(&error.into_source())),
        };
        match tokio::task::spawn_blocking(move || folder.write(&all(&measurements))).await {
            Ok(Ok(written)) => {
                self.fingerprint = Some(fingerprint);
                self.wrote(&written);
            }
            Ok(Err(error)) => self.failed(error),
            Err(error) => self.failed(format!("dashboards cannot be made: {error}")),
        }
    }

    fn wrote(&mut self, written: &Written) {
        self.metrics.dashboards_failing.set(0);
        self.metrics.dashboards_written.inc_by(u64::try_from(written.written).unwrap_or(u64::MAX));
        if written.written + written.removed > 0 {
            info!(written = written.written, removed = written.removed, "dashboards are written");
        }
        let kept = (!written.kept.is_empty()).then(|| written.kept.join("; "));
        if self.said != kept {
            for line in &written.kept {
                warn!("{line}");
            }
            self.said = kept;
        }
    }

    fn failed(&mut self, why: String) {
        self.metrics.dashboards_failing.set(1);
        self.fingerprint = None;
        if self.said.as_ref() != Some(&why) {
            warn!(reason = why, "no dashboards are written; it is tried again every {} s", EVERY.as_secs());
            self.said = Some(why);
        }
    }
}
