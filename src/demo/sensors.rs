//! Simulated sensors: a house and a garden that publish to a broker at a steady rate, some of them faulty.
//!
//! They publish at QoS 1 over a client of a few lines. What a broken connection had not been acknowledged is not
//! sent again: these sensors show Amber at work, they prove nothing.

mod house;

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{Connect, ConnectReturnCode, Packet, Publish};
use rumqttc::mqttbytes::{Error, QoS};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::message::Clock;
use house::{House, Reading};

/// How many messages a second look lively without filling the screen.
pub const PER_SECOND: f64 = 30.0;

/// Readings that are due are sent this often, together.
const TICK: Duration = Duration::from_millis(20);
/// Sent together at most; a rate beyond it a tick is not reached.
const MAX_TOGETHER: usize = 1_000;
/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_secs(1);
const CLIENT_ID: &str = "amber-simulated-sensors";
const MAX_PACKET_BYTES: usize = 1 << 16;

/// Publishes to the broker at `address` until `stop`, about `per_second` messages a second in all, and returns how
/// many the broker has acknowledged. It connects again as long as it takes, and says so once per change.
pub async fn run<A>(address: A, per_second: f64, clock: Clock, stop: CancellationToken) -> u64
where
    A: ToSocketAddrs + Clone,
{
    let mut house = House::new(clock());
    let mut acknowledged = 0;
    let mut away = false;
    while !stop.is_cancelled() {
        let publishing = async {
            let mut client = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                client = Client::connect(address.clone(), CLIENT_ID) => client?,
            };
            if std::mem::take(&mut away) {
                tracing::info!("simulated sensors are connected again");
            }
            publish(&mut client, &mut house, per_second, clock, &stop, &mut acknowledged).await
        };
        match publishing.await {
            Ok(()) => break,
            Err(error) => {
                if !std::mem::replace(&mut away, true) {
                    tracing::warn!(%error, "simulated sensors have no broker, trying again");
                }
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }
    acknowledged
}

/// Publishes over one connection until `stop` or the connection fails.
async fn publish(
    client: &mut Client,
    house: &mut House,
    per_second: f64,
    clock: Clock,
    stop: &CancellationToken,
    acknowledged: &mut u64,
) -> io::Result<()> {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    let mut due: f64 = 1.0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return client.disconnect().await,
            now = ticks.tick() => {
                due += now.saturating_duration_since(last).as_secs_f64() * per_second;
                last = now;
            }
        }
        // What cannot be sent together is not owed: a pause of the machine is not made up for in a burst.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded, and never negative")]
        let count = (due as usize).min(MAX_TOGETHER);
        due = due.fract();
        if count > 0 {
            client.publish(std::iter::repeat_with(|| house.next(clock())).take(count)).await?;
            *acknowledged += count as u64;
        }
    }
}

/// The smallest client that publishes at QoS 1 (MQTT 3.1.1).
struct Client {
    stream: TcpStream,
    input: BytesMut,
}

impl Client {
    async fn connect(address: impl ToSocketAddrs, client_id: &str) -> io::Result<Self> {
        let connecting = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let mut client = Self { stream, input: BytesMut::new() };
            // Without keep-alive: at any rate worth looking at it is never silent for long.
            let connect = Connect { keep_alive: 0, ..Connect::new(client_id) };
            client.send([Packet::Connect(connect)]).await?;
            match client.receive().await? {
                Packet::ConnAck(answer) if answer.code == ConnectReturnCode::Success => Ok(client),
                other => Err(io::Error::other(format!("the broker answers CONNECT with {other:?}"))),
            }
        };
        in_time(connecting).await
    }

    /// Publishes all of `readings` and waits for every PUBACK.
    async fn publish(&mut self, readings: impl Iterator<Item = Reading>) -> io::Result<()> {
        let mut open: u16 = 0;
        let packets = readings.map(|reading| {
            open += 1;
            let mut publish = Publish::new(reading.topic, QoS::AtLeastOnce, reading.payload);
            publish.retain = reading.retain;
            publish.pkid = open;
            Packet::Publish(publish)
        });
        let packets: Vec<Packet> = packets.collect();
        in_time(async {
            self.send(packets).await?;
            while open > 0 {
                if matches!(self.receive().await?, Packet::PubAck(_)) {
                    open -= 1;
                }
            }
            Ok(())
        })
        .await
    }

    async fn disconnect(&mut self) -> io::Result<()> {
        in_time(self.send([Packet::Disconnect])).await
    }

    async fn send(&mut self, packets: impl IntoIterator<Item = Packet>) -> io::Result<()> {
        let mut output = BytesMut::new();
        for packet in packets {
            packet.write(&mut output, MAX_PACKET_BYTES).expect("the packets are small and right");
        }
        self.stream.write_all(&output).await
    }

    async fn receive(&mut self) -> io::Result<Packet> {
        loop {
            match Packet::read(&mut self.input, MAX_PACKET_BYTES) {
                Ok(packet) => return Ok(packet),
                Err(Error::InsufficientBytes(_)) => {}
                Err(error) => return Err(io::Error::other(format!("the broker sends no MQTT: {error:?}"))),
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rumqttc::mqttbytes::v4::Subscribe;

    use super::*;
    use crate::demo::broker::{Broker, Script};
    use crate::message::Time;

    #[tokio::test]
    async fn sensors_publish_until_they_are_stopped() {
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let broker = Broker::start(address, Script::default(), CancellationToken::new()).await.unwrap();
        let stop = CancellationToken::new();
        let sensors = tokio::spawn(run(broker.address(), 2_000.0, Time::now, stop.clone()));
        while broker.seen(CLIENT_ID).is_none() {
            tokio::task::yield_now().await;
        }
        // A broker that loses them is connected to again.
        broker.forget_sessions();
        while broker.seen(CLIENT_ID).is_none_or(|seen| seen.generation < 2) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut listener = Client::connect(broker.address(), "listener").await.unwrap();
        listener
            .send([Packet::Subscribe(Subscribe { pkid: 1, ..Subscribe::new("home/#", QoS::AtMostOnce) })])
            .await
            .unwrap();
        while !matches!(listener.receive().await.unwrap(), Packet::Publish(_)) {}
        stop.cancel();
        assert!(sensors.await.unwrap() > 0);
        broker.stop().await;
    }

    #[tokio::test]
    async fn sensors_without_a_broker_stop_all_the_same() {
        let stop = CancellationToken::new();
        let sensors = tokio::spawn(run("127.0.0.1:1", PER_SECOND, Time::now, stop.clone()));
        tokio::task::yield_now().await;
        stop.cancel();
        assert_eq!(sensors.await.unwrap(), 0);
    }
}
