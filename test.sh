#!/usr/bin/env bash
# Everything that must hold: format, lints, tests against a real Mosquitto, PostgreSQL and SQLite, licences.
# Installs what is missing where there is apt-get (as root, or with sudo). Asks nothing; needs no terminal.
#
# AMBER_TEST_MOSQUITTO   the broker, if it is not in a usual place
# AMBER_TEST_PG_BIN      the folder with initdb and postgres, if it is not in a usual place
# AMBER_TEST_CHROMIUM, AMBER_TEST_CHROMEDRIVER   the browser and its driver, if they are not in a usual place
# AMBER_TEST_PYTHON      a Python with paho-mqtt 2; otherwise one is made in target/test-python
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec </dev/null

say() { printf '\n== %s\n' "$*"; }
has() { command -v "$1" >/dev/null 2>&1; }
first_of() { for path in "$@"; do [ -x "$path" ] && return 0; done; return 1; }

has_mosquitto() { [ -n "${AMBER_TEST_MOSQUITTO:-}" ] || has mosquitto || first_of /usr/sbin/mosquitto /usr/local/sbin/mosquitto; }
has_postgres() { [ -n "${AMBER_TEST_PG_BIN:-}" ] || first_of /usr/lib/postgresql/*/bin/initdb || has initdb; }
has_python() { [ -n "${AMBER_TEST_PYTHON:-}" ] || { has python3 && python3 -c 'import ensurepip, venv' >/dev/null 2>&1; }; }
has_chromium() { [ -n "${AMBER_TEST_CHROMIUM:-}" ] || has chromium || has chromium-browser || has google-chrome || first_of /usr/lib/chromium/chromium; }
has_chromedriver() { [ -n "${AMBER_TEST_CHROMEDRIVER:-}" ] || has chromedriver || first_of /usr/lib/chromium/chromedriver; }
has_libc() { printf '#include <stdio.h>\nint main(void){return 0;}\n' | cc -x c -o /dev/null - >/dev/null 2>&1; }

missing_packages() {
    has_mosquitto || echo mosquitto
    { has mosquitto_pub && has mosquitto_sub; } || echo mosquitto-clients
    has_postgres || echo postgresql
    has sqlite3 || echo sqlite3
    has openssl || echo openssl
    has_chromium || echo chromium
    has_chromedriver || echo chromium-driver
    has_python || echo python3-venv
    { has cc && has_libc; } || printf 'gcc\nlibc6-dev\n'
    has setpriv || echo util-linux
}

say "servers and tools"
missing=$(missing_packages | xargs)
if [ -n "$missing" ]; then
    if has apt-get; then
        root=()
        if [ "$(id -u)" -ne 0 ]; then
            if has sudo && sudo -n true 2>/dev/null; then
                root=(sudo -n)
            else
                echo "missing: $missing. Install them: apt-get install $missing" >&2
                exit 2
            fi
        fi
        apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3)
        "${apt[@]}" update
        # shellcheck disable=SC2086  # a list of words
        "${apt[@]}" install -y --no-install-recommends $missing
    else
        echo "missing: $missing (names of Debian). Install mosquitto, mosquitto-clients, a PostgreSQL server 14 or later," \
            "sqlite3, openssl, Chromium with chromedriver (Fedora: chromium, chromedriver; Alpine: chromium, chromium-chromedriver;" \
            "Arch: chromium), Python with venv, a C compiler, util-linux; the AMBER_TEST_… at the head of this script say where." >&2
    fi
    missing=$(missing_packages | xargs)
    if [ -n "$missing" ]; then
        echo "still missing: $missing" >&2
        exit 2
    fi
fi

if ! has cargo && [ -r "$HOME/.cargo/env" ]; then
    # shellcheck disable=SC1091
    . "$HOME/.cargo/env"
fi
rust=$(cargo --version 2>/dev/null | cut -d' ' -f2 || true)
if [ -z "$rust" ] || [ "$(printf '%s\n1.94.0\n' "$rust" | sort -V | head -1)" != 1.94.0 ]; then
    echo "cargo 1.94 or later is needed, found: ${rust:-none}; see https://rustup.rs (a distribution's own is often too old)" >&2
    exit 2
fi
for tool in fmt clippy; do
    cargo "$tool" --version >/dev/null 2>&1 || { echo "cargo $tool is missing: rustup component add rustfmt clippy" >&2; exit 2; }
done

if [ -z "${AMBER_TEST_PYTHON:-}" ]; then
    export AMBER_TEST_PYTHON="$PWD/target/test-python/bin/python"
    if ! "$AMBER_TEST_PYTHON" -c 'from paho.mqtt.enums import CallbackAPIVersion' >/dev/null 2>&1; then
        python3 -m venv --clear target/test-python
        "$AMBER_TEST_PYTHON" -m pip install --quiet --disable-pip-version-check 'paho-mqtt==2.*'
    fi
fi

say "format";  cargo fmt --check
say "lints";   cargo clippy --locked --all-targets -- -D warnings
say "tests";   cargo test --locked

if cargo deny --version >/dev/null 2>&1; then
    say "licences, bans, sources"
    cargo deny --offline check licenses bans sources
else
    say "licences, bans, sources: NOT CHECKED, for cargo-deny is not installed (cargo install cargo-deny --locked)"
fi
say "all is well"
