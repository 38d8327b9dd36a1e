# shellcheck shell=bash
# podman-compose of a fixed version. In place of podman stands a script that writes down what it is to create and start: so the
# arguments of each container are seen, and no engine is needed.
# shellcheck source=compose.sh
. "$(dirname "${BASH_SOURCE[0]}")/compose.sh"

install_podman_compose() {
    python_packages podman-compose==1.6.0 PyYAML==6.0.4 python-dotenv==1.2.4
    cat >podman <<'PODMAN'
#!/bin/sh
case $1 in
*version) echo podman version 5.2.0 ;;
ps) echo '[]' ;;
create | start) echo "$*" >>asked ;;
esac
PODMAN
    chmod +x podman
}

podman_compose() { # COMMAND ARGUMENT…
    rm -f asked
    podman-compose --podman-path "$work/podman" "$@" >said 2>&1
}

# Those arguments of one container that fit a pattern.
created_with() { # CONTAINER PATTERN
    grep -e "--name=$1 " asked | grep -oE -e "$2"
}
