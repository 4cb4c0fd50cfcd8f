//! What another type of a column would have to take along: the size of the table, numbers that do not fit, and the views
//! that show the column, as SQL that makes them again.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::schema::{Field, Type};
use crate::store::error::Failure;
use crate::store::plan::{Around, Dialect, EXACT_INT, View};
use crate::store::sql::{one_line, quote};

/// A table up to this size is written anew in a few seconds.
const SMALL_BYTES: i64 = 128 << 20;

/// Views on the columns $2 of table $1 and views on those, the topmost first. Whoever reads the whole row has column 0.
const VIEWS: &str = "
with recursive v (oid, depth) as (
  select r.ev_class, 1
  from pg_catalog.pg_depend d
  join pg_catalog.pg_rewrite r on r.oid = d.objid
  join pg_catalog.pg_attribute a on a.attrelid = d.refobjid
  where d.classid = 'pg_catalog.pg_rewrite'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
    and d.refobjid = $1::regclass and a.attname = any($2) and d.refobjsubid in (0, a.attnum) and r.ev_class <> d.refobjid
  union
  select r.ev_class, v.depth + 1
  from v
  join pg_catalog.pg_depend d on d.refobjid = v.oid
  join pg_catalog.pg_rewrite r on r.oid = d.objid
  where d.classid = 'pg_catalog.pg_rewrite'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
    and r.ev_class <> v.oid
)
select c.oid::int8, format('%I.%I', n.nspname, c.relname), c.relkind = 'm', n.nspname = 'amber' and c.relname = $3
from (select oid, max(depth) as depth from v group by oid) v
join pg_catalog.pg_class c on c.oid = v.oid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('v', 'm')
order by v.depth desc, c.oid";

/// The statements that make view $1 again as it is, in order. What default privileges would add is taken back first.
const CREATE: &str = "
with c as (
  select c.*, format('%I.%I', n.nspname, c.relname) as name,
    case c.relkind when 'm' then 'materialized view' else 'view' end as kind,
    pg_catalog.pg_get_userbyid(c.relowner) as owner
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.oid = $1::oid
), a as (
  select a.* from pg_catalog.pg_attribute a where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped
), parts (place, statement) as (
  select 1, format('create %s %s%s as %s', kind, name, ' with (' || array_to_string(reloptions, ', ') || ')',
    rtrim(pg_catalog.pg_get_viewdef(oid), ';'))
  from c
  union all
  select 2, format('alter %s %s owner to %I', kind, name, owner) from c
  union all
  select distinct 3, format('revoke all on %s from %s', c.name, case g.grantee when 0 then 'public' else quote_ident(pg_catalog.pg_get_userbyid(g.grantee)) end)
  from c
  join pg_catalog.pg_default_acl d on d.defaclobjtype = 'r' and d.defaclnamespace in (0, c.relnamespace)
  cross join pg_catalog.aclexplode(d.defaclacl) g
  where g.grantee <> c.relowner
  union all
  select 4, format('grant %s on %s to %s%s', lower(g.privilege_type), c.name,
    case g.grantee when 0 then 'public' else quote_ident(pg_catalog.pg_get_userbyid(g.grantee)) end,
    case when g.is_grantable then ' with grant option' else '' end)
  from c
  cross join pg_catalog.aclexplode(c.relacl) g
  where g.grantee <> c.relowner
  union all
  select 5, format('grant %s (%I) on %s to %s%s', lower(g.privilege_type), a.attname, c.name,
    case g.grantee when 0 then 'public' else quote_ident(pg_catalog.pg_get_userbyid(g.grantee)) end,
    case when g.is_grantable then ' with grant option' else '' end)
  from c
  cross join a
  cross join pg_catalog.aclexplode(a.attacl) g
  union all
  select 6, format('alter view %s alter column %I set default %s', c.name, a.attname, pg_catalog.pg_get_expr(d.adbin, d.adrelid))
  from c
  cross join a
  join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  union all
  select 7, format('comment on %s %s is %L', kind, name, pg_catalog.obj_description(oid, 'pg_class')) from c
  where pg_catalog.obj_description(oid, 'pg_class') is not null
  union all
  select 8, format('comment on column %s.%I is %L', c.name, a.attname, pg_catalog.col_description(a.attrelid, a.attnum))
  from c
  cross join a
  where pg_catalog.col_description(a.attrelid, a.attnum) is not null
  union all
  select 9, pg_catalog.pg_get_indexdef(indexrelid) from pg_catalog.pg_index where indrelid = $1::oid
  union all
  select 10, rtrim(pg_catalog.pg_get_ruledef(oid), ';') from pg_catalog.pg_rewrite where ev_class = $1::oid and rulename <> '_RETURN'
  union all
  select 11, pg_catalog.pg_get_triggerdef(oid) from pg_catalog.pg_trigger where tgrelid = $1::oid and not tgisinternal
)
select statement from parts order by place, statement";

/// For the data table of a measurement, whose `fields` have columns of another type.
pub(super) async fn around(
    connection: &mut PgConnection,
    measurement: &str,
    fields: &[&Field],
) -> Result<Around, Failure> {
    let table = Dialect::Postgres.data(measurement);
    let is_small = is_small(&mut *connection, &table).await?;
    let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    let ints = "select name from amber_store.field where measurement = $1 and name = any($2) and type = 'int'";
    let ints = sqlx::query_scalar(ints).bind(measurement).bind(&names).fetch_all(&mut *connection).await?;
    let mut around = Around { is_small, ints, ..Around::default() };
    for field in fields.iter().filter(|field| field.r#type == Type::Float && around.is_small) {
        let column = quote(&field.name);
        let text = format!("select exists (select from {table} where not {column}::numeric between -$1 and $1)");
        // What is no number cannot be compared, and is not converted either.
        let is_int: bool = sqlx::query_scalar(
            "select atttypid = 'int8'::regtype from pg_catalog.pg_attribute where attrelid = $1::regclass and attname = $2",
        )
        .bind(&table)
        .bind(&field.name)
        .fetch_one(&mut *connection)
        .await?;
        if is_int && sqlx::query_scalar(AssertSqlSafe(text)).bind(EXACT_INT).fetch_one(&mut *connection).await? {
            around.inexact.push(field.name.clone());
        }
    }
    // Names are qualified where the search path does not lead to them: the SQL must be the same to whoever runs it.
    let mut scope = connection.begin().await?;
    sqlx::query("set local search_path = ''").execute(&mut *scope).await?;
    let views: Vec<(i64, String, bool, bool)> =
        sqlx::query_as(VIEWS).bind(&table).bind(&names).bind(measurement).fetch_all(&mut *scope).await?;
    for (oid, name, is_materialized, is_ours) in views {
        let create: Vec<String> = sqlx::query_scalar(CREATE).bind(oid).fetch_all(&mut *scope).await?;
        let create = create.iter().map(|statement| one_line(statement)).collect();
        around.views.push(View { name, is_ours, is_materialized, create });
    }
    scope.rollback().await?;
    Ok(around)
}

/// Whether the data table of a measurement is small, and if so whether it has rows of one series and one time.
pub(super) async fn duplicates(
    connection: &mut PgConnection,
    measurement: &str,
    around: &mut Around,
) -> Result<(), Failure> {
    let table = Dialect::Postgres.data(measurement);
    around.is_small = is_small(&mut *connection, &table).await?;
    if around.is_small {
        let text = format!("select exists (select from {table} group by series_id, time having count(*) > 1)");
        around.has_duplicates = sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(connection).await?;
    }
    Ok(())
}

async fn is_small(connection: &mut PgConnection, table: &str) -> Result<bool, Failure> {
    // With its partitions: the table that they are of has no bytes itself.
    let size = sqlx::query_scalar(
        "select pg_catalog.pg_table_size($1::regclass) + coalesce(sum(pg_catalog.pg_table_size(inhrelid)), 0)::int8
         from pg_catalog.pg_inherits where inhparent = $1::regclass",
    )
    .bind(table);
    let bytes: i64 = size.fetch_one(connection).await?;
    Ok(bytes <= SMALL_BYTES)
}
