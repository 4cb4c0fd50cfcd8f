//! A connection that only listens, at QoS 0: for `amber discover`.
//!
//! Its dialer, handshake and versions are those of the service. Its client identifier is drawn by lot, its session ends
//! with the connection and it has no will, so that nothing of it stays at the broker and no Amber that runs is
//! disturbed. It acknowledges nothing, for there is nothing to acknowledge at QoS 0, and does not come back by itself.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::dial::Stream;
use super::link::{self, Link};
use super::probe::{connect, disconnect, why};
use super::wire::{self, Packet, Retained, reason};
use super::{Versions, config};
use crate::message::{Clock, Malformed, Message, Qos};
use crate::topic::{Subscription, TopicFilter};

/// How long the broker may take for our DISCONNECT.
const GOODBYE: Duration = Duration::from_secs(1);

/// What came.
#[derive(Debug)]
pub enum Came {
    Message(Message),
    /// The broker does not let us hear what the filter takes; why, for people.
    Refused(TopicFilter, String),
    /// It has answered for all filters.
    Subscribed,
}

/// One connection to the broker.
pub struct Listener {
    link: Link<Stream>,
    filters: Vec<TopicFilter>,
    /// What was answered and not yet given.
    answers: Vec<Came>,
    keep_alive: Duration,
    /// When something came last, and when we have said something last.
    heard: Instant,
    spoken: Instant,
}

impl Listener {
    /// Connects in the version that the broker speaks, and asks for all that `filters` take, retained messages
    /// included. A filter that another covers is left out, so that brokers do not send a message for each.
    ///
    /// # Errors
    /// Why there is no connection, and what to do, as the service would say it.
    pub async fn connect(broker: &config::Broker, filters: &[TopicFilter]) -> Result<Self, String> {
        let lot = RandomState::new().hash_one("amber-discover");
        let broker = config::Broker {
            client_id: format!("amber-discover-{:08x}", lot >> 32),
            session_expiry: Duration::ZERO,
            status: false,
            ..broker.clone()
        };
        let (mut link, ack) =
            connect(&broker, &mut Versions::new(broker.protocol)).await.map_err(|error| why(error, &broker))?;
        let theirs = ack.server_keep_alive.filter(|&seconds| seconds > 0).map(u64::from).map(Duration::from_secs);
        let covered = |filter: &TopicFilter| filters.iter().any(|other| other != filter && other.covers(filter));
        let mut kept: Vec<TopicFilter> = filters.iter().filter(|filter| !covered(filter)).cloned().collect();
        kept.dedup();
        let subscription = |filter: &TopicFilter| {
            (Subscription { filter: filter.clone(), qos: Qos::AtMostOnce, retained: true }, Retained::Always)
        };
        let subscriptions: Vec<_> = kept.iter().map(subscription).collect();
        let subscriptions = subscriptions.iter().map(|(subscription, retained)| (subscription, *retained));
        link.writer.outgoing.subscribe(1, None, subscriptions);
        link.writer.flush().await.map_err(|error| error.to_string())?;
        Ok(Self {
            link,
            filters: kept,
            answers: Vec::new(),
            keep_alive: theirs.map_or(broker.keep_alive, |theirs| theirs.min(broker.keep_alive)),
            heard: Instant::now(),
            spoken: Instant::now(),
        })
    }

    /// Waits for what comes next, and keeps the connection alive meanwhile. Cancel safe.
    ///
    /// # Errors
    /// Why the connection has ended.
    pub async fn next(&mut self, clock: Clock) -> Result<Came, String> {
        loop {
            if let Some(came) = self.answers.pop() {
                return Ok(came);
            }
            let (silence, ping) = (self.heard + self.keep_alive * 3 / 2, self.spoken + self.keep_alive / 2);
            let packet = tokio::select! {
                packet = self.link.reader.next() => packet,
                () = tokio::time::sleep_until(ping.min(silence)) => {
                    if Instant::now() >= silence {
                        return Err(format!("it has not answered for {} s", (self.keep_alive * 3 / 2).as_secs()));
                    }
                    self.link.writer.outgoing.pingreq();
                    self.spoken = Instant::now();
                    self.link.writer.flush().await.map_err(|error| error.to_string())?;
                    continue;
                }
            };
            self.heard = Instant::now();
            match packet {
                Some(Ok(Packet::Publish(publish))) => return Ok(Came::Message(message(publish, clock))),
                Some(Ok(Packet::SubAck { codes, .. })) => {
                    self.answers.push(Came::Subscribed);
                    let refused = |(filter, code): (&TopicFilter, u8)| {
                        (code >= 0x80).then(|| Came::Refused(filter.clone(), reason(code).to_owned()))
                    };
                    self.answers.extend(self.filters.iter().zip(codes).filter_map(refused));
                }
                Some(Ok(Packet::Disconnect { reason: code, text })) => {
                    let text = text.map(|text| format!(" ({text})")).unwrap_or_default();
                    return Err(format!("it ends the connection: {}{text}", reason(code)));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.to_string()),
                None => return Err("it ended the connection".to_owned()),
            }
        }
    }

    /// Says DISCONNECT; how the end goes is of no interest.
    pub async fn disconnect(self) {
        if tokio::time::timeout(GOODBYE, disconnect(self.link)).await.is_err() {
            tracing::debug!("the broker did not take our disconnect");
        }
    }
}

fn message(publish: wire::Publish, clock: Clock) -> Message {
    let (topic, malformed) = link::topic(&publish.topic);
    let too_large = publish.too_large.then_some(Malformed::TooLarge { payload_bytes: publish.payload_bytes });
    Message {
        topic,
        payload: publish.payload,
        qos: publish.qos,
        retain: publish.retain,
        received_at: clock(),
        delivery: None,
        malformed: malformed.or(too_large),
    }
}
