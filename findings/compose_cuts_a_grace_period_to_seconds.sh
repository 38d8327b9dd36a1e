#!/usr/bin/env bash
# `stop_grace_period: 900ms` is valid, and `config` shows it. The container has the whole seconds of it, which are none: it is killed
# at once, as with `0s`. 1900ms are one second.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
cat >compose.yaml <<YAML
name: $project
services:
  below: {image: "$image", stop_grace_period: 900ms}
  above: {image: "$image", stop_grace_period: 1900ms}
YAML
seen "config" "900ms 1.9s" "$(compose config --format json | python3 -c '
import json, sys
services = json.load(sys.stdin)["services"]
print(*(services[name]["stop_grace_period"] for name in ("below", "above")))')"
seen "exit code" 0 "$(exit_code compose create)"
seen "seconds of 900ms" 0 "$(field below '{{.Config.StopTimeout}}')"
seen "seconds of 1900ms" 1 "$(field above '{{.Config.StopTimeout}}')"
