//! Every way in which a store fails, one after the other, under load: nothing that the broker took is lost or doubled,
//! the connection to the broker stays, `/ready` gives the reason and comes back, and the log says it once.
//!
//! The table of docs/operation.md has a line for each of these tests.

mod disk;
mod hosts;
mod locks;
mod network;
mod server;
mod sqlite;
mod tables;
mod tls;

use std::time::Duration;

use crate::support::binary::Amber;
use crate::support::eventually;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::{self, Load};
use crate::support::postgres::Database;

/// Unlike any text of a statement, so that a proxy recognises the batches, which bear the name of their writer.
const WRITER: &str = "gateway-7";

/// Amber between a broker and a store that fails.
struct Line {
    broker: Mosquitto,
    amber: Amber,
    home: Home,
    load: Option<Load>,
    faults: usize,
    /// Reasons to act.
    standing: usize,
}

impl Line {
    /// Amber, ready; its store is `home`, by whatever `url` it gets there.
    #[track_caller]
    fn new(home: Home, url: &str) -> Self {
        let line = Self::starting(home, url);
        line.amber.wait_ready();
        line
    }

    /// The same, not waiting.
    #[track_caller]
    fn starting(home: Home, url: &str) -> Self {
        let broker = Mosquitto::start();
        let lines = format!("client_id = \"{WRITER}\"\nkeep_alive = \"5s\"");
        let mut amber = Amber::new(&numbers::config(&broker.url(), url, &lines));
        amber.start();
        Self { broker, amber, home, load: None, faults: 0, standing: 0 }
    }

    /// The same under load.
    #[track_caller]
    fn loaded(home: Home, url: &str) -> Self {
        let mut line = Self::new(home, url);
        line.load();
        line
    }

    /// Numbers are published from now on.
    #[track_caller]
    fn load(&mut self) {
        let load = Load::start(self.broker.port, Duration::from_millis(10));
        load.wait_for(50);
        self.load = Some(load);
    }

    /// Waits until the store is `away` or `standing`, and `/ready` says why.
    #[track_caller]
    fn is_down(&mut self, condition: &str, words: &[&str]) {
        self.faults += 1;
        self.says(condition, words);
    }

    /// The same, when it was down already, for another reason.
    #[track_caller]
    fn says(&mut self, condition: &str, words: &[&str]) {
        self.standing += usize::from(condition == "standing");
        let amber = &self.amber;
        eventually(&format!("the store is {condition}: {words:?}"), || match amber.get("/ready")? {
            (503, reason) if reason.starts_with("store: ") && words.iter().all(|word| reason.contains(word)) => {
                let metric = format!("amber_store_condition{{condition=\"{condition}\"}}");
                if amber.metric(&metric)? == 1.0 { Ok(()) } else { Err(format!("{reason}, and {metric} is not 1")) }
            }
            other => Err(format!("{other:?}")),
        });
    }

    /// It was down before it was ever up.
    fn starts_away(&mut self) {
        self.faults -= 1;
    }

    /// Waits until the store is up and takes messages.
    #[track_caller]
    fn is_up(&self) {
        self.amber.wait_ready();
        assert_eq!(self.amber.metric("amber_store_condition{condition=\"up\"}"), Ok(1.0));
        if let Some(load) = &self.load {
            load.wait_for(50);
        }
    }

    fn database(&self) -> &Database {
        match &self.home {
            Home::Postgres(database) => database,
            Home::Sqlite(_) => panic!("it is SQLite"),
        }
    }

    /// Breaks the connection, by `how`, in a way that Amber notices at once and mends.
    #[track_caller]
    fn breaks(&mut self, how: impl FnOnce(&Self)) {
        let failures = |line: &Self| line.failures("away") + line.failures("in_doubt");
        let before = failures(self);
        how(self);
        self.faults += 1;
        eventually("amber has noticed", || {
            let now = failures(self);
            if now > before { Ok(()) } else { Err(format!("{now} failures")) }
        });
        self.is_up();
    }

    fn failures(&self, kind: &str) -> f64 {
        self.amber.metric(&format!("amber_write_failures_total{{kind=\"{kind}\"}}")).unwrap()
    }

    /// Nothing is lost or doubled, the broker has noticed nothing, and each fault was logged once.
    #[track_caller]
    fn end(mut self) {
        self.is_up();
        let count = |metric| self.amber.metric(metric);
        assert_eq!(count("amber_connections_total"), Ok(1.0), "the broker has nothing to do with it");
        assert_eq!(count("amber_connection_failures_total"), Ok(0.0));
        assert_eq!(count("amber_store_went_back_total"), Ok(0.0));
        let log = self.amber.log();
        let said = |what: &str| log.matches(what).count();
        assert_eq!(said("the store is up"), self.faults + 1, "once per change");
        assert!(said("the store is away;") <= self.faults + self.standing + 1);
        assert_eq!(said("the store does not take batches;"), self.standing, "once per reason");
        let load = self.load.take().expect("it was under load");
        numbers::assert_exactly_once(&load.end(), self.broker.port, &mut self.amber, &self.home);
    }
}
