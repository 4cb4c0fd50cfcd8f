//! The byte stream over a WebSocket: binary messages hold it, wherever they begin and end (MQTT-6.0.0-2).
//!
//! Pings are answered, the last one of many; a close is answered and is the end of the stream. What a server must not
//! send is an error that names the clause. Nothing is ever gathered but a header and the payload of a control frame
//! (at most 125 bytes); each write becomes one frame, and the next waits until that one has left.

use std::io::{self, Cursor};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BufMut as _, BytesMut};
use rustls::crypto::SecureRandom;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::config::certificates;
use crate::session::dial::Transport;

const READ_BYTES: usize = 16 << 10;
/// What one frame of ours holds at most.
const FRAME_BYTES: usize = 64 << 10;
/// What a control frame holds at most (RFC 6455, 5.5).
const MAX_CONTROL_BYTES: u64 = 125;

pub(in crate::session::dial) struct WebSocket<S> {
    stream: S,
    random: &'static dyn SecureRandom,
    /// Came, and was not looked at.
    input: BytesMut,
    /// Bytes of the present data frame that are still to be handed out.
    remaining: u64,
    /// A message goes on in the next data frame.
    is_unfinished: bool,
    /// The other side has closed.
    is_closed: bool,
    /// We have said that we close.
    has_closed: bool,
    /// What the last ping wants to hear.
    pong: Option<BytesMut>,
    /// Is to be sent.
    output: BytesMut,
}

impl<S: Transport> WebSocket<S> {
    /// `input` came with the answer to the handshake.
    pub(super) fn new(stream: S, input: BytesMut) -> Self {
        Self {
            stream,
            random: certificates::provider().secure_random,
            input,
            remaining: 0,
            is_unfinished: false,
            is_closed: false,
            has_closed: false,
            pong: None,
            output: BytesMut::new(),
        }
    }

    /// Takes one frame off the input: a data frame's header, or all of a control frame. Whether there was one.
    fn take_frame(&mut self) -> io::Result<bool> {
        let mut cursor = Cursor::new(&self.input[..]);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|error| wrong(&format!("{error} (RFC 6455, 5.2)")))?;
        let Some((header, length)) = parsed else { return Ok(false) };
        let header_bytes = usize::try_from(cursor.position()).map_err(io::Error::other)?;
        if header.mask.is_some() {
            return Err(wrong("it masks what it sends (RFC 6455, 5.1)"));
        }
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(wrong("it uses an extension that was not asked for (RFC 6455, 5.2)"));
        }
        match header.opcode {
            OpCode::Data(kind) => {
                self.data(kind)?;
                self.input.advance(header_bytes);
                self.is_unfinished = !header.is_final;
                self.remaining = length;
            }
            OpCode::Control(kind) => {
                if length > MAX_CONTROL_BYTES || !header.is_final {
                    return Err(wrong("a control frame is longer than 125 bytes, or in pieces (RFC 6455, 5.5)"));
                }
                let length = usize::try_from(length).map_err(io::Error::other)?;
                if self.input.len() < header_bytes + length {
                    return Ok(false);
                }
                self.input.advance(header_bytes);
                let payload = self.input.split_to(length);
                self.control(kind, payload)?;
            }
        }
        Ok(true)
    }

    fn data(&self, kind: Data) -> io::Result<()> {
        match (kind, self.is_unfinished) {
            (Data::Binary, false) | (Data::Continue, true) => Ok(()),
            (Data::Text, _) => Err(wrong("it sends a text message, where only binary ones are allowed (MQTT-6.0.0-1)")),
            (Data::Binary, true) => Err(wrong("a message begins within another (RFC 6455, 5.4)")),
            (Data::Continue, false) => Err(wrong("a message goes on that has not begun (RFC 6455, 5.4)")),
            (Data::Reserved(_), _) => Err(wrong("a frame is of a reserved kind (RFC 6455, 5.2)")),
        }
    }

    fn control(&mut self, kind: Control, payload: BytesMut) -> io::Result<()> {
        match kind {
            Control::Ping => self.pong = Some(payload),
            Control::Pong => {}
            Control::Close => {
                self.is_closed = true;
                let code = payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]));
                tracing::debug!(code, "the broker closes the websocket");
                if !self.has_closed {
                    self.has_closed = true;
                    // The status code comes back (RFC 6455, 5.5.1).
                    self.frame(OpCode::Control(Control::Close), &payload[..payload.len().min(2)])?;
                }
            }
            Control::Reserved(_) => return Err(wrong("a frame is of a reserved kind (RFC 6455, 5.2)")),
        }
        Ok(())
    }

    /// Appends a frame to what is to be sent, masked as a client's must be (RFC 6455, 5.3).
    fn frame(&mut self, opcode: OpCode, payload: &[u8]) -> io::Result<()> {
        let mut mask = [0; 4];
        self.random.fill(&mut mask).map_err(|_| io::Error::other("the system gives no random numbers"))?;
        let header = FrameHeader { opcode, mask: Some(mask), ..FrameHeader::default() };
        header.format(payload.len() as u64, &mut (&mut self.output).writer()).map_err(io::Error::other)?;
        self.output.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        Ok(())
    }

    /// Sends what is to be sent. Cancel safe: what has left is taken off.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.output.is_empty() {
                match self.pong.take() {
                    Some(payload) if !self.has_closed => self.frame(OpCode::Control(Control::Pong), &payload)?,
                    _ => return Poll::Ready(Ok(())),
                }
            }
            let sent = ready!(Pin::new(&mut self.stream).poll_write(context, &self.output))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.output.advance(sent);
        }
    }

    /// Answers what was asked, as far as it can leave now.
    fn answer(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.pong.is_none() && self.output.is_empty() {
            return Ok(());
        }
        match self.poll_send(context) {
            Poll::Ready(Ok(())) => match Pin::new(&mut self.stream).poll_flush(context) {
                Poll::Ready(Err(error)) => Err(error),
                Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
            },
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Ok(()),
        }
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the broker breaks the protocol of the WebSocket: {what}"))
}

impl<S: Transport> AsyncRead for WebSocket<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.remaining > 0 && !this.input.is_empty() {
                let here = usize::try_from(this.remaining).unwrap_or(usize::MAX).min(this.input.len());
                let count = here.min(buffer.remaining());
                buffer.put_slice(&this.input[..count]);
                this.input.advance(count);
                this.remaining -= count as u64;
                return Poll::Ready(Ok(()));
            }
            if this.is_closed {
                return Poll::Ready(Ok(()));
            }
            if this.remaining == 0 && this.take_frame()? {
                this.answer(context)?;
                continue;
            }
            this.input.reserve(READ_BYTES);
            if ready!(poll_read_buf(Pin::new(&mut this.stream), context, &mut this.input))? == 0 {
                this.is_closed = true;
            }
        }
    }
}

impl<S: Transport> AsyncWrite for WebSocket<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send(context))?;
        if this.has_closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let taken = &bytes[..bytes.len().min(FRAME_BYTES)];
        if !taken.is_empty() {
            this.frame(OpCode::Data(Data::Binary), taken)?;
        }
        // What does not leave now leaves with the next write or the flush.
        match this.poll_send(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(taken.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        const NORMAL: u16 = 1000;
        let this = self.get_mut();
        if !this.has_closed {
            this.has_closed = true;
            this.frame(OpCode::Control(Control::Close), &NORMAL.to_be_bytes())?;
        }
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}
