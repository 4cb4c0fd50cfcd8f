# Users of the stack's Mosquitto: read by init.sh and device.sh (`.`), for any POSIX shell with `flock`.
#
# In $access: `passwords` and `acl`, which Mosquitto reads at its start and on SIGHUP, and `devices.acl`, the rights that
# device.sh gave beyond those of stack/acl. Each file is replaced as a whole, so that Mosquitto never reads half of one.
# Whoever changes them calls `lock` first. Names are compared as they are, and as text: `""` keeps awk from taking `1` and
# `1.0` for the same number.

access=${ACCESS:-/access}
stack=${STACK:-/stack}

# For a password before it is hashed: in memory (/tmp), and gone however the script ends.
plain=$(mktemp -d)
trap 'rm -rf "$plain"' EXIT
trap 'exit 1' HUP INT TERM

# Until the script ends, nobody else changes the files.
lock() {
  exec 9> "$access/.lock"
  flock 9
}

# 48 hexadecimal digits.
random() { od -An -N 24 -t x1 /dev/urandom | tr -d ' \n'; }

has_user() { awk -F : -v name="$1" '$1 "" == name "" { found = 1 } END { exit !found }' "$access/passwords" 2> /dev/null; }

# NAME: the lines of all others.
other_users() {
  if [ -e "$access/passwords" ]; then
    awk -F : -v name="$1" '$1 "" != name ""' "$access/passwords"
  fi
}

# NAME PASSWORD: makes the user, or gives it another password. Only a hash is kept, and none is seen in a list of processes.
set_user() {
  printf '%s:%s\n' "$1" "$2" > "$plain/one"
  if ! mosquitto_passwd -U "$plain/one"; then
    echo "the password of \`$1\` could not be hashed, see above; nothing was changed" >&2
    exit 1
  fi
  # Beside the others, so that `mv` is atomic.
  other_users "$1" > "$access/.passwords"
  cat "$plain/one" >> "$access/.passwords"
  rm -f "$plain/one"
  mv "$access/.passwords" "$access/passwords"
}

remove_user() {
  other_users "$1" > "$access/.passwords"
  mv "$access/.passwords" "$access/passwords"
}

# NAME FILTER…: the rights of a device beyond those that everybody has; none given, none kept.
set_rights() {
  name=$1
  shift
  { if [ -e "$access/devices.acl" ]; then
      awk -v user="user $name" '/^user / { skip = $0 == user } !skip' "$access/devices.acl"
    fi
    if [ $# -gt 0 ]; then
      echo "user $name"
      printf 'topic readwrite %s\n' "$@"
      echo
    fi
  } > "$access/.devices.acl"
  mv "$access/.devices.acl" "$access/devices.acl"
}

write_acl() {
  { cat "$stack/acl"; echo; cat "$access/devices.acl" 2> /dev/null || true; } > "$access/.acl"
  mv "$access/.acl" "$access/acl"
}
