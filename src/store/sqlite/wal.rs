//! Keeps the write-ahead log short: readers never block the writer, but they block the checkpoint, and the log grows
//! by about 5 kB a row for as long as one of them reads.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::SqliteConnection;
use tokio::time::Instant;

use crate::store::error::Failure;

/// Above it the log is started anew between two batches; `journal_size_limit` then cuts it to this.
pub(super) const LONG_BYTES: u64 = 64 << 20;
/// Above it a person should know.
const HUGE_BYTES: u64 = 1 << 30;
/// Between two tries: each waits for readers, up to a second.
const PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Wal {
    path: PathBuf,
    next_try: Option<Instant>,
    warned: bool,
    /// As last seen.
    bytes: u64,
}

impl Wal {
    pub(super) fn new(database: &Path) -> Self {
        let mut path = OsString::from(database);
        path.push("-wal");
        Self { path: path.into(), next_try: None, warned: false, bytes: 0 }
    }

    /// Whether there is one: some process has the file open, or died with it.
    pub(super) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Its size, as last seen.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether it is time to start it anew.
    pub(super) fn is_long(&mut self) -> bool {
        // One look at an open file's size, a microsecond or two: no thread is asked for it.
        let bytes = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        self.bytes = bytes;
        if bytes <= LONG_BYTES {
            self.warned = false;
            return false;
        }
        if bytes > HUGE_BYTES && !self.warned {
            self.warned = true;
            tracing::warn!(path = %self.path.display(), bytes, "a reader keeps the write-ahead log from being emptied; end its transaction");
        }
        self.next_try.is_none_or(|next| Instant::now() >= next)
    }

    /// Moves the log into the file and lets the next batch begin it anew; if readers hold it, later.
    pub(super) async fn checkpoint(&mut self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        self.next_try = Some(Instant::now() + PAUSE);
        super::command(connection, "pragma busy_timeout = 1000").await?;
        super::command(connection, "pragma wal_checkpoint(restart)").await?;
        super::command(connection, "pragma busy_timeout = 5000").await
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use sqlx::Connection as _;

    use super::*;

    #[tokio::test]
    async fn a_long_log_is_started_anew_and_after_a_pause_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut wal = Wal::new(&folder.path().join("a.db"));
        assert!(!wal.is_long(), "there is none");
        let file = File::create(folder.path().join("a.db-wal")).unwrap();
        file.set_len(LONG_BYTES).unwrap();
        assert!(!wal.is_long());
        file.set_len(LONG_BYTES + 1).unwrap();
        assert!(wal.is_long());
        file.set_len(HUGE_BYTES + 1).unwrap();
        assert!(wal.is_long() && wal.warned && wal.bytes() == HUGE_BYTES + 1, "a person is told");
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        wal.checkpoint(&mut connection).await.unwrap();
        assert!(!wal.is_long(), "not at once again");
        tokio::time::pause();
        tokio::time::advance(PAUSE).await;
        assert!(wal.is_long());
    }
}
