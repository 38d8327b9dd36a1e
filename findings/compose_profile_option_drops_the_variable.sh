#!/usr/bin/env bash
# The host's COMPOSE_PROFILES enables one profile, a command's `--profile` another. They do not add up: with the option the
# variable counts for nothing, and its services are not in the project any more.
. "$(dirname "$0")/lib/compose.sh"
install_compose
cat >compose.yaml <<'YAML'
name: finding
services:
  a: {image: a}
  metrics: {image: a, profiles: [metrics]}
  tools: {image: a, profiles: [tools]}
YAML
export COMPOSE_PROFILES=metrics
services() { compose "$@" config --services | sort | tr '\n' ' '; }
seen "by the variable" "a metrics " "$(services)"
seen "by the variable and the option" "a tools " "$(services --profile tools)"
