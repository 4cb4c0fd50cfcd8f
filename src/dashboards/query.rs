//! The SQL of the panels.
//!
//! Every query begins with the few devices that are shown, from `amber.devices`, and reads each one's rows by the index
//! over series and time. What Grafana expands: `$__timeFilter(column)`, `$__timeFrom()`, `$__timeTo()`, `$__interval_ms`,
//! `${x:sqlstring}`, which is right for none, one and many values (any other form is quoted otherwise from version to
//! version); `${__timezone:sqlstring}` is the zone of the browser, by name.

use super::name::{identifier, literal, slug};
use super::table::Column;
use crate::schema::Described;

/// So many devices a graph shows at most, and a chart of states or of days.
pub(super) const MAX_LINES: usize = 50;
pub(super) const MAX_STATES: usize = 30;
pub(super) const MAX_BARS: usize = 10;
/// So many values a variable offers, and rows the table of devices has.
pub(super) const MAX_CHOICES: usize = 1_000;

/// A fall of a counter by no more than this part is noise of the meter; more is a new beginning at 0.
const NOISE: &str = "0.99";

/// Queries over one measurement.
pub(super) struct Queries<'a> {
    measurement: &'a Described,
    /// Tags with a variable of their own, and its name.
    tags: Vec<(&'a str, String)>,
}

impl<'a> Queries<'a> {
    pub(super) fn new(measurement: &'a Described) -> Self {
        Self { measurement, tags: tag_variables(measurement) }
    }

    /// Tags that narrow the devices down. One tag alone says no more than `device`.
    pub(super) fn tags(&self) -> &[(&'a str, String)] {
        &self.tags
    }

    pub(super) fn measurement(&self) -> &str {
        &self.measurement.name
    }

    /// The variable of the devices.
    pub(super) fn device(&self) -> String {
        device_variable(&self.measurement.name)
    }

    fn name(&self) -> String {
        literal(&self.measurement.name)
    }

    fn data(&self) -> String {
        format!("amber_store.{}", identifier(&format!("{}_data", self.measurement.name)))
    }

    /// The values of a tag; the value of the variable is their md5, because a text may have what `:sqlstring` breaks.
    pub(super) fn tag_values(&self, tag: &str) -> String {
        let tag = literal(tag);
        format!(
            "select distinct coalesce(nullif(tags->>{tag}, ''), '(none)') as __text, md5(coalesce(tags->>{tag}, '')) as __value\n\
             from amber.devices\n\
             where measurement = {name} and retired_at is null\n\
             order by 1, 2\n\
             limit {MAX_CHOICES}",
            name = self.name()
        )
    }

    /// The devices that the tags chosen leave. A list of tag values as long as it can be means all.
    pub(super) fn devices(&self) -> String {
        let chosen = self.tags.iter().enumerate().map(|(at, (tag, _))| {
            let tag = literal(tag);
            format!(
                "\n  and (cardinality(c.chosen_{at}) >= {MAX_CHOICES} or md5(coalesce(tags->>{tag}, '')) = any (c.chosen_{at}))"
            )
        });
        let chosen: String = chosen.collect();
        let lists = self.tags.iter().enumerate();
        let lists: Vec<String> = lists
            .map(|(at, (_, variable))| format!("array[${{{variable}:sqlstring}}]::text[] as chosen_{at}"))
            .collect();
        let lists = if lists.is_empty() { String::new() } else { format!(", (select {}) as c", lists.join(", ")) };
        format!(
            "select case when count(*) over (partition by device) > 1 then device || ' (' || series_id || ')' else device end as __text,\n  \
             series_id::text as __value\n\
             from amber.devices{lists}\n\
             where measurement = {name} and retired_at is null{chosen}\n\
             order by 1, 2\n\
             limit {MAX_CHOICES}",
            name = self.name()
        )
    }

    /// The devices chosen, at most `limit` of them by name, as `device`.
    fn chosen(&self, limit: usize) -> String {
        format!(
            "device as (\n  \
               select series_id, device, coalesce(usual_interval_s, 1e9) * interval '1 second' as usual\n  \
               from amber.devices\n  \
               where measurement = {name} and series_id::text = any (array[${{{variable}:sqlstring}}]::text[])\n  \
               order by device, series_id\n  \
               limit {limit}\n\
             )",
            name = self.name(),
            variable = self.device(),
        )
    }

    /// A number over time, averaged over what is a dot on the screen. Rows: `time`, `device`, `id`, `value`; a row
    /// without a value where a device paused for so long that no line should bridge it.
    pub(super) fn trend(&self, field: &str) -> String {
        let points = self.points(field, "avg");
        format!(
            "with {chosen}, point as (\n{points}\n), spaced as (\n  \
               select series_id, device, usual, time,\n    \
                 lead(time) over (partition by series_id order by time) - time as pause\n  \
               from point\n\
             ), {longest}\n\
             select time, device, series_id::text as id, value from point\n\
             union all\n\
             select s.time + l.longest, s.device, s.series_id::text, null\n\
             from spaced s\n\
             join longest l using (series_id)\n\
             where s.pause > l.longest\n\
             order by 1",
            chosen = self.chosen(MAX_LINES),
            longest = longest("spaced"),
        )
    }

    /// By how much a counter grew, an hour; like `trend`.
    pub(super) fn rate(&self, field: &str) -> String {
        let points = self.points(field, "max");
        format!(
            "with {chosen}, point as (\n{points}\n), spaced as (\n  \
               select series_id, device, usual, time, value, lead(time) over w - time as pause,\n    \
                 time - lag(time) over w as since, lag(value) over w as before\n  \
               from point\n  \
               window w as (partition by series_id order by time)\n\
             ), {longest}\n\
             select time, device, series_id::text as id, {grown} * 3600 / extract(epoch from since)::float8 as value\n\
             from spaced\n\
             where before is not null\n\
             union all\n\
             select s.time + l.longest, s.device, s.series_id::text, null\n\
             from spaced s\n\
             join longest l using (series_id)\n\
             where s.pause > l.longest\n\
             order by 1",
            chosen = self.chosen(MAX_LINES),
            longest = longest("spaced"),
            grown = grown(),
        )
    }

    fn points(&self, field: &str, aggregate: &str) -> String {
        let field = identifier(field);
        format!(
            "  select d.series_id, d.device, d.usual, p.time, p.value\n  \
               from device d\n  \
               cross join lateral (\n    \
                 select date_bin('$__interval_ms milliseconds', r.time, timestamptz 'epoch') as time,\n      \
                   {aggregate}(r.{field})::float8 as value\n    \
                 from {data} r\n    \
                 where r.series_id = d.series_id and $__timeFilter(r.time) and r.{field} is not null\n    \
                 group by 1\n  \
               ) p",
            data = self.data(),
        )
    }

    /// By how much a counter grew, each day of the browser's time zone: `time`, `device`, `id`, `value`. Seven days at
    /// least, so that a range of hours shows something, too. The reading before a day's first belongs to the sum.
    pub(super) fn daily(&self, field: &str) -> String {
        let field = identifier(field);
        format!(
            "with {chosen}, span as (\n  \
               select date_trunc('day', least($__timeFrom()::timestamptz, $__timeTo()::timestamptz - interval '6 days'),\n    \
                 ${{__timezone:sqlstring}}) as since\n\
             ), reading as (\n  \
               select d.series_id, d.device, r.time, r.value, lag(r.value) over (partition by d.series_id order by r.time) as before\n  \
               from device d\n  \
               cross join span\n  \
               cross join lateral (\n    \
                 select r.time, r.{field}::float8 as value\n    \
                 from {data} r\n    \
                 where r.series_id = d.series_id and r.{field} is not null\n      \
                   and r.time >= span.since - interval '1 day' and r.time <= $__timeTo()::timestamptz\n  \
               ) r\n\
             )\n\
             select date_trunc('day', time, ${{__timezone:sqlstring}}) as time, device, series_id::text as id, sum({grown}) as value\n\
             from reading\n\
             where before is not null and time >= (select since from span)\n\
             group by 1, 2, 3\n\
             order by 1",
            chosen = self.chosen(MAX_BARS),
            data = self.data(),
            grown = grown(),
        )
    }

    /// What is no number, whenever it changes: `time`, `device`, `id`, `value`. It begins with the state before the range
    /// (up to a week old), and a row without a value says that the device was silent.
    pub(super) fn states(&self, field: &str, is_bool: bool) -> String {
        let field = identifier(field);
        let value = if is_bool { format!("r.{field}::int") } else { format!("left(r.{field}, 80)") };
        let data = self.data();
        format!(
            "with {chosen}, message as (\n  \
               select d.series_id, d.device, d.usual, p.time, p.value\n  \
               from device d\n  \
               cross join lateral (\n    \
                 (select $__timeFrom()::timestamptz as time, {value} as value\n    \
                  from {data} r\n    \
                  where r.series_id = d.series_id and r.{field} is not null\n      \
                    and r.time >= $__timeFrom()::timestamptz - interval '7 days' and r.time < $__timeFrom()::timestamptz\n    \
                  order by r.time desc\n    \
                  limit 1)\n    \
                 union all\n    \
                 select r.time, {value}\n    \
                 from {data} r\n    \
                 where r.series_id = d.series_id and $__timeFilter(r.time)\n  \
               ) p\n\
             ), spaced as (\n  \
               select series_id, device, usual, time, value,\n    \
                 coalesce(lead(time) over (partition by series_id order by time), least($__timeTo()::timestamptz, now())) - time as pause\n  \
               from message\n\
             ), {longest}, phase as (\n  \
               select s.series_id, s.device, s.time, s.value, s.pause, l.longest,\n    \
                 sum((s.pause > l.longest)::int) over (partition by s.series_id order by s.time) - (s.pause > l.longest)::int as phase\n  \
               from spaced s\n  \
               join longest l using (series_id)\n\
             ), state as (\n  \
               select series_id, device, time, value, phase, lag(value) over w as before, lag(phase) over w as phase_before\n  \
               from phase\n  \
               where value is not null\n  \
               window w as (partition by series_id order by time)\n\
             )\n\
             select time, device, series_id::text as id, value\n\
             from state\n\
             where value is distinct from before or phase is distinct from phase_before\n\
             union all\n\
             select time + longest, device, series_id::text, null\n\
             from phase\n\
             where pause > longest\n\
             order by 1",
            chosen = self.chosen(MAX_STATES),
            longest = longest("spaced"),
        )
    }

    /// The devices chosen with their last values.
    pub(super) fn table(&self, columns: &[Column<'_>]) -> String {
        let columns: String =
            columns.iter().map(|column| format!(",\n  {} as {}", column.sql(), column.alias)).collect();
        format!(
            "select device, series_id::text as id, last_seen,\n  \
               case when silent then 2 when usual_interval_s is null then 1 else 0 end as state{columns}\n\
             from amber.devices\n\
             where measurement = {name} and series_id::text = any (array[${{{variable}:sqlstring}}]::text[])\n\
             order by device, series_id\n\
             limit {MAX_CHOICES}",
            name = self.name(),
            variable = self.device(),
        )
    }

    /// One number of the devices chosen.
    pub(super) fn number(&self, expression: &str) -> String {
        format!(
            "select {expression} as value\n\
             from amber.devices\n\
             where measurement = {name} and retired_at is null and series_id::text = any (array[${{{variable}:sqlstring}}]::text[])",
            name = self.name(),
            variable = self.device(),
        )
    }
}

/// The pause of a series from which on it is an outage: three times the longest of what it usually is between its
/// messages, between nine of ten values in the range, and between two dots.
fn longest(of: &str) -> String {
    format!(
        "longest as (\n  \
           select series_id,\n    \
             3 * greatest(percentile_disc(0.9) within group (order by pause), max(usual), interval '$__interval_ms milliseconds') as longest\n  \
           from {of}\n  \
           group by series_id\n\
         )"
    )
}

/// By how much a counter grew from `before` to `value`.
fn grown() -> String {
    format!("case when value >= before then value - before when value >= before * {NOISE} then 0 else value end")
}

/// The name of the variable of the devices. Another in each measurement: links hand variables on, and what is one device
/// here is another there.
pub(super) fn device_variable(measurement: &str) -> String {
    format!("device_{}", slug(measurement).replace('-', "_"))
}

/// The names of the variables of the tags, unique, and plain whatever the tags are called.
fn tag_variables(measurement: &Described) -> Vec<(&str, String)> {
    if measurement.tags.len() < 2 {
        return Vec::new();
    }
    let plain = |tag: &str| tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let name = |(at, tag): (usize, &String)| if plain(tag) { format!("tag_{tag}") } else { format!("tag{at}") };
    let names = measurement.tags.iter().enumerate().map(name);
    measurement.tags.iter().map(String::as_str).zip(names).collect()
}
