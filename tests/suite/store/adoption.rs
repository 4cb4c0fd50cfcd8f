//! Who may store: facts that exactly-once rests on.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::thread;

use amber::store::WriteError;

use super::subject::{Home, Subject, WRITER, away, climate, standing, temperatures};
use crate::support::postgres::{self, Postgres};
use crate::support::proxy::{Cut, Mode, Proxy};
use crate::support::{equal, eventually};

/// Of the writer's row.
fn epoch(home: &Home) -> i64 {
    home.sql().number(&format!("select epoch from {}", home.table("delivery"))).unwrap()
}

/// Now, in microseconds, as the store has it.
fn clock(home: &Home) -> i64 {
    home.sql()
        .number(if home.is_postgres() {
            "select (extract(epoch from clock_timestamp()) * 1000000)::int8"
        } else {
            "select cast(unixepoch('subsec') * 1000000 as integer)"
        })
        .unwrap()
}

#[test]
fn adoption_counts_epochs_from_the_clock_and_remembers_number_ledger_filters_and_store() {
    for home in Home::both() {
        let mut first = home.store(1);
        first.prepare(&climate()).unwrap();
        let before = clock(&home);
        assert!(!first.store.is_adopted());
        let adopted = first.adopt().unwrap();
        assert_eq!((adopted.seq, &*adopted.packets, &*adopted.filters), (0, &b"\x01"[..], ""));
        assert!((before + 1..=clock(&home) + 1).contains(&adopted.epoch), "{adopted:?} in {home}");
        assert!(first.store.is_adopted());
        first.write_packets(&temperatures([21.5]), 1, b"\x01keys").unwrap();
        first.runtime.block_on(first.store.write_filters("[\"a/#\"]")).unwrap();
        first.runtime.block_on(first.store.close());
        assert!(!first.store.is_adopted());
        let mut second = home.store(2);
        second.prepare(&climate()).unwrap();
        let again = second.adopt().unwrap();
        assert_eq!((again.seq, &*again.packets, &*again.filters), (1, &b"\x01keys"[..], "[\"a/#\"]"));
        assert!((adopted.epoch + 1..=clock(&home) + 1).contains(&again.epoch), "{again:?} in {home}");
        // The same process goes on by one, and so does another if the clock is behind.
        assert_eq!(second.adopt().unwrap().epoch, again.epoch + 1);
        let ahead = clock(&home) + 3_600_000_000;
        home.sql().run(&format!("update {} set epoch = {ahead}", home.table("delivery")));
        let mut third = home.store(3);
        third.prepare(&climate()).unwrap();
        assert_eq!(third.adopt().unwrap().epoch, ahead + 1);
        assert_eq!(again.instance, adopted.instance);
        assert_eq!(again.instance.len(), 36);
    }
}

#[test]
fn adoption_waits_for_a_running_transaction_and_sees_its_number() {
    for home in Home::both() {
        let mut first = home.ready(&climate());
        let before = epoch(&home);
        first.runtime.block_on(first.store.close());
        let mut running = home.sql();
        running.run(if home.is_postgres() { "begin" } else { "begin immediate" });
        running.run(&format!("update {} set seq = 7 where writer = '{WRITER}'", home.table("delivery")));
        let mut second = home.store(2);
        let adopting = thread::spawn(move || second.adopt());
        if home.is_postgres() {
            let mut sql = home.sql();
            eventually("the adoption waits for the row", || {
                let waiting = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'amber' and wait_event_type = 'Lock'";
                equal(sql.number(waiting), 1)
            });
        }
        running.run("commit");
        let adopted = adopting.join().unwrap().unwrap();
        assert_eq!(adopted.seq, 7);
        assert!(adopted.epoch > before);
    }
}

#[test]
fn a_statement_of_an_older_epoch_stores_nothing() {
    for home in Home::both() {
        let mut older = home.ready(&climate());
        older.write(&temperatures([20.0]), 1).unwrap();
        // The same process, connected anew while its older connection lives on.
        let mut newer = home.store(1);
        newer.prepare(&climate()).unwrap();
        let before = epoch(&home);
        assert!(newer.adopt().unwrap().epoch > before);
        let late = temperatures([21.0]);
        assert!(matches!(older.write(&late, 2), Err(WriteError::Fenced)));
        assert!(!older.store.is_adopted());
        assert_eq!(home.count("climate"), 1);
        older.adopt().unwrap();
        assert!(matches!(newer.runtime.block_on(newer.store.write_ledger(b"\x01")), Err(WriteError::Fenced)));
        older.write(&late, 2).unwrap();
        assert_eq!(home.count("climate"), 2);
    }
}

#[test]
fn a_second_process_stops_the_first() {
    for home in Home::both() {
        let mut first = home.ready(&climate());
        let mut second = home.store(2);
        second.prepare(&climate()).unwrap();
        second.adopt().unwrap();
        assert!(matches!(first.write(&temperatures([1.0]), 1), Err(WriteError::Fenced)));
        assert!(matches!(first.adopt(), Err(WriteError::Fenced)));
        assert!(matches!(first.adopt(), Err(WriteError::Fenced)), "and it does not fight");
        assert!(matches!(first.write_apart(&temperatures([1.0]), 1), Err(WriteError::Away { in_doubt: false, .. })));
        second.write(&temperatures([2.0]), 1).unwrap();
        assert_eq!(home.count("climate"), 1);
    }
}

#[test]
fn a_number_is_taken_once() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        store.write(&temperatures([1.0]), 1).unwrap();
        assert!(matches!(store.write(&temperatures([1.0]), 1), Err(WriteError::Fenced)));
        assert_eq!(store.adopt().unwrap().seq, 1);
        assert_eq!(home.count("climate"), 1);
    }
}

#[test]
fn a_lost_adoption_answer_is_harmless() {
    let database = postgres::database();
    let proxy = Proxy::to(database.port);
    let mut store = Subject::postgres(&database.url_through(proxy.port), 1);
    store.prepare(&climate()).unwrap();
    // At start, and on a later connection.
    let mut before = 0;
    for number in [1, 3] {
        proxy.swallow_answer_to(WRITER);
        thread::scope(|scope| {
            let adopting = scope.spawn(|| store.adopt());
            let mut sql = database.sql();
            eventually("the adoption is done", || match sql.number("select epoch from amber_store.delivery")? {
                epoch if epoch > before => {
                    before = epoch;
                    Ok(())
                }
                epoch => Err(format!("the epoch is {epoch}")),
            });
            proxy.cut(Cut::Reset);
            assert!(!away(adopting.join().unwrap()).0);
        });
        proxy.set(Mode::Pass);
        let adopted = store.adopt().unwrap();
        assert!(adopted.epoch > before);
        before = adopted.epoch;
        store.write(&temperatures([1.0]), number).unwrap();
        proxy.cut(Cut::Close);
        assert!(away(store.write(&temperatures([1.0]), number + 1)).0);
    }
}

#[test]
fn a_cancelled_adoption_is_harmless() {
    for home in Home::both() {
        let mut store = home.store(1);
        store.prepare(&climate()).unwrap();
        store.runtime.block_on(async {
            let mut adopting = pin!(store.store.adopt());
            let first = poll_fn(|context| Poll::Ready(adopting.as_mut().poll(context))).await;
            assert!(first.is_pending() || matches!(first, Poll::Ready(Ok(_))));
        });
        store.adopt().unwrap();
        store.write(&temperatures([1.0]), 1).unwrap();
    }
}

#[test]
fn an_unanswered_commit_is_settled_by_adoption() {
    let database = postgres::database();
    let proxy = Proxy::to(database.port);
    let mut store = Subject::postgres(&database.url_through(proxy.port), 1);
    store.prepare(&climate()).unwrap();
    store.adopt().unwrap();
    let mut sql = database.sql();
    // The statement ran, and its answer is lost.
    proxy.swallow_answer_to("keys of the first");
    thread::scope(|scope| {
        let writing = scope.spawn(|| store.write_packets(&temperatures([1.0]), 1, b"\x01keys of the first"));
        eventually("the row is stored", || equal(sql.number("select count(*) from amber.climate"), 1));
        proxy.cut(Cut::Reset);
        let (in_doubt, why) = away(writing.join().unwrap());
        assert!(in_doubt, "{why}");
    });
    assert!(!store.store.is_adopted());
    proxy.set(Mode::Pass);
    assert_eq!(store.adopt().unwrap().seq, 1);
    store.write(&temperatures([2.0]), 2).unwrap();
    // The statement did not run.
    proxy.set(Mode::DownstreamOnly);
    thread::scope(|scope| {
        let writing = scope.spawn(|| store.write(&temperatures([3.0]), 3));
        proxy.cut(Cut::Reset);
        assert!(away(writing.join().unwrap()).0);
    });
    proxy.set(Mode::Pass);
    assert_eq!(store.adopt().unwrap().seq, 2);
    store.write(&temperatures([3.0]), 3).unwrap();
    assert_eq!(sql.number("select count(*) from amber.climate"), Ok(3));
}

#[test]
fn a_commit_of_several_statements_that_is_not_answered_is_in_doubt_and_not_before() {
    let database = postgres::database();
    let proxy = Proxy::to(database.port);
    let mut store = Subject::postgres(&database.url_through(proxy.port), 1);
    store.prepare(&climate()).unwrap();
    store.adopt().unwrap();
    let mut sql = database.sql();
    store.write(&temperatures([1.0]), 1).unwrap();
    proxy.swallow_answer_to("set constraints all immediate");
    thread::scope(|scope| {
        let writing = scope.spawn(|| store.write_apart(&temperatures([1.0]), 2));
        let waiting = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'amber' and query like 'set constraints%' and state = 'idle in transaction'";
        eventually("the statement is answered", || equal(sql.number(waiting), 1));
        proxy.cut(Cut::Reset);
        assert!(!away(writing.join().unwrap()).0);
    });
    proxy.set(Mode::Pass);
    store.adopt().unwrap();
    store.write(&temperatures([1.0]), 2).unwrap();
    proxy.swallow_answer_to("commit");
    thread::scope(|scope| {
        let writing = scope.spawn(|| store.write_apart(&temperatures([1.0]), 3));
        eventually("the row is stored", || equal(sql.number("select count(*) from amber.climate"), 3));
        proxy.cut(Cut::Reset);
        assert!(away(writing.join().unwrap()).0);
    });
    proxy.set(Mode::Pass);
    assert_eq!(store.adopt().unwrap().seq, 3);
}

#[test]
fn a_ledger_only_write_keeps_seq() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        store.write_packets(&temperatures([1.0]), 5, b"\x01many keys").unwrap();
        store.runtime.block_on(store.store.write_ledger(b"\x01")).unwrap();
        let adopted = store.adopt().unwrap();
        assert_eq!((adopted.seq, &*adopted.packets), (5, &b"\x01"[..]));
    }
}

#[test]
fn a_server_that_restarts_is_away_and_then_adopted() {
    let mut server = Postgres::start();
    let database = server.database();
    let mut store = Subject::postgres(&database.url(), 1);
    store.prepare(&climate()).unwrap();
    store.adopt().unwrap();
    store.write(&temperatures([1.0]), 1).unwrap();
    server.stop();
    assert!(away(store.write(&temperatures([2.0]), 2)).0);
    let (_, why) = away(store.adopt());
    assert!(why.contains(&format!("cannot connect to PostgreSQL at 127.0.0.1:{}", server.port)), "{why}");
    server.start_again();
    assert_eq!(store.adopt().unwrap().seq, 1);
    store.write(&temperatures([2.0]), 2).unwrap();
    server.kill();
    assert!(away(store.write(&temperatures([3.0]), 3)).0);
    server.start_again();
    assert_eq!(store.adopt().unwrap().seq, 2);
    assert_eq!(database.sql().number("select count(*) from amber.climate"), Ok(2));
}

#[test]
fn a_file_that_another_process_holds_is_away_and_a_file_of_something_else_is_standing() {
    let home = Home::Sqlite(crate::support::folder::Folder::new());
    let Home::Sqlite(folder) = &home else { unreachable!() };
    let mut store = home.ready(&climate());
    let mut other = home.sql();
    other.run("begin immediate");
    let (in_doubt, why) = away(store.write(&temperatures([1.0]), 1));
    assert!(!in_doubt && why.contains("another process holds it"), "{why}");
    other.run("rollback");
    store.write(&temperatures([1.0]), 1).unwrap();
    let path = folder.write("letter.db", &"This is a letter, and long enough to be read. ".repeat(50));
    let mut letter = Subject::new(amber::config::StoreUrl::Sqlite(path), 1);
    let text = super::subject::standing(letter.prepare(&climate()));
    assert!(text.contains("letter.db") && text.contains("not a database"), "{text}");
    let mut nowhere = Subject::new(amber::config::StoreUrl::Sqlite(folder.join("a/b.db")), 1);
    let text = super::subject::standing(nowhere.prepare(&climate()));
    assert!(text.contains("mkdir -p"), "{text}");
}

#[test]
fn a_store_that_forgets_the_writer_is_standing_and_no_other_amber_is_blamed() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        store.write(&temperatures([1.0]), 1).unwrap();
        home.sql().run(&format!("delete from {}", home.table("delivery")));
        assert!(matches!(store.write(&temperatures([2.0]), 2), Err(WriteError::Fenced)));
        let text = standing(store.adopt());
        assert!(text.contains("no row for this writer") && text.contains("restart Amber"), "{text}");
        home.sql().run(&format!("drop table {}", home.table("delivery")));
        let text = standing(store.adopt());
        assert!(text.contains("delivery") && text.contains("restart Amber"), "{text}");
    }
}

#[test]
fn a_wrong_database_or_password_is_standing_and_says_neither_password_nor_nothing() {
    let database = postgres::database();
    let url = format!("postgres://postgres:secret@127.0.0.1:{}/nowhere?sslmode=disable", database.port);
    let text = super::subject::standing(Subject::postgres(&url, 1).prepare(&climate()));
    assert!(text.contains("127.0.0.1") && text.contains("nowhere") && text.contains("create database"), "{text}");
    assert!(!text.contains("secret"), "{text}");
    let (_, text) = away(Subject::postgres("postgres://postgres@127.0.0.1:1/x", 1).adopt());
    assert!(text.contains("127.0.0.1:1/x"), "{text}");
}

#[test]
fn a_sqlite_file_that_is_moved_away_takes_no_batch_and_goes_on_when_it_is_back() {
    let home = Home::sqlite();
    let Home::Sqlite(folder) = &home else { panic!("it is SQLite") };
    let mut store = home.ready(&climate());
    store.write(&temperatures([21.5]), 1).unwrap();
    let (path, away) = (folder.join("store.db"), folder.join("away.db"));
    std::fs::rename(&path, &away).unwrap();
    assert!(standing(store.write(&temperatures([22.5]), 2)).contains("was deleted, moved or replaced"));
    assert!(standing(store.runtime.block_on(store.store.ask())).contains("restart Amber"));
    assert!(!path.exists(), "no new file is made in its place");
    std::fs::write(&path, "").unwrap();
    standing(store.write(&temperatures([22.5]), 2));
    std::fs::rename(&away, &path).unwrap();
    store.write(&temperatures([22.5]), 2).unwrap();
    assert_eq!(home.count("climate"), 2);
}

/// Puts the writer's row back to what a backup of an earlier time has; the series made since are gone.
fn put_back(home: &Home, owner: i64, epoch: i64, seq: i64) {
    home.sql().run(&format!(
        "update {} set owner = {owner}, epoch = {epoch}, seq = {seq}; delete from {}; delete from {}",
        home.table("delivery"),
        home.table("climate_data"),
        home.table("climate_series"),
    ));
}

#[test]
fn a_database_that_was_put_back_under_a_connection_that_lives_is_noticed_before_anything_is_stored() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        for number in 1..=5 {
            store.write(&temperatures([1.0]), number).unwrap();
        }
        // A backup of this connection's time: owner and epoch are ours.
        let before = epoch(&home);
        put_back(&home, 1, before, 2);
        assert!(matches!(store.write(&temperatures([2.0]), 6), Err(WriteError::Fenced)));
        assert!(!store.store.is_adopted());
        let adopted = store.adopt().unwrap();
        assert_eq!((adopted.epoch, adopted.seq), (before + 1, 2));
        store.write(&temperatures([2.0]), 6).unwrap();
        let joined = format!("select count(*) from {} where room = 'kitchen'", home.view("climate"));
        assert_eq!(home.sql().number(&joined), Ok(1), "no number of a series is taken from before");
        // It is noticed with nothing to write, too.
        put_back(&home, 1, before + 1, 2);
        assert!(matches!(store.runtime.block_on(store.store.ask()), Err(WriteError::Fenced)));
        store.adopt().unwrap();
    }
}

#[test]
fn a_backup_of_an_earlier_process_is_taken_over_and_epochs_go_on() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        for _ in 0..4 {
            store.adopt().unwrap();
        }
        store.write(&temperatures([1.0]), 7).unwrap();
        let before = epoch(&home);
        put_back(&home, 77, before - 2, 2);
        assert!(matches!(store.write(&temperatures([2.0]), 8), Err(WriteError::Fenced)));
        let adopted = store.adopt().unwrap();
        assert_eq!((adopted.epoch, adopted.seq), (before + 1, 2), "an epoch is given once");
        store.write(&temperatures([2.0]), 8).unwrap();
        // Another process that has adopted since is no backup.
        let mut second = home.store(2);
        second.prepare(&climate()).unwrap();
        second.adopt().unwrap();
        assert!(matches!(store.write(&temperatures([4.0]), 9), Err(WriteError::Fenced)));
        assert!(matches!(store.adopt(), Err(WriteError::Fenced)));
    }
}

#[test]
fn keys_of_batches_that_a_backup_lacks_are_not_written_into_it() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        store.write_packets(&temperatures([1.0]), 1, b"\x01keys of then").unwrap();
        store.write_packets(&temperatures([1.0]), 2, b"\x01keys of now").unwrap();
        // Owner and epoch are ours, and it is put back before the next question notices.
        home.sql().run(&format!(
            "update {} set seq = 1, packets = {}",
            home.table("delivery"),
            if home.is_postgres() { "'\\x01ff'" } else { "x'01ff'" },
        ));
        assert!(matches!(store.runtime.block_on(store.store.write_ledger(b"\x01more")), Err(WriteError::Fenced)));
        assert!(!store.store.is_adopted());
        let adopted = store.adopt().unwrap();
        assert_eq!((adopted.seq, &*adopted.packets), (1, &b"\x01\xff"[..]), "{home}");
    }
}

#[test]
fn who_lived_through_a_restore_does_not_take_the_row_from_who_started_on_the_backup() {
    for home in Home::both() {
        let mut older = home.ready(&climate());
        for _ in 0..4 {
            older.adopt().unwrap();
        }
        let before = epoch(&home);
        // A backup of an earlier process; one that starts on it elsewhere stores a message and keeps its key.
        put_back(&home, 77, before - 2, 0);
        let mut newer = home.store(2);
        newer.prepare(&climate()).unwrap();
        newer.adopt().unwrap();
        newer.write_packets(&temperatures([1.0]), 1, b"\x01key").unwrap();
        assert!(matches!(older.write(&temperatures([1.0]), 1), Err(WriteError::Fenced)));
        assert!(matches!(older.adopt(), Err(WriteError::Fenced)), "{home}: its ledger lacks the key");
        newer.write(&temperatures([2.0]), 2).unwrap();
        assert_eq!(home.count("climate"), 2);
    }
}

type Write = fn(&mut Subject) -> Result<(), WriteError>;

#[test]
fn of_two_processes_with_one_epoch_only_the_owner_of_the_row_writes() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        let writes: [Write; 5] = [
            |store| store.write(&temperatures([1.0]), 1).map(drop),
            |store| store.write_apart(&temperatures([1.0]), 1).map(drop),
            |store| store.runtime.block_on(store.store.write_ledger(b"\x01")),
            |store| store.runtime.block_on(store.store.write_filters("[]")),
            |store| store.runtime.block_on(store.store.ask()),
        ];
        for (n, write) in writes.into_iter().enumerate() {
            // By a backup and a clock that was set back another may get the number that this one has.
            home.sql().run(&format!("update {} set owner = 2", home.table("delivery")));
            assert!(matches!(write(&mut store), Err(WriteError::Fenced)), "{n} in {home}");
            home.sql().run(&format!("update {} set owner = 1", home.table("delivery")));
            store.adopt().unwrap();
        }
        assert_eq!(home.count("climate"), 0);
    }
}
