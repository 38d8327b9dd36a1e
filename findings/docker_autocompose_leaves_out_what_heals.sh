#!/usr/bin/env bash
# docker-autocompose writes a Compose file of a running container. The health check, the memory limit, the number of restarts
# and the stop signal are not in it, without a word; and a `$` is escaped in `environment` but not in `command`, where Compose
# then puts a variable in.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
python_packages docker-autocompose==1.3.0
cat >compose.yaml <<YAML
name: $project
services:
  a:
    image: "$image"
    command: ["/nats-server", "--name", "for \$\$COST"]
    environment: {NOTE: "for \$\$COST"}
    mem_limit: 64m
    restart: on-failure:3
    stop_signal: SIGINT
    stop_grace_period: 0s
    healthcheck: {test: [CMD, /nats-server, --version], interval: 90s}
YAML
compose up -d >/dev/null 2>&1
unset COST
autocompose "$project-a-1" >again.yaml
value() { # FIELD, of the one service
    compose --file "$1" config --format json 2>/dev/null | python3 -c '
import json, sys
(service,) = json.load(sys.stdin)["services"].values()
value = service.get(sys.argv[1], "none")
print(value["NOTE"] if sys.argv[1] == "environment" else value[-1] if isinstance(value, list) else value)' "$2"
}
for field in healthcheck mem_limit stop_signal; do
    seen "$field, declared" yes "$([ "$(value compose.yaml "$field")" = none ] || echo yes)"
    seen "$field, written" none "$(value again.yaml "$field")"
done
seen "restart, declared" on-failure:3 "$(value compose.yaml restart)"
seen "restart, written" on-failure "$(value again.yaml restart)"
# shellcheck disable=SC2016 # Compose writes a dollar as two
{
    seen "environment, written" 'for $$COST' "$(value again.yaml environment)"
    seen "command, declared" 'for $$COST' "$(value compose.yaml command)"
    seen "command, written" 'for ' "$(value again.yaml command)"
}
