//! Which series a row belongs to: a bounded cache of ids, per measurement, for the life of a connection.
//!
//! An id is cached only once the transaction that made it has committed. A new connection begins empty: the
//! database may be another one, or the same one at an earlier time.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::columns::check;
use super::error::{Failure, Refusal};
use super::plan::Table;
use crate::batch::Batch;
use crate::row::Tags;
use crate::store::Written;

/// Series remembered per measurement; about 100 bytes each. Beyond it the measurement's cache begins anew.
pub(super) const MAX_SERIES: usize = 100_000;

/// What the rows of a batch lack: sets of tag values per measurement, without repetition.
pub(super) type Misses = Vec<(usize, Vec<Tags>)>;

/// What became of the misses.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Ids, per measurement.
    pub(super) found: Vec<(usize, Vec<(Tags, i64)>)>,
    /// The database's words for those that it refused.
    pub(super) refused: HashMap<(usize, Tags), Refusal>,
}

impl Made {
    /// What became of those of one measurement; `refused` by their place.
    pub(super) fn add(&mut self, measurement: usize, ids: Ids<'_>, refused: Vec<(usize, Refusal)>) {
        let refused = refused.into_iter().map(|(n, why)| ((measurement, ids.tags[n].clone()), why));
        self.refused.extend(refused);
        let found = ids.tags.iter().zip(ids.ids).filter_map(|(tags, id)| Some((tags.clone(), id?)));
        self.found.push((measurement, found.collect()));
    }
}

/// The ids of some sets of tag values, as far as they are known.
#[derive(Debug)]
pub(super) struct Ids<'a> {
    pub(super) tags: &'a [Tags],
    ids: Vec<Option<i64>>,
}

impl<'a> Ids<'a> {
    /// None is known.
    pub(super) fn new(tags: &'a [Tags]) -> Self {
        Self { tags, ids: vec![None; tags.len()] }
    }

    /// The places of those that are not known.
    pub(super) fn missing(&self) -> Vec<usize> {
        (0..self.ids.len()).filter(|&n| self.ids[n].is_none()).collect()
    }

    /// Learns what was asked for at place `n` of `asked`.
    pub(super) fn learn(&mut self, asked: &[usize], n: i64, id: i64) -> Result<(), Failure> {
        let place = usize::try_from(n).ok().and_then(|n| asked.get(n));
        let place = place.ok_or_else(|| Failure::standing("a series came back at a place that was not asked for"))?;
        self.ids[*place] = Some(id);
        Ok(())
    }
}

/// Whether the key of the series (`now`, by the catalogue) is still what was planned: another Amber may have added a
/// tag.
pub(super) fn same_tags(table: &Table, now: &[String]) -> Result<(), Failure> {
    let now: HashSet<&str> = now.iter().map(String::as_str).collect();
    if now == table.all_tags().collect() {
        return Ok(());
    }
    Err(Failure::stale(format!("the tags of `{}` were changed by another Amber: planning anew", table.name)))
}

/// The ids of a batch's rows, in step with `Batch::rows`.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// 0 where the row is refused.
    pub(super) ids: Vec<i64>,
    /// Rows that cannot be stored, whatever the table says: position and reason.
    pub(super) refused: Vec<(usize, Refusal)>,
}

impl Resolved {
    /// What is told of `batch` once it is stored without the refused rows.
    pub(super) fn into_written(self, batch: &Batch) -> Written {
        let refused: Vec<_> = self.refused.into_iter().map(|(position, why)| (position, why.reason)).collect();
        Written {
            rows: (batch.rows.len() - refused.len()) as u64,
            rejects: (batch.rejects.len() + refused.len()) as u64,
            refused,
        }
    }
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

    /// The sets of tag values in the batch that have no id here, in the order of the measurements' names and then of
    /// the rows. Makes room for them: a measurement that would overflow forgets all it knew.
    pub(super) fn misses(&mut self, batch: &Batch, tables: &[Table]) -> Misses {
        let misses = self.lacking(batch, tables);
        let mut emptied = false;
        for (measurement, tags) in &misses {
            let cache = &mut self.measurements[*measurement];
            if !cache.is_empty() && cache.len() + tags.len() > MAX_SERIES {
                *cache = HashMap::new();
                emptied = true;
            }
        }
        // What was known of the batch is forgotten too.
        if emptied { self.lacking(batch, tables) } else { misses }
    }

    fn lacking(&self, batch: &Batch, tables: &[Table]) -> Misses {
        let mut seen: HashSet<(usize, &Tags)> = HashSet::new();
        let mut misses: BTreeMap<usize, Vec<Tags>> = BTreeMap::new();
        for (_, row) in &batch.rows {
            let known = self.measurements.get(row.measurement).is_none_or(|cache| cache.contains_key(&row.tags));
            if !known && check(row, tables).is_ok() && seen.insert((row.measurement, &row.tags)) {
                misses.entry(row.measurement).or_default().push(row.tags.clone());
            }
        }
        let mut misses: Misses = misses.into_iter().collect();
        // In an order that every Amber has, whatever its mappings are: two that make series of the same measurements
        // at once then wait for one another, and never each for the other.
        misses.sort_by(|(one, _), (other, _)| tables[*one].name.cmp(&tables[*other].name));
        misses
    }

    /// Learns what became of the misses, in a transaction that has committed, and gives the ids of all rows.
    pub(super) fn resolve(&mut self, batch: &Batch, tables: &[Table], made: Made) -> Resolved {
        for (measurement, found) in made.found {
            self.measurements[measurement].extend(found);
        }
        let mut resolved = Resolved { ids: Vec::with_capacity(batch.rows.len()), refused: Vec::new() };
        for (position, (_, row)) in batch.rows.iter().enumerate() {
            let known = self.measurements.get(row.measurement).and_then(|cache| cache.get(&row.tags));
            let reason = match check(row, tables) {
                Err(fault) => Some(fault.into()),
                Ok(()) if known.is_some() => None,
                Ok(()) => {
                    let reason = made.refused.get(&(row.measurement, row.tags.clone())).cloned();
                    Some(reason.unwrap_or_else(|| "its series could not be made".to_owned().into()))
                }
            };
            resolved.ids.push(known.copied().unwrap_or(0));
            resolved.refused.extend(reason.map(|reason| (position, reason)));
        }
        resolved
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::message::{Message, Qos, Time};
    use crate::row::{Mapped, Outcome, Row, TimeSource};

    fn tables() -> Vec<Table> {
        vec![Table { name: "m".into(), tags: vec!["device".into()], other_tags: vec![], fields: vec![] }]
    }

    fn batch(devices: &[&str]) -> Batch {
        let mut batch = Batch::default();
        for device in devices {
            let row = Row {
                measurement: 0,
                mapping: Arc::from("m"),
                time: Time(0),
                time_source: TimeSource::Receipt,
                tags: Tags::new([*device]),
                fields: vec![],
            };
            let message = Message {
                topic: "x".into(),
                payload: bytes::Bytes::new(),
                qos: Qos::AtMostOnce,
                retain: false,
                received_at: Time(0),
                delivery: None,
                malformed: None,
            };
            let outcome = Outcome::Rows { rows: vec![row], rejects: vec![] };
            assert!(batch.push(message, Mapped { outcome, dropped: vec![] }).is_none());
        }
        batch
    }

    fn made(found: &[(&str, i64)]) -> Made {
        let found = found.iter().map(|(device, id)| (Tags::new([*device]), *id)).collect();
        Made { found: vec![(0, found)], refused: HashMap::new() }
    }

    #[test]
    fn each_set_of_tags_is_asked_for_once_and_then_known() {
        let mut cache = Cache::default();
        cache.clear(1);
        let batch = batch(&["b", "a", "b", "c"]);
        let wanted = ["b", "a", "c"].map(|device| Tags::new([device]));
        assert_eq!(cache.misses(&batch, &tables()), [(0, wanted.to_vec())]);
        let mut some = made(&[("a", 1), ("b", 2)]);
        some.refused.insert((0, Tags::new(["c"])), "no c".to_owned().into());
        let resolved = cache.resolve(&batch, &tables(), some);
        assert_eq!(resolved.ids, [2, 1, 2, 0]);
        assert_eq!(resolved.refused, [(3, "no c".to_owned().into())]);
        assert_eq!(cache.misses(&batch, &tables()), [(0, vec![Tags::new(["c"])])]);
    }

    #[test]
    fn a_full_cache_begins_anew_and_asks_for_the_whole_batch() {
        let mut cache = Cache::default();
        cache.clear(1);
        let many = (0..MAX_SERIES).map(|n| (Tags::new([n.to_string().as_str()]), 1)).collect();
        let first = batch(&["7"]);
        let full = Made { found: vec![(0, many)], refused: HashMap::new() };
        cache.resolve(&first, &tables(), full);
        assert_eq!(cache.misses(&first, &tables()), []);
        let next = batch(&["7", "new"]);
        let [(0, misses)] = &cache.misses(&next, &tables())[..] else { panic!("one measurement") };
        assert_eq!(misses.len(), 2);
        assert_eq!(cache.resolve(&next, &tables(), made(&[("7", 8), ("new", 9)])).ids, [8, 9]);
    }

    #[test]
    fn ids_are_learnt_by_the_place_that_was_asked_for() {
        let tags = ["a", "b", "c"].map(|device| Tags::new([device]));
        let mut ids = Ids::new(&tags);
        ids.learn(&[0, 1, 2], 1, 7).unwrap();
        let missing = ids.missing();
        assert_eq!(missing, [0, 2]);
        ids.learn(&missing, 1, 8).unwrap();
        assert!(ids.learn(&missing, 2, 9).is_err() && ids.learn(&missing, -1, 9).is_err());
        let mut made = Made::default();
        made.add(0, ids, vec![(0, "no a".to_owned().into())]);
        assert_eq!(made.found, [(0, vec![(tags[1].clone(), 7), (tags[2].clone(), 8)])]);
        assert_eq!(made.refused, HashMap::from([((0, tags[0].clone()), "no a".to_owned().into())]));
    }

    #[test]
    fn a_key_in_another_order_is_the_same_and_one_with_another_tag_is_not() {
        let table = Table { other_tags: vec!["floor".into()], ..tables().remove(0) };
        assert!(same_tags(&table, &["floor".to_owned(), "device".to_owned()]).is_ok());
        assert!(same_tags(&table, &["device".to_owned()]).unwrap_err().stale);
    }
}
