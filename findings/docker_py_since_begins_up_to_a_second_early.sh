#!/usr/bin/env bash
# Somebody asks the library docker for the events, or the log, since a time. A datetime loses its part of a second on the way: what
# happened before in that second is in the answer, such as the last words of the run before a restart. The same time as a
# number keeps it.
. "$(dirname "$0")/lib/finding.sh"
python_packages docker==7.2.0
asked() { # CODE that gives the time
    python3 - "$1" <<'PYTHON'
import datetime, docker, http.server, sys, threading, urllib.parse

since = eval(sys.argv[1])
asked = []

class Engine(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = urllib.parse.urlparse(self.path)
        asked.extend(urllib.parse.parse_qs(path.query).get("since", []))
        body = b'{"Id": "a", "Config": {"Tty": false}}' if path.path.endswith("/json") else b""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Engine)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = docker.APIClient(f"tcp://127.0.0.1:{server.server_port}", version="1.41")
list(client.events(since=since))
client.logs("a", since=since)
print(*asked)
PYTHON
}
readonly when='datetime.datetime(2026, 11, 30, 10, 0, 0, 900_000, datetime.timezone.utc)'
seen "a datetime" "1796032800 1796032800" "$(asked "$when")"
seen "a number" "1796032800.9 1796032800.9" "$(asked "$when.timestamp()")"
