//! Several hosts: the one that takes writes is found, at the start and after a failover.

use super::Line;
use crate::support::eventually;
use crate::support::home::Home;
use crate::support::postgres::{Database, Postgres};
use crate::support::sql::Sql;

#[test]
fn a_standby_is_passed_over_and_found_once_it_is_promoted() {
    let mut primary = Postgres::start();
    let standby = Postgres::standby_of(&primary);
    // What is acknowledged is on both.
    primary.wait_for_standby();
    let name = primary.database().name;
    let url =
        format!("postgres://postgres@127.0.0.1:{},127.0.0.1:{}/{name}?sslmode=disable", standby.port, primary.port);
    let mut line = Line::loaded(Home::Postgres(Database { name, port: standby.port }), &url);
    primary.kill();
    line.is_down("away", &["standby", &format!("127.0.0.1:{}", primary.port)]);
    standby.sql().run("select pg_promote()");
    line.end();
}

#[test]
fn a_standby_alone_is_away_until_it_is_promoted() {
    let mut primary = Postgres::start();
    let standby = Postgres::standby_of(&primary);
    primary.wait_for_standby();
    let name = primary.database().name;
    let home = Home::Postgres(Database { name, port: standby.port });
    let url = home.url();
    // It commits nothing that the standby has not noted, and shows it a moment later.
    eventually("the standby has the database", || Sql::postgres(&url).map(drop));
    let mut line = Line::starting(home, &url);
    line.is_down("away", &["it is a standby and takes no writes"]);
    line.starts_away();
    primary.stop();
    standby.sql().run("select pg_promote()");
    line.amber.wait_ready();
    line.load();
    line.end();
}
