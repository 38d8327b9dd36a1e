#!/usr/bin/env bash
# Beside the service a run the service of a profile and a one-off container (`compose run`). `down` without the profile removes
# a only, cannot remove the network, and exits with 0.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
cat >compose.yaml <<YAML
name: $project
services:
  a: {image: "$image", stop_grace_period: 0s}
  tools: {image: "$image", stop_grace_period: 0s, profiles: [tools]}
YAML
compose --profile tools up -d >/dev/null 2>&1
compose run -d --name "$project-once" a >/dev/null 2>&1
running() { docker ps --filter "label=com.docker.compose.project=$project" --format '{{.Names}}' | sort | tr '\n' ' '; }
seen "running before" "$project-a-1 $project-once $project-tools-1 " "$(running)"
seen "exit code of down" 0 "$(exit_code compose down)"
seen "running after" "$project-once $project-tools-1 " "$(running)"
seen "networks after" "${project}_default" "$(docker network ls --filter "name=$project" --format '{{.Name}}')"
