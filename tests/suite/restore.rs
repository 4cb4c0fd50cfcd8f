//! A backup is put back: what is lost then, what is not, and that it is said.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use amber::message::Qos;

use crate::support::binary::Amber;
use crate::support::client::Publisher;
use crate::support::folder::Folder;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::{self, Load, Sent, TOPIC};
use crate::support::postgres;
use crate::support::process;
use crate::support::proxy::{Mode, Proxy};
use crate::support::{equal, eventually};

const ACKNOWLEDGED: &str = "amber_acknowledged_total";
const PAUSE: Duration = Duration::from_millis(10);

/// As docs/operation.md makes a backup, while Amber runs or not.
pub fn back_up(home: &Home, folder: &Folder) -> PathBuf {
    let file = folder.join("backup");
    match home {
        Home::Postgres(database) => database.dump(&file),
        Home::Sqlite(_) => sqlite(home, &format!(".backup '{}'", file.display())).unwrap(),
    }
    file
}

/// As docs/operation.md puts it back.
#[track_caller]
pub fn put_back(home: &Home, backup: &Path) {
    match home {
        Home::Postgres(database) => database.restore(backup),
        // It gives up soon if somebody writes.
        Home::Sqlite(_) => {
            eventually("it is put back", || sqlite(home, &format!(".restore '{}'", backup.display())));
        }
    }
}

fn sqlite(home: &Home, command: &str) -> Result<(), String> {
    let Home::Sqlite(folder) = home else { panic!("it is PostgreSQL") };
    let tool = process::find("AMBER_TEST_SQLITE3", &["sqlite3"], "install the package sqlite3");
    let output =
        Command::new(tool).arg("-bail").arg(folder.join("store.db")).args([".timeout 10000", command]).output();
    let output = output.map_err(|error| error.to_string())?;
    let words = String::from_utf8_lossy(&output.stderr);
    if output.status.success() && words.is_empty() { Ok(()) } else { Err(words.into_owned()) }
}

/// The numbers in a backup.
fn numbers_in(home: &Home, backup: &Path) -> BTreeSet<u64> {
    let copy = match home {
        Home::Postgres(_) => {
            let database = postgres::database();
            database.restore(backup);
            Home::Postgres(database)
        }
        Home::Sqlite(_) => {
            let folder = Folder::new();
            std::fs::copy(backup, folder.join("store.db")).unwrap();
            Home::Sqlite(folder)
        }
    };
    numbers::stored(&copy).into_keys().collect()
}

#[test]
fn a_store_put_back_while_amber_is_stopped_goes_on_from_there_and_takes_what_waits_at_the_broker_once() {
    for home in Home::both() {
        let (broker, folder) = (Mosquitto::start(), Folder::new());
        let mut amber = Amber::run(&numbers::config(&broker.url(), &home.url(), ""));
        let mut publisher = Publisher::connect(broker.port, "publisher");
        let stored = |count: i64| eventually("all are stored", || equal(Ok(home.count("numbers")), count));
        publisher.publish_numbers(TOPIC, 0..500, Qos::AtLeastOnce);
        stored(500);
        let backup = back_up(&home, &folder);
        publisher.publish_numbers(TOPIC, 500..1_000, Qos::ExactlyOnce);
        stored(1_000);
        assert!(amber.terminate().success());
        publisher.publish_numbers(TOPIC, 1_000..1_500, Qos::AtLeastOnce);
        put_back(&home, &backup);
        amber.start();
        amber.wait_ready();
        let sent = Sent { acknowledged: (0..500).chain(1_000..1_500).collect(), unknown: BTreeSet::new() };
        // What was stored between the backup and its return is gone: the broker was told that it is safe.
        numbers::assert_exactly_once(&sent, broker.port, &mut amber, &home);
    }
}

#[test]
fn a_backup_has_the_ledger_so_that_what_was_not_acknowledged_is_not_doubled_by_a_move() {
    for home in Home::both() {
        let (broker, folder) = (Mosquitto::start(), Folder::new());
        let proxy = Proxy::to(broker.port);
        let url = format!("mqtt://127.0.0.1:{}", proxy.port);
        let mut amber = Amber::run(&numbers::config(&url, &home.url(), ""));
        let load = Load::start(broker.port, PAUSE);
        for _ in 0..6 {
            load.wait_for(100);
            // Killed between a commit and its acknowledgement: that is lost on its way.
            proxy.set(Mode::DownstreamOnly);
            let acknowledged = amber.metric(ACKNOWLEDGED).unwrap();
            eventually("some are acknowledged in vain", || match amber.metric(ACKNOWLEDGED)? {
                now if now > acknowledged => Ok(()),
                now => Err(format!("{now}")),
            });
            amber.kill();
            proxy.set(Mode::Pass);
            let backup = back_up(&home, &folder);
            put_back(&home, &backup);
            std::fs::remove_file(backup).unwrap();
            amber.start();
            amber.wait_ready();
            eventually("what was stored comes again", || match amber.metric("amber_messages_redelivered_total")? {
                0.0 => Err("nothing".to_owned()),
                count => Ok(count),
            });
        }
        numbers::assert_exactly_once(&load.end(), broker.port, &mut amber, &home);
    }
}

#[test]
fn a_store_put_back_under_a_running_amber_is_said_and_counted_and_it_goes_on() {
    for home in Home::both() {
        // In the second life the backup is of a process that is no more.
        for lives in [1, 2] {
            let home = if home.is_postgres() { Home::postgres() } else { Home::sqlite() };
            let (broker, folder) = (Mosquitto::start(), Folder::new());
            let text = numbers::config(&broker.url(), &home.url(), "");
            let mut amber = Amber::run(&text);
            // New devices, so that series are made after the backup too.
            let load = Load::route(broker.port, PAUSE, "load", 0, |n| format!("n/d{}", n / 50));
            load.wait_for(300);
            let backup = back_up(&home, &folder);
            if lives == 2 {
                amber.kill();
                amber.start();
                amber.wait_ready();
            }
            load.wait_for(600);
            put_back(&home, &backup);
            eventually("it is counted", || equal(amber.metric("amber_store_went_back_total"), 1.0));
            let since = load.count();
            load.wait_for(300);
            eventually("it is ready", || match amber.get("/ready")? {
                (200, _) => Ok(()),
                other => Err(format!("{other:?}")),
            });
            let sent = load.end();
            numbers::come_to_rest(broker.port, &mut amber, &home);
            assert_eq!(amber.log().matches("the store went back in time").count(), 1);

            let stored = numbers::stored(&home);
            let twice: Vec<_> = stored.iter().filter(|&(_, &count)| count != 1).collect();
            assert!(twice.is_empty(), "{home}: {twice:?}");
            let before = numbers_in(&home, &backup);
            let lost: Vec<u64> = sent.acknowledged.iter().copied().filter(|n| !stored.contains_key(n)).collect();
            println!("{home}: {} of {} are lost", lost.len(), sent.acknowledged.len());
            assert!(!lost.is_empty(), "nothing was put to the test");
            assert!(lost.iter().all(|n| !before.contains(n) && *n < since), "{lost:?} since {since}");
            let unknown = format!("select count(*) from {} where device is null", home.view("numbers"));
            assert_eq!(home.sql().number(&unknown), Ok(0), "{home}: no reading has lost its series");
        }
    }
}
