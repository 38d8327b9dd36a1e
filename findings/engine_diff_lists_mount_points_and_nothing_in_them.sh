#!/usr/bin/env bash
# `docker diff` says what a container has changed of its image. The folder that a volume is mounted at is listed as added although
# nothing has changed, with the folders above it. A file that the container writes there is not listed.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
cat >compose.yaml <<YAML
name: $project
services:
  a: {image: "$image", command: [/nats-server, -P, /data/deep/pid], stop_grace_period: 0s, volumes: ["data:/data/deep"]}
volumes: {data: {}}
YAML
compose up -d >/dev/null 2>&1
changes() { docker diff "$project-a-1" | sort | xargs; }
is_written() { docker cp "$project-a-1:/data/deep/pid" - >/dev/null 2>&1; }
eventually is_written
seen "what was changed" "A /data A /data/deep" "$(changes)"
