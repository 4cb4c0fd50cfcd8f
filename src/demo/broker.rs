//! A small MQTT broker for `amber demo`, and with a [`Script`] the broker that misbehaves in tests.
//!
//! MQTT 3.1.1 and 5 on one port; QoS 0, 1 and 2; `+` and `#`; retained messages; sessions that last, with 10,000
//! messages kept for a client that is away; in flight messages again after a cut, in order, with DUP=1 and the same
//! packet identifiers; takeover; wills. Everything is in memory and ends with the broker.
//!
//! What it deliberately does not do: listen anywhere but on loopback, ask who somebody is, encrypt, keep anything on
//! disk, share subscriptions, use topic aliases, let sessions, messages or wills wait for a time (a session that is
//! to last lasts as long as the broker). If it ever must, a broker from elsewhere takes its place.

mod connection;
mod packet;
mod script;
mod state;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::message::Qos;
use connection::lock;
use state::State;

pub use script::{Script, VersionRefusal};
pub use state::Seen;

/// Connections at a time; further ones are closed at once.
const MAX_CONNECTIONS: usize = 1_000;

/// A broker that runs. It ends with [`Broker::stop`], or when the token is cancelled that it was given.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Broker {
    /// Listens on `address` (port 0: any that is free) and accepts from then on; when this returns, it is ready.
    ///
    /// # Errors
    /// `InvalidInput` if `address` is not a loopback address; otherwise why it cannot be listened on.
    pub async fn start(address: SocketAddr, script: Script, stop: CancellationToken) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            let why = format!("`{address}` is not a loopback address: this broker asks nobody for a password");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State::new(script)));
        let task = tokio::spawn(accept(listener, Arc::clone(&state), stop.clone()));
        Ok(Self { address, state, stop, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it: MQTT 5 clients are told, wills are published to nobody, and nothing is kept.
    pub async fn stop(self) {
        self.stop.cancel();
        // It can only fail by a panic, which has been printed.
        drop(self.task.await);
    }

    /// Changes what it does from now on.
    pub fn script(&self, change: impl FnOnce(&mut Script)) {
        let mut state = lock(&self.state);
        change(&mut state.script);
        state.wake_all();
    }

    /// Publishes a message of its own. `topic` must be a topic name: it is not checked.
    pub fn publish(&self, topic: &str, payload: impl Into<Bytes>, qos: Qos, retain: bool) {
        let message = packet::Message { topic: topic.into(), payload: payload.into(), qos, retain, properties: None };
        lock(&self.state).publish(&message, None);
    }

    /// What it knows of a client's session; `None` if there is none.
    #[must_use]
    pub fn seen(&self, client_id: &str) -> Option<Seen> {
        lock(&self.state).seen(client_id)
    }

    /// Loses all sessions and their messages, and ends their connections.
    pub fn forget_sessions(&self) {
        lock(&self.state).forget_sessions();
    }
}

/// Accepts until stopped, then ends all connections and waits for them.
async fn accept(listener: TcpListener, state: Arc<Mutex<State>>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => {
                    connections.spawn(connection::serve(stream, Arc::clone(&state), stop.clone()));
                }
                Ok(_) => {}
                // Of one connection (reset before it was accepted), or of all (no file descriptors left): the latter
                // mends itself when connections end.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}
