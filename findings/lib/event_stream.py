"""What clients of server-sent events make of one stream, which ends with an event `end`."""

import asyncio
import http.server
import importlib
import threading

END = b"data: end\n\n"


def serve(parts):
    """Serves the parts as chunks of one answer, until the program ends. Returns the URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream; charset=utf-8")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in (*parts, b""):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.close_connection = True

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


def sseclient(url):
    yield from importlib.import_module("sseclient").SSEClient(url)


def sseclient_py(url):
    import requests

    yield from importlib.import_module("sseclient").SSEClient(requests.get(url, stream=True)).events()


def httpx_sse(url):
    import httpx

    with httpx.Client() as client, importlib.import_module("httpx_sse").connect_sse(client, "GET", url) as source:
        yield from source.iter_sse()


def requests_sse(url):
    with importlib.import_module("requests_sse").EventSource(url) as source:
        yield from source


async def aiohttp_sse_client2(url):
    from aiohttp_sse_client2.client import EventSource

    async with EventSource(url) as source:
        async for event in source:
            yield event


async def aiosseclient(url):
    async for event in importlib.import_module("aiosseclient").aiosseclient(url):
        yield event


async def every(events):
    """An asynchronous client's events as a list, up to the one that ends the stream."""
    found = []
    async for event in events:
        found.append(event)
        if event.data == "end":
            break
    return found


def read(client, *parts):
    """The data of each event before `end`, or of all where the stream ends without it."""
    events = globals()[client](serve(parts))
    data = []
    for event in asyncio.run(every(events)) if hasattr(events, "__aiter__") else events:
        if event.data == "end":
            break
        data.append(event.data)
    return data
