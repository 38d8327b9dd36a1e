#!/usr/bin/env bash
# The events of the engine have a `time` in seconds since 1970. aiodocker makes it a time of the host's zone, and leaves the zone
# out: in Berlin two events an hour apart have the same time where the clock goes back, and none can be compared with the
# times of a container, which are in UTC. The Python library docker leaves the number as it is.
. "$(dirname "$0")/lib/finding.sh"
python_packages aiodocker==0.27.0 aiohttp==3.14.5 docker==7.2.0
cat >engine.py <<'PYTHON'
"""Answers as an engine that has two events, an hour apart, in the night of 25 October 2026."""
import http.server, json, threading

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if "/events" in self.path:
            events = [{"Type": "container", "Action": "die", "time": time} for time in (1792888200, 1792891800)]
            body = "".join(f"{json.dumps(event)}\n" for event in events)
        else:
            body = json.dumps({"ApiVersion": "1.41", "MinAPIVersion": "1.24"})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(f"{len(body):x}\r\n{body}\r\n0\r\n\r\n".encode())

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"127.0.0.1:{server.server_port}"
PYTHON
cat >by_docker.py <<'PYTHON'
import docker, engine

print(*(event["time"] for event in docker.DockerClient(f"tcp://{engine.address}", version="1.41").events(decode=True)))
PYTHON
cat >by_aiodocker.py <<'PYTHON'
import asyncio, aiodocker, engine

async def times():
    async with aiodocker.Docker(f"http://{engine.address}", api_version="v1.41") as client:
        events = client.events.subscribe()
        return [(await events.get())["time"] for _ in range(2)]

print(*asyncio.run(times()), sep=" | ")
PYTHON
export TZ=CET-1CEST,M3.5.0,M10.5.0/3 # Berlin's rules, without a zone file
seen "docker" "1792888200 1792891800" "$(python3 by_docker.py)"
seen "aiodocker" "2026-10-25 02:30:00 | 2026-10-25 02:30:00" "$(python3 by_aiodocker.py)"
