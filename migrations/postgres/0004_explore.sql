-- What the dashboards Explore and Rejects ask for: any field of any measurement, and payloads as text.

create function amber.readings(
  measurement text, field text, series bigint[], "from" timestamptz, "to" timestamptz, step interval
)
returns table ("time" timestamptz, series_id bigint, device text, value double precision)
language plpgsql stable parallel safe security invoker
set search_path = pg_catalog
as $body$
declare
  expression text;
begin
  -- Names come from the catalogue or not at all: what it does not know gives no rows.
  select case f.type
      when 'bool' then pg_catalog.format('d.%I::int::double precision', f.name)
      else pg_catalog.format('d.%I::double precision', f.name)
    end
  into expression
  from amber_store.field f
  where f.measurement = readings.measurement and f.name = readings.field and f.type in ('float', 'int', 'bool');
  if expression is null then
    return;
  end if;
  return query execute pg_catalog.format(
    $query$
    with grouped as (
      select date_bin($4, d.time, timestamptz '2000-01-01 00:00:00+00') as "time", d.series_id, avg(%1$s) as value
      from amber_store.%2$I d
      where d.series_id = any ($1) and d.time >= $2 and d.time <= $3 and d.%3$I is not null
      group by 1, 2
    )
    select g.time, g.series_id, coalesce(n.device, 'series ' || g.series_id), g.value
    from grouped g
    left join (
      -- Two series may have one name: the same words in different tags.
      select v.series_id,
        v.device || case when count(*) over (partition by v.device) > 1 then ' #' || v.series_id else '' end as device
      from amber.devices v
      where v.measurement = $5 and v.series_id = any ($1)
    ) as n on n.series_id = g.series_id
    $query$,
    expression, readings.measurement || '_data', readings.field
  ) using series, "from", "to", step, measurement;
end
$body$;
comment on function amber.readings is
  'Averages of a numeric or bool field per step and series, in no order; none for a measurement or field that is not in amber.fields';

create function amber.payload_text(payload bytea, max_bytes integer default 4096)
returns text
-- An exception block is a subtransaction, which PostgreSQL before 17 refuses in a parallel query.
language plpgsql stable strict parallel unsafe security invoker
set search_path = pg_catalog
as $body$
begin
  -- A cut may go through a character of up to four bytes.
  for cut in 0 .. 3 loop
    begin
      return convert_from(substring(payload from 1 for greatest(least(length(payload), max_bytes) - cut, 0)), 'UTF8');
    exception when character_not_in_repertoire or untranslatable_character then
      exit when length(payload) <= max_bytes;
    end;
  end loop;
  return encode(substring(payload from 1 for max_bytes), 'escape');
end
$body$;
comment on function amber.payload_text is
  'The first bytes of a payload as text; bytes of what is not UTF-8 as \ooo';
