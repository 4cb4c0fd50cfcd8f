-- The tables that every store has: identity, ledger, rejects, catalogue. Times are INTEGER microseconds since
-- 1970-01-01T00:00:00Z; views add them as text (`…_utc`) for people.

create table store_instance (
  one integer primary key default 1 check (one = 1),
  id text not null
) strict;
insert into store_instance (id)
select lower(substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-4' || substr(h, 14, 3) || '-a' || substr(h, 18, 3) || '-' || substr(h, 21, 12))
from (select hex(randomblob(16)) as h);

-- The delivery ledger, one row per writer: what makes each message exactly one row.
create table store_delivery (
  writer text primary key,                 -- client identifier of the MQTT session
  owner integer not null,                  -- drawn at random by each process; who holds the row
  epoch integer not null,                  -- one more with each connection: statements of older ones store nothing
  seq integer not null default 0,          -- number of the newest batch stored
  packets blob not null default x'01',     -- deliveries stored and not confirmed; version byte first
  filters text not null default '',        -- what is subscribed at the broker, JSON; empty if nothing is known
  spool blob,                              -- the spool file that continues the numbers of this row
  updated_at integer not null              -- µs
) strict;

-- Messages, and rows of them, that could not be stored as readings.
create table store_reject (
  id integer primary key,
  received_at integer not null,            -- µs
  payload_bytes integer not null,          -- of the whole payload
  qos integer not null,
  retain integer not null,
  topic text not null,
  payload blob not null,                   -- cut at 64 KiB
  mapping text,                            -- null if no mapping could take it
  reason text not null,                    -- one word of a closed set
  detail text not null
) strict;
create index store_reject_received_at on store_reject (received_at);

-- Every measurement that a mapping has ever fed.
create table store_measurement (
  name text primary key,
  tags text not null,                      -- JSON array, in the order of the columns
  created_at integer not null              -- µs
) strict;

-- The fields of every measurement, as the mapping states them.
create table store_field (
  measurement text not null,
  name text not null,
  position integer not null,               -- place among the fields of the mapping, from 0
  type text not null,                      -- float, int, bool, text, json, time
  kind text not null,                      -- gauge, total
  unit text,                               -- as people write it: °C, %, kWh
  description text,
  decimals integer,
  min real,                                -- in the unit
  max real,
  primary key (measurement, name)
) strict;

create view measurements as
select name, tags, created_at
from store_measurement;

create view fields as
select measurement, name, position, type, kind, unit, description, decimals, min, max
from store_field;

create view rejects as
select received_at, strftime('%Y-%m-%dT%H:%M:%fZ', received_at / 1000000.0, 'unixepoch') as received_utc,
       topic, mapping, reason, detail, cast(payload as text) as payload_text, payload, payload_bytes, qos, retain, id
from store_reject;
