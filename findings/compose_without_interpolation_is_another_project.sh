#!/usr/bin/env bash
# A project's name has a variable with a default. `config --no-interpolate` writes the file with its variables, to keep or to compare
# it. The name alone is not as the file has it: it is made of the characters of `${NAME:-shop}` that a name may have. What is
# started from there is another project, with other volumes.
. "$(dirname "$0")/lib/compose.sh"
install_compose
# shellcheck disable=SC2016 # Compose puts them in
echo '
name: ${NAME:-shop}
services: {db: {image: "db:${TAG:-1}", volumes: ["data:/data"]}}
volumes: {data: }
' >compose.yaml
unset NAME TAG
field_of() { python3 -c 'import json, sys; project = json.load(sys.stdin); print('"$1"')'; }
names='project["name"], project["volumes"]["data"]["name"], project["services"]["db"]["image"]'
seen "config" "shop shop_data db:1" "$(compose config --format json | field_of "$names")"
# shellcheck disable=SC2016 # as the file has it
seen "config --no-interpolate" 'name-shop name-shop_data db:${TAG:-1}' "$(compose config --no-interpolate --format json | field_of "$names")"
compose config --no-interpolate >kept.yaml
seen "what was kept, resolved" "name-shop name-shop_data db:1" "$(compose --file kept.yaml config --format json | field_of "$names")"
