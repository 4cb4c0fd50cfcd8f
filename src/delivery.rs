//! Brings a batch to rest: commit, retry, split off the refused row. Nobody is told that a message is settled
//! before the store has proved it.
//!
//! Invariants (ARCHITECTURE.md has the counterexample behind each):
//! - One batch at a time, each under its own number. A number that was sent belongs to its batch until an
//!   adoption says that the database has an older one.
//! - Every new connection adopts the writer row first. What it answers settles every commit that is in doubt;
//!   there is no blind retry.
//! - Batches and changes of the tables come in one row (`Work`): a batch is written by the tables it was made for.
//! - A failure is *away* (wait and try again), *standing* (the same, loudly, not ready) or *refused* (this row
//!   becomes a reject, its neighbours are stored).
//!
//! The disk spool, which will take what waits here, comes later; until then QoS 1 and 2 wait at the broker.

mod change;
mod deadband;
mod devices;
mod old_rejects;
mod rate;
mod report;
mod retention;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::{debug, error, warn};

use self::deadband::{Deadbands, LeftOut, Trust};
use self::rate::{Rate, Unkept};
use self::report::Report;
use crate::backoff::Backoff;
use crate::batch::{Batch, MAX_REJECT_PAYLOAD};
use crate::config;
use crate::in_force::{InForce, Unfit};
use crate::message::Clock;
use crate::metrics::Metrics;
use crate::row::Reason;
use crate::schema::{Measurement, Schema};
use crate::session::InHand;
use crate::status::{Condition, Status, told};
use crate::store::{Adopted, Bare, Lost, Store, Unplaced, WriteError, Written};

pub use devices::Devices;
pub use old_rejects::OldRejects;
pub use retention::Retention;

/// The first wait for a store that is away, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// A ledger that shrank is written alone after this long without a batch: the fewer keys are left,
/// the fewer can be mistaken for a later message with the same identifier and payload.
const IDLE: Duration = Duration::from_secs(1);

/// Of what is said once about values without a column: a trigger's words may name each column.
const MAX_SAID: usize = 1000;
/// So often the store is asked whether it is there, in multiples of `IDLE`.
const ASK_EVERY: u32 = 5;

/// What delivery is given, one after another; each holds the store until it is done.
#[derive(Debug)]
pub enum Work {
    Batch(Sealed),
    Change(Change),
}

/// A batch that will not grow any more.
#[derive(Debug)]
pub struct Sealed {
    pub batch: Batch,
    /// What its rows were made under.
    pub under: Arc<InForce>,
    pub sealed_at: Instant,
    /// The store is taken until this is dropped.
    pub permit: OwnedSemaphorePermit,
}

/// The rows that come behind it are of other tables: the store is to be prepared for them.
#[derive(Debug)]
pub struct Change {
    pub next: Arc<InForce>,
    pub permit: OwnedSemaphorePermit,
    /// `Err`: nothing has changed.
    pub answer: oneshot::Sender<Result<(), Unfit>>,
}

/// Another process writes under our client identifier: this one must end, or the two would fight for ever.
#[derive(Debug)]
pub struct Fenced;

impl std::fmt::Display for Fenced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "another Amber with the same `broker.client_id` has taken over this store; give each its own client_id",
        )
    }
}

impl std::error::Error for Fenced {}

/// The store and who waits for it.
pub struct Delivery {
    store: Store,
    /// What the store is prepared for, and the next batch was made under.
    under: Arc<InForce>,
    metrics: Arc<Metrics>,
    report: Report,
    clock: Clock,
    backoff: Backoff,
    counters: Vec<Counters>,
    /// Number of the last batch that was sealed.
    number: i64,
    /// The largest number with a receipt.
    settled: i64,
    /// Bytes of the ledger as it was last written.
    ledger_bytes: usize,
    /// What the store remembers of what is subscribed; `None` if that is not known.
    remembered: Option<String>,
    /// Told it.
    written: watch::Sender<String>,
    rate: Rate,
    deadbands: Deadbands,
    /// Measurements of which it was said that values have no column, and why.
    lost: HashSet<(usize, Unplaced, Arc<str>)>,
    /// Bytes of the rejects stored so far, about.
    reject_bytes: watch::Sender<u64>,
    /// Who keeps the table of devices.
    devices: Option<devices::Told>,
}

/// Of one measurement.
struct Counters {
    written: IntCounter,
    duplicate: IntCounter,
    /// Values that were as before.
    fields_unchanged: IntCounter,
    /// Rows of which nothing else was left.
    rows_unchanged: IntCounter,
}

impl Counters {
    fn of(schema: &Schema, metrics: &Metrics) -> Vec<Self> {
        let of_one = |measurement: &Measurement| {
            let labels = [measurement.name.as_str()];
            Self {
                written: metrics.rows_written.with_label_values(&labels),
                duplicate: metrics.rows_duplicate.with_label_values(&labels),
                fields_unchanged: metrics.fields_unchanged.with_label_values(&labels),
                rows_unchanged: metrics.rows_unchanged.with_label_values(&labels),
            }
        };
        schema.measurements.iter().map(of_one).collect()
    }
}

impl Delivery {
    /// Prepares the store and adopts the writer row; waits for as long as the store is away or standing.
    ///
    /// Comes before the broker is connected: without the ledger a redelivered message could not be recognised.
    ///
    /// # Errors
    /// `Fenced` cannot happen here but is passed on; everything else is waited out.
    pub async fn open(
        store: Store,
        under: Arc<InForce>,
        metrics: Arc<Metrics>,
        status: Arc<Status>,
        clock: Clock,
    ) -> Result<(Self, Adopted), Fenced> {
        let backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        let mut delivery = Self {
            store,
            report: Report { metrics: metrics.clone(), status },
            clock,
            counters: Counters::of(&under.schema, &metrics),
            metrics,
            backoff,
            number: 0,
            settled: 0,
            ledger_bytes: 0,
            remembered: None,
            written: watch::channel(String::new()).0,
            rate: Rate::new(under.config.rejects.per_minute),
            deadbands: Deadbands::new(&under.schema),
            under: Arc::clone(&under),
            lost: HashSet::new(),
            reject_bytes: watch::channel(0).0,
            devices: None,
        };
        let adopted = loop {
            let opened = match delivery.report.watch(delivery.store.prepare(&under.schema)).await {
                Ok(()) => delivery.report.watch(delivery.store.adopt()).await,
                Err(error) => Err(error),
            };
            match opened {
                Ok(adopted) => break adopted,
                Err(error) => delivery.wait_out(error).await?,
            }
        };
        delivery.number = adopted.seq;
        delivery.settled = adopted.seq;
        delivery.ledger_bytes = adopted.packets.len();
        delivery.remembered = Some(adopted.filters.clone());
        delivery.written.send_replace(adopted.filters.clone());
        delivery.up();
        Ok((delivery, adopted))
    }

    /// How many bytes of rejects were stored so far, about.
    #[must_use]
    pub fn reject_bytes(&self) -> watch::Receiver<u64> {
        self.reject_bytes.subscribe()
    }

    /// What the store is known to remember of what is subscribed.
    #[must_use]
    pub fn written(&self) -> watch::Receiver<String> {
        self.written.subscribe()
    }

    /// Who keeps the table of devices, and is told what is stored from now on; `None`: nobody does. `onlookers`: told each
    /// second that somebody looks at it.
    #[must_use]
    pub fn devices(
        &mut self,
        store: &config::Store,
        schema: &Schema,
        clock: Clock,
        onlookers: Arc<Notify>,
    ) -> Option<Devices> {
        let (told, devices) = devices::channel(store, schema, clock, &self.metrics, onlookers);
        self.devices = devices.is_some().then_some(told);
        devices
    }

    /// Takes batches until the channel closes, then closes the store.
    ///
    /// # Errors
    /// `Fenced`: another process has taken the writer.
    pub async fn run(
        mut self,
        in_hand: Arc<InHand>,
        mut work: mpsc::Receiver<Work>,
        mut subscribed: watch::Receiver<String>,
    ) -> Result<(), Fenced> {
        let mut subscribing = true;
        let mut idle = 0;
        loop {
            tokio::select! {
                biased;
                work = work.recv() => match work {
                    Some(Work::Batch(sealed)) => self.bring_to_rest(sealed, &in_hand).await?,
                    Some(Work::Change(change)) => self.change(change).await?,
                    None => break,
                },
                changed = subscribed.changed(), if subscribing => subscribing = changed.is_ok(),
                () = tokio::time::sleep(IDLE) => {
                    self.write_ledger_if_smaller(&in_hand).await?;
                    idle = (idle + 1) % ASK_EVERY;
                    if idle == 0 {
                        self.ask().await?;
                    }
                }
            }
            self.remember(&mut subscribed).await?;
        }
        // The end is seen before what the session said last: a start without it would not know its own filters.
        self.remember(&mut subscribed).await?;
        self.write_ledger_if_smaller(&in_hand).await?;
        self.store.close().await;
        Ok(())
    }

    async fn bring_to_rest(&mut self, sealed: Sealed, in_hand: &InHand) -> Result<(), Fenced> {
        let Sealed { mut batch, under, sealed_at, permit } = sealed;
        debug_assert_eq!(under.number, self.under.number, "a batch comes behind the change that it was made under");
        let number = self.number + 1;
        self.number = number;
        // Decided once, however often it is tried; counted once it is stored.
        let mut unkept = Unkept::new();
        let rejects = std::mem::take(&mut batch.rejects);
        batch.rejects = self.rate.keep(&batch.messages, rejects, &mut unkept);
        let (stored, left_out) = self.store_under(&mut batch, number, in_hand, &mut unkept).await?;
        self.settled = number;
        self.count(&batch, stored.as_ref(), unkept);
        self.learn(&batch, stored.as_ref(), &left_out);
        self.metrics.commit_seconds.observe(sealed_at.elapsed().as_secs_f64());
        in_hand.settle(&batch.messages, Some(number));
        drop(permit);
        if let Some(oldest) = batch.messages.first() {
            self.report.status.note_stored(oldest.received_at, (self.clock)());
        }
        if let Some(devices) = &mut self.devices {
            devices.stored(batch, stored, left_out);
        }
        Ok(())
    }

    /// Returns once the batch is stored under `number`; rows of too many series are rejects of it then, and what was as
    /// before is left out of it. `None`: the database has the number, but from no statement that was in doubt, so that
    /// what is written is not known.
    async fn store_under(
        &mut self,
        batch: &mut Batch,
        number: i64,
        in_hand: &InHand,
        unkept: &mut Unkept,
    ) -> Result<(Option<Written>, LeftOut), Fenced> {
        let mut in_doubt = false;
        let mut apart = false;
        let mut trust = Trust::All;
        let mut left_out = self.deadbands.leave_out(batch, trust);
        // Beside what the store says of what it has written.
        let mut more_lost = Vec::new();
        loop {
            if !self.store.is_adopted() {
                let adopted = self.adopt_again().await?;
                if in_doubt && adopted.seq >= number {
                    // What ledger is in the store now is not known, but that it may shrink.
                    self.ledger_bytes = usize::MAX;
                    self.up();
                    let written = self.store.take_doubtful().map(|written| written.with_lost(more_lost));
                    return Ok((written, left_out));
                }
                in_doubt = false;
                // The store may have gone back, and what was stored with it.
                left_out = self.leave_out_anew(batch, left_out, trust);
            }
            if let Err(error) = self.report.watch(self.store.keep_up()).await {
                self.wait_out(error).await?;
                continue;
            }
            if self.store.take_anew() {
                // What is compared with was in a column that is gone.
                self.deadbands.forget();
                left_out = self.leave_out_anew(batch, left_out, trust);
            }
            let packets = in_hand.snapshot(batch.deliveries(), number);
            let result = if apart {
                self.report.watch(self.store.write_apart(batch, number, &packets)).await
            } else {
                self.report.watch(self.store.write(batch, number, &packets)).await
            };
            match result {
                Ok(written) => {
                    self.ledger_bytes = packets.len();
                    self.up();
                    return Ok((Some(written.with_lost(more_lost)), left_out));
                }
                Err(WriteError::Refused(why)) if !apart => {
                    self.metrics.write_failures.with_label_values(&["refused"]).inc();
                    debug!(number, rows = batch.rows.len(), reason = told(&why), "a row was refused; writing apart");
                    (apart, trust) = (true, Trust::Stored);
                    left_out = self.leave_out_anew(batch, left_out, trust);
                    batch.bound_refused(self.rate.room(batch));
                }
                Err(WriteError::TooManySeries(_)) if trust == Trust::All && !left_out.is_empty() => {
                    // What was left out of these series would be missed among the rejects.
                    trust = Trust::Stored;
                    left_out = self.leave_out_anew(batch, left_out, trust);
                }
                Err(WriteError::TooManySeries(rows)) => {
                    let rows = left_out.in_whole(rows);
                    left_out.put_back(batch);
                    let rejects = batch.reject(rows, Reason::TooManySeries);
                    batch.add_rejects(self.rate.keep(&batch.messages, rejects, unkept));
                    left_out = self.deadbands.leave_out(batch, trust);
                }
                Err(WriteError::NoColumn(rows)) => {
                    let rows = left_out.in_whole(rows);
                    left_out.put_back(batch);
                    let rows = without_fields(batch, rows, &mut more_lost);
                    let rejects = batch.reject(rows, Reason::Field);
                    batch.add_rejects(self.rate.keep(&batch.messages, rejects, unkept));
                    left_out = self.deadbands.leave_out(batch, trust);
                }
                // The gate's answer alone does not tell whose the row is; the next adoption does.
                Err(WriteError::Fenced) if !self.store.is_adopted() => in_doubt = true,
                Err(error) => {
                    in_doubt = matches!(error, WriteError::Away { in_doubt: true, .. });
                    self.wait_out(error).await?;
                }
            }
        }
    }

    /// Compares the rows of the batch again: with something else, or more carefully.
    fn leave_out_anew(&self, batch: &mut Batch, left_out: LeftOut, trust: Trust) -> LeftOut {
        left_out.put_back(batch);
        self.deadbands.leave_out(batch, trust)
    }

    /// The next rows are compared with what this batch has stored.
    fn learn(&mut self, batch: &Batch, stored: Option<&Written>, left_out: &LeftOut) {
        let Some(written) = stored else { return self.deadbands.forget() };
        self.deadbands.stored(batch, &written.refused);
        if self.store.take_anew() {
            // Found while this batch was written: what was left out of it comes with the next.
            self.deadbands.forget();
        }
        for (measurement, (fields, rows)) in left_out.counts(batch) {
            self.counters[measurement].fields_unchanged.inc_by(fields);
            self.counters[measurement].rows_unchanged.inc_by(rows);
        }
    }

    /// Adopts the writer row on a new connection, for as long as it takes. That the store is up is for the caller to
    /// say, once it has written: one that adopts and then fails is not.
    async fn adopt_again(&mut self) -> Result<Adopted, Fenced> {
        loop {
            match self.adopt().await {
                Ok(adopted) => return Ok(adopted),
                Err(error) => self.wait_out(error).await?,
            }
        }
    }

    /// One attempt.
    async fn adopt(&mut self) -> Result<Adopted, WriteError> {
        let adopted = self.report.watch(self.store.adopt()).await?;
        if adopted.seq < self.settled {
            self.metrics.store_went_back.inc();
            error!(
                has = adopted.seq,
                confirmed = self.settled,
                "the store went back in time (restored, or a late replica): what it confirmed since is gone"
            );
            self.settled = adopted.seq;
            self.deadbands.forget();
            self.devices.iter().for_each(devices::Told::miss);
        }
        Ok(adopted)
    }

    /// Says what is wrong, once per change, and waits before the next try.
    async fn wait_out(&mut self, error: WriteError) -> Result<(), Fenced> {
        let (kind, condition) = match error {
            WriteError::Fenced => {
                self.metrics.write_failures.with_label_values(&["fenced"]).inc();
                // Said once, where the process ends.
                return Err(Fenced);
            }
            WriteError::Away { in_doubt, source } => {
                (if in_doubt { "in_doubt" } else { "away" }, Condition::Away(told(&source)))
            }
            // A refused row reaches this place only if it was refused when the batch was written apart, too; too many
            // series never do, nor rows without a column.
            error @ (WriteError::Standing(_)
            | WriteError::Refused(_)
            | WriteError::TooManySeries(_)
            | WriteError::NoColumn(_)) => ("standing", Condition::Standing(told(&error.into_source()))),
        };
        self.metrics.write_failures.with_label_values(&[kind]).inc();
        self.report.show(condition);
        // Also what is standing is tried again soon at first: another Amber's change of the tables is met by the next
        // try, and a person who has mended something looks for the effect.
        tokio::time::sleep(self.backoff.next_wait()).await;
        Ok(())
    }

    fn up(&mut self) {
        self.backoff.reset();
        self.metrics.store_log_bytes.set(i64::try_from(self.store.log_bytes()).unwrap_or(i64::MAX));
        self.report.show(Condition::Up);
    }

    fn count(&mut self, batch: &Batch, stored: Option<&Written>, mut unkept: Unkept) {
        self.metrics.batches_written.inc();
        let mut bytes = batch.reject_bytes();
        for (_, reject) in &batch.rejects {
            self.metrics.rejects.with_label_values(&[reject.reason.word()]).inc();
        }
        self.count_rows(batch, stored, &mut unkept, &mut bytes);
        for (reason, count) in unkept {
            self.metrics.rejects_unkept.with_label_values(&[reason.word()]).inc_by(count);
        }
        if bytes > 0 {
            self.reject_bytes.send_modify(|all| *all += bytes);
        }
    }

    fn count_rows(&mut self, batch: &Batch, stored: Option<&Written>, unkept: &mut Unkept, bytes: &mut u64) {
        // Nothing is counted as written that may not be.
        let Some(Written { refused, lost, duplicates, .. }) = stored else { return };
        lost.iter().for_each(|lost| self.count_lost(lost));
        // By mapping: rows, their messages, each of which is one reject, and why.
        let mut refusals: BTreeMap<&Arc<str>, (u64, BTreeSet<usize>, &str)> = BTreeMap::new();
        let mut written: BTreeMap<usize, u64> = BTreeMap::new();
        for (position, (origin, row)) in batch.rows.iter().enumerate() {
            match refused.binary_search_by_key(&position, |(refused, _)| *refused) {
                Err(_) => *written.entry(row.measurement).or_default() += 1,
                Ok(found) => {
                    let why = &refused[found].1;
                    let (rows, messages, _) = refusals.entry(&row.mapping).or_insert((0, BTreeSet::new(), why));
                    *rows += 1;
                    messages.insert(*origin);
                }
            }
        }
        for (measurement, rows) in written {
            let duplicates = duplicates.get(&measurement).copied().unwrap_or(0).min(rows);
            self.counters[measurement].written.inc_by(rows - duplicates);
            self.counters[measurement].duplicate.inc_by(duplicates);
        }
        for (mapping, (rows, messages, reason)) in refusals {
            let kept = self.rate.refused(mapping, messages.len() as u64, unkept);
            self.metrics.rejects.with_label_values(&[Reason::Refused.word()]).inc_by(kept);
            *bytes += kept * MAX_REJECT_PAYLOAD as u64;
            warn!(mapping = &**mapping, rows, kept, reason, "the store refused rows; they are kept among the rejects");
        }
    }

    /// Counts values that no field names and no column took, and says so once for each measurement.
    fn count_lost(&mut self, Lost { mapping, measurement, why, values, column, words }: &Lost) {
        // Names of devices are no labels.
        self.metrics.fields_dropped.with_label_values(&[&**mapping, "others"]).inc_by(*values);
        if self.lost.len() >= MAX_SAID || !self.lost.insert((*measurement, *why, Arc::clone(words))) {
            return;
        }
        let (mapping, column, reason) = (&**mapping, column.as_str(), &**words);
        match why {
            Unplaced::Full => warn!(
                mapping,
                column,
                "the measurement has as many columns that appeared by themselves as there may be: other values are dropped"
            ),
            Unplaced::Taken => warn!(
                mapping,
                column,
                "a value that no field lists is of another type than the column of its name, or the column is no field's; it is dropped: list the field, under another name"
            ),
            Unplaced::NoDdl => warn!(
                mapping,
                column, "no column is added with `[store] ddl = false`: values that no field lists are dropped"
            ),
            Unplaced::Locked => warn!(
                mapping,
                column,
                reason,
                "no column can be added while somebody holds the table: values that no field lists are dropped until the \
                 query or transaction ends; it is tried once a minute"
            ),
            Unplaced::Barred => warn!(
                mapping,
                column,
                reason,
                "no column can be added: values that no field lists are dropped; mend what the database says, list the \
                 field once it has a column, or set `others` to \"json\" or \"ignore\"; it is tried once a minute"
            ),
        }
    }

    /// Lets go of confirmed keys while there is nothing else to write; takes no number.
    async fn write_ledger_if_smaller(&mut self, in_hand: &InHand) -> Result<(), Fenced> {
        if !self.store.is_adopted() {
            self.adopt_again().await?;
            self.ask().await?;
        }
        let packets = in_hand.snapshot([], self.number);
        if packets.len() >= self.ledger_bytes || !self.store.is_adopted() {
            return Ok(());
        }
        let result = self.report.watch(self.store.write_ledger(&packets)).await;
        if self.has_answered(result).await? {
            self.ledger_bytes = packets.len();
        }
        Ok(())
    }

    /// A store that is gone is noticed though there is nothing to write.
    async fn ask(&mut self) -> Result<(), Fenced> {
        let result = self.report.watch(self.store.ask()).await;
        self.has_answered(result).await.map(|_| ())
    }

    /// Writes down what is subscribed, if that is not known to be written.
    async fn remember(&mut self, subscribed: &mut watch::Receiver<String>) -> Result<(), Fenced> {
        if self.remembered.as_deref() == Some(subscribed.borrow_and_update().as_str()) {
            return Ok(());
        }
        let filters = subscribed.borrow().clone();
        if !self.store.is_adopted() {
            self.adopt_again().await?;
        }
        let result = self.report.watch(self.store.write_filters(&filters)).await;
        self.remembered = self.has_answered(result).await?.then_some(filters);
        if let Some(written) = &self.remembered {
            self.written.send_replace(written.clone());
        }
        Ok(())
    }

    /// Whether a statement beside the batches went well.
    async fn has_answered(&mut self, result: Result<(), WriteError>) -> Result<bool, Fenced> {
        match result {
            Ok(()) => {
                self.up();
                Ok(true)
            }
            // As with a batch: the next adoption tells whose the row is.
            Err(WriteError::Fenced) if !self.store.is_adopted() => Ok(false),
            Err(error) => {
                self.wait_out(error).await?;
                Ok(false)
            }
        }
    }
}

/// Of rows that no column took anything of (positions in the whole batch) those that are rejects. One whose fields were
/// only as before is none; it loses its others.
fn without_fields(batch: &mut Batch, rows: Vec<(usize, Bare)>, lost: &mut Vec<Lost>) -> Vec<(usize, String)> {
    let mut rejects = Vec::new();
    for (position, bare) in rows {
        let row = &mut batch.rows[position].1;
        if row.fields.iter().all(Option::is_none) {
            rejects.push((position, bare.told));
        } else {
            row.others.clear();
            lost.extend(bare.lost);
        }
    }
    rejects
}
