//! Tables of cases. What holds over all interleavings is in `checker`.

use super::*;

fn key(packet_id: u16, hash: u64) -> Key {
    Key { packet_id, exactly_once: false, hash }
}

fn key_2(packet_id: u16, hash: u64) -> Key {
    Key { packet_id, exactly_once: true, hash }
}

/// A new message.
fn new(ledger: &mut Ledger, key: Key) -> Delivery {
    match ledger.publish(key, false, false) {
        Admit::Store { delivery, .. } => delivery,
        Admit::Known => panic!("{key:?} is known"),
    }
}

/// A repeated message that is known.
fn known(ledger: &mut Ledger, key: Key) {
    assert_eq!(ledger.publish(key, true, false), Admit::Known);
}

fn replies(ledger: &mut Ledger) -> Vec<Reply> {
    std::iter::from_fn(|| ledger.next_reply()).collect()
}

/// A ledger with one entry that is committed and acknowledged on this connection.
fn acknowledged() -> (Ledger, Delivery) {
    let mut ledger = Ledger::default();
    let delivery = new(&mut ledger, key(1, 7));
    ledger.settle(delivery, Some(1));
    assert_eq!(replies(&mut ledger), [Reply::PubAck(1)]);
    (ledger, delivery)
}

/// A store's ledger with one entry.
fn loaded() -> Ledger {
    let (ledger, _) = acknowledged();
    Ledger::load(&ledger.snapshot([], 1)).unwrap()
}

#[test]
fn a_duplicate_is_known_only_with_dup_set() {
    let mut ledger = loaded();
    known(&mut ledger, key(1, 7));
    let mut ledger = loaded();
    new(&mut ledger, key(1, 7));
    let mut ledger = loaded();
    for other in [key(2, 7), key(1, 8), key_2(1, 7)] {
        assert!(matches!(ledger.publish(other, true, false), Admit::Store { .. }), "{other:?}");
    }
}

#[test]
fn an_equal_message_with_a_reused_id_is_stored() {
    let (mut ledger, first) = acknowledged();
    let second = new(&mut ledger, key(1, 7));
    assert_ne!(first.id, second.id);
    assert_eq!(replies(&mut ledger), [], "it is not settled");
    ledger.settle(second, Some(2));
    assert_eq!(replies(&mut ledger), [Reply::PubAck(1)]);
}

#[test]
fn acknowledgements_leave_in_the_order_of_receipt() {
    let mut ledger = Ledger::default();
    let first = new(&mut ledger, key(1, 1));
    let second = new(&mut ledger, key_2(2, 2));
    ledger.settle(second, Some(1));
    assert_eq!(replies(&mut ledger), []);
    ledger.settle(first, Some(1));
    assert_eq!(replies(&mut ledger), [Reply::PubAck(1), Reply::PubRec(2)]);
}

#[test]
fn a_receipt_for_an_older_delivery_settles_nothing() {
    let mut ledger = Ledger::default();
    let old = new(&mut ledger, key(1, 7));
    ledger.connected(false);
    let young = new(&mut ledger, key(1, 7));
    ledger.settle(old, Some(1));
    assert_eq!(replies(&mut ledger), []);
    ledger.settle(young, Some(2));
    assert_eq!(replies(&mut ledger), [Reply::PubAck(1)]);
}

#[test]
fn an_identifier_given_twice_at_a_time_waits_for_both_receipts() {
    // mosquitto up to 2.0.12 does so with more than 65,535 messages in flight.
    let mut ledger = Ledger::default();
    let old = new(&mut ledger, key(1, 7));
    let young = new(&mut ledger, key(1, 7));
    ledger.settle(young, Some(1));
    assert_eq!(replies(&mut ledger), [], "the older is not settled");
    ledger.settle(old, Some(1));
    assert_eq!(replies(&mut ledger), [Reply::PubAck(1), Reply::PubAck(1)]);
}

#[test]
fn a_pong_confirms_only_what_was_acknowledged_before_its_ping() {
    let (mut ledger, _) = acknowledged();
    ledger.ping();
    let second = new(&mut ledger, key(2, 8));
    ledger.settle(second, Some(2));
    assert_eq!(replies(&mut ledger), [Reply::PubAck(2)]);
    assert_eq!(ledger.pong(), 1);
    known(&mut ledger, key(2, 8));
    ledger.ping();
    assert_eq!(ledger.pong(), 1);
    assert!(ledger.is_empty());
}

#[test]
fn a_keep_alive_pong_confirms_nothing_later() {
    let mut ledger = Ledger::default();
    ledger.ping();
    let delivery = new(&mut ledger, key(1, 7));
    ledger.settle(delivery, Some(1));
    assert_eq!(replies(&mut ledger), [Reply::PubAck(1)]);
    ledger.ping();
    assert_eq!(ledger.pong(), 0);
    assert_eq!(ledger.len(), 1);
    assert_eq!(ledger.pong(), 1);
    assert_eq!(ledger.pong(), 0, "a pong that nobody asked for");
}

#[test]
fn a_pong_leaves_a_newer_delivery_of_the_same_key() {
    let (mut ledger, _) = acknowledged();
    ledger.ping();
    new(&mut ledger, key(1, 7));
    assert_eq!(ledger.pong(), 0);
    assert_eq!(replies(&mut ledger), []);
}

#[test]
fn leftovers_leave_with_the_first_new_message_and_a_pong() {
    let mut ledger = loaded();
    ledger.connected(true);
    new(&mut ledger, key(2, 8));
    assert_eq!(ledger.len(), 2, "not before the round trip");
    ledger.ping();
    assert_eq!(ledger.pong(), 1);
    assert_eq!(ledger.len(), 1);
}

#[test]
fn a_leftover_that_is_repeated_in_time_stays() {
    let mut ledger = loaded();
    ledger.connected(true);
    known(&mut ledger, key(1, 7));
    new(&mut ledger, key(2, 8));
    ledger.ping();
    assert_eq!(ledger.pong(), 0);
    assert_eq!(replies(&mut ledger), [Reply::PubAck(1)]);
}

#[test]
fn a_retained_message_releases_no_leftovers() {
    let mut ledger = loaded();
    ledger.connected(true);
    assert!(matches!(ledger.publish(key(2, 8), false, true), Admit::Store { late: false, .. }));
    ledger.ping();
    assert_eq!(ledger.pong(), 0);
    known(&mut ledger, key(1, 7));
}

#[test]
fn a_repetition_of_something_unknown_after_new_messages_is_late() {
    let mut ledger = Ledger::default();
    assert!(matches!(ledger.publish(key(1, 1), true, false), Admit::Store { late: false, .. }));
    new(&mut ledger, key(2, 2));
    assert!(matches!(ledger.publish(key(3, 3), true, false), Admit::Store { late: true, .. }));
    ledger.connected(true);
    assert!(matches!(ledger.publish(key(4, 4), true, false), Admit::Store { late: false, .. }));
}

#[test]
fn nothing_from_an_older_connection_is_acknowledged_unasked() {
    let mut ledger = Ledger::default();
    let delivery = new(&mut ledger, key(1, 7));
    ledger.connected(true);
    ledger.settle(delivery, Some(1));
    assert_eq!(replies(&mut ledger), []);
    known(&mut ledger, key(1, 7));
    assert_eq!(replies(&mut ledger), [Reply::PubAck(1)]);
}

#[test]
fn a_repeat_on_the_same_connection_is_acknowledged_once() {
    let mut ledger = Ledger::default();
    let delivery = new(&mut ledger, key(1, 7));
    known(&mut ledger, key(1, 7));
    ledger.settle(delivery, Some(1));
    assert_eq!(replies(&mut ledger), [Reply::PubAck(1)]);
    known(&mut ledger, key(1, 7));
    assert_eq!(replies(&mut ledger), []);
}

#[test]
fn pubrel_is_always_answered() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.pubrel(9), Reply::PubComp(9));
    assert_eq!(ledger.unmarked(), 0);

    let delivery = new(&mut ledger, key_2(1, 7));
    ledger.settle(delivery, Some(1));
    assert_eq!(replies(&mut ledger), [Reply::PubRec(1)]);
    assert_eq!(ledger.unmarked(), 0, "a PUBREC is not the end");
    assert_eq!(ledger.pubrel(1), Reply::PubComp(1));
    assert_eq!(ledger.pubrel(1), Reply::PubComp(1), "repeated");
    assert_eq!(ledger.unmarked(), 1);
    ledger.ping();
    assert_eq!(ledger.pong(), 1);
    assert!(ledger.is_empty() && ledger.exactly_once.is_empty());
}

#[test]
fn pubrel_takes_the_oldest_of_its_identifier() {
    let mut ledger = Ledger::default();
    let first = new(&mut ledger, key_2(1, 9));
    let second = new(&mut ledger, key_2(1, 3));
    ledger.settle(first, Some(1));
    ledger.settle(second, Some(1));
    ledger.pubrel(1);
    assert_eq!(ledger.connection.sent, [first]);
}

#[test]
fn a_lost_session_empties_the_ledger_and_stores_what_is_in_hand() {
    let (mut ledger, _) = acknowledged();
    let in_hand = new(&mut ledger, key(2, 8));
    ledger.connected(false);
    assert!(ledger.is_empty());
    assert_eq!(ledger.snapshot([in_hand], 2), Ledger::default().snapshot([], 0), "it is in no later packets");
    ledger.settle(in_hand, Some(2));
    assert_eq!(replies(&mut ledger), []);
    assert!(matches!(ledger.publish(key(1, 7), true, false), Admit::Store { .. }));
}

#[test]
fn ignored_messages_are_acknowledged_and_never_persisted() {
    let mut ledger = Ledger::default();
    let delivery = new(&mut ledger, key(1, 7));
    ledger.settle(delivery, None);
    assert_eq!(ledger.snapshot([], i64::MAX), [1]);
    assert_eq!(replies(&mut ledger), [Reply::PubAck(1)]);
}

#[test]
fn a_snapshot_has_what_is_settled_up_to_its_number_and_its_own() {
    let mut ledger = Ledger::default();
    let all: Vec<_> = (1..=4).map(|id| new(&mut ledger, key(id, u64::from(id)))).collect();
    ledger.settle(all[0], Some(1));
    ledger.settle(all[1], Some(3));
    let decoded = packets::decode(&ledger.snapshot([all[2]], 2)).unwrap();
    assert_eq!(decoded, [(1, all[0].key), (2, all[2].key)]);
}

#[test]
fn one_key_that_is_never_confirmed_does_not_keep_its_whole_batch() {
    let mut ledger = Ledger::default();
    let all: Vec<_> = (1..=1_000).map(|id| new(&mut ledger, key_2(id, 7))).collect();
    all.iter().for_each(|&delivery| ledger.settle(delivery, Some(1)));
    assert_eq!(replies(&mut ledger).len(), 1_000);
    assert_eq!(ledger.settled.bytes(), 11_000);
    for id in (1..=1_000).filter(|id| *id != 500) {
        ledger.pubrel(id);
        ledger.ping();
        ledger.pong();
        let decoded = packets::decode(&ledger.snapshot([], 1)).unwrap();
        assert_eq!(decoded.len(), ledger.len(), "{id}");
    }
    assert_eq!(packets::decode(&ledger.snapshot([], 1)).unwrap(), [(1, all[499].key)]);
    assert!(ledger.settled.bytes() <= 22, "{}", ledger.settled.bytes());
}

#[test]
fn packets_round_trip() {
    let mut ledger = Ledger::default();
    let keys = [key(65_535, u64::MAX), key_2(1, 0), key(1, 0)];
    let all = keys.map(|key| new(&mut ledger, key));
    ledger.settle(all[0], Some(1));
    let packets = ledger.snapshot(all[1..].iter().copied(), 2);
    assert_eq!(packets.len(), 1 + 2 * 12 + 3 * 11);
    let mut again = Ledger::load(&packets).unwrap();
    assert_eq!(again.snapshot([], 2), packets);
    keys.into_iter().for_each(|key| known(&mut again, key));
    assert_eq!(replies(&mut again).len(), 3);
    assert!(Ledger::load(&[1]).unwrap().is_empty());
}

#[test]
fn damaged_packets_are_a_fault() {
    let good = {
        let mut ledger = Ledger::default();
        let all = [key(1, 1), key_2(2, 2)].map(|key| new(&mut ledger, key));
        ledger.snapshot(all, 1)
    };
    assert!(Ledger::load(&good).is_ok());
    assert_eq!(Ledger::load(&[]), Err(Damaged::Version(None)));
    assert_eq!(Ledger::load(&[2]), Err(Damaged::Version(Some(2))));
    for length in 2..good.len() {
        assert_eq!(Ledger::load(&good[..length]), Err(Damaged::Length), "cut at {length}");
    }
    let mut flags = good.clone();
    *flags.last_mut().unwrap() = 3;
    assert_eq!(Ledger::load(&flags), Err(Damaged::Flags(3)));
    let twice = [&good[..], &good[1..]].concat();
    assert_eq!(Ledger::load(&twice), Err(Damaged::KeyTwice));
    let mut endless = good;
    endless[9..13].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(Ledger::load(&endless), Err(Damaged::Length));
}

#[test]
fn too_many_leftovers_are_dropped_oldest_first() {
    let mut ledger = Ledger::default();
    for number in 0..MAX_ENTRIES as u64 + 2 {
        let delivery = new(&mut ledger, key((number % 65_535) as u16 + 1, number));
        ledger.settle(delivery, Some(1));
    }
    assert_eq!(ledger.connected(true), 2);
    assert_eq!(ledger.len(), MAX_ENTRIES);
    assert!(matches!(ledger.publish(key(2, 1), true, false), Admit::Store { .. }));
    known(&mut ledger, key(3, 2));
}

#[test]
fn a_broker_whose_pong_never_comes_does_not_make_the_ledger_grow_without_end() {
    let mut ledger = Ledger::default();
    ledger.ping();
    let acknowledge = |ledger: &mut Ledger, numbers: std::ops::Range<u64>| {
        for number in numbers {
            let delivery = new(ledger, key((number % 65_535) as u16 + 1, number));
            ledger.settle(delivery, Some(1));
            assert!(ledger.next_reply().is_some());
        }
    };
    acknowledge(&mut ledger, 0..10);
    ledger.ping();
    acknowledge(&mut ledger, 10..MAX_UNCONFIRMED as u64 + 3);
    assert_eq!(ledger.forget_unconfirmed(), 3);
    assert_eq!(ledger.len(), MAX_UNCONFIRMED);
    assert_eq!(ledger.pong(), 0, "the first PINGREQ went before all of them");
    assert_eq!(ledger.pong(), 7, "what was forgotten is not confirmed a second time");
    assert_eq!(ledger.len(), MAX_UNCONFIRMED - 7);
}
