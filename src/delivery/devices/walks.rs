//! When the keeper of devices walks through the data: at the start, once an hour, and after anything was left out. No I/O.
//!
//! What is left out while a walk is under way asks for another one behind it: the present one goes on to its end, so that
//! it comes to the last series however often something is left out. Under another schema it begins anew, because it
//! remembers its measurement by position.

use std::time::Duration;

use tokio::time::Instant;

use crate::message::Time;
use crate::store::Walk;

/// Works for so long, and rests for so long then.
const WORK: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));
/// A walk each hour finds what others than this Amber have changed: series that were renamed, or made by `amber replay`.
const EVERY: Duration = Duration::from_secs(3_600);

pub(super) struct Walks {
    under_way: Option<Walk>,
    /// Of the schema that it was under in its last step.
    generation: Option<u64>,
    /// Another one is wanted.
    once_more: bool,
    /// Since the last rest.
    worked: Duration,
    rests_until: Instant,
    next: Instant,
    /// Devices that the walk has written.
    met: u64,
}

impl Walks {
    /// The first is over what was received before `start`.
    pub(super) fn from_start(start: Time) -> Self {
        let now = Instant::now();
        Self {
            under_way: Some(Walk::before(start)),
            generation: None,
            once_more: false,
            worked: Duration::ZERO,
            rests_until: now,
            next: now + EVERY,
            met: 0,
        }
    }

    /// Begins one if one is wanted and none is under way. `missed`: something was left out since this was last asked.
    pub(super) fn ask(&mut self, missed: bool) {
        let now = Instant::now();
        self.once_more |= missed || now >= self.next;
        if self.under_way.is_none() && std::mem::take(&mut self.once_more) {
            (self.under_way, self.generation, self.next) = (Some(Walk::default()), None, now + EVERY);
        }
    }

    /// Whether one is under way and not at rest.
    pub(super) fn is_due(&self) -> bool {
        self.under_way.is_some() && Instant::now() >= self.rests_until
    }

    /// Where it is, under the schema of that generation.
    pub(super) fn under(&mut self, generation: u64) -> Option<Walk> {
        let before = self.generation.replace(generation);
        if before.is_some_and(|before| before != generation) && self.under_way.is_some() {
            self.under_way = Some(Walk::default());
        }
        self.under_way
    }

    /// It has come to `walk`, in a step that took so long and wrote so many devices.
    pub(super) fn went(&mut self, walk: Walk, devices: u64, took: Duration) {
        self.under_way = Some(walk);
        self.met += devices;
        self.worked += took;
        if self.worked >= WORK.0 {
            (self.worked, self.rests_until) = (Duration::ZERO, Instant::now() + WORK.1);
        }
    }

    /// It has come to the end; gives how many devices it wrote.
    pub(super) fn ended(&mut self) -> u64 {
        self.under_way = None;
        std::mem::take(&mut self.met)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_walk_comes_to_its_end_however_much_is_left_out_meanwhile_and_one_more_comes_behind() {
        let here = Walk::before(Time(5));
        let mut walks = Walks::from_start(Time(5));
        for _ in 0..100 {
            walks.ask(true);
            assert_eq!(walks.under(1), Some(here), "it goes on");
            walks.went(here, 1, Duration::from_millis(1));
        }
        assert_eq!(walks.ended(), 100);
        assert!(!walks.is_due());
        walks.ask(false);
        assert_eq!(walks.under(1), Some(Walk::default()), "over all rows");
        assert_eq!(walks.ended(), 0);
        walks.ask(false);
        assert!(!walks.is_due(), "one is enough");
        tokio::time::advance(EVERY).await;
        walks.ask(false);
        assert!(walks.is_due());
    }

    #[tokio::test(start_paused = true)]
    async fn a_walk_begins_anew_under_another_schema_and_rests_after_its_work() {
        let here = Walk::before(Time(5));
        let mut walks = Walks::from_start(Time(5));
        for _ in 0..2 {
            assert_eq!(walks.under(1), Some(here));
            walks.went(here, 0, WORK.0 / 2);
        }
        assert!(!walks.is_due());
        tokio::time::advance(WORK.1).await;
        assert!(walks.is_due());
        assert_eq!(walks.under(2), Some(Walk::default()), "its position is another measurement's");
        walks.went(here, 0, Duration::ZERO);
        assert_eq!(walks.under(2), Some(here));
    }
}
