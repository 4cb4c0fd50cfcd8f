//! Brings the schemas `amber` and `amber_store` to what is wanted: fixed tables by migrations, measurement tables by
//! plan, the catalogue; all in one transaction under one lock.
//!
//! The lock is an advisory one of our own, held to the end of the transaction: `create table if not exists` in two
//! sessions at once fails, and sqlx's lock for migrations waits for ever and is shared with every other program.

use std::collections::HashMap;

use sqlx::migrate::Migrate as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::{around, own, partitions, timescale};
use crate::config;
use crate::message::Time;
use crate::schema::Schema;
use crate::store::Plan;
use crate::store::catalogue::Catalogue;
use crate::store::error::Failure;
use crate::store::migrations;
use crate::store::others::Lacking;
use crate::store::plan::partitions::DAY;
use crate::store::plan::{self, Appeared, Column, Dialect, Found, Index, Key, Relation, Shape, Table};

/// What is to be done, the tables as they will be, and by measurement the columns that appear.
type Planned = (Plan, Vec<Table>, Vec<(usize, Vec<Appeared>)>);

/// What the configuration says about the making of tables.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    /// Whether Amber makes them.
    pub(super) ddl: bool,
    pub(super) timescale: &'a config::Timescale,
}

/// So far on there are partitions before they are needed: rows may bear times of the day after, by the clock of a device.
pub(in crate::store) const MADE_AHEAD: i64 = 2 * DAY;
/// The same where an administrator makes them.
const PRINTED_AHEAD: i64 = 60 * DAY;

/// What is to be done, and the tables as they will be. Changes nothing.
pub(super) async fn plan(
    connection: &mut PgConnection,
    schema: &Schema,
    rules: Rules<'_>,
) -> Result<(Plan, Vec<Table>), Failure> {
    let (plan, tables, _) = plan_with(connection, schema, &Lacking::new(), rules).await?;
    Ok((plan, tables))
}

/// The same with columns that appear by themselves.
async fn plan_with(
    connection: &mut PgConnection,
    schema: &Schema,
    new: &Lacking,
    rules: Rules<'_>,
) -> Result<Planned, Failure> {
    let mut all = Plan { statements: missing_schemas(connection).await?, ..Plan::default() };
    all.statements.extend(pending(connection).await?);
    let (measurements, tables, appeared) = plan_measurements(connection, schema, new, rules).await?;
    all.extend(measurements);
    Ok((all, tables, appeared))
}

/// Does it, or without `ddl` sees that it is done; gives the tables, and whether something of them was made anew. On any
/// failure nothing is changed.
pub(super) async fn prepare(
    connection: &mut PgConnection,
    schema: &Schema,
    new: &Lacking,
    rules: Rules<'_>,
) -> Result<(Vec<Table>, bool), Failure> {
    let mut transaction = connection.begin().await?;
    match apply(&mut transaction, schema, new, rules).await {
        Ok(made) => {
            // Every statement before it succeeded, so that this is a COMMIT and no ROLLBACK in disguise.
            transaction.commit().await?;
            Ok(made)
        }
        Err(failure) => {
            // A failed rollback says nothing that the failure does not; the transaction ends with the connection.
            drop(transaction.rollback().await);
            Err(failure.rowless())
        }
    }
}

async fn apply(
    connection: &mut PgConnection,
    schema: &Schema,
    new: &Lacking,
    rules: Rules<'_>,
) -> Result<(Vec<Table>, bool), Failure> {
    run(connection, "select pg_advisory_xact_lock(hashtextextended('amber schema', 0))").await?;
    // A long query of a dashboard holds up an ALTER TABLE, and behind that queues everyone: give up soon.
    run(connection, "set local lock_timeout = '2s'").await?;
    let (plan, tables, appeared) = plan_with(connection, schema, new, rules).await?;
    for statement in plan.to_run(rules.ddl)? {
        run(connection, statement).await?;
    }
    let mut rows = Catalogue::new(schema, &tables);
    for (measurement, appeared) in &appeared {
        rows.add(&schema.measurements[*measurement].name, appeared);
    }
    catalogue(connection, &rows).await?;
    Ok((tables, plan.is_anew))
}

async fn run(connection: &mut PgConnection, statement: &str) -> Result<(), Failure> {
    let done = sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await;
    done.map(drop).map_err(|error| {
        let head = statement.lines().next().unwrap_or_default().trim_end_matches(" (");
        Failure::from(error).context(format!("`{head}`"))
    })
}

/// Not `if not exists`: that asks for the right to create even if there is nothing to do.
async fn missing_schemas(connection: &mut PgConnection) -> Result<Vec<String>, Failure> {
    let found: Vec<String> = sqlx::query_scalar(
        "select nspname::text from pg_catalog.pg_namespace where nspname in ('amber', 'amber_store')",
    )
    .fetch_all(connection)
    .await?;
    let wanted = ["amber_store", "amber"].into_iter().filter(|schema| !found.iter().any(|found| found == schema));
    Ok(wanted.map(|schema| format!("create schema {schema}")).collect())
}

async fn exists(connection: &mut PgConnection, table: &str) -> Result<bool, Failure> {
    let query = sqlx::query_scalar(
        "select exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'amber_store' and c.relname = $1)",
    );
    Ok(query.bind(table).fetch_one(connection).await?)
}

/// Migrations that have not run yet.
async fn pending(connection: &mut PgConnection) -> Result<Vec<String>, Failure> {
    let there = exists(connection, "migrations").await?;
    let applied =
        if there { Some(connection.list_applied_migrations(Dialect::Postgres.migrations()).await?) } else { None };
    migrations::pending(Dialect::Postgres, applied.as_deref())
}

async fn plan_measurements(
    connection: &mut PgConnection,
    schema: &Schema,
    new: &Lacking,
    rules: Rules<'_>,
) -> Result<Planned, Failure> {
    let mut found = find(connection, schema).await?;
    let now = partitions::now(connection).await?;
    let timescale = timescale::find(connection, rules.timescale).await?;
    read_catalogue(connection, schema, &mut found).await?;
    let mut all = Plan { conflicts: plan::names(Dialect::Postgres, &schema.measurements), ..Plan::default() };
    let (mut tables, mut appeared) = (Vec::new(), Vec::new());
    for (n, measurement) in schema.measurements.iter().enumerate() {
        if let Some(its) = &measurement.own {
            let (plan, table) = own::plan(connection, measurement, its).await?;
            all.conflicts.extend(plan.conflicts);
            all.notes.extend(plan.notes);
            tables.push(table);
            continue;
        }
        let mut found = found.remove(&measurement.name).unwrap_or_default();
        // An administrator does not come every day.
        found.span = Some((Time(now.0 - DAY), Time(now.0 + if rules.ddl { MADE_AHEAD } else { PRINTED_AHEAD })));
        found.timescale.clone_from(&timescale);
        let retyped = found.retyped(Dialect::Postgres, measurement);
        if !retyped.is_empty() {
            found.around = around::around(connection, &measurement.name, &retyped).await?;
        }
        if found.is_to_be_unique(measurement) {
            around::duplicates(connection, &measurement.name, &mut found.around).await?;
        }
        let new = new.get(&n).map_or(&[][..], Vec::as_slice);
        let (plan, table, columns) = plan::appearing(Dialect::Postgres, measurement, &found, new);
        all.extend(plan);
        tables.push(table);
        appeared.push((n, columns));
    }
    Ok((all, tables, appeared))
}

/// What there is of all measurements, in two queries. `pg_catalog`, because `information_schema` hides what the
/// role may not touch.
async fn find(connection: &mut PgConnection, schema: &Schema) -> Result<HashMap<String, Found>, Failure> {
    let mut found: HashMap<String, Found> = HashMap::new();
    let names: Vec<&str> = schema.measurements.iter().map(|measurement| measurement.name.as_str()).collect();
    let tables: Vec<String> =
        names.iter().flat_map(|name| [format!("{name}_series"), format!("{name}_data")]).collect();
    type Attribute = (String, String, String, Option<String>, Option<String>, Option<bool>, Option<String>);
    let attributes: Vec<Attribute> = sqlx::query_as(
        "select n.nspname::text, c.relname::text, c.relkind::text, a.attname::text, format_type(a.atttypid, a.atttypmod),
           a.attnotnull and not a.atthasdef and a.attidentity = '' and a.attgenerated = '',
           col_description(c.oid, a.attnum)
         from pg_catalog.pg_class c
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
         where n.nspname = 'amber' and c.relname = any($1) or n.nspname = 'amber_store' and c.relname = any($2)
         order by c.oid, a.attnum",
    )
    .bind(&names)
    .bind(&tables)
    .fetch_all(&mut *connection)
    .await?;
    for (namespace, relation, kind, name, r#type, required, comment) in attributes {
        // A measurement may be called `x_data`: the schema tells its view from the table of `x`.
        let (measurement, place): (&str, fn(&mut Found) -> &mut Option<Relation>) = if namespace == "amber" {
            (&relation, |found| &mut found.view)
        } else if let Some(measurement) = relation.strip_suffix("_series") {
            (measurement, |found| &mut found.series)
        } else {
            (relation.strip_suffix("_data").unwrap_or(&relation), |found| &mut found.data)
        };
        let entry = place(found.entry(measurement.to_owned()).or_default());
        let entry = entry.get_or_insert_with(|| Relation { shape: shape(&kind), columns: Vec::new() });
        if let (Some(name), Some(r#type)) = (name, r#type) {
            entry.columns.push(Column { name, r#type, required: required.unwrap_or(false), comment });
        }
    }
    let keys: Vec<(String, String, Vec<String>)> = sqlx::query_as(
        "select t.relname::text, format('%I.%I', n.nspname, i.relname),
           coalesce(array_agg(a.attname::text order by k.place) filter (where a.attname is not null), '{}')
         from pg_catalog.pg_index x
         join pg_catalog.pg_class t on t.oid = x.indrelid
         join pg_catalog.pg_namespace n on n.oid = t.relnamespace
         join pg_catalog.pg_class i on i.oid = x.indexrelid
         cross join lateral unnest(x.indkey::int2[]) with ordinality as k(attnum, place)
         left join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum = k.attnum
         where n.nspname = 'amber_store' and t.relname = any($1)
           and x.indisunique and not x.indisprimary and x.indpred is null and x.indisvalid
         group by t.relname, n.nspname, i.relname",
    )
    .bind(&tables)
    .fetch_all(&mut *connection)
    .await?;
    find_readings(&mut *connection, &tables, &mut found).await?;
    for (table, layout) in partitions::layouts(&mut *connection, &tables).await? {
        let Some(measurement) = table.strip_suffix("_data") else { continue };
        found.entry(measurement.to_owned()).or_default().layout = layout;
    }
    for (relation, name, tags) in keys {
        let Some(measurement) = relation.strip_suffix("_series") else { continue };
        let entry = found.entry(measurement.to_owned()).or_default();
        // Somebody may have added a narrower one of their own; the key has them all.
        if entry.key.as_ref().is_none_or(|key| key.tags.len() < tags.len()) {
            entry.key = Some(Key { name, tags });
        }
    }
    Ok(found)
}

/// Finds the indexes over series and time. One that is deferrable or half made holds nothing off.
async fn find_readings(
    connection: &mut PgConnection,
    tables: &[String],
    found: &mut HashMap<String, Found>,
) -> Result<(), Failure> {
    let indexes: Vec<(String, String, bool, Option<String>)> = sqlx::query_as(
        "select t.relname::text, format('%I.%I', n.nspname, i.relname), x.indisunique,
           (select quote_ident(c.conname) from pg_catalog.pg_constraint c where c.conindid = i.oid and c.contype in ('p', 'u') limit 1)
         from pg_catalog.pg_index x
         join pg_catalog.pg_class t on t.oid = x.indrelid
         join pg_catalog.pg_namespace n on n.oid = t.relnamespace
         join pg_catalog.pg_class i on i.oid = x.indexrelid
         join pg_catalog.pg_am m on m.oid = i.relam
         where n.nspname = 'amber_store' and t.relname = any($1) and m.amname = 'btree'
           and x.indpred is null and x.indexprs is null and x.indisvalid and x.indimmediate and x.indnatts = 2
           and (select array_agg(a.attname::text order by a.attname) from pg_catalog.pg_attribute a
             where a.attrelid = t.oid and a.attnum = any(x.indkey)) = array['series_id', 'time']
         order by x.indexrelid",
    )
    .bind(tables)
    .fetch_all(connection)
    .await?;
    for (relation, name, is_unique, constraint) in indexes {
        let Some(measurement) = relation.strip_suffix("_data") else { continue };
        found.entry(measurement.to_owned()).or_default().readings.push(Index { name, is_unique, constraint });
    }
    Ok(())
}

/// Reads the catalogue of measurements that get columns from rows.
async fn read_catalogue(
    connection: &mut PgConnection,
    schema: &Schema,
    found: &mut HashMap<String, Found>,
) -> Result<(), Failure> {
    let names = schema.measurements.iter().filter(|measurement| measurement.others);
    let names: Vec<&str> = names.map(|measurement| measurement.name.as_str()).collect();
    // An empty store has no catalogue.
    if names.is_empty() || !exists(connection, "field").await? {
        return Ok(());
    }
    let fields: Vec<(String, String, String, i32)> =
        sqlx::query_as("select measurement, name, type, position from amber_store.field where measurement = any($1)")
            .bind(&names)
            .fetch_all(connection)
            .await?;
    for (measurement, name, r#type, position) in fields {
        found.entry(measurement).or_default().catalogue.push((name, r#type, position));
    }
    Ok(())
}

pub(super) fn shape(kind: &str) -> Shape {
    match kind {
        "r" | "p" => Shape::Table,
        "v" => Shape::View,
        "m" => Shape::Other("a materialized view".to_owned()),
        "f" => Shape::Other("a foreign table".to_owned()),
        "S" => Shape::Other("a sequence".to_owned()),
        "c" => Shape::Other("a type".to_owned()),
        _ => Shape::Other("an index".to_owned()),
    }
}

/// Writes what the mapping says of the measurements, where it has changed. What others wrote stays.
async fn catalogue(connection: &mut PgConnection, catalogue: &Catalogue<'_>) -> Result<(), Failure> {
    // Two mappings of one measurement name the same tags in their own order each.
    sqlx::query(
        "insert into amber_store.measurement as m (name, tags, retention)
         select u.name, array(select jsonb_array_elements_text(u.tags::jsonb)), justify_hours(u.retention * interval '1 second')
         from unnest($1::text[], $2::text[], $3::int8[]) as u(name, tags, retention)
         on conflict (name) do update set tags = case when m.tags @> excluded.tags and m.tags <@ excluded.tags then m.tags else excluded.tags end,
           retention = excluded.retention
         where not (m.tags @> excluded.tags and m.tags <@ excluded.tags) or m.retention is distinct from excluded.retention",
    )
    .bind(&catalogue.names)
    .bind(&catalogue.tags)
    .bind(&catalogue.retentions)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "insert into amber_store.field as f (measurement, name, position, type, kind, unit, description, decimals, min, max)
         select * from unnest($1::text[], $2::text[], $3::int4[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int4[], $9::float8[], $10::float8[])
         on conflict (measurement, name) do update set position = excluded.position, type = excluded.type, kind = excluded.kind,
           unit = excluded.unit, description = excluded.description, decimals = excluded.decimals, min = excluded.min, max = excluded.max
         where (f.position, f.type, f.kind, f.unit, f.description, f.decimals, f.min, f.max) is distinct from
           (excluded.position, excluded.type, excluded.kind, excluded.unit, excluded.description, excluded.decimals, excluded.min, excluded.max)",
    )
    .bind(catalogue.column(|field| field.measurement))
    .bind(catalogue.column(|field| field.name))
    .bind(catalogue.column(|field| field.position))
    .bind(catalogue.column(|field| field.r#type))
    .bind(catalogue.column(|field| field.kind))
    .bind(catalogue.column(|field| field.unit))
    .bind(catalogue.column(|field| field.description))
    .bind(catalogue.column(|field| field.decimals))
    .bind(catalogue.column(|field| field.min))
    .bind(catalogue.column(|field| field.max))
    .execute(connection)
    .await?;
    Ok(())
}
