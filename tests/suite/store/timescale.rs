//! Tables of readings as hypertables of TimescaleDB, in both of its editions. Its server is not everywhere, so that these
//! tests are asked for: docs/operation.md has the command.

use std::time::Duration;

use amber::batch::Batch;
use amber::message::Time;
use amber::row::{Row, Tags, Value};
use amber::schema::{Compress, Measurement, OnDuplicate, Schema, Type};
use amber::store::{Kept, Upkeep};

use super::subject::{Home, Subject, batch, climate, field, row, standing};
use crate::support::sql::Sql;

const DAY: i64 = 86_400_000_000;

/// `climate`: how many days its rows are kept, and after how many they are compressed.
fn kept(days: Option<u64>, compress: Option<u64>) -> Schema {
    let span = |days: u64| Duration::from_secs(days * 86_400);
    let mut schema = climate();
    schema.measurements[0].retention = days.map(span);
    schema.measurements[0].compress = compress.map(|days| Compress::After(span(days)));
    schema
}

/// Rows of one sensor so many days before the present.
fn ago(days: impl IntoIterator<Item = i64>) -> Batch {
    let now = Time::now().0;
    let at = |days| Row { time: Time(now - days * DAY), ..row(0, &["kitchen", "t1"], vec![Some(Value::Float(20.5))]) };
    batch(days.into_iter().map(at).collect())
}

fn is_community(sql: &mut Sql) -> bool {
    let license = sql.value("select current_setting('timescaledb.license')");
    license.expect("AMBER_TEST_PG_BIN names a server with TimescaleDB, whose initdb makes the extension") == "timescale"
}

/// The policies of `climate`: what they do, and after how long.
fn policies(sql: &mut Sql) -> String {
    let text = "select coalesce(string_agg(proc_name || ' ' || coalesce(config->>'drop_after', config->>'compress_after'), ', ' order by proc_name), '')
                from timescaledb_information.jobs where hypertable_schema = 'amber_store' and hypertable_name = 'climate_data'";
    sql.value(text).unwrap()
}

fn chunks(sql: &mut Sql) -> i64 {
    sql.number("select count(*) from public.show_chunks('amber_store.climate_data')").unwrap()
}

/// A look after what is too old.
fn look(home: &Home, schema: &Schema) -> Kept {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut kept = Kept::default();
    let upkeep = Upkeep::new(&home.store_config());
    runtime.block_on(upkeep.look(schema, Time::now(), &mut kept)).unwrap();
    kept
}

#[track_caller]
fn nothing_is_planned(store: &mut Subject, schema: &Schema) {
    assert_eq!(store.plan(schema).unwrap().statements, [""; 0]);
}

#[test]
#[ignore = "needs a server with TimescaleDB"]
fn a_new_table_is_a_hypertable_whose_policies_follow_the_mapping_and_a_second_start_plans_nothing() {
    let home = Home::postgres();
    let mut sql = home.sql();
    let is_community = is_community(&mut sql);
    let of = |community: &str| if is_community { community.to_owned() } else { String::new() };
    let mut number = 0;
    let mut written = |schema: &Schema, sql: &mut Sql, expected: &str| {
        let mut store = home.store(1);
        store.prepare(schema).unwrap();
        store.adopt().unwrap();
        assert_eq!(policies(sql), of(expected));
        nothing_is_planned(&mut store, schema);
        number += 1;
        store.write(&ago([0, 5, -1]), number).unwrap();
        nothing_is_planned(&mut store, schema);
        store
    };
    let start = kept(Some(90), Some(7));
    let mut store = written(&start, &mut sql, "policy_compression 7 days, policy_retention 90 days");
    let note = store.plan(&start).unwrap().notes;
    assert_eq!(note.is_empty(), is_community, "{note:?}");
    let said = look(&home, &start).notes;
    assert_eq!(said, note);
    if let Some(note) = note.first() {
        assert!(note.contains("needs the community edition"), "{note}");
    }
    let chunk = "select time_interval from timescaledb_information.dimensions where hypertable_schema = 'amber_store'";
    assert_eq!(sql.value(chunk), Ok("7 days".to_owned()));
    written(&kept(Some(30), Some(3)), &mut sql, "policy_compression 3 days, policy_retention 30 days");
    // Compression is left to others where nobody states it; a retention is the mapping's.
    written(&kept(None, None), &mut sql, "policy_compression 3 days");
    let mut never = kept(Some(10), None);
    never.measurements[0].compress = Some(Compress::Never);
    written(&never, &mut sql, "policy_retention 10 days");
    // What is dropped sooner is not compressed.
    written(&kept(Some(10), Some(10)), &mut sql, "policy_retention 10 days");
    assert_eq!(home.count("climate"), 15);
    assert_eq!(home.count("rejects"), 0);
}

#[test]
#[ignore = "needs a server with TimescaleDB"]
fn old_chunks_are_dropped_where_no_policy_does_it_or_they_are_too_many_for_one() {
    let home = Home::postgres();
    let mut sql = home.sql();
    let is_community = is_community(&mut sql);
    let schema = kept(Some(30), None);
    let mut store = home.ready(&schema);
    // Nothing but Amber drops a chunk here.
    sql.run("select public.alter_job(job_id, scheduled => false) from timescaledb_information.jobs where hypertable_name = 'climate_data'");
    store.write(&ago(0..300), 1).unwrap();
    assert_eq!(chunks(&mut sql), 300);
    let mut dashboard = home.sql();
    dashboard.run("begin; select * from amber.climate");
    let done = look(&home, &schema);
    assert!(done.is_held && done.dropped.is_empty(), "{done:?}");
    store.write(&ago([0, 1, 2]), 2).unwrap();
    dashboard.run("commit");
    let done = look(&home, &schema);
    assert_eq!(done.dropped.values().sum::<u64>(), 269, "{done:?}");
    assert_eq!((chunks(&mut sql), home.count("climate")), (31, 34));
    assert_eq!(look(&home, &schema), Kept::default());
    // What comes late makes its chunk again. Few of them are left to the policy.
    store.write(&ago([31]), 3).unwrap();
    let dropped = |kept: &Kept| kept.dropped.values().sum::<u64>();
    assert_eq!(dropped(&look(&home, &schema)), u64::from(!is_community));
    // What it has left for days, Amber drops, and says so.
    store.write(&ago([31, 35]), 4).unwrap();
    let done = look(&home, &schema);
    assert_eq!((dropped(&done), done.notes.len()), (2, usize::from(is_community)), "{done:?}");
}

#[test]
#[ignore = "needs a server with TimescaleDB"]
fn rows_come_late_into_compressed_chunks_and_columns_are_added_and_changed() {
    let home = Home::postgres();
    let mut sql = home.sql();
    if !is_community(&mut sql) {
        // The other edition compresses nothing; the test of its policies shows that it says so.
        return;
    }
    for on_duplicate in [OnDuplicate::Keep, OnDuplicate::Ignore, OnDuplicate::Replace] {
        let home = Home::postgres();
        let mut sql = home.sql();
        let mut schema = kept(Some(365), Some(30));
        schema.measurements[0].on_duplicate = on_duplicate;
        schema.measurements[0].fields.push(field("n", Type::Int));
        let rows = |days: &[i64], n: Value| {
            let mut batch = ago(days.iter().copied());
            for (_, row) in &mut batch.rows {
                row.time.0 -= row.time.0 % DAY;
                row.fields = vec![Some(Value::Float(1.5)), Some(n.clone())];
            }
            batch
        };
        let mut store = home.ready(&schema);
        let days: Vec<i64> = (0..200).collect();
        store.write(&rows(&days, Value::Int(1)), 1).unwrap();
        sql.run("select public.compress_chunk(c) from public.show_chunks('amber_store.climate_data', older_than => now() - interval '30 days') c");
        // More often than PostgreSQL makes plans for one statement before it tries one for all times.
        for number in 2..10 {
            let written = store.write(&rows(&[0, 100, 150], Value::Int(number)), number).unwrap();
            let duplicates = written.duplicates.values().sum::<u64>();
            let expected = if on_duplicate == OnDuplicate::Keep { (3, 0) } else { (0, 3) };
            assert_eq!((written.rows, duplicates), expected, "{on_duplicate:?}");
        }
        nothing_is_planned(&mut store, &schema);
        let mut more = schema.clone();
        more.measurements[0].fields.push(field("h", Type::Bool));
        store.prepare(&more).unwrap();
        // From int to float: chunks that are compressed take no other type.
        let fields = vec![field("temperature", Type::Float), field("n", Type::Float), field("h", Type::Bool)];
        let floats = Schema { measurements: vec![Measurement { fields, ..schema.measurements[0].clone() }] };
        let text = standing(store.prepare(&floats));
        assert!(text.contains("chunks of the table are compressed"), "{text}");
        let script = text.split("or run: `").nth(1).and_then(|rest| rest.split('`').next()).unwrap();
        assert!(script.contains("decompress_chunk"), "{script}");
        sql.run(script);
        store.prepare(&floats).unwrap();
        store.adopt().unwrap();
        let mut last = rows(&[300], Value::Float(1.25));
        for (_, row) in &mut last.rows {
            (row.tags, row.fields) = (Tags::new(["kitchen", "t2"]), vec![None, Some(Value::Float(1.25)), None]);
        }
        store.write(&last, 20).unwrap();
        assert_eq!(sql.value("select max(n) from amber.climate where device = 't2'"), Ok("1.25".to_owned()));
        nothing_is_planned(&mut store, &floats);
    }
}

#[test]
#[ignore = "needs a server with TimescaleDB"]
fn a_table_that_is_there_stays_as_it_is_until_a_person_runs_what_check_says() {
    let home = Home::postgres();
    is_community(&mut home.sql());
    let mut config = home.store_config();
    config.timescale.hypertable = false;
    let schema = kept(None, None);
    let mut plain = Subject::configured(&config, 1);
    plain.prepare(&schema).unwrap();
    plain.adopt().unwrap();
    plain.write(&ago(0..20), 1).unwrap();
    let plan = plain.plan(&schema).unwrap();
    assert_eq!((plan.statements, plan.notes), (vec![], vec![]));
    let mut store = home.ready(&schema);
    let plan = store.plan(&schema).unwrap();
    assert_eq!(plan.statements, [""; 0]);
    let [note] = &plan.notes[..] else { panic!("{plan:?}") };
    let script = note.split('`').nth(1).unwrap();
    let mut sql = home.sql();
    sql.run(script);
    assert!(chunks(&mut sql) > 1);
    store.write(&ago([0, 1]), 2).unwrap();
    assert_eq!(home.count("climate"), 22);
    let plan = store.plan(&schema).unwrap();
    assert_eq!((plan.statements, plan.notes), (vec![], vec![]));
}

#[test]
#[ignore = "needs a server with TimescaleDB"]
fn a_table_with_partitions_is_moved_by_the_documented_sql() {
    let home = Home::postgres();
    is_community(&mut home.sql());
    let mut config = home.store_config();
    config.timescale.hypertable = false;
    let schema = kept(Some(90), None);
    let mut partitioned = Subject::configured(&config, 1);
    partitioned.prepare(&schema).unwrap();
    partitioned.adopt().unwrap();
    partitioned.write(&ago(0..50), 1).unwrap();
    let mut store = home.store(2);
    let plan = store.plan(&schema).unwrap();
    assert!(plan.is_empty() && plan.notes[0].contains("docs/operation.md"), "{plan:?}");
    let text = include_str!("../../../docs/operation.md");
    let script = text.split("<!-- run by store/timescale.rs -->\n```sql\n").nth(1).unwrap();
    let mut sql = home.sql();
    sql.run(script.split("```").next().unwrap());
    store.prepare(&schema).unwrap();
    store.adopt().unwrap();
    nothing_is_planned(&mut store, &schema);
    assert_eq!(store.write(&ago([0, 1, 80]), 2).unwrap().rows, 3);
    assert_eq!(home.count("climate"), 53);
    assert!(chunks(&mut sql) > 7);
}

#[test]
#[ignore = "needs a server with TimescaleDB"]
fn without_ddl_policies_are_printed_and_nobody_waits_for_them() {
    let home = Home::postgres();
    let mut sql = home.sql();
    let is_community = is_community(&mut sql);
    home.ready(&kept(None, None));
    let schema = kept(Some(90), Some(7));
    let mut store = Subject::with(home.store_url(), 2, false);
    store.prepare(&schema).unwrap();
    store.adopt().unwrap();
    store.write(&ago([0, 100]), 1).unwrap();
    let plan = store.plan(&schema).unwrap();
    assert!(plan.is_empty(), "{plan:?}");
    assert_eq!(plan.statements.len(), if is_community { 3 } else { 0 }, "{plan:?}");
    // As it is printed.
    plan.statements.iter().for_each(|statement| sql.run(statement));
    nothing_is_planned(&mut store, &schema);
    assert_eq!(policies(&mut sql).is_empty(), !is_community);
}

#[test]
#[ignore = "needs a server with TimescaleDB"]
fn a_role_that_owns_its_tables_and_no_more_makes_hypertables_and_policies() {
    let home = Home::postgres();
    let mut sql = home.sql();
    is_community(&mut sql);
    let Home::Postgres(database) = &home else { panic!() };
    let role = database.role();
    let mut store = Subject::postgres(&database.url_as(&role, ""), 1);
    let schema = kept(Some(30), Some(7));
    store.prepare(&schema).unwrap();
    store.adopt().unwrap();
    store.write(&ago([0, 20]), 1).unwrap();
    nothing_is_planned(&mut store, &schema);
    assert_eq!(chunks(&mut sql), 2);
}
