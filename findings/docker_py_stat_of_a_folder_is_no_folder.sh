#!/usr/bin/env bash
# The engine says of a path in a container what it is, with a field `mode`. The library docker hands that number on. It is a mode
# as Go has it, where the kind is in other bits than in `stat`: Python's own `stat.S_ISDIR` is false for a folder, and
# `S_ISREG` for a file. Only the permissions agree.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
python_packages docker==7.2.0
cat >compose.yaml <<YAML
name: $project
services:
  a: {image: "$image", stop_grace_period: 0s}
YAML
compose up -d >/dev/null 2>&1
kinds() {
    python3 - "$project-a-1" "$1" <<'PYTHON'
import docker, stat, sys
_, found = docker.from_env().containers.get(sys.argv[1]).get_archive(sys.argv[2])
mode = found["mode"]
print(f"{mode:#o} folder: {stat.S_ISDIR(mode)} file: {stat.S_ISREG(mode)} permissions: {stat.S_IMODE(mode):o}")
PYTHON
}
seen "/etc" "0o20000000755 folder: False file: False permissions: 755" "$(kinds /etc)"
seen "/nats-server" "0o755 folder: False file: False permissions: 755" "$(kinds /nats-server)"
