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
end_by_itself() { # SERVICE: its own process ends it, as a crash would
    docker exec "$project-$1-1" /nats-server --signal quit=1 >/dev/null 2>&1 || true
    eventually has_ended "$1"
    sleep 1 # longer than the engine waits before a first restart
    state "$1"
}
seen "ended, without a signal before" "running, restarts: 1" "$(end_by_itself left-alone)"
seen "ended, with a stop signal" "running, restarts: 1" "$(end_by_itself with-stop-signal)"
seen "ended, without" "exited, restarts: 0" "$(end_by_itself reloaded)"
