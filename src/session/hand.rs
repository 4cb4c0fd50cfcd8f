//! What was received and is not at rest yet: the ledger behind one lock, and the counts that bound memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::ledger::{Admit, Ledger};
use crate::message::{Delivery, Key, Message, Qos};
use crate::metrics::Metrics;

/// Unsettled messages of QoS 1 and 2 at which the session stops reading: two batches and some to come. Brokers that
/// keep the window that is announced never reach it; those that do not would only fill memory.
pub const MAX_UNSETTLED: usize = 10_240;
/// Messages in hand of every QoS at which those of QoS 0 are dropped.
pub const MAX_MESSAGES: usize = 30_000;
/// Bytes in hand at which both happen.
pub const MAX_BYTES: usize = 32 << 20;
/// In bytes for QoS 0, which is dropped beyond it: both limits can be reached at a time, and what is in hand has copies
/// on its way into the store.
pub const MAX_BYTES_QOS_0: usize = MAX_BYTES / 2;
/// The Receive Maximum announced to MQTT 5 brokers: 200,000 messages/s at 20 ms a commit, and identifiers far from
/// their wrap.
pub const RECEIVE_MAXIMUM: u16 = 4_096;
/// What brokers allow that are told nothing (mosquitto's `max_inflight_messages`).
const USUAL_WINDOW: usize = 20;

/// What was received and is not at rest yet, shared by the session (which takes messages in and acknowledges)
/// and by those who settle them.
#[derive(Debug)]
pub struct InHand {
    state: Mutex<State>,
    settled: Notify,
    metrics: Arc<Metrics>,
}

/// What the lock guards.
#[derive(Debug)]
pub(super) struct State {
    pub(super) ledger: Ledger,
    /// QoS 1 and 2.
    unsettled: Count,
    /// QoS 0.
    unacknowledged: Count,
    /// When the unsettled of QoS 1 and 2 came, oldest first.
    bursts: VecDeque<Burst>,
    window: Window,
}

/// How much the broker sends before it waits.
#[derive(Debug)]
struct Window {
    size: usize,
    /// The Receive Maximum that MQTT 5 announced.
    announced: Option<usize>,
    /// In flight when the last batch settled, and how many batches in a row it was the same.
    peak: usize,
    same: u32,
    /// When messages came since the last batch settled: the first and the last of those with few in flight.
    received_at: Option<(Instant, Instant)>,
    /// What the last batch shows of the broker, until the next message comes.
    pause: Option<Pause>,
    /// Batches in a row at `peak` for which the broker waited.
    waited: u32,
}

/// A batch that ended with few in flight and with silence, longer than its messages took to come.
#[derive(Debug)]
struct Pause {
    settled_at: Instant,
    /// For how long nothing had come then.
    quiet: Duration,
}

/// So many batches in a row that find the same number in flight: the broker waits at it. MQTT 5 brokers keep to what
/// is announced, but many to a smaller limit of their own (EMQX 32, RabbitMQ 10), and do not say so.
const SAME_PEAKS: u32 = 3;

impl Window {
    fn new() -> Self {
        Self { size: USUAL_WINDOW, announced: None, peak: 0, same: 0, received_at: None, pause: None, waited: 0 }
    }

    fn announce(&mut self, announced: Option<usize>) {
        self.size = match (announced, self.announced) {
            (Some(announced), _) => announced,
            // The connection before was of MQTT 5, and this one is not.
            (None, Some(_)) => USUAL_WINDOW,
            (None, None) => self.size,
        };
        self.announced = announced;
        self.same = 0;
        self.waited = 0;
        self.pause = None;
    }

    /// A message has come.
    fn received(&mut self, in_flight: usize) {
        if in_flight <= USUAL_WINDOW {
            let now = Instant::now();
            self.received_at = Some((self.received_at.map_or(now, |(first, _)| first), now));
            if let Some(pause) = self.pause.take() {
                self.resumed(&pause, now);
            }
        }
        if in_flight > self.size {
            self.size = self.announced.unwrap_or(0).max(in_flight);
        }
    }

    /// A batch is settled, for which so many were in flight.
    fn settled(&mut self, in_flight: usize) {
        let is_same = in_flight == self.peak;
        self.same = if is_same { self.same + 1 } else { 1 };
        self.peak = in_flight;
        self.pause = self.received_at.take().filter(|_| in_flight <= USUAL_WINDOW).and_then(|(first, last)| {
            let settled_at = Instant::now();
            let quiet = settled_at - last;
            (quiet > last - first).then_some(Pause { settled_at, quiet })
        });
        if !is_same || self.pause.is_none() {
            self.waited = 0;
        }
        if self.same >= SAME_PEAKS && self.announced.is_some() {
            self.size = self.size.min(in_flight.max(USUAL_WINDOW));
        }
    }

    /// The first message after a batch has come. A broker that waits at a few is silent until they are acknowledged,
    /// and then sends more at once; one that has no more to send is as silent, but goes on being so.
    fn resumed(&mut self, pause: &Pause, now: Instant) {
        let waited = (now - pause.settled_at) * 2 < pause.quiet;
        self.waited = if waited { self.waited + 1 } else { 0 };
        if self.waited >= SAME_PEAKS {
            self.size = self.size.min(self.peak.max(1));
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    messages: usize,
    bytes: usize,
}

impl Count {
    fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes;
    }

    fn take(&mut self, bytes: usize) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// Deliveries that came together: their identities are consecutive, from `first` to before the next burst's.
#[derive(Debug)]
struct Burst {
    first: u64,
    unsettled: usize,
    /// By the monotonic clock: that of the system may be set meanwhile.
    received_at: Instant,
}

impl InHand {
    #[must_use]
    pub fn new(ledger: Ledger, metrics: Arc<Metrics>) -> Self {
        metrics.ledger_entries.set(gauge(ledger.len()));
        let state = State {
            ledger,
            unsettled: Count::default(),
            unacknowledged: Count::default(),
            bursts: VecDeque::new(),
            window: Window::new(),
        };
        Self { state: Mutex::new(state), settled: Notify::new(), metrics }
    }

    /// Settles messages: their counts are given back, the ledger learns `number` (of the batch; `None` for what is
    /// ignored), the session is woken.
    pub fn settle<'a>(&self, messages: impl IntoIterator<Item = &'a Message>, number: Option<i64>) {
        let mut state = self.lock();
        if number.is_some() {
            let in_flight = state.ledger.in_flight();
            state.window.settled(in_flight);
        }
        for message in messages {
            state.settle(message, number);
        }
        self.show(&state);
        drop(state);
        self.settled.notify_one();
    }

    /// The ledger as batch `number` must persist it, with the batch's own `deliveries`. Without deliveries: the
    /// ledger alone, under `number` of the last batch.
    #[must_use]
    pub fn snapshot(&self, deliveries: impl IntoIterator<Item = Delivery>, number: i64) -> Vec<u8> {
        self.lock().ledger.snapshot(deliveries, number)
    }

    /// Unsettled messages of QoS 1 and 2 at present.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.lock().unsettled.messages
    }

    /// How many messages of QoS 1 and 2 the broker sends at most before it waits for acknowledgements, as far as is
    /// known: what MQTT 5 announced, on 3.1.1 the most ever seen, at first 20; or less if the broker is seen to wait at
    /// less. At least 1.
    #[must_use]
    pub fn window(&self) -> usize {
        self.lock().window.size
    }

    /// Messages in hand, of every QoS.
    #[must_use]
    pub fn messages(&self) -> usize {
        let state = self.lock();
        state.unsettled.messages + state.unacknowledged.messages
    }

    /// When the oldest unsettled message of QoS 1 or 2 came.
    #[must_use]
    pub fn oldest_unsettled(&self) -> Option<Instant> {
        self.lock().bursts.front().map(|burst| burst.received_at)
    }

    /// Brings the gauges up to date, before they are read.
    pub fn observe(&self) {
        self.show(&self.lock());
        let age = self.oldest_unsettled().map_or(0.0, |oldest| oldest.elapsed().as_secs_f64());
        self.metrics.oldest_unsettled_seconds.set(age);
    }

    /// Waits until something was settled since the last call. Cancel safe; for one waiter.
    pub(super) async fn settled(&self) {
        self.settled.notified().await;
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    pub(super) fn show(&self, state: &State) {
        self.metrics.in_hand_messages.set(gauge(state.unsettled.messages + state.unacknowledged.messages));
        self.metrics.in_hand_bytes.set(gauge(state.unsettled.bytes + state.unacknowledged.bytes));
        self.metrics.ledger_entries.set(gauge(state.ledger.len()));
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl State {
    /// Bytes and messages of QoS 1 and 2 that may still be read; `None` at the limit.
    pub(super) fn room(&self) -> Option<(usize, usize)> {
        let messages = MAX_UNSETTLED.checked_sub(self.unsettled.messages).filter(|&messages| messages > 0)?;
        let bytes = MAX_BYTES.checked_sub(self.unsettled.bytes).filter(|&bytes| bytes > 0)?;
        Some((messages, bytes))
    }

    /// Whether one more message of QoS 0 may be taken. Those of QoS 1 and 2 count too, but not the other way round.
    pub(super) fn has_room_for_qos_0(&self) -> bool {
        self.unsettled.messages + self.unacknowledged.messages < MAX_MESSAGES
            && self.unsettled.bytes + self.unacknowledged.bytes < MAX_BYTES_QOS_0
    }

    /// Whether an overload is over, with some distance to the next.
    pub(super) fn is_half_empty(&self) -> bool {
        self.unsettled.messages + self.unacknowledged.messages < MAX_MESSAGES / 2
            && self.unsettled.bytes + self.unacknowledged.bytes < MAX_BYTES_QOS_0 / 2
    }

    /// Asks the ledger about a PUBLISH of QoS 1 or 2. `again`: it is stored again when it comes again.
    pub(super) fn publish(&mut self, key: Key, dup: bool, retain: bool, again: bool) -> Admit {
        let admit =
            if again { self.ledger.publish_again(key, dup, retain) } else { self.ledger.publish(key, dup, retain) };
        self.window.received(self.ledger.in_flight());
        admit
    }

    /// Takes a message in hand that came at `now`.
    pub(super) fn take(&mut self, message: &Message, now: Instant) {
        let Some(delivery) = message.delivery else {
            self.unacknowledged.add(message.bytes());
            return;
        };
        self.unsettled.add(message.bytes());
        match self.bursts.back_mut() {
            // Times within a tenth of a second are told together.
            Some(burst) if now.duration_since(burst.received_at).as_millis() < 100 => burst.unsettled += 1,
            _ => self.bursts.push_back(Burst { first: delivery.id, unsettled: 1, received_at: now }),
        }
    }

    fn settle(&mut self, message: &Message, number: Option<i64>) {
        let Some(delivery) = message.delivery else {
            debug_assert_eq!(message.qos, Qos::AtMostOnce);
            self.unacknowledged.take(message.bytes());
            return;
        };
        self.unsettled.take(message.bytes());
        self.ledger.settle(delivery, number);
        let after = self.bursts.partition_point(|burst| burst.first <= delivery.id);
        if let Some(burst) = after.checked_sub(1).and_then(|position| self.bursts.get_mut(position)) {
            burst.unsettled = burst.unsettled.saturating_sub(1);
        }
        while self.bursts.front().is_some_and(|burst| burst.unsettled == 0) {
            self.bursts.pop_front();
        }
    }

    /// What a new connection has announced: MQTT 5 only.
    pub(super) fn announce(&mut self, receive_maximum: Option<u16>) {
        self.window.announce(receive_maximum.map(usize::from));
    }
}
