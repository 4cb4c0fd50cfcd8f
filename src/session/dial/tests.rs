//! WebSockets against a server that is written out byte by byte, and against tungstenite's own.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::Message;

use super::websocket::connect;
use super::*;

fn url() -> BrokerUrl {
    BrokerUrl::Net { host: "broker".into(), port: 80, tls: false, websocket: Some("/mqtt".into()) }
}

/// The server's end.
struct Server(DuplexStream);

impl Server {
    /// Reads the request, and answers it with `head`, in which `KEY` stands for what the key demands.
    async fn shake_hands(&mut self, head: &str) -> String {
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            request.push(char::from(self.0.read_u8().await.unwrap()));
        }
        let key = request.split("Sec-WebSocket-Key: ").nth(1).unwrap().split("\r\n").next().unwrap();
        self.send(head.replace("KEY", &derive_accept_key(key.as_bytes())).as_bytes()).await;
        request
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// A frame of the client's: its first byte, and its payload without the mask.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let first = self.0.read_u8().await.unwrap();
        let length = self.0.read_u8().await.unwrap();
        assert!(length & 0x80 != 0, "it is masked");
        let length = match length & 0x7F {
            126 => usize::from(self.0.read_u16().await.unwrap()),
            127 => usize::try_from(self.0.read_u64().await.unwrap()).unwrap(),
            length => usize::from(length),
        };
        let mut mask = [0; 4];
        self.0.read_exact(&mut mask).await.unwrap();
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await.unwrap();
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        (first, payload)
    }
}

const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
                        Sec-WebSocket-Accept: KEY\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

/// A WebSocket, what the client asked with, and the server's end.
async fn open(room: usize) -> (impl Transport, String, Server) {
    let (ours, theirs) = tokio::io::duplex(room);
    let mut server = Server(theirs);
    let url = url();
    let (client, request) = tokio::join!(connect(ours, &url, "broker", 80, "/mqtt"), server.shake_hands(ACCEPTED));
    (client.unwrap_or_else(|error| panic!("{error:?}")), request, server)
}

async fn read(stream: &mut impl Transport, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test]
async fn the_subprotocol_is_asked_for_and_demanded() {
    let (_, request, _) = open(1 << 16).await;
    assert!(request.starts_with("GET /mqtt HTTP/1.1\r\nHost: broker\r\n"), "{request}");
    assert!(request.contains("\r\nSec-WebSocket-Protocol: mqtt\r\n"), "{request}");
    let wrong = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\
                 Sec-WebSocket-Protocol: mqtt\r\n\r\n";
    for (head, what, is_for_a_person) in [
        (ACCEPTED.replace("Sec-WebSocket-Protocol: mqtt\r\n", ""), "MQTT-6.0.0-4", true),
        (ACCEPTED.replace("mqtt", "mqttv3.1"), "MQTT-6.0.0-4", true),
        (wrong.to_owned(), "RFC 6455", true),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(), "no WebSocket at `/mqtt` (`404", true),
        ("HTTP/1.1 403 Forbidden\r\n\r\n".to_owned(), "refuses the WebSocket", true),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n".to_owned(), "`502 Bad Gateway`", false),
        ("\x20\x02\0\0".to_owned(), "not answer in HTTP", true),
        (format!("HTTP/1.1 101 X\r\nX: {}", "x".repeat(17_000)), "not answer in HTTP", true),
    ] {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (url, mut server) = (url(), Server(theirs));
        let (client, _) =
            tokio::join!(connect(ours, &url, "broker", 80, "/mqtt?key=secret"), server.shake_hands(&head));
        match client.map(|_| ()) {
            Err(DialError::Unfit(why)) if is_for_a_person => assert!(why.contains(what), "{why}"),
            Err(DialError::Ended(why)) if !is_for_a_person => assert!(why.contains(what), "{why}"),
            other => panic!("{head}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn messages_and_their_pieces_are_one_stream_of_bytes() {
    let (mut client, _, mut server) = open(1 << 16).await;
    // Two packets in one message, a packet over two messages, a message in three pieces with a ping between, an empty one.
    server.send(&[0x82, 4, 1, 2, 3, 4, 0x82, 1, 5, 0x82, 0, 0x82, 1, 6]).await;
    server.send(&[0x02, 1, 7, 0x89, 2, b'h', b'i', 0x00, 2, 8, 9, 0x80, 1, 10]).await;
    assert_eq!(read(&mut client, 10).await, (1..=10).collect::<Vec<u8>>());
    assert_eq!(server.frame().await, (0x8A, b"hi".to_vec()));
    // Of three pings the last is answered; a pong that nobody asked for is none of ours.
    server.send(&[0x89, 1, 1, 0x89, 1, 2, 0x8A, 0, 0x89, 1, 3, 0x82, 1, 11]).await;
    assert_eq!(read(&mut client, 1).await, [11]);
    let mut answered = Vec::new();
    while answered.last() != Some(&3) {
        let (first, payload) = server.frame().await;
        assert_eq!(first, 0x8A);
        answered.extend(payload);
    }
    client.write_all(&[1, 2, 3]).await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(server.frame().await, (0x82, vec![1, 2, 3]));
}

#[tokio::test]
async fn a_frame_of_any_length_streams_through_a_small_buffer() {
    let (mut client, _, mut server) = open(4_096).await;
    const LENGTH: u64 = 20 << 20;
    let send = async {
        server.send(&[0x82, 127]).await;
        server.send(&LENGTH.to_be_bytes()).await;
        for _ in 0..LENGTH / 1_024 {
            server.send(&[7; 1_024]).await;
        }
        server
    };
    let take = async {
        let mut left = usize::try_from(LENGTH).unwrap();
        let mut buffer = [0; 1_000];
        while left > 0 {
            let count = client.read(&mut buffer).await.unwrap();
            assert!(count > 0 && buffer[..count].iter().all(|&byte| byte == 7));
            left -= count;
        }
    };
    let (_server, ()) = tokio::join!(send, take);
}

#[tokio::test]
async fn a_close_is_answered_and_is_the_end() {
    let (mut client, _, mut server) = open(1 << 16).await;
    server.send(&[0x82, 1, 1, 0x88, 4, 0x03, 0xE9, b'b', b'y', 0x82, 1, 2]).await;
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, [1], "what comes behind a close is not read");
    assert_eq!(server.frame().await, (0x88, vec![0x03, 0xE9]));
    assert!(client.write_all(&[1]).await.is_err_and(|error| is_end(&error)));

    let (mut client, _, mut server) = open(1 << 16).await;
    client.shutdown().await.unwrap();
    assert_eq!(server.frame().await, (0x88, 1000_u16.to_be_bytes().to_vec()));

    let (mut client, _, server) = open(1 << 16).await;
    drop(server);
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn what_a_server_must_not_send_is_an_error_that_names_the_clause() {
    for (frame, clause) in [
        (&[0x81, 2, b'h', b'i'][..], "MQTT-6.0.0-1"),
        (&[0x82, 0x81, 0, 0, 0, 0, 1], "RFC 6455, 5.1"),
        (&[0xC2, 1, 1], "RFC 6455, 5.2"),
        (&[0x83, 0], "RFC 6455, 5.2"),
        (&[0x8B, 0], "RFC 6455, 5.2"),
        (&[0x89, 126, 0, 200], "RFC 6455, 5.5"),
        (&[0x09, 0], "RFC 6455, 5.5"),
        (&[0x80, 1, 1], "RFC 6455, 5.4"),
        (&[0x02, 0, 0x82, 0], "RFC 6455, 5.4"),
    ] {
        let (mut client, _, mut server) = open(1 << 16).await;
        server.send(frame).await;
        let error = client.read(&mut [0; 8]).await.unwrap_err();
        assert!(error.to_string().contains(clause), "{frame:02x?}: {error}");
    }
}

#[tokio::test]
async fn a_peer_that_reads_nothing_holds_back_one_frame_and_no_more() {
    let (mut client, _, mut server) = open(64).await;
    let mut taken = 0;
    while let Ok(count) = tokio::time::timeout(Duration::from_millis(20), client.write(&[5; 1_000])).await {
        taken += count.unwrap();
    }
    assert_eq!(taken, 1_000);
    let go_on = async {
        client.write_all(&[6]).await.unwrap();
        client.flush().await.unwrap();
    };
    let take = async { [server.frame().await, server.frame().await] };
    let (frames, ()) = tokio::join!(take, go_on);
    assert_eq!(frames, [(0x82, vec![5; 1_000]), (0x82, vec![6])]);
}

#[tokio::test]
async fn another_implementation_understands_us_and_is_understood() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let echo = std::thread::spawn(move || {
        use tungstenite::handshake::server::{ErrorResponse, Request, Response};
        #[expect(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
        let agree = |_: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
            response.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
            Ok(response)
        };
        let (stream, _) = listener.accept().unwrap();
        let mut socket = tungstenite::accept_hdr(stream, agree).unwrap();
        let mut pings = 0;
        loop {
            match socket.read() {
                Ok(Message::Binary(bytes)) => {
                    socket.send(Message::Ping("are you there".into())).unwrap();
                    socket.send(Message::Binary(bytes)).unwrap();
                }
                Ok(Message::Pong(text)) => {
                    assert_eq!(text, "are you there");
                    pings += 1;
                }
                Ok(_) => {}
                Err(tungstenite::Error::ConnectionClosed) => return pings,
                Err(error) => panic!("{error}"),
            }
        }
    });
    let stream = TcpStream::connect(address).await.unwrap();
    let mut client = connect(stream, &url(), "broker", 80, "/mqtt").await.unwrap_or_else(|error| panic!("{error:?}"));
    for length in [1, 125, 126, 65_535, 65_536, 300_000] {
        let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
        let (mut from, mut to) = tokio::io::split(&mut client);
        let send = async {
            to.write_all(&bytes).await.unwrap();
            to.flush().await.unwrap();
        };
        let mut back = vec![0; length];
        let take = async { from.read_exact(&mut back).await.unwrap() };
        tokio::join!(send, take);
        assert!(back == bytes, "{length} bytes");
    }
    client.shutdown().await.unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    drop(client);
    assert!(echo.join().unwrap() > 0);
}
