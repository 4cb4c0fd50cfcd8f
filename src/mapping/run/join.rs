//! Rows of a pivot that belong together.

use std::collections::HashMap;

use crate::mapping::compiled::{Compiled, Layout, Target};
use crate::mapping::others::MAX_OTHERS;
use crate::message::Time;
use crate::row::{Row, Tags, Value};

/// Elements with equal tags and time become one row, unless both have a value for one field: then nothing may be lost.
/// A value of the payload is in each of its elements, and no second reading.
pub(super) fn join_rows(rows: &mut Vec<Row>, mapping: &Compiled) {
    if rows.len() < 2 {
        return;
    }
    let of_payload = of_payload(mapping);
    let mut known: HashMap<(usize, Time, Tags), usize> = HashMap::with_capacity(rows.len());
    let mut joined: Vec<Row> = Vec::new();
    for row in rows.drain(..) {
        let key = (row.measurement, row.time, row.tags.clone());
        let place = known.get(&key).copied();
        match place.map(|index| &mut joined[index]) {
            Some(known) if are_apart(known, &row, &of_payload) && have_room(&known.others, &row.others) => {
                for (field, value) in known.fields.iter_mut().zip(row.fields) {
                    *field = field.take().or(value);
                }
                for (name, value) in row.others {
                    let place = known.others.partition_point(|(known, _)| *known < name);
                    known.others.insert(place, (name, value));
                }
            }
            Some(_) | None => {
                known.insert(key, joined.len());
                joined.push(row);
            }
        }
    }
    *rows = joined;
}

/// Whether both have no name in common, and one row may have all.
fn have_room(one: &[(Box<str>, Value)], other: &[(Box<str>, Value)]) -> bool {
    one.len() + other.len() <= MAX_OTHERS
        && other.iter().all(|(name, _)| one.binary_search_by(|(known, _)| known.cmp(name)).is_err())
}

/// The fields that are read from the payload rather than from its elements: measurement and position.
fn of_payload(mapping: &Compiled) -> Vec<(usize, usize)> {
    let positions = |layout: &Layout| -> Vec<(usize, usize)> {
        let fields = mapping.fields.iter().zip(&layout.fields);
        let fields = fields.filter(|(field, _)| field.paths.iter().all(|located| located.path.root));
        fields.map(|(_, slot)| (layout.measurement, *slot)).collect()
    };
    match &mapping.target {
        Target::One(layout) => positions(layout),
        Target::Of(_, layouts) => layouts.values().flat_map(positions).collect(),
    }
}

fn are_apart(one: &Row, other: &Row, of_payload: &[(usize, usize)]) -> bool {
    one.fields.iter().zip(&other.fields).enumerate().all(|(slot, (value, another))| {
        value.is_none() || another.is_none() || (value == another && of_payload.contains(&(one.measurement, slot)))
    })
}
