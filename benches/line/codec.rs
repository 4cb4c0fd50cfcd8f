//! Amber's codec in the smallest loop there is: a read, the packets in it, their acknowledgements in one write.

use std::io::{Error, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use amber::message::Qos;
use amber::session::ledger::Reply;
use amber::session::wire::{Codec, Outgoing, Packet, Version};
use bytes::BytesMut;
use tokio_util::codec::Decoder as _;

use super::usage::thread_seconds;

/// As the session reads.
const READ_BYTES: usize = 64 << 10;

/// CONNECT with MQTT 5: session kept for an hour, Receive Maximum 4,096.
const CONNECT: &[u8] = b"\x10\x1a\0\x04MQTT\x05\0\0\0\x08\x11\0\0\x0e\x10\x21\x10\0\0\x05bench";
/// `bench/#` at QoS 1.
const SUBSCRIBE: &[u8] = b"\x82\x0d\0\x01\0\0\x07bench/#\x01";

struct Stream {
    tcp: TcpStream,
    codec: Codec,
    buffer: BytesMut,
}

impl Stream {
    fn open(broker: SocketAddr) -> std::io::Result<Self> {
        let mut tcp = TcpStream::connect(broker)?;
        tcp.set_nodelay(true)?;
        tcp.write_all(CONNECT)?;
        let (codec, buffer) = (Codec::new(Version::V5, 1 << 20), BytesMut::with_capacity(READ_BYTES));
        let mut stream = Self { tcp, codec, buffer };
        match stream.wait()? {
            Packet::ConnAck(ack) if ack.refusal.is_none() => Ok(stream),
            other => Err(Error::other(format!("{other:?}"))),
        }
    }

    /// The next packet that was read; `None`: read more.
    fn next(&mut self) -> std::io::Result<Option<Packet>> {
        self.codec.decode(&mut self.buffer).map_err(Error::other)
    }

    fn read(&mut self) -> std::io::Result<()> {
        let start = self.buffer.len();
        self.buffer.resize(start + READ_BYTES, 0);
        let read = self.tcp.read(&mut self.buffer[start..])?;
        self.buffer.truncate(start + read);
        if read == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn wait(&mut self) -> std::io::Result<Packet> {
        loop {
            if let Some(packet) = self.next()? {
                return Ok(packet);
            }
            self.read()?;
        }
    }
}

/// Makes the session, so that nothing is missed.
pub fn subscribe(broker: SocketAddr) -> std::io::Result<()> {
    let mut stream = Stream::open(broker)?;
    stream.tcp.write_all(SUBSCRIBE)?;
    match stream.wait()? {
        Packet::SubAck { .. } => stream.tcp.write_all(b"\xe0\0"),
        other => Err(Error::other(format!("{other:?}"))),
    }
}

/// Receives and acknowledges `count` messages; returns the CPU seconds of this thread.
pub fn receive(broker: SocketAddr, count: usize) -> std::io::Result<f64> {
    let mut stream = Stream::open(broker)?;
    let mut outgoing = Outgoing::new(Version::V5);
    let mut received = 0;
    while received < count {
        stream.read()?;
        while let Some(packet) = stream.next()? {
            match packet {
                Packet::Publish(publish) if publish.qos == Qos::AtLeastOnce => {
                    outgoing.reply(Reply::PubAck(publish.packet_id));
                    received += 1;
                }
                other => return Err(Error::other(format!("{other:?}"))),
            }
        }
        let replies = outgoing.bytes();
        stream.tcp.write_all(replies)?;
        replies.clear();
    }
    Ok(thread_seconds())
}
