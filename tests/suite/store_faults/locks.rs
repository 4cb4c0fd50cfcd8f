//! PostgreSQL's limits of time, and who waits for whom.

use std::time::Duration;
use std::time::Instant;

use super::Line;
use crate::support::home::Home;
use crate::support::{eventually, numbers};

/// Somebody holds the table for longer than `limit`.
#[track_caller]
fn held_up(limit: &str, words: &[&str]) {
    let home = Home::postgres();
    let url = format!("{}&options[{limit}]=300ms", home.url());
    let mut line = Line::loaded(home, &url);
    let mut sql = line.database().sql();
    sql.run("begin; lock table amber_store.numbers_data in access exclusive mode");
    line.is_down("away", words);
    sql.run("rollback");
    line.end();
}

#[test]
fn a_lock_that_somebody_holds_for_longer_than_the_limit_costs_no_message() {
    held_up("lock_timeout", &["lock timeout", "55P03"]);
}

#[test]
fn a_statement_that_takes_longer_than_the_limit_costs_no_message() {
    held_up("statement_timeout", &["statement timeout", "57014"]);
}

#[test]
fn a_change_of_a_table_behind_a_long_query_holds_up_no_other_reader_for_long() {
    let home = Home::postgres();
    let url = home.url();
    let mut line = Line::loaded(home, &url);
    line.amber.kill();
    let mut dashboard = line.database().sql();
    dashboard.run("begin; select count(*) from amber.numbers");
    let config = numbers::config(&line.broker.url(), &url, &format!("client_id = \"{}\"", super::WRITER));
    line.amber.configure(&config.replace("n = { type = \"int\" }", "n = { type = \"int\" }, m = {}"));
    line.amber.start();
    let mut other = line.database().sql();
    let mut longest = Duration::ZERO;
    eventually("amber has tried to add the field, and given way", || {
        let start = Instant::now();
        other.run("select count(*) from amber.numbers");
        longest = longest.max(start.elapsed());
        let failures = line.amber.metric("amber_write_failures_total{kind=\"away\"}")?;
        if failures >= 2.0 && longest > Duration::from_secs(1) {
            Ok(())
        } else {
            Err(format!("{failures}, {longest:?}"))
        }
    });
    // Less than the ten seconds of every other statement.
    assert!(longest < Duration::from_secs(8), "a reader has waited for {longest:?}");
    line.is_down("away", &["alter table", "lock timeout"]);
    dashboard.run("commit");
    line.end();
}
