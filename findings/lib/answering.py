"""HTTP servers on ports of their own, whose answer to each request is given by a function."""

import http.server
import threading


def serve(answer):
    """Serves until the program ends. `answer(headers)` gives the status and a dict of headers. Returns the port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers = answer(self.headers)
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port
