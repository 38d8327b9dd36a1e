#!/usr/bin/env bash
# requests with `max_retries=1`, which is never for requests that have reached the server, say its docs, and a timeout of one
# second. A 503 with `Retry-After: 3` is asked again after three seconds, inside the one call: late, and nobody sees the 503.
. "$(dirname "$0")/lib/finding.sh"
python_packages requests==2.34.2 urllib3==2.8.0
cat >ask.py <<'PYTHON'
import sys, time
import requests
from answering import serve

answers = iter([(503, {"Retry-After": "3"} if sys.argv[1] == "with" else {}), (200, {})])
session = requests.Session()
session.mount("http://", requests.adapters.HTTPAdapter(max_retries=1))
start = time.monotonic()
status = session.get(f"http://127.0.0.1:{serve(lambda _: next(answers))}/", timeout=1).status_code
print(status, "in time" if time.monotonic() - start < 3 else "late")
PYTHON
seen "503 without Retry-After" "503 in time" "$(python3 ask.py without)"
seen "503 with Retry-After" "200 late" "$(python3 ask.py with)"
