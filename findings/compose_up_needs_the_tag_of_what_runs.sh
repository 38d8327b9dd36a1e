#!/usr/bin/env bash
# A service runs and nothing of it has changed, but the tag of its image was removed, as a clean-up does. `up -d --pull never`
# wants to recreate the container and fails. The container goes on meanwhile.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
cat >compose.yaml <<YAML
name: $project
services:
  a: {image: "$image", stop_grace_period: 0s}
YAML
compose up -d >/dev/null 2>&1
id=$(field a '{{.Id}}')
docker image rm --force "$image" >/dev/null
seen "exit code of up --pull never" 1 "$(exit_code compose up -d --pull never)"
seen "what it says" "No such image" "$(grep -o 'No such image' "$work/output" | head -n 1)"
seen "a is the same" "$id" "$(field a '{{.Id}}')"
seen "a runs" running "$(field a '{{.State.Status}}')"
