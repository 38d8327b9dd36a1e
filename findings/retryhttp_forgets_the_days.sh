#!/usr/bin/env bash
# A server says by a date in Retry-After to come back in a day and a minute. retryhttp comes back in a minute: it takes the
# seconds of the difference without its days. As a number of seconds the same wait is beyond `wait_max`, as it should be.
. "$(dirname "$0")/lib/finding.sh"
python_packages retryhttp==1.5.0 httpx==0.28.1
cat >wait.py <<'PYTHON'
import email.utils, sys, time
import httpx
from retryhttp import wait_retry_after
from tenacity import RetryCallState, wait_fixed

def wait(value):
    request = httpx.Request("GET", "http://localhost/")
    response = httpx.Response(429, headers={"Retry-After": value}, request=request)
    state = RetryCallState(None, None, (), {})
    state.set_exception((None, httpx.HTTPStatusError("429", request=request, response=response), None))
    seconds = wait_retry_after(wait_max=120, fallback=wait_fixed(7))(state)
    return "fallback" if seconds == 7 else "about a minute" if 50 <= seconds <= 60 else seconds

day_and_minute = 24 * 60 * 60 + 60
print(wait(str(day_and_minute)) if sys.argv[1] == "seconds" else wait(email.utils.formatdate(time.time() + day_and_minute, usegmt=True)))
PYTHON
seen "in seconds" fallback "$(python3 wait.py seconds)"
seen "as a date" "about a minute" "$(python3 wait.py date)"
