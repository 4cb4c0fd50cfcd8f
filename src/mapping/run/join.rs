//! Rows of a pivot that belong together.

use std::collections::HashMap;

use crate::mapping::others::MAX_OTHERS;
use crate::message::Time;
use crate::row::{Row, Tags, Value};

/// Elements with equal tags and time become one row, unless both have a value for one field: then nothing may be lost.
pub(super) fn join_rows(rows: &mut Vec<Row>) {
    if rows.len() < 2 {
        return;
    }
    let mut known: HashMap<(usize, Time, Tags), usize> = HashMap::with_capacity(rows.len());
    let mut joined: Vec<Row> = Vec::new();
    for row in rows.drain(..) {
        let key = (row.measurement, row.time, row.tags.clone());
        let place = known.get(&key).copied();
        match place.map(|index| &mut joined[index]) {
            Some(known) if are_apart(&known.fields, &row.fields) && have_room(&known.others, &row.others) => {
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

fn are_apart(one: &[Option<Value>], other: &[Option<Value>]) -> bool {
    one.iter().zip(other).all(|(one, other)| one.is_none() || other.is_none())
}
