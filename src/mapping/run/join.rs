//! Rows of a pivot that belong together.

use std::collections::HashMap;

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
        match place.map(|index| &mut joined[index].fields) {
            Some(fields) if are_apart(fields, &row.fields) => {
                for (field, value) in fields.iter_mut().zip(row.fields) {
                    *field = field.take().or(value);
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

fn are_apart(one: &[Option<Value>], other: &[Option<Value>]) -> bool {
    one.iter().zip(other).all(|(one, other)| one.is_none() || other.is_none())
}
