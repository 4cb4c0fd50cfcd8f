//! Bytes of a hostile broker against the reader of packets and the ledger: what `fuzz/` tries without end, bounded and
//! the same at every run.

#[path = "../../fuzz/invariants.rs"]
pub mod invariants;
#[path = "../../fuzz/packets.rs"]
mod packets;

use amber::session::wire::{Codec, Packet, Version};
use bytes::BytesMut;
use tokio_util::codec::Decoder as _;

use invariants::Random;

/// What is read if `bytes` come in two pieces.
fn read(version: Version, pieces: [&[u8]; 2]) -> Result<Vec<Packet>, String> {
    let mut codec = Codec::new(version, 1 << 20);
    let mut buffer = BytesMut::new();
    let mut packets = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while let Some(packet) = codec.decode(&mut buffer).map_err(|error| error.to_string())? {
            packets.push(packet);
        }
    }
    assert!(buffer.is_empty(), "{} bytes are left", buffer.len());
    Ok(packets)
}

#[test]
fn a_packet_is_the_same_wherever_it_is_split() {
    for (version, bytes) in packets::all() {
        let whole = read(version, [&bytes, &[]]);
        for at in 0..bytes.len() {
            let (one, other) = bytes.split_at(at);
            assert_eq!(read(version, [one, other]), whole, "{bytes:02x?} split at {at}");
        }
    }
}

#[test]
fn a_packet_that_is_cut_short_gives_nothing_and_keeps_nothing_waiting_but_itself() {
    for (version, bytes) in packets::all().into_iter().filter(|(_, bytes)| bytes.len() < 128) {
        for length in 0..bytes.len() {
            let mut codec = Codec::new(version, 1 << 20);
            let mut buffer = BytesMut::from(&bytes[..length]);
            if let Ok(packet) = codec.decode(&mut buffer) {
                assert_eq!(packet, None, "{:02x?}", &bytes[..length]);
                assert_eq!(buffer, bytes[..length]);
            }
        }
    }
}

#[test]
fn every_byte_of_a_packet_set_to_every_value_breaks_no_invariant() {
    for (version, bytes) in packets::all().into_iter().filter(|(_, bytes)| bytes.len() < 64) {
        for position in 0..bytes.len() {
            for value in 0..=255 {
                let mut input = [&[packets::control(version, 1), value], &bytes[..]].concat();
                input[2 + position] = value;
                invariants::check(&input);
            }
        }
    }
}

#[test]
fn a_hundred_thousand_mutilated_runs_of_packets_break_no_invariant() {
    let all = packets::all();
    let mut random = Random(1);
    for _ in 0..100_000 {
        let (version, bytes) = &all[random.below(all.len())];
        let mut input = vec![packets::control(*version, random.below(4) as u8), random.next() as u8];
        input.extend_from_slice(bytes);
        for _ in 0..=random.below(4) {
            mutilate(&mut input, &mut random, &all);
        }
        invariants::check(&input);
    }
}

fn mutilate(input: &mut Vec<u8>, random: &mut Random, all: &[(Version, Vec<u8>)]) {
    let at = 2 + random.below(input.len() - 1);
    let value = random.next();
    match value % 6 {
        0 => input.truncate(at),
        1 => input.insert(at, (value >> 8) as u8),
        2 => input.extend_from_slice(&all[random.below(all.len())].1),
        _ if at >= input.len() => {}
        3 => input[at] ^= 1 << (value >> 8 & 7),
        4 => input[at] = (value >> 8) as u8,
        _ => {
            input.remove(at);
        }
    }
}

#[test]
fn the_end_of_a_packet_too_long_to_wait_for_is_found() {
    for version in [Version::V311, Version::V5] {
        // 140,000 bytes and more, of which the check adds the end, and then sees packets of type 0.
        for head in [&b"\x32\xE0\xC5\x08\0\x01t\0\x01"[..], b"\x30\xE0\xC5\x08\0\x02tt", b"\x34\xE0\xC5\x08\0\0\0\x09"]
        {
            invariants::check(&[&[packets::control(version, 0) | 0xF8, 7], head].concat());
        }
    }
}

#[test]
fn what_fuzzing_has_found_stays_mended() {
    // A SUBACK that claims 860,000 bytes had room made for all of them.
    const FOUND: [&[u8]; 1] = [&[4, 0, 0x90, 0xE0, 0xBE, 0x34, 0]];
    for input in FOUND {
        invariants::check(input);
    }
}
