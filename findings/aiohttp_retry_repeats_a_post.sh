#!/usr/bin/env bash
# A hook starts a deploy by POST, and the proxy before it answers 503 with `Retry-After`, or the deploy fails with 500. aiohttp-retry
# sends the POST again, three times in all, and does not wait as long as it is told. A 429 it does not repeat. httpx-retries
# waits, leaves a POST alone, and repeats a GET after a 429.
. "$(dirname "$0")/lib/finding.sh"
python_packages aiohttp-retry==2.9.1 aiohttp==3.14.5 httpx-retries==0.6.0 httpx==0.28.1
cat >ask.py <<'PYTHON'
import asyncio, http.server, sys, threading, time
import aiohttp_retry, httpx, httpx_retries

times = []

class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        times.append(time.monotonic())
        self.send_response(int(self.path[1:]))
        self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass

async def aiohttp_retry_(method, url):
    options = aiohttp_retry.ExponentialRetry(attempts=3, start_timeout=0.01)
    async with aiohttp_retry.RetryClient(retry_options=options) as client, client.request(method, url):
        pass

def httpx_retries_(method, url):
    retry = httpx_retries.Retry(total=2, backoff_factor=0.01)
    with httpx.Client(transport=httpx_retries.RetryTransport(retry=retry)) as client:
        client.request(method, url)

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
library, method, status = sys.argv[1:]
asked = globals()[f"{library}_"](method, f"http://127.0.0.1:{server.server_port}/{status}")
if asked:
    asyncio.run(asked)
waited = len(times) > 1 and times[1] - times[0] >= 1
print(len(times), "waited" if waited else "at once" if len(times) > 1 else "")
PYTHON
asked() { python3 ask.py "$@" | xargs; }
seen "httpx-retries, POST, 503" 1 "$(asked httpx_retries POST 503)"
seen "httpx-retries, GET, 503" "3 waited" "$(asked httpx_retries GET 503)"
seen "httpx-retries, GET, 429" "3 waited" "$(asked httpx_retries GET 429)"
seen "aiohttp-retry, POST, 500" "3 at once" "$(asked aiohttp_retry POST 500)"
seen "aiohttp-retry, POST, 503" "3 at once" "$(asked aiohttp_retry POST 503)"
seen "aiohttp-retry, GET, 429" 1 "$(asked aiohttp_retry GET 429)"
