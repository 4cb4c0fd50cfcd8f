//! Configurations that change, brokers that refuse, connections that are cut and processes that die, at random, against
//! a model broker: of the copies of every message that it ever made, one at least is taken, by every later process.

use std::collections::BTreeMap;

use bytes::BytesMut;
use proptest::prelude::*;
use rumqttc::v5::mqttbytes::v5;

use super::*;
use crate::topic::reduce;

const FILTERS: [&str; 8] = ["a/+/c", "+/b/c", "a/b/+", "a/#", "+/+/c", "+/b/#", "a/b/c", "$share/g/a/b/c"];
const TOPICS: [&str; 4] = ["a/b/c", "a/x/c", "x/b/c", "a/b/x"];

/// What the broker has: identifier (0: none) and QoS by filter.
type Session = BTreeMap<String, (u32, u8)>;

/// The copies of one message: topic, and the identifiers of each copy.
type Copies = (&'static str, Vec<Vec<u32>>);

/// One connection of one process, with a configuration of its own.
#[derive(Clone, Debug)]
struct Life {
    /// Filter and QoS.
    filters: Vec<(usize, u8)>,
    /// What the broker refuses.
    refuses: Vec<usize>,
    /// It grants no more than QoS 0.
    lowers: bool,
    /// The connection ends after so many packets that the broker has processed.
    packets: usize,
    /// Its answers to the last of them are lost.
    answers_lost: usize,
    /// The text is not written down any more.
    forgotten: bool,
    /// The store writes what it is given only when it is waited for; else at once.
    is_slow: bool,
    /// Changes of what is wanted while the connection lives, one after another.
    changes: Vec<Vec<(usize, u8)>>,
    /// The same process connects again.
    goes_on: bool,
    asks_again: bool,
}

fn life() -> impl Strategy<Value = Life> {
    let filters = || prop::collection::vec((0..FILTERS.len(), 0..3_u8), 1..5);
    let changes = prop::collection::vec(filters(), 0..4);
    let refuses = prop::collection::vec(0..FILTERS.len(), 0..2);
    let flags = (prop::bool::weighted(0.1), prop::bool::weighted(0.2), any::<bool>(), any::<bool>(), any::<bool>());
    (filters(), changes, refuses, 0..40_usize, 0..3_usize, flags).prop_map(
        |(filters, changes, refuses, packets, answers_lost, (lowers, forgotten, goes_on, asks_again, is_slow))| Life {
            filters,
            changes,
            refuses,
            lowers,
            packets,
            answers_lost,
            forgotten,
            is_slow,
            goes_on,
            asks_again,
        },
    )
}

/// The copies that a message of each topic would have now: one per filter, or one for all.
fn copies(session: &Session) -> Vec<Copies> {
    let mut all = Vec::new();
    for topic in TOPICS {
        let matching = session.iter().filter(|(filter, _)| TopicFilter::new(filter).unwrap().matches(topic));
        let each: Vec<Vec<u32>> = matching.clone().map(|(_, &(identifier, _))| as_sent(identifier)).collect();
        // A shared subscription has a copy of its own, which goes to somebody else.
        let plain = matching.filter(|(filter, _)| !filter.starts_with("$share"));
        let own: Vec<Vec<u32>> = plain.map(|(_, &(identifier, _))| as_sent(identifier)).collect();
        if own.is_empty() {
            continue;
        }
        all.push((topic, own.clone()));
        all.push((topic, vec![own.concat()]));
        all.push((topic, each));
    }
    all
}

fn as_sent(identifier: u32) -> Vec<u32> {
    (identifier != 0).then_some(identifier).into_iter().collect()
}

fn taken(subscriptions: &Subscriptions, (topic, copies): &Copies) -> usize {
    copies.iter().filter(|identifiers| !subscriptions.leaves_out(topic, &Identifiers::of(identifiers))).count()
}

/// Processes one packet; returns the answer: packet identifier and codes, `None` for UNSUBACK.
fn process(session: &mut Session, packet: v5::Packet, life: &Life) -> (u16, Option<Vec<u8>>) {
    match packet {
        v5::Packet::Subscribe(subscribe) => {
            let identifier = subscribe.properties.and_then(|it| it.id).unwrap_or(0);
            let codes = subscribe.filters.into_iter().map(|filter| {
                if life.refuses.iter().any(|&refused| FILTERS[refused] == filter.path) {
                    return 0x87;
                }
                let qos = if life.lowers { 0 } else { filter.qos as u8 };
                session.insert(filter.path, (identifier as u32, qos));
                qos
            });
            (subscribe.pkid, Some(codes.collect()))
        }
        v5::Packet::Unsubscribe(unsubscribe) => {
            for filter in &unsubscribe.filters {
                session.remove(filter);
            }
            (unsubscribe.pkid, None)
        }
        other => panic!("{other:?}"),
    }
}

fn packets(outgoing: &mut Outgoing) -> Vec<v5::Packet> {
    let bytes: &mut BytesMut = outgoing.bytes();
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        packets.push(v5::Packet::read(bytes, None).unwrap());
    }
    packets
}

fn wanted(filters: &[(usize, u8)]) -> (Vec<Subscription>, Vec<(TopicFilter, TopicFilter)>) {
    let all: Vec<Subscription> = filters
        .iter()
        .map(|&(filter, qos)| Subscription {
            filter: TopicFilter::new(FILTERS[filter]).unwrap(),
            qos: Qos::from_level(qos).unwrap(),
            retained: false,
        })
        .collect();
    let reduced = reduce(&all);
    (reduced.subscriptions, reduced.crossing)
}

/// The process that lived when these copies were made took so many of them at most.
type Made = BTreeMap<Copies, usize>;

/// Adds the copies that the broker makes now.
fn make(made: &mut Made, session: &Session, subscriptions: &Subscriptions) {
    for copies in copies(session) {
        let taken = taken(subscriptions, &copies);
        let most = made.entry(copies).or_default();
        *most = taken.max(*most);
    }
}

/// What every process must take one of at least; of what a successor of whom nothing was kept must take no more.
fn look(made: &Made, subscriptions: &Subscriptions, is_exact: bool) -> Result<(), String> {
    for (copies, &most) in made {
        match taken(subscriptions, copies) {
            0 => return Err(format!("{copies:?} is lost")),
            taken if is_exact && taken > most => return Err(format!("{copies:?} is taken {taken} times, not {most}")),
            _ => {}
        }
    }
    Ok(())
}

/// Whether all lives lose nothing; that at rest each message is taken once; and that a successor takes no copy that was
/// left out.
fn live(lives: &[Life]) -> Result<(), String> {
    let mut session = Session::new();
    let mut made = Made::new();
    let mut text = String::new();
    let mut is_exact = true;
    let mut process_of_before: Option<Subscriptions> = None;
    for (number, life) in lives.iter().enumerate() {
        let (filters, crossing) = wanted(&life.filters);
        let is_new = process_of_before.is_none() || !life.goes_on;
        let mut subscriptions = match process_of_before.take() {
            Some(before) if !is_new => before,
            // Far apart, as random ones are: what is doubted makes the next of it.
            _ => Subscriptions::new(filters, &crossing, &text, (number as u64) << 32).0,
        };
        look(&made, &subscriptions, is_exact)?;
        let session_present = !session.is_empty();
        let mut outgoing = Outgoing::new(Version::V5);
        let mut asked = subscriptions.ask(session_present, true, &mut outgoing);
        let is_written_at_once = !life.forgotten && !life.is_slow;
        // What is doubted has other names, and the old ones are forgotten; a new session waits for nothing.
        is_exact &= !life.forgotten && life.refuses.is_empty() && !life.lowers && (session_present || !life.is_slow);
        if is_written_at_once {
            text = subscriptions.text();
        }
        let mut sent = packets(&mut outgoing);
        let mut left = life.packets;
        let mut again = life.asks_again;
        let mut changes = life.changes.iter();
        while left > 0 {
            if sent.is_empty() && asked.is_answered() && !changes.as_slice().is_empty() {
                let (filters, crossing) = wanted(changes.next().unwrap());
                asked = subscriptions.change(filters, &crossing, &asked, &mut outgoing);
                if is_written_at_once {
                    text = subscriptions.text();
                }
                sent = packets(&mut outgoing);
                if asked.is_answered() {
                    subscriptions.answered(&asked);
                }
                look(&made, &subscriptions, is_exact)?;
                continue;
            }
            if sent.is_empty() && asked.awaits_store() {
                if life.forgotten {
                    subscriptions.wait_no_more(&mut asked, &mut outgoing);
                } else {
                    text = subscriptions.text();
                    subscriptions.written(&text, &mut asked, &mut outgoing);
                }
                if asked.awaits_store() {
                    return Err("it waits for what was written".to_owned());
                }
                sent = packets(&mut outgoing);
                if asked.is_answered() {
                    subscriptions.answered(&asked);
                }
                continue;
            }
            if sent.is_empty() {
                if !again || asked.refused.is_empty() {
                    break;
                }
                again = false;
                subscriptions.ask_again(&mut asked, &mut outgoing);
                sent = packets(&mut outgoing);
                continue;
            }
            let granting = Life { refuses: if again { life.refuses.clone() } else { Vec::new() }, ..life.clone() };
            let refusing = if life.asks_again { &granting } else { life };
            let (packet_id, codes) = process(&mut session, sent.remove(0), refusing);
            make(&mut made, &session, &subscriptions);
            if left > life.answers_lost {
                match codes {
                    Some(codes) => assert!(subscriptions.suback(&mut asked, packet_id, &codes, &mut outgoing)),
                    None => assert!(asked.unsuback(packet_id)),
                }
                sent.extend(packets(&mut outgoing));
                if asked.is_answered() {
                    subscriptions.answered(&asked);
                    if is_written_at_once {
                        text = subscriptions.text();
                    }
                }
            }
            left -= 1;
            look(&made, &subscriptions, is_exact)?;
        }
        // What was never written down stays at the broker.
        let is_wanted = |filter: &String| subscriptions.wanted.iter().any(|one| one.filter.as_str() == filter);
        let is_granted = asked.is_answered() && asked.refused.is_empty() && !life.lowers;
        let is_at_rest = is_granted && left > 0 && session.keys().all(is_wanted);
        let has_shared = subscriptions.wanted.iter().any(|one| one.filter.group().is_some());
        if is_at_rest && !has_shared {
            for copies in copies(&session) {
                if taken(&subscriptions, &copies) != 1 {
                    return Err(format!("{copies:?} is not taken once; the broker has {session:?}"));
                }
            }
        }
        process_of_before = Some(subscriptions);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if std::env::var_os("AMBER_LONG").is_some() { 50_000 } else { 1_000 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_change_of_filters_loses_a_message_and_at_rest_each_is_taken_once(lives in prop::collection::vec(life(), 1..6)) {
        prop_assert_eq!(live(&lives), Ok(()));
    }
}
