//! One connection: what the client says goes to the state, what the state has for it goes out.
//!
//! It reads and writes at the same time, so that two sides that both write much cannot wait for one another.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::packet::{
    self, Connect, Farewell, FromClient, Malformed, Message, Refused, ToClient, VERSION_REFUSED_V5,
    VERSION_REFUSED_V311, Version,
};
use super::script::VersionRefusal;
use super::state::{Attached, NotCurrent, State};
use crate::message::Qos;

/// How long a connection may take to say CONNECT, and a closing one to take the last bytes.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of output: no further message is taken from the queue, so that it waits there, where it is counted.
const OUTPUT_BYTES: usize = 64 << 10;
/// Of output: nothing more is read, because each packet may want an answer.
const MAX_OUTPUT_BYTES: usize = 1 << 20;

/// Why a connection ends.
enum End {
    /// The client said DISCONNECT.
    Asked { publish_will: bool, end_session: bool },
    /// The stream ended or failed.
    Lost,
    /// We end it, and tell the client why if it can be told.
    Told(Farewell),
    /// The script cuts it.
    Cut,
}

impl From<NotCurrent> for End {
    fn from(_: NotCurrent) -> Self {
        Self::Told(Farewell::TakenOver)
    }
}

impl From<Malformed> for End {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::TooLarge => Self::Told(Farewell::TooLarge),
            Malformed::Packet | Malformed::Version => Self::Told(Farewell::Malformed),
        }
    }
}

/// Serves one client to its end.
pub(super) async fn serve(stream: TcpStream, state: Arc<Mutex<State>>, stop: CancellationToken) {
    // A client that has gone already: the reads will tell.
    drop(stream.set_nodelay(true));
    let (mut from, mut to) = stream.into_split();
    let mut input = BytesMut::with_capacity(4096);
    let connecting = tokio::time::timeout(PATIENCE, read_connect(&mut from, &mut to, &mut input, &state));
    let connect = tokio::select! {
        () = stop.cancelled() => return,
        connect = connecting => connect.ok().flatten(),
    };
    let Some((connect, assigned)) = connect else { return };
    let attached = lock(&state).attach(&connect);
    let mut output = BytesMut::new();
    let Some(Attached { session_present, generation, wake }) = attached else {
        packet::write(ToClient::Refused(Refused::Unavailable), connect.version, &mut output);
        return write_last(&mut to, &mut output).await;
    };
    let identifiers = !lock(&state).script.no_identifiers;
    let welcome = ToClient::ConnAck { session_present, client_id: assigned, identifiers };
    packet::write(welcome, connect.version, &mut output);
    let mut connection =
        Connection { client_id: &connect.client_id, version: connect.version, generation, state, output, delivered: 0 };
    // What follows CONNECT may be here already.
    let end = match connection.take_packets(&mut input) {
        Ok(()) => connection.run(&mut from, &mut to, &mut input, &wake, connect.keep_alive, &stop).await,
        Err(end) => end,
    };
    connection.finish(end, connect.will.as_ref(), &mut to).await;
}

struct Connection<'a> {
    client_id: &'a str,
    version: Version,
    generation: u64,
    state: Arc<Mutex<State>>,
    output: BytesMut,
    /// PUBLISHes written on this connection.
    delivered: u64,
}

impl Connection<'_> {
    async fn run(
        &mut self,
        from: &mut OwnedReadHalf,
        to: &mut OwnedWriteHalf,
        input: &mut BytesMut,
        wake: &tokio::sync::Notify,
        keep_alive: u16,
        stop: &CancellationToken,
    ) -> End {
        // One and a half times what was agreed (3.1.2.10).
        let silence = Duration::from_millis(u64::from(keep_alive) * 1500);
        let mut heard = Instant::now();
        loop {
            if let Err(end) = self.deliver() {
                return end;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return End::Told(Farewell::ShuttingDown),
                written = to.write_buf(&mut self.output), if !self.output.is_empty() => match written {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return End::Lost,
                },
                read = from.read_buf(input), if self.output.len() < MAX_OUTPUT_BYTES => match read {
                    Ok(1..) => {
                        heard = Instant::now();
                        if let Err(end) = self.take_packets(input) {
                            return end;
                        }
                    }
                    Ok(0) | Err(_) => return End::Lost,
                },
                () = wake.notified() => {}
                () = tokio::time::sleep_until(heard + silence), if !silence.is_zero() => {
                    return End::Told(Farewell::KeepAlive);
                }
            }
        }
    }

    /// Puts what the state has for the client into the output, up to a limit.
    fn deliver(&mut self) -> Result<(), End> {
        let mut state = lock(&self.state);
        while self.output.len() < OUTPUT_BYTES {
            let Some(next) = state.take(self.client_id, self.generation)? else { return Ok(()) };
            let ToClient::Publish(delivery) = next else {
                packet::write(next, self.version, &mut self.output);
                continue;
            };
            let repeated = state.script.repeat && delivery.qos != Qos::AtMostOnce;
            packet::write(ToClient::Publish(delivery.clone()), self.version, &mut self.output);
            if repeated {
                let again = packet::Delivery { dup: true, ..delivery };
                packet::write(ToClient::Publish(again), self.version, &mut self.output);
            }
            self.delivered += 1;
            if state.script.cut_after.is_some_and(|count| self.delivered >= count) {
                return Err(End::Cut);
            }
        }
        Ok(())
    }

    /// Does what the whole packets in `input` ask for.
    fn take_packets(&mut self, input: &mut BytesMut) -> Result<(), End> {
        while let Some(packet) = packet::read(input, Some(self.version))? {
            let mut state = lock(&self.state);
            let (client_id, generation) = (self.client_id, self.generation);
            let answer = match packet {
                FromClient::Publish(message, id) => state.receive(client_id, generation, &message, id)?,
                FromClient::PubRel(id) => Some(state.release(client_id, generation, id)?),
                FromClient::PubAck(id) | FromClient::PubComp(id) | FromClient::PubRec { id, refused: true } => {
                    state.acknowledge(client_id, generation, id)?;
                    None
                }
                FromClient::PubRec { id, refused: false } => state.received(client_id, generation, id)?,
                FromClient::Subscribe(id, filters) => {
                    Some(ToClient::SubAck(id, state.subscribe(client_id, generation, filters)?))
                }
                FromClient::Unsubscribe(id, filters) => {
                    Some(ToClient::UnsubAck(id, state.unsubscribe(client_id, generation, &filters)?))
                }
                FromClient::PingReq => Some(ToClient::PingResp),
                FromClient::Disconnect { publish_will, end_session } => {
                    return Err(End::Asked { publish_will, end_session });
                }
                // A second one (3.1.0-2).
                FromClient::Connect(_) => return Err(End::Told(Farewell::Malformed)),
            };
            if let Some(answer) = answer {
                packet::write(answer, self.version, &mut self.output);
            }
        }
        Ok(())
    }

    async fn finish(mut self, end: End, will: Option<&Message>, to: &mut OwnedWriteHalf) {
        let (publish_will, end_session) = match end {
            End::Asked { publish_will, end_session } => (publish_will, end_session),
            End::Lost | End::Told(_) | End::Cut => (true, false),
        };
        {
            let mut state = lock(&self.state);
            state.detach(self.client_id, self.generation, end_session);
            if publish_will && let Some(will) = will {
                state.publish(will, None);
            }
        }
        match end {
            End::Asked { .. } | End::Lost => return,
            End::Told(why) => packet::write(ToClient::Disconnect(why), self.version, &mut self.output),
            End::Cut => {}
        }
        write_last(to, &mut self.output).await;
    }
}

/// Waits for CONNECT and turns away what cannot be served; `None` then. Also the identifier that a client was given.
async fn read_connect(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    input: &mut BytesMut,
    state: &Mutex<State>,
) -> Option<(Connect, Option<String>)> {
    let mut connect = loop {
        match packet::read(input, None) {
            Ok(Some(FromClient::Connect(connect))) => break connect,
            Ok(None) => match from.read_buf(input).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return None,
            },
            Err(Malformed::Version) => {
                write_last(to, &mut BytesMut::from(&VERSION_REFUSED_V311[..])).await;
                return None;
            }
            Ok(Some(_)) | Err(Malformed::Packet | Malformed::TooLarge) => return None,
        }
    };
    let script = lock(state).script.clone();
    if connect.version == Version::V5
        && let Some(how) = script.refuse_v5
    {
        match how {
            VersionRefusal::Connack311 => write_last(to, &mut BytesMut::from(&VERSION_REFUSED_V311[..])).await,
            VersionRefusal::Connack5 => write_last(to, &mut BytesMut::from(&VERSION_REFUSED_V5[..])).await,
            VersionRefusal::Close => {}
        }
        return None;
    }
    let mut assigned = None;
    let mut refused = script.refuse_login.then_some(Refused::BadLogin);
    if connect.client_id.is_empty() {
        // A session that lasts needs a name (MQTT 3.1.1, 3.1.3-8); MQTT 5 is told the one it gets.
        if connect.version == Version::V311 && connect.persistent {
            refused = Some(Refused::ClientId);
        }
        // The port is this client's own for as long as it is connected.
        let port = from.peer_addr().ok()?.port();
        connect.client_id = format!("auto-{port}");
        assigned = Some(connect.client_id.clone());
    }
    if let Some(why) = refused {
        let mut output = BytesMut::new();
        packet::write(ToClient::Refused(why), connect.version, &mut output);
        write_last(to, &mut output).await;
        return None;
    }
    Some((*connect, assigned))
}

/// Writes what is left and closes; a client that does not read is not waited for.
async fn write_last(to: &mut OwnedWriteHalf, output: &mut BytesMut) {
    let writing = async {
        to.write_all_buf(output).await?;
        to.shutdown().await
    };
    // Either way the connection is over.
    drop(tokio::time::timeout(PATIENCE, writing).await);
}

pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no holder of this lock panics")
}
