//! Names of measurements, tags and fields, as both stores take them (views, tables, columns).

use super::pattern::Wrong;
use crate::fault::Severity;
use crate::schema::OWN_COLUMNS;

/// Words that PostgreSQL or SQLite reserves: a column of such a name is found only in quotes. Sorted.
const SQL_WORDS: &[&str] = &[
    "add",
    "all",
    "alter",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "between",
    "both",
    "by",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "commit",
    "constraint",
    "create",
    "current_catalog",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "delete",
    "desc",
    "distinct",
    "do",
    "drop",
    "else",
    "end",
    "escape",
    "except",
    "exists",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "if",
    "in",
    "index",
    "initially",
    "insert",
    "intersect",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "limit",
    "localtime",
    "localtimestamp",
    "not",
    "notnull",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "session_user",
    "set",
    "some",
    "symmetric",
    "system_user",
    "table",
    "then",
    "to",
    "trailing",
    "transaction",
    "true",
    "union",
    "unique",
    "update",
    "user",
    "using",
    "values",
    "variadic",
    "when",
    "where",
    "window",
    "with",
];

/// What a name is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Measurement,
    Tag,
    Field,
}

impl Role {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Measurement => "measurement",
            Self::Tag => "tag",
            Self::Field => "field",
        }
    }
}

/// PostgreSQL cuts identifiers at 63 bytes, and two names cut alike would be one.
pub(super) const MAX_BYTES: usize = 63;
/// The longest suffix that a measurement's tables bear.
const SUFFIX: &str = "_series";
/// PostgreSQL has these columns in every table.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];
/// SQLite calls a column of a view `column5` instead, and reads the name as the value.
const TRUTH_VALUES: [&str; 2] = ["true", "false"];
/// Views that Amber makes for people.
const VIEWS: [&str; 4] = ["measurements", "fields", "rejects", "devices"];
/// Prefixes of Amber's, sqlx's and SQLite's own tables.
const PREFIXES: [&str; 3] = ["store_", "sqlite_", "_sqlx_"];

/// Whether a field may be called so. As `check`, for names that nobody has written down.
pub(super) fn is_column(name: &str) -> bool {
    let lower = name.to_lowercase();
    let is_reserved = [&OWN_COLUMNS[..], &SYSTEM_COLUMNS, &TRUTH_VALUES].iter().any(|names| names.contains(&&*lower));
    !name.is_empty() && name.len() <= MAX_BYTES && !is_reserved && !name.chars().any(char::is_control)
}

/// What is wrong with `name`, if anything is.
pub(super) fn check(role: Role, name: &str) -> Option<(Severity, Wrong)> {
    let fault = |what: String, remedy: &str| Some((Severity::Fault, Wrong::new(what, remedy)));
    let kind = role.word();
    if name.is_empty() {
        return fault(format!("the name of a {kind} is empty"), "write `[a-z][a-z0-9_]*`");
    }
    if name.chars().any(char::is_control) {
        return fault(format!("the name of {kind} {name:?} holds a control character"), "write `[a-z][a-z0-9_]*`");
    }
    let lower = name.to_lowercase();
    let is_one_of = |names: &[&str]| names.contains(&lower.as_str());
    match role {
        Role::Measurement => {
            if is_one_of(&VIEWS) || PREFIXES.iter().any(|prefix| lower.starts_with(prefix)) {
                return fault(
                    format!("`{name}` is reserved: Amber's own views and tables have such names"),
                    "give the mapping another name, or set `measurement`",
                );
            }
            let bytes = name.len() + SUFFIX.len();
            if bytes > MAX_BYTES {
                return fault(
                    format!(
                        "`{name}` has {} bytes; with `{SUFFIX}` for its table it exceeds PostgreSQL's {MAX_BYTES}",
                        name.len()
                    ),
                    "use at most 56 bytes",
                );
            }
        }
        Role::Tag | Role::Field => {
            if is_one_of(&OWN_COLUMNS) {
                return fault(
                    format!("`{name}` is reserved: every measurement has a column of that name"),
                    if lower == "time" {
                        "use the key `time` of the mapping for the time of a row, or another name"
                    } else {
                        "use another name"
                    },
                );
            }
            if is_one_of(&SYSTEM_COLUMNS) {
                return fault(
                    format!("`{name}` is reserved: PostgreSQL has a column of that name in every table"),
                    "use another name",
                );
            }
            if is_one_of(&TRUTH_VALUES) {
                return fault(
                    format!("`{name}` is reserved: SQLite gives no column of a view that name"),
                    "use another name; `path` can say where the value comes from",
                );
            }
            if name.len() > MAX_BYTES {
                return fault(
                    format!("`{name}` has {} bytes; PostgreSQL takes {MAX_BYTES}", name.len()),
                    "use a shorter name; `path` can say where the value comes from",
                );
            }
        }
    }
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let is_sql = SQL_WORDS.binary_search(&&*lower).is_ok();
    (!plain || is_sql).then(|| {
        let proposed: String = lower.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let proposed = proposed.trim_matches('_');
        let proposed = match proposed.chars().next() {
            None => "name".to_owned(),
            Some(first) if first.is_ascii_digit() => format!("n{proposed}"),
            Some(_) if is_sql => format!("{proposed}_value"),
            Some(_) => proposed.to_owned(),
        };
        (
            Severity::Warning,
            Wrong::new(
                format!("{kind} `{name}` must be quoted in every query"),
                format!("a name such as `{proposed}` needs no quotes"),
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_and_overlong_names_are_faults_and_others_warnings() {
        let long = "a".repeat(57);
        let longer = "a".repeat(64);
        for (role, name, expected) in [
            (Role::Field, "temperature", None),
            (Role::Field, "time", Some(Severity::Fault)),
            (Role::Tag, "Received_At", Some(Severity::Fault)),
            (Role::Tag, "series_id", Some(Severity::Fault)),
            (Role::Field, "time_utc", Some(Severity::Fault)),
            (Role::Field, "xmin", Some(Severity::Fault)),
            (Role::Field, "true", Some(Severity::Fault)),
            (Role::Tag, "False", Some(Severity::Fault)),
            (Role::Measurement, "true", Some(Severity::Warning)),
            (Role::Field, &long, None),
            (Role::Measurement, &long, Some(Severity::Fault)),
            (Role::Measurement, &long[1..], None),
            (Role::Field, &longer, Some(Severity::Fault)),
            (Role::Measurement, "rejects", Some(Severity::Fault)),
            (Role::Measurement, "store_x", Some(Severity::Fault)),
            (Role::Measurement, "time", None),
            (Role::Field, "PM2.5", Some(Severity::Warning)),
            (Role::Field, "é", Some(Severity::Warning)),
            (Role::Field, "", Some(Severity::Fault)),
            (Role::Field, "a\nb", Some(Severity::Fault)),
        ] {
            assert_eq!(check(role, name).map(|(severity, _)| severity), expected, "{role:?} {name}");
            assert!(role == Role::Measurement || is_column(name) == (expected != Some(Severity::Fault)), "{name}");
        }
    }

    #[test]
    fn a_word_of_sql_is_warned_of_with_a_name_that_is_none() {
        assert!(SQL_WORDS.is_sorted());
        let (severity, wrong) = check(Role::Field, "from").unwrap();
        assert_eq!(severity, Severity::Warning);
        assert!(wrong.remedy.contains("`from_value`"), "{}", wrong.remedy);
        assert!(check(Role::Field, "origin").is_none());
    }
}
