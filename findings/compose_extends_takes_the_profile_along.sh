#!/usr/bin/env bash
# a extends a service that has a profile, and names none itself. It takes the profile along, and is not in the project then:
# `up -d` exits with 0 without a and without a word.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
cat >base.yaml <<YAML
services:
  debug: {image: "$image", stop_grace_period: 0s, profiles: [debug]}
YAML
cat >compose.yaml <<YAML
name: $project
services:
  web: {image: "$image", stop_grace_period: 0s}
  a: {extends: {file: base.yaml, service: debug}}
YAML
seen "services" web "$(compose config --services)"
seen "exit code of up" 0 "$(exit_code compose up -d)"
seen "warnings" 0 "$(grep -ci warn "$work/output" || true)"
seen "services that run" web "$(compose ps --services)"
