//! The line `session → mapping → batch → delivery → store`, started, joined and stopped. Alone in knowing all stages.
//!
//! Every task has a name and is awaited here; the first to end unasked, a panic included, stops the service.
//! Stopping goes in the order of the flow: the session takes no further message and closes its channel, what is in
//! hand is mapped and committed, the session acknowledges it and disconnects. What that leaves undone when the grace
//! period ends comes again from the broker.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::batch::Batch;
use crate::config::{Config, Overlap};
use crate::delivery::{Delivery, OldRejects, Sealed};
use crate::mapping::Mapping;
use crate::message::{Clock, Message};
use crate::metrics::Metrics;
use crate::row::{Ignored, Mapped, Outcome, TimeSource};
use crate::session::ledger::Ledger;
use crate::session::{InHand, OUT_CAPACITY, Session};
use crate::status::Status;
use crate::store::Store;
use crate::topic::Subscription;

/// How long a graceful end may take; below the ten seconds after which Docker kills.
pub const GRACE: Duration = Duration::from_secs(8);

/// A stage ends so soon after the one it waits for: `delivery` takes up to a second to leave the store.
const NEIGHBOUR: Duration = Duration::from_secs(3);

/// What the service shows of itself, shared with `http`.
#[derive(Clone)]
pub struct Face {
    pub metrics: Arc<Metrics>,
    pub status: Arc<Status>,
}

impl Face {
    #[must_use]
    pub fn new() -> Self {
        Self { metrics: Arc::new(Metrics::new()), status: Arc::new(Status::new()) }
    }
}

impl Default for Face {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs the line until `stop` is cancelled, then ends it gracefully.
///
/// # Errors
/// The first stage that ended unasked, and why.
pub async fn run(
    config: &Config,
    mapping: Mapping,
    face: Face,
    clock: Clock,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Face { metrics, status } = face;
    let owner = i64::from_ne_bytes(RandomState::new().hash_one(clock().0).to_ne_bytes());
    let store = Store::new(&config.store, &config.broker.client_id, owner);
    let opened = Delivery::open(store, mapping.schema(), &config.rejects, metrics.clone(), status.clone());
    let (delivery, adopted) = tokio::select! {
        opened = opened => opened?,
        () = stop.cancelled() => return Ok(()),
    };
    let ledger = Ledger::load(&adopted.packets).context("store")?;
    let in_hand = Arc::new(InHand::new(ledger, metrics.clone()));

    // The count in hand bounds what is in this channel, not its capacity: a burst holds one message or more.
    let (session_out, mapping_in) = mpsc::channel(OUT_CAPACITY);
    let (batch_out, delivery_in) = mpsc::channel(1);
    let (subscribed, subscribed_now) = watch::channel(adopted.filters.clone());
    let subscriptions = mapping.subscriptions();
    let session = Session {
        config: config.broker.clone(),
        subscriptions: subscriptions.clone(),
        stored_again: mapping.stored_again(),
        remembered: adopted.filters,
        in_hand: in_hand.clone(),
        out: session_out,
        subscribed,
        clock,
        metrics: metrics.clone(),
        status: status.clone(),
        stop: stop.clone(),
        grace: GRACE,
    };
    let mapper = Mapper {
        mapping,
        in_hand: in_hand.clone(),
        metrics: metrics.clone(),
        commit_interval: config.store.commit_interval,
        unmerged: if config.broker.overlap == Overlap::Merge { subscriptions.clone() } else { Vec::new() },
        out: batch_out,
    };

    let old_rejects = OldRejects::new(&config.store, &config.rejects, clock, metrics.clone(), delivery.reject_bytes());

    let mut stages: JoinSet<(&'static str, anyhow::Result<()>)> = JoinSet::new();
    stages.spawn(async move { ("session", session.run().await.map_err(Into::into)) });
    stages.spawn(async move {
        mapper.run(mapping_in).await;
        ("mapping", Ok(()))
    });
    let observed = in_hand.clone();
    let end = stop.clone();
    stages.spawn(async move {
        observe(&observed, end).await;
        ("gauges", Ok(()))
    });
    let end = stop.clone();
    stages.spawn(async move {
        old_rejects.run(end).await;
        ("rejects", Ok(()))
    });
    let counted = in_hand.clone();
    stages.spawn(
        async move { ("delivery", delivery.run(counted, delivery_in, subscribed_now).await.map_err(Into::into)) },
    );
    let result = join(stages, &stop).await;
    let left = in_hand.messages();
    if left > 0 {
        warn!(messages = left, "ended with messages in hand; those of QoS 1 and 2 come again from the broker");
    }
    result
}

/// Waits for all stages. Before `stop` none may end; after it they have the grace period.
async fn join(mut stages: JoinSet<(&'static str, anyhow::Result<()>)>, stop: &CancellationToken) -> anyhow::Result<()> {
    let first = tokio::select! {
        ended = stages.join_next() => ended,
        () = stop.cancelled() => None,
    };
    if let Some(ended) = first {
        let (stage, result) = ended.context("a stage panicked")?;
        result?;
        // A stage that is quick to obey may be seen before the order.
        if !stop.is_cancelled() {
            // It may have ended because its neighbour has, and be seen first; the reason is the neighbour's.
            while let Ok(Some(ended)) = tokio::time::timeout(NEIGHBOUR, stages.join_next()).await {
                ended.context("a stage panicked")?.1?;
            }
            anyhow::bail!("the stage `{stage}` ended unasked");
        }
    }
    info!("stopping: storing what is in hand");
    let deadline = Instant::now() + GRACE + Duration::from_secs(1);
    loop {
        match tokio::time::timeout_at(deadline, stages.join_next()).await {
            Ok(Some(ended)) => {
                let (stage, result) = ended.context("a stage panicked")?;
                result?;
                debug!(stage, "ended");
            }
            Ok(None) => return Ok(()),
            Err(_) => {
                warn!("the grace period is over");
                return Ok(());
            }
        }
    }
}

/// Keeps the gauges of what is in hand up to date, for whoever scrapes.
async fn observe(in_hand: &InHand, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        in_hand.observe();
    }
}

/// Maps messages and gathers the outcomes while the store is busy.
struct Mapper {
    mapping: Mapping,
    in_hand: Arc<InHand>,
    metrics: Arc<Metrics>,
    commit_interval: Duration,
    /// What the mappings ask for, where filters are merged into wider ones; else empty.
    unmerged: Vec<Subscription>,
    out: mpsc::Sender<Sealed>,
}

impl Mapper {
    /// Until `messages` closes; then the last batch leaves and the channel to delivery closes.
    async fn run(self, mut messages: mpsc::Receiver<Vec<Message>>) {
        let store = Arc::new(Semaphore::new(1));
        let mut batch = Batch::default();
        let mut first_at = Instant::now();
        // Of a burst, what the batch had no room for.
        let mut burst = Vec::new().into_iter();
        let mut open = true;
        while open || burst.len() > 0 || !batch.is_empty() {
            if burst.len() > 0 && !batch.is_full() {
                if batch.is_empty() {
                    first_at = Instant::now();
                }
                self.take_in(&mut burst, &mut batch);
            }
            let due = !batch.is_empty()
                && (!open || batch.is_full() || self.window_half_full() || first_at.elapsed() >= self.commit_interval);
            let wait = first_at + self.commit_interval;
            tokio::select! {
                biased;
                permit = store.clone().acquire_owned(), if due => {
                    let Ok(permit) = permit else { return };
                    let sealed = Sealed { batch: std::mem::take(&mut batch), sealed_at: Instant::now(), permit };
                    if self.out.send(sealed).await.is_err() {
                        return;
                    }
                }
                next = messages.recv(), if open && burst.len() == 0 && !batch.is_full() => match next {
                    Some(next) => burst = next.into_iter(),
                    None => open = false,
                },
                () = tokio::time::sleep_until(wait), if !batch.is_empty() && !due => {}
                // Nothing to wait for: the burst that has just been taken in was ignored, every message of it.
                else => {}
            }
        }
    }

    /// A broker that waits for acknowledgements sends no more: a batch must not wait for what cannot come.
    fn window_half_full(&self) -> bool {
        self.in_hand.unsettled() >= self.in_hand.window() / 2
    }

    /// Maps messages of `burst` until the batch is full: one message may give thousands of rows.
    fn take_in(&self, burst: &mut std::vec::IntoIter<Message>, batch: &mut Batch) {
        let mut ignored = Vec::new();
        while !batch.is_full()
            && let Some(mut message) = burst.next()
        {
            // A clock that is set back is obeyed with the next batch: within one, order of receipt is order of time.
            message.received_at = batch.last_at().map_or(message.received_at, |last| last.max(message.received_at));
            let mapped = self.mapping.map(&message);
            self.count(&message.topic, &mapped);
            ignored.extend(batch.push(message, mapped));
        }
        if !ignored.is_empty() {
            self.in_hand.settle(&ignored, None);
        }
    }

    /// Whether a message comes only because filters are merged.
    fn is_merged_only(&self, topic: &str) -> bool {
        !self.unmerged.is_empty() && !self.unmerged.iter().any(|one| one.filter.matches(topic))
    }

    fn count(&self, topic: &str, mapped: &Mapped) {
        match &mapped.outcome {
            Outcome::Ignored(Ignored::Unmapped) if self.is_merged_only(topic) => {
                self.metrics.messages_ignored.with_label_values(&["merged"]).inc();
            }
            Outcome::Ignored(reason) => self.count_ignored(*reason),
            Outcome::Rows { rows, .. } => {
                for row in rows {
                    let reason = match row.time_source {
                        TimeSource::Payload | TimeSource::Receipt => continue,
                        TimeSource::Absent => "absent",
                        TimeSource::Outside => "outside",
                    };
                    self.metrics.times_received.with_label_values(&[reason]).inc();
                }
            }
            Outcome::Rejected(_) => {}
        }
        for dropped in &mapped.dropped {
            self.metrics.fields_dropped.with_label_values(&[&dropped.mapping, &dropped.field]).inc_by(dropped.count);
        }
    }

    fn count_ignored(&self, reason: Ignored) {
        self.metrics.messages_ignored.with_label_values(&[reason.word()]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::MAX_ROWS;
    use crate::message::{Qos, Time};

    fn mapping(toml: &str) -> Mapping {
        let text = format!("[broker]\nurl = \"mqtt://localhost\"\n[store]\nurl = \"sqlite:x.db\"\n{toml}");
        let loaded = crate::config::load_text("config.toml", &text, []);
        Mapping::new(&loaded.config.unwrap().mappings).0.unwrap()
    }

    fn message(topic: &str, payload: String) -> Message {
        let received_at = Time(1_704_067_200_000_000);
        let (topic, payload) = (topic.into(), payload.into());
        Message { topic, payload, qos: Qos::AtMostOnce, retain: false, received_at, delivery: None, malformed: None }
    }

    /// Runs the mapper over one burst, with a store that takes no time.
    async fn batches(toml: &str, burst: Vec<Message>) -> Vec<Batch> {
        let metrics = Arc::new(Metrics::new());
        let in_hand = Arc::new(InHand::new(Ledger::default(), metrics.clone()));
        let (out, mut sealed) = mpsc::channel(1);
        let mapper = Mapper {
            mapping: mapping(toml),
            in_hand,
            metrics,
            commit_interval: Duration::ZERO,
            unmerged: Vec::new(),
            out,
        };
        let (messages, input) = mpsc::channel(1);
        messages.send(burst).await.unwrap();
        drop(messages);
        let mapper = tokio::spawn(mapper.run(input));
        let mut batches = Vec::new();
        while let Some(Sealed { batch, permit, .. }) = sealed.recv().await {
            batches.push(batch);
            drop(permit);
        }
        mapper.await.unwrap();
        batches
    }

    #[tokio::test]
    async fn a_batch_is_bounded_though_every_message_of_a_burst_gives_thousands_of_rows() {
        let array = format!("[{}1]", "1,".repeat(2_999));
        let burst = (0..10).map(|_| message("a", array.clone())).collect();
        let toml = "[mapping.m]\ntopic = \"a\"\nrows = \"[{i}]\"\nfields = { v = \".\" }";
        let rows: Vec<usize> = batches(toml, burst).await.iter().map(|batch| batch.rows.len()).collect();
        assert_eq!(rows.iter().sum::<usize>(), 30_000);
        assert!(rows.iter().all(|rows| *rows < MAX_ROWS + 3_000), "{rows:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_reason_is_that_of_the_stage_that_failed_though_its_neighbour_is_seen_first() {
        let mut stages: JoinSet<(&'static str, anyhow::Result<()>)> = JoinSet::new();
        stages.spawn(async { ("mapping", Ok(())) });
        stages.spawn(async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            ("delivery", Err(anyhow::anyhow!("fenced off")))
        });
        stages.spawn(async { std::future::pending().await });
        let error = join(stages, &CancellationToken::new()).await.unwrap_err();
        assert_eq!(error.to_string(), "fenced off");

        let mut stages: JoinSet<(&'static str, anyhow::Result<()>)> = JoinSet::new();
        stages.spawn(async { ("mapping", Ok(())) });
        stages.spawn(async { std::future::pending().await });
        let error = join(stages, &CancellationToken::new()).await.unwrap_err();
        assert_eq!(error.to_string(), "the stage `mapping` ended unasked");
    }

    #[tokio::test]
    async fn a_burst_of_which_all_is_ignored_makes_no_batch() {
        let burst = (0..10).map(|_| message("b", "1".into())).collect();
        assert!(batches("[mapping.m]\ntopic = \"a\"\nfields = [\"v\"]", burst).await.is_empty());
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_moves_no_time_of_receipt_backwards_within_a_batch() {
        let seconds = [0, 5, -3_600, -3_599, 6, -7_200];
        let burst = seconds.iter().map(|seconds| {
            let message = message("a", "1".into());
            Message { received_at: Time(message.received_at.0 + seconds * 1_000_000), ..message }
        });
        let batches = batches("[mapping.m]\ntopic = \"a\"\nfields = { v = \".\" }", burst.collect()).await;
        let [batch] = &batches[..] else { panic!("{} batches", batches.len()) };
        let seconds = |time: Time| (time.0 - 1_704_067_200_000_000) / 1_000_000;
        let received: Vec<i64> = batch.messages.iter().map(|message| seconds(message.received_at)).collect();
        assert_eq!(received, [0, 5, 5, 5, 6, 6]);
        let times: Vec<i64> = batch.rows.iter().map(|(_, row)| seconds(row.time)).collect();
        assert_eq!(times, received, "the row is of the same time as its message");
    }
}
