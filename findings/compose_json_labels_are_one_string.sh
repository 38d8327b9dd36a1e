#!/usr/bin/env bash
# In the JSON of `compose ps` and of `docker ps` the labels are one string, joined by commas. A comma in a value is not marked:
# one label of a note reads as two, and whoever splits the string finds an owner that the container does not have.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
cat >compose.yaml <<YAML
name: $project
services:
  a: {image: "$image", stop_grace_period: 0s, labels: {note: "see the wiki,owner=somebody"}}
YAML
compose up -d >/dev/null 2>&1
owner() { python3 -c 'import json, sys; print(dict(label.split("=", 1) for label in json.load(sys.stdin)["Labels"].split(","))["owner"])'; }
seen "owner by compose ps" somebody "$(compose ps --format json | owner)"
seen "owner by docker ps" somebody "$(docker ps --filter "name=$project-a-1" --format json | owner)"
seen "owner by docker inspect" "" "$(field a '{{index .Config.Labels "owner"}}')"
seen "note by docker inspect" "see the wiki,owner=somebody" "$(field a '{{index .Config.Labels "note"}}')"
