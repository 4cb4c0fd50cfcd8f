//! Tries the broker under a client identifier of its own, without disturbing an Amber that runs: for `amber check
//! --connect`, and to tell a bad line from another client with our identifier.

use std::time::Duration;

use futures_util::StreamExt as _;

use super::Versions;
use super::link::{ConnectError, Link};
use super::report::unanswered;
use super::wire::{Packet, Version};
use crate::config::Broker;
use crate::status::Condition;

/// Connects under a client identifier of its own, with a session that ends with the connection, and disconnects.
///
/// # Errors
/// Why there is no connection, and what to do, as the service would say it.
pub async fn probe(config: &Broker) -> Result<String, String> {
    let config = under_another_name(config);
    let mut versions = Versions::new(config.protocol);
    loop {
        let version = versions.next;
        let error = match Link::connect(&config, version).await {
            Ok((mut link, _)) => {
                link.writer.outgoing.disconnect();
                // What matters is known; how the end goes is of no interest.
                if let Err(error) = link.writer.flush().await {
                    tracing::debug!(%error, "disconnecting");
                }
                link.writer.close().await;
                return Ok(format!("{} answers, MQTT {version}", config.url.value));
            }
            Err(error) => error,
        };
        if versions.failed(&error) {
            continue;
        }
        return Err(match unanswered(error, &config) {
            Condition::Away(why) | Condition::Standing(why) => why,
            Condition::Starting | Condition::Up => unreachable!("a failure is neither"),
        });
    }
}

/// Whether a connection under another client identifier holds for `time`: then it is not the line that ends ours. Also
/// if the broker refuses it, for then nothing is known.
pub(super) async fn holds(config: &Broker, version: Version, time: Duration) -> bool {
    let mut link = match Link::connect(&under_another_name(config), version).await {
        Ok((link, _)) => link,
        Err(ConnectError::Refused { .. }) => return true,
        Err(_) => return false,
    };
    let end = async {
        while let Some(Ok(packet)) = link.reader.next().await {
            if matches!(packet, Packet::Disconnect { .. }) {
                return;
            }
        }
    };
    tokio::time::timeout(time, end).await.is_err()
}

fn under_another_name(config: &Broker) -> Broker {
    let client_id = format!("{}-check", config.client_id);
    Broker { client_id, session_expiry: Duration::ZERO, status: false, ..config.clone() }
}
