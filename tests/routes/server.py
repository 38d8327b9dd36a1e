"""A server for tests, of Python's standard library alone: it answers as servers of one kind do.

Its first argument is a folder: the file `kind` there says how it answers, at each request anew, and `log` gets a line for each
request: seconds, method, path, `with` or `without` credentials, status. With two more, a certificate and a key, it speaks TLS.
It prints its port.
"""

import base64
import collections
import email.utils
import http.server
import pathlib
import re
import ssl
import sys
import threading
import time

FOLDER = pathlib.Path(sys.argv[1])
RIGHT = "Basic " + base64.b64encode(b"ops:secret").decode()
ROUTE = "/api/workflow"
LOCK = threading.Lock()
RECENT = collections.deque()
PAUSE = 4  # seconds
REFUSING = {}


def protected(authorized):
    return 200 if authorized else 401


def narrow(path, authorized):
    """A neighbour with a narrow parameter: at most sixteen letters. It knows no such item."""
    fits = re.fullmatch("/api/[a-z]{1,16}", path)
    return (404 if authorized else 401) if fits else 404


def limited(limit):
    """At most so many in any second; a refusal is none."""
    now = time.monotonic()
    while RECENT and RECENT[0] <= now - 1:
        RECENT.popleft()
    if len(RECENT) >= limit:
        return 429
    RECENT.append(now)
    return None


def refusing():
    """Whether it is within the pause, which begins with the first request."""
    with LOCK:
        return time.monotonic() < REFUSING.setdefault("until", time.monotonic() + PAUSE)


def pause(kind):
    """How it asks for the pause."""
    if kind == "pause in seconds":
        return str(PAUSE)
    # A date has whole seconds.
    return email.utils.formatdate(time.time() + PAUSE + 1, usegmt=True)


def answer(kind, method, path, authorized):
    """The status, and the methods of an `Allow` header."""
    known = path == ROUTE
    if kind == "ordinary":
        return (protected(authorized) if known else 404), None
    if kind == "narrow, there":
        return (protected(authorized) if known else narrow(path, authorized)), None
    if kind == "narrow, gone":
        return narrow(path, authorized), None
    if kind == "blanket":
        return ((200 if known else 404) if authorized else 401), None
    if kind == "blanket, gone":
        return (404 if authorized else 401), None
    if kind == "hidden":
        return (200 if known and authorized else 404), None
    if kind == "absence is 405":
        return (protected(authorized) if known else 405), None
    if kind == "absence is 405, gone":
        return 405, None
    if kind == "not for HEAD":
        return ((405 if method == "HEAD" else protected(authorized)) if known else 404), "GET"
    if kind == "everything below":
        return (protected(authorized) if path.startswith(ROUTE + "/") else 404), None
    if kind == "away":
        return (503 if authorized else 401), None
    if kind == "named to OPTIONS":
        return ((200 if known else 404) if authorized else 401), "GET, HEAD" if known else None
    if kind == "eight in a second":
        with LOCK:
            return limited(8) or (protected(authorized) if known else 404), None
    if kind.startswith("pause "):
        return 429 if refusing() else (protected(authorized) if known else 404), None
    if kind == "odd heads":
        return (protected(authorized) if known else 404), None
    if kind == "never enough":
        return 429, None
    raise ValueError(kind)


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        kind = (FOLDER / "kind").read_text()
        path = self.path.split("?")[0]
        authorized = self.headers.get("Authorization") == RIGHT
        status, allow = answer(kind, self.command, path, authorized)
        with LOCK, (FOLDER / "log").open("a") as log:
            sent = "with" if self.headers.get("Authorization") else "without"
            log.write(f"{time.monotonic():.3f} {self.command} {self.path} {sent} {status}\n")
        self.send_response(status)
        if allow:
            self.send_header("Allow", allow)
        if status == 429 and kind.startswith("pause "):
            self.send_header("Retry-After", pause(kind))
        if kind == "odd heads":
            for number in range(150):
                self.send_header(f"X-{number}", "x")
            self.flush_headers()
            self.wfile.write(b"X-Spaced : before its colon\r\nX-Folded: over\r\n two lines\r\n")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_OPTIONS = do_POST = answer

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 100

    def handle_error(self, *_):
        """Who does not trust the certificate goes away."""


server = Server(("127.0.0.1", 0), Handler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
