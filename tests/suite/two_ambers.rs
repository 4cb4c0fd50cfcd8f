//! Two Ambers on one store: with two client ids they share it, with one the older ends.

use std::time::Duration;

use crate::support::binary::Amber;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::{self, Load, SENTINEL};
use crate::support::{Random, equal, eventually, pause_for};

const PAUSE: Duration = Duration::from_millis(10);
/// The numbers of the second load begin here.
const SECOND: u64 = 500_000_000;
const KILLS: u64 = 16;

/// Amber `name` takes `<name>/{device}` into the measurement that both have.
fn config(broker: &Mosquitto, home: &Home, name: &str, more: &str) -> String {
    numbers::settings(&broker.url(), &home.url(), &format!("client_id = \"{name}\"\nqos = 2"))
        + &format!(
            "[mapping.{name}]\nmeasurement = \"numbers\"\ntopic = \"{name}/{{device}}\"\n{more}\n[mapping.{name}.fields]\nn = {{ type = \"int\" }}\n"
        )
}

/// A tag and a field that the older mapping lacks.
fn newer(broker: &Mosquitto, home: &Home, name: &str, column: &str) -> String {
    let tag = format!("tags = {{ {column}_tag = {{ value = \"2\" }} }}");
    config(broker, home, name, &tag) + &format!("{column} = {{ path = \"n\", type = \"float\" }}\n")
}

/// A new device every 20 numbers, the same ones at about the same time for both.
fn load(broker: &Mosquitto, name: &'static str, first: u64) -> Load {
    Load::route(broker.port, PAUSE, &format!("load-{name}"), first, move |n| format!("{name}/d{}", (n - first) / 20))
}

#[track_caller]
fn start_both(one: &mut Amber, other: &mut Amber) {
    // At the same time, on an empty store: both want to make the tables.
    one.start();
    other.start();
    one.wait_ready();
    other.wait_ready();
}

/// Both come to rest, and each number of both loads is stored once, with the tag that it came with.
#[track_caller]
fn assert_exactly_once(broker: &Mosquitto, home: &Home, ambers: [(&str, &mut Amber); 2], loads: [Load; 2]) {
    let [one, other] = loads.map(Load::end);
    let sent = one.and(other);
    for (n, (name, amber)) in (0..).zip(ambers) {
        numbers::come_to_rest_on(&format!("{name}/last"), broker.port, amber, home, SENTINEL + 10 * n);
        let log = amber.log();
        assert!(!log.contains("a person must act"), "{log}");
    }
    let messages = numbers::assert_stored_once(&sent, home);
    println!("{home}: {messages} messages of both");
    let view = home.view("numbers");
    assert_eq!(home.sql().number(&format!("select count(*) from {view} where device is null")), Ok(0));
    let twice = format!(
        "select count(*) from (select 1 from {} group by device having count(*) > 3) t",
        home.table("numbers_series")
    );
    assert_eq!(home.sql().number(&twice), Ok(0), "no series is made twice");
}

#[test]
fn two_client_ids_on_one_store_store_exactly_once_over_kills_new_series_and_new_columns() {
    for home in Home::both() {
        let broker = Mosquitto::start();
        let mut a = Amber::new(&config(&broker, &home, "a", ""));
        let mut b = Amber::new(&config(&broker, &home, "b", ""));
        start_both(&mut a, &mut b);
        let loads = [load(&broker, "a", 0), load(&broker, "b", SECOND)];
        let mut random = Random(KILLS);
        for kill in 0..KILLS {
            pause_for(Duration::from_millis(random.between(0, 500)));
            // In the middle either gets a mapping with a tag and a column of its own.
            let (name, amber) = match kill {
                5 => ("b", &mut b),
                10 => ("a", &mut a),
                _ if random.between(0, 2) == 0 => ("a", &mut a),
                _ => ("b", &mut b),
            };
            amber.kill();
            match kill {
                5 => {
                    amber.configure(&newer(&broker, &home, name, "x"));
                }
                10 => {
                    amber.configure(&newer(&broker, &home, name, "y"));
                }
                _ => {}
            }
            amber.start();
        }
        assert_exactly_once(&broker, &home, [("a", &mut a), ("b", &mut b)], loads);
        let view = home.view("numbers");
        for (condition, wanted) in [
            ("x_tag = '2' and x = n and y is null", true),
            ("y_tag = '2' and y = n and x is null", true),
            ("x_tag = '2' and y_tag = '2'", false),
        ] {
            let count = home.sql().number(&format!("select count(*) from {view} where {condition}")).unwrap();
            assert_eq!(count > 0, wanted, "{home}: {condition}: {count}");
        }
    }
}

#[test]
fn an_older_amber_goes_on_beside_a_newer_one_that_adds_a_tag_and_a_column_and_loses_nothing() {
    for home in Home::both() {
        let broker = Mosquitto::start();
        let mut older = Amber::run(&config(&broker, &home, "a", ""));
        let mut newer_one = Amber::new(&newer(&broker, &home, "b", "x"));
        let first = load(&broker, "a", 0);
        first.wait_for(200);
        newer_one.start();
        newer_one.wait_ready();
        let loads = [first, load(&broker, "b", SECOND)];
        loads[0].wait_for(500);
        let pid = older.pid();
        eventually("the older one has made series since", || {
            let found = format!(
                "select count(*) from {} where device = 'd30' and x_tag = '' and n < {SECOND}",
                home.view("numbers")
            );
            match home.sql().number(&found)? {
                0 => Err("none yet".to_owned()),
                _ => Ok(()),
            }
        });
        assert!(older.is_running() && older.pid() == pid);
        for kind in ["standing", "refused"] {
            assert_eq!(older.metric(&format!("amber_write_failures_total{{kind=\"{kind}\"}}")), Ok(0.0), "{home}");
        }
        assert_exactly_once(&broker, &home, [("a", &mut older), ("b", &mut newer_one)], loads);
    }
}

#[test]
fn a_second_process_of_one_client_id_takes_over_in_the_middle_of_a_load_and_nothing_is_lost_or_doubled() {
    for (home, version) in Home::both().into_iter().zip(["5", "3.1.1"]) {
        let broker = Mosquitto::start();
        let text = numbers::config(&broker.url(), &home.url(), &format!("protocol = \"{version}\""));
        let mut running = Amber::run(&text);
        let load = Load::start(broker.port, PAUSE);
        for _ in 0..3 {
            load.wait_for(200);
            let mut next = Amber::new(&text);
            next.start();
            eventually("the older has ended", || equal(Ok(running.is_running()), false));
            assert_eq!(running.wait().code(), Some(1), "{}", running.log());
            assert!(running.log().contains("give each its own client_id"), "{}", running.log());
            next.wait_ready();
            running = next;
        }
        numbers::assert_exactly_once(&load.end(), broker.port, &mut running, &home);
    }
}
