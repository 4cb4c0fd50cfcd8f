#!/bin/sh
# A certificate authority for the stack's broker, and its certificate for port 8883. Run again, it changes nothing, unless
# the names have changed or the certificate ends within 90 days; the authority stays, so that devices need no change.
set -eu
umask 077
secrets=${SECRETS:-/secrets}
access=${ACCESS:-/access}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

# No file names for a `*` in it.
set -f
names="DNS:localhost,DNS:broker,IP:127.0.0.1"
for name in $(echo "${MQTT_HOST:-}" | tr ',' ' '); do
  case $name in
    *[!A-Za-z0-9.:-]*) echo "certificates: MQTT_HOST: \`$name\` is neither a host name nor an address; write names with commas between" >&2; exit 2 ;;
    *:*) names="$names,IP:$name" ;;
    *[!0-9.]*) names="$names,DNS:$name" ;;
    *) names="$names,IP:$name" ;;
  esac
done
set +f

if ! [ -s "$secrets/ca.key" ] || ! [ -s "$access/ca.pem" ]; then
  key "$work/ca.key"
  printf '[req]\ndistinguished_name = name\nprompt = no\nx509_extensions = ca\n[name]\nCN = Amber stack %s\n[ca]\nbasicConstraints = critical, CA:true\nkeyUsage = critical, keyCertSign, cRLSign\nsubjectKeyIdentifier = hash\n' \
    "$(openssl rand -hex 4)" > "$work/ca.cnf"
  openssl req -new -x509 -days 7300 -key "$work/ca.key" -config "$work/ca.cnf" -out "$work/ca.pem"
  cat "$work/ca.key" > "$secrets/ca.key"
  cat "$work/ca.pem" > "$access/ca.pem"
  rm -f "$access/server.pem"
  echo "made a certificate authority: docker compose exec broker cat /access/ca.pem"
fi

if ! [ -s "$access/server.pem" ] || ! [ -s "$access/server.key" ] || [ "$(cat "$access/server.names" 2> /dev/null)" != "$names" ] \
  || ! openssl x509 -in "$access/server.pem" -noout -checkend 7776000 > "$work/said"; then
  key "$work/server.key"
  printf '[req]\ndistinguished_name = name\nprompt = no\n[name]\nCN = broker\n[server]\nbasicConstraints = critical, CA:false\nkeyUsage = critical, digitalSignature\nextendedKeyUsage = serverAuth\nsubjectAltName = %s\n' \
    "$names" > "$work/server.cnf"
  openssl req -new -key "$work/server.key" -config "$work/server.cnf" -out "$work/server.csr"
  openssl x509 -req -in "$work/server.csr" -CA "$access/ca.pem" -CAkey "$secrets/ca.key" -set_serial "0x$(openssl rand -hex 8)" \
    -days 730 -extfile "$work/server.cnf" -extensions server -out "$work/server.pem" 2> "$work/said" || { cat "$work/said" >&2; exit 1; }
  cat "$work/server.key" > "$access/server.key"
  cat "$work/server.pem" > "$access/server.pem"
  echo "$names" > "$access/server.names"
  echo "made a certificate for $names; a broker that runs takes it up with: docker compose kill -s HUP broker"
fi

chmod 0644 "$access/ca.pem"
[ "$(id -u)" != 0 ] || chown 1883:1883 "$access"/ca.pem "$access"/server.*
