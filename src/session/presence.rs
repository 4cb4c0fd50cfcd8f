//! `amber/<client id>/status`: `online` while Amber is subscribed, `offline` by its will or before it goes; retained, so
//! that whoever asks later knows. The words are those that Home Assistant takes for availability.
//!
//! A broker that allows none of it costs nothing else, and is told of once. Who refuses the message is not sent another;
//! who refuses the connection because of the will (some check it at once, others when it is due) is asked again without;
//! and who ends the connection over the message, as Mosquitto 2.0.11 does with `max_queued_messages 0`, is not sent it
//! on the next, but keeps the will and is sent `offline` before we go: an older `online` may be retained.

use std::time::Duration;

use tokio::time::Instant;

use super::Run;
use super::connection::Connection;
use super::dial::Transport;
use super::link::ConnectError;
use super::wire::{Refusal, reason};
use crate::config::Broker;
use crate::topic;

pub(super) const ONLINE: &str = "online";
pub(super) const OFFLINE: &str = "offline";

/// Packet identifiers of the two messages, which no SUBSCRIBE takes: those count from 1. They are not repeated on the
/// next connection as others would be (MQTT 4.4): it says anew how it stands.
const ONLINE_ID: u16 = 65_535;
const OFFLINE_ID: u16 = 65_534;

/// So many connections in a row that end at once, with `online` said and not taken, may do so because of it.
const SUSPICIOUS: u32 = 2;

/// A connection that ends so soon behind the PUBACK of `online` was ended over it: over 3.1.1 Mosquitto 2.0.11 sends
/// the PUBACK of what it refuses, and then ends.
const BEHIND: Duration = Duration::from_millis(250);

/// Whether the status is kept at the broker, and what it said to that.
#[derive(Debug)]
pub(super) enum Wish {
    Unwanted,
    Wanted,
    /// The broker refused a connection that bears a will; the next is tried without.
    Tried,
    /// Connections ended as soon as we had said that we are there; the next does not say it.
    Suspected,
    /// The broker does not allow it.
    GivenUp,
}

impl Wish {
    pub(super) fn new(config: &Broker) -> Self {
        if config.status { Self::Wanted } else { Self::Unwanted }
    }

    pub(super) fn is_wanted(&self) -> bool {
        matches!(self, Self::Wanted | Self::Suspected)
    }
}

/// What one connection has said of it.
#[derive(Debug, Default)]
pub(super) struct Presence {
    is_online: bool,
    /// Packet identifiers of what is not acknowledged.
    awaited: Vec<u16>,
}

impl Presence {
    pub(super) fn is_answered(&self) -> bool {
        self.awaited.is_empty()
    }

    /// A PUBACK has come; `false` if nobody waits for it.
    pub(super) fn acknowledged(&mut self, packet_id: u16) -> bool {
        let before = self.awaited.len();
        self.awaited.retain(|awaited| *awaited != packet_id);
        self.awaited.len() < before
    }
}

impl<S: Transport> Connection<'_, S> {
    /// Once a connection.
    pub(super) fn say_online(&mut self) {
        if matches!(self.run.presence, Wish::Suspected) {
            return;
        }
        if !std::mem::replace(&mut self.presence.is_online, true) {
            self.run.is_online_unanswered = self.run.session.config.status;
            self.say(ONLINE_ID, ONLINE);
        }
    }

    /// In front of DISCONNECT, which takes the will back.
    pub(super) fn say_offline(&mut self) {
        self.say(OFFLINE_ID, OFFLINE);
    }

    fn say(&mut self, packet_id: u16, word: &'static str) {
        let config = &self.run.session.config;
        if config.status {
            let topic = topic::status(&config.client_id);
            self.link.writer.outgoing.publish_retained(packet_id, &topic, word);
            self.presence.awaited.push(packet_id);
        }
    }
}

impl Run {
    /// The broker refuses the message (MQTT 5; 3.1.1 has no word for it).
    pub(super) fn status_refused(&mut self, code: u8) {
        self.presence = Wish::GivenUp;
        self.session.config.status = false;
        self.warn_of_status(reason(code));
    }

    /// A PUBACK of `online` has come.
    pub(super) fn online_is_taken(&mut self) {
        self.is_online_unanswered = false;
        self.online_taken = Some(Instant::now());
    }

    /// A connection was lost; `is_quick`: at once.
    pub(super) fn is_status_to_blame(&mut self, is_quick: bool) {
        let is_behind = self.online_taken.take().is_some_and(|at| at.elapsed() < BEHIND);
        let is_ended_over_it = std::mem::take(&mut self.is_online_unanswered) || is_behind;
        match self.presence {
            Wish::Wanted if is_quick && is_ended_over_it => {
                self.status_doubts = self.status_doubts.saturating_add(1);
                if self.status_doubts == SUSPICIOUS {
                    self.presence = Wish::Suspected;
                    self.warn_of_status("it seems to end the connection over it; trying without");
                }
            }
            Wish::Wanted => self.status_doubts = 0,
            Wish::Suspected => {
                // If it ended at once all the same, it was not that, and is not suspected again. If it held, the next
                // says it once more; where it was that, one short connection tells.
                self.presence = Wish::Wanted;
                self.status_doubts = if is_quick { SUSPICIOUS } else { SUSPICIOUS - 1 };
            }
            Wish::Unwanted | Wish::Tried | Wish::GivenUp => {}
        }
    }

    /// A connection was refused; whether to ask again at once, without a will.
    pub(super) fn is_will_to_blame(&mut self, error: &ConnectError) -> bool {
        // Topic name invalid, retain and QoS not supported.
        let may_be = matches!(
            error,
            ConnectError::Refused { refusal: Refusal::NotAuthorized | Refusal::Other(0x90 | 0x9A | 0x9B), .. }
        );
        match self.presence {
            Wish::Wanted | Wish::Suspected if may_be => {
                self.presence = Wish::Tried;
                true
            }
            // It was not the will.
            Wish::Tried => {
                self.presence = Wish::Wanted;
                false
            }
            Wish::Wanted | Wish::Unwanted | Wish::Suspected | Wish::GivenUp => false,
        }
    }

    /// A connection was accepted.
    pub(super) fn will_was_taken(&mut self) {
        if let Wish::Tried = self.presence {
            self.presence = Wish::GivenUp;
            self.warn_of_status("it takes no connection that bears such a will");
        }
    }

    fn warn_of_status(&mut self, why: &str) {
        if std::mem::replace(&mut self.is_status_refused, true) {
            return;
        }
        let client_id = &self.session.config.client_id;
        tracing::warn!(
            topic = topic::status(client_id),
            why,
            "the broker refuses our status; let client id and user publish there, or set `[broker] status = false`"
        );
    }
}
