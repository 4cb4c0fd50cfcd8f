-- The devices: one row per series of every measurement, kept beside the data, so that last values and silence are read
-- without a walk through history.
create table store_device (
  measurement text not null,
  series_id integer not null,              -- as in the tables of the measurement
  device text not null,                    -- tag values that are not empty, joined by " / "; else the measurement's name
  tags text not null,                      -- JSON object: tag to value, as the series table has them
  first_seen integer,                      -- µs; receipt of the oldest message known
  last_seen integer,                       -- µs; receipt of the newest message; null if there was only a retained one
  last_time integer,                       -- µs; time of the newest row
  gap_sum real not null default 0,         -- s; sum of the gaps between receipts; older ones fade
  gap_squares real not null default 0,     -- s²; of their squares, faded alike; by gap_sum it is the usual interval
  gaps integer not null default 0,         -- how many gaps were seen
  retired_at integer,                      -- µs; set by a person; null while the device is in use
  last_values text not null default '{}',  -- JSON object: field to its last value that was not null; texts cut at 256
                                           -- characters, no JSON fields
  primary key (measurement, series_id)
) strict, without rowid;
create index store_device_retired on store_device (measurement, series_id) where retired_at is not null;

create view devices as
select measurement, series_id, device, tags, first_seen, last_seen, last_time,
       case when gaps >= 3 then gap_squares / nullif(gap_sum, 0) end as usual_interval_s,
       retired_at is null and gaps >= 3 and gap_sum > 0
         and coalesce(last_seen < unixepoch('subsec') * 1000000 - max(3 * gap_squares / nullif(gap_sum, 0), 300) * 1000000, 0) as silent,
       retired_at, last_values,
       strftime('%Y-%m-%dT%H:%M:%fZ', last_seen / 1000000.0, 'unixepoch') as last_seen_utc
from store_device;
