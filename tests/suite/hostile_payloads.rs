//! Hostile payloads in every format: what `fuzz/` tries without end, bounded and the same at every run.

#[path = "../../fuzz/payloads.rs"]
mod payloads;

use crate::hostile_bytes::invariants::Random;

/// A payload of each format, of which bytes are changed.
const SEEDS: [&[u8]; 7] = [
    br#"{"a":[{"b":1},2,"x"],"b":{"c":null},"k":"oWFhgfs/8AAAAAAAAA=="}"#,
    b"{\"a\":\"a16161820102\"}",
    b"\xa2\x61a\x82\xa1\x61b\x01\xfb\x3f\xf0\0\0\0\0\0\0\x61b\x7f\x61x\xff",
    b"\x82\xa1a\x92\x81\xa1b\x01\xca\x3f\x80\0\0\xa1b\xd6\xff\x65\x92\0\x80",
    b"<s k=\"1\"><a><b>2</b></a><a>&lt;<![CDATA[3]]></a></s>",
    b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\xae\x05\0\x43\xbf\xa6\xa3\x02\0\0\0",
    b"\x78\x9c\x5b\xcc\0\0\x01\x64\x01\x05",
];

#[test]
fn no_bytes_break_what_holds_for_payloads() {
    let mut random = Random(7);
    for turn in 0..20_000 {
        let mut input = vec![(turn % payloads::FORMS.len()) as u8];
        input.extend_from_slice(SEEDS[random.below(SEEDS.len())]);
        for _ in 0..random.below(6) {
            let at = 1 + random.below(input.len() - 1);
            match random.below(3) {
                0 => input[at] = random.below(256) as u8,
                1 => input.truncate(at + 1),
                _ => input.insert(at, input[random.below(input.len())]),
            }
            if input.len() < 2 {
                break;
            }
        }
        payloads::check(&input);
    }
}
