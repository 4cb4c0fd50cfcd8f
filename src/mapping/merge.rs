//! Measurements from mappings: tags and fields of all that feed one are united, and must agree.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::compile::{Draft, DraftTarget};
use super::compiled::{Compiled, Layout, Target};
use super::own::Tables;
use crate::config::mapping::Others;
use crate::config::written_duration as span;
use crate::fault::{At, Fault, Place};
use crate::schema::{Compress, Field, Kind, MAX_SERIES, Measurement, OnDuplicate, Schema};

/// The schema of all drafts, and the drafts with their places in it; faults where they disagree.
pub(super) fn merge(drafts: Vec<Draft<'_>>, faults: &mut Vec<Fault>) -> (Schema, Vec<Compiled>) {
    let mut merge = Merge {
        schema: Schema::default(),
        by_name: HashMap::new(),
        first: HashMap::new(),
        bounds: HashMap::new(),
        duplicates: HashMap::new(),
        retentions: HashMap::new(),
        compressions: HashMap::new(),
        tables: Tables::default(),
        faults,
    };
    let mut compiled: Vec<Compiled> = Vec::with_capacity(drafts.len());
    let mut layouts = Vec::with_capacity(drafts.len());
    for draft in &drafts {
        let names = match &draft.target {
            DraftTarget::One(name) => std::slice::from_ref(name),
            DraftTarget::Of(_, names) => names,
        };
        layouts.push(names.iter().map(|name| merge.feed(draft, name)).collect::<Vec<_>>());
    }
    // Only now is every measurement complete.
    merge.bands_of_what_is_ignored();
    let mut schema = merge.schema;
    merge.tables.finish(&mut schema, merge.faults);
    for (draft, places) in drafts.into_iter().zip(layouts) {
        let mut mapping = draft.compiled;
        let layout = |(measurement, fields): &(usize, Vec<usize>)| {
            let whole = &schema.measurements[*measurement];
            let tag = |name: &String| mapping.tags.iter().position(|tag| *tag.name == **name);
            let tags = whole.tags.iter().map(tag).collect();
            let own = fields.len().min(mapping.fields.len());
            let (reserved, others) = match &mapping.others {
                None => (HashSet::new(), None),
                Some(_) => (reserved(whole, &mapping), fields.get(own).copied()),
            };
            let fields = fields[..own].to_vec();
            Layout { measurement: *measurement, width: whole.fields.len(), fields, tags, reserved, others }
        };
        let mut layouts: Vec<Layout> = places.iter().map(layout).collect();
        mapping.target = match draft.target {
            DraftTarget::One(_) => Target::One(layouts.swap_remove(0)),
            DraftTarget::Of(pattern, names) => {
                Target::Of(pattern, names.iter().map(|name| name.to_lowercase()).zip(layouts).collect())
            }
        };
        compiled.push(mapping);
    }
    (schema, compiled)
}

/// Names that no other value of `mapping` may have: of tags, and of its own fields. A field of another mapping is open
/// to it, unless only the case differs, which SQLite does not see.
fn reserved(measurement: &Measurement, mapping: &Compiled) -> HashSet<String> {
    let tags = measurement.tags.iter().map(|tag| tag.to_lowercase());
    let own = mapping.fields.iter().map(|field| field.name.to_lowercase());
    let fields = measurement.fields.iter().map(|field| (&field.name, field.name.to_lowercase()));
    tags.chain(own).chain(fields.filter(|(name, lower)| *name != lower).map(|(_, lower)| lower)).collect()
}

struct Merge<'c, 'f> {
    schema: Schema,
    /// By name in lower case: SQLite's names are without case.
    by_name: HashMap<String, usize>,
    /// Who said first what a field is, for reports: by measurement and field in lower case.
    first: HashMap<(usize, String), (String, Place)>,
    /// Who said first how many series a measurement may have.
    bounds: HashMap<usize, (String, Place)>,
    /// Who said first what becomes of rows of one time.
    duplicates: HashMap<usize, (String, Place)>,
    /// Who said first how long rows are kept.
    retentions: HashMap<usize, (String, Place)>,
    /// Who said first when they are compressed.
    compressions: HashMap<usize, (String, Place)>,
    /// Tables of the user's own.
    tables: Tables<'c>,
    faults: &'f mut Vec<Fault>,
}

impl<'c> Merge<'c, '_> {
    /// Adds what `draft` says to measurement `name`; its position, and those of the draft's fields in it.
    fn feed(&mut self, draft: &Draft<'c>, name: &str) -> (usize, Vec<usize>) {
        let config = draft.config;
        let place = config.measurement.as_ref().map_or(&config.name.place, |measurement| &measurement.place);
        let path = format!("mapping.{}", config.name.value);
        let index = *self.by_name.entry(name.to_lowercase()).or_insert_with(|| {
            let (name, max_series) = (name.to_owned(), MAX_SERIES);
            self.schema.measurements.push(Measurement {
                name,
                tags: vec![],
                fields: vec![],
                max_series,
                own: None,
                on_duplicate: OnDuplicate::default(),
                retention: None,
                compress: None,
                others: false,
            });
            self.schema.measurements.len() - 1
        });
        let known = self.schema.measurements[index].name.clone();
        if known != name {
            let what =
                format!("measurements `{known}` and `{name}` differ only in case, and SQLite takes them for one table");
            self.faults.push(Fault::new(
                place,
                format!("{path}.measurement"),
                what,
                format!("write `{known}` in both, or another name"),
            ));
        }
        self.tables.feed(index, name, config, self.faults);
        self.schema.measurements[index].others |= config.others == Others::Add;
        if let Some(bound) = &config.max_series {
            self.bound(index, bound, &config.name.value);
        }
        if let Some(said) = &config.on_duplicate {
            self.on_duplicate(index, said, &config.name.value);
        }
        if let Some(said) = &config.retention {
            self.retention(index, said, &config.name.value);
        }
        if let Some(said) = &config.compress_after {
            self.compression(index, said, &config.name.value);
        }
        for tag in &draft.compiled.tags {
            self.tag(index, &tag.name, place, &path);
        }
        let places = config.fields.iter().filter(|field| !field.removed).map(|field| &field.name.place);
        // Behind them the column of all others.
        let places = places.chain(std::iter::once(&config.name.place));
        let fields = draft
            .columns
            .iter()
            .zip(places)
            .map(|(column, place)| self.field(index, column, &config.name.value, place));
        (index, fields.collect())
    }

    /// What one mapping says holds for all; what two say must be the same.
    fn bound(&mut self, index: usize, bound: &At<u64>, mapping: &str) {
        let measurement = &mut self.schema.measurements[index];
        match self.bounds.get(&index) {
            Some((first, place)) if measurement.max_series != bound.value => {
                let what = format!(
                    "`max_series` is {} here and {} in `mapping.{first}` ({place}), and both feed measurement `{}`",
                    bound.value, measurement.max_series, measurement.name
                );
                let path = format!("mapping.{mapping}.max_series");
                self.faults.push(Fault::new(&bound.place, path, what, "write it in one of them"));
            }
            Some(_) => {}
            None => {
                measurement.max_series = bound.value;
                self.bounds.insert(index, (mapping.to_owned(), bound.place.clone()));
            }
        }
    }

    /// Likewise.
    fn on_duplicate(&mut self, index: usize, said: &At<OnDuplicate>, mapping: &str) {
        let measurement = &mut self.schema.measurements[index];
        match self.duplicates.get(&index) {
            Some((first, place)) if measurement.on_duplicate != said.value => {
                let what = format!(
                    "`on_duplicate` is \"{}\" here and \"{}\" in `mapping.{first}` ({place}), and both feed measurement `{}`",
                    said.value.word(),
                    measurement.on_duplicate.word(),
                    measurement.name
                );
                let path = format!("mapping.{mapping}.on_duplicate");
                self.faults.push(Fault::new(&said.place, path, what, "write it in one of them"));
            }
            Some(_) => {}
            None => {
                measurement.on_duplicate = said.value;
                self.duplicates.insert(index, (mapping.to_owned(), said.place.clone()));
            }
        }
    }

    /// Likewise.
    fn retention(&mut self, index: usize, said: &At<Duration>, mapping: &str) {
        let measurement = &mut self.schema.measurements[index];
        match (self.retentions.get(&index), measurement.retention) {
            (Some((first, place)), Some(known)) if known != said.value => {
                let what = format!(
                    "`retention` is {} here and {} in `mapping.{first}` ({place}), and both feed measurement `{}`",
                    span(said.value),
                    span(known),
                    measurement.name
                );
                let path = format!("mapping.{mapping}.retention");
                self.faults.push(Fault::new(&said.place, path, what, "write it in one of them"));
            }
            (Some(_), _) => {}
            (None, _) => {
                measurement.retention = Some(said.value);
                self.retentions.insert(index, (mapping.to_owned(), said.place.clone()));
            }
        }
    }

    /// Likewise.
    fn compression(&mut self, index: usize, said: &At<Compress>, mapping: &str) {
        let measurement = &mut self.schema.measurements[index];
        match (self.compressions.get(&index), measurement.compress) {
            (Some((first, place)), Some(known)) if known != said.value => {
                let word = |compress: Compress| match compress {
                    Compress::Never => "false".to_owned(),
                    Compress::After(age) => span(age),
                };
                let what = format!(
                    "`compress_after` is {} here and {} in `mapping.{first}` ({place}), and both feed measurement `{}`",
                    word(said.value),
                    word(known),
                    measurement.name
                );
                let path = format!("mapping.{mapping}.compress_after");
                self.faults.push(Fault::new(&said.place, path, what, "write it in one of them"));
            }
            (Some(_), _) => {}
            (None, _) => {
                measurement.compress = Some(said.value);
                self.compressions.insert(index, (mapping.to_owned(), said.place.clone()));
            }
        }
    }

    /// A row that is ignored is not stored, and must not become a last value; which of them are, only the store knows.
    fn bands_of_what_is_ignored(&mut self) {
        for (index, measurement) in self.schema.measurements.iter().enumerate() {
            let Some((mapping, place)) = self.duplicates.get(&index) else { continue };
            let field = measurement.fields.iter().find(|field| field.deadband.is_some());
            let Some(field) = field.filter(|_| measurement.on_duplicate == OnDuplicate::Ignore) else { continue };
            let what = format!(
                "with \"ignore\" a row may not be stored, and field `{}` of measurement `{}` has a `deadband`, which goes by what is stored",
                field.name, measurement.name
            );
            let path = format!("mapping.{mapping}.on_duplicate");
            self.faults.push(Fault::new(
                place,
                path,
                what,
                "write `on_duplicate = \"replace\"`, or leave the `deadband` out",
            ));
        }
    }

    fn tag(&mut self, index: usize, name: &str, place: &Place, path: &str) {
        let measurement = &mut self.schema.measurements[index];
        let lower = name.to_lowercase();
        if let Some(field) = measurement.fields.iter().find(|field| field.name.to_lowercase() == lower) {
            let what = format!(
                "`{name}` is a tag here and a field (`{}`) of measurement `{}` in another mapping",
                field.name, measurement.name
            );
            self.faults.push(Fault::new(place, format!("{path}.tags.{name}"), what, "give one another name"));
            return;
        }
        match measurement.tags.iter().find(|tag| tag.to_lowercase() == lower) {
            None => measurement.tags.push(name.to_owned()),
            Some(known) if *known != name => {
                let what = format!(
                    "tags `{known}` and `{name}` of measurement `{}` differ only in case, and SQLite takes them for one column",
                    measurement.name
                );
                self.faults.push(Fault::new(
                    place,
                    format!("{path}.tags.{name}"),
                    what,
                    format!("write `{known}` in both mappings"),
                ));
            }
            Some(_) => {}
        }
    }

    fn field(&mut self, index: usize, column: &Field, mapping: &str, place: &Place) -> usize {
        let measurement = &mut self.schema.measurements[index];
        let lower = column.name.to_lowercase();
        let path = format!("mapping.{mapping}.fields.{}", column.name);
        if let Some(tag) = measurement.tags.iter().find(|tag| tag.to_lowercase() == lower) {
            let what =
                format!("`{}` is a field here and a tag (`{tag}`) of measurement `{}`", column.name, measurement.name);
            // Within one mapping it was said already.
            if !self.faults.iter().any(|fault| fault.place == *place) {
                self.faults.push(Fault::new(place, &*path, what, "give one another name"));
            }
        }
        let Some(position) = measurement.fields.iter().position(|field| field.name.to_lowercase() == lower) else {
            measurement.fields.push(column.clone());
            self.first.insert((index, lower), (mapping.to_owned(), place.clone()));
            return measurement.fields.len() - 1;
        };
        let known = &mut measurement.fields[position];
        let first = self
            .first
            .get(&(index, lower))
            .map_or_else(String::new, |(mapping, place)| format!("`mapping.{mapping}` ({place})"));
        let mut differ = |what: String, remedy: &str| self.faults.push(Fault::new(place, &*path, what, remedy));
        if known.name != column.name {
            differ(
                format!(
                    "`{}` and `{}` in {first} differ only in case, and SQLite takes them for one column",
                    column.name, known.name
                ),
                "write it alike in both",
            );
        }
        if known.r#type != column.r#type {
            differ(
                format!(
                    "the field is `{}` here and `{}` in {first}, and both feed measurement `{}`",
                    column.r#type.word(),
                    known.r#type.word(),
                    measurement.name
                ),
                "give it one type, or another name in one of them",
            );
        }
        match (&known.unit, &column.unit) {
            (Some(one), Some(other)) if one != other => differ(
                format!(
                    "the unit is `{other}` here and `{one}` in {first}, and both feed measurement `{}`",
                    measurement.name
                ),
                "convert one with `scale` and `offset`, or give it another name",
            ),
            (None, Some(unit)) => known.unit = Some(unit.clone()),
            (Some(_) | None, _) => {}
        }
        if column.kind == Kind::Total {
            known.kind = Kind::Total;
        }
        match (known.deadband, column.deadband) {
            (Some(one), Some(other)) if one != other => differ(
                format!(
                    "`deadband` or `heartbeat` is another in {first}, and both feed measurement `{}`, whose series have one last value",
                    measurement.name
                ),
                "write both alike, or in one of them",
            ),
            (known_deadband, deadband) => known.deadband = known_deadband.or(deadband),
        }
        known.description = known.description.take().or_else(|| column.description.clone());
        known.decimals = known.decimals.or(column.decimals);
        known.min = known.min.or(column.min);
        known.max = known.max.or(column.max);
        position
    }
}
