//! What a search is about: the setting, the events, the violations.

use super::super::Rule;

/// What can happen, how often, and what is left out on purpose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) messages: u8,
    /// Messages in flight at most.
    pub(super) window: usize,
    /// Packet identifiers there are.
    pub(super) ids: u16,
    /// The broker gives the lowest free identifier (HiveMQ), otherwise one after another.
    pub(super) lowest_free: bool,
    /// Which of eight messages are of QoS 2, by bits.
    pub(super) qos_2: u8,
    /// The broker sends a second copy of each message, for another filter, which is acknowledged and not stored.
    pub(super) overlap: Option<Overlap>,
    /// How many different topics and payloads there are.
    pub(super) contents: u8,
    /// No fault while a message is sent and not settled.
    pub(super) calm: bool,
    /// A CONNACK without session always arrives.
    pub(super) told: bool,
    /// A PINGREQ follows each flush of acknowledgements at once, if none is on its way.
    pub(super) prompt: bool,
    pub(super) crashes: u8,
    pub(super) cuts: u8,
    /// Connections to the store that are lost with a statement under way.
    pub(super) store_losses: u8,
    /// Cuts at which the broker forgets the session.
    pub(super) sessions_lost: u8,
    /// Repetitions on one connection (VerneMQ).
    pub(super) repeats: u8,
    /// Restarts of the broker that turn PUBREL into PUBLISH (mosquitto).
    pub(super) restarts: u8,
    /// PINGREQ at any time, not only as barrier.
    pub(super) keep_alive: bool,
    /// The ledger is written alone where that makes it smaller.
    pub(super) ledger_alone: bool,
    /// After a crash the store is a new one: nothing is exact, but nothing may be stuck.
    pub(super) new_store: bool,
    /// Reading stops at so many unsettled messages.
    pub(super) limit: usize,
    /// Left out of the ledger.
    pub(super) rule: Option<Rule>,
    /// Left out of its surroundings.
    pub(super) task: Option<Task>,
}

impl Setup {
    /// How many PUBLISHes there are, repetitions not counted.
    pub(super) fn copies(&self) -> u8 {
        if self.overlap.is_some() { 2 * self.messages } else { self.messages }
    }

    /// The message of the next copy, and whether it is the one that is not stored.
    pub(super) fn copy(&self, copy: u8) -> (u8, bool) {
        match self.overlap {
            None => (copy, false),
            Some(Overlap::Ahead) => (copy / 2, copy.is_multiple_of(2)),
            Some(Overlap::Behind) => (copy / 2, !copy.is_multiple_of(2)),
        }
    }

    pub(super) fn is_2(&self, message: u8) -> bool {
        self.qos_2 >> (message % 8) & 1 == 1
    }
}

/// Where the copy that is not stored stands to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlap {
    Ahead,
    Behind,
}

/// The rules that live outside the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    HashInKey,
    /// The hash of a copy that is not stored is another than that of the one that is.
    OverlapInKey,
    AnswerEveryPubrel,
    LedgerWithRows,
    /// Neither epoch nor number decides what the store takes.
    Gate,
    /// The number decides alone, and "0 rows" counts as stored before.
    Epoch,
    AdoptOnReconnect,
    StoreBeforeBroker,
    LimitCountsUnsettled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Start,
    Adopt,
    Connect,
    /// The broker sends the next message.
    Publish,
    /// The broker reads the next packet.
    BrokerReads,
    /// Amber reads the next packet.
    Read,
    /// Amber sends what it owes.
    Reply,
    Ping,
    Seal,
    /// The ledger alone is written, under no number.
    WriteLedger,
    /// The statement runs in the store.
    Run,
    Answer,
    /// A statement of a lost connection runs at last.
    LateRun,
    Crash,
    Cut,
    LoseSession,
    LoseStore,
    Repeat,
    Restart,
}

pub(super) const FAULTS: [Event; 7] =
    [Event::LateRun, Event::Crash, Event::Cut, Event::LoseSession, Event::LoseStore, Event::Repeat, Event::Restart];

pub(super) const ORDINARY: [Event; 12] = [
    Event::Start,
    Event::Adopt,
    Event::Connect,
    Event::BrokerReads,
    Event::Read,
    Event::Reply,
    Event::Ping,
    Event::Seal,
    Event::Run,
    Event::Answer,
    Event::WriteLedger,
    Event::Publish,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Violation {
    /// The broker was told that a message is safe, and it is not.
    Lost(u8),
    Twice(u8),
    /// The store refused a living process.
    Fenced,
    /// Without faults it never comes to rest.
    Stuck,
}
