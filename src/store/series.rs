//! Which series a row belongs to: a bounded cache of ids, per measurement, for the life of a connection.
//!
//! An id is cached only once the transaction that made it has committed. A new connection begins empty: the
//! database may be another one, or the same one at an earlier time.

use std::collections::{HashMap, HashSet};

use super::columns::check;
use super::plan::Table;
use crate::batch::Batch;
use crate::row::Tags;

/// Series remembered per measurement; about 100 bytes each. Beyond it the measurement's cache begins anew.
pub(super) const MAX_SERIES: usize = 100_000;

/// What the rows of a batch lack: sets of tag values per measurement, without repetition.
pub(super) type Misses = Vec<(usize, Vec<Tags>)>;

/// The ids of a batch's rows, in step with `Batch::rows`.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// 0 where the row is refused.
    pub(super) ids: Vec<i64>,
    /// Rows that cannot be stored, whatever the table says: position and reason.
    pub(super) refused: Vec<(usize, String)>,
}

/// A batch with the series of its rows, in step with `Batch::rows`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a> {
    pub(super) batch: &'a Batch,
    pub(super) series: &'a [i64],
}

#[derive(Debug, Default)]
pub(super) struct Cache {
    measurements: Vec<HashMap<Tags, i64>>,
}

impl Cache {
    /// Forgets everything.
    pub(super) fn clear(&mut self, tables: usize) {
        self.measurements.clear();
        self.measurements.resize_with(tables, HashMap::new);
    }

    /// The sets of tag values in the batch that have no id here.
    pub(super) fn misses(&self, batch: &Batch, tables: &[Table]) -> Misses {
        let mut misses: Vec<(usize, HashSet<&Tags>)> = Vec::new();
        for (_, row) in &batch.rows {
            let known = self.measurements.get(row.measurement).is_none_or(|cache| cache.contains_key(&row.tags));
            if known || check(row, tables).is_err() {
                continue;
            }
            match misses.iter_mut().find(|(measurement, _)| *measurement == row.measurement) {
                Some((_, tags)) => _ = tags.insert(&row.tags),
                None => misses.push((row.measurement, HashSet::from([&row.tags]))),
            }
        }
        let owned = |tags: HashSet<&Tags>| tags.into_iter().cloned().collect();
        misses.into_iter().map(|(measurement, tags)| (measurement, owned(tags))).collect()
    }

    /// Remembers what a committed transaction found or made. Call before `resolve`, and make room first: a cache
    /// that would overflow loses its older entries, never those of the batch at hand.
    pub(super) fn learn(&mut self, measurement: usize, found: Vec<(Tags, i64)>) {
        let Some(cache) = self.measurements.get_mut(measurement) else { return };
        cache.extend(found);
    }

    /// Empties the caches that would overflow by what `misses` adds; the batch then misses more, so ask again.
    pub(super) fn make_room(&mut self, misses: &Misses) -> bool {
        let mut emptied = false;
        for (measurement, tags) in misses {
            if let Some(cache) = self.measurements.get_mut(*measurement)
                && !cache.is_empty()
                && cache.len() + tags.len() > MAX_SERIES
            {
                *cache = HashMap::new();
                emptied = true;
            }
        }
        emptied
    }

    /// The ids of all rows. A row whose series was refused has the reason in `refused`.
    pub(super) fn resolve(
        &self,
        batch: &Batch,
        tables: &[Table],
        refused: &HashMap<(usize, Tags), String>,
    ) -> Resolved {
        let mut resolved = Resolved { ids: Vec::with_capacity(batch.rows.len()), refused: Vec::new() };
        for (position, (_, row)) in batch.rows.iter().enumerate() {
            let id = match check(row, tables) {
                Err(fault) => Err(fault),
                Ok(()) => match self.measurements.get(row.measurement).and_then(|cache| cache.get(&row.tags)) {
                    Some(id) => Ok(*id),
                    None => Err(refused
                        .get(&(row.measurement, row.tags.clone()))
                        .cloned()
                        .unwrap_or_else(|| "its series could not be made".to_owned())),
                },
            };
            resolved.ids.push(*id.as_ref().unwrap_or(&0));
            if let Err(reason) = id {
                resolved.refused.push((position, reason));
            }
        }
        resolved
    }
}
