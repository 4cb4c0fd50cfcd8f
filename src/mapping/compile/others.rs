//! `others`: what becomes of the values that no field names.

use super::Compiler;
use crate::config::mapping as config;
use crate::fault::Fault;
use crate::mapping::compiled::{Compiled, Located};
use crate::mapping::others::{Others, Shape};
use crate::mapping::path::{Catching, Path, Step};
use crate::mapping::words::Word;
use crate::schema::{self, Kind, Type};

/// The column of `others = "json"`.
const COLUMN: &str = "others";

impl Compiler<'_, '_> {
    /// The column that holds all others as JSON.
    pub(super) fn others_column(&mut self) -> Option<schema::Field> {
        let config = self.config;
        if config.others != config::Others::Json {
            return None;
        }
        let twin = config.fields.iter().find(|field| !field.removed && field.name.value.to_lowercase() == COLUMN);
        if let Some(twin) = twin {
            let what = "`others = \"json\"` makes a column of this name, and a field has it already";
            let remedy = "give the field another name; `path` says where its value comes from";
            self.fault(&twin.name.place, &format!("fields.{}", twin.name.value), what, remedy);
            return None;
        }
        Some(schema::Field {
            name: COLUMN.to_owned(),
            kind: Kind::Gauge,
            r#type: Type::Json,
            unit: None,
            description: Some("what no field names".to_owned()),
            decimals: None,
            min: None,
            max: None,
            deadband: None,
        })
    }

    pub(super) fn others(&mut self, compiled: &Compiled) -> Option<Others> {
        let config = self.config;
        let shape = match config.others {
            config::Others::Ignore => return None,
            config::Others::Add => Shape::Columns,
            config::Others::Json => Shape::Json,
        };
        let zipped =
            compiled.pivot.is_none() && compiled.rows.iter().any(|row| matches!(row.steps.last(), Some(Step::Zip(_))));
        if zipped {
            let place = config.rows.first().map_or(&config.name.place, |rows| &rows.place).clone();
            let what = "rows of parallel arrays have no others: each row would have all of every array";
            self.fault(&place, "others", what, "name the arrays in `fields`, and leave `others` out");
        }
        let format = self.format_of_rows();
        if *format == config::Format::Text && compiled.pivot.is_none() {
            let place = config.name.place.clone();
            let what = "a text has no parts that could be others, and `format = \"text\"`";
            self.fault(&place, "others", what, "leave `others` out, or use another format");
        }
        let mut taken = compiled.taken();
        let mut removed = Vec::new();
        for field in config.fields.iter().filter(|field| field.removed) {
            let name = &field.name;
            removed.push(name.value.as_str().into());
            let Some(path) = self.ok(Path::parse(&name.value, Catching::Known(&self.names)), &name.place, "fields")
            else {
                continue;
            };
            let located = Located::new(path, &compiled.rows);
            if located.path.root && compiled.pivot.is_some() {
                let what = "what a pivot makes of a payload has no root";
                self.faults.push(Fault::new(&name.place, self.path("fields"), what, "write the name as it is sent"));
            }
            for (alternative, taken) in taken.iter_mut().enumerate() {
                let shared = located.shared.get(alternative).copied().unwrap_or(0);
                let row = compiled.rows.get(alternative).map_or(0, |row| row.steps.len());
                if !located.path.root || shared == row {
                    taken.add(&located.path.steps[shared..]);
                }
            }
        }
        let missing = config.missing.iter().map(|word| Word::new(&word.value)).collect();
        let untyped = matches!(format, config::Format::Xml | config::Format::Csv(_) | config::Format::Pairs(_));
        Some(Others { shape, taken, removed, missing, untyped })
    }
}
