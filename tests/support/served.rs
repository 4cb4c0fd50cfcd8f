//! The project's own broker, which misbehaves by a script.

use std::net::{Ipv4Addr, SocketAddr};

use amber::demo::broker::{Broker, Script};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::eventually;

/// The broker on a runtime of its own, for tests that are not asynchronous themselves.
pub struct Served {
    broker: Option<Broker>,
    runtime: Runtime,
}

impl Served {
    pub fn start(script: Script) -> Self {
        Self::start_on(0, script)
    }

    /// The same on a port of one's choice.
    #[track_caller]
    pub fn start_on(port: u16, script: Script) -> Self {
        let runtime = Runtime::new().expect("a runtime can be made");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let start = Broker::start(address, script, CancellationToken::new());
        let broker = runtime.block_on(start).expect("the port is free");
        Self { broker: Some(broker), runtime }
    }

    pub fn broker(&self) -> &Broker {
        self.broker.as_ref().expect("it is taken only when it ends")
    }

    pub fn port(&self) -> u16 {
        self.broker().address().port()
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port())
    }

    /// Waits until a client is connected and has subscribed.
    #[track_caller]
    pub fn wait_for(&self, client_id: &str) {
        eventually("the client has subscribed", || {
            let seen = self.broker().seen(client_id).ok_or("no session")?;
            if seen.connected && !seen.filters.is_empty() { Ok(()) } else { Err(format!("{seen:?}")) }
        });
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(broker) = self.broker.take() {
            self.runtime.block_on(broker.stop());
        }
    }
}
