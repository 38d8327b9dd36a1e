#!/usr/bin/env bash
# A healthy container is paused: it is `unhealthy` now, without a failed check and without an event. It stays so after the
# unpause, until the next check. A healer that looks in between restarts what works.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
cat >compose.yaml <<YAML
name: $project
services:
  a: {image: "$image", stop_grace_period: 0s, healthcheck: {test: [CMD, /nats-server, --version], interval: 20s}}
YAML
compose up -d --wait >/dev/null 2>&1
health() { field a '{{.State.Health.Status}}, failed checks: {{.State.Health.FailingStreak}}'; }
seen "running" "healthy, failed checks: 0" "$(health)"
since=$(docker inspect --format '{{(index .State.Health.Log 0).End.Unix}}' "$project-a-1")
docker pause "$project-a-1" >/dev/null
seen "paused" "unhealthy, failed checks: 0" "$(health)"
docker unpause "$project-a-1" >/dev/null
seen "running again" "unhealthy, failed checks: 0" "$(health)"
events=$(docker events --since "$((since + 1))" --until "$(date +%s)" --filter "container=$project-a-1" --format '{{.Action}}')
seen "events of health since" 0 "$(grep -c health_status <<<"$events" || true)"
