#!/usr/bin/env bash
# One label of a network is edited while two services are on it. `up -d --no-deps a` stops a, cannot remove the network
# because b is on it, and ends: a, which ran, stays exited, and the next `up` fails as well. The dry run exits with 0.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
file() { # LABEL
    cat <<YAML
name: $project
services:
  a: {image: "$image", stop_grace_period: 0s, networks: [shared]}
  b: {image: "$image", stop_grace_period: 0s, networks: [shared]}
networks: {shared: {labels: {edition: "$1"}}}
YAML
}
file first >compose.yaml
compose up -d >/dev/null 2>&1
file second >compose.yaml
seen "exit code of the dry run" 0 "$(exit_code compose --dry-run up -d --no-deps a)"
seen "exit code of up --no-deps a" 1 "$(exit_code compose up -d --no-deps a)"
seen "state of a, which ran" exited "$(field a '{{.State.Status}}')"
seen "state of b" running "$(field b '{{.State.Status}}')"
seen "exit code of the next up" 1 "$(exit_code compose up -d a)"
