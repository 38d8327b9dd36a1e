#!/usr/bin/env bash
# A program gives ten thousand records an identifier of version 7 at once. uuid6 keeps them in order by a millisecond for each: the
# last is dated ten seconds after the first, in the future, and what another program records meanwhile sorts before it.
# uuid_utils keeps them in order within the millisecond.
. "$(dirname "$0")/lib/finding.sh"
python_packages uuid6==2025.0.1 uuid_utils==1.2.0
cat >ahead.py <<'PYTHON'
import importlib, sys, time, uuid

make = importlib.import_module(sys.argv[1]).uuid7
start = time.time()
identifiers = [str(make()) for _ in range(10_000)]
end = time.time()
assert identifiers == sorted(identifiers)
dated = (uuid.UUID(identifiers[-1]).int >> 80) / 1000
print("within the time that it took" if start - 0.01 <= dated <= end + 0.01 else "ten seconds after the start" if dated >= start + 9.9 else dated - end)
PYTHON
seen "uuid_utils" "within the time that it took" "$(python3 ahead.py uuid_utils)"
seen "uuid6" "ten seconds after the start" "$(python3 ahead.py uuid6)"
