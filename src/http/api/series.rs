//! `GET /api/series` and `GET /api/history`: the devices, and plots of what they said.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use serde_json::Value;

use super::{Answer, Asked, Fault, Json, key, milliseconds, now};
use crate::http::Server;
use crate::http::live::written;
use crate::message::Time;
use crate::schema::{Schema, Type};
use crate::store::reader::{Device, HistoryAsked, MAX_FIELDS, Plot, SeriesAsked};

/// Series of a page, unless it asks for fewer or more.
const LIMIT: u32 = 25;
const MAX_LIMIT: u32 = 200;
/// Of a plot, unless another range is asked for.
const MINUTES: i64 = 15;
const POINTS: u32 = 60;
const MINUTE_US: i64 = 60_000_000;

#[derive(Serialize)]
struct Series<'a> {
    total: u64,
    offset: u64,
    series: Vec<Shown<'a>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    measurement: &'a str,
    id: i64,
    device: &'a str,
    tags: BTreeMap<&'a str, &'a str>,
    first_seen: Option<i64>,
    last_seen: Option<i64>,
    last_time: Option<i64>,
    usual_interval_s: Option<f64>,
    silent: bool,
    retired: bool,
    last: BTreeMap<&'a str, &'a Value>,
}

impl<'a> From<&'a Device> for Shown<'a> {
    fn from(device: &'a Device) -> Self {
        Self {
            measurement: &device.measurement,
            id: device.series_id,
            device: &device.device,
            tags: device.tags.iter().map(|(name, value)| (&**name, &**value)).collect(),
            first_seen: device.first_seen.map(milliseconds),
            last_seen: device.last_seen.map(milliseconds),
            last_time: device.last_time.map(milliseconds),
            usual_interval_s: device.usual_interval_s,
            silent: device.silent,
            retired: device.retired,
            last: device.last.iter().map(|(name, value)| (&**name, value)).collect(),
        }
    }
}

/// A page of the series.
pub(in crate::http) async fn series(State(server): State<Arc<Server>>, uri: Uri) -> Answer {
    let asked = Asked::of(&uri)?;
    let offset = asked.number("offset")?.unwrap_or(0);
    let asked = SeriesAsked {
        measurement: asked.text("measurement").map(str::to_owned),
        search: asked.text("search").unwrap_or_default().to_owned(),
        silent_only: asked.flag("silent"),
        offset,
        limit: asked.number("limit")?.unwrap_or(LIMIT).clamp(1, MAX_LIMIT),
    };
    let in_force = now(&server);
    let page = server.stored.ask(key(&uri, &in_force), async |reader| {
        let page = reader.series(&asked).await?;
        let series = page.series.iter().map(Into::into).collect();
        Ok(written(&Series { total: page.total, offset, series }))
    });
    Ok(Json(page.await?))
}

#[derive(Serialize)]
struct History<'a> {
    from: i64,
    to: i64,
    step_ms: u64,
    plots: Vec<ShownPlot<'a>>,
}

#[derive(Serialize)]
struct ShownPlot<'a> {
    series: i64,
    field: &'a str,
    times: &'a [f64],
    avg: &'a [f64],
    min: &'a [f64],
    max: &'a [f64],
}

impl<'a> From<&'a Plot> for ShownPlot<'a> {
    fn from(plot: &'a Plot) -> Self {
        let Plot { series_id, field, times_s, avg, min, max } = plot;
        Self { series: *series_id, field, times: times_s, avg, min, max }
    }
}

/// Plots of some series of one measurement.
pub(in crate::http) async fn history(State(server): State<Arc<Server>>, uri: Uri) -> Answer {
    let in_force = now(&server);
    let asked = history_asked(&Asked::of(&uri)?, &in_force.schema, (server.shown.clock)())?;
    let plots = server.stored.ask(key(&uri, &in_force), async |reader| {
        let plots = reader.history(&in_force.schema, &asked).await?;
        Ok(written(&History {
            from: milliseconds(asked.from),
            to: milliseconds(asked.to),
            step_ms: u64::try_from(asked.step().as_millis()).unwrap_or(u64::MAX),
            plots: plots.iter().map(Into::into).collect(),
        }))
    });
    Ok(Json(plots.await?))
}

fn history_asked(asked: &Asked, schema: &Schema, now: Time) -> Result<HistoryAsked, Fault> {
    let measurement = asked.text("measurement").ok_or_else(|| Fault::wrong("`measurement` is missing"))?.to_owned();
    let series: Result<Vec<i64>, _> = asked.list("series").map(str::parse).collect();
    let series = series.map_err(|_| Fault::wrong("`series` is a list of numbers, as in `1,2`"))?;
    if series.is_empty() {
        return Err(Fault::wrong("`series` is missing; name some, as in `series=1,2`"));
    }
    let mut fields: Vec<String> = asked.list("fields").map(str::to_owned).collect();
    if fields.is_empty() {
        let known = schema.measurements.iter().find(|it| it.name == measurement);
        let drawn = known.into_iter().flat_map(|measurement| &measurement.fields);
        let drawn = drawn.filter(|field| matches!(field.r#type, Type::Float | Type::Int | Type::Bool));
        fields = drawn.map(|field| field.name.clone()).take(MAX_FIELDS).collect();
    }
    let (from, to) = match (asked.number::<i64>("from")?, asked.number::<i64>("to")?) {
        (Some(from), Some(to)) => (from.checked_mul(1_000), to.checked_mul(1_000)),
        (None, None) => {
            let minutes = asked.number("minutes")?.unwrap_or(MINUTES);
            // What is received within this millisecond belongs to it.
            let to = now.0 + 1_000;
            (minutes.checked_mul(MINUTE_US).and_then(|span| to.checked_sub(span)), Some(to))
        }
        (Some(_), None) | (None, Some(_)) => return Err(Fault::wrong("`from` and `to` belong together")),
    };
    let (Some(from), Some(to)) = (from, to) else { return Err(Fault::wrong("the range of time is too long")) };
    let points = asked.number("points")?.unwrap_or(POINTS);
    Ok(HistoryAsked { measurement, series, fields, from: Time(from), to: Time(to), points })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<HistoryAsked, Fault> {
        let text = "[broker]\nurl = 'mqtt://a'\n[store]\nurl = 'sqlite:a.db'\n[mapping.m]\ntopic = 'a'\n\
                    fields = { a = {}, b = { type = 'text' }, c = { type = 'bool' } }";
        let config = crate::config::load_text("config.toml", text, []).config.unwrap();
        let mapping = crate::mapping::Mapping::new(&config.mappings).0.unwrap();
        let asked = Asked::of(&format!("/api/history?{query}").parse().unwrap()).unwrap();
        history_asked(&asked, mapping.schema(), Time(1_000_000_000_000))
    }

    #[test]
    fn a_range_is_the_last_minutes_or_what_is_said() {
        let asked = read("measurement=m&series=1,2").unwrap();
        assert_eq!((asked.series, asked.points), (vec![1, 2], POINTS));
        assert_eq!(asked.fields, ["a", "c"], "what can be drawn");
        assert_eq!(asked.to.since(asked.from).as_secs(), 900);
        let asked = read("measurement=m&series=1&fields=a&from=1000&to=2000&points=10").unwrap();
        assert_eq!((asked.from, asked.to, asked.points), (Time(1_000_000), Time(2_000_000), 10));
        for (query, said) in [
            ("series=1", "`measurement`"),
            ("measurement=m", "`series`"),
            ("measurement=m&series=x", "`series`"),
            ("measurement=m&series=1&from=1", "`from` and `to`"),
            ("measurement=m&series=1&from=1&to=9223372036854775807", "too long"),
            ("measurement=m&series=1&minutes=9223372036854775807", "too long"),
            ("measurement=m&series=1&points=-1", "`points`"),
        ] {
            let fault = read(query).unwrap_err();
            assert!(format!("{fault:?}").contains(said), "{query}: {fault:?}");
        }
    }
}
