#!/usr/bin/env bash
# `compose config --variables` lists what a file needs, for whoever is to fill in a .env. A variable in an `env_file` is not in it, although
# Compose puts its value in there and warns where it has none. Of a variable with two defaults, each in its place, one is listed.
. "$(dirname "$0")/lib/compose.sh"
install_compose
cat >compose.yaml <<'YAML'
name: finding
services:
  old: {image: "app:${TAG:-1}", env_file: app.env}
  new: {image: "app:${TAG:-2}"}
YAML
# shellcheck disable=SC2016 # Compose puts it in
echo 'ADDRESS=http://${HOST_NAME}/' >app.env
unset TAG HOST_NAME
compose config --format json >resolved.json 2>warnings
seen "images" "app:1 app:2" "$(python3 -c '
import json
services = json.load(open("resolved.json"))["services"]
print(*sorted(service["image"] for service in services.values()))')"
seen "value without HOST_NAME" http:/// "$(python3 -c '
import json
print(json.load(open("resolved.json"))["services"]["old"]["environment"]["ADDRESS"])')"
seen "warnings about it" 1 "$(grep -c HOST_NAME warnings)"
compose config --variables >variables
seen "variables listed" TAG "$(awk 'NR > 1 { print $1 }' variables | xargs)"
seen "defaults listed" 1 "$(grep -cE '^TAG +false +[12] *$' variables)"
