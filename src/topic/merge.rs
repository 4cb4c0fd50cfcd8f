//! Filters that cross, joined until none cross: for brokers that deliver a copy per filter and do not say for which.
//!
//! A joined filter brings more than the two did. What only it brings is ignored, and counted as such.

use super::{Subscription, TopicFilter, reduce};

/// The smallest filter that brings what both bring: level by level what is equal, else `+`, and `#` where one goes on
/// and the other does not. `None` between a shared and a plain subscription or two share groups, which brokers serve
/// apart.
#[must_use]
pub fn join(one: &TopicFilter, other: &TopicFilter) -> Option<TopicFilter> {
    let ((group, one), (other_group, other)) = (one.split(), other.split());
    if group != other_group {
        return None;
    }
    let (mut ours, mut theirs) = (one.split('/'), other.split('/'));
    let mut levels = Vec::new();
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => break,
            (None | Some("#"), _) | (_, None | Some("#")) => {
                levels.push("#");
                break;
            }
            (Some(ours), Some(theirs)) => levels.push(if ours == theirs { ours } else { "+" }),
        }
    }
    let joined = levels.join("/");
    let text = group.map_or_else(|| joined.clone(), |group| format!("$share/{group}/{joined}"));
    TopicFilter::new(&text).ok()
}

/// Joins those of a reduced set that cross, and reduces again, until none of one group cross.
#[must_use]
pub fn merge(mut subscriptions: Vec<Subscription>) -> Vec<Subscription> {
    loop {
        let crossing = reduce(&subscriptions).crossing;
        let joined: Vec<TopicFilter> = crossing.iter().filter_map(|(one, other)| join(one, other)).collect();
        if joined.is_empty() {
            return subscriptions;
        }
        // In front, so that it takes over their QoS and their wish for retained messages as it covers them.
        let lowest = |filter| Subscription { filter, qos: crate::message::Qos::AtMostOnce, retained: false };
        let all: Vec<Subscription> = joined.into_iter().map(lowest).chain(subscriptions).collect();
        subscriptions = reduce(&all).subscriptions;
    }
}
