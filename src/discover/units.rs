//! Units and kinds by the words of a key, and by what the values are like.

use super::shape::Numbers;
use super::words::words;

/// What a name says of a number.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Unit {
    pub unit: Option<&'static str>,
    /// Why, for the comment; empty if the key itself bears the unit.
    pub why: &'static str,
    pub total: bool,
    /// Of a device that sends thousandths.
    pub thousandths: bool,
}

/// Last words of keys that are units.
const SUFFIXES: &[(&str, &str)] = &[
    ("kwh", "kWh"),
    ("wh", "Wh"),
    ("mwh", "MWh"),
    ("kw", "kW"),
    ("w", "W"),
    ("watt", "W"),
    ("watts", "W"),
    ("va", "VA"),
    ("var", "var"),
    ("kva", "kVA"),
    ("kvarh", "kvarh"),
    ("v", "V"),
    ("mv", "mV"),
    ("volt", "V"),
    ("volts", "V"),
    ("a", "A"),
    ("ma", "mA"),
    ("amp", "A"),
    ("amps", "A"),
    ("hz", "Hz"),
    ("khz", "kHz"),
    ("mhz", "MHz"),
    ("pct", "%"),
    ("percent", "%"),
    ("percentage", "%"),
    ("hpa", "hPa"),
    ("kpa", "kPa"),
    ("pa", "Pa"),
    ("mbar", "mbar"),
    ("bar", "bar"),
    ("psi", "psi"),
    ("mm", "mm"),
    ("cm", "cm"),
    ("km", "km"),
    ("kmh", "km/h"),
    ("kph", "km/h"),
    ("mph", "mph"),
    ("dbm", "dBm"),
    ("db", "dB"),
    ("lx", "lx"),
    ("lux", "lx"),
    ("ppm", "ppm"),
    ("ppb", "ppb"),
    ("m3", "m³"),
    ("m3h", "m³/h"),
    ("l", "L"),
    ("ml", "mL"),
    ("liter", "L"),
    ("liters", "L"),
    ("rpm", "rpm"),
    ("deg", "°"),
    ("degrees", "°"),
    ("kg", "kg"),
    ("celsius", "°C"),
    ("fahrenheit", "°F"),
    ("degc", "°C"),
    ("degf", "°F"),
    ("sec", "s"),
    ("secs", "s"),
    ("seconds", "s"),
    ("minutes", "min"),
    ("hours", "h"),
    ("days", "d"),
    ("bytes", "B"),
    ("ms", "ms"),
    ("ugm3", "µg/m³"),
    ("uscm", "µS/cm"),
    ("gal", "gal"),
    ("ohm", "Ω"),
];

/// Units as devices write them beside a value, and as people do.
pub(super) fn proper(unit: &str) -> &str {
    const NAMES: &[(&str, &str)] = &[
        ("c", "°C"),
        ("cel", "°C"),
        ("celsius", "°C"),
        ("degc", "°C"),
        ("℃", "°C"),
        ("f", "°F"),
        ("fahrenheit", "°F"),
        ("degf", "°F"),
        ("℉", "°F"),
        ("watt", "W"),
        ("watts", "W"),
        ("volt", "V"),
        ("volts", "V"),
        ("ampere", "A"),
        ("amps", "A"),
        ("amp", "A"),
        ("%rh", "%"),
        ("percent", "%"),
        ("m3", "m³"),
        ("lux", "lx"),
        ("seconds", "s"),
        ("second", "s"),
        ("sec", "s"),
        ("minutes", "min"),
        ("hours", "h"),
        ("days", "d"),
        ("ug/m3", "µg/m³"),
        ("µg/m3", "µg/m³"),
        ("degrees", "°"),
    ];
    NAMES.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name)).map_or(unit, |(_, proper)| proper)
}

/// Whether `unit` is one that a number may stand before, glued to it.
pub(super) fn is_unit(unit: &str) -> bool {
    let proper = proper(unit);
    proper != unit
        || ["°C", "°F", "%", "°", "K"].contains(&unit)
        || SUFFIXES.iter().any(|(word, written)| *written == unit || unit.eq_ignore_ascii_case(word))
        || [
            "s", "m", "h", "min", "km/h", "m/s", "µg/m³", "µg/m3", "mg/m³", "B", "kB", "KB", "MB", "GB", "KiB", "MiB",
            "l/h", "l/min", "m³/h", "g",
        ]
        .contains(&unit)
}

/// The unit that the key and the values speak for.
pub(super) fn unit_of(key: &str, numbers: Option<&Numbers>) -> Unit {
    let words = words(key);
    let has = |wanted: &[&str]| {
        words.iter().any(|word| {
            wanted.contains(&word.trim_end_matches(|c: char| c.is_ascii_digit())) || wanted.contains(&&**word)
        })
    };
    let whole_key = key.to_lowercase();
    let (min, max) =
        numbers.filter(|numbers| numbers.count > 0).map_or((0.0, 0.0), |numbers| (numbers.min, numbers.max));
    let total_word = has(&[
        "total",
        "energy",
        "yield",
        "import",
        "export",
        "imported",
        "exported",
        "consumption",
        "delivered",
        "returned",
        "today",
        "counter",
        "tot",
    ]) && !has(&[
        "power",
        "currently",
        "current",
        "cost",
        "average",
        "avg",
        "max",
        "min",
        "voltage",
        "memory",
        "ram",
        "heap",
        "rel",
        "ratio",
        "rate",
        "self",
    ]);
    let temperature = has(&["temperature", "temp", "tempc", "tempf", "dewpoint", "dew", "dp"]) || whole_key == "t";
    let plain = |unit, why| Unit { unit: Some(unit), why, ..Unit::default() };

    let last = words.last().map_or("", String::as_str);
    if temperature {
        return match last {
            "f" | "tempf" | "fahrenheit" => plain("°F", ""),
            "c" | "tempc" | "celsius" => plain("°C", ""),
            "k" => plain("K", ""),
            _ if min < -60.0 || max > 400.0 => Unit::default(),
            _ => plain("°C", "by its name; or is it °F?"),
        };
    }
    if ["in", "inch", "inches"].contains(&last) && has(&["rain", "precipitation"]) {
        return Unit { total: min >= 0.0, ..plain("in", "") };
    }
    let suffix = SUFFIXES.iter().find(|(word, _)| *word == last && (words.len() > 1 || whole_key.len() > 2));
    if let Some((_, unit)) = suffix {
        let energy = ["kWh", "Wh", "MWh", "m³", "kvarh"].contains(unit);
        let total = (energy && min >= 0.0 && !has(&["target", "max", "min", "capacity", "limit"]))
            || (*unit == "mm" && has(&["rain", "precipitation"]));
        return Unit { total, ..plain(unit, "") };
    }
    if has(&["humidity", "hum", "moisture"]) && min >= 0.0 && max <= 110.0 {
        return plain("%", "by its name");
    }
    if has(&["battery", "batt", "soc"])
        && !has(&["power", "voltage", "current", "low", "ok", "volt", "bat", "status"])
        && min >= 0.0
        && max <= 100.0
        && (max > 5.0 || max == 0.0)
    {
        return plain("%", "by its name");
    }
    if has(&["voltage", "volt", "vcc", "vbat"]) {
        if numbers.is_some_and(|numbers| numbers.are_whole() && numbers.min > 1000.0 && numbers.max < 20_000.0) {
            return Unit {
                thousandths: true,
                ..plain("V", "by its name; the values are so large that they must be mV")
            };
        }
        return plain("V", "by its name");
    }
    if has(&["energy", "yield"]) || total_word && has(&["electricity"]) {
        return Unit { total: min >= 0.0, ..plain("kWh", "by its name; or is it Wh?") };
    }
    if has(&["rain", "precipitation"]) && !has(&["rate", "intensity"]) {
        return Unit { total: min >= 0.0, ..plain("mm", "by its name") };
    }
    if has(&["power"]) && !has(&["factor", "on", "outage", "state", "supply", "source", "ext", "tx"]) {
        return plain("W", "by its name; or is it kW?");
    }
    if has(&["current"]) && words.len() <= 3 && !has(&["value", "version", "state", "status", "heap"]) {
        return plain("A", "by its name");
    }
    if has(&["pressure"]) && min > 300.0 && max < 1200.0 {
        return plain("hPa", "by its name and values");
    }
    if has(&["illuminance", "lux", "luminosity"]) {
        return plain("lx", "by its name");
    }
    if has(&["rssi"]) && max < 0.0 {
        return plain("dBm", "by its name");
    }
    if has(&["snr"]) {
        return plain("dB", "by its name");
    }
    if has(&["co2", "eco2"]) {
        return plain("ppm", "by its name");
    }
    if has(&["pm25", "pm10", "pm1"]) {
        return plain("µg/m³", "by its name");
    }
    if has(&["frequency", "freq"]) && min > 40.0 && max < 70.0 {
        return plain("Hz", "by its name and values");
    }
    if has(&["latitude", "longitude", "lat", "lon", "lng", "azimuth", "heading", "bearing"]) {
        return plain("°", "by its name");
    }
    if has(&["altitude", "alt", "elevation"]) {
        return plain("m", "by its name");
    }
    if has(&["uptime"]) {
        return plain("s", "by its name");
    }
    if has(&["gas", "water"]) && has(&["delivered", "total", "consumption"]) && !has(&["currently"]) {
        return Unit { total: min >= 0.0, ..plain("m³", "by its name") };
    }
    let says_more = has(&[
        "energy",
        "yield",
        "import",
        "export",
        "imported",
        "exported",
        "consumption",
        "delivered",
        "returned",
        "counter",
    ]) || words.len() == 1;
    let total = total_word && says_more && min >= 0.0 && numbers.is_some_and(|numbers| numbers.count > 0);
    Unit { total, ..Unit::default() }
}
