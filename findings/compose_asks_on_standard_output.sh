#!/usr/bin/env bash
# A volume's label is edited. `up -d` asks whether to lose the data, on standard output, without a line end, also where
# standard input is no terminal. Without an answer it goes on and exits with 0, and it asks again at each `up`.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
file() { # LABEL
    cat <<YAML
name: $project
services:
  a: {image: "$image", stop_grace_period: 0s, volumes: ["data:/data"]}
volumes: {data: {labels: {edition: "$1"}}}
YAML
}
file first >compose.yaml
compose up -d >/dev/null 2>&1
file second >compose.yaml
for run in first second; do
    code=0
    compose up -d >answer 2>/dev/null || code=$?
    seen "exit code of the $run up" 0 "$code"
    seen "question of the $run up" yes "$(grep -qF "Recreate (data will be lost)?" answer && echo yes)"
    seen "line ends in it" 0 "$(wc -l <answer)"
done
seen "label of the volume" first "$(docker volume inspect --format '{{.Labels.edition}}' "${project}_data")"
