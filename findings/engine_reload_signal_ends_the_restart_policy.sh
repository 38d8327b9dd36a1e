#!/usr/bin/env bash
# A service with `restart: always` is asked to read its configuration anew, by `compose kill --signal HUP`. It does and runs on.
# When it ends by itself later, the engine does not start it again: any signal counts as a stop by hand, unless the container has
# a stop signal of its own. `inspect` shows the policy as before.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
cat >compose.yaml <<YAML
name: $project
services:
  left-alone: {image: "$image", restart: always}
  reloaded: {image: "$image", restart: always}
  with-stop-signal: {image: "$image", restart: always, stop_signal: SIGTERM}
YAML
compose up -d >/dev/null 2>&1
state() { field "$1" '{{.State.Status}}, restarts: {{.RestartCount}}'; }
listens() { compose logs "$1" 2>/dev/null | grep -q 'Server is ready'; }
for service in left-alone reloaded with-stop-signal; do eventually listens "$service"; done
compose kill --signal HUP reloaded with-stop-signal >/dev/null 2>&1
seen "after the signal" "running, restarts: 0" "$(state reloaded)"
seen "its policy" always "$(field reloaded '{{.HostConfig.RestartPolicy.Name}}')"
has_ended() { [ "$(state "$1")" != "running, restarts: 0" ]; }
is_restarted() { [ "$(state "$1")" = "running, restarts: 1" ]; }
end_by_itself() { # SERVICE: its own process ends it, as a crash would
    docker exec "$project-$1-1" /nats-server --signal quit=1 >/dev/null 2>&1 || true
    eventually has_ended "$1"
}
# What is restarted was ended last: the engine has had as long for the first one.
for service in reloaded with-stop-signal left-alone; do end_by_itself "$service"; done
for service in with-stop-signal left-alone; do eventually is_restarted "$service"; done
seen "ended, without a signal before" "running, restarts: 1" "$(state left-alone)"
seen "ended, with a stop signal" "running, restarts: 1" "$(state with-stop-signal)"
seen "ended, without" "exited, restarts: 0" "$(state reloaded)"
