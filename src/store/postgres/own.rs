//! Finds a table of the user's own, and what the role may do with it.

use sqlx::PgConnection;

use super::prepare::shape;
use crate::schema::{Measurement, Own, TableName};
use crate::store::Plan;
use crate::store::error::Failure;
use crate::store::plan::own::{FoundColumn, FoundOwn};
use crate::store::plan::{self, Dialect, Shape, Table};
use crate::store::sql::quote;

/// What stands in the way of writing into it and what is good to know of it, and how it is written.
pub(super) async fn plan(
    connection: &mut PgConnection,
    measurement: &Measurement,
    own: &Own,
) -> Result<(Plan, Table), Failure> {
    let found = find(connection, own).await?;
    let notes = plan::own::notes(Dialect::Postgres, measurement, own, found.as_ref());
    let like = match &found {
        Some(_) => None,
        None => like(connection, &own.table).await?,
    };
    let found = found.as_ref().ok_or(like.as_deref());
    let (conflicts, table) = plan::own_measurement(Dialect::Postgres, measurement, own, found);
    Ok((Plan { conflicts, notes, ..Plan::default() }, table))
}

/// By `pg_catalog`, where everybody sees everything; without a schema the first of the search path that has it.
async fn find(connection: &mut PgConnection, own: &Own) -> Result<Option<FoundOwn>, Failure> {
    type Relation = (i64, String, String, String, bool, bool, String);
    let relation: Option<Relation> = sqlx::query_as(
        "select c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text,
           c.relkind in ('r', 'p', 'v', 'f') and pg_relation_is_updatable(c.oid, true) & 8 = 8,
           has_schema_privilege(n.oid, 'usage'), current_user::text
         from pg_catalog.pg_class c
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where c.relname = $2 and c.relkind not in ('i', 'I', 't', 'c')
           and case when $1::text is null then n.nspname = any(current_schemas(false)) else n.nspname = $1 end
         order by array_position(current_schemas(false), n.nspname)
         limit 1",
    )
    .bind(&own.table.schema)
    .bind(&own.table.name)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((oid, namespace, name, kind, takes_rows, may_use, role)) = relation else { return Ok(None) };
    type Attribute = (String, String, String, String, bool, bool, bool, bool);
    let attributes: Vec<Attribute> = sqlx::query_as(
        "select a.attname::text, b.typname::text, format_type(a.atttypid, a.atttypmod), format_type(b.oid, null),
           b.typtype = 'e', a.attnotnull and not a.atthasdef and a.attidentity = '' and a.attgenerated = '',
           a.attgenerated <> '' or a.attidentity = 'a', has_column_privilege(a.attrelid, a.attnum, 'insert')
         from pg_catalog.pg_attribute a
         join pg_catalog.pg_type t on t.oid = a.atttypid
         join pg_catalog.pg_type b on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
         where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped
         order by a.attnum",
    )
    .bind(oid)
    .fetch_all(connection)
    .await?;
    let target = format!("{}.{}", quote(&namespace), quote(&name));
    let (mut columns, mut denied) = (Vec::new(), false);
    for (name, r#type, shown, cast, is_enum, required, is_generated, may_insert) in attributes {
        let is_wanted = own.columns().any(|column| column == name);
        denied |= is_wanted && !may_insert;
        columns.push(FoundColumn { name, r#type, shown, cast, is_enum, required, is_generated });
    }
    let usage = (!may_use).then(|| format!("grant usage on schema {} to {}", quote(&namespace), quote(&role)));
    let insert = denied.then(|| format!("grant insert on {target} to {}", quote(&role)));
    let grants = usage.into_iter().chain(insert).collect();
    let shape = if kind == "f" { Shape::Other("a foreign table".to_owned()) } else { shape(&kind) };
    Ok(Some(FoundOwn { target, shape, takes_rows, columns, grants }))
}

/// A table whose name differs in capitals only, as SQL writes it.
async fn like(connection: &mut PgConnection, table: &TableName) -> Result<Option<String>, Failure> {
    let found: Option<(String, String)> = sqlx::query_as(
        "select n.nspname::text, c.relname::text
         from pg_catalog.pg_class c
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where lower(c.relname) = lower($2) and c.relkind in ('r', 'p', 'v', 'f')
           and case when $1::text is null then n.nspname = any(current_schemas(false)) else lower(n.nspname) = lower($1) end
         order by 1, 2
         limit 1",
    )
    .bind(&table.schema)
    .bind(&table.name)
    .fetch_optional(connection)
    .await?;
    Ok(found.map(|(schema, name)| plan::own::shown(&TableName { schema: Some(schema), name })))
}
