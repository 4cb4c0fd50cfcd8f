//! From a URL to a byte stream: TCP or a Unix socket, TLS over it, a WebSocket over that. All give the same `Stream`.
//!
//! One deadline holds for name lookup, connect, TLS handshake, WebSocket handshake, and what the session does after that
//! (CONNECT and CONNACK); each step is named when it strikes. Certificates are read here, at every connect.
//! TCP's keep-alive is not used: the session pings twice in each `keep_alive` (30 s unless set otherwise), which keeps
//! what is in between awake as well, and finds a connection that is dead end to end, which TCP's does not.

mod tls;
mod websocket;

use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::Instant;

use crate::config::{Broker, BrokerUrl};

pub(super) use tls::refusal;

/// What a connection needs of its transport.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// One transport of any kind.
pub type Stream = Box<dyn Transport>;

/// How long one address may take before the next is tried, so that an address that swallows everything does not use
/// up the time of all.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);

/// Why there is no stream. Texts name the remedy.
#[derive(Debug)]
pub enum DialError {
    /// No connection.
    Unreachable(io::Error),
    /// It ended the connection in a handshake, as what is restarting does.
    Ended(String),
    /// What answers is not what the URL says, or one of us does not trust the other: a person must act.
    Unfit(String),
    TimedOut(Step),
}

/// What the deadline found under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Connect,
    Tls,
    WebSocket,
    /// CONNECT and CONNACK.
    Mqtt,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "it does not answer; check host and port, and the firewalls in between",
            Self::Tls => "it takes the connection and does not answer in TLS; is this its port for TLS?",
            Self::WebSocket => "it takes the connection and does not answer the WebSocket handshake; check the port",
            Self::Mqtt => "it takes the connection and does not answer in MQTT; check the scheme and the port",
        })
    }
}

/// Gives up `work` at `deadline`.
///
/// # Errors
/// Those of `work`, or `TimedOut`.
pub async fn within<T, E: From<DialError>>(
    deadline: Instant,
    step: Step,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tokio::time::timeout_at(deadline, work).await.unwrap_or_else(|_| Err(DialError::TimedOut(step).into()))
}

/// Connects, and shakes hands as far as the URL asks for it.
///
/// # Errors
/// Of the first step that failed; of several addresses, of the last.
pub async fn dial(broker: &Broker, deadline: Instant) -> Result<Stream, DialError> {
    let (host, port, is_tls, websocket) = match &broker.url.value {
        BrokerUrl::Unix(path) => return within(deadline, Step::Connect, unix(path)).await,
        BrokerUrl::Net { host, port, tls, websocket } => (host, *port, *tls, websocket),
    };
    let mut stream = within(deadline, Step::Connect, tcp(host, port)).await?;
    if is_tls {
        stream = Box::new(within(deadline, Step::Tls, tls::connect(stream, host, broker)).await?);
    }
    if let Some(path) = websocket {
        let handshake = async {
            websocket::connect(stream, &broker.url.value, host, port, path).await.map_err(|error| match error {
                // With TLS 1.3 a broker says only now that it refuses our certificate.
                DialError::Unreachable(why) => {
                    refusal(&why, broker).map_or(DialError::Unreachable(why), DialError::Unfit)
                }
                other => other,
            })
        };
        stream = Box::new(within(deadline, Step::WebSocket, handshake).await?);
    }
    Ok(stream)
}

/// The first address of the host that answers.
async fn tcp(host: &str, port: u16) -> Result<Stream, DialError> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let at = |error: io::Error| DialError::Unreachable(io::Error::new(error.kind(), format!("{host}: {error}")));
    for address in lookup_host((host, port)).await.map_err(at)? {
        match tokio::time::timeout(ADDRESS_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // An acknowledgement that waits for its successors makes a small window slow.
                stream.set_nodelay(true).map_err(DialError::Unreachable)?;
                return Ok(Box::new(stream));
            }
            Ok(Err(error)) => last = io::Error::new(error.kind(), format!("port {port}: {error}")),
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, format!("port {port}: no answer")),
        }
    }
    Err(at(last))
}

async fn unix(path: &Path) -> Result<Stream, DialError> {
    match UnixStream::connect(path).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(DialError::Unfit(format!(
            "may not connect to the socket `{}`: {error}; let the user that Amber runs as write to it",
            path.display()
        ))),
        Err(error) => {
            let text = format!(
                "nobody listens on the socket `{}`: {error}; start the broker, or mend the path in `[broker] url`",
                path.display()
            );
            Err(DialError::Unreachable(io::Error::new(error.kind(), text)))
        }
    }
}

/// Whether the peer has ended the connection, in whatever manner.
pub(super) fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof)
}

#[cfg(test)]
mod tests;
