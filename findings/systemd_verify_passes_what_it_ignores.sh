#!/usr/bin/env bash
# `systemd-analyze verify` of a unit whose `Restart=` is misspelt and whose `WatchdogSec=` stands in the wrong section prints that
# it ignores both, and exits with 0: a check in CI passes a service that nobody starts again. A time of `1h30` is an hour and
# thirty seconds.
. "$(dirname "$0")/lib/finding.sh"
printf 'version: %s\n' "$(systemd-analyze --version | head -n 1)"
cat >finding.service <<'UNIT'
[Unit]
Description=A service
WatchdogSec=60

[Service]
ExecStart=/bin/sleep 1
Restart=allways
UNIT
code=0
systemd-analyze verify ./finding.service >output 2>&1 || code=$?
seen "exit code" 0 "$code"
seen "lines that it ignores" 2 "$(grep -c 'ignoring' output)"
seen "1h30" "1h 30s" "$(systemd-analyze timespan 1h30 | sed -n 's/.*Human: //p')"
