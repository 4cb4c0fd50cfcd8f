//! Leaves out values that are as before: those that differ from the last stored one of their series by at most the
//! field's deadband. Pure; what is known moves only with the proof of storage, and is forgotten at restart.
//!
//! No value may be left out because of one that was not stored. Within a batch that means: as long as nothing speaks
//! against it, a row is compared with the one before it (`Trust::All`); once the store has refused something of the
//! batch, all is put back and rows are compared only with what a batch before stored (`Trust::Stored`).
//!
//! A message of which no row is left stays in its batch, so that its key is written and it is settled like any other.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::batch::Batch;
use crate::message::Time;
use crate::row::{Row, Tags, Value};
use crate::schema::{Deadband, Field, Measurement, Schema};

/// Of all that is remembered; beyond it nothing is known any more, and every series has one row more.
const MAX_BYTES: usize = 16 << 20;
/// Of one series, besides its tags: its place in the map, what two allocations cost.
const ENTRY_BYTES: usize = 80;

/// What the rows of a batch are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Also with rows of the same batch.
    All,
    /// Only with what is known to be stored. A value behind one that may be refused stays.
    Stored,
}

/// The deadbands of all fields, and the last stored values.
#[derive(Debug, Default)]
pub(super) struct Deadbands {
    /// Of each measurement, in the order of its fields; empty where no field has one, and altogether if none has.
    bands: Vec<Box<[Option<Deadband>]>>,
    /// Of each measurement, by series.
    last: Vec<HashMap<Tags, Box<[Option<Last>]>>>,
    /// About what they weigh.
    bytes: usize,
}

/// The newest value that is stored of one field of one series, by the rows' own time.
#[derive(Clone, Debug)]
struct Last {
    value: Value,
    time: Time,
}

/// The newest value of one field of one series, and its time, if what is before a row is stored.
type Expected<'b> = Option<(&'b Value, Time)>;

/// What was taken out of a batch.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// Whole rows, with their positions in the whole batch, ascending.
    rows: Vec<(usize, (usize, Row))>,
    /// Fields of rows that have others: position in the whole batch, field, value.
    fields: Vec<(usize, usize, Value)>,
}

impl Deadbands {
    pub(super) fn new(schema: &Schema) -> Self {
        let bands = schema.measurements.iter().map(|measurement| {
            let fields = &measurement.fields;
            let some = fields.iter().any(|field| field.deadband.is_some());
            if some { fields.iter().map(|field| field.deadband).collect() } else { Box::default() }
        });
        let mut bands: Vec<_> = bands.collect();
        if bands.iter().all(|bands| bands.is_empty()) {
            bands.clear();
        }
        Self { last: vec![HashMap::new(); bands.len()], bands, bytes: 0 }
    }

    /// The tables are others from now on. What is known of a field stays known where series and type are as before.
    pub(super) fn follow(&mut self, before: &Schema, next: &Schema) {
        let mut anew = Self::new(next);
        let mut known = std::mem::take(&mut self.last);
        for (last, measurement) in anew.last.iter_mut().zip(&next.measurements) {
            let is_same = |old: &&Measurement| {
                (&old.name, &old.tags, &old.own) == (&measurement.name, &measurement.tags, &measurement.own)
            };
            let Some((place, old)) = before.measurements.iter().enumerate().find(|(_, old)| is_same(old)) else {
                continue;
            };
            let place_of = |field: &Field| {
                let is_same = |old: &Field| (&old.name, old.r#type) == (&field.name, field.r#type);
                field.deadband.and(old.fields.iter().position(is_same))
            };
            let places: Vec<Option<usize>> = measurement.fields.iter().map(place_of).collect();
            if places.iter().all(Option::is_none) {
                continue;
            }
            for (tags, values) in known.get_mut(place).map(std::mem::take).unwrap_or_default() {
                let values: Box<[_]> = places.iter().map(|place| values.get((*place)?)?.clone()).collect();
                let texts: usize = values.iter().flatten().map(|last: &Last| text_bytes(&last.value)).sum();
                anew.bytes += empty_bytes(&tags, values.len()) + texts;
                last.insert(tags, values);
            }
        }
        if anew.bytes > MAX_BYTES {
            anew.forget();
        }
        *self = anew;
    }

    /// Takes out of `batch` what need not be stored.
    pub(super) fn leave_out(&self, batch: &mut Batch, trust: Trust) -> LeftOut {
        // Positions of rows and fields, both ascending.
        let unchanged = self.unchanged(batch, trust);
        let mut left_out = LeftOut::default();
        if unchanged.is_empty() {
            return left_out;
        }
        let mut unchanged = unchanged.into_iter().peekable();
        for (position, (origin, mut row)) in std::mem::take(&mut batch.rows).into_iter().enumerate() {
            let first = left_out.fields.len();
            while let Some((_, field)) = unchanged.next_if(|(of, _)| *of == position) {
                left_out.fields.extend(row.fields[field].take().map(|value| (position, field, value)));
            }
            if row.fields.iter().any(Option::is_some) || !row.others.is_empty() {
                batch.rows.push((origin, row));
                continue;
            }
            for (_, field, value) in left_out.fields.drain(first..) {
                row.fields[field] = Some(value);
            }
            left_out.rows.push((position, (origin, row)));
        }
        left_out
    }

    fn unchanged(&self, batch: &Batch, trust: Trust) -> Vec<(usize, usize)> {
        let mut unchanged = Vec::new();
        if self.bands.is_empty() {
            return unchanged;
        }
        // What a series will have, if the rows so far are stored.
        let mut expected: HashMap<(usize, &Tags), Vec<Expected<'_>>> = HashMap::new();
        for (position, (_, row)) in batch.rows.iter().enumerate() {
            let bands = self.bands(row);
            if bands.is_empty() {
                continue;
            }
            let expected = expected.entry((row.measurement, &row.tags)).or_insert_with(|| {
                let known = self.last[row.measurement].get(&row.tags);
                let known =
                    known.map(|known| known.iter().map(|last| last.as_ref().map(|last| (&last.value, last.time))));
                known.map_or_else(|| vec![None; bands.len()], Iterator::collect)
            });
            for (field, (value, band)) in row.fields.iter().zip(bands).enumerate() {
                let (Some(value), Some(band)) = (value, band) else { continue };
                match &mut expected[field] {
                    Some((last, at)) if row.time >= *at && is_within(*band, (last, *at), (value, row.time)) => {
                        unchanged.push((position, field));
                    }
                    // Older than what is known, which stays the newest.
                    Some((_, at)) if row.time < *at => {}
                    next => *next = (trust == Trust::All).then_some((value, row.time)),
                }
            }
        }
        unchanged
    }

    /// Learns what was stored: the rows of `batch` but for those at the positions `refused`, which ascend.
    pub(super) fn stored(&mut self, batch: &Batch, refused: &[(usize, String)]) {
        if self.bands.is_empty() {
            return;
        }
        for (position, (_, row)) in batch.rows.iter().enumerate() {
            let is_refused = || refused.binary_search_by_key(&position, |(refused, _)| *refused).is_ok();
            if !self.bands(row).is_empty() && !is_refused() {
                self.learn(row);
            }
        }
    }

    fn learn(&mut self, row: &Row) {
        let texts: usize = row.fields.iter().flatten().map(text_bytes).sum();
        let empty = empty_bytes(&row.tags, row.fields.len());
        if self.bytes + empty + texts > MAX_BYTES {
            self.forget();
        }
        let bands = &self.bands[row.measurement];
        let values = row.fields.iter().zip(bands).map(|(value, band)| value.as_ref().filter(|_| band.is_some()));
        let known = match self.last[row.measurement].entry(row.tags.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                self.bytes += empty;
                new.insert(vec![None; bands.len()].into())
            }
        };
        for (last, value) in known.iter_mut().zip(values) {
            let Some(value) = value else { continue };
            if last.as_ref().is_none_or(|last| row.time >= last.time) {
                self.bytes += text_bytes(value);
                self.bytes -= last.as_ref().map_or(0, |last| text_bytes(&last.value));
                *last = Some(Last { value: value.clone(), time: row.time });
            }
        }
    }

    /// What is stored is not known any more.
    pub(super) fn forget(&mut self) {
        self.last.iter_mut().for_each(|last| *last = HashMap::new());
        self.bytes = 0;
    }

    fn bands(&self, row: &Row) -> &[Option<Deadband>] {
        self.bands.get(row.measurement).map_or(&[], |bands| bands)
    }
}

impl LeftOut {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.fields.is_empty()
    }

    /// Whole rows, each with the position of its message.
    pub(super) fn into_rows(self) -> Vec<(usize, Row)> {
        self.rows.into_iter().map(|(_, row)| row).collect()
    }

    /// Makes the batch whole again.
    pub(super) fn put_back(self, batch: &mut Batch) {
        let mut rows = Vec::with_capacity(batch.rows.len() + self.rows.len());
        let mut rest = std::mem::take(&mut batch.rows).into_iter();
        for (position, row) in self.rows {
            let before = position - rows.len();
            rows.extend(rest.by_ref().take(before));
            rows.push(row);
        }
        rows.extend(rest);
        for (position, field, value) in self.fields {
            rows[position].1.fields[field] = Some(value);
        }
        batch.rows = rows;
    }

    /// Positions of rows that are left, as positions in the whole batch; both ascend.
    pub(super) fn in_whole<T>(&self, left: Vec<(usize, T)>) -> Vec<(usize, T)> {
        let mut gone = self.rows.iter().map(|(position, _)| *position).peekable();
        let mut before = 0;
        let place = |(position, what)| {
            while gone.next_if(|gone| *gone <= position + before).is_some() {
                before += 1;
            }
            (position + before, what)
        };
        left.into_iter().map(place).collect()
    }

    /// By measurement: values that were left out, and rows of which nothing was left.
    pub(super) fn counts(&self, batch: &Batch) -> HashMap<usize, (u64, u64)> {
        let mut counts: HashMap<usize, (u64, u64)> = HashMap::new();
        for (_, (_, row)) in &self.rows {
            let count = counts.entry(row.measurement).or_default();
            count.0 += row.fields.iter().flatten().count() as u64;
            count.1 += 1;
        }
        let mut gone = self.rows.iter().map(|(position, _)| *position).peekable();
        let mut before = 0;
        for (position, ..) in &self.fields {
            while gone.next_if(|gone| gone < position).is_some() {
                before += 1;
            }
            counts.entry(batch.rows[position - before].1.measurement).or_default().0 += 1;
        }
        counts
    }
}

/// Of one series, but for what texts take.
fn empty_bytes(tags: &Tags, fields: usize) -> usize {
    ENTRY_BYTES + tags.bytes() + fields * size_of::<Option<Last>>()
}

fn text_bytes(value: &Value) -> usize {
    match value {
        Value::Text(text) | Value::Json(text) => text.len(),
        Value::Float(_) | Value::Int(_) | Value::Bool(_) | Value::Time(_) => 0,
    }
}

/// Whether `value` need not be stored after `last`, which is not newer.
fn is_within(band: Deadband, (last, at): (&Value, Time), (value, time): (&Value, Time)) -> bool {
    let silence = time.0.abs_diff(at.0);
    if band.heartbeat.is_some_and(|heartbeat| u128::from(silence) >= heartbeat.as_micros()) {
        return false;
    }
    match (last, value) {
        (Value::Float(last), Value::Float(value)) => {
            // 20.3 − 20.2 is a little more than 0.1 in binary, and people mean decimals.
            let rounding = if band.amount > 0.0 { 2.0 * f64::EPSILON * last.abs().max(value.abs()) } else { 0.0 };
            (last - value).abs() <= band.amount + rounding
        }
        #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 the deadband has no more digits either")]
        (Value::Int(last), Value::Int(value)) => last == value || last.abs_diff(*value) as f64 <= band.amount,
        (last, value) => last == value,
    }
}

#[cfg(test)]
mod tests;
