#!/usr/bin/env bash
# `develop` is for `compose watch`, and `attach` for what a terminal shows: neither is part of a container. An edit of either
# changes the config hash, and `up -d` replaces a container that would be made just the same.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
file() { # MORE FIELDS
    cat <<YAML
name: $project
services:
  a: {image: "$image", stop_grace_period: 0s$1}
YAML
}
made() { # The container as it was made, without what differs for each one.
    docker inspect "$project-a-1" | python3 -c '
import json, sys
container = json.load(sys.stdin)[0]
config = {**container["Config"], "Hostname": ""}
config["Labels"] = {key: value for key, value in config["Labels"].items() if key not in (
    "com.docker.compose.config-hash", "com.docker.compose.replace")}
print(json.dumps([config, container["HostConfig"]], sort_keys=True))'
}
file '' >compose.yaml
compose up -d >/dev/null 2>&1
first=$(made)
for edit in ', develop: {watch: [{path: ., action: rebuild}]}' ', attach: false'; do
    id=$(field a '{{.Id}}')
    file "$edit" >compose.yaml
    seen "exit code of up" 0 "$(exit_code compose up -d)"
    seen "another container for '${edit#, }'" yes "$([ "$id" = "$(field a '{{.Id}}')" ] || echo yes)"
    seen "made otherwise" no "$([ "$first" = "$(made)" ] && echo no)"
done
