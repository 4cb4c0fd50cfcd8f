//! One connection from its CONNACK to its end.
//!
//! Nothing awaited here can be held up by the store: what was received goes on by a channel that is sized for the
//! limit in hand, and if it is full all the same, reading stops while pings and acknowledgements go on. Reading stops
//! for two reasons only: a burst that the channel did not take, and the limit of unsettled QoS 1 and 2. Never because
//! of what is settled and not acknowledged: the PINGRESP that frees it is behind what is not read.

mod copies;
mod end;
mod receive;
mod retained;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::{Instant, Sleep};

use super::dial::{Transport, is_end};
use super::link::Link;
use super::presence::Presence;
use super::subscriptions::Asked;
use super::wire::{ConnAck, Packet, Version, WireError, reason};
use super::{Run, Session};
use crate::message::Message;
use crate::topic;
use copies::Copies;
use retained::RetainedComing;

/// Acknowledgements that are confirmed by one PINGREQ and PINGRESP, if that takes no longer than `BARRIER_AFTER`.
const BARRIER_ACKS: usize = 256;
const BARRIER_AFTER: Duration = Duration::from_millis(100);
/// Refused filters are asked for again: a person may have given the permission meanwhile.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// So long a broker may owe answers to SUBSCRIBE while it sends nothing else but PINGRESP.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// So long a SUBSCRIBE waits for the store to write down its identifier: a commit or two, behind those of the batches.
const WRITTEN_WITHIN: Duration = Duration::from_secs(3);

/// How a connection ended.
pub(super) enum End {
    /// As asked for.
    Stopped,
    /// Nobody takes messages any more.
    NobodyListens,
    Lost(Lost),
}

/// Why a connection was lost.
#[derive(Debug)]
pub(super) enum Lost {
    Closed,
    Wire(WireError),
    /// Nothing came although we pinged.
    Silent(Duration),
    /// SUBSCRIBE was not answered.
    Unanswered,
    /// The broker takes nothing.
    Stuck(Duration),
    /// The broker sends and does not read the replies, so many bytes by now.
    Unread(usize),
    /// DISCONNECT from the broker (MQTT 5).
    Disconnected {
        reason: u8,
        text: Option<String>,
    },
}

/// Reason code of a DISCONNECT: another connection has our client identifier.
pub(super) const TAKEN_OVER: u8 = 0x8E;

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => write!(f, "closed by the broker"),
            Self::Wire(error) => write!(f, "{error}"),
            Self::Silent(time) => write!(f, "nothing came from the broker for {} s", time.as_secs()),
            Self::Unanswered => write!(
                f,
                "the broker has not answered SUBSCRIBE for {} s, though it answers pings; look at its log, or restart it",
                ANSWER_TIMEOUT.as_secs()
            ),
            Self::Stuck(time) => write!(f, "the broker took nothing for {} s", time.as_secs()),
            Self::Unread(bytes) => {
                write!(f, "the broker asks for answers and does not read them ({} MiB wait)", bytes >> 20)
            }
            Self::Disconnected { reason: code, text } => {
                write!(f, "the broker disconnected us: {}", reason(*code))?;
                text.as_ref().map_or(Ok(()), |text| write!(f, " ({text})"))
            }
        }
    }
}

/// What belongs to the connection and dies with it. (The acknowledgements owed are in the ledger, which forgets
/// them when it is told of the next connection.)
pub(super) struct Connection<'a, S> {
    pub(super) run: &'a mut Run,
    pub(super) link: Link<S>,
    version: Version,
    session_present: bool,
    asked: Asked,
    is_answered: bool,
    /// What is wanted changes no more.
    is_final: bool,
    /// When something other than PINGRESP was last read, or asked, or reading began again.
    progress: Instant,
    pub(super) presence: Presence,
    /// When refused filters are asked for again.
    ask_again: Option<Instant>,
    /// When what waits for the store goes out without it.
    written_by: Option<Instant>,
    keep_alive: Duration,
    /// When something was last read, or reading began again.
    heard: Instant,
    /// Bytes that had come then.
    seen: u64,
    /// When something was last written.
    spoken: Instant,
    /// When the oldest acknowledgement without a PINGREQ behind it was sent.
    unmarked_since: Option<Instant>,
    reading: bool,
    packets: Vec<Packet>,
    /// Hashes of the retained messages that have come, where filters of ours cross.
    retained_seen: HashSet<u64>,
    /// Where filters cross and it is not known whether the broker sends all copies.
    copies: Copies,
    retained: RetainedComing,
}

enum Event {
    Stop,
    /// Something else is wanted; `false`: that cannot be any more.
    Wanted(bool),
    /// The store has written down what is subscribed; `false`: it does so no more.
    Written(bool),
    Settled,
    Flushed(std::io::Result<()>),
    HandedOn(bool),
    Read(Option<Result<Packet, WireError>>),
    Tick,
}

impl<'a, S: Transport> Connection<'a, S> {
    /// Tells the ledger and the broker what is now.
    pub(super) fn new(run: &'a mut Run, mut link: Link<S>, version: Version, ack: &ConnAck) -> Self {
        let ours = run.session.config.keep_alive;
        let theirs = ack.server_keep_alive.filter(|&seconds| seconds > 0).map(u64::from).map(Duration::from_secs);
        let asked =
            run.subscriptions.ask(ack.session_present, !ack.no_subscription_identifiers, &mut link.writer.outgoing);
        run.publish_subscribed(true);
        let now = Instant::now();
        Self {
            run,
            seen: link.reader.decoder().seen(),
            link,
            version,
            session_present: ack.session_present,
            asked,
            is_answered: false,
            is_final: false,
            progress: now,
            presence: Presence::default(),
            ask_again: None,
            written_by: None,
            keep_alive: theirs.map_or(ours, |theirs| theirs.min(ours)),
            heard: now,
            spoken: now,
            unmarked_since: None,
            reading: true,
            packets: Vec::new(),
            retained_seen: HashSet::new(),
            copies: Copies::default(),
            retained: RetainedComing::default(),
        }
    }

    /// Receives and acknowledges until the end.
    pub(super) async fn serve(mut self) -> End {
        self.look_for_answers();
        let timer = tokio::time::sleep_until(self.due());
        tokio::pin!(timer);
        loop {
            self.reply();
            self.watch_the_wait();
            self.set_timer(timer.as_mut());
            let reading = self.may_read();
            if reading && !self.reading {
                self.heard = Instant::now();
                self.progress = self.heard;
            }
            self.reading = reading;
            match self.next(timer.as_mut(), reading).await {
                Event::Stop => return self.finish().await,
                Event::Wanted(true) => self.change(),
                Event::Wanted(false) => self.is_final = true,
                Event::Written(goes_on) => self.written(goes_on),
                Event::Settled => {
                    if self.run.overloaded && self.run.session.in_hand.lock().is_half_empty() {
                        self.run.overload(false);
                    }
                }
                Event::Flushed(Ok(())) => self.spoken = Instant::now(),
                Event::Flushed(Err(error)) => return End::Lost(lost(WireError::Io(error))),
                Event::HandedOn(true) => {}
                Event::HandedOn(false) => return End::NobodyListens,
                Event::Read(packet) => {
                    let is_pong = matches!(packet, Some(Ok(Packet::PingResp)));
                    if let Err(end) = self.receive(packet) {
                        if let End::Lost(Lost::Wire(WireError::Protocol(fault))) = &end {
                            self.link.writer.break_off(self.version, fault.code).await;
                        }
                        return end;
                    }
                    self.hear(Instant::now());
                    if !is_pong {
                        self.progress = self.heard;
                    }
                    // Where there is always more to read, the timer is never asked.
                    if self.heard >= self.due()
                        && let Err(end) = self.look_at_the_time()
                    {
                        return end;
                    }
                }
                Event::Tick => {
                    if let Err(end) = self.look_at_the_time() {
                        return end;
                    }
                    timer.as_mut().reset(self.due());
                }
            }
        }
    }

    /// What happens next. Cancel safe, all of it.
    async fn next(&mut self, timer: std::pin::Pin<&mut Sleep>, reading: bool) -> Event {
        let Link { reader, writer } = &mut self.link;
        let Run { session, held, out, .. } = &mut *self.run;
        let Session { stop, in_hand, wanted, written, .. } = session;
        let pending = writer.is_pending();
        // One after another: what is not answered yet cannot be compared with.
        let may_change = self.is_answered && !self.is_final;
        let waits = self.asked.awaits_store();
        tokio::select! { biased;
            () = stop.cancelled() => Event::Stop,
            changed = wanted.changed(), if may_change => Event::Wanted(changed.is_ok()),
            changed = written.changed(), if waits => Event::Written(changed.is_ok()),
            () = in_hand.settled() => Event::Settled,
            flushed = writer.flush(), if pending => Event::Flushed(flushed),
            handed_on = hand_on(out.as_ref(), held), if !held.is_empty() => Event::HandedOn(handed_on),
            packet = reader.next(), if reading => Event::Read(packet),
            () = timer => Event::Tick,
        }
    }

    /// Brings the broker to what is wanted now, by difference.
    fn change(&mut self) {
        let topic::Reduced { subscriptions, crossing } = self.run.take_wanted();
        let outgoing = &mut self.link.writer.outgoing;
        self.asked = self.run.subscriptions.change(subscriptions, &crossing, &self.asked, outgoing);
        self.run.crossing = crossing;
        if !self.asked.are_identified() {
            self.run.say_crossing();
        }
        let (subscribe, unsubscribe) = self.asked.outstanding();
        if (subscribe, unsubscribe) != (0, 0) {
            tracing::info!(subscribe, unsubscribe, "the subscriptions change");
        }
        self.is_answered = false;
        self.ask_again = None;
        self.progress = Instant::now();
        // From now on a SUBSCRIBE may repeat one, and 3.1.1 sends retained messages again that we have had.
        self.session_present = true;
        self.run.publish_subscribed(false);
        self.look_for_answers();
    }

    /// The store has a text: perhaps the one that something waits for.
    fn written(&mut self, goes_on: bool) {
        let text = self.run.session.written.borrow_and_update().clone();
        let outgoing = &mut self.link.writer.outgoing;
        if goes_on {
            self.run.subscriptions.written(&text, &mut self.asked, outgoing);
        } else {
            self.run.subscriptions.wait_no_more(&mut self.asked, outgoing);
        }
        self.progress = Instant::now();
        self.look_for_answers();
    }

    fn may_read(&self) -> bool {
        self.run.held.is_empty() && self.run.session.in_hand.lock().room().is_some()
    }

    /// What waits for the store does not wait for ever.
    fn watch_the_wait(&mut self) {
        if !self.asked.awaits_store() {
            self.written_by = None;
        } else if self.written_by.is_none() {
            self.written_by = Some(Instant::now() + WRITTEN_WITHIN);
            // What came to be named since the last one.
            self.run.publish_subscribed(false);
            // The store may have it already.
            self.run.session.written.mark_changed();
        }
    }

    /// Writes the replies whose turn has come, and the PINGREQ that lets the ledger forget them.
    fn reply(&mut self) {
        let in_hand = Arc::clone(&self.run.session.in_hand);
        let mut state = in_hand.lock();
        let outgoing = &mut self.link.writer.outgoing;
        let mut replies = 0;
        while let Some(reply) = state.ledger.next_reply() {
            outgoing.reply(reply);
            replies += 1;
        }
        let forgotten = state.ledger.forget_unconfirmed();
        let (unmarked, is_pinging) = (state.ledger.unmarked(), state.ledger.is_pinging());
        drop(state);
        if forgotten > 0 {
            self.run.forgot(forgotten);
        }
        if replies > 0 {
            self.run.session.metrics.acknowledged.inc_by(replies);
        }
        if unmarked == 0 {
            self.unmarked_since = None;
        } else if unmarked >= BARRIER_ACKS && !is_pinging {
            self.ping();
        } else if self.unmarked_since.is_none() {
            self.unmarked_since = Some(Instant::now());
        }
    }

    /// Something has come, just now as far as is known.
    fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.seen = self.link.reader.decoder().seen();
    }

    fn ping(&mut self) {
        self.run.session.in_hand.lock().ledger.ping();
        self.link.writer.outgoing.pingreq();
        self.unmarked_since = None;
    }

    /// When nothing was read for so long, the connection is dead.
    fn patience(&self) -> Duration {
        self.keep_alive * 3 / 2
    }

    /// When answers to SUBSCRIBE that are owed are given up. (What waits behind a limit of ours cannot come.)
    fn answer_due(&self) -> Option<Instant> {
        (self.reading && !self.is_answered).then(|| self.progress + ANSWER_TIMEOUT)
    }

    /// When the timer must look at the latest.
    fn due(&self) -> Instant {
        let stuck = self.spoken + self.patience();
        let idle = if self.link.writer.is_pending() { stuck } else { self.spoken + self.keep_alive / 2 };
        let dead = if self.reading { self.heard + self.patience() } else { stuck };
        let barrier = self.unmarked_since.map(|since| since + BARRIER_AFTER);
        let held = self.copies.due().filter(|_| self.run.held.is_empty());
        barrier
            .into_iter()
            .chain(self.ask_again)
            .chain(self.written_by)
            .chain(held)
            .chain(self.retained.due())
            .chain(self.answer_due())
            .fold(idle.min(dead), Instant::min)
    }

    /// Brings the timer forward; that it fires too early is put right when it does, and cheaper than a reset a turn.
    fn set_timer(&self, timer: std::pin::Pin<&mut Sleep>) {
        let due = self.due();
        if due < timer.deadline() {
            timer.reset(due);
        }
    }

    /// Something is due, or may be.
    fn look_at_the_time(&mut self) -> Result<(), End> {
        self.tick().map_err(End::Lost)?;
        self.release_held()
    }

    /// The timer has fired.
    fn tick(&mut self) -> Result<(), Lost> {
        let now = Instant::now();
        if self.link.writer.is_pending() && now >= self.spoken + self.patience() {
            return Err(Lost::Stuck(self.patience()));
        }
        if self.reading && self.link.reader.decoder().seen() > self.seen {
            // Part of a packet: on a slow link a long one takes longer than the patience, and the broker sends nothing
            // else meanwhile. A new connection would only bring it again.
            self.hear(now);
            self.progress = now;
        }
        if self.reading && now >= self.heard + self.patience() {
            return Err(Lost::Silent(self.patience()));
        }
        if self.answer_due().is_some_and(|at| now >= at) {
            return Err(Lost::Unanswered);
        }
        let barrier = self.unmarked_since.is_some_and(|since| now >= since + BARRIER_AFTER);
        if barrier && (self.link.writer.is_pending() || self.run.session.in_hand.lock().ledger.is_pinging()) {
            // One at a time; looked at again.
            self.unmarked_since = Some(now);
        } else if barrier || (!self.link.writer.is_pending() && now >= self.spoken + self.keep_alive / 2) {
            self.ping();
        }
        if self.retained.are_over(now, self.run.session.in_hand.unsettled()) {
            self.run.subscriptions.retained_have_come();
            self.run.publish_subscribed(false);
        }
        if self.written_by.is_some_and(|at| now >= at) {
            self.written_by = None;
            tracing::debug!("the store has not written down a subscription identifier in time");
            self.run.subscriptions.wait_no_more(&mut self.asked, &mut self.link.writer.outgoing);
            self.progress = now;
            self.look_for_answers();
        }
        if self.ask_again.is_some_and(|at| now >= at) {
            self.ask_again = None;
            self.is_answered = false;
            self.progress = now;
            self.run.subscriptions.ask_again(&mut self.asked, &mut self.link.writer.outgoing);
            self.run.publish_subscribed(false);
        }
        Ok(())
    }
}

fn lost(error: WireError) -> Lost {
    match error {
        WireError::Io(error) if is_end(&error) => Lost::Closed,
        error => Lost::Wire(error),
    }
}

/// Hands on what is held, burst by burst; whether somebody takes it. Cancel safe.
pub(super) async fn hand_on(out: Option<&tokio::sync::mpsc::Sender<Vec<Message>>>, held: &mut Vec<Message>) -> bool {
    let Some(out) = out else { return false };
    match out.reserve().await {
        Ok(permit) => {
            permit.send(std::mem::take(held));
            true
        }
        Err(_) => false,
    }
}
