#!/usr/bin/env bash
# The canonical JSON of securesystemslib, of which signatures are made, leaves a line break in a text as it is. What is written
# is no JSON then: Python's own reader refuses the record of a message of two lines.
. "$(dirname "$0")/lib/finding.sh"
python_packages securesystemslib==1.6.0
python3 -c '
from securesystemslib.formats import encode_canonical
print(encode_canonical({"message": "build failed\nexit code 1"}), end="")' >record
seen "lines" 2 "$(grep -c '' record)"
seen "read as JSON" "Invalid control character at" "$(python3 -c '
import json
try: print(json.load(open("record")))
except json.JSONDecodeError as error: print(error.msg)')"
