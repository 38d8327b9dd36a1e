#!/usr/bin/env bash
# An empty `command` (`[]` or `""`) overrides the image's command to be empty, says the reference of Compose. The container gets the
# image's all the same: the two are as good as no `command`. With an empty `entrypoint` beside it the image's arguments are run
# as a program.
. "$(dirname "$0")/lib/compose.sh"
install_compose
image_changes=(--change 'ENTRYPOINT ["/nats-server"]' --change 'CMD ["--port", "4333"]')
make_image
cat >compose.yaml <<YAML
name: $project
services:
  none: {image: "$image"}
  list: {image: "$image", command: []}
  text: {image: "$image", command: ""}
  both: {image: "$image", entrypoint: [], command: []}
YAML
seen "exit code" 0 "$(exit_code compose create)"
run() { field "$1" '{{.Path}} {{join .Args " "}}'; }
seen "no command" "/nats-server --port 4333" "$(run none)"
seen "command: []" "/nats-server --port 4333" "$(run list)"
seen 'command: ""' "/nats-server --port 4333" "$(run text)"
seen "entrypoint: [] and command: []" "--port 4333" "$(run both)"
