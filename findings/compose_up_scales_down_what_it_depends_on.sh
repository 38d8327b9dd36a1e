#!/usr/bin/env bash
# a was scaled to two with `--scale`. `up -d b`, where b depends on a, removes one of the two again, although a was not named and
# nothing about it has changed.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
cat >compose.yaml <<YAML
name: $project
services:
  a: {image: "$image", stop_grace_period: 0s}
  b: {image: "$image", stop_grace_period: 0s, depends_on: [a]}
YAML
compose up -d --scale a=2 >/dev/null 2>&1
replicas() { compose ps --quiet a | wc -l; }
seen "replicas of a" 2 "$(replicas)"
seen "exit code of up -d b" 0 "$(exit_code compose up -d b)"
seen "replicas of a after up -d b" 1 "$(replicas)"
