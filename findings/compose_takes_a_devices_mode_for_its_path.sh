#!/usr/bin/env bash
# `--device /dev/null:r` of the docker CLI is a device that may be read only. Compose takes the same text under `devices` for the
# device with all rights, under the path `r` in the container; and so does the Python library docker. The program finds no
# device where it looks, and nothing says so.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
python_packages docker==7.2.0
cat >compose.yaml <<YAML
name: $project
services: {a: {image: "$image", devices: ["/dev/null:r"]}}
YAML
devices() { docker inspect --format '{{range .HostConfig.Devices}}{{.PathInContainer}} {{.CgroupPermissions}}{{end}}' "$1"; }
by_cli=$(docker create --label "com.docker.compose.project=$project" --device /dev/null:r "$image")
seen "the docker CLI" "/dev/null r" "$(devices "$by_cli")"
seen "exit code of Compose" 0 "$(exit_code compose create)"
seen "Compose" "r rwm" "$(devices "$project-a-1")"
seen "the Python library docker" "r rwm" "$(python3 -c '
from docker.utils import parse_devices
device = parse_devices(["/dev/null:r"])[0]
print(device["PathInContainer"], device["CgroupPermissions"])')"
