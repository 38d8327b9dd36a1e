#!/usr/bin/env bash
# The content of an inline config is edited. `up -d` exits with 0 and the container keeps the old content:
# the config hash is the same.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
file() { # CONTENT
    cat <<YAML
name: $project
services:
  a: {image: "$image", stop_grace_period: 0s, configs: [{source: settings, target: /settings}]}
configs: {settings: {content: "$1"}}
YAML
}
file before >compose.yaml
compose up -d >/dev/null 2>&1
id=$(field a '{{.Id}}')
hash=$(compose config --hash a)
file after >compose.yaml
seen "exit code of up -d" 0 "$(exit_code compose up -d)"
seen "the same container" "$id" "$(field a '{{.Id}}')"
seen "the same config hash" "$hash" "$(compose config --hash a)"
seen "content in the container" before "$(docker cp "$project-a-1:/settings" - | tar -xO)"
