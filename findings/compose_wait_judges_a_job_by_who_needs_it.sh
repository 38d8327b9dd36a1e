#!/usr/bin/env bash
# `up -d --wait` with a job that ends with 0: where another service waits for the job to complete, the command succeeds; where
# none does, it fails for the very same end of the very same job.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
file() { # WHAT A DEPENDS ON
    cat <<YAML
name: $project
services:
  job: {image: "$image", command: ["/nats-server", "--version"]}
  a: {image: "$image", stop_grace_period: 0s, depends_on: {$1}}
YAML
}
file 'job: {condition: service_completed_successfully}' >compose.yaml
seen "exit code where a waits for the job" 0 "$(exit_code compose up -d --wait)"
compose down --timeout 0 >/dev/null 2>&1
file '' >compose.yaml
seen "exit code where nobody does" 1 "$(exit_code compose up -d --wait)"
seen "what it says" "container $project-job-1 exited (0)" "$(grep -x 'container .* exited (0)' "$work/output")"
seen "the job's exit code" 0 "$(field job '{{.State.ExitCode}}')"
