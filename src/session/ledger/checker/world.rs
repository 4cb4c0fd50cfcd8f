//! The model: one broker that keeps its session, one wire, one delivery task, one store.

use std::collections::VecDeque;

use super::super::{Admit, Entry, Here, Ledger, Reply, State};
use super::setup::{Event, FAULTS, ORDINARY, Setup, Task, Violation};
use crate::message::{Delivery, Key};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Up {
    PubAck(u16),
    PubRec(u16),
    PubComp(u16),
    PingReq,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Down {
    ConnAck { session_present: bool },
    Publish { message: u8, overlap: bool, id: u16, dup: bool },
    PubRel(u16),
    PingResp,
}

/// In flight at the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Flight {
    message: u8,
    /// A copy for another filter, not to be stored.
    overlap: bool,
    id: u16,
    /// PUBREC has come: PUBREL instead of PUBLISH.
    released: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Statement {
    epoch: i64,
    number: i64,
    packets: Vec<u8>,
    batch: Vec<(Delivery, u8)>,
    /// What the store answers, once it has run.
    stored: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Process {
    ledger: Ledger,
    is_connected: bool,
    hand: Vec<(Delivery, u8)>,
    statement: Option<Statement>,
    doubt: Option<Statement>,
    is_adopted: bool,
    epoch: i64,
    number: i64,
}

/// Everything, faults left included.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    process: Option<Process>,
    // The broker.
    /// The next copy.
    next: u8,
    last_id: u16,
    flights: Vec<Flight>,
    has_session: bool,
    is_online: bool,
    /// Lost with the session: nobody's fault.
    forgiven: Vec<u8>,
    up: VecDeque<Up>,
    down: VecDeque<Down>,
    // The store.
    epoch: i64,
    seq: i64,
    packets: Vec<u8>,
    rows: Vec<u8>,
    late: Vec<Statement>,
    // Faults left.
    crashes: u8,
    cuts: u8,
    store_losses: u8,
    sessions_lost: u8,
    repeats: u8,
    restarts: u8,
}

impl World {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            process: None,
            next: 0,
            last_id: 0,
            flights: Vec::new(),
            has_session: true,
            is_online: false,
            forgiven: Vec::new(),
            up: VecDeque::new(),
            down: VecDeque::new(),
            epoch: 0,
            seq: 0,
            packets: vec![1],
            rows: vec![0; usize::from(setup.messages)],
            late: Vec::new(),
            crashes: setup.crashes,
            cuts: setup.cuts,
            store_losses: setup.store_losses,
            sessions_lost: setup.sessions_lost,
            repeats: setup.repeats,
            restarts: setup.restarts,
        }
    }

    /// What can happen now.
    pub(super) fn events(&self, setup: &Setup) -> impl Iterator<Item = Event> {
        FAULTS.iter().chain(&ORDINARY).copied().filter(|&event| self.can(event, setup))
    }

    fn can(&self, event: Event, setup: &Setup) -> bool {
        if FAULTS.contains(&event) && !self.may_fail(setup) {
            return false;
        }
        match event {
            Event::Publish => self.is_online && self.next < setup.copies() && self.flights.len() < setup.window,
            Event::BrokerReads => !self.up.is_empty(),
            Event::LateRun => !self.late.is_empty(),
            Event::Crash => self.crashes > 0 && self.process.is_some(),
            Event::Cut => self.cuts > 0 && self.is_online,
            Event::LoseSession => self.sessions_lost > 0 && self.is_online,
            Event::Restart => self.restarts > 0 && self.is_online,
            Event::Repeat => self.repeats > 0 && self.is_online && self.flights.iter().any(|flight| !flight.released),
            Event::Start => self.process.is_none(),
            Event::LoseStore => {
                self.store_losses > 0 && self.process.as_ref().is_some_and(|process| process.statement.is_some())
            }
            Event::Connect => self.process.is_some() && !self.is_online,
            Event::Adopt
            | Event::Read
            | Event::Reply
            | Event::Ping
            | Event::Seal
            | Event::WriteLedger
            | Event::Run
            | Event::Answer => self.process.as_ref().is_some_and(|process| self.process_can(process, event, setup)),
        }
    }

    fn process_can(&self, process: &Process, event: Event, setup: &Setup) -> bool {
        let ledger = &process.ledger;
        let ran = process.statement.as_ref().map(|statement| statement.stored.is_some());
        match event {
            Event::Adopt => !process.is_adopted,
            Event::Read => !self.down.is_empty() && process.unsettled(setup) < setup.limit,
            Event::Reply => process.is_connected && ledger.owes_now(),
            Event::Ping => {
                let pinging = ledger.connection.marks.len();
                let barrier = ledger.unmarked() > 0 && pinging == 0;
                process.is_connected && (barrier || (setup.keep_alive && pinging < 2))
            }
            Event::Seal => process.is_free() && !process.hand.is_empty(),
            Event::WriteLedger => {
                setup.ledger_alone
                    && process.is_free()
                    && process.hand.is_empty()
                    && ledger.snapshot([], process.number).len() < self.packets.len()
            }
            Event::Run => ran == Some(false),
            Event::Answer => ran == Some(true),
            _ => false,
        }
    }

    fn may_fail(&self, setup: &Setup) -> bool {
        let is_durable = |flight: &Flight| flight.overlap || self.rows[usize::from(flight.message)] > 0;
        let is_told = !self.down.contains(&Down::ConnAck { session_present: false });
        (!setup.calm || self.flights.iter().all(is_durable)) && (!setup.told || is_told)
    }

    pub(super) fn apply(&mut self, event: Event, setup: &Setup) -> Result<(), Violation> {
        self.happen(event, setup)?;
        if setup.prompt && self.can(Event::Ping, setup) {
            self.happen(Event::Ping, setup)?;
        }
        Ok(())
    }

    fn happen(&mut self, event: Event, setup: &Setup) -> Result<(), Violation> {
        match event {
            Event::Start => self.start(setup),
            Event::Adopt => self.adopt(setup),
            Event::Connect => self.connect(),
            Event::Publish => self.publish(setup),
            Event::BrokerReads => self.broker_reads(setup)?,
            Event::Read => self.read(setup),
            Event::Reply => {
                let process = self.process.as_mut().unwrap();
                while let Some(reply) = process.ledger.next_reply() {
                    self.up.push_back(up(reply));
                }
            }
            Event::Ping => {
                self.process.as_mut().unwrap().ledger.ping();
                self.up.push_back(Up::PingReq);
            }
            Event::Seal => self.process.as_mut().unwrap().seal(),
            Event::WriteLedger => {
                let process = self.process.as_ref().unwrap();
                self.packets = process.ledger.snapshot([], process.number);
            }
            Event::Run => {
                let mut statement = self.process.as_mut().unwrap().statement.take().unwrap();
                let stored = self.run(&statement, setup)?;
                statement.stored = Some(stored);
                self.process.as_mut().unwrap().statement = Some(statement);
            }
            Event::Answer => self.answer(setup)?,
            Event::LateRun => {
                let statement = self.late.remove(0);
                self.run(&statement, setup)?;
            }
            Event::Crash => {
                self.crashes -= 1;
                self.cut();
                let process = self.process.take().unwrap();
                self.late.extend(process.statement.filter(|statement| statement.stored.is_none()));
            }
            Event::Cut => {
                self.cuts -= 1;
                self.cut();
            }
            Event::LoseSession => {
                self.sessions_lost -= 1;
                self.cut();
                self.has_session = false;
                self.last_id = 0;
                let lost = std::mem::take(&mut self.flights);
                self.forgiven.extend(lost.iter().filter(|flight| !flight.overlap).map(|flight| flight.message));
            }
            Event::LoseStore => self.lose_store(setup),
            Event::Repeat => {
                self.repeats -= 1;
                let flight = self.flights.iter().find(|flight| !flight.released).unwrap();
                let Flight { message, overlap, id, .. } = *flight;
                self.down.push_back(Down::Publish { message, overlap, id, dup: true });
            }
            Event::Restart => {
                self.restarts -= 1;
                self.cut();
                self.flights.iter_mut().for_each(|flight| flight.released = false);
            }
        }
        Ok(())
    }

    /// What has not arrived is gone.
    fn cut(&mut self) {
        self.is_online = false;
        self.up.clear();
        self.down.clear();
        if let Some(process) = &mut self.process {
            process.is_connected = false;
        }
    }

    fn start(&mut self, setup: &Setup) {
        let is_restart = self.crashes < setup.crashes;
        if setup.new_store && is_restart {
            (self.epoch, self.seq, self.packets) = (100, 0, vec![1]);
        }
        if setup.task != Some(Task::Epoch) {
            self.epoch += 1;
        }
        let mut process = Process {
            ledger: Ledger::load(&self.packets).unwrap(),
            is_connected: false,
            hand: Vec::new(),
            statement: None,
            doubt: None,
            is_adopted: true,
            epoch: self.epoch,
            number: self.seq,
        };
        if setup.task == Some(Task::StoreBeforeBroker) && is_restart {
            process.ledger = Ledger::default();
            process.is_adopted = false;
        }
        process.ledger.without = setup.rule;
        self.process = Some(process);
        self.forget_the_fenced(setup);
    }

    /// What is of an older epoch never does anything: left out, to have fewer states.
    fn forget_the_fenced(&mut self, setup: &Setup) {
        if setup.task.is_none() {
            self.late.retain(|statement| statement.epoch == self.epoch);
        }
    }

    /// The first statement of a new connection to the store: shuts out older ones, and tells what became of ours.
    fn adopt(&mut self, setup: &Setup) {
        let process = self.process.as_mut().unwrap();
        self.epoch += 1;
        (process.epoch, process.number, process.is_adopted) = (self.epoch, self.seq, true);
        if let Some(doubt) = process.doubt.take() {
            if self.seq >= doubt.number {
                process.settle(&doubt);
            } else {
                process.hand.splice(0..0, doubt.batch);
            }
        }
        self.forget_the_fenced(setup);
    }

    /// The broker accepts, repeats what it has in flight, and only then sends new messages.
    fn connect(&mut self) {
        self.is_online = true;
        self.down.push_back(Down::ConnAck { session_present: self.has_session });
        self.has_session = true;
        for &Flight { message, overlap, id, released } in &self.flights {
            let publish = Down::Publish { message, overlap, id, dup: true };
            self.down.push_back(if released { Down::PubRel(id) } else { publish });
        }
    }

    fn publish(&mut self, setup: &Setup) {
        let is_free = |id: &u16| self.flights.iter().all(|flight| flight.id != *id);
        let after = if setup.lowest_free { 0 } else { self.last_id };
        let id = (0..setup.ids).map(|step| (after + step) % setup.ids + 1).find(is_free).unwrap();
        self.last_id = if setup.lowest_free { 0 } else { id };
        let (message, overlap) = setup.copy(self.next);
        self.flights.push(Flight { message, overlap, id, released: false });
        self.down.push_back(Down::Publish { message, overlap, id, dup: false });
        self.next += 1;
    }

    fn broker_reads(&mut self, setup: &Setup) -> Result<(), Violation> {
        let is_2 = |flight: &Flight| setup.is_2(flight.message);
        let packet = self.up.pop_front().unwrap();
        let found = match packet {
            Up::PubAck(id) => self.flights.iter().position(|flight| flight.id == id && !is_2(flight)),
            Up::PubRec(id) => self.flights.iter().position(|flight| flight.id == id && is_2(flight)),
            Up::PubComp(id) => self.flights.iter().position(|flight| flight.id == id && flight.released),
            Up::PingReq => {
                self.down.push_back(Down::PingResp);
                return Ok(());
            }
        };
        if let Some(position) = found {
            let flight = &mut self.flights[position];
            if self.rows[usize::from(flight.message)] == 0 && !flight.overlap && !setup.new_store {
                return Err(Violation::Lost(flight.message));
            }
            if let Up::PubRec(id) = packet {
                flight.released = true;
                self.down.push_back(Down::PubRel(id));
            } else {
                self.flights.remove(position);
            }
        }
        Ok(())
    }

    fn read(&mut self, setup: &Setup) {
        let process = self.process.as_mut().unwrap();
        match self.down.pop_front().unwrap() {
            Down::ConnAck { session_present } => {
                process.ledger.connected(session_present);
                process.is_connected = true;
            }
            Down::Publish { message, overlap, id, dup } => {
                let hash = match setup.task {
                    Some(Task::HashInKey) => 0,
                    _ => u64::from(message % setup.contents),
                };
                let hash = if overlap && setup.task != Some(Task::OverlapInKey) { !hash } else { hash };
                let key = Key { packet_id: id, exactly_once: setup.is_2(message), hash };
                if let Admit::Store { delivery, .. } = process.ledger.publish(key, dup, false) {
                    if overlap {
                        process.ledger.settle(delivery, None);
                    } else {
                        process.hand.push((delivery, message));
                    }
                }
            }
            Down::PubRel(id) => {
                let before = process.ledger.unmarked();
                let reply = process.ledger.pubrel(id);
                if setup.task != Some(Task::AnswerEveryPubrel) || process.ledger.unmarked() > before {
                    self.up.push_back(up(reply));
                }
            }
            Down::PingResp => {
                process.ledger.pong();
            }
        }
    }

    /// The gate and what is behind it.
    fn run(&mut self, statement: &Statement, setup: &Setup) -> Result<bool, Violation> {
        let is_open = match setup.task {
            Some(Task::Gate) => true,
            Some(Task::Epoch) => self.seq < statement.number,
            _ => self.epoch == statement.epoch && self.seq < statement.number,
        };
        if !is_open {
            return Ok(false);
        }
        for &(_, message) in &statement.batch {
            self.rows[usize::from(message)] += 1;
            if self.rows[usize::from(message)] > 1 && !setup.new_store {
                return Err(Violation::Twice(message));
            }
        }
        self.seq = statement.number;
        if setup.task != Some(Task::LedgerWithRows) {
            self.packets.clone_from(&statement.packets);
        }
        Ok(true)
    }

    fn answer(&mut self, setup: &Setup) -> Result<(), Violation> {
        let process = self.process.as_mut().unwrap();
        let statement = process.statement.take().unwrap();
        let believes = matches!(setup.task, Some(Task::Epoch | Task::AdoptOnReconnect));
        if statement.stored == Some(false) && !believes {
            return Err(Violation::Fenced);
        }
        process.settle(&statement);
        Ok(())
    }

    fn lose_store(&mut self, setup: &Setup) {
        self.store_losses -= 1;
        let process = self.process.as_mut().unwrap();
        let statement = process.statement.take().unwrap();
        if statement.stored.is_none() {
            self.late.push(statement.clone());
        }
        if setup.task == Some(Task::AdoptOnReconnect) {
            process.number -= 1;
            process.hand.splice(0..0, statement.batch);
        } else {
            process.is_adopted = false;
            process.doubt = Some(statement);
        }
    }

    /// Runs without faults until nothing more happens; then all must be stored once, and nobody owe anything.
    pub(super) fn tail(mut self, setup: &Setup) -> Result<(), Violation> {
        let calm = Setup { keep_alive: false, ..*setup };
        for _ in 0..100_000 {
            let Some(event) = ORDINARY.into_iter().find(|&event| self.can(event, &calm)) else {
                let is_stored = |message: u8| self.rows[usize::from(message)] == 1 || self.forgiven.contains(&message);
                let all = setup.new_store || (0..setup.messages).all(is_stored);
                let ledger = &self.process.as_ref().unwrap().ledger;
                // Leftovers may be there, for the next new message to release; and at QoS 2 what a PUBREL left
                // because an older leftover had its identifier: a leftover of the next connection.
                let is_leftover = |(key, entry): (&Key, &Entry)| {
                    entry.state == State::Settled && (entry.here == Here::No || key.exactly_once)
                };
                let owes = !ledger.connection.acks.is_empty()
                    || !ledger.connection.sent.is_empty()
                    || !ledger.entries.iter().all(is_leftover);
                let done = self.flights.is_empty() && self.next == setup.copies();
                return if all && done && !owes { Ok(()) } else { Err(Violation::Stuck) };
            };
            self.apply(event, &calm)?;
        }
        Err(Violation::Stuck)
    }
}

impl Process {
    /// What counts against the limit in hand.
    fn unsettled(&self, setup: &Setup) -> usize {
        match setup.task {
            Some(Task::LimitCountsUnsettled) => self.ledger.len(),
            _ => self.hand.len() + self.statement.as_ref().map_or(0, |statement| statement.batch.len()),
        }
    }

    /// Whether the delivery task may begin something.
    fn is_free(&self) -> bool {
        self.is_adopted && self.statement.is_none() && self.doubt.is_none()
    }

    fn seal(&mut self) {
        self.number += 1;
        let batch = std::mem::take(&mut self.hand);
        let packets = self.ledger.snapshot(batch.iter().map(|&(delivery, _)| delivery), self.number);
        self.statement = Some(Statement { epoch: self.epoch, number: self.number, packets, batch, stored: None });
    }

    fn settle(&mut self, statement: &Statement) {
        for &(delivery, _) in &statement.batch {
            self.ledger.settle(delivery, Some(statement.number));
        }
    }
}

fn up(reply: Reply) -> Up {
    match reply {
        Reply::PubAck(id) => Up::PubAck(id),
        Reply::PubRec(id) => Up::PubRec(id),
        Reply::PubComp(id) => Up::PubComp(id),
    }
}
