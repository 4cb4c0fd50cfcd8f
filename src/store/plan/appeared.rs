//! Columns that appear by themselves: those that are there, and room for more.
//!
//! They are counted by the catalogue, so that the bound holds over restarts and over several Ambers. What a mapping lists
//! later has appeared no longer.

use std::collections::HashMap;

use super::{Dialect, Found};
use crate::schema::{Measurement, OWN_COLUMNS, Type};
use crate::store::others::{MAX_APPEARED, Places};

/// Positions in the catalogue from here on are of columns that appeared by themselves: behind all that a mapping lists.
const FIRST: i32 = 1_000_000;

/// A column that is to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Appeared {
    pub(in crate::store) name: String,
    pub(in crate::store) r#type: Type,
    /// In the catalogue.
    pub(in crate::store) position: i32,
}

/// All columns of a measurement that has `fields` by the mapping; those that only others fill are added to it.
pub(super) fn places(
    dialect: Dialect,
    wanted: &Measurement,
    found: &Found,
    other_tags: &[String],
    fields: &mut Vec<(String, Type)>,
) -> Places {
    let mut columns: HashMap<String, Option<usize>> = HashMap::new();
    for (place, (name, _)) in fields.iter().enumerate() {
        columns.insert(name.to_lowercase(), (*name == name.to_lowercase()).then_some(place));
    }
    let reserved = OWN_COLUMNS.iter().map(|name| (*name).to_owned());
    let unnamed = ["true", "false"].into_iter().filter(|name| dialect.has_no_view_column(name)).map(str::to_owned);
    let tags = wanted.tags.iter().chain(other_tags).map(|tag| tag.to_lowercase());
    for name in tags.chain(reserved).chain(unnamed) {
        columns.insert(name, None);
    }
    let mut appeared = 0;
    for column in found.data.iter().flat_map(|data| &data.columns) {
        let known = found.catalogue.iter().find(|(name, ..)| *name == column.name);
        let lower = column.name.to_lowercase();
        if columns.contains_key(&lower) {
            continue;
        }
        appeared += usize::from(known.is_some_and(|(.., position)| *position >= FIRST));
        // A column that the catalogue does not know, or knows otherwise, is a person's own: it may be a generated one.
        let r#type = known.and_then(|(_, word, _)| Type::of(word));
        let r#type = r#type.filter(|r#type| dialect.column_type(*r#type) == column.r#type && lower == column.name);
        let place = r#type.map(|r#type| {
            fields.push((column.name.clone(), r#type));
            fields.len() - 1
        });
        columns.insert(lower, place);
    }
    for column in found.series.iter().flat_map(|series| &series.columns) {
        columns.entry(column.name.to_lowercase()).or_insert(None);
    }
    Places { columns, room: MAX_APPEARED.saturating_sub(appeared) }
}

/// Those of `new` that there is room for, and that nobody has added meanwhile.
pub(super) fn admitted(
    found: &Found,
    places: &mut Places,
    fields: &mut Vec<(String, Type)>,
    new: &[(String, Type)],
) -> Vec<Appeared> {
    let last = found.catalogue.iter().map(|(.., position)| *position).max().unwrap_or(0).max(FIRST - 1);
    let mut appeared: Vec<Appeared> = Vec::new();
    let mut position = last;
    for (name, r#type) in new {
        if places.room == 0 || places.columns.contains_key(name) {
            continue;
        }
        places.room -= 1;
        places.columns.insert(name.clone(), Some(fields.len()));
        fields.push((name.clone(), *r#type));
        position = position.saturating_add(1);
        appeared.push(Appeared { name: name.clone(), r#type: *r#type, position });
    }
    appeared
}
