#!/bin/sh
# Starts the database, unless its files belong to another image: Debian's PostgreSQL (`postgres:17`, user 999) and
# Alpine's (TimescaleDB's, user 70) sort texts differently, so that one must not use the indexes of the other.
set -eu
data=${PGDATA:-/var/lib/postgresql/data}
owner=$(stat -c %u "$data")
case $owner in
  "$(id -u)") exec docker-entrypoint.sh "$@" ;;
  999) image=postgres:17 ;;
  *) image=timescale/timescaledb:2.29.2-pg17 ;;
esac
echo "database: this volume was made by another image (its user is $owner, ours is $(id -u)): go on with DATABASE_IMAGE=$image in .env, or move what it holds: docs/stack.md, \"Another database image\"" >&2
exit 1
