#!/usr/bin/env bash
# a waits for b to be healthy, and b has no health check. `config` is content. `up -d` creates both, starts b, and fails:
# a stays created.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
cat >compose.yaml <<YAML
name: $project
services:
  a: {image: "$image", stop_grace_period: 0s, depends_on: {b: {condition: service_healthy}}}
  b: {image: "$image", stop_grace_period: 0s}
YAML
seen "exit code of config" 0 "$(exit_code compose config --quiet)"
seen "exit code of up" 1 "$(exit_code compose up -d)"
seen "state of a" created "$(field a '{{.State.Status}}')"
seen "state of b" running "$(field b '{{.State.Status}}')"
