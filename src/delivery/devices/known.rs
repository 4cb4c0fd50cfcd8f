//! What is known of the devices that were heard lately, and what of it is not written yet. Pure, and bounded.
//!
//! Beyond the bound, what is written is forgotten first: the table has it. If that is not enough, rows are left out, and
//! the table is made right from the data (`store::Walk`).

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Heard;
use crate::device::{Base, Dated, Gaps, News};
use crate::message::Time;
use crate::row::{Row, Tags, TimeSource, Value};
use crate::schema::{Measurement, OnDuplicate, Schema};

/// Of all that is remembered.
const MAX_BYTES: usize = 16 << 20;
/// Of one device, besides its tags; and of what is new of it, besides its values.
const BYTES: (usize, usize) = (256, 160);
/// What is new of some four hundred devices.
const FEW_BYTES: usize = 64 << 10;
/// Of a device whose row was not looked up yet so many receipts are remembered; of more, the last one.
const EARLY: usize = 16;

/// By measurement and tags.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Which schema the positions of measurements are of.
    generation: u64,
    schema: Schema,
    kinds: Vec<Kind>,
    /// About what the devices weigh; what is new of them; and what was taken out and is being written.
    bytes: usize,
    new_bytes: usize,
    taken_bytes: usize,
    /// There may be devices of which nothing is new.
    has_old: bool,
    /// Rows were left out.
    missed: bool,
}

#[derive(Debug, Default)]
struct Kind {
    /// It goes into a table of the user's own, and has no series.
    is_own: bool,
    first_stays: bool,
    fields: usize,
    devices: HashMap<Tags, Device>,
}

#[derive(Debug, Default)]
struct Device {
    /// What is in the table, as far as this Amber has written it; `None`: not looked up.
    base: Option<Base>,
    last_seen: Option<Time>,
    gaps: Gaps,
    /// Receipts since the first one, while there is no base.
    early: Vec<Time>,
    news: Option<Box<News>>,
}

/// Some devices of one measurement, under the schema of that generation.
#[derive(Debug)]
pub(super) struct Of<T> {
    generation: u64,
    pub(super) measurement: usize,
    pub(super) devices: Vec<T>,
}

/// What is to be written of a device, over what the table has.
pub(super) type Taken = (Tags, Base, News);

impl Known {
    pub(super) fn new(schema: Schema) -> Self {
        let mut known = Self::default();
        known.follow(schema);
        // Who has just begun walks through the data anyway.
        known.missed = false;
        known
    }

    /// Rows are of another schema from now on. What is known of measurements that stay is kept; what is not, and what tables
    /// that are ours now have of before, is found in the data.
    pub(super) fn follow(&mut self, schema: Schema) {
        let mut before: HashMap<String, (Vec<String>, Vec<String>, Kind)> = HashMap::new();
        for (measurement, kind) in std::mem::take(&mut self.schema.measurements).into_iter().zip(self.kinds.drain(..)) {
            let fields = measurement.fields.into_iter().map(|field| field.name).collect();
            before.insert(measurement.name, (measurement.tags, fields, kind));
        }
        let kind = |measurement: &Measurement| {
            let fields = measurement.fields.len();
            let devices = match before.remove(&measurement.name) {
                Some((tags, names, kind)) if tags == measurement.tags => {
                    kind.devices.into_iter().map(|(tags, device)| (tags, device.under(&names, fields))).collect()
                }
                Some(_) | None => HashMap::new(),
            };
            let first_stays = measurement.on_duplicate == OnDuplicate::Ignore;
            Kind { is_own: measurement.own.is_some(), first_stays, fields, devices }
        };
        self.kinds = schema.measurements.iter().map(kind).collect();
        self.missed = true;
        self.generation += 1;
        self.schema = schema;
        let devices = || self.kinds.iter().flat_map(|kind| &kind.devices);
        self.bytes = devices().map(|(tags, _)| BYTES.0 + tags.bytes()).sum();
        self.new_bytes = devices().filter_map(|(_, device)| device.news.as_deref()).map(weight).sum();
    }

    /// The schema, and its generation.
    pub(super) fn schema(&self) -> (u64, &Schema) {
        (self.generation, &self.schema)
    }

    /// Whether so much is new that it should be written now.
    pub(super) fn is_urgent(&self) -> bool {
        self.new_bytes > MAX_BYTES / 4
    }

    /// Whether anything is new, and of so few devices that it costs next to nothing to write it sooner.
    pub(super) fn has_little_news(&self) -> bool {
        (1..FEW_BYTES).contains(&self.new_bytes)
    }

    /// Whether anything is new.
    pub(super) fn has_news(&self) -> bool {
        self.new_bytes > 0
    }

    /// Whether rows were left out since this was last asked.
    pub(super) fn take_missed(&mut self) -> bool {
        std::mem::take(&mut self.missed)
    }

    /// Takes in a batch that is stored.
    pub(super) fn hear(&mut self, heard: Heard) {
        let Heard { rows, unchanged, receipts, refused, .. } = heard;
        let mut refused = refused.into_iter().peekable();
        for (position, (origin, row)) in rows.into_iter().enumerate() {
            if refused.next_if_eq(&position).is_none() {
                self.row(row, receipts[origin], true);
            }
        }
        // Its values are as before, and it was heard.
        for (origin, row) in unchanged {
            self.row(row, receipts[origin], false);
        }
    }

    fn row(&mut self, row: Row, (received_at, retained): (Time, bool), is_stored: bool) {
        let Some(kind) = self.kinds.get(row.measurement).filter(|kind| !kind.is_own) else { return };
        let texts: usize = if is_stored { row.fields.iter().flatten().map(text_bytes).sum() } else { 0 };
        if !self.has_room(BYTES.0 + BYTES.1 + row.tags.bytes() + kind.fields * size_of::<Option<Dated>>() + texts) {
            self.missed = true;
            return;
        }
        let kind = &mut self.kinds[row.measurement];
        let Row { tags, fields, others, time, time_source, .. } = row;
        let device = match kind.devices.entry(tags) {
            Entry::Occupied(device) => device.into_mut(),
            Entry::Vacant(new) => {
                self.bytes += BYTES.0 + new.key().bytes();
                new.insert(Device::default())
            }
        };
        // What the broker had retained was sent at a time that only its payload may know, and is no sign of life.
        let seen = match (retained, time_source) {
            (false, _) => Some(received_at),
            (true, TimeSource::Payload) => Some(time.min(received_at)),
            (true, _) => None,
        };
        device.seen(seen, !retained);
        let news = device.news.get_or_insert_with(|| {
            self.new_bytes += BYTES.1 + kind.fields * size_of::<Option<Dated>>();
            Box::new(News { fields: vec![None; kind.fields].into(), ..News::default() })
        });
        news.first_seen.get_or_insert(received_at);
        news.last_seen = news.last_seen.max(seen);
        if !is_stored {
            return;
        }
        news.last_time = news.last_time.max(Some(time));
        for (known, value) in news.fields.iter_mut().zip(fields) {
            let Some(value) = value.filter(is_kept) else { continue };
            if News::is_newer(known.as_ref(), time, kind.first_stays) {
                self.new_bytes += text_bytes(&value);
                self.new_bytes -= known.as_ref().map_or(0, |(_, old)| text_bytes(old));
                *known = Some((time, value));
            }
        }
        for (name, value) in others.into_iter().filter(|(_, value)| is_kept(value)) {
            if News::is_newer(news.others.get(&name), time, kind.first_stays) {
                self.new_bytes += other_bytes(&name, &value);
                let old = news.others.insert(name.clone(), (time, value));
                self.new_bytes -= old.map_or(0, |(_, old)| other_bytes(&name, &old));
            }
        }
    }

    /// Whether there is room for so much more. If not, what is written is forgotten first.
    fn has_room(&mut self, more: usize) -> bool {
        let fits = |known: &Self| known.bytes + known.new_bytes + known.taken_bytes + more <= MAX_BYTES;
        if !fits(self) && std::mem::take(&mut self.has_old) {
            for kind in &mut self.kinds {
                kind.devices.retain(|tags, device| {
                    let stays = device.news.is_some();
                    self.bytes -= if stays { 0 } else { BYTES.0 + tags.bytes() };
                    stays
                });
                kind.devices.shrink_to_fit();
            }
        }
        fits(self)
    }

    /// Devices of which something is new, and whose rows are not looked up. `None`: the schema is not that of `opened` any
    /// more, and positions of measurements would mean others to the store.
    pub(super) fn without_base(&self, opened: u64) -> Option<Vec<Of<Tags>>> {
        if opened != self.generation {
            return None;
        }
        let lacking = |(measurement, kind): (usize, &Kind)| {
            let devices = kind.devices.iter().filter(|(_, device)| device.base.is_none() && device.news.is_some());
            Of { generation: self.generation, measurement, devices: devices.map(|(tags, _)| tags.clone()).collect() }
        };
        Some(self.kinds.iter().enumerate().map(lacking).filter(|of| !of.devices.is_empty()).collect())
    }

    /// Learns what the table has of devices that were asked for, by their places. Those that the store does not know are
    /// forgotten: somebody has deleted or renamed them.
    pub(super) fn looked_up(&mut self, asked: Of<Tags>, found: Vec<(usize, Base)>) {
        if asked.generation != self.generation {
            return;
        }
        let mut bases = vec![None; asked.devices.len()];
        for (place, base) in found {
            bases[place] = Some(base);
        }
        let devices = &mut self.kinds[asked.measurement].devices;
        for (tags, base) in asked.devices.into_iter().zip(bases) {
            match base {
                Some(base) => drop(devices.get_mut(&tags).map(|device| device.begin(base))),
                None => {
                    let gone = devices.remove(&tags);
                    self.bytes -= gone.as_ref().map_or(0, |_| BYTES.0 + tags.bytes());
                    self.new_bytes -= gone.and_then(|device| device.news).map_or(0, |news| weight(&news));
                }
            }
        }
    }

    /// Takes out what is new of all devices that have a base. `None`, and nothing is taken: as of `without_base`.
    pub(super) fn take(&mut self, opened: u64) -> Option<Vec<Of<Taken>>> {
        if opened != self.generation {
            return None;
        }
        let mut all = Vec::new();
        let mut weighs = 0;
        for (measurement, kind) in self.kinds.iter_mut().enumerate() {
            let mut devices = Vec::new();
            for (tags, device) in &mut kind.devices {
                let Some(base) = &mut device.base else { continue };
                let Some(news) = device.news.take() else { continue };
                weighs += weight(&news);
                let was = *base;
                base.last_time = was.last_time.max(news.last_time);
                devices.push((tags.clone(), was, News { gaps: device.gaps, ..*news }));
            }
            if !devices.is_empty() {
                all.push(Of { generation: self.generation, measurement, devices });
            }
        }
        // It weighs as much until it is written.
        self.new_bytes -= weighs;
        self.taken_bytes += weighs;
        self.has_old = true;
        Some(all)
    }

    /// What was taken is written, all but `unwritten`, which comes back.
    pub(super) fn written(&mut self, unwritten: Vec<Of<Taken>>) {
        self.taken_bytes = 0;
        for of in unwritten {
            if of.generation != self.generation {
                self.missed = true;
                continue;
            }
            for taken in of.devices {
                self.back(of.measurement, taken);
            }
        }
    }

    fn back(&mut self, measurement: usize, (tags, base, mut news): Taken) {
        let kind = &mut self.kinds[measurement];
        let bytes = BYTES.0 + tags.bytes();
        let device = kind.devices.entry(tags).or_insert_with(|| {
            self.bytes += bytes;
            Device::default()
        });
        // It may have been forgotten meanwhile, and have begun anew.
        device.begin(Base { last_seen: news.last_seen.max(base.last_seen), gaps: news.gaps, ..base });
        if let Some(known) = &mut device.base {
            known.last_time = base.last_time;
        }
        if let Some(newer) = device.news.take() {
            self.new_bytes -= weight(&newer);
            news.first_seen = news.first_seen.or(newer.first_seen);
            news.last_seen = news.last_seen.max(newer.last_seen);
            news.last_time = news.last_time.max(newer.last_time);
            for (known, dated) in news.fields.iter_mut().zip(newer.fields) {
                if let Some(dated) = dated.filter(|(time, _)| News::is_newer(known.as_ref(), *time, kind.first_stays)) {
                    *known = Some(dated);
                }
            }
            for (name, dated) in newer.others {
                if News::is_newer(news.others.get(&name), dated.0, kind.first_stays) {
                    news.others.insert(name, dated);
                }
            }
        }
        self.new_bytes += weight(&news);
        device.news = Some(Box::new(news));
    }
}

impl Device {
    fn seen(&mut self, at: Option<Time>, is_live: bool) {
        let Some(at) = at else { return };
        if is_live {
            if self.base.is_none() {
                let is_full = self.early.len() >= EARLY;
                match self.early.last_mut() {
                    Some(last) if *last >= at => {}
                    Some(last) if is_full => *last = at,
                    Some(_) | None => self.early.push(at),
                }
            } else if let Some(last) = self.last_seen {
                self.gaps.add(last, at);
            }
        }
        self.last_seen = self.last_seen.max(Some(at));
    }

    /// Goes on from what the table has.
    fn begin(&mut self, base: Base) {
        if self.base.is_some() {
            return;
        }
        (self.base, self.gaps) = (Some(base), base.gaps);
        let mut last = base.last_seen;
        for at in std::mem::take(&mut self.early) {
            if let Some(last) = last {
                self.gaps.add(last, at);
            }
            last = last.max(Some(at));
        }
        self.last_seen = self.last_seen.max(last);
    }

    /// With values by name, because the fields are others now.
    fn under(mut self, names: &[String], fields: usize) -> Self {
        if let Some(news) = &mut self.news {
            let old = std::mem::replace(&mut news.fields, vec![None; fields].into());
            let named = names.iter().zip(old).filter_map(|(name, dated)| Some((name.as_str().into(), dated?)));
            news.others.extend(named);
        }
        self
    }
}

/// Of what is new of a device, with its values.
fn weight(news: &News) -> usize {
    let texts: usize = news.fields.iter().flatten().map(|(_, value)| text_bytes(value)).sum();
    let others: usize = news.others.iter().map(|(name, (_, value))| other_bytes(name, value)).sum();
    BYTES.1 + size_of_val(&*news.fields) + texts + others
}

fn other_bytes(name: &str, value: &Value) -> usize {
    2 * size_of::<Dated>() + name.len() + text_bytes(value)
}

fn text_bytes(value: &Value) -> usize {
    match value {
        Value::Text(text) | Value::Json(text) => text.len(),
        Value::Float(_) | Value::Int(_) | Value::Bool(_) | Value::Time(_) => 0,
    }
}

/// Documents are not.
fn is_kept(value: &Value) -> bool {
    !matches!(value, Value::Json(_))
}

#[cfg(test)]
pub(super) mod tests;
