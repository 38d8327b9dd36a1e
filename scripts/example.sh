# A copy of examples/ai-backoffice in a folder and under a Compose project name of its own, which leaves nothing behind, also when
# it is interrupted. scripts/demo and scripts/bench source it.
# shellcheck shell=bash
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
me=$(basename "$0")
project=undrift-$me-$$
label=label=com.docker.compose.project=$project
manifest=manifests/ai-backoffice.yaml
modules=(api/src/modules/workflow dashboard/src/modules/workflow)
folder=
exec 3>&1 4>&2 # what is said at the end must not follow the redirection that a signal arrived in

fail() { printf '%s: FAILED: %s\n' "$me" "$*" >&2; exit 1; }

# ---- running ------------------------------------------------------------------------------------------------------------

# Runs a command as a child that is waited for: bash handles a signal at once then, and not when the command ends.
child() {
    "$@" </dev/null &
    wait $!
}

# Runs a command whose output is of interest only where it fails.
quietly() {
    local code=0
    child "$@" >"$folder/log" 2>&1 || code=$?
    [ "$code" -eq 0 ] || { tail -n 30 "$folder/log" >&2; fail "$*: exit code $code"; }
}

# ---- leaving nothing behind ---------------------------------------------------------------------------------------------

# All that carries the project's label: containers, networks, volumes and images. Compose labels what it builds, so the
# images that a newer build or a tag of undrift's own hides are among them, and nobody else's are. Fails where the engine does.
left_over() {
    docker ps -aq --filter "$label" | sed 's/^/container /' &&
    docker network ls -q --filter "$label" | sed 's/^/network /' &&
    docker volume ls -q --filter "$label" | sed 's/^/volume /' &&
    docker image ls -aq --filter "$label" | sort -u | sed 's/^/image /'
}

# A command that was ended in the middle may bring one thing more to life: looks until there is nothing, twice in a row.
remove_all() {
    local quiet=0 rest kind id tries
    for tries in $(seq 20); do
        [ "$tries" -eq 1 ] || sleep 0.2
        rest=$(left_over 2>/dev/null) || continue
        if [ -z "$rest" ]; then
            quiet=$((quiet + 1))
            [ "$quiet" -lt 2 ] || return 0
            continue
        fi
        quiet=0
        while read -r kind id; do
            case $kind in
                container) docker rm -fv "$id" ;;
                network) docker network rm "$id" ;;
                volume) docker volume rm "$id" ;;
                image) docker image rm -f "$id" ;;
            esac >/dev/null 2>&1 || true
        done <<<"$rest"
    done
    return 1
}

end_children() {
    local tries
    [ -n "$(jobs -pr)" ] || return 0
    # shellcheck disable=SC2046
    kill -TERM $(jobs -pr) 2>/dev/null || true
    for tries in $(seq 100); do
        [ -n "$(jobs -pr)" ] || return 0
        sleep 0.2
    done
    # shellcheck disable=SC2046
    kill -KILL $(jobs -pr) 2>/dev/null || true
}

clean_up() {
    local code=$?
    trap '' INT TERM HUP PIPE
    exec 1>&3 2>&4
    set +e
    end_children
    if remove_all; then
        echo "$me: removed its containers, networks, images and files; left the base image undrift-example-base"
    else
        echo "$me: could not remove all of project $project:" >&2
        left_over >&2
        code=1
    fi
    cd /
    [ -z "$folder" ] || rm -rf "$folder"
    exit "$code"
}

# ---- the example --------------------------------------------------------------------------------------------------------

# Copies the example into a new folder and goes there: `undrift` is on the PATH then, and has its state there.
copy_example() { # DEBUG-OR-RELEASE
    local variable undrift
    undrift=${UNDRIFT:-${CARGO_TARGET_DIR:-$repo/target}/$1/undrift}
    undrift=$(realpath -m "$undrift")
    [ -x "$undrift" ] || fail "undrift is not built: run make $me, which builds it"
    for variable in $(compgen -e); do
        case $variable in COMPOSE_* | UNDRIFT_* | BUILDX_BUILDER) unset "$variable" ;; esac
    done
    trap clean_up EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 141' PIPE
    trap 'exit 143' TERM
    folder=$(mktemp -d "${TMPDIR:-/tmp}/$project.XXXXXX")
    mkdir "$folder/bin" "$folder/examples" "$folder/manifests"
    ln -s "$undrift" "$folder/bin/undrift"
    cp -R "$repo/examples/ai-backoffice" "$folder/examples/"
    cp "$repo/$manifest" "$folder/manifests/"
    export PATH=$folder/bin:$PATH UNDRIFT_STATE_DIR=$folder/state XDG_CACHE_HOME=$folder/cache BACKOFFICE_PASSWORD=demo
    # A builder in a container of its own would not see the base image, which only this engine has.
    BUILDX_BUILDER=$(docker context show)
    export BUILDX_BUILDER
    printf 'COMPOSE_PROJECT_NAME=%s\n' "$project" >"$folder/examples/ai-backoffice/.env"
    commit_example "the example"
    cd "$folder"
}

# Commits all of the copy: it is a git work tree of its own, for undrift compares what runs with the commit that it was built from.
commit_example() { # MESSAGE
    local git=(git -C "$folder/examples/ai-backoffice" -c user.name=example -c user.email=example@localhost)
    [ -e "$folder/examples/ai-backoffice/.git" ] || "${git[@]}" init --quiet
    "${git[@]}" add --all
    "${git[@]}" commit --quiet --message "$1"
}

# The second one: a module is edited and committed, and no image is built.
edit_example() {
    printf '{ "name": "workflow", "version": 2 }\n' >"$folder/examples/ai-backoffice/api/src/modules/workflow/module.json"
    commit_example "another version of the module workflow"
}

# The incident: images run that were built without the module, and the module is in the source.
break_example() {
    local module
    cd "$folder/examples/ai-backoffice"
    mkdir "$folder/later"
    for module in "${modules[@]}"; do mv "$module" "$folder/later/${module%%/*}"; done
    quietly docker compose build
    quietly docker compose up -d
    for module in "${modules[@]}"; do mv "$folder/later/${module%%/*}" "$module"; done
    rmdir "$folder/later"
    cd "$folder"
}
