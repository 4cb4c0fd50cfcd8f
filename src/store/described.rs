//! Reads what the catalogue says of the measurements, on a connection of its own that ends with the call: for the
//! dashboards. PostgreSQL only.
//!
//! What the catalogue names and the database lacks (a table that somebody dropped, a column that an administrator has yet
//! to make) is left out: every query over what is given here can be run.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection as _, Row as _};
use tokio::time::timeout;

use super::error::Failure;
use super::{WriteError, postgres};
use crate::config::{self, StoreUrl};
use crate::schema::{Described, Field, Kind, Type};

/// Whether there is a catalogue; a text that is another when it has changed.
const FINGERPRINT: &str = "\
select (select count(*)::text || ' ' || coalesce(sum(hashtextextended(m.name || m.tags::text, 0)), 0)::text
        from amber_store.measurement m)
  || ' ' || (select count(*)::text || ' ' || coalesce(sum(hashtextextended(f::text, 0)), 0)::text from amber_store.field f)
  || ' ' || (select count(*)::text from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
             where c.relnamespace = 'amber_store'::regnamespace and c.relname like '%\\_data')";

const ALL: &str = "\
select m.name, m.tags, f.name as field, f.type, f.kind, f.unit, f.description, f.decimals, f.min, f.max
from amber_store.measurement m
join pg_class c on c.relname = m.name || '_data' and c.relnamespace = 'amber_store'::regnamespace and c.relkind in ('r', 'p')
left join amber_store.field f on f.measurement = m.name
  and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = f.name and not a.attisdropped)
order by m.name, f.position, f.name";

/// Knows where the catalogue is.
pub struct Describer(Vec<postgres::Server>);

impl Describer {
    /// Connects to nothing. `None`: the store is a SQLite file.
    #[must_use]
    pub fn new(config: &config::Store) -> Option<Self> {
        match &config.url.value {
            StoreUrl::Postgres(urls) => Some(Self(urls.iter().map(postgres::Server::new).collect())),
            StoreUrl::Sqlite(_) => None,
        }
    }

    /// A text that is another when the catalogue is, and, if it is not `known`, the measurements by name. `None`: Amber
    /// has not made its tables yet.
    ///
    /// # Errors
    /// `Away` and `Standing`.
    pub async fn describe(&self, known: Option<&str>) -> Result<Option<(String, Option<Vec<Described>>)>, WriteError> {
        let outcome = async {
            let mut connection = postgres::connect(&self.0).await?;
            let described = read(&mut connection, known).await;
            drop(timeout(postgres::CLOSE_LIMIT, connection.close()).await);
            described
        };
        let user = self.0.first().map_or_else(String::new, postgres::Server::user);
        outcome.await.map_err(|failure: Failure| failure.rowless().into_write_error(false, &user))
    }
}

async fn read(
    connection: &mut PgConnection,
    known: Option<&str>,
) -> Result<Option<(String, Option<Vec<Described>>)>, Failure> {
    let is_there = "select to_regclass('amber_store.field') is not null";
    if !postgres::answered(sqlx::query_scalar::<_, bool>(is_there).fetch_one(&mut *connection)).await? {
        return Ok(None);
    }
    let fingerprint: String = postgres::answered(sqlx::query_scalar(FINGERPRINT).fetch_one(&mut *connection)).await?;
    if known == Some(fingerprint.as_str()) {
        return Ok(Some((fingerprint, None)));
    }
    let rows = postgres::answered(sqlx::query(ALL).fetch_all(&mut *connection)).await?;
    let mut measurements: Vec<Described> = Vec::new();
    for row in &rows {
        let name: String = row.try_get("name")?;
        if measurements.last().is_none_or(|last| last.name != name) {
            measurements.push(Described { name, tags: row.try_get("tags")?, fields: Vec::new() });
        }
        if let (Some(field), Some(last)) = (field(row)?, measurements.last_mut()) {
            last.fields.push(field);
        }
    }
    Ok(Some((fingerprint, Some(measurements))))
}

/// `None`: the measurement has no field, or one of a type that a later Amber has.
fn field(row: &PgRow) -> Result<Option<Field>, Failure> {
    let Some(name) = row.try_get::<Option<String>, _>("field")? else { return Ok(None) };
    let Some(r#type) = Type::of(row.try_get("type")?) else { return Ok(None) };
    let decimals: Option<i32> = row.try_get("decimals")?;
    Ok(Some(Field {
        name,
        kind: if row.try_get::<&str, _>("kind")? == "total" { Kind::Total } else { Kind::Gauge },
        r#type,
        unit: row.try_get("unit")?,
        description: row.try_get("description")?,
        decimals: decimals.and_then(|decimals| u8::try_from(decimals).ok()),
        min: row.try_get("min")?,
        max: row.try_get("max")?,
        deadband: None,
    }))
}
