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
fn a_gzip_stream_has_a_bounded_number_of_members() {
    let fits = [vec![gzip(b""); 999].concat(), gzip(b"{\"v\":1}")].concat();
    assert_eq!(one(GZIP, &fits), "m | v=1.0");
    let reject = one(GZIP, &[fits, gzip(b"")].concat());
    assert_eq!(reject, "rejected too_large: the payload has more than 1000 gzip members");
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

#[test]
fn what_is_kept_of_a_message_is_bounded_however_it_is_nested() {
    let too_large = "rejected too_large: the payload has more than 260000 values that are wanted";
    let ones = |count: usize| format!("[{}]", vec!["[1]"; count].join(","));
    let members = |count: usize| (0..count).map(|index| format!("\"k{index}\":1,")).collect::<String>() + "\"k0\":2";
    let pairs = |count: usize| (0..count).map(|index| format!("k{index}=1,")).collect::<String>();
    let field = "fields = { v = \".\" }";
    let nested = format!("[{}]", vec![ones(5_000); 60].join(","));
    let of_one = format!("[{}]", vec!["{\"a\":1}"; 140_000].join(","));
    let inside = format!("{{\"l\":[{}]}}", vec![format!("{:?}", ones(9_000)); 15].join(","));
    let pair = "format = \"pairs\"\nothers = \"json\"\nfields = { v = \"k1\" }".to_owned();
    for (keys, payload, expected) in [
        (format!("rows = \"[][]\"\n{field}"), nested.clone(), too_large),
        (format!("rows = \"[][][]\"\n{field}"), nested, too_large),
        (format!("rows = \"{{k}}\"\n{field}"), format!("{{{}}}", members(260_000)), too_large),
        (
            format!("rows = \"{{k}}\"\n{field}"),
            format!("{{{}}}", members(20_000)),
            "rejected too_many_rows: more than…",
        ),
        // One flat array is read no further than it gives rows.
        (
            "rows = \"[]\"\nfields = [\"a\"]".to_owned(),
            of_one,
            "rejected too_many_rows: more than 10000 rows in `rows` `[]`",
        ),
        (pair.clone(), pairs(260_001), too_large),
        (
            format!("rows = {{ path = \"l[]\", rows = \"[][][]\" }}\n{field}"),
            inside,
            "rejected too_large: the payload at `$.l[14] > $` has more than 260000 values that are wanted",
        ),
    ] {
        let lines = lines(&mapping(&format!("[mapping.m]\ntopic = \"a\"\n{keys}")), &message("a", payload));
        let expected = expected.strip_suffix('…').unwrap_or(expected);
        assert!(lines.len() == 1 && lines[0].starts_with(expected), "{keys}: {:.200}", lines[0]);
    }
    // What is not wanted is not kept.
    let all = lines(
        &mapping("[mapping.m]\ntopic = \"a\"\nfields = [\"k1\"]"),
        &message("a", format!("{{{}}}", members(300_000))),
    );
    assert_eq!(all, ["m | k1=1.0"]);
    let names: Vec<String> = (0..20).map(|index| format!("\"k{index}\"")).collect();
    let fields = format!("[mapping.m]\ntopic = \"a\"\nfields = [{}]", names.join(","));
    let twice = lines(&mapping(&fields), &message("a", format!("{{{},\"k1\":null,\"k2\":7}}", members(19))));
    assert!(twice[0].starts_with("m | k0=2.0 k2=7.0 k3=1.0"), "{twice:?}");
}
