//! `encoding`: gzip and zlib, to a bounded size.

use std::io::Read;

use flate2::bufread::{GzDecoder, ZlibDecoder};

use super::{MAX_BYTES, Unreadable};
use crate::config::mapping::Encoding;

/// What a gzip stream begins with (RFC 1952 2.3.1).
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Members of one gzip stream. Each is set up anew, which costs more than its twenty bytes.
const MAX_MEMBERS: usize = 1_000;

/// What `packed` holds.
///
/// # Errors
/// A stream that is broken, ends too early or has something behind it; more than `MAX_BYTES`.
pub(super) fn unpack(packed: &[u8], encoding: Encoding) -> Result<Vec<u8>, Unreadable> {
    if encoding == Encoding::Gzip && !packed.starts_with(&MAGIC) {
        return Err(Unreadable::new("is no gzip stream: it does not begin with the bytes 1f 8b"));
    }
    let mut rest = packed;
    let mut unpacked = Vec::new();
    // One byte more tells what is too large from what just fits.
    let room = |unpacked: &Vec<u8>| (MAX_BYTES + 1).saturating_sub(unpacked.len()) as u64;
    let (name, result) = match encoding {
        Encoding::Gzip => {
            let mut members = 0;
            // A file of several members is one stream (RFC 1952 2.2): loggers append to it.
            let result = loop {
                let member = GzDecoder::new(&mut rest).take(room(&unpacked)).read_to_end(&mut unpacked);
                members += 1;
                if member.is_err() || rest.is_empty() || unpacked.len() > MAX_BYTES {
                    break member;
                }
                if members == MAX_MEMBERS {
                    return Err(Unreadable::too_large(format!("has more than {MAX_MEMBERS} gzip members")));
                }
            };
            ("gzip", result)
        }
        Encoding::Zlib => ("zlib", ZlibDecoder::new(&mut rest).take(room(&unpacked)).read_to_end(&mut unpacked)),
    };
    let at = packed.len() - rest.len();
    if unpacked.len() > MAX_BYTES {
        let detail = format!("is more than {MAX_BYTES} bytes when it is unpacked as {name}, which is the most");
        return Err(Unreadable::too_large(detail));
    }
    if let Err(error) = result {
        return Err(Unreadable::new(format!(
            "is no {name} stream: {error} at byte {at}, after {} bytes were unpacked",
            unpacked.len()
        )));
    }
    if !rest.is_empty() {
        return Err(Unreadable::new(format!("has {} bytes behind its {name} stream, from byte {at} on", rest.len())));
    }
    Ok(unpacked)
}
