#!/usr/bin/env bash
# An override file writes a value in another form than the first file: a number where a text was, a list where one address was.
# Compose merges both. podman-compose ends with an error and starts nothing. A port that both files name is one for Compose;
# podman-compose asks for it twice.
. "$(dirname "$0")/lib/podman.sh"
install_compose
install_podman_compose
override() { # FIRST OVERRIDE, of one service
    printf 'name: finding\nservices: {a: {image: a, %s}}\n' "$1" >compose.yaml
    printf 'services: {a: {%s}}\n' "$2" >compose.override.yaml
}
of_compose() { compose config --format json | python3 -c 'import json, sys; a = json.load(sys.stdin)["services"]["a"]; print('"$1"')'; }
refusal() { podman_compose up --detach || tail -n 1 said | cut -d: -f1; }
override 'environment: {RETRIES: "3"}' 'environment: {RETRIES: 5}'
seen "a number over a text, Compose" 5 "$(of_compose 'a["environment"]["RETRIES"]')"
seen "a number over a text, podman-compose" ValueError "$(refusal)"
override 'dns: 10.0.0.1' 'dns: [10.0.0.2]'
seen "a list over an address, Compose" "10.0.0.1 10.0.0.2" "$(of_compose '*a["dns"]')"
seen "a list over an address, podman-compose" ValueError "$(refusal)"
override 'ports: ["8080:80"]' 'ports: ["8080:80"]'
seen "a port in both, Compose" 1 "$(of_compose 'len(a["ports"])')"
seen "a port in both, podman-compose accepts" "" "$(refusal)"
seen "a port in both, podman-compose" "-p 8080:80 -p 8080:80" "$(created_with finding_a_1 '-p [^ ]*' | xargs)"
