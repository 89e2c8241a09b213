#!/bin/sh
# Makes an authority and a certificate for the three servers below deploy/compose/certificates, valid for a year, and
# names deploy/compose/encrypted.yml in .env. Run it in the checkout, after make-secrets.sh; again, before they expire.
set -eu

fail() {
  echo "make-certificates: $1" >&2
  exit 1
}
[ -f .env ] || fail 'there is no .env here: run make-secrets.sh first'
command -v openssl >/dev/null || fail 'this needs openssl'

umask 022
directory=deploy/compose/certificates
mkdir -p $directory/authority $directory/server
key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
authority=$directory/authority/ca.pem
openssl req -x509 $key -keyout $directory/ca.key -out $authority -subj '/CN=logferry' -days 366 2>/dev/null
openssl req $key -keyout $directory/server/server.key -out $directory/server.csr -subj '/CN=nats' 2>/dev/null
echo 'subjectAltName = DNS:nats-1, DNS:nats-2, DNS:nats-3, DNS:localhost, IP:127.0.0.1' >$directory/server.names
openssl x509 -req -in $directory/server.csr -CA $authority -CAkey $directory/ca.key -CAcreateserial -days 365 \
  -extfile $directory/server.names -out $directory/server/server.pem 2>/dev/null
cp $authority $directory/server/ca.pem
# Nobody needs it any more: the next certificate has another authority.
rm $directory/ca.key $directory/server.csr $directory/server.names
rm -f $directory/authority/ca.srl $directory/ca.srl
grep -q encrypted.yml .env || {
  (umask 077 && sed 's#^COMPOSE_FILE=.*secured\.yml#&:deploy/compose/encrypted.yml#' .env >.env.new)
  mv .env.new .env
}
grep -q '^COMPOSE_FILE=.*encrypted\.yml' .env || fail '.env names no deploy/compose/secured.yml in COMPOSE_FILE'
echo 'make-certificates: made; docker compose up takes them'
