"""A small web server on 127.0.0.1 that misbehaves on request, for the tests of downloads."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Loopback:
    """What the server serves, and what it was asked.

    ``bodies[path]`` is the content of an address; another path gives 404. ``cut_after[path]`` is a list: each request
    takes the next number of bytes, after which the connection is dropped, None for the rest. ``ranges`` says whether
    the Range header is honoured; ``range_shift`` is added to the place it names. ``announce_length`` says whether
    Content-Length is sent; ``padding`` stands behind it and behind Content-Range. ``requests`` holds (path, Range
    header or None).
    """

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.cut_after: dict[str, list] = {}
        self.ranges = True
        self.range_shift = 0
        self.announce_length = True
        self.padding = ""
        self.requests: list[tuple[str, str | None]] = []
        self.url = ""


@contextmanager
def serve():
    """Run a server in a thread and yield its :class:`Loopback`; everything is closed at the end."""
    state = Loopback()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get("Range")
            state.requests.append((self.path, asked))
            if self.path not in state.bodies:
                self.send_error(404)
                return
            body, start = state.bodies[self.path], 0
            if asked and state.ranges:
                start = int(asked.removeprefix("bytes=").removesuffix("-")) + state.range_shift
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}{state.padding}")
            else:
                self.send_response(200)
            if state.announce_length:
                self.send_header("Content-Length", f"{len(body) - start}{state.padding}")
            self.end_headers()
            cuts = state.cut_after.get(self.path)
            self.wfile.write(body[start:][: cuts.pop(0) if cuts else None])
            # HTTP/1.0: the connection is closed when this returns, announced length or not.

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # server_close then waits for every request
    state.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
