//! What `amber demo` runs beside Amber itself: an embedded broker, simulated sensors, and a mapping for them.
//!
//! The service that writes their rows is the ordinary one; `cli` starts it on what is here.

pub mod broker;
pub mod sensors;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio_util::sync::CancellationToken;

use crate::config;
use broker::{Broker, Script};

/// MQTT's own port.
const PORT: u16 = 1883;

/// The mappings for what the simulated sensors say, as a configuration file would hold them.
#[must_use]
pub fn config_text() -> &'static str {
    include_str!("demo/demo.toml")
}

/// How a client of that name reaches a broker at `url`; all else as it is by default.
///
/// # Panics
/// If `url` is none.
#[must_use]
pub fn broker_settings(url: &str, client_id: &str) -> config::Broker {
    let settings = [("URL", url), ("CLIENT_ID", client_id)];
    let settings = settings.map(|(name, value)| (format!("AMBER__BROKER__{name}"), value.to_owned()));
    let loaded = config::load_text("demo.toml", "", settings);
    let config = loaded.config.expect("a text can be read");
    assert_eq!(config.broker.client_id, client_id, "{:?}", loaded.faults);
    config.broker
}

/// Starts the broker on `127.0.0.1:1883`, or on the next free port after it; [`Broker::address`] says which.
///
/// # Errors
/// If no port can be listened on.
pub async fn start_broker(stop: CancellationToken) -> io::Result<Broker> {
    start_from(PORT, stop).await
}

async fn start_from(first: u16, stop: CancellationToken) -> io::Result<Broker> {
    // A few next ones, because a port that can be guessed is worth something; then any.
    for port in (first..first.saturating_add(10)).chain([0]) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match Broker::start(address, Script::default(), stop.clone()).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && port != 0 => {}
            result => return result,
        }
    }
    unreachable!("port 0 returns")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mapping_of_the_demo_is_a_right_configuration() {
        let settings = [("AMBER__BROKER__URL", "mqtt://localhost"), ("AMBER__STORE__URL", "sqlite:amber-demo.db")];
        let environment = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let loaded = crate::config::load_text("demo.toml", config_text(), environment);
        assert_eq!(loaded.faults, []);
        let names: Vec<String> = loaded.config.unwrap().mappings.into_iter().map(|it| it.name.value).collect();
        assert_eq!(names, ["climate", "power", "status", "weather"]);
    }

    #[tokio::test]
    async fn the_next_free_port_is_taken_where_one_is_in_use() {
        let stop = CancellationToken::new();
        let one = start_from(0, stop.clone()).await.unwrap();
        let other = start_from(one.address().port(), stop.clone()).await.unwrap();
        assert_ne!(one.address(), other.address());
        assert!(other.address().ip().is_loopback());
        one.stop().await;
        other.stop().await;
    }
}
