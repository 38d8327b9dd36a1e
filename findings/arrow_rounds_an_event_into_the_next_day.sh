#!/usr/bin/env bash
# The engine writes its times with nine digits after the point. Libraries that hold six drop the rest; arrow rounds. The last event of
# a day is one of the next day for it, and one read by arrow seems to come after the same one read by another library.
. "$(dirname "$0")/lib/finding.sh"
python_packages arrow==1.4.0 python-dateutil==4.0.0 pendulum==3.3.0 whenever==0.11.0
read_by() { python3 -c 'import sys; exec(sys.argv[1]); print(read("2026-11-29T23:59:59.999999999Z"))' "$1"; }
seen "dateutil" "2026-11-29 23:59:59.999999+00:00" "$(read_by 'from dateutil.parser import isoparse as read')"
seen "pendulum" "2026-11-29 23:59:59.999999+00:00" "$(read_by 'from pendulum import parse as read')"
seen "whenever" "2026-11-29T23:59:59.999999999Z" "$(read_by 'from whenever import Instant as read')"
seen "arrow" "2026-11-30T00:00:00+00:00" "$(read_by 'from arrow import get as read')"
