-- How long the rows of a measurement are kept: those whose time is longer ago are deleted; null: they are kept for ever.

alter table store_measurement add column retention integer;  -- seconds

drop view measurements;
create view measurements as
select name, tags, created_at, retention
from store_measurement;
