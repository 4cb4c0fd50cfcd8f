//! What is in hand, without a session.

use super::*;
use crate::message::Key;

/// A message of a number.
fn receive(in_hand: &InHand, number: u16) -> Message {
    let mut state = in_hand.lock();
    let key = Key { packet_id: number + 1, exactly_once: false, hash: 0 };
    let ledger::Admit::Store { delivery, .. } = state.publish(key, false, false, false) else { panic!() };
    let message = Message {
        topic: "t".into(),
        payload: bytes::Bytes::new(),
        qos: Qos::AtLeastOnce,
        retain: false,
        received_at: Time(0),
        delivery: Some(delivery),
        malformed: None,
    };
    state.take(&message, tokio::time::Instant::now());
    message
}

/// So many messages come, then their batch settles and is acknowledged.
fn batch(in_hand: &InHand, messages: u16) {
    let batch: Vec<Message> = (0..messages).map(|number| receive(in_hand, number)).collect();
    in_hand.settle(&batch, Some(1));
    while in_hand.lock().ledger.next_reply().is_some() {}
}

#[tokio::test(start_paused = true)]
async fn the_window_is_what_was_announced_until_the_broker_waits_at_less() {
    let in_hand = InHand::new(ledger::Ledger::default(), Arc::new(Metrics::new()));
    in_hand.lock().announce(Some(4_096));
    for messages in [32, 32, 31, 32, 32] {
        batch(&in_hand, messages);
        assert_eq!(in_hand.window(), 4_096);
    }
    batch(&in_hand, 32);
    assert_eq!(in_hand.window(), 32);
    batch(&in_hand, 33);
    assert_eq!(in_hand.window(), 4_096, "it does not wait at 32");
    for _ in 0..3 {
        batch(&in_hand, 1);
    }
    assert_eq!(in_hand.window(), 20, "never less than is usual");
}

#[tokio::test(start_paused = true)]
async fn the_window_of_3_1_1_is_the_most_ever_in_flight() {
    let in_hand = InHand::new(ledger::Ledger::default(), Arc::new(Metrics::new()));
    in_hand.lock().announce(None);
    for (messages, window) in [(3, 20), (50, 50), (3, 50), (3, 50), (3, 50)] {
        batch(&in_hand, messages);
        assert_eq!(in_hand.window(), window);
    }
}

/// The same, where nothing came for `quiet` before it was settled, and for `gap` after.
async fn batch_of(in_hand: &InHand, messages: u16, quiet: u64, gap: u64) {
    let batch: Vec<Message> = (0..messages).map(|number| receive(in_hand, number)).collect();
    tokio::time::advance(Duration::from_millis(quiet)).await;
    in_hand.settle(&batch, Some(1));
    while in_hand.lock().ledger.next_reply().is_some() {}
    tokio::time::advance(Duration::from_millis(gap)).await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_waits_at_a_few_is_seen_by_its_silence_until_they_are_acknowledged() {
    for announced in [None, Some(4_096)] {
        for limit in [1, 5, 9] {
            let in_hand = InHand::new(ledger::Ledger::default(), Arc::new(Metrics::new()));
            in_hand.lock().announce(announced);
            for _ in 0..3 {
                batch_of(&in_hand, limit, 1_000, 2).await;
                assert!(in_hand.window() >= 20);
            }
            batch_of(&in_hand, limit, 1_000, 2).await;
            assert_eq!(in_hand.window(), usize::from(limit));
            batch_of(&in_hand, limit + 1, 1_000, 2).await;
            let larger = announced.map_or(usize::from(limit) + 1, usize::from);
            assert_eq!(in_hand.window(), larger, "it does not wait at {limit}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_has_little_to_send_is_not_taken_for_one_that_waits() {
    // One each two seconds, and five together each ten; a second is waited for more.
    for (messages, quiet, gap) in [(1, 1_000, 1_000), (5, 1_000, 9_000)] {
        let in_hand = InHand::new(ledger::Ledger::default(), Arc::new(Metrics::new()));
        in_hand.lock().announce(None);
        for _ in 0..10 {
            batch_of(&in_hand, messages, quiet, gap).await;
        }
        assert_eq!(in_hand.window(), 20);
    }
    // Five a second, evenly, and each batch settles just before the next comes.
    let in_hand = InHand::new(ledger::Ledger::default(), Arc::new(Metrics::new()));
    in_hand.lock().announce(None);
    for _ in 0..10 {
        let mut batch = Vec::new();
        for number in 0..5 {
            batch.push(receive(&in_hand, number));
            tokio::time::advance(Duration::from_millis(200)).await;
        }
        in_hand.settle(&batch, Some(1));
        while in_hand.lock().ledger.next_reply().is_some() {}
    }
    assert_eq!(in_hand.window(), 20);
}

#[tokio::test(start_paused = true)]
async fn the_oldest_unsettled_message_is_known() {
    let in_hand = InHand::new(ledger::Ledger::default(), Arc::new(Metrics::new()));
    let start = tokio::time::Instant::now();
    let mut messages = Vec::new();
    for number in 0..4 {
        messages.push(receive(&in_hand, number));
        tokio::time::advance(Duration::from_millis(60)).await;
    }
    let mut oldest = Vec::new();
    for position in [2, 0, 1, 3] {
        oldest.push(in_hand.oldest_unsettled().map(|at| (at - start).as_millis()));
        in_hand.settle([&messages[position]], Some(1));
    }
    assert_eq!(oldest, [Some(0), Some(0), Some(0), Some(120)]);
    assert_eq!(in_hand.oldest_unsettled(), None);
    assert_eq!(in_hand.messages(), 0);
}
