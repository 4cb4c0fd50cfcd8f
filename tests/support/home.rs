//! Where rows are kept: an empty database of PostgreSQL, or a file of SQLite. A test is written once over both.

use super::folder::Folder;
use super::postgres::{self, Database};
use super::sql::Sql;

/// A store of a test's own, whoever writes into it.
pub enum Home {
    Postgres(Database),
    Sqlite(Folder),
}

impl Home {
    /// One of each, empty.
    pub fn both() -> [Self; 2] {
        [Self::postgres(), Self::sqlite()]
    }

    pub fn postgres() -> Self {
        Self::Postgres(postgres::database())
    }

    pub fn sqlite() -> Self {
        Self::Sqlite(Folder::new())
    }

    pub fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// As `[store] url` has it.
    pub fn url(&self) -> String {
        match self {
            Self::Postgres(database) => database.url(),
            Self::Sqlite(folder) => format!("sqlite:{}", folder.join("store.db").display()),
        }
    }

    /// For assertions.
    pub fn sql(&self) -> Sql {
        match self {
            Self::Postgres(database) => database.sql(),
            Self::Sqlite(folder) => Sql::sqlite(&folder.join("store.db")).unwrap(),
        }
    }

    /// The view of a measurement, or of a fixed table.
    pub fn view(&self, name: &str) -> String {
        if self.is_postgres() { format!("amber.\"{name}\"") } else { format!("\"{name}\"") }
    }

    /// A table behind them.
    pub fn table(&self, name: &str) -> String {
        if self.is_postgres() { format!("amber_store.\"{name}\"") } else { format!("\"store_{name}\"") }
    }

    pub fn count(&self, view: &str) -> i64 {
        self.sql().number(&format!("select count(*) from {}", self.view(view))).unwrap()
    }
}

impl std::fmt::Display for Home {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_postgres() { "PostgreSQL" } else { "SQLite" })
    }
}
