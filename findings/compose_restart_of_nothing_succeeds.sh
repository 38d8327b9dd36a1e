#!/usr/bin/env bash
# A service has no container, as after `rm`. `restart`, `stop`, `pause` and `kill` of it exit with 0 and do nothing; only `start`
# fails. A repair by `restart` that looks at the exit code alone has repaired nothing.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
cat >compose.yaml <<YAML
name: $project
services:
  a: {image: "$image", stop_grace_period: 0s}
YAML
for verb in restart stop pause kill; do
    seen "exit code of $verb" 0 "$(exit_code compose "$verb" a)"
done
seen "exit code of start" 1 "$(exit_code compose start a)"
seen "containers" 0 "$(compose ps --all --quiet | wc -l)"
