//! A WebSocket to the broker (RFC 6455, MQTT 6): its handshake. The stream over it is in `frames`.
//!
//! tungstenite gives the key, the answer's parser and the headers of frames. Its own message layer holds a whole frame in
//! memory before it gives any of it; here a payload goes through as it comes, so that memory is bounded by our buffer,
//! and a message over `max_payload` is skipped while it streams, as on every other transport.

mod frames;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tungstenite::handshake::client::{Response, generate_key};
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::machine::TryParse as _;
use tungstenite::http::StatusCode;

use super::{DialError, Transport, is_end};
use crate::config::BrokerUrl;
use frames::WebSocket;

/// The subprotocol (MQTT-6.0.0-3).
const PROTOCOL: &str = "mqtt";
/// More than any server says in the head of an answer.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// Asks for a WebSocket at `path`.
pub(super) async fn connect<S: Transport>(
    mut stream: S,
    url: &BrokerUrl,
    host: &str,
    port: u16,
    path: &str,
) -> Result<WebSocket<S>, DialError> {
    let key = generate_key();
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let default_port = if url.is_tls() { 443 } else { 80 };
    let port = if port == default_port { String::new() } else { format!(":{port}") };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n"
    );
    let sent = send(&mut stream, request.as_bytes()).await;
    // Also if it did not leave: TLS may say why the broker ends the connection.
    let answer = head(&mut stream).await;
    let (response, rest) = match answer.or_else(|error| if is_end(&error) { sent.and(Err(error)) } else { Err(error) })
    {
        Ok(Head::Complete(response, rest)) => (response, rest),
        Ok(Head::NotHttp) => {
            let remedy = "it does not answer in HTTP; for MQTT without a WebSocket write `mqtt://` or `mqtts://`";
            return Err(DialError::Unfit(remedy.to_owned()));
        }
        Err(error) if is_end(&error) => {
            return Err(DialError::Ended(format!(
                "it ends the connection in the WebSocket handshake; check the port and the path `{}`, and whether it \
                 wants `ws://` or `wss://` (for MQTT without a WebSocket: `mqtt://` or `mqtts://`)",
                shown(path)
            )));
        }
        Err(error) => return Err(DialError::Unreachable(error)),
    };
    check(&response, &key, path)?;
    Ok(WebSocket::new(stream, rest))
}

/// Without the query, which may be a secret.
fn shown(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

enum Head {
    /// The head of the answer, and what came behind it.
    Complete(Box<Response>, BytesMut),
    NotHttp,
}

async fn send<S: Transport>(stream: &mut S, request: &[u8]) -> std::io::Result<()> {
    stream.write_all(request).await?;
    stream.flush().await
}

async fn head<S: Transport>(stream: &mut S) -> std::io::Result<Head> {
    let mut bytes = BytesMut::with_capacity(4 << 10);
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        match Response::try_parse(&bytes) {
            Ok(Some((length, response))) => {
                bytes.advance(length);
                return Ok(Head::Complete(Box::new(response), bytes));
            }
            Ok(None) if bytes.len() < MAX_HEAD_BYTES => {}
            Ok(None) | Err(_) => return Ok(Head::NotHttp),
        }
    }
}

fn check(response: &Response, key: &str, path: &str) -> Result<(), DialError> {
    let status = response.status();
    let path = shown(path);
    if status.is_server_error() {
        return Err(DialError::Ended(format!("it answers the WebSocket handshake with `{status}`; look at its log")));
    }
    let unfit = |what: &str| Err(DialError::Unfit(what.to_owned()));
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let has = |name: &str, word: &str| header(name).split(',').any(|part| part.trim().eq_ignore_ascii_case(word));
    match status {
        StatusCode::SWITCHING_PROTOCOLS => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return unfit(&format!("it refuses the WebSocket at `{path}` with `{status}`; let Amber in there"));
        }
        _ => {
            return unfit(&format!(
                "it has no WebSocket at `{path}` (`{status}`); write the path that it has behind the host in `[broker] url`"
            ));
        }
    }
    if !has("upgrade", "websocket")
        || !has("connection", "upgrade")
        || header("sec-websocket-accept") != derive_accept_key(key.as_bytes())
    {
        return unfit("its answer to the WebSocket handshake is wrong (RFC 6455, 4.1); look at what is in between");
    }
    if header("sec-websocket-protocol") != PROTOCOL {
        return unfit(&format!(
            "the WebSocket at `{path}` is not for MQTT: it does not agree to the subprotocol `mqtt` (MQTT-6.0.0-4); check \
             the path and the port in `[broker] url`"
        ));
    }
    Ok(())
}
