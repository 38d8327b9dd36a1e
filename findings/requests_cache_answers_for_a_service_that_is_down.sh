#!/usr/bin/env bash
# A health route forbids to keep its answers (`Cache-Control: no-store`). requests-cache keeps the first one all the same: the service
# fails, and the probe goes on to see 200, without a request. So does a probe that uses requests alone, where another part of
# the program has called `install_cache`. CacheControl asks again.
. "$(dirname "$0")/lib/finding.sh"
python_packages requests-cache==1.3.3 CacheControl==0.14.4 requests==2.34.2
cat >probe.py <<'PYTHON'
import sys
import answering, cachecontrol, requests, requests_cache

asked = []

def answer(_):
    asked.append(None)
    return 200 if len(asked) == 1 else 503, {"Cache-Control": sys.argv[2]}

def installed():
    requests_cache.install_cache(backend="memory")
    return requests

clients = {
    "requests": requests.Session,
    "requests-cache": lambda: requests_cache.CachedSession(backend="memory"),
    "installed": installed,
    "CacheControl": lambda: cachecontrol.CacheControl(requests.Session()),
}
url = f"http://127.0.0.1:{answering.serve(answer)}/health"
client = clients[sys.argv[1]]()
print(*(client.get(url).status_code for _ in range(2)), "asked", len(asked))
PYTHON
for forbids in no-store no-cache max-age=0; do
    seen "requests, $forbids" "200 503 asked 2" "$(python3 probe.py requests $forbids)"
    seen "CacheControl, $forbids" "200 503 asked 2" "$(python3 probe.py CacheControl $forbids)"
    seen "requests-cache, $forbids" "200 200 asked 1" "$(python3 probe.py requests-cache $forbids)"
    seen "requests after install_cache, $forbids" "200 200 asked 1" "$(python3 probe.py installed $forbids)"
done
