//! From what people write as a unit to what Grafana calls it.
//!
//! Only units that look in Grafana as they were written, or scale well, are translated; any other is shown as it is. The
//! ids are those of Grafana's list (`@grafana/data`, `valueFormats`), the same in 12.3 and 13.0.

/// How a unit behaves in Grafana.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scale {
    /// The number stays as it is.
    Fixed,
    /// Grafana puts prefixes: 3,500 W become 3.5 kW, and decimals are those of that number.
    Prefixed,
}
use Scale::{Fixed, Prefixed};

/// Spellings, the first of which is shown where the number must not be scaled; the id.
const UNITS: &[(&[&str], &str, Scale)] = &[
    (&["%", "percent", "pct"], "percent", Fixed),
    (&["%RH", "% RH", "%rH", "% rH", "%H", "rH", "RH"], "humidity", Fixed),
    (&["ppm"], "ppm", Fixed),
    (&["ppb"], "conppb", Fixed),
    // Temperature.
    (&["°C", "℃", "ºC", "degC", "deg C", "C°", "C", "celsius", "Celsius"], "celsius", Fixed),
    (&["°F", "℉", "ºF", "degF", "deg F", "F°", "fahrenheit", "Fahrenheit"], "fahrenheit", Fixed),
    (&["K", "kelvin", "Kelvin"], "kelvin", Fixed),
    // Pressure.
    (&["hPa", "hpa"], "pressurehpa", Fixed),
    (&["kPa", "kpa"], "pressurekpa", Fixed),
    (&["Pa"], "pressurepa", Prefixed),
    (&["bar", "Bar"], "pressurebar", Prefixed),
    (&["inHg", "\"Hg"], "pressurehg", Fixed),
    // Electricity.
    (&["V", "volt", "volts", "Volt"], "volt", Prefixed),
    (&["mV"], "mvolt", Prefixed),
    (&["kV"], "kvolt", Prefixed),
    (&["A", "amp", "amps", "ampere", "Ampere"], "amp", Prefixed),
    (&["mA"], "mamp", Prefixed),
    (&["kA"], "kamp", Prefixed),
    (&["W", "watt", "watts", "Watt"], "watt", Prefixed),
    (&["mW"], "mwatt", Prefixed),
    (&["kW"], "kwatt", Prefixed),
    (&["MW"], "megwatt", Prefixed),
    (&["GW"], "gwatt", Prefixed),
    (&["VA"], "voltamp", Prefixed),
    (&["kVA"], "kvoltamp", Prefixed),
    (&["var", "VAr", "VAR", "Var"], "voltampreact", Prefixed),
    (&["kvar", "kVAr", "kVAR", "kVar"], "kvoltampreact", Prefixed),
    (&["Wh"], "watth", Prefixed),
    (&["kWh", "KWh", "kwh", "KWH"], "kwatth", Prefixed),
    (&["MWh"], "mwatth", Prefixed),
    (&["Ah"], "amph", Prefixed),
    (&["mAh"], "mamph", Prefixed),
    (&["J"], "joule", Prefixed),
    (&["W/m²", "W/m2", "W/m^2"], "Wm2", Prefixed),
    (&["Ω", "\u{2126}", "ohm", "Ohm"], "ohm", Prefixed),
    (&["kΩ", "k\u{2126}", "kohm", "kOhm"], "kohm", Prefixed),
    (&["MΩ", "M\u{2126}"], "Mohm", Prefixed),
    (&["Hz", "hertz", "Hertz"], "hertz", Prefixed),
    (&["kHz"], "rotkhz", Prefixed),
    (&["MHz"], "rotmhz", Prefixed),
    (&["GHz"], "rotghz", Prefixed),
    (&["rpm", "RPM", "U/min", "1/min"], "rotrpm", Fixed),
    (&["dB", "db"], "dB", Fixed),
    (&["dBm", "dbm"], "dBm", Prefixed),
    // Light, air, radiation.
    (&["lx", "lux", "Lux"], "lux", Fixed),
    (&["lm", "lumen"], "lumens", Prefixed),
    (&["cd"], "candela", Prefixed),
    (&["µg/m³", "μg/m³", "µg/m3", "μg/m3", "ug/m3", "ug/m³", "µg/m^3", "μg/m^3"], "conμgm3", Fixed),
    (&["mg/m³", "mg/m3", "mg/m^3"], "conmgm3", Fixed),
    (&["ng/m³", "ng/m3"], "conngm3", Fixed),
    (&["g/m³", "g/m3", "g/m^3"], "congm3", Fixed),
    (&["Bq"], "radbq", Prefixed),
    (&["Sv"], "radsv", Prefixed),
    (&["mSv"], "radmsv", Prefixed),
    (&["µSv", "μSv", "uSv"], "radusv", Prefixed),
    (&["Sv/h"], "radsvh", Prefixed),
    (&["mSv/h"], "radmsvh", Prefixed),
    (&["µSv/h", "μSv/h", "uSv/h"], "radusvh", Prefixed),
    // Length, area, speed, angle. Rain of 0.2 mm is not 200 µm to anybody: `mm` is shown as it is.
    (&["m", "metre", "meter"], "lengthm", Prefixed),
    (&["km"], "lengthkm", Prefixed),
    (&["in", "inch"], "lengthin", Fixed),
    (&["ft"], "lengthft", Fixed),
    (&["mi"], "lengthmi", Fixed),
    (&["m²", "m2"], "areaM2", Fixed),
    (&["m/s", "mps"], "velocityms", Fixed),
    (&["km/h", "kmh", "kph", "km/hr"], "velocitykmh", Fixed),
    (&["mph", "mi/h"], "velocitymph", Fixed),
    (&["kn", "kt", "kts", "knots"], "velocityknot", Fixed),
    (&["°", "º", "deg", "degrees"], "degree", Fixed),
    (&["rad"], "radian", Fixed),
    (&["°/s", "deg/s"], "rotdegs", Fixed),
    // Mass, force, volume, flow.
    (&["mg"], "massmg", Prefixed),
    (&["g"], "massg", Prefixed),
    (&["kg"], "masskg", Prefixed),
    (&["t"], "masst", Fixed),
    (&["lb", "lbs"], "masslb", Fixed),
    (&["N"], "forceN", Prefixed),
    (&["Nm"], "forceNm", Prefixed),
    (&["l", "L", "litre", "liter", "ℓ"], "litre", Prefixed),
    (&["ml", "mL"], "mlitre", Prefixed),
    (&["m³", "m3", "m^3"], "m3", Fixed),
    (&["gal"], "gallons", Fixed),
    (&["l/h", "L/h"], "litreh", Fixed),
    (&["l/min", "L/min", "lpm"], "flowlpm", Fixed),
    (&["ml/min", "mL/min"], "flowmlpm", Fixed),
    (&["cfm"], "flowcfm", Fixed),
    // Time.
    (&["ns"], "ns", Prefixed),
    (&["µs", "μs", "us"], "µs", Prefixed),
    (&["ms", "msec"], "ms", Prefixed),
    (&["s", "sec", "seconds"], "s", Prefixed),
    (&["min", "minutes"], "m", Prefixed),
    (&["h", "hours"], "h", Prefixed),
    (&["d", "days"], "d", Prefixed),
    // Data.
    (&["B", "byte", "bytes", "Bytes"], "bytes", Prefixed),
    (&["kB"], "deckbytes", Prefixed),
    (&["MB"], "decmbytes", Prefixed),
    (&["GB"], "decgbytes", Prefixed),
    (&["TB"], "dectbytes", Prefixed),
    (&["KiB", "kiB"], "kbytes", Prefixed),
    (&["MiB"], "mbytes", Prefixed),
    (&["GiB"], "gbytes", Prefixed),
    (&["TiB"], "tbytes", Prefixed),
    (&["bit", "bits"], "decbits", Prefixed),
    (&["B/s", "bytes/s"], "Bps", Prefixed),
    (&["kB/s"], "KBs", Prefixed),
    (&["MB/s"], "MBs", Prefixed),
    (&["bit/s", "bps"], "bps", Prefixed),
    (&["kbit/s", "kbps"], "Kbits", Prefixed),
    (&["Mbit/s", "Mbps"], "Mbits", Prefixed),
    (&["px"], "pixel", Fixed),
    // Money.
    (&["€", "EUR"], "currencyEUR", Prefixed),
    (&["$", "USD"], "currencyUSD", Prefixed),
    (&["£", "GBP"], "currencyGBP", Prefixed),
    (&["¥", "JPY"], "currencyJPY", Prefixed),
    (&["CHF"], "currencyCHF", Prefixed),
];

/// Grafana's id for a unit. Where the mapping states `decimals` they are those of the number as it is stored, so that
/// Grafana must not scale it: 3,500 W with no decimals would become 4 kW.
pub(super) fn id(unit: Option<&str>, decimals: bool) -> String {
    let unit = unit.map(str::trim).unwrap_or_default();
    if unit.is_empty() || unit == "1" {
        return "none".to_owned();
    }
    match UNITS.iter().find(|(spellings, ..)| spellings.contains(&unit)) {
        Some((_, id, Fixed)) => (*id).to_owned(),
        Some((_, id, Prefixed)) if !decimals => (*id).to_owned(),
        Some((_, _, Prefixed)) | None => format!("suffix:{unit}"),
    }
}

/// The unit of what a counter grows by in an hour.
pub(super) fn per_hour(unit: Option<&str>) -> Option<String> {
    Some(match unit?.trim() {
        "" => return None,
        "Wh" => "W".to_owned(),
        "kWh" | "KWh" | "kwh" | "KWH" => "kW".to_owned(),
        "MWh" => "MW".to_owned(),
        "Ah" => "A".to_owned(),
        "mAh" => "mA".to_owned(),
        unit => format!("{unit}/h"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_what_grafana_shows() {
        for (unit, decimals, id_of) in [
            ("°C", false, "celsius"),
            (" °C ", true, "celsius"),
            ("%", false, "percent"),
            ("hPa", false, "pressurehpa"),
            ("kWh", false, "kwatth"),
            ("kWh", true, "suffix:kWh"),
            ("W", false, "watt"),
            ("µg/m³", false, "conμgm3"),
            ("m", false, "lengthm"),
            ("min", false, "m"),
            ("mm", false, "suffix:mm"),
            ("mired", false, "suffix:mired"),
            ("m³/h", true, "suffix:m³/h"),
            ("", false, "none"),
        ] {
            assert_eq!(id(Some(unit), decimals), id_of, "{unit}");
        }
        assert_eq!(id(None, false), "none");
        assert_eq!(per_hour(Some("kWh")).as_deref(), Some("kW"));
        assert_eq!(per_hour(Some("m³")).as_deref(), Some("m³/h"));
        assert_eq!(per_hour(None), None);
    }

    #[test]
    fn no_spelling_has_two_meanings() {
        let mut spellings: Vec<&str> = UNITS.iter().flat_map(|(spellings, ..)| spellings.iter().copied()).collect();
        spellings.sort_unstable();
        let all = spellings.len();
        spellings.dedup();
        assert_eq!(spellings.len(), all);
    }

    /// The whole of Grafana's list that is used here, as `@grafana/data` 12.3.3 and 13.0.0 have it.
    #[test]
    fn every_id_is_one_of_grafanas() {
        let list = include_str!("grafana_units.txt");
        let known: Vec<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
        for (_, id, _) in UNITS {
            assert!(known.contains(id), "{id}");
        }
    }
}
