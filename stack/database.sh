#!/bin/sh
# Run once by the image of PostgreSQL, when the database is new: the roles of Amber and Grafana.
#
# Amber owns its database, so that it may create its two schemas; it is no superuser. Grafana reads what is
# there and what will come, and nothing else: any viewer can send any SQL that its role may run.
set -e
secrets=${SECRETS:-/secrets}

psql -v ON_ERROR_STOP=1 --no-psqlrc -U "${POSTGRES_USER:-postgres}" -d "$POSTGRES_DB" \
  -v amber_password="$(cat "$secrets/role_amber")" -v grafana_password="$(cat "$secrets/role_grafana")" <<'SQL'
create role amber login password :'amber_password';
alter database amber owner to amber;
revoke all on database amber from public;
create schema amber authorization amber;
create schema amber_store authorization amber;

create role grafana_ro login password :'grafana_password' connection limit 20;
alter role grafana_ro set default_transaction_read_only = on;
alter role grafana_ro set statement_timeout = '15s';
alter role grafana_ro set search_path = amber;
grant connect on database amber to grafana_ro;
-- amber: the views that people query. amber_store: the lists of series, for the variables of dashboards.
grant usage on schema amber, amber_store to grafana_ro;
alter default privileges for role amber in schema amber grant select on tables to grafana_ro;
alter default privileges for role amber in schema amber_store grant select on tables to grafana_ro;
SQL
