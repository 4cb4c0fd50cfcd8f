//! What integration tests and benches stand on: servers of their own, the real binary, clients, and waiting.
//!
//! Everything here is synchronous and panics with what to do; no test sleeps, each waits for a state
//! ([`eventually`]). Every server lives in a folder of its own and on a port of its own, and dies with the test
//! binary even if that is killed ([`process`]). Linux only, as `setpriv --pdeathsig` is.

#![allow(dead_code, reason = "each binary that includes this uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a bench that includes this is no test to clippy")]

pub mod binary;
pub mod browser;
pub mod certificates;
pub mod client;
pub mod disk;
pub mod fake;
pub mod folder;
pub mod home;
pub mod mosquitto;
pub mod numbers;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod served;
pub mod sql;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Generous: a state that comes at all comes much sooner, also on a machine with other work to do.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until `state` gives `Ok`, and returns what it gave.
///
/// # Panics
/// After [`DEADLINE`], with the last state seen.
#[track_caller]
pub fn eventually<T>(what: &str, state: impl FnMut() -> Result<T, String>) -> T {
    eventually_within(DEADLINE, what, state)
}

/// The same with a deadline of its own.
///
/// # Panics
/// After `deadline`, with the last state seen.
#[track_caller]
pub fn eventually_within<T>(deadline: Duration, what: &str, mut state: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        match state() {
            Ok(value) => return value,
            Err(last) if start.elapsed() >= deadline => {
                panic!("waited {deadline:?} for {what}; last seen: {last}")
            }
            Err(_) => pause_for(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// The one place that sleeps: between two looks at a state, and while a fault is meant to last.
#[expect(clippy::disallowed_methods, reason = "polling a process from outside has no other way")]
pub fn pause_for(time: Duration) {
    std::thread::sleep(time);
}

/// `Ok` if what was `seen` is `wanted`, otherwise what was seen: the usual body of [`eventually`].
///
/// # Errors
/// Both values, or the reason why nothing could be seen.
pub fn equal<T: PartialEq + std::fmt::Debug>(seen: Result<T, String>, wanted: T) -> Result<T, String> {
    let seen = seen?;
    if seen == wanted { Ok(seen) } else { Err(format!("{seen:?} instead of {wanted:?}")) }
}

/// The end of a log, for a failed test.
fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    let from = all.len().saturating_sub(lines);
    let mut end = String::new();
    if from > 0 {
        writeln!(end, "… {from} lines before").expect("a String takes every write");
    }
    for line in &all[from..] {
        writeln!(end, "{line}").expect("a String takes every write");
    }
    end
}

/// A small generator of random numbers (splitmix64): the same seed, the same test.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `low` up to `high`, which it does not reach.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low).max(1)
    }
}
