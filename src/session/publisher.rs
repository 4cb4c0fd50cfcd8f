//! A connection that only publishes, at QoS 1: for `amber simulate` and for the sensors of `amber demo`.
//!
//! Its dialer, handshake and versions are those of the service. It has no session of its own at the broker (clean, no
//! will), keeps nothing over a lost connection and sends nothing again: who uses it shows something, and proves nothing.
//! Bounded: [`WINDOW`] messages are under way at most.

use std::time::Duration;

use futures_util::StreamExt as _;

use super::dial::Stream;
use super::link::Link;
use super::probe::{connect, disconnect, why};
use super::wire::{Packet, reason};
use super::{Versions, config};

/// Under way at a time. The smallest Receive Maximum that a broker is known to announce is 10 (AWS: 100, Mosquitto: 20).
const WINDOW: usize = 10;
/// How long the broker may take to acknowledge them.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    pub topic: String,
    pub payload: String,
    pub retain: bool,
}

/// One connection to the broker.
pub struct Publisher {
    link: Link<Stream>,
}

impl Publisher {
    /// Connects in the version that the broker speaks, for a session that ends with the connection.
    ///
    /// # Errors
    /// Why there is no connection, and what to do, as the service would say it.
    pub async fn connect(broker: &config::Broker) -> Result<Self, String> {
        // Without keep-alive: nobody pings here between two messages.
        let broker = config::Broker {
            status: false,
            session_expiry: Duration::ZERO,
            keep_alive: Duration::ZERO,
            ..broker.clone()
        };
        let (link, _) =
            connect(&broker, &mut Versions::new(broker.protocol)).await.map_err(|error| why(error, &broker))?;
        Ok(Self { link })
    }

    /// Publishes all of them in turn and returns when the broker has acknowledged each.
    ///
    /// # Errors
    /// Why the connection cannot be used any more, or which topic the broker refuses (MQTT 5; over 3.1.1 it cannot say so).
    pub async fn publish(&mut self, messages: impl IntoIterator<Item = Outbound>) -> Result<(), String> {
        let mut messages = messages.into_iter();
        loop {
            let window: Vec<Outbound> = messages.by_ref().take(WINDOW).collect();
            if window.is_empty() {
                return Ok(());
            }
            let sent = tokio::time::timeout(PATIENCE, self.publish_window(&window)).await;
            sent.unwrap_or_else(|_| Err(format!("it acknowledges nothing within {} s", PATIENCE.as_secs())))?;
        }
    }

    async fn publish_window(&mut self, window: &[Outbound]) -> Result<(), String> {
        for (packet_id, message) in (1..).zip(window) {
            self.link.writer.outgoing.publish(packet_id, &message.topic, message.payload.clone(), message.retain);
        }
        self.link.writer.flush().await.map_err(|error| error.to_string())?;
        let mut open = window.len();
        while open > 0 {
            match self.link.reader.next().await {
                Some(Ok(Packet::PubAck { packet_id, reason: code })) if code >= 0x80 => {
                    let message = usize::from(packet_id).checked_sub(1).and_then(|at| window.get(at));
                    let topic = message.map_or("a topic", |message| &message.topic);
                    return Err(format!("it refuses `{topic}`: {}; let this user write it", reason(code)));
                }
                Some(Ok(Packet::PubAck { .. })) => open -= 1,
                Some(Ok(Packet::Disconnect { reason: code, .. })) => {
                    return Err(format!("it ends the connection: {}", reason(code)));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.to_string()),
                None => return Err("it ended the connection".to_owned()),
            }
        }
        Ok(())
    }

    /// Says DISCONNECT; how the end goes is of no interest.
    pub async fn disconnect(self) {
        if tokio::time::timeout(PATIENCE, disconnect(self.link)).await.is_err() {
            tracing::debug!("the broker did not take our disconnect");
        }
    }
}
