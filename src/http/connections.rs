//! Connections, bounded in number and in how long they may do nothing: each holds a file of the process, of which the broker
//! and the store need some as well.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// At a time: six of each browser for as many pages as listen would be too many, and nobody has all of them open.
const MAX_CONNECTIONS: usize = 128;
/// A connection that is asked nothing and takes nothing for so long is closed. A stream of events takes something each
/// second.
const IDLE: Duration = Duration::from_secs(60);

/// From the first byte of a request, or from the beginning, an answer must begin within so long: longer than any question
/// takes. What comes byte by byte puts it off no more, or a few slow clients would hold all places for ever.
const UNANSWERED: Duration = Duration::from_secs(15);

/// Takes a connection when there is room for it; until then it waits in the system's queue.
pub(super) struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Bounded {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(MAX_CONNECTIONS)) }
    }
}

impl Listener for Bounded {
    type Io = Held<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("nobody closes it");
        // Axum's own: what fails is tried again.
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // Events are small and each is awaited. Without it they are late, no more.
        stream.set_nodelay(true).ok();
        (Held::new(stream, Some(place)), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection and its place.
pub(super) struct Held<S> {
    stream: S,
    end: Pin<Box<Sleep>>,
    /// Something has come since the last answer, or there was none yet.
    is_asked: bool,
    _place: Option<OwnedSemaphorePermit>,
}

impl<S> Held<S> {
    fn new(stream: S, place: Option<OwnedSemaphorePermit>) -> Self {
        Self { stream, end: Box::pin(sleep(UNANSWERED)), is_asked: true, _place: place }
    }

    fn asked(&mut self) {
        if !std::mem::replace(&mut self.is_asked, true) {
            self.end.as_mut().reset(Instant::now() + UNANSWERED);
        }
    }

    fn answered(&mut self) {
        self.is_asked = false;
        self.end.as_mut().reset(Instant::now() + IDLE);
    }

    /// Ends what waits when its time is over.
    fn unless_over<T>(&mut self, context: &mut Context<'_>, came: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match came {
            Poll::Ready(came) => Poll::Ready(came),
            Poll::Pending => self.end.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Held<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if matches!(read, Poll::Ready(Ok(()))) {
            self.asked();
        }
        self.unless_over(context, read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Held<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if matches!(written, Poll::Ready(Ok(_))) {
            self.answered();
        }
        self.unless_over(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        if matches!(written, Poll::Ready(Ok(_))) {
            self.answered();
        }
        self.unless_over(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_does_nothing_is_closed_and_one_that_is_written_to_is_not() {
        let (stream, mut other) = duplex(1_024);
        let mut held = Held::new(stream, None);
        let begun = Instant::now();
        let (mut reading, mut writing) = tokio::io::split(&mut held);
        let events = async {
            for _ in 0..300 {
                sleep(Duration::from_secs(1)).await;
                writing.write_all(b"x").await.unwrap();
            }
        };
        let taken = async { other.read_exact(&mut [0; 300]).await };
        let mut nothing = [0];
        let (ended, (), taken) = tokio::join!(reading.read(&mut nothing), events, taken);
        assert_eq!((taken.unwrap(), ended.unwrap_err().kind()), (300, io::ErrorKind::TimedOut));
        assert_eq!(begun.elapsed(), Duration::from_secs(300) + IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_comes_byte_by_byte_is_not_waited_for() {
        let (stream, mut other) = duplex(1_024);
        let mut held = Held::new(stream, None);
        let begun = Instant::now();
        let slow = async {
            while other.write_all(b"x").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        };
        let reading = async move {
            let mut byte = [0];
            loop {
                if let Err(error) = held.read_exact(&mut byte).await {
                    return error.kind();
                }
            }
        };
        // The end is seen where nothing is there to be read.
        let (kind, ()) = tokio::join!(reading, slow);
        assert_eq!(kind, io::ErrorKind::TimedOut);
        assert!(begun.elapsed() <= UNANSWERED + Duration::from_secs(1), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn one_more_than_there_is_room_for_waits_until_another_leaves() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut bounded = Bounded { listener, places: Arc::new(Semaphore::new(1)) };
        let _one = TcpStream::connect(address).await.unwrap();
        let _two = TcpStream::connect(address).await.unwrap();
        let (held, _) = bounded.accept().await;
        assert_eq!(bounded.places.available_permits(), 0);
        let leave = async move {
            tokio::task::yield_now().await;
            drop(held);
        };
        let ((second, _), ()) = tokio::join!(bounded.accept(), leave);
        drop(second);
        assert_eq!(bounded.places.available_permits(), 1);
    }
}
