-- How long the rows of a measurement are kept.

alter table amber_store.measurement add column retention interval;
comment on column amber_store.measurement.retention is 'Rows whose time is longer ago are deleted; null: they are kept for ever';

create or replace view amber.measurements as
select name, tags, created_at, retention
from amber_store.measurement;
