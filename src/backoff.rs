//! How long to wait before the next attempt: written once, for the broker and for the store.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// Doubles from a minimum to a maximum, with full jitter: many Ambers that lost one broker do not come back as one.
#[derive(Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    ceiling: Duration,
    random: RandomState,
    drawn: u64,
}

impl Backoff {
    /// `min`: after the first failure. `max`: however often it failed, and at once where a person must act.
    #[must_use]
    pub fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, ceiling: min, random: RandomState::new(), drawn: 0 }
    }

    /// The next wait: between the minimum and a ceiling that doubles.
    pub fn next_wait(&mut self) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = (ceiling * 2).min(self.max);
        self.between(self.min, ceiling)
    }

    /// The longest wait, with jitter, for what does not mend itself.
    pub fn longest(&mut self) -> Duration {
        self.between(self.max / 2, self.max)
    }

    /// It went well: the next failure is the first.
    pub fn reset(&mut self) {
        self.ceiling = self.min;
    }

    /// Not for secrets: a keyed hash of a counter.
    fn between(&mut self, low: Duration, high: Duration) -> Duration {
        self.drawn += 1;
        let fraction = (self.random.hash_one(self.drawn) >> 11) as f64 / (1_u64 << 53) as f64;
        low + high.saturating_sub(low).mul_f64(fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(30);

    #[test]
    fn a_wait_doubles_to_the_maximum_and_starts_over_after_a_success() {
        let mut backoff = Backoff::new(MIN, MAX);
        for ceiling in [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000] {
            let wait = backoff.next_wait();
            assert!(wait >= MIN && wait <= Duration::from_millis(ceiling), "{wait:?} is over {ceiling} ms");
        }
        backoff.reset();
        assert_eq!(backoff.next_wait(), MIN);
    }

    #[test]
    fn waits_are_spread() {
        let mut backoff = Backoff::new(MIN, MAX);
        let waits: Vec<_> = (0..100).map(|_| backoff.longest()).collect();
        assert!(waits.iter().all(|wait| (MAX / 2..=MAX).contains(wait)));
        assert!(waits.iter().any(|wait| *wait < MAX * 5 / 8) && waits.iter().any(|wait| *wait > MAX * 7 / 8));
    }
}
