//! Any bytes from a broker.
#![no_main]

#[path = "../invariants.rs"]
mod invariants;
#[path = "../packets.rs"]
mod packets;

use std::fs;

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: seed(), |input: &[u8]| invariants::check(input));

/// Writes the packets to begin with where `cargo fuzz` looks for them.
fn seed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/wire");
    fs::create_dir_all(folder).expect("the corpus can be written");
    for (number, (version, bytes)) in packets::all().iter().enumerate() {
        let input = [&[packets::control(*version, number as u8 % 4), number as u8][..], bytes].concat();
        fs::write(format!("{folder}/seed-{number:03}"), input).expect("the corpus can be written");
    }
}
