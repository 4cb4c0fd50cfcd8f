//! SQLite (3.51.3 or later, bundled): one file, one connection of our own.
//!
//! WAL with FULL synchronisation: with NORMAL a power cut takes back the last commits, and what was acknowledged
//! would be lost. Every transaction begins `immediate`: one that reads first and then writes fails at once if another
//! process wrote meanwhile. As for PostgreSQL a connection is dropped when its state is unknown.

mod own;
mod prepare;
mod series;
mod text;
mod wal;
mod write;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tokio::time::{Instant, sleep, timeout};

use self::text::NOW;
use self::wal::Wal;
use self::write::Kept;
use super::error::{Class, Failure};
use super::hindered::{Hindered, Obstacle};
use super::link::{Gate, Link, Passed, not_adopted, within};
use super::others::{self, Lacking, Settled};
use super::plan::{self, Dialect, Table};
use super::series::{Cache, Made, Resolved};
use super::{Adopted, Plan, WriteError, Written};
use crate::batch::Batch;
use crate::schema::Schema;

/// Of one statement. A disk that takes longer is away.
const LIMIT: Duration = Duration::from_secs(60);
/// For all statements of `prepare`. For each column of a table SQLite looks at all of its rows, some seconds for a million
/// of them, and what was cut short would begin anew for ever.
const LONG_LIMIT: Duration = Duration::from_secs(3600);
pub(super) const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// How long another process may hold the file.
const BUSY_LIMIT: Duration = Duration::from_secs(5);
/// Pages of 4 KiB in the WAL before they are moved into the file: each move writes the index pages again.
const CHECKPOINT_PAGES: &str = "10000";
/// Earlier ones can corrupt a file that two processes checkpoint at once.
const OLDEST_VERSION: [u32; 3] = [3, 51, 3];

/// A writer into a SQLite file.
pub struct Sqlite {
    path: PathBuf,
    writer: String,
    owner: i64,
    /// Whether Amber makes the file and changes tables itself.
    ddl: bool,
    link: Link<SqliteConnection>,
    /// What `prepare` was given last, to plan again when another Amber has changed the tables.
    schema: Option<Schema>,
    tables: Vec<Table>,
    hindered: Hindered,
    series: Cache,
    kept: Kept,
    wal: Wal,
    /// Which file was opened.
    file: Option<Identity>,
}

/// Device and inode: a file that was deleted or replaced keeps taking rows, and nobody will find them.
pub(super) type Identity = (u64, u64);

impl Sqlite {
    pub(super) fn new(path: &Path, writer: &str, owner: i64, ddl: bool) -> Self {
        Self {
            path: path.to_owned(),
            writer: writer.to_owned(),
            owner,
            ddl,
            link: Link::new(String::new(), ddl),
            schema: None,
            tables: Vec::new(),
            hindered: Hindered::default(),
            series: Cache::default(),
            kept: Kept::default(),
            wal: Wal::new(path),
            file: None,
        }
    }

    pub(super) fn is_adopted(&self) -> bool {
        self.link.epoch().is_some()
    }

    pub(super) fn log_bytes(&self) -> u64 {
        self.wal.bytes()
    }

    pub(super) async fn close(&mut self) {
        if let Some(connection) = self.link.end() {
            // The last one to close moves the WAL into the file; if that takes too long, the next start does it.
            drop(timeout(CLOSE_LIMIT, connection.close()).await);
        }
    }

    pub(super) async fn plan(&mut self, schema: &Schema) -> Result<Plan, WriteError> {
        // A plan changes nothing: it makes no file, and reads one that is there on a connection of its own.
        if !self.path.exists() {
            self.folder_exists()?;
            let mut plan = plan::for_empty(Dialect::Sqlite, schema);
            for measurement in &schema.measurements {
                let Some(its) = &measurement.own else { continue };
                let missing = || plan::own::missing(Dialect::Sqlite, measurement, its, None);
                plan.conflicts.push(own::name(its).unwrap_or_else(missing));
            }
            return Ok(plan);
        }
        // The log is beside the file that a link leads to.
        let path = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        let outcome = within(LIMIT, read_plan(&path, !Wal::new(&path).exists(), schema)).await;
        outcome.map_err(|failure| {
            let failure = failure.rowless().context(format!("cannot read `{}`", self.path.display()));
            self.link.failed(failure, false)
        })
    }

    pub(super) async fn prepare(&mut self, schema: &Schema) -> Result<(), WriteError> {
        let is_other = self.schema.as_ref() != Some(schema);
        self.prepare_with(schema, &Lacking::new()).await?;
        if is_other {
            // By position.
            self.hindered = Hindered::default();
        }
        Ok(())
    }

    /// Adds columns that appear by themselves, too. If they alone are in the way it says why, and the tables are as they
    /// were.
    async fn prepare_with(
        &mut self,
        schema: &Schema,
        new: &Lacking,
    ) -> Result<Option<(Obstacle, Failure)>, WriteError> {
        let mut connection = self.take().await?;
        let outcome = within(LONG_LIMIT, prepare::prepare(&mut connection, schema, new, self.ddl)).await;
        let outcome = outcome.map_err(|failure| failure.context("cannot prepare the tables"));
        if !new.is_empty()
            && let Err(failure) = &outcome
            && let Some(obstacle) = self.link.obstacle(failure)
        {
            return self.link.give_back(connection, Ok(outcome.err().map(|failure| (obstacle, failure))), false);
        }
        let (tables, is_anew) = self.link.give_back(connection, outcome, false)?;
        self.tables = tables;
        if is_anew {
            self.link.made_anew();
        }
        self.series.clear(self.tables.len());
        self.kept = Kept::default();
        self.schema = Some(schema.clone());
        self.link.planned();
        Ok(None)
    }

    pub(super) async fn adopt(&mut self) -> Result<Adopted, WriteError> {
        let mut connection = self.take().await?;
        let before = self.link.adopted_before();
        let outcome = within(LIMIT, adopt(&mut connection, &self.writer, self.owner, before)).await;
        self.link.adopted(connection, outcome)
    }

    pub(super) async fn write(&mut self, batch: &Batch, number: i64, packets: &[u8]) -> Result<Written, WriteError> {
        self.store(batch, number, packets, false).await
    }

    pub(super) async fn write_apart(
        &mut self,
        batch: &Batch,
        number: i64,
        packets: &[u8],
    ) -> Result<Written, WriteError> {
        self.store(batch, number, packets, true).await
    }

    async fn store(&mut self, batch: &Batch, number: i64, packets: &[u8], apart: bool) -> Result<Written, WriteError> {
        let epoch = self.adopted()?;
        let mut resolved = self.resolve(batch).await?;
        if let Some((_, why)) = resolved.refused.first()
            && !apart
        {
            return Err(WriteError::Refused(anyhow::anyhow!("{}", why.reason)));
        }
        let mut connection = self.take().await?;
        let gate = Gate { writer: &self.writer, epoch, owner: self.owner, last: self.link.last(), number, packets };
        let mut sent = false;
        let (tables, kept) = (&self.tables, &mut self.kept);
        let outcome = write::write(&mut connection, gate, tables, kept, (batch, &mut resolved), apart, &mut sent).await;
        let passed = self.link.passed(connection, outcome, sent);
        let written = self.link.wrote(number, passed, resolved.into_written(batch))?;
        self.watch_wal().await;
        Ok(written)
    }

    pub(super) fn take_doubtful(&mut self) -> Option<Written> {
        self.link.take_doubtful()
    }

    pub(super) async fn write_ledger(&mut self, packets: &[u8]) -> Result<(), WriteError> {
        let epoch = self.adopted()?;
        let text = format!(
            "update store_delivery set packets = ?, updated_at = {NOW} where writer = ? and epoch = ? and seq = ? and owner = ?"
        );
        let query = sqlx::query(AssertSqlSafe(text)).bind(packets).bind(self.writer.clone()).bind(epoch);
        self.update_row(query.bind(self.link.last()).bind(self.owner)).await
    }

    pub(super) async fn write_filters(&mut self, filters: &str) -> Result<(), WriteError> {
        let epoch = self.adopted()?;
        let text = format!(
            "update store_delivery set filters = ?, updated_at = {NOW} where writer = ? and epoch = ? and seq = ? and owner = ?"
        );
        let query = sqlx::query(AssertSqlSafe(text)).bind(filters).bind(self.writer.clone()).bind(epoch);
        self.update_row(query.bind(self.link.last()).bind(self.owner)).await
    }

    pub(super) async fn ask(&mut self) -> Result<(), WriteError> {
        let epoch = self.adopted()?;
        let mut connection = self.take().await?;
        let outcome = within(LIMIT, async {
            let query =
                sqlx::query("select 1 from store_delivery where writer = ? and epoch = ? and seq = ? and owner = ?");
            let query = query.bind(self.writer.clone()).bind(epoch).bind(self.link.last()).bind(self.owner);
            let found = query.fetch_optional(&mut connection).await;
            let found = found.map_err(|error| Failure::from(error).rowless())?;
            Ok(if found.is_some() { Passed::Stored } else { Passed::Fenced })
        });
        let outcome = outcome.await;
        self.link.passed(connection, outcome, false)
    }

    /// Runs an update of the writer's row; none updated is fenced. On its own a statement is a transaction that
    /// takes the write lock at once.
    async fn update_row(
        &mut self,
        query: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<(), WriteError> {
        let mut connection = self.take().await?;
        let outcome = within(LIMIT, async {
            let done = query.execute(&mut connection).await.map_err(|error| Failure::from(error).rowless())?;
            Ok(if done.rows_affected() == 1 { Passed::Stored } else { Passed::Fenced })
        });
        let outcome = outcome.await;
        self.link.passed(connection, outcome, false)
    }

    /// The epoch, or why nothing can be written now.
    fn adopted(&self) -> Result<i64, WriteError> {
        self.is_in_place()?;
        self.link.epoch().ok_or_else(|| not_adopted(&format!("`{}`", self.path.display())))
    }

    pub(super) fn take_anew(&mut self) -> bool {
        self.link.take_anew()
    }

    /// The series of all rows; new ones are made. If another Amber has added a tag meanwhile, the plan is made anew.
    async fn resolve(&mut self, batch: &Batch) -> Result<Resolved, WriteError> {
        match self.try_resolve(batch).await {
            Err(WriteError::Standing(why)) if self.link.is_outdated() => {
                tracing::info!(why = format!("{why:#}"), "the plan of the tables is made anew");
                self.try_resolve(batch).await
            }
            resolved => resolved,
        }
    }

    pub(super) async fn keep_up(&mut self) -> Result<(), WriteError> {
        self.adopted()?;
        if self.link.is_stale()
            && let Some(schema) = self.schema.clone()
        {
            self.prepare(&schema).await?;
        }
        Ok(())
    }

    async fn try_resolve(&mut self, batch: &Batch) -> Result<Resolved, WriteError> {
        self.keep_up().await?;
        let others = self.settle(batch).await?;
        let misses = self.series.misses(batch, &self.tables);
        let mut made = Made::default();
        if !misses.is_empty() {
            let mut connection = self.take().await?;
            let outcome = series::make(&mut connection, &self.tables, &misses).await;
            made = self.link.give_back(connection, outcome, false)?;
        }
        Ok(Resolved { others, ..self.series.resolve(batch, &self.tables, made)? })
    }

    /// Columns for all values that no field names; new ones are added.
    async fn settle(&mut self, batch: &Batch) -> Result<Settled, WriteError> {
        if self.ddl {
            self.add_columns(others::lacking(batch, &self.tables)).await?;
        }
        others::settle(batch, &self.tables, &self.hindered, self.ddl)
    }

    /// Adds what can be added; waits (`Away`) where that may still become possible. A few columns in a transaction, as
    /// many as their table lets pass in some seconds: those that are there stay whatever happens to the next.
    async fn add_columns(&mut self, lacking: Lacking) -> Result<(), WriteError> {
        let lacking = self.hindered.without(lacking, Instant::now());
        let Some(schema) = self.schema.clone().filter(|_| !lacking.is_empty()) else { return Ok(()) };
        let (mut tries, mut waits, mut portion) = (vec![lacking], None, 1);
        while let Some(lacking) = tries.pop() {
            let (now, mut later) = others::split(lacking, portion);
            let begun = Instant::now();
            let Some((obstacle, failure)) = self.prepare_with(&schema, &now).await? else {
                portion = others::next_portion(now.values().map(Vec::len).sum(), begun.elapsed());
                self.hindered.added(&now);
                tries.extend((!later.is_empty()).then_some(later));
                continue;
            };
            let mut measurements = now.keys();
            let alone = match (measurements.next(), measurements.next()) {
                (Some(only), None) => {
                    later.remove(only);
                    if !self.hindered.met(*only, obstacle, begun, Instant::now()) {
                        waits = Some(failure);
                    }
                    Lacking::new()
                }
                // Whose the obstacle is, each of them tells alone.
                _ => now,
            };
            tries.extend((!later.is_empty()).then_some(later));
            tries.extend(alone.into_iter().map(|one| Lacking::from([one])));
        }
        waits.map_or(Ok(()), |failure| Err(self.link.failed(failure, false)))
    }

    /// Between batches: a failure here harms none.
    async fn watch_wal(&mut self) {
        if self.wal.is_long()
            && let Some(mut connection) = self.link.take()
        {
            let outcome = within(LIMIT, self.wal.checkpoint(&mut connection)).await;
            if let Err(error) = self.link.give_back(connection, outcome, false) {
                tracing::warn!(error = ?error, "cannot start the write-ahead log anew");
            }
        }
    }

    /// The connection, made if there is none. Whoever takes it gives it back, or it is dropped.
    async fn take(&mut self) -> Result<SqliteConnection, WriteError> {
        if let Some(connection) = self.link.take() {
            return Ok(connection);
        }
        self.series.clear(self.tables.len());
        self.folder_exists()?;
        self.is_in_place()?;
        if !self.ddl && !self.path.exists() {
            return Err(WriteError::Standing(anyhow::anyhow!(
                "`{}` is not there, and `[store] ddl = false`: have it made by the SQL that `amber check` prints",
                self.path.display()
            )));
        }
        let connected = within(LIMIT, connect(&self.path)).await;
        let connection = connected.map_err(|failure| {
            let failure = failure.rowless().context(format!("cannot open `{}`", self.path.display()));
            self.link.failed(failure, false)
        })?;
        self.file = identity(&self.path);
        Ok(connection)
    }

    /// Whether the file that was opened is still the one that people will look into.
    fn is_in_place(&self) -> Result<(), WriteError> {
        if self.file.is_none() || self.file == identity(&self.path) {
            return Ok(());
        }
        let path = self.path.display();
        Err(WriteError::Standing(anyhow::anyhow!(
            "`{path}` was deleted, moved or replaced while Amber ran; put the old file back, or restart Amber to go on with \
             what is there now"
        )))
    }

    fn folder_exists(&self) -> Result<(), WriteError> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        match folder {
            Some(folder) if !folder.is_dir() => Err(WriteError::Standing(anyhow::anyhow!(
                "the folder of `{}` does not exist; `mkdir -p {}`",
                self.path.display(),
                folder.display()
            ))),
            Some(_) | None => Ok(()),
        }
    }
}

pub(super) fn identity(path: &Path) -> Option<Identity> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

pub(super) async fn connect(path: &Path) -> Result<SqliteConnection, Failure> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .busy_timeout(BUSY_LIMIT)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("journal_size_limit", wal::LONG_BYTES.to_string())
        .statement_cache_capacity(512)
        .thread_name(|_| "amber-sqlite".to_owned())
        .disable_statement_logging();
    let mut connection = open(options).await?;
    let version: String = sqlx::query_scalar("select sqlite_version()").fetch_one(&mut connection).await?;
    let numbers: Vec<u32> = version.split('.').filter_map(|number| number.parse().ok()).collect();
    if numbers.as_slice() < &OLDEST_VERSION[..] {
        return Err(Failure::standing(format!("Amber was built with SQLite {version}, and needs 3.51.3 or later")));
    }
    Ok(connection)
}

/// Plans without a change of the file, which may be somebody else's as yet: not even its journal is set. `at_rest`:
/// nobody has it open. Even a reader would then make the files of a write-ahead log and leave them there, owned by
/// whoever runs the check, so that the service could not open them.
async fn read_plan(path: &Path, at_rest: bool, schema: &Schema) -> Result<Plan, Failure> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(at_rest);
    let options = options.busy_timeout(BUSY_LIMIT);
    let options = options.thread_name(|_| "amber-sqlite".to_owned()).disable_statement_logging();
    let mut connection = open(options).await?;
    let (plan, _) = prepare::plan(&mut connection, schema).await?;
    // It has nothing to write; should the end fail, there is nothing to lose.
    drop(connection.close().await);
    Ok(plan)
}

/// Opens the file. Setting a new one to WAL needs it alone for a moment, for which SQLite does not wait by itself.
async fn open(options: SqliteConnectOptions) -> Result<SqliteConnection, Failure> {
    let end = Instant::now() + BUSY_LIMIT;
    loop {
        match options.connect().await.map_err(Failure::from) {
            Err(failure) if failure.class == Class::Away && !failure.lost && Instant::now() < end => {
                sleep(Duration::from_millis(20)).await;
            }
            done => return done,
        }
    }
}

/// A statement without parameters or answer, or several.
async fn command(connection: &mut SqliteConnection, text: &str) -> Result<(), Failure> {
    answered(sqlx::raw_sql(AssertSqlSafe(text)).execute(connection)).await?;
    Ok(())
}

/// The answer to one statement, within its limit.
pub(super) async fn answered<T>(statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Failure> {
    within(LIMIT, async { Ok(statement.await?) }).await
}

/// Ends a transaction that failed. Some errors have ended it already; then the connection is dropped, to be sure.
async fn roll_back(connection: &mut SqliteConnection, mut failure: Failure) -> Failure {
    if !failure.lost && command(connection, "rollback").await.is_err() {
        failure.lost = true;
    }
    failure
}

/// Takes the writer's row, and shuts out the transactions of older connections. `None`: another process has taken it
/// since `before`, the epoch of our last adoption. As for PostgreSQL, a row with an older epoch is a backup's, and a
/// process begins with one by the clock.
async fn adopt(
    connection: &mut SqliteConnection,
    writer: &str,
    owner: i64,
    before: Option<i64>,
) -> Result<Option<Adopted>, Failure> {
    let returning = "returning epoch, seq, packets, filters, (select id from store_instance)";
    let text = if before.is_some() {
        format!(
            "update store_delivery set owner = ?2, epoch = max(epoch, ?3) + 1, updated_at = {NOW}
             where writer = ?1 and (owner = ?2 or epoch < ?3) {returning}"
        )
    } else {
        format!(
            "insert into store_delivery (writer, owner, epoch, updated_at) values (?1, ?2, max(coalesce(?3, 0), {NOW}) + 1, {NOW})
             on conflict (writer) do update set owner = excluded.owner, epoch = max(epoch + 1, excluded.epoch),
               updated_at = excluded.updated_at
             {returning}"
        )
    };
    let query = sqlx::query_as::<_, (i64, i64, Vec<u8>, String, String)>(AssertSqlSafe(text));
    let row = query.bind(writer).bind(owner).bind(before).fetch_optional(&mut *connection).await;
    let row = row.map_err(|error| Failure::from(error).rowless())?;
    if row.is_none() {
        let found = sqlx::query("select 1 from store_delivery where writer = ?").bind(writer);
        if found.fetch_optional(connection).await?.is_none() {
            return Err(Failure::ledger_gone("it has no row for this writer"));
        }
    }
    Ok(row.map(|(epoch, seq, packets, filters, instance)| Adopted { epoch, seq, packets, filters, instance }))
}
