//! The statements over the table of devices, as text. Pure.

use super::Shape;
use crate::schema::Type;
use crate::store::plan::Dialect;
use crate::store::sql::{literal, quote};

/// Arguments of a function in SQLite, less a few.
const ARGUMENTS: usize = 100;

/// Measurements with their tags (JSON), fields with their types, and measurements whose series table has a column
/// `retired_at`.
pub(super) const fn shapes(dialect: Dialect) -> [&'static str; 3] {
    match dialect {
        Dialect::Postgres => [
            "select name, array_to_json(tags)::text from amber_store.measurement",
            "select measurement, name, type from amber_store.field where type <> 'json' order by measurement, position, name",
            "select m.name from amber_store.measurement m
             join pg_catalog.pg_class c on c.relname = m.name || '_series'
             join pg_catalog.pg_namespace n on n.oid = c.relnamespace and n.nspname = 'amber_store'
             join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = 'retired_at' and not a.attisdropped",
        ],
        Dialect::Sqlite => [
            "select name, tags from store_measurement",
            "select measurement, name, type from store_field where type <> 'json' order by measurement, position, name",
            "select m.name from store_measurement m
             where exists (select 1 from pragma_table_info('store_' || m.name || '_series') i where i.name = 'retired_at')",
        ],
    }
}

const fn device(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => "amber_store.device",
        Dialect::Sqlite => "store_device",
    }
}

const fn parameter(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => "$1",
        Dialect::Sqlite => "?1",
    }
}

/// The rows of the second parameter (an array of arrays) as `j`, joined with their series `s` by the tags.
fn from(dialect: Dialect, shape: &Shape) -> String {
    let series = dialect.series(&shape.name);
    let tags = shape.tags.iter().enumerate().map(|(n, tag)| match dialect {
        Dialect::Postgres => format!("s.{} = j.v ->> {n}", quote(tag)),
        Dialect::Sqlite => format!("s.{} = j.value ->> '$[{n}]'", quote(tag)),
    });
    let on = tags.collect::<Vec<_>>().join(" and ");
    let on = if on.is_empty() { "true" } else { &on };
    match dialect {
        Dialect::Postgres => {
            format!("jsonb_array_elements($2::jsonb) with ordinality as j(v, n) join {series} s on {on}")
        }
        // Never the other way round: the index over the tags is the way in.
        Dialect::Sqlite => format!("json_each(?2) as j cross join {series} s on {on}"),
    }
}

/// What is known of series: place, receipt, time, gaps. $1 the measurement, $2 the tags of each.
pub(super) fn look(dialect: Dialect, shape: &Shape) -> String {
    let (from, device) = (from(dialect, shape), device(dialect));
    let (place, seen, time) = match dialect {
        Dialect::Postgres => ("j.n - 1", micros(&past(dialect, "d.last_seen")), micros("d.last_time")),
        Dialect::Sqlite => ("j.key", past(dialect, "d.last_seen"), "d.last_time".to_owned()),
    };
    format!(
        "select {place}, {seen}, {time}, d.gaps, d.gap_sum, d.gap_squares\nfrom {from}\n\
         left join {device} d on d.measurement = {} and d.series_id = s.series_id",
        parameter(dialect)
    )
}

/// $1 the measurement, $2 rows: tags, receipt of the first and of the last message, time of the newest row, gaps (count,
/// sum, squares), values. They are taken in the order of their series, each of which is in it once.
///
/// `is_newer`: whether the values take the place of those that are there, or only fill in what nothing is known of. Which
/// they are is known field by field; the time of the newest row would not tell, since another Amber may have written one
/// of other fields.
pub(super) fn write(dialect: Dialect, shape: &Shape, is_newer: bool) -> String {
    let [first, last, time, count, sum, squares, values] = parts(dialect, shape.tags.len());
    let (from, device, measurement) = (from(dialect, shape), device(dialect), parameter(dialect));
    let (label, tags, retired) = (label(dialect, shape), tags(dialect, shape), retired(dialect, shape));
    let (under, over) = if is_newer { ("d", "excluded") } else { ("excluded", "d") };
    let values_of_both = match dialect {
        Dialect::Postgres => format!("{under}.last_values || {over}.last_values"),
        Dialect::Sqlite => format!("json_patch({under}.last_values, {over}.last_values)"),
    };
    let most = |word: &str, column: &str, known: &str| match dialect {
        Dialect::Postgres => format!("{column} = {word}({known}, excluded.{column})"),
        Dialect::Sqlite => {
            let word = if word == "greatest" { "max" } else { "min" };
            format!("{column} = coalesce({word}({known}, excluded.{column}), {known}, excluded.{column})")
        }
    };
    let times = [
        most("least", "first_seen", "d.first_seen"),
        most("greatest", "last_seen", &past(dialect, "d.last_seen")),
        most("greatest", "last_time", "d.last_time"),
    ];
    let (times, last) = (times.join(",\n  "), past(dialect, &last));
    let gaps = ["gaps", "gap_sum", "gap_squares"]
        .map(|column| format!("{column} = case when excluded.gaps > 0 then excluded.{column} else d.{column} end"))
        .join(",\n  ");
    format!(
        "insert into {device} as d (measurement, series_id, device, tags, first_seen, last_seen, last_time, gaps, gap_sum, gap_squares, retired_at, last_values)
select {measurement}, s.series_id, {label}, {tags}, {first}, {last}, {time}, {count}, {sum}, {squares}, {retired}, {values}
from {from}
where true
order by s.series_id
on conflict (measurement, series_id) do update set
  device = excluded.device,
  tags = excluded.tags,
  {times},
  {gaps},
  last_values = {values_of_both}"
    )
}

/// A receipt that is far ahead of the store's clock is one of a clock that was wrong, and would say for as long that the
/// device is well. A minute is for clocks that go a little apart.
fn past(dialect: Dialect, receipt: &str) -> String {
    match dialect {
        Dialect::Postgres => {
            format!("case when {receipt} > now() + interval '1 minute' then now() else {receipt} end")
        }
        Dialect::Sqlite => {
            let now = "cast(unixepoch('subsec') * 1000000 as integer)";
            format!("case when {receipt} > {now} + 60000000 then {now} else {receipt} end")
        }
    }
}

/// What is behind `tags` tags in a row.
fn parts(dialect: Dialect, tags: usize) -> [String; 7] {
    let part = |n: usize, r#type: &str| match dialect {
        Dialect::Postgres => format!("(j.v ->> {}){}", tags + n, r#type),
        Dialect::Sqlite => format!("j.value ->> '$[{}]'", tags + n),
    };
    let time = |n: usize| match dialect {
        Dialect::Postgres => format!("timestamptz 'epoch' + {} * interval '1 microsecond'", part(n, "::float8")),
        Dialect::Sqlite => part(n, ""),
    };
    let (sum, squares) = (part(4, "::float8"), part(5, "::float8"));
    [time(0), time(1), time(2), part(3, "::int8"), sum, squares, part(6, "::jsonb")]
}

/// What people call it.
pub(super) fn label(dialect: Dialect, shape: &Shape) -> String {
    let tags = shape.tags.iter().map(|tag| format!("s.{}", quote(tag)));
    let name = literal(&shape.name);
    match dialect {
        _ if shape.tags.is_empty() => name,
        Dialect::Postgres => {
            let tags = tags.collect::<Vec<_>>().join(", ");
            format!("coalesce(nullif(array_to_string(array_remove(array[{tags}], ''), ' / '), ''), {name})")
        }
        Dialect::Sqlite => {
            let parts = tags.map(|tag| format!("case when {tag} <> '' then ' / ' || {tag} else '' end"));
            format!("coalesce(nullif(substr({}, 4), ''), {name})", parts.collect::<Vec<_>>().join(" || "))
        }
    }
}

/// The object of tags.
pub(super) fn tags(dialect: Dialect, shape: &Shape) -> String {
    match dialect {
        Dialect::Postgres => {
            let names: Vec<String> = shape.tags.iter().map(|tag| literal(tag)).collect();
            let values: Vec<String> = shape.tags.iter().map(|tag| format!("s.{}", quote(tag))).collect();
            format!("jsonb_object(array[{}]::text[], array[{}]::text[])", names.join(", "), values.join(", "))
        }
        Dialect::Sqlite => {
            let part = |tags: &[String]| {
                let tags = tags.iter().map(|tag| format!("{}, s.{}", literal(tag), quote(tag)));
                format!("json_object({})", tags.collect::<Vec<_>>().join(", "))
            };
            let parts = shape.tags.chunks(ARGUMENTS / 2).map(part);
            parts.reduce(|all, part| format!("json_patch({all}, {part})")).unwrap_or_else(|| "'{}'".to_owned())
        }
    }
}

/// What a new row begins with: what people said in the first version is taken over, once.
fn retired(dialect: Dialect, shape: &Shape) -> &'static str {
    match dialect {
        _ if shape.has_retired => "s.retired_at",
        Dialect::Postgres => "null::timestamptz",
        Dialect::Sqlite => "null",
    }
}

/// PostgreSQL's, in microseconds.
fn micros(column: &str) -> String {
    format!("(extract(epoch from {column}) * 1000000)::int8")
}

/// The next $3 series after $1, and the newest rows of each since what the table knows, $4 at most, newest last: number,
/// whether the device is known by its tags, time, receipt, first receipt, tags, fields. $2 the measurement, $5 the time
/// before which they were received.
pub(super) fn walk(dialect: Dialect, shape: &Shape) -> String {
    let (series, data, device) = (dialect.series(&shape.name), dialect.data(&shape.name), device(dialect));
    let tags: String = shape.tags.iter().map(|tag| format!(", s.{}", quote(tag))).collect();
    let time = |column: &str| match dialect {
        Dialect::Postgres => micros(column),
        Dialect::Sqlite => column.to_owned(),
    };
    let field = |(name, r#type): &(String, Type)| {
        let column = format!("r.{}", quote(name));
        format!(", {}", if *r#type == Type::Time { time(&column) } else { column })
    };
    let fields: String = shape.fields.iter().map(field).collect();
    let first = format!("(select f.received_at from {data} f where f.series_id = s.series_id order by f.time limit 1)");
    let first = format!("case when d.series_id is null then {} end", time(&first));
    let (row_time, receipt) = (time("r.time"), time("r.received_at"));
    // One that was renamed is written anew.
    let is_known = format!("coalesce(d.tags = {}, false)", self::tags(dialect, shape));
    let columns = format!("s.series_id, {is_known}, {row_time}, {receipt}, {first}{tags}{fields}");
    let before = "timestamptz 'epoch' + $5::float8 * interval '1 microsecond'";
    match dialect {
        Dialect::Postgres => format!(
            "select {columns}
from (select * from {series} where series_id > $1 order by series_id limit $3) s
left join {device} d on d.measurement = $2 and d.series_id = s.series_id
left join lateral (
  select * from {data} n where n.series_id = s.series_id and n.time > coalesce(d.last_time, '-infinity') and n.received_at < {before}
  order by n.time desc limit $4
) r on true
order by s.series_id, r.time"
        ),
        Dialect::Sqlite => format!(
            "select {columns}
from (select * from {series} where series_id > ?1 order by series_id limit ?3) s
left join {device} d on d.measurement = ?2 and d.series_id = s.series_id
left join {data} r on r.rowid in (
  select n.rowid from {data} n where n.series_id = s.series_id and n.time > coalesce(d.last_time, -9223372036854775808) and n.received_at < ?5
  order by n.time desc limit ?4
)
order by s.series_id, r.time"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_name_tags_is_quoted_and_no_function_has_more_arguments_than_it_may() {
        let tags: Vec<String> = (0..60).map(|n| format!("it's \"{n}\"")).collect();
        let shape = Shape { name: "it's".into(), tags, ..Shape::default() };
        let sqlite = write(Dialect::Sqlite, &shape, false);
        assert!(sqlite.contains("json_patch(json_object('it''s \"0\"', s.\"it's \"\"0\"\"\","), "{sqlite}");
        let postgres = write(Dialect::Postgres, &shape, true);
        assert!(
            postgres.contains("array['it''s \"0\"', 'it''s \"1\"'")
                && postgres.contains("= d.last_values || excluded.last_values")
        );
    }
}
