#!/usr/bin/env bash
# a declares `depends_on: {db: {restart: true}}`. `restart db` restarts a as well. `up -d --force-recreate db` replaces db and
# leaves a as it is, whose connections are gone.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
cat >compose.yaml <<YAML
name: $project
services:
  db: {image: "$image", stop_grace_period: 0s}
  a: {image: "$image", stop_grace_period: 0s, depends_on: {db: {condition: service_started, restart: true}}}
YAML
compose up -d >/dev/null 2>&1
started() { field a '{{.State.StartedAt}}'; }
first=$(started)
compose restart db >/dev/null 2>&1
second=$(started)
seen "restart db restarts a" yes "$([ "$first" = "$second" ] || echo yes)"
db=$(field db '{{.Id}}')
compose up -d --force-recreate db >/dev/null 2>&1
seen "up --force-recreate db makes another db" yes "$([ "$db" = "$(field db '{{.Id}}')" ] || echo yes)"
seen "a is the run of before" "$second" "$(started)"
