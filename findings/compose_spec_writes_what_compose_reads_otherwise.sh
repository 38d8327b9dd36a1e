#!/usr/bin/env bash
# compose-spec reads a Compose file and writes it again. `format: raw` of an env file is lost, so that Compose puts variables
# into a password, and the quotes of "1_000" and "2026-01-01" are, so that Compose reads a number and a time.
. "$(dirname "$0")/lib/compose.sh"
install_compose
python_packages compose-spec==0.2.1
# shellcheck disable=SC2016 # the password
echo 'PASSWORD=pa$word' >a.env
cat >before.yaml <<'YAML'
name: finding
services:
  a:
    image: a
    env_file: [{path: a.env, format: raw}]
    environment: {LIMIT: "1_000", SINCE: "2026-01-01"}
YAML
python3 -c 'from compose_spec import PyCompose; print(PyCompose.from_yaml(open("before.yaml").read()).to_yaml())' >after.yaml
environment() { # FILE
    compose --file "$1" config --format json 2>/dev/null |
        python3 -c 'import json, sys; print(*json.load(sys.stdin)["services"]["a"]["environment"].values(), sep="; ")'
}
# shellcheck disable=SC2016 # Compose writes a dollar as two
seen "before" '1_000; pa$$word; 2026-01-01' "$(environment before.yaml)"
seen "after" '1000; pa; 2026-01-01 00:00:00 +0000 UTC' "$(environment after.yaml)"
