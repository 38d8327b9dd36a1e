#!/usr/bin/env bash
# A service may do without another one (`required: false`), which has a profile that nobody enabled. Compose leaves the other one out.
# podman-compose creates the containers, starts those that need nothing, and ends with a KeyError: the service itself never starts.
. "$(dirname "$0")/lib/podman.sh"
install_compose
install_podman_compose
cat >compose.yaml <<'YAML'
name: finding
services:
  db: {image: db}
  web:
    image: web
    depends_on: {db: {condition: service_started}, debug: {condition: service_started, required: false}}
  debug: {image: debug, profiles: [debug]}
YAML
seen "services of Compose" "db web" "$(compose config --services | sort | xargs)"
seen "exit code of podman-compose" 1 "$(exit_code podman_compose up --detach)"
seen "what it says" "KeyError: 'debug'" "$(tail -n 1 said)"
seen "created" "finding_db_1 finding_web_1" "$(grep -oE 'name=[^ ]*' asked | cut -d= -f2 | sort | xargs)"
seen "started" finding_db_1 "$(grep -oE '^start .*' asked | cut -d' ' -f2 | xargs)"
