//! The session against a scripted broker over an in-memory stream, time paused: it passes only when all wait.

mod breaches;
mod hand;
mod runs;

use std::future::Future;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::watch;

use super::*;
use crate::config::{Broker, BrokerUrl};
use crate::fault::{At, Place};
use crate::message::{Qos, Time};
use crate::status::Condition;
use crate::topic::TopicFilter;

pub(super) fn broker() -> Broker {
    Broker {
        url: At::new(BrokerUrl::mqtt("broker", 1883), Place::Default),
        client_id: "amber".into(),
        username: None,
        password: None,
        qos: Qos::AtLeastOnce,
        protocol: Protocol::Auto,
        overlap: config::Overlap::Separate,
        session_expiry: Duration::from_secs(7 * 86_400),
        keep_alive: Duration::from_secs(30),
        max_payload_bytes: 1 << 20,
        tls: config::Tls::default(),
        status: false,
    }
}

/// One connection of a session, and a script that plays its broker.
struct Scene {
    in_hand: Arc<InHand>,
    metrics: Arc<Metrics>,
    status: Arc<Status>,
    stop: CancellationToken,
    received: mpsc::Receiver<Vec<Message>>,
    subscribed: watch::Receiver<String>,
}

/// The broker's end of a stream.
struct Script<S = DuplexStream> {
    stream: S,
    buffer: BytesMut,
}

impl<S: dial::Transport> Script<S> {
    fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// The next packet: its first byte, and its body.
    async fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if self.buffer.len() >= 2 && self.buffer.len() >= 2 + usize::from(self.buffer[1]) {
                let length = usize::from(self.buffer[1]);
                let packet = self.buffer.split_to(2 + length);
                return Some((packet[0], packet[2..].to_vec()));
            }
            if self.stream.read_buf(&mut self.buffer).await.unwrap() == 0 {
                return None;
            }
        }
    }

    async fn expect(&mut self, packet: &[u8]) {
        let (first, body) = self.packet().await.expect("the session has ended the connection");
        assert_eq!([&[first, body.len() as u8], &body[..]].concat(), packet);
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Answers the SUBSCRIBE of one filter.
    async fn grant(&mut self, code: u8) {
        let (first, body) = self.packet().await.unwrap();
        assert_eq!(first, 0x82);
        self.send(&[0x90, 3, body[0], body[1], code]).await;
    }
}

/// PUBLISH of 3.1.1 with topic `t`.
fn publish(first: u8, packet_id: u8, payload: u8) -> [u8; 8] {
    [0x30 | first, 6, 0, 1, b't', 0, packet_id, payload]
}

const QOS_1: u8 = 2;
const QOS_2: u8 = 4;
const DUP: u8 = 8;
const RETAIN: u8 = 1;
const PINGREQ: [u8; 2] = [0xC0, 0];
const PINGRESP: [u8; 2] = [0xD0, 0];

fn puback(packet_id: u8) -> [u8; 4] {
    [0x40, 2, 0, packet_id]
}

/// A filter whose retained messages are not wanted.
fn filter(filter: &str) -> Subscription {
    Subscription { filter: TopicFilter::new(filter).unwrap(), qos: Qos::AtLeastOnce, retained: false }
}

/// Plays one connection over 3.1.1 to its end.
async fn play<F: Future<Output = ()>>(
    session_present: bool,
    capacity: usize,
    script: impl FnOnce(Scene, Script) -> F,
) -> End {
    play_with(vec![filter("t/#")], session_present, capacity, script).await
}

/// The same with other filters than `t/#`.
async fn play_with<F: Future<Output = ()>>(
    subscriptions: Vec<Subscription>,
    session_present: bool,
    capacity: usize,
    script: impl FnOnce(Scene, Script) -> F,
) -> End {
    play_over(Version::V311, subscriptions, session_present, capacity, script).await
}

/// The same over either version.
async fn play_over<F: Future<Output = ()>>(
    version: Version,
    subscriptions: Vec<Subscription>,
    session_present: bool,
    capacity: usize,
    script: impl FnOnce(Scene, Script) -> F,
) -> End {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let metrics = Arc::new(Metrics::new());
    let in_hand = Arc::new(InHand::new(ledger::Ledger::default(), Arc::clone(&metrics)));
    let (out, received) = mpsc::channel(capacity);
    let (subscribed, watched) = watch::channel(String::new());
    let remembered = if session_present { r#"[{"filter":"t/#","qos":1,"retained":false}]"# } else { "" };
    let session = Session {
        config: broker(),
        wanted: unchanging(subscriptions),
        remembered: remembered.to_owned(),
        in_hand: Arc::clone(&in_hand),
        out,
        subscribed,
        written: watch::channel(String::new()).1,
        clock: || Time(0),
        metrics: Arc::clone(&metrics),
        status: Arc::new(Status::new()),
        stop: CancellationToken::new(),
        grace: Duration::from_secs(10),
    };
    let (status, stop) = (Arc::clone(&session.status), session.stop.clone());
    let scene = Scene { in_hand, metrics, status, stop, received, subscribed: watched };
    let mut run = Run::new(session);
    let connection = async {
        let (link, ack) = match Link::open(ours, version, &broker()).await {
            Ok(open) => open,
            Err(error) => panic!("{error:?}"),
        };
        run.connected(version, &ack);
        Connection::new(&mut run, link, version, &ack).serve().await
    };
    let scripted = async {
        let mut broker = Script::new(theirs);
        assert_eq!(broker.packet().await.unwrap().0, 0x10);
        let connack = [0x20, 2, u8::from(session_present), 0];
        match version {
            Version::V311 => broker.send(&connack).await,
            Version::V5 => broker.send(&[connack[0], 3, connack[2], 0, 0]).await,
        }
        script(scene, broker).await;
    };
    tokio::join!(connection, scripted).0
}

/// Nobody changes it.
fn unchanging(subscriptions: Vec<Subscription>) -> watch::Receiver<Wanted> {
    watch::channel(wanted(subscriptions)).1
}

fn wanted(subscriptions: Vec<Subscription>) -> Wanted {
    let overlap = config::Overlap::Separate;
    Wanted { subscriptions, stored_again: Vec::new(), overlap, username: None, password: None }
}

/// Lets the session go on until it is so.
async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if is_so() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("never: {what}");
}

fn is_closed(end: &End) -> bool {
    matches!(end, End::Lost(connection::Lost::Closed))
}

#[tokio::test(start_paused = true)]
async fn a_message_is_acknowledged_only_after_its_receipt() {
    let end = play(false, 10, |mut scene, mut broker| async move {
        broker.grant(1).await;
        broker.send(&[publish(QOS_1, 1, 1), publish(QOS_1, 2, 2)].concat()).await;
        let burst = scene.received.recv().await.unwrap();
        assert_eq!(burst.iter().map(|message| message.payload[0]).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((scene.in_hand.unsettled(), scene.in_hand.window()), (2, 20));
        scene.in_hand.settle(&burst[1..], Some(1));
        // Nothing but the keep-alive comes: the first is not settled.
        broker.expect(&PINGREQ).await;
        scene.in_hand.settle(&burst[..1], Some(2));
        broker.expect(&puback(1)).await;
        broker.expect(&puback(2)).await;
        assert_eq!(scene.in_hand.messages(), 0);
        broker.send(&PINGRESP).await;
        // The barrier behind the acknowledgements, and what it confirms.
        broker.expect(&PINGREQ).await;
        assert_eq!(scene.in_hand.lock().ledger.len(), 2);
        broker.send(&PINGRESP).await;
        broker.send(&publish(QOS_1, 3, 3)).await;
        let burst = scene.received.recv().await.unwrap();
        assert_eq!(scene.in_hand.lock().ledger.len(), 1);
        assert_eq!(burst.len(), 1);
    })
    .await;
    assert!(is_closed(&end));
}

#[tokio::test(start_paused = true)]
async fn qos_2_is_received_released_and_completed() {
    play(false, 10, |mut scene, mut broker| async move {
        broker.grant(1).await;
        broker.send(&publish(QOS_2, 1, 1)).await;
        let burst = scene.received.recv().await.unwrap();
        scene.in_hand.settle(&burst, Some(1));
        broker.expect(&[0x50, 2, 0, 1]).await;
        broker.send(&[0x62, 2, 0, 1]).await;
        broker.expect(&[0x70, 2, 0, 1]).await;
        // Unknown, and answered all the same.
        broker.send(&[0x62, 2, 0, 9]).await;
        broker.expect(&[0x70, 2, 0, 9]).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_repeated_message_is_acknowledged_and_not_handed_on() {
    play(true, 10, |mut scene, mut broker| async move {
        broker.grant(1).await;
        broker.send(&publish(QOS_1, 1, 1)).await;
        let burst = scene.received.recv().await.unwrap();
        scene.in_hand.settle(&burst, Some(1));
        broker.expect(&puback(1)).await;
        scene.in_hand.lock().ledger.connected(true);
        broker.send(&publish(QOS_1 | DUP, 1, 1)).await;
        broker.expect(&puback(1)).await;
        assert!(scene.received.try_recv().is_err());
        assert_eq!(scene.metrics.messages_redelivered.get(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn pings_go_on_while_nobody_takes_messages_and_reading_is_stopped() {
    play(false, 1, |mut scene, mut broker| async move {
        broker.grant(1).await;
        broker.send(&publish(QOS_1, 1, 1)).await;
        eventually("a message in hand", || scene.in_hand.messages() == 1).await;
        broker.send(&publish(QOS_1, 2, 2)).await;
        // The channel holds one burst, the session the other; an hour of keep-alive without an answer.
        let start = Instant::now();
        for _ in 0..240 {
            broker.expect(&PINGREQ).await;
        }
        assert_eq!(start.elapsed(), Duration::from_secs(3_600));
        assert_eq!(scene.received.recv().await.unwrap()[0].payload[0], 1);
        assert_eq!(scene.received.recv().await.unwrap()[0].payload[0], 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_broker_is_given_up_after_one_and_a_half_keep_alives() {
    let start = Instant::now();
    let end = play(false, 1, |_scene, mut broker| async move {
        broker.grant(1).await;
        broker.expect(&PINGREQ).await;
        broker.expect(&PINGREQ).await;
        assert!(broker.packet().await.is_none_or(|(first, _)| first == 0xC0));
    })
    .await;
    assert!(matches!(end, End::Lost(connection::Lost::Silent(_))));
    assert_eq!(start.elapsed(), Duration::from_secs(45));
}

#[tokio::test(start_paused = true)]
async fn a_packet_that_takes_longer_than_the_patience_is_received() {
    // Waited for, and read as it comes because it is over the limit.
    for (payload_bytes, is_too_large) in [(10_000, false), (1_500_000, true)] {
        let start = Instant::now();
        let end = play(false, 1, |mut scene, mut broker| async move {
            broker.grant(1).await;
            let remaining = payload_bytes + 5;
            let length = [remaining as u8 | 0x80, (remaining >> 7) as u8 | 0x80, (remaining >> 14) as u8];
            let bytes = [&[0x32][..], &length, &[0, 1, b't', 0, 1], &vec![b'x'; payload_bytes]].concat();
            for piece in bytes.chunks(bytes.len() / 9) {
                broker.send(piece).await;
                tokio::time::advance(Duration::from_secs(20)).await;
                broker.expect(&PINGREQ).await;
            }
            let burst = scene.received.recv().await.unwrap();
            assert_eq!(burst[0].malformed.is_some(), is_too_large);
            // Its last byte was the last that came.
            while broker.packet().await.is_some_and(|(first, _)| first == 0xC0) {}
        })
        .await;
        assert!(matches!(end, End::Lost(connection::Lost::Silent(_))));
        assert!(start.elapsed() > Duration::from_secs(200));
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_hand_stops_reading_of_qos_1_and_drops_qos_0() {
    play(false, OUT_CAPACITY, |mut scene, mut broker| async move {
        broker.grant(1).await;
        let mut taken = Vec::new();
        for number in 0..MAX_UNSETTLED as u32 {
            let [high, low] = ((number % 60_000) as u16 + 1).to_be_bytes();
            broker.send(&[0x32, 6, 0, 1, b't', high, low, 0]).await;
            while let Ok(burst) = scene.received.try_recv() {
                taken.extend(burst);
            }
        }
        while taken.len() < MAX_UNSETTLED {
            taken.extend(scene.received.recv().await.unwrap());
        }
        // One more waits in the stream, unread, and pings go on.
        broker.send(&publish(QOS_1, 1, 9)).await;
        broker.expect(&PINGREQ).await;
        assert!(scene.received.try_recv().is_err());
        assert_eq!(scene.in_hand.messages(), MAX_UNSETTLED);

        scene.in_hand.settle(&taken[..1], Some(1));
        broker.expect(&puback(1)).await;
        assert_eq!(scene.received.recv().await.unwrap()[0].payload[0], 9);
        scene.in_hand.settle(&taken[1..], Some(1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn qos_0_over_the_limit_is_dropped_and_counted() {
    play(false, OUT_CAPACITY, |mut scene, mut broker| async move {
        broker.grant(1).await;
        let many = [0x30, 4, 0, 1, b't', 0].repeat(1_000);
        for _ in 0..31 {
            broker.send(&many).await;
        }
        broker.send(&publish(QOS_1, 1, 1)).await;
        let mut taken = Vec::new();
        while taken.last().is_none_or(|message: &Message| message.qos == Qos::AtMostOnce) {
            taken.extend(scene.received.recv().await.unwrap());
        }
        assert_eq!(taken.len(), MAX_MESSAGES + 1, "QoS 1 is taken all the same");
        assert_eq!(scene.metrics.messages_dropped.with_label_values(&["overload"]).get(), 1_000);
        scene.in_hand.settle(&taken, None);
        assert_eq!(scene.in_hand.messages(), 0);
        broker.expect(&puback(1)).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_filter_is_a_standing_fault_that_names_it() {
    play(false, 10, |scene, mut broker| async move {
        broker.grant(0x80).await;
        eventually("a fault", || matches!(scene.status.broker.get(), Condition::Standing(_))).await;
        assert_eq!(*scene.subscribed.borrow(), "[]", "the broker does not have it");
        let Condition::Standing(why) = scene.status.broker.get() else { panic!() };
        assert!(why.contains("`t/#`") && why.contains("unspecified error"), "{why}");
        assert_eq!(scene.metrics.subscriptions_refused.get(), 1);
        // Asked for again, while pings go on.
        loop {
            match broker.packet().await.unwrap() {
                (0xC0, _) => broker.send(&PINGRESP).await,
                (0x82, body) => break broker.send(&[0x90, 3, body[0], body[1], 1]).await,
                other => panic!("{other:?}"),
            }
        }
        eventually("up", || scene.status.broker.get() == Condition::Up).await;
        assert_eq!(scene.metrics.subscriptions_refused.get(), 0);
        assert!(scene.subscribed.borrow().contains("t/#"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn only_refused_filters_are_asked_for_again_so_that_no_retained_message_is_stored_twice() {
    let filters = ["t/#", "u"].map(|name| Subscription { retained: true, ..filter(name) });
    play_with(filters.to_vec(), false, 10, |mut scene, mut broker| async move {
        let (first, body) = broker.packet().await.unwrap();
        assert_eq!((first, &body[..]), (0x82, &b"\0\x01\0\x03t/#\x01\0\x01u\x01"[..]));
        broker.send(&[0x90, 4, 0, 1, 1, 0x80]).await;
        broker.send(&publish(QOS_1 | RETAIN, 1, 1)).await;
        let mut taken = scene.received.recv().await.unwrap();
        for (packet_id, code) in [(2, 0x80), (3, 1)] {
            let mut next = broker.packet().await.unwrap();
            while next.0 == 0xC0 {
                broker.send(&PINGRESP).await;
                next = broker.packet().await.unwrap();
            }
            assert_eq!((next.0, &next.1[..]), (0x82, &[0, packet_id, 0, 1, b'u', 1][..]));
            broker.send(&[0x90, 3, 0, packet_id, code]).await;
        }
        eventually("up", || scene.status.broker.get() == Condition::Up).await;
        assert!(scene.subscribed.borrow().contains("t/#") && scene.subscribed.borrow().contains("\"u\""));
        // Another of the first, which the broker sends late, and one of the filter that is granted now.
        broker.send(&publish(QOS_1 | RETAIN, 2, 2)).await;
        broker.send(&[0x33, 6, 0, 1, b'u', 0, 3, 3]).await;
        while taken.len() < 3 {
            taken.extend(scene.received.recv().await.unwrap());
        }
        assert_eq!(taken.iter().map(|message| message.payload[0]).collect::<Vec<_>>(), [1, 2, 3]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn retained_messages_that_come_with_a_repeated_subscribe_are_not_handed_on() {
    play(true, 10, |mut scene, mut broker| async move {
        broker.grant(1).await;
        broker.send(&publish(QOS_1 | RETAIN, 1, 1)).await;
        broker.expect(&puback(1)).await;
        broker.send(&publish(QOS_1, 2, 2)).await;
        assert_eq!(scene.received.recv().await.unwrap()[0].payload[0], 2);
        assert_eq!(scene.metrics.messages_ignored.with_label_values(&["retained"]).get(), 1);
        assert_eq!(scene.in_hand.unsettled(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn retained_messages_are_new_to_the_next_connection_until_they_have_come_and_are_settled() {
    let filters = vec![Subscription { retained: true, ..filter("t/#") }];
    play_with(filters, false, 10, |mut scene, mut broker| async move {
        broker.grant(1).await;
        broker.send(&publish(QOS_1 | RETAIN, 1, 1)).await;
        let taken = scene.received.recv().await.unwrap();
        let is_new = |scene: &Scene| scene.subscribed.borrow().contains("unanswered");
        for _ in 0..4 {
            broker.expect(&PINGREQ).await;
            broker.send(&PINGRESP).await;
        }
        assert!(is_new(&scene), "after a minute: the broker may wait for its acknowledgement");
        scene.in_hand.settle(&taken, Some(1));
        broker.expect(&puback(1)).await;
        for _ in 0..4 {
            broker.expect(&PINGREQ).await;
            broker.send(&PINGRESP).await;
        }
        assert!(!is_new(&scene));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_queued_behind_the_retained_ones_says_that_they_have_come() {
    let filters = vec![Subscription { retained: true, ..filter("t/#") }];
    play_with(filters, false, 10, |mut scene, mut broker| async move {
        broker.grant(1).await;
        broker.send(&publish(QOS_1 | RETAIN, 1, 1)).await;
        // One of QoS 0 is not queued.
        for (bytes, is_over) in [(publish(0, 1, 1), false), (publish(QOS_1, 2, 2), true)] {
            broker.send(&bytes).await;
            let mut taken = Vec::new();
            while taken.last().is_none_or(|message: &Message| message.retain) {
                taken.extend(scene.received.recv().await.unwrap());
            }
            assert_eq!(!scene.subscribed.borrow().contains("unanswered"), is_over);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_was_left_out_on_an_earlier_connection_is_not_stored_when_it_comes_again() {
    let filters = ["t/#", "+"].map(|name| Subscription { retained: true, ..filter(name) });
    play_with(filters.to_vec(), true, 10, |mut scene, mut broker| async move {
        let (first, body) = broker.packet().await.unwrap();
        assert_eq!(first, 0x82);
        {
            // Of a retained message; the acknowledgement was lost with the connection.
            let hash = !wire::hash(b"t", &[1], &mut Vec::new());
            let key = crate::message::Key { packet_id: 2, exactly_once: false, hash };
            let mut state = scene.in_hand.lock();
            let ledger::Admit::Store { delivery, .. } = state.publish(key, false, true, false) else { panic!() };
            state.ledger.settle(delivery, None);
            state.ledger.connected(true);
        }
        broker.send(&[0x90, 4, body[0], body[1], 1, 1]).await;
        broker.send(&publish(QOS_1 | DUP | RETAIN, 2, 1)).await;
        broker.expect(&puback(2)).await;
        assert!(scene.received.try_recv().is_err());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_graceful_end_waits_for_receipts_acknowledges_and_disconnects() {
    let end = play(false, 10, |mut scene, mut broker| async move {
        broker.grant(1).await;
        broker.send(&publish(QOS_1, 1, 1)).await;
        let burst = scene.received.recv().await.unwrap();
        scene.stop.cancel();
        // What comes now is not taken.
        broker.send(&publish(QOS_1, 2, 2)).await;
        assert!(scene.received.recv().await.is_none(), "the channel is closed");
        scene.in_hand.settle(&burst, Some(1));
        broker.expect(&puback(1)).await;
        broker.expect(&PINGREQ).await;
        broker.send(&PINGRESP).await;
        broker.expect(&[0xE0, 0]).await;
        assert_eq!(broker.packet().await, None);
        assert_eq!(scene.in_hand.lock().ledger.len(), 0, "confirmed");
    })
    .await;
    assert!(matches!(end, End::Stopped));
}

#[tokio::test(start_paused = true)]
async fn the_graceful_end_is_over_with_the_grace_period() {
    let start = Instant::now();
    let end = play(false, 10, |mut scene, mut broker| async move {
        broker.grant(1).await;
        broker.send(&publish(QOS_1, 1, 1)).await;
        let unsettled = scene.received.recv().await.unwrap();
        scene.stop.cancel();
        broker.expect(&[0xE0, 0]).await;
        assert_eq!(scene.in_hand.unsettled(), unsettled.len());
    })
    .await;
    assert!(matches!(end, End::Stopped));
    assert_eq!(start.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_session_without_listener_ends() {
    let end = play(false, 10, |scene, mut broker| async move {
        broker.grant(1).await;
        drop(scene.received);
        broker.send(&publish(QOS_1, 1, 1)).await;
        assert_eq!(broker.packet().await, None);
    })
    .await;
    assert!(matches!(end, End::NobodyListens));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_answers_pings_and_never_subscribe_is_left_with_the_reason() {
    let start = Instant::now();
    let end = play(false, 10, |scene, mut broker| async move {
        assert_eq!(broker.packet().await.unwrap().0, 0x82);
        let why = scene.status.ready().unwrap_err();
        assert!(why.contains("store"), "{why}");
        scene.status.store.set(Condition::Up);
        assert_eq!(scene.status.ready().unwrap_err(), "broker: connected; the broker has not answered SUBSCRIBE yet");
        // What comes shows that there is more on its way.
        tokio::time::sleep(Duration::from_secs(10)).await;
        broker.send(&publish(0, 1, 1)).await;
        while let Some(packet) = broker.packet().await {
            if packet.0 == PINGREQ[0] {
                broker.send(&PINGRESP).await;
            }
        }
        drop(scene);
    })
    .await;
    let End::Lost(lost @ connection::Lost::Unanswered) = end else { panic!("it goes on") };
    assert!(lost.to_string().contains("has not answered SUBSCRIBE for 30 s"), "{lost}");
    assert_eq!(start.elapsed(), Duration::from_secs(40));
}
