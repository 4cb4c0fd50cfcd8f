//! A broker that is none: it answers a CONNECT with whatever bytes a test gives it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{DEADLINE, ports};

/// CONNACK of MQTT 5 without a session.
pub const CONNACK: &[u8] = &[0x20, 3, 0, 0, 0];

/// A PUBLISH of MQTT 5 without properties.
pub fn publish(qos: u8, packet_id: u16, topic: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = publish_head(qos, packet_id, topic, payload.len());
    bytes.extend_from_slice(payload);
    bytes
}

/// The same up to its payload, which is to have so many bytes.
pub fn publish_head(qos: u8, packet_id: u16, topic: &[u8], payload_bytes: usize) -> Vec<u8> {
    let id: &[u8] = if qos == 0 { &[] } else { &packet_id.to_be_bytes() };
    let remaining = 2 + topic.len() + id.len() + 1 + payload_bytes;
    let mut length = Vec::new();
    let mut left = remaining;
    loop {
        let more = left >> 7 > 0;
        length.push((left & 0x7F) as u8 | if more { 0x80 } else { 0 });
        left >>= 7;
        if !more {
            break;
        }
    }
    let topic_bytes = u16::try_from(topic.len()).expect("a topic is short").to_be_bytes();
    [&[0x30 | qos << 1], &length[..], &topic_bytes, topic, id, &[0]].concat()
}

/// Listens until it is dropped, and serves one connection after another.
pub struct Fake {
    pub port: u16,
    connections: Arc<Mutex<Vec<Connection>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// One that came, and what the client said on it by now.
#[derive(Clone, Debug)]
pub struct Connection {
    pub at: Instant,
    pub heard: Vec<u8>,
}

impl Fake {
    /// Answers every CONNECT with `bytes`, and then listens to what is said until the client has gone.
    pub fn answering(bytes: Vec<u8>) -> Self {
        Self::serving(move |stream| {
            // A client that has gone already.
            drop(stream.write_all(&bytes));
        })
    }

    /// The same with more than bytes.
    pub fn serving(serve: impl Fn(&mut TcpStream) + Send + 'static) -> Self {
        let port = ports::free();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
        let connections = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let (shared, end) = (Arc::clone(&connections), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(stream) = stream {
                    take(stream, &serve, &shared, &end);
                }
            }
        });
        Self { port, connections, ended, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    pub fn connections(&self) -> Vec<Connection> {
        self.connections.lock().expect("no thread panics with it").clone()
    }
}

fn take(mut stream: TcpStream, serve: &impl Fn(&mut TcpStream), shared: &Mutex<Vec<Connection>>, end: &AtomicBool) {
    shared.lock().expect("no thread panics with it").push(Connection { at: Instant::now(), heard: Vec::new() });
    stream.set_read_timeout(Some(DEADLINE)).expect("it is not zero");
    let mut bytes = [0; 4096];
    if !matches!(stream.read(&mut bytes), Ok(1..)) {
        return;
    }
    serve(&mut stream);
    stream.set_read_timeout(Some(Duration::from_millis(20))).expect("it is not zero");
    while !end.load(Ordering::SeqCst) {
        match stream.read(&mut bytes) {
            Ok(0) => return,
            Ok(count) => {
                let mut connections = shared.lock().expect("no thread panics with it");
                connections.last_mut().expect("it is there").heard.extend_from_slice(&bytes[..count]);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes it, if it waits for a connection.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the fake does not panic");
        }
    }
}
