PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE store_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO store_migrations VALUES(1,'fixed tables','2026-11-25 19:11:01',1,X'024497db0315b6205234762c5b30b6397a0a5ab30e44232454c6895506b446de6578e49720cdd77981dceb0b4927486c',10588697);
CREATE TABLE store_instance (
  one integer primary key default 1 check (one = 1),
  id text not null
) strict;
INSERT INTO store_instance VALUES(1,'5acf4516-a062-488b-a16b-6f772a222b05');
CREATE TABLE store_delivery (
  writer text primary key,                 -- client identifier of the MQTT session
  owner integer not null,                  -- drawn at random by each process; who holds the row
  epoch integer not null,                  -- one more with each connection: statements of older ones store nothing
  seq integer not null default 0,          -- number of the newest batch stored
  packets blob not null default x'01',     -- deliveries stored and not confirmed; version byte first
  filters text not null default '',        -- what is subscribed at the broker, JSON; empty if nothing is known
  spool blob,                              -- the spool file that continues the numbers of this row
  updated_at integer not null              -- µs
) strict;
INSERT INTO store_delivery VALUES('gateway 7',1,1,2,X'016b657973','[]',NULL,1795633861270000);
CREATE TABLE store_reject (
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
INSERT INTO store_reject VALUES(1,1795608000001000,2,1,0,'home/kitchen/t1',X'ff7b','plant','payload','no JSON at byte 0');
CREATE TABLE store_measurement (
  name text primary key,
  tags text not null,                      -- JSON array, in the order of the columns
  created_at integer not null              -- µs
) strict;
INSERT INTO store_measurement VALUES('climate','["room","device"]',1795633861230000);
INSERT INTO store_measurement VALUES('total','[]',1795633861230000);
CREATE TABLE store_field (
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
INSERT INTO store_field VALUES('climate','temperature',0,'float','gauge','°C',NULL,NULL,NULL,NULL);
INSERT INTO store_field VALUES('climate','count',1,'int','gauge','°C',NULL,NULL,NULL,NULL);
INSERT INTO store_field VALUES('climate','open',2,'bool','gauge','°C',NULL,NULL,NULL,NULL);
INSERT INTO store_field VALUES('climate','note',3,'text','gauge','°C',NULL,NULL,NULL,NULL);
INSERT INTO store_field VALUES('climate','raw',4,'json','gauge','°C',NULL,NULL,NULL,NULL);
INSERT INTO store_field VALUES('climate','seen',5,'time','gauge','°C',NULL,NULL,NULL,NULL);
INSERT INTO store_field VALUES('total','energy',0,'float','gauge',NULL,NULL,NULL,NULL,NULL);
CREATE TABLE IF NOT EXISTS "store_climate_series" (
  series_id INTEGER primary key,
  retired_at INTEGER,
  "room" TEXT not null default '',
  "device" TEXT not null default ''
) strict;
INSERT INTO store_climate_series VALUES(1,NULL,'kitchen','t1');
INSERT INTO store_climate_series VALUES(2,NULL,'attic','t2');
CREATE TABLE IF NOT EXISTS "store_climate_data" (
  time INTEGER not null,
  series_id INTEGER not null,
  received_at INTEGER not null,
  "temperature" REAL,
  "count" INTEGER,
  "open" INTEGER,
  "note" TEXT,
  "raw" TEXT,
  "seen" INTEGER
) strict;
INSERT INTO store_climate_data VALUES(1795608000000000,1,1795608000001000,21.5,9223372036854775807,1,'it''s °C','{"a":1}',1795608000000000);
INSERT INTO store_climate_data VALUES(1795608000000000,2,1795608000001000,-3.25,9223372036854775807,1,'it''s °C','{"a":1}',1795608000000000);
INSERT INTO store_climate_data VALUES(1795608000000000,1,1795608000001000,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE IF NOT EXISTS "store_total_series" (
  series_id INTEGER primary key,
  retired_at INTEGER
) strict;
INSERT INTO store_total_series VALUES(1,NULL);
CREATE TABLE IF NOT EXISTS "store_total_data" (
  time INTEGER not null,
  series_id INTEGER not null,
  received_at INTEGER not null,
  "energy" REAL
) strict;
INSERT INTO store_total_data VALUES(1795608000000000,1,1795608000001000,1234.5);
CREATE INDEX store_reject_received_at on store_reject (received_at);
CREATE VIEW measurements as
select name, tags, created_at
from store_measurement;
CREATE VIEW fields as
select measurement, name, position, type, kind, unit, description, decimals, min, max
from store_field;
CREATE VIEW rejects as
select received_at, strftime('%Y-%m-%dT%H:%M:%fZ', received_at / 1000000.0, 'unixepoch') as received_utc,
       topic, mapping, reason, detail, cast(payload as text) as payload_text, payload, payload_bytes, qos, retain, id
from store_reject;
CREATE UNIQUE INDEX "store_climate_series_key" on "store_climate_series" ("room", "device");
CREATE INDEX "store_climate_data_series_id_time" on "store_climate_data" (series_id, time);
CREATE INDEX "store_climate_data_time" on "store_climate_data" (time);
CREATE VIEW "climate" as
select d."time", strftime('%Y-%m-%dT%H:%M:%fZ', d.time / 1000000.0, 'unixepoch') as time_utc, s."room", s."device", d."temperature", d."count", d."open", d."note", d."raw", d."seen", d."received_at"
from "store_climate_data" d
left join "store_climate_series" s on s.series_id = d.series_id;
CREATE UNIQUE INDEX "store_total_series_key" on "store_total_series" ((true));
CREATE INDEX "store_total_data_series_id_time" on "store_total_data" (series_id, time);
CREATE INDEX "store_total_data_time" on "store_total_data" (time);
CREATE VIEW "total" as
select d."time", strftime('%Y-%m-%dT%H:%M:%fZ', d.time / 1000000.0, 'unixepoch') as time_utc, d."energy", d."received_at"
from "store_total_data" d
left join "store_total_series" s on s.series_id = d.series_id;
COMMIT;
