#!/usr/bin/env bash
# Identifiers that begin with the time are said to sort by it. Those of one millisecond do so by chance only in ulid-transform,
# uuid-extension and uuid7gen: of a busy program's records half come before the one that was made before them. python-ulid and
# uuid_utils keep the order.
. "$(dirname "$0")/lib/finding.sh"
python_packages ulid-transform==2.2.9 uuid-extension==0.2.0 uuid7gen==0.1.0 python-ulid==4.1.0 uuid_utils==1.2.0
order() {
    python3 -c '
import sys
exec(sys.argv[1])
identifiers = [str(make()) for _ in range(5000)]
print("in order" if identifiers == sorted(identifiers) else "not in order")' "$1"
}
seen "python-ulid" "in order" "$(order 'from ulid import ULID as make')"
seen "uuid_utils" "in order" "$(order 'from uuid_utils import uuid7 as make')"
seen "ulid-transform" "not in order" "$(order 'from ulid_transform import ulid_now as make')"
seen "uuid-extension" "not in order" "$(order 'from uuid_extension import uuid7 as make')"
seen "uuid7gen" "not in order" "$(order 'from uuid7gen import uuid7 as make')"
