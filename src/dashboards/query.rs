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

/// The zone of the browser.
const ZONE: &str = "${__timezone:sqlstring}";

/// The dot on the screen that a reading belongs to.
const DOT: &str = "date_bin('$__interval_ms milliseconds', r.time, timestamptz 'epoch')";

/// What follows is asked of each device by itself, so that its readings are sorted and walked by themselves, in the order
/// in which the index gives them.
const OF_EACH: &str = "select p.time, d.device, d.series_id::text as id, p.value\n\
                       from device d\n\
                       cross join lateral (";

/// The pause of a series from which on it is an outage: three times the longest of what it usually is between its
/// messages, between nine of ten values in the range, and between two dots.
const LONGEST: &str = "longest as (\n    \
                         select 3 * greatest(percentile_disc(0.9) within group (order by pause), d.usual, interval '$__interval_ms milliseconds') as longest\n    \
                         from spaced\n  \
                       )";

/// A longer pause is a row without a value.
const GAPS: &str = "union all\n  \
                    select s.time + l.longest, null from spaced s cross join longest l where s.pause > l.longest";

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
        let field = identifier(field);
        let point = format!(
            "point as (\n    \
               select {DOT} as time, avg(r.{field})::float8 as value\n    \
               from {data} r\n    \
               where r.series_id = d.series_id and $__timeFilter(r.time) and r.{field} is not null\n    \
               group by 1\n  \
             )",
            data = self.data(),
        );
        format!(
            "with {chosen}\n\
             {OF_EACH}\n  \
             with {point}, spaced as (\n    \
               select time, value, lead(time) over (order by time) - time as pause from point\n  \
             ), {LONGEST}\n  \
             select time, value from spaced\n  \
             {GAPS}\n\
             ) p\n\
             order by 1",
            chosen = self.chosen(MAX_LINES),
        )
    }

    /// By how much a counter grew, an hour; like `trend`. The reading before the range belongs to it.
    pub(super) fn rate(&self, field: &str) -> String {
        format!(
            "with {chosen}\n\
             {OF_EACH}\n  \
             with {reading}, point as (\n    \
               select {DOT} as time, max(r.value) as value\n    \
               from reading r\n    \
               group by 1\n  \
             ), spaced as (\n    \
               select time, value, lead(time) over w - time as pause, time - lag(time) over w as since, lag(value) over w as before\n    \
               from point\n    \
               window w as (order by time)\n  \
             ), {LONGEST}\n  \
             select time, {grown} * 3600 / extract(epoch from since)::float8 as value\n  \
             from spaced\n  \
             where before is not null\n  \
             {GAPS}\n\
             ) p\n\
             order by 1",
            chosen = self.chosen(MAX_LINES),
            reading = self.reading(field, "$__timeFrom()::timestamptz"),
            grown = grown(),
        )
    }

    /// The values of a counter in the range, and the last one before it, up to a week old: what it grew from.
    fn reading(&self, field: &str, since: &str) -> String {
        let (field, data) = (identifier(field), self.data());
        format!(
            "reading as (\n    \
               (select r.time, r.{field}::float8 as value\n    \
                from {data} r\n    \
                where r.series_id = d.series_id and r.{field} is not null\n      \
                  and r.time >= {since} - interval '7 days' and r.time < {since}\n    \
                order by r.time desc\n    \
                limit 1)\n    \
               union all\n    \
               select r.time, r.{field}::float8\n    \
               from {data} r\n    \
               where r.series_id = d.series_id and r.{field} is not null\n      \
                 and r.time >= {since} and r.time <= $__timeTo()::timestamptz\n  \
             )"
        )
    }

    /// By how much a counter grew, each day of the browser's time zone: `time`, `device`, `id`, `value`. Seven days at
    /// least, so that a range of hours shows something, too. The reading before a day's first belongs to the sum.
    ///
    /// Every reading is looked at, because any may be the first after the counter began anew; days are told apart after
    /// that, by quarters of an hour, of which the offset of every zone is a multiple.
    pub(super) fn daily(&self, field: &str) -> String {
        let since = format!(
            "date_trunc('day', least($__timeFrom()::timestamptz, $__timeTo()::timestamptz - interval '6 days'), {ZONE})"
        );
        format!(
            "with {chosen}\n\
             {OF_EACH}\n  \
             with {reading}, grown as (\n    \
               select time, value, lag(value) over (order by time) as before from reading\n  \
             ), quarter as (\n    \
               select date_bin('15 minutes', time, timestamptz 'epoch') as time, sum({grown}) as value\n    \
               from grown\n    \
               where before is not null\n    \
               group by 1\n  \
             )\n  \
             select date_trunc('day', time, {ZONE}) as time, sum(value) as value\n  \
             from quarter\n  \
             group by 1\n\
             ) p\n\
             order by 1",
            chosen = self.chosen(MAX_BARS),
            reading = self.reading(field, &since),
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
            "with {chosen}\n\
             {OF_EACH}\n  \
             with message as (\n    \
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
             ), spaced as (\n    \
               select time, value, coalesce(lead(time) over (order by time), least($__timeTo()::timestamptz, now())) - time as pause\n    \
               from message\n  \
             ), {LONGEST}, phase as (\n    \
               select time, value,\n      \
                 count(*) filter (where pause > longest) over (order by time rows between unbounded preceding and 1 preceding) as phase\n    \
               from spaced\n    \
               cross join longest\n  \
             ), state as (\n    \
               select time, value, phase, lag(value) over w as before, lag(phase) over w as phase_before\n    \
               from phase\n    \
               where value is not null\n    \
               window w as (order by time)\n  \
             )\n  \
             select time, value\n  \
             from state\n  \
             where value is distinct from before or phase is distinct from phase_before\n  \
             {GAPS}\n\
             ) p\n\
             order by 1",
            chosen = self.chosen(MAX_STATES),
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
