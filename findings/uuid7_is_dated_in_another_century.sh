#!/usr/bin/env bash
# The package uuid7 writes the layout of an early draft, and marks it as version 7. Others read it by the standard's layout (RFC
# 9562): an identifier made in 2026 is of the year 2203 for them, and sorts behind those that any other library makes until then.
. "$(dirname "$0")/lib/finding.sh"
python_packages uuid7==0.1.0 uuid6==2025.0.1 uuid_utils==1.2.0
cat >year.py <<'PYTHON'
import datetime, sys, uuid
import uuid6, uuid_extensions, uuid_utils

def milliseconds(identifier): # its first 48 bits, says RFC 9562, 5.7
    return uuid.UUID(str(identifier)).int >> 80

makers = {"uuid7": uuid_extensions.uuid7, "uuid6": uuid6.uuid7, "uuid_utils": uuid_utils.uuid7}
identifier = makers[sys.argv[1]]()
version = uuid.UUID(str(identifier)).version
years = (datetime.datetime.fromtimestamp(milliseconds(identifier) / 1000) - datetime.datetime.now()).days // 365
print("version", version, "of now" if years in (-1, 0) else "in more than a century" if years > 100 else years)
PYTHON
seen "uuid_utils" "version 7 of now" "$(python3 year.py uuid_utils)"
seen "uuid6" "version 7 of now" "$(python3 year.py uuid6)"
seen "uuid7" "version 7 in more than a century" "$(python3 year.py uuid7)"
seen "a later one sorts behind one of uuid7" False "$(python3 -c '
import uuid_extensions, uuid_utils
first = str(uuid_extensions.uuid7())
print(str(uuid_utils.uuid7()) > first)')"
