#!/usr/bin/env bash
# Two folders declare projects of one name. `up -d` in the second recreates the first one's container with the second
# one's file and the first one's volume, without a word of warning, and exits with 0.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
for folder in first second; do
    mkdir "$work/$folder"
    cat >"$work/$folder/compose.yaml" <<YAML
name: $project
services:
  web: {image: "$image", stop_grace_period: 0s, environment: {OWNER: $folder}, volumes: ["data:/data"]}
volumes: {data: {}}
YAML
done
cd "$work/first" || exit
compose up -d >/dev/null 2>&1
folder() { basename "$(field web '{{index .Config.Labels "com.docker.compose.project.working_dir"}}')"; }
volume=$(field web '{{range .Mounts}}{{.Name}}{{end}}')
seen "folder of the container" first "$(folder)"
cd "$work/second" || exit
seen "exit code of the second folder's up" 0 "$(exit_code compose up -d)"
seen "warnings" 0 "$(grep -ci warn "$work/output" || true)"
seen "folder of the container" second "$(folder)"
seen "the same volume" "$volume" "$(field web '{{range .Mounts}}{{.Name}}{{end}}')"
