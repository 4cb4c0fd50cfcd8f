//! Columns that appear by themselves (`others = "add"`), in both stores.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use amber::batch::Batch;
use amber::row::{Reason, Value};
use amber::schema::{Schema, Type};
use amber::store::{Unplaced, WriteError, Written};

use super::subject::{Home, Subject, away, batch, climate, field, measurement, row, standing};
use crate::support::postgres;

/// `climate (room, device; temperature)`, whose rows may bring columns.
fn open() -> Schema {
    let mut schema = climate();
    schema.measurements[0].others = true;
    schema
}

type Others<'a> = &'a [(&'a str, Value)];

/// A row for each; the names are in order.
fn rows(rows: &[(Option<f64>, Others<'_>)]) -> Batch {
    let one = |(temperature, others): &(Option<f64>, Others<'_>)| {
        let mut row = row(0, &["kitchen", "t1"], vec![temperature.map(Value::Float)]);
        row.others = others.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
        row
    };
    batch(rows.iter().map(one).collect())
}

fn float(name: &str, value: f64) -> (&str, Value) {
    (name, Value::Float(value))
}

fn text<'n>(name: &'n str, value: &str) -> (&'n str, Value) {
    (name, Value::Text(value.into()))
}

/// Why values were dropped, and how many.
fn lost(written: &Written) -> Vec<(Unplaced, u64)> {
    written.lost.iter().map(|lost| (lost.why, lost.values)).collect()
}

/// Columns of the view, in their order.
fn columns(home: &Home) -> Vec<String> {
    let sql = if home.is_postgres() {
        "select attname::text from pg_attribute where attrelid = 'amber.climate'::regclass and attnum > 0 order by attnum"
    } else {
        "select name from pragma_table_info('climate') order by cid"
    };
    home.sql().rows(sql).unwrap().into_iter().map(|mut row| row.remove(0).unwrap()).collect()
}

/// How many columns have appeared, by the catalogue.
fn appeared(home: &Home) -> i64 {
    let fields = home.view("fields");
    home.sql()
        .number(&format!("select count(*) from {fields} where measurement = 'climate' and position >= 1000000"))
        .unwrap()
}

fn again(home: &Home, owner: i64, schema: &Schema) -> Subject {
    let mut store = home.store(owner);
    store.prepare(schema).unwrap();
    store.adopt().unwrap();
    store
}

#[test]
fn a_column_appears_with_the_first_row_that_has_it_and_older_rows_are_null() {
    for home in Home::both() {
        let mut store = home.ready(&open());
        assert_eq!(store.write(&rows(&[(Some(1.0), &[])]), 1).unwrap().rows, 1);
        let before = columns(&home);
        let written = store
            .write(
                &rows(&[
                    (Some(2.0), &[float("humidity", 48.5)]),
                    (None, &[("door_open", Value::Bool(true)), float("humidity", 49.0), text("mode", "eco")]),
                ]),
                2,
            )
            .unwrap();
        assert_eq!((written.rows, lost(&written)), (2, vec![]), "{home}");
        store.write(&rows(&[(Some(3.0), &[text("on", "quoted")]), (Some(4.0), &[])]), 3).unwrap();
        let view = home.view("climate");
        let found = home.sql().rows(&format!(
            "select temperature, humidity, mode, \"on\" from {view} where door_open is null order by temperature"
        ));
        let number = |number: &str| if home.is_postgres() { number.to_owned() } else { format!("{number}.0") };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            found,
            Ok(vec![
                vec![Some(number("1")), None, None, None],
                vec![Some(number("2")), some("48.5"), None, None],
                vec![Some(number("3")), None, None, some("quoted")],
                vec![Some(number("4")), None, None, None],
            ]),
            "{home}"
        );
        let all = home.sql().number(&format!(
            "select count(*) from {view} where door_open and humidity = 49 and mode = 'eco' and room = 'kitchen' and temperature is null"
        ));
        assert_eq!(all, Ok(1), "{home}");
        for column in before {
            assert!(columns(&home).contains(&column), "{home}: {column}");
        }
        let types = home.sql().rows(&format!(
            "select name, type, kind from {} where position >= 1000000 order by position",
            home.view("fields")
        ));
        let row = |name: &str, r#type: &str| vec![some(name), some(r#type), some("gauge")];
        let expected = [row("humidity", "float"), row("door_open", "bool"), row("mode", "text"), row("on", "text")];
        assert_eq!(types.unwrap(), expected, "{home}");
    }
}

#[test]
fn a_value_of_another_type_is_dropped_and_the_rest_of_its_row_is_stored() {
    for home in Home::both() {
        let mut schema = open();
        schema.measurements[0].fields.push(field("count", Type::Int));
        let mut store = home.ready(&schema);
        let mut batch = rows(&[
            (Some(1.0), &[float("count", 3.0), float("x", 1.5)]),
            (Some(2.0), &[float("count", 3.5), text("x", "1.5")]),
            (Some(3.0), &[("x", Value::Bool(true))]),
        ]);
        // Two fields are listed now.
        batch.rows.iter_mut().for_each(|(_, row)| row.fields.push(None));
        let written = store.write(&batch, 1).unwrap();
        assert_eq!((written.rows, lost(&written)), (3, vec![(Unplaced::Taken, 3)]), "{home}");
        let view = home.view("climate");
        let stored = |condition: &str| home.sql().number(&format!("select count(*) from {view} where {condition}"));
        assert_eq!(stored("temperature = 1 and count = 3 and x = 1.5"), Ok(1), "{home}");
        assert_eq!(stored("count is null and x is null"), Ok(2), "{home}");
    }
}

#[test]
fn a_row_whose_values_all_have_no_column_is_left_for_a_reject() {
    for home in Home::both() {
        let mut store = home.ready(&open());
        store.write(&rows(&[(None, &[float("x", 1.0)])]), 1).unwrap();
        let mut batch = rows(&[(None, &[text("x", "no number")]), (None, &[float("x", 2.0)])]);
        match store.write(&batch, 2) {
            Err(WriteError::NoColumn(rows)) => {
                assert_eq!(rows.iter().map(|(position, _)| *position).collect::<Vec<_>>(), [0]);
                assert!(rows[0].1.told.contains("no column of `climate` takes `x`"), "{rows:?}");
                let rows = rows.into_iter().map(|(position, bare)| (position, bare.told)).collect();
                let rejects = batch.reject(rows, Reason::Field);
                batch.add_rejects(rejects);
            }
            other => panic!("{other:?}"),
        }
        store.write(&batch, 2).unwrap();
        assert_eq!((home.count("climate"), home.count("rejects")), (2, 1), "{home}");
    }
}

#[test]
fn two_hundred_columns_appear_and_no_more_whoever_asks_and_however_often() {
    let names: Vec<String> = (0..300).map(|n| format!("k{n:03}")).collect();
    let some = |range: std::ops::Range<usize>| -> Vec<(&str, Value)> {
        names[range].iter().map(|name| float(name, 1.0)).collect()
    };
    for home in Home::both() {
        let mut store = home.ready(&open());
        let written = store.write(&rows(&[(Some(0.0), &some(0..150))]), 1).unwrap();
        assert_eq!(lost(&written), [], "{home}");
        let written = store.write(&rows(&[(Some(0.0), &some(0..300))]), 2).unwrap();
        assert_eq!((lost(&written), appeared(&home)), (vec![(Unplaced::Full, 100)], 200), "{home}");
        let view = home.view("climate");
        assert_eq!(home.sql().number(&format!("select count(*) from {view} where k000 = 1 and k199 = 1")), Ok(1));
        // Another process and another Amber count the same columns.
        let mut next = again(&home, 2, &open());
        let mut other = Subject::of("other", home.store_url(), 3, true);
        other.prepare(&open()).unwrap();
        other.adopt().unwrap();
        for (store, number) in [(&mut next, 3), (&mut other, 1)] {
            let written = store.write(&rows(&[(Some(0.0), &some(199..202))]), number).unwrap();
            assert_eq!(lost(&written), [(Unplaced::Full, 2)], "{home}");
        }
        assert_eq!((appeared(&home), home.count("climate")), (200, 4), "{home}");
        // What a mapping lists has its column all the same, and makes room where it had appeared.
        let mut schema = open();
        schema.measurements[0].fields.push(field("k000", Type::Float));
        schema.measurements[0].fields.push(field("k250", Type::Float));
        let mut last = again(&home, 4, &schema);
        let mut batch = rows(&[(Some(0.0), &some(299..300))]);
        batch.rows[0].1.fields.extend([Some(Value::Float(2.0)), Some(Value::Float(3.0))]);
        assert_eq!(lost(&last.write(&batch, 4).unwrap()), [], "{home}");
        let found = home.sql().number(&format!("select count(*) from {view} where k000 = 2 and k250 = 3 and k299 = 1"));
        assert_eq!((found, appeared(&home)), (Ok(1), 200), "{home}");
    }
}

#[test]
fn without_ddl_columns_that_are_there_take_values_and_none_is_added() {
    for home in Home::both() {
        let mut store = home.ready(&open());
        store.write(&rows(&[(Some(1.0), &[float("x", 1.0)])]), 1).unwrap();
        let before = columns(&home);
        let mut poor = Subject::with(home.store_url(), 2, false);
        poor.prepare(&open()).unwrap();
        poor.adopt().unwrap();
        let written = poor.write(&rows(&[(Some(2.0), &[float("x", 2.0), float("y", 3.0)])]), 2).unwrap();
        assert_eq!((written.rows, lost(&written)), (1, vec![(Unplaced::NoDdl, 1)]), "{home}");
        let written = poor.write(&rows(&[(None, &[float("y", 3.0)])]), 3);
        assert!(
            matches!(&written, Err(WriteError::NoColumn(rows)) if rows[0].1.told.contains("ddl = false")),
            "{written:?}"
        );
        let view = home.view("climate");
        assert_eq!(home.sql().number(&format!("select count(*) from {view} where x = temperature")), Ok(2), "{home}");
        assert_eq!(columns(&home), before, "{home}");
    }
}

#[test]
fn after_a_restart_the_columns_are_known_and_the_view_stays_as_it_is() {
    for home in Home::both() {
        let mut store = home.ready(&open());
        store.write(&rows(&[(Some(1.0), &[float("b", 1.0)])]), 1).unwrap();
        store.write(&rows(&[(Some(2.0), &[float("a", 1.0), float("b", 1.0)])]), 2).unwrap();
        let before = columns(&home);
        let mut next = home.store(2);
        assert_eq!(next.plan(&open()).unwrap().statements, [""; 0], "{home}");
        next.prepare(&open()).unwrap();
        next.adopt().unwrap();
        let written = next.write(&rows(&[(None, &[float("a", 3.0), text("b", "text")])]), 3).unwrap();
        assert_eq!(lost(&written), [(Unplaced::Taken, 1)], "{home}");
        assert_eq!(columns(&home), before, "{home}");
        // A mapping that keeps no others writes none of them, and leaves the columns alone.
        let mut closed = again(&home, 3, &climate());
        closed.write(&rows(&[(Some(4.0), &[])]), 4).unwrap();
        assert_eq!((columns(&home), home.count("climate")), (before, 4), "{home}");
    }
}

#[test]
fn two_writers_that_add_columns_at_once_share_them_and_the_first_type_counts() {
    const ROUNDS: i64 = 12;
    for home in Home::both() {
        let mut stores = ["one", "other"].map(|writer| Subject::of(writer, home.store_url(), 1, true));
        for store in &mut stores {
            store.prepare(&open()).unwrap();
            store.adopt().unwrap();
        }
        let barrier = Barrier::new(2);
        let lost: Vec<u64> = thread::scope(|scope| {
            let running = stores.iter_mut().enumerate().map(|(who, store)| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let mut lost = 0;
                    for round in 0..ROUNDS {
                        // One column with one type, one with two, one of its own.
                        let (both, mixed, own) = (format!("a{round}"), format!("b{round}"), format!("c{who}_{round}"));
                        let value = if who == 0 { float(&mixed, 1.0) } else { text(&mixed, "one") };
                        let batch = rows(&[(Some(1.0), &[float(&both, 1.0), value, float(&own, 1.0)])]);
                        barrier.wait();
                        let written = loop {
                            match store.write(&batch, round + 1) {
                                Ok(written) => break written,
                                // Held up by the other for too long: tried again, as `delivery` does.
                                Err(WriteError::Away { in_doubt: false, .. }) => {
                                    if !store.store.is_adopted() {
                                        store.adopt().unwrap();
                                    }
                                }
                                Err(error) => panic!("{error:?}"),
                            }
                        };
                        lost += written.lost.iter().map(|lost| lost.values).sum::<u64>();
                    }
                    lost
                })
            });
            let running: Vec<_> = running.collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(lost.iter().sum::<u64>(), ROUNDS as u64, "{home}: of each mixed column one value");
        assert_eq!((appeared(&home), home.count("climate")), (4 * ROUNDS, 2 * ROUNDS), "{home}");
        let view = home.view("climate");
        for round in 0..ROUNDS {
            let count = home.sql().rows(&format!(
                "select count(a{round}), count(b{round}), count(c0_{round}), count(c1_{round}) from {view}"
            ));
            let expected = ["2", "1", "1", "1"].map(|count| Some(count.to_owned())).to_vec();
            assert_eq!(count, Ok(vec![expected]), "{home}");
        }
    }
}

#[test]
fn a_column_that_appeared_and_is_listed_with_another_type_is_a_fault_with_both_remedies() {
    for home in Home::both() {
        let mut store = home.ready(&open());
        store.write(&rows(&[(Some(1.0), &[float("x", 1.0)])]), 1).unwrap();
        let mut schema = open();
        schema.measurements[0].fields.push(field("x", Type::Text));
        let mut next = home.store(2);
        let told = standing(next.prepare(&schema));
        assert!(told.contains("name the field otherwise in the mapping"), "{home}: {told}");
        let remedy = told.split("`begin; ").nth(1).and_then(|rest| rest.split('`').next()).unwrap();
        home.sql().run(&format!("begin; {remedy}"));
        next.prepare(&schema).unwrap();
        // With the same type it is a field like any other.
        schema.measurements[0].fields[1] = field("y", Type::Float);
        let mut last = again(&home, 3, &open());
        last.write(&rows(&[(Some(1.0), &[float("y", 1.0)])]), 2).unwrap();
        let mut last = again(&home, 4, &schema);
        let mut batch = rows(&[(None, &[])]);
        batch.rows[0].1.fields.push(Some(Value::Float(2.0)));
        last.write(&batch, 3).unwrap();
        let view = home.view("climate");
        assert_eq!(home.sql().number(&format!("select count(*) from {view} where y >= 1")), Ok(2), "{home}");
    }
}

#[test]
fn a_column_of_a_person_and_a_tag_of_another_amber_take_no_value() {
    for home in Home::both() {
        let mut store = home.ready(&open());
        let data = home.table("climate_data");
        let own = if home.is_postgres() { "double precision" } else { "REAL" };
        let generated = if home.is_postgres() { "stored" } else { "virtual" };
        home.sql().run(&format!("alter table {data} add column mine {own}"));
        if home.is_postgres() {
            home.sql().run(&format!(
                "alter table {data} add column twice {own} generated always as (temperature * 2) {generated}"
            ));
        }
        let mut floors = open();
        floors.measurements[0].tags.push("floor".to_owned());
        let mut other = Subject::of("other", home.store_url(), 1, true);
        other.prepare(&floors).unwrap();
        let others: &[_] =
            &[float("floor", 1.0), float("mine", 1.0), float("time_utc", 1.0), float("twice", 1.0), float("x", 1.0)];
        let written = store.write(&rows(&[(Some(1.0), others)]), 1).unwrap();
        let expected = if home.is_postgres() { 4 } else { 3 };
        assert_eq!(lost(&written), [(Unplaced::Taken, expected)], "{home}");
        let view = home.view("climate");
        let stored = format!("select count(*) from {view} where x = 1 and floor = '' and mine is null");
        assert_eq!(home.sql().number(&stored), Ok(1), "{home}");
    }
}

#[test]
fn a_column_that_a_view_of_sqlite_cannot_show_takes_no_value_and_leaves_the_view_at_rest() {
    let home = Home::sqlite();
    let mut store = home.ready(&open());
    let batch = rows(&[(Some(1.0), &[float("false", 2.0), float("true", 3.0), float("x", 4.0)])]);
    assert_eq!(lost(&store.write(&batch, 1).unwrap()), [(Unplaced::Taken, 2)]);
    assert_eq!(columns(&home), ["time", "time_utc", "room", "device", "temperature", "x", "received_at"]);
    // There may be one all the same: the view goes on without, and is not made anew at each start.
    home.sql().run("alter table store_climate_data add column \"true\" REAL");
    let mut next = home.store(2);
    assert_eq!(next.plan(&open()).unwrap().statements, [""; 0]);
    next.prepare(&open()).unwrap();
    next.adopt().unwrap();
    next.write(&rows(&[(Some(2.0), &[float("true", 3.0), float("y", 4.0)])]), 2).unwrap();
    let found = home.sql().rows("select temperature, x, y from climate order by 1").unwrap();
    let some = |number: &str| Some(number.to_owned());
    assert_eq!(found, [vec![some("1.0"), some("4.0"), None], vec![some("2.0"), None, some("4.0")]]);
    assert!(!columns(&home).iter().any(|name| name.starts_with("column")));
    // And a mapping that lists it is told so.
    let mut schema = open();
    schema.measurements[0].fields.push(field("true", Type::Float));
    let told = standing(next.prepare(&schema));
    assert!(told.contains("`true` is a truth value to SQLite"), "{told}");
}

#[test]
fn of_many_columns_those_that_could_be_added_stay_whatever_becomes_of_the_next_in_sqlite() {
    let home = Home::sqlite();
    let mut store = home.ready(&open());
    // One more is all that the table can take.
    let more = (4..1999).map(|n| format!("alter table store_climate_data add column mine{n} REAL"));
    home.sql().run(&format!("begin; {}; commit", more.collect::<Vec<_>>().join("; ")));
    let batch = rows(&[(Some(1.0), &[float("a", 1.0), float("b", 2.0), float("c", 3.0)])]);
    let written = store.write(&batch, 1).unwrap();
    assert_eq!((written.rows, lost(&written)), (1, vec![(Unplaced::Barred, 2)]));
    // What is there is whole: column, view and catalogue. No query takes a view of so many columns.
    let stored = "select count(*) from store_climate_data where a = 1 and temperature = 1";
    assert_eq!(home.sql().number(stored), Ok(1));
    let shown = "select count(*) from sqlite_schema where type = 'view' and sql like '%d.\"a\"%'";
    assert_eq!((home.sql().number(shown), appeared(&home)), (Ok(1), 1));
    // A next try goes on from there.
    let less = (4..24).map(|n| format!("alter table store_climate_data drop column mine{n}"));
    home.sql().run(&format!("begin; drop view climate; {}; commit", less.collect::<Vec<_>>().join("; ")));
    let mut next = again(&home, 2, &open());
    assert_eq!(lost(&next.write(&batch, 2).unwrap()), []);
    assert_eq!(appeared(&home), 3);
    let found = home.sql().rows("select a, b, c from climate order by b nulls first").unwrap();
    let some = |number: &str| Some(number.to_owned());
    assert_eq!(found, [vec![some("1.0"), None, None], vec![some("1.0"), some("2.0"), some("3.0")]]);
}

#[test]
fn a_column_that_a_person_has_dropped_comes_again() {
    for home in Home::both() {
        let mut store = home.ready(&open());
        store.write(&rows(&[(Some(1.0), &[float("x", 1.0)])]), 1).unwrap();
        let (view, data) = (home.view("climate"), home.table("climate_data"));
        home.sql().run(&format!("drop view {view}; alter table {data} drop column x"));
        let batch = rows(&[(Some(2.0), &[text("x", "text now")])]);
        // By the plan the column is there.
        let again = rows(&[(Some(2.0), &[float("x", 2.0)])]);
        standing(store.write(&again, 2));
        store.write(&batch, 2).unwrap();
        assert_eq!(home.sql().number(&format!("select count(*) from {view} where x = 'text now'")), Ok(1), "{home}");
    }
}

#[test]
fn a_column_behind_a_query_is_away_for_some_seconds_and_comes_when_that_has_ended() {
    let home = Home::postgres();
    let mut store = home.ready(&open());
    store.write(&rows(&[(Some(1.0), &[])]), 1).unwrap();
    let mut dashboard = home.sql();
    dashboard.run("begin; select * from amber.climate");
    let batch = rows(&[(Some(2.0), &[float("x", 1.0)])]);
    let (in_doubt, text) = away(store.write(&batch, 2));
    assert!(!in_doubt && text.contains("lock timeout"), "{text}");
    assert!(!columns(&home).contains(&"x".to_owned()));
    dashboard.run("commit");
    if !store.store.is_adopted() {
        store.adopt().unwrap();
    }
    store.write(&batch, 2).unwrap();
    assert_eq!(home.sql().number("select count(*) from amber.climate where x = 1"), Ok(1));
}

#[test]
fn a_query_that_does_not_end_holds_up_no_row_for_longer_than_some_seconds() {
    let home = Home::postgres();
    let mut schema = open();
    let mut power = measurement("power", &["meter"], vec![]);
    power.others = true;
    schema.measurements.push(power);
    let mut store = home.ready(&schema);
    store.write(&rows(&[(Some(1.0), &[])]), 1).unwrap();
    let mut dashboard = home.sql();
    dashboard.run("begin; select * from amber.climate");
    let mut batch = rows(&[(Some(2.0), &[float("x", 1.0)])]);
    let (origin, mut watt) = batch.rows[0].clone();
    (watt.measurement, watt.tags, watt.fields) = (1, amber::row::Tags::new(["m1"]), vec![]);
    watt.others = vec![("watt".into(), Value::Float(7.0))];
    batch.rows.push((origin, watt));
    let begun = Instant::now();
    let mut waits = 0;
    let written = loop {
        match store.write(&batch, 2) {
            Err(WriteError::Away { in_doubt: false, .. }) => waits += 1,
            other => break other.unwrap(),
        }
    };
    let waited = begun.elapsed();
    assert!(waits >= 3 && waited > Duration::from_secs(9) && waited < Duration::from_secs(30), "{waits} in {waited:?}");
    assert_eq!((written.rows, lost(&written)), (2, vec![(Unplaced::Locked, 1)]));
    assert_eq!(&*written.lost[0].words, "canceling statement due to lock timeout [55P03]");
    assert_eq!(home.sql().number("select count(*) from amber.power where watt = 7"), Ok(1));
    // For a minute it is not even tried; another measurement's columns come.
    let begun = Instant::now();
    batch.rows[1].1.others.push(("volt".into(), Value::Float(230.0)));
    let written = store.write(&batch, 3).unwrap();
    assert_eq!((written.rows, lost(&written)), (2, vec![(Unplaced::Locked, 1)]));
    assert_eq!(home.sql().number("select count(*) from amber.power where volt = 230"), Ok(1));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    dashboard.run("commit");
}

#[test]
fn a_table_of_another_role_takes_rows_without_the_columns_that_it_is_not_given() {
    let database = postgres::database();
    let role = format!("guest_{}", database.name);
    let mut store = Subject::postgres(&database.url(), 1);
    store.prepare(&open()).unwrap();
    let mut sql = database.sql();
    sql.run(&format!(
        "create role {role} login; grant create on database {} to {role};
         grant usage on schema amber, amber_store to {role};
         grant select, insert, update, delete on all tables in schema amber_store to {role};
         grant usage on all sequences in schema amber_store to {role}",
        database.name
    ));
    let mut store = Subject::postgres(&database.url().replace("postgres@", &format!("{role}@")), 2);
    store.prepare(&open()).unwrap();
    store.adopt().unwrap();
    let batch = rows(&[(Some(1.0), &[float("x", 1.0)]), (Some(2.0), &[])]);
    let written = store.write(&batch, 1).unwrap();
    assert_eq!((written.rows, lost(&written)), (2, vec![(Unplaced::Barred, 1)]));
    let words = format!(
        "must be owner of table climate_data [42501]; make \"{role}\" the owner of what Amber is to change: `alter table … owner to \"{role}\"`"
    );
    assert_eq!(&*written.lost[0].words, words);
    match store.write(&rows(&[(None, &[float("x", 1.0)])]), 2) {
        Err(WriteError::NoColumn(rows)) => assert!(rows[0].1.told.contains("must be owner"), "{rows:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(sql.number("select count(*) from amber.climate"), Ok(2));
    // Once that is mended the column comes, at the latest with the next start.
    sql.run(&format!(
        "alter table amber_store.climate_data owner to {role}; alter view amber.climate owner to {role};
         grant create on schema amber to {role}; grant create on schema amber_store to {role}"
    ));
    let mut next = Subject::postgres(&database.url().replace("postgres@", &format!("{role}@")), 3);
    next.prepare(&open()).unwrap();
    next.adopt().unwrap();
    assert_eq!(lost(&next.write(&batch, 3).unwrap()), []);
}

#[test]
fn a_table_with_as_many_columns_as_a_database_takes_takes_rows() {
    for home in Home::both() {
        let mut store = home.ready(&open());
        let data = home.table("climate_data");
        let mut sql = home.sql();
        // Four are there.
        if home.is_postgres() {
            let columns: Vec<String> = (4..1600).map(|n| format!("add column mine{n} float8")).collect();
            sql.run(&format!("alter table {data} {}", columns.join(", ")));
        } else {
            let columns = (4..2000).map(|n| format!("alter table {data} add column mine{n} REAL"));
            sql.run(&format!("begin; {}; commit", columns.collect::<Vec<_>>().join("; ")));
        }
        let written = store.write(&rows(&[(Some(1.0), &[float("x", 1.0)]), (Some(2.0), &[])]), 1).unwrap();
        assert_eq!((written.rows, lost(&written)), (2, vec![(Unplaced::Barred, 1)]), "{home}");
        assert!(written.lost[0].words.contains("columns"), "{home}: {written:?}");
        assert_eq!(home.count("climate"), 2, "{home}");
    }
}

#[test]
fn a_batch_over_several_measurements_adds_the_columns_of_each() {
    for home in Home::both() {
        let mut schema = open();
        let mut power = measurement("power", &["meter"], vec![]);
        power.others = true;
        schema.measurements.push(power);
        let mut store = home.ready(&schema);
        let mut batch = rows(&[(Some(1.0), &[float("x", 1.0)])]);
        let (origin, mut row) = batch.rows[0].clone();
        row.measurement = 1;
        row.tags = amber::row::Tags::new(["m1"]);
        row.fields = vec![];
        row.others = vec![("watt".into(), Value::Float(7.0))];
        batch.rows.push((origin, row));
        assert_eq!(store.write(&batch, 1).unwrap().rows, 2);
        let watt = format!("select count(*) from {} where watt = 7 and meter = 'm1'", home.view("power"));
        assert_eq!((home.sql().number(&watt), home.count("climate")), (Ok(1), 1), "{home}");
    }
}
