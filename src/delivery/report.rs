//! Says how it stands with the store: by `/ready`, by metrics, and in the log, one line per change.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::metrics::Metrics;
use crate::status::{Condition, Status};

/// After so long without an answer the store is said to be away, though the answer may still come: a database that
/// hangs closes no connection, and the limit of a statement is far longer.
const SILENCE: Duration = Duration::from_secs(5);

pub(super) struct Report {
    pub(super) metrics: Arc<Metrics>,
    pub(super) status: Arc<Status>,
}

impl Report {
    /// Shows `condition`, and logs it if it is news.
    pub(super) fn show(&self, condition: Condition) {
        let now = match condition {
            Condition::Starting => "",
            Condition::Up => "up",
            Condition::Away(_) => "away",
            Condition::Standing(_) => "standing",
        };
        for word in ["up", "away", "standing"] {
            self.metrics.store_condition.with_label_values(&[word]).set(i64::from(word == now));
        }
        self.metrics.up.with_label_values(&["store"]).set(i64::from(now == "up"));
        if self.status.store.set(condition.clone()) {
            match condition {
                Condition::Standing(reason) => error!(reason, "the store does not take batches; a person must act"),
                Condition::Away(reason) => warn!(reason, "the store is away; messages wait at the broker"),
                Condition::Up => info!("the store is up"),
                Condition::Starting => {}
            }
        }
    }

    /// Waits for `answer`, for as long as it takes, and says so if it takes long. Cancel safe if `answer` is.
    pub(super) async fn watch<T>(&self, answer: impl Future<Output = T>) -> T {
        let mut answer = pin!(answer);
        if let Ok(answer) = timeout(SILENCE, &mut answer).await {
            return answer;
        }
        let reason = format!("no answer for {} s; it is still waited for", SILENCE.as_secs());
        self.show(Condition::Away(reason));
        answer.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_silent_is_away_until_it_answers() {
        let report = Report { metrics: Arc::new(Metrics::new()), status: Arc::new(Status::new()) };
        report.show(Condition::Up);
        let answer = |after| async move {
            tokio::time::sleep(after).await;
            7
        };
        assert_eq!(report.watch(answer(SILENCE / 2)).await, 7);
        assert_eq!(report.status.store.get(), Condition::Up);
        assert_eq!(report.watch(answer(SILENCE * 6)).await, 7);
        assert!(matches!(report.status.store.get(), Condition::Away(why) if why.contains("no answer for 5 s")));
        let shown = |word| report.metrics.store_condition.with_label_values(&[word]).get();
        assert_eq!((shown("up"), shown("away"), shown("standing")), (0, 1, 0));
        assert_eq!(report.metrics.up.with_label_values(&["store"]).get(), 0);
        report.show(Condition::Up);
        assert_eq!((shown("up"), shown("away")), (1, 0));
    }
}
