#!/bin/sh
# Adds a device to the stack's broker, gives it a new password, removes it, or lists them. It needs no restart:
#
#   docker compose exec broker sh /stack/device.sh NAME [TOPIC FILTER…]
#   docker compose exec broker sh /stack/device.sh --remove NAME
#   docker compose exec broker sh /stack/device.sh --list
#
# A device has the topics NAME/# and +/NAME/#, and those of the filters. So its name must not be the first level of
# topics that belong to others.
set -eu
umask 077
. "${STACK:-/stack}/users.sh"

fail() {
  echo "device.sh: $1" >&2
  exit 2
}

# Mosquitto is the container's first process.
reload() { kill -HUP "${BROKER_PID:-1}"; }

# `init` shows the password of the first device until it has another.
forget_first() { [ "$1" != kitchen ] || rm -f "$access/first_device"; }

check_name() {
  case $1 in
    amber | health | simulate) fail "\`$1\` is a user of the stack itself; choose another name" ;;
    "" | *[!A-Za-z0-9_.-]* | -*) fail "\`$1\` is no name for a device; use letters, digits, and _ . - inside" ;;
  esac
}

# A device of this name would have the topics of all that share this first level.
check_first_level() {
  case $1 in
    home | house | garden | garage | office | building | factory | sensor | sensors | device | devices | iot | mqtt | \
      tele | stat | cmnd | tasmota | shellies | shelly | esphome | zigbee2mqtt | zigbee | zwave | homeassistant | homie | owntracks)
      fail "\`$1\` begins the topics of many devices, which would all be this one's; choose another name and say what it needs: sh /stack/device.sh NAME '$1/#'"
      ;;
  esac
}

case ${1:-} in
  "") fail "which device? sh /stack/device.sh NAME [TOPIC FILTER…]" ;;
  --list)
    sed 's/:.*//' "$access/passwords" | grep -vxE 'amber|health|simulate' || true
    exit
    ;;
  --remove)
    check_name "${2:-}"
    lock
    has_user "$2" || fail "there is no device \`$2\`; --list shows them"
    remove_user "$2"
    forget_first "$2"
    set_rights "$2"
    write_acl
    reload
    echo "removed $2. A connection that it has now ends with: docker compose restart broker"
    exit
    ;;
esac

name=$1
check_name "$name"
check_first_level "$name"
shift
for filter in "$@"; do
  case $filter in
    "" | *[[:cntrl:]]*) fail "an empty topic filter, or one with a control character" ;;
    *[!/]\#* | *\#?* | *[!/]+* | *+[!/]*) fail "\`$filter\` is no topic filter: + and # stand for whole levels, # for the last (MQTT 4.7.1)" ;;
  esac
done
lock
password=$(random)
set_user "$name" "$password"
forget_first "$name"
set_rights "$name" "$@"
write_acl
reload
echo "user:     $name"
echo "password: $password"
echo "topics:   $name/… and …/$name/…${*:+, }$*"
echo "The password is not kept; run this again for a new one. Try it:"
echo "  docker compose exec broker mosquitto_pub -u $name -P $password -q 1 -t home/$name/climate -m '{\"temperature\": 21.5, \"humidity\": 48}'"
