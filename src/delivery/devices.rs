//! Keeps the table of devices: when each series was last heard, how often it is, and its last values. A stage of its own,
//! on a connection of its own.
//!
//! No batch and no acknowledgement waits for it. Delivery hands over what it has stored (`Told`), and what does not fit is
//! left out: then, as after a `kill -9`, the table is made right from the data, in steps and for some seconds at a time
//! (`store::Walk`). A failure here harms nobody: it is said once, counted and tried again.

mod known;
mod walks;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::known::Known;
use self::walks::Walks;
use super::deadband::LeftOut;
use crate::batch::Batch;
use crate::config;
use crate::message::{Clock, Time};
use crate::metrics::Metrics;
use crate::row::Row;
use crate::schema::Schema;
use crate::status::told;
use crate::store::{self, WriteError, Written};

/// Batches that are handed over and not taken in yet, and what they may weigh. It takes milliseconds to take one in.
const ROOM: (usize, usize) = (256, 8 << 20);
/// Of a row and of a message, about, besides what the row says of itself.
const BYTES: (usize, usize) = (128, 32);
/// While somebody looks at the page, what is new is written so soon, if it is of few devices.
const LOOKED_AT: Duration = Duration::from_secs(2);
/// After a write that failed the next one comes so soon, at least.
const AGAIN: Duration = Duration::from_secs(5);
/// The last write may take so long. It is no loss if it does not: the next start has a walk.
const LAST: Duration = Duration::from_secs(2);

/// What delivery tells.
#[derive(Debug)]
enum Word {
    Heard(Heard),
    /// Rows are of another schema from now on.
    Schema(Schema),
}

/// A batch that is stored.
#[derive(Debug)]
struct Heard {
    /// With the position of their message.
    rows: Vec<(usize, Row)>,
    /// Rows of which nothing was left by `deadband`; likewise.
    unchanged: Vec<(usize, Row)>,
    /// Of each message, and whether the broker had retained it.
    receipts: Vec<(Time, bool)>,
    /// Positions in `rows` of those that the store refused, ascending.
    refused: Vec<usize>,
    _room: Option<OwnedSemaphorePermit>,
}

/// Delivery's side.
#[derive(Debug)]
pub(super) struct Told {
    out: mpsc::Sender<Word>,
    room: Arc<Semaphore>,
    missed: Arc<AtomicBool>,
    /// That has not been told as yet; what is stored meanwhile is left out.
    schema: Option<Schema>,
    metrics: Arc<Metrics>,
}

impl Told {
    /// Hands over a batch that is stored; never waits. `stored`: `None` if what of it is stored is not known.
    pub(super) fn stored(&mut self, batch: Batch, stored: Option<Written>, left_out: LeftOut) {
        if self.out.is_closed() {
            return;
        }
        let Some(Written { refused, .. }) = stored else { return self.miss() };
        let Batch { messages, rows, .. } = batch;
        let unchanged = left_out.into_rows();
        if rows.is_empty() && unchanged.is_empty() {
            return;
        }
        if self.schema.take().is_some_and(|schema| !self.tell_schema(schema)) {
            return self.miss();
        }
        let weight = |(_, row): &(usize, Row)| BYTES.0 + row.bytes();
        let bytes: usize = rows.iter().chain(&unchanged).map(weight).sum::<usize>() + BYTES.1 * messages.len();
        // One that is larger than all the room has it for itself.
        let bytes = u32::try_from(bytes.min(ROOM.1)).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(bytes) else { return self.miss() };
        let receipts = messages.iter().map(|message| (message.received_at, message.retain)).collect();
        let refused = refused.into_iter().map(|(position, _)| position).collect();
        if self.out.try_send(Word::Heard(Heard { rows, unchanged, receipts, refused, _room: Some(room) })).is_err() {
            self.miss();
        }
    }

    /// Rows are of `schema` from now on.
    pub(super) fn follow(&mut self, schema: &Schema) {
        // One that still waits to be told must not come behind this one.
        self.schema = None;
        self.tell_schema(schema.clone());
    }

    /// Whether it was told; else it is told with the next batch.
    fn tell_schema(&mut self, schema: Schema) -> bool {
        match self.out.try_send(Word::Schema(schema)) {
            Ok(()) => true,
            Err(TrySendError::Full(Word::Schema(schema)) | TrySendError::Closed(Word::Schema(schema))) => {
                self.schema = Some(schema);
                false
            }
            Err(_) => false,
        }
    }

    /// The table may lack rows, or have some that are not stored any more.
    pub(super) fn miss(&self) {
        self.missed.store(true, Ordering::Relaxed);
        self.metrics.devices_missed.inc();
    }
}

/// The stage.
pub struct Devices {
    words: mpsc::Receiver<Word>,
    keeper: Keeper,
}

/// Who writes.
struct Keeper {
    store: store::Devices,
    every: Duration,
    known: Arc<Mutex<Known>>,
    /// So much is new that it should be written now.
    urgent: Arc<Notify>,
    /// Told each second that somebody looks.
    onlookers: Arc<Notify>,
    missed: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
    /// The last attempt failed, and it was said.
    said: bool,
    walks: Walks,
}

/// The two ends. `None`: nobody keeps devices (`[store] devices_interval = "0s"`), and nothing is handed over.
pub(super) fn channel(
    store: &config::Store,
    schema: &Schema,
    clock: Clock,
    metrics: &Arc<Metrics>,
    onlookers: Arc<Notify>,
) -> (Told, Option<Devices>) {
    let (out, words) = mpsc::channel(ROOM.0);
    let missed = Arc::new(AtomicBool::new(false));
    let room = Arc::new(Semaphore::new(ROOM.1));
    let told = Told { out, room, missed: missed.clone(), schema: None, metrics: metrics.clone() };
    let keeper = (!store.devices_interval.is_zero()).then(|| Keeper {
        store: store::Devices::new(store),
        every: store.devices_interval,
        known: Arc::new(Mutex::new(Known::new(schema.clone()))),
        urgent: Arc::default(),
        onlookers,
        missed,
        metrics: metrics.clone(),
        said: false,
        // What is received from now on is handed over.
        walks: Walks::from_start(clock()),
    });
    (told, keeper.map(|keeper| Devices { words, keeper }))
}

impl Devices {
    /// Until delivery has ended and `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let Self { mut words, keeper } = self;
        let (known, urgent) = (keeper.known.clone(), keeper.urgent.clone());
        let ended = CancellationToken::new();
        let taking = async {
            while let Some(word) = words.recv().await {
                let mut known = lock(&known);
                match word {
                    Word::Heard(heard) => known.hear(heard),
                    Word::Schema(schema) => known.follow(schema),
                }
                if known.is_urgent() {
                    urgent.notify_one();
                }
            }
            ended.cancel();
        };
        tokio::join!(taking, keeper.run(&ended));
        // If delivery has ended unasked, it says why itself.
        stop.cancelled().await;
    }
}

impl Keeper {
    /// Writes until `ended`, and once more.
    async fn run(mut self, ended: &CancellationToken) {
        while !ended.is_cancelled() {
            let begun = Instant::now();
            let due = begun + self.every;
            let outcome = self.turn(due, ended).await;
            let went_well = self.say(outcome);
            let due = if went_well { due } else { due.max(Instant::now() + AGAIN.min(self.every)) };
            tokio::select! {
                () = sleep_until(due) => {}
                () = self.urgent.notified(), if went_well => {}
                () = self.looked_at(begun + LOOKED_AT), if went_well => {}
                () = ended.cancelled() => {}
            }
        }
        match timeout(LAST, self.write()).await {
            Ok(outcome) => drop(self.say(outcome)),
            Err(_) => debug!("the devices could not be written in time at the end; the next start makes up for it"),
        }
        self.store.close().await;
    }

    /// Until somebody looks, from `earliest` on, and there is little to write. Cancel safe.
    async fn looked_at(&self, earliest: Instant) {
        sleep_until(earliest).await;
        loop {
            self.onlookers.notified().await;
            if lock(&self.known).has_little_news() {
                return;
            }
        }
    }

    async fn turn(&mut self, due: Instant, ended: &CancellationToken) -> Result<(), WriteError> {
        self.write().await?;
        let missed = self.missed.swap(false, Ordering::Relaxed) | lock(&self.known).take_missed();
        self.walks.ask(missed);
        self.walk(due, ended).await?;
        self.store.rest().await;
        Ok(())
    }

    /// Writes what is new.
    async fn write(&mut self) -> Result<(), WriteError> {
        while lock(&self.known).has_news() {
            let opened = self.open().await?;
            // The schema may become another while the store answers: then it is opened again.
            let Some(lacking) = lock(&self.known).without_base(opened) else { continue };
            for asked in lacking {
                let found = self.store.look(asked.measurement, &asked.devices).await?;
                lock(&self.known).looked_up(asked, found);
            }
            let Some(mut taken) = lock(&self.known).take(opened) else { continue };
            let mut outcome = Ok(());
            while outcome.is_ok()
                && let Some(of) = taken.last()
            {
                outcome = self.store.write(of.measurement, &of.devices).await.map(|rows| {
                    self.metrics.devices_written.inc_by(rows);
                    taken.pop();
                });
            }
            lock(&self.known).written(taken);
            return outcome;
        }
        Ok(())
    }

    /// Gives the generation of the schema that the store goes by from now on.
    async fn open(&mut self) -> Result<u64, WriteError> {
        let (generation, schema) = {
            let known = lock(&self.known);
            let (generation, schema) = known.schema();
            (generation, schema.clone())
        };
        self.store.open(schema).await.map(|()| generation)
    }

    /// Goes on with the walk, if there is one, for some seconds.
    async fn walk(&mut self, due: Instant, ended: &CancellationToken) -> Result<(), WriteError> {
        if !self.walks.is_due() {
            return Ok(());
        }
        let opened = self.open().await?;
        while let Some(mut walk) = self.walks.under(opened) {
            let begun = Instant::now();
            let Some(rows) = self.store.step(&mut walk).await? else {
                let met = self.walks.ended();
                if met > 0 {
                    info!(devices = met, "devices were found in the data");
                }
                return Ok(());
            };
            self.metrics.devices_written.inc_by(rows);
            let took = begun.elapsed();
            self.walks.went(walk, rows, took);
            if !self.walks.is_due() || ended.is_cancelled() || Instant::now() >= due {
                return Ok(());
            }
            // As long free as taken.
            sleep(took).await;
        }
        Ok(())
    }

    /// Says what went wrong, once. Whether nothing did.
    fn say(&mut self, outcome: Result<(), WriteError>) -> bool {
        let Err(error) = outcome else {
            self.said = false;
            return true;
        };
        self.metrics.devices_failures.inc();
        match error {
            // That is delivery's to say.
            WriteError::Away { source, .. } => debug!(reason = told(&source), "the devices are not written"),
            error => {
                if !std::mem::replace(&mut self.said, true) {
                    warn!(
                        reason = told(&error.into_source()),
                        "the table of devices cannot be written; readings are stored all the same"
                    );
                }
            }
        }
        false
    }
}

/// No holder of it panics half-way; and if one did, what is known would only be late.
fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{At, Place};
    use crate::row::{Tags, TimeSource, Value};

    fn batch(device: &str) -> Batch {
        Batch::of([vec![Row {
            measurement: 0,
            mapping: Arc::from("m"),
            time: Time(0),
            time_source: TimeSource::Receipt,
            tags: Tags::new([device]),
            fields: vec![Some(Value::Int(1))],
            others: vec![],
        }]])
    }

    /// Handing over, with nobody who takes it in.
    fn two_ends() -> (Told, Option<Devices>) {
        let url = At::new(config::StoreUrl::Sqlite("no such file".into()), Place::Default);
        let (zero, interval) = (Duration::ZERO, Duration::from_secs(5));
        let store = config::Store {
            url,
            commit_interval: zero,
            devices_interval: interval,
            ddl: true,
            timescale: config::Timescale::default(),
        };
        channel(&store, &Schema::default(), || Time(0), &Arc::new(Metrics::new()), Arc::default())
    }

    #[tokio::test]
    async fn what_is_handed_over_is_bounded_by_number_and_by_bytes_and_what_does_not_fit_is_counted() {
        let (mut told, _devices) = two_ends();
        for _ in 0..ROOM.0 + 5 {
            told.stored(batch("a"), Some(Written::default()), LeftOut::default());
        }
        assert_eq!(told.metrics.devices_missed.get(), 5);
        assert!(told.missed.load(Ordering::Relaxed));
        let (mut told, _devices) = two_ends();
        let long = "x".repeat(1 << 20);
        for _ in 0..10 {
            told.stored(batch(&long), Some(Written::default()), LeftOut::default());
        }
        assert_eq!(told.metrics.devices_missed.get(), 3, "seven of a MiB and a little fit into eight");
        // What was stored is not known.
        told.stored(batch("a"), None, LeftOut::default());
        assert_eq!(told.metrics.devices_missed.get(), 4);
    }

    #[tokio::test]
    async fn a_schema_that_does_not_fit_is_told_before_what_is_of_it() {
        let (mut told, devices) = two_ends();
        for _ in 0..ROOM.0 {
            told.stored(batch("a"), Some(Written::default()), LeftOut::default());
        }
        told.follow(&Schema::default());
        told.stored(batch("b"), Some(Written::default()), LeftOut::default());
        assert_eq!(told.metrics.devices_missed.get(), 1);
        let mut words = devices.unwrap().words;
        for _ in 0..2 {
            assert!(matches!(words.recv().await, Some(Word::Heard(_))));
        }
        told.stored(batch("b"), Some(Written::default()), LeftOut::default());
        for _ in 0..ROOM.0 - 2 {
            assert!(matches!(words.recv().await, Some(Word::Heard(_))));
        }
        assert!(matches!(words.recv().await, Some(Word::Schema(_))));
        assert!(matches!(words.recv().await, Some(Word::Heard(_))));
    }

    #[tokio::test]
    async fn a_schema_that_waits_to_be_told_never_comes_behind_a_newer_one() {
        let named = |name: &str| {
            let mut schema = Schema::default();
            schema.measurements.push(known::tests::measurement(name, &[]));
            schema
        };
        let (mut told, devices) = two_ends();
        let mut words = devices.unwrap().words;
        for _ in 0..ROOM.0 {
            told.stored(batch("a"), Some(Written::default()), LeftOut::default());
        }
        told.follow(&named("first"));
        assert!(told.schema.is_some(), "the channel is full");
        for _ in 0..ROOM.0 {
            assert!(matches!(words.recv().await, Some(Word::Heard(_))));
        }
        told.follow(&named("second"));
        told.stored(batch("b"), Some(Written::default()), LeftOut::default());
        drop(told);
        let Some(Word::Schema(schema)) = words.recv().await else { panic!("no schema was told") };
        assert_eq!(schema.measurements[0].name, "second");
        assert!(matches!(words.recv().await, Some(Word::Heard(_))));
        assert!(words.recv().await.is_none(), "the first one is of no more use");
    }
}
