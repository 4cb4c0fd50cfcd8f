//! Rejects within bounds of age and size, in both stores.

use std::time::{Duration, Instant};

use amber::message::Time;
use amber::row::{Reason, Reject};
use amber::store::{Deleted, Pruner};

use super::subject::{Home, NOON, Subject, climate, message, push_reject, standing};
use crate::support::{pause_for, postgres};

const HOUR: i64 = 3_600_000_000;
/// Between two batches.
const PAUSE: Duration = Duration::from_millis(5);

impl Home {
    fn prune(&self, store: &Subject, before: Time, max_bytes: u64) -> Deleted {
        let config = self.store_config();
        let mut deleted = Deleted::default();
        store.runtime.block_on(Pruner::new(&config).prune(before, max_bytes, &mut deleted)).unwrap();
        deleted
    }
}

/// Stores a reject of each message: so many hours after noon, with so many bytes of payload.
fn store_rejects(store: &mut Subject, number: i64, rejects: impl IntoIterator<Item = (i64, usize)>) {
    let mut batch = amber::batch::Batch::default();
    for (hours, bytes) in rejects {
        let mut message = message("home/x", &vec![b'x'; bytes]);
        message.received_at = Time(NOON.0 + hours * HOUR);
        let reject = Reject { mapping: Some("plant".into()), reason: Reason::Payload, detail: "bad".to_owned() };
        push_reject(&mut batch, message, reject);
    }
    store.write(&batch, number).unwrap();
}

#[test]
fn rejects_that_are_too_old_are_deleted_however_many_and_the_others_are_not() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        store_rejects(&mut store, 1, (0..4_900).map(|n| (n % 7, 10)));
        assert_eq!(home.prune(&store, Time(NOON.0), 1 << 30), Deleted::default(), "{home}");
        assert_eq!(home.prune(&store, Time(NOON.0 + 5 * HOUR), 1 << 30), Deleted { by_age: 3_500, by_size: 0 });
        assert_eq!(home.count("rejects"), 1_400);
        let old = format!(
            "select count(*) from {} where received_at < {}",
            home.view("rejects"),
            if home.is_postgres() { "'2026-11-25T17:00:00Z'".to_owned() } else { (NOON.0 + 5 * HOUR).to_string() }
        );
        assert_eq!(home.sql().number(&old), Ok(0));
    }
}

#[test]
fn beyond_the_size_the_oldest_rejects_are_deleted_until_a_tenth_is_free() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        // Each 1,000 bytes: 100 for the row, 6 of the topic, 3 of the detail.
        store_rejects(&mut store, 1, (0..2_000).map(|_| (0, 891)));
        assert_eq!(home.prune(&store, Time(0), 2_000_000), Deleted::default(), "{home}");
        assert_eq!(home.prune(&store, Time(0), 1_999_999), Deleted { by_age: 0, by_size: 200 }, "{home}");
        assert_eq!(home.count("rejects"), 1_800);
        let oldest = format!("select min(id) from {}", home.view("rejects"));
        assert_eq!(home.sql().number(&oldest), Ok(201));
        assert_eq!(home.prune(&store, Time(0), 1_999_999), Deleted::default());
        // Also what is far beyond, and with payloads that take pages of their own.
        store_rejects(&mut store, 2, (0..100).map(|_| (0, 100_000)));
        let deleted = home.prune(&store, Time(0), 1 << 20);
        assert_eq!(deleted.by_size, 1_800 + 100 - 14, "14 of 65,645 bytes are nine tenths: {home}");
    }
}

#[test]
fn while_rejects_are_deleted_batches_are_stored() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        for number in 1..=4 {
            store_rejects(&mut store, number, (0..5_000).map(|_| (0, 1_000)));
        }
        let config = home.store_config();
        let deleting = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let mut deleted = Deleted::default();
            let pruned = runtime.block_on(Pruner::new(&config).prune(Time(NOON.0 + HOUR), 1 << 30, &mut deleted));
            pruned.map(|()| deleted)
        });
        let mut number = 5;
        let mut slowest = Duration::ZERO;
        while !deleting.is_finished() {
            let start = Instant::now();
            store.write(&super::subject::temperatures([1.0]), number).unwrap();
            slowest = slowest.max(start.elapsed());
            number += 1;
            // SQLite's lock goes to whoever looks at the right moment: the deletion is to have one too.
            pause_for(PAUSE);
        }
        assert_eq!(deleting.join().unwrap().unwrap(), Deleted { by_age: 20_000, by_size: 0 });
        println!("{home}: {number} batches, the slowest in {slowest:?}");
        assert!(number > 10, "{number} batches beside the deletion in {home}");
        assert!(slowest < Duration::from_secs(8), "{slowest:?} in {home}");
        assert_eq!(home.count("rejects"), 0);
    }
}

#[test]
fn rows_that_the_database_refuses_are_kept_as_far_as_there_is_room() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        home.sql().run(if home.is_postgres() {
            "alter table amber_store.climate_data add constraint not_too_hot check (temperature < 100)"
        } else {
            "create trigger not_too_hot before insert on store_climate_data when new.temperature >= 100
             begin select raise(abort, 'not_too_hot'); end"
        });
        let mut batch = super::subject::temperatures((0..20).map(|n| if n < 10 { 451.0 } else { 20.0 }));
        batch.bound_refused([("plant".into(), 3)].into());
        let written = store.write_apart(&batch, 1).unwrap();
        assert_eq!((written.rows, written.rejects, written.refused.len()), (10, 3, 10));
        assert_eq!((home.count("climate"), home.count("rejects")), (10, 3), "{home}");
    }
}

#[test]
fn the_refused_rows_of_a_message_are_one_reject_with_one_copy_of_its_payload() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        home.sql().run(if home.is_postgres() {
            "alter table amber_store.climate_data add constraint not_too_hot check (temperature < 100)"
        } else {
            "create trigger not_too_hot before insert on store_climate_data when new.temperature >= 100
             begin select raise(abort, 'not_too_hot'); end"
        });
        let mut batch = super::subject::temperatures([20.0, 451.0]);
        let rows = super::subject::temperatures([451.0; 100]).rows.into_iter().map(|(_, row)| row).collect();
        let outcome = amber::row::Outcome::Rows { rows, rejects: vec![] };
        batch.push(message("home/x", &[b'x'; 1_000]), amber::row::Mapped { outcome, dropped: vec![], expired: vec![] });
        batch.bound_refused([("plant".into(), 2)].into());
        let written = store.write_apart(&batch, 1).unwrap();
        assert_eq!((written.rows, written.rejects, written.refused.len()), (1, 2, 101), "{home}");
        let told = format!("select count(*) from {} where detail like '%(and 99 more rows)'", home.view("rejects"));
        assert_eq!((home.count("rejects"), home.sql().number(&told)), (2, Ok(1)), "{home}");
    }
}

#[test]
fn a_role_that_may_not_delete_is_told_what_to_grant_and_deletes_nothing() {
    let database = postgres::database();
    let mut sql = database.sql();
    let role = format!("keeper_{}", database.name);
    sql.run(&format!("create role {role} login"));
    let home = Home::Postgres(database);
    let mut store = home.ready(&climate());
    store_rejects(&mut store, 1, [(0, 10)]);
    sql.run(&format!("grant usage on schema amber_store to {role}; grant select, insert, update on all tables in schema amber_store to {role}"));
    let url = home.url().replace("postgres@", &format!("{role}@"));
    let config = amber::config::Store {
        url: amber::fault::At::new(
            amber::config::StoreUrl::Postgres(vec![amber::config::Secret::new(url)]),
            amber::fault::Place::Default,
        ),
        ..home.store_config()
    };
    let mut deleted = Deleted::default();
    let mut prune = || store.runtime.block_on(Pruner::new(&config).prune(Time(NOON.0 + HOUR), 1 << 30, &mut deleted));
    let text = standing(prune());
    assert!(text.contains(&format!("grant delete on amber_store.reject to \"{role}\"")), "{text}");
    sql.run(&format!("grant delete on amber_store.reject to {role}"));
    prune().unwrap();
    assert_eq!(deleted, Deleted { by_age: 1, by_size: 0 });
}
