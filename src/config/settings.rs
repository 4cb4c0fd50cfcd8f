//! The sections of settings, checked value by value: ranges, words, URLs, passwords from files.

mod layers;
mod tls;

use std::time::Duration;

use super::reader::{Faults, Section};
use super::tree::{Node, Table, Value};
use super::{
    Broker, BrokerUrl, Dashboards, Http, Log, LogFormat, Overlap, Protocol, Rejects, Secret, Store, StoreUrl,
    Timescale, url, vocabulary,
};
use crate::fault::{At, Fault, Place};
use crate::message::Qos;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// All but the mappings.
pub(super) struct Settings {
    pub broker: Broker,
    pub store: Store,
    pub rejects: Rejects,
    pub dashboards: Dashboards,
    pub http: Http,
    pub log: Log,
    /// The files that hold passwords.
    pub secrets: Vec<Secret>,
}

/// Reads the settings of `top`, the tree of the main file, under those of `environment`.
pub(super) fn read(top: &Table, environment: &[(String, String)], start: &Place, faults: &mut Faults) -> Settings {
    let tables = layers::sections(top, environment, start, faults);
    let empty = Table::default();
    let section = |name: &str| Section {
        path: name.to_owned(),
        place: top.section(name).map_or(start, |entry| &entry.key.place).clone(),
        table: tables.get(name).unwrap_or(&empty),
    };
    let timescale = section("store.timescale");
    let store = store(&section("store"), &timescale, faults);
    Settings {
        broker: broker(&section("broker"), faults),
        dashboards: dashboards(&section("dashboards"), &store, faults),
        store,
        rejects: rejects(&section("rejects"), faults),
        http: http(&section("http"), faults),
        log: log(&section("log"), faults),
        secrets: [("broker", "password_file"), ("store", "password_file"), ("http", "token_file")]
            .iter()
            .filter_map(|(name, key)| section(name).text(key, &mut Faults::default()))
            .map(|file| Secret::new(file.value))
            .collect(),
    }
}

fn broker(section: &Section<'_>, faults: &mut Faults) -> Broker {
    let url = match section.text("url", faults) {
        Some(text) => match url::broker(&text.value) {
            Ok(url) => Some(At::new(url, text.place)),
            Err((what, remedy)) => {
                faults.push(Fault::new(&text.place, section.path("url"), what, remedy));
                None
            }
        },
        None => {
            missing(section, "url", "url = \"mqtt://localhost:1883\"", faults);
            None
        }
    };
    let words = [("auto", Protocol::Auto), ("5", Protocol::V5), ("3.1.1", Protocol::V311)];
    let protocol = section.choice("protocol", &words, faults).map_or(Protocol::Auto, |at| at.value);
    let words = [("separate", Overlap::Separate), ("merge", Overlap::Merge)];
    let overlap = section.choice("overlap", &words, faults).map_or(Overlap::Separate, |at| at.value);
    let username = section.text("username", faults);
    let password = secret(section, "password", faults);
    if let (None, Some(password)) = (&username, &password)
        && protocol != Protocol::V5
    {
        let what = "a password without `username` is not allowed in MQTT 3.1.1 (MQTT-3.1.2-22)";
        let remedy = "add `username`, or set `protocol = \"5\"`";
        faults.push(Fault::new(&password.place, section.path("password"), what, remedy));
    }
    let password = password.filter(|password| {
        let fits = password.value.expose().len() <= 65_535;
        if !fits {
            let what = "must be at most 65,535 bytes (MQTT 1.5.6)";
            faults.push(Fault::new(&password.place, section.path("password"), what, ""));
        }
        fits
    });
    let username = username.filter(|name| mqtt_text(section, "username", name, faults)).map(|at| at.value);
    let whole_seconds = |key: &str, at: Option<At<Duration>>, default: u64, faults: &mut Faults| match at {
        Some(at) if at.value.subsec_nanos() > 0 => {
            faults.push(Fault::new(&at.place, section.path(key), "must be whole seconds", ""));
            Duration::from_secs(default)
        }
        at => at.map_or(Duration::from_secs(default), |at| at.value),
    };
    let expiry = section.duration("session_expiry", (SECOND, 36_500 * DAY), faults);
    let keep_alive = section.duration("keep_alive", (5 * SECOND, 64_800 * SECOND), faults);
    let payload = section.size("max_payload", (1, MAX_PAYLOAD_BYTES), faults).map_or(1 << 20, |at| at.value);
    let tls = tls::read(section, url.as_ref(), faults);
    let status = section.flag("status", faults).unwrap_or(true);
    Broker {
        // A placeholder where it is missing: with a fault noted, nobody connects to it.
        url: url.unwrap_or_else(|| At::new(BrokerUrl::mqtt("localhost", 1883), Place::Default)),
        client_id: client_id(section, status, faults),
        username,
        password: password.map(|at| at.value),
        qos: qos(section, faults).unwrap_or_default(),
        protocol,
        overlap,
        session_expiry: whole_seconds("session_expiry", expiry, 7 * 86_400, faults),
        keep_alive: whole_seconds("keep_alive", keep_alive, 30, faults),
        max_payload_bytes: usize::try_from(payload).unwrap_or(1 << 20),
        tls,
        status,
    }
}

/// What a packet can hold at most (MQTT 2.2.3).
const MAX_PAYLOAD_BYTES: u64 = (256 << 20) - 1;

pub(super) fn qos(section: &Section<'_>, faults: &mut Faults) -> Option<Qos> {
    let level = section.whole("qos", 0..=2, faults)?;
    Qos::from_level(u8::try_from(level.value).ok()?)
}

fn client_id(section: &Section<'_>, status: bool, faults: &mut Faults) -> String {
    let Some(id) = section.text("client_id", faults) else {
        return "amber".to_owned();
    };
    let path = section.path("client_id");
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
    if id.value.is_empty() {
        let what = "is empty, and the broker would give another session each time (MQTT-3.1.3-7)";
        faults.push(Fault::new(&id.place, path, what, "name it, or leave the key out: `amber`"));
    } else if id.value.len() > 128 || id.value.chars().any(char::is_control) {
        faults.push(Fault::new(&id.place, path, "must be at most 128 bytes without control characters", ""));
    } else if status && id.value.contains(['+', '#']) {
        let what = "cannot be part of the topic `amber/<client id>/status`: `+` and `#` are wildcards (MQTT-3.3.2-2)";
        faults.push(Fault::new(&id.place, path, what, "choose another, or set `status = false`"));
    } else if id.value.len() > 23 || !id.value.chars().all(plain) {
        let what = "not every broker takes a client id beyond 23 bytes of letters and digits (MQTT-3.1.3-5)";
        faults.push(Fault::warning(&id.place, path, what, "a short plain name is safe everywhere"));
    }
    id.value
}

/// Whether `text` can travel as an MQTT string (MQTT 1.5.4).
fn mqtt_text(section: &Section<'_>, key: &str, text: &At<String>, faults: &mut Faults) -> bool {
    let fits = text.value.len() <= 65_535 && !text.value.contains('\0');
    if !fits {
        let what = "must be at most 65,535 bytes without NUL (MQTT 1.5.4)";
        faults.push(Fault::new(&text.place, section.path(key), what, ""));
    }
    fits
}

/// `password` (or what `key` is), or what the file `password_file` holds, without the newline that editors add.
fn secret(section: &Section<'_>, key: &str, faults: &mut Faults) -> Option<At<Secret>> {
    let key_of_file = format!("{key}_file");
    let secret = section.text(key, faults);
    let file = section.text(&key_of_file, faults);
    match (secret, file) {
        (Some(secret), Some(file)) => {
            let what = format!("the {key} is given twice: also at {}", secret.place);
            let remedy = "keep one of them, best the file";
            faults.push(Fault::new(&file.place, section.path(&key_of_file), what, remedy));
            None
        }
        (Some(secret), None) => Some(secret.map(Secret::new)),
        (None, Some(file)) => match std::fs::read_to_string(&file.value) {
            Ok(text) if text.trim().is_empty() => {
                faults.push(Fault::new(&file.place, section.path(&key_of_file), "the file is empty", ""));
                None
            }
            Ok(text) => {
                let text = text.strip_suffix('\n').unwrap_or(&text);
                Some(At::new(Secret::new(text.strip_suffix('\r').unwrap_or(text)), file.place))
            }
            Err(error) => {
                // The file is not named: it may be the password itself, written under the wrong key.
                let what = format!("the file cannot be read: {error}");
                faults.push(Fault::new(&file.place, section.path(&key_of_file), what, ""));
                None
            }
        },
        (None, None) => None,
    }
}

fn store(section: &Section<'_>, timescale: &Section<'_>, faults: &mut Faults) -> Store {
    let password = secret(section, "password", faults);
    let url = match section.text("url", faults) {
        Some(text) => match url::store(&text.value, password.as_ref().map(|at| &at.value)) {
            Ok(url) => Some(At::new(url, text.place)),
            Err((what, remedy)) => {
                // What is wrong with a SQLite file that has a password is the password, wherever that stands.
                let (place, key) = match &password {
                    Some(password) if text.value.starts_with("sqlite:") => (&password.place, "password"),
                    _ => (&text.place, "url"),
                };
                faults.push(Fault::new(place, section.path(key), what, remedy));
                None
            }
        },
        None => {
            missing(section, "url", "url = \"sqlite:amber.db\"", faults);
            None
        }
    };
    let url = url.unwrap_or_else(|| At::new(StoreUrl::Sqlite("amber.db".into()), Place::Default));
    let (default, devices) = match url.value {
        StoreUrl::Postgres(_) => (Duration::ZERO, 5 * SECOND),
        StoreUrl::Sqlite(_) => (SECOND, 30 * SECOND),
    };
    let interval = section.duration("commit_interval", (Duration::ZERO, 600 * SECOND), faults);
    let ddl = section.flag("ddl", faults).unwrap_or(true);
    let devices_interval = section.duration("devices_interval", (Duration::ZERO, 3_600 * SECOND), faults);
    let timescale = self::timescale(timescale, &url.value, faults);
    Store {
        url,
        commit_interval: interval.map_or(default, |at| at.value),
        devices_interval: devices_interval.map_or(devices, |at| at.value),
        ddl,
        timescale,
    }
}

fn timescale(section: &Section<'_>, url: &StoreUrl, faults: &mut Faults) -> Timescale {
    let default = Timescale::default();
    let hypertable = section.flag("hypertable", faults).unwrap_or(default.hypertable);
    let chunk = section.duration("chunk", (3_600 * SECOND, 3_650 * DAY), faults);
    let compress_after = section.duration("compress_after", (3_600 * SECOND, 36_500 * DAY), faults);
    if matches!(url, StoreUrl::Sqlite(_)) {
        for (key, at) in [("chunk", &chunk), ("compress_after", &compress_after)] {
            let Some(at) = at else { continue };
            let what = "is for PostgreSQL with the extension TimescaleDB, and `store.url` is a SQLite file";
            faults.push(Fault::warning(&at.place, section.path(key), what, "it does nothing here; leave it out"));
        }
    }
    Timescale { hypertable, chunk: chunk.map(|at| at.value), compress_after: compress_after.map(|at| at.value) }
}

fn rejects(section: &Section<'_>, faults: &mut Faults) -> Rejects {
    let keep = section.duration("keep", (60 * SECOND, 36_500 * DAY), faults);
    let max = section.size("max", (1 << 20, 1 << 50), faults);
    let per_minute = section.whole("per_minute", 1..=1_000_000, faults);
    Rejects {
        keep: keep.map_or(30 * DAY, |at| at.value),
        max_bytes: max.map_or(1 << 30, |at| at.value),
        per_minute: per_minute.map_or(1_000, |at| at.value.unsigned_abs()),
    }
}

fn dashboards(section: &Section<'_>, store: &Store, faults: &mut Faults) -> Dashboards {
    let Some(dir) = section.text("dir", faults) else { return Dashboards::default() };
    // Where no store is named, that is the fault.
    let is_sqlite = matches!(store.url.value, StoreUrl::Sqlite(_)) && store.url.place != Place::Default;
    if dir.value.is_empty() {
        let remedy = "name a folder, or leave the key out";
        faults.push(Fault::new(&dir.place, section.path("dir"), "is empty", remedy));
    } else if is_sqlite {
        let what = "dashboards are made for PostgreSQL, and `store.url` is a SQLite file";
        let remedy = "leave the key out, or keep the rows in PostgreSQL";
        faults.push(Fault::new(&dir.place, section.path("dir"), what, remedy));
    }
    Dashboards { dir: Some(dir.value.into()) }
}

fn http(section: &Section<'_>, faults: &mut Faults) -> Http {
    let default = || At::new(std::net::SocketAddr::from(([127, 0, 0, 1], 9583)), Place::Default);
    let listen = section.text("listen", faults).and_then(|text| match text.value.parse() {
        Ok(address) => Some(At::new(address, text.place)),
        Err(_) => {
            let what = format!("{:?} is not an IP address with a port", text.value);
            let remedy = "write `127.0.0.1:9583`, or `0.0.0.0:9583` to listen everywhere";
            faults.push(Fault::new(&text.place, section.path("listen"), what, remedy));
            None
        }
    });
    let token = secret(section, "token", faults).filter(|token| is_token(section, token, faults));
    let open = section.flag("open", faults).unwrap_or(false);
    if let (true, Some(token)) = (open, &token) {
        let what = "is asked for although `open` is set";
        faults.push(Fault::warning(&token.place, section.path("token"), what, "leave one of them out"));
    }
    Http {
        listen: listen.unwrap_or_else(default),
        token: token.map(|at| at.value),
        open,
        hosts: hosts(section, faults),
    }
}

/// A token that is shorter can be tried out.
const MIN_TOKEN: usize = 16;

/// Whether a token is long enough, and can be sent in a header (RFC 9110, 5.5).
fn is_token(section: &Section<'_>, token: &At<Secret>, faults: &mut Faults) -> bool {
    let text = token.value.expose();
    let what = if text.chars().count() < MIN_TOKEN {
        "must be at least 16 characters"
    } else if !text.chars().all(|c| c.is_ascii_graphic()) || text.len() > 1_024 {
        "must be at most 1,024 letters, digits and signs of ASCII, without blanks"
    } else {
        return true;
    };
    faults.push(Fault::new(&token.place, section.path("token"), what, "draw one: `openssl rand -hex 24`"));
    false
}

/// Names of this machine, without a port. In the environment, where all is text, with commas between them.
fn hosts(section: &Section<'_>, faults: &mut Faults) -> Vec<String> {
    let mut known = Vec::new();
    let is_text = |node: &Node| matches!(node.value, Value::Text(_));
    if let Some(Node { place, value: Value::List(list) }) = section.get("hosts")
        && !list.iter().all(is_text)
    {
        let remedy = "write them as in `[\"amber.example\"]`";
        faults.push(Fault::new(place, section.path("hosts"), "must be a list of names", remedy));
        return known;
    }
    for text in section.one_or_more("hosts", faults) {
        let split = |text: String| text.split(',').map(|name| name.trim().to_owned()).collect();
        let names: Vec<String> = match text.place {
            Place::Environment(_) => split(text.value),
            _ => vec![text.value],
        };
        for name in names {
            let fits = |c: char| c.is_alphanumeric() || c == '-' || c == '_' || c == '.';
            if name.is_empty() || name.len() > 253 || !name.chars().all(fits) {
                let what = format!("{name:?} is not the name of a host");
                let remedy = "write the name alone, as in `amber.example`: no scheme, no port, no path";
                faults.push(Fault::new(&text.place, section.path("hosts"), what, remedy));
            } else {
                known.push(name.trim_end_matches('.').to_lowercase());
            }
        }
    }
    known
}

const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace", "off"];

/// Amber's modules, as `src/lib.rs` lists them.
pub(super) const MODULES: &[&str] = &[
    "backoff",
    "batch",
    "cli",
    "config",
    "dashboards",
    "delivery",
    "demo",
    "device",
    "discover",
    "explain",
    "fault",
    "http",
    "ignored",
    "in_force",
    "mapping",
    "message",
    "metrics",
    "pipeline",
    "reload",
    "row",
    "schema",
    "session",
    "status",
    "store",
    "topic",
];

/// What to write instead of `target`, if it is meant for a module of Amber and there is none; other crates log too.
fn no_module(target: &str) -> Option<String> {
    let name = match target.strip_prefix("amber") {
        Some("") => return None,
        Some(rest) => rest.strip_prefix("::")?.split("::").next()?,
        None if MODULES.contains(&target) => return Some(format!("write `amber::{target}=…`")),
        None => return None,
    };
    match vocabulary::nearest(name, MODULES) {
        Some(near) if near == name => None,
        Some(near) => Some(format!("did you mean `amber::{near}`?")),
        None => Some(format!("modules are {}", vocabulary::list(MODULES))),
    }
}

fn log(section: &Section<'_>, faults: &mut Faults) -> Log {
    let format = section.choice("format", &[("text", LogFormat::Text), ("json", LogFormat::Json)], faults);
    let level = section.text("level", faults).filter(|level| {
        // `EnvFilter` takes an unknown word for the name of a module and then prints nothing else.
        let level_of = |part: &str| part.rsplit_once('=').map_or(part, |(_, level)| level).trim().to_lowercase();
        let wrong = level.value.split(',').map(level_of).find(|word| !LEVELS.contains(&word.as_str()));
        if let Some(word) = wrong {
            let what = format!("{word:?} is not a level");
            let remedy =
                format!("{} (for one module: `info,amber::session=debug`)", vocabulary::suggest(&word, LEVELS));
            faults.push(Fault::new(&level.place, section.path("level"), what, remedy));
            return false;
        }
        for target in level.value.split(',').filter_map(|part| part.split_once('=')).map(|(target, _)| target.trim()) {
            if let Some(remedy) = no_module(target) {
                let what = format!("Amber has no module `{target}`, so this part of the level says nothing");
                faults.push(Fault::warning(&level.place, section.path("level"), what, remedy));
            }
        }
        true
    });
    Log {
        level: level.map_or_else(|| "info".to_owned(), |at| at.value),
        format: format.map_or(LogFormat::Text, |at| at.value),
    }
}

/// Reports that `key` is not set, unless it was and could not be read.
fn missing(section: &Section<'_>, key: &str, example: &str, faults: &mut Faults) {
    let known = vocabulary::SETTINGS.iter().find(|(name, _)| *name == section.path).map_or(&[][..], |&(_, keys)| keys);
    if section.lacks(key, known) && !faults.any_syntax() {
        let remedy =
            format!("write `{example}` below `[{}]`, or set {}", section.path, layers::variable_of(&section.path, key));
        faults.push(Fault::new(&section.place, section.path(key), super::MISSING, remedy));
    }
}
