//! What an administrator of PostgreSQL does to a connection, a role or a database.

use std::time::Duration;

use super::Line;
use crate::support::binary::Amber;
use crate::support::home::Home;
use crate::support::postgres::{self, Postgres};
use crate::support::{eventually, numbers, pause_for};

#[test]
fn a_connection_that_is_ended_by_an_administrator_costs_no_message() {
    let home = Home::postgres();
    let url = home.url();
    let mut line = Line::loaded(home, &url);
    for _ in 0..3 {
        line.breaks(|line| line.database().terminate());
    }
    line.end();
}

#[test]
fn a_server_without_room_for_another_connection_costs_no_message() {
    let database = postgres::database();
    let role = database.role();
    let url = database.url_as(&role, "");
    let mut line = Line::loaded(Home::Postgres(database), &url);
    let mut sql = line.database().sql();
    sql.run(&format!("alter role {role} connection limit 0"));
    line.database().terminate();
    line.is_down("away", &["too many connections", "53300", "max_connections"]);
    sql.run(&format!("alter role {role} connection limit -1"));
    line.end();
}

#[test]
fn a_password_that_is_changed_and_put_right_again_costs_no_message() {
    let server = Postgres::start();
    let database = server.database();
    let role = database.role();
    let mut sql = server.sql();
    sql.run(&format!("alter role {role} password 'a right one'"));
    server.ask_for_password(&role);
    let url = database.url_as(&format!("{role}:a%20right%20one"), "");
    let mut line = Line::loaded(Home::Postgres(database), &url);
    sql.run(&format!("alter role {role} password 'another'"));
    line.database().terminate();
    line.is_down("standing", &["password authentication failed", "28P01", "password_file"]);
    assert!(!line.amber.log().contains("right one"), "a password is in the log");
    sql.run(&format!("alter role {role} password 'a right one'"));
    line.end();
}

#[test]
fn a_database_that_is_dropped_is_for_a_person_to_make_anew_and_costs_no_message_since() {
    let server = Postgres::start();
    let home = Home::Postgres(server.database());
    let url = home.url();
    let mut line = Line::new(home, &url);
    let name = line.database().name.clone();
    server.sql().run(&format!("drop database {name} with (force)"));
    line.load();
    line.is_down("standing", &["3D000", "create database"]);
    server.sql().run(&format!("create database {name}"));
    line.says("standing", &["the tables of Amber were dropped", "restart Amber"]);
    line.amber.kill();
    line.amber.start();
    line.end();
}

#[test]
fn a_role_that_may_not_write_any_more_costs_no_message() {
    let home = Home::postgres();
    let url = home.url();
    let mut line = Line::loaded(home, &url);
    let mut sql = line.database().sql();
    let name = line.database().name.clone();
    sql.run(&format!("alter database {name} set default_transaction_read_only = on"));
    line.database().terminate();
    line.is_down("standing", &["takes no writes", "default_transaction_read_only"]);
    sql.run(&format!("alter database {name} reset default_transaction_read_only"));
    line.end();
}

#[test]
fn a_limit_of_idle_sessions_does_not_end_an_amber_that_waits_for_messages() {
    let database = postgres::database();
    let role = database.role();
    let url = database.url_as(&role, "");
    for limit in ["idle_session_timeout", "idle_in_transaction_session_timeout"] {
        database.sql().run(&format!("alter role {role} set {limit} = '100ms'"));
    }
    let mut line = Line::new(Home::Postgres(database), &url);
    pause_for(Duration::from_secs(1));
    line.load();
    assert_eq!(line.failures("away") + line.failures("in_doubt"), 0.0);
    line.end();
}

#[test]
fn a_database_that_cannot_hold_every_text_is_refused_at_the_start() {
    let server = Postgres::start();
    for encoding in ["SQL_ASCII", "LATIN1"] {
        let name = encoding.to_lowercase();
        server.sql().run(&format!("create database {name} encoding '{encoding}' template template0"));
        let mut amber = Amber::new(&numbers::config("mqtt://127.0.0.1:1", &server.url(&name), ""));
        amber.start();
        eventually("amber says why it does not start", || match amber.get("/ready")? {
            (503, reason) if reason.contains(encoding) && reason.contains("encoding 'UTF8'") => Ok(()),
            other => Err(format!("{other:?}")),
        });
        assert_eq!(amber.metric("amber_store_condition{condition=\"standing\"}"), Ok(1.0));
        assert_eq!(amber.log().matches("the store does not take batches").count(), 1);
    }
}
