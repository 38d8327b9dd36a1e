#!/usr/bin/env bash
# `compose.config()` of python-on-whales gives the resolved project as objects. Health check, restart policy and memory limit
# are not in them, and nothing says so: two projects that differ in all three compare as equal.
. "$(dirname "$0")/lib/compose.sh"
install_compose
python_packages python-on-whales==0.81.0
export DOCKER_CONFIG=$work/config
mkdir -p "$DOCKER_CONFIG/cli-plugins"
cp docker-compose "$DOCKER_CONFIG/cli-plugins/"
cat >one.yaml <<'YAML'
name: finding
services: {a: {image: a, ports: ["80:80"], restart: always, mem_limit: 64m, healthcheck: {test: [CMD, check], interval: 5s}}}
YAML
cat >other.yaml <<'YAML'
name: finding
services: {a: {image: a, ports: ["80:80"]}}
YAML
sed 's/80:80/81:80/' other.yaml >port.yaml
same() { # FILE FILE
    python3 -c '
import sys
from python_on_whales import DockerClient
one, other = (DockerClient(compose_files=[name]).compose.config() for name in sys.argv[1:])
print(one == other)' "$@"
}
as_compose() { compose --file "$1" config --format json; }
seen "the same for Compose" no "$([ "$(as_compose one.yaml)" = "$(as_compose other.yaml)" ] || echo no)"
seen "the same for python-on-whales" True "$(same one.yaml other.yaml)"
seen "the same with another port" False "$(same other.yaml port.yaml)"
