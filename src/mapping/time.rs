//! Times in payloads: by magnitude, RFC 3339, or a format; precise to the microsecond, cut, not rounded.
//!
//! Everything is relative to the time of receipt, never to a clock: a message maps alike whenever it is replayed.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::{strtime, temporal};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use super::number::Decimal;
use super::pattern::Wrong;
use super::words::nearest;
use crate::message::Time;

/// Unit of a number that is a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    /// # Errors
    /// Another word.
    pub fn parse(word: &str) -> Result<Self, Wrong> {
        match word {
            "s" => Ok(Self::Seconds),
            "ms" => Ok(Self::Millis),
            "us" | "µs" | "μs" => Ok(Self::Micros),
            "ns" => Ok(Self::Nanos),
            _ => Err(Wrong::new(
                format!("`{word}` is no unit of time"),
                "write `s`, `ms`, `us` or `ns`, or leave it out: it is found by magnitude",
            )),
        }
    }

    /// Microseconds are this power of ten of it.
    const fn power(self) -> i32 {
        match self {
            Self::Seconds => 6,
            Self::Millis => 3,
            Self::Micros => 0,
            Self::Nanos => -3,
        }
    }

    /// Seconds up to the year 5138, then milliseconds, microseconds, nanoseconds.
    fn by_magnitude(number: Decimal) -> Self {
        if number.is_below(11) {
            Self::Seconds
        } else if number.is_below(14) {
            Self::Millis
        } else if number.is_below(17) {
            Self::Micros
        } else {
            Self::Nanos
        }
    }
}

/// Kiritimati is the furthest, at +14:00.
const MAX_OFFSET_SECONDS: i32 = 14 * 3_600;

/// How a time is written.
#[derive(Clone, Debug)]
pub(super) enum Style {
    /// A number in this unit.
    Unit(Unit),
    /// strftime's conversions, as jiff has them.
    Format(Box<str>),
}

/// What became of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    At(Time),
    /// A number too large for any date.
    Beyond,
    /// A date and a time of day, but nobody says where.
    NoZone,
    Unreadable,
}

impl Moment {
    /// A leap second is no moment of its own to any store: it is the second after it.
    fn next_second(self) -> Self {
        match self {
            Self::At(time) => Self::At(Time(time.0 + 1_000_000)),
            Self::Beyond | Self::NoZone | Self::Unreadable => self,
        }
    }
}

/// Years 1 to 9999: what both stores hold and everybody can print.
pub(super) fn is_storable(time: Time) -> bool {
    (-62_135_596_800_000_000..=253_402_300_799_999_999).contains(&time.0)
}

/// Reads `text`; without `style` a number is read by its magnitude and other text as RFC 3339.
pub(super) fn read(text: &str, style: Option<&Style>, zone: Option<&TimeZone>, received_at: Time) -> Moment {
    match style {
        Some(Style::Format(format)) => formatted(text, format, zone, received_at),
        Some(Style::Unit(unit)) => Decimal::parse(text).map_or(Moment::Unreadable, |number| micros(number, *unit)),
        None => match Decimal::parse(text) {
            Some(number) => micros(number, Unit::by_magnitude(number)),
            None => written_out(text, zone, received_at),
        },
    }
}

/// Reads a span that is counted from another moment, in microseconds; seconds unless `style` says otherwise.
pub(super) fn read_span(text: &str, style: Option<&Style>) -> Option<i64> {
    let unit = match style {
        Some(Style::Unit(unit)) => *unit,
        Some(Style::Format(_)) | None => Unit::Seconds,
    };
    Decimal::parse(text)?.cut(unit.power())
}

/// Reads a time of day (`12:30`, `12:30:05.5`) on a date that stands by itself (`2024-05-01`, or as `format` says):
/// together a local time. `None` if one of them is something else.
pub(super) fn on_date(
    date: &str,
    format: Option<&Style>,
    time: &str,
    zone: Option<&TimeZone>,
    received_at: Time,
) -> Option<Moment> {
    let of = |text: &str, others: &[char]| text.chars().all(|c| c.is_ascii_digit() || others.contains(&c));
    if !of(time, &[':', '.', ',']) || !time.contains(':') {
        return None;
    }
    let date = match format {
        Some(Style::Format(format)) => {
            let read = strtime::parse(&**format, date).ok()?;
            Cow::Owned(read.to_date().ok().filter(|_| read.hour().is_none())?.to_string())
        }
        Some(Style::Unit(_)) | None => {
            Some(Cow::Borrowed(date)).filter(|date| of(date, &['-']) && date.contains('-'))?
        }
    };
    // jiff wants two digits of an hour, and clocks write one before ten.
    let zero = if time.find(':') == Some(1) { "0" } else { "" };
    match written_out(&format!("{date}T{zero}{time}"), zone, received_at) {
        Moment::Unreadable => None,
        moment => Some(moment),
    }
}

fn micros(number: Decimal, unit: Unit) -> Moment {
    number.cut(unit.power()).map_or(Moment::Beyond, |micros| Moment::At(Time(micros)))
}

fn written_out(text: &str, zone: Option<&TimeZone>, received_at: Time) -> Moment {
    const PARSER: temporal::DateTimeParser = temporal::DateTimeParser::new();
    let moment = if let Ok(timestamp) = PARSER.parse_timestamp(text) {
        Moment::At(Time(timestamp.as_microsecond()))
    } else if text.contains('[') {
        // A `[Zone]` behind it that jiff does not know must not make the rest of it a local time.
        Moment::Unreadable
    } else {
        PARSER.parse_datetime(text).map_or(Moment::Unreadable, |civil| in_zone(civil, zone, received_at))
    };
    if is_leap_second(text) { moment.next_second() } else { moment }
}

/// Whether a time of ISO 8601 is of a leap second (`23:59:60`, `235960`), which jiff reads as the second before.
fn is_leap_second(text: &str) -> bool {
    let Some((_, time)) = text.split_once(['T', 't', ' ']) else { return false };
    match time.as_bytes() {
        [_, _, b':', _, _, b':', b'6', b'0', ..] => true,
        [hour @ b'0'..=b'2', _, _, _, b'6', b'0', ..] => hour.is_ascii_digit() && !time[..4].contains(':'),
        _ => false,
    }
}

fn formatted(text: &str, format: &str, zone: Option<&TimeZone>, received_at: Time) -> Moment {
    let Ok(parsed) = strtime::parse(format, text) else { return Moment::Unreadable };
    let moment = broken_down(&parsed, zone, received_at);
    if is_leap_second_by(&parsed, format, text) { moment.next_second() } else { moment }
}

/// The same where a format says which digits are the seconds: those that, written otherwise, change them.
fn is_leap_second_by(parsed: &strtime::BrokenDownTime, format: &str, text: &str) -> bool {
    parsed.second() == Some(59)
        && text.match_indices("60").any(|(at, digits)| {
            let other = format!("{}58{}", &text[..at], &text[at + digits.len()..]);
            strtime::parse(format, other).is_ok_and(|parsed| parsed.second() == Some(58))
        })
}

fn broken_down(parsed: &strtime::BrokenDownTime, zone: Option<&TimeZone>, received_at: Time) -> Moment {
    if let Ok(timestamp) = parsed.to_timestamp() {
        return Moment::At(Time(timestamp.as_microsecond()));
    }
    if let Some(name) = parsed.iana_time_zone() {
        let Ok(zone) = TimeZone::get(name) else { return Moment::Unreadable };
        return parsed.to_datetime().map_or(Moment::Unreadable, |civil| in_zone(civil, Some(&zone), received_at));
    }
    let civil = parsed.to_datetime().or_else(|_| parsed.to_date().map(|date| date.at(0, 0, 0, 0)));
    civil.map_or(Moment::Unreadable, |civil| in_zone(civil, zone, received_at))
}

/// A repeated hour is the candidate nearest to receipt; a skipped one is shifted forward.
fn in_zone(civil: DateTime, zone: Option<&TimeZone>, received_at: Time) -> Moment {
    let Some(zone) = zone else { return Moment::NoZone };
    let ambiguous = zone.to_ambiguous_timestamp(civil);
    let timestamp = match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Gap { .. } => ambiguous.compatible(),
        AmbiguousOffset::Fold { before, after } => {
            let away = |offset: Offset| {
                offset.to_timestamp(civil).map_or(u64::MAX, |at| at.as_microsecond().abs_diff(received_at.0))
            };
            if away(after) < away(before) { ambiguous.later() } else { ambiguous.earlier() }
        }
    };
    timestamp.map_or(Moment::Beyond, |timestamp| Moment::At(Time(timestamp.as_microsecond())))
}

/// A zone of the IANA data base, `UTC`, or a fixed offset such as `+02:00`.
///
/// # Errors
/// An unknown name, with the nearest known one.
pub(super) fn zone(name: &str) -> Result<TimeZone, Wrong> {
    if name.starts_with(['+', '-'])
        && let Ok(parsed) = strtime::parse("%:z", name)
        && let Some(offset) = parsed.offset()
    {
        if offset.seconds().abs() > MAX_OFFSET_SECONDS {
            return Err(Wrong::new(
                format!("no clock of the world is `{name}` from UTC"),
                "write an offset from `-14:00` to `+14:00`, or a name of the IANA data base such as `Europe/Lisbon`",
            ));
        }
        return Ok(TimeZone::fixed(offset));
    }
    TimeZone::get(name).map_err(|_| {
        let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        let remedy = nearest(name, known.iter().map(String::as_str)).map_or_else(
            || {
                "write a name of the IANA data base such as `Europe/Lisbon`, `UTC`, or an offset such as `+02:00`"
                    .to_owned()
            },
            |known| format!("did you mean `{known}`?"),
        );
        Wrong::new(format!("there is no time zone `{name}`"), remedy)
    })
}

/// Checks a format by writing a time in it and reading that back.
///
/// # Errors
/// A conversion that does not exist, or a format that has no date.
pub(super) fn check_format(format: &str) -> Result<(), Wrong> {
    let remedy = "write strftime's conversions, such as `%Y-%m-%d %H:%M:%S`";
    let sample = Timestamp::UNIX_EPOCH.to_zoned_datetime(TimeZone::UTC);
    let written = strtime::format(format, &sample)
        .map_err(|error| Wrong::new(format!("`{format}` is no format of a time: {error}"), remedy))?;
    match formatted(&written, format, Some(&TimeZone::UTC), Time(0)) {
        Moment::At(_) => Ok(()),
        Moment::Beyond | Moment::NoZone | Moment::Unreadable => {
            Err(Wrong::new(format!("`{format}` does not say the date, so no moment can be read by it"), remedy))
        }
    }
}

/// A bound such as `not_before`: RFC 3339, or a date or local time, in UTC unless there is a zone.
pub(super) fn bound(text: &str, zone: Option<&TimeZone>) -> Result<Time, Wrong> {
    match written_out(text, Some(zone.unwrap_or(&TimeZone::UTC)), Time(0)) {
        Moment::At(time) => Ok(time),
        Moment::Beyond | Moment::NoZone | Moment::Unreadable => Err(Wrong::new(
            format!("`{text}` is neither a date nor a time"),
            "write `2020-01-01` or `2020-01-01T00:00:00Z`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time(text.parse::<Timestamp>().unwrap().as_microsecond())
    }

    fn reads(text: &str, style: Option<Style>, zone_name: Option<&str>, received: &str) -> String {
        let zone = zone_name.map(|name| zone(name).unwrap());
        match read(text, style.as_ref(), zone.as_ref(), at(received)) {
            Moment::At(time) => time.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn numbers_are_read_by_magnitude_and_cut_to_microseconds() {
        for (text, expected) in [
            ("1661461942", "2022-08-25T21:12:22Z"),
            ("1661461942.1234567", "2022-08-25T21:12:22.123456Z"),
            ("1661461942123", "2022-08-25T21:12:22.123Z"),
            ("1661461942123456", "2022-08-25T21:12:22.123456Z"),
            ("1661461942123456789", "2022-08-25T21:12:22.123456Z"),
            ("1.661461942e9", "2022-08-25T21:12:22Z"),
            ("0", "1970-01-01T00:00:00Z"),
            ("-1", "1969-12-31T23:59:59Z"),
            ("1e40", "Beyond"),
        ] {
            assert_eq!(reads(text, None, None, "2024-01-01T00:00:00Z"), expected, "{text}");
        }
    }

    #[test]
    fn texts_are_read_with_their_offset_or_in_the_zone() {
        for (text, zone, received, expected) in [
            ("2022-08-25T21:12:53.828332832Z", None, "2022-08-25T00:00:00Z", "2022-08-25T21:12:53.828332Z"),
            ("2021-06-27T15:03:44+02:00", None, "2022-01-01T00:00:00Z", "2021-06-27T13:03:44Z"),
            ("2021-06-27 15:03:44+0200", None, "2022-01-01T00:00:00Z", "2021-06-27T13:03:44Z"),
            ("2019-10-31T18:55:09", None, "2022-01-01T00:00:00Z", "NoZone"),
            ("2019-10-31T18:55:09", Some("Europe/Zurich"), "2022-01-01T00:00:00Z", "2019-10-31T17:55:09Z"),
            ("2019-10-31 18:55:09", Some("+05:30"), "2022-01-01T00:00:00Z", "2019-10-31T13:25:09Z"),
            ("2019-10-31", Some("UTC"), "2022-01-01T00:00:00Z", "2019-10-31T00:00:00Z"),
            ("yesterday", Some("UTC"), "2022-01-01T00:00:00Z", "Unreadable"),
            ("2019-10-31T18:55:09[Nowhere/Here]", Some("UTC"), "2022-01-01T00:00:00Z", "Unreadable"),
        ] {
            assert_eq!(reads(text, None, zone, received), expected, "{text} in {zone:?} at {received}");
        }
    }

    #[test]
    fn an_hour_that_comes_twice_is_the_one_nearest_to_receipt() {
        for (local, zone, received, expected) in [
            ("2024-10-27T02:30:00", "Europe/Zurich", "2024-10-27T00:31:00Z", "2024-10-27T00:30:00Z"),
            ("2024-10-27T02:30:00", "Europe/Zurich", "2024-10-27T01:31:00Z", "2024-10-27T01:30:00Z"),
            // In the middle between them it is the earlier one.
            ("2024-10-27T02:30:00", "Europe/Zurich", "2024-10-27T01:00:00Z", "2024-10-27T00:30:00Z"),
            // Received long after, as from a queue: the later one. Received before: the clock of the device is ahead.
            ("2024-10-27T02:30:00", "Europe/Zurich", "2024-11-01T00:00:00Z", "2024-10-27T01:30:00Z"),
            ("2024-10-27T02:30:00", "Europe/Zurich", "2024-10-26T00:00:00Z", "2024-10-27T00:30:00Z"),
            // The first and the last moment of it, and those around it, which come once.
            ("2024-10-27T02:00:00", "Europe/Zurich", "2024-10-27T02:00:00Z", "2024-10-27T01:00:00Z"),
            ("2024-10-27T02:59:59.999999", "Europe/Zurich", "2024-10-27T00:00:00Z", "2024-10-27T00:59:59.999999Z"),
            ("2024-10-27T01:59:59", "Europe/Zurich", "2024-10-27T05:00:00Z", "2024-10-26T23:59:59Z"),
            ("2024-10-27T03:00:00", "Europe/Zurich", "2024-10-27T00:00:00Z", "2024-10-27T02:00:00Z"),
            // Half an hour only, and the other half of the world.
            ("2024-04-07T01:45:00", "Australia/Lord_Howe", "2024-04-06T15:16:00Z", "2024-04-06T15:15:00Z"),
            ("2024-04-07T01:15:00", "Australia/Lord_Howe", "2024-04-07T00:00:00Z", "2024-04-06T14:15:00Z"),
            ("2024-11-03T01:30:00", "America/New_York", "2024-11-03T06:31:00Z", "2024-11-03T06:30:00Z"),
        ] {
            assert_eq!(reads(local, None, Some(zone), received), expected, "{local} in {zone} at {received}");
        }
    }

    #[test]
    fn an_hour_that_is_skipped_is_shifted_forward() {
        for (local, zone, expected) in [
            ("2024-03-31T02:30:00", "Europe/Zurich", "2024-03-31T01:30:00Z"),
            ("2024-03-31T02:00:00", "Europe/Zurich", "2024-03-31T01:00:00Z"),
            ("2024-03-31T01:59:59", "Europe/Zurich", "2024-03-31T00:59:59Z"),
            ("2024-03-31T03:00:00", "Europe/Zurich", "2024-03-31T01:00:00Z"),
            ("2024-10-06T02:15:00", "Australia/Lord_Howe", "2024-10-05T15:45:00Z"),
            // A day that Samoa never had.
            ("2011-12-30T12:00:00", "Pacific/Apia", "2011-12-30T22:00:00Z"),
        ] {
            for received in ["2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"] {
                assert_eq!(reads(local, None, Some(zone), received), expected, "{local} in {zone} at {received}");
            }
        }
    }

    #[test]
    fn an_offset_in_the_payload_decides_whatever_the_zone_says() {
        for (text, expected) in [
            ("2024-10-27T02:30:00+02:00", "2024-10-27T00:30:00Z"),
            ("2024-10-27T02:30:00+01:00", "2024-10-27T01:30:00Z"),
            ("2024-03-31T02:30:00+01:00", "2024-03-31T01:30:00Z"),
            ("2024-07-01T12:00:00Z", "2024-07-01T12:00:00Z"),
        ] {
            assert_eq!(reads(text, None, Some("Europe/Zurich"), "2024-10-27T03:00:00Z"), expected, "{text}");
        }
    }

    #[test]
    fn a_date_alone_is_its_first_moment_where_the_device_is() {
        for (text, zone, expected) in [
            ("2024-07-01", "Europe/Zurich", "2024-06-30T22:00:00Z"),
            ("2024-07-01", "UTC", "2024-07-01T00:00:00Z"),
            // Midnight is skipped there.
            ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z"),
        ] {
            assert_eq!(reads(text, None, Some(zone), "2024-07-01T12:00:00Z"), expected, "{text} in {zone}");
        }
        assert_eq!(reads("2024-07-01", None, None, "2024-07-01T12:00:00Z"), "NoZone");
    }

    #[test]
    fn a_leap_second_is_the_next_second() {
        let format = |format: &str| Some(Style::Format(format.into()));
        for (text, style, zone, expected) in [
            ("2016-12-31T23:59:60Z", None, None, "2017-01-01T00:00:00Z"),
            ("2016-12-31T23:59:60.25Z", None, None, "2017-01-01T00:00:00.25Z"),
            ("2017-01-01T00:59:60+01:00", None, None, "2017-01-01T00:00:00Z"),
            ("2016-12-31 23:59:60", None, Some("UTC"), "2017-01-01T00:00:00Z"),
            ("2017-01-01T00:59:60", None, Some("Europe/Zurich"), "2017-01-01T00:00:00Z"),
            ("20161231T235960Z", None, None, "2017-01-01T00:00:00Z"),
            ("31.12.2016 23:59:60", format("%d.%m.%Y %H:%M:%S"), Some("UTC"), "2017-01-01T00:00:00Z"),
            ("60 59 23 31.12.16", format("%S %M %H %d.%m.%y"), Some("UTC"), "2017-01-01T00:00:00Z"),
            // These are none.
            ("2016-12-31T23:59:59Z", None, None, "2016-12-31T23:59:59Z"),
            ("2060-12-31T23:59:59.60Z", None, None, "2060-12-31T23:59:59.6Z"),
            ("31.12.2060 23:59:59", format("%d.%m.%Y %H:%M:%S"), Some("UTC"), "2060-12-31T23:59:59Z"),
            ("2016-12-31T23:59:61Z", None, None, "Unreadable"),
        ] {
            assert_eq!(reads(text, style, zone, "2017-01-01T00:00:00Z"), expected, "{text}");
        }
    }

    #[test]
    fn formats_and_units_are_obeyed() {
        let format = |format: &str| Some(Style::Format(format.into()));
        for (text, style, zone, expected) in [
            ("31.12.2023 23:59", format("%d.%m.%Y %H:%M"), Some("UTC"), "2023-12-31T23:59:00Z"),
            ("31.12.2023", format("%d.%m.%Y"), Some("UTC"), "2023-12-31T00:00:00Z"),
            ("31.12.2023 23:59", format("%d.%m.%Y %H:%M"), None, "NoZone"),
            ("20231231T235900+0100", format("%Y%m%dT%H%M%S%z"), None, "2023-12-31T22:59:00Z"),
            ("nonsense", format("%d.%m.%Y"), Some("UTC"), "Unreadable"),
            ("1000", Some(Style::Unit(Unit::Millis)), None, "1970-01-01T00:00:01Z"),
            ("x", Some(Style::Unit(Unit::Millis)), None, "Unreadable"),
        ] {
            assert_eq!(reads(text, style, zone, "2024-01-01T00:00:00Z"), expected, "{text}");
        }
    }

    #[test]
    fn wrong_zones_formats_and_units_are_named() {
        assert!(zone("Europe/Lisbn").unwrap_err().remedy.contains("Europe/Lisbon"));
        assert!(zone("Nowhere").is_err() && zone("").is_err() && zone("+99:00").is_err());
        for far in ["+25:00", "-14:01", "+14:30"] {
            let wrong = zone(far).unwrap_err();
            assert!(wrong.what.contains(far) && wrong.remedy.contains("`+14:00`"), "{wrong:?}");
        }
        assert!(zone("+14:00").is_ok() && zone("-12:00").is_ok() && zone("+05:45").is_ok());
        for format in ["%Q!", "%", "%H:%M", "no conversion", ""] {
            assert!(check_format(format).is_err(), "{format}");
        }
        for format in ["%s", "%Y-%m-%d", "%d/%m/%y %I:%M %p", "%A, %d %B %Y %H:%M:%S%.f", "%Y-%j"] {
            check_format(format).unwrap_or_else(|wrong| panic!("{format}: {wrong:?}"));
        }
        assert!(Unit::parse("sec").is_err());
        assert_eq!(bound("2020-01-01", None).unwrap(), at("2020-01-01T00:00:00Z"));
        assert!(bound("last year", None).is_err());
    }
}
