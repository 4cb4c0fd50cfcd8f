//! Any payload, in every format.
#![no_main]

#[path = "../payloads.rs"]
mod payloads;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| payloads::check(input));
