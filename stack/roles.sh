#!/bin/sh
# The roles of Amber and Grafana, their passwords and rights. Run again, it mends what is missing and takes nothing away.
#
# It runs three times: by the image of the database when the volume is new; by the service `roles` at every
# `docker compose up`; and by hand, on the socket, where no password is asked for, when the passwords do not fit any more:
#   docker compose exec database sh /stack/roles.sh
#
# Amber owns its database, so that it may create its two schemas; it is no superuser. Grafana reads what is
# there and what will come, and nothing else: any viewer can send any SQL that its role may run.
secrets=${SECRETS:-/secrets}

# In a shell of its own: the image may read this file into its own one.
(
  set -eu
  superuser=$(cat "$secrets/database_superuser")
  # psql reads them by itself: what stands on a command line is seen in a list of processes.
  for name in role_amber role_grafana; do
    if ! [ -s "$secrets/$name" ]; then
      echo "roles: $secrets/$name is not there: docker compose run --rm init" >&2
      exit 1
    fi
  done
  export SECRETS="$secrets" PGUSER="${POSTGRES_USER:-postgres}" PGDATABASE="${POSTGRES_DB:-amber}"
  if [ -n "${PGHOST:-}" ]; then
    export PGPASSWORD="$superuser"
    if ! said=$(psql --no-psqlrc -qAtc 'select 1' 2>&1); then
      case $said in
        *"password authentication failed"*)
          echo "roles: the database of this volume has other passwords than the volume secrets: bring that volume back, or give the database those that there are: docker compose exec database sh /stack/roles.sh" >&2
          ;;
        *) echo "roles: $said" >&2 ;;
      esac
      exit 1
    fi
  fi
  psql -q -v ON_ERROR_STOP=1 --no-psqlrc -v superuser="$PGUSER" -v database="$PGDATABASE" <<'SQL'
\set superuser_password `cat "$SECRETS/database_superuser"`
\set amber_password `cat "$SECRETS/role_amber"`
\set grafana_password `cat "$SECRETS/role_grafana"`
set client_min_messages = warning;
-- Passwords are not to stand in the server's log.
set log_statement = 'none';
set log_min_error_statement = 'panic';
begin;
-- Two of these at a time would meet in the catalogue.
select pg_advisory_xact_lock(7236517024) \g /dev/null
select 'create role amber' where to_regrole('amber') is null \gexec
select 'create role grafana_ro' where to_regrole('grafana_ro') is null \gexec
alter role :"superuser" password :'superuser_password';
alter role amber login password :'amber_password';
alter role grafana_ro login password :'grafana_password' connection limit 20;
alter role grafana_ro set default_transaction_read_only = on;
alter role grafana_ro set statement_timeout = '15s';
alter role grafana_ro set search_path = amber;
-- The three above are defaults that a query may change; this it may not.
alter role grafana_ro set temp_file_limit = '1GB';
alter database :"database" owner to amber;
revoke all on database :"database" from public;
revoke connect, temporary on database postgres, template1 from public;
-- What a role could leave behind that may only read: large objects.
revoke execute on function lo_creat, lo_create, lo_from_bytea, lo_put, lowrite, lo_truncate, lo_truncate64, lo_unlink from public;
-- And what it could keep Amber waiting with: Amber's own locks.
select format('revoke execute on function %1$s from public; grant execute on function %1$s to amber', oid::regprocedure)
from pg_proc where pronamespace = 'pg_catalog'::regnamespace and proname ~ '^pg_(try_)?advisory_' \gexec
grant connect on database :"database" to grafana_ro;
create schema if not exists amber authorization amber;
create schema if not exists amber_store authorization amber;
-- amber: the views that people query. amber_store: what is behind them, for the variables of dashboards.
grant usage on schema amber, amber_store to grafana_ro;
grant select on all tables in schema amber, amber_store to grafana_ro;
alter default privileges for role amber in schema amber grant select on tables to grafana_ro;
alter default privileges for role amber in schema amber_store grant select on tables to grafana_ro;
commit;
SQL
)
