#!/usr/bin/env bash
# Both files map the name db to an address under `extra_hosts`, as a mapping. The override's address does not replace the
# first one: the container has both, the old one first, which is the one that a look-up gives.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
cat >compose.yaml <<YAML
name: $project
services:
  a: {image: "$image", stop_grace_period: 0s, extra_hosts: {db: 10.0.0.1}}
YAML
cat >compose.override.yaml <<'YAML'
services:
  a: {extra_hosts: {db: 10.0.0.2}}
YAML
seen "exit code of up" 0 "$(exit_code compose up -d)"
seen "warnings" 0 "$(grep -ci warn "$work/output" || true)"
hosts=$(docker cp "$project-a-1:/etc/hosts" - | tar -xO)
seen "addresses of db" "10.0.0.1 10.0.0.2 " "$(awk '$2 == "db" { printf "%s ", $1 }' <<<"$hosts")"
