#!/usr/bin/env bash
# `d:/data` with a declared volume d is taken for a path on a Windows drive: the target is `d:/data`, the source nothing.
# `config` and the dry run exit with 0, `up -d` fails.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
cat >compose.yaml <<YAML
name: $project
services:
  a: {image: "$image", stop_grace_period: 0s, volumes: ["d:/data"]}
volumes: {d: {}}
YAML
mount() { compose config --format json | python3 -c 'import json, sys; print(json.load(sys.stdin)["services"]["a"]["volumes"][0])'; }
seen "mount" "{'type': 'volume', 'target': 'd:/data', 'volume': {}}" "$(mount)"
seen "exit code of the dry run" 0 "$(exit_code compose --dry-run up -d)"
seen "exit code of up" 1 "$(exit_code compose up -d)"
seen "what it says" "invalid mount path: 'd:/data'" "$(grep -o "invalid mount path: 'd:/data'" "$work/output" | head -n 1)"
