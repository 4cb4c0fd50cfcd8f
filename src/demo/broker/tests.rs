//! The broker over sockets, packet by packet: what its script does, and what no ready-made client shows.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{ConnAck, Connect, Packet, PubAck, PubComp, PubRec, PubRel, Publish, Subscribe};
use rumqttc::mqttbytes::{Error, QoS};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::*;

/// A client of MQTT 3.1.1 that says what it is told.
struct Client {
    stream: TcpStream,
    input: BytesMut,
}

impl Client {
    async fn raw(broker: &Broker) -> Self {
        Self { stream: TcpStream::connect(broker.address()).await.unwrap(), input: BytesMut::new() }
    }

    /// Connects with a session that lasts; also whether it was there.
    async fn connect(broker: &Broker, client_id: &str) -> (Self, bool) {
        let mut client = Self::raw(broker).await;
        let connect = Connect { clean_session: false, keep_alive: 0, ..Connect::new(client_id) };
        client.say(Packet::Connect(connect)).await;
        let Some(Packet::ConnAck(ConnAck { session_present, .. })) = client.hear().await else { panic!("no CONNACK") };
        (client, session_present)
    }

    async fn subscribed(broker: &Broker, client_id: &str) -> Self {
        let (mut client, _) = Self::connect(broker, client_id).await;
        client.say(Packet::Subscribe(Subscribe { pkid: 1, ..Subscribe::new("#", QoS::ExactlyOnce) })).await;
        assert!(matches!(client.hear().await, Some(Packet::SubAck(_))));
        client
    }

    async fn say(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, usize::MAX).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// The next packet; `None` at the end of the connection.
    async fn hear(&mut self) -> Option<Packet> {
        loop {
            match Packet::read(&mut self.input, usize::MAX) {
                Ok(packet) => return Some(packet),
                Err(Error::InsufficientBytes(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
            let read = tokio::time::timeout(Duration::from_secs(30), self.stream.read_buf(&mut self.input));
            match read.await.expect("the broker says something") {
                Ok(1..) => {}
                Ok(0) | Err(_) => return None,
            }
        }
    }

    async fn publish_heard(&mut self) -> Publish {
        match self.hear().await {
            Some(Packet::Publish(publish)) => publish,
            other => panic!("{other:?}"),
        }
    }

    /// Says PINGREQ and returns what was heard before its answer: whatever was due before.
    async fn heard_so_far(&mut self) -> Vec<Packet> {
        self.say(Packet::PingReq).await;
        let mut heard = vec![];
        loop {
            match self.hear().await {
                Some(Packet::PingResp) => return heard,
                Some(packet) => heard.push(packet),
                None => panic!("the connection has ended after {heard:?}"),
            }
        }
    }
}

async fn start(script: Script) -> Broker {
    Broker::start((Ipv4Addr::LOCALHOST, 0).into(), script, CancellationToken::new()).await.unwrap()
}

/// Ends a connection, and waits until the broker knows.
async fn leave(client: Client, broker: &Broker, client_id: &str) {
    drop(client);
    while broker.seen(client_id).unwrap().connected {
        tokio::task::yield_now().await;
    }
}

fn publish_numbers(broker: &Broker, numbers: std::ops::Range<u32>, qos: Qos) {
    for n in numbers {
        broker.publish("t", n.to_string(), qos, false);
    }
}

#[tokio::test]
async fn in_flight_messages_come_again_first_with_the_same_identifiers() {
    let broker = start(Script::default()).await;
    let mut client = Client::subscribed(&broker, "c").await;
    publish_numbers(&broker, 0..3, Qos::ExactlyOnce);
    for id in 1..=3 {
        assert_eq!(client.publish_heard().await.pkid, id);
    }
    // The first is done, the second is released, the third was only received.
    client.say(Packet::PubRec(PubRec::new(1))).await;
    assert_eq!(client.hear().await, Some(Packet::PubRel(PubRel::new(1))));
    client.say(Packet::PubComp(PubComp::new(1))).await;
    client.say(Packet::PubRec(PubRec::new(2))).await;
    assert_eq!(client.hear().await, Some(Packet::PubRel(PubRel::new(2))));
    leave(client, &broker, "c").await;
    publish_numbers(&broker, 3..4, Qos::AtLeastOnce);

    let (mut client, session_present) = Client::connect(&broker, "c").await;
    assert!(session_present);
    assert_eq!(client.hear().await, Some(Packet::PubRel(PubRel::new(2))));
    let again = client.publish_heard().await;
    assert_eq!((again.pkid, again.dup, &again.payload[..]), (3, true, &b"2"[..]));
    let new = client.publish_heard().await;
    assert_eq!((new.pkid, new.dup, &new.payload[..]), (4, false, &b"3"[..]));
    broker.stop().await;
}

#[tokio::test]
async fn no_more_than_the_window_is_in_flight() {
    let broker = start(Script::default()).await;
    let mut client = Client::subscribed(&broker, "c").await;
    publish_numbers(&broker, 0..150, Qos::AtLeastOnce);
    for _ in 0..100 {
        client.publish_heard().await;
    }
    assert!(client.heard_so_far().await.is_empty());
    assert_eq!(broker.seen("c").unwrap().queued, 50);
    // Out of order, and one that it never sent.
    for id in [7, 3, 999] {
        client.say(Packet::PubAck(PubAck::new(id))).await;
    }
    for _ in 0..2 {
        client.publish_heard().await;
    }
    assert!(client.heard_so_far().await.is_empty());
    broker.stop().await;
}

#[tokio::test]
async fn no_more_than_10_000_messages_wait_for_a_client() {
    let broker = start(Script::default()).await;
    leave(Client::subscribed(&broker, "c").await, &broker, "c").await;
    publish_numbers(&broker, 0..10_001, Qos::AtLeastOnce);
    publish_numbers(&broker, 0..1, Qos::AtMostOnce);
    assert_eq!(broker.seen("c").unwrap().queued, 10_000);
    broker.stop().await;
}

#[tokio::test]
async fn a_second_connection_takes_the_session_over() {
    let broker = start(Script::default()).await;
    let mut first = Client::subscribed(&broker, "c").await;
    let (mut second, session_present) = Client::connect(&broker, "c").await;
    assert!(session_present);
    assert_eq!(first.hear().await, None);
    publish_numbers(&broker, 0..1, Qos::AtLeastOnce);
    assert_eq!(second.publish_heard().await.pkid, 1);
    broker.stop().await;
}

#[tokio::test]
async fn a_message_of_quality_2_that_comes_again_is_taken_once() {
    let broker = start(Script::default()).await;
    let mut listener = Client::subscribed(&broker, "listener").await;
    let (mut client, _) = Client::connect(&broker, "c").await;
    let publish = Publish { pkid: 5, ..Publish::new("t", QoS::ExactlyOnce, "once") };
    for dup in [false, true] {
        client.say(Packet::Publish(Publish { dup, ..publish.clone() })).await;
        assert_eq!(client.hear().await, Some(Packet::PubRec(PubRec::new(5))));
    }
    client.say(Packet::PubRel(PubRel::new(5))).await;
    assert_eq!(client.hear().await, Some(Packet::PubComp(PubComp::new(5))));
    listener.publish_heard().await;
    assert!(listener.heard_so_far().await.is_empty());
    broker.stop().await;
}

#[tokio::test]
async fn the_script_cuts_and_ignores_acknowledgements() {
    let broker = start(Script { cut_after: Some(2), ..Script::default() }).await;
    let mut client = Client::subscribed(&broker, "c").await;
    publish_numbers(&broker, 0..3, Qos::AtLeastOnce);
    for id in [1, 2] {
        assert_eq!(client.publish_heard().await.pkid, id);
    }
    assert_eq!(client.hear().await, None);

    broker.script(|script| *script = Script { ignore_acknowledgements: true, ..Script::default() });
    let (mut client, _) = Client::connect(&broker, "c").await;
    for (id, dup) in [(1, true), (2, true), (3, false)] {
        let publish = client.publish_heard().await;
        assert_eq!((publish.pkid, publish.dup), (id, dup));
        client.say(Packet::PubAck(PubAck::new(id))).await;
    }
    assert!(client.heard_so_far().await.is_empty());
    assert_eq!(broker.seen("c").unwrap().in_flight, [1, 2, 3]);
    broker.stop().await;
}

#[tokio::test]
async fn the_script_repeats_and_chooses_identifiers() {
    let broker = start(Script { repeat: true, lowest_free_ids: true, ..Script::default() }).await;
    let mut client = Client::subscribed(&broker, "c").await;
    publish_numbers(&broker, 0..3, Qos::AtLeastOnce);
    for id in 1..=3 {
        for dup in [false, true] {
            let publish = client.publish_heard().await;
            assert_eq!((publish.pkid, publish.dup), (id, dup));
        }
    }
    client.say(Packet::PubAck(PubAck::new(2))).await;
    assert!(client.heard_so_far().await.is_empty());
    broker.script(|script| script.repeat = false);
    publish_numbers(&broker, 3..4, Qos::AtLeastOnce);
    assert_eq!(client.publish_heard().await.pkid, 2, "the lowest that is free");
    leave(client, &broker, "c").await;
    broker.script(|script| script.renumber = true);
    let (mut client, _) = Client::connect(&broker, "c").await;
    for (id, payload) in [(1, "0"), (2, "2"), (3, "3")] {
        let publish = client.publish_heard().await;
        assert_eq!((publish.pkid, &publish.payload[..]), (id, payload.as_bytes()));
    }
    broker.stop().await;
}

#[tokio::test]
async fn the_script_delivers_a_copy_per_filter() {
    let broker = start(Script::default()).await;
    let mut client = Client::subscribed(&broker, "c").await;
    client.say(Packet::Subscribe(Subscribe { pkid: 2, ..Subscribe::new("+", QoS::AtLeastOnce) })).await;
    assert!(matches!(client.hear().await, Some(Packet::SubAck(_))));
    publish_numbers(&broker, 0..1, Qos::ExactlyOnce);
    assert_eq!(client.publish_heard().await.qos, QoS::ExactlyOnce, "one copy, at the highest quality");
    broker.script(|script| script.copy_per_filter = true);
    publish_numbers(&broker, 1..2, Qos::ExactlyOnce);
    let copies = [client.publish_heard().await.qos, client.publish_heard().await.qos];
    assert_eq!(copies, [QoS::ExactlyOnce, QoS::AtLeastOnce]);
    broker.stop().await;
}

#[tokio::test]
async fn the_script_refuses_versions_logins_and_filters() {
    const CONNECT_V5: &[u8] = &[0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 60, 0, 0, 1, b'c'];
    let broker = start(Script::default()).await;
    for (how, answer) in [
        (VersionRefusal::Connack311, &[0x20, 2, 0, 1][..]),
        (VersionRefusal::Connack5, &[0x20, 3, 0, 0x84, 0]),
        (VersionRefusal::Close, &[]),
    ] {
        broker.script(|script| script.refuse_v5 = Some(how));
        let mut client = Client::raw(&broker).await;
        client.stream.write_all(CONNECT_V5).await.unwrap();
        let mut heard = vec![];
        client.stream.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, answer);
    }
    broker.script(|script| script.refuse_filters = vec!["secret".into()]);
    let (mut client, _) = Client::connect(&broker, "c").await;
    let mut subscribe = Subscribe { pkid: 9, ..Subscribe::new("secret", QoS::AtLeastOnce) };
    subscribe.add("open".into(), QoS::AtLeastOnce);
    client.say(Packet::Subscribe(subscribe)).await;
    let Some(Packet::SubAck(answer)) = client.hear().await else { panic!("no SUBACK") };
    use rumqttc::mqttbytes::v4::SubscribeReasonCode::{Failure, Success};
    assert_eq!(answer.return_codes, [Failure, Success(QoS::AtLeastOnce)]);

    broker.script(|script| script.refuse_login = true);
    let mut client = Client::raw(&broker).await;
    client.say(Packet::Connect(Connect::new("d"))).await;
    let Some(Packet::ConnAck(answer)) = client.hear().await else { panic!("no CONNACK") };
    assert_eq!(answer.code, rumqttc::ConnectReturnCode::BadUserNamePassword);
    broker.stop().await;
}

#[tokio::test]
async fn sessions_can_be_lost() {
    let broker = start(Script::default()).await;
    let mut client = Client::subscribed(&broker, "c").await;
    broker.forget_sessions();
    assert_eq!(client.hear().await, None);
    assert!(!Client::connect(&broker, "c").await.1);
    broker.stop().await;
}

#[tokio::test]
async fn garbage_ends_its_own_connection_and_no_other() {
    let broker = start(Script::default()).await;
    let mut client = Client::subscribed(&broker, "c").await;
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x30, 0xff, 0xff, 0xff, 0xff], &[0x82, 2, 0, 1], &[0x10, 0]] {
        let mut other = Client::raw(&broker).await;
        other.stream.write_all(garbage).await.unwrap();
        assert_eq!(other.hear().await, None, "{garbage:?}");
        if garbage.starts_with(b"GET") {
            // After CONNECT this is the beginning of a packet.
            continue;
        }
        let (mut other, _) = Client::connect(&broker, "other").await;
        other.stream.write_all(garbage).await.unwrap();
        assert_eq!(other.hear().await, None, "{garbage:?}");
    }
    publish_numbers(&broker, 0..1, Qos::AtMostOnce);
    client.publish_heard().await;
    broker.stop().await;
}

#[tokio::test]
async fn a_silent_client_is_given_up_after_one_and_a_half_times_its_keep_alive() {
    let broker = start(Script::default()).await;
    let mut client = Client::raw(&broker).await;
    let connect = Connect { keep_alive: 1, ..Connect::new("c") };
    client.say(Packet::Connect(connect)).await;
    assert!(matches!(client.hear().await, Some(Packet::ConnAck(_))));
    assert_eq!(client.hear().await, None);
    assert_eq!(broker.seen("c"), None);
    broker.stop().await;
}

#[tokio::test]
async fn two_sides_that_both_write_much_do_not_wait_for_one_another() {
    let broker = start(Script::default()).await;
    let mut client = Client::subscribed(&broker, "c").await;
    // 32 MiB to itself, not reading meanwhile; more than the sockets hold.
    let payload = vec![b'x'; 1 << 20];
    for _ in 0..32 {
        client.say(Packet::Publish(Publish::new("t", QoS::AtMostOnce, payload.clone()))).await;
    }
    for _ in 0..32 {
        assert_eq!(client.publish_heard().await.payload.len(), 1 << 20);
    }
    broker.stop().await;
}

#[tokio::test]
async fn only_loopback_is_listened_on_and_a_port_in_use_is_an_error() {
    let everywhere = Broker::start(([0, 0, 0, 0], 0).into(), Script::default(), CancellationToken::new()).await;
    assert_eq!(everywhere.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    let broker = start(Script::default()).await;
    let second = Broker::start(broker.address(), Script::default(), CancellationToken::new()).await;
    assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    broker.stop().await;
}
