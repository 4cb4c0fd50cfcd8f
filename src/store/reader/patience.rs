//! How long a question may keep SQLite busy. It asks between its own steps whether anybody still waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::sqlite::SqliteConnection;
use tokio::time::Instant;

/// Steps of SQLite's machine between two looks at the clock: some ten microseconds.
const STEPS: i32 = 1_000;

/// Of one connection. Nobody waits until `begin`.
pub(super) struct Patience {
    begun: Instant,
    /// Milliseconds since `begun`.
    end: Arc<AtomicU64>,
}

impl Default for Patience {
    fn default() -> Self {
        Self { begun: Instant::now(), end: Arc::default() }
    }
}

impl Patience {
    /// From now on the connection ends every statement that nobody waits for.
    pub(super) async fn keep_with(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let (begun, end) = (self.begun, self.end.clone());
        let goes_on = move || begun.elapsed().as_millis() < u128::from(end.load(Ordering::Relaxed));
        connection.lock_handle().await?.set_progress_handler(STEPS, goes_on);
        Ok(())
    }

    /// Somebody waits, for so long at most, and no longer than what is given back lives.
    pub(super) fn begin(&self, limit: Duration) -> Waiting {
        let end = (self.begun.elapsed() + limit).as_millis();
        self.end.store(u64::try_from(end).unwrap_or(u64::MAX), Ordering::Relaxed);
        Waiting(self.end.clone())
    }
}

pub(super) struct Waiting(Arc<AtomicU64>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
