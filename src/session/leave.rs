//! Ends the session at the broker for `amber leave`.

use std::time::Duration;

use super::probe::{connect, ends_within, why};
use super::{Versions, config};
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
    let (link, ack) = connect(&silent, &mut versions).await.map_err(|error| why(error, &silent))?;
    if !at_once && ends_within(link, TAKEN_BACK_WITHIN).await {
        return Ok(Left::InUse);
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
