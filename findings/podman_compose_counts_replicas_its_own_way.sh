#!/usr/bin/env bash
# `deploy.replicas` counts for podman-compose only where `mode: replicated`, which is the default, is written beside it: two are
# one, and none, as one switches a service off, is one as well. With `--scale` for one service each other service's `scale` is
# one again.
. "$(dirname "$0")/lib/podman.sh"
install_compose
install_podman_compose
cat >compose.yaml <<'YAML'
name: finding
services:
  two: {image: a, deploy: {replicas: 2}}
  mode: {image: a, deploy: {replicas: 2, mode: replicated}}
  none: {image: a, deploy: {replicas: 0}}
  three: {image: a, scale: 3}
YAML
seen "exit code of Compose's config" 0 "$(exit_code compose config --quiet)"
of() { grep -c -e "--name=finding_$1_" asked || true; }
podman_compose up --detach
seen "replicas: 2" 1 "$(of two)"
seen "replicas: 2 with a mode" 2 "$(of mode)"
seen "replicas: 0" 1 "$(of none)"
seen "scale: 3" 3 "$(of three)"
podman_compose up --detach --scale mode=1
seen "scale: 3 and --scale for another" 1 "$(of three)"
