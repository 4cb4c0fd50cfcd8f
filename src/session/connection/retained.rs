//! When the retained messages that we asked for have come (MQTT 3.1.1). Nothing says so; and until they have, the next
//! connection must not take those that it gets for ones that we have had: 3.1.1 sends them at every SUBSCRIBE.

use std::time::Duration;

use tokio::time::Instant;

/// None has come for so long: there are no more.
const OVER_AFTER: Duration = Duration::from_secs(30);
/// What has come of them on one connection.
#[derive(Debug, Default)]
pub(super) struct RetainedComing {
    /// When the last one came, or they were asked for; `None` if none are awaited.
    last: Option<Instant>,
}

impl RetainedComing {
    pub(super) fn asked_for(&mut self, now: Instant) {
        self.last = Some(now);
    }

    pub(super) fn came(&mut self, now: Instant) {
        if self.last.is_some() {
            self.asked_for(now);
        }
    }

    /// A message of QoS 1 or 2 came that is none: it was queued behind them. Whether they were awaited until now.
    pub(super) fn other_came(&mut self) -> bool {
        self.last.take().is_some()
    }

    /// When to look.
    pub(super) fn due(&self) -> Option<Instant> {
        self.last.map(|last| last + OVER_AFTER)
    }

    /// Whether all have come, if nothing is unsettled, which may keep the broker from sending; if something is, it is
    /// looked again later.
    pub(super) fn are_over(&mut self, now: Instant, unsettled: usize) -> bool {
        if self.due().is_none_or(|due| now < due) {
            return false;
        }
        self.last = if unsettled == 0 { None } else { Some(now) };
        unsettled == 0
    }
}
