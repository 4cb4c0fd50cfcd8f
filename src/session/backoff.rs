//! How long to wait before the next attempt.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// After the first failure.
pub const MIN: Duration = Duration::from_millis(100);
/// However often it failed, and at once where a person must act.
pub const MAX: Duration = Duration::from_secs(30);

/// Doubles from `MIN` to `MAX`, with full jitter: many Ambers that lost one broker do not come back as one.
#[derive(Debug)]
pub struct Backoff {
    ceiling: Duration,
    random: RandomState,
    drawn: u64,
}

impl Backoff {
    #[must_use]
    pub fn new() -> Self {
        Self { ceiling: MIN, random: RandomState::new(), drawn: 0 }
    }

    /// The next wait: between `MIN` and a ceiling that doubles.
    pub fn next(&mut self) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = (ceiling * 2).min(MAX);
        self.between(MIN, ceiling)
    }

    /// The longest wait, with jitter, for what does not mend itself.
    pub fn longest(&mut self) -> Duration {
        self.between(MAX / 2, MAX)
    }

    /// It went well: the next failure is the first.
    pub fn reset(&mut self) {
        self.ceiling = MIN;
    }

    /// Not for secrets: a keyed hash of a counter.
    fn between(&mut self, low: Duration, high: Duration) -> Duration {
        self.drawn += 1;
        let fraction = (self.random.hash_one(self.drawn) >> 11) as f64 / (1_u64 << 53) as f64;
        low + high.saturating_sub(low).mul_f64(fraction)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_to_the_maximum_and_starts_over_after_a_success() {
        let mut backoff = Backoff::new();
        for ceiling in [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000] {
            let wait = backoff.next();
            assert!(wait >= MIN && wait <= Duration::from_millis(ceiling), "{wait:?} is over {ceiling} ms");
        }
        backoff.reset();
        assert_eq!(backoff.next(), MIN);
    }

    #[test]
    fn waits_are_spread() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..100).map(|_| backoff.longest()).collect();
        assert!(waits.iter().all(|wait| (MAX / 2..=MAX).contains(wait)));
        assert!(waits.iter().any(|wait| *wait < MAX * 5 / 8) && waits.iter().any(|wait| *wait > MAX * 7 / 8));
    }
}
