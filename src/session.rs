//! The MQTT session: connect, subscribe, receive, acknowledge in order.
//!
//! rumqttc gives the packet codecs; the session over them is ours, because rumqttc's event loop acknowledges QoS 2 by
//! itself, keeps acknowledgements of a dead connection for the next, and makes a system call for each.
//!
//! - What outlives a connection (the ledger, what is in hand, what is subscribed) is here; what belongs to one dies
//!   with it as one value (`connection`).
//! - Acknowledgements come from the ledger alone, in the order of receipt, many in one write.
//! - Nothing here awaits the store: pings go on whatever it does. What was handed on and has no receipt is counted;
//!   at the limit reading stops, and TCP holds the broker.

mod connection;
pub mod dial;
mod hand;
mod leave;
pub mod ledger;
mod link;
mod listener;
mod presence;
mod probe;
mod publisher;
mod report;
mod subscriptions;
pub mod wire;

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::config::{self, Protocol, Secret};
use crate::message::{Clock, Message};
use crate::metrics::Metrics;
use crate::status::Status;
use crate::topic::{self, Subscription, TopicFilter};
use connection::{Connection, End, hand_on};
use link::{ConnectError, Link};
use subscriptions::Subscriptions;
use wire::{ConnAck, Refusal, Version};

pub use hand::{InHand, MAX_BYTES, MAX_MESSAGES, MAX_UNSETTLED, RECEIVE_MAXIMUM};
pub use leave::{Left, leave};
pub use listener::{Came, Listener};
pub use probe::probe;
pub use publisher::{Outbound, Publisher};

/// Bursts that the channel `out` must hold so that it is never full: each has one message at least, and QoS 0 and
/// QoS 1 and 2 have a limit each. (If it is full all the same, reading waits.)
pub const OUT_CAPACITY: usize = 2 * MAX_MESSAGES;

/// The first wait for a broker that is away, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// A connection that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(30);
/// A connection that was lost so soon after its CONNACK looks like somebody else's doing: clients that are thrown out
/// come back within a second.
const QUICK: Duration = Duration::from_secs(2);
/// So many of them in a row are taken for another process with our client identifier.
const QUICK_MAX: u32 = 5;

/// What the session needs to run.
pub struct Session {
    pub config: config::Broker,
    /// What the mappings want, now and as it changes.
    pub wanted: watch::Receiver<Wanted>,
    /// What the store remembers of an earlier configuration: the text that `subscribed` gave then.
    pub remembered: String,
    pub in_hand: Arc<InHand>,
    /// Capacity: [`OUT_CAPACITY`].
    pub out: mpsc::Sender<Vec<Message>>,
    /// Told the text to remember, whenever what is subscribed at the broker has changed, and on every connection.
    pub subscribed: watch::Sender<String>,
    /// The text that the store is known to have.
    pub written: watch::Receiver<String>,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub status: Arc<Status>,
    /// Cancelled: no further message is taken; what is in hand is waited for, acknowledged, then DISCONNECT.
    pub stop: CancellationToken,
    /// How long the graceful end may take.
    pub grace: Duration,
}

/// What the mappings want of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The session subscribes to the reduced set.
    pub subscriptions: Vec<Subscription>,
    /// Topics whose messages are stored again when they come again.
    pub stored_again: Vec<TopicFilter>,
    pub overlap: config::Overlap,
    /// Of the next connection.
    pub username: Option<String>,
    pub password: Option<Secret>,
}

impl Wanted {
    /// What is subscribed.
    fn reduced(&self) -> topic::Reduced {
        self.overlap.apply(topic::reduce(&self.subscriptions))
    }
}

/// Why a session ended unasked. (A broker that is away or refuses us is no reason: it is tried again.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// The receiver of `out` is gone.
    NobodyListens,
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody takes the messages any more")
    }
}

impl std::error::Error for SessionError {}

/// What outlives connections, in one value.
struct Run {
    session: Session,
    /// `None` once no further message will be handed on.
    out: Option<mpsc::Sender<Vec<Message>>>,
    /// A burst that `out` did not take yet. It outlives its connection: its messages are in hand.
    held: Vec<Message>,
    subscriptions: Subscriptions,
    stored_again: Vec<TopicFilter>,
    versions: Versions,
    backoff: Backoff,
    /// Whether the broker should know our session: it had one, or has granted a filter.
    has_session: bool,
    /// Connected was said, and nothing was subscribed since.
    is_connected_said: bool,
    /// Connections in a row that were lost at once.
    quick: u32,
    /// Messages of QoS 0 are being dropped.
    overloaded: bool,
    /// Filters that cross, to be warned of where copies cannot be told apart; empty once that is said.
    crossing: Vec<(TopicFilter, TopicFilter)>,
    /// It was said that acknowledgements are taken for confirmed.
    forgetful: bool,
    presence: presence::Wish,
    /// `online` was said on this connection, and no PUBACK has come.
    is_online_unanswered: bool,
    /// When it came.
    online_taken: Option<Instant>,
    /// Connections in a row that ended at once so.
    status_doubts: u32,
    /// It was said that the broker refuses our status.
    is_status_refused: bool,
    /// By QoS.
    received: [IntCounter; 3],
}

impl Session {
    /// Runs until `stop` is cancelled; returns after the graceful end.
    ///
    /// Not cancel safe: a message that was received and not handed on would stay unsettled.
    ///
    /// # Errors
    /// `NobodyListens` if the receiver of `out` is dropped before.
    pub async fn run(self) -> Result<(), SessionError> {
        let mut run = Run::new(self);
        loop {
            let stop = run.session.stop.clone();
            let attempt = tokio::select! { biased;
                () = stop.cancelled() => break,
                attempt = run.connect() => attempt,
            };
            let wait = match attempt {
                Ok((link, version, ack)) => {
                    run.connected(version, &ack);
                    let since = Instant::now();
                    match Connection::new(&mut run, link, version, &ack).serve().await {
                        End::Stopped => break,
                        End::NobodyListens => return Err(SessionError::NobodyListens),
                        End::Lost(lost) => {
                            let time = since.elapsed();
                            let is_the_line = run.is_the_line(version, time).await;
                            run.lost(&lost, time, is_the_line)
                        }
                    }
                }
                Err(error) => run.refused(error),
            };
            if !run.pause(wait).await? {
                break;
            }
        }
        run.hand_on_the_rest().await;
        Ok(())
    }
}

impl Run {
    fn new(mut session: Session) -> Self {
        let salt = RandomState::new().hash_one(session.config.client_id.as_str());
        let wanted = session.wanted.borrow_and_update().clone();
        let topic::Reduced { subscriptions, crossing } = wanted.reduced();
        let (subscriptions, result) = Subscriptions::new(subscriptions, &crossing, &session.remembered, salt);
        if let Err(error) = result {
            tracing::warn!(%error, "the remembered subscriptions cannot be read; an old one may stay at the broker");
        }
        // Taken out of the session, so that the channel is closed when `Run::out` is dropped.
        let out = std::mem::replace(&mut session.out, mpsc::channel(1).0);
        let received = ["0", "1", "2"].map(|qos| session.metrics.messages_received.with_label_values(&[qos]));
        Self {
            out: Some(out),
            held: Vec::new(),
            subscriptions,
            stored_again: wanted.stored_again,
            versions: Versions::new(session.config.protocol),
            backoff: Backoff::new(BACKOFF.0, BACKOFF.1),
            has_session: !session.remembered.is_empty(),
            is_connected_said: false,
            quick: 0,
            overloaded: false,
            crossing,
            forgetful: false,
            presence: presence::Wish::new(&session.config),
            is_online_unanswered: false,
            online_taken: None,
            status_doubts: 0,
            is_status_refused: false,
            received,
            session,
        }
    }

    /// One attempt.
    async fn connect(&mut self) -> Result<(Link<dial::Stream>, Version, ConnAck), ConnectError> {
        let version = self.versions.next;
        self.session.config.status = self.presence.is_wanted();
        // A broker that refuses the old password is never connected: the new one must not wait for that.
        let wanted = self.session.wanted.borrow().clone();
        (self.session.config.username, self.session.config.password) = (wanted.username, wanted.password);
        let (link, ack) = Link::connect(&self.session.config, version).await?;
        Ok((link, version, ack))
    }

    /// A CONNACK has come.
    fn connected(&mut self, version: Version, ack: &ConnAck) {
        self.versions.answered(version);
        self.want_what_is_new();
        self.will_was_taken();
        {
            let mut state = self.session.in_hand.lock();
            let dropped = state.ledger.connected(ack.session_present);
            state.announce((version == Version::V5).then_some(RECEIVE_MAXIMUM));
            self.session.in_hand.show(&state);
            if dropped > 0 {
                self.session.metrics.ledger_forgotten.inc_by(dropped as u64);
                tracing::error!(entries = dropped, "the ledger is full; the oldest entries were dropped");
            }
        }
        self.say_connected(version, ack);
        self.has_session = ack.session_present;
    }

    /// What was changed while there was no connection.
    fn want_what_is_new(&mut self) {
        if !self.session.wanted.has_changed().unwrap_or(false) {
            return;
        }
        let topic::Reduced { subscriptions, crossing } = self.take_wanted();
        self.subscriptions.want(subscriptions, &crossing);
        self.crossing = crossing;
    }

    /// What is wanted now, reduced.
    fn take_wanted(&mut self) -> topic::Reduced {
        let wanted = self.session.wanted.borrow_and_update().clone();
        self.stored_again.clone_from(&wanted.stored_again);
        wanted.reduced()
    }

    /// Whether, after so many connections that ended at once that it looks like somebody else's doing, one of another
    /// name does not hold either.
    async fn is_the_line(&self, version: Version, time: Duration) -> bool {
        let is_suspect = time < QUICK && self.quick + 1 >= QUICK_MAX;
        let holds = probe::holds(&self.session.config, version, QUICK);
        is_suspect && self.session.stop.run_until_cancelled(holds).await == Some(false)
    }

    /// Waits, and hands on meanwhile what is held; no longer once there is another user name or password to try.
    /// `false` if it is time to stop.
    async fn pause(&mut self, wait: Duration) -> Result<bool, SessionError> {
        let until = Instant::now() + wait;
        let (username, password) = (self.session.config.username.clone(), self.session.config.password.clone());
        // What is seen here is not seen by the session: the filters are still to be taken.
        let mut wanted = self.session.wanted.clone();
        loop {
            tokio::select! { biased;
                () = self.session.stop.cancelled() => return Ok(false),
                handed_on = hand_on(self.out.as_ref(), &mut self.held), if !self.held.is_empty() => {
                    if !handed_on {
                        return Err(SessionError::NobodyListens);
                    }
                }
                Ok(_) = wanted.wait_for(|wanted| wanted.username != username || wanted.password != password) => {
                    return Ok(true);
                }
                () = tokio::time::sleep_until(until) => return Ok(true),
            }
        }
    }

    /// At the end without a connection: what is held is in hand, and must come to rest.
    async fn hand_on_the_rest(mut self) {
        if !self.held.is_empty() {
            let rest = hand_on(self.out.as_ref(), &mut self.held);
            if tokio::time::timeout(self.session.grace, rest).await.is_err() {
                tracing::warn!("the grace period is over; what is not acknowledged comes again");
            }
        }
    }
}

/// Which version is spoken next. MQTT 5 first; 3.1.1 once the broker has refused it, remembered for the process.
#[derive(Debug)]
struct Versions {
    protocol: Protocol,
    next: Version,
    /// The broker has answered to `next`.
    is_known: bool,
}

impl Versions {
    fn new(protocol: Protocol) -> Self {
        let next = if protocol == Protocol::V311 { Version::V311 } else { Version::V5 };
        Self { protocol, next, is_known: false }
    }

    fn answered(&mut self, version: Version) {
        self.next = version;
        self.is_known = true;
    }

    /// An attempt failed; whether the other version is to be tried at once.
    fn failed(&mut self, error: &ConnectError) -> bool {
        if self.protocol != Protocol::Auto {
            return false;
        }
        let refused = matches!(error, ConnectError::Refused { refusal: Refusal::Version, .. });
        // Brokers that know no other version may close without a word; but so does a broker that is going down.
        let closed = matches!(error, ConnectError::Closed) && !self.is_known;
        match self.next {
            Version::V5 if refused || closed => {
                self.next = Version::V311;
                self.is_known = false;
                true
            }
            Version::V311 if !self.is_known || refused => {
                self.next = Version::V5;
                self.is_known = false;
                false
            }
            Version::V5 | Version::V311 => false,
        }
    }
}

#[cfg(test)]
mod tests;
