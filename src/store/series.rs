//! Which series a row belongs to: a bounded cache of ids, per measurement, for the life of a connection.
//!
//! An id is cached only once the transaction that made it has committed. A new connection begins empty: the
//! database may be another one, or the same one at an earlier time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::columns::check;
use super::duplicates::{Counts, Joined};
use super::error::{Failure, Refusal};
use super::others::Settled;
use super::plan::Table;
use crate::batch::Batch;
use crate::row::{Row, Tags, Value};
use crate::store::{WriteError, Written};

/// Of all series that are remembered, whatever the number of measurements. Beyond it the cache begins anew.
const MAX_BYTES: usize = 16 << 20;
/// Of one series, besides its tags: its place in the map, its id, what an allocation costs.
const ENTRY_BYTES: usize = 64;
/// For so long the number of series is taken for what it was: another Amber may make some, and a person retire some.
const COUNT_LIFE: Duration = Duration::from_secs(10);

/// What the rows of a batch lack of one measurement: sets of tag values, without repetition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Miss {
    pub(super) measurement: usize,
    pub(super) tags: Vec<Tags>,
    /// How many series the measurement has, if that is known.
    pub(super) series: Option<u64>,
}

/// By measurement.
pub(super) type Misses = Vec<Miss>;

/// What became of the misses.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Ids, per measurement.
    pub(super) found: Vec<(usize, Vec<(Tags, i64)>)>,
    /// The database's words for those that it refused.
    pub(super) refused: HashMap<(usize, Tags), Refusal>,
    /// Those that were not made, because there are too many.
    pub(super) too_many: HashSet<(usize, Tags)>,
    /// How many there are now, per measurement.
    counted: Vec<(usize, u64)>,
}

impl Made {
    /// Of the `missing` series of one measurement, which has `series`, those that may be made.
    pub(super) fn admit(&mut self, miss: &Miss, table: &Table, mut missing: Vec<usize>, series: u64) -> Vec<usize> {
        let room = usize::try_from(table.max_series.saturating_sub(series)).unwrap_or(usize::MAX);
        let too_many = missing.split_off(room.min(missing.len()));
        self.too_many.extend(too_many.into_iter().map(|n| (miss.measurement, miss.tags[n].clone())));
        self.counted.push((miss.measurement, series + missing.len() as u64));
        missing
    }

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
    Err(Failure::outdated(format!("the tags of `{}` were changed by another Amber: planning anew", table.name)))
}

/// The ids of a batch's rows, in step with `Batch::rows`.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// 0 where the row is refused.
    pub(super) ids: Vec<i64>,
    /// Rows that cannot be stored, whatever the table says: position and reason.
    pub(super) refused: Vec<(usize, Refusal)>,
    /// Where values go that no field names.
    pub(super) others: Settled,
    /// Known once the rows are written.
    pub(super) duplicates: Counts,
}

impl Resolved {
    /// What is told of `batch` once it is stored without the refused rows.
    pub(super) fn into_written(self, batch: &Batch) -> Written {
        let kept = batch.kept_of(&self.refused).len();
        let refused: Vec<_> = self.refused.into_iter().map(|(position, why)| (position, why.reason)).collect();
        Written {
            rows: (batch.rows.len() - refused.len()) as u64 - self.duplicates.values().sum::<u64>(),
            rejects: (batch.rejects.len() + kept) as u64,
            refused,
            duplicates: self.duplicates.into_iter().filter(|(_, rows)| *rows > 0).collect(),
            lost: self.others.lost,
        }
    }
}

/// A batch with the series of its rows, in step with `Batch::rows`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a> {
    pub(super) batch: &'a Batch,
    pub(super) series: &'a [i64],
    pub(super) others: &'a Settled,
    pub(super) tables: &'a [Table],
}

impl<'a> Rows<'a> {
    /// The same of a row that has replaced others: of each column the value that came last.
    pub(super) fn joined_values(self, joined: &Joined, position: usize) -> impl Iterator<Item = Option<&'a Value>> {
        let mut replaced: Vec<_> = joined.replaced(position).iter().map(|&earlier| self.values(earlier)).collect();
        self.values(position).map(move |value| {
            // Each is asked, so that all stay in step.
            let earlier = replaced.iter_mut().filter_map(|values| values.next().flatten()).last();
            value.or(earlier)
        })
    }

    /// Values for all columns of the table's fields.
    pub(super) fn values(self, position: usize) -> impl Iterator<Item = Option<&'a Value>> {
        let (_, row) = &self.batch.rows[position];
        let mut others = self.others.of(position);
        let width = self.tables[row.measurement].fields.len();
        (0..width).map(move |column| match others {
            [(place, n), rest @ ..] if *place == column => {
                others = rest;
                Some(&row.others[*n].1)
            }
            _ => row.fields.get(column)?.as_ref(),
        })
    }
}

#[derive(Debug, Default)]
pub(super) struct Cache {
    measurements: Vec<HashMap<Tags, i64>>,
    /// About what they weigh.
    bytes: usize,
    /// How many series a measurement has, and when that was counted.
    counts: HashMap<usize, (u64, Instant)>,
}

impl Cache {
    /// Forgets everything.
    pub(super) fn clear(&mut self, tables: usize) {
        self.measurements.clear();
        self.measurements.resize_with(tables, HashMap::new);
        self.bytes = 0;
        self.counts.clear();
    }

    /// The sets of tag values in the batch that have no id here, in the order of the measurements' names and then of
    /// the rows. Makes room for them: if there is none, all is forgotten.
    pub(super) fn misses(&mut self, batch: &Batch, tables: &[Table]) -> Misses {
        let misses = self.lacking(batch, tables);
        let more: usize = misses.iter().flat_map(|miss| &miss.tags).map(weight).sum();
        if self.bytes == 0 || self.bytes + more <= MAX_BYTES {
            return misses;
        }
        self.measurements.iter_mut().for_each(|cache| *cache = HashMap::new());
        self.bytes = 0;
        // What was known of the batch is forgotten too.
        self.lacking(batch, tables)
    }

    fn lacking(&self, batch: &Batch, tables: &[Table]) -> Misses {
        let mut seen: HashSet<(usize, &Tags)> = HashSet::new();
        let mut misses: BTreeMap<usize, Vec<Tags>> = BTreeMap::new();
        for (_, row) in &batch.rows {
            // A table of the user's own has no series.
            let is_own = tables.get(row.measurement).is_some_and(|table| table.own.is_some());
            let known = self.measurements.get(row.measurement).is_none_or(|cache| cache.contains_key(&row.tags));
            if !known && !is_own && check(row, tables).is_ok() && seen.insert((row.measurement, &row.tags)) {
                misses.entry(row.measurement).or_default().push(row.tags.clone());
            }
        }
        let series = |measurement| {
            let (series, at) = self.counts.get(&measurement)?;
            (at.elapsed() < COUNT_LIFE).then_some(*series)
        };
        let miss = |(measurement, tags)| Miss { measurement, tags, series: series(measurement) };
        let mut misses: Misses = misses.into_iter().map(miss).collect();
        // In an order that every Amber has, whatever its mappings are: two that make series of the same measurements
        // at once then wait for one another, and never each for the other.
        misses.sort_by(|one, other| tables[one.measurement].name.cmp(&tables[other.measurement].name));
        misses
    }

    /// Learns what became of the misses, in a transaction that has committed, and gives the ids of all rows.
    ///
    /// # Errors
    /// `TooManySeries` if some may not be made.
    pub(super) fn resolve(&mut self, batch: &Batch, tables: &[Table], made: Made) -> Result<Resolved, WriteError> {
        for (measurement, found) in made.found {
            self.bytes += found.iter().map(|(tags, _)| weight(tags)).sum::<usize>();
            self.measurements[measurement].extend(found);
        }
        for (measurement, series) in made.counted {
            // That they were counted a while ago is not forgotten by counting on.
            let at = self.counts.get(&measurement).map(|(_, at)| *at).filter(|at| at.elapsed() < COUNT_LIFE);
            self.counts.insert(measurement, (series, at.unwrap_or_else(Instant::now)));
        }
        if !made.too_many.is_empty() {
            let rows = batch.rows.iter().enumerate();
            let rows = rows.filter(|(_, (_, row))| made.too_many.contains(&(row.measurement, row.tags.clone())));
            let told =
                |(position, (_, row)): (usize, &(usize, Row))| (position, too_many(row, &tables[row.measurement]));
            return Err(WriteError::TooManySeries(rows.map(told).collect()));
        }
        let mut resolved = Resolved { ids: Vec::with_capacity(batch.rows.len()), ..Resolved::default() };
        for (position, (_, row)) in batch.rows.iter().enumerate() {
            let known = self.measurements.get(row.measurement).and_then(|cache| cache.get(&row.tags));
            let reason = match check(row, tables) {
                Err(fault) => Some(fault.into()),
                Ok(()) if tables[row.measurement].own.is_some() => None,
                Ok(()) if known.is_some() => None,
                Ok(()) => {
                    let reason = made.refused.get(&(row.measurement, row.tags.clone())).cloned();
                    Some(reason.unwrap_or_else(|| "its series could not be made".to_owned().into()))
                }
            };
            resolved.ids.push(known.copied().unwrap_or(0));
            resolved.refused.extend(reason.map(|reason| (position, reason)));
        }
        Ok(resolved)
    }
}

fn weight(tags: &Tags) -> usize {
    ENTRY_BYTES + tags.bytes()
}

/// For the one who finds the reject.
fn too_many(row: &Row, table: &Table) -> String {
    let tags: Vec<String> =
        table.tags.iter().zip(row.tags.iter()).map(|(tag, value)| format!("{tag}={value:?}")).collect();
    format!(
        "`{}` has as many series as `max_series` allows ({}), and this would be a new one: {}; raise `max_series` of \
         `mapping.{}`, or leave out a tag that is another with each message",
        table.name,
        table.max_series,
        tags.join(" "),
        row.mapping
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::message::Time;
    use crate::row::TimeSource;

    fn tables() -> Vec<Table> {
        let (name, tags) = ("m".into(), vec!["device".into()]);
        vec![Table {
            name,
            tags,
            other_tags: vec![],
            fields: vec![],
            listed: 0,
            others: None,
            max_series: 10,
            on_duplicate: crate::schema::OnDuplicate::Keep,
            partitions: None,
            own: None,
        }]
    }

    fn batch(devices: &[&str]) -> Batch {
        Batch::of(devices.iter().map(|device| {
            vec![Row {
                measurement: 0,
                mapping: Arc::from("m"),
                time: Time(0),
                time_source: TimeSource::Receipt,
                tags: Tags::new([*device]),
                fields: vec![],
                others: vec![],
            }]
        }))
    }

    fn made(found: &[(&str, i64)]) -> Made {
        let found = found.iter().map(|(device, id)| (Tags::new([*device]), *id)).collect();
        Made { found: vec![(0, found)], ..Made::default() }
    }

    /// Of measurement 0, whose series were not counted lately.
    fn miss(devices: &[&str]) -> Miss {
        Miss { measurement: 0, tags: devices.iter().map(|device| Tags::new([*device])).collect(), series: None }
    }

    #[test]
    fn each_set_of_tags_is_asked_for_once_and_then_known() {
        let mut cache = Cache::default();
        cache.clear(1);
        let batch = batch(&["b", "a", "b", "c"]);
        assert_eq!(cache.misses(&batch, &tables()), [miss(&["b", "a", "c"])]);
        let mut some = made(&[("a", 1), ("b", 2)]);
        some.refused.insert((0, Tags::new(["c"])), "no c".to_owned().into());
        let resolved = cache.resolve(&batch, &tables(), some).unwrap();
        assert_eq!(resolved.ids, [2, 1, 2, 0]);
        assert_eq!(resolved.refused, [(3, "no c".to_owned().into())]);
        assert_eq!(cache.misses(&batch, &tables()), [miss(&["c"])]);
    }

    #[test]
    fn a_full_cache_begins_anew_and_asks_for_the_whole_batch() {
        let mut cache = Cache::default();
        cache.clear(1);
        let tag = |n: usize| (Tags::new([format!("{n:0>100}").as_str()]), 1);
        let room = MAX_BYTES / weight(&tag(0).0);
        let first = batch(&[&format!("{:0>100}", 7)]);
        let full = Made { found: vec![(0, (0..room).map(tag).collect())], ..Made::default() };
        cache.resolve(&first, &tables(), full).unwrap();
        assert_eq!(cache.misses(&first, &tables()), []);
        let seven = format!("{:0>100}", 7);
        let next = batch(&[&seven, &"new".repeat(100)]);
        assert_eq!(cache.misses(&next, &tables()), [miss(&[&seven, &"new".repeat(100)])]);
        let some = made(&[(&seven, 8), (&"new".repeat(100), 9)]);
        assert_eq!(cache.resolve(&next, &tables(), some).unwrap().ids, [8, 9]);
    }

    #[test]
    fn what_is_remembered_of_series_is_bounded_over_all_measurements_and_by_the_length_of_their_tags() {
        let mut cache = Cache::default();
        cache.clear(100);
        let tables: Vec<Table> = (0..100).map(|_| tables().remove(0)).collect();
        let mut most = 0;
        for n in 0..2_000_usize {
            let device = format!("{n:0>2000}");
            let mut batch = batch(&[&device]);
            batch.rows[0].1.measurement = n % 100;
            let misses = cache.misses(&batch, &tables);
            let found = misses.into_iter().map(|miss| (miss.measurement, vec![(miss.tags[0].clone(), 1)])).collect();
            let many = (0..10).map(|more| (Tags::new([format!("{n}/{more:0>2000}").as_str()]), 1)).collect();
            let mut some = Made { found, ..Made::default() };
            some.found.push((n % 100, many));
            cache.resolve(&batch, &tables, some).unwrap();
            let held = cache.measurements.iter().flat_map(HashMap::keys).map(weight).sum::<usize>();
            assert_eq!(held, cache.bytes);
            most = most.max(held);
        }
        assert!((MAX_BYTES / 2..MAX_BYTES + (1 << 20)).contains(&most), "{most}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_series_are_made_than_there_is_room_for_and_the_count_is_asked_for_again_after_a_while() {
        let mut cache = Cache::default();
        cache.clear(1);
        let batch = batch(&["a", "b", "a", "c", "d", "c"]);
        let [asked] = &cache.misses(&batch, &tables())[..] else { panic!("one measurement") };
        let mut some = made(&[("b", 2), ("a", 1)]);
        // `b` was there already, of eight; there is room for two of three.
        let admitted = some.admit(asked, &tables()[0], vec![0, 2, 3], 8);
        assert_eq!(admitted, [0, 2]);
        let Err(WriteError::TooManySeries(rows)) = cache.resolve(&batch, &tables(), some) else { panic!() };
        let [(4, detail)] = &rows[..] else { panic!("{rows:?}") };
        for part in ["`m`", "(10)", "device=\"d\"", "`mapping.m`"] {
            assert!(detail.contains(part), "{detail}");
        }
        // What was found is known; what is full is not counted again for each batch.
        let full = Miss { series: Some(10), ..miss(&["c", "d"]) };
        assert_eq!(cache.misses(&batch, &tables()), std::slice::from_ref(&full));
        assert_eq!(Made::default().admit(&full, &tables()[0], vec![1], 10), [0; 0]);
        tokio::time::advance(COUNT_LIFE).await;
        assert_eq!(cache.misses(&batch, &tables()), [miss(&["c", "d"])]);
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
