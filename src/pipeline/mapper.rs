//! Maps messages, gathers the outcomes while the store is busy, and swaps the mapping.
//!
//! The swap, step by step; nothing is mapped between the first and the last:
//!
//! 1. What is gathered is sealed and comes to rest: the store is free, and no row of the old mapping is under way.
//! 2. Delivery prepares the store for the new tables, and follows them; or says why not, and nothing has changed.
//! 3. The new mapping takes the place of the old one, and whoever follows what is in force is told.
//! 4. The session is told what is wanted of the broker. It comes last: no message of a new filter may meet the old
//!    mapping. What a filter that is gone has still brought meets the new one, and is ignored and counted.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::batch::Batch;
use crate::config::Overlap;
use crate::delivery::{Change, Sealed, Work};
use crate::ignored::IgnoredTopics;
use crate::in_force::{InForce, Order};
use crate::mapping::Mapping;
use crate::message::Message;
use crate::metrics::Metrics;
use crate::row::{Ignored, Mapped, Outcome, TimeSource};
use crate::session::{InHand, Wanted};
use crate::topic::Subscription;

/// So long nothing is mapped while a change waits for the store. One that takes longer may be away: what is ignored is
/// settled meanwhile, and the change waits for the next time that the store is free.
const HOLD: Duration = Duration::from_secs(2);
/// The same once a batch was written while the change waited: the store is slow, and there.
const HOLD_LONGER: Duration = Duration::from_secs(60);

/// The stage, with the mapping in force.
pub(super) struct Mapper {
    mapping: Mapping,
    under: Arc<InForce>,
    /// What the mappings ask for, where filters are merged into wider ones; else empty.
    unmerged: Vec<Subscription>,
    outlets: Outlets,
}

/// Whom it tells of what.
pub(super) struct Outlets {
    pub(super) in_hand: Arc<InHand>,
    pub(super) metrics: Arc<Metrics>,
    /// Told of messages that no mapping takes, or that have nothing in them.
    pub(super) ignored: Arc<IgnoredTopics>,
    /// Changes; `None` once there can be none any more.
    pub(super) orders: Option<mpsc::Receiver<Order>>,
    pub(super) in_force: watch::Sender<Arc<InForce>>,
    /// Of the session.
    pub(super) wanted: watch::Sender<Wanted>,
    pub(super) out: mpsc::Sender<Work>,
}

/// A change that waits for the store.
struct Waiting {
    order: Order,
    held_until: Instant,
}

impl Waiting {
    fn new(order: Order) -> Self {
        Self { order, held_until: Instant::now() + HOLD }
    }

    /// What had gathered is on its way. The next time that the store is free is the change's, or it would never be: with a
    /// store that takes longer than `HOLD` for each batch there is always another one.
    fn hold_longer(&mut self) {
        self.held_until = Instant::now() + HOLD_LONGER;
    }
}

/// What the mappings want of the broker.
pub(super) fn wanted(mapping: &Mapping, in_force: &InForce) -> Wanted {
    Wanted {
        subscriptions: mapping.subscriptions(),
        stored_again: mapping.stored_again(),
        overlap: in_force.config.broker.overlap,
        username: in_force.config.broker.username.clone(),
        password: in_force.config.broker.password.clone(),
    }
}

impl Mapper {
    pub(super) fn new(mapping: Mapping, outlets: Outlets) -> Self {
        let under = outlets.in_force.borrow().clone();
        Self { unmerged: unmerged(&mapping, &under), mapping, under, outlets }
    }

    /// Until `messages` closes; then the last batch leaves and the channel to delivery closes.
    pub(super) async fn run(mut self, mut messages: mpsc::Receiver<Vec<Message>>) {
        let store = Arc::new(Semaphore::new(1));
        let mut batch = Batch::default();
        let mut first_at = Instant::now();
        // Of a burst, what the batch had no room for.
        let mut burst = Vec::new().into_iter();
        let mut open = true;
        let mut waiting: Option<Waiting> = None;
        while open || burst.len() > 0 || !batch.is_empty() {
            // What is gathered is on its way, or there was nothing: the change is next.
            let is_next = batch.is_empty() && waiting.is_some();
            let held_until = waiting.as_ref().map(|waiting| waiting.held_until).filter(|_| is_next);
            let held_until = held_until.filter(|until| Instant::now() < *until);
            let may_map = held_until.is_none();
            if burst.len() > 0 && !batch.is_full() && may_map {
                if batch.is_empty() {
                    first_at = Instant::now();
                }
                self.take_in(&mut burst, &mut batch);
            }
            let interval = self.under.config.store.commit_interval;
            let is_urgent = !open || waiting.is_some() || batch.is_full() || self.window_half_full();
            let due = !batch.is_empty() && (is_urgent || first_at.elapsed() >= interval);
            let is_next = batch.is_empty() && waiting.is_some();
            let wait = held_until.unwrap_or(first_at + interval);
            tokio::select! {
                biased;
                permit = store.clone().acquire_owned(), if due || is_next => {
                    let Ok(permit) = permit else { return };
                    let goes_on = match waiting.take_if(|_| is_next) {
                        Some(Waiting { order, .. }) => self.change(order, permit).await,
                        None => {
                            if let Some(waiting) = &mut waiting {
                                waiting.hold_longer();
                            }
                            self.seal(std::mem::take(&mut batch), permit).await
                        }
                    };
                    if !goes_on {
                        return;
                    }
                }
                order = next_order(&mut self.outlets.orders), if open && waiting.is_none() => {
                    waiting = order.map(Waiting::new);
                }
                () = given_up(&mut waiting), if waiting.is_some() => waiting = None,
                next = messages.recv(), if open && burst.len() == 0 && !batch.is_full() && may_map => match next {
                    Some(next) => burst = next.into_iter(),
                    None => {
                        open = false;
                        waiting = None;
                    }
                },
                () = tokio::time::sleep_until(wait), if !may_map || (!batch.is_empty() && !due) => {}
                // Nothing to wait for: the burst that has just been taken in was ignored, every message of it.
                else => {}
            }
        }
    }

    /// Hands a batch on; whether somebody takes it.
    async fn seal(&self, batch: Batch, permit: OwnedSemaphorePermit) -> bool {
        let sealed = Sealed { batch, under: Arc::clone(&self.under), sealed_at: Instant::now(), permit };
        self.outlets.out.send(Work::Batch(sealed)).await.is_ok()
    }

    /// Steps 2 to 4, with a store that is free; whether somebody is there to take them.
    async fn change(&mut self, order: Order, permit: OwnedSemaphorePermit) -> bool {
        let Order { config, mapping, answer } = order;
        let next = InForce { number: self.under.number + 1, config, schema: mapping.schema().clone() };
        let next = Arc::new(next);
        let (told, fit) = oneshot::channel();
        let change = Change { next: Arc::clone(&next), permit, answer: told };
        if self.outlets.out.send(Work::Change(change)).await.is_err() {
            return false;
        }
        let Ok(fit) = fit.await else { return false };
        if fit.is_ok() {
            self.unmerged = unmerged(&mapping, &next);
            self.outlets.in_force.send_replace(Arc::clone(&next));
            self.outlets.wanted.send_replace(wanted(&mapping, &next));
            (self.mapping, self.under) = (mapping, next);
            self.outlets.ignored.forget();
        }
        // Whoever asked may have gone on to a newer one meanwhile; what is in force says the channel.
        drop(answer.send(fit));
        true
    }

    /// A broker that waits for acknowledgements sends no more: a batch must not wait for what cannot come.
    fn window_half_full(&self) -> bool {
        self.outlets.in_hand.unsettled() >= self.outlets.in_hand.window() / 2
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
            self.count(&message, &mapped);
            ignored.extend(batch.push(message, mapped));
        }
        if !ignored.is_empty() {
            self.outlets.in_hand.settle(&ignored, None);
        }
    }

    /// Whether a message comes only because filters are merged.
    fn is_merged_only(&self, topic: &str) -> bool {
        !self.unmerged.is_empty() && !self.unmerged.iter().any(|one| one.filter.matches(topic))
    }

    fn count(&self, message: &Message, mapped: &Mapped) {
        match &mapped.outcome {
            Outcome::Ignored(Ignored::Unmapped) if self.is_merged_only(&message.topic) => {
                self.outlets.metrics.messages_ignored.with_label_values(&["merged"]).inc();
            }
            Outcome::Ignored(reason) => self.count_ignored(message, *reason),
            Outcome::Rows { rows, .. } => {
                for row in rows {
                    let reason = match row.time_source {
                        TimeSource::Payload | TimeSource::Receipt => continue,
                        TimeSource::Absent => "absent",
                        TimeSource::Outside => "outside",
                    };
                    self.outlets.metrics.times_received.with_label_values(&[reason]).inc();
                }
            }
            Outcome::Rejected(_) => {}
        }
        for (measurement, rows) in &mapped.expired {
            let name = self.mapping.schema().measurements[*measurement].name.as_str();
            self.outlets.metrics.rows_expired.with_label_values(&[name]).inc_by(*rows);
        }
        for dropped in &mapped.dropped {
            self.outlets
                .metrics
                .fields_dropped
                .with_label_values(&[&dropped.mapping, &dropped.field])
                .inc_by(dropped.count);
        }
    }

    fn count_ignored(&self, message: &Message, reason: Ignored) {
        match reason {
            Ignored::Unmapped | Ignored::Empty => self.outlets.ignored.note(message, reason),
            // As the mapping says, or not for us: nobody looks for it.
            Ignored::Retained | Ignored::Status | Ignored::Expired => {}
        }
        self.outlets.metrics.messages_ignored.with_label_values(&[reason.word()]).inc();
    }
}

fn unmerged(mapping: &Mapping, in_force: &InForce) -> Vec<Subscription> {
    match in_force.config.broker.overlap {
        Overlap::Merge => mapping.subscriptions(),
        Overlap::Separate => Vec::new(),
    }
}

/// The next change; for ever without one if there can be none. Cancel safe.
pub(super) async fn next_order(orders: &mut Option<mpsc::Receiver<Order>>) -> Option<Order> {
    let Some(open) = orders else { return std::future::pending().await };
    let order = open.recv().await;
    if order.is_none() {
        *orders = None;
    }
    order
}

/// Waits until nobody waits for the answer. Cancel safe.
async fn given_up(waiting: &mut Option<Waiting>) {
    match waiting {
        Some(Waiting { order, .. }) => order.answer.closed().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::MAX_ROWS;
    use crate::config::Config;
    use crate::in_force::Unfit;
    use crate::message::{Qos, Time};
    use crate::session::ledger::Ledger;

    fn configuration(toml: &str) -> (Arc<Config>, Mapping) {
        let text = format!(
            "[broker]\nurl = \"mqtt://localhost\"\n[store]\nurl = \"sqlite:x.db\"\ncommit_interval = \"0s\"\n{toml}"
        );
        let config = crate::config::load_text("config.toml", &text, []).config.unwrap();
        let mapping = Mapping::new(&config.mappings).0.unwrap();
        (Arc::new(config), mapping)
    }

    fn mapper(toml: &str, orders: Option<mpsc::Receiver<Order>>, out: mpsc::Sender<Work>) -> Mapper {
        let (config, mapping) = configuration(toml);
        let metrics = Arc::new(Metrics::new());
        let in_force = InForce { number: 1, config, schema: mapping.schema().clone() };
        let outlets = Outlets {
            in_hand: Arc::new(InHand::new(Ledger::default(), metrics.clone())),
            metrics,
            ignored: Arc::default(),
            orders,
            wanted: watch::Sender::new(wanted(&mapping, &in_force)),
            in_force: watch::Sender::new(Arc::new(in_force)),
            out,
        };
        Mapper::new(mapping, outlets)
    }

    fn message(topic: &str, payload: String) -> Message {
        let received_at = Time(1_704_067_200_000_000);
        let (topic, payload) = (topic.into(), payload.into());
        Message { topic, payload, qos: Qos::AtMostOnce, retain: false, received_at, delivery: None, malformed: None }
    }

    /// Runs the mapper over one burst, with a store that takes no time.
    async fn batches(toml: &str, burst: Vec<Message>) -> Vec<Batch> {
        let (out, mut work) = mpsc::channel(1);
        let mapper = mapper(toml, None, out);
        let (messages, input) = mpsc::channel(1);
        messages.send(burst).await.unwrap();
        drop(messages);
        let mapper = tokio::spawn(mapper.run(input));
        let mut batches = Vec::new();
        while let Some(work) = work.recv().await {
            let Work::Batch(Sealed { batch, .. }) = work else { panic!("nobody has asked for a change") };
            batches.push(batch);
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

    /// Plays delivery: batches come to rest at once, and the store answers `fit` to a change. Gives for each batch the
    /// number of what it was made under and how many rows it has; 0 rows for the change itself.
    async fn play(mut work: mpsc::Receiver<Work>, fit: Result<(), Unfit>) -> Vec<(u64, usize)> {
        let mut played = Vec::new();
        while let Some(work) = work.recv().await {
            match work {
                Work::Batch(Sealed { batch, under, permit, .. }) => {
                    played.push((under.number, batch.rows.len()));
                    // The commit takes its time, and the next messages come meanwhile.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    drop(permit);
                }
                Work::Change(Change { next, permit, answer }) => {
                    played.push((next.number, 0));
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    answer.send(fit.clone()).unwrap();
                    drop(permit);
                }
            }
        }
        played
    }

    const WITH_V: &str = "[mapping.m]\ntopic = \"a\"\nfields = { v = \".\" }";
    const WITH_W: &str =
        "[mapping.n]\ntopic = \"a\"\nfields = { w = \".\" }\n[mapping.m]\ntopic = \"b\"\nfields = { v = \".\" }";

    /// A change under load; what came to rest, what was answered, and what is in force.
    async fn changed(fit: Result<(), Unfit>) -> (Vec<(u64, usize)>, Result<(), Unfit>, Arc<InForce>) {
        let (orders, input) = mpsc::channel(1);
        let (out, work) = mpsc::channel(1);
        let mapper = mapper(WITH_V, Some(input), out);
        let in_force = mapper.outlets.in_force.subscribe();
        let wanted = mapper.outlets.wanted.subscribe();
        let (messages, input) = mpsc::channel(1);
        let mapper = tokio::spawn(mapper.run(input));
        let delivery = tokio::spawn(play(work, fit.clone()));
        let send = async || {
            for _ in 0..20 {
                messages.send(vec![message("a", "1".into())]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        send().await;
        let (config, mapping) = configuration(WITH_W);
        let (answer, answered) = oneshot::channel();
        orders.send(Order { config, mapping, answer }).await.unwrap();
        send().await;
        let answered = answered.await.unwrap();
        assert_eq!(wanted.has_changed().unwrap(), fit.is_ok());
        send().await;
        drop(messages);
        mapper.await.unwrap();
        let now = in_force.borrow().clone();
        (delivery.await.unwrap(), answered, now)
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_comes_between_two_batches_and_no_message_is_lost_by_it() {
        let (played, answered, in_force) = changed(Ok(())).await;
        assert_eq!((answered, in_force.number, in_force.schema.measurements.len()), (Ok(()), 2, 2));
        assert_eq!(played.iter().map(|(_, rows)| rows).sum::<usize>(), 60, "{played:?}");
        let change = played.iter().position(|(_, rows)| *rows == 0).unwrap();
        assert!(change > 0 && change + 1 < played.len(), "{played:?}");
        assert!(played[..change].iter().all(|(number, _)| *number == 1), "{played:?}");
        assert!(played[change..].iter().all(|(number, _)| *number == 2), "{played:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_that_the_store_refuses_changes_nothing() {
        let unfit = Err(Unfit::Refused(vec!["`m.v` is text".to_owned()]));
        let (played, answered, in_force) = changed(unfit.clone()).await;
        assert_eq!((answered, in_force.number), (unfit, 1));
        assert_eq!(played.iter().map(|(_, rows)| rows).sum::<usize>(), 60, "{played:?}");
        assert!(played.iter().all(|(number, rows)| *number == 1 || *rows == 0), "{played:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_store_does_not_answer_messages_are_ignored_and_a_change_that_is_given_up_is_not_made() {
        let (orders, input) = mpsc::channel(1);
        let (out, mut work) = mpsc::channel(1);
        let mapper = mapper(WITH_V, Some(input), out);
        let ignored = mapper.outlets.metrics.messages_ignored.with_label_values(&["unmapped"]);
        let (messages, input) = mpsc::channel(1);
        let mapper = tokio::spawn(mapper.run(input));
        messages.send(vec![message("a", "1".into())]).await.unwrap();
        let Some(Work::Batch(held)) = work.recv().await else { panic!("no batch") };
        let (config, mapping) = configuration(WITH_W);
        let (answer, answered) = oneshot::channel();
        orders.send(Order { config, mapping, answer }).await.unwrap();
        messages.send(vec![message("c", "1".into())]).await.unwrap();
        let asked = Instant::now();
        while ignored.get() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert!(asked.elapsed() < 2 * HOLD, "the message is held for ever");
        }
        drop(answered);
        tokio::time::sleep(Duration::from_millis(10)).await;
        drop(held);
        messages.send(vec![message("a", "2".into())]).await.unwrap();
        let Some(Work::Batch(next)) = work.recv().await else { panic!("the change was made") };
        assert_eq!(next.under.number, 1);
        drop((next, messages));
        mapper.await.unwrap();
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
