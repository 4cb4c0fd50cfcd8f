//! Pages of series: from the table of devices or, where nobody keeps it, from the tables of series, without times then.

use serde_json::{Map, Value as Json};

use super::{Bind, Connection, micros};
use crate::message::Time;
use crate::store::devices::named;
use crate::store::error::Failure;
use crate::store::plan::Dialect;

/// Series of one page.
pub const MAX_SERIES: u32 = 200;
/// Tables of series that are looked through for one page.
const MAX_TABLES: usize = 500;

/// Which series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeriesAsked {
    /// `None`: of every measurement that the store knows.
    pub measurement: Option<String>,
    /// What the device's or the measurement's name contains, in upper or lower case; as it is written, without wildcards.
    pub search: String,
    pub silent_only: bool,
    pub offset: u64,
    /// [`MAX_SERIES`] at most.
    pub limit: u32,
}

/// A part of them, by measurement, name and number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesPage {
    /// How many there are on all pages.
    pub total: u64,
    pub series: Vec<Device>,
}

/// A series, as the table of devices has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    pub measurement: String,
    pub series_id: i64,
    /// What people call it: the tag values that are not empty, joined by ` / `.
    pub device: String,
    /// By name.
    pub tags: Vec<(String, String)>,
    /// Receipt of the oldest message known.
    pub first_seen: Option<Time>,
    /// Receipt of the newest message.
    pub last_seen: Option<Time>,
    /// Time of the newest row.
    pub last_time: Option<Time>,
    pub usual_interval_s: Option<f64>,
    /// Not heard for three times its usual interval and five minutes, and not retired.
    pub silent: bool,
    pub retired: bool,
    /// The last value of each field that was not null, by name.
    pub last: Vec<(String, Json)>,
}

/// Of one series: measurement, number, name, tags; receipts, time; usual interval, whether silent, whether retired; values.
type Row = (String, i64, String, String, Option<i64>, Option<i64>, Option<i64>, Option<f64>, i64, i64, String);

pub(super) async fn read(
    connection: &mut Connection,
    asked: &SeriesAsked,
    has_devices: bool,
) -> Result<SeriesPage, Failure> {
    if has_devices { of_devices(connection, asked).await } else { of_series(connection, asked).await }
}

async fn of_devices(connection: &mut Connection, asked: &SeriesAsked) -> Result<SeriesPage, Failure> {
    let dialect = connection.dialect();
    let device = device(dialect);
    let found = Search::of(asked);
    let mut binds = found.binds();
    let mut conditions = vec![found.condition(dialect, "device", "measurement", 1)];
    if let Some(measurement) = &asked.measurement {
        binds.push(Bind::Text(measurement));
        conditions.push(format!("measurement = ${}", binds.len()));
    }
    if asked.silent_only {
        conditions.push(is_silent(dialect).to_owned());
    }
    let conditions = conditions.join(" and ");
    let count: Vec<(i64,)> =
        connection.rows(format!("select count(*) from {device} where {conditions}"), &binds).await?;
    let total = count.first().map_or(0, |(count,)| count.unsigned_abs());
    binds.extend([Bind::Int(limit(asked)), Bind::Int(i64::try_from(asked.offset).unwrap_or(i64::MAX))]);
    let (n, m) = (binds.len() - 1, binds.len());
    // Names are ordered by their bytes in both; first the keys, so that no values are sorted along.
    let by_bytes = if dialect == Dialect::Postgres { " collate \"C\"" } else { "" };
    let (is_true, is_retired) = match dialect {
        Dialect::Postgres => ("::int::int8", "(retired_at is not null)::int::int8"),
        Dialect::Sqlite => ("", "retired_at is not null"),
    };
    let text = if dialect == Dialect::Postgres { "::text" } else { "" };
    let [first, seen, time] = ["first_seen", "last_seen", "last_time"].map(|column| micros(dialect, column));
    let sql = format!(
        "with page as (
           select measurement, series_id from {device}
           where {conditions}
           order by measurement, device{by_bytes}, series_id
           limit ${n} offset ${m}
         )
         select measurement, series_id, device, tags{text}, {first}, {seen}, {time},
           case when gaps >= 3 then gap_squares / nullif(gap_sum, 0) end, ({silent}){is_true}, {is_retired}, last_values{text}
         from {device}
         where (measurement, series_id) in (select measurement, series_id from page)
         order by measurement, device{by_bytes}, series_id",
        silent = is_silent(dialect)
    );
    let rows: Vec<Row> = connection.rows(sql, &binds).await?;
    Ok(SeriesPage { total, series: rows.into_iter().map(of_row).collect() })
}

fn of_row(row: Row) -> Device {
    let (measurement, series_id, device, tags, first, seen, time, usual, silent, retired, values) = row;
    Device {
        measurement,
        series_id,
        device,
        tags: texts(&tags),
        first_seen: first.map(Time),
        last_seen: seen.map(Time),
        last_time: time.map(Time),
        usual_interval_s: usual,
        silent: silent != 0,
        retired: retired != 0,
        last: object(&values).into_iter().collect(),
    }
}

/// Table by table: of each how many it has, until the page is full.
async fn of_series(connection: &mut Connection, asked: &SeriesAsked) -> Result<SeriesPage, Failure> {
    let mut page = SeriesPage::default();
    if asked.silent_only {
        return Ok(page);
    }
    let dialect = connection.dialect();
    let mut tables = series_tables(connection).await?;
    tables.retain(|(name, _)| asked.measurement.as_ref().is_none_or(|asked| asked == name));
    if tables.len() > MAX_TABLES {
        return Err(Failure::refused(format!(
            "there are {} measurements, and with `[store] devices_interval = \"0s\"` each has its series in a table of its own; \
             choose a measurement",
            tables.len()
        )));
    }
    let (search, mut skip) = (Search::of(asked), asked.offset);
    for (name, tags) in tables {
        let (label, object) = named(dialect, &name, &tags);
        let mut binds = search.binds();
        binds.push(Bind::Text(&name));
        let n = binds.len();
        let (name_of, text) = match dialect {
            Dialect::Postgres => (format!("${n}::text"), "::text"),
            Dialect::Sqlite => (format!("${n}"), ""),
        };
        let condition = search.condition(dialect, &format!("({label})"), &name_of, 1);
        // All parameters are used, whatever is searched for.
        let from = format!("from {} s where {name_of} is not null and {condition}", dialect.series(&name));
        let count: Vec<(i64,)> = connection.rows(format!("select count(*) {from}"), &binds).await?;
        let count = count.first().map_or(0, |(count,)| count.unsigned_abs());
        page.total += count;
        let room = limit(asked) - i64::try_from(page.series.len()).unwrap_or(i64::MAX);
        if skip < count && room > 0 {
            binds.extend([Bind::Int(room), Bind::Int(i64::try_from(skip).unwrap_or(i64::MAX))]);
            let sql = format!(
                "select s.series_id, {label}, {object}{text} {from} order by 2, 1 limit ${} offset ${}",
                n + 1,
                n + 2
            );
            let rows: Vec<(i64, String, String)> = connection.rows(sql, &binds).await?;
            page.series.extend(rows.into_iter().map(|(series_id, device, tags)| {
                let values = "{}".to_owned();
                of_row((name.clone(), series_id, device, tags, None, None, None, None, 0, 0, values))
            }));
        }
        skip = skip.saturating_sub(count);
    }
    Ok(page)
}

fn limit(asked: &SeriesAsked) -> i64 {
    i64::from(asked.limit.min(MAX_SERIES))
}

/// Measurements that have a table of series, and their tags.
pub(super) async fn series_tables(connection: &mut Connection) -> Result<Vec<(String, Vec<String>)>, Failure> {
    let sql = match connection.dialect() {
        Dialect::Postgres => {
            "select m.name, array_to_json(m.tags)::text from amber_store.measurement m
             join pg_catalog.pg_class c on c.relname = m.name || '_series'
             join pg_catalog.pg_namespace n on n.oid = c.relnamespace and n.nspname = 'amber_store'
             order by m.name"
        }
        Dialect::Sqlite => {
            "select m.name, m.tags from store_measurement m
             where exists (select 1 from sqlite_schema s where s.type = 'table' and s.name = 'store_' || m.name || '_series')
             order by m.name"
        }
    };
    let rows: Vec<(String, String)> = connection.rows(sql.to_owned(), &[]).await?;
    Ok(rows.into_iter().map(|(name, tags)| (name, serde_json::from_str(&tags).unwrap_or_default())).collect())
}

pub(super) const fn device(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => "amber_store.device",
        Dialect::Sqlite => "store_device",
    }
}

/// As the view `devices` has it, which whoever may only write the tables need not be allowed to read.
pub(super) const fn is_silent(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => {
            "(retired_at is null and gaps >= 3 and gap_sum > 0
             and coalesce(last_seen < now() - greatest(3 * gap_squares / nullif(gap_sum, 0), 300) * interval '1 second', false))"
        }
        Dialect::Sqlite => {
            "(retired_at is null and gaps >= 3 and gap_sum > 0
             and coalesce(last_seen < unixepoch('subsec') * 1000000 - max(3 * gap_squares / nullif(gap_sum, 0), 300) * 1000000, 0))"
        }
    }
}

/// What is looked for. SQLite's `lower` knows ASCII only, and so does PostgreSQL's in some locales: what is not ASCII is
/// looked for in lower case, in upper case, and as it was written.
struct Search(Vec<String>);

impl Search {
    fn of(asked: &SeriesAsked) -> Self {
        let text = asked.search.trim();
        if text.is_empty() {
            return Self(Vec::new());
        }
        let mut forms = vec![text.to_lowercase()];
        for form in [text.to_ascii_lowercase(), text.to_uppercase().to_ascii_lowercase()] {
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
        Self(forms)
    }

    fn binds(&self) -> Vec<Bind<'_>> {
        self.0.iter().map(|form| Bind::Text(form)).collect()
    }

    /// The forms are the parameters from `first` on.
    fn condition(&self, dialect: Dialect, device: &str, measurement: &str, first: usize) -> String {
        let holds = |text: &str, n: usize| match dialect {
            Dialect::Postgres => format!("position(${n} in lower({text})) > 0"),
            Dialect::Sqlite => format!("instr(lower({text}), ${n}) > 0"),
        };
        let all = (first..first + self.0.len()).flat_map(|n| [holds(device, n), holds(measurement, n)]);
        let all = all.collect::<Vec<_>>().join(" or ");
        if all.is_empty() { "true".to_owned() } else { format!("({all})") }
    }
}

fn object(text: &str) -> Map<String, Json> {
    serde_json::from_str(text).unwrap_or_default()
}

fn texts(text: &str) -> Vec<(String, String)> {
    let value = |value: Json| match value {
        Json::String(text) => text,
        other => other.to_string(),
    };
    object(text).into_iter().map(|(name, text)| (name, value(text))).collect()
}
