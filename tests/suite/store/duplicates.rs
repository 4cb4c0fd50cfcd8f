//! `on_duplicate`: one row for each series and time, in both stores.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;

use amber::batch::Batch;
use amber::message::Time;
use amber::row::{Row, Value};
use amber::schema::{Measurement, OnDuplicate, Schema, Type};
use amber::store::WriteError;

use super::subject::{
    Home, NOON, Subject, WRITER, away, batch, climate, field, measurement, refused, row, standing, temperatures,
};
use crate::support::proxy::{Cut, Mode, Proxy};
use crate::support::sql::Texts;
use crate::support::{equal, eventually};

/// `air (room; t, h)`
fn air(on_duplicate: OnDuplicate) -> Schema {
    let fields = vec![field("t", Type::Float), field("h", Type::Float)];
    Schema { measurements: vec![Measurement { on_duplicate, ..measurement("air", &["room"], fields) }] }
}

const IGNORE: OnDuplicate = OnDuplicate::Ignore;
const REPLACE: OnDuplicate = OnDuplicate::Replace;

/// Of the kitchen, so many seconds after noon.
fn at(second: i64, t: Option<f64>, h: Option<f64>) -> Row {
    let fields = vec![t.map(Value::Float), h.map(Value::Float)];
    Row { time: Time(NOON.0 + second * 1_000_000), ..row(0, &["kitchen"], fields) }
}

fn t(second: i64, t: f64) -> Row {
    at(second, Some(t), None)
}

fn h(second: i64, h: f64) -> Row {
    at(second, None, Some(h))
}

/// The same with a receipt so many milliseconds later.
fn received(mut batch: Batch, milliseconds: i64) -> Batch {
    batch.messages.iter_mut().for_each(|message| message.received_at.0 += milliseconds * 1_000);
    batch
}

/// Second, t and h of every row of the kitchen. No value is a whole number, which the stores print each in its own way.
fn rows(home: &Home) -> Vec<Texts> {
    let second = if home.is_postgres() {
        format!("(extract(epoch from time) - {})::int8", NOON.0 / 1_000_000)
    } else {
        format!("time / 1000000 - {}", NOON.0 / 1_000_000)
    };
    let text = format!("select {second}, t, h from {} where room = 'kitchen' order by 1, t, h", home.view("air"));
    home.sql().rows(&text).unwrap()
}

fn texts(second: i64, t: &str, h: &str) -> Texts {
    let own = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    vec![Some(second.to_string()), own(t), own(h)]
}

/// Rows added, and rows that were there already.
#[track_caller]
fn write(store: &mut Subject, batch: &Batch, number: i64) -> (u64, u64) {
    let written = store.write(batch, number).unwrap();
    assert_eq!(written.refused, []);
    (written.rows, written.duplicates.values().sum())
}

#[test]
fn the_first_row_stays_within_a_batch_over_batches_and_after_a_restart() {
    for home in Home::both() {
        let mut store = home.ready(&air(IGNORE));
        let other_room = row(0, &["hall"], vec![Some(Value::Float(9.5)), None]);
        let first = batch(vec![t(1, 1.5), t(1, 2.5), h(1, 3.5), t(2, 4.5), other_room]);
        assert_eq!(write(&mut store, &first, 1), (3, 2), "{home}");
        assert_eq!(write(&mut store, &batch(vec![t(1, 5.5), t(3, 6.5), t(3, 7.5), h(2, 8.5)]), 2), (1, 3));
        let expected = [texts(1, "1.5", ""), texts(2, "4.5", ""), texts(3, "6.5", "")];
        assert_eq!(rows(&home), expected, "{home}");
        // All of it was there already: the batch is stored all the same, and its number taken.
        assert_eq!(write(&mut store, &first, 3), (0, 5));
        drop(store);
        let mut store = home.store(2);
        store.prepare(&air(IGNORE)).unwrap();
        assert_eq!(store.adopt().unwrap().seq, 3);
        assert_eq!(write(&mut store, &batch(vec![t(3, 9.5)]), 4), (0, 1));
        assert_eq!(rows(&home), expected, "{home}");
        assert_eq!(home.count("air"), 4);
    }
}

#[test]
fn values_that_came_replace_and_absent_ones_stay_so_that_sparse_rows_complete_each_other() {
    for home in Home::both() {
        let mut store = home.ready(&air(REPLACE));
        // Second 1 is completed within the batch, 2 by the next one, 3 is replaced in part, 4 as a whole.
        let first = batch(vec![t(1, 1.5), h(1, 2.5), t(2, 3.5), at(3, Some(4.5), Some(5.5)), t(4, 6.5), t(4, 7.5)]);
        assert_eq!(write(&mut store, &first, 1), (4, 2), "{home}");
        let second = received(batch(vec![h(2, 8.5), t(3, 9.5), at(4, Some(10.5), Some(11.5)), h(5, 12.5)]), 500);
        assert_eq!(write(&mut store, &second, 2), (1, 3), "{home}");
        let expected = [
            texts(1, "1.5", "2.5"),
            texts(2, "3.5", "8.5"),
            texts(3, "9.5", "5.5"),
            texts(4, "10.5", "11.5"),
            texts(5, "", "12.5"),
        ];
        assert_eq!(rows(&home), expected, "{home}");
        // The receipt is of the message that came last.
        let late = if home.is_postgres() {
            "select count(*) from amber.air where received_at >= '2026-11-25 12:00:00.5Z'".to_owned()
        } else {
            format!("select count(*) from air where received_at >= {}", NOON.0 + 500_000)
        };
        assert_eq!(home.sql().number(&late), Ok(4), "{home}");
        drop(store);
        let mut store = home.store(2);
        store.prepare(&air(REPLACE)).unwrap();
        store.adopt().unwrap();
        assert_eq!(write(&mut store, &batch(vec![h(1, 13.5)]), 3), (0, 1));
        assert_eq!(rows(&home)[0], texts(1, "1.5", "13.5"), "{home}");
    }
}

/// What came with a column that no mapping lists is joined like the fields.
#[test]
fn values_that_no_field_names_complete_each_other_too() {
    for home in Home::both() {
        let mut schema = air(REPLACE);
        schema.measurements[0].others = true;
        let mut store = home.ready(&schema);
        let with = |mut row: Row, name: &str, value: f64| {
            row.others.push((name.into(), Value::Float(value)));
            row
        };
        let rows = vec![with(t(1, 1.5), "p", 2.5), with(h(1, 3.5), "q", 4.5), with(t(1, 5.5), "p", 6.5)];
        assert_eq!(write(&mut store, &batch(rows), 1), (1, 2));
        assert_eq!(write(&mut store, &batch(vec![with(t(1, 7.5), "q", 8.5)]), 2), (0, 1));
        let found = home.sql().rows(&format!("select t, h, p, q from {}", home.view("air"))).unwrap();
        assert_eq!(found, [["7.5", "3.5", "6.5", "8.5"].map(|text| Some(text.to_owned())).to_vec()], "{home}");
    }
}

/// Many rows in several blocks and out of order, against a model.
#[test]
fn whatever_the_order_the_rows_are_those_of_a_map() {
    for home in Home::both() {
        for on_duplicate in [IGNORE, REPLACE] {
            let name = if on_duplicate == IGNORE { "ignoring" } else { "replacing" };
            let mut schema = air(on_duplicate);
            schema.measurements[0].name = name.to_owned();
            let mut store = home.store(i64::from(on_duplicate == IGNORE));
            store.prepare(&schema).unwrap();
            let last = store.adopt().unwrap().seq;
            let mut model: BTreeMap<i64, (Option<f64>, Option<f64>)> = BTreeMap::new();
            let mut random = crate::support::Random(7);
            for number in 1..=6 {
                let (mut some, mut added) = (Vec::new(), 0);
                for n in 0..400 {
                    let second = i64::try_from(random.between(0, 499)).unwrap();
                    let value = 0.5 + f64::from(n) + 1_000.0 * number as f64;
                    let (t, h) = if random.between(0, 1) == 0 { (Some(value), None) } else { (None, Some(value)) };
                    some.push(at(second, t, h));
                    match model.get_mut(&second) {
                        None => {
                            added += 1;
                            model.insert(second, (t, h));
                        }
                        Some(known) if on_duplicate == REPLACE => *known = (t.or(known.0), h.or(known.1)),
                        Some(_) => {}
                    }
                }
                let apart = number % 2 == 0;
                let written = if apart {
                    store.write_apart(&batch(some), last + number)
                } else {
                    store.write(&batch(some), last + number)
                };
                let written = written.unwrap();
                assert_eq!((written.rows, written.duplicates), (added, BTreeMap::from([(0, 400 - added)])), "{home}");
            }
            let second = if home.is_postgres() { "extract(epoch from time)::int8" } else { "time / 1000000" };
            let text = format!("select {second} - {}, t, h from {} order by 1", NOON.0 / 1_000_000, home.view(name));
            let text_of = |value: &Option<f64>| value.map(|value| value.to_string());
            let expected: Vec<Texts> =
                model.iter().map(|(second, (t, h))| vec![Some(second.to_string()), text_of(t), text_of(h)]).collect();
            assert_eq!(home.sql().rows(&text).unwrap(), expected, "{home} {name}");
        }
    }
}

/// What somebody adds: temperatures from 100 on are refused, aloud or in silence.
fn refuse_heat(home: &Home, silent: bool) {
    home.sql().run(match (home.is_postgres(), silent) {
        (true, false) => "alter table amber_store.air_data add constraint not_too_hot check (t < 100)",
        (true, true) => {
            "create function drop_it() returns trigger language plpgsql as 'begin return null; end';
             create trigger not_too_hot before insert or update on amber_store.air_data for each row when (new.t >= 100) execute function drop_it()"
        }
        (false, false) => {
            "create trigger not_too_hot before insert on store_air_data when new.t >= 100
             begin select raise(abort, 'not_too_hot'); end"
        }
        (false, true) => {
            "create trigger not_too_hot before insert on store_air_data when new.t >= 100
             begin select raise(ignore); end"
        }
    });
}

#[test]
fn a_refused_row_is_found_beside_its_good_twin_which_is_stored() {
    for silent in [false, true] {
        for home in Home::both() {
            for on_duplicate in [IGNORE, REPLACE] {
                let home = if home.is_postgres() { Home::postgres() } else { Home::sqlite() };
                let mut store = home.ready(&air(on_duplicate));
                assert_eq!(write(&mut store, &batch(vec![h(9, 9.5)]), 1), (1, 0));
                refuse_heat(&home, silent);
                // The bad one after its twin, before it, alone, and among many.
                let mut some = vec![h(2, 2.5), t(1, 451.0), t(1, 1.5), t(2, 452.0), t(3, 453.0), h(9, 10.5)];
                some.extend((10..40).map(|second| t(second, 20.5)));
                // With "ignore" the first of second 1 is the bad one; with "replace" the last of second 2 is.
                refused(store.write(&batch(some.clone()), 2));
                assert_eq!(home.count("air"), 1, "nothing is stored by halves");
                let written = store.write_apart(&batch(some), 2).unwrap();
                let positions: Vec<usize> = written.refused.iter().map(|(position, _)| *position).collect();
                assert!(positions.contains(&4), "{home} {on_duplicate:?} {positions:?}");
                assert!(positions.iter().all(|position| [1, 3, 4].contains(position)), "{positions:?}");
                let (bad, twins) = if on_duplicate == IGNORE { (1, 3) } else { (3, 1) };
                assert!(positions.contains(&bad), "{home} {on_duplicate:?} {positions:?}");
                assert!(written.rejects == positions.len() as u64 && twins < 4);
                // 36 rows came: 30 and those of seconds 1 and 2 are new, the rest is refused or a duplicate.
                let duplicates: u64 = written.duplicates.values().sum();
                assert_eq!((written.rows, duplicates + positions.len() as u64), (32, 4), "{home} {on_duplicate:?}");
                let ninth = if on_duplicate == IGNORE { "9.5" } else { "10.5" };
                let found = rows(&home);
                assert_eq!(found[..3], [texts(1, "1.5", ""), texts(2, "", "2.5"), texts(9, "", ninth)], "{home}");
                assert_eq!(found.len(), 33);
                assert_eq!(write(&mut store, &batch(vec![t(9, 1.5)]), 3), (0, 1));
            }
        }
    }
}

/// A table by days, of which yesterday is locked by somebody: who looks for rows of today has no business there, at
/// planning neither, and neither from the sixth statement on, when PostgreSQL may plan for any parameters.
#[test]
fn duplicates_are_looked_for_in_the_parts_that_have_the_times_of_the_batch() {
    for on_duplicate in [IGNORE, REPLACE] {
        let home = Home::postgres();
        home.sql().run(
            "create schema amber_store;
             create table amber_store.air_data (time timestamptz not null, series_id bigint not null,
               received_at timestamptz not null, t float8, h float8) partition by range (time);
             create unique index on amber_store.air_data (series_id, time);
             create table amber_store.yesterday partition of amber_store.air_data for values from ('2026-11-24Z') to ('2026-11-25Z');
             create table amber_store.today partition of amber_store.air_data for values from ('2026-11-25Z') to ('2026-11-26Z')",
        );
        let mut store = home.ready(&air(on_duplicate));
        let day = 24 * 3_600;
        assert_eq!(write(&mut store, &batch(vec![t(-day, 1.5), t(0, 1.5)]), 1), (2, 0));
        assert_eq!(write(&mut store, &batch(vec![t(-day, 2.5), t(0, 2.5), t(1, 2.5)]), 2), (1, 2));
        let mut somebody = home.sql();
        somebody.run("begin");
        somebody.run("lock table amber_store.yesterday in access exclusive mode");
        for number in 3..=20 {
            assert_eq!(write(&mut store, &batch(vec![t(0, 3.5), t(number, 3.5)]), number), (1, 1), "{on_duplicate:?}");
        }
        somebody.run("commit");
        let first = if on_duplicate == IGNORE { "1.5" } else { "2.5" };
        assert_eq!(rows(&home)[0], texts(-day, first, ""));
        assert_eq!(rows(&home).len(), 21);
    }
}

#[test]
fn a_batch_in_doubt_that_is_stored_is_not_written_again_and_one_that_is_not_is() {
    for on_duplicate in [IGNORE, REPLACE] {
        let home = Home::postgres();
        let Home::Postgres(database) = &home else { unreachable!("it is PostgreSQL") };
        let proxy = Proxy::to(database.port);
        let mut store = Subject::postgres(&database.url_through(proxy.port), 1);
        store.prepare(&air(on_duplicate)).unwrap();
        store.adopt().unwrap();
        assert_eq!(write(&mut store, &batch(vec![t(1, 1.5)]), 1), (1, 0));
        proxy.swallow_answer_to(WRITER);
        let mut sql = database.sql();
        thread::scope(|scope| {
            let writing = scope.spawn(|| store.write(&batch(vec![t(1, 2.5), t(2, 2.5)]), 2));
            eventually("it is stored", || equal(sql.number("select count(*) from amber.air"), 2));
            proxy.cut(Cut::Reset);
            assert!(away(writing.join().unwrap()).0);
        });
        proxy.set(Mode::Pass);
        assert_eq!(store.adopt().unwrap().seq, 2);
        // How many of its rows were there already, nobody knows: none is counted.
        assert_eq!(store.store.take_doubtful(), None);
        assert!(matches!(store.write(&batch(vec![t(3, 1.5)]), 2), Err(WriteError::Fenced)), "the number is taken");
        assert_eq!(store.adopt().unwrap().seq, 2);
        // The series is known again, so that the next statement is the one in doubt.
        assert_eq!(write(&mut store, &batch(vec![t(4, 1.5)]), 3), (1, 0));
        proxy.set(Mode::DownstreamOnly);
        thread::scope(|scope| {
            let writing = scope.spawn(|| store.write(&batch(vec![t(2, 3.5), t(3, 3.5)]), 4));
            proxy.cut(Cut::Reset);
            assert!(away(writing.join().unwrap()).0);
        });
        proxy.set(Mode::Pass);
        assert_eq!(store.adopt().unwrap().seq, 3);
        assert_eq!(write(&mut store, &batch(vec![t(2, 3.5), t(3, 3.5)]), 4), (1, 1));
        let (one, two) = if on_duplicate == IGNORE { ("1.5", "2.5") } else { ("2.5", "3.5") };
        assert_eq!(rows(&home), [texts(1, one, ""), texts(2, two, ""), texts(3, "3.5", ""), texts(4, "1.5", "")]);
    }
}

#[test]
fn duplicates_that_are_there_are_a_conflict_whose_sql_removes_them() {
    for home in Home::both() {
        for (on_duplicate, expected) in [
            (IGNORE, [texts(1, "1.5", ""), texts(2, "", "4.5"), texts(3, "7.5", "")]),
            (REPLACE, [texts(1, "3.5", "2.5"), texts(2, "6.5", "5.5"), texts(3, "7.5", "")]),
        ] {
            let home = if home.is_postgres() { Home::postgres() } else { Home::sqlite() };
            let mut store = home.ready(&air(OnDuplicate::Keep));
            for (number, one) in
                (1..).zip([t(1, 1.5), h(1, 2.5), t(1, 3.5), h(2, 4.5), h(2, 5.5), t(2, 6.5), t(3, 7.5)])
            {
                assert_eq!(write(&mut store, &received(batch(vec![one]), number), number), (1, 0));
            }
            let mut other = Subject::of("other", home.store_url(), 2, true);
            let text = standing(other.prepare(&air(on_duplicate)));
            let script = |text: &str, head: &str| {
                let (_, rest) = text.split_once(head).unwrap_or_else(|| panic!("{head} in {text}"));
                format!("{}{}", head.trim_start_matches('`'), rest.split('`').next().unwrap())
            };
            let find = script(&text, "`select ");
            assert_eq!(home.sql().rows(&find).unwrap().len(), 2, "{home}: {find}");
            assert!(text.contains("leave `on_duplicate` out"), "{text}");
            assert_eq!(other.plan(&air(on_duplicate)).unwrap().statements.len(), 0);
            home.sql().run(&script(&text, "`begin; "));
            assert_eq!(rows(&home), expected, "{home} {on_duplicate:?}");
            assert_eq!(home.sql().rows(&find).unwrap().len(), 0);
            assert!(other.plan(&air(on_duplicate)).unwrap().is_empty());
            other.prepare(&air(on_duplicate)).unwrap();
            other.adopt().unwrap();
            assert_eq!(write(&mut other, &batch(vec![t(3, 8.5), t(4, 8.5)]), 1), (1, 1), "{home}");
        }
    }
}

#[test]
fn the_sql_of_the_document_finds_and_removes_duplicates_and_leads_back() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operation.md")).unwrap();
    let blocks = text.split("<!-- run by store/duplicates.rs -->\n```sql\n").skip(1);
    let blocks: Vec<&str> = blocks.map(|rest| rest.split("\n```").next().unwrap()).collect();
    let [find, remove, back] = blocks[..] else { panic!("{} blocks", blocks.len()) };
    let home = Home::postgres();
    let mut store = home.ready(&climate());
    store.write(&temperatures([1.5, 2.5, 3.5]), 1).unwrap();
    let mut sql = home.sql();
    assert_eq!(sql.rows(find).unwrap().len(), 1);
    sql.run(remove);
    assert_eq!((sql.rows(find).unwrap().len(), home.count("climate")), (0, 1));
    let mut unique = climate();
    unique.measurements[0].on_duplicate = REPLACE;
    assert!(store.plan(&unique).unwrap().is_empty());
    assert!(!store.plan(&climate()).unwrap().is_empty());
    sql.run(back);
    assert!(store.plan(&climate()).unwrap().is_empty());
}

#[test]
fn a_table_without_duplicates_is_made_unique_and_never_made_otherwise_by_itself() {
    for home in Home::both() {
        let mut store = home.ready(&air(OnDuplicate::Keep));
        assert_eq!(write(&mut store, &batch(vec![t(1, 1.5), t(2, 1.5)]), 1), (2, 0));
        let mut next = home.store(2);
        next.prepare(&air(REPLACE)).unwrap();
        assert!(next.plan(&air(IGNORE)).unwrap().is_empty(), "both take one index");
        next.adopt().unwrap();
        assert_eq!(write(&mut next, &batch(vec![t(2, 2.5), t(3, 2.5)]), 2), (1, 1));
        let text = standing(next.prepare(&air(OnDuplicate::Keep)));
        assert!(text.contains("\"keep\"") && text.contains("`on_duplicate = \"replace\"`"), "{text}");
        let (_, sql) = text.split_once("run: `").unwrap();
        home.sql().run(sql.trim_end_matches('`'));
        next.prepare(&air(OnDuplicate::Keep)).unwrap();
        assert_eq!(write(&mut next, &batch(vec![t(3, 3.5)]), 3), (1, 0));
        assert_eq!(home.count("air"), 4, "{home}");
    }
}

#[test]
fn an_index_that_somebody_drops_is_made_again_at_the_next_try() {
    for home in Home::both() {
        let mut store = home.ready(&air(REPLACE));
        assert_eq!(write(&mut store, &batch(vec![t(1, 1.5)]), 1), (1, 0));
        home.sql().run(if home.is_postgres() {
            "drop index amber_store.air_data_series_id_time_idx"
        } else {
            "drop index store_air_data_series_id_time"
        });
        let text = standing(store.write(&batch(vec![t(1, 2.5)]), 2));
        assert!(text.contains("ON CONFLICT"), "{text}");
        assert_eq!(write(&mut store, &batch(vec![t(1, 2.5)]), 2), (0, 1));
        assert_eq!(rows(&home), [texts(1, "2.5", "")], "{home}");
    }
}

const ROUNDS: i64 = 30;
const SECONDS: i64 = 200;

#[test]
fn two_writers_of_the_same_rows_at_once_lose_none_and_store_none_twice() {
    for home in Home::both() {
        for on_duplicate in [IGNORE, REPLACE] {
            let home = if home.is_postgres() { Home::postgres() } else { Home::sqlite() };
            let mut stores = ["one", "other"].map(|writer| Subject::of(writer, home.store_url(), 1, true));
            for store in &mut stores {
                store.prepare(&air(on_duplicate)).unwrap();
                store.adopt().unwrap();
            }
            let barrier = Barrier::new(2);
            // The one brings t, the other h, each in its own order.
            let wrote: Vec<Vec<(u64, u64)>> = thread::scope(|scope| {
                let running = stores.iter_mut().zip([false, true]).map(|(store, other)| {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        let write = |round: i64| {
                            let mut seconds: Vec<i64> = (round * SECONDS..(round + 1) * SECONDS).collect();
                            if other {
                                seconds.reverse();
                            }
                            let row = |second| if other { h(second, 2.5) } else { t(second, 1.5) };
                            let batch = batch(seconds.into_iter().map(row).collect());
                            barrier.wait();
                            let written = match store.write(&batch, round + 1) {
                                // The other's row came between the look and the insert.
                                Err(WriteError::Refused(_)) => store.write_apart(&batch, round + 1),
                                written => written,
                            };
                            let written = written.unwrap();
                            assert_eq!(written.refused, [], "no row is refused for the other's");
                            (written.rows, written.duplicates.values().sum())
                        };
                        (0..ROUNDS).map(write).collect::<Vec<_>>()
                    })
                });
                let running: Vec<_> = running.collect();
                running.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(home.count("air"), ROUNDS * SECONDS, "{home} {on_duplicate:?}");
            let each = u64::try_from(SECONDS).unwrap();
            assert!(wrote.iter().flatten().all(|(rows, duplicates)| rows + duplicates == each), "{wrote:?}");
            let complete =
                if on_duplicate == REPLACE { "t is not null and h is not null" } else { "(t is null) <> (h is null)" };
            let text = format!("select count(*) from {} where {complete}", home.view("air"));
            assert_eq!(home.sql().number(&text), Ok(ROUNDS * SECONDS), "{home} {on_duplicate:?}");
        }
    }
}
