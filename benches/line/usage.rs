//! What the kernel counted.

use std::time::Instant;

use super::Run;

/// USER_HZ is 100 on every Linux that Rust's tier 1 knows.
const TICKS_PER_SECOND: f64 = 100.0;

/// From where a run is counted.
pub struct Usage {
    start: Instant,
    broker: u32,
    broker_seconds: f64,
    database_seconds: f64,
}

impl Usage {
    pub fn begin(broker: u32, database_seconds: f64) -> Self {
        Self { start: Instant::now(), broker, broker_seconds: cpu_seconds(broker), database_seconds }
    }

    pub fn end(self, messages: usize, receiver_seconds: f64, database_seconds: f64, peak_mib: f64) -> Run {
        let took = self.start.elapsed().as_secs_f64();
        let micros = |seconds: f64| seconds * 1e6 / messages as f64;
        Run {
            per_second: messages as f64 / took,
            receiver: micros(receiver_seconds),
            broker: micros(cpu_seconds(self.broker) - self.broker_seconds),
            database: micros(database_seconds - self.database_seconds),
            peak_mib,
        }
    }
}

/// CPU seconds of a process so far.
pub fn cpu_seconds(pid: u32) -> f64 {
    ticks(&format!("/proc/{pid}/stat"), 11)
}

/// Of our children that have ended.
pub fn children_seconds() -> f64 {
    ticks("/proc/self/stat", 13)
}

/// Of this thread.
pub fn thread_seconds() -> f64 {
    ticks("/proc/thread-self/stat", 11)
}

/// Two fields of proc(5)'s `stat`, counted from the one after the name.
fn ticks(path: &str, first: usize) -> f64 {
    let stat = std::fs::read_to_string(path).expect("it runs");
    let after_name = stat.rsplit_once(')').expect("proc(5)").1;
    let ticks = after_name.split_whitespace().skip(first).take(2).map(|text| text.parse::<f64>().expect("proc(5)"));
    ticks.sum::<f64>() / TICKS_PER_SECOND
}

/// Peak resident memory in MiB.
pub fn peak_mib(pid: u32) -> f64 {
    status_mib(pid, "VmHWM:")
}

/// Resident memory in MiB.
pub fn resident_mib(pid: u32) -> f64 {
    status_mib(pid, "VmRSS:")
}

fn status_mib(pid: u32, name: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let kib: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.trim().parse().ok())
        .expect("proc(5)");
    kib / 1024.0
}
