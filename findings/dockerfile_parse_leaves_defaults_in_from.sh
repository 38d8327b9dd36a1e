#!/usr/bin/env bash
# `${NAME:-default}` in FROM is the Dockerfile reference's own form. dockerfile-parse replaces NAME and keeps the rest:
# the base image's reference ends in `:-11}`.
. "$(dirname "$0")/lib/finding.sh"
python_packages dockerfile-parse==2.0.1
cat >Dockerfile <<'DOCKERFILE'
ARG RELEASE=12
FROM debian:${RELEASE:-11}
DOCKERFILE
base=$(python3 -c 'from dockerfile_parse import DockerfileParser; print(DockerfileParser(path=".").baseimage)')
seen "base image" "debian:12:-11}" "$base"
