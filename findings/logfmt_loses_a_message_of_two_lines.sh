#!/usr/bin/env bash
# Compose and the engine write their logs in logfmt, where a line break or a backslash within a message is escaped. The package
# logfmt knows `\"` only: of such a message it makes True, and the rest of the line is lost with it. logfmtkv reads both.
. "$(dirname "$0")/lib/finding.sh"
python_packages logfmt==0.4 logfmtkv==0.2.1
cat >log <<'LOG'
level=error msg="container web: exit status 1\nno such file" service=web
LOG
by_logfmt() { python3 -c 'import logfmt; print(*logfmt.parse(open("log")))'; }
seen "logfmtkv" "{'level': 'error', 'msg': 'container web: exit status 1\nno such file', 'service': 'web'}" "$(python3 -c '
import logfmtkv
print(logfmtkv.parse(open("log").read().strip()))')"
seen "logfmt" "{'level': 'error', 'msg': True}" "$(by_logfmt)"
sed -i 's/\\n/ /' log
seen "logfmt, one line" "{'level': 'error', 'msg': 'container web: exit status 1 no such file', 'service': 'web'}" "$(by_logfmt)"
