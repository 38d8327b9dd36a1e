#!/usr/bin/env bash
# A host has a proxy, and NO_PROXY names what is not behind it. A network (127.0.0.0/8) counts for requests and none of the
# others; an address with a port counts for httpx and urllib only. The rest ask the proxy for the container, and the proxy's 404
# looks like a route that is gone.
. "$(dirname "$0")/lib/finding.sh"
python_packages requests==2.34.2 httpx==0.28.1 aiohttp==3.14.5
python3 -c 'import platform; print("version: urllib of Python", platform.python_version())'
cat >ask.py <<'PYTHON'
import asyncio, os, sys, urllib.error, urllib.request
import aiohttp, httpx, requests
from answering import serve

route = serve(lambda _: (401, {}))
proxy = serve(lambda _: (404, {}))
url = f"http://127.0.0.1:{route}/api"
os.environ["HTTP_PROXY"] = os.environ["http_proxy"] = f"http://127.0.0.1:{proxy}"
os.environ["NO_PROXY"] = os.environ["no_proxy"] = sys.argv[1].replace("PORT", str(route))

def by_urllib():
    try:
        return urllib.request.urlopen(url).status
    except urllib.error.HTTPError as error:
        return error.code

async def by_aiohttp():
    async with aiohttp.ClientSession(trust_env=True) as session, session.get(url) as response:
        return response.status

print(f"requests {requests.get(url).status_code}, httpx {httpx.get(url).status_code}, "
      f"aiohttp {asyncio.run(by_aiohttp())}, urllib {by_urllib()}")
PYTHON
ask() { python3 ask.py "$1"; }
seen "NO_PROXY=127.0.0.1" "requests 401, httpx 401, aiohttp 401, urllib 401" "$(ask 127.0.0.1)"
seen "NO_PROXY=127.0.0.0/8" "requests 401, httpx 404, aiohttp 404, urllib 404" "$(ask 127.0.0.0/8)"
seen "NO_PROXY=127.0.0.1:PORT" "requests 404, httpx 401, aiohttp 404, urllib 401" "$(ask 127.0.0.1:PORT)"
