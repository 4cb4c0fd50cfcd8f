//! The support itself: that servers start, obey and end, so that a failure elsewhere is Amber's.

use std::time::Duration;

use amber::message::Qos;

use crate::support::client::{self, Publisher};
use crate::support::mosquitto::{self, Mosquitto};
use crate::support::postgres::{self, Postgres};
use crate::support::proxy::{Cut, Mode, Proxy};
use crate::support::sql::Sql;
use crate::support::{binary, equal, eventually, eventually_within, folder::Folder};

#[test]
fn mosquitto_keeps_a_session_over_a_restart_and_publishers_are_acknowledged() {
    let mut broker = Mosquitto::start();
    assert!(mosquitto::version() >= vec![2, 0], "{:?}", mosquitto::version());
    // Makes a session that lasts, and leaves.
    let keep = ["-i", "keeper", "-c", "-q", "2", "-t", "t/#"];
    client::mosquitto_sub(broker.port, &[&keep[..], &["-E"]].concat());
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        Publisher::connect(broker.port, "publisher").publish_numbers("t/x", 0..50, qos);
    }
    broker.stop();
    broker.start_again();
    let came = client::mosquitto_sub(broker.port, &[&keep[..], &["-C", "100", "-W", "30"]].concat());
    let sent: Vec<String> = (0..50).chain(0..50).map(|n| format!("{{\"n\":{n}}}")).collect();
    assert_eq!(came, sent);
}

#[test]
fn paho_publishes_over_both_versions() {
    let broker = Mosquitto::start();
    let listener = client::mosquitto_sub_started(broker.port, &["-t", "home/#", "-C", "2", "-W", "30", "-v"]);
    eventually("mosquitto_sub has subscribed", || {
        broker.log().contains("Sending SUBACK").then_some(()).ok_or_else(|| "no SUBACK".to_owned())
    });
    for version in ["3.1.1", "5"] {
        client::paho_publish(
            broker.port,
            version,
            &[serde_json::json!({"topic": "home/x", "payload": {"temperature": 21.5, "version": version}})],
        );
    }
    let came = client::lines(&listener.wait_with_output().unwrap().stdout);
    assert_eq!(
        came,
        [r#"home/x {"temperature": 21.5, "version": "3.1.1"}"#, r#"home/x {"temperature": 21.5, "version": "5"}"#]
    );
}

#[test]
fn each_test_has_an_empty_database_on_the_shared_server() {
    let (one, other) = (postgres::database(), postgres::database());
    one.sql().run("create table t as select 1 as a, null::text as b, 2.5::float8 as c");
    assert_eq!(
        one.sql().rows("select a, b, c, true from t").unwrap(),
        [vec![Some("1".to_owned()), None, Some("2.5".to_owned()), Some("t".to_owned())]]
    );
    assert!(other.sql().rows("select * from t").unwrap_err().contains("does not exist"));
}

#[test]
fn a_server_of_its_own_is_stopped_killed_and_paused() {
    let mut server = Postgres::start();
    let database = server.database();
    database.sql().run("create table t (a int)");
    server.stop();
    assert!(Sql::postgres(&database.url()).is_err());
    server.start_again();
    database.sql().run("insert into t values (1)");
    server.kill();
    server.start_again();
    let mut sql = database.sql();
    assert_eq!(sql.number("select count(*) from t"), Ok(1));
    server.pause();
    let (answered, answer) = std::sync::mpsc::sync_channel(1);
    let asking = std::thread::spawn(move || answered.send(sql.number("select count(*) from t")));
    assert!(answer.recv_timeout(Duration::from_millis(300)).is_err(), "it answers although it is paused");
    server.resume();
    assert_eq!(answer.recv_timeout(crate::support::DEADLINE), Ok(Ok(1)));
    asking.join().unwrap().unwrap();
}

#[test]
fn sqlite_files_are_read_as_text() {
    let folder = Folder::new();
    let path = folder.join("x.db");
    assert!(Sql::sqlite(&path).is_err(), "a reader makes no file");
    folder.write("x.db", "");
    let mut sql = Sql::sqlite(&path).unwrap();
    sql.run("create table t (a integer, b real, c text) strict; insert into t values (1, 2.5, null)");
    assert_eq!(sql.rows("select * from t").unwrap(), [vec![Some("1".to_owned()), Some("2.5".to_owned()), None]]);
}

#[test]
fn a_proxy_passes_swallows_and_cuts() {
    let database = postgres::database();
    let proxy = Proxy::to(database.port);
    let mut sql = Sql::postgres(&database.url_through(proxy.port)).unwrap();
    sql.run("create table t (a int)");

    proxy.swallow_answer_to("insert into t");
    let asking = std::thread::spawn(move || sql.rows("insert into t values (1)"));
    eventually("the insert arrives", || equal(database.sql().number("select count(*) from t"), 1));
    assert!(!asking.is_finished(), "the answer came through");
    proxy.cut(Cut::Reset);
    assert!(asking.join().unwrap().is_err());

    proxy.set(Mode::Refuse);
    assert!(Sql::postgres(&database.url_through(proxy.port)).is_err());
    proxy.set(Mode::Pass);
    assert!(Sql::postgres(&database.url_through(proxy.port)).is_ok());
    assert_eq!(proxy.connections(), 2);
}

#[test]
fn the_binary_runs_and_its_output_is_seen() {
    let folder = Folder::new();
    let output = binary::command(folder.path(), &["--version"]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
#[should_panic(expected = "waited 10ms for a state; last seen: no")]
fn waiting_ends_with_the_last_state_seen() {
    eventually_within(Duration::from_millis(10), "a state", || Err::<(), _>("no".to_owned()));
}
