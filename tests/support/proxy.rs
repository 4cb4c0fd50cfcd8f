//! A TCP proxy that misbehaves on demand: between Amber and its broker, or its database.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::ports;

/// What happens to bytes, on the connections that are there and on new ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// What the server says is read and dropped.
    UpstreamOnly,
    /// What the client says is read and dropped.
    DownstreamOnly,
    /// Both: as a network that swallows everything.
    BlackHole,
    /// New connections are closed at once.
    Refuse,
    /// Passes until the client has said `marker`; from then on what the server says is dropped, on that connection.
    /// So the server does what it was asked for, and the client never hears of it.
    SwallowAnswerTo(Arc<[u8]>),
    /// The same, but the first bytes of the answer pass: so many.
    CutAnswerTo(Arc<[u8]>, usize),
    /// Passes this many bytes of the server's; what follows is dropped, on that connection.
    SwallowAfter(usize),
}

/// How connections end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Properly.
    Close,
    /// By a reset: what is on its way is lost.
    Reset,
}

/// The proxy; it ends with its value.
pub struct Proxy {
    pub port: u16,
    mode: watch::Sender<Mode>,
    cut: watch::Sender<(u64, Cut)>,
    connections: Arc<AtomicUsize>,
    runtime: Option<Runtime>,
}

impl Proxy {
    /// A proxy on a port of its own to `server`, passing.
    pub fn to(server: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let port = ports::free();
        let listener =
            runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, port))).expect("the port was free just now");
        let (mode, modes) = watch::channel(Mode::Pass);
        let (cut, cuts) = watch::channel((0, Cut::Close));
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *modes.borrow() == Mode::Refuse {
                    continue;
                }
                count.fetch_add(1, Ordering::Relaxed);
                let mut cuts = cuts.clone();
                cuts.borrow_and_update();
                tokio::spawn(serve(client, server, modes.clone(), cuts));
            }
        });
        Self { port, mode, cut, connections, runtime: Some(runtime) }
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Drops the server's answer to whatever contains `marker`.
    pub fn swallow_answer_to(&self, marker: &str) {
        self.set(Mode::SwallowAnswerTo(marker.as_bytes().into()));
    }

    /// Passes only the first `bytes` of the server's answer to whatever contains `marker`.
    pub fn cut_answer_to(&self, marker: &str, bytes: usize) {
        self.set(Mode::CutAnswerTo(marker.as_bytes().into(), bytes));
    }

    /// Ends all connections that are there.
    pub fn cut(&self, how: Cut) {
        self.cut.send_modify(|(generation, manner)| {
            *generation += 1;
            *manner = how;
        });
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// One connection, until either side ends it or the proxy cuts it.
async fn serve(client: TcpStream, server: u16, modes: watch::Receiver<Mode>, mut cuts: watch::Receiver<(u64, Cut)>) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await else { return };
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("a connected stream takes the option");
    }
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let asked = Arc::new(AtomicUsize::new(0));
    tokio::select! {
        () = upstream(&mut from_client, &mut to_server, &modes, &asked) => {}
        () = downstream(&mut from_server, &mut to_client, &modes, &asked) => {}
        _ = cuts.changed() => {
            if cuts.borrow().1 == Cut::Reset {
                for stream in [to_client.as_ref(), to_server.as_ref()] {
                    // A stream that the peer has just closed refuses it, and is cut anyway.
                    drop(stream.set_zero_linger());
                }
            }
        }
    }
}

/// Counts into `asked` how often the marker went by.
async fn upstream(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    modes: &watch::Receiver<Mode>,
    asked: &AtomicUsize,
) {
    let mut buffer = vec![0; 64 << 10];
    let mut seen: Vec<u8> = Vec::new();
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let mode = modes.borrow().clone();
        match mode {
            Mode::DownstreamOnly | Mode::BlackHole => continue,
            Mode::SwallowAnswerTo(marker) | Mode::CutAnswerTo(marker, _) => {
                seen.extend_from_slice(&buffer[..count]);
                if seen.windows(marker.len()).any(|window| window == &*marker) {
                    asked.fetch_add(1, Ordering::SeqCst);
                }
                // The marker may lie across two reads.
                seen.drain(..seen.len().saturating_sub(marker.len() - 1));
            }
            Mode::Pass | Mode::UpstreamOnly | Mode::Refuse | Mode::SwallowAfter(_) => {}
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

async fn downstream(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    modes: &watch::Receiver<Mode>,
    asked: &AtomicUsize,
) {
    let mut buffer = vec![0; 64 << 10];
    let mut passed = 0;
    let mut of_answer = 0;
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let mode = modes.borrow().clone();
        let take = match mode {
            Mode::UpstreamOnly | Mode::BlackHole => 0,
            Mode::SwallowAnswerTo(_) if asked.load(Ordering::SeqCst) > 0 => 0,
            Mode::CutAnswerTo(_, bytes) if asked.load(Ordering::SeqCst) > 0 => {
                let take = count.min(bytes.saturating_sub(of_answer));
                of_answer += take;
                take
            }
            Mode::SwallowAfter(bytes) => count.min(bytes.saturating_sub(passed)),
            Mode::Pass | Mode::DownstreamOnly | Mode::Refuse | Mode::SwallowAnswerTo(_) | Mode::CutAnswerTo(..) => {
                count
            }
        };
        passed += take;
        if to.write_all(&buffer[..take]).await.is_err() {
            return;
        }
    }
}
