//! The load: devices that publish at QoS 1 over one connection, as fast as the broker acknowledges or at a
//! given rate. Plain threads and bytes, so that it takes as little of the two cores as it can.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Messages published and not yet acknowledged by the broker.
const WINDOW: usize = 1_000;
const SITES: usize = 50;

/// What is published.
#[derive(Clone, Copy)]
pub struct Load {
    pub devices: usize,
    /// Messages.
    pub count: usize,
}

/// How fast.
#[derive(Clone, Copy)]
pub enum Rate {
    AsFastAsPossible,
    PerSecond(u32),
}

impl Load {
    /// Publishes all messages and returns once the broker has acknowledged all.
    pub fn publish(self, broker: SocketAddr, rate: Rate) -> std::io::Result<()> {
        let count = self.count;
        let mut stream = TcpStream::connect(broker)?;
        stream.set_nodelay(true)?;
        stream.write_all(&connect_packet())?;
        let mut connack = [0; 4];
        stream.read_exact(&mut connack)?;
        assert_eq!(connack[3], 0, "the broker refused the publisher");
        let acked = Arc::new((Mutex::new(0usize), Condvar::new()));
        let reader = std::thread::spawn({
            let (mut stream, acked) = (stream.try_clone()?, acked.clone());
            move || count_acks(&mut stream, count, &acked)
        });
        let start = Instant::now();
        let mut sent = 0;
        let mut buffer = Vec::with_capacity(256 << 10);
        while sent < count {
            let room = {
                let guard = acked.0.lock().expect("the reader does not panic");
                // A quarter of the window at a time: fewer, larger writes.
                let guard = acked.1.wait_while(guard, |acked| sent - *acked > WINDOW * 3 / 4).expect("no panic");
                WINDOW - (sent - *guard)
            };
            let mut burst = room.min(count - sent);
            if let Rate::PerSecond(rate) = rate {
                let due = (start.elapsed().as_secs_f64() * f64::from(rate)) as usize + 1;
                burst = burst.min(due.saturating_sub(sent));
                if burst == 0 {
                    pause(Duration::from_micros(200));
                    continue;
                }
            }
            buffer.clear();
            for number in sent..sent + burst {
                push_publish(&mut buffer, number, self.devices);
            }
            stream.write_all(&buffer)?;
            sent += burst;
        }
        reader.join().expect("the reader does not panic")?;
        stream.write_all(&[0xE0, 0])
    }
}

#[expect(clippy::disallowed_methods, reason = "a load at a given rate is a matter of time")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn count_acks(stream: &mut TcpStream, count: usize, acked: &(Mutex<usize>, Condvar)) -> std::io::Result<()> {
    let mut buffer = [0; 64 << 10];
    let (mut bytes, mut total) = (0, 0);
    while total < count {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes += read;
        // Every PUBACK of MQTT 3.1.1 has four bytes (3.4), and nothing else comes.
        total = bytes / 4;
        *acked.0.lock().expect("the writer does not panic") = total;
        acked.1.notify_one();
    }
    Ok(())
}

fn connect_packet() -> Vec<u8> {
    let id = b"amber-bench-load";
    let mut packet = vec![0x10, 12 + id.len() as u8, 0, 4];
    packet.extend_from_slice(b"MQTT");
    packet.extend_from_slice(&[4, 2, 0, 0, 0, id.len() as u8]);
    packet.extend_from_slice(id);
    packet
}

/// `bench/s07/d0357 {"ts":…,"n":357,"temperature":…,"humidity":…,"pressure":…,"battery":…}`, QoS 1.
fn push_publish(buffer: &mut Vec<u8>, number: usize, devices: usize) {
    let device = number % devices;
    let topic = format!("bench/s{:02}/d{device:04}", device % SITES);
    let phase = (number as f64 / 1_000.0).sin();
    let payload = format!(
        r#"{{"ts":{},"n":{number},"temperature":{:.2},"humidity":{:.1},"pressure":{:.1},"battery":{}}}"#,
        micros(),
        21.0 + 4.0 * phase,
        50.0 - 10.0 * phase,
        1013.0 + phase,
        device % 101,
    );
    buffer.push(0x32);
    let mut length = 2 + topic.len() + 2 + payload.len();
    while length >= 128 {
        buffer.push((length % 128) as u8 | 0x80);
        length /= 128;
    }
    buffer.push(length as u8);
    buffer.extend_from_slice(&(topic.len() as u16).to_be_bytes());
    buffer.extend_from_slice(topic.as_bytes());
    // 0 is no packet identifier (2.2.1).
    buffer.extend_from_slice(&((number % 65_535 + 1) as u16).to_be_bytes());
    buffer.extend_from_slice(payload.as_bytes());
}

/// Microseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "latency is measured against the clock")]
pub fn micros() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros() as i64
}
