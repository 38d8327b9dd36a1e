#!/usr/bin/env bash
# `up -d a` where nothing differs: a is left alone, but the job that it waits for (`service_completed_successfully`), which
# has ended with 0 before, is run once more.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
cat >compose.yaml <<YAML
name: $project
services:
  job: {image: "$image", command: ["/nats-server", "--version"]}
  a: {image: "$image", stop_grace_period: 0s, depends_on: {job: {condition: service_completed_successfully}}}
YAML
compose up -d >/dev/null 2>&1
a=$(field a '{{.State.StartedAt}}')
job=$(field job '{{.Id}}')
first=$(field job '{{.State.StartedAt}}')
seen "the job's exit code" 0 "$(field job '{{.State.ExitCode}}')"
seen "exit code of up -d a" 0 "$(exit_code compose up -d a)"
seen "a is the run of before" "$a" "$(field a '{{.State.StartedAt}}')"
seen "the job's container is the same" "$job" "$(field job '{{.Id}}')"
seen "the job ran again" yes "$([ "$first" = "$(field job '{{.State.StartedAt}}')" ] || echo yes)"
