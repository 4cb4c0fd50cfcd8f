//! The switches by which the checker leaves out one rule after another. Outside tests nothing of it is compiled in.

#[cfg(test)]
use std::hash::{Hash, Hasher};

use super::Ledger;
#[cfg(test)]
use super::State;

/// The rules that the checker switches off one by one, to see that each is needed; they name their places below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Rule {
    AcknowledgeAfterSettling,
    KnownNeedsDup,
    KnownNeedsDupAlsoAtQos2,
    KnownIsAcknowledged,
    KnownIsAcknowledgedOnce,
    ReleaseLeftovers,
    ForgetAfterRoundTrip,
    MarkPerPing,
    SurviveConnections,
    AcknowledgeOnlyWhatCame,
    SettleByDelivery,
    ConfirmByDelivery,
    LostSessionClears,
    KeepAfterPubrel,
}

impl Ledger {
    /// Whether the checker has switched `rule` off.
    #[cfg(test)]
    pub(super) fn lacks(&self, rule: Rule) -> bool {
        self.without == Some(rule)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "as in tests")]
    pub(super) const fn lacks(&self, _: Rule) -> bool {
        false
    }

    /// Whether `next_reply` would give one.
    #[cfg(test)]
    pub(super) fn owes_now(&self) -> bool {
        self.connection.acks.front().is_some_and(|delivery| match self.entries.get(&delivery.key) {
            Some(entry) if entry.delivery == delivery.id => {
                entry.state != State::Pending || self.lacks(Rule::AcknowledgeAfterSettling)
            }
            _ => !self.connection.displaced.contains(&delivery.id),
        })
    }
}

/// The same value for equal ledgers, whatever the order of their maps; for the checker.
#[cfg(test)]
impl Hash for Ledger {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_unstable_by_key(|&(key, _)| *key);
        (entries, self.last, &self.connection).hash(hasher);
    }
}
