#!/usr/bin/env bash
# Compose finds the project's file also from a folder within it. Where the program that lies there has a .env of its own, Compose reads
# it as well as the project's, and it wins: `up` in that folder is `up` of another image. From outside, by `--file`, the .env of
# the folder that Compose is called in does not count.
. "$(dirname "$0")/lib/compose.sh"
install_compose
mkdir -p project/web
cat >project/compose.yaml <<'YAML'
name: finding
services:
  db: {image: "db:${TAG}-${EDITION}"}
YAML
printf 'TAG=1\nEDITION=small\n' >project/.env
echo TAG=2 >project/web/.env
echo TAG=3 >.env
unset TAG EDITION
image() { # FOLDER ARGUMENT…
    (cd "$1" && compose "${@:2}" config --images)
}
seen "in the project" db:1-small "$(image project)"
seen "in a folder within" db:2-small "$(image project/web)"
seen "in a folder within, by --file" db:1-small "$(image project/web --file ../compose.yaml)"
seen "from outside, by --file" db:1-small "$(image . --file project/compose.yaml)"
