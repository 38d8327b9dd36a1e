#!/usr/bin/env bash
# A container is paused. The dry run of `up -d` says Started and exits with 0; `up -d` itself fails, and the container stays
# paused.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
cat >compose.yaml <<YAML
name: $project
services:
  a: {image: "$image", stop_grace_period: 0s}
YAML
compose up -d >/dev/null 2>&1
compose pause >/dev/null 2>&1
seen "exit code of the dry run" 0 "$(exit_code compose --dry-run up -d)"
seen "what it says" "Container $project-a-1 Started" "$(grep -o 'Container .* Started' "$work/output" | head -n 1)"
seen "exit code of up" 1 "$(exit_code compose up -d)"
seen "state" paused "$(field a '{{.State.Status}}')"
compose unpause >/dev/null 2>&1
