//! What a database's error means to the batch: away, standing or refused; and whether it leaves the connection usable.
//!
//! An ERROR on a connection that lives on is definite: nothing is stored. A lost connection, a time-out of ours, a
//! FATAL or PANIC leaves in doubt what was under way, and the connection is dropped.

use std::io;
use std::time::Duration;

use anyhow::anyhow;
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use super::WriteError;
use super::hindered::Obstacle;
use super::others::Unplaced;
use super::plan::partitions::BEFORE;
use crate::status::told;

/// How an error is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Comes back by itself.
    Away,
    /// A person must act.
    Standing,
    /// This row, not the next one.
    Refused,
}

/// An error with all that is decided by it.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) class: Class,
    /// The connection is gone, or its state unknown: what was under way may have been done.
    pub(super) lost: bool,
    /// The tables are others than planned: plan again before the next try.
    pub(super) stale: bool,
    /// And nothing is wrong with them: another Amber has added a tag.
    pub(super) outdated: bool,
    /// For the log and the status: without the data of a row.
    pub(super) source: anyhow::Error,
    /// What the server adds about a row that it refused, which is the row's data: for the rejects only.
    pub(super) data: Option<String>,
    /// What a person can do; `{user}` stands for the database's user.
    pub(super) advice: &'static str,
    /// Why columns that rows bring are not added, if it is met while they are: all else goes on.
    pub(super) hinders: Option<Unplaced>,
}

/// What can be done about a store without the tables that Amber made in it.
pub(super) const LEDGER_GONE: &str = "the tables of Amber were dropped, or a store from before it was put in their place; put the right one back, or restart Amber to go on with what is there now";

const SCHEMA_GRANTS: &str = "`grant usage, create on schema amber, amber_store to {user}`";
const TABLE_GRANTS: &str = "`grant select, insert, update on all tables in schema amber_store to {user}; grant delete on amber_store.reject to {user}; grant usage on all sequences in schema amber_store to {user}`";
/// Where some tables are the user's own.
const OWN_GRANTS: &str = "grant what is missing: of a table of your own `grant insert on … to {user}`, of Amber's `grant select, insert, update on all tables in schema amber_store to {user}`";
/// All that is needed where an administrator makes the tables, as docs/operation.md has it.
const LEAST_GRANTS: &str = "as the role that made the tables run `grant usage on schema amber_store to {user}; grant select, insert on all tables in schema amber_store to {user}; grant update on amber_store.delivery, amber_store.measurement, amber_store.field, amber_store.device to {user}; grant delete on amber_store.reject to {user}; alter default privileges in schema amber_store grant select, insert on tables to {user}`, and with `on_duplicate = \"replace\"` `grant update` on the table of readings";

impl Failure {
    fn new(class: Class, source: anyhow::Error) -> Self {
        Self { class, lost: false, stale: false, outdated: false, source, data: None, advice: "", hinders: None }
    }

    pub(super) fn standing(text: impl Into<String>) -> Self {
        Self::new(Class::Standing, anyhow!(text.into()))
    }

    /// The tables are others than planned, and as they should be.
    pub(super) fn outdated(text: impl Into<String>) -> Self {
        Self { stale: true, outdated: true, ..Self::standing(text) }
    }

    /// The store has forgotten us, and the connection is of no use.
    pub(super) fn ledger_gone(text: impl Into<String>) -> Self {
        Self { lost: true, ..Self::standing(text) }.with_advice(LEDGER_GONE)
    }

    /// What several servers said, one after the other: a person must act if one of them says so.
    pub(super) fn of_all(mut failures: Vec<Self>) -> Self {
        if failures.len() == 1
            && let Some(only) = failures.pop()
        {
            return only;
        }
        let standing = failures.iter().find(|failure| failure.class == Class::Standing);
        let class = standing.map_or(Class::Away, |_| Class::Standing);
        let advice = standing.map_or("", |failure| failure.advice);
        let said: Vec<String> = failures.iter().map(|failure| told(&failure.source)).collect();
        Self { lost: true, advice, ..Self::new(class, anyhow!(said.join("; "))) }
    }

    pub(super) fn with_advice(self, advice: &'static str) -> Self {
        Self { advice, ..self }
    }

    /// Where Amber makes no tables, what it may not do asks for no more than the least grants.
    pub(super) fn without_ddl(self) -> Self {
        if [SCHEMA_GRANTS, TABLE_GRANTS].contains(&self.advice) { self.with_advice(LEAST_GRANTS) } else { self }
    }

    /// Where some tables are the user's own, what it may not do is perhaps there; the next plan looks.
    pub(super) fn with_own_tables(self) -> Self {
        if [SCHEMA_GRANTS, TABLE_GRANTS].contains(&self.advice) {
            Self { stale: true, ..self.with_advice(OWN_GRANTS) }
        } else {
            self
        }
    }

    /// And the connection is of no use.
    pub(super) fn away(text: impl Into<String>) -> Self {
        Self { lost: true, ..Self::new(Class::Away, anyhow!(text.into())) }
    }

    pub(super) fn refused(text: impl Into<String>) -> Self {
        Self::new(Class::Refused, anyhow!(text.into()))
    }

    pub(super) fn timed_out(limit: Duration) -> Self {
        Self::away(format!("no answer within {} s", limit.as_secs()))
    }

    /// For statements that have no rows to refuse (tables, ledger, session): what a row would be refused for is a
    /// standing fault there.
    pub(super) fn rowless(mut self) -> Self {
        if self.class == Class::Refused {
            self.class = Class::Standing;
        }
        self
    }

    /// Why a row is refused.
    pub(super) fn into_refusal(self) -> Refusal {
        let reason = format!("{:#}", self.source);
        Refusal { full: self.data.map(|data| format!("{reason}: {data}")), reason }
    }

    /// Puts what was tried in front.
    pub(super) fn context(mut self, text: impl Into<String>) -> Self {
        self.source = self.source.context(text.into());
        self
    }

    /// What it is to a column that a row brings; `None`: it is about more than that.
    pub(super) fn obstacle(&self, user: &str) -> Option<Obstacle> {
        let why = self.hinders.filter(|_| !self.lost)?;
        // Without the statement, which names the column.
        let words = self.source.root_cause().to_string();
        let advice = self.advice.replace("{user}", &super::sql::quote(user));
        Some(Obstacle { why, words: if advice.is_empty() { words } else { format!("{words}; {advice}") }.into() })
    }

    /// `sent`: whether the statement that stores the batch was on its way. `user`: of the database.
    pub(super) fn into_write_error(self, sent: bool, user: &str) -> WriteError {
        let source = match self.advice {
            "" => self.source,
            advice => anyhow!("{}; {}", told(&self.source), advice.replace("{user}", &super::sql::quote(user))),
        };
        match self.class {
            // An answer that only says "gone" leaves the batch in doubt, whatever its code.
            _ if self.lost && sent => WriteError::Away { in_doubt: true, source },
            Class::Away => WriteError::Away { in_doubt: false, source },
            Class::Standing => WriteError::Standing(source),
            Class::Refused => WriteError::Refused(source),
        }
    }
}

/// Why a row is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    /// For the log and the status: without the row's data.
    pub(super) reason: String,
    /// The same with what the server says of the row, if it says more.
    full: Option<String>,
}

impl Refusal {
    /// For the reject, which keeps the payload anyhow.
    pub(super) fn full(&self) -> &str {
        self.full.as_deref().unwrap_or(&self.reason)
    }
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self { reason, full: None }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(database) = &error {
            if let Some(database) = database.try_downcast_ref::<PgDatabaseError>() {
                return postgres(database);
            }
            if let Some(code) = database.code().and_then(|code| code.parse().ok()) {
                return sqlite(code, database.message());
            }
        }
        connection(error)
    }
}

impl From<MigrateError> for Failure {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => Self::from(error),
            MigrateError::VersionMissing(version) => Self::standing(format!(
                "the store was made by a newer Amber (it has migration {version}); run that one"
            )),
            error => Self::new(Class::Standing, error.into()),
        }
    }
}

fn postgres(error: &PgDatabaseError) -> Failure {
    let code = error.code();
    // No partition of a table of Amber's takes the row: it was dropped since it was looked for. No fault of the row's.
    if code == "23514" && error.constraint().is_none() && error.schema() == Some("amber_store") {
        return Failure::outdated(words(error.message(), None, None, code));
    }
    // A constraint of Amber's own, which is about to become the bound of a partition: no fault of the row's either.
    if code == "23514" && error.constraint().is_some_and(|name| name.starts_with(BEFORE)) {
        return Failure::outdated(words(error.message(), None, error.constraint(), code));
    }
    let class = if is_pooler(code, error.message()) { Class::Standing } else { postgres_class(code) };
    let detail = error.detail().map(str::to_owned);
    // "Failing row contains (…)", "Key (…)=(…) already exists."
    let (said, data) = if class == Class::Refused { (None, detail) } else { (detail, None) };
    let source = anyhow!(words(error.message(), said.as_deref(), error.constraint(), code));
    let fatal = matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic);
    Failure {
        class,
        // On a standby (25006, after a failover) the connection lives and is of no use.
        lost: fatal || code == "25006",
        stale: matches!(code, "42P01" | "42703" | "42804" | "42P10" | "3F000" | "0A000" | "26000"),
        outdated: false,
        source,
        data,
        advice: postgres_advice(code, error.message()),
        hinders: postgres_hinders(code, class),
    }
}

/// What keeps a column from being added and is the server's last word on it. Not: what the next try finds otherwise,
/// because somebody has changed the table in between; what keeps rows from being stored, too.
fn postgres_hinders(code: &str, class: Class) -> Option<Unplaced> {
    match code {
        "55P03" | "57014" => Some(Unplaced::Locked),
        "42P01" | "42703" | "42701" | "3F000" | "26000" => None,
        _ if class == Class::Away => None,
        _ => Some(Unplaced::Barred),
    }
}

/// What the server says, in one line: message, detail, constraint, code.
fn words(message: &str, detail: Option<&str>, constraint: Option<&str>, code: &str) -> String {
    let mut text = message.to_owned();
    if let Some(detail) = detail {
        text.push_str(": ");
        text.push_str(detail);
    }
    if let Some(constraint) = constraint
        && !text.contains(constraint)
    {
        text.push_str(&format!(" (constraint `{constraint}`)"));
    }
    format!("{text} [{code}]")
}

/// By SQLSTATE (PostgreSQL documentation, appendix A).
fn postgres_class(code: &str) -> Class {
    match code {
        // Cancelled, shut down, starting; on a standby; idle too long; serialisation, deadlock; locked.
        "57014" | "57P01" | "57P02" | "57P03" | "57P05" | "25006" | "25P03" | "40001" | "40P01" | "55P03" => {
            Class::Away
        }
        _ => match code.get(..2).unwrap_or_default() {
            // Connection, resources (disk full included), system.
            "08" | "53" | "58" => Class::Away,
            // Data, constraint, WITH CHECK OPTION, limit; RAISE in a trigger of somebody's.
            "22" | "23" | "44" | "54" | "P0" => Class::Refused,
            _ => Class::Standing,
        },
    }
}

/// PgBouncer's answer to what sqlx says first.
fn is_pooler(code: &str, message: &str) -> bool {
    code == "08P01" && message.contains("startup parameter")
}

fn postgres_advice(code: &str, message: &str) -> &'static str {
    match code {
        "42501" if message.contains("must be owner") => {
            "make {user} the owner of what Amber is to change: `alter table … owner to {user}`"
        }
        "42501" if message.contains("for database") => {
            "`grant create on database … to {user}`, or make the schemas for it: `create schema amber authorization {user}; create schema amber_store authorization {user}`"
        }
        "42501" if message.contains("for sequence") => "`grant usage on sequence … to {user}`",
        "42501" if message.contains("for schema") => SCHEMA_GRANTS,
        "42501" => TABLE_GRANTS,
        "28P01" | "28000" => "set the user and its password in [store] url, or the password in `password_file`",
        "3D000" => "`create database … owner {user}`, or name another in [store] url",
        "53100" => "free some space on the server's disk",
        _ if is_pooler(code, message) => "PgBouncer is not supported: name PostgreSQL itself in [store] url",
        "53300" => "raise `max_connections` on the server, or close some",
        _ => "",
    }
}

/// By the primary part of SQLite's result code (sqlite.org/rescode.html).
fn sqlite(code: i32, message: &str) -> Failure {
    let (class, lost, advice) = match code & 0xff {
        // BUSY, LOCKED
        5 | 6 => (Class::Away, false, "another process holds it"),
        // NOMEM, INTERRUPT, IOERR, FULL, CANTOPEN: the state of the file is for the next connection to find out.
        7 | 9 => (Class::Away, true, ""),
        10 => (Class::Away, true, "look after the disk, its mount, and a limit of file size (`ulimit -f`)"),
        13 => (Class::Away, true, "free some space on the disk"),
        14 => (Class::Away, true, "does its folder exist, and may Amber write in it?"),
        // TOOBIG, CONSTRAINT, MISMATCH
        18..=20 => (Class::Refused, false, ""),
        // READONLY
        8 => (Class::Standing, false, "Amber must be able to write the file and its folder"),
        // CORRUPT
        11 => (
            Class::Standing,
            true,
            "keep a copy of the file; restore it, or recover what there is with `.recover` of sqlite3",
        ),
        // NOTADB
        26 => (Class::Standing, true, "name another file in [store] url"),
        _ => (Class::Standing, false, ""),
    };
    // SCHEMA, or ERROR for a name or a unique index that is not there.
    let stale = code & 0xff == 17
        || (code & 0xff == 1 && ["no such", "has no column", "ON CONFLICT"].iter().any(|said| message.contains(said)));
    // ERROR (so many columns that there may be no more), TOOBIG, CONSTRAINT.
    let hinders = matches!(code & 0xff, 1 | 18..=19).then_some(Unplaced::Barred);
    let source = anyhow!("{message} [{code}]");
    Failure { class, lost, stale, outdated: false, source, data: None, advice, hinders }
}

/// Errors of the connection and of sqlx itself.
fn connection(error: sqlx::Error) -> Failure {
    let (class, lost) = match &error {
        // Certificates come as invalid data, or as TLS: waiting does not mend them.
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => (Class::Standing, true),
        sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => (Class::Standing, true),
        // Before anything was sent: a fault of ours.
        sqlx::Error::Encode(_) => (Class::Standing, false),
        _ => (Class::Away, true),
    };
    let advice = tls_advice(&error.to_string());
    Failure { lost, advice, ..Failure::new(class, error.into()) }
}

/// By the words of sqlx and rustls: their errors are behind a box.
fn tls_advice(text: &str) -> &'static str {
    if text.contains("does not support TLS") {
        "switch TLS on at the server (`ssl = on`); or, if the network in between is your own, add `?sslmode=disable` to [store] url"
    } else if text.contains("UnknownIssuer") {
        "name the CA of the server's certificate: `?sslrootcert=/path/to/ca.pem` in [store] url"
    } else if text.contains("not valid for name") || text.contains("NotValidForName") {
        "write the host in [store] url as the server's certificate has it"
    } else if text.contains("expired") || text.contains("Expired") {
        "renew the server's certificate"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_postgresql_are_told_apart() {
        let cases = [
            (Class::Away, "08006 53300 53100 57P01 57P03 57014 25006 40001 40P01 55P03 58030"),
            (Class::Standing, "42501 42P01 42703 42804 3D000 28P01 0A000 42601 XX000"),
            (Class::Refused, "22003 22021 22P02 22P05 23502 23505 23514 54000 P0001"),
        ];
        for (class, codes) in cases {
            for code in codes.split(' ') {
                assert_eq!(postgres_class(code), class, "{code}");
            }
        }
    }

    #[test]
    fn a_column_is_hindered_by_what_is_about_the_column_alone() {
        for (why, codes) in [
            (Some(Unplaced::Locked), "55P03 57014"),
            (Some(Unplaced::Barred), "42501 54011 54000 0A000 P0001 55006"),
            (None, "08006 53100 57P01 25006 40001 40P01 42P01 42701"),
        ] {
            for code in codes.split(' ') {
                assert_eq!(postgres_hinders(code, postgres_class(code)), why, "{code}");
            }
        }
        let owner =
            Failure { hinders: Some(Unplaced::Barred), ..Failure::standing("must be owner of table x [42501]") };
        let owner = owner.with_advice("own it as {user}").context("`alter table x add column y`");
        let words = owner.obstacle("amber").unwrap().words;
        assert_eq!(&*words, "must be owner of table x [42501]; own it as \"amber\"");
        assert_eq!(Failure { lost: true, ..owner }.obstacle("amber"), None);
    }

    #[test]
    fn once_sent_a_lost_connection_leaves_in_doubt_whatever_the_code() {
        let lost = |class| Failure { lost: true, ..Failure::new(class, anyhow!("gone")) };
        for class in [Class::Away, Class::Standing, Class::Refused] {
            assert!(matches!(lost(class).into_write_error(true, ""), WriteError::Away { in_doubt: true, .. }));
        }
        let before = lost(Class::Away).into_write_error(false, "");
        assert!(matches!(before, WriteError::Away { in_doubt: false, .. }));
        let password = lost(Class::Standing).into_write_error(false, "");
        assert!(matches!(password, WriteError::Standing(_)), "a FATAL at connect says what it is");
    }
}
