//! What tests make the broker do: the ways in which real brokers differ and fail.

/// All off by default. Changed while the broker runs by [`super::Broker::script`].
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// How CONNECTs of MQTT 5 are turned away.
    pub refuse_v5: Option<VersionRefusal>,
    /// Every CONNECT is answered with *bad user name or password*.
    pub refuse_login: bool,
    /// Filters that SUBACK refuses; the others of the same SUBSCRIBE are granted.
    pub refuse_filters: Vec<String>,
    /// PUBACK, PUBREC and PUBCOMP of clients are read and forgotten, as if they had been lost.
    pub ignore_acknowledgements: bool,
    /// Every connection is closed after this many PUBLISHes to the client.
    pub cut_after: Option<u64>,
    /// Every PUBLISH of QoS 1 and 2 to a client goes out twice on the same connection, then with DUP=1.
    pub repeat: bool,
    /// Packet identifiers are the lowest that is free (as HiveMQ's), not the next (as Mosquitto's).
    pub lowest_free_ids: bool,
    /// In flight messages get new identifiers on a new connection (as RabbitMQ's).
    pub renumber: bool,
    /// A message that several filters of a client match is delivered once for each (as Mosquitto does in MQTT 5).
    pub copy_per_filter: bool,
    /// A message that several filters of a client match bears the identifier of one of them only (as Aedes sends it).
    pub one_identifier: bool,
    /// Subscription identifiers are not available, and CONNACK says so (MQTT 5, 3.2.2.3.12).
    pub no_identifiers: bool,
}

/// What a broker does with a version that it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionRefusal {
    /// CONNACK of MQTT 3.1.1, return code 1: a broker that knows no MQTT 5.
    Connack311,
    /// CONNACK of MQTT 5, reason 0x84: one that knows it and is told not to.
    Connack5,
    /// The connection is closed without a word.
    Close,
}
