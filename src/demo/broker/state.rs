//! Sessions, subscriptions and retained messages: what the broker knows. No I/O and no clock.
//!
//! Invariants: a session has at most one current connection, that of its newest generation; its messages leave in
//! the order in which they came; a packet identifier is given to one message at a time.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tokio::sync::Notify;

use super::packet::{Connect, Delivery, Granted, Message, RetainHandling, Subscription, ToClient};
use super::script::Script;
use crate::message::Qos;
use crate::topic::TopicFilter;

/// Kept for a client, those in flight not counted; the newest is dropped beyond it.
pub(super) const MAX_QUEUED: usize = 10_000;
/// In flight to a client that announces no receive maximum.
const WINDOW: u16 = 100;
/// Topics with a retained message; beyond it no further one is kept.
const MAX_RETAINED: usize = 10_000;
/// Sessions, connected or not.
const MAX_SESSIONS: usize = 1_000;

/// What the broker knows.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) script: Script,
    sessions: HashMap<String, Session>,
    retained: BTreeMap<Arc<str>, Message>,
    generations: u64,
}

/// What outlives a connection.
#[derive(Debug)]
struct Session {
    persistent: bool,
    /// Of the current connection; `None` while the client is away.
    generation: Option<u64>,
    /// Rung when there may be something to send, or when the connection is no longer current.
    wake: Arc<Notify>,
    window: usize,
    subscriptions: BTreeMap<TopicFilter, Subscription>,
    queue: VecDeque<Delivery>,
    in_flight: VecDeque<InFlight>,
    /// Identifiers of those in flight.
    used: HashSet<u16>,
    last_id: u16,
    /// Identifiers of QoS 2 messages of the client that wait for its PUBREL.
    receiving: HashSet<u16>,
}

#[derive(Debug)]
struct InFlight {
    delivery: Delivery,
    /// PUBREC has come: what is sent again is PUBREL.
    released: bool,
    /// Sent on the current connection.
    sent: bool,
}

/// What a new connection is given.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) session_present: bool,
    pub(super) generation: u64,
    pub(super) wake: Arc<Notify>,
}

/// A connection that is no longer current: another one has taken its session over, or the session is gone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotCurrent;

/// What a test sees of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub connected: bool,
    /// Connections that the broker has accepted so far, of any client.
    pub generation: u64,
    /// Packet identifiers in flight to the client, in order.
    pub in_flight: Vec<u16>,
    pub queued: usize,
    pub filters: Vec<String>,
}

impl State {
    pub(super) fn new(script: Script) -> Self {
        Self { script, ..Self::default() }
    }

    /// Gives the session of `connect` to a new connection, and makes it if need be. `None` if there are too many.
    pub(super) fn attach(&mut self, connect: &Connect) -> Option<Attached> {
        self.generations += 1;
        if connect.clean_start
            && let Some(old) = self.sessions.remove(&connect.client_id)
        {
            old.wake.notify_one();
        }
        let session_present = self.sessions.contains_key(&connect.client_id);
        if !session_present && self.sessions.len() >= MAX_SESSIONS {
            return None;
        }
        let renumber = self.script.renumber;
        let session = self.sessions.entry(connect.client_id.clone()).or_insert_with(Session::new);
        let wake = Arc::new(Notify::new());
        std::mem::replace(&mut session.wake, Arc::clone(&wake)).notify_one();
        session.generation = Some(self.generations);
        session.persistent = connect.persistent;
        session.window = usize::from(connect.receive_maximum.unwrap_or(WINDOW));
        session.forget_connection(renumber);
        Some(Attached { session_present, generation: self.generations, wake })
    }

    /// Ends a connection; the session stays if it is persistent and `end_session` is not asked for.
    pub(super) fn detach(&mut self, client_id: &str, generation: u64, end_session: bool) {
        let Ok(session) = self.current(client_id, generation) else { return };
        session.generation = None;
        // QoS 0 is for those who are there.
        session.queue.retain(|delivery| delivery.qos != Qos::AtMostOnce);
        if end_session || !session.persistent {
            self.sessions.remove(client_id);
        }
    }

    fn current(&mut self, client_id: &str, generation: u64) -> Result<&mut Session, NotCurrent> {
        current(&mut self.sessions, client_id, generation)
    }

    /// Delivers `message` to all who want it, and keeps it if it is retained. `from`: who published it.
    pub(super) fn publish(&mut self, message: &Message, from: Option<&str>) {
        if message.retain {
            if message.payload.is_empty() {
                self.retained.remove(&message.topic);
            } else if self.retained.len() < MAX_RETAINED || self.retained.contains_key(&message.topic) {
                self.retained.insert(Arc::clone(&message.topic), message.clone());
            }
        }
        for (client_id, session) in &mut self.sessions {
            let wanted = session.subscriptions.iter().filter(|(filter, subscription)| {
                filter.matches(&message.topic) && !(subscription.no_local && from == Some(client_id.as_str()))
            });
            let mut deliveries: Vec<Delivery> = Vec::new();
            for (_, subscription) in wanted {
                let qos = message.qos.min(subscription.qos);
                let retain = message.retain && subscription.retain_as_published;
                match deliveries.first_mut() {
                    // One copy, at the highest quality, for all of them (3.3.4).
                    Some(first) if !self.script.copy_per_filter => {
                        first.qos = first.qos.max(qos);
                        first.retain |= retain;
                        first.identifiers.extend(subscription.identifier.filter(|_| !self.script.one_identifier));
                    }
                    _ => deliveries.push(delivery(message, qos, retain, subscription)),
                }
            }
            for delivery in deliveries {
                session.enqueue(delivery);
            }
        }
    }

    /// A message of `client_id`; `Err` if its connection is not current. Returns the answer.
    pub(super) fn receive(
        &mut self,
        client_id: &str,
        generation: u64,
        message: &Message,
        id: u16,
    ) -> Result<Option<ToClient>, NotCurrent> {
        let session = self.current(client_id, generation)?;
        let (fresh, answer) = match message.qos {
            Qos::AtMostOnce => (true, None),
            Qos::AtLeastOnce => (true, Some(ToClient::PubAck(id))),
            Qos::ExactlyOnce => (session.receiving.insert(id), Some(ToClient::PubRec(id))),
        };
        if fresh {
            self.publish(message, Some(client_id));
        }
        Ok(answer)
    }

    pub(super) fn release(&mut self, client_id: &str, generation: u64, id: u16) -> Result<ToClient, NotCurrent> {
        self.current(client_id, generation)?.receiving.remove(&id);
        Ok(ToClient::PubComp(id))
    }

    /// Subscribes; the retained messages follow by [`State::take`].
    pub(super) fn subscribe(
        &mut self,
        client_id: &str,
        generation: u64,
        filters: Vec<(String, Subscription)>,
    ) -> Result<Vec<Granted>, NotCurrent> {
        let State { script, sessions, retained, .. } = self;
        let session = current(sessions, client_id, generation)?;
        Ok(filters
            .into_iter()
            .map(|(text, subscription)| match TopicFilter::new(&text) {
                Err(_) => Granted::Invalid,
                Ok(filter) if filter.group().is_some() => Granted::SharedNotSupported,
                Ok(_) if script.refuse_filters.contains(&text) => Granted::NotAuthorized,
                Ok(filter) => {
                    let identifier = subscription.identifier.filter(|_| !script.no_identifiers);
                    let subscription = Subscription { identifier, ..subscription };
                    let qos = subscription.qos;
                    session.subscribe(filter, subscription, retained.values());
                    Granted::Qos(qos)
                }
            })
            .collect())
    }

    /// Returns of each filter whether it was subscribed.
    pub(super) fn unsubscribe(
        &mut self,
        client_id: &str,
        generation: u64,
        filters: &[String],
    ) -> Result<Vec<bool>, NotCurrent> {
        let session = self.current(client_id, generation)?;
        let remove = |text: &String| TopicFilter::new(text).is_ok_and(|it| session.subscriptions.remove(&it).is_some());
        Ok(filters.iter().map(remove).collect())
    }

    /// PUBACK, PUBCOMP, or a PUBREC that refuses: the message is done. Unknown identifiers are passed over.
    pub(super) fn acknowledge(&mut self, client_id: &str, generation: u64, id: u16) -> Result<(), NotCurrent> {
        let ignore = self.script.ignore_acknowledgements;
        let session = self.current(client_id, generation)?;
        if !ignore && let Some(position) = session.in_flight.iter().position(|it| it.delivery.id == id) {
            session.in_flight.remove(position);
            session.used.remove(&id);
        }
        Ok(())
    }

    /// PUBREC: from now on PUBREL is owed. Returns the answer; an unknown identifier gets one too (4.3.3).
    pub(super) fn received(
        &mut self,
        client_id: &str,
        generation: u64,
        id: u16,
    ) -> Result<Option<ToClient>, NotCurrent> {
        let ignore = self.script.ignore_acknowledgements;
        let session = self.current(client_id, generation)?;
        if ignore {
            return Ok(None);
        }
        if let Some(in_flight) = session.in_flight.iter_mut().find(|it| it.delivery.id == id) {
            in_flight.released = true;
        }
        Ok(Some(ToClient::PubRel(id)))
    }

    /// The next packet for a client, if there is one and the window has room: what was in flight first, again.
    pub(super) fn take(&mut self, client_id: &str, generation: u64) -> Result<Option<ToClient>, NotCurrent> {
        let lowest_free = self.script.lowest_free_ids;
        let session = self.current(client_id, generation)?;
        if let Some(again) = session.in_flight.iter_mut().find(|it| !it.sent) {
            again.sent = true;
            if again.released {
                return Ok(Some(ToClient::PubRel(again.delivery.id)));
            }
            return Ok(Some(ToClient::Publish(Delivery { dup: true, ..again.delivery.clone() })));
        }
        let Some(next) = session.queue.front() else { return Ok(None) };
        if next.qos != Qos::AtMostOnce && session.in_flight.len() >= session.window {
            return Ok(None);
        }
        let mut delivery = session.queue.pop_front().expect("there is a front");
        if delivery.qos != Qos::AtMostOnce {
            delivery.id = session.free_id(lowest_free);
            session.in_flight.push_back(InFlight { delivery: delivery.clone(), released: false, sent: true });
        }
        Ok(Some(ToClient::Publish(delivery)))
    }

    /// Ends all sessions, as a broker does that has lost its disk; connections end with them.
    pub(super) fn forget_sessions(&mut self) {
        for (_, session) in self.sessions.drain() {
            session.wake.notify_one();
        }
    }

    pub(super) fn wake_all(&self) {
        for session in self.sessions.values() {
            session.wake.notify_one();
        }
    }

    pub(super) fn seen(&self, client_id: &str) -> Option<Seen> {
        let session = self.sessions.get(client_id)?;
        Some(Seen {
            connected: session.generation.is_some(),
            generation: self.generations,
            in_flight: session.in_flight.iter().map(|it| it.delivery.id).collect(),
            queued: session.queue.len(),
            filters: session.subscriptions.keys().map(ToString::to_string).collect(),
        })
    }
}

/// The session of a connection, if that is its current one.
fn current<'a>(
    sessions: &'a mut HashMap<String, Session>,
    client_id: &str,
    generation: u64,
) -> Result<&'a mut Session, NotCurrent> {
    let session = sessions.get_mut(client_id).ok_or(NotCurrent)?;
    if session.generation == Some(generation) { Ok(session) } else { Err(NotCurrent) }
}

fn delivery(message: &Message, qos: Qos, retain: bool, subscription: &Subscription) -> Delivery {
    let identifiers = subscription.identifier.into_iter().collect();
    Delivery { message: message.clone(), qos, retain, id: 0, dup: false, identifiers }
}

impl Session {
    fn new() -> Self {
        Self {
            persistent: false,
            generation: None,
            wake: Arc::new(Notify::new()),
            window: usize::from(WINDOW),
            subscriptions: BTreeMap::new(),
            queue: VecDeque::new(),
            in_flight: VecDeque::new(),
            used: HashSet::new(),
            last_id: 0,
            receiving: HashSet::new(),
        }
    }

    /// A new connection: all that is in flight is to be sent again.
    fn forget_connection(&mut self, renumber: bool) {
        for in_flight in &mut self.in_flight {
            in_flight.sent = false;
        }
        if renumber {
            // As from 1, which gives identifiers to other messages than those that had them.
            self.in_flight.retain(|it| !it.released);
            for (id, in_flight) in (1..).zip(&mut self.in_flight) {
                in_flight.delivery.id = id;
            }
            self.last_id = self.in_flight.back().map_or(0, |it| it.delivery.id);
            self.used = self.in_flight.iter().map(|it| it.delivery.id).collect();
        }
    }

    /// Subscribes, and enqueues those of the `retained` messages that are wanted (MQTT 5, 3.8.3.1).
    fn subscribe<'a>(
        &mut self,
        filter: TopicFilter,
        subscription: Subscription,
        retained: impl Iterator<Item = &'a Message>,
    ) {
        let wanted = match subscription.retain_handling {
            RetainHandling::Always => true,
            RetainHandling::IfNew => !self.subscriptions.contains_key(&filter),
            RetainHandling::Never => false,
        };
        if wanted {
            for message in retained.filter(|message| filter.matches(&message.topic)) {
                self.enqueue(delivery(message, message.qos.min(subscription.qos), true, &subscription));
            }
        }
        self.subscriptions.insert(filter, subscription);
    }

    fn enqueue(&mut self, delivery: Delivery) {
        let wanted = self.generation.is_some() || delivery.qos != Qos::AtMostOnce;
        if wanted && self.queue.len() < MAX_QUEUED {
            self.queue.push_back(delivery);
            self.wake.notify_one();
        }
    }

    /// An identifier that no message in flight bears. There is one: the caller has seen room in the window, which is
    /// at most 65,535.
    fn free_id(&mut self, lowest: bool) -> u16 {
        let mut id = if lowest { 0 } else { self.last_id };
        loop {
            id = id % u16::MAX + 1;
            if self.used.insert(id) {
                self.last_id = id;
                return id;
            }
        }
    }
}
