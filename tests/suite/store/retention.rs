//! `retention`: tables that are partitioned by time, and rows that are deleted when they are too old.

use std::time::Duration;

use amber::batch::Batch;
use amber::message::Time;
use amber::row::{Row, Value};
use amber::schema::{Compress, Measurement, OnDuplicate, Schema, Type};
use amber::store::{Kept, Upkeep};

use super::subject::{Home, NOON, Subject, batch, climate, field, row, standing};
use crate::support::sql::Sql;

pub const DAY: i64 = 86_400_000_000;

/// `climate`, whose rows are kept for so many days.
pub fn kept(days: u64) -> Schema {
    let mut schema = climate();
    schema.measurements[0].retention = Some(Duration::from_secs(days * 86_400));
    schema
}

/// A database in which nobody but PostgreSQL itself partitions a table.
fn partitioning() -> Home {
    let home = Home::postgres();
    home.sql().run("drop extension if exists timescaledb");
    home
}

/// A row of `climate`, so many days after noon.
fn on(days: i64, t: f64) -> Row {
    Row { time: Time(NOON.0 + days * DAY), ..row(0, &["kitchen", "t1"], vec![Some(Value::Float(t))]) }
}

fn days(days: impl IntoIterator<Item = i64>) -> Batch {
    batch(days.into_iter().map(|day| on(day, 20.5)).collect())
}

/// The partitions of `climate_data`, by name.
pub fn partitions(sql: &mut Sql) -> Vec<String> {
    let text = "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
                where i.inhparent = 'amber_store.climate_data'::regclass order by 1";
    sql.rows(text).unwrap().into_iter().flatten().flatten().collect()
}

fn has(sql: &mut Sql, date: &str) -> bool {
    partitions(sql).contains(&format!("climate_data_{date}"))
}

#[test]
fn a_new_table_is_partitioned_and_what_a_row_needs_is_made_before_it() {
    let home = partitioning();
    let mut store = home.ready(&kept(30));
    let mut sql = home.sql();
    assert!(!partitions(&mut sql).is_empty(), "the next days are made ahead");
    // 400 days ago, and tomorrow: what a row needs is there before it.
    let written = store.write(&days([-400, -399, 0, 1]), 1).unwrap();
    assert_eq!((written.rows, written.refused), (4, vec![]));
    assert_eq!(home.count("climate"), 4);
    assert!(has(&mut sql, "20251021") && has(&mut sql, "20251022") && has(&mut sql, "20261125"));
    assert_eq!(sql.number("select count(*) from amber_store.climate_data_20261125"), Ok(1));
    assert!(store.plan(&kept(30)).unwrap().is_empty());
    assert_eq!(sql.value("select retention from amber.measurements"), Ok("30 days".to_owned()));
    // Indexes are those of the parent.
    let indexes = "select count(*) from pg_index where indrelid = 'amber_store.climate_data_20251021'::regclass";
    assert_eq!(sql.number(indexes), Ok(2));
}

#[test]
fn a_partition_that_somebody_drops_under_a_writer_is_made_again_and_no_row_is_refused() {
    let home = partitioning();
    let mut store = home.ready(&kept(30));
    store.write(&days([-20, 0]), 1).unwrap();
    let mut sql = home.sql();
    sql.run("drop table amber_store.climate_data_20261105");
    let written = store.write(&days([-20, 0]), 2).unwrap();
    assert_eq!((written.rows, written.refused, written.rejects), (2, vec![], 0));
    assert_eq!(home.count("climate"), 3);
    assert!(has(&mut sql, "20261105"));
}

#[test]
fn two_ambers_that_need_the_same_partitions_make_them_once() {
    let home = partitioning();
    home.ready(&kept(30));
    let writers: Vec<_> = (0..4)
        .map(|n| {
            let url = home.store_url();
            std::thread::spawn(move || {
                let mut store = Subject::of(&format!("gateway {n}"), url, n, true);
                store.prepare(&kept(30)).unwrap();
                store.adopt().unwrap();
                for (number, first) in (1..).zip([-100, -80, -60]) {
                    assert_eq!(store.write(&days(first..first + 20), number).unwrap().rows, 20);
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(home.count("climate"), 240);
    assert_eq!(home.count("rejects"), 0);
}

#[test]
fn a_partitioned_table_grows_and_changes_as_any_other() {
    let home = partitioning();
    let mut schema = kept(30);
    schema.measurements[0].fields.push(field("n", Type::Int));
    let mut store = home.ready(&schema);
    let row = |day: i64, n: i64| Row {
        time: Time(NOON.0 + day * DAY),
        ..row(0, &["kitchen", "t1"], vec![Some(Value::Float(1.5)), Some(Value::Int(n))])
    };
    store.write(&batch(vec![row(-3, 1), row(0, 2)]), 1).unwrap();
    // An int becomes a float, a field and a tag come, and rows of one time are one.
    let fields = vec![field("temperature", Type::Float), field("n", Type::Float), field("h", Type::Bool)];
    let mut tags = schema.measurements[0].tags.clone();
    tags.push("floor".to_owned());
    let changed = Measurement { fields, tags, on_duplicate: OnDuplicate::Replace, ..schema.measurements[0].clone() };
    let changed = Schema { measurements: vec![changed] };
    store.prepare(&changed).unwrap();
    let later = |day: i64, n: f64| Row {
        tags: amber::row::Tags::new(["kitchen", "t1", ""]),
        fields: vec![None, Some(Value::Float(n)), Some(Value::Bool(true))],
        ..row(day, 0)
    };
    let written = store.write(&batch(vec![later(-3, 1.25), later(-200, 3.5)]), 2).unwrap();
    assert_eq!((written.rows, written.duplicates.values().sum::<u64>()), (1, 1));
    let text = "select string_agg(concat_ws(' ', temperature, n, h), ', ' order by time) from amber.climate";
    assert_eq!(home.sql().value(text), Ok("3.5 t, 1.5 1.25 t, 1.5 2".to_owned()));
}

#[test]
fn a_retention_that_is_taken_away_leaves_partitions_that_go_on_being_made() {
    let home = partitioning();
    let mut store = home.ready(&kept(30));
    store.write(&days([0]), 1).unwrap();
    store.prepare(&climate()).unwrap();
    store.write(&days([-100, 0]), 2).unwrap();
    assert_eq!(home.count("climate"), 3);
    // Weeks from now on; Monday the 17th of August.
    assert!(has(&mut home.sql(), "20260817"));
    assert!(home.sql().value("select retention from amber.measurements").is_err(), "null");
}

#[test]
fn without_ddl_a_row_of_the_present_waits_for_its_partition_and_another_is_a_reject() {
    let home = partitioning();
    home.store(1).prepare(&kept(30)).unwrap();
    let mut store = Subject::with(home.store_url(), 2, false);
    store.prepare(&kept(30)).unwrap();
    store.adopt().unwrap();
    let mut sql = home.sql();
    let now = sql.number("select (extract(epoch from now()) * 1000000)::int8").unwrap();
    let at = |time: i64| batch(vec![Row { time: Time(time), ..on(0, 1.5) }]);
    store.write(&at(now), 1).unwrap();
    // Long ago: nobody stops for it.
    let refused = store.write(&at(now - 100 * DAY), 2);
    assert!(matches!(refused, Err(amber::store::WriteError::Refused(_))), "{refused:?}");
    assert_eq!(store.write_apart(&at(now - 100 * DAY), 2).unwrap().rejects, 1);
    for name in partitions(&mut sql) {
        sql.run(&format!("drop table amber_store.{name}"));
    }
    let text = standing(store.write(&at(now), 3));
    assert!(text.contains("attach partition") && text.contains("amber check --connect"), "{text}");
    let plan = store.plan(&kept(30)).unwrap();
    assert!(plan.is_empty(), "nobody waits: {plan:?}");
    sql.run(&plan.statements.join(";\n"));
    assert!(partitions(&mut sql).len() > 60);
    store.write(&at(now), 3).unwrap();
    assert_eq!(home.count("climate"), 1, "the other went with its partition");
}

/// A look after what is too old, at the present.
pub fn look(home: &Home, schema: &Schema) -> Kept {
    looked(&home.store_config(), schema)
}

pub fn looked(store: &amber::config::Store, schema: &Schema) -> Kept {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut kept = Kept::default();
    let upkeep = Upkeep::new(store);
    runtime.block_on(upkeep.look(schema, Time(present()), &mut kept)).unwrap();
    kept
}

pub fn present() -> i64 {
    Time::now().0
}

/// Rows so many days before the present.
pub fn ago(days: impl IntoIterator<Item = i64>) -> Batch {
    let now = present();
    batch(days.into_iter().map(|days| Row { time: Time(now - days * DAY), ..on(0, 20.5) }).collect())
}

#[test]
fn partitions_are_made_ahead_and_dropped_once_all_of_their_rows_are_too_old() {
    let home = partitioning();
    let mut store = home.ready(&kept(30));
    store.write(&ago(0..40), 1).unwrap();
    let mut sql = home.sql();
    let before = partitions(&mut sql).len();
    sql.run("create table archive as select * from amber.climate");
    let done = look(&home, &kept(30));
    // The day in which the thirtieth ends stays.
    assert_eq!(done.dropped.values().sum::<u64>(), 9, "{done:?}");
    assert_eq!((home.count("climate"), partitions(&mut sql).len()), (31, before - 9));
    assert_eq!(look(&home, &kept(30)), Kept::default());
    // What comes late makes its partition again, and goes with it.
    assert_eq!(store.write(&ago([35]), 2).unwrap().rows, 1);
    assert_eq!(look(&home, &kept(30)).dropped.values().sum::<u64>(), 1);
    // A shorter retention is followed, and one that is taken away.
    assert_eq!(look(&home, &kept(10)).dropped.values().sum::<u64>(), 20);
    for name in partitions(&mut sql) {
        sql.run(&format!("drop table amber_store.{name}"));
    }
    assert_eq!(look(&home, &climate()), Kept::default());
    let ahead = "select exists (select from amber_store.climate_data where false)";
    assert!(!partitions(&mut sql).is_empty() && sql.value(ahead).is_ok(), "made ahead though nothing is dropped");
    store.write(&ago([0, -1]), 3).unwrap();
}

#[test]
fn a_query_of_a_dashboard_keeps_a_partition_and_stops_nobody() {
    let home = partitioning();
    let mut store = home.ready(&kept(30));
    store.write(&ago([0, 40]), 1).unwrap();
    let mut dashboard = home.sql();
    dashboard.run("begin; select * from amber.climate");
    let done = look(&home, &kept(30));
    assert!(done.is_held && done.dropped.is_empty() && done.hindrances.is_empty(), "{done:?}");
    store.write(&ago([0, 1, 2]), 2).unwrap();
    dashboard.run("commit");
    assert_eq!(look(&home, &kept(30)).dropped.values().sum::<u64>(), 1);
    assert_eq!(home.count("climate"), 4);
}

#[test]
fn a_batch_of_now_touches_no_partition_of_other_times_though_it_looks_for_duplicates() {
    for on_duplicate in [OnDuplicate::Ignore, OnDuplicate::Replace] {
        let home = partitioning();
        let mut schema = kept(90);
        schema.measurements[0].on_duplicate = on_duplicate;
        let mut store = home.ready(&schema);
        store.write(&ago((0..300).step_by(7)), 1).unwrap();
        let mut other = home.sql();
        let old = partitions(&mut other).remove(10);
        other.run(&format!("begin; lock table amber_store.{old}"));
        // More often than PostgreSQL makes plans for the times of one statement before it tries one for all times.
        for number in 2..12 {
            let twice = ago([0]);
            assert_eq!(store.write(&twice, number * 2).unwrap().rows, 1);
            let again = store.write(&twice, number * 2 + 1).unwrap();
            assert_eq!((again.rows, again.duplicates.values().sum::<u64>()), (0, 1));
        }
        other.run("commit");
        // Rows far apart in time are looked up in their partitions.
        let apart = ago([1, 250]);
        assert_eq!(store.write(&apart, 30).unwrap().rows, 2);
        assert_eq!(store.write(&apart, 31).unwrap().duplicates.values().sum::<u64>(), 2);
    }
}

#[test]
fn rows_of_a_table_without_partitions_are_deleted_in_slices_and_the_rest_stays() {
    for home in [partitioning(), Home::sqlite()] {
        let mut store = home.ready(&climate());
        let now = present();
        let row = |n: i64| {
            let device = format!("d{}", n % 7);
            let fields = vec![Some(Value::Float(1.5))];
            Row { time: Time(now - n * DAY / 100), ..row(0, &["kitchen", &device], fields) }
        };
        for number in 0..4 {
            store.write(&batch((0..2_500).map(|n| row(number * 2_500 + n)).collect()), number + 1).unwrap();
        }
        // A retention that comes later; of a hundred days one is in it.
        store.prepare(&kept(1)).unwrap();
        let done = look(&home, &kept(1));
        assert_eq!(done.deleted.values().sum::<u64>(), 10_000 - 100, "{home}: {done:?}");
        assert_eq!(home.count("climate"), 100, "{home}");
        assert_eq!(look(&home, &kept(1)), Kept::default(), "{home}");
        store.write(&ago([0]), 5).unwrap();
    }
}

#[test]
fn sqlite_gives_the_space_back() {
    let home = Home::sqlite();
    let mut store = home.ready(&kept(1));
    let now = present();
    let rows = |first: i64| (first..first + 5_000).map(|n| Row { time: Time(now - 2 * DAY - n), ..on(0, 1.5) });
    for number in 0..16 {
        store.write(&batch(rows(number * 5_000).collect()), number + 1).unwrap();
    }
    let pages = |home: &Home| home.sql().number("pragma page_count").unwrap();
    let before = pages(&home);
    assert_eq!(look(&home, &kept(1)).deleted.values().sum::<u64>(), 80_000);
    let free = home.sql().number("pragma freelist_count").unwrap();
    assert!(free <= 1_024, "{free}");
    assert!(pages(&home) < before - 500, "{before} pages before, {} now", pages(&home));
}

#[test]
fn without_ddl_a_person_is_asked_in_time() {
    let home = partitioning();
    home.ready(&kept(30)).write(&ago([40]), 1).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let upkeep = Upkeep::new(&amber::config::Store { ddl: false, ..home.store_config() });
    let mut done = Kept::default();
    runtime.block_on(upkeep.look(&kept(30), Time(present()), &mut done)).unwrap();
    let [ahead, old] = &done.hindrances[..] else { panic!("{done:?}") };
    assert!(ahead.contains("amber check --connect"), "{ahead}");
    assert!(old.contains("drop table amber_store.climate_data_"), "{old}");
    assert_eq!(home.count("climate"), 1);
}

#[test]
fn without_timescaledb_its_settings_do_nothing() {
    let home = partitioning();
    let mut schema = kept(30);
    schema.measurements[0].compress = Some(Compress::After(Duration::from_secs(86_400)));
    let mut store = home.ready(&schema);
    store.write(&ago([0, 1]), 1).unwrap();
    let plan = store.plan(&schema).unwrap();
    assert_eq!((plan.statements, plan.notes), (vec![], vec![]));
    assert!(!partitions(&mut home.sql()).is_empty());
    assert_eq!(look(&home, &schema), Kept::default());
}
