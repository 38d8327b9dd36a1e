#!/usr/bin/env bash
# The same folder and .dockerignore, built by the docker CLI and by the Python library docker: `[^n]*` leaves out the names that
# do not begin with n for the one, and the names that do for the other. The two images hold different files.
. "$(dirname "$0")/lib/compose.sh"
docker version --format 'version: engine {{.Server.Version}}'
python_packages docker==7.2.0
mkdir context
cd context || exit
touch notes.txt other.txt
printf 'FROM scratch\nCOPY . /\n' >Dockerfile
content() { # of the image just built
    local id
    id=$(docker create "$image" none)
    docker export "$id" | tar -t | grep 'txt$' | sort | tr '\n' ' '
    docker rm "$id" >/dev/null
    docker image rm "$image" >/dev/null
}
by_cli() { DOCKER_BUILDKIT=0 docker build --quiet --tag "$image" . >/dev/null 2>&1 && content; }
by_library() { python3 -c 'import docker, sys; docker.from_env().images.build(path=".", tag=sys.argv[1])' "$image" && content; }
echo '[^n]*.txt' >.dockerignore
seen "files, by the CLI" "notes.txt " "$(by_cli)"
seen "files, by docker-py" "other.txt " "$(by_library)"
