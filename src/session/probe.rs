//! Tries the broker under a client identifier of its own, without disturbing an Amber that runs: for `amber check
//! --connect`, for what `amber leave` looks at first, and to tell a bad line from another client with our identifier.

use std::time::Duration;

use futures_util::StreamExt as _;

use super::Versions;
use super::dial::Stream;
use super::link::{ConnectError, Link};
use super::report::unanswered;
use super::wire::{ConnAck, Packet, Version};
use crate::config::Broker;
use crate::status::Condition;

/// Connects under a client identifier of its own, with a session that ends with the connection, and disconnects.
///
/// # Errors
/// Why there is no connection, and what to do, as the service would say it.
pub async fn probe(config: &Broker) -> Result<String, String> {
    let config = under_another_name(config);
    let mut versions = Versions::new(config.protocol);
    let (link, _) = connect(&config, &mut versions).await.map_err(|error| why(error, &config))?;
    disconnect(link).await;
    Ok(format!("{} answers, MQTT {}", config.url.value, versions.next))
}

/// Connects in the version that the broker speaks.
pub(super) async fn connect(config: &Broker, versions: &mut Versions) -> Result<(Link<Stream>, ConnAck), ConnectError> {
    loop {
        let version = versions.next;
        match Link::connect(config, version).await {
            Ok(connected) => {
                versions.answered(version);
                return Ok(connected);
            }
            Err(error) if versions.failed(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Why there is no connection, and what to do, as the service would say it.
pub(super) fn why(error: ConnectError, config: &Broker) -> String {
    match unanswered(error, config) {
        Condition::Away(why) | Condition::Standing(why) => why,
        Condition::Starting | Condition::Up => unreachable!("a failure is neither"),
    }
}

/// Says DISCONNECT, when what matters is known; how the end goes is of no interest.
pub(super) async fn disconnect(mut link: Link<Stream>) {
    link.writer.outgoing.disconnect();
    if let Err(error) = link.writer.flush().await {
        tracing::debug!(%error, "disconnecting");
    }
    link.writer.close().await;
}

/// Whether a connection under another client identifier holds for `time`: then it is not the line that ends ours. Also
/// if the broker refuses it, for then nothing is known.
pub(super) async fn holds(config: &Broker, version: Version, time: Duration) -> bool {
    let link = match Link::connect(&under_another_name(config), version).await {
        Ok((link, _)) => link,
        Err(ConnectError::Refused { .. }) => return true,
        Err(_) => return false,
    };
    !ends_within(link, time).await
}

/// Whether the connection ends within `time`. What comes meanwhile is not acknowledged.
pub(super) async fn ends_within(mut link: Link<Stream>, time: Duration) -> bool {
    let end = async {
        while let Some(Ok(packet)) = link.reader.next().await {
            if matches!(packet, Packet::Disconnect { .. }) {
                return;
            }
        }
    };
    tokio::time::timeout(time, end).await.is_ok()
}

pub(super) fn under_another_name(config: &Broker) -> Broker {
    let client_id = format!("{}-check", config.client_id);
    Broker { client_id, session_expiry: Duration::ZERO, status: false, ..config.clone() }
}
