//! Ends the session at the broker for `amber leave`, unless somebody uses it.
//!
//! First it looks, under another client identifier and so without disturbing anybody, at what the Amber of this session
//! has said of itself (`presence`). Only if that says nothing it takes the session over and waits for somebody to take
//! it back.

use std::time::Duration;

use futures_util::StreamExt as _;

use super::presence::{OFFLINE, ONLINE};
use super::probe::{connect, disconnect, ends_within, under_another_name, why};
use super::wire::{Packet, Retained, Version};
use super::{Link, Versions, config, dial};
use crate::message::Qos;
use crate::topic::{self, Subscription, TopicFilter};

/// A retained message comes behind the SUBACK; some brokers fetch it apart.
const WORD_WITHIN: Duration = Duration::from_secs(2);
/// An Amber that is thrown out connects again at once where brokers do not say why, as over 3.1.1.
const BACK_WITHIN: Duration = Duration::from_secs(2);
/// One that is told waits for up to 30 s (`BACKOFF`).
const BACK_WITHIN_IF_TOLD: Duration = Duration::from_secs(35);

/// What became of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Ended {
        /// The broker knew one.
        existed: bool,
    },
    /// Its Amber says that it is there; it was not disturbed.
    Online,
    /// Another client with our client identifier took it back; it is as it was.
    InUse,
}

/// Ends the session by a clean one. `at_once`: without looking whether somebody uses it. `waiting` is told how long it is
/// waited for somebody to take it back.
///
/// # Errors
/// Why there is no connection, and what to do, as the service would say it.
pub async fn leave(broker: &config::Broker, at_once: bool, waiting: impl FnOnce(Duration)) -> Result<Left, String> {
    let mut versions = Versions::new(broker.protocol);
    // Without a will: nobody comes back who would take its word back. The broker is not to end it for its silence.
    let silent = config::Broker { status: false, keep_alive: BACK_WITHIN_IF_TOLD * 2, ..broker.clone() };
    // Who keeps no status now may have left a word there when it did.
    let word = if broker.status && !at_once { word(&silent, &mut versions).await? } else { None };
    if word == Some(Word::Online) {
        return Ok(Left::Online);
    }
    let (link, ack) = connect(&silent, &mut versions).await.map_err(|error| why(error, &silent))?;
    // Who uses it would have one.
    if !at_once && word.is_none() && ack.session_present {
        let time = if versions.next == Version::V5 { BACK_WITHIN_IF_TOLD } else { BACK_WITHIN };
        waiting(time);
        if ends_within(link, time).await {
            return Ok(Left::InUse);
        }
    }
    let clean = config::Broker { session_expiry: Duration::ZERO, ..silent };
    let (mut link, _) = connect(&clean, &mut versions).await.map_err(|error| why(error, &clean))?;
    if broker.status {
        // The broker keeps no status any more (an empty retained message, MQTT 3.3.1.3). It handles this before what
        // follows; whether it allows it is of no interest.
        link.writer.outgoing.publish_retained(1, &topic::status(&broker.client_id), "");
    }
    link.writer.outgoing.disconnect();
    link.writer.flush().await.map_err(|error| error.to_string())?;
    link.writer.close().await;
    Ok(Left::Ended { existed: ack.session_present })
}

/// What an Amber has said last of whether it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Online,
    Offline,
}

/// The word that the broker keeps; `None` if there is none, or we may not read it.
async fn word(broker: &config::Broker, versions: &mut Versions) -> Result<Option<Word>, String> {
    let topic = topic::status(&broker.client_id);
    let Ok(filter) = TopicFilter::new(&topic) else { return Ok(None) };
    let broker = under_another_name(broker);
    let mut link = match connect(&broker, versions).await {
        Ok((link, _)) => link,
        // Perhaps it wants the one name only.
        Err(super::ConnectError::Refused { .. }) => return Ok(None),
        Err(error) => return Err(why(error, &broker)),
    };
    let subscription = Subscription { filter, qos: Qos::AtMostOnce, retained: true };
    link.writer.outgoing.subscribe(1, None, std::iter::once((&subscription, Retained::Always)));
    link.writer.flush().await.map_err(|error| error.to_string())?;
    let word = tokio::time::timeout(WORD_WITHIN, retained(&mut link, &topic)).await.ok().flatten();
    disconnect(link).await;
    Ok(word)
}

async fn retained(link: &mut Link<dial::Stream>, topic: &str) -> Option<Word> {
    while let Some(Ok(packet)) = link.reader.next().await {
        match packet {
            Packet::Publish(publish) if publish.topic == topic => {
                return [(ONLINE, Word::Online), (OFFLINE, Word::Offline)]
                    .into_iter()
                    .find_map(|(text, word)| (publish.payload == text).then_some(word));
            }
            Packet::SubAck { codes, .. } if codes.iter().any(|&code| code >= 0x80) => return None,
            Packet::Disconnect { .. } => return None,
            _ => {}
        }
    }
    None
}
