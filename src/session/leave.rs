//! Ends the session at the broker for `amber leave`.

use std::time::Duration;

use futures_util::StreamExt as _;

use super::dial::Stream;
use super::link::{ConnectError, Link};
use super::report::unanswered;
use super::wire::{ConnAck, Packet};
use super::{Versions, config};
use crate::status::Condition;
use crate::topic;

/// A client that was thrown out connects again sooner, unless the broker told it why.
const TAKEN_BACK_WITHIN: Duration = Duration::from_secs(2);

/// What became of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Ended {
        /// The broker knew one.
        existed: bool,
    },
    /// Another client with our client identifier took it back; it is as it was.
    InUse,
}

/// Takes the session over, which tells whether there is one, and ends it by a clean one. `at_once`: without looking
/// whether somebody takes it back.
///
/// # Errors
/// Why there is no connection, and what to do, as the service would say it.
pub async fn leave(broker: &config::Broker, at_once: bool) -> Result<Left, String> {
    let mut versions = Versions::new(broker.protocol);
    // Without a will: nobody comes back who would take its word back.
    let silent = config::Broker { status: false, ..broker.clone() };
    let (link, ack) = connect(&silent, &mut versions).await?;
    if !at_once && is_taken_back(link).await {
        return Ok(Left::InUse);
    }
    let clean = config::Broker { session_expiry: Duration::ZERO, ..silent };
    let (mut link, _) = connect(&clean, &mut versions).await?;
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

async fn connect(broker: &config::Broker, versions: &mut Versions) -> Result<(Link<Stream>, ConnAck), String> {
    loop {
        let version = versions.next;
        let error: ConnectError = match Link::connect(broker, version).await {
            Ok(connected) => {
                versions.answered(version);
                return Ok(connected);
            }
            Err(error) => error,
        };
        if versions.failed(&error) {
            continue;
        }
        return Err(match unanswered(error, broker) {
            Condition::Away(why) | Condition::Standing(why) => why,
            Condition::Starting | Condition::Up => unreachable!("a failure is neither"),
        });
    }
}

/// Whether the connection ends soon. What comes meanwhile is not acknowledged.
async fn is_taken_back(mut link: Link<Stream>) -> bool {
    let end = async {
        while let Some(Ok(packet)) = link.reader.next().await {
            if matches!(packet, Packet::Disconnect { .. }) {
                return;
            }
        }
    };
    tokio::time::timeout(TAKEN_BACK_WITHIN, end).await.is_ok()
}
