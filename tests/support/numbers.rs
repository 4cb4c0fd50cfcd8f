//! Numbered messages: published without a pause while something breaks, and looked for afterwards, each exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use amber::message::Qos;

use super::binary::Amber;
use super::client::Publisher;
use super::home::Home;
use super::{Random, equal, eventually_within};

/// Where they are published; the last level is the device.
pub const TOPIC: &str = "n/1";

/// `n/1` `{"n":1}`
const MAPPING: &str = "\n[mapping.numbers]\ntopic = \"n/{device}\"\nfields = { n = { type = \"int\" } }\n";

/// Numbers from here on are no load's.
pub const SENTINEL: u64 = 1_000_000_000;

/// How long the broker's queue may take to be drained.
const DRAINED: Duration = Duration::from_secs(120);

/// Settings for a broker and a store, with further lines of `[broker]`; mappings follow. Batches leave at once.
pub fn settings(broker: &str, store: &str, lines: &str) -> String {
    format!("[broker]\nurl = \"{broker}\"\n{lines}\n[store]\nurl = \"{store}\"\ncommit_interval = \"0s\"\n")
}

/// The same with the mapping of the numbers, at QoS 2 unless published lower.
pub fn config(broker: &str, store: &str, lines: &str) -> String {
    settings(broker, store, &format!("qos = 2\n{lines}")) + MAPPING
}

/// Publishes from a thread of its own until it is ended, over a broker's restarts too.
pub struct Load {
    stop: mpsc::Sender<()>,
    count: Arc<AtomicU64>,
    thread: JoinHandle<Sent>,
}

/// What became of the numbers at the broker.
#[derive(Debug, Default)]
pub struct Sent {
    pub acknowledged: BTreeSet<u64>,
    /// The connection was lost before the acknowledgement came: the broker has them, or not.
    pub unknown: BTreeSet<u64>,
}

impl Sent {
    /// What two loads have sent.
    pub fn and(mut self, mut other: Self) -> Self {
        self.acknowledged.append(&mut other.acknowledged);
        self.unknown.append(&mut other.unknown);
        self
    }

    /// All of a range.
    pub fn all(numbers: std::ops::Range<u64>) -> Self {
        Self { acknowledged: numbers.collect(), unknown: BTreeSet::new() }
    }
}

impl Load {
    /// Up to 20 numbers at a time, of QoS 1 and 2 in turns of chance, with `pause` in between.
    pub fn start(port: u16, pause: Duration) -> Self {
        Self::route(port, pause, "load", 0, |_| TOPIC.to_owned())
    }

    /// The same from `first` on, by a client of another name, each number to its `topic`.
    pub fn route(
        port: u16,
        pause: Duration,
        client: &str,
        first: u64,
        topic: impl Fn(u64) -> String + Send + 'static,
    ) -> Self {
        let client = client.to_owned();
        let (stop, stopped) = mpsc::channel();
        let count = Arc::new(AtomicU64::new(0));
        let counting = Arc::clone(&count);
        let thread = std::thread::spawn(move || {
            let mut random = Random(u64::from(port));
            let mut sent = Sent::default();
            let mut publisher = None;
            let mut next = first;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let Some(to) = publisher.as_mut() else {
                    publisher = Publisher::try_connect(port, &client).ok();
                    continue;
                };
                let numbers: Vec<u64> = (next..next + random.between(1, 21)).collect();
                next += numbers.len() as u64;
                let qos = if random.between(0, 2) == 0 { Qos::AtLeastOnce } else { Qos::ExactlyOnce };
                let messages = numbers.iter().map(|&n| (topic(n), payload(n)));
                if let Err(lost) = to.try_publish_all(qos, messages) {
                    sent.unknown.extend(lost.positions.iter().map(|&position| numbers[position]));
                    publisher = None;
                }
                sent.acknowledged.extend(numbers.iter().filter(|n| !sent.unknown.contains(n)));
                counting.store(sent.acknowledged.len() as u64, Ordering::Relaxed);
            }
            sent
        });
        Self { stop, count, thread }
    }

    /// Acknowledged by the broker so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits until the broker has acknowledged `more` than now.
    #[track_caller]
    pub fn wait_for(&self, more: u64) {
        let wanted = self.count() + more;
        super::eventually("the load goes on", || {
            let count = self.count();
            if count >= wanted { Ok(()) } else { Err(format!("{count} of {wanted}")) }
        });
    }

    #[track_caller]
    pub fn end(self) -> Sent {
        drop(self.stop);
        self.thread.join().expect("the load does not panic")
    }
}

/// Lets Amber come to rest and live once more, and asserts that every number that the broker has acknowledged is stored
/// exactly once. Returns how many there were.
#[track_caller]
pub fn assert_exactly_once(sent: &Sent, port: u16, amber: &mut Amber, home: &Home) -> usize {
    come_to_rest(port, amber, home);
    assert_stored_once(sent, home)
}

/// The same of an Amber that has come to rest.
#[track_caller]
pub fn assert_stored_once(sent: &Sent, home: &Home) -> usize {
    let stored = stored(home);
    let expected = |n: &u64| sent.acknowledged.contains(n) || sent.unknown.contains(n) || *n >= SENTINEL;
    let lost: Vec<u64> = sent.acknowledged.iter().copied().filter(|n| !stored.contains_key(n)).collect();
    let twice: Vec<(&u64, &u64)> = stored.iter().filter(|&(_, &count)| count != 1).collect();
    let foreign: Vec<&u64> = stored.keys().filter(|n| !expected(n)).collect();
    assert!(
        lost.is_empty() && twice.is_empty() && foreign.is_empty(),
        "of {} messages {} are lost: {lost:?}; {} are there more than once: {twice:?}; {foreign:?} nobody has sent",
        sent.acknowledged.len(),
        lost.len(),
        twice.len(),
    );
    sent.acknowledged.len()
}

/// What waits at the broker comes in order: behind a last message nothing is left. One more life, and what was not
/// acknowledged properly would come again.
#[track_caller]
pub fn come_to_rest(port: u16, amber: &mut Amber, home: &Home) {
    come_to_rest_on(TOPIC, port, amber, home, SENTINEL);
}

/// The same of an Amber that listens to another topic; two numbers from `sentinel` on are the last ones.
#[track_caller]
pub fn come_to_rest_on(topic: &str, port: u16, amber: &mut Amber, home: &Home, sentinel: u64) {
    publish_last(topic, port, home, sentinel);
    let status = amber.terminate();
    assert!(status.success(), "{status}");
    amber.start();
    publish_last(topic, port, home, sentinel + 1);
}

/// Publishes one message behind all others, and waits until it is stored.
#[track_caller]
fn publish_last(topic: &str, port: u16, home: &Home, n: u64) {
    Publisher::connect(port, "last").publish(topic, payload(n), Qos::AtLeastOnce);
    let found = format!("select count(*) from {} where n = {n}", home.view("numbers"));
    let mut sql = home.sql();
    eventually_within(DRAINED, "the last message is stored", || equal(sql.number(&found), 1));
}

/// Every number in the store, and how often it is there.
#[track_caller]
pub fn stored(home: &Home) -> BTreeMap<u64, u64> {
    let rows = home.sql().rows(&format!("select n, count(*) from {} group by n", home.view("numbers"))).unwrap();
    let number = |value: &Option<String>| value.as_deref().unwrap().parse().unwrap();
    rows.iter().map(|row| (number(&row[0]), number(&row[1]))).collect()
}

fn payload(n: u64) -> Vec<u8> {
    format!("{{\"n\":{n}}}").into_bytes()
}
