#!/usr/bin/env python3
# SPDX-License-Identifier: PostgreSQL
"""The application on one port of the loopback interface: what Vite has built, and Django's API below
/api/. Usage: serve.py PORT CONFIG_JSON; PORT is taken when it is free and any other if not, which is
printed as `listening on 127.0.0.1:PORT`. A real one has gunicorn and nginx instead."""

import mimetypes
import os
import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

HERE = Path(__file__).resolve().parent
DIST = HERE / "dist"


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args) -> None:
        pass


class Application:
    def __init__(self, api, config: Path) -> None:
        self.api, self.config = api, config
        self.files = {"/" + str(f.relative_to(DIST)): f for f in DIST.rglob("*") if f.is_file()}

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        port = environ["SERVER_PORT"]
        # A foreign name that resolves to us must not get at it (DNS rebinding).
        if environ.get("HTTP_HOST") not in ("127.0.0.1:" + port, "localhost:" + port):
            start_response("403 Forbidden", [])
            return [b"Unknown host"]
        if path.startswith("/api/"):
            return self.api(environ, start_response)
        # Every other path is one of the application's own pages.
        file = self.config if path == "/config.json" else self.files.get(path, DIST / "index.html")
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        start_response("200 OK", [("Content-Type", kind), ("Cache-Control", "no-cache")])
        return [file.read_bytes()]


def listen(port: int, app) -> Server:
    for choice in (port, 0):
        try:
            return make_server("127.0.0.1", choice, app, Server, Quiet)
        except OSError:
            if not choice:
                raise
    raise AssertionError


def main() -> None:
    port, config = sys.argv[1:]
    sys.path.insert(0, str(HERE.parent))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "estimates.settings")
    from estimates.wsgi import application

    server = listen(int(port), Application(application, Path(config)))
    print("listening on 127.0.0.1:%d" % server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
