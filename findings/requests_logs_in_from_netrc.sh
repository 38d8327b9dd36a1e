#!/usr/bin/env bash
# A route is asked without credentials, to see it answer 401. Where the user has a .netrc for the host, requests sends them all
# the same: 200. It even puts them in place of an Authorization header that the program has set. httpx and aiohttp send none.
. "$(dirname "$0")/lib/finding.sh"
python_packages requests==2.34.2 httpx==0.28.1 aiohttp==3.14.5
echo 'machine 127.0.0.1 login somebody password example' >netrc
chmod 600 netrc
cat >ask.py <<'PYTHON'
import asyncio, sys
import aiohttp, httpx, requests
from answering import serve

asked = []

def answer(headers):
    asked.append((headers.get("Authorization") or "none").split()[0])
    return (401 if asked[-1] == "none" else 200, {})

url = f"http://127.0.0.1:{serve(answer)}/api"

async def by_aiohttp():
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status

own = requests.get(url, headers={"Authorization": "Bearer example"}) and asked[-1]
print(f"requests {requests.get(url).status_code}, httpx {httpx.get(url).status_code}, aiohttp {asyncio.run(by_aiohttp())}; "
      f"instead of Bearer: {own}")
PYTHON
seen "without a netrc" "requests 401, httpx 401, aiohttp 401; instead of Bearer: Bearer" "$(NETRC=$work/none python3 ask.py)"
seen "with a netrc" "requests 200, httpx 401, aiohttp 401; instead of Bearer: Basic" "$(NETRC=$work/netrc python3 ask.py)"
