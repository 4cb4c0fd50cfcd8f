//! One network connection: its handshake, and both of its directions.
//!
//! Reading and writing never wait for one another: a broker that does not read until we have read would stop both.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::time::Instant;
use tokio_util::codec::FramedRead;

use super::dial::{self, DialError, Step, Stream, Transport};
use super::wire::{Codec, ConnAck, Fault, Outgoing, Packet, Refusal, Version, WireError};
use crate::config::Broker;
use crate::message::Malformed;

/// Name lookup, connect, the handshakes of TLS and WebSocket, CONNECT and CONNACK together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A broker that breaks the protocol is not waited for longer.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// 400 small messages a read; long payloads are slices of it.
pub(super) const READ_BYTES: usize = 64 << 10;

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum ConnectError {
    Dial(DialError),
    /// The stream ended before the CONNACK, as with brokers that do not know the version.
    Closed,
    Wire(WireError),
    Refused {
        refusal: Refusal,
        text: Option<String>,
    },
}

impl From<DialError> for ConnectError {
    fn from(error: DialError) -> Self {
        Self::Dial(error)
    }
}

pub(super) struct Link<S> {
    pub(super) reader: FramedRead<ReadHalf<S>, Codec>,
    pub(super) writer: Writer<S>,
}

pub(super) struct Writer<S> {
    half: WriteHalf<S>,
    pub(super) outgoing: Outgoing,
    unflushed: bool,
}

impl Link<Stream> {
    /// One attempt: dial, CONNECT and CONNACK, within one deadline.
    pub(super) async fn connect(broker: &Broker, version: Version) -> Result<(Self, ConnAck), ConnectError> {
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        let stream = dial::dial(broker, deadline).await?;
        dial::within(deadline, Step::Mqtt, Self::open(stream, version, broker)).await
    }
}

impl<S: Transport> Link<S> {
    /// CONNECT and CONNACK. The caller sets the deadline.
    pub(super) async fn open(stream: S, version: Version, broker: &Broker) -> Result<(Self, ConnAck), ConnectError> {
        let (read, write) = tokio::io::split(stream);
        let codec = Codec::new(version, broker.max_payload_bytes);
        let mut link = Self {
            reader: FramedRead::with_capacity(read, codec, READ_BYTES),
            writer: Writer { half: write, outgoing: Outgoing::new(version), unflushed: false },
        };
        link.writer.outgoing.connect(broker);
        let sent = link.writer.flush().await;
        // Also if it did not leave: the broker may have said why it ends the connection.
        let answer = link.reader.next().await;
        let fault = match answer {
            Some(Ok(Packet::ConnAck(ConnAck { refusal: Some(refusal), text, .. }))) => {
                return Err(ConnectError::Refused { refusal, text });
            }
            Some(Ok(Packet::ConnAck(ack))) => return Ok((link, ack)),
            Some(Ok(Packet::Disconnect { reason, text })) => {
                let refusal = Refusal::of(reason).ok().flatten().unwrap_or(Refusal::Other(reason));
                return Err(ConnectError::Refused { refusal, text });
            }
            Some(Ok(_)) => Fault::protocol("3.2.0-1", "the first packet is not a CONNACK"),
            Some(Err(WireError::Protocol(fault))) => fault,
            Some(Err(WireError::Io(error))) => return Err(ended(error, broker)),
            None => return Err(sent.err().map_or(ConnectError::Closed, |error| ended(error, broker))),
        };
        link.writer.break_off(version, fault.code).await;
        Err(ConnectError::Wire(fault.into()))
    }
}

/// An end of the stream is `Closed`, whatever the transport calls it; but TLS may say why.
fn ended(error: std::io::Error, broker: &Broker) -> ConnectError {
    match dial::refusal(&error, broker) {
        Some(text) => DialError::Unfit(text).into(),
        None if dial::is_end(&error) => ConnectError::Closed,
        None => ConnectError::Wire(WireError::Io(error)),
    }
}

impl<S: Transport> Writer<S> {
    /// Whether something is to be sent.
    pub(super) fn is_pending(&self) -> bool {
        self.unflushed || !self.outgoing.is_empty()
    }

    /// Sends what is to be sent. Cancel safe: what is sent is taken off.
    pub(super) async fn flush(&mut self) -> std::io::Result<()> {
        self.unflushed |= !self.outgoing.is_empty();
        self.half.write_all_buf(self.outgoing.bytes()).await?;
        self.half.flush().await?;
        self.unflushed = false;
        Ok(())
    }

    /// Tells a broker that breaks the protocol why we go (MQTT 5, 4.13.1), if it takes it at once.
    pub(super) async fn break_off(&mut self, version: Version, code: u8) {
        if version == Version::V5 {
            self.outgoing.disconnect_because(code);
        }
        let goodbye = async {
            if self.flush().await.is_ok() {
                self.close().await;
            }
        };
        if tokio::time::timeout(GOODBYE_TIMEOUT, goodbye).await.is_err() {
            tracing::debug!("the broker did not take our disconnect");
        }
    }

    /// Ends our direction. Errors are of no interest: the connection is done with.
    pub(super) async fn close(&mut self) {
        if let Err(error) = self.half.shutdown().await {
            tracing::debug!(%error, "shutdown of the connection");
        }
    }
}

/// The topic as text, with replacement characters where it is not UTF-8; and what is wrong with it.
pub(super) fn topic(bytes: &Bytes) -> (Box<str>, Option<Malformed>) {
    match std::str::from_utf8(bytes) {
        Ok(topic) => {
            let forbidden = bytes.iter().find(|byte| matches!(byte, b'+' | b'#' | 0));
            (topic.into(), forbidden.map(|&byte| Malformed::TopicHolds(char::from(byte))))
        }
        Err(_) => (String::from_utf8_lossy(bytes).into(), Some(Malformed::TopicNotUtf8)),
    }
}
