#!/usr/bin/env bash
# A project without a `name` is called after its folder, without the characters that a name may not have: three folders of
# different names are one project then, and each one's `up` replaces the others' containers.
. "$(dirname "$0")/lib/compose.sh"
install_compose
for folder in Shop.V1 shopv1 "shop v1"; do
    mkdir "$work/$folder"
    echo 'services: {a: {image: a}}' >"$work/$folder/compose.yaml"
    name=$(cd "$work/$folder" && compose config --format json | python3 -c 'import json, sys; print(json.load(sys.stdin)["name"])')
    seen "project of the folder '$folder'" shopv1 "$name"
done
