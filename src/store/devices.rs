//! The table of devices: one row per series of every measurement, on a connection of its own, in steps that are short.
//!
//! What is new is merged in SQL: two Ambers may write one measurement, and each step takes its rows in the order of their
//! series, so that neither waits for the other in a circle. A series is named by its tags and not by a number that was
//! remembered: a store that was put back to an earlier state may have given that number to another.
//!
//! Not here: when to write, and what (`delivery::devices`).

mod text;
mod walk;

use std::collections::HashMap;
use std::path::PathBuf;

use serde_json::{Map, Value as Json, json};
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::time::timeout;

pub use self::walk::Walk;
use super::error::Failure;
use super::plan::Dialect;
use super::{WriteError, postgres, sqlite};
use crate::config::{self, StoreUrl};
use crate::device::{Base, Gaps, News};
use crate::message::Time;
use crate::row::{Tags, Value};
use crate::schema::{Measurement, OnDuplicate, Schema, Type};

/// Devices of one statement.
const STEP: usize = 500;
/// A text is cut at so many characters.
const MAX_TEXT: usize = 256;
/// It gives way before PostgreSQL looks for a deadlock (1 s), whose victim might be what a person runs.
const SESSION: &str = "set lock_timeout = '500ms'";

/// Writes the table of devices.
pub struct Devices {
    place: Place,
    measurements: Vec<Measurement>,
    connection: Option<Connection>,
    /// Of each measurement, as the catalogue has it; `None`: it has no series, or is not there yet.
    shapes: Vec<Option<Shape>>,
}

enum Place {
    Postgres(Vec<postgres::Server>),
    Sqlite(PathBuf),
}

enum Connection {
    Postgres(Box<PgConnection>),
    Sqlite(Box<SqliteConnection>),
}

/// What the catalogue says of a measurement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Shape {
    name: String,
    tags: Vec<String>,
    /// But for those of JSON.
    fields: Vec<(String, Type)>,
    /// The series table has a column of the first version, in which people have retired series.
    has_retired: bool,
}

impl Devices {
    /// Remembers where the store is; connects to nothing.
    #[must_use]
    pub fn new(config: &config::Store) -> Self {
        let place = match &config.url.value {
            StoreUrl::Postgres(urls) => Place::Postgres(urls.iter().map(postgres::Server::new).collect()),
            StoreUrl::Sqlite(path) => Place::Sqlite(path.clone()),
        };
        Self { place, measurements: Vec::new(), connection: None, shapes: Vec::new() }
    }

    /// Connects if need be and reads the catalogue. Comes before the others, each time. Measurements are those of `schema`
    /// from then on.
    ///
    /// # Errors
    /// `Away` and `Standing`, as of all of these; the connection is dropped then. Cancel safe likewise.
    pub async fn open(&mut self, schema: Schema) -> Result<(), WriteError> {
        self.measurements = schema.measurements;
        self.shapes = vec![None; self.measurements.len()];
        let connection = self.connection.take();
        let outcome = async {
            let mut connection = match connection {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            let shapes = connection.shapes(&self.measurements).await?;
            Ok((connection, shapes))
        };
        let (connection, shapes) = outcome.await.map_err(|failure| self.told(failure))?;
        (self.connection, self.shapes) = (Some(connection), shapes);
        Ok(())
    }

    /// What the table has of these series, by place; those that the store does not know are left out.
    ///
    /// # Errors
    /// As `open`.
    pub async fn look(&mut self, measurement: usize, series: &[Tags]) -> Result<Vec<(usize, Base)>, WriteError> {
        let Some(shape) = self.shape(measurement) else { return Ok(Vec::new()) };
        let tags = shape.places(&self.measurements[measurement]);
        let mut found = Vec::new();
        for (n, part) in series.chunks(STEP).enumerate() {
            let rows: Vec<Json> = part.iter().map(|series| Json::Array(tags.of(series))).collect();
            let bases = self.run(async |connection| connection.look(&shape, rows).await).await?;
            found.extend(bases.into_iter().map(|(place, base)| (n * STEP + place, base)));
        }
        Ok(found)
    }

    /// Writes what is new of these series over `Base`s that were looked up; gives how many rows were written.
    ///
    /// # Errors
    /// As `open`; what is written once may be written again.
    pub async fn write(&mut self, measurement: usize, news: &[(Tags, Base, News)]) -> Result<u64, WriteError> {
        let Some(shape) = self.shape(measurement) else { return Ok(0) };
        let wanted = &self.measurements[measurement];
        let (tags, first_stays) = (shape.places(wanted), wanted.on_duplicate == OnDuplicate::Ignore);
        let names: Vec<String> = wanted.fields.iter().map(|field| field.name.clone()).collect();
        let mut written = 0;
        for part in news.chunks(STEP) {
            let (mut newer, mut older) = (Vec::new(), Vec::new());
            for (series, base, news) in part {
                let (values, fills) = shape.values(&names, *base, news, first_stays);
                newer.push(row(tags.of(series), news, values));
                if !fills.is_empty() {
                    let filling = News { last_time: None, ..News::default() };
                    older.push(row(tags.of(series), &filling, fills));
                }
            }
            written += self.run(async |connection| connection.write(&shape, newer, true).await).await?;
            if !older.is_empty() {
                // What is older than the newest row fills in only what nothing is known of.
                self.run(async |connection| connection.write(&shape, older, false).await).await?;
            }
        }
        Ok(written)
    }

    fn shape(&self, measurement: usize) -> Option<Shape> {
        self.shapes.get(measurement).cloned().flatten()
    }

    /// Says farewell.
    pub async fn close(&mut self) {
        match self.connection.take() {
            Some(Connection::Postgres(connection)) => drop(timeout(postgres::CLOSE_LIMIT, connection.close()).await),
            Some(Connection::Sqlite(connection)) => drop(timeout(sqlite::CLOSE_LIMIT, connection.close()).await),
            None => {}
        }
    }

    /// A file that was put in the place of another is seen by the next connection; a server's is kept.
    pub async fn rest(&mut self) {
        if matches!(self.place, Place::Sqlite(_)) {
            self.close().await;
        }
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        match &self.place {
            Place::Postgres(servers) => {
                let mut connection = postgres::connect(servers).await?;
                postgres::answered(sqlx::raw_sql(SESSION).execute(&mut connection)).await?;
                Ok(Connection::Postgres(Box::new(connection)))
            }
            Place::Sqlite(path) if !path.exists() => Err(Failure::away("the file is not there")),
            Place::Sqlite(path) => Ok(Connection::Sqlite(Box::new(sqlite::connect(path).await?))),
        }
    }

    /// Runs `work` on the connection, which is dropped if it fails or is cancelled.
    async fn run<T>(&mut self, work: impl AsyncFnOnce(&mut Connection) -> Result<T, Failure>) -> Result<T, WriteError> {
        let connection = self.connection.take();
        let mut connection = connection.ok_or_else(|| self.told(Failure::away("not connected")))?;
        let done = work(&mut connection).await.map_err(|failure| self.told(failure))?;
        self.connection = Some(connection);
        Ok(done)
    }

    fn told(&self, failure: Failure) -> WriteError {
        let user = match &self.place {
            Place::Postgres(servers) => servers.first().map_or_else(String::new, postgres::Server::user),
            Place::Sqlite(_) => String::new(),
        };
        failure.rowless().into_write_error(false, &user)
    }
}

/// Of a series `s`, as expressions: what people call it, and the object of its tags.
pub(super) fn named(dialect: Dialect, measurement: &str, tags: &[String]) -> (String, String) {
    let shape = Shape { name: measurement.to_owned(), tags: tags.to_vec(), ..Shape::default() };
    (text::label(dialect, &shape), text::tags(dialect, &shape))
}

/// Where the tags of a row are among those of the catalogue.
struct Places(Vec<Option<usize>>);

impl Places {
    /// The values in the order of the catalogue; `""` where we have none.
    fn of(&self, tags: &Tags) -> Vec<Json> {
        let values: Vec<&str> = tags.iter().collect();
        let value = |place: &Option<usize>| json!(place.and_then(|place| values.get(place)).copied().unwrap_or(""));
        self.0.iter().map(value).collect()
    }
}

impl Shape {
    fn places(&self, measurement: &Measurement) -> Places {
        Places(self.tags.iter().map(|tag| measurement.tags.iter().position(|ours| ours == tag)).collect())
    }

    /// The values that are new, and those that are older than the newest row that the table knows.
    fn values(
        &self,
        names: &[String],
        base: Base,
        news: &News,
        first_stays: bool,
    ) -> (Map<String, Json>, Map<String, Json>) {
        let (mut newer, mut older) = (Map::new(), Map::new());
        let fields = names
            .iter()
            .map(String::as_str)
            .zip(&news.fields)
            .filter_map(|(name, dated)| Some((name, dated.as_ref()?)));
        let others = news.others.iter().map(|(name, dated)| (&**name, dated));
        for (name, (time, value)) in fields.chain(others) {
            let Some(value) = self.shown(name, value) else { continue };
            let is_old = base.last_time.is_some_and(|last| *time < last || (first_stays && *time == last));
            if is_old { &mut older } else { &mut newer }.insert(name.to_owned(), value);
        }
        (newer, older)
    }

    /// `None`: no column of that name takes it, or it is a document.
    fn shown(&self, name: &str, value: &Value) -> Option<Json> {
        let (_, column) = self.fields.iter().find(|(field, _)| field == name)?;
        let fits = value.r#type() == *column || (value.r#type(), *column) == (Type::Int, Type::Float);
        match value {
            _ if !fits => None,
            Value::Float(value) => Some(json!(value)),
            Value::Int(value) => Some(json!(value)),
            Value::Bool(value) => Some(json!(value)),
            Value::Text(text) => Some(Json::String(text.chars().take(MAX_TEXT).collect())),
            Value::Time(time) => Some(json!(time.to_string())),
            Value::Json(_) => None,
        }
    }
}

/// A row for the statement: the tags, then what `text::write` names.
fn row(mut tags: Vec<Json>, news: &News, values: Map<String, Json>) -> Json {
    let micros = |time: Option<Time>| json!(time.map(|time| time.0));
    let Gaps { count, sum, squares } = news.gaps;
    tags.extend([micros(news.first_seen), micros(news.last_seen), micros(news.last_time)]);
    tags.extend([json!(count), json!(sum), json!(squares), Json::Object(values)]);
    Json::Array(tags)
}

/// Measurements and their tags; measurement, name and type of fields; measurements.
type Catalogue = (Vec<(String, String)>, Vec<(String, String, String)>, Vec<(String,)>);

/// Place, receipt, time, gaps: count, sum, squares.
type Looked = (i64, Option<i64>, Option<i64>, Option<i64>, Option<f64>, Option<f64>);

impl Connection {
    const fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    async fn shapes(&mut self, measurements: &[Measurement]) -> Result<Vec<Option<Shape>>, Failure> {
        let [tags, fields, retired] = text::shapes(self.dialect());
        let (tags, fields, retired): Catalogue = match self {
            Self::Postgres(connection) => (
                postgres::answered(sqlx::query_as(tags).fetch_all(&mut **connection)).await?,
                postgres::answered(sqlx::query_as(fields).fetch_all(&mut **connection)).await?,
                postgres::answered(sqlx::query_as(retired).fetch_all(&mut **connection)).await?,
            ),
            Self::Sqlite(connection) => (
                sqlite::answered(sqlx::query_as(tags).fetch_all(&mut **connection)).await?,
                sqlite::answered(sqlx::query_as(fields).fetch_all(&mut **connection)).await?,
                sqlite::answered(sqlx::query_as(retired).fetch_all(&mut **connection)).await?,
            ),
        };
        let mut shapes: HashMap<String, Shape> = HashMap::new();
        for (name, tags) in tags {
            let tags = serde_json::from_str(&tags).unwrap_or_default();
            let has_retired = retired.iter().any(|(of,)| *of == name);
            shapes.insert(name.clone(), Shape { name, tags, fields: Vec::new(), has_retired });
        }
        for (measurement, name, r#type) in fields {
            if let (Some(shape), Some(r#type)) = (shapes.get_mut(&measurement), Type::of(&r#type)) {
                shape.fields.push((name, r#type));
            }
        }
        let ours = measurements
            .iter()
            .map(|measurement| measurement.own.is_none().then(|| shapes.get(&measurement.name).cloned()).flatten());
        Ok(ours.collect())
    }

    async fn look(&mut self, shape: &Shape, rows: Vec<Json>) -> Result<Vec<(usize, Base)>, Failure> {
        let sql = AssertSqlSafe(text::look(self.dialect(), shape));
        let rows = Json::Array(rows).to_string();
        let found: Vec<Looked> = match self {
            Self::Postgres(connection) => {
                let query = sqlx::query_as(sql).bind(&shape.name).bind(&rows);
                postgres::answered(query.fetch_all(&mut **connection)).await?
            }
            Self::Sqlite(connection) => {
                let query = sqlx::query_as(sql).bind(&shape.name).bind(&rows);
                sqlite::answered(query.fetch_all(&mut **connection)).await?
            }
        };
        let base = |(place, seen, time, count, sum, squares): Looked| {
            let (count, sum, squares) = (count.unwrap_or(0), sum.unwrap_or(0.0), squares.unwrap_or(0.0));
            let base =
                Base { last_seen: seen.map(Time), last_time: time.map(Time), gaps: Gaps { count, sum, squares } };
            Some((usize::try_from(place).ok()?, base))
        };
        Ok(found.into_iter().filter_map(base).collect())
    }

    async fn write(&mut self, shape: &Shape, rows: Vec<Json>, is_newer: bool) -> Result<u64, Failure> {
        let sql = AssertSqlSafe(text::write(self.dialect(), shape, is_newer));
        let rows = Json::Array(rows).to_string();
        Ok(match self {
            Self::Postgres(connection) => {
                let query = sqlx::query(sql).bind(&shape.name).bind(&rows);
                postgres::answered(query.execute(&mut **connection)).await?.rows_affected()
            }
            Self::Sqlite(connection) => {
                let query = sqlx::query(sql).bind(&shape.name).bind(&rows);
                sqlite::answered(query.execute(&mut **connection)).await?.rows_affected()
            }
        })
    }
}
