//! A row that the database refuses harms no other; a table that refuses all is for a person to mend.

use amber::row::{Tags, Value};
use amber::store::Written;

use super::subject::{Home, Subject, batch, climate, refused, row, standing, temperatures};
use crate::support::postgres;

/// What somebody adds: temperatures from 100 on are refused.
fn refuse_heat(home: &Home) {
    home.sql().run(if home.is_postgres() {
        "alter table amber_store.climate_data add constraint not_too_hot check (temperature < 100)"
    } else {
        "create trigger not_too_hot before insert on store_climate_data when new.temperature >= 100
         begin select raise(abort, 'not_too_hot'); end"
    });
}

/// The same, in silence.
fn drop_heat(home: &Home) {
    home.sql().run(if home.is_postgres() {
        "create function drop_it() returns trigger language plpgsql as 'begin return null; end';
         create trigger drop_heat before insert on amber_store.climate_data for each row when (new.temperature >= 100) execute function drop_it()"
    } else {
        "create trigger drop_heat before insert on store_climate_data when new.temperature >= 100
         begin select raise(ignore); end"
    });
}

#[test]
fn a_refused_row_becomes_a_reject_and_its_neighbours_are_stored() {
    for (add, word) in [(refuse_heat as fn(&Home), "not_too_hot"), (drop_heat, "a trigger on")] {
        for home in Home::both() {
            let mut store = home.ready(&climate());
            add(&home);
            let batch = temperatures((0..200).map(|n| if n % 50 == 7 { 451.0 } else { f64::from(n % 100) }));
            refused(store.write(&batch, 1));
            assert!(store.store.is_adopted());
            assert_eq!(home.count("climate"), 0, "nothing is stored by halves");
            let Written { rows, rejects, refused, .. } = store.write_apart(&batch, 1).unwrap();
            assert_eq!((rows, rejects), (196, 4));
            let positions: Vec<usize> = refused.iter().map(|(position, _)| *position).collect();
            assert_eq!(positions, [7, 57, 107, 157]);
            assert!(refused.iter().all(|(_, why)| why.contains(word)), "{refused:?}");
            assert_eq!(home.count("climate"), 196);
            let kept = format!(
                "select count(*) from {} where reason = 'refused' and mapping = 'plant' and detail like '%{word}%'",
                home.view("rejects")
            );
            assert_eq!(home.sql().number(&kept), Ok(4));
            // The next batch is written as ever.
            assert_eq!(store.write(&temperatures([1.0]), 2).unwrap().rows, 1);
        }
    }
}

#[test]
fn what_postgresql_says_of_a_rows_data_is_in_the_reject_and_not_in_the_log() {
    let home = Home::postgres();
    let mut store = home.ready(&climate());
    refuse_heat(&home);
    home.sql().run("alter table amber_store.climate_series add constraint no_cellar check (room <> 'cellar')");
    let heat = |n: usize| if n < 64 { 451.0 } else { 20.0 };
    let mut some = temperatures((60..70).map(heat));
    some.rows[9].1.tags = Tags::new(["cellar", "t1"]);
    let text = refused(store.write(&some, 1));
    assert!(text.contains("no_cellar") && !text.contains("Failing row"), "{text}");
    let written = store.write_apart(&some, 1).unwrap();
    assert_eq!(written.refused.len(), 5);
    assert!(written.refused.iter().all(|(_, why)| !why.contains("Failing row")), "{written:?}");
    for data in ["%not_too_hot%[23514]: Failing row contains (%451%", "its series: %no_cellar%Failing row%(%cellar%"] {
        let kept = format!("select count(*) > 0 from amber.rejects where detail like '{data}'");
        assert_eq!(home.sql().value(&kept), Ok("t".to_owned()), "{data}");
    }
    // Nor in what `/ready` says.
    let text = refused(store.write(&temperatures((0..64).map(heat)), 2));
    assert!(text.contains("not_too_hot") && !text.contains("451"), "{text}");
    let text = standing(store.write_apart(&temperatures((0..64).map(heat)), 2));
    assert!(text.contains("not_too_hot") && !text.contains("451"), "{text}");
}

#[test]
fn good_rows_among_very_many_bad_ones_are_stored() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        refuse_heat(&home);
        // The last bad row comes when 1,100 were refused.
        let bad = |n: usize| (1..=1_100).contains(&n) || n == 1_150;
        let batch = temperatures((0..1_200).map(|n| if bad(n) { 451.0 } else { 20.0 }));
        refused(store.write(&batch, 1));
        let written = store.write_apart(&batch, 1).unwrap();
        assert_eq!((written.rows, written.rejects), (99, 1_101));
        assert!(written.refused.iter().all(|(n, _)| bad(*n)), "{written:?}");
        assert_eq!((home.count("climate"), home.count("rejects")), (99, 1_101));
    }
}

#[test]
fn a_constraint_that_waits_for_the_commit_is_found_too() {
    let home = Home::Postgres(postgres::database());
    let mut store = home.ready(&climate());
    home.sql().run(
        "create function complain() returns trigger language plpgsql as 'begin raise exception ''too hot''; end';
         create constraint trigger later after insert on amber_store.climate_data deferrable initially deferred
         for each row when (new.temperature >= 100) execute function complain()",
    );
    let batch = temperatures([1.0, 451.0, 2.0]);
    refused(store.write(&batch, 1));
    let written = store.write_apart(&batch, 1).unwrap();
    assert_eq!((written.rows, written.rejects), (2, 1));
    assert!(written.refused[0].1.contains("too hot"));
}

#[test]
fn a_table_that_takes_no_row_at_all_is_standing_and_nothing_is_stored() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        refuse_heat(&home);
        let batch = temperatures((0..500).map(|_| 451.0));
        refused(store.write(&batch, 1));
        let text = standing(store.write_apart(&batch, 1));
        assert!(text.contains("climate_data") && text.contains("not_too_hot"), "{text}");
        assert_eq!((home.count("climate"), home.count("rejects")), (0, 0));
        // Once it is mended, the same batch goes under the same number.
        home.sql().run(if home.is_postgres() {
            "alter table amber_store.climate_data drop constraint not_too_hot"
        } else {
            "drop trigger not_too_hot"
        });
        assert_eq!(store.write(&batch, 1).unwrap().rows, 500);
    }
}

#[test]
fn a_refused_series_refuses_its_rows_only() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        home.sql().run(if home.is_postgres() {
            "alter table amber_store.climate_series add constraint no_cellar check (room <> 'cellar')"
        } else {
            "create trigger no_cellar before insert on store_climate_series when new.room = 'cellar'
             begin select raise(abort, 'no_cellar'); end"
        });
        let rows = ["hall", "cellar", "attic", "cellar", "bath"]
            .map(|room| row(0, &[room, "t1"], vec![Some(Value::Float(1.0))]))
            .to_vec();
        let batch = batch(rows);
        refused(store.write(&batch, 1));
        let written = store.write_apart(&batch, 1).unwrap();
        assert_eq!((written.rows, written.rejects), (3, 2));
        assert!(written.refused.iter().all(|(_, why)| why.contains("no_cellar")), "{written:?}");
        assert_eq!(written.refused.iter().map(|(position, _)| *position).collect::<Vec<_>>(), [1, 3]);
    }
}

#[test]
fn a_row_that_does_not_fit_the_schema_is_refused_and_not_misread() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        let batch = batch(vec![
            row(0, &["hall", "t1"], vec![Some(Value::Int(1))]),
            row(0, &["hall"], vec![Some(Value::Float(1.0))]),
            row(9, &["hall", "t1"], vec![Some(Value::Float(1.0))]),
            row(0, &["hall", "t1"], vec![Some(Value::Float(1.0))]),
        ]);
        refused(store.write(&batch, 1));
        let written = store.write_apart(&batch, 1).unwrap();
        assert_eq!((written.rows, written.rejects), (1, 3));
    }
}

#[test]
fn a_permission_that_is_taken_away_is_standing_and_says_what_to_grant() {
    let database = postgres::database();
    let role = format!("writer_{}", database.name);
    database.sql().run(&format!("create role {role} login; grant create on database {} to {role}", database.name));
    let url = database.url().replace("postgres@", &format!("{role}@"));
    let mut store = Subject::postgres(&url, 1);
    store.prepare(&climate()).unwrap();
    store.adopt().unwrap();
    store.write(&temperatures([1.0]), 1).unwrap();
    let mut sql = database.sql();
    sql.run(&format!("revoke insert on amber_store.climate_data from {role}"));
    let text = standing(store.write(&temperatures([2.0]), 2));
    assert!(text.contains("climate_data") && text.contains("grant select, insert, update"), "{text}");
    assert!(text.contains(&role), "{text}");
    sql.run(&format!("grant insert on amber_store.climate_data to {role}"));
    store.write(&temperatures([2.0]), 2).unwrap();
    // And from the beginning.
    let database = postgres::database();
    let url = database.url().replace("postgres@", &format!("{role}@"));
    let text = standing(Subject::postgres(&url, 1).prepare(&climate()));
    assert!(text.contains("grant create on database"), "{text}");
}

#[test]
fn a_table_that_somebody_drops_is_standing_and_made_anew_at_the_next_try() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        store.write(&temperatures([1.0]), 1).unwrap();
        home.sql().run(if home.is_postgres() {
            "drop table amber_store.climate_data cascade"
        } else {
            "drop view climate; drop table store_climate_data"
        });
        standing(store.write(&temperatures([2.0]), 2));
        assert_eq!(store.write(&temperatures([2.0]), 2).unwrap().rows, 1);
        assert_eq!(home.count("climate"), 1);
    }
}
