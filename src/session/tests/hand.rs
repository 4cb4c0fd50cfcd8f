//! What is in hand, without a session.

use super::*;

#[test]
fn the_oldest_unsettled_message_is_known() {
    let in_hand = InHand::new(ledger::Ledger::default(), Arc::new(Metrics::new()));
    let messages: Vec<Message> = (0..4)
        .map(|number: i64| {
            let mut state = in_hand.lock();
            let key = crate::message::Key { packet_id: number as u16 + 1, exactly_once: false, hash: 0 };
            let ledger::Admit::Store { delivery, .. } = state.publish(key, false, false) else { panic!() };
            let message = Message {
                topic: "t".into(),
                payload: bytes::Bytes::new(),
                qos: Qos::AtLeastOnce,
                retain: false,
                received_at: Time(number * 60_000),
                delivery: Some(delivery),
                malformed: None,
            };
            state.take(&message);
            message
        })
        .collect();
    let mut oldest = Vec::new();
    for position in [2, 0, 1, 3] {
        oldest.push(in_hand.oldest_unsettled().map(|time| time.0));
        in_hand.settle([&messages[position]], Some(1));
    }
    assert_eq!(oldest, [Some(0), Some(0), Some(0), Some(120_000)]);
    assert_eq!(in_hand.oldest_unsettled(), None);
    assert_eq!(in_hand.messages(), 0);
}
