#!/usr/bin/env bash
# Someone takes the restart policy away and doubles the memory with `docker update`. `up -d` finds nothing to do, although
# neither is as the file declares: the config hash is a label from the container's creation.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
cat >compose.yaml <<YAML
name: $project
services:
  a: {image: "$image", stop_grace_period: 0s, restart: always, mem_limit: 64m}
YAML
compose up -d >/dev/null 2>&1
id=$(field a '{{.Id}}')
docker update --restart=no --memory 128m --memory-swap 128m "$id" >/dev/null
seen "exit code of up" 0 "$(exit_code compose up -d)"
seen "the same container" "$id" "$(field a '{{.Id}}')"
seen "restart policy" no "$(field a '{{.HostConfig.RestartPolicy.Name}}')"
seen "memory" 134217728 "$(field a '{{.HostConfig.Memory}}')"
