//! A table of the user's own: its name as SQL writes it, and which column takes what, of all mappings that feed it.

use std::collections::HashMap;

use super::pattern::Wrong;
use super::words::nearest;
use crate::config::MappingConfig;
use crate::config::mapping::Others;
use crate::fault::{At, Fault, Place};
use crate::schema::{Field, Measurement, Own, Schema, TableName};

/// Bytes of a name in PostgreSQL, which cuts what is longer.
const MAX_BYTES: usize = 63;
/// Where Amber keeps its own.
const SCHEMAS: [&str; 2] = ["amber", "amber_store"];
const EXAMPLE: &str =
    "write `table = \"public.readings\"`; what is not plain stands in quotes: `table = '\"My Schema\".readings'`";

/// Reads `readings`, `public.readings`, `"My Schema"."Readings"`. Without quotes capitals become small letters, as they
/// do in SQL.
pub(super) fn table_name(text: &str) -> Result<TableName, Wrong> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) =
            part(rest).map_err(|what| Wrong::new(format!("{text:?} is no name of a table: {what}"), EXAMPLE))?;
        if part.len() > MAX_BYTES {
            let what = format!("`{part}` has {} bytes; PostgreSQL takes {MAX_BYTES}", part.len());
            return Err(Wrong::new(what, "name the table as the database has it"));
        }
        parts.push(part);
        match after.strip_prefix('.') {
            Some(more) => rest = more,
            None if after.is_empty() => break,
            None => return Err(Wrong::new(format!("{text:?} is no name of a table: {after:?} is left over"), EXAMPLE)),
        }
    }
    let name = parts.pop().unwrap_or_default();
    let schema = parts.pop();
    if !parts.is_empty() {
        let what = format!("{text:?} has more than a schema and a name, and one database is written to");
        return Err(Wrong::new(what, "name the database in `[store] url`"));
    }
    if let Some(schema) = schema.as_deref().filter(|schema| SCHEMAS.contains(schema)) {
        let what = format!("schema `{schema}` is Amber's, which makes and changes the tables in it");
        return Err(Wrong::new(what, "leave `table` out and set `measurement`, or name a table in another schema"));
    }
    Ok(TableName { schema, name })
}

/// The first part of a name, and what follows it.
fn part(text: &str) -> Result<(String, &str), String> {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut name = String::new();
        let mut rest = quoted;
        loop {
            let (before, after) = rest.split_once('"').ok_or("a quotation mark is not closed")?;
            name.push_str(before);
            match after.strip_prefix('"') {
                Some(more) => {
                    name.push('"');
                    rest = more;
                }
                None if name.is_empty() => return Err("a name is empty".to_owned()),
                None if name.chars().any(char::is_control) => return Err("it holds a control character".to_owned()),
                None => return Ok((name, after)),
            }
        }
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    match name.chars().next() {
        None if after.is_empty() || after.starts_with('.') => Err("a name is empty".to_owned()),
        None => Err(format!("{after:?} needs quotes")),
        Some(first) if first.is_ascii_digit() || first == '$' => Err(format!("`{name}` needs quotes")),
        Some(_) => Ok((name.to_ascii_lowercase(), after)),
    }
}

/// What one mapping alone can have wrong about it.
pub(super) fn faults(config: &MappingConfig, faults: &mut Vec<Fault>) {
    let mapping = format!("mapping.{}", config.name.value);
    let mut fault = |place: &Place, key: &str, what: &str, remedy: &str| {
        faults.push(Fault::new(place, format!("{mapping}.{key}"), what, remedy));
    };
    let Some(table) = &config.table else {
        if let Some((name, _)) = config.columns.first() {
            let remedy = "name it: `table = \"public.readings\"`; without one Amber makes the table, and its columns have the names of tags and fields";
            fault(&name.place, "columns", "there is no `table` whose columns these are", remedy);
        }
        return;
    };
    if let Err(wrong) = table_name(&table.value) {
        fault(&table.place, "table", &wrong.what, &wrong.remedy);
    }
    if let Some(most) = &config.max_series {
        let what = "a table of your own has no series that could be counted";
        fault(&most.place, "max_series", what, "leave it out, or let Amber make the table: leave out `table`");
    }
    if let Some(said) = &config.on_duplicate {
        let what = "Amber does not look after duplicates in a table of your own";
        let remedy = "leave it out, and let a unique index or a trigger of your own decide; or let Amber make the table: leave out `table`";
        fault(&said.place, "on_duplicate", what, remedy);
    }
    if let Some(said) = &config.retention {
        let what = "Amber deletes nothing from a table of your own";
        let remedy = "leave it out, and delete old rows yourself; or let Amber make the table: leave out `table`";
        fault(&said.place, "retention", what, remedy);
    }
    if let Some(said) = &config.compress_after {
        let what = "Amber changes nothing of a table of your own";
        fault(&said.place, "compress_after", what, "leave it out, or let Amber make the table: leave out `table`");
    }
    if config.others == Others::Add {
        let what = "`others = \"add\"` makes columns, and Amber does not change a table of your own";
        let remedy = "write `others = \"json\"`, which goes to one column, or leave `table` out";
        fault(&table.place, "others", what, remedy);
    }
    for (name, column) in &config.columns {
        let key = format!("columns.{}", name.value);
        match &column.value {
            None if name.value == "time" => {
                let what = "every row has a time, and it must be kept";
                fault(&column.place, &key, what, "name the column for it");
            }
            Some(column_name) if column_name.is_empty() || column_name.chars().any(char::is_control) => {
                fault(&column.place, &key, "this is no name of a column", "name it as the database has it");
            }
            None | Some(_) => {}
        }
    }
}

/// A column, and the mapping that names it.
type Said<'c> = (&'c At<Option<String>>, &'c MappingConfig);

/// Tables of the measurements, as the mappings say.
#[derive(Default)]
pub(super) struct Tables<'c> {
    /// By measurement: the mapping that said so first.
    first: HashMap<usize, (Option<TableName>, &'c MappingConfig)>,
    /// By measurement and our name.
    columns: HashMap<(usize, &'c str), Said<'c>>,
    /// As they were written; for names that fit nothing.
    written: Vec<(usize, &'c At<String>, &'c MappingConfig)>,
}

impl<'c> Tables<'c> {
    /// Adds what a mapping of measurement `index` says, which must be what the others say.
    pub(super) fn feed(&mut self, index: usize, name: &str, config: &'c MappingConfig, faults: &mut Vec<Fault>) {
        let table = config.table.as_ref().and_then(|table| table_name(&table.value).ok());
        let path = format!("mapping.{}", config.name.value);
        match self.first.get(&index) {
            None => {
                self.first.insert(index, (table, config));
            }
            Some((first, said)) if *first != table => {
                let place = |config: &MappingConfig| {
                    config.table.as_ref().map_or_else(|| config.name.place.clone(), |table| table.place.clone())
                };
                let its = |config: &MappingConfig| match &config.table {
                    Some(table) => format!("goes to table `{}`", table.value),
                    None => "goes to tables that Amber makes".to_owned(),
                };
                let what = format!(
                    "measurement `{name}` {} here, and {} in `mapping.{}` ({})",
                    its(config),
                    its(said),
                    said.name.value,
                    place(said),
                );
                let remedy = "write `table` alike in both, or give one another `measurement`";
                faults.push(Fault::new(&place(config), format!("{path}.table"), what, remedy));
            }
            Some(_) => {}
        }
        for (ours, column) in &config.columns {
            self.written.push((index, ours, config));
            let (known, said) = self.columns.entry((index, &ours.value)).or_insert((column, config));
            if known.value != column.value {
                let word = |column: &Option<String>| {
                    column
                        .as_ref()
                        .map_or_else(|| "is left out".to_owned(), |column| format!("goes to column `{column}`"))
                };
                let what = format!(
                    "`{}` of measurement `{name}` {} here, and {} in `mapping.{}` ({})",
                    ours.value,
                    word(&column.value),
                    word(&known.value),
                    said.name.value,
                    known.place,
                );
                let path = format!("{path}.columns.{}", ours.value);
                faults.push(Fault::new(&column.place, path, what, "write it in one of them"));
            }
        }
    }

    /// Gives the measurements their tables, once all mappings have been heard.
    pub(super) fn finish(self, schema: &mut Schema, faults: &mut Vec<Fault>) {
        for (index, ours, config) in &self.written {
            let Some((Some(table), _)) = self.first.get(index) else { continue };
            // What `[defaults]` say of one table holds for several mappings, of which not each has all tags.
            let of_table = self.first.iter().filter(|(_, (other, _))| other.as_ref() == Some(table));
            let mut known: Vec<&str> = of_table.flat_map(|(index, _)| names(&schema.measurements[*index])).collect();
            if !known.contains(&ours.value.as_str()) {
                known.sort_unstable();
                known.dedup();
                let remedy = match nearest(&ours.value, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!(
                        "our name stands first, then the column of your table; known here: `{}`",
                        known.join("`, `")
                    ),
                };
                let path = format!("mapping.{}.columns.{}", config.name.value, ours.value);
                faults.push(Fault::new(
                    &ours.place,
                    path,
                    format!("`{}` is neither a tag nor a field", ours.value),
                    remedy,
                ));
            }
        }
        for (index, measurement) in schema.measurements.iter_mut().enumerate() {
            let Some((Some(table), config)) = self.first.get(&index) else { continue };
            let column = |ours: &str| match self.columns.get(&(index, ours)) {
                Some((column, _)) => column.value.clone(),
                None => Some(ours.to_owned()),
            };
            for field in &measurement.fields {
                if let Some((column, said)) = self.columns.get(&(index, field.name.as_str()))
                    && column.value.is_none()
                {
                    let path = format!("mapping.{}.columns.{}", said.name.value, field.name);
                    let what = format!("`{}` is a field, and only a tag may be without a column", field.name);
                    let remedy = "name its column, or take the field out of the mapping";
                    faults.push(Fault::new(&column.place, path, what, remedy));
                }
            }
            let received_at = self.columns.get(&(index, "received_at")).and_then(|(column, _)| column.value.clone());
            let own = Own {
                table: table.clone(),
                time: column("time").unwrap_or_default(),
                received_at,
                tags: measurement.tags.iter().map(|tag| column(tag)).collect(),
                fields: measurement.fields.iter().map(|field| column(&field.name).unwrap_or_default()).collect(),
            };
            if let Some((one, other, name)) = twice(&own, measurement) {
                let of = |ours: &str| self.columns.get(&(index, ours)).map(|(column, said)| (&column.place, *said));
                let (place, said) = of(other).or_else(|| of(one)).unwrap_or((&config.name.place, *config));
                let path = format!("mapping.{}.columns", said.name.value);
                let what = format!("`{one}` and `{other}` both go to column `{name}`");
                faults.push(Fault::new(place, path, what, "give each a column of its own"));
            }
            measurement.own = Some(own);
        }
    }
}

/// All that may stand at the left of `columns`.
fn names(measurement: &Measurement) -> impl Iterator<Item = &str> {
    let fields = measurement.fields.iter().map(|field: &Field| field.name.as_str());
    ["time", "received_at"].into_iter().chain(measurement.tags.iter().map(String::as_str)).chain(fields)
}

/// Two of our names that go to one column, and that column.
fn twice<'a>(own: &'a Own, measurement: &'a Measurement) -> Option<(&'a str, &'a str, &'a str)> {
    let mut seen: HashMap<&str, &str> = HashMap::new();
    own.named(measurement).find_map(|(ours, column)| Some((seen.insert(column, ours)?, ours, column)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tables_are_read_as_sql_reads_them() {
        for (text, schema, name) in [
            ("readings", None, "readings"),
            ("Public.Readings", Some("public"), "readings"),
            ("\"My Schema\".readings", Some("My Schema"), "readings"),
            ("plant.\"Read\"\"ings.1\"", Some("plant"), "Read\"ings.1"),
            ("größe_1$", None, "größe_1$"),
        ] {
            let expected = TableName { schema: schema.map(str::to_owned), name: name.to_owned() };
            assert_eq!(table_name(text).ok(), Some(expected), "{text}");
        }
        for (text, expected) in [
            ("", "a name is empty"),
            ("public.", "a name is empty"),
            (".readings", "a name is empty"),
            ("\"\"", "a name is empty"),
            ("\"open", "is not closed"),
            ("my table", "\" table\" is left over"),
            ("my-table", "\"-table\" is left over"),
            ("1st", "`1st` needs quotes"),
            ("a;b", "\";b\" is left over"),
            ("db.public.readings", "more than a schema and a name"),
            ("amber.climate", "schema `amber` is Amber's"),
            ("AMBER_STORE.climate_data", "schema `amber_store` is Amber's"),
            (&"x".repeat(64), "has 64 bytes"),
        ] {
            let Err(wrong) = table_name(text) else { panic!("{text}") };
            assert!(wrong.what.contains(expected) && !wrong.remedy.is_empty(), "{text}: {}", wrong.what);
        }
    }
}
