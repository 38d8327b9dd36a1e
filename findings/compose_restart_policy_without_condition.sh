#!/usr/bin/env bash
# The condition of `deploy.restart_policy` is `any` by default, says the reference of Compose. A policy that leaves it out
# gives the container none: it is never restarted, also where `restart: always` stands beside it, and there is no warning.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
cat >compose.yaml <<YAML
name: $project
services:
  any: {image: "$image", deploy: {restart_policy: {condition: any}}}
  attempts: {image: "$image", deploy: {restart_policy: {max_attempts: 3}}}
  beside: {image: "$image", restart: always, deploy: {restart_policy: {delay: 5s}}}
YAML
seen "exit code of up" 0 "$(exit_code compose up -d)"
seen "warnings" 0 "$(grep -ci warn "$work/output" || true)"
policy() { field "$1" '{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}'; }
seen "condition: any" always:0 "$(policy any)"
seen "max_attempts: 3 alone" :3 "$(policy attempts)"
seen "delay: 5s alone, beside restart: always" :0 "$(policy beside)"
