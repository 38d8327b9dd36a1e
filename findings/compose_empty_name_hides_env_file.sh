#!/usr/bin/env bash
# `environment: {A: }` takes A from the caller. Where the caller has none, the value that `env_file` gives is dropped all the
# same: the service has no A, without a warning.
. "$(dirname "$0")/lib/compose.sh"
install_compose
echo A=from-the-file >a.env
cat >compose.yaml <<'YAML'
name: finding
services:
  with: {image: a, env_file: a.env, environment: {A: }}
  without: {image: a, env_file: a.env}
YAML
unset A
compose config --format json >resolved.json 2>warnings
value() { python3 -c 'import json, sys; print(json.load(open("resolved.json"))["services"][sys.argv[1]]["environment"]["A"])' "$1"; }
seen "env_file alone" from-the-file "$(value without)"
seen "env_file, and the name alone" None "$(value with)"
seen "bytes of warnings" 0 "$(wc -c <warnings)"
