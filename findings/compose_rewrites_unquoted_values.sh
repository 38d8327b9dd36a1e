#!/usr/bin/env bash
# Values of `environment` that are not quoted are read as YAML's types and written back otherwise: a date gets a time and a
# zone, a release 1.10 becomes 1.1, a mode 017 becomes 15. What a revision is compared with is then not what the file says.
. "$(dirname "$0")/lib/compose.sh"
install_compose
cat >compose.yaml <<'YAML'
name: finding
services:
  a:
    image: a
    environment: {DATE: 2026-01-01, RELEASE: 1.10, MODE: 017, COUNT: 1_000, SIZE: 1e3, FLAG: yes, ADDRESS: 3600:00}
YAML
compose config --format json >resolved.json
value() { python3 -c 'import json, sys; print(json.load(open("resolved.json"))["services"]["a"]["environment"][sys.argv[1]])' "$1"; }
seen "2026-01-01" "2026-01-01 00:00:00 +0000 UTC" "$(value DATE)"
seen "1.10" 1.1 "$(value RELEASE)"
seen "017" 15 "$(value MODE)"
seen "1_000" 1000 "$(value COUNT)"
seen "1e3" 1000 "$(value SIZE)"
seen "yes" yes "$(value FLAG)"
seen "3600:00" 3600:00 "$(value ADDRESS)"
