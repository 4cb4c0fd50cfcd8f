-- The devices: one row per series of every measurement, kept beside the data, so that last values and silence are read
-- without a walk through history.

create table amber_store.device (
  measurement text collate "C" not null,
  series_id bigint not null,
  device text not null,
  tags jsonb not null,
  first_seen timestamptz,
  last_seen timestamptz,
  last_time timestamptz,
  gap_sum double precision not null default 0,
  gap_squares double precision not null default 0,
  gaps bigint not null default 0,
  retired_at timestamptz,
  last_values jsonb not null default '{}',
  primary key (measurement, series_id)
) with (fillfactor = 50);
create index on amber_store.device (measurement, series_id) where retired_at is not null;
comment on table amber_store.device is 'The series of every measurement: when each was last heard, and with what; written every few seconds';
comment on column amber_store.device.series_id is 'As in the tables of the measurement';
comment on column amber_store.device.device is 'The tag values that are not empty, joined by " / "; the measurement''s name if there is none';
comment on column amber_store.device.tags is 'Object: tag to value, as the series table has them';
comment on column amber_store.device.first_seen is 'Receipt of the oldest message known';
comment on column amber_store.device.last_seen is 'Receipt of the newest message; null if there was only one that the broker had retained';
comment on column amber_store.device.last_time is 'Time of the newest row';
comment on column amber_store.device.gap_sum is 'Sum of the gaps between receipts in s; older ones fade';
comment on column amber_store.device.gap_squares is 'Sum of their squares in s², faded alike; by gap_sum it is the usual interval';
comment on column amber_store.device.gaps is 'How many gaps were seen';
comment on column amber_store.device.retired_at is 'Set by a person; null while the device is in use';
comment on column amber_store.device.last_values is 'Object: field to its last value that was not null; texts cut at 256 characters, no JSON fields';

create view amber.devices as
select measurement, series_id, device, tags, first_seen, last_seen, last_time,
       case when gaps >= 3 then gap_squares / nullif(gap_sum, 0) end as usual_interval_s,
       retired_at is null and gaps >= 3 and gap_sum > 0
         and coalesce(last_seen < now() - greatest(3 * gap_squares / nullif(gap_sum, 0), 300) * interval '1 second', false) as silent,
       retired_at, last_values
from amber_store.device;
comment on view amber.devices is 'Every device: last seen, usual interval, last values. Set retired_at to retire one';
comment on column amber.devices.usual_interval_s is 'Usual seconds between two messages; null until three intervals were seen';
comment on column amber.devices.silent is 'In use, and not heard for three times its usual interval and five minutes';
