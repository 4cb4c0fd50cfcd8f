-- The tables that every store has: identity, ledger, rejects, catalogue. The schemas `amber` and `amber_store`
-- are there already: they are made before the first migration, unless an administrator has made them.

create table amber_store.instance (
  one boolean primary key default true check (one),
  id uuid not null default gen_random_uuid()
);
comment on table amber_store.instance is 'Which store this is; one row';
insert into amber_store.instance default values;

create table amber_store.delivery (
  writer text collate "C" primary key,
  owner bigint not null,
  epoch bigint not null,
  seq bigint not null default 0,
  packets bytea not null default '\x01',
  filters text not null default '',
  spool uuid,
  updated_at timestamptz not null default now()
) with (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 500,
  toast.autovacuum_vacuum_scale_factor = 0,
  toast.autovacuum_vacuum_threshold = 5000
);
alter table amber_store.delivery alter column packets set storage external;
comment on table amber_store.delivery is 'The delivery ledger, one row per writer: what makes each message exactly one row';
comment on column amber_store.delivery.writer is 'Client identifier of the MQTT session';
comment on column amber_store.delivery.owner is 'Drawn at random by each process; who holds the row';
comment on column amber_store.delivery.epoch is 'One more with each connection: statements of older ones store nothing';
comment on column amber_store.delivery.seq is 'Number of the newest batch stored';
comment on column amber_store.delivery.packets is 'Deliveries stored whose acknowledgement the broker has not confirmed; version byte first';
comment on column amber_store.delivery.filters is 'What is subscribed at the broker, JSON; empty if nothing is known';
comment on column amber_store.delivery.spool is 'The spool file that continues the numbers of this row';

create table amber_store.reject (
  id bigint generated always as identity primary key,
  received_at timestamptz not null,
  payload_bytes bigint not null,
  qos smallint not null,
  retain boolean not null,
  topic text not null,
  payload bytea not null,
  mapping text,
  reason text collate "C" not null,
  detail text not null
);
create index on amber_store.reject (received_at);
comment on table amber_store.reject is 'Messages, and rows of them, that could not be stored as readings';
comment on column amber_store.reject.received_at is 'Receipt of the message';
comment on column amber_store.reject.payload_bytes is 'Size of the whole payload in bytes';
comment on column amber_store.reject.qos is 'Quality of service of the delivery: 0, 1 or 2';
comment on column amber_store.reject.retain is 'RETAIN flag of the delivery';
comment on column amber_store.reject.payload is 'The payload, cut at 64 KiB';
comment on column amber_store.reject.mapping is 'The mapping that took the message; null if none could';
comment on column amber_store.reject.reason is 'One word of a closed set';
comment on column amber_store.reject.detail is 'What was expected, what came, and where';

create table amber_store.measurement (
  name text collate "C" primary key,
  tags text[] not null,
  created_at timestamptz not null default now()
);
comment on table amber_store.measurement is 'Every measurement that a mapping has ever fed';
comment on column amber_store.measurement.tags is 'The tags that name a series, in the order of the columns';

create table amber_store.field (
  measurement text collate "C" not null,
  name text collate "C" not null,
  position integer not null,
  type text not null,
  kind text not null,
  unit text,
  description text,
  decimals integer,
  min double precision,
  max double precision,
  primary key (measurement, name)
);
comment on table amber_store.field is 'The fields of every measurement, as the mapping states them';
comment on column amber_store.field.position is 'Place among the fields of the mapping, from 0';
comment on column amber_store.field.type is 'float, int, bool, text, json or time';
comment on column amber_store.field.kind is 'gauge, or total for a counter that only grows but for resets';
comment on column amber_store.field.unit is 'As people write it: °C, %, kWh';
comment on column amber_store.field.decimals is 'Decimals worth showing';
comment on column amber_store.field.min is 'Smallest sensible value, in the unit';
comment on column amber_store.field.max is 'Largest sensible value, in the unit';

create view amber.measurements as
select name, tags, created_at
from amber_store.measurement;
comment on view amber.measurements is 'Every measurement; the view of the same name has its readings';

create view amber.fields as
select measurement, name, position, type, kind, unit, description, decimals, min, max
from amber_store.field;
comment on view amber.fields is 'The fields of every measurement: type, unit, range';

create view amber.rejects as
select received_at, topic, mapping, reason, detail, encode(payload, 'escape') as payload_text, payload, payload_bytes, qos, retain, id
from amber_store.reject;
comment on view amber.rejects is 'Messages that could not be stored as readings, with the reason and the raw bytes';
