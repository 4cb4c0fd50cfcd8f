#!/usr/bin/env bash
# Builds the package for Debian and Ubuntu: target/debian/mqtt-amber_VERSION_ARCHITECTURE.deb.
#
# Needs Rust, a C compiler, dpkg-dev, and cargo-deb (cargo install cargo-deb --locked). Build it on the oldest release that
# is to run it: a binary asks for the C library that it was linked against. What is given is handed to `cargo deb`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --release --locked --bin amber
amber=${CARGO_TARGET_DIR:-target}/release/amber
version=$("$amber" --version | cut -d' ' -f2)

made=target/packaging
rm -rf "$made"
mkdir -p "$made/completions"
"$amber" man "$made/man"
"$amber" completions bash > "$made/completions/amber"
"$amber" completions zsh > "$made/completions/_amber"
"$amber" completions fish > "$made/completions/amber.fish"

# What is linked in, by its licences: they ask for that.
cargo tree --locked --edges normal --prefix none --no-dedupe --format '{p} {l}' | sed 's| ([^)]*)||; /^mqtt-amber /d' | sort -u > "$made/crates"
{
    printf 'The binary holds these crates, and SQLite, which is in the public domain.\n\n'
    cat "$made/crates"
    while read -r name version _; do
        for text in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$name-${version#v}"/{LICENSE,LICENCE,COPYING,NOTICE}*; do
            [ ! -f "$text" ] || printf '%s %s\n' "$(sha256sum < "$text" | cut -d' ' -f1)" "$text"
        done
    done < "$made/crates" | sort > "$made/texts"
    # Each text once, below the names of all whose it is.
    for sum in $(cut -d' ' -f1 "$made/texts" | uniq); do
        printf '\n==========\n'
        sed -n "s|^$sum .*/registry/src/[^/]*/||p" "$made/texts"
        printf '\n'
        cat "$(sed -n "s/^$sum //p" "$made/texts" | head -1)"
    done
} | gzip -9n > "$made/third-party.gz"

# The same commit gives the same file.
seconds=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
maintainer=$(sed -n 's/^maintainer = "\(.*\)"$/\1/p' Cargo.toml)
cat > "$made/changelog" <<EOF
mqtt-amber ($version-1) unstable; urgency=medium

  * /usr/share/doc/mqtt-amber/changelog.gz says what has changed.

 -- $maintainer  $(LC_ALL=C date -u -R -d "@$seconds")
EOF

SOURCE_DATE_EPOCH=$seconds cargo deb --no-build --locked "$@"
