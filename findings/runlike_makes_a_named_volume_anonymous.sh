#!/usr/bin/env bash
# runlike prints the `docker run` of a container. A named volume becomes an anonymous one in it, and the health check is left
# out: the container made anew has none of the data.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
python_packages runlike==1.5.4
cat >compose.yaml <<YAML
name: $project
services:
  a:
    image: "$image"
    stop_grace_period: 0s
    volumes: [data:/data]
    healthcheck: {test: [CMD, /nats-server, --version], interval: 90s}
volumes: {data: {}}
YAML
compose up -d >/dev/null 2>&1
seen "volume at /data" "${project}_data" "$(field a '{{(index .Mounts 0).Name}}')"
runlike "$project-a-1" >printed
seen "volume in the command" "--volume /data" "$(grep -o -- '--volume[ =][^ ]*' printed)"
seen "mentions of health in it" 0 "$(grep -c -- '--health' printed || true)"
