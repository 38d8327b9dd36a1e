#!/usr/bin/env bash
# `compose events --until` shows the events up to a time, as an audit of a deploy needs them. It prints them all, then `EOF`, and exits
# with 1: a script that looks at the exit code throws a whole record away. `docker events` of the same time exits with 0.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
cat >compose.yaml <<YAML
name: $project
services: {a: {image: "$image"}}
YAML
since=$(date +%s)
seen "exit code of up" 0 "$(exit_code compose up --detach)"
ready=$(date +%s)
later() { [ "$(date +%s)" -gt "$ready" ]; } # the times are in whole seconds
eventually later
until=$(date +%s)
code=0
compose events --json --since "$since" --until "$until" >printed 2>said || code=$?
seen "events" "create start" "$(python3 -c '
import json
print(*(json.loads(line)["action"] for line in open("printed")))')"
seen "what it says" EOF "$(cat said)"
seen "exit code" 1 "$code"
seen "exit code of docker events" 0 "$(exit_code docker events --since "$since" --until "$until" --filter "label=com.docker.compose.project=$project")"
