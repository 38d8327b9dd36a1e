#!/usr/bin/env bash
# One label of a network is edited, and an environment value of one of the two services on it. One `up` of both makes the
# network anew. The service that it recreates bears its name there; the one that it keeps is put on it without: no other
# container finds it by the name of its service any more. Nothing is reported, and the next `up` changes nothing.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
file() { # LABEL VALUE
    cat <<YAML
name: $project
services:
  edited: {image: "$image", stop_grace_period: 0s, environment: {V: "$2"}}
  kept: {image: "$image", stop_grace_period: 0s}
networks: {default: {labels: {edition: "$1"}}}
YAML
}
bears_its_name() { # SERVICE
    case " $(field "$1" '{{range .NetworkSettings.Networks}}{{range .Aliases}}{{.}} {{end}}{{end}}') " in
        *" $1 "*) echo yes ;;
        *) echo no ;;
    esac
}
file first one >compose.yaml
compose up -d >/dev/null 2>&1
seen "kept bears the name of its service" yes "$(bears_its_name kept)"
file second two >compose.yaml
seen "exit code of up" 0 "$(exit_code compose up -d --no-deps edited kept)"
seen "edited bears the name of its service" yes "$(bears_its_name edited)"
seen "kept bears the name of its service" no "$(bears_its_name kept)"
seen "exit code of the next up" 0 "$(exit_code compose up -d)"
seen "kept bears the name of its service after it" no "$(bears_its_name kept)"
