//! Tries the broker for `amber check --connect`, without disturbing an Amber that runs.

use super::dial;
use super::link::{CONNECT_TIMEOUT, ConnectError, Link};
use super::report::unanswered;
use super::wire::Refusal;
use super::{Versions, wire::Version};
use crate::config::Broker;
use crate::status::Condition;

/// Connects under a client identifier of its own, with a session that ends with the connection, and disconnects.
///
/// # Errors
/// Why there is no connection, and what to do, as the service would say it.
pub async fn probe(config: &Broker) -> Result<String, String> {
    let mut config = config.clone();
    config.client_id.push_str("-check");
    config.session_expiry = std::time::Duration::ZERO;
    let mut versions = Versions::new(config.protocol);
    loop {
        let version = versions.next;
        let attempt = async {
            let stream = dial::dial(&config.url.value).await.map_err(ConnectError::Unreachable)?;
            Link::open(stream, version, &config).await
        };
        let error = match tokio::time::timeout(CONNECT_TIMEOUT, attempt).await {
            Ok(Ok((mut link, _))) => {
                link.writer.outgoing.disconnect();
                // What matters is known; how the end goes is of no interest.
                if let Err(error) = link.writer.flush().await {
                    tracing::debug!(%error, "disconnecting");
                }
                link.writer.close().await;
                let url = &config.url.value;
                return Ok(format!("{}:{} answers, MQTT {version}", url.host, url.port));
            }
            Ok(Err(error)) => error,
            Err(_) => ConnectError::TimedOut,
        };
        let other_version = versions.failed(&error)
            || (version == Version::V5 && matches!(error, ConnectError::Refused { refusal: Refusal::Version, .. }));
        if other_version && versions.next != version {
            continue;
        }
        return Err(match unanswered(error, &config.client_id) {
            Condition::Away(why) | Condition::Standing(why) => why,
            Condition::Starting | Condition::Up => unreachable!("a failure is neither"),
        });
    }
}
