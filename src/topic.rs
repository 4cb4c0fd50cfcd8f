//! Topic names and filters (MQTT 4.7): what matches, what covers, what overlaps. Case sensitive.
//!
//! Levels are compared as text, so a topic may begin with any character (rumqttc's own matcher panics on `éa/b`).
//! A wildcard in the first level never takes a topic that begins with `$` (4.7.2). A shared subscription
//! `$share/group/filter` (MQTT 5, 4.8.2) is a filter too; its inner filter decides what it matches.

mod crossing;
mod merge;
mod reduce;

use std::fmt;

use crate::message::Qos;

pub use crossing::{CROSSING_SAID, Crossing, crossings};
pub use merge::{join, merge};
pub use reduce::{CROSSING_MAX, Reduced, reduce};

/// A valid topic filter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicFilter(Box<str>);

/// What is subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub filter: TopicFilter,
    /// The most that is asked for.
    pub qos: Qos,
    /// Whether retained messages are wanted (MQTT 3.3.1.3).
    pub retained: bool,
}

/// Why a text is not a topic filter. Prints the reason and its clause; the caller names the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterError {
    Empty,
    /// In bytes of UTF-8.
    TooLong(usize),
    Nul,
    HashNotLast,
    /// A level that holds `#` and more.
    HashNotAlone(String),
    /// A level that holds `+` and more.
    PlusNotAlone(String),
    Share,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "it is empty (MQTT 4.7.3)"),
            Self::TooLong(bytes) => write!(f, "it has {bytes} bytes, 65535 is the most (MQTT 4.7.3)"),
            Self::Nul => write!(f, "it holds a NUL character (MQTT 4.7.3)"),
            Self::HashNotLast => write!(f, "`#` must be the last level (MQTT 4.7.1.2)"),
            Self::HashNotAlone(level) => write!(f, "`#` must be alone in its level, not `{level}` (MQTT 4.7.1.2)"),
            Self::PlusNotAlone(level) => write!(f, "`+` must be alone in its level, not `{level}` (MQTT 4.7.1.3)"),
            Self::Share => write!(f, "a shared subscription is `$share/group/filter` (MQTT 5, 4.8.2)"),
        }
    }
}

impl std::error::Error for FilterError {}

impl TopicFilter {
    /// Checks `text` by MQTT 4.7.
    ///
    /// # Errors
    /// The first clause that it breaks.
    pub fn new(text: &str) -> Result<Self, FilterError> {
        if text.is_empty() {
            return Err(FilterError::Empty);
        }
        if text.len() > usize::from(u16::MAX) {
            return Err(FilterError::TooLong(text.len()));
        }
        if text.contains('\0') {
            return Err(FilterError::Nul);
        }
        let inner = match text.strip_prefix("$share/") {
            None if text == "$share" => return Err(FilterError::Share),
            None => text,
            Some(shared) => match shared.split_once('/') {
                Some((group, inner)) if !group.is_empty() && !inner.is_empty() && !group.contains(['+', '#']) => inner,
                _ => return Err(FilterError::Share),
            },
        };
        let mut levels = inner.split('/').peekable();
        while let Some(level) = levels.next() {
            match level {
                "#" if levels.peek().is_some() => return Err(FilterError::HashNotLast),
                "#" | "+" => {}
                _ if level.contains('#') => return Err(FilterError::HashNotAlone(level.to_owned())),
                _ if level.contains('+') => return Err(FilterError::PlusNotAlone(level.to_owned())),
                _ => {}
            }
        }
        Ok(Self(text.into()))
    }

    /// As it is subscribed to.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The filter without `$share/group/`.
    #[must_use]
    pub fn inner(&self) -> &str {
        self.split().1
    }

    /// The group of a shared subscription.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        self.split().0
    }

    fn split(&self) -> (Option<&str>, &str) {
        match self.0.strip_prefix("$share/").and_then(|shared| shared.split_once('/')) {
            Some((group, inner)) => (Some(group), inner),
            None => (None, &self.0),
        }
    }

    /// Whether messages of `topic` come by this filter.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        let filter = self.inner();
        if topic.starts_with('$') && filter.starts_with(['+', '#']) {
            return false;
        }
        let mut levels = topic.split('/');
        for wanted in filter.split('/') {
            match (wanted, levels.next()) {
                // The parent level is included (4.7.1.2): `a/#` takes `a`.
                ("#", _) => return true,
                (_, None) => return false,
                ("+", Some(_)) => {}
                (wanted, Some(level)) if wanted == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }

    /// Whether every message that `other` brings comes by this filter too. Never across two share groups,
    /// or between a shared and a plain subscription: brokers serve them apart.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let ((group, filter), (other_group, other)) = (self.split(), other.split());
        if group != other_group || (other.starts_with('$') && filter.starts_with(['+', '#'])) {
            return false;
        }
        let mut theirs = levels(other);
        for ours in levels(filter) {
            match (ours, theirs.next()) {
                ("#", _) => return true,
                (_, None | Some("#")) => return false,
                ("+", Some(_)) => {}
                (ours, Some(theirs)) if ours == theirs => {}
                _ => return false,
            }
        }
        theirs.next().is_none()
    }

    /// Whether some topic matches both, whatever their groups: such a message may come twice.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.inner(), other.inner());
        let wild = |filter: &str| filter.starts_with(['+', '#']);
        if (ours.starts_with('$') && wild(theirs)) || (theirs.starts_with('$') && wild(ours)) {
            return false;
        }
        let (mut ours, mut theirs) = (levels(ours), levels(theirs));
        loop {
            match (ours.next(), theirs.next()) {
                (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
                (None, Some(_)) | (Some(_), None) => return false,
                (Some("+"), _) | (_, Some("+")) => {}
                (Some(ours), Some(theirs)) if ours == theirs => {}
                _ => return false,
            }
        }
    }
}

/// The levels of a filter, with those spelled out that `#` includes for want of an empty topic: `#` takes the parent
/// of what it stands for too, but a topic has one character at least (MQTT 4.7.3), so `#` is `+/#`, and `/#` is `/+/#`.
fn levels(filter: &str) -> std::str::Split<'_, char> {
    match filter {
        "#" => "+/#",
        "/#" => "/+/#",
        other => other,
    }
    .split('/')
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the Amber of that client identifier says whether it is there.
#[must_use]
pub fn status(client_id: &str) -> String {
    format!("amber/{client_id}/status")
}

/// Whether an Amber says on `topic` whether it is there: any of them, `amber/+/status`.
#[must_use]
pub fn is_status(topic: &str) -> bool {
    let client_id = topic.strip_prefix("amber/").and_then(|rest| rest.strip_suffix("/status"));
    client_id.is_some_and(|client_id| !client_id.contains('/'))
}

/// Why `text` is no topic name (MQTT 4.7.1, 4.7.3); `None` if it is one.
#[must_use]
pub fn no_name(text: &str) -> Option<&'static str> {
    if text.contains(['+', '#']) {
        return Some("a topic name has no wildcards (MQTT 4.7.1)");
    }
    (text.is_empty() || text.contains('\0'))
        .then_some("a topic name has at least one character, and no NUL (MQTT 4.7.3)")
}

#[cfg(test)]
mod tests;
