//! What somebody does to the tables behind Amber while it runs.

use super::Line;
use crate::support::home::Home;
use crate::support::{equal, eventually, postgres};

#[test]
fn a_permission_that_is_revoked_and_granted_again_costs_no_message() {
    let database = postgres::database();
    let role = database.role();
    let url = database.url_as(&role, "");
    let mut line = Line::loaded(Home::Postgres(database), &url);
    let mut sql = line.database().sql();
    sql.run(&format!("revoke insert on amber_store.numbers_data from {role}"));
    line.is_down("standing", &["permission denied", "numbers_data", "grant select, insert, update"]);
    sql.run(&format!("grant insert on amber_store.numbers_data to {role}"));
    line.is_up();
    sql.run(&format!("revoke usage on schema amber_store from {role}"));
    line.is_down("standing", &["permission denied", "amber_store", "grant usage"]);
    sql.run(&format!("grant usage on schema amber_store to {role}"));
    line.end();
}

#[test]
fn a_table_or_column_that_is_dropped_is_made_anew_and_costs_no_message_since() {
    for what in ["table amber_store.numbers_data cascade", "column"] {
        let home = Home::postgres();
        let url = home.url();
        let mut line = Line::new(home, &url);
        let drop = match what {
            "column" => "alter table amber_store.numbers_data drop column n cascade".to_owned(),
            table => format!("drop {table}"),
        };
        line.database().sql().run(&drop);
        line.load();
        eventually("amber has noticed", || {
            equal(line.amber.metric("amber_write_failures_total{kind=\"standing\"}"), 1.0)
        });
        line.faults += 1;
        line.standing += 1;
        line.end();
    }
}

#[test]
fn a_column_whose_type_is_changed_is_noticed_and_costs_no_message() {
    let home = Home::postgres();
    let url = home.url();
    let mut line = Line::loaded(home, &url);
    let mut sql = line.database().sql();
    // A view over it stands in the way of anybody who does this.
    let view = sql.value("select pg_get_viewdef('amber.numbers'::regclass)").unwrap();
    let change = |to: &str| {
        format!(
            "begin; drop view amber.numbers; alter table amber_store.numbers_data alter column n type {to} using n::{to};
             create view amber.numbers as {view} commit"
        )
    };
    sql.run(&change("text"));
    line.database().terminate();
    line.is_down("standing", &["numbers", "text"]);
    sql.run(&change("bigint"));
    line.end();
}
