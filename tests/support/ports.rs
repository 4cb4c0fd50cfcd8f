//! Free ports of the loopback address.
//!
//! Below the range from which the kernel takes the source ports of outgoing connections (32768 on Linux), so that a
//! server which is down for a moment finds its port free when it comes back.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port on which nobody listens, and that no other caller in this process was given recently.
pub fn free() -> u16 {
    // Two test binaries at a time begin at different places.
    let begin = u16::try_from(u64::from(std::process::id()) * 97 % u64::from(COUNT)).expect("less than COUNT");
    for _ in 0..COUNT {
        let offset = (u32::from(begin) + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % u32::from(COUNT);
        let port = FIRST + u16::try_from(offset).expect("less than COUNT");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT)
}
