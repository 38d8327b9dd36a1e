#!/usr/bin/env bash
# An engine before version 26, as Debian 12 has it, knows no `subpath` of a volume, no network without IPv4 and no `annotations`.
# Compose refuses an image as a mount there, which needs a later engine. The other three it asks for, and exits with 0: the
# service has the whole volume, the network has IPv4 addresses, and the annotations are nowhere.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
cat >compose.yaml <<YAML
name: $project
services:
  a:
    image: "$image"
    annotations: {note: a}
    networks: [six]
    volumes: [{type: volume, source: data, target: /data, volume: {subpath: of-a}}]
  image: {image: "$image", profiles: [image], volumes: [{type: image, source: "$image", target: /image}]}
volumes: {data: }
networks: {six: {enable_ipv4: false, enable_ipv6: true, ipam: {config: [{subnet: "fd00:f1d::/64"}]}}}
YAML
seen "an engine before 26" yes "$(docker version --format '{{.Server.Version}}' | awk -F. '{ print ($1 < 26) ? "yes" : "no" }')"
seen "exit code with an image as a mount" 1 "$(exit_code compose create image)"
seen "exit code" 0 "$(exit_code compose create a)"
seen "warnings" 0 "$(grep -ciE 'warn|ignor|support|requires' output || true)"
seen "part of the volume" none "$(docker inspect "$project-a-1" | python3 -c '
import json, sys
print(json.load(sys.stdin)[0]["HostConfig"]["Mounts"][0]["VolumeOptions"].get("Subpath", "none"))')"
seen "annotations" none "$(docker inspect "$project-a-1" | python3 -c '
import json, sys
print(json.load(sys.stdin)[0]["HostConfig"].get("Annotations", "none"))')"
seen "families of the network" "IPv4 IPv6" "$(docker network inspect "${project}_six" | python3 -c '
import ipaddress, json, sys
networks = [ipaddress.ip_network(one["Subnet"]) for one in json.load(sys.stdin)[0]["IPAM"]["Config"]]
print(*(f"IPv{version}" for version in sorted(network.version for network in networks)))')"
