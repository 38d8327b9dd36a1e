#!/usr/bin/env bash
# A service has a config, a restart policy under `deploy` and an address under `extra_hosts`, as a mapping. podman-compose creates
# it without the config's file and without a policy, and passes the name without its address. It says nothing and exits with 0.
. "$(dirname "$0")/lib/podman.sh"
install_compose
install_podman_compose
cat >compose.yaml <<'YAML'
name: finding
services:
  a:
    image: a
    configs: [{source: c, target: /etc/a.conf}]
    deploy: {restart_policy: {condition: on-failure}}
    extra_hosts: {db: 10.0.0.1}
configs: {c: {content: "port = 80"}}
YAML
seen "exit code of Compose's config" 0 "$(exit_code compose config --quiet)"
seen "exit code of podman-compose" 0 "$(exit_code podman_compose up --detach)"
seen "what it says" "" "$(grep -iE 'warn|unsupported|ignor' said || true)"
seen "of config or policy" 0 "$(grep -cE 'a\.conf|restart' asked || true)"
seen "host" "--add-host db a" "$(created_with finding_a_1 '--add-host .*')"
