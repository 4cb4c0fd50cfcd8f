//! A store under test and what is put into it.

use std::sync::Arc;

use amber::batch::Batch;
use amber::config;
use amber::fault::{At, Place};
use amber::message::{Message, Qos, Time};
use amber::row::{Mapped, Outcome, Reject, Row, Tags, TimeSource, Value};
use amber::schema::{Field, Kind, Measurement, OnDuplicate, Schema, Type};
use amber::store::{Adopted, Plan, Store, WriteError, Written};
use tokio::runtime::Runtime;

pub use crate::support::home::Home;

/// Unlike any text of a statement, so that a proxy recognises what is bound.
pub const WRITER: &str = "gateway 7";

impl Home {
    /// As `[store]` has it.
    pub fn store_config(&self) -> config::Store {
        let url = At::new(self.store_url(), Place::Default);
        let zero = std::time::Duration::ZERO;
        let timescale = config::Timescale::default();
        config::Store { url, commit_interval: zero, devices_interval: zero, ddl: true, timescale }
    }

    /// As the configuration has it.
    pub fn store_url(&self) -> config::StoreUrl {
        match self {
            Self::Postgres(database) => config::StoreUrl::Postgres(vec![config::Secret::new(database.url())]),
            Self::Sqlite(folder) => config::StoreUrl::Sqlite(folder.join("store.db")),
        }
    }

    /// A process's store.
    pub fn store(&self, owner: i64) -> Subject {
        Subject::new(self.store_url(), owner)
    }

    /// A store with its tables, adopted.
    pub fn ready(&self, schema: &Schema) -> Subject {
        let mut store = self.store(1);
        store.prepare(schema).unwrap();
        store.adopt().unwrap();
        store
    }
}

/// A store and what drives it.
pub struct Subject {
    pub runtime: Runtime,
    pub store: Store,
}

impl Subject {
    pub fn new(url: config::StoreUrl, owner: i64) -> Self {
        Self::with(url, owner, true)
    }

    /// `ddl`: whether it may change tables.
    pub fn with(url: config::StoreUrl, owner: i64, ddl: bool) -> Self {
        Self::of(WRITER, url, owner, ddl)
    }

    /// Of a client id of its own.
    pub fn of(writer: &str, url: config::StoreUrl, owner: i64, ddl: bool) -> Self {
        let zero = std::time::Duration::ZERO;
        let url = At::new(url, Place::Default);
        let timescale = config::Timescale::default();
        let config = config::Store { url, commit_interval: zero, devices_interval: zero, ddl, timescale };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, store: Store::new(&config, writer, owner) }
    }

    pub fn configured(config: &config::Store, owner: i64) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, store: Store::new(config, WRITER, owner) }
    }

    pub fn postgres(url: &str, owner: i64) -> Self {
        Self::hosts(&[url], owner)
    }

    /// One URL for each host.
    pub fn hosts(urls: &[&str], owner: i64) -> Self {
        let urls = urls.iter().map(|&url| config::Secret::new(url)).collect();
        Self::new(config::StoreUrl::Postgres(urls), owner)
    }

    pub fn plan(&mut self, schema: &Schema) -> Result<Plan, WriteError> {
        self.runtime.block_on(self.store.plan(schema))
    }

    pub fn prepare(&mut self, schema: &Schema) -> Result<(), WriteError> {
        self.runtime.block_on(self.store.prepare(schema))
    }

    pub fn adopt(&mut self) -> Result<Adopted, WriteError> {
        self.runtime.block_on(self.store.adopt())
    }

    pub fn write(&mut self, batch: &Batch, number: i64) -> Result<Written, WriteError> {
        self.write_packets(batch, number, b"\x01")
    }

    pub fn write_packets(&mut self, batch: &Batch, number: i64, packets: &[u8]) -> Result<Written, WriteError> {
        self.runtime.block_on(self.store.write(batch, number, packets))
    }

    pub fn write_apart(&mut self, batch: &Batch, number: i64) -> Result<Written, WriteError> {
        self.runtime.block_on(self.store.write_apart(batch, number, b"\x01"))
    }
}

/// What `Standing` says.
#[track_caller]
pub fn standing<T: std::fmt::Debug>(result: Result<T, WriteError>) -> String {
    match result {
        Err(WriteError::Standing(error)) => format!("{error:#}"),
        other => panic!("{other:?} instead of standing"),
    }
}

/// What `Away` says, and whether it leaves in doubt.
#[track_caller]
pub fn away<T: std::fmt::Debug>(result: Result<T, WriteError>) -> (bool, String) {
    match result {
        Err(WriteError::Away { in_doubt, source }) => (in_doubt, format!("{source:#}")),
        other => panic!("{other:?} instead of away"),
    }
}

/// What `Refused` says.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(result: Result<T, WriteError>) -> String {
    match result {
        Err(WriteError::Refused(error)) => format!("{error:#}"),
        other => panic!("{other:?} instead of refused"),
    }
}

pub fn field(name: &str, r#type: Type) -> Field {
    Field {
        name: name.to_owned(),
        kind: Kind::Gauge,
        r#type,
        unit: None,
        description: None,
        decimals: None,
        min: None,
        max: None,
        deadband: None,
    }
}

pub fn measurement(name: &str, tags: &[&str], fields: Vec<Field>) -> Measurement {
    let (name, tags) = (name.to_owned(), tags.iter().map(|&tag| tag.to_owned()).collect());
    let (max_series, on_duplicate) = (amber::schema::MAX_SERIES, OnDuplicate::Keep);
    Measurement {
        name,
        tags,
        fields,
        max_series,
        own: None,
        on_duplicate,
        retention: None,
        compress: None,
        others: false,
    }
}

/// `climate (room, device; temperature °C)`
pub fn climate() -> Schema {
    let temperature = Field { unit: Some("°C".to_owned()), ..field("temperature", Type::Float) };
    Schema { measurements: vec![measurement("climate", &["room", "device"], vec![temperature])] }
}

/// 2026-11-25T12:00:00Z
pub const NOON: Time = Time(1_795_608_000_000_000);

pub fn message(topic: &str, payload: &[u8]) -> Message {
    Message {
        topic: topic.into(),
        payload: payload.to_vec().into(),
        qos: Qos::AtLeastOnce,
        retain: false,
        received_at: Time(NOON.0 + 1_000),
        delivery: None,
        malformed: None,
    }
}

pub fn row(measurement: usize, tags: &[&str], fields: Vec<Option<Value>>) -> Row {
    Row {
        measurement,
        mapping: Arc::from("plant"),
        time: NOON,
        time_source: TimeSource::Payload,
        tags: Tags::new(tags.iter().copied()),
        fields,
        others: Vec::new(),
    }
}

/// One message per row.
pub fn batch(rows: Vec<Row>) -> Batch {
    let mut batch = Batch::default();
    for row in rows {
        let outcome = Outcome::Rows { rows: vec![row], rejects: vec![] };
        assert!(batch.push(message("home/x", b"{}"), Mapped { outcome, dropped: vec![], expired: vec![] }).is_none());
    }
    batch
}

pub fn push_reject(batch: &mut Batch, message: Message, reject: Reject) {
    let mapped = Mapped { outcome: Outcome::Rejected(reject), dropped: vec![], expired: vec![] };
    assert!(batch.push(message, mapped).is_none());
}

/// A row of `climate` per temperature, all of one sensor.
pub fn temperatures(values: impl IntoIterator<Item = f64>) -> Batch {
    let row = |value| row(0, &["kitchen", "t1"], vec![Some(Value::Float(value))]);
    batch(values.into_iter().map(row).collect())
}
