# shellcheck shell=bash
# What every finding does alike: a temp folder that goes away, packages of a fixed version, and one comparison.
set -euo pipefail
export LC_ALL=C PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
PYTHONPATH=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) # for `import answering`
export PYTHONPATH

work=$(mktemp -d) # where a finding runs
cd "$work"
at_end=(rm -rf "$work")
trap 'clean_up' EXIT

clean_up() {
    if declare -F compose_down >/dev/null; then compose_down; fi
    "${at_end[@]}"
}

# A virtual environment of Python with packages of fixed versions. They are on the PATH then.
python_packages() { # NAME==VERSION…
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" --quiet install "$@"
    PATH=$work/venv/bin:$PATH
    printf 'version: %s\n' "$@"
}

# Prints what was seen beside what this finding says, and fails where they differ.
seen() { # WHAT EXPECTED ACTUAL
    printf 'seen: %s: %s\n' "$1" "$3"
    [ "$2" = "$3" ] || { printf 'CHANGED: %s: this finding says: %s\n' "$1" "$2" >&2; exit 1; }
}
