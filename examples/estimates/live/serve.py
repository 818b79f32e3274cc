#!/usr/bin/env python3
# SPDX-License-Identifier: PostgreSQL
"""Serves the live page, its configuration and its buttons on the loopback interface.
Usage: serve.py PORT CONFIG_JSON -- ACT...; PORT is taken when it is free and any other if not, which is
printed as `listening on 127.0.0.1:PORT`. ACT is a command that reads a word for each change it shall make
and answers with a line; it is started when the first button is pressed."""

import json
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import List, Optional

FILES = {"/": "index.html", "/live.css": "live.css", "/live.js": "live.js"}
WORDS = {"create", "status", "reassign", "delete", "rename"}
BODY_MAX = 200


class Actor:
    """The process that makes changes; one at a time."""

    def __init__(self, command: List[str]) -> None:
        self.command = command
        self.lock = threading.Lock()
        self.process: Optional[subprocess.Popen] = None

    def act(self, word: str) -> str:
        """What was done; "" when it cannot be done."""
        with self.lock:
            try:
                if not self.process or self.process.poll() is not None:
                    self.process = subprocess.Popen(
                        self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
                    )
                assert self.process.stdin and self.process.stdout
                self.process.stdin.write(word + "\n")
                self.process.stdin.flush()
                return self.process.stdout.readline().strip()
            except OSError:
                return ""


class Page(SimpleHTTPRequestHandler):
    def __init__(self, config: Path, actor: Actor, *args, **kwargs) -> None:
        self.config, self.actor = config, actor
        super().__init__(*args, **kwargs)

    def is_ours(self) -> bool:
        """A foreign name that resolves to us must not read the tokens (DNS rebinding)."""
        return self.headers.get("Host") in self.hosts()

    def hosts(self) -> List[str]:
        port = self.server.server_address[1]
        return ["127.0.0.1:%d" % port, "localhost:%d" % port]

    def send_head(self):
        path = self.path.partition("?")[0]
        if not self.is_ours():
            self.send_error(403, "Unknown host")
        elif path not in FILES and path != "/config.json":
            self.send_error(404)
        else:
            return super().send_head()
        return None

    def do_POST(self) -> None:
        """A button. Only from the page itself: other sites cannot send JSON without asking first."""
        length = int(self.headers.get("Content-Length", "0"))
        origins = ["http://" + host for host in self.hosts()]
        if not self.is_ours() or self.headers.get("Origin") not in origins:
            return self.send_error(403)
        if self.path != "/act" or self.headers.get("Content-Type") != "application/json":
            return self.send_error(404)
        if length > BODY_MAX:
            return self.send_error(413)
        try:
            word = json.loads(self.rfile.read(length))
        except ValueError:
            word = None
        if not isinstance(word, str) or word not in WORDS:
            return self.send_error(400)
        done = self.actor.act(word)
        body = json.dumps({"done": done}).encode()
        self.send_response(200 if done else 503)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def translate_path(self, path: str) -> str:
        path = path.partition("?")[0]
        return str(self.config if path == "/config.json" else Path(__file__).parent / FILES[path])

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args) -> None:
        pass


def listen(port: int, handler) -> ThreadingHTTPServer:
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError:
        return ThreadingHTTPServer(("127.0.0.1", 0), handler)


def main() -> None:
    port, config, dashes, *act = sys.argv[1:]
    assert dashes == "--" and act, __doc__
    server = listen(int(port), partial(Page, Path(config).resolve(), Actor(act)))
    print("listening on 127.0.0.1:%d" % server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
