//! From a URL to a byte stream. `mqtt` (plain TCP) for now; `mqtts`, `ws`, `wss` and `unix` give the same `Stream`.
//!
//! No deadline of its own for the whole: name lookup, connect, CONNECT and CONNACK share one, which the session sets.
//! TCP's keep-alive is not used: the session's pings find a dead connection sooner.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};

use crate::config::BrokerUrl;

/// What a connection needs of its transport.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// One transport of any kind.
pub type Stream = Box<dyn Transport>;

/// How long one address may take before the next is tried, so that an address that swallows everything does not use
/// up the time of all.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);

/// Connects to the first address of the host that answers.
///
/// # Errors
/// Of the last address, or of the name lookup.
pub async fn dial(url: &BrokerUrl) -> io::Result<Stream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in lookup_host((url.host.as_str(), url.port)).await? {
        match tokio::time::timeout(ADDRESS_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // An acknowledgement that waits for its successors makes a small window slow.
                stream.set_nodelay(true)?;
                return Ok(Box::new(stream));
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, "no answer"),
        }
    }
    Err(last)
}
