//! Publishers: one of our own that waits for every acknowledgement, Mosquitto's tools, and the real paho.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use amber::message::Qos;
use bytes::BytesMut;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Connect, Packet, PubAck, PubComp, PubRel, Publish};

use super::{DEADLINE, process};

/// Messages under way at a time: enough to be quick, fewer than any broker's limit.
const WINDOW: usize = 20;
const MAX_PACKET_BYTES: usize = 256 << 20;

/// A connection of MQTT 3.1.1 that publishes.
pub struct Publisher {
    stream: TcpStream,
    buffer: BytesMut,
    next_id: u16,
}

impl Publisher {
    /// Connects to a broker on loopback, with a clean session.
    #[track_caller]
    pub fn connect(port: u16, client_id: &str) -> Self {
        Self::try_connect(port, client_id).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same, to a broker that may be away.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub fn try_connect(port: u16, client_id: &str) -> Result<Self, String> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(|error| error.to_string())?;
        stream.set_nodelay(true).expect("a connected stream takes the option");
        stream.set_read_timeout(Some(DEADLINE)).expect("a connected stream takes the option");
        let mut publisher = Self { stream, buffer: BytesMut::new(), next_id: 0 };
        let mut connect = Connect::new(client_id);
        connect.keep_alive = 0;
        publisher.send(&Packet::Connect(connect))?;
        match publisher.receive()? {
            Packet::ConnAck(answer) if answer.code == rumqttc::ConnectReturnCode::Success => Ok(publisher),
            other => Err(format!("{other:?} instead of CONNACK")),
        }
    }

    /// Publishes one message and returns when the broker has taken it: at QoS 0 when it is sent, otherwise at its
    /// PUBACK or PUBCOMP.
    #[track_caller]
    pub fn publish(&mut self, topic: &str, payload: impl Into<Vec<u8>>, qos: Qos) {
        self.publish_all(qos, [(topic.to_owned(), payload.into())]);
    }

    /// The same with the RETAIN flag.
    #[track_caller]
    pub fn publish_retained(&mut self, topic: &str, payload: impl Into<Vec<u8>>, qos: Qos) {
        let mut publish = Publish::new(topic, level(qos), payload.into());
        publish.retain = true;
        taken(self.publish_packets(qos, vec![publish]));
    }

    /// Publishes many, some at a time, in order, and returns when the broker has taken all.
    #[track_caller]
    pub fn publish_all(&mut self, qos: Qos, messages: impl IntoIterator<Item = (String, Vec<u8>)>) {
        taken(self.try_publish_all(qos, messages));
    }

    /// The same, to a broker that may go away.
    ///
    /// # Errors
    /// Of which messages it is not known whether the broker has taken them. The connection is of no use then.
    pub fn try_publish_all(
        &mut self,
        qos: Qos,
        messages: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<(), Unacknowledged> {
        let packets = messages.into_iter().map(|(topic, payload)| Publish::new(topic, level(qos), payload));
        self.publish_packets(qos, packets.collect())
    }

    /// `{"n":1}` and so on for the `numbers`, each to `topic`.
    #[track_caller]
    pub fn publish_numbers(&mut self, topic: &str, numbers: std::ops::Range<u64>, qos: Qos) {
        self.publish_all(qos, numbers.map(|n| (topic.to_owned(), format!("{{\"n\":{n}}}").into_bytes())));
    }

    fn publish_packets(&mut self, qos: Qos, packets: Vec<Publish>) -> Result<(), Unacknowledged> {
        let count = packets.len();
        let (mut sent, mut open) = (0, BTreeMap::new());
        let result = self.exchange(qos, packets, &mut sent, &mut open);
        result.map_err(|why| Unacknowledged { positions: open.into_values().chain(sent..count).collect(), why })
    }

    /// `sent` counts the packets that are on their way, `open` has the positions of those not acknowledged.
    fn exchange(
        &mut self,
        qos: Qos,
        packets: Vec<Publish>,
        sent: &mut usize,
        open: &mut BTreeMap<u16, usize>,
    ) -> Result<(), String> {
        for (position, mut publish) in packets.into_iter().enumerate() {
            if qos != Qos::AtMostOnce {
                while open.len() >= WINDOW {
                    self.take_acknowledgement(open)?;
                }
                self.next_id = self.next_id % u16::MAX + 1;
                publish.pkid = self.next_id;
                open.insert(self.next_id, position);
            }
            *sent = position + 1;
            self.send(&Packet::Publish(publish))?;
        }
        while !open.is_empty() {
            self.take_acknowledgement(open)?;
        }
        Ok(())
    }

    /// Reads one packet, and takes the message that is done with it out of `open`.
    fn take_acknowledgement(&mut self, open: &mut BTreeMap<u16, usize>) -> Result<(), String> {
        match self.receive()? {
            Packet::PubAck(PubAck { pkid }) | Packet::PubComp(PubComp { pkid }) => {
                open.remove(&pkid);
                Ok(())
            }
            Packet::PubRec(received) => self.send(&Packet::PubRel(PubRel { pkid: received.pkid })),
            other => Err(format!("{other:?} instead of an acknowledgement")),
        }
    }

    fn send(&mut self, packet: &Packet) -> Result<(), String> {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, MAX_PACKET_BYTES).expect("the packet is right");
        self.stream.write_all(&bytes).map_err(|error| error.to_string())
    }

    fn receive(&mut self) -> Result<Packet, String> {
        loop {
            match Packet::read(&mut self.buffer, MAX_PACKET_BYTES) {
                Ok(packet) => return Ok(packet),
                Err(rumqttc::mqttbytes::Error::InsufficientBytes(_)) => {}
                Err(error) => return Err(format!("the broker sends nonsense: {error:?}")),
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err("the broker has closed the connection".to_owned()),
                Ok(count) => self.buffer.extend_from_slice(&bytes[..count]),
                Err(error) => return Err(format!("nothing from the broker: {error}")),
            }
        }
    }
}

/// Messages of which it is not known whether the broker has taken them.
#[derive(Debug)]
pub struct Unacknowledged {
    /// Among those that were to be published, from 0.
    pub positions: Vec<usize>,
    pub why: String,
}

#[track_caller]
fn taken(result: Result<(), Unacknowledged>) {
    if let Err(Unacknowledged { positions, why }) = result {
        panic!("{} messages were not acknowledged: {why}", positions.len());
    }
}

const fn level(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
        Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

/// Runs `mosquitto_pub` with `args` (without host and port), and waits for its end.
#[track_caller]
pub fn mosquitto_pub(port: u16, args: &[&str]) {
    let output = tool("mosquitto_pub", port).args(args).output().expect("it starts");
    assert!(output.status.success(), "mosquitto_pub {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs `mosquitto_sub` with `args` until it has as many messages as `-C` says, or for `-W` seconds; returns what it
/// printed, line by line.
#[track_caller]
pub fn mosquitto_sub(port: u16, args: &[&str]) -> Vec<String> {
    lines(&tool("mosquitto_sub", port).args(args).output().expect("it starts").stdout)
}

/// `mosquitto_sub` in the background; `.wait_with_output()` gives what it printed.
pub fn mosquitto_sub_started(port: u16, args: &[&str]) -> std::process::Child {
    tool("mosquitto_sub", port).args(args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts")
}

pub fn lines(output: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(output).lines().map(str::to_owned).collect()
}

fn tool(name: &str, port: u16) -> Command {
    let variable = format!("AMBER_TEST_{}", name.to_uppercase());
    let mut command = Command::new(process::find(&variable, &[name], "install the package mosquitto-clients"));
    command.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
    command
}

/// Runs `tests/support/publish.py`, the real Python client, with `messages`: one JSON object a line
/// (`{"topic": …, "payload": any JSON, "qos"?, "retain"?}`).
#[track_caller]
pub fn paho_publish(port: u16, version: &str, messages: &[serde_json::Value]) {
    let mut child = Command::new(python())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/publish.py"))
        .args([&port.to_string(), version])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut input = child.stdin.take().expect("it was asked for");
    for message in messages {
        writeln!(input, "{message}").expect("Python reads");
    }
    drop(input);
    let output = child.wait_with_output().expect("it is our child");
    assert!(output.status.success(), "publish.py: {}", String::from_utf8_lossy(&output.stderr));
}

/// A Python that has paho-mqtt 2.
pub fn python() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-python/bin/python");
    let path = std::env::var_os("AMBER_TEST_PYTHON").map_or_else(|| PathBuf::from(default), PathBuf::from);
    assert!(
        path.exists(),
        "{} is not there; run ./test.sh, or: python3 -m venv target/test-python && \
         target/test-python/bin/pip install 'paho-mqtt==2.*'; or name a Python with paho-mqtt 2 in AMBER_TEST_PYTHON",
        path.display()
    );
    path
}

/// How long a client may take that waits for messages.
pub const PATIENCE: Duration = DEADLINE;
