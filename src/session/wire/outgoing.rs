//! Packets to bytes, by rumqttc's codecs, gathered so that many leave in one write.

use bytes::BytesMut;
use rumqttc::mqttbytes::{QoS as QosV4, v4};
use rumqttc::v5::mqttbytes::{QoS as QosV5, v5};

use super::Version;
use crate::config::Broker;
use crate::message::Qos;
use crate::session::hand::RECEIVE_MAXIMUM;
use crate::session::ledger::Reply;
use crate::session::presence::OFFLINE;
use crate::topic::{self, Subscription};

/// The bytes that are to be sent.
#[derive(Debug)]
pub struct Outgoing {
    version: Version,
    bytes: BytesMut,
}

/// What is asked for retained messages (MQTT 5, 3.8.3.1); 3.1.1 always sends them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retained {
    Always,
    IfNew,
    Never,
}

const BOUNDED: &str = "texts are bounded by the configuration, so that packets fit";

impl Outgoing {
    #[must_use]
    pub fn new(version: Version) -> Self {
        Self { version, bytes: BytesMut::new() }
    }

    pub fn bytes(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Bytes to be sent.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// CONNECT for the session that outlives connections; without `session_expiry`, for one that does not. No Maximum Packet Size is announced: the broker would
    /// drop what is longer, and nobody would see it.
    pub fn connect(&mut self, broker: &Broker) {
        let keep_alive = u16::try_from(broker.keep_alive.as_secs()).unwrap_or(u16::MAX);
        let client_id = broker.client_id.clone();
        let username = broker.username.clone().unwrap_or_default();
        let password = broker.password.as_ref().map(|secret| secret.expose().to_owned()).unwrap_or_default();
        let login = !username.is_empty() || !password.is_empty();
        let clean = broker.session_expiry.is_zero();
        let will = broker.status.then(|| topic::status(&broker.client_id));
        match self.version {
            Version::V311 => {
                let mut connect = v4::Connect::new(client_id);
                connect.keep_alive = keep_alive;
                connect.clean_session = clean;
                connect.login = login.then_some(v4::Login { username, password });
                connect.last_will = will.map(|topic| v4::LastWill::new(topic, OFFLINE, QosV4::AtLeastOnce, true));
                connect.write(&mut self.bytes).expect(BOUNDED);
            }
            Version::V5 => {
                let mut properties = v5::ConnectProperties::new();
                let expiry = u32::try_from(broker.session_expiry.as_secs()).unwrap_or(u32::MAX);
                properties.session_expiry_interval = Some(expiry);
                properties.receive_maximum = Some(RECEIVE_MAXIMUM);
                let connect = v5::Connect { keep_alive, client_id, clean_start: clean, properties: Some(properties) };
                let login = login.then_some(v5::Login { username, password });
                let will = will.map(|topic| v5::LastWill::new(topic, OFFLINE, QosV5::AtLeastOnce, true, None));
                connect.write(&will, &login, &mut self.bytes).expect(BOUNDED);
            }
        }
    }

    /// `identifier`: of all of them, MQTT 5 only.
    pub fn subscribe<'a>(
        &mut self,
        packet_id: u16,
        identifier: Option<u32>,
        subscriptions: impl Iterator<Item = (&'a Subscription, Retained)>,
    ) {
        match self.version {
            Version::V311 => {
                let filters = subscriptions.map(|(subscription, _)| {
                    v4::SubscribeFilter::new(subscription.filter.to_string(), qos_v4(subscription.qos))
                });
                let mut subscribe = v4::Subscribe::new_many(filters);
                subscribe.pkid = packet_id;
                subscribe.write(&mut self.bytes).expect(BOUNDED);
            }
            Version::V5 => {
                let properties = identifier
                    .map(|id| v5::SubscribeProperties { id: usize::try_from(id).ok(), user_properties: Vec::new() });
                let filters = subscriptions.map(|(subscription, retained)| {
                    let mut filter = v5::Filter::new(subscription.filter.as_str(), qos_v5(subscription.qos));
                    filter.retain_forward_rule = match retained {
                        Retained::Always => v5::RetainForwardRule::OnEverySubscribe,
                        Retained::IfNew => v5::RetainForwardRule::OnNewSubscribe,
                        Retained::Never => v5::RetainForwardRule::Never,
                    };
                    filter
                });
                let mut subscribe = v5::Subscribe::new_many(filters, properties);
                subscribe.pkid = packet_id;
                subscribe.write(&mut self.bytes).expect(BOUNDED);
            }
        }
    }

    pub fn unsubscribe(&mut self, packet_id: u16, filters: &[String]) {
        match self.version {
            Version::V311 => {
                let unsubscribe = v4::Unsubscribe { pkid: packet_id, topics: filters.to_vec() };
                unsubscribe.write(&mut self.bytes).expect(BOUNDED);
            }
            Version::V5 => {
                let unsubscribe = v5::Unsubscribe { pkid: packet_id, filters: filters.to_vec(), properties: None };
                unsubscribe.write(&mut self.bytes).expect(BOUNDED);
            }
        }
    }

    /// PUBLISH of QoS 1 that the broker is to retain.
    pub fn publish_retained(&mut self, packet_id: u16, topic: &str, payload: &'static str) {
        self.publish(packet_id, topic, payload, true);
    }

    /// PUBLISH of QoS 1.
    pub fn publish(&mut self, packet_id: u16, topic: &str, payload: impl Into<Vec<u8>>, retain: bool) {
        match self.version {
            Version::V311 => {
                let mut publish = v4::Publish::new(topic, QosV4::AtLeastOnce, payload);
                publish.pkid = packet_id;
                publish.retain = retain;
                publish.write(&mut self.bytes).expect(BOUNDED);
            }
            Version::V5 => {
                let mut publish = v5::Publish::new(topic, QosV5::AtLeastOnce, payload.into(), None);
                publish.pkid = packet_id;
                publish.retain = retain;
                publish.write(&mut self.bytes).expect(BOUNDED);
            }
        }
    }

    // Without reason code and properties both versions write the acknowledgements and pings alike.

    pub fn reply(&mut self, reply: Reply) {
        match reply {
            Reply::PubAck(packet_id) => v4::PubAck::new(packet_id).write(&mut self.bytes),
            Reply::PubRec(packet_id) => v4::PubRec::new(packet_id).write(&mut self.bytes),
            Reply::PubComp(packet_id) => v4::PubComp::new(packet_id).write(&mut self.bytes),
        }
        .expect(BOUNDED);
    }

    pub fn pingreq(&mut self) {
        v4::PingReq.write(&mut self.bytes).expect(BOUNDED);
    }

    /// DISCONNECT of MQTT 5 with a reason and without properties.
    pub fn disconnect_because(&mut self, code: u8) {
        self.bytes.extend_from_slice(&[0xE0, 2, code, 0]);
    }

    /// DISCONNECT that keeps the session and its expiry.
    pub fn disconnect(&mut self) {
        v4::Disconnect.write(&mut self.bytes).expect(BOUNDED);
    }
}

fn qos_v4(qos: Qos) -> QosV4 {
    match qos {
        Qos::AtMostOnce => QosV4::AtMostOnce,
        Qos::AtLeastOnce => QosV4::AtLeastOnce,
        Qos::ExactlyOnce => QosV4::ExactlyOnce,
    }
}

fn qos_v5(qos: Qos) -> QosV5 {
    match qos {
        Qos::AtMostOnce => QosV5::AtMostOnce,
        Qos::AtLeastOnce => QosV5::AtLeastOnce,
        Qos::ExactlyOnce => QosV5::ExactlyOnce,
    }
}
