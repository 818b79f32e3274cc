#!/usr/bin/env python3
# SPDX-License-Identifier: PostgreSQL
"""Serves the live page and its configuration on a free port of the loopback interface.
Usage: serve.py CONFIG_JSON; prints `listening on 127.0.0.1:PORT`."""

import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FILES = {"/": "index.html", "/live.css": "live.css", "/live.js": "live.js"}


class Page(SimpleHTTPRequestHandler):
    def __init__(self, config: Path, *args, **kwargs) -> None:
        self.config = config
        super().__init__(*args, **kwargs)

    def send_head(self):
        port = self.server.server_address[1]
        # A foreign name that resolves to us must not read the tokens (DNS rebinding).
        if self.headers.get("Host") not in (f"127.0.0.1:{port}", f"localhost:{port}"):
            self.send_error(403, "Unknown host")
            return None
        path = self.path.partition("?")[0]
        if path not in FILES and path != "/config.json":
            self.send_error(404)
            return None
        return super().send_head()

    def translate_path(self, path: str) -> str:
        path = path.partition("?")[0]
        return str(self.config if path == "/config.json" else Path(__file__).parent / FILES[path])

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args) -> None:
        pass


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Page, Path(sys.argv[1]).resolve()))
    print("listening on 127.0.0.1:%d" % server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
