//! Topic names and filters (MQTT 4.7): what matches, what covers. Case sensitive; `#` and a leading `+` never take `$…`.

use crate::message::Qos;

/// A valid topic filter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicFilter(Box<str>);

impl TopicFilter {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub filter: TopicFilter,
    /// The most that is asked for.
    pub qos: Qos,
    /// Whether retained messages are wanted (MQTT 3.3.1.3).
    pub retained: bool,
}
