//! Whole sessions against a scripted broker on a socket: what is tried next, and what is said.

use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::session::dial::{DialError, Step};

/// A session that runs, and the socket it connects to.
struct Running {
    listener: TcpListener,
    status: Arc<Status>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    /// Kept: a session whose messages nobody takes ends.
    _received: mpsc::Receiver<Vec<Message>>,
    wanted: watch::Sender<Wanted>,
    session: tokio::task::JoinHandle<Result<(), SessionError>>,
}

async fn start(remembered: &str) -> Running {
    start_with(remembered, broker()).await
}

/// The same with other settings.
async fn start_with(remembered: &str, config: Broker) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let metrics = Arc::new(Metrics::new());
    let (out, received) = mpsc::channel(OUT_CAPACITY);
    let url = At::new(BrokerUrl::mqtt("127.0.0.1", port), Place::Default);
    let filter = TopicFilter::new("t/#").unwrap();
    let wanted = wanted(vec![Subscription { filter, qos: Qos::AtLeastOnce, retained: false }]);
    let wanted = watch::Sender::new(wanted);
    let session = Session {
        config: Broker { url, ..config },
        wanted: wanted.subscribe(),
        remembered: remembered.to_owned(),
        in_hand: Arc::new(InHand::new(ledger::Ledger::default(), Arc::clone(&metrics))),
        out,
        subscribed: watch::channel(String::new()).0,
        written: watch::channel(String::new()).1,
        clock: || Time(0),
        metrics: Arc::clone(&metrics),
        status: Arc::new(Status::new()),
        stop: CancellationToken::new(),
        grace: Duration::from_secs(10),
    };
    let (status, stop) = (Arc::clone(&session.status), session.stop.clone());
    Running { listener, status, metrics, stop, _received: received, wanted, session: tokio::spawn(session.run()) }
}

impl Running {
    /// The next connection, and the version that its CONNECT names.
    async fn accept(&self) -> (Script<TcpStream>, u8) {
        let (script, body) = self.accept_connect().await;
        (script, body[6])
    }

    /// The next connection, and the body of its CONNECT.
    async fn accept_connect(&self) -> (Script<TcpStream>, Vec<u8>) {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut script = Script::new(stream);
        let (first, body) = script.packet().await.unwrap();
        assert_eq!((first, &body[..6]), (0x10, &b"\0\x04MQTT"[..]));
        (script, body)
    }

    async fn condition(&self, is_it: impl Fn(&Condition) -> bool) -> Condition {
        loop {
            let condition = self.status.broker.get();
            if is_it(&condition) {
                return condition;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn standing(&self) -> String {
        let Condition::Standing(why) = self.condition(|one| matches!(one, Condition::Standing(_))).await else {
            unreachable!()
        };
        why
    }

    async fn end(self) {
        self.stop.cancel();
        assert_eq!(self.session.await.unwrap(), Ok(()));
    }
}

const ACCEPTED_V5: [u8; 5] = [0x20, 3, 1, 0, 0];

#[tokio::test]
async fn an_old_broker_is_spoken_to_in_3_1_1_and_remembered() {
    let refusals: [&[u8]; 3] = [&[], &[0x20, 2, 0, 1], &[0x20, 3, 0, 0x84, 0]];
    for refusal in refusals {
        let running = start("").await;
        let (mut script, version) = running.accept().await;
        assert_eq!(version, 5);
        script.send(refusal).await;
        drop(script);
        let (mut script, version) = running.accept().await;
        assert_eq!(version, 4, "{refusal:02x?}");
        script.send(&[0x20, 2, 0, 0]).await;
        script.grant(1).await;
        running.condition(|one| *one == Condition::Up).await;
        drop(script);
        assert_eq!(running.accept().await.1, 4);
        running.end().await;
    }
}

#[tokio::test]
async fn a_refused_password_is_a_standing_fault_that_says_what_to_do() {
    let running = start("").await;
    let (mut script, _) = running.accept().await;
    script.send(&[0x20, 3, 0, 0x86, 0]).await;
    let why = running.standing().await;
    assert!(why.contains("password_file"), "{why}");
    running.end().await;
}

#[tokio::test]
async fn a_password_that_was_changed_is_tried_though_the_broker_has_refused_the_old_one() {
    let running = start("").await;
    let (mut script, _) = running.accept().await;
    script.send(&[0x20, 3, 0, 0x86, 0]).await;
    running.standing().await;
    running.wanted.send_modify(|wanted| {
        wanted.username = Some("amber".to_owned());
        wanted.password = Some(config::Secret::new("sesame"));
    });
    let (_, body) = running.accept_connect().await;
    assert!(body.ends_with(b"\0\x05amber\0\x06sesame"), "{body:?}");
    running.end().await;
}

#[tokio::test]
async fn another_process_with_our_client_id_is_said() {
    let running = start("").await;
    let (mut script, _) = running.accept().await;
    script.send(&ACCEPTED_V5).await;
    script.packet().await.unwrap();
    script.send(&[0xE0, 1, 0x8E]).await;
    let why = running.standing().await;
    assert!(why.contains("`amber`") && why.contains("in use elsewhere"), "{why}");
    running.end().await;
}

#[tokio::test]
async fn connections_that_die_at_once_again_and_again_are_taken_for_another_process() {
    let running = start("").await;
    for _ in 0..QUICK_MAX {
        let (mut script, _) = running.accept().await;
        script.send(&ACCEPTED_V5).await;
        script.packet().await.unwrap();
    }
    // One of another name holds.
    let (mut script, _) = running.accept().await;
    script.send(&ACCEPTED_V5).await;
    assert!(running.standing().await.contains("in use elsewhere"));
    assert_eq!(running.metrics.connections.get(), u64::from(QUICK_MAX));
    assert_eq!(running.metrics.takeovers.get(), 1);
    running.end().await;
}

#[tokio::test]
async fn a_line_that_flaps_for_every_client_is_not_taken_for_another_process() {
    let running = start("").await;
    for _ in 0..=2 * QUICK_MAX {
        let (mut script, _) = running.accept().await;
        script.send(&ACCEPTED_V5).await;
    }
    running.condition(|one| matches!(one, Condition::Away(_))).await;
    assert_eq!(running.metrics.takeovers.get(), 0);
    running.end().await;
}

#[tokio::test]
async fn a_filter_that_left_the_configuration_is_unsubscribed_after_a_restart() {
    let running = start(r#"[{"filter":"old/#","qos":1,"retained":false}]"#).await;
    let (mut script, _) = running.accept().await;
    script.send(&ACCEPTED_V5).await;
    // SUBSCRIBE of QoS 1 without retained messages, of the first identifier; then UNSUBSCRIBE without properties.
    script.expect(b"\x82\x0B\0\x01\x02\x0B\x01\0\x03t/#\x21").await;
    script.expect(b"\xA2\x0A\0\x02\0\0\x05old/#").await;
    script.send(&[0x90, 4, 0, 1, 0, 1, 0xB0, 4, 0, 2, 0, 0]).await;
    running.condition(|one| *one == Condition::Up).await;
    assert_eq!(running.metrics.sessions_lost.get(), 0);
    running.end().await;
}

#[tokio::test]
async fn a_session_that_the_broker_lost_is_counted_but_not_at_the_very_first_connect() {
    for (remembered, lost) in [("", 0), ("[]", 1)] {
        let running = start(remembered).await;
        let (mut script, _) = running.accept().await;
        script.send(&[0x20, 3, 0, 0, 0]).await;
        script.packet().await.unwrap();
        assert_eq!(running.metrics.sessions_lost.get(), lost);
        running.end().await;
    }
}

#[test]
fn version_5_falls_back_to_3_1_1_and_remembers_it() {
    let refused = || ConnectError::Refused { refusal: Refusal::Version, text: None };
    let mut versions = Versions::new(Protocol::Auto);
    assert_eq!(versions.next, Version::V5);
    assert!(versions.failed(&ConnectError::Closed));
    assert_eq!(versions.next, Version::V311);
    // It closes that too: it was not the version.
    assert!(!versions.failed(&ConnectError::Closed));
    assert_eq!(versions.next, Version::V5);
    assert!(versions.failed(&refused()));
    versions.answered(Version::V311);
    assert!(
        !versions.failed(&ConnectError::Closed)
            && !versions.failed(&ConnectError::Dial(DialError::TimedOut(Step::Mqtt)))
    );
    assert_eq!(versions.next, Version::V311);

    let mut versions = Versions::new(Protocol::Auto);
    versions.answered(Version::V5);
    assert!(!versions.failed(&ConnectError::Closed), "a broker that goes down is not an old one");
    let mut versions = Versions::new(Protocol::V5);
    assert!(!versions.failed(&refused()));
}

/// PUBLISH of QoS 1 to the status topic, retained; the length of the properties of MQTT 5 is in `rest`.
fn status(packet_id: u8, rest: &[u8]) -> Vec<u8> {
    let topic = b"\0\x12amber/amber/status";
    let length = topic.len() + 2 + rest.len();
    [&[0x33, length as u8][..], topic, &[0xFF, packet_id], rest].concat()
}

/// The will of a CONNECT: whether there is one, of QoS 1 and retained.
fn has_will(connect: &[u8]) -> bool {
    let texts = [&b"\0\x12amber/amber/status"[..], b"\0\x07offline"];
    let has = texts.map(|text| connect.windows(text.len()).any(|window| window == text));
    match connect[7] & 0x3C {
        0 if has == [false, false] => false,
        0x2C if has == [true, true] => true,
        flags => panic!("{flags:#x} {has:?}"),
    }
}

#[tokio::test]
async fn the_status_is_a_will_and_online_behind_the_subscriptions_and_offline_before_the_end() {
    for (protocol, accepted, empty) in
        [(Protocol::V5, &ACCEPTED_V5[..], &b"\0"[..]), (Protocol::V311, &[0x20, 2, 1, 0], b"")]
    {
        let running = start_with("[]", Broker { protocol, status: true, ..broker() }).await;
        let (mut script, connect) = running.accept_connect().await;
        assert!(has_will(&connect));
        script.send(accepted).await;
        let (first, body) = script.packet().await.unwrap();
        assert_eq!(first, 0x82);
        let granted: &[u8] = if protocol == Protocol::V5 { &[0x90, 4, 0, 1, 0, 1] } else { &[0x90, 3, 0, 1, 1] };
        assert_eq!(body[..2], [0, 1]);
        script.send(granted).await;
        script.expect(&status(0xFF, &[empty, b"online"].concat())).await;
        script.send(&[0x40, 2, 0xFF, 0xFF]).await;
        running.condition(|one| *one == Condition::Up).await;
        running.stop.cancel();
        script.expect(&status(0xFE, &[empty, b"offline"].concat())).await;
        script.send(&[0x40, 2, 0xFF, 0xFE]).await;
        script.expect(&[0xE0, 0]).await;
        assert_eq!(running.metrics.connections.get(), 1, "its acknowledgements are no surprise");
        running.end().await;
    }
}

#[tokio::test]
async fn a_broker_that_refuses_a_will_is_asked_without_one_and_that_is_remembered() {
    const NOT_AUTHORIZED: [u8; 5] = [0x20, 3, 0, 0x87, 0];
    let running = start_with("", Broker { status: true, ..broker() }).await;
    for is_asked in [true, false] {
        let (mut script, connect) = running.accept_connect().await;
        assert_eq!(has_will(&connect), is_asked);
        if is_asked {
            script.send(&NOT_AUTHORIZED).await;
        } else {
            script.send(&ACCEPTED_V5).await;
            script.packet().await.unwrap();
            script.send(&[0x90, 4, 0, 1, 0, 1]).await;
            running.condition(|one| *one == Condition::Up).await;
        }
    }
    let (script, connect) = running.accept_connect().await;
    assert!(!has_will(&connect));
    drop(script);
    running.end().await;

    // It was not the will: said as ever, and the next time there is one again.
    let running = start_with("", Broker { status: true, ..broker() }).await;
    for is_asked in [true, false] {
        let (mut script, connect) = running.accept_connect().await;
        assert_eq!(has_will(&connect), is_asked);
        script.send(&NOT_AUTHORIZED).await;
    }
    assert!(running.standing().await.contains("does not authorize client id"));
    running.end().await;
}

#[tokio::test]
async fn a_status_that_seems_to_end_connections_is_left_out_of_one_and_said_again_on_the_next() {
    const ONLINE: &[u8] = b"\0online";
    let running = start_with("[]", Broker { status: true, ..broker() }).await;
    // Two end at once over it; a third one is told of the end that comes without it, and a fourth ends at once again.
    for is_said in [true, true, false, true, false] {
        let (mut script, connect) = running.accept_connect().await;
        assert!(has_will(&connect), "an older `online` is not left to stand");
        script.send(&ACCEPTED_V5).await;
        script.packet().await.unwrap();
        script.send(&[0x90, 4, 0, 1, 0, 1]).await;
        running.condition(|one| *one == Condition::Up).await;
        if is_said {
            script.expect(&status(0xFF, ONLINE)).await;
        } else {
            script.send(&[0xE0, 1, 0x8B]).await;
            assert_eq!(script.packet().await, None, "nothing is said");
        }
        drop(script);
        running.condition(|one| *one != Condition::Up).await;
    }
    // Nor does it stay where it is not said at the end.
    for is_said in [true, false] {
        let (mut script, _) = running.accept_connect().await;
        script.send(&ACCEPTED_V5).await;
        script.packet().await.unwrap();
        script.send(&[0x90, 4, 0, 1, 0, 1]).await;
        running.condition(|one| *one == Condition::Up).await;
        if is_said {
            script.expect(&status(0xFF, ONLINE)).await;
            drop(script);
            running.condition(|one| *one != Condition::Up).await;
        } else {
            running.stop.cancel();
            script.expect(&status(0xFE, b"\0offline")).await;
        }
    }
    running.end().await;
}

#[tokio::test]
async fn a_session_in_which_nothing_was_ever_subscribed_is_not_lost() {
    const NO_SESSION: [u8; 5] = [0x20, 3, 0, 0, 0];
    let running = start("").await;
    for is_granted in [false, false, true, false, false] {
        let (mut script, _) = running.accept().await;
        script.send(&NO_SESSION).await;
        script.packet().await.unwrap();
        if is_granted {
            assert_eq!(running.metrics.sessions_lost.get(), 0);
            script.send(&[0x90, 4, 0, 1, 0, 1]).await;
            running.condition(|one| *one == Condition::Up).await;
        } else {
            // No packet of MQTT.
            script.send(&[0, 0]).await;
            while script.packet().await.is_some() {}
        }
    }
    assert_eq!(running.metrics.sessions_lost.get(), 1, "that in which it was granted, once");
    running.end().await;
}
