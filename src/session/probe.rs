//! Tries the broker for `amber check --connect`, without disturbing an Amber that runs.

use super::Versions;
use super::link::Link;
use super::report::unanswered;
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
    config.status = false;
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
