#!/usr/bin/env bash
# A service waits until its database is healthy. An override file adds a dependency on a cache, in the short form, and names the
# database there as well. The service waits for a started database only then, while `restart: true` stays. `extends` with a
# short form does the same.
. "$(dirname "$0")/lib/compose.sh"
install_compose
cat >compose.yaml <<'YAML'
name: finding
services:
  web: {image: web, depends_on: {db: {condition: service_healthy, restart: true}}}
  extended: {extends: web, depends_on: [db]}
  db: {image: db}
  cache: {image: cache}
YAML
cat >compose.override.yaml <<'YAML'
services:
  web: {depends_on: [db, cache]}
YAML
cat >other.yaml <<'YAML'
services:
  web: {depends_on: [cache]}
YAML
db_of() { # SERVICE FILE…
    compose "${@:2}" config --format json | python3 -c '
import json, sys
db = json.load(sys.stdin)["services"][sys.argv[1]]["depends_on"]["db"]
print(db["condition"], "restart" in db)' "$1"
}
seen "without the override" "service_healthy True" "$(db_of web --file compose.yaml)"
seen "an override with the cache alone" "service_healthy True" "$(db_of web --file compose.yaml --file other.yaml)"
seen "an override with both" "service_started True" "$(db_of web)"
seen "extended" "service_started True" "$(db_of extended --file compose.yaml)"
