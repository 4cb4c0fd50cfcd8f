#!/bin/sh
# Makes what is missing of passwords and the broker's users, and says how to begin. Run again, it
# changes nothing that is there.
#
# A secret belongs to the user of the one service that reads it: 10001 Amber, 472 Grafana. Those of the database belong to
# the group 10002, which the compose file gives to it: its user is 70 in one image and 999 in another.
# No line end in them: some readers would take it for part of the password.
set -eu
umask 077
secrets=${SECRETS:-/secrets}
. "${STACK:-/stack}/users.sh"

# NAME OWNER MODE TEXT. An old file is given to its present owner.
secret() {
  if ! [ -s "$secrets/$1" ]; then
    printf %s "$4" > "$secrets/.new"
    mv "$secrets/.new" "$secrets/$1"
    echo "made $secrets/$1"
  fi
  give "$2" "$3" "$secrets/$1"
}

# OWNER MODE FILE
give() {
  if [ "$(id -u)" = 0 ]; then
    # First to root, who may change the mode of its own files only.
    chown 0:0 "$3"
    chmod "$2" "$3"
    chown "$1" "$3"
  else
    chmod "$2" "$3"
  fi
}

# Others may pass, and open what is theirs.
give 0:0 0711 "$secrets"
give 1883:1883 0700 "$access"
[ -z "${DASHBOARDS:-}" ] || give 10001:10001 0755 "$DASHBOARDS"

# One password, two readers: the database sets it for the role, the service logs in with it.
for role in amber:10001 grafana:472; do
  name=${role%:*}
  if ! [ -s "$secrets/database_$name" ] || ! [ -s "$secrets/role_$name" ]; then
    rm -f "$secrets/database_$name" "$secrets/role_$name"
    password=$(random)
  fi
  secret "role_$name" 0:10002 0440 "${password:-}"
  secret "database_$name" "${role#*:}" 0400 "${password:-}"
  password=
done
secret database_superuser 0:10002 0440 "$(random)"
secret grafana_admin 472 0400 "$(random)"
# What the live page asks for: Amber reads it, and people are told it below.
secret page_token 10001 0400 "$(random)"

# A broker of one's own has a password of its own, which must not take the place of the stack's.
if [ -n "${BROKER_PASSWORD:-}" ]; then
  printf %s "$BROKER_PASSWORD" > "$secrets/.new"
  mv "$secrets/.new" "$secrets/broker_amber_own"
  give 10001 0400 "$secrets/broker_amber_own"
fi

# The users of the stack's broker. The first device is made once: whoever removes it does not get it back. Its password is
# kept for as long as nobody gives it another.
lock
if ! [ -e "$access/passwords" ]; then
  password=$(random)
  set_user kitchen "$password"
  printf %s "$password" > "$access/first_device"
fi
for user in amber:10001 simulate:10001 health:1883; do
  name=${user%:*}
  [ -s "$secrets/broker_$name" ] || remove_user "$name"
  secret "broker_$name" "${user#*:}" 0400 "$(random)"
  has_user "$name" || set_user "$name" "$(cat "$secrets/broker_$name")"
done
write_acl
mkdir -p "$access/health"
printf -- '-h 127.0.0.1\n-u health\n-P %s\n' "$(cat "$secrets/broker_health")" > "$access/health/mosquitto_sub"
if [ "$(id -u)" = 0 ]; then
  chown -R 1883:1883 "$access"
fi

echo
echo "The live page: http://127.0.0.1:${AMBER_PORT:-9583}, token $(cat "$secrets/page_token")"
echo "Grafana: http://127.0.0.1:${GRAFANA_PORT:-3000}, user admin, first password $(cat "$secrets/grafana_admin")"
if [ -z "${BROKER_URL:-}" ]; then
  if [ -s "$access/first_device" ]; then
    echo "A first device, user kitchen. Send a reading:"
    echo "  docker compose exec broker mosquitto_pub -u kitchen -P $(cat "$access/first_device") -q 1 -t home/kitchen/climate -m '{\"temperature\": 21.5, \"humidity\": 48}'"
  fi
  echo "One more device:    docker compose exec broker sh /stack/device.sh NAME"
fi
echo "To read this again: docker compose run --rm init"
