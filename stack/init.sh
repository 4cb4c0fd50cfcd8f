#!/bin/sh
# Makes the passwords of the stack that are missing; run again, it changes nothing.
#
# A file belongs to the user of the one service that reads it: 999 PostgreSQL, 10001 Amber, 472 Grafana.
# No line end: some readers would take it for part of the password.
set -eu
umask 077

secret() { # name, owner, text
  [ -s "/secrets/$1" ] && return
  printf %s "$3" > "/secrets/$1.new"
  chmod 0400 "/secrets/$1.new"
  chown "$2" "/secrets/$1.new"
  mv "/secrets/$1.new" "/secrets/$1"
  echo "made /secrets/$1"
}

random() { od -An -N 24 -t x1 /dev/urandom | tr -d ' \n'; }

chmod 0711 /secrets
# One password, two readers: the database sets it for the role, the service logs in with it.
for role in amber:10001 grafana:472; do
  if ! [ -s "/secrets/database_${role%:*}" ] || ! [ -s "/secrets/role_${role%:*}" ]; then
    password=$(random)
    rm -f "/secrets/database_${role%:*}" "/secrets/role_${role%:*}"
    secret "role_${role%:*}" 999 "$password"
    secret "database_${role%:*}" "${role#*:}" "$password"
  fi
done
secret database_superuser 999 "$(random)"
secret grafana_admin 472 "$(random)"

echo "Grafana: user admin; its first password is shown by: docker compose exec grafana cat /secrets/grafana_admin"
