#!/usr/bin/env bash
# An included file lies in a folder of its own, with its data, its env file and its .env beside it. Compose takes all three from
# there. podman-compose takes them from the folder of the file that includes: another data folder is mounted, another
# password given where one lies there, and the variable of the image's tag is empty, without a word.
. "$(dirname "$0")/lib/podman.sh"
install_compose
install_podman_compose
mkdir db
cat >db/compose.yaml <<'YAML'
services:
  db: {image: "db:${TAG}", env_file: db.env, volumes: ["./data:/data"]}
YAML
echo TAG=2 >db/.env
echo PASSWORD=of-db >db/db.env
echo PASSWORD=of-another >db.env
cat >compose.yaml <<'YAML'
name: finding
include: [db/compose.yaml]
YAML
unset TAG
compose config --format json >resolved.json
of_compose() { python3 -c 'import json; print(json.load(open("resolved.json"))["services"]["db"]'"$1"')'; }
podman_compose up --detach
of_podman_compose() { created_with finding_db_1 "$1"; }
seen "data of Compose" "$work/db/data" "$(of_compose '["volumes"][0]["source"]')"
seen "data of podman-compose" "$work/data:/data" "$(of_podman_compose '[^ ]*:/data')"
seen "password of Compose" of-db "$(of_compose '["environment"]["PASSWORD"]')"
seen "password of podman-compose" PASSWORD=of-another "$(of_podman_compose 'PASSWORD=[^ ]*')"
seen "image of Compose" db:2 "$(of_compose '["image"]')"
seen "image of podman-compose" db: "$(of_podman_compose 'db:[^ ]*$')"
