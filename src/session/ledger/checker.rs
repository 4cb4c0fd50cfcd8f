//! The search over all interleavings: the real ledger against a model of broker, wire, delivery task and store.
//!
//! Breadth first from the start, every event that can happen in every state, faults included, each state once. In each
//! state: no message is processed by the broker before it is durable, none is stored twice; and when faults end, all
//! comes to rest (`tail`). Then each rule is switched off, and the search must find what the rule is there for.
//!
//! Not in the model: QoS 0, other ignored and retained messages, refused rows, spool, two living processes, time and sizes.

mod setup;
mod world;

use std::collections::HashSet;
use std::hash::{Hash as _, Hasher};

use super::Rule;
use proptest::prelude::*;
use setup::{Event, FAULTS, Overlap, Setup, Task, Violation};
use world::World;

/// What a search found.
struct Found {
    states: usize,
    /// The first violation, and the shortest way to it.
    violation: Option<(Violation, Vec<Event>)>,
}

/// More rounds and faults where somebody has the time: `AMBER_LONG=1 cargo test --release checker`.
fn is_long() -> bool {
    std::env::var_os("AMBER_LONG").is_some()
}

fn search(setup: &Setup) -> Found {
    let start = World::new(setup);
    let mut seen = HashSet::from([fingerprint(&start)]);
    // How each state was reached: the state before, and the event. States themselves are kept only while in the queue.
    let mut ways: Vec<(usize, Event)> = vec![(0, Event::Start)];
    let mut queue = std::collections::VecDeque::from([(0, start)]);
    while let Some((at, world)) = queue.pop_front() {
        for event in world.events(setup) {
            let mut next = world.clone();
            let mut violation = next.apply(event, setup).err();
            if violation.is_none() {
                if !seen.insert(fingerprint(&next)) {
                    continue;
                }
                violation = next.clone().tail(setup).err();
            }
            ways.push((at, event));
            let last = ways.len() - 1;
            if let Some(violation) = violation {
                return Found { states: seen.len(), violation: Some((violation, way(&ways, last))) };
            }
            queue.push_back((last, next));
        }
    }
    Found { states: seen.len(), violation: None }
}

fn way(ways: &[(usize, Event)], mut at: usize) -> Vec<Event> {
    let mut events = Vec::new();
    while at != 0 {
        events.push(ways[at].1);
        at = ways[at].0;
    }
    events.reverse();
    events
}

/// 128 bits by two multiplicative hashes in one pass; a collision would only leave a state out.
#[derive(Default)]
struct Fingerprint(u64, u64);

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.1 = (self.1.rotate_left(29) ^ word).wrapping_mul(0xD6E8_FEB8_6659_FD93).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.1.rotate_left(17)
    }
}

fn fingerprint(world: &World) -> (u64, u64) {
    let mut hasher = Fingerprint::default();
    world.hash(&mut hasher);
    (hasher.0, hasher.1)
}

fn is_exact(name: &str, setup: &Setup) {
    let found = search(setup);
    println!("{name}: {} states", found.states);
    assert!(found.violation.is_none(), "{name}: {:?}", found.violation);
}

/// The rules hold as they are, and not without one of `rules` and `tasks`.
fn needs(rules: &[Rule], tasks: &[Task], setup: &Setup) {
    is_exact("with all rules", setup);
    for &rule in rules {
        is_caught(&format!("without {rule:?}"), &Setup { rule: Some(rule), ..*setup });
    }
    for &task in tasks {
        is_caught(&format!("without {task:?}"), &Setup { task: Some(task), ..*setup });
    }
}

fn is_caught(name: &str, setup: &Setup) {
    let found = search(setup);
    let Some((violation, way)) = found.violation else {
        panic!("{name}: not caught in {} states", found.states);
    };
    println!("{name}: {violation:?} after {} of {} states: {way:?}", way.len(), found.states);
}

/// Two messages, one fault of each kind.
const SMALL: Setup = Setup {
    messages: 2,
    window: 2,
    ids: 8,
    lowest_free: false,
    qos_2: 0,
    overlap: None,
    contents: u8::MAX,
    calm: false,
    told: false,
    prompt: false,
    crashes: 1,
    cuts: 1,
    store_losses: 1,
    sessions_lost: 0,
    repeats: 0,
    restarts: 0,
    keep_alive: false,
    ledger_alone: false,
    new_store: false,
    limit: usize::MAX,
    rule: None,
    task: None,
};

/// Equal payloads on a broker that gives the lowest free identifier; exact if no fault comes while one is unsettled.
const EQUAL: Setup = Setup { contents: 1, lowest_free: true, calm: true, window: 1, ..SMALL };

const ALL_QOS_2: u8 = 0xFF;

#[test]
fn every_message_is_stored_exactly_once_at_qos_1() {
    for lowest_free in [false, true] {
        let setup = Setup { messages: 3, ids: 3, lowest_free, ..SMALL };
        let faults = if is_long() { 2 } else { 1 };
        is_exact("qos 1", &Setup { crashes: faults, cuts: faults, ..setup });
    }
}

#[test]
fn every_message_is_stored_exactly_once_at_qos_2() {
    for lowest_free in [false, true] {
        let messages = if is_long() { 3 } else { 2 };
        is_exact("qos 2", &Setup { messages, ids: 3, lowest_free, qos_2: ALL_QOS_2, ..SMALL });
    }
}

#[test]
fn every_message_is_stored_exactly_once_whatever_else_happens() {
    is_exact("qos 1 and 2 mixed, repeats", &Setup { qos_2: 1, lowest_free: true, repeats: 1, ..SMALL });
    is_exact("session lost", &Setup { sessions_lost: 1, ..SMALL });
    is_exact("limit in hand", &Setup { limit: 1, ..SMALL });
    is_exact("ledger written alone", &Setup { ledger_alone: true, ..SMALL });
    is_exact("keep-alive", &Setup { keep_alive: true, crashes: 0, store_losses: 0, ..SMALL });
    is_exact("restarts that forget PUBRELs", &Setup { qos_2: ALL_QOS_2, restarts: 1, crashes: 0, ..SMALL });
    is_exact("equal payloads", &Setup { messages: 3, ..EQUAL });
}

#[test]
fn a_copy_for_another_filter_is_acknowledged_and_never_taken_for_the_message() {
    for overlap in [Overlap::Ahead, Overlap::Behind].map(Some) {
        is_exact("copies", &Setup { overlap, store_losses: 0, ..SMALL });
        is_exact("copies of qos 2", &Setup { overlap, qos_2: ALL_QOS_2, messages: 1, lowest_free: true, ..SMALL });
        is_exact("copies, repeats", &Setup { overlap, repeats: 1, messages: 1, lowest_free: true, ..SMALL });
    }
    // The identifier of a copy that is done with is given to the message.
    let reuse = Setup { overlap: Some(Overlap::Ahead), messages: 1, window: 1, lowest_free: true, ..SMALL };
    needs(&[], &[Task::OverlapInKey], &reuse);
}

#[test]
fn acknowledgements_wait_for_receipts_and_entries_for_their_round_trip() {
    let rules = [
        Rule::AcknowledgeAfterSettling,
        Rule::KnownIsAcknowledged,
        Rule::ForgetAfterRoundTrip,
        Rule::SurviveConnections,
    ];
    // And the store writes the ledger with the rows, and fences the dead.
    let tasks = [Task::LedgerWithRows, Task::Gate, Task::Epoch, Task::AdoptOnReconnect, Task::StoreBeforeBroker];
    needs(&rules, &tasks, &SMALL);
}

#[test]
fn acknowledgements_are_asked_for_on_their_connection_and_sent_once() {
    let reuse = Setup { lowest_free: true, store_losses: 0, ..SMALL };
    needs(&[Rule::AcknowledgeOnlyWhatCame], &[Task::HashInKey], &reuse);
    needs(&[Rule::KnownIsAcknowledgedOnce], &[], &Setup { repeats: 1, crashes: 0, ..reuse });
}

#[test]
fn only_a_repeated_message_is_known_and_a_delivery_is_confirmed_not_a_key() {
    needs(&[Rule::KnownNeedsDup, Rule::ConfirmByDelivery], &[], &EQUAL);
    needs(&[Rule::KnownNeedsDupAlsoAtQos2], &[], &Setup { qos_2: ALL_QOS_2, ..EQUAL });
}

#[test]
fn each_ping_confirms_what_was_before_it() {
    let pings = Setup { messages: 1, keep_alive: true, crashes: 0, store_losses: 0, ..SMALL };
    needs(&[Rule::MarkPerPing], &[], &pings);
}

#[test]
fn leftovers_are_released_before_their_identifiers_come_again() {
    let wrap = Setup { messages: 7, window: 1, ids: 6, prompt: true, contents: 1, ..SMALL };
    needs(&[Rule::ReleaseLeftovers], &[], &Setup { crashes: 0, cuts: 2, store_losses: 0, ..wrap });
}

#[test]
fn a_lost_session_clears_the_ledger_and_receipts_go_by_delivery() {
    let lost = Setup { contents: 1, crashes: 0, store_losses: 0, sessions_lost: 1, told: true, ..SMALL };
    needs(&[Rule::SettleByDelivery], &[], &Setup { cuts: 0, ..lost });
    needs(&[Rule::LostSessionClears], &[], &Setup { window: 1, ..lost });
}

#[test]
fn qos_2_entries_outlive_pubrel_and_pubrel_is_always_answered() {
    let one = Setup { messages: 1, qos_2: ALL_QOS_2, ..SMALL };
    needs(&[Rule::KeepAfterPubrel], &[], &Setup { restarts: 1, cuts: 0, store_losses: 0, ..one });
    needs(&[], &[Task::AnswerEveryPubrel], &Setup { new_store: true, ..one });
}

#[test]
fn reading_stops_by_what_is_unsettled_alone() {
    needs(&[], &[Task::LimitCountsUnsettled], &Setup { limit: 1, crashes: 0, store_losses: 0, ..SMALL });
}

/// One long run of random events, faults at one in twenty; then the tail without faults.
fn run(setup: &Setup, mut random: u64) -> Result<(), (Violation, Vec<Event>)> {
    let mut world = World::new(setup);
    let mut events = Vec::new();
    for _ in 0..20_000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let wants_fault = random.is_multiple_of(20);
        let possible: Vec<Event> = world.events(setup).filter(|event| FAULTS.contains(event) == wants_fault).collect();
        if possible.is_empty() {
            if wants_fault {
                continue;
            }
            break;
        }
        let event = possible[(random >> 32) as usize % possible.len()];
        events.push(event);
        if let Err(violation) = world.apply(event, setup) {
            return Err((violation, events));
        }
    }
    world.tail(setup).map_err(|violation| (violation, events))
}

const LONG: Setup =
    Setup { messages: 200, ids: 40, crashes: u8::MAX, cuts: u8::MAX, store_losses: u8::MAX, repeats: u8::MAX, ..SMALL };

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if is_long() { 5_000 } else { 40 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn long_runs_are_exact(
        random in 1_u64.., window in 1..=20_usize, lowest_free: bool, qos_2: u8, restarts: bool, copies in 0..3_u8,
    ) {
        let restarts = if restarts { u8::MAX } else { 0 };
        let overlap = [None, Some(Overlap::Ahead), Some(Overlap::Behind)][usize::from(copies)];
        let messages = if copies > 0 { 100 } else { LONG.messages };
        let setup = Setup { window, lowest_free, qos_2, restarts, overlap, messages, ..LONG };
        prop_assert_eq!(run(&setup, random), Ok(()));
    }

    #[test]
    fn long_runs_of_three_contents_are_exact_without_wrap(random in 1_u64.., window in 1..=20_usize, qos_2: u8) {
        let setup = Setup { window, qos_2, ids: 60_000, contents: 3, ..LONG };
        prop_assert_eq!(run(&setup, random), Ok(()));
    }
}
