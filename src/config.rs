//! Files and environment, read once into a checked `Config`; all faults at once, each with its place.
//!
//! What belongs to one value is checked here (keys, types, words, URLs, durations). What needs the mapping
//! language (templates, paths, zones, one type per field) is checked by `mapping::Mapping::new`, which gives
//! faults of the same kind; `cli` prints both together.

pub mod certificates;
mod example;
mod include;
mod language;
mod live;
mod load;
pub mod mapping;
mod reader;
mod settings;
mod shown;
mod sources;
#[cfg(test)]
mod tests;
mod tree;
mod units;
mod url;
mod vocabulary;

use std::path::PathBuf;
use std::time::Duration;

use crate::fault::{At, Fault, Severity};
use crate::message::Qos;
use crate::topic;

pub use load::{environment, find, load, load_text, minimal};
pub use mapping::MappingConfig;
pub use shown::MappingText;
pub use sources::Sources;
pub use units::write_duration as written_duration;
pub use url::Wrong;

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    pub broker: Broker,
    pub store: Store,
    pub rejects: Rejects,
    pub dashboards: Dashboards,
    pub http: Http,
    pub log: Log,
    /// In the order of the files. Empty is a warning, not a fault.
    pub mappings: Vec<MappingConfig>,
    /// What the files say of the mappings, for people to read; nothing of the settings is in it.
    pub texts: Vec<MappingText>,
}

/// `[broker]`
#[derive(Clone, Debug)]
pub struct Broker {
    pub url: At<BrokerUrl>,
    /// Names the session at the broker and the writer in the store; default `amber`.
    pub client_id: String,
    pub username: Option<String>,
    pub password: Option<Secret>,
    /// The most that subscriptions ask for, unless a mapping says otherwise; default 1.
    pub qos: Qos,
    pub protocol: Protocol,
    pub overlap: Overlap,
    /// How long the broker keeps the session and its queue while Amber is away (MQTT 5 only); default 7 days.
    pub session_expiry: Duration,
    /// Default 30 s; 5 s to 18 h.
    pub keep_alive: Duration,
    /// Bytes; longer payloads are rejected. Default 1 MiB.
    pub max_payload_bytes: usize,
    /// For `mqtts` and `wss`.
    pub tls: Tls,
    /// Whether `amber/<client id>/status` is kept at the broker; default yes.
    pub status: bool,
}

/// How a TLS connection to the broker is made. The files are read anew at each connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM file of the CAs that the broker's certificate may come from; default the roots of the system.
    pub ca: Option<PathBuf>,
    /// PEM files of the client's certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that the broker's certificate must bear, where it is another than the host of the URL.
    pub server_name: Option<String>,
    /// The protocol that is asked for in the handshake (ALPN), where a broker wants one.
    pub alpn: Option<String>,
    /// Whether the broker's certificate is verified; default yes.
    pub verify: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Self { ca: None, identity: None, server_name: None, alpn: None, verify: true }
    }
}

/// Which version of MQTT is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Protocol {
    /// MQTT 5, and 3.1.1 once the broker has refused 5.
    #[default]
    Auto,
    V5,
    V311,
}

/// What becomes of filters that cross, so that a broker may deliver a message once for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Overlap {
    /// Each is subscribed; MQTT 5 says which copy is for which filter, and one is taken.
    #[default]
    Separate,
    /// They are joined into wider ones that do not cross.
    Merge,
}

impl Overlap {
    /// What is subscribed of a reduced set, and what still crosses.
    #[must_use]
    pub fn apply(self, reduced: topic::Reduced) -> topic::Reduced {
        match self {
            Self::Separate => reduced,
            Self::Merge => topic::reduce(&topic::merge(reduced.subscriptions)),
        }
    }
}

/// Where the broker is, and what it is spoken to over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerUrl {
    /// `mqtt://host:1883`, `mqtts://host:8883`, `ws://host:80/mqtt`, `wss://host:443/mqtt`
    Net {
        host: String,
        port: u16,
        tls: bool,
        /// Path and query of a WebSocket.
        websocket: Option<String>,
    },
    /// `unix:///path/to/socket`
    Unix(PathBuf),
}

impl BrokerUrl {
    /// `mqtt://host:port`
    pub fn mqtt(host: impl Into<String>, port: u16) -> Self {
        Self::Net { host: host.into(), port, tls: false, websocket: None }
    }

    #[must_use]
    pub fn scheme(&self) -> &'static str {
        match self {
            Self::Net { tls: false, websocket: None, .. } => "mqtt",
            Self::Net { tls: true, websocket: None, .. } => "mqtts",
            Self::Net { tls: false, websocket: Some(_), .. } => "ws",
            Self::Net { tls: true, websocket: Some(_), .. } => "wss",
            Self::Unix(_) => "unix",
        }
    }

    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Net { tls: true, .. })
    }
}

/// For logs: without the query, which may be a secret.
impl std::fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://", self.scheme())?;
        match self {
            Self::Net { host, port, websocket, .. } => {
                if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }?;
                let path = websocket.as_deref().unwrap_or_default();
                f.write_str(path.split('?').next().unwrap_or_default())
            }
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// `[store]`
#[derive(Clone, Debug)]
pub struct Store {
    pub url: At<StoreUrl>,
    /// At least this long between the first message of a batch and its commit; default 0 on PostgreSQL, 1 s on SQLite.
    pub commit_interval: Duration,
    /// At least this long between two writes of the table of devices; default 5 s on PostgreSQL, 30 s on SQLite. Zero:
    /// nobody keeps it.
    pub devices_interval: Duration,
    /// Whether Amber makes and changes the tables itself; default yes.
    pub ddl: bool,
    pub timescale: Timescale,
}

/// `[store.timescale]`: for databases with that extension; nothing of it matters elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timescale {
    /// Whether new tables of readings become hypertables; default yes.
    pub hypertable: bool,
    /// How much time a chunk holds; by default as much as a partition.
    pub chunk: Option<Duration>,
    /// Chunks are compressed when all of their rows are so old, where no mapping says otherwise; default never.
    pub compress_after: Option<Duration>,
}

impl Default for Timescale {
    fn default() -> Self {
        Self { hypertable: true, chunk: None, compress_after: None }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// A URL as sqlx reads it for each host, in the order in which they are tried; password included (also one that
    /// came from `password_file`).
    Postgres(Vec<Secret>),
    Sqlite(PathBuf),
}

impl StoreUrl {
    /// Which kind of database it is, in one word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres",
            Self::Sqlite(_) => "sqlite",
        }
    }
}

/// `[rejects]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejects {
    /// Older ones are deleted; default 30 days, 1 min to 100 years.
    pub keep: Duration,
    /// Bytes of all of them (payload, topic, detail and 100 more for each); the oldest beyond it are deleted. Default
    /// 1 GiB, at least 1 MiB.
    pub max_bytes: u64,
    /// So many are kept a minute for each mapping and reason, the others only counted; default 1,000.
    pub per_minute: u64,
}

/// `[dashboards]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dashboards {
    /// The folder into which `run` writes a dashboard for each measurement; default none. PostgreSQL only.
    pub dir: Option<PathBuf>,
}

/// `[http]`
#[derive(Clone, Debug)]
pub struct Http {
    /// Default `127.0.0.1:9583`.
    pub listen: At<std::net::SocketAddr>,
    /// What the page asks for; at least 16 characters.
    pub token: Option<Secret>,
    /// Whether the page is shown without a token on an address that is not loopback; default no.
    pub open: bool,
    /// Names by which the page may be called, beside addresses and `localhost`; lower case.
    pub hosts: Vec<String>,
}

impl Http {
    /// Whether only this machine reaches it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.listen.value.ip().to_canonical().is_loopback()
    }

    /// Whether the page is not shown at all: others reach it, and nothing says who of them may see it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.token.is_none() && !self.open && !self.is_loopback()
    }
}

/// `[log]`
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// A `tracing_subscriber::EnvFilter` directive; default `info`.
    pub level: String,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one who must send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// What is said of a key that must be there.
const MISSING: &str = "is missing";

/// What loading gives: a configuration as far as it could be read, and all that is wrong with it.
#[derive(Debug)]
pub struct Loaded {
    /// `None` only if no file could be read; then `faults` says why. While `is_faulty`, it is good for finding more
    /// faults and for nothing else: what could not be read has its default in it.
    pub config: Option<Config>,
    pub faults: Vec<Fault>,
    /// Where it comes from, as far as that could be read.
    pub sources: Sources,
    /// The main file, whose faults come first.
    file: String,
    /// Whether it has mappings, and neither `[broker]` nor `[store]`.
    only_mappings: bool,
}

impl Loaded {
    /// Adds what `mapping` finds, in the order of the files; what comes from `[defaults]` is told once, not for each
    /// mapping that has it.
    pub fn add(&mut self, faults: Vec<Fault>) {
        let mut all = reader::Faults::from(std::mem::take(&mut self.faults));
        for fault in faults {
            all.push(fault);
        }
        self.faults = all.into_list(&self.file);
    }

    /// Whether there are mappings and nothing that says where they would be used: a file to be included, or a draft.
    #[must_use]
    pub fn is_mappings_alone(&self) -> bool {
        self.only_mappings
            && ["broker.url", "store.url"].iter().all(|key| self.faults.iter().any(|f| is_absent(f, key)))
    }

    /// For who connects to nothing: that no broker or store is named is no fault then. (What stands in for them in
    /// `config` must not be used.)
    pub fn needs_no_connections(&mut self) {
        self.faults.retain(|fault| !is_absent(fault, "broker.url") && !is_absent(fault, "store.url"));
    }

    /// For who connects to the broker only.
    pub fn needs_no_store(&mut self) {
        self.faults.retain(|fault| !is_absent(fault, "store.url"));
    }

    /// Whether there is more than warnings, so that Amber must not start.
    #[must_use]
    pub fn is_faulty(&self) -> bool {
        self.config.is_none() || self.faults.iter().any(|fault| fault.severity == Severity::Fault)
    }
}

/// Whether `fault` says that the setting `key` is missing.
fn is_absent(fault: &Fault, key: &str) -> bool {
    fault.what == MISSING && fault.path == key
}
