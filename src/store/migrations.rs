//! The fixed tables: which migrations a store lacks, as SQL that anybody can run.
//!
//! They leave the same notes as sqlx's own migrator would, which is not used: what Amber does is what `amber check`
//! prints for an administrator, statement by statement.

use std::borrow::Cow;
use std::fmt::Write as _;

use sqlx::migrate::{AppliedMigration, MigrateError, Migration, MigrationType};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};

use super::error::Failure;
use super::plan::Dialect;
use super::sql::literal;

/// Version, what it makes, and its text for either database; empty where a database needs none.
const ALL: &[(i64, &str, &str, &str)] = &[
    (
        1,
        "fixed tables",
        include_str!("../../migrations/postgres/0001_fixed_tables.sql"),
        include_str!("../../migrations/sqlite/0001_fixed_tables.sql"),
    ),
    (
        2,
        "devices",
        include_str!("../../migrations/postgres/0002_devices.sql"),
        include_str!("../../migrations/sqlite/0002_devices.sql"),
    ),
    (
        3,
        "retention",
        include_str!("../../migrations/postgres/0003_retention.sql"),
        include_str!("../../migrations/sqlite/0003_retention.sql"),
    ),
    (4, "functions of dashboards", include_str!("../../migrations/postgres/0004_explore.sql"), ""),
];

impl Dialect {
    /// Where it is noted which migrations have run.
    pub(super) const fn migrations(self) -> &'static str {
        match self {
            Self::Postgres => "amber_store.migrations",
            Self::Sqlite => "store_migrations",
        }
    }
}

/// What `applied` lacks; `None`: there is no note of any.
pub(super) fn pending(dialect: Dialect, applied: Option<&[AppliedMigration]>) -> Result<Vec<String>, Failure> {
    let all = ALL.iter().map(|&(version, name, postgres, sqlite)| {
        let text = match dialect {
            Dialect::Postgres => postgres,
            Dialect::Sqlite => sqlite,
        };
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, AssertSqlSafe(text).into_sql_str(), false)
    });
    let all: Vec<Migration> = all.collect();
    let mut statements = Vec::new();
    if applied.is_none() {
        statements.push(notes(dialect));
    }
    let applied = applied.unwrap_or_default();
    for found in applied {
        match all.iter().find(|migration| migration.version == found.version) {
            None => return Err(MigrateError::VersionMissing(found.version).into()),
            Some(migration) if migration.checksum != found.checksum => {
                return Err(MigrateError::VersionMismatch(found.version).into());
            }
            Some(_) => {}
        }
    }
    for migration in &all {
        let is_for_us = !migration.sql.as_str().is_empty();
        if is_for_us && !applied.iter().any(|applied| applied.version == migration.version) {
            statements.push(migration.sql.as_str().to_owned());
            statements.push(note(dialect, migration));
        }
    }
    Ok(statements)
}

/// The table of notes, as sqlx makes it.
fn notes(dialect: Dialect) -> String {
    let (time, now, bytes) = match dialect {
        Dialect::Postgres => ("timestamptz", "now()", "bytea"),
        Dialect::Sqlite => ("timestamp", "current_timestamp", "blob"),
    };
    format!(
        "create table {} (\n  version bigint primary key,\n  description text not null,\n  installed_on {time} not null default {now},\n  success boolean not null,\n  checksum {bytes} not null,\n  execution_time bigint not null\n)",
        dialect.migrations()
    )
}

fn note(dialect: Dialect, migration: &Migration) -> String {
    let mut hex = String::new();
    for byte in migration.checksum.iter() {
        write!(hex, "{byte:02x}").expect("a String takes every write");
    }
    let checksum = match dialect {
        Dialect::Postgres => format!("'\\x{hex}'"),
        Dialect::Sqlite => format!("x'{hex}'"),
    };
    format!(
        "insert into {} (version, description, success, checksum, execution_time) values ({}, {}, true, {checksum}, 0)",
        dialect.migrations(),
        migration.version,
        literal(&migration.description)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_run_is_not_run_again_and_what_is_newer_or_was_changed_is_said() {
        let fresh = pending(Dialect::Postgres, None).unwrap();
        assert_eq!(fresh.len(), 1 + 2 * ALL.len());
        assert_eq!(pending(Dialect::Postgres, Some(&[])).unwrap(), fresh[1..]);
        // As the first release has it (tests/upgrade).
        let checksum =
            "bc7e0d9245c3a3122742c33f6188b7030f8e241282ebd275b698a30ec083cc6d186e7ce3300a418a295d2cb1434da4b8";
        assert!(fresh[2].contains(checksum), "{}", fresh[2]);
        let bytes = |text: &str| {
            (0..text.len()).step_by(2).map(|n| u8::from_str_radix(&text[n..n + 2], 16).unwrap()).collect::<Vec<u8>>()
        };
        let applied = |version, checksum: Vec<u8>| AppliedMigration { version, checksum: checksum.into() };
        assert_eq!(pending(Dialect::Postgres, Some(&[applied(1, bytes(checksum))])).unwrap(), fresh[3..]);
        let said = |found| format!("{:#}", pending(Dialect::Postgres, Some(&[found])).unwrap_err().source);
        assert!(said(applied(999, vec![])).contains("newer Amber"));
        assert!(said(applied(1, vec![1])).contains("was previously applied"));
    }
}
