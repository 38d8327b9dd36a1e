#!/usr/bin/env bash
# podman-compose reads a file by YAML 1.1 and writes the values as Python does. `DEBUG: true` is `True` in the container and
# `true` for Compose, `MODE: on` is `True` and not `on`, the variable OFF is called False, and port 22:22 is 1342. A program
# that compares with "true" has its switch off.
. "$(dirname "$0")/lib/podman.sh"
install_compose
install_podman_compose
cat >compose.yaml <<'YAML'
name: finding
services:
  a:
    image: a
    environment: {DEBUG: true, MODE: on, OFF: "1"}
    labels: {enable: true}
    ports: [22:22]
YAML
resolved=$(compose config --format json)
of_compose() { python3 -c 'import json, sys; a = json.loads(sys.argv[1])["services"]["a"]; print('"$1"')' "$resolved"; }
seen "environment of Compose" "DEBUG=true MODE=on OFF=1" "$(of_compose '*map("=".join, sorted(a["environment"].items()))')"
seen "label of Compose" true "$(of_compose 'a["labels"]["enable"]')"
seen "port of Compose" "22 22" "$(of_compose 'a["ports"][0]["published"], a["ports"][0]["target"]')"
podman_compose up --detach
of_podman_compose() { created_with finding_a_1 "$1" | paste -sd' '; }
seen "environment of podman-compose" "-e DEBUG=True -e MODE=True -e False=1" "$(of_podman_compose '-e [^ ]*')"
seen "label of podman-compose" enable=True "$(of_podman_compose 'enable=[^ ]*')"
seen "port of podman-compose" "-p 1342" "$(of_podman_compose '-p [^ ]*')"
