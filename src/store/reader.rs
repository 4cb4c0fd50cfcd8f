//! Reads what the live page shows: how many series, the devices, plots of a range, rejects.
//!
//! On a connection of its own that is made at the first question, and that cannot write: the session of PostgreSQL is
//! read-only, and so is that of SQLite by `query_only`. (Its file is opened for writing all the same. Whoever closes it
//! last moves the write-ahead log into it, and a connection that may not would leave the log lying beside a file that
//! people copy.) One question at a time, each bounded in time and in what it gives: PostgreSQL ends a statement that takes
//! longer by itself, SQLite by a progress handler, because a reader that goes on keeps the log from starting anew. Whoever
//! asked and waits no longer (a cancelled call) ends his question likewise.
//!
//! Names come from the schema or the catalogue; what a user sent is only ever looked up there, or bound.
//!
//! Not here: who may ask, and what the page makes of it (`http`).

mod counts;
mod history;
mod patience;
mod rejects;
mod series;

use std::path::PathBuf;
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, FromRow};
use tokio::time::timeout;

pub use self::counts::Counts;
pub use self::history::{HistoryAsked, MAX_FIELDS, MAX_POINTS, MAX_VALUES, Plot};
use self::patience::Patience;
pub use self::rejects::{MAX_REJECTS, RejectCount, RejectsAsked, RejectsPage, SHOWN_BYTES, StoredReject};
pub use self::series::{Device, MAX_SERIES, SeriesAsked, SeriesPage};
use super::error::Failure;
use super::plan::Dialect;
use super::{WriteError, postgres, sqlite};
use crate::config::{self, StoreUrl};
use crate::schema::Schema;

/// Of one question, connecting included.
const LIMIT: Duration = Duration::from_secs(5);
/// One core is enough for a page, and a plan for any parameters would open all partitions of a table.
const SESSION: &str = "\
set default_transaction_read_only = on;
set lock_timeout = '1s';
set jit = off;
set max_parallel_workers_per_gather = 0;
set plan_cache_mode = force_custom_plan";
/// How long another process may hold a file of SQLite.
const BUSY_LIMIT: Duration = Duration::from_secs(1);

/// Why there is no answer.
#[derive(Debug)]
pub enum ReadError {
    /// The store does not answer, or has no tables of Amber's yet: later perhaps.
    Away(anyhow::Error),
    /// A person must act: a permission, a file that is broken.
    Standing(anyhow::Error),
    /// Nobody can answer this question: it names what is not there, or asks for too much, or takes too long.
    Refused(anyhow::Error),
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Away(error) | Self::Standing(error) | Self::Refused(error) => write!(f, "{error:#}"),
        }
    }
}

impl std::error::Error for ReadError {}

/// Answers questions about what is stored.
pub struct Reader {
    place: Place,
    /// Whether somebody writes the table of devices (`[store] devices_interval`). If not, series have no times.
    has_devices: bool,
    limit: Duration,
    connection: Option<Connection>,
}

enum Place {
    Postgres(Vec<postgres::Server>),
    Sqlite(PathBuf),
}

/// On it nothing is under way but the present question.
enum Connection {
    Postgres(Box<PgConnection>),
    Sqlite { connection: Box<SqliteConnection>, patience: Patience, file: Option<sqlite::Identity> },
}

/// A parameter of a statement. Both databases call them `$1`, `$2` here.
#[derive(Clone, Copy)]
enum Bind<'a> {
    Int(i64),
    Text(&'a str),
    /// For PostgreSQL an array, for SQLite an array of JSON.
    Ints(&'a [i64]),
}

/// A row of either database.
trait Answer: for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin {}
impl<T: for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin> Answer for T {}

impl Reader {
    /// Remembers where the store is; connects to nothing.
    #[must_use]
    pub fn new(config: &config::Store) -> Self {
        let place = match &config.url.value {
            StoreUrl::Postgres(urls) => Place::Postgres(urls.iter().map(postgres::Server::new).collect()),
            StoreUrl::Sqlite(path) => Place::Sqlite(path.clone()),
        };
        Self { place, has_devices: !config.devices_interval.is_zero(), limit: LIMIT, connection: None }
    }

    /// Waits less long for an answer than five seconds, or longer.
    #[must_use]
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// How many series each measurement of `schema` has. One whose rows go into a table of somebody else's has none, and
    /// is left out. Without a table of devices nothing is known of silence and times.
    ///
    /// # Errors
    /// `Away` and `Standing`, and `Refused` if it takes too long, as of all of these. Cancel safe; the next call connects
    /// anew then.
    pub async fn counts(&mut self, schema: &Schema) -> Result<Vec<Counts>, ReadError> {
        let has_devices = self.has_devices;
        self.ask(async |connection| counts::read(connection, schema, has_devices).await).await
    }

    /// A page of series, by measurement and name.
    ///
    /// # Errors
    /// As `counts`.
    pub async fn series(&mut self, asked: &SeriesAsked) -> Result<SeriesPage, ReadError> {
        let has_devices = self.has_devices;
        self.ask(async |connection| series::read(connection, asked, has_devices).await).await
    }

    /// Means, minima and maxima of numbers (truth values as 0 and 1) in steps of [`HistoryAsked::step`]: a `Plot` for each
    /// series and field that was asked for, in that order.
    ///
    /// # Errors
    /// As `counts`; `Refused` also for names that the schema does not know and for more than may be asked.
    pub async fn history(&mut self, schema: &Schema, asked: &HistoryAsked) -> Result<Vec<Plot>, ReadError> {
        let measurement = asked.allowed(schema)?;
        self.ask(async |connection| history::read(connection, measurement, asked).await).await
    }

    /// A page of rejects, newest first, each with the beginning of its payload; and of the newest of all how many there are
    /// by reason and mapping.
    ///
    /// # Errors
    /// As `counts`.
    pub async fn rejects(&mut self, asked: &RejectsAsked) -> Result<RejectsPage, ReadError> {
        self.ask(async |connection| rejects::read(connection, asked).await).await
    }

    /// One reject with as much of its payload as is stored; `None`: it is not there any more.
    ///
    /// # Errors
    /// As `counts`.
    pub async fn reject(&mut self, id: i64) -> Result<Option<StoredReject>, ReadError> {
        self.ask(async |connection| rejects::one(connection, id).await).await
    }

    /// Says farewell. To be done before the writer closes a file of SQLite is best: the last one empties the log.
    pub async fn close(&mut self) {
        match self.connection.take() {
            Some(Connection::Postgres(connection)) => drop(timeout(postgres::CLOSE_LIMIT, connection.close()).await),
            Some(Connection::Sqlite { connection, .. }) => drop(timeout(sqlite::CLOSE_LIMIT, connection.close()).await),
            None => {}
        }
    }

    /// Connects if need be and answers a question. The connection is dropped if its state is unknown afterwards.
    async fn ask<T>(&mut self, work: impl AsyncFnOnce(&mut Connection) -> Result<T, Failure>) -> Result<T, ReadError> {
        let kept = self.connection.take();
        let outcome = timeout(self.limit, async {
            let mut connection = match kept.filter(|connection| self.is_of(connection)) {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            let waiting = connection.patience().map(|patience| patience.begin(self.statement_limit()));
            let answer = work(&mut connection).await;
            drop(waiting);
            Ok((connection, answer))
        });
        let (connection, answer) = match outcome.await {
            Ok(Ok(done)) => done,
            Ok(Err(failure)) => return Err(self.told(failure)),
            Err(_) => return Err(self.told(Failure::timed_out(self.limit))),
        };
        if !answer.as_ref().is_err_and(|failure| failure.lost) {
            self.connection = Some(connection);
        }
        answer.map_err(|failure| self.told(failure))
    }

    /// The database ends a statement a little before we stop waiting for it, and says so.
    fn statement_limit(&self) -> Duration {
        self.limit * 9 / 10
    }

    /// Whether it leads to what is there now: a file may have been put in the place of another.
    fn is_of(&self, connection: &Connection) -> bool {
        match (&self.place, connection) {
            (Place::Sqlite(path), Connection::Sqlite { file, .. }) => file.is_some() && *file == sqlite::identity(path),
            (Place::Postgres(_), Connection::Postgres(_)) => true,
            (Place::Sqlite(_), Connection::Postgres(_)) | (Place::Postgres(_), Connection::Sqlite { .. }) => false,
        }
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        match &self.place {
            Place::Postgres(servers) => {
                let mut connection = postgres::connect(servers).await?;
                let limit = self.statement_limit().as_millis();
                let session = format!("{SESSION};\nset statement_timeout = '{limit}ms'");
                sqlx::raw_sql(AssertSqlSafe(session)).execute(&mut connection).await.map_err(told)?;
                Ok(Connection::Postgres(Box::new(connection)))
            }
            Place::Sqlite(path) => {
                let file = sqlite::identity(path);
                if file.is_none() {
                    return Err(Failure::away(format!("`{}` is not there", path.display())));
                }
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .create_if_missing(false)
                    .busy_timeout(BUSY_LIMIT)
                    .pragma("query_only", "on")
                    .thread_name(|_| "amber-sqlite-page".to_owned())
                    .disable_statement_logging();
                let mut connection = options.connect().await.map_err(told)?;
                let patience = Patience::default();
                patience.keep_with(&mut connection).await.map_err(told)?;
                Ok(Connection::Sqlite { connection: Box::new(connection), patience, file })
            }
        }
    }

    fn told(&self, failure: Failure) -> ReadError {
        let user = match &self.place {
            Place::Postgres(servers) => servers.first().map_or_else(String::new, postgres::Server::user),
            Place::Sqlite(_) => String::new(),
        };
        if failure.stale {
            let failure =
                failure.context("Amber's tables are not there as yet, or are others than the mapping asks for");
            return ReadError::Away(failure.into_write_error(false, &user).into_source());
        }
        match failure.into_write_error(false, &user) {
            WriteError::Refused(source) => ReadError::Refused(source),
            WriteError::Standing(source) => ReadError::Standing(source),
            other => ReadError::Away(other.into_source()),
        }
    }
}

/// What the database says to a question: it cannot refuse any rows. That it took too long is about the question.
fn told(error: sqlx::Error) -> Failure {
    // PostgreSQL: query_canceled; SQLite: SQLITE_INTERRUPT.
    let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
    if matches!(code.as_deref(), Some("57014" | "9")) {
        return Failure::refused(
            "there is more to read for this than is read for a page; ask for a shorter time, or for fewer series",
        );
    }
    Failure::from(error).rowless()
}

impl Connection {
    const fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Sqlite { .. } => Dialect::Sqlite,
        }
    }

    const fn patience(&self) -> Option<&Patience> {
        match self {
            Self::Postgres(_) => None,
            Self::Sqlite { patience, .. } => Some(patience),
        }
    }

    /// All rows of a statement, which has bounded them.
    async fn rows<T: Answer>(&mut self, sql: String, binds: &[Bind<'_>]) -> Result<Vec<T>, Failure> {
        let sql = AssertSqlSafe(sql);
        match self {
            Self::Postgres(connection) => {
                let mut query = sqlx::query_as(sql);
                for bind in binds {
                    query = match *bind {
                        Bind::Int(number) => query.bind(number),
                        Bind::Text(text) => query.bind(text.replace('\0', "\u{fffd}")),
                        Bind::Ints(numbers) => query.bind(numbers.to_vec()),
                    };
                }
                query.fetch_all(&mut **connection).await.map_err(told)
            }
            Self::Sqlite { connection, .. } => {
                let mut query = sqlx::query_as(sql);
                for bind in binds {
                    query = match *bind {
                        Bind::Int(number) => query.bind(number),
                        Bind::Text(text) => query.bind(text.to_owned()),
                        Bind::Ints(numbers) => query.bind(serde_json::json!(numbers).to_string()),
                    };
                }
                query.fetch_all(&mut **connection).await.map_err(told)
            }
        }
    }
}

/// A time of PostgreSQL in microseconds, as SQLite has it.
fn micros(dialect: Dialect, column: &str) -> String {
    match dialect {
        Dialect::Postgres => format!("(extract(epoch from {column}) * 1000000)::int8"),
        Dialect::Sqlite => column.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_send<T: Send>(_: T) {}

    /// The page answers from any thread.
    #[expect(dead_code, reason = "compiled, not run")]
    fn calls_may_move_between_threads(reader: &mut Reader, schema: &Schema, history: &HistoryAsked) {
        is_send(reader.counts(schema));
        is_send(reader.series(&SeriesAsked::default()));
        is_send(reader.history(schema, history));
        is_send(reader.rejects(&RejectsAsked::default()));
        is_send(reader.reject(1));
        is_send(reader.close());
    }

    #[tokio::test]
    async fn a_file_is_read_and_cannot_be_written_and_the_last_one_to_close_it_leaves_no_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let mut writer = sqlite::connect(&path).await.unwrap();
        sqlx::raw_sql("create table t (n integer) strict; insert into t values (7)")
            .execute(&mut writer)
            .await
            .unwrap();
        let place = Place::Sqlite(path.clone());
        let mut reader = Reader { place, has_devices: true, limit: LIMIT, connection: None };
        let read = reader.ask(async |it| it.rows::<(i64,)>("select n from t".into(), &[]).await).await.unwrap();
        assert_eq!(read, [(7,)]);
        writer.close().await.unwrap();
        let written = reader.ask(async |it| it.rows::<(i64,)>("insert into t values (8)".into(), &[]).await).await;
        assert!(
            matches!(&written, Err(ReadError::Standing(why)) if format!("{why:#}").contains("readonly")),
            "{written:?}"
        );
        reader.close().await;
        assert!(!folder.path().join("store.db-wal").exists());
    }
}
