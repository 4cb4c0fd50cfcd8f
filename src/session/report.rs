//! What the operator is told: conditions, log lines, and what to do. Decides how long to wait.

use std::time::Duration;

use super::connection::{Lost, TAKEN_OVER};
use super::dial::DialError;
use super::link::ConnectError;
use super::subscriptions::Asked;
use super::wire::{ConnAck, ELSEWHERE, MOVED, Refusal, Version, WireError, reason};
use super::{GOOD, QUICK, QUICK_MAX, Run};
use crate::config::{Broker, BrokerUrl};
use crate::status::Condition;
use crate::topic;

/// What `/ready` shows from CONNACK to SUBACK.
const UNANSWERED: &str = "connected; the broker has not answered SUBSCRIBE yet";

impl Run {
    /// Sets the condition; logs it if it is another than before, and tells so.
    fn set(&self, condition: Condition) -> bool {
        let up = self.session.metrics.up.with_label_values(&["broker"]);
        up.set(i64::from(condition == Condition::Up));
        if !self.session.status.broker.set(condition.clone()) {
            return false;
        }
        let broker = self.address();
        match condition {
            Condition::Starting => {}
            Condition::Up => tracing::info!(broker, "subscribed"),
            Condition::Away(why) => tracing::warn!(broker, why, "the broker is away; trying again"),
            Condition::Standing(why) => tracing::error!(broker, why, "the broker wants a person to act"),
        }
        true
    }

    fn address(&self) -> String {
        self.session.config.url.value.to_string()
    }

    /// Filters cross, and their copies cannot be told apart; said once.
    pub(super) fn say_crossing(&mut self) {
        for crossing in topic::crossings(&std::mem::take(&mut self.crossing)).iter().take(topic::CROSSING_SAID) {
            tracing::warn!(filter = %crossing.filter, others = crossing.others.len(), "{crossing}");
        }
    }

    pub(super) fn say_connected(&mut self, version: Version, ack: &ConnAck) {
        if ack.no_subscription_identifiers {
            self.say_crossing();
        }
        let is_said = std::mem::replace(&mut self.is_connected_said, true);
        let Self { session, has_session, .. } = &*self;
        session.metrics.connections.inc();
        if !is_said {
            tracing::info!(
                broker = self.address(),
                version = %version,
                client_id = session.config.client_id,
                session_present = ack.session_present,
                "connected"
            );
        }
        if *has_session && !ack.session_present {
            session.metrics.sessions_lost.inc();
            tracing::warn!(
                client_id = session.config.client_id,
                "the broker has lost our session; messages since the last connection may be gone"
            );
        }
        session.status.broker.show_meanwhile(Condition::Away(UNANSWERED.to_owned()));
        let asked = session.config.session_expiry.as_secs();
        if let Some(granted) = ack.session_expiry
            && u64::from(granted) < asked
        {
            tracing::warn!(granted, asked, "the broker keeps our session for fewer seconds than asked");
        }
    }

    /// All filters are answered.
    pub(super) fn subscribed(&mut self, asked: &Asked) {
        self.is_connected_said = false;
        let metrics = &self.session.metrics;
        metrics.subscriptions_refused.set(i64::try_from(asked.refused.len()).unwrap_or(i64::MAX));
        let is_new = self.set(match asked.refused.first() {
            None => Condition::Up,
            Some(first) => Condition::Standing(format!(
                "the broker refuses `{}`{}: {}; give client id `{}` the permission to subscribe, or change the mapping",
                first.filter,
                match asked.refused.len() - 1 {
                    0 => String::new(),
                    more => format!(" and {more} more filters"),
                },
                reason(first.code),
                self.session.config.client_id
            )),
        });
        if is_new {
            for (filter, granted) in &asked.lowered {
                tracing::warn!(%filter, granted, "the broker grants a lower qos than asked");
            }
            for refused in &asked.refused {
                tracing::error!(filter = %refused.filter, reason = reason(refused.code), "subscription refused");
            }
        }
    }

    /// Tells what is to be remembered, if it has changed, and `always` on a new connection: perhaps another process with
    /// our client identifier has ended the old one, and whoever writes it down learns so from the store.
    pub(super) fn publish_subscribed(&self, always: bool) {
        let text = self.subscriptions.text();
        self.session.subscribed.send_if_modified(|current| {
            let is_new = *current != text;
            *current = text;
            is_new || always
        });
    }

    /// Acknowledgements were taken for confirmed; said once.
    pub(super) fn forgot(&mut self, deliveries: usize) {
        self.session.metrics.ledger_forgotten.inc_by(deliveries as u64);
        if !std::mem::replace(&mut self.forgetful, true) {
            tracing::warn!(
                "the broker sends without regard to its window and answers no ping meanwhile, as mosquitto up to 2.0.12 \
                 does; old acknowledgements are taken for confirmed"
            );
        }
    }

    /// QoS 0 begins or ends to be dropped; said once.
    pub(super) fn overload(&mut self, overloaded: bool) {
        if std::mem::replace(&mut self.overloaded, overloaded) == overloaded {
            return;
        }
        if overloaded {
            tracing::warn!("too many messages in hand; those of qos 0 are dropped");
        } else {
            tracing::info!("messages of qos 0 are taken again");
        }
    }

    /// A connection was lost that lasted `time`; `is_the_line`: others do not last either. Returns how long to wait.
    pub(super) fn lost(&mut self, lost: &Lost, time: Duration, is_the_line: bool) -> Duration {
        self.session.metrics.connection_failures.inc();
        if time >= GOOD && !matches!(lost, Lost::Unanswered) {
            self.backoff.reset();
        }
        // Brokers that tell why have told it; those that break the protocol have another reason to be left.
        let is_told = matches!(lost, Lost::Disconnected { .. } | Lost::Wire(WireError::Protocol(_)));
        self.quick = if time < QUICK && !is_told && !is_the_line { self.quick + 1 } else { 0 };
        self.is_status_to_blame(self.quick > 0);
        let taken_over = matches!(lost, Lost::Disconnected { reason: TAKEN_OVER, .. });
        if taken_over || self.quick >= QUICK_MAX {
            self.session.metrics.takeovers.inc();
            let client_id = &self.session.config.client_id;
            self.set(Condition::Standing(format!(
                "client id `{client_id}` seems to be in use elsewhere ({lost}); stop the other process, or set another \
                 `[broker] client_id`"
            )));
            // Brokers that do not say it leave room for another reason, as a bad network.
            return if taken_over { self.backoff.longest() } else { self.backoff.next_wait() };
        }
        if let Lost::Disconnected { reason: ELSEWHERE | MOVED, .. } = lost {
            self.set(Condition::Standing(format!("{lost}; set `[broker] url` to the other broker")));
            return self.backoff.longest();
        }
        self.set(Condition::Away(match lost {
            Lost::Wire(WireError::Protocol(_)) => {
                format!("{lost}; look for a newer version of the broker, or set another `[broker] protocol`")
            }
            lost => lost.to_string(),
        }));
        self.backoff.next_wait()
    }

    /// There was no connection; returns how long to wait.
    pub(super) fn refused(&mut self, error: ConnectError) -> Duration {
        self.session.metrics.connection_failures.inc();
        if self.versions.failed(&error) {
            tracing::debug!(broker = self.address(), "the broker does not answer to mqtt 5; trying 3.1.1");
            return Duration::ZERO;
        }
        if self.is_will_to_blame(&error) {
            tracing::debug!(broker = self.address(), "the broker refuses us; trying without a will");
            return Duration::ZERO;
        }
        if !matches!(error, ConnectError::Refused { .. }) {
            // A broker that comes and goes looks like a fight over our client identifier, but for this.
            self.quick = 0;
        }
        let condition = unanswered(error, &self.session.config);
        let wait = match condition {
            Condition::Standing(_) => self.backoff.longest(),
            Condition::Away(_) | Condition::Starting | Condition::Up => self.backoff.next_wait(),
        };
        self.set(condition);
        wait
    }
}

/// Why there is no connection, and what to do about it.
pub(super) fn unanswered(error: ConnectError, broker: &Broker) -> Condition {
    let client_id = &broker.client_id;
    let (refusal, text) = match error {
        ConnectError::Refused { refusal, text } => (refusal, text),
        ConnectError::Dial(DialError::Unreachable(error)) => {
            return Condition::Away(format!("cannot connect: {error}"));
        }
        ConnectError::Dial(DialError::Ended(why)) => return Condition::Away(why),
        ConnectError::Dial(DialError::Unfit(why)) => return Condition::Standing(why),
        ConnectError::Dial(DialError::TimedOut(step)) => return Condition::Away(step.to_string()),
        ConnectError::Closed => return Condition::Away(closed(broker)),
        ConnectError::Wire(WireError::Protocol(fault)) => {
            return Condition::Away(format!("what answers is no MQTT broker ({fault}); look at `[broker] url`"));
        }
        ConnectError::Wire(error @ WireError::Io(_)) => return Condition::Away(error.to_string()),
    };
    let said = text.map(|text| format!(" ({text})")).unwrap_or_default();
    Condition::Standing(match refusal {
        Refusal::Other(code) => {
            return Condition::Away(format!("it refuses the connection: {}{said}", reason(code)));
        }
        Refusal::Version => format!("the broker refuses the version of MQTT{said}; leave out `[broker] protocol`"),
        Refusal::ClientId => {
            format!("the broker refuses the client id `{client_id}`{said}; set another `[broker] client_id`")
        }
        Refusal::Credentials => format!(
            "the broker refuses user name or password{said}; set `[broker] username` and `password` or `password_file`"
        ),
        Refusal::NotAuthorized => format!(
            "the broker does not authorize client id `{client_id}`{said}; set `[broker] username` and `password`, or \
             give it the permission to connect"
        ),
        Refusal::Moved(code) => {
            format!("the broker says: {}{said}; set `[broker] url` to the other broker", reason(code))
        }
        Refusal::Banned => format!("the broker has banned client id `{client_id}`{said}; lift the ban there"),
    })
}

/// The stream ended before the CONNACK.
fn closed(broker: &Broker) -> String {
    let advice = match &broker.url.value {
        BrokerUrl::Net { tls: false, websocket: None, .. } => "; if this is its port for TLS, write `mqtts://`",
        BrokerUrl::Net { tls: true, .. } if broker.tls.identity.is_none() => {
            "; if it demands a client certificate, set `[broker] cert` and `key`"
        }
        BrokerUrl::Net { .. } | BrokerUrl::Unix(_) => "",
    };
    format!("it closes the connection before it answers{advice}")
}
