//! How long to wait before trying again: doubling, with a minimum, a maximum and full jitter; starts over after a success.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

#[derive(Debug)]
pub struct Backoff {
    minimum: Duration,
    maximum: Duration,
    next: Duration,
    tries: u64,
    random: RandomState,
}

impl Backoff {
    #[must_use]
    pub fn new(minimum: Duration, maximum: Duration) -> Self {
        Self { minimum, maximum, next: minimum, tries: 0, random: RandomState::new() }
    }

    /// The next wait: between half of the present step and the whole of it; the step doubles up to the maximum.
    ///
    /// Half of it is fixed, so that a refusal is never answered by an immediate retry.
    pub fn next_wait(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.maximum);
        self.tries += 1;
        let fraction =
            f64::from(u32::try_from(self.random.hash_one(self.tries) >> 32).expect("32 bits")) / f64::from(u32::MAX);
        step / 2 + (step / 2).mul_f64(fraction)
    }

    /// The wait after something that only a person can mend.
    pub fn longest_wait(&mut self) -> Duration {
        self.next = self.maximum;
        self.next_wait()
    }

    /// After a success the next fault is answered quickly again.
    pub fn reset(&mut self) {
        self.next = self.minimum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_up_to_the_maximum_and_starts_over_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for step_ms in [100, 200, 400, 800, 1000, 1000] {
            let wait = backoff.next_wait();
            let step = Duration::from_millis(step_ms);
            assert!(wait >= step / 2 && wait <= step, "{wait:?} is not within half of {step:?}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }
}
