//! `decode = "duration"`: how long, in seconds.

use jiff::Span;

use crate::mapping::number;

/// The seconds of a duration, as decimal digits: `1T02:03:04`, `1d 2h 3m`, `02:03:04`, `P1DT2H`, or a number of seconds.
///
/// A day has 24 hours. `None` if `text` is no duration: years and months, which have no fixed length, and `02:03`, which
/// may be hours and minutes or minutes and seconds, are none.
pub(super) fn seconds(text: &str) -> Option<String> {
    if number::is_number(text) {
        return Some(text.to_owned());
    }
    let span: Span = match days_and_clock(text) {
        Some(friendly) => friendly.parse(),
        None => text.parse(),
    }
    .ok()?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return None;
    }
    let days = i128::from(span.get_weeks()) * 7 + i128::from(span.get_days());
    let minutes = (days * 24 + i128::from(span.get_hours())) * 60 + i128::from(span.get_minutes());
    let millis = (minutes * 60 + i128::from(span.get_seconds())) * 1_000 + i128::from(span.get_milliseconds());
    let nanos = (millis * 1_000 + i128::from(span.get_microseconds())) * 1_000 + i128::from(span.get_nanoseconds());
    Some(decimal(nanos))
}

/// `1T02:03:04`, as Tasmota writes it, in the words of jiff.
fn days_and_clock(text: &str) -> Option<String> {
    let (days, clock) = text.split_once('T')?;
    let digits = days.strip_prefix(['-', '+']).unwrap_or(days);
    let all = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    (all && clock.contains(':')).then(|| format!("{days}d {clock}"))
}

fn decimal(nanos: i128) -> String {
    let (sign, amount) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let (whole, fraction) = (amount / 1_000_000_000, amount % 1_000_000_000);
    let text = format!("{sign}{whole}.{fraction:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_duration_is_its_seconds() {
        for (text, expected) in [
            ("1T02:03:04", Some("93784")),
            ("0T18:36:12", Some("66972")),
            ("-1T00:00:01", Some("-86401")),
            ("02:03:04", Some("7384")),
            ("-00:00:10", Some("-10")),
            ("100:00:00", Some("360000")),
            ("00:00:01.25", Some("1.25")),
            ("1d 2h 3m", Some("93780")),
            ("1d2h3m4s", Some("93784")),
            ("1 day, 2 hours", Some("93600")),
            ("3 days 01:00:00", Some("262800")),
            ("1w", Some("604800")),
            ("1.5h", Some("5400")),
            ("250ms", Some("0.25")),
            ("-1h 30m", Some("-5400")),
            ("12 min", Some("720")),
            ("P1DT2H", Some("93600")),
            ("PT0.5S", Some("0.5")),
            ("-PT5M", Some("-300")),
            ("P1W", Some("604800")),
            ("3600", Some("3600")),
            ("-1.5e3", Some("-1.5e3")),
            ("0s", Some("0")),
            // Months and years have no length in seconds.
            ("P5M", None),
            ("P1Y", None),
            ("1mo", None),
            // Hours and minutes, or minutes and seconds?
            ("02:03", None),
            ("", None),
            ("T", None),
            ("T01:00:00", None),
            ("1T", None),
            ("x1T00:00:00", None),
            ("soon", None),
            ("1h 2", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(seconds(text).as_deref(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_duration_reads_back_whatever_its_writing(
            negative in any::<bool>(), days in 0_i64..10_000, hours in 0_i64..24, minutes in 0_i64..60,
            seconds in 0_i64..60, millis in 0_i64..1_000,
        ) {
            let sign = if negative { "-" } else { "" };
            let total = (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1_000 + millis;
            let expected = if negative { -total } else { total };
            for text in [
                format!("{sign}{days}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}"),
                format!("{sign}{days}d {hours}h {minutes}m {seconds}s {millis}ms"),
                format!("{sign}{:02}:{minutes:02}:{seconds:02}.{millis:03}", days * 24 + hours),
                format!("{sign}P{days}DT{hours}H{minutes}M{seconds}.{millis:03}S"),
            ] {
                let read = super::seconds(&text).and_then(|digits| number::Decimal::parse(&digits)?.cut(3));
                prop_assert_eq!(read, Some(expected), "{}", text);
            }
        }

        #[test]
        fn no_text_panics(text in "[-+0-9TPDHMSdhms:. ,é]{0,24}|.{0,16}") {
            if let Some(digits) = super::seconds(&text) {
                prop_assert!(number::is_number(&digits), "{} from {}", digits, text);
            }
        }
    }
}
