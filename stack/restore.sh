#!/bin/sh
# Restores a backup of the stack's database from standard input, a file that pg_dump --format=custom has made:
#
#   docker compose stop amber grafana
#   docker compose exec -T database sh /stack/restore.sh < amber.dump
#   docker compose up -d
#
# It fills a new database, and then puts it in the place of the old one, which stays under another name. If something goes
# wrong before, the old one is as it was.
set -eu
export PGUSER="${POSTGRES_USER:-postgres}" PGOPTIONS="-c client_min_messages=error"
database=${POSTGRES_DB:-amber}
new=${database}_restored
old=${database}_before_$(date -u +%Y%m%d_%H%M%S)

sql() { psql -q -v ON_ERROR_STOP=1 --no-psqlrc -At -d "$1" -c "$2"; }

if [ "$(sql postgres "select count(*) from pg_stat_activity where datname = '$database' and backend_type = 'client backend'")" != 0 ]; then
  echo "restore: somebody is connected to the database \`$database\`: docker compose stop amber grafana" >&2
  exit 1
fi
sql postgres "drop database if exists \"$new\""
sql postgres "create database \"$new\" template template0"
timescale=$(sql postgres "select count(*) from pg_available_extensions where name = 'timescaledb'")
if [ "$timescale" != 0 ]; then
  sql "$new" "create extension timescaledb"
  sql "$new" "select timescaledb_pre_restore()" > /dev/null
fi
if ! pg_restore --dbname="$new"; then
  echo "restore: not everything could be restored, see above; the database \`$database\` is as it was" >&2
  exit 1
fi
# A database cannot be renamed while its scheduler is connected to it; that of the new one begins with post_restore.
if [ "$(sql "$database" "select count(*) from pg_extension where extname = 'timescaledb'")" != 0 ]; then
  sql "$database" "select _timescaledb_functions.stop_background_workers()" > /dev/null
fi
sql postgres "begin; alter database \"$database\" rename to \"$old\"; alter database \"$new\" rename to \"$database\"; commit"
[ "$timescale" = 0 ] || sql "$database" "select timescaledb_post_restore()" > /dev/null
sh "$(dirname "$0")/roles.sh"
echo "restored. The old database is \`$old\`; when it is not needed any more: docker compose exec database dropdb -U $PGUSER $old"
