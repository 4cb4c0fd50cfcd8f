#!/usr/bin/env bash
# Installs a package in a Debian of its own with systemd as its first process, uses it as a person would, upgrades, removes
# and purges it, and says what it has seen. README.md beside this file has what is checked.
#
#   packaging/try.sh target/debian/mqtt-amber_*.deb [SUITE]
#
# SUITE: bookworm, trixie, noble …; this machine's own unless given. Needs root, debootstrap, systemd-container, and, for the
# first run of a suite, the network: packages come from where this machine's apt gets its own. About two minutes the
# first time, half a minute later. The Debian stands in target/trial and has no network but its own loopback.
set -euo pipefail

deb=$(realpath "${1:?which package? packaging/build.sh makes one}")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. /etc/os-release
suite=${2:-$VERSION_CODENAME}
trial=$here/target/trial
base=$trial/$suite root=$trial/root
[ "$(id -u)" -eq 0 ] || { echo "must be root" >&2; exit 2; }
for tool in debootstrap systemd-nspawn nsenter dpkg-deb; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install debootstrap systemd-container" >&2; exit 2; }
done

nspawn= leader=
finish() {
    code=$?
    [ "$code" -eq 0 ] || { echo "== FAILED"; inside journalctl --no-pager -n 60 2>/dev/null || true; }
    [ -z "$nspawn" ] || { kill -KILL "$nspawn" 2>/dev/null || true; wait "$nspawn" 2>/dev/null || true; }
    exit "$code"
}
trap finish EXIT

say() { printf '== %s\n' "$*"; }
inside() { nsenter --target "$leader" --all env -i --chdir=/ PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"; }
# is WHAT EXPECTED COMMAND…: the command prints what is expected.
is() {
    local what=$1 expected=$2 seen
    shift 2
    seen=$(inside "$@" 2>&1) || true
    [ "$seen" = "$expected" ] || { printf '%s: expected %s, seen %s\n' "$what" "$expected" "$seen" >&2; exit 1; }
    printf '   %s: %s\n' "$what" "${seen//$'\n'/ }"
}
# soon WHAT COMMAND…: the command succeeds within half a minute.
soon() {
    local what=$1 end=$((SECONDS + 30))
    shift
    until inside "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || { printf 'not seen: %s\n' "$what" >&2; inside "$@" >&2 || true; exit 1; }
        sleep 0.1
    done
    printf '   %s\n' "$what"
}
boot() {
    systemd-nspawn --quiet --boot --directory="$root" --machine=amber-trial --private-network --register=no --keep-unit \
        --console=pipe >"$trial/console.log" 2>&1 </dev/null &
    nspawn=$!
    local end=$((SECONDS + 30))
    until leader=$(pgrep -P "$nspawn") && [ -n "$leader" ] && inside systemctl is-system-running --wait 2>/dev/null | grep -q running; do
        [ "$SECONDS" -lt "$end" ] || { cat "$trial/console.log" >&2; inside systemctl --failed --no-pager >&2 || true; exit 1; }
        sleep 0.2
    done
}
power_off() {
    inside systemctl poweroff
    wait "$nspawn" || true
    nspawn=
}
packages() { inside env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o APT::Sandbox::User=root "$@" | grep -E "^(Setting|Created|Removing|Purging)" || true; }
ready() { soon "/ready says 200" sh -c 'curl -sf http://127.0.0.1:9583/ready'; }
publish() { inside mosquitto_pub -q 1 -t "$1" -m "$2"; }

say "a $suite with systemd"
if [ ! -e "$base/etc/debian_version" ]; then
    mirror=$(apt-get indextargets --format '$(SITE)' "Created-By: Packages" "Codename: $suite" | head -1)
    [ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(SITE)' "Created-By: Packages" "Codename: $VERSION_CODENAME" | head -1)
    rm -rf "$base"
    mkdir -p "$trial"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,adduser,ca-certificates,mosquitto,mosquitto-clients,sqlite3,curl,procps,man-db,bash-completion,apt-utils \
        "$suite" "$base" "$mirror" >"$trial/debootstrap.log" || { tail "$trial/debootstrap.log" >&2; exit 1; }
fi
rm -rf "$root" "$trial/next"
cp -a "$base" "$root"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
# The same package under a later version.
dpkg-deb -R "$deb" "$trial/next"
version=$(dpkg-deb -f "$deb" Version)
sed -i "s/^Version: .*/Version: $version+next/" "$trial/next/DEBIAN/control"
dpkg-deb -Zgzip -z1 -b "$trial/next" "$root/root/next.deb" >/dev/null
cp "$deb" "$root/root/amber.deb"
boot
inside systemctl --version | head -1

say "install"
packages install /root/amber.deb
is "enabled" enabled systemctl is-enabled amber
is "not started: no mapping yet" inactive systemctl is-active amber
is "configuration" "640 root amber" stat -c '%a %U %G' /etc/amber/config.toml
is "state" "750 amber amber" stat -c '%a %U %G' /var/lib/amber
is "binary" "755 root root" stat -c '%a %U %G' /usr/bin/amber
is "others read no configuration" "cat: /etc/amber/config.toml: Permission denied" runuser -u nobody -- cat /etc/amber/config.toml
inside runuser -u amber -- amber check >/dev/null || { echo "the configuration that it comes with is refused" >&2; exit 1; }
inside man -w amber amber-check amber-leave >/dev/null
is "bash completes" "run" bash -c '. /usr/share/bash-completion/bash_completion; _completion_loader amber; COMP_WORDS=(amber ru); COMP_CWORD=1; _amber amber ru amber; echo "${COMPREPLY[@]}"'
inside systemd-analyze verify amber.service
inside systemd-analyze security --no-pager amber | tail -1 || true

say "a mapping, and the first start"
mapping() { printf '[mapping.climate]\ntopic = "home/{room}/climate"\nfields = [%s]\n' "$1" >"$root/etc/amber/mappings/climate.toml"; }
mapping '"temperature"'
inside runuser -u amber -- amber check --connect >/dev/null
inside systemctl start amber
ready
publish home/kitchen/climate '{"temperature": 21.5, "humidity": 48}'
soon "a row" sh -c 'sqlite3 -readonly /var/lib/amber/amber.db "select room, temperature from climate" | grep -qx "kitchen|21.5"'
is "database" "640 amber amber" stat -c '%a %U %G' /var/lib/amber/amber.db

say "what it runs as"
pid=$(inside systemctl show -P MainPID amber)
is "user, capabilities, seccomp" "CapEff 0000000000000000 CapBnd 0000000000000000 NoNewPrivs 1 Seccomp 2" \
    sh -c "awk '/^(CapEff|CapBnd|NoNewPrivs|Seccomp):/ { printf \"%s%s %s\", n++ ? \" \" : \"\", substr(\$1, 1, length(\$1) - 1), \$2 }' /proc/$pid/status"
is "process" amber ps -o user= -p "$pid"
is "/usr is read-only for it" "touch: cannot touch '/usr/x': Read-only file system" nsenter -t "$pid" -m touch /usr/x
is "/etc is read-only for it" "touch: cannot touch '/etc/amber/x': Read-only file system" nsenter -t "$pid" -m touch /etc/amber/x
inside sh -c 'curl -sf http://127.0.0.1:9583/metrics' | grep -q '^process_start_time_seconds [1-9]' || { echo "no metrics of the process" >&2; exit 1; }

say "reload"
mapping '"temperature", "humidity"'
inside systemctl reload amber
soon "the new column" sh -c 'sqlite3 -readonly /var/lib/amber/amber.db "select humidity from climate limit 0"'
publish home/bath/climate '{"temperature": 23, "humidity": 60}'
soon "is filled" sh -c 'sqlite3 -readonly /var/lib/amber/amber.db "select room, humidity from climate" | grep -qx "bath|60.0"'
is "the same process" "$pid" systemctl show -P MainPID amber
is "no error in the log" 0 sh -c 'journalctl -u amber -b --no-pager -o cat | grep -c ERROR || true'
is "no unit has failed" 0 sh -c 'systemctl --failed --no-legend | wc -l'

say "a wrong mapping: refused by a reload, and no restarts in circles"
mapping '"temperature",'"'"
inside systemctl reload amber
soon "/ready names it, and stays 200" sh -c 'curl -sf http://127.0.0.1:9583/ready | grep -q climate.toml'
inside systemctl restart amber || true
soon "exit code 2" sh -c '[ "$(systemctl show -P ExecMainStatus amber)" = 2 ]'
is "failed, and stays so" failed systemctl is-active amber
is "restarts" 0 systemctl show -P NRestarts amber
mapping '"temperature", "humidity"'
inside systemctl start amber
ready

say "kill -9"
inside systemctl kill --signal=KILL amber
soon "started again by systemd" sh -c '[ "$(systemctl show -P NRestarts amber)" = 1 ]'
ready

say "upgrade while messages come"
# Until it is over, and then says how many there were.
inside sh -c 'n=0; while [ ! -e /run/enough ]; do n=$((n + 1)); echo "{\"temperature\": $n, \"humidity\": 1}"; echo $n >/run/sent; sleep 0.01; done |
    mosquitto_pub -l -q 1 -t home/upgrade/climate' &
publisher=$!
pid=$(inside systemctl show -P MainPID amber)
packages install /root/next.deb
is "version" "$version+next" dpkg-query -W -f '${Version}' mqtt-amber
[ "$(inside systemctl show -P MainPID amber)" != "$pid" ] || { echo "the old process still runs" >&2; exit 1; }
ready
inside touch /run/enough
wait "$publisher"
sent=$(inside cat /run/sent)
count="select count(*), count(distinct temperature) from climate where room = 'upgrade'"
soon "$sent messages, each once" sh -c "sqlite3 -readonly /var/lib/amber/amber.db \"$count\" | grep -qx '$sent|$sent'"
is "configuration, still" "640 root amber" stat -c '%a %U %G' /etc/amber/config.toml
inside systemctl stop amber
is "ended by itself" "success 0" sh -c 'echo $(systemctl show -P Result amber) $(systemctl show -P ExecMainStatus amber)'
packages install --reinstall /root/next.deb
is "what was stopped stays stopped" inactive systemctl is-active amber

say "boot"
power_off
boot
ready
is "no unit has failed" 0 sh -c 'systemctl --failed --no-legend | wc -l'

say "remove"
packages remove mqtt-amber
is "stopped" inactive systemctl is-active amber
is "no binary" "" sh -c 'command -v amber || true'
is "kept" "/etc/amber/config.toml /etc/amber/mappings/climate.toml /var/lib/amber/amber.db" \
    sh -c 'echo $(ls /etc/amber/config.toml /etc/amber/mappings/climate.toml /var/lib/amber/amber.db)'
packages install --allow-downgrades /root/amber.deb
is "enabled again" enabled systemctl is-enabled amber
inside systemctl start amber
ready
is "the rows are there" $((sent + 2)) sqlite3 -readonly /var/lib/amber/amber.db "select count(*) from climate"

say "leave and purge"
inside systemctl stop amber
inside runuser -u amber -- amber leave
packages purge mqtt-amber
is "no state, no configuration" "" sh -c 'ls -d /var/lib/amber /etc/amber/config.toml 2>/dev/null || true'
is "what a person wrote stays" /etc/amber/mappings/climate.toml ls /etc/amber/mappings/climate.toml
is "no unit" "" sh -c 'systemctl list-unit-files --no-legend "amber*"'
is "the user stays" amber sh -c 'getent passwd amber | cut -d: -f1'
power_off

if command -v lintian >/dev/null; then
    say "lintian"
    lintian --allow-root --fail-on error,warning "$deb"
fi
say "all is well"
