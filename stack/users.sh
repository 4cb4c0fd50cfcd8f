# Users of the stack's Mosquitto: read by init.sh and device.sh (`.`), for any POSIX shell.
#
# In $access: `passwords` and `acl`, which Mosquitto reads at its start and on SIGHUP, and `devices.acl`, the rights that
# device.sh gave beyond those of stack/acl. Each file is replaced as a whole, so that Mosquitto never reads half of one.

access=${ACCESS:-/access}
stack=${STACK:-/stack}

# 48 hexadecimal digits.
random() { od -An -N 24 -t x1 /dev/urandom | tr -d ' \n'; }

has_user() { grep -q "^$1:" "$access/passwords" 2> /dev/null; }

# NAME PASSWORD: makes the user, or gives it another password. Only a hash is kept, and none is seen in a list of processes.
set_user() {
  # Beside the others, so that `mv` is atomic.
  printf '%s:%s\n' "$1" "$2" > "$access/.one"
  mosquitto_passwd -U "$access/.one"
  { grep -v "^$1:" "$access/passwords" 2> /dev/null || true; cat "$access/.one"; } > "$access/.passwords"
  rm -f "$access/.one"
  mv "$access/.passwords" "$access/passwords"
}

remove_user() {
  grep -v "^$1:" "$access/passwords" > "$access/.passwords" || true
  mv "$access/.passwords" "$access/passwords"
}

# NAME FILTER…: the rights of a device beyond those that everybody has; none given, none kept.
set_rights() {
  name=$1
  shift
  { sed "/^user $name\$/,/^\$/d" "$access/devices.acl" 2> /dev/null || true
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
