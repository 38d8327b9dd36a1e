# shellcheck shell=bash
# A repository of git in the temporary folder, which asks no configuration of this host.
# shellcheck source=finding.sh
. "$(dirname "${BASH_SOURCE[0]}")/finding.sh"

export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1

new_repository() { # FOLDER ARGUMENT…, of `git init`
    printf 'version: %s\n' "$(git --version)"
    git init --quiet --initial-branch main "${@:2}" "$1"
    git -C "$1" config user.name finding
    git -C "$1" config user.email finding@localhost
}

commit() { # FOLDER, all that is in it
    git -C "$1" add --all
    git -C "$1" commit --quiet --allow-empty --message "A commit"
}
