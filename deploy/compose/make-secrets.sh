#!/bin/sh
# Writes .env in the current directory, for its owner alone: a password for each user of deploy/compose/nats/secured.conf
# and for Grafana's admin, and that docker compose takes deploy/compose/secured.yml too. Never overwrites one.
set -eu

if [ -e .env ]; then
  echo 'make-secrets: .env is there already: keep it, or move it away and run this again' >&2
  exit 1
fi
umask 077
{
  echo COMPOSE_FILE=docker-compose.yml:deploy/compose/secured.yml
  for user in ROUTE ADMIN SHIPPER RECEIVER GRAFANA; do
    # A letter first: nats-server would read 12e4 as a number.
    echo "LOGFERRY_${user}_PASSWORD=p$(head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n')"
  done
} >.env.new
mv .env.new .env
echo 'make-secrets: .env is written; docker compose up takes it'
