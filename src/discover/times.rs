//! Whether a value is a moment, and what is missing to know which.

use crate::message::Time;

/// How a text writes a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// RFC 3339, with an offset or `Z`.
    Zoned,
    /// The same without: in a zone that only the device's owner knows.
    Local,
    /// A local time by this format.
    Format(&'static str),
}

/// The moment that `text` may be, by its form alone.
pub(super) fn read(text: &str) -> Option<Written> {
    let text = text.trim();
    let form: String = text.chars().take(40).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let form = form.as_str();
    if let Some(rest) = form.strip_prefix("0000-00-00") {
        let rest = rest.strip_prefix(['T', 't', ' '])?;
        let rest = rest.strip_prefix("00:00")?;
        let rest = rest.strip_prefix(":00").unwrap_or(rest);
        let rest = rest.strip_prefix('.').map_or(rest, |rest| rest.trim_start_matches('0'));
        return match rest {
            "" => Some(Written::Local),
            "Z" | "z" | "+00:00" | "-00:00" | " +00:00" | " UTC" => (rest != " UTC").then_some(Written::Zoned),
            _ => None,
        };
    }
    match form {
        "00.00.0000 00:00:00" => Some(Written::Format("%d.%m.%Y %H:%M:%S")),
        "00.00.0000 00:00" => Some(Written::Format("%d.%m.%Y %H:%M")),
        "0000/00/00 00:00:00" => Some(Written::Format("%Y/%m/%d %H:%M:%S")),
        "0000/00/00 00:00" => Some(Written::Format("%Y/%m/%d %H:%M")),
        _ => None,
    }
}

/// Whether a number is a moment near `near` in seconds, milliseconds, microseconds or nanoseconds since 1970: from the
/// year 2000 to a year after `near`.
pub(super) fn is_epoch(number: f64, near: Time) -> bool {
    let magnitude = number.abs();
    let seconds = if magnitude < 1e11 {
        number
    } else if magnitude < 1e14 {
        number / 1e3
    } else if magnitude < 1e17 {
        number / 1e6
    } else {
        number / 1e9
    };
    #[expect(clippy::cast_precision_loss, reason = "a year more or less")]
    let near = near.0 as f64 / 1e6;
    seconds > 946_684_800.0 && seconds < near + 31_536_000.0
}

/// Whether all of them are such texts as `decode = "duration"` reads, and not times of the day.
pub(super) fn is_duration(text: &str) -> bool {
    let text = text.trim();
    let form: String = text.chars().take(40).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    if text.starts_with('P') && text.len() > 2 && text[1..].chars().all(|c| c.is_ascii_digit() || "TDHMS.W".contains(c))
    {
        return !text.contains('Y')
            && (text.contains('T') || !text.contains('M'))
            && text.contains(|c: char| c.is_ascii_digit());
    }
    if let Some((days, clock)) = form.split_once('T') {
        return !days.is_empty() && days.chars().all(|c| c == '0') && clock == "00:00:00";
    }
    let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    words.len() > 1
        && words.iter().all(|word| {
            let unit = word.trim_start_matches(|c: char| c.is_ascii_digit());
            unit.len() < word.len() && ["d", "h", "m", "s"].contains(&unit)
        })
}
