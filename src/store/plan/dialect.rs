//! Where PostgreSQL and SQLite differ in names and types.

use crate::schema::Type;
use crate::store::sql::quote;

/// Where the two differ in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Dialect {
    Postgres,
    Sqlite,
}

impl Dialect {
    /// Quoted name of the table of readings.
    pub(in crate::store) fn data(self, measurement: &str) -> String {
        self.table(&format!("{measurement}_data"))
    }

    /// Quoted name of the table of series.
    pub(in crate::store) fn series(self, measurement: &str) -> String {
        self.table(&format!("{measurement}_series"))
    }

    fn table(self, name: &str) -> String {
        match self {
            Self::Postgres => format!("amber_store.{}", quote(name)),
            Self::Sqlite => quote(&format!("store_{name}")),
        }
    }

    /// Quoted name of the view that people query.
    pub(in crate::store) fn view(self, measurement: &str) -> String {
        match self {
            Self::Postgres => format!("amber.{}", quote(measurement)),
            Self::Sqlite => quote(measurement),
        }
    }

    /// The type of a field's column, in the words in which the catalogue gives it back.
    pub(in crate::store) fn column_type(self, r#type: Type) -> &'static str {
        match (self, r#type) {
            (Self::Postgres, Type::Float) => "double precision",
            (Self::Postgres, Type::Int) => "bigint",
            (Self::Postgres, Type::Bool) => "boolean",
            (Self::Postgres, Type::Text) => "text",
            (Self::Postgres, Type::Json) => "jsonb",
            (Self::Postgres, Type::Time) => "timestamp with time zone",
            (Self::Sqlite, Type::Float) => "REAL",
            (Self::Sqlite, Type::Int | Type::Bool | Type::Time) => "INTEGER",
            (Self::Sqlite, Type::Text | Type::Json) => "TEXT",
        }
    }

    /// Whether no column of a view can have this name: SQLite calls it `column5` then, whatever `as` says, and reads the
    /// name as the truth value.
    pub(super) fn has_no_view_column(self, name: &str) -> bool {
        let is_truth_value = || ["true", "false"].iter().any(|word| name.eq_ignore_ascii_case(word));
        self == Self::Sqlite && is_truth_value()
    }

    pub(super) fn tag_type(self) -> &'static str {
        match self {
            Self::Postgres => "text collate \"C\" not null default ''",
            Self::Sqlite => "TEXT not null default ''",
        }
    }
}
