//! PostgreSQL: a table that was plain when its measurement got a retention becomes the first part of one that is partitioned
//! by time. No row is moved.
//!
//! In three steps, each of which a crash may follow, and the next look goes on: a constraint says that all rows are before a
//! time B of the next days (new rows at once, those that are there unproven: a moment); it is proven, while everybody reads
//! and writes; then in one short transaction the table gets another name, one by its old name is made as it is, and it is
//! attached up to B, which the constraint makes a matter of the catalogue alone. Rows up to B go on into the old part, which
//! is dropped like any other when all of it is too old; until then its old rows are deleted in slices.
//!
//! Invariants: no row is refused for the constraint (a writer who meets it takes it back, `partitions::let_go`); whoever
//! could read or write can do so afterwards, and no view shows less; what cannot be taken along, which is found before
//! anything is done, leaves the table as it is.
//!
//! Not here: deletion, and partitions from B on (`upkeep::postgres`).

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::Kept;
use crate::message::Time;
use crate::schema::Measurement;
use crate::status::told;
use crate::store::error::{Class, Failure};
use crate::store::link::within;
use crate::store::plan::Dialect;
use crate::store::plan::partitions::{BEFORE, BY_TIME, DAY, date, instant};
use crate::store::postgres::{answered, command};
use crate::store::sql::quote;

/// B is so far on at least: rows bear times up to a day after their receipt, unless a mapping says otherwise.
const AHEAD: i64 = 3 * DAY;
/// A constraint that holds for less is replaced before a row meets it.
const LEAST_AHEAD: i64 = DAY + DAY / 2;
/// A table with rows later than this would be one part for ever.
const MOST_AHEAD: i64 = 60 * DAY;
/// Everybody waits behind a lock that is asked for.
const PATIENCE: &str = "300ms";
/// To read a table once.
const PROOF_LIMIT: Duration = Duration::from_secs(6 * 3_600);

/// A constraint of ours.
struct Bound {
    /// Quoted.
    name: String,
    before: i64,
    is_proven: bool,
}

/// Goes as many steps as it can; whether the table is partitioned now.
pub(super) async fn attach(
    connection: &mut PgConnection,
    measurement: &Measurement,
    now: Time,
    kept: &mut Kept,
) -> Result<bool, Failure> {
    let key = format!("hashtextextended({}, 1)", crate::store::sql::literal(&measurement.name));
    // Another Amber is about it, perhaps.
    let text = format!("select pg_try_advisory_lock({key})");
    if !answered(sqlx::query_scalar::<_, bool>(AssertSqlSafe(text)).fetch_one(&mut *connection)).await? {
        return Ok(false);
    }
    let outcome = steps(connection, measurement, now, kept).await;
    let outcome = match outcome {
        // Somebody reads, or writes for long.
        Err(failure) if failure.class == Class::Away && !failure.lost => {
            kept.is_held = true;
            Ok(false)
        }
        Err(failure) if failure.class != Class::Away && !failure.lost => {
            kept.parts.push(stays(measurement, &told(&failure.source)));
            Ok(false)
        }
        outcome => outcome,
    };
    if outcome.is_ok() {
        command(connection, &format!("select pg_advisory_unlock({key})")).await?;
    }
    outcome
}

fn stays(measurement: &Measurement, why: &str) -> String {
    format!(
        "{} is not partitioned, and old rows of it are deleted in slices: {why}",
        Dialect::Postgres.data(&measurement.name)
    )
}

async fn steps(
    connection: &mut PgConnection,
    measurement: &Measurement,
    now: Time,
    kept: &mut Kept,
) -> Result<bool, Failure> {
    let table = Dialect::Postgres.data(&measurement.name);
    let bounds = bounds(connection, &format!("{}_data", measurement.name)).await?;
    if let Some(why) = hindrance(connection, measurement).await? {
        for bound in &bounds {
            let_go(connection, &table, bound).await?;
        }
        kept.parts.push(stays(measurement, &why));
        return Ok(false);
    }
    let mut proven = None;
    for bound in bounds {
        if bound.before < now.0 + LEAST_AHEAD || proven.is_some() {
            let_go(connection, &table, &bound).await?;
        } else {
            proven = Some(bound);
        }
    }
    let bound = match proven {
        Some(bound) => bound,
        None => {
            let latest = latest(connection, measurement).await?.max(now.0 + AHEAD);
            if latest > now.0 + MOST_AHEAD {
                kept.parts.push(stays(
                    measurement,
                    &format!("it has rows up to {}; delete those that are wrong", Time(latest)),
                ));
                return Ok(false);
            }
            let before = latest - latest.rem_euclid(DAY) + DAY;
            let bound = Bound { name: quote(&format!("{BEFORE}_{}", date(before))), before, is_proven: false };
            command(
                connection,
                &format!(
                    "set lock_timeout = '{PATIENCE}'; alter table {table} add constraint {} check (time < {}) not valid; set lock_timeout = '10s'",
                    bound.name,
                    instant(before)
                ),
            )
            .await?;
            bound
        }
    };
    if !bound.is_proven
        && let Err(failure) = prove(connection, &table, &bound).await
    {
        if failure.class == Class::Refused && !failure.lost {
            let_go(connection, &table, &bound).await?;
        }
        return Err(failure);
    }
    let mut transaction = connection.begin().await?;
    match swap(&mut transaction, measurement, &bound).await {
        Ok(()) => {
            // Every statement before it succeeded, so that this is a COMMIT and no ROLLBACK in disguise.
            transaction.commit().await?;
            kept.parts.push(format!(
                "{table} is partitioned by time from now on; what it has until {} is its part {}",
                Time(bound.before),
                before(measurement),
            ));
            Ok(true)
        }
        Err(failure) => {
            drop(transaction.rollback().await);
            Err(failure.context(format!("cannot attach {table} to one that is partitioned")))
        }
    }
}

/// Quoted name of the old part.
fn before(measurement: &Measurement) -> String {
    format!("amber_store.{}", quote(&format!("{}_data_before", measurement.name)))
}

/// For a measurement that has no retention any more: it may have been about to be partitioned.
pub(super) async fn give_up(
    connection: &mut PgConnection,
    measurement: &Measurement,
    kept: &mut Kept,
) -> Result<(), Failure> {
    for bound in bounds(connection, &format!("{}_data", measurement.name)).await? {
        match let_go(connection, &Dialect::Postgres.data(&measurement.name), &bound).await {
            Err(failure) if failure.class == Class::Away && !failure.lost => kept.is_held = true,
            done => done?,
        }
    }
    Ok(())
}

/// Our constraints on a table.
async fn bounds(connection: &mut PgConnection, table: &str) -> Result<Vec<Bound>, Failure> {
    let text = "select quote_ident(k.conname), (extract(epoch from right(k.conname, 8)::date::timestamp at time zone 'UTC') * 1000000)::int8, k.convalidated
         from pg_catalog.pg_constraint k
         join pg_catalog.pg_class c on c.oid = k.conrelid
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'amber_store' and c.relname = $1 and k.contype = 'c' and k.conname ~ ('^' || $2 || '_[0-9]{8}$')
         order by k.conname desc";
    let rows: Vec<(String, i64, bool)> =
        answered(sqlx::query_as(text).bind(table).bind(BEFORE).fetch_all(connection)).await?;
    Ok(rows.into_iter().map(|(name, before, is_proven)| Bound { name, before, is_proven }).collect())
}

/// Takes a constraint of ours back.
async fn let_go(connection: &mut PgConnection, table: &str, bound: &Bound) -> Result<(), Failure> {
    let text = format!(
        "set lock_timeout = '{PATIENCE}'; alter table {table} drop constraint if exists {}; set lock_timeout = '10s'",
        bound.name
    );
    command(connection, &text).await
}

/// What cannot be taken along.
async fn hindrance(connection: &mut PgConnection, measurement: &Measurement) -> Result<Option<String>, Failure> {
    let text = "
with t as (select c.* from pg_catalog.pg_class c where c.oid = $1::regclass),
v as (
  select distinct w.oid, format('%I.%I', n.nspname, w.relname) as name, w.relkind, w.relowner
  from t
  join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = t.oid
  join pg_catalog.pg_rewrite r on r.oid = d.objid
  join pg_catalog.pg_class w on w.oid = r.ev_class
  join pg_catalog.pg_namespace n on n.oid = w.relnamespace
)
select case
  when t.relkind <> 'r' or t.relpersistence <> 'p' then 'it is no plain table'
  when not pg_catalog.pg_has_role(t.relowner, 'usage') then format('it belongs to the role %I', pg_catalog.pg_get_userbyid(t.relowner))
  when to_regclass($2) is not null then format('there is a table %s already', $2)
  when exists (select from pg_catalog.pg_inherits where inhrelid = t.oid or inhparent = t.oid) then 'it inherits, or others inherit from it'
  when exists (select from pg_catalog.pg_trigger where tgrelid = t.oid and not tgisinternal) then 'it has a trigger'
  when exists (select from pg_catalog.pg_rewrite where ev_class = t.oid) then 'it has a rule'
  when t.relrowsecurity or exists (select from pg_catalog.pg_policy where polrelid = t.oid) then 'it has a policy of row security'
  when exists (select from pg_catalog.pg_constraint where t.oid in (conrelid, confrelid) and contype in ('f', 'x', 't')) then 'it has a foreign key or an exclusion, or others refer to it'
  when exists (select from pg_catalog.pg_constraint where conrelid = t.oid and contype = 'c' and not convalidated and conname !~ ('^' || $3 || '_[0-9]{8}$')) then 'it has a constraint that is not valid'
  when exists (
    select from pg_catalog.pg_index x
    join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attname = 'time'
    where x.indrelid = t.oid and (x.indisexclusion or not x.indisvalid or x.indisunique and not a.attnum = any(x.indkey))
  ) then 'it has a unique index without `time`, or an index that is half made'
  when exists (select from pg_catalog.pg_attribute where attrelid = t.oid and attidentity <> '') then 'it has an identity column'
  when exists (select from pg_catalog.pg_depend where refclassid = 'pg_catalog.pg_class'::regclass and refobjid = t.oid and refobjsubid > 0 and deptype = 'a' and classid = 'pg_catalog.pg_class'::regclass and exists (select from pg_catalog.pg_class s where s.oid = objid and s.relkind = 'S')) then 'it has a sequence of its own'
  when exists (select from pg_catalog.pg_publication_rel where prrelid = t.oid) then 'it is published'
  when exists (select from pg_catalog.pg_depend where refclassid = 'pg_catalog.pg_class'::regclass and refobjid = t.oid and classid in ('pg_catalog.pg_proc'::regclass)) then 'a function is built on it'
  when exists (select from v where relkind <> 'v') then format('%s, which is no view, is built on it', (select min(name) from v where relkind <> 'v'))
  when exists (select from v where not pg_catalog.pg_has_role(relowner, 'usage')) then format('the view %s of another role is built on it', (select min(name) from v where not pg_catalog.pg_has_role(relowner, 'usage')))
end
from t";
    let query = sqlx::query_scalar(text).bind(Dialect::Postgres.data(&measurement.name));
    answered(query.bind(before(measurement)).bind(BEFORE).fetch_one(connection)).await
}

/// The latest time of a row, by the index over series and time: to look through all rows would take long.
async fn latest(connection: &mut PgConnection, measurement: &Measurement) -> Result<i64, Failure> {
    let (data, series) = (Dialect::Postgres.data(&measurement.name), Dialect::Postgres.series(&measurement.name));
    // `infinity` is later than any time that a number can say.
    let text = format!(
        "select coalesce(max(case when isfinite(d.time) then (extract(epoch from d.time) * 1000000)::int8 else 9223372036854775807 end), -9223372036854775808)
         from {series} s cross join lateral (select time from {data} where series_id = s.series_id order by time desc limit 1) d"
    );
    answered(sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(connection)).await
}

/// Reads all rows, while everybody reads and writes.
async fn prove(connection: &mut PgConnection, table: &str, bound: &Bound) -> Result<(), Failure> {
    command(connection, "begin").await?;
    let proof = async {
        command(connection, "set local statement_timeout = 0").await?;
        let text = format!("alter table {table} validate constraint {}", bound.name);
        within(PROOF_LIMIT, async {
            sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *connection).await?;
            Ok(())
        })
        .await?;
        command(connection, "commit").await
    };
    let proof = proof.await;
    if let Err(failure) = &proof
        && !failure.lost
    {
        command(connection, "rollback").await?;
    }
    proof
}

/// Statements that give the new table what the old one has, and views that show it; read before it gets its other name.
/// $1: the table; its name is in them as it is now.
const ALONG: &str = "
with t as (
  select c.*, format('%I.%I', n.nspname, c.relname) as name
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.oid = $1::regclass
), parts (place, statement) as (
  select 1, format('alter table %s owner to %I', name, pg_catalog.pg_get_userbyid(relowner)) from t
  where relowner <> (select oid from pg_catalog.pg_roles where rolname = current_user)
  union all
  select distinct 2, format('revoke all on %s from %s', t.name, case g.grantee when 0 then 'public' else quote_ident(pg_catalog.pg_get_userbyid(g.grantee)) end)
  from t
  join pg_catalog.pg_default_acl d on d.defaclobjtype = 'r' and d.defaclnamespace in (0, t.relnamespace)
  cross join pg_catalog.aclexplode(d.defaclacl) g
  where g.grantee <> t.relowner
  union all
  select 3, format('grant %s on %s to %s%s', lower(g.privilege_type), t.name,
    case g.grantee when 0 then 'public' else quote_ident(pg_catalog.pg_get_userbyid(g.grantee)) end,
    case when g.is_grantable then ' with grant option' else '' end)
  from t
  cross join pg_catalog.aclexplode(t.relacl) g
  where g.grantee <> t.relowner
  union all
  select 4, format('grant %s (%I) on %s to %s%s', lower(g.privilege_type), a.attname, t.name,
    case g.grantee when 0 then 'public' else quote_ident(pg_catalog.pg_get_userbyid(g.grantee)) end,
    case when g.is_grantable then ' with grant option' else '' end)
  from t
  join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
  cross join pg_catalog.aclexplode(a.attacl) g
  union all
  select 5, format('comment on table %s is %L', name, pg_catalog.obj_description(oid, 'pg_class')) from t
  where pg_catalog.obj_description(oid, 'pg_class') is not null
  union all
  select 6, format('create %sindex on %s %s', case when x.indisunique then 'unique ' else '' end, t.name,
    substr(pg_catalog.pg_get_indexdef(i.oid), length(format('CREATE %sINDEX %I ON %s ', case when x.indisunique then 'UNIQUE ' else '' end, i.relname, t.name)) + 1))
  from t
  join pg_catalog.pg_index x on x.indrelid = t.oid
  join pg_catalog.pg_class i on i.oid = x.indexrelid
  union all
  select 7, null
  union all
  select distinct 8, format('create or replace view %I.%I%s as %s', n.nspname, w.relname, ' with (' || array_to_string(w.reloptions, ', ') || ')',
    rtrim(pg_catalog.pg_get_viewdef(w.oid), ';'))
  from t
  join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = t.oid
  join pg_catalog.pg_rewrite r on r.oid = d.objid
  join pg_catalog.pg_class w on w.oid = r.ev_class
  join pg_catalog.pg_namespace n on n.oid = w.relnamespace
)
select statement from parts order by place, statement";

/// Views that show the table: whoever reads one has its lock before that of the table.
const VIEWS: &str = "
select distinct format('%I.%I', n.nspname, w.relname)
from pg_catalog.pg_depend d
join pg_catalog.pg_rewrite r on r.oid = d.objid
join pg_catalog.pg_class w on w.oid = r.ev_class
join pg_catalog.pg_namespace n on n.oid = w.relnamespace
where d.classid = 'pg_catalog.pg_rewrite'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = $1::regclass
order by 1";

/// In a transaction: all or nothing. Everybody waits for it.
async fn swap(connection: &mut PgConnection, measurement: &Measurement, bound: &Bound) -> Result<(), Failure> {
    let (table, old) = (Dialect::Postgres.data(&measurement.name), before(measurement));
    // Names in what is read are qualified then.
    let prepare = "set local search_path = ''; set local lock_timeout = '5s'; \
                   select pg_advisory_xact_lock(hashtextextended('amber schema', 0))";
    command(connection, prepare).await?;
    let mut locked: Vec<String> = answered(sqlx::query_scalar(VIEWS).bind(&table).fetch_all(&mut *connection)).await?;
    locked.push(table.clone());
    let lock =
        format!("set local lock_timeout = '{PATIENCE}'; lock table {} in access exclusive mode", locked.join(", "));
    command(connection, &lock).await?;
    // Somebody may have changed something meanwhile.
    if let Some(why) = hindrance(connection, measurement).await? {
        return Err(Failure::standing(why));
    }
    let along: Vec<Option<String>> =
        answered(sqlx::query_scalar(ALONG).bind(&table).fetch_all(&mut *connection)).await?;
    let (inside, views) = along.split_at(along.iter().position(Option::is_none).unwrap_or(along.len()));
    let begin = [
        format!("alter table {table} rename to {}", quote(&format!("{}_data_before", measurement.name))),
        format!("create table {table} (like {old} including all excluding indexes excluding statistics){BY_TIME}"),
        format!("alter table {table} drop constraint {}", bound.name),
    ];
    let end = [
        format!("alter table {table} attach partition {old} for values from (minvalue) to ({})", instant(bound.before)),
        format!("alter table {old} drop constraint {}", bound.name),
    ];
    let all = begin.iter().chain(inside.iter().flatten()).chain(&end).chain(views.iter().flatten());
    for statement in all {
        command(connection, statement).await.map_err(|failure| {
            let head = statement.lines().next().unwrap_or_default().to_owned();
            failure.context(format!("`{head}`"))
        })?;
    }
    Ok(())
}
