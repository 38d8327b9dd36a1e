#!/usr/bin/env bash
# The value of a key in an override file is commented out, and the key stays. Nothing changes for `restart`, `user`, `environment`, `ports`
# and others. For `command` and `entrypoint` it does: those of the first file are gone, and the image's are run.
. "$(dirname "$0")/lib/compose.sh"
install_compose
cat >compose.yaml <<'YAML'
name: finding
services:
  a: {image: a, command: [serve], entrypoint: [init], restart: always, user: "1", environment: {A: a}, ports: ["80:80"]}
YAML
cat >empty.yaml <<'YAML'
services:
  a:
    command: # [debug]
    entrypoint: # [debug]
    restart: # "no"
    user: # "0"
    environment: # {A: b}
    ports: # ["81:80"]
YAML
kept() { # FILE…
    compose "$@" config --format json | python3 -c '
import json, sys
service = json.load(sys.stdin)["services"]["a"]
print(*(key for key in ("command", "entrypoint", "restart", "user", "environment", "ports") if service.get(key)))'
}
seen "of the file" "command entrypoint restart user environment ports" "$(kept --file compose.yaml)"
seen "with the override" "restart user environment ports" "$(kept --file compose.yaml --file empty.yaml)"
