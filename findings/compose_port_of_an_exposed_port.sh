#!/usr/bin/env bash
# A port is exposed and not published. `compose port` prints `:0` for it and exits with 0, so that whoever asks for an address
# gets one that nobody listens on. Only a port that is not exposed either is an error.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
cat >compose.yaml <<YAML
name: $project
services:
  a: {image: "$image", stop_grace_period: 0s, expose: [4222]}
YAML
compose up -d >/dev/null 2>&1
seen "exit code for an exposed port" 0 "$(exit_code compose port a 4222)"
seen "address" :0 "$(cat "$work/output")"
seen "exit code for another port" 1 "$(exit_code compose port a 8222)"
