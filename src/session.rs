//! The MQTT session: connect, subscribe, receive, acknowledge in order.
pub mod dial;
pub mod ledger;
pub mod wire;

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::message::{Clock, Delivery, Message};
use crate::metrics::Metrics;
use crate::status::Status;
use crate::topic::Subscription;

/// What was received and is not at rest yet, shared by the session (which takes messages in and acknowledges)
/// and by those who settle them. Holds the ledger and the counts that bound memory.
#[derive(Debug)]
pub struct InHand {}

#[expect(unused_variables, reason = "contract")]
impl InHand {
    pub fn new(ledger: ledger::Ledger, metrics: Arc<Metrics>) -> Self {
        Self {}
    }
    /// Settles messages: counts are given back, the ledger learns `number` (of the batch; `None` for ignored ones), the session is woken.
    pub fn settle(&self, messages: &[Message], number: Option<i64>) {}
    /// The ledger as batch `number` must persist it, with the batch's own `deliveries` (facts-ledger 3, row 12).
    pub fn snapshot(&self, deliveries: impl IntoIterator<Item = Delivery>, number: i64) -> Vec<u8> {
        Vec::new()
    }
    /// Unsettled QoS 1 and 2 messages at present, and the window they may fill.
    pub fn unsettled(&self) -> usize {
        0
    }
    pub fn window(&self) -> usize {
        0
    }
    pub fn messages(&self) -> usize {
        0
    }
}

/// What the session needs to run.
pub struct Session {
    pub config: config::Broker,
    pub subscriptions: Vec<Subscription>,
    /// What the store remembers of an earlier configuration: the text that `subscribed` gave then.
    pub remembered: String,
    pub in_hand: Arc<InHand>,
    pub out: mpsc::Sender<Vec<Message>>,
    /// Told the text to remember, whenever what is subscribed at the broker has changed.
    pub subscribed: tokio::sync::watch::Sender<String>,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub status: Arc<Status>,
    /// Cancelled: no further message is taken; what is in hand is waited for, acknowledged, then DISCONNECT.
    pub stop: CancellationToken,
    /// How long the graceful end may take.
    pub grace: std::time::Duration,
}
