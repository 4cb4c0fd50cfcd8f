//! Queries for assertions: every value as text, so that tests compare what a person would see.

use std::path::Path;
use std::str::FromStr as _;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{
    AssertSqlSafe, Column as _, Connection as _, Executor as _, Row as _, SqlSafeStr as _, Statement as _,
    TypeInfo as _,
};
use tokio::runtime::Runtime;

/// A row: text, or `None` where the value is null.
pub type Texts = Vec<Option<String>>;

/// A connection to either store, and what drives it.
pub struct Sql {
    runtime: Runtime,
    connection: Connection,
}

enum Connection {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

impl Sql {
    /// # Errors
    /// The database's words.
    pub fn postgres(url: &str) -> Result<Self, String> {
        let options = PgConnectOptions::from_str(url).map_err(|error| error.to_string())?;
        let runtime = runtime();
        let connection = runtime.block_on(PgConnection::connect_with(&options)).map_err(|error| error.to_string())?;
        Ok(Self { runtime, connection: Connection::Postgres(connection) })
    }

    /// Opens a file that another process writes.
    ///
    /// # Errors
    /// SQLite's words; also while the file is not there yet.
    pub fn sqlite(path: &Path) -> Result<Self, String> {
        let options = SqliteConnectOptions::new().filename(path);
        let runtime = runtime();
        let connection =
            runtime.block_on(SqliteConnection::connect_with(&options)).map_err(|error| error.to_string())?;
        Ok(Self { runtime, connection: Connection::Sqlite(connection) })
    }

    /// All rows of `sql`.
    ///
    /// # Errors
    /// The database's words; the connection may be broken then.
    pub fn rows(&mut self, sql: &str) -> Result<Vec<Texts>, String> {
        let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match &mut self.connection {
            Connection::Postgres(connection) => {
                let rows = self.runtime.block_on(query.fetch_all(connection)).map_err(|error| error.to_string())?;
                rows.iter().map(postgres_texts).collect()
            }
            Connection::Sqlite(connection) => {
                let rows = self.runtime.block_on(query.fetch_all(connection)).map_err(|error| error.to_string())?;
                rows.iter().map(sqlite_texts).collect()
            }
        }
    }

    /// The only value of `sql`, as text; null is an error.
    ///
    /// # Errors
    /// The database's words, or what came instead of one value.
    pub fn value(&mut self, sql: &str) -> Result<String, String> {
        match self.rows(sql)?.as_slice() {
            [row] if row.len() == 1 => row[0].clone().ok_or_else(|| "null".to_owned()),
            rows => Err(format!("{} rows", rows.len())),
        }
    }

    /// The only value of `sql`, as a number.
    ///
    /// # Errors
    /// As [`Sql::value`], and if it is no integer.
    pub fn number(&mut self, sql: &str) -> Result<i64, String> {
        let value = self.value(sql)?;
        value.parse().map_err(|_| format!("`{value}` is no integer"))
    }

    /// Name and type of every column that `sql` would answer with; PostgreSQL only.
    ///
    /// # Errors
    /// The database's words.
    pub fn columns(&mut self, sql: &str) -> Result<Vec<(String, String)>, String> {
        let Connection::Postgres(connection) = &mut self.connection else { panic!("PostgreSQL only") };
        let statement = connection.prepare(AssertSqlSafe(sql.to_owned()).into_sql_str());
        let statement = self.runtime.block_on(statement).map_err(|error| error.to_string())?;
        Ok(statement
            .columns()
            .iter()
            .map(|column| (column.name().to_owned(), column.type_info().name().to_owned()))
            .collect())
    }

    /// Runs statements whose rows do not matter.
    #[track_caller]
    pub fn run(&mut self, sql: &str) {
        if let Err(error) = self.rows(sql) {
            panic!("{error}: {sql}");
        }
    }
}

/// PostgreSQL's simple protocol sends every value as text.
fn postgres_texts(row: &PgRow) -> Result<Texts, String> {
    (0..row.len())
        .map(|column| {
            let value = row.try_get_raw(column).map_err(|error| error.to_string())?;
            if sqlx::ValueRef::is_null(&value) {
                return Ok(None);
            }
            value.as_str().map(|text| Some(text.to_owned())).map_err(|error| error.to_string())
        })
        .collect()
}

/// SQLite makes text of a number where text is asked for.
fn sqlite_texts(row: &SqliteRow) -> Result<Texts, String> {
    (0..row.len()).map(|column| row.try_get_unchecked(column).map_err(|error| error.to_string())).collect()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made")
}
