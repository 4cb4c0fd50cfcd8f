//! Brings the file to what is wanted: fixed tables by migrations, measurement tables by plan, the catalogue; all in one
//! transaction, whose `begin immediate` is the lock.

use sqlx::migrate::Migrate as _;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};

use super::own;
use super::text::NOW;
use crate::schema::{Field, Measurement, Schema, Type};
use crate::store::Plan;
use crate::store::catalogue::Catalogue;
use crate::store::error::Failure;
use crate::store::migrations;
use crate::store::others::Lacking;
use crate::store::plan::{
    self, Appeared, Around, Column, Dialect, EXACT_INT, Found, Index, Key, Relation, Shape, Table,
};
use crate::store::sql::quote;

/// What is to be done, the tables as they will be, and by measurement the columns that appear.
type Planned = (Plan, Vec<Table>, Vec<(usize, Vec<Appeared>)>);

/// What is to be done, and the tables as they will be. Changes nothing.
pub(super) async fn plan(connection: &mut SqliteConnection, schema: &Schema) -> Result<(Plan, Vec<Table>), Failure> {
    let (plan, tables, _) = plan_with(connection, schema, &Lacking::new()).await?;
    Ok((plan, tables))
}

/// The same with columns that appear by themselves.
async fn plan_with(connection: &mut SqliteConnection, schema: &Schema, new: &Lacking) -> Result<Planned, Failure> {
    let mut all = Plan { statements: pending(connection).await?, ..Plan::default() };
    let (measurements, tables, appeared) = plan_measurements(connection, schema, new).await?;
    all.extend(measurements);
    Ok((all, tables, appeared))
}

/// Does it, or without `ddl` sees that it is done; gives the tables, and whether something of them was made anew. On any
/// failure nothing is changed.
pub(super) async fn prepare(
    connection: &mut SqliteConnection,
    schema: &Schema,
    new: &Lacking,
    ddl: bool,
) -> Result<(Vec<Table>, bool), Failure> {
    let mut transaction = connection.begin_with("begin immediate").await?;
    match apply(&mut transaction, schema, new, ddl).await {
        Ok(made) => {
            transaction.commit().await?;
            Ok(made)
        }
        Err(mut failure) => {
            // A failed rollback says nothing that the failure does not; the transaction ends with the connection.
            drop(transaction.rollback().await);
            // What is no part of the transaction, and may have been set in it.
            failure.lost |= super::command(connection, "pragma legacy_alter_table = off").await.is_err();
            Err(failure.rowless())
        }
    }
}

async fn apply(
    connection: &mut SqliteConnection,
    schema: &Schema,
    new: &Lacking,
    ddl: bool,
) -> Result<(Vec<Table>, bool), Failure> {
    let (plan, tables, appeared) = plan_with(connection, schema, new).await?;
    for statement in plan.to_run(ddl)? {
        super::command(connection, statement).await.map_err(|failure| {
            let head = statement.lines().next().unwrap_or_default().trim_end_matches(" (");
            failure.context(format!("`{head}`"))
        })?;
    }
    let mut rows = Catalogue::new(schema, &tables);
    for (measurement, appeared) in &appeared {
        rows.add(&schema.measurements[*measurement].name, appeared);
    }
    catalogue(connection, &rows).await?;
    Ok((tables, plan.is_anew))
}

/// Migrations that have not run yet.
async fn pending(connection: &mut SqliteConnection) -> Result<Vec<String>, Failure> {
    let notes = Dialect::Sqlite.migrations();
    let there = exists(connection, notes).await?;
    let applied = if there { Some(connection.list_applied_migrations(notes).await?) } else { None };
    migrations::pending(Dialect::Sqlite, applied.as_deref())
}

async fn exists(connection: &mut SqliteConnection, name: &str) -> Result<bool, Failure> {
    let query = sqlx::query_scalar("select exists (select 1 from sqlite_schema where name = ?)");
    Ok(query.bind(name).fetch_one(connection).await?)
}

async fn plan_measurements(
    connection: &mut SqliteConnection,
    schema: &Schema,
    new: &Lacking,
) -> Result<Planned, Failure> {
    let has_catalogue = exists(connection, "store_field").await?;
    let mut all = Plan { conflicts: plan::names(Dialect::Sqlite, &schema.measurements), ..Plan::default() };
    let (mut tables, mut appeared) = (Vec::new(), Vec::new());
    for (n, measurement) in schema.measurements.iter().enumerate() {
        if let Some(its) = &measurement.own {
            let (plan, table) = own::plan(connection, measurement, its).await?;
            all.conflicts.extend(plan.conflicts);
            all.notes.extend(plan.notes);
            tables.push(table);
            continue;
        }
        let found = find(connection, measurement, has_catalogue).await?;
        let new = new.get(&n).map_or(&[][..], Vec::as_slice);
        let (plan, table, columns) = plan::appearing(Dialect::Sqlite, measurement, &found, new);
        all.extend(plan);
        tables.push(table);
        appeared.push((n, columns));
    }
    Ok((all, tables, appeared))
}

async fn find(
    connection: &mut SqliteConnection,
    measurement: &Measurement,
    has_catalogue: bool,
) -> Result<Found, Failure> {
    let name = &measurement.name;
    let series = relation(connection, &format!("store_{name}_series")).await?;
    let data = relation(connection, &format!("store_{name}_data")).await?;
    let view = relation(connection, name).await?;
    let index = format!("store_{name}_series_key");
    let key = if exists(connection, &index).await? {
        let tags: Vec<Option<String>> = sqlx::query_scalar("select name from pragma_index_info(?) order by seqno")
            .bind(&index)
            .fetch_all(&mut *connection)
            .await?;
        Some(Key { name: quote(&index), tags: tags.into_iter().flatten().collect() })
    } else {
        None
    };
    let catalogue: Vec<(String, String, i32)> = if has_catalogue {
        sqlx::query_as("select name, type, position from store_field where measurement = ?")
            .bind(name)
            .fetch_all(&mut *connection)
            .await?
    } else {
        Vec::new()
    };
    let types = catalogue.iter().map(|(name, r#type, _)| (name.clone(), r#type.clone())).collect();
    let readings = readings(&mut *connection, name).await?;
    let mut found = Found { series, data, view, key, types, catalogue, readings, ..Found::default() };
    let retyped = found.retyped(Dialect::Sqlite, measurement);
    if !retyped.is_empty() {
        found.around = around(&mut *connection, &measurement.name, &retyped).await?;
        let is_int = |(name, word): (&String, &String)| (word == "int").then(|| name.clone());
        found.around.ints = found.types.iter().filter_map(is_int).collect();
    }
    if found.is_to_be_unique(measurement) {
        duplicates(&mut *connection, name, &mut found.around).await?;
    }
    Ok(found)
}

/// A table up to this many rows is written anew in a few seconds.
const SMALL_ROWS: i64 = 1_000_000;

/// What another type for the columns of `fields` would meet.
async fn around(connection: &mut SqliteConnection, measurement: &str, fields: &[&Field]) -> Result<Around, Failure> {
    let table = Dialect::Sqlite.data(measurement);
    let mut around = Around { is_small: is_small(&mut *connection, &table).await?, ..Around::default() };
    for field in fields.iter().filter(|field| field.r#type == Type::Float && around.is_small) {
        let text = format!("select exists (select 1 from {table} where not {} between -?1 and ?1)", quote(&field.name));
        if sqlx::query_scalar(AssertSqlSafe(text)).bind(EXACT_INT).fetch_one(&mut *connection).await? {
            around.inexact.push(field.name.clone());
        }
    }
    Ok(around)
}

async fn is_small(connection: &mut SqliteConnection, table: &str) -> Result<bool, Failure> {
    let last = sqlx::query_scalar(AssertSqlSafe(format!("select max(rowid) from {table}")));
    let rows: Option<i64> = last.fetch_one(connection).await?;
    Ok(rows.unwrap_or(0) <= SMALL_ROWS)
}

/// Whether the data table is small, and if so whether it has rows of one series and one time.
async fn duplicates(connection: &mut SqliteConnection, measurement: &str, around: &mut Around) -> Result<(), Failure> {
    let table = Dialect::Sqlite.data(measurement);
    around.is_small = is_small(&mut *connection, &table).await?;
    if around.is_small {
        let text = format!("select exists (select 1 from {table} group by series_id, time having count(*) > 1)");
        around.has_duplicates = sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(connection).await?;
    }
    Ok(())
}

/// The indexes over series and time of the data table.
async fn readings(connection: &mut SqliteConnection, measurement: &str) -> Result<Vec<Index>, Failure> {
    let indexes: Vec<(String, bool)> = sqlx::query_as(
        "select l.name, l.\"unique\" from pragma_index_list(?) l
         where not l.partial and (select group_concat(c.name) from (select name from pragma_index_info(l.name) order by name) c) = 'series_id,time'
         order by l.seq desc",
    )
    .bind(format!("store_{measurement}_data"))
    .fetch_all(connection)
    .await?;
    let index = |(name, is_unique): (String, bool)| Index { name: quote(&name), is_unique, constraint: None };
    Ok(indexes.into_iter().map(index).collect())
}

async fn relation(connection: &mut SqliteConnection, name: &str) -> Result<Option<Relation>, Failure> {
    let shape: Option<String> = sqlx::query_scalar("select type from sqlite_schema where name = ?")
        .bind(name)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(shape) = shape else { return Ok(None) };
    let shape = match shape.as_str() {
        "table" => Shape::Table,
        "view" => Shape::View,
        other => Shape::Other(format!("an {other}")),
    };
    let columns: Vec<(String, String, bool)> = sqlx::query_as(
        "select name, upper(type), \"notnull\" and dflt_value is null and pk = 0 from pragma_table_xinfo(?) order by cid",
    )
    .bind(name)
    .fetch_all(connection)
    .await?;
    let column = |(name, r#type, required)| Column { name, r#type, required, comment: None };
    Ok(Some(Relation { shape, columns: columns.into_iter().map(column).collect() }))
}

/// Writes what the mapping says of the measurements, where it has changed. What others wrote stays.
async fn catalogue(connection: &mut SqliteConnection, catalogue: &Catalogue<'_>) -> Result<(), Failure> {
    let text = format!(
        "insert into store_measurement (name, tags, created_at, retention) values (?, ?, {NOW}, ?)
         on conflict (name) do update set tags = excluded.tags, retention = excluded.retention
         where store_measurement.tags <> excluded.tags or store_measurement.retention is not excluded.retention"
    );
    for ((name, tags), retention) in catalogue.names.iter().zip(&catalogue.tags).zip(&catalogue.retentions) {
        let query = sqlx::query(AssertSqlSafe(text.as_str())).bind(*name).bind(tags).bind(retention);
        query.execute(&mut *connection).await?;
    }
    for field in &catalogue.fields {
        sqlx::query(
            "insert into store_field as f (measurement, name, position, type, kind, unit, description, decimals, min, max)
             values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             on conflict (measurement, name) do update set position = excluded.position, type = excluded.type, kind = excluded.kind,
               unit = excluded.unit, description = excluded.description, decimals = excluded.decimals, min = excluded.min, max = excluded.max
             where (f.position, f.type, f.kind, f.unit, f.description, f.decimals, f.min, f.max) is not
               (excluded.position, excluded.type, excluded.kind, excluded.unit, excluded.description, excluded.decimals, excluded.min, excluded.max)",
        )
        .bind(field.measurement)
        .bind(field.name)
        .bind(field.position)
        .bind(field.r#type)
        .bind(field.kind)
        .bind(field.unit)
        .bind(field.description)
        .bind(field.decimals)
        .bind(field.min)
        .bind(field.max)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
