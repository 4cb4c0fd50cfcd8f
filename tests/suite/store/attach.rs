//! A retention that comes later: the table that was plain becomes the first part of one that is partitioned.

use amber::batch::Batch;
use amber::row::{Row, Value};
use amber::schema::{OnDuplicate, Schema, Type};
use amber::store::Kept;

use super::retention::{DAY, ago, kept, look, partitions, present};
use super::subject::{Home, Subject, batch, climate, field, row};
use crate::support::sql::Sql;

fn is_partitioned(sql: &mut Sql) -> bool {
    sql.number("select count(*) from pg_class where oid = 'amber_store.climate_data'::regclass and relkind = 'p'")
        == Ok(1)
}

fn bounds(sql: &mut Sql) -> Vec<String> {
    let text = "select pg_get_constraintdef(oid) from pg_constraint where conname like 'amber%before%' order by 1";
    sql.rows(text).unwrap().into_iter().flatten().flatten().collect()
}

fn note(done: &Kept) -> &str {
    let [note] = &done.parts[..] else { panic!("{done:?}") };
    note
}

/// A row of another sensor, so that it is told from those of `ago`.
fn later(days: i64) -> Batch {
    let row = Row {
        time: amber::message::Time(present() + days * DAY),
        ..row(0, &["attic", "t2"], vec![Some(Value::Float(1.5))])
    };
    batch(vec![row])
}

#[test]
fn a_full_plain_table_becomes_the_first_part_and_all_that_hangs_on_it_goes_along() {
    let home = Home::postgres();
    let mut store = home.ready(&climate());
    store.write(&ago(0..100), 1).unwrap();
    let mut sql = home.sql();
    let role = format!("reader_{}", sql.value("select pg_backend_pid()").unwrap());
    sql.run(&format!(
        "create role {role};
         grant usage on schema amber, amber_store to {role};
         grant select on amber.climate, amber_store.climate_data to {role};
         grant update (temperature) on amber_store.climate_data to {role} with grant option;
         comment on table amber_store.climate_data is 'mine';
         comment on view amber.climate is 'mine, too';
         alter table amber_store.climate_data add column note text default 'none' check (note <> '');
         create index on amber_store.climate_data (note) where note <> 'none';
         create view warm with (security_barrier = true) as select time, temperature from amber_store.climate_data where temperature > 20;
         create view rooms as select room, count(*) as n from amber.climate group by room;
         grant select on warm to {role}"
    ));
    let file = sql.value("select pg_relation_filenode('amber_store.climate_data')");
    let everything = "select md5(string_agg(t::text, ',' order by time)) from amber.climate t where time > now() - interval '29 days'";
    store.prepare(&kept(30)).unwrap();
    let before = sql.value(everything);
    let done = look(&home, &kept(30));
    assert!(note(&done).contains("partitioned by time from now on"), "{done:?}");
    assert_eq!((done.deleted.values().sum::<u64>(), done.hindrances.len()), (70, 0));
    assert!(is_partitioned(&mut sql) && bounds(&mut sql).is_empty());
    assert_eq!(sql.value("select pg_relation_filenode('amber_store.climate_data_before')"), file, "no row is moved");
    assert_eq!(sql.value(everything), before);
    assert!(!partitions(&mut sql).is_empty());
    // The writer has an older plan. Tomorrow is in the old part; what is later has its day.
    for (number, days) in (2..).zip([1, 6, 7]) {
        let written = store.write(&later(days), number).unwrap();
        assert_eq!((written.rows, written.rejects), (1, 0));
    }
    assert_eq!(sql.number("select count(*) from only amber_store.climate_data_before where series_id = 2"), Ok(1));
    assert_eq!(home.count("climate"), 33);
    assert_eq!(sql.value("select string_agg(n::text, ' ' order by room) from rooms"), Ok("3 30".to_owned()));
    assert_eq!(sql.number("select count(*) from warm"), Ok(30));
    assert!(store.plan(&kept(30)).unwrap().is_empty());
    let grants = "select string_agg(privilege, ', ') from (
        select 'view' as privilege where has_table_privilege('ROLE', 'amber.climate', 'select')
        union all select 'table' where has_table_privilege('ROLE', 'amber_store.climate_data', 'select')
        union all select 'column' where has_column_privilege('ROLE', 'amber_store.climate_data', 'temperature', 'update with grant option')
        union all select 'warm' where has_table_privilege('ROLE', 'warm', 'select')) g";
    assert_eq!(sql.value(&grants.replace("ROLE", &role)), Ok("view, table, column, warm".to_owned()));
    let comments = "select concat_ws('; ', obj_description('amber_store.climate_data'::regclass), obj_description('amber.climate'::regclass),
        col_description('amber_store.climate_data'::regclass, 1), (select reloptions[1] from pg_class where oid = 'warm'::regclass))";
    assert_eq!(sql.value(comments), Ok("mine; mine, too; Time of the reading; security_barrier=true".to_owned()));
    // Default, constraint and index are those of new parts, too.
    assert_eq!(sql.number("select count(*) from amber_store.climate_data where note = 'none'"), Ok(33));
    let refused = sql
        .rows("insert into amber_store.climate_data values (now() + interval '6 days', 1, now(), 1, '')")
        .unwrap_err();
    assert!(refused.contains("note_check"), "{refused}");
    let indexes = "select count(*) from pg_index where indrelid = (select max(inhrelid::int8)::oid from pg_inherits where inhparent = 'amber_store.climate_data'::regclass) and indisvalid";
    assert_eq!(sql.number(indexes), Ok(3));
    assert_eq!(look(&home, &kept(30)), Kept::default());
    // The old part goes when all of it is too old.
    sql.run("alter table amber_store.climate_data detach partition amber_store.climate_data_before");
    sql.run("delete from amber_store.climate_data_before where time > now() - interval '31 days'");
    sql.run("alter table amber_store.climate_data attach partition amber_store.climate_data_before for values from (minvalue) to ('2026-01-01')");
    assert_eq!(look(&home, &kept(30)).dropped.values().sum::<u64>(), 1);
    sql.run(&format!("drop owned by {role}; drop role {role}"));
}

#[test]
fn while_somebody_reads_it_waits_and_goes_on_later_and_no_row_of_a_later_time_is_refused() {
    let home = Home::postgres();
    let mut store = home.ready(&climate());
    store.write(&ago(0..40), 1).unwrap();
    store.prepare(&kept(30)).unwrap();
    let (mut sql, mut dashboard) = (home.sql(), home.sql());
    dashboard.run("begin; select * from amber.climate");
    // A reader keeps even the constraint away.
    let done = look(&home, &kept(30));
    assert!(done.is_held && done.parts.is_empty(), "{done:?}");
    assert!(!is_partitioned(&mut sql) && bounds(&mut sql).is_empty());
    assert_eq!(done.deleted.values().sum::<u64>(), 10, "old rows go all the same");
    dashboard.run("commit");
    // As a crash leaves it before the proof.
    let day = sql.value("select to_char((now() at time zone 'UTC')::date + 4, 'YYYYMMDD')").unwrap();
    let bound = format!("amber_before_{day}");
    sql.run(&format!(
        "alter table amber_store.climate_data add constraint {bound} check (time < '{day}T00:00:00Z') not valid"
    ));
    // And after the proof.
    dashboard.run("begin; select * from amber.climate");
    assert!(look(&home, &kept(30)).is_held);
    assert_eq!(
        sql.value("select convalidated from pg_constraint where conname like 'amber_before%'"),
        Ok("t".to_owned())
    );
    store.write(&later(0), 2).unwrap();
    // A row that is later than was expected takes the constraint away, once nobody reads.
    dashboard.run("commit");
    let written = store.write(&later(9), 3).unwrap();
    assert_eq!((written.rows, written.rejects, written.refused.len()), (1, 0, 0));
    assert!(bounds(&mut sql).is_empty());
    let done = look(&home, &kept(30));
    assert!(is_partitioned(&mut sql), "{done:?}");
    assert_eq!(sql.number("select count(*) from amber_store.climate_data_before"), Ok(32));
    store.write(&later(12), 4).unwrap();
    assert_eq!(home.count("climate"), 33);
}

#[test]
fn a_bound_that_is_near_is_replaced_and_one_without_a_retention_is_taken_back() {
    let home = Home::postgres();
    let mut store = home.ready(&climate());
    store.write(&ago(0..3), 1).unwrap();
    store.prepare(&kept(30)).unwrap();
    let mut sql = home.sql();
    let day = sql.value("select to_char((now() at time zone 'UTC')::date + 1, 'YYYYMMDD')").unwrap();
    let bound = format!(
        "alter table amber_store.climate_data add constraint amber_before_{day} check (time < '{day}T00:00:00Z') not valid"
    );
    sql.run(&bound);
    store.prepare(&climate()).unwrap();
    assert_eq!(look(&home, &climate()), Kept::default());
    assert!(bounds(&mut sql).is_empty());
    sql.run(&bound);
    store.prepare(&kept(30)).unwrap();
    assert!(look(&home, &kept(30)).parts.len() == 1 && is_partitioned(&mut sql));
    // Two days from now are in the old part, beyond the bound that there was.
    store.write(&later(2), 2).unwrap();
    assert_eq!(sql.number("select count(*) from amber_store.climate_data_before"), Ok(4));
}

#[test]
fn what_cannot_be_taken_along_leaves_the_table_as_it_is_and_old_rows_are_deleted() {
    let cases = [
        (
            "create function f() returns trigger language plpgsql as 'begin return new; end'; create trigger t before insert on amber_store.climate_data for each row execute function f()",
            "trigger",
            "drop function f() cascade",
        ),
        (
            "create materialized view v as select * from amber_store.climate_data",
            "public.v",
            "drop materialized view v",
        ),
        (
            "alter table amber_store.climate_data enable row level security",
            "row security",
            "alter table amber_store.climate_data disable row level security",
        ),
        (
            "alter table amber_store.climate_data add column id int default 1; create unique index u on amber_store.climate_data (id) where id > 1",
            "unique index",
            "drop index amber_store.u",
        ),
        ("create table amber_store.climate_data_before ()", "already", "drop table amber_store.climate_data_before"),
        (
            "create rule r as on delete to amber_store.climate_data do also notify gone",
            "rule",
            "drop rule r on amber_store.climate_data",
        ),
        (
            "create publication p for table amber_store.climate_data with (publish = 'insert')",
            "published",
            "drop publication p",
        ),
        (
            "insert into amber_store.climate_data values ('2199-01-01', 1, now(), 1)",
            "2199-01-01",
            "delete from amber_store.climate_data where time > now()",
        ),
    ];
    let home = Home::postgres();
    let mut store = home.ready(&climate());
    let mut sql = home.sql();
    for (number, (make, word, undo)) in (1..).zip(cases) {
        store.prepare(&climate()).unwrap();
        store.write(&ago([0, 40]), number).unwrap();
        store.prepare(&kept(30)).unwrap();
        sql.run(make);
        let done = look(&home, &kept(30));
        assert!(note(&done).contains(word) && !done.is_held && done.hindrances.is_empty(), "{make}: {done:?}");
        assert!(bounds(&mut sql).is_empty() && !is_partitioned(&mut sql), "{make}");
        assert_eq!(home.count("climate"), number + i64::from(word == "2199-01-01"), "{make}");
        sql.run(undo);
    }
    assert!(note(&look(&home, &kept(30))).contains("from now on"));
    assert!(is_partitioned(&mut sql));
}

fn replacing(days: Option<u64>) -> Schema {
    let mut schema = days.map_or_else(climate, kept);
    schema.measurements[0].on_duplicate = OnDuplicate::Replace;
    schema.measurements[0].fields.push(field("h", Type::Float));
    schema
}

#[test]
fn one_row_for_each_series_and_time_stays_so_across_the_parts() {
    let home = Home::postgres();
    let mut store = home.ready(&replacing(None));
    let at = |days: i64, t: Option<f64>, h: Option<f64>| {
        let fields = vec![t.map(Value::Float), h.map(Value::Float)];
        batch(vec![Row {
            time: amber::message::Time(1_000_000 * (present() / 1_000_000 / 86_400 * 86_400) + days * DAY),
            ..row(0, &["kitchen", "t1"], fields)
        }])
    };
    store.write(&at(0, Some(1.0), None), 1).unwrap();
    store.prepare(&replacing(Some(30))).unwrap();
    look(&home, &replacing(Some(30)));
    assert!(is_partitioned(&mut home.sql()));
    for (number, day) in (1..).zip([0, 8]) {
        store.write(&at(day, Some(2.0), None), number * 2).unwrap();
        let again = store.write(&at(day, None, Some(3.0)), number * 2 + 1).unwrap();
        assert_eq!((again.rows, again.duplicates.values().sum::<u64>()), (0, 1));
    }
    let text = "select string_agg(concat_ws(' ', temperature, h), ', ' order by time) from amber.climate";
    assert_eq!(home.sql().value(text), Ok("2 3, 2 3".to_owned()));
}

#[test]
fn writers_and_several_ambers_lose_no_row_and_store_none_twice_while_it_happens() {
    let home = Home::postgres();
    let mut first = home.ready(&climate());
    first.write(&ago((0..40).flat_map(|day| [day; 20])), 1).unwrap();
    first.prepare(&kept(30)).unwrap();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|n| {
            let (url, stop) = (home.store_url(), stop.clone());
            std::thread::spawn(move || {
                let mut store = Subject::of(&format!("gateway {n}"), url, n, true);
                store.prepare(&kept(30)).unwrap();
                store.adopt().unwrap();
                let mut number = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) || number < 10 {
                    number += 1;
                    // Before and beyond the bound.
                    let written = store.write(&ago([0, 1, -8, -9]), number).unwrap();
                    assert_eq!((written.rows, written.rejects), (4, 0));
                }
                number * 4
            })
        })
        .collect();
    let lookers: Vec<_> = (0..3)
        .map(|_| {
            let config = home.store_config();
            std::thread::spawn(move || super::retention::looked(&config, &kept(30)))
        })
        .collect();
    let done: Vec<Kept> = lookers.into_iter().map(|looker| looker.join().unwrap()).collect();
    let mut tries = 0;
    while !is_partitioned(&mut home.sql()) {
        look(&home, &kept(30));
        tries += 1;
        assert!(tries < 50, "{done:?}");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let written: i64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
    look(&home, &kept(30));
    assert_eq!(home.count("climate"), 600 + written);
    assert_eq!(home.count("rejects"), 0);
}
