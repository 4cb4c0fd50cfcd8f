//! What comes from the broker.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

use super::{ASK_AGAIN_AFTER, Connection, End, Lost, lost};
use crate::message::{Delivery, Key, Malformed, Message, Qos, Time};
use crate::row::Ignored;
use crate::session::dial::Transport;
use crate::session::hand::State;
use crate::session::ledger::Admit;
use crate::session::link::{READ_BYTES, topic};
use crate::session::wire::{self, Fault, Packet, Publish, Version, WireError};

/// Packets that are read in one turn, so that replies are not kept waiting.
const BURST: usize = 256;

/// The same in bytes: what is read and not looked at yet is not counted against the limit in hand.
const BURST_BYTES: usize = 1 << 20;

/// Replies that a broker which does not read may let gather. All that one owes at a time (65,535 messages of QoS 2)
/// are half a mebibyte, thousands of filters about as much; one that keeps no window may be more behind.
const MAX_UNSENT_BYTES: usize = 4 << 20;

/// A payload is a slice of the buffer of a read and keeps all of it, which is more than it is counted for if what came
/// with it is ignored and gone. So those are copied that are shorter than a buffer.
const SLICE_BYTES: usize = READ_BYTES;

/// Retained messages that are told apart where filters cross; of further ones each filter's copy is taken.
const MAX_RETAINED_SEEN: usize = 100_000;

/// Why a message is ignored that another copy stands for.
const OVERLAP: &str = "overlap";

impl<S: Transport> Connection<'_, S> {
    /// Takes `first` and what else is there, up to a burst or the limit in hand, and hands it on.
    pub(super) fn receive(&mut self, first: Option<Result<Packet, WireError>>) -> Result<(), End> {
        let mut packets = std::mem::take(&mut self.packets);
        let ended = self.gather(first, &mut packets);
        let handled = self.handle(&mut packets);
        self.packets = packets;
        handled?;
        ended.map_or(Ok(()), |lost| Err(End::Lost(lost)))
    }

    /// Reads into `packets`; returns how the connection ended, if it did.
    fn gather(&mut self, first: Option<Result<Packet, WireError>>, packets: &mut Vec<Packet>) -> Option<Lost> {
        let (mut messages, mut bytes) = self.run.session.in_hand.lock().room().unwrap_or((0, 0));
        let mut burst_bytes = 0;
        let mut next = Some(first);
        while let Some(packet) = next {
            let mut is_rare = false;
            match packet {
                Some(Ok(packet)) => {
                    match &packet {
                        Packet::Publish(publish) => {
                            let taken = publish.payload.len() + publish.topic.len();
                            burst_bytes += taken;
                            if publish.qos != Qos::AtMostOnce {
                                messages = messages.saturating_sub(1);
                                bytes = bytes.saturating_sub(taken);
                            }
                        }
                        Packet::PubRel { .. } | Packet::PingResp => {}
                        // What it says holds for what follows.
                        _ => is_rare = true,
                    }
                    packets.push(packet);
                }
                Some(Err(error)) => return Some(lost(error)),
                None => return Some(Lost::Closed),
            }
            let is_full = packets.len() >= BURST || burst_bytes >= BURST_BYTES || messages == 0 || bytes == 0;
            next = if is_full || is_rare { None } else { self.link.reader.next().now_or_never() };
        }
        None
    }

    fn handle(&mut self, packets: &mut Vec<Packet>) -> Result<(), End> {
        let in_hand = Arc::clone(&self.run.session.in_hand);
        let mut taken = Vec::with_capacity(packets.len());
        let mut rare = Ok(());
        let now = Instant::now();
        let mut state = in_hand.lock();
        for packet in packets.drain(..) {
            match packet {
                Packet::Publish(publish) if self.run.subscriptions.is_learning() && !publish.retain => {
                    for publish in self.sort(publish, now) {
                        taken.extend(self.publish(&mut state, publish, now));
                    }
                }
                Packet::Publish(publish) => {
                    let message = self.publish(&mut state, publish, now);
                    taken.extend(message);
                }
                Packet::PubRel { packet_id } if !state.ledger.owes_pubrec(packet_id) => {
                    self.link.writer.outgoing.reply(state.ledger.pubrel(packet_id));
                }
                Packet::PingResp if state.ledger.is_pinging() => {
                    state.ledger.pong();
                }
                packet => {
                    // The last of its burst, but for a PUBREL or PINGRESP that ends the connection.
                    rare = self.rare(packet);
                    if rare.is_err() {
                        break;
                    }
                }
            }
        }
        packets.clear();
        in_hand.show(&state);
        drop(state);
        if !taken.is_empty() {
            // Where most were dropped, the room for them would be kept with the few that were not.
            taken.shrink_to_fit();
            self.hand_on_now(taken)?;
        }
        rare.map_err(End::Lost)?;
        if self.link.writer.outgoing.len() > MAX_UNSENT_BYTES {
            return Err(End::Lost(Lost::Unread(self.link.writer.outgoing.len())));
        }
        Ok(())
    }

    /// What is due now that this copy has come.
    fn sort(&mut self, publish: Publish, now: Instant) -> Vec<Publish> {
        let is_behind = self.is_behind(&publish);
        let hash = hash_of(&publish);
        let sorted = self.copies.sort(publish, hash, is_behind, now);
        if sorted.is_shown {
            self.run.subscriptions.all_copies_come();
            self.run.publish_subscribed(false);
        }
        sorted.due
    }

    /// Takes the copies that were held long enough.
    pub(super) fn release_held(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if self.copies.due().is_none_or(|due| now < due) || !self.run.held.is_empty() {
            return Ok(());
        }
        let in_hand = Arc::clone(&self.run.session.in_hand);
        let mut state = in_hand.lock();
        let due = self.copies.release();
        let taken: Vec<Message> =
            due.into_iter().filter_map(|publish| self.publish(&mut state, publish, now)).collect();
        in_hand.show(&state);
        drop(state);
        if taken.is_empty() { Ok(()) } else { self.hand_on_now(taken) }
    }

    /// Gives a burst to the next stage, or holds it until there is room.
    fn hand_on_now(&mut self, burst: Vec<Message>) -> Result<(), End> {
        let Some(out) = &self.run.out else { return Err(End::NobodyListens) };
        match out.try_send(burst) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(burst)) => {
                debug_assert!(self.run.held.is_empty(), "nothing is read while something is held");
                self.run.held = burst;
                Ok(())
            }
            Err(TrySendError::Closed(_)) => Err(End::NobodyListens),
        }
    }

    /// The message, if it is to be handed on.
    fn publish(&mut self, state: &mut State, mut publish: Publish, now: Instant) -> Option<Message> {
        self.run.received[usize::from(publish.qos.level())].inc();
        let is_overlap = self.is_overlap(state, &publish);
        if is_overlap {
            // Two copies may bear one packet identifier after one another: neither may be known by the other's entry.
            publish.hash = !publish.hash;
            if publish.qos == Qos::AtMostOnce {
                self.count_ignored(OVERLAP);
                return None;
            }
        }
        if publish.qos == Qos::AtMostOnce && !state.has_room_for_qos_0() {
            self.run.session.metrics.messages_dropped.with_label_values(&["overload"]).inc();
            self.run.overload(true);
            return None;
        }
        let metrics = &self.run.session.metrics;
        let mut delivery = None;
        if publish.qos != Qos::AtMostOnce {
            let again = publish.dup && !is_overlap && self.is_stored_again(&publish.topic);
            match state.publish(key(&publish), publish.dup, publish.retain, again) {
                Admit::Known => {
                    metrics.messages_redelivered.inc();
                    return None;
                }
                Admit::Store { delivery: admitted, late } => {
                    if late {
                        metrics.messages_redelivered_late.inc();
                    }
                    if is_overlap {
                        state.ledger.settle(admitted, None);
                        self.count_ignored(OVERLAP);
                        return None;
                    }
                    delivery = Some(admitted);
                }
            }
        }
        let retained_again = self.version == Version::V311 && self.session_present && publish.retain && !publish.dup;
        if delivery.is_some() && !publish.retain && !publish.dup && self.retained.other_came() {
            self.run.subscriptions.retained_have_come();
            self.run.publish_subscribed(false);
        }
        let message = message(publish, delivery, (self.run.session.clock)());
        if retained_again && !self.run.subscriptions.retained_is_new(&self.asked, &message.topic) {
            // 3.1.1 sends them at every SUBSCRIBE, also at those that repeat an old one.
            self.count_ignored(Ignored::Retained.word());
            if let Some(delivery) = delivery {
                state.ledger.settle(delivery, None);
            }
            return None;
        }
        if message.retain {
            self.retained.came(now);
        }
        state.take(&message, now);
        Some(message)
    }

    /// Whether a mapping wants what comes again.
    fn is_stored_again(&self, topic: &[u8]) -> bool {
        let filters = &self.run.stored_again;
        !filters.is_empty()
            && std::str::from_utf8(topic).is_ok_and(|topic| filters.iter().any(|filter| filter.matches(topic)))
    }

    fn count_ignored(&self, reason: &str) {
        self.run.session.metrics.messages_ignored.with_label_values(&[reason]).inc();
    }

    /// Whether this is one copy more of a message that is taken once although several filters of ours match it.
    fn is_overlap(&mut self, state: &State, publish: &Publish) -> bool {
        let subscriptions = &self.run.subscriptions;
        // It was left out on an earlier connection, which lost our acknowledgement.
        if publish.dup && state.ledger.knows(Key { hash: !publish.hash, ..key(publish) }) {
            return true;
        }
        if !publish.retain {
            return !subscriptions.is_learning() && self.is_behind(publish);
        }
        // Each filter brings the retained messages once, when it is new: another that stands before it had its own
        // perhaps long ago. But a topic has one retained message at a time, so what came already on this connection is
        // the same one.
        if !subscriptions.are_crossing() || self.retained_seen.len() >= MAX_RETAINED_SEEN {
            return false;
        }
        let was_seen = !self.retained_seen.insert(hash_of(publish));
        // A repetition of the one that was taken is no copy, but known.
        was_seen && !(publish.dup && state.ledger.knows(key(publish)))
    }

    /// Whether its identifiers say that another copy is taken of the message.
    fn is_behind(&self, publish: &Publish) -> bool {
        let identifiers = &publish.subscription_identifiers;
        !identifiers.is_empty()
            && std::str::from_utf8(&publish.topic)
                .is_ok_and(|topic| self.run.subscriptions.leaves_out(topic, identifiers))
    }

    /// SUBACK, UNSUBACK, PUBACK, DISCONNECT, and what may not come (now).
    fn rare(&mut self, packet: Packet) -> Result<(), Lost> {
        let fault = match packet {
            Packet::SubAck { packet_id, codes } => match self.asked.filters(packet_id) {
                Some(filters) if filters == codes.len() => {
                    self.run.has_session |= codes.iter().any(|&code| code < 0x80);
                    let outgoing = &mut self.link.writer.outgoing;
                    self.run.subscriptions.suback(&mut self.asked, packet_id, &codes, outgoing);
                    if self.asked.awaits_store() {
                        // A refusal gives others new identifiers.
                        self.run.publish_subscribed(false);
                    }
                    self.look_for_answers();
                    return Ok(());
                }
                Some(filters) => {
                    let what = format!("a SUBACK has {} reason codes for {filters} filters", codes.len());
                    Fault::protocol("3.8.4-6", what)
                }
                None => unasked("2.2.1-6", "a SUBACK", packet_id),
            },
            Packet::UnsubAck { packet_id } => {
                if self.asked.unsuback(packet_id) {
                    self.look_for_answers();
                    return Ok(());
                }
                unasked("2.2.1-6", "an UNSUBACK", packet_id)
            }
            Packet::PubAck { packet_id, reason } => {
                if self.presence.acknowledged(packet_id) {
                    self.run.online_is_taken();
                    if reason >= 0x80 {
                        self.run.status_refused(reason);
                    }
                    return Ok(());
                }
                unasked("2.2.1-5", "a PUBACK", packet_id)
            }
            Packet::Disconnect { reason, text } => return Err(Lost::Disconnected { reason, text }),
            Packet::ConnAck(_) => Fault::protocol("3.2.0-2", "a second CONNACK on one connection"),
            Packet::PubRec { packet_id } => unasked("2.2.1-5", "a PUBREC", packet_id),
            Packet::PubComp { packet_id } => unasked("2.2.1-5", "a PUBCOMP", packet_id),
            Packet::PubRel { packet_id } => {
                Fault::protocol("4.3.3", format!("a PUBREL with packet identifier {packet_id} came before our PUBREC"))
            }
            // It would confirm acknowledgements that are still on their way.
            Packet::PingResp => Fault::protocol("3.12.4-1", "a PINGRESP answers no PINGREQ of ours"),
            Packet::Publish(_) => return Ok(()),
        };
        Err(Lost::Wire(fault.into()))
    }

    /// Once all is answered, says how it stands.
    pub(super) fn look_for_answers(&mut self) {
        if self.is_answered || !self.asked.is_answered() {
            return;
        }
        self.is_answered = true;
        self.run.subscriptions.answered(&self.asked);
        if self.version == Version::V5 {
            // A SUBSCRIBE that is repeated brings none.
            self.run.subscriptions.retained_have_come();
        } else {
            self.retained.asked_for(Instant::now());
        }
        self.run.publish_subscribed(false);
        self.run.subscribed(&self.asked);
        self.say_online();
        self.ask_again = (!self.asked.refused.is_empty()).then(|| Instant::now() + ASK_AGAIN_AFTER);
    }
}

fn unasked(clause: &'static str, packet: &str, packet_id: u16) -> Fault {
    Fault::protocol(clause, format!("{packet} with packet identifier {packet_id}, which nobody waits for"))
}

/// Of topic and payload, at QoS 0 too.
fn hash_of(publish: &Publish) -> u64 {
    match publish.qos {
        Qos::AtMostOnce => wire::hash(&publish.topic, &publish.payload, &mut Vec::new()),
        Qos::AtLeastOnce | Qos::ExactlyOnce => publish.hash,
    }
}

fn key(publish: &Publish) -> Key {
    Key { packet_id: publish.packet_id, exactly_once: publish.qos == Qos::ExactlyOnce, hash: publish.hash }
}

fn message(publish: Publish, delivery: Option<Delivery>, received_at: Time) -> Message {
    let (topic, malformed) = topic(&publish.topic);
    let malformed =
        if publish.too_large { Some(Malformed::TooLarge { payload_bytes: publish.payload_bytes }) } else { malformed };
    let Publish { payload, qos, retain, .. } = publish;
    let payload = if payload.len() < SLICE_BYTES { Bytes::copy_from_slice(&payload) } else { payload };
    Message { topic, payload, qos, retain, received_at, delivery, malformed }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use tokio_util::codec::Decoder as _;

    use super::*;
    use crate::session::wire::{Codec, Identifiers};

    /// A message of QoS 0 with so many bytes of payload, over 3.1.1.
    fn received(payload_bytes: usize, max_payload_bytes: usize) -> Message {
        let remaining = payload_bytes + 3;
        let mut bytes = BytesMut::from(&[0x30, remaining as u8 | 0x80, (remaining >> 7) as u8, 0, 1, b't'][..]);
        bytes.resize(bytes.len() + payload_bytes, b'1');
        let packet = Codec::new(Version::V311, max_payload_bytes).decode(&mut bytes);
        let Ok(Some(Packet::Publish(publish))) = packet else { panic!("{packet:?}") };
        message(publish, None, Time(0))
    }

    #[test]
    fn a_short_payload_does_not_keep_the_buffer_it_came_in() {
        for (payload_bytes, is_slice) in [(0, false), (1_000, false), (SLICE_BYTES - 1, false), (SLICE_BYTES, true)] {
            let buffer = Bytes::from(vec![b'1'; 65_536]);
            let publish = Publish {
                dup: false,
                qos: Qos::AtMostOnce,
                retain: false,
                packet_id: 0,
                topic: Bytes::from_static(b"t"),
                payload: buffer.slice(..payload_bytes),
                payload_bytes,
                too_large: false,
                hash: 0,
                subscription_identifiers: Identifiers::default(),
            };
            let message = message(publish, None, Time(0));
            assert_eq!(message.payload, buffer[..payload_bytes]);
            assert_eq!(!buffer.is_unique(), is_slice, "{payload_bytes}");
        }
    }

    #[test]
    fn a_limit_below_what_is_kept_of_a_long_payload_is_a_limit() {
        assert_eq!(received(1_024, 1_024).malformed, None);
        for payload_bytes in [1_025, 10_240] {
            let malformed = received(payload_bytes, 1_024).malformed;
            assert_eq!(malformed, Some(Malformed::TooLarge { payload_bytes }));
        }
    }
}
