//! Rejects: pages of them, newest first, and how many there are by reason and mapping.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::{Bind, Connection, micros};
use crate::message::Time;
use crate::store::error::Failure;
use crate::store::plan::Dialect;

/// Rejects of one page.
pub const MAX_REJECTS: u32 = 100;
/// Bytes of a payload on a page; `Reader::reject` has the rest.
pub const SHOWN_BYTES: usize = 4 << 10;
/// The newest rejects are counted, so many at most, in blocks, and for so long: SQLite reads a row behind its payload
/// through all of it.
const COUNTED: (i64, i64, Duration) = (20_000, 1_000, Duration::from_millis(300));

/// Which rejects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectsAsked {
    pub reason: Option<String>,
    /// Empty: those that no mapping took.
    pub mapping: Option<String>,
    /// Only those that are older than this one.
    pub before: Option<i64>,
    /// [`MAX_REJECTS`] at most.
    pub limit: u32,
}

/// A part of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectsPage {
    /// Of the newest rejects, whatever was asked for; the most frequent first.
    pub counts: Vec<RejectCount>,
    /// How many rejects `counts` is of.
    pub counted: u64,
    /// Whether those are all.
    pub counted_all: bool,
    /// Newest first.
    pub rejects: Vec<StoredReject>,
    /// Whether there are older ones.
    pub more: bool,
}

/// Rejects of one reason and mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectCount {
    pub reason: String,
    /// `None`: no mapping took them.
    pub mapping: Option<String>,
    pub count: u64,
    pub last_at: Time,
}

/// A message, or rows of it, that could not be stored as readings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReject {
    pub id: i64,
    pub received_at: Time,
    pub topic: String,
    pub mapping: Option<String>,
    pub reason: String,
    pub detail: String,
    pub qos: u8,
    pub retain: bool,
    /// Shorter than `payload_bytes` where it is cut: at 64 KiB when it was stored, on a page at [`SHOWN_BYTES`].
    pub payload: Vec<u8>,
    /// Of the payload as it came.
    pub payload_bytes: u64,
}

type Row = (i64, i64, String, Option<String>, String, String, i64, i64, Vec<u8>, i64);

/// A block of counts: reason, mapping, count, newest receipt, oldest number.
type Block = (String, Option<String>, i64, i64, i64);

pub(super) async fn read(connection: &mut Connection, asked: &RejectsAsked) -> Result<RejectsPage, Failure> {
    let mut page = RejectsPage::default();
    let limit = asked.limit.min(MAX_REJECTS) as usize;
    let (mut conditions, mut binds) = (vec!["true".to_owned()], Vec::new());
    if let Some(reason) = &asked.reason {
        binds.push(Bind::Text(reason));
        conditions.push(format!("reason = ${}", binds.len()));
    }
    match asked.mapping.as_deref() {
        None => {}
        Some("") => conditions.push("mapping is null".to_owned()),
        Some(mapping) => {
            binds.push(Bind::Text(mapping));
            conditions.push(format!("mapping = ${}", binds.len()));
        }
    }
    if let Some(before) = asked.before {
        binds.push(Bind::Int(before));
        conditions.push(format!("id < ${}", binds.len()));
    }
    let dialect = connection.dialect();
    let sql = format!(
        "select {} from {} where {} order by id desc limit {}",
        columns(dialect, Some(SHOWN_BYTES)),
        table(dialect),
        conditions.join(" and "),
        limit + 1
    );
    let rows: Vec<Row> = connection.rows(sql, &binds).await?;
    page.more = rows.len() > limit;
    page.rejects = rows.into_iter().take(limit).map(of_row).collect();
    count(connection, &mut page).await?;
    Ok(page)
}

pub(super) async fn one(connection: &mut Connection, id: i64) -> Result<Option<StoredReject>, Failure> {
    let dialect = connection.dialect();
    let sql = format!("select {} from {} where id = $1", columns(dialect, None), table(dialect));
    let rows: Vec<Row> = connection.rows(sql, &[Bind::Int(id)]).await?;
    Ok(rows.into_iter().next().map(of_row))
}

async fn count(connection: &mut Connection, page: &mut RejectsPage) -> Result<(), Failure> {
    let dialect = connection.dialect();
    let (most, block, time) = COUNTED;
    let begun = Instant::now();
    let sql = format!(
        "select reason, mapping, count(*), {}, min(id)
         from (select id, reason, mapping, received_at from {} where id < $1 order by id desc limit $2) newest
         group by reason, mapping",
        micros(dialect, "max(received_at)"),
        table(dialect)
    );
    let mut counts: HashMap<(String, Option<String>), (u64, i64)> = HashMap::new();
    let (mut before, mut counted) = (i64::MAX, 0);
    while counted < most && begun.elapsed() < time {
        let rows: Vec<Block> = connection.rows(sql.clone(), &[Bind::Int(before), Bind::Int(block)]).await?;
        let mut in_block = 0;
        for (reason, mapping, count, last, oldest) in rows {
            let of = counts.entry((reason, mapping)).or_insert((0, last));
            *of = (of.0 + count.unsigned_abs(), of.1.max(last));
            in_block += count;
            before = before.min(oldest);
        }
        counted += in_block;
        if in_block < block {
            page.counted_all = true;
            break;
        }
    }
    let count = |((reason, mapping), (count, last)): ((String, Option<String>), (u64, i64))| RejectCount {
        reason,
        mapping,
        count,
        last_at: Time(last),
    };
    page.counts = counts.into_iter().map(count).collect();
    page.counts.sort_by(|a, b| {
        let by_name = || (&a.reason, &a.mapping).cmp(&(&b.reason, &b.mapping));
        b.count.cmp(&a.count).then_with(by_name)
    });
    page.counted = counted.unsigned_abs();
    Ok(())
}

const fn table(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => "amber_store.reject",
        Dialect::Sqlite => "store_reject",
    }
}

/// `shown`: how many bytes of the payload; `None`: all that is stored.
fn columns(dialect: Dialect, shown: Option<usize>) -> String {
    let received = micros(dialect, "received_at");
    let payload = shown.map_or_else(|| "payload".to_owned(), |bytes| format!("substr(payload, 1, {bytes})"));
    let (qos, retain) = match dialect {
        Dialect::Postgres => ("qos::int8", "retain::int::int8"),
        Dialect::Sqlite => ("qos", "retain"),
    };
    format!("id, {received}, topic, mapping, reason, detail, {qos}, {retain}, {payload}, payload_bytes")
}

fn of_row(row: Row) -> StoredReject {
    let (id, received_at, topic, mapping, reason, detail, qos, retain, payload, payload_bytes) = row;
    StoredReject {
        id,
        received_at: Time(received_at),
        topic,
        mapping,
        reason,
        detail,
        qos: u8::try_from(qos).unwrap_or(0),
        retain: retain != 0,
        payload,
        payload_bytes: payload_bytes.unsigned_abs(),
    }
}
