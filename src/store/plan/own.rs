//! A table of the user's own: whether what was found takes the rows, and how each value is written. Pure.
//!
//! Nothing is planned here: Amber never makes or changes such a table. Whatever is missing is a conflict that says what
//! to run, so that the store stands still until somebody has run it.

use super::{Dialect, Shape, Table};
use crate::schema::{Measurement, Own, TableName, Type};
use crate::store::columns::Element;
use crate::store::sql::quote;

/// What the database has by the name.
#[derive(Clone, Debug)]
pub(in crate::store) struct FoundOwn {
    /// Quoted, with its schema.
    pub(in crate::store) target: String,
    pub(in crate::store) shape: Shape,
    /// Whether an INSERT is possible at all.
    pub(in crate::store) takes_rows: bool,
    pub(in crate::store) columns: Vec<FoundColumn>,
    /// What the role lacks, as SQL.
    pub(in crate::store) grants: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub(in crate::store) struct FoundColumn {
    pub(in crate::store) name: String,
    /// PostgreSQL: as `pg_type` has it, of a domain the type below it. SQLite: as declared, in capitals.
    pub(in crate::store) r#type: String,
    /// As people write it.
    pub(in crate::store) shown: String,
    /// As a cast has it: without length, of a domain the type below it. PostgreSQL only.
    pub(in crate::store) cast: String,
    pub(in crate::store) is_enum: bool,
    /// NOT NULL without a default: an INSERT that does not name it fails.
    pub(in crate::store) required: bool,
    /// The database makes its values and takes none.
    pub(in crate::store) is_generated: bool,
}

/// What is written into one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Source {
    Time,
    ReceivedAt,
    /// Position in a row's tags.
    Tag(usize),
    /// Position in a row's fields.
    Field(usize),
}

/// How it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Form {
    /// In our type; the database assigns it.
    Plain,
    /// A float by its digits, as people see them: a cast to numeric would cut them.
    Digits,
    /// As a text.
    Text,
    /// As a text that is cast to this type.
    Cast(String),
    /// A tag that is cast to this type, and null without a value.
    TagCast(String),
    /// A tag for a column of integers in SQLite: null without a value.
    TagNumber,
    /// A time in seconds since 1970, with a fraction.
    Seconds,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct OwnColumn {
    pub(in crate::store) name: String,
    pub(in crate::store) source: Source,
    pub(in crate::store) r#type: Type,
    pub(in crate::store) form: Form,
}

impl OwnColumn {
    /// In which PostgreSQL is sent it.
    pub(in crate::store) fn element(&self) -> Element {
        match self.form {
            Form::Text | Form::Cast(_) | Form::TagCast(_) => Element::Text,
            Form::Plain | Form::Digits | Form::TagNumber | Form::Seconds => Element::from(self.r#type),
        }
    }
}

/// Where a measurement's rows go instead of Amber's tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct OwnTable {
    /// Quoted, with its schema.
    pub(in crate::store) target: String,
    pub(in crate::store) columns: Vec<OwnColumn>,
}

/// `public.readings`, with quotes where SQL needs them.
pub(in crate::store) fn shown(table: &TableName) -> String {
    let part = |name: &String| {
        let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if is_plain { name.clone() } else { quote(name) }
    };
    table.schema.iter().chain([&table.name]).map(part).collect::<Vec<_>>().join(".")
}

/// What `amber check` says of it in any case.
pub(in crate::store) fn note(own: &Own) -> String {
    format!("writes into {} (not changed by Amber)", shown(&own.table))
}

/// And what it says of the table that was found: where it keeps less than it is given.
pub(in crate::store) fn notes(
    dialect: Dialect,
    measurement: &Measurement,
    own: &Own,
    found: Option<&FoundOwn>,
) -> Vec<String> {
    let mut notes = vec![note(own)];
    let Some(found) = found else { return notes };
    let table = shown(&own.table);
    if found.shape == Shape::Other("a foreign table".to_owned()) {
        notes.push(format!(
            "{table} is a foreign table: its server commits apart from Amber's ledger, so that a crash between the two \
             commits can store a batch twice"
        ));
    }
    for (ours, name, _, r#type) in wanted(measurement, own) {
        let Some(column) = found.columns.iter().find(|column| dialect.is_name(&column.name, name)) else { continue };
        let digits = match (dialect, r#type) {
            (Dialect::Postgres, Type::Int) if column.r#type == "float8" => "integers beyond 2^53 are rounded",
            (Dialect::Postgres, Type::Float) if column.r#type == "float4" => "values are rounded to some 7 digits",
            (Dialect::Sqlite, Type::Int) if is_real(&column.r#type) => "integers beyond 2^53 are rounded",
            _ => continue,
        };
        notes.push(format!("column {} of {table} is `{}`, where `{ours}` goes: {digits}", quote(name), column.shown));
    }
    notes
}

/// Whether a declared type of SQLite has the affinity REAL.
fn is_real(declared: &str) -> bool {
    let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
    !has(&["INT", "CHAR", "CLOB", "TEXT", "BLOB"]) && has(&["REAL", "FLOA", "DOUB"])
}

/// A table that would take the rows.
pub(in crate::store) fn proposal(dialect: Dialect, measurement: &Measurement, own: &Own) -> String {
    let columns: Vec<String> = wanted(measurement, own)
        .map(|(_, column, source, r#type)| {
            let not_null = if source == Source::Time { " not null" } else { "" };
            format!("  {} {}{not_null}", quote(column), short(dialect, r#type))
        })
        .collect();
    format!("create table {} (\n{}\n)", target(&own.table), columns.join(",\n"))
}

/// There is nothing of this name.
pub(in crate::store) fn missing(dialect: Dialect, measurement: &Measurement, own: &Own, like: Option<&str>) -> String {
    let table = shown(&own.table);
    let like = like.map_or_else(String::new, |like| format!(" (there is {like}: write `table = '{like}'`)"));
    format!(
        "table {table}, which `table` of measurement `{}` names, is not there{like}, and Amber does not make it; name another, or run: `{}`",
        measurement.name,
        proposal(dialect, measurement, own)
    )
}

/// Quoted, as it was written.
fn target(table: &TableName) -> String {
    table.schema.iter().chain([&table.name]).map(|name| quote(name)).collect::<Vec<_>>().join(".")
}

/// Our name, the column, what goes there and its type.
fn wanted<'a>(measurement: &'a Measurement, own: &'a Own) -> impl Iterator<Item = (&'a str, &'a str, Source, Type)> {
    own.named(measurement).map(|(ours, column)| {
        let tag = || measurement.tags.iter().position(|tag| tag == ours).map(|n| (Source::Tag(n), Type::Text));
        let field = || {
            let n = measurement.fields.iter().position(|field| field.name == ours)?;
            Some((Source::Field(n), measurement.fields[n].r#type))
        };
        // No tag or field is called `time` or `received_at`.
        let (source, r#type) = match ours {
            "time" => (Source::Time, Type::Time),
            "received_at" => (Source::ReceivedAt, Type::Time),
            _ => tag().or_else(field).expect("what has a column is a tag or a field"),
        };
        (ours, column, source, r#type)
    })
}

/// The type for a column that is to be made.
fn short(dialect: Dialect, r#type: Type) -> &'static str {
    match (dialect, r#type) {
        (Dialect::Postgres, Type::Time) => "timestamptz",
        _ => dialect.column_type(r#type),
    }
}

/// What keeps the rows out of the table that was found, and how they are written.
pub(in crate::store) fn plan(
    dialect: Dialect,
    measurement: &Measurement,
    own: &Own,
    found: &FoundOwn,
) -> (Vec<String>, OwnTable) {
    let table = shown(&own.table);
    let mut conflicts = Vec::new();
    let mut columns = Vec::new();
    if !found.takes_rows {
        let text = format!(
            "{table}, which `table` of measurement `{}` names, is {} that takes no rows; name a table",
            measurement.name,
            found.shape.word()
        );
        return (vec![text], OwnTable { target: found.target.clone(), columns });
    }
    if !found.grants.is_empty() {
        conflicts.push(format!("Amber may not insert into {table}; run: `{}`", found.grants.join("; ")));
    }
    for (ours, name, source, r#type) in wanted(measurement, own) {
        let is = |column: &&FoundColumn| dialect.is_name(&column.name, name);
        let Some(column) = found.columns.iter().find(is) else {
            conflicts.push(no_column(dialect, found, &table, (ours, name, source, r#type)));
            continue;
        };
        if column.is_generated {
            conflicts.push(format!(
                "column {} of {table} takes no values, because the database makes them, and `{ours}` goes there; name another in `columns`",
                quote(name)
            ));
            continue;
        }
        let form = match dialect {
            Dialect::Postgres => postgres(source, r#type, column),
            Dialect::Sqlite => sqlite(source, r#type, &column.r#type),
        };
        match form {
            Some(form) if !columns.iter().any(|known: &OwnColumn| dialect.is_name(&known.name, name)) => {
                columns.push(OwnColumn { name: column.name.clone(), source, r#type, form });
            }
            Some(_) => conflicts.push(format!("column {} of {table} is named twice in `columns`", quote(name))),
            None => conflicts.push(another_type(dialect, found, &table, (ours, name, source, r#type), column)),
        }
    }
    for column in found.columns.iter().filter(|column| column.required) {
        if !own.named(measurement).any(|(_, name)| dialect.is_name(&column.name, name)) {
            let name = quote(&column.name);
            let mend = match dialect {
                Dialect::Postgres => {
                    format!(", or run: `alter table {} alter column {name} drop not null`", found.target)
                }
                Dialect::Sqlite => String::new(),
            };
            conflicts.push(format!(
                "column {name} of {table} takes no null and has no default, and no mapping fills it; add a tag or field for it (`columns = {{ … = {:?} }}`), give it a default{mend}",
                column.name
            ));
        }
    }
    (conflicts, OwnTable { target: found.target.clone(), columns })
}

impl Dialect {
    fn is_name(self, one: &str, other: &str) -> bool {
        match self {
            Self::Postgres => one == other,
            Self::Sqlite => one.eq_ignore_ascii_case(other),
        }
    }
}

/// `None`: such a column does not take such a value, or not without a change of it.
fn postgres(source: Source, r#type: Type, column: &FoundColumn) -> Option<Form> {
    let is_tag = matches!(source, Source::Tag(_));
    Some(match (r#type, column.r#type.as_str()) {
        (Type::Float, "float8" | "float4")
        | (Type::Int, "int8" | "int4" | "int2" | "numeric" | "float8")
        | (Type::Bool, "bool")
        | (Type::Text, "text" | "varchar" | "bpchar" | "citext")
        | (Type::Json, "jsonb")
        | (Type::Time, "timestamptz") => Form::Plain,
        (Type::Float, "numeric") => Form::Digits,
        (Type::Json, "json") => Form::Cast("json".to_owned()),
        (Type::Json, "text" | "varchar") => Form::Text,
        (Type::Text, "int8" | "int4" | "int2" | "numeric") if is_tag => Form::TagCast(column.cast.clone()),
        (Type::Text, name) if column.is_enum || TEXTUAL.contains(&name) => {
            if is_tag {
                Form::TagCast(column.cast.clone())
            } else {
                Form::Cast(column.cast.clone())
            }
        }
        _ => return None,
    })
}

/// Types of which a text is the usual form; a text that is none is refused.
const TEXTUAL: [&str; 5] = ["uuid", "inet", "cidr", "macaddr", "macaddr8"];

/// By the declared type, as SQLite derives the affinity from it (sqlite.org/datatype3.html, 3.1).
fn sqlite(source: Source, r#type: Type, declared: &str) -> Option<Form> {
    let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
    let is_integer = has(&["INT"]);
    let is_text = !is_integer && has(&["CHAR", "CLOB", "TEXT"]);
    let is_any = !is_integer && !is_text && (declared.is_empty() || declared == "ANY" || has(&["BLOB"]));
    let is_real = is_real(declared);
    let is_numeric = !is_integer && !is_text && !is_any && !is_real;
    let is_json = is_numeric && declared.starts_with("JSON");
    // A text that looks like a number would become one, and `true` in a column DATE is no value either.
    let is_number = is_numeric && (has(&["NUM", "DEC"]) || declared == "MONEY");
    let is_moment = is_numeric && has(&["DATETIME", "TIMESTAMP"]);
    match r#type {
        Type::Float => (is_real || is_number || is_any).then_some(Form::Plain),
        Type::Int => (is_integer || is_real || is_number || is_any).then_some(Form::Plain),
        Type::Bool => (is_integer || is_number || is_any || declared.starts_with("BOOL")).then_some(Form::Plain),
        Type::Text if is_integer && matches!(source, Source::Tag(_)) => Some(Form::TagNumber),
        Type::Text => (is_text || is_any).then_some(Form::Plain),
        Type::Json => (is_text || is_any || is_json).then_some(Form::Plain),
        Type::Time if is_integer => Some(Form::Plain),
        Type::Time if is_text || is_moment => Some(Form::Text),
        Type::Time => is_real.then_some(Form::Seconds),
    }
}

type Wanted<'a> = (&'a str, &'a str, Source, Type);

fn no_column(dialect: Dialect, found: &FoundOwn, table: &str, (ours, name, source, r#type): Wanted<'_>) -> String {
    let like = found.columns.iter().find(|column| column.name.to_lowercase() == name.to_lowercase());
    let like = like.map_or_else(String::new, |like| format!(" (there is `{}`)", like.name));
    let (what, or) = match source {
        Source::Time => ("the time of a row".to_owned(), ""),
        Source::ReceivedAt => ("the time of receipt".to_owned(), "take it out of `columns`, "),
        Source::Tag(_) => (format!("tag `{ours}`"), "leave the tag out (`columns = { … = false }`), "),
        Source::Field(_) => (format!("field `{ours}`"), "take the field out of the mapping, "),
    };
    let or = or.replace('…', ours);
    format!(
        "{table} has no column {}{like} for {what}; name its column (`columns = {{ {ours} = \"…\" }}`), {or}or run: `alter table {} add column {} {}`",
        quote(name),
        found.target,
        quote(name),
        short(dialect, r#type),
    )
}

fn another_type(
    dialect: Dialect,
    found: &FoundOwn,
    table: &str,
    (ours, name, source, r#type): Wanted<'_>,
    column: &FoundColumn,
) -> String {
    let (what, word) = match source {
        Source::Time => ("the time of a row".to_owned(), "time"),
        Source::ReceivedAt => ("the time of receipt".to_owned(), "time"),
        Source::Tag(_) => (format!("tag `{ours}`"), "text"),
        Source::Field(_) => (format!("field `{ours}`"), r#type.word()),
    };
    let is = if column.shown.is_empty() { "without a type" } else { &column.shown };
    let start = format!("column {} of {table} is `{is}`, and {what}, which goes there, is `{word}`", quote(name));
    let quoted = quote(name);
    let mend = match (dialect, r#type, column.r#type.as_str()) {
        (Dialect::Sqlite, Type::Time, _) => {
            return format!(
                "{start}; name in `columns` one that is declared INTEGER (µs since 1970), TEXT (RFC 3339) or REAL (seconds)"
            );
        }
        (Dialect::Sqlite, _, _) => {
            return format!(
                "{start}; name in `columns` one that is declared {}{}",
                short(dialect, r#type),
                of_field(source).replace(',', ", or")
            );
        }
        (Dialect::Postgres, Type::Time, "timestamp") => format!("type timestamptz using {quoted} at time zone '…'"),
        (Dialect::Postgres, Type::Time, "date") => {
            format!("type timestamptz using {quoted}::timestamp at time zone '…'")
        }
        (Dialect::Postgres, _, _) => format!("type {} using …", short(dialect, r#type)),
    };
    format!(
        "{start}; name another in `columns`{}, or run: `alter table {} alter column {quoted} {mend}`",
        of_field(source),
        found.target
    )
}

fn of_field(source: Source) -> &'static str {
    if let Source::Field(_) = source { ", give the field another `type` in the mapping" } else { "" }
}

impl Table {
    /// Where the rows go, for messages and statements.
    pub(in crate::store) fn target(&self, dialect: Dialect) -> String {
        self.own.as_ref().map_or_else(|| dialect.data(&self.name), |own| own.target.clone())
    }

    /// Number of columns of a row.
    pub(in crate::store) fn width(&self) -> usize {
        self.own.as_ref().map_or(3 + self.fields.len(), |own| own.columns.len())
    }
}
