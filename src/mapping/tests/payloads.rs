//! Payloads that are packed, or in a format of bytes.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::*;
use crate::mapping::decode::MAX_BYTES;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What `keys` and one float field `v` make of a payload.
fn one(keys: &str, payload: &[u8]) -> String {
    let mapping = mapping(&format!("[mapping.m]\ntopic = \"a\"\nfields = [\"v\"]\n{keys}"));
    let message = message("a", payload);
    assert_eq!(mapping.explain(&message).mapped, mapping.map(&message));
    lines(&mapping, &message).join("\n")
}

const GZIP: &str = "encoding = \"gzip\"";
const ZLIB: &str = "encoding = \"zlib\"";

#[test]
fn a_packed_payload_is_unpacked() {
    assert_eq!(one(GZIP, &gzip(b"{\"v\":1}")), "m | v=1.0");
    assert_eq!(one(ZLIB, &zlib(b"{\"v\":1}")), "m | v=1.0");
    assert_eq!(one(GZIP, &gzip(b"\xef\xbb\xbf{\"v\":1}")), "m | v=1.0", "a byte order mark is no part of it");
    let members = [gzip(b"{\"v\""), gzip(b""), gzip(b":1}")].concat();
    assert_eq!(one(GZIP, &members), "m | v=1.0", "members of a gzip file are one stream");
}

#[test]
fn a_packed_payload_that_is_broken_is_a_reject_with_its_place() {
    let whole = gzip(b"{\"v\":1}");
    let short = one(GZIP, &whole[..whole.len() - 9]);
    assert!(
        short.starts_with("rejected payload: the payload is no gzip stream: ") && short.contains(" at byte "),
        "{short}"
    );
    let plain = one(GZIP, b"{\"v\":1}");
    assert_eq!(plain, "rejected payload: the payload is no gzip stream: it does not begin with the bytes 1f 8b");
    let mut spoilt = whole.clone();
    let checksum = spoilt.len() - 5;
    spoilt[checksum] ^= 1;
    assert!(
        one(GZIP, &spoilt).starts_with("rejected payload: the payload is no gzip stream: "),
        "{}",
        one(GZIP, &spoilt)
    );
    let behind = [zlib(b"{\"v\":1}"), b"xy".to_vec()].concat();
    let at = behind.len() - 2;
    assert_eq!(
        one(ZLIB, &behind),
        format!("rejected payload: the payload has 2 bytes behind its zlib stream, from byte {at} on")
    );
    assert_eq!(
        one(GZIP, &gzip(b"\xff")),
        "rejected payload: the payload is not UTF-8: byte 0 cannot be read (of what was unpacked)"
    );
    assert!(one(GZIP, &gzip(b"{")).starts_with("rejected payload: the payload is not JSON: EOF"));
    assert_eq!(one(GZIP, b""), "ignored empty");
}

#[test]
fn a_bomb_is_a_reject_and_what_just_fits_is_read() {
    let head = b"{\"v\":1}";
    let fits = [&head[..], &vec![b' '; MAX_BYTES - head.len()]].concat();
    let beyond = [&fits[..], b" "].concat();
    for (keys, pack) in [(GZIP, gzip as fn(&[u8]) -> Vec<u8>), (ZLIB, zlib)] {
        assert_eq!(one(keys, &pack(&fits)), "m | v=1.0");
        let reject = one(keys, &pack(&beyond));
        assert!(reject.starts_with("rejected too_large: the payload is more than 4194304 bytes when"), "{reject}");
    }
}

#[test]
fn mappings_on_one_topic_may_read_it_each_in_its_way() {
    let mapping = mapping(
        r#"
        [mapping.packed]
        topic = "a"
        encoding = "gzip"
        fields = ["v"]
        [mapping.plain]
        topic = "a"
        fields = ["v"]
        [mapping.text]
        topic = "a"
        format = "text"
        fields = { t = { path = ".", type = "text" } }
        "#,
    );
    assert_eq!(lines(&mapping, &message("a", "{\"v\":2}")), ["plain | v=2.0", "text | t=\"{\\\"v\\\":2}\""]);
    assert_eq!(lines(&mapping, &message("a", gzip(b"{\"v\":1}"))), ["packed | v=1.0"]);
    let neither = lines(&mapping, &message("a", b"\xff"));
    assert!(neither.len() == 1 && neither[0].starts_with("rejected payload: the payload is no gzip"), "{neither:?}");
}
