//! Durations and sizes as people write them: a whole number and its unit.

use std::time::Duration;

/// Reads `500ms`, `5s`, `10m`, `2h`, `7d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3_600).map(Duration::from_secs),
        "d" => number.checked_mul(86_400).map(Duration::from_secs),
        _ => None,
    }
}

/// Reads `512B`, `64KiB`, `1MiB`, `1GiB` as bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// Writes what `duration` reads, in the largest unit that is exact.
pub fn write_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if duration.subsec_millis() > 0 {
        return format!("{}ms", duration.as_millis());
    }
    match [(86_400, "d"), (3_600, "h"), (60, "m")].iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_whole_number_and_a_unit() {
        for (text, ms) in [("500ms", 500), ("5s", 5_000), ("10m", 600_000), ("2h", 7_200_000), ("7d", 604_800_000)] {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
            assert_eq!(write_duration(Duration::from_millis(ms)), text);
        }
        for text in ["", "5", "s", "5 s", "-5s", "1.5h", "5S", "5min", "99999999999999999999s", "18446744073709551615d"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_size_is_a_whole_number_and_a_binary_unit() {
        for (text, bytes) in [("512B", 512), ("64KiB", 65_536), ("1MiB", 1_048_576), ("2GiB", 2_147_483_648)] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "5", "1MB", "1 MiB", "1mib", "99999999999GiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
