#!/usr/bin/env bash
# A service of the file is also one of an included file. The reference says that Compose warns of it and does not merge the two.
# It merges them, and does not warn: the service is half the one, half the other. (Version 2.26.1 refuses such a file.)
. "$(dirname "$0")/lib/compose.sh"
install_compose
cat >included.yaml <<'YAML'
services:
  db: {image: "included:1", restart: always, environment: {DATA: /included}}
YAML
cat >compose.yaml <<'YAML'
name: finding
include: [included.yaml]
services:
  db: {image: "own:1", environment: {MODE: own}}
YAML
seen "exit code of config" 0 "$(exit_code compose config --format json)"
cp "$work/output" resolved.json # where a warning was in it as well, it would be no JSON
value() { python3 -c 'import json; print(json.load(open("resolved.json"))["services"]["db"]'"$1"')'; }
seen "image" own:1 "$(value '["image"]')"
seen "restart" always "$(value '["restart"]')"
seen "environment" "{'DATA': '/included', 'MODE': 'own'}" "$(value '["environment"]')"
