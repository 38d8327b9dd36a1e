#!/usr/bin/env bash
# A test restarts a container, and waits for a line of its log. The log has the line from the run before, and testcontainers finds it
# at once: the wait is over although nothing runs.
. "$(dirname "$0")/lib/compose.sh"
make_image
python_packages testcontainers==4.15.0
waited() {
    TESTCONTAINERS_RYUK_DISABLED=true python3 -W ignore - "$image" <<'PYTHON'
import sys
from testcontainers.core.container import DockerContainer
from testcontainers.core.waiting_utils import wait_for_logs

with DockerContainer(sys.argv[1]) as container:
    wait_for_logs(container, "Server is ready", timeout=30)
    container.get_wrapped_container().stop(timeout=0)
    wait_for_logs(container, "Server is ready", timeout=5)
    container.get_wrapped_container().reload()
    print("over, and the container is", container.get_wrapped_container().status)
PYTHON
}
seen "the wait" "over, and the container is exited" "$(waited 2>&1 | tail -n 1)"
