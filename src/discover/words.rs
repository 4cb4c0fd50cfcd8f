//! What names commonly mean: words of keys and topics, as many devices and programs use them. No ecosystem is named.

use heck::ToSnakeCase as _;

/// The words of a key: `TempC_SHT` has `temp`, `c`, `sht`.
pub(super) fn words(key: &str) -> Vec<String> {
    key.to_snake_case()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn is_one_of(word: &str, list: &[&str]) -> bool {
    list.contains(&word)
}

/// Without the digits at its end: `temperature2`, `l1`.
fn stem(word: &str) -> &str {
    word.trim_end_matches(|c: char| c.is_ascii_digit())
}

const QUANTITIES: &[&str] = &[
    "temperature",
    "temp",
    "tempc",
    "tempf",
    "humidity",
    "hum",
    "pressure",
    "power",
    "energy",
    "voltage",
    "volt",
    "volts",
    "current",
    "amps",
    "illuminance",
    "lux",
    "luminosity",
    "brightness",
    "co",
    "co2",
    "voc",
    "tvoc",
    "pm",
    "pm25",
    "pm10",
    "battery",
    "batt",
    "rssi",
    "snr",
    "signal",
    "linkquality",
    "lqi",
    "moisture",
    "dewpoint",
    "dew",
    "rain",
    "wind",
    "speed",
    "level",
    "distance",
    "frequency",
    "freq",
    "pf",
    "factor",
    "total",
    "yield",
    "consumption",
    "production",
    "flow",
    "volume",
    "weight",
    "noise",
    "ph",
    "salinity",
    "conductivity",
    "uv",
    "irradiation",
    "radiation",
    "altitude",
    "uptime",
    "heap",
    "memory",
    "cpu",
    "load",
    "soc",
    "position",
    "setpoint",
    "watt",
    "watts",
    "gas",
    "water",
    "dose",
    "count",
    "counter",
    "duration",
    "latitude",
    "longitude",
];

/// Whether the name says what is measured.
pub(super) fn is_quantity(name: &str) -> bool {
    words(name).iter().any(|word| is_one_of(stem(word), QUANTITIES) || is_one_of(word, QUANTITIES))
}

/// Levels of topics that say what kind of message it is, and never which device.
const KINDS: &[&str] = &[
    "tele",
    "stat",
    "cmnd",
    "state",
    "states",
    "status",
    "sensor",
    "sensors",
    "binary_sensor",
    "text_sensor",
    "switch",
    "light",
    "cover",
    "fan",
    "climate",
    "data",
    "json",
    "raw",
    "up",
    "down",
    "uplink",
    "downlink",
    "join",
    "ack",
    "event",
    "events",
    "info",
    "announce",
    "availability",
    "available",
    "online",
    "lwt",
    "config",
    "settings",
    "setting",
    "command",
    "commands",
    "cmd",
    "set",
    "get",
    "result",
    "results",
    "value",
    "values",
    "telemetry",
    "attributes",
    "bridge",
    "log",
    "logs",
    "logging",
    "debug",
    "version",
    "stats",
    "statistics",
    "system",
    "sys",
    "broker",
    "discovery",
    "homeassistant",
    "response",
    "request",
    "rpc",
    "input",
    "output",
    "relay",
    "meter",
    "emeter",
    "measurement",
    "measurements",
    "reading",
    "readings",
    "messages",
    "message",
    "msg",
    "rx",
    "tx",
    "health",
    "heartbeat",
    "alarm",
    "alarms",
    "alert",
    "alerts",
    "groups",
    "group",
    "devices",
    "device",
    "things",
    "shadow",
    "update",
    "accepted",
    "rejected",
    "live",
    "site",
    "grid",
    "home",
    "pv",
    "inverter",
    "connection",
    "location",
    "waypoint",
    "waypoints",
    "timestamp",
    "name",
    "type",
    "unit",
    "units",
    "id",
    "action",
    "mode",
    "announcement",
    "error",
    "errors",
    "energy",
    "uptime",
    "api",
    "v1",
    "v2",
    "v3",
    "me",
];

/// Whether a level names a kind of message. Words that end in a number (`INFO2`, `STATUS8`) count as their stem.
pub(super) fn is_kind(level: &str) -> bool {
    let lower = level.trim_start_matches('$').to_lowercase();
    is_one_of(&lower, KINDS) || ends_in_kind(&lower) || is_one_of(stem(&lower), KINDS) && stem(&lower).len() > 2
}

/// `tracked_object_update`: the last word says what kind of message it is.
fn ends_in_kind(level: &str) -> bool {
    const LAST: &[&str] = &[
        "update", "updates", "event", "events", "trigger", "triggers", "status", "info", "config", "log", "logs",
        "result", "results", "response", "request", "message", "messages", "report", "reports", "settings", "command",
        "commands",
    ];
    level.rsplit(['_', '-']).next().is_some_and(|last| last != level && is_one_of(last, LAST))
}

/// Levels and keys behind which a value stands, and which say nothing of it.
pub(super) fn is_generic(name: &str) -> bool {
    const GENERIC: &[&str] = &[
        "state",
        "value",
        "values",
        "val",
        "v",
        "status",
        "get",
        "current_value",
        "currentvalue",
        "reading",
        "raw",
        "data",
        "result",
    ];
    is_one_of(&name.to_lowercase(), GENERIC)
}

/// Keys that only hold what is meant: they are left out of names.
pub(super) fn is_wrapper(key: &str) -> bool {
    const WRAPPERS: &[&str] = &[
        "values",
        "value",
        "payload",
        "data",
        "decoded_payload",
        "decoded",
        "uplink_message",
        "params",
        "fields",
        "object",
        "body",
        "state",
        "reported",
        "after",
        "message",
        "telemetry",
        "attributes",
        "readings",
        "measurements",
        "content",
        "result",
    ];
    is_one_of(&key.to_lowercase(), WRAPPERS)
}

/// Of two members that say how it was and how it is, the one that says how it was.
pub(super) fn is_former<'k>(key: &str, mut beside: impl Iterator<Item = &'k str>) -> bool {
    const PAIRS: &[(&str, &str)] = &[
        ("before", "after"),
        ("previous", "current"),
        ("old", "new"),
        ("prev", "cur"),
        ("from_state", "to_state"),
        ("old_state", "new_state"),
    ];
    let lower = key.to_lowercase();
    PAIRS
        .iter()
        .find(|(former, _)| *former == lower)
        .is_some_and(|(_, later)| beside.any(|other| other.eq_ignore_ascii_case(later)))
}

/// Keys of what a device is called: they tell series apart and are no readings.
pub(super) fn is_identity(key: &str) -> bool {
    const IDENTITIES: &[&str] = &[
        "id",
        "mac",
        "addr",
        "address",
        "serial",
        "serial_number",
        "sn",
        "eui",
        "dev_eui",
        "deveui",
        "device_id",
        "deviceid",
        "sensor_id",
        "sensorid",
        "device",
        "uuid",
        "ieee_address",
        "ieee_addr",
        "unique_id",
        "imei",
        "node_id",
        "nodeid",
        "gateway_id",
        "gw_mac",
        "rid",
        "tid",
        "bssid",
        "identifier",
        "thing",
        "thing_name",
        "hostname",
        "host",
    ];
    let lower = key.to_snake_case();
    is_one_of(&lower, IDENTITIES)
        || lower.ends_with("_id")
        || lower.ends_with("_eui")
        || lower.ends_with("_mac")
        || lower.ends_with("_uuid")
}

/// Keys whose words are one of several settings or states, never yes or no, though it may look so.
pub(super) fn is_choice(key: &str) -> bool {
    const CHOICES: &[&str] = &[
        "mode",
        "memory",
        "behavior",
        "behaviour",
        "type",
        "effect",
        "direction",
        "gesture",
        "action",
        "event",
        "reason",
        "source",
        "option",
    ];
    words(key).last().is_some_and(|word| is_one_of(word, CHOICES))
}

/// Keys where 0 and 1 are no and yes.
pub(super) fn is_yes_or_no(key: &str) -> bool {
    const STATES: &[&str] = &[
        "input",
        "switch",
        "relay",
        "motion",
        "contact",
        "occupancy",
        "presence",
        "leak",
        "water_leak",
        "tamper",
        "online",
        "connected",
        "enabled",
        "active",
        "on",
        "running",
        "charging",
        "smoke",
        "vibration",
        "door",
        "window",
        "loaderror",
        "overload",
        "overtemperature",
    ];
    let words = words(key);
    let first = words.first().map(String::as_str);
    matches!(first, Some("is" | "has")) || words.last().is_some_and(|word| is_one_of(stem(word), STATES))
}

/// Words of states, and what they say of whether something is on, there, or well.
pub(super) fn truth(word: &str) -> Option<bool> {
    const YES: &[&str] = &[
        "on",
        "true",
        "yes",
        "online",
        "connected",
        "open",
        "lock",
        "locked",
        "detected",
        "active",
        "enabled",
        "available",
        "running",
        "pressed",
        "present",
        "home",
        "alive",
        "up",
        "ready",
        "motion",
        "occupied",
        "opened",
    ];
    const NO: &[&str] = &[
        "off",
        "false",
        "no",
        "offline",
        "disconnected",
        "closed",
        "unlock",
        "unlocked",
        "clear",
        "inactive",
        "disabled",
        "unavailable",
        "stopped",
        "released",
        "absent",
        "not_home",
        "away",
        "dead",
        "down",
        "lost",
        "init",
        "sleeping",
        "no_motion",
        "clear",
        "close",
    ];
    let lower = word.trim().to_lowercase();
    if is_one_of(&lower, YES) {
        Some(true)
    } else if is_one_of(&lower, NO) {
        Some(false)
    } else {
        None
    }
}

/// Topics and keys that say whether something is there: the last word is worth keeping, retained or not.
pub(super) fn is_availability(name: &str) -> bool {
    const AVAILABILITY: &[&str] =
        &["availability", "available", "online", "lwt", "status", "state", "connected", "connection", "alive", "mqtt"];
    is_one_of(&name.trim_start_matches('$').to_lowercase(), AVAILABILITY)
}

/// Whether the key is one of times. Its values decide: a `t` may be a temperature.
pub(super) fn is_time_key(key: &str) -> bool {
    time_rank(key).is_some()
        || words(key).iter().any(|word| {
            is_one_of(
                word,
                &[
                    "time",
                    "timestamp",
                    "date",
                    "at",
                    "epoch",
                    "clock",
                    "seen",
                    "sunrise",
                    "sunset",
                    "since",
                    "until",
                    "last",
                    "systimestamp",
                    "ts",
                ],
            )
        })
}

/// How well a key names the time of a reading: the lower the better. `None` where it names another moment.
pub(super) fn time_rank(key: &str) -> Option<u32> {
    const EXACT: &[&str] = &[
        "ts",
        "tst",
        "epoch",
        "timestamp",
        "time",
        "unixtime",
        "unix_time",
        "unix_timestamp",
        "datetime",
        "date_time",
        "time_utc",
        "utc",
        "measured_at",
        "sampled_at",
        "source_timestamp",
        "sourcetimestamp",
        "device_time",
        "event_time",
        "t",
        "at",
        "dt",
        "date",
    ];
    const OTHER: &[&str] = &[
        "last",
        "next",
        "end",
        "expires",
        "expiry",
        "sunrise",
        "sunset",
        "boot",
        "until",
        "changed",
        "extra",
        "duration",
        "remaining",
        "timer",
        "created",
        "elapsed",
        "up",
        "down",
        "reset",
    ];
    let lower = key.to_snake_case();
    if let Some(rank) = EXACT.iter().position(|exact| *exact == lower) {
        return u32::try_from(rank).ok();
    }
    let words = words(key);
    if lower == "last_seen" || lower == "created_at" {
        return Some(60);
    }
    if words.iter().any(|word| is_one_of(word, OTHER)) {
        return None;
    }
    let late = if words.iter().any(|word| is_one_of(word, &["start", "started", "begin"])) { 10 } else { 0 };
    match words.last().map(String::as_str) {
        Some("timestamp" | "ts") => Some(30 + late),
        Some("at") => Some(32 + late),
        Some("time" | "datetime") => Some(36 + late),
        _ if words.first().is_some_and(|word| word == "read" || word == "timestamp") => Some(38 + late),
        _ => None,
    }
}
